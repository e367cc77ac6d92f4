package wire

import (
	"encoding/binary"
	"math"

	"golang.org/x/net/http2/hpack"
)

// Frames is the client side of one HTTP/2 connection (RFC 9113): frames and streams, flow control in both directions,
// HPACK (RFC 7541) by x/net; no I/O. Feed it what was read with Next, write what Out holds. It is for one goroutine.
//
//	for {
//		n, err := f.Next(in, &it)
//		in = in[n:]
//		... // it, then err
//		if it.Kind == wire.None {
//			break // in is used up: write f.Out(), read more
//		}
//	}
//
// A stream costs at most 8 bytes in its table; streams that ended leave it. Body items point into the input, also where a read cut the frame,
// and nothing is allocated while they flow. What is held besides is bounded: one field block, one frame that is not
// DATA, and the answers we owe; a peer that makes us owe too many is refused with a *CapError.
type Frames struct {
	opt    FramesOptions
	peer   PeerSettings
	err    error // why reading stopped
	goAway *GoAwayError
	off    int64 // bytes consumed

	// The frame at hand.
	frameAt int64  // where it began
	left    uint32 // payload bytes still to come
	id      uint32
	state   readState
	have    uint8 // bytes in head
	kind    frameType
	flags   uint8
	pad     uint8
	discard bool // DATA that belongs to no live stream
	badPad  bool // a padding byte was not zero
	head    [9]byte
	buf     []byte // the payload so far of a frame that a read cut (DATA never comes here)

	// The field block at hand; blockID is 0 outside of one.
	block    []byte
	blockAt  int64
	blockID  uint32
	blockEnd bool           // END_STREAM stood on its HEADERS
	pieces   int            // its CONTINUATIONs
	hpack    *hpack.Decoder // nil where the table is 0: nothing to remember between blocks

	streams    streamTable
	lengths    map[uint32]int64 // content still to come of the counted streams
	uploads    []upload         // streams that still send a body, by id
	next       uint32           // the next stream id
	sendWin    int64            // connection window of the peer
	recvWin    int64            // our connection window, what is left of it
	credited   uint32           // of the connection, queued but not written: the peer cannot know of it yet
	creditedAt int64            // when so many bytes are written it is
	sent       int64            // bytes written
	sweep      uint32           // ids from here on are told that GOAWAY or EOF ended them; 0: none
	acks       int              // SETTINGS of ours that await their acknowledgement
	idle       int              // frames in a row that carried nothing
	answers    int              // answers queued since Out was last empty
	shrunk     bool             // the peer lowered HEADER_TABLE_SIZE: say 0 in the next field block
	ended      bool             // EOF was told

	out     []byte
	written int // bytes at the front of out that went
	queue   []Item
}

// FramesOptions are what we declare; the zero value is a sensible client.
type FramesOptions struct {
	StreamWindow   uint32 // SETTINGS_INITIAL_WINDOW_SIZE, at most 2^31-1; 0: 1 MiB
	ConnWindow     uint32 // connection window raised to this right after the preface, at least 65,535; 0: 16 MiB
	HeaderTable    uint32 // SETTINGS_HEADER_TABLE_SIZE; 0 removes HPACK state
	MaxHeaderBytes uint32 // cap on one field block, encoded and decoded (RFC 9113 6.5.2 counts 32 for a field); 0: 64 KiB
	// ManualWindow leaves the windows of the streams to the caller: it gives Credit for what it has taken in of the Body items, so that a
	// stream nobody reads comes to a halt. Padding is credited at once all the same, and the window of the connection is always
	// topped up, so that such a stream holds up no other.
	ManualWindow bool
	// PastLimit opens streams past the peer's SETTINGS_MAX_CONCURRENT_STREAMS too, to see what the one too many meets.
	PastLimit bool
}

// PeerSettings is what the peer declared, with the defaults of RFC 9113 6.5.2 before its SETTINGS came.
type PeerSettings struct {
	Seen                 bool
	MaxConcurrentStreams uint32 // math.MaxUint32 where not declared
	InitialWindowSize    uint32
	MaxFrameSize         uint32
	HeaderTableSize      uint32
	MaxHeaderListSize    uint32 // math.MaxUint32 where not declared
}

// What the RFC fixes, and our caps.
const (
	clientPreface  = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	initialWindow  = 65535 // RFC 9113 6.9.2, until SETTINGS say otherwise
	maxWindow      = 1<<31 - 1
	maxFrame       = 16384 // SETTINGS_MAX_FRAME_SIZE, which we leave at its default
	lastStreamID   = 1<<31 - 1
	maxPieces      = 256    // CONTINUATIONs of one field block
	maxIdle        = 10_000 // frames in a row that carry nothing
	calm           = 100    // so many of them each write of ours makes up for: a peer that asks now and then, for days, is no flood
	maxAnswers     = 20000  // answers that wait to be written
	streamsUnasked = 100    // streams opened before the peer's SETTINGS are there
	maxFieldFaults = 16     // faults reported of one field block
)

