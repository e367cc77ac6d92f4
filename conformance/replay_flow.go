package conformance

import (
	"encoding/binary"

	"ssegauge/reference/wire"
)

// flow is the flow control of an HTTP/2 connection that is judged again: what came on a stream is not to come before there is room for it, which whoever reads gives by the clock of now.
type flow struct {
	out     []byte // a frame of ours that is not whole yet
	preface int    // of the preface, still to come
	initial int64
	credit  map[uint32]int64
	totals  map[uint32]int64   // content so far
	needs   []map[uint32]int64 // for each chunk, the content up to its end
	in      []byte             // the header of a frame of theirs that is not whole yet
	skip    int                // of the frame that goes on
}

// Frames of RFC 9113 that matter here.
const (
	frameHeader       = 9
	frameData         = 0x0
	frameSettings     = 0x4
	frameWindowUpdate = 0x8
	settingWindow     = 0x4
	prefaceSize       = 24
)

func newFlow(e *recordedConn) *flow {
	if e.HTTP != wire.HTTP2.String() && e.HTTP != wire.H2C.String() {
		return nil
	}
	f := &flow{preface: prefaceSize, initial: 65535, credit: map[uint32]int64{}, totals: map[uint32]int64{}}
	for _, b := range e.Received {
		f.needs = append(f.needs, f.received(b.Data))
	}
	return f
}

// received tells how much content there was on each stream that a chunk adds to, after it.
func (f *flow) received(p []byte) map[uint32]int64 {
	var grown map[uint32]int64
	for len(p) > 0 {
		if f.skip > 0 {
			n := min(f.skip, len(p))
			f.skip, p = f.skip-n, p[n:]
			continue
		}
		n := min(frameHeader-len(f.in), len(p))
		f.in, p = append(f.in, p[:n]...), p[n:]
		if len(f.in) < frameHeader {
			break
		}
		length := int(f.in[0])<<16 | int(f.in[1])<<8 | int(f.in[2])
		if f.in[3] == frameData {
			stream := binary.BigEndian.Uint32(f.in[5:]) & (1<<31 - 1)
			f.totals[stream] += int64(length)
			if grown == nil {
				grown = map[uint32]int64{}
			}
			grown[stream] = f.totals[stream]
		}
		f.in, f.skip = f.in[:0], length
	}
	return grown
}

// sent takes what we write.
func (f *flow) sent(p []byte) {
	n := min(f.preface, len(p))
	f.preface -= n
	f.out = append(f.out, p[n:]...)
	for len(f.out) >= frameHeader {
		length := int(f.out[0])<<16 | int(f.out[1])<<8 | int(f.out[2])
		if len(f.out) < frameHeader+length {
			return
		}
		body := f.out[frameHeader : frameHeader+length]
		switch {
		case f.out[3] == frameWindowUpdate && length == 4:
			f.credit[binary.BigEndian.Uint32(f.out[5:])&(1<<31-1)] += int64(binary.BigEndian.Uint32(body))
		case f.out[3] == frameSettings:
			for ; len(body) >= 6; body = body[6:] {
				if binary.BigEndian.Uint16(body) == settingWindow {
					f.initial = int64(binary.BigEndian.Uint32(body[2:]))
				}
			}
		}
		f.out = f.out[frameHeader+length:]
	}
}

// room tells whether chunk k may come.
func (f *flow) room(k int) bool {
	if f == nil || k >= len(f.needs) {
		return true
	}
	for stream, total := range f.needs[k] {
		if total > f.initial+f.credit[stream] {
			return false
		}
	}
	return true
}
