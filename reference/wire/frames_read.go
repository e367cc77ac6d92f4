package wire

import (
	"encoding/binary"
	"fmt"
	"strconv"
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
		f.fault(it, FaultH2Flood, 0, fmt.Sprintf("more than %d frames in a row that carry nothing, the last: %v", maxIdle, f.kind))
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
