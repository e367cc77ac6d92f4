package raw

import (
	"encoding/binary"
	"math"
	"net/http"
	"slices"
	"time"

	"golang.org/x/net/http2/hpack"

	"ssegauge/reference/wire"
)

// The types, flags and settings of RFC 9113 6 that a server has to do with.
const (
	frameData         = 0x0
	frameHeaders      = 0x1
	framePriority     = 0x2
	frameReset        = 0x3
	frameSettings     = 0x4
	framePushPromise  = 0x5
	framePing         = 0x6
	frameGoAway       = 0x7
	frameWindowUpdate = 0x8
	frameContinuation = 0x9

	flagEndStream  = 0x1 // DATA, HEADERS
	flagAck        = 0x1 // SETTINGS, PING
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20

	settingHeaderTableSize      = 0x1
	settingEnablePush           = 0x2
	settingMaxConcurrentStreams = 0x3
	settingInitialWindowSize    = 0x4
	settingMaxFrameSize         = 0x5
	settingMaxHeaderListSize    = 0x6
)

const (
	initialWindow = 65535 // RFC 9113 6.9.2
	maxWindow     = math.MaxInt32
	maxFrame      = 16384     // SETTINGS_MAX_FRAME_SIZE, which we leave at its default
	ourWindow     = 1 << 20   // for request bodies, of a stream and of the connection
	maxHeld       = 4 << 20   // uploads and answers that a connection may make us hold
	maxPieces     = 64        // CONTINUATIONs of one field block
	maxNoise      = 10_000    // frames that carry nothing, and resets, in noisePeriod
	noisePeriod   = 10 * 1000 // ms
	maxResets     = 1000      // streams that we reset and remember
	maxStreamID   = 1<<31 - 1
	dynamicTable  = 4096 // that a client may use until it has read our SETTINGS
)

// h2 is what a connection of HTTP/2 has besides: the server's side of RFC 9113.
type h2 struct {
	dec      *hpack.Decoder // nil: the client keeps no dynamic table
	window   int64          // the connection's, for what we send
	recv     int64          // the connection's, for what we get
	initial  int32          // the peer's SETTINGS_INITIAL_WINDOW_SIZE
	maxFrame int32          // the peer's, but not more than ours
	newest   uint32         // the last stream id
	held     int            // bytes in uploads, fields and bodies, and pre

	block    []byte // of the field block at hand
	blockID  uint32 // 0: none
	blockEnd bool   // END_STREAM stood on its HEADERS
	pieces   int

	uploads map[uint32]*upload
	pre     map[uint32][]byte // content before the feed, or of an answer without one

	resets []uint32 // streams that we reset lately: the peer may not have known when it sent more

	noise   int
	noisyAt int64
	greeted bool // SETTINGS came
	acked   bool // ours were acknowledged
	settled bool // the client has no dynamic table and will have none
	sized   bool // it was told that we use none
	leaving bool // GOAWAY was sent
	pinged  bool // and no answer yet
}

// laden tells whether more is held for a connection than may be.
func (h *h2) laden(c *conn) bool { return h.held > maxHeld+int(c.sh.eng.cfg.MaxBody) }

// upload is a request whose body is still to come.
type upload struct {
	r      *fieldList
	body   []byte
	window int64
	large  bool
}

func newH2(c *conn) *h2 {
	h := &h2{window: initialWindow, recv: ourWindow, initial: initialWindow, maxFrame: maxFrame}
	b := appendFrameHead(c.out, 24, frameSettings, 0, 0)
	b = appendSetting(b, settingHeaderTableSize, 0)
	b = appendSetting(b, settingMaxConcurrentStreams, uint32(c.sh.eng.cfg.MaxConcurrentStreams))
	b = appendSetting(b, settingInitialWindowSize, ourWindow)
	b = appendSetting(b, settingMaxHeaderListSize, maxHead)
	b = appendFrameHead(b, 4, frameWindowUpdate, 0, 0)
	c.out = binary.BigEndian.AppendUint32(b, ourWindow-initialWindow)
	return h
}

func appendFrameHead(b []byte, length int, kind, flags uint8, stream uint32) []byte {
	return append(b, byte(length>>16), byte(length>>8), byte(length), kind, flags,
		byte(stream>>24), byte(stream>>16), byte(stream>>8), byte(stream))
}

func appendSetting(b []byte, id uint16, value uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(b, id), value)
}

// frame is one frame that came whole.
type frame struct {
	kind, flags uint8
	id          uint32
	payload     []byte
}