// NewFrames starts a connection: Out holds the preface, SETTINGS and the WINDOW_UPDATE.
func NewFrames(o FramesOptions) *Frames {
	if o.StreamWindow == 0 {
		o.StreamWindow = 1 << 20
	}
	if o.ConnWindow == 0 {
		o.ConnWindow = 16 << 20
	}
	if o.MaxHeaderBytes == 0 {
		o.MaxHeaderBytes = 64 << 10
	}
	o.StreamWindow = min(o.StreamWindow, maxWindow)
	o.ConnWindow = min(max(o.ConnWindow, initialWindow), maxWindow)
	f := &Frames{
		opt: o,
		peer: PeerSettings{
			MaxConcurrentStreams: math.MaxUint32,
			InitialWindowSize:    initialWindow,
			MaxFrameSize:         maxFrame,
			HeaderTableSize:      4096,
			MaxHeaderListSize:    math.MaxUint32,
		},
		next:    1,
		sendWin: initialWindow,
		recvWin: int64(o.ConnWindow),
		acks:    1,
	}
	if o.HeaderTable > 0 {
		f.hpack = hpack.NewDecoder(min(o.HeaderTable, 4096), nil)
		f.hpack.SetAllowedMaxDynamicTableSize(o.HeaderTable)
		f.hpack.SetMaxStringLength(int(o.MaxHeaderBytes))
	}
	f.out = append(f.out, clientPreface...)
	f.out = appendFrameHead(f.out, 24, frameSettings, 0, 0)
	f.out = appendSetting(f.out, settingHeaderTableSize, o.HeaderTable)
	f.out = appendSetting(f.out, settingEnablePush, 0)
	f.out = appendSetting(f.out, settingInitialWindowSize, o.StreamWindow)
	f.out = appendSetting(f.out, settingMaxHeaderListSize, o.MaxHeaderBytes)
	if o.ConnWindow > initialWindow {
		f.windowUpdate(0, o.ConnWindow-initialWindow)
	}
	return f
}

// readState is what Next expects.
type readState uint8

const (
	readHead      readState = iota // the nine bytes of a frame head
	readPadLength                  // DATA: the length of its padding
	readContent                    // DATA: content
	readPadding                    // DATA: padding
	readEnd                        // DATA: nothing; END_STREAM is to be told
	readPayload                    // the payload of a frame that is handled whole
	readSkip                       // payload nobody wants
	readStranger                   // the first line of a peer that does not speak HTTP/2
	readNothing                    // a fault ended the connection
)

// Next consumes bytes of in until one item is known or in is used up (it.Kind is None then); n is how many it consumed.
// Call it until in is used up and it returns None. The call that reports a fault which ends the connection returns it as err too
// (a *[Fault], or a *[CapError] without an item); later calls return the same err and consume nothing.
func (f *Frames) Next(in []byte, it *Item) (n int, err error) {
	*it = Item{}
	switch {
	case len(f.queue) > 0:
		f.pop(it)
	case f.err != nil:
	case f.sweep != 0 && f.nextSwept(it):
	default:
		n = f.read(in, it)
	}
	if len(f.queue) == 0 {
		err = f.err
	}
	return n, err
}

// read is Next past the items that wait.
func (f *Frames) read(in []byte, it *Item) (n int) {
	start := f.off
	for {
		rest := in[f.off-start:]
		switch f.state {
		case readHead:
			if f.have == 0 && len(rest) >= 9 {
				f.frameAt = f.off
				f.off += 9
				f.begin((*[9]byte)(rest), it)
				break
			}
			if len(rest) == 0 {
				return len(in)
			}
			if f.have == 0 {
				f.frameAt = f.off
			}
			k := copy(f.head[f.have:], rest)
			f.off += int64(k)
			f.have += uint8(k)
			if f.have < 9 {
				return len(in)
			}
			f.have = 0
			f.begin(&f.head, it)
		case readContent:
			if f.left == 0 {
				f.afterContent()
				break
			}
			if len(rest) == 0 {
				return len(in)
			}
			k := min(int(f.left), len(rest))
			f.left -= uint32(k)
			at := f.off
			f.off += int64(k)
			if f.discard {
				break
			}
			it.Kind, it.Stream, it.Data, it.Offset = Body, f.id, rest[:k:k], at
			if f.left == 0 {
				f.afterContent()
			}
			return int(f.off - start)
		case readPadLength:
			if len(rest) == 0 {
				return len(in)
			}
			f.off++
			f.beginPadded(rest[0], it)
		case readPadding:
			k := min(int(f.pad), len(rest))
			for _, b := range rest[:k] {
				f.badPad = f.badPad || b != 0
			}
			f.off += int64(k)
			f.pad -= uint8(k)
			if f.pad > 0 {
				return len(in)
			}
			f.state = readHead
			if f.flags&flagEndStream != 0 {
				f.state = readEnd
			}
			if f.badPad {
				f.fault(it, FaultH2PaddingBytes, f.id, "padding that is not all zero")
			}
		case readEnd:
			f.state = readHead
			f.endStream(f.id, it)
		case readPayload:
			payload := rest
			if len(f.buf) > 0 || len(rest) < int(f.left) {
				k := min(int(f.left), len(rest))
				f.buf = append(f.buf, rest[:k]...)
				f.left -= uint32(k)
				f.off += int64(k)
				if f.left > 0 {
					return len(in)
				}
				payload = f.buf
				f.buf = f.buf[:0]
				if cap(f.buf) > 256 {
					f.buf = nil // an idle connection holds no buffer
				}
			} else {
				payload = rest[:f.left]
				f.off += int64(f.left)
				f.left = 0
			}
			f.state = readHead
			f.handle(payload, it)
		case readSkip:
			k := min(int(f.left), len(rest))
			f.left -= uint32(k)
			f.off += int64(k)
			if f.left > 0 {
				return len(in)
			}
			f.state = readHead
		case readStranger:
			k := f.stranger(rest, it)
			f.off += int64(k)
			if f.err == nil {
				return len(in)
			}
		case readNothing:
			return int(f.off - start)
		}
		if it.Kind != None {
			return int(f.off - start)
		}
	}
}

