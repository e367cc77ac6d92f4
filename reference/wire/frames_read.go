package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// frameType is the type of a frame, RFC 9113 6.
type frameType uint8

const (
	frameData frameType = iota
	frameHeaders
	framePriority
	frameResetStream
	frameSettings
	framePushPromise
	framePing
	frameGoAway
	frameWindowUpdate
	frameContinuation
)

var frameNames = [...]string{"DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY", "WINDOW_UPDATE", "CONTINUATION"}

func (t frameType) String() string {
	if int(t) < len(frameNames) {
		return frameNames[t]
	}
	return "a frame of type 0x" + strconv.FormatUint(uint64(t), 16)
}

const (
	flagEndStream  = 0x1 // DATA, HEADERS
	flagAck        = 0x1 // SETTINGS, PING
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20
)

const (
	settingHeaderTableSize      = 0x1
	settingEnablePush           = 0x2
	settingMaxConcurrentStreams = 0x3
	settingInitialWindowSize    = 0x4
	settingMaxFrameSize         = 0x5
	settingMaxHeaderListSize    = 0x6
)

// begin judges the head of a frame and decides how its payload is read.
func (f *Frames) begin(h *[9]byte, it *Item) {
	length := uint32(h[0])<<16 | uint32(h[1])<<8 | uint32(h[2])
	f.kind, f.flags, f.id, f.left = frameType(h[3]), h[4], binary.BigEndian.Uint32(h[5:])&lastStreamID, length
	if f.kind == frameData && f.peer.Seen && f.blockID == 0 {
		f.beginData(it)
		return
	}
	if !f.peer.Seen && (f.kind != frameSettings || f.flags&flagAck != 0) {
		f.buf = append(f.buf[:0], h[:]...)
		f.state = readStranger
		return
	}
	if f.blockID != 0 && (f.kind != frameContinuation || f.id != f.blockID) {
		f.fault(it, FaultH2Continuation, f.blockID, fmt.Sprintf("%v on stream %d inside the field block of stream %d; only its CONTINUATION may stand here", f.kind, f.id, f.blockID))
		return
	}
	if length > maxFrame {
		f.fault(it, FaultH2FrameSize, f.id, fmt.Sprintf("%v of %d bytes; we allow %d", f.kind, length, maxFrame))
		return
	}
	f.state = readPayload
	want := -1 // the length its type demands
	onStream := true
	switch f.kind {
	case frameHeaders:
		f.checkIdle(it)
	case framePriority:
		f.state = readSkip
		want = 5
		f.idled(it)
	case frameResetStream:
		want = 4
		f.checkIdle(it)
	case frameSettings:
		onStream = false
		f.idled(it)
		if f.flags&flagAck != 0 {
			want = 0
		} else if length%6 != 0 {
			f.fault(it, FaultH2FrameSize, 0, fmt.Sprintf("SETTINGS of %d bytes; a multiple of 6 would be right", length))
		}
	case framePushPromise:
		f.fault(it, FaultH2Push, f.id, "PUSH_PROMISE; our SETTINGS forbid push")
	case framePing:
		onStream = false
		want = 8
		f.idled(it)
	case frameGoAway:
		onStream = false
		f.idled(it)
		if length < 8 {
			f.fault(it, FaultH2FrameSize, 0, fmt.Sprintf("GOAWAY of %d bytes; at least 8 would be right", length))
		}
	case frameWindowUpdate:
		onStream = f.id != 0 // either will do
		want = 4
		if f.idled(it); onStream {
			f.checkIdle(it)
		}
	case frameContinuation:
		if f.blockID == 0 {
			f.fault(it, FaultH2Continuation, f.id, "CONTINUATION outside of a field block")
		}
	default:
		f.state = readSkip // RFC 9113 5.5: unknown types are ignored
		f.idled(it)
		return
	}
	switch {
	case f.err != nil:
	case onStream && f.id == 0:
		f.fault(it, FaultH2StreamID, 0, f.kind.String()+" on stream 0; it belongs to a stream")
	case !onStream && f.id != 0:
		f.fault(it, FaultH2StreamID, f.id, fmt.Sprintf("%v on stream %d; it belongs to stream 0", f.kind, f.id))
	case want >= 0 && length != uint32(want):
		f.fault(it, FaultH2FrameSize, f.id, fmt.Sprintf("%v of %d bytes; %d would be right", f.kind, length, want))
	}
}