// frames takes frames from p and returns how many bytes it took.
func (c *conn) frames(p []byte) (n int) {
	for c.state == reading && !c.choked() {
		rest := p[n:]
		if len(rest) >= 9 {
			length := int(rest[0])<<16 | int(rest[1])<<8 | int(rest[2])
			f := frame{kind: rest[3], flags: rest[4], id: binary.BigEndian.Uint32(rest[5:]) & maxStreamID}
			if length > maxFrame {
				c.h2.fail(c, wire.CodeFrameSize, "a frame is larger than 16384 bytes")
				return len(p)
			}
			if len(rest) >= 9+length {
				f.payload = rest[9 : 9+length]
				n += 9 + length
				c.h2.frame(c, f)
				continue
			}
		}
		break
	}
	c.held = c.choked()
	switch {
	case c.state != reading:
		return len(p)
	case n == len(p) && c.h2.blockID == 0:
		c.since = 0
	case c.since == 0 || n > 0 && c.h2.blockID == 0:
		c.since = c.sh.ms()
	}
	return n
}

// fail ends the connection for an error of the peer's.
func (h *h2) fail(c *conn, e wire.ErrCode, why string) {
	h.goAway(c, e, why)
	for i := range c.streams {
		if c.streams[i].id&dead == 0 {
			c.drop(i)
		}
	}
	c.state = max(c.state, closing)
}

// goAway tells the peer that no new streams are taken.
func (h *h2) goAway(c *conn, e wire.ErrCode, why string) {
	if h.leaving && e == wire.CodeNo || c.state >= closing {
		return
	}
	h.leaving = true
	b := appendFrameHead(c.out, 8+len(why), frameGoAway, 0, 0)
	b = binary.BigEndian.AppendUint32(b, h.newest)
	b = binary.BigEndian.AppendUint32(b, uint32(e))
	c.out = append(b, why...)
	h.leave(c)
}

// leave closes a connection that has said GOAWAY and has nothing left to do.
func (h *h2) leave(c *conn) {
	if h.leaving && c.active() == 0 {
		c.state = max(c.state, closing)
	}
}

// reset ends a stream that is not in the table, or not any more.
func (h *h2) reset(c *conn, id uint32, e wire.ErrCode) {
	if len(h.resets) == maxResets {
		h.resets = slices.Delete(h.resets, 0, maxResets/2)
	}
	h.resets = append(h.resets, id)
	c.out = binary.BigEndian.AppendUint32(appendFrameHead(c.out, 4, frameReset, 0, id), uint32(e))
}

// noisy counts a frame that carries nothing, and tells whether there were too many.
func (h *h2) noisy(c *conn, why string) bool {
	if now := c.sh.ms(); now-h.noisyAt > noisePeriod {
		h.noise, h.noisyAt = 0, now
	}
	if h.noise++; h.noise > maxNoise {
		h.fail(c, wire.CodeEnhanceYourCalm, "too many frames that carry nothing: "+why)
		return true
	}
	return false
}

// frame handles one frame.
func (h *h2) frame(c *conn, f frame) {
	switch {
	case !h.greeted && (f.kind != frameSettings || f.flags&flagAck != 0):
		h.fail(c, wire.CodeProtocol, "the first frame is not SETTINGS")
		return
	case h.blockID != 0 && (f.kind != frameContinuation || f.id != h.blockID):
		h.fail(c, wire.CodeProtocol, "a frame within a field block")
		return
	}
	switch f.kind {
	case frameData:
		h.data(c, f)
	case frameHeaders:
		h.headers(c, f)
	case frameContinuation:
		h.continuation(c, f)
	case framePriority:
		h.priority(c, f)
	case frameReset:
		h.resetBy(c, f)
	case frameSettings:
		h.settings(c, f)
	case framePing:
		h.ping(c, f)
	case frameGoAway:
		if f.id != 0 || len(f.payload) < 8 {
			h.fail(c, wire.CodeProtocol, "a malformed GOAWAY")
			return
		}
		h.noisy(c, "GOAWAY")
	case frameWindowUpdate:
		h.windowUpdate(c, f)
	case framePushPromise:
		h.fail(c, wire.CodeProtocol, "PUSH_PROMISE from a client")
	default:
		h.noisy(c, "unknown types")
	}
}

func (h *h2) priority(c *conn, f frame) {
	switch {
	case f.id == 0:
		h.fail(c, wire.CodeProtocol, "PRIORITY on stream 0")
	case len(f.payload) != 5:
		h.streamError(c, f.id, wire.CodeFrameSize)
	case binary.BigEndian.Uint32(f.payload)&maxStreamID == f.id:
		h.streamError(c, f.id, wire.CodeProtocol)
	default:
		h.noisy(c, "PRIORITY")
	}
}

// streamError ends a stream for an error of the peer's (RFC 9113 5.4.2).
func (h *h2) streamError(c *conn, id uint32, e wire.ErrCode) {
	if h.noisy(c, "frames that are wrong") {
		return
	}
	if i, ok := c.find(id); ok {
		c.drop(i)
	}
	h.reset(c, id, e)
	h.leave(c)
}