// EOF tells that the peer closed the connection. Call it until it returns None: a Broken item where it ended inside a frame, then
// one (FaultH2Incomplete) for each open stream.
func (f *Frames) EOF(it *Item) error {
	_, err := f.Next(nil, it)
	if it.Kind != None || err != nil {
		return err
	}
	if !f.ended {
		f.ended = true
		f.sweep = 1
		switch {
		case f.state == readStranger:
			f.notHTTP2(it)
		case !f.peer.Seen && f.state == readHead && f.have > 0:
			f.buf, f.kind, f.left = f.head[:f.have], 0xff, 0 // too short for a frame: a TLS alert has seven bytes
			f.notHTTP2(it)
		case f.state != readHead || f.have > 0 || f.blockID != 0:
			f.faultAt(it, FaultH2Truncated, 0, f.frameAt, int(f.off-f.frameAt), "the connection was closed inside a frame or a field block")
		case !f.peer.Seen:
			f.faultAt(it, FaultH2Preface, 0, f.off, 0, "the connection was closed before the peer's SETTINGS")
		}
		if len(f.queue) == 0 && f.err != nil {
			return f.err
		}
	}
	if it.Kind == None {
		f.nextSwept(it)
	}
	return nil
}

// nextSwept reports the next stream that GOAWAY or the end of the connection took with it.
func (f *Frames) nextSwept(it *Item) bool {
	for i := f.streams.from(f.sweep); i < len(f.streams.list); i++ {
		s := &f.streams.list[i]
		if !s.live() {
			continue
		}
		id := s.id()
		f.sweep = id + 2
		f.drop(id)
		if f.ended {
			f.faultAt(it, FaultH2Incomplete, id, f.off, 0, "the connection was closed before END_STREAM")
		} else {
			it.Kind, it.Stream, it.Code, it.Offset = Reset, id, uint32(CodeRefusedStream), f.frameAt
		}
		return true
	}
	f.sweep = 0
	return false
}

// emit puts an item into it, or behind it where it is taken.
func (f *Frames) emit(it *Item, item Item) {
	if it.Kind == None {
		*it = item
		return
	}
	f.queue = append(f.queue, item)
}

func (f *Frames) pop(it *Item) {
	*it = f.queue[0]
	if len(f.queue) == 1 {
		f.queue = nil
	} else {
		f.queue = f.queue[1:]
	}
}

// Peer returns the peer's settings.
func (f *Frames) Peer() PeerSettings { return f.peer }

// Active is the number of streams that are open: requested, and neither ended nor reset.
func (f *Frames) Active() int { return f.streams.active }

// Offset is the number of bytes consumed so far.
func (f *Frames) Offset() int64 { return f.off }

// Out returns the bytes that wait to be written, valid until the next call of another method; Wrote tells how many of them went out.
func (f *Frames) Out() []byte { return f.out[f.written:] }

// Wrote drops n bytes from the front of Out. Request bodies go on into the room it makes.
func (f *Frames) Wrote(n int) {
	f.written += n
	if f.sent += int64(n); f.credited != 0 && f.sent >= f.creditedAt {
		f.recvWin += int64(f.credited)
		f.credited = 0
	}
	switch {
	case f.written == len(f.out):
		f.out, f.written = f.out[:0], 0
		f.answers = 0
		if n > 0 {
			f.idle = max(0, f.idle-calm)
		}
		if cap(f.out) > 1024 && len(f.uploads) == 0 {
			f.out = nil // an idle connection holds no buffer
		}
	case f.written > len(f.out)/2:
		f.out, f.written = f.out[:copy(f.out, f.out[f.written:])], 0
	}
	f.pump()
}

// appendFrameHead appends the nine bytes before a payload of length bytes.
func appendFrameHead(b []byte, length int, kind frameType, flags uint8, stream uint32) []byte {
	b = append(b, byte(length>>16), byte(length>>8), byte(length), byte(kind), flags)
	return binary.BigEndian.AppendUint32(b, stream)
}

func appendSetting(b []byte, id uint16, value uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(b, id), value)
}