// checkIdle faults a frame on a stream that was never opened. Stream 0 is judged elsewhere.
func (f *Frames) checkIdle(it *Item) bool {
	if f.id != 0 && (f.id&1 == 0 || f.id >= f.next) {
		f.fault(it, FaultH2Idle, f.id, fmt.Sprintf("%v on stream %d, which was never opened", f.kind, f.id))
		return true
	}
	return false
}

// idled counts a frame that carries nothing.
func (f *Frames) idled(it *Item) {
	if f.idle++; f.idle > maxIdle && f.err == nil {
		f.fault(it, FaultH2Flood, 0, fmt.Sprintf("more than %d frames in a row that carry nothing, the last a %v", maxIdle, f.kind))
	}
}

// beginData accounts for a DATA frame the moment its head is read: nothing of it is ever buffered here, so its bytes count
// as consumed, and the credit for them can go out.
func (f *Frames) beginData(it *Item) {
	length := f.left
	f.pad, f.discard, f.badPad = 0, true, false
	f.state = readContent
	switch {
	case length > maxFrame:
		f.fault(it, FaultH2FrameSize, f.id, fmt.Sprintf("DATA of %d bytes; we allow %d", length, maxFrame))
		return
	case f.id == 0:
		f.fault(it, FaultH2StreamID, 0, "DATA on stream 0; it belongs to a stream")
		return
	case int64(length) > f.recvWin:
		f.fault(it, FaultH2ConnWindow, 0, fmt.Sprintf("DATA of %d bytes; the connection's window has %d left", length, f.recvWin))
		return
	}
	s := f.streams.find(f.id)
	if s == nil && f.checkIdle(it) {
		return
	}
	f.recvWin -= int64(length)
	switch {
	case s == nil:
		if f.id > f.streams.forgotten {
			f.fault(it, FaultH2Closed, f.id, fmt.Sprintf("DATA on stream %d, which has ended", f.id))
		}
		f.idled(it)
	case s.state() == streamCancelled:
		// In flight when we reset the stream: no more than its window can be.
		if length > s.window() {
			f.fault(it, FaultH2Closed, f.id, fmt.Sprintf("DATA on stream %d beyond its window, after we reset it", f.id))
			f.idled(it)
		} else {
			s.setWindow(s.window() - length)
		}
	case length > s.window():
		f.fault(it, FaultH2StreamWindow, f.id, fmt.Sprintf("DATA of %d bytes; the stream's window has %d left", length, s.window()))
	case s.state() == streamWaiting:
		f.fault(it, FaultH2NoHead, f.id, "DATA before a final head")
	default:
		f.discard = false
		s.setWindow(s.window() - length)
		if !f.opt.ManualWindow && f.flags&flagEndStream == 0 && s.window() <= f.opt.StreamWindow/2 {
			f.answer()
			f.windowUpdate(f.id, f.opt.StreamWindow-s.window())
			s.setWindow(f.opt.StreamWindow)
		}
	}
	if f.opt.ManualWindow {
		if f.discard {
			f.credit(0, length)
		}
	} else if f.recvWin <= int64(f.opt.ConnWindow/2) {
		f.answer()
		f.windowUpdate(0, uint32(int64(f.opt.ConnWindow)-f.recvWin))
		f.recvWin = int64(f.opt.ConnWindow)
	}
	if f.err != nil {
		return
	}
	if f.flags&flagPadded != 0 {
		if length == 0 {
			f.fault(it, FaultH2FrameSize, f.id, "padded DATA without a pad length")
			return
		}
		f.state = readPadLength
		return
	}
	f.count(it)
}