func (h *h2) resetBy(c *conn, f frame) {
	switch {
	case len(f.payload) != 4:
		h.fail(c, wire.CodeFrameSize, "RST_STREAM is not of 4 bytes")
	case f.id == 0 || f.id > h.newest:
		h.fail(c, wire.CodeProtocol, "RST_STREAM on a stream that is idle")
	case h.noisy(c, "RST_STREAM"):
	default:
		if i, ok := c.find(f.id); ok {
			c.drop(i)
			h.leave(c)
		}
	}
}

func (h *h2) settings(c *conn, f frame) {
	switch {
	case f.id != 0:
		h.fail(c, wire.CodeProtocol, "SETTINGS on a stream")
		return
	case f.flags&flagAck != 0 && len(f.payload) != 0, len(f.payload)%6 != 0:
		h.fail(c, wire.CodeFrameSize, "SETTINGS of a wrong length")
		return
	case f.flags&flagAck != 0:
		h.acked = true
		h.noisy(c, "SETTINGS")
		return
	case h.greeted && h.noisy(c, "SETTINGS"):
		return
	}
	h.greeted = true
	for p := f.payload; len(p) > 0; p = p[6:] {
		value := binary.BigEndian.Uint32(p[2:])
		switch binary.BigEndian.Uint16(p) {
		case settingEnablePush:
			if value > 1 {
				h.fail(c, wire.CodeProtocol, "ENABLE_PUSH is neither 0 nor 1")
				return
			}
		case settingInitialWindowSize:
			if value > maxWindow {
				h.fail(c, wire.CodeFlowControl, "INITIAL_WINDOW_SIZE is larger than 2147483647")
				return
			}
			delta := int64(value) - int64(h.initial)
			h.initial = int32(value)
			for i := range c.streams {
				s := &c.streams[i]
				if s.id&dead != 0 {
					continue
				}
				if int64(s.window)+delta > maxWindow {
					h.fail(c, wire.CodeFlowControl, "INITIAL_WINDOW_SIZE takes the window of a stream beyond 2147483647")
					return
				}
				s.window = int32(int64(s.window) + delta)
			}
		case settingMaxFrameSize:
			if value < maxFrame || value > 1<<24-1 {
				h.fail(c, wire.CodeProtocol, "MAX_FRAME_SIZE is not within 16384 and 16777215")
				return
			}
		}
	}
	c.out = appendFrameHead(c.out, 0, frameSettings, flagAck, 0)
}

func (h *h2) ping(c *conn, f frame) {
	switch {
	case f.id != 0:
		h.fail(c, wire.CodeProtocol, "PING on a stream")
	case len(f.payload) != 8:
		h.fail(c, wire.CodeFrameSize, "PING is not of 8 bytes")
	case h.noisy(c, "PING"):
	case f.flags&flagAck == 0:
		c.out = append(appendFrameHead(c.out, 8, framePing, flagAck, 0), f.payload...)
	}
}

func (h *h2) windowUpdate(c *conn, f frame) {
	if len(f.payload) != 4 {
		h.fail(c, wire.CodeFrameSize, "WINDOW_UPDATE is not of 4 bytes")
		return
	}
	n := int64(binary.BigEndian.Uint32(f.payload) & maxWindow)
	switch {
	case f.id == 0 && n == 0:
		h.fail(c, wire.CodeProtocol, "WINDOW_UPDATE of 0")
	case f.id == 0:
		if h.window += n; h.window > maxWindow {
			h.fail(c, wire.CodeFlowControl, "WINDOW_UPDATE takes the window of the connection beyond 2147483647")
		}
	case f.id > h.newest || f.id%2 == 0:
		h.fail(c, wire.CodeProtocol, "WINDOW_UPDATE on a stream that is idle")
	default:
		i, ok := c.find(f.id)
		switch {
		case !ok:
			h.noisy(c, "WINDOW_UPDATE") // for a stream that ended
		case n == 0:
			h.streamError(c, f.id, wire.CodeProtocol)
		case int64(c.streams[i].window)+n > maxWindow:
			h.streamError(c, f.id, wire.CodeFlowControl)
		default:
			c.streams[i].window += int32(n)
		}
	}
}