// beginPadded takes the pad length of a DATA frame.
func (f *Frames) beginPadded(pad byte, it *Item) {
	if uint32(pad) >= f.left {
		f.fault(it, FaultH2Padding, f.id, fmt.Sprintf("a pad length of %d in %d bytes of payload", pad, f.left))
		return
	}
	f.pad = pad
	f.left -= 1 + uint32(pad)
	f.state = readContent
	if f.opt.ManualWindow && !f.discard {
		f.credit(0, 1+uint32(pad))
		f.credit(f.id, 1+uint32(pad))
	}
	f.count(it)
}

// count judges the content a DATA frame announces, f.left bytes, against what the stream declared.
func (f *Frames) count(it *Item) {
	switch {
	case f.discard:
		return
	case f.left > 0:
		f.idle = 0
	case f.flags&flagEndStream == 0:
		f.idled(it)
	}
	if len(f.lengths) == 0 {
		return
	}
	if s := f.streams.find(f.id); s != nil && s.win&counted != 0 {
		rest := f.lengths[f.id] - int64(f.left)
		f.lengths[f.id] = rest
		if rest < 0 {
			s.win &^= counted
			delete(f.lengths, f.id)
			f.fault(it, FaultH2Length, f.id, fmt.Sprintf("DATA goes %d bytes beyond the content that was declared", -rest))
		}
	}
}

// endStream does what END_STREAM asks: the peer says no more on this stream.
func (f *Frames) endStream(id uint32, it *Item) {
	s := f.streams.find(id)
	switch {
	case s == nil:
		return
	case s.state() == streamCancelled:
		f.streams.close(s)
		return
	case s.state() == streamWaiting:
		f.fault(it, FaultH2NoHead, id, "the stream ended before a final head")
		return
	}
	if s.win&counted != 0 && f.lengths[id] > 0 {
		f.fault(it, FaultH2Length, id, fmt.Sprintf("the stream ended %d bytes before the end of the content that was declared", f.lengths[id]))
	}
	f.emit(it, Item{Kind: End, Stream: id, Offset: f.frameAt})
	if f.upload(id) != nil {
		f.Cancel(id, CodeCancel) // the answer is complete: nobody waits for the rest of the request
		return
	}
	f.drop(id)
}

// drop forgets a stream that is over.
func (f *Frames) drop(id uint32) {
	f.dropUpload(id)
	if s := f.streams.find(id); s != nil {
		if s.win&counted != 0 {
			delete(f.lengths, id)
		}
		f.streams.close(s)
	}
}

// handle takes the whole payload of any frame but DATA.
func (f *Frames) handle(p []byte, it *Item) {
	switch f.kind {
	case frameHeaders:
		p, ok := f.unpad(p, it)
		if !ok {
			return
		}
		f.blockAt, f.blockEnd, f.pieces = f.frameAt, f.flags&flagEndStream != 0, 0
		f.fieldBlock(p, it)
	case frameContinuation:
		if f.pieces++; f.pieces > maxPieces {
			f.fault(it, FaultH2Flood, f.id, fmt.Sprintf("a field block in more than %d CONTINUATIONs", maxPieces))
			return
		}
		f.fieldBlock(p, it)
	case frameResetStream:
		f.resetStream(ErrCode(binary.BigEndian.Uint32(p)), it)
	case frameSettings:
		f.settings(p, it)
	case framePing:
		item := Item{Kind: Ping, Data: p, Offset: f.frameAt}
		if f.flags&flagAck != 0 {
			item.Kind = PingAck
		} else {
			f.answer()
			f.ping(flagAck, p)
		}
		f.emit(it, item)
	case frameGoAway:
		f.goingAway(p, it)
	case frameWindowUpdate:
		f.windowOpened(binary.BigEndian.Uint32(p)&maxWindow, it)
	}
}

// unpad takes padding and priority off the payload of HEADERS.
func (f *Frames) unpad(p []byte, it *Item) ([]byte, bool) {
	pad := 0
	if f.flags&flagPadded != 0 {
		if len(p) == 0 {
			f.fault(it, FaultH2FrameSize, f.id, "padded HEADERS without a pad length")
			return nil, false
		}
		pad, p = int(p[0]), p[1:]
	}
	if f.flags&flagPriority != 0 {
		if len(p) < 5 {
			f.fault(it, FaultH2FrameSize, f.id, "HEADERS too short for the priority they announce")
			return nil, false
		}
		p = p[5:]
	}
	if pad > len(p) {
		f.fault(it, FaultH2Padding, f.id, fmt.Sprintf("a pad length of %d where %d bytes are left", pad, len(p)))
		return nil, false
	}
	p, tail := p[:len(p)-pad], p[len(p)-pad:]
	for _, b := range tail {
		if b != 0 {
			f.fault(it, FaultH2PaddingBytes, f.id, "padding that is not all zero")
			break
		}
	}
	return p, true
}

// fieldBlock takes a piece of a field block, and reads the block when it is whole.
func (f *Frames) fieldBlock(p []byte, it *Item) {
	if len(f.block)+len(p) > int(f.opt.MaxHeaderBytes) {
		f.stop(&CapError{What: "field block", Limit: int64(f.opt.MaxHeaderBytes), Offset: f.blockAt}, CodeEnhanceYourCalm)
		return
	}
	if f.flags&flagEndHeaders == 0 {
		f.blockID = f.id
		f.block = append(f.block, p...)
		return
	}
	if f.blockID != 0 {
		p = append(f.block, p...)
	}
	f.blockID, f.block = 0, nil
	f.fields(p, it)
}

func (f *Frames) resetStream(code ErrCode, it *Item) {
	s := f.streams.find(f.id)
	if s == nil || s.state() == streamCancelled {
		// It crossed our own, or tells again what END_STREAM told.
		if f.idled(it); s != nil {
			f.streams.close(s)
		}
		return
	}
	f.drop(f.id)
	f.emit(it, Item{Kind: Reset, Stream: f.id, Code: uint32(code), Offset: f.frameAt})
}

func (f *Frames) settings(p []byte, it *Item) {
	if f.flags&flagAck != 0 {
		if f.acks == 0 {
			f.fault(it, FaultH2SettingsAck, 0, "an acknowledgement of SETTINGS we did not send")
			return
		}
		f.acks--
		f.emit(it, Item{Kind: SettingsAck, Offset: f.frameAt})
		return
	}
	peer := f.peer
	for ; len(p) > 0; p = p[6:] {
		id, value := binary.BigEndian.Uint16(p), binary.BigEndian.Uint32(p[2:])
		switch id {
		case settingHeaderTableSize:
			f.shrunk = f.shrunk || value < peer.HeaderTableSize
			peer.HeaderTableSize = value
		case settingEnablePush:
			if value != 0 {
				f.fault(it, FaultH2Settings, 0, fmt.Sprintf("ENABLE_PUSH %d; a server may only say 0", value))
				return
			}
		case settingMaxConcurrentStreams:
			peer.MaxConcurrentStreams = value
		case settingInitialWindowSize:
			if value > maxWindow {
				f.faultAt(it, FaultH2Overflow, 0, f.frameAt, int(f.off-f.frameAt), fmt.Sprintf("INITIAL_WINDOW_SIZE %d; at most 2147483647", value))
				return
			}
			delta := int64(value) - int64(peer.InitialWindowSize)
			peer.InitialWindowSize = value
			for i := range f.uploads {
				// It may fall below 0: RFC 9113 6.9.2.
				if f.uploads[i].window += delta; f.uploads[i].window > maxWindow {
					f.fault(it, FaultH2Overflow, 0, fmt.Sprintf("INITIAL_WINDOW_SIZE %d takes the window of stream %d beyond 2147483647", value, f.uploads[i].id))
					return
				}
			}
		case settingMaxFrameSize:
			if value < maxFrame || value > 1<<24-1 {
				f.fault(it, FaultH2Settings, 0, fmt.Sprintf("MAX_FRAME_SIZE %d; 16384 to 16777215 would be right", value))
				return
			}
			peer.MaxFrameSize = value
		case settingMaxHeaderListSize:
			peer.MaxHeaderListSize = value
		}
	}
	peer.Seen = true
	f.peer = peer
	f.answer()
	f.out = appendFrameHead(f.out, 0, frameSettings, flagAck, 0)
	f.emit(it, Item{Kind: Settings, Offset: f.frameAt})
	f.pump()
}