// data takes a piece of a request's body.
func (h *h2) data(c *conn, f frame) {
	size := int64(len(f.payload))
	if f.id == 0 || f.id > h.newest || f.id%2 == 0 {
		h.fail(c, wire.CodeProtocol, "DATA on a stream that is idle")
		return
	}
	if h.recv -= size; h.recv < 0 {
		h.fail(c, wire.CodeFlowControl, "DATA beyond the window of the connection")
		return
	}
	if h.recv < ourWindow/2 {
		h.credit(c, 0, ourWindow-h.recv)
		h.recv = ourWindow
	}
	p, ok := f.unpad()
	if !ok {
		h.fail(c, wire.CodeProtocol, "padding that is longer than its frame")
		return
	}
	if len(p) == 0 && f.flags&flagEndStream == 0 && h.noisy(c, "empty DATA") {
		return
	}
	u := h.uploads[f.id]
	if u == nil {
		// We may have answered, or reset it, already; more of it is noise.
		if _, ok := c.find(f.id); ok {
			h.streamError(c, f.id, wire.CodeStreamClosed)
		} else {
			h.noisy(c, "DATA on a stream that ended")
		}
		return
	}
	if u.window -= size; u.window < 0 {
		h.streamError(c, f.id, wire.CodeFlowControl)
		return
	}
	if !u.large {
		u.body = append(u.body, p...)
		h.held += len(p)
		u.large = int64(len(u.body)) > c.sh.eng.cfg.MaxBody
	}
	switch {
	case f.flags&flagEndStream != 0 || u.large:
		h.uploaded(c, f.id, u)
	case h.laden(c):
		h.streamError(c, f.id, wire.CodeEnhanceYourCalm)
	case u.window < ourWindow/2:
		h.credit(c, f.id, ourWindow-u.window)
		u.window = ourWindow
	}
}

func (h *h2) credit(c *conn, id uint32, n int64) {
	c.out = binary.BigEndian.AppendUint32(appendFrameHead(c.out, 4, frameWindowUpdate, 0, id), uint32(n))
}

// uploaded answers a request whose body is there, or is too large.
func (h *h2) uploaded(c *conn, id uint32, u *upload) {
	if n := u.r.length; n >= 0 && !u.large && n != int64(len(u.body)) {
		h.streamError(c, id, wire.CodeProtocol) // RFC 9113 8.1.1
		return
	}
	h.taken(id)
	r := u.r.request(c.addr)
	r.Body = bodyOf(u.body)
	c.serve(r, id, 0)
	r.Body = http.NoBody // it may be the shard's memo
	if _, ok := c.find(id); !ok && u.large {
		h.reset(c, id, wire.CodeNo) // we do not want the rest (RFC 9113 8.1)
	}
}

// unpad takes the padding off the payload of DATA or HEADERS.
func (f *frame) unpad() ([]byte, bool) {
	p := f.payload
	if f.flags&flagPadded == 0 {
		return p, true
	}
	if len(p) == 0 || int(p[0]) >= len(p) {
		return nil, false
	}
	return p[1 : len(p)-int(p[0])], true
}

func (h *h2) headers(c *conn, f frame) {
	p, ok := f.unpad()
	switch {
	case f.id%2 == 0:
		h.fail(c, wire.CodeProtocol, "HEADERS on a stream that no client may open")
		return
	case !ok:
		h.fail(c, wire.CodeProtocol, "padding that is longer than its frame")
		return
	}
	if f.flags&flagPriority != 0 {
		if len(p) < 5 {
			h.fail(c, wire.CodeFrameSize, "HEADERS too short for its priority")
			return
		}
		if binary.BigEndian.Uint32(p)&maxStreamID == f.id {
			h.fail(c, wire.CodeProtocol, "a stream that depends on itself")
			return
		}
		p = p[5:]
	}
	h.blockEnd, h.pieces = f.flags&flagEndStream != 0, 0
	if f.flags&flagEndHeaders != 0 {
		h.fields(c, f.id, p)
		return
	}
	h.blockID = f.id
	h.block = append(h.block[:0], p...)
}

func (h *h2) continuation(c *conn, f frame) {
	if h.blockID == 0 {
		h.fail(c, wire.CodeProtocol, "CONTINUATION outside of a field block")
		return
	}
	if h.pieces++; h.pieces > maxPieces || len(h.block)+len(f.payload) > maxHead {
		h.fail(c, wire.CodeEnhanceYourCalm, "a field block of more than 65536 bytes or 64 CONTINUATIONs")
		return
	}
	h.block = append(h.block, f.payload...)
	if f.flags&flagEndHeaders != 0 {
		block := h.block
		h.blockID, h.block, c.since = 0, nil, 0
		h.fields(c, f.id, block)
	}
}

// silence is how long nothing may come before the peer is asked, or given up.
func (h *h2) silence() time.Duration {
	if h.pinged {
		return pingAfter + pingTimeout
	}
	return pingAfter
}

// quiet asks a peer that was silent for too long, or gives it up.
func (h *h2) quiet(c *conn) {
	if h.pinged {
		c.close()
		return
	}
	h.pinged = true
	c.out = append(appendFrameHead(c.out, 8, framePing, 0, 0), "ssegauge"...)
	c.pump()
}