func (f *Frames) goingAway(p []byte, it *Item) {
	last, code, debug := binary.BigEndian.Uint32(p)&lastStreamID, ErrCode(binary.BigEndian.Uint32(p[4:])), p[8:]
	if f.goAway != nil && last > f.goAway.Last {
		f.fault(it, FaultH2GoAway, 0, fmt.Sprintf("GOAWAY with last stream %d after one with %d; it may only fall", last, f.goAway.Last))
		last = f.goAway.Last
	}
	f.goAway = &GoAwayError{Last: last, Code: code, Debug: string(debug[:min(len(debug), 1024)])}
	f.emit(it, Item{Kind: GoAway, Stream: last, Code: uint32(code), Data: debug, Offset: f.frameAt})
	f.sweep = last + 1
}

func (f *Frames) windowOpened(n uint32, it *Item) {
	if n == 0 {
		f.fault(it, FaultH2Increment, f.id, "WINDOW_UPDATE of 0; at least 1 would be right")
		return
	}
	window := &f.sendWin
	if f.id != 0 {
		u := f.upload(f.id)
		if u == nil {
			if s := f.streams.find(f.id); s != nil && s.live() {
				f.emit(it, Item{Kind: WindowUpdate, Stream: f.id, Offset: f.frameAt})
			}
			return
		}
		window = &u.window
	}
	if *window += int64(n); *window > maxWindow {
		f.fault(it, FaultH2Overflow, f.id, fmt.Sprintf("WINDOW_UPDATE of %d takes the window beyond 2147483647", n))
		return
	}
	f.emit(it, Item{Kind: WindowUpdate, Stream: f.id, Offset: f.frameAt})
	f.pump()
}

// stranger reads on in the first line of a peer whose first frame is no SETTINGS, to say what it is. It returns how much it took.
func (f *Frames) stranger(p []byte, it *Item) int {
	const most = 128
	k := 0
	if bytes.HasPrefix(f.buf, []byte("HTTP/")) {
		for k < len(p) && len(f.buf) < most && f.buf[len(f.buf)-1] != '\n' {
			f.buf = append(f.buf, p[k])
			k++
		}
		if len(f.buf) < most && f.buf[len(f.buf)-1] != '\n' {
			return k
		}
	}
	f.off += int64(k)
	f.notHTTP2(it)
	f.off -= int64(k)
	return k
}

// notHTTP2 says what the peer speaks.
func (f *Frames) notHTTP2(it *Item) {
	b := f.buf
	var detail string
	switch {
	case bytes.HasPrefix(b, []byte("HTTP/")):
		detail = "the peer answered in HTTP/1, it does not speak HTTP/2 on this port: " + quote(strings.TrimRight(string(b), "\r\n"))
	case len(b) > 2 && (b[0] == 0x15 || b[0] == 0x16) && b[1] == 3:
		detail = "the peer speaks TLS on this port"
	case f.kind == frameSettings:
		detail = "the first frame acknowledges SETTINGS; the peer's own SETTINGS would be right"
	case int(f.kind) < len(frameNames) && f.left <= maxFrame:
		detail = fmt.Sprintf("the first frame is %v; SETTINGS would be right", f.kind)
	default:
		detail = "the first bytes are no SETTINGS frame: " + quote(string(b))
	}
	f.fault(it, FaultH2Preface, 0, detail)
}
