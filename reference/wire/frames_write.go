package wire

import (
	"slices"
	"strings"
)

// upload is a stream that still sends its request body.
type upload struct {
	id     uint32
	window int64 // of the peer; below 0 where its SETTINGS shrank it
	rest   []byte
}

// maxQueued is how much of request bodies is copied into Out ahead of its being written.
const maxQueued = 64 << 10

// Open queues a request on a new stream. Errors: [ErrStreamLimit], a [GoAwayError] (which matches [ErrGoingAway]), [ErrStreamIDs],
// why reading stopped, or a [RequestError] for what cannot be sent. Connection-specific fields (RFC 9113 8.2.2) are left out, Host becomes :authority.
// r.Body is read until the stream ends or its last byte is queued; it must not change until then.
func (f *Frames) Open(r *Request) (stream uint32, err error) {
	limit := f.peer.MaxConcurrentStreams
	if !f.peer.Seen {
		limit = streamsUnasked
	}
	switch {
	case f.err != nil:
		return 0, f.err
	case f.goAway != nil:
		return 0, f.goAway
	case f.next > lastStreamID:
		return 0, ErrStreamIDs
	case uint32(f.streams.active) >= limit && !f.opt.PastLimit:
		return 0, ErrStreamLimit
	}
	if err := r.check(); err != nil {
		return 0, err
	}
	at := len(f.out)
	var flags uint8 = flagEndHeaders
	if len(r.Body) == 0 {
		flags |= flagEndStream
	}
	id := f.next
	b := appendFrameHead(f.out, 0, frameHeaders, flags, id)
	if f.shrunk {
		b = append(b, 0x20) // dynamic table size 0 (RFC 7541 6.3): we never index, but a peer that lowers its limit may wait for the word
	}
	f.shrunk = false
	b = appendRequest(b, r)
	f.out = b
	if n, most := len(b)-at-9, int(f.peer.MaxFrameSize); n <= most {
		b[at], b[at+1], b[at+2] = byte(n>>16), byte(n>>8), byte(n)
	} else {
		f.splitBlock(at, most, flags)
	}
	f.next += 2
	s := f.streams.open(id, f.opt.StreamWindow)
	if r.Method == "HEAD" {
		f.expect(s, 0)
	}
	if len(r.Body) > 0 {
		f.uploads = append(f.uploads, upload{id: id, window: int64(f.peer.InitialWindowSize), rest: r.Body})
		f.pump()
	}
	return id, nil
}

// splitBlock turns the HEADERS frame at the end of out into HEADERS and CONTINUATIONs of at most so many bytes.
func (f *Frames) splitBlock(at, most int, flags uint8) {
	block := slices.Clone(f.out[at+9:])
	f.out = f.out[:at]
	for kind := frameHeaders; len(block) > 0; kind, flags = frameContinuation, 0 {
		k := min(most, len(block))
		fl := flags &^ flagEndHeaders
		if k == len(block) {
			fl |= flagEndHeaders
		}
		f.out = appendFrameHead(f.out, k, kind, fl, f.next)
		f.out = append(f.out, block[:k]...)
		block = block[k:]
	}
}

// Cancel queues RST_STREAM with code for stream and forgets it: what is still in flight is dropped. It does nothing where the stream is over.
func (f *Frames) Cancel(stream uint32, code ErrCode) {
	s := f.streams.find(stream)
	if s == nil || !s.live() || f.err != nil {
		return
	}
	if s.win&counted != 0 {
		s.win &^= counted
		delete(f.lengths, stream)
	}
	f.dropUpload(stream)
	f.streams.cancel(s)
	f.out = appendFrameHead(f.out, 4, frameResetStream, 0, stream)
	f.out = append(f.out, byte(code>>24), byte(code>>16), byte(code>>8), byte(code))
	if f.id == stream && !f.discard && (f.state == readContent || f.state == readPadLength) {
		f.discard = true // the rest of the frame at hand
	}
}

// Credit queues WINDOW_UPDATE of n bytes for stream, for ManualWindow, or widens the window of the connection (stream 0). It does nothing for
// a stream that is over, and never takes a window beyond 2^31-1.
func (f *Frames) Credit(stream uint32, n uint32) {
	if f.err != nil {
		return
	}
	if stream == 0 {
		n = uint32(min(int64(n), maxWindow-f.recvWin-int64(f.credited)))
		f.recvWin += int64(n)
	} else {
		s := f.streams.find(stream)
		if s == nil || !s.live() {
			return
		}
		n = min(n, maxWindow-s.window())
		s.setWindow(s.window() + n)
	}
	if n > 0 {
		f.windowUpdate(stream, n)
	}
}

// Ping queues a PING; its answer is a PingAck item with the same data.
func (f *Frames) Ping(data [8]byte) {
	if f.err == nil {
		f.ping(0, data[:])
	}
}

// GoAway queues GOAWAY with code: we are about to close the connection.
func (f *Frames) GoAway(code ErrCode) {
	if f.err == nil {
		f.out = appendFrameHead(f.out, 8, frameGoAway, 0, 0)
		f.out = append(f.out, 0, 0, 0, 0, byte(code>>24), byte(code>>16), byte(code>>8), byte(code))
	}
}

func (f *Frames) ping(flags uint8, data []byte) {
	f.out = append(appendFrameHead(f.out, 8, framePing, flags, 0), data...)
}

func (f *Frames) windowUpdate(stream, n uint32) {
	f.out = append(appendFrameHead(f.out, 4, frameWindowUpdate, 0, stream), byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}

// answer counts what we are made to say. A peer that asks and does not read would make Out grow without end.
func (f *Frames) answer() {
	if f.answers++; f.answers > maxAnswers {
		f.stop(&CapError{What: "number of answers the peer does not read", Limit: maxAnswers, Offset: f.frameAt}, CodeEnhanceYourCalm)
	}
}

func (f *Frames) upload(id uint32) *upload {
	i, ok := slices.BinarySearchFunc(f.uploads, id, func(u upload, id uint32) int { return int(u.id) - int(id) })
	if !ok {
		return nil
	}
	return &f.uploads[i]
}

func (f *Frames) dropUpload(id uint32) {
	if len(f.uploads) > 0 {
		f.uploads = slices.DeleteFunc(f.uploads, func(u upload) bool { return u.id == id })
	}
}

// pump queues DATA of the request bodies as far as the peer's windows and the room in Out go.
func (f *Frames) pump() {
	done := false
	for i := range f.uploads {
		u := &f.uploads[i]
		for len(u.rest) > 0 && u.window > 0 && f.sendWin > 0 && len(f.out)-f.written < maxQueued {
			k := int(min(int64(len(u.rest)), u.window, f.sendWin, int64(f.peer.MaxFrameSize), maxQueued))
			var flags uint8
			if k == len(u.rest) {
				flags, done = flagEndStream, true
			}
			f.out = append(appendFrameHead(f.out, k, frameData, flags, u.id), u.rest[:k]...)
			u.rest = u.rest[k:]
			u.window -= int64(k)
			f.sendWin -= int64(k)
			f.idle = 0
		}
	}
	if done {
		f.uploads = slices.DeleteFunc(f.uploads, func(u upload) bool { return len(u.rest) == 0 })
	}
	if len(f.uploads) == 0 {
		f.uploads = nil
	}
}

// appendRequest appends the field block of r: literals without indexing (RFC 7541 6.2.2), names from the static table where they stand there.
// It keeps no state and costs little more than the copy, so opening is cheap on both sides.
func appendRequest(b []byte, r *Request) []byte {
	switch r.method() {
	case "GET":
		b = append(b, 0x82)
	case "POST":
		b = append(b, 0x83)
	default:
		b = appendText(append(b, 0x02), r.method())
	}
	switch r.URL.Scheme {
	case "http":
		b = append(b, 0x86)
	case "https":
		b = append(b, 0x87)
	default:
		b = appendText(append(b, 0x06), r.URL.Scheme)
	}
	host := r.Header.Get("Host")
	if host == "" {
		host = authority(r.URL)
	}
	b = appendText(append(b, 0x01), host)
	if path := target(r.URL); path == "/" {
		b = append(b, 0x84)
	} else {
		b = appendText(append(b, 0x04), path)
	}
	for _, f := range r.fields() {
		b = appendLiteral(b, f.Name, f.Value)
	}
	return b
}

// staticNames are the request fields of the static table (RFC 7541 A).
var staticNames = map[string]byte{
	"accept-encoding": 16, "accept-language": 17, "accept": 19, "authorization": 23, "cache-control": 24, "content-encoding": 26,
	"content-length": 28, "content-type": 31, "cookie": 32, "if-modified-since": 40, "if-none-match": 41, "range": 50, "referer": 51, "user-agent": 58,
}

// appendLiteral appends one field, or nothing where HTTP/2 has no use for it.
func appendLiteral(b []byte, name, value string) []byte {
	name = strings.ToLower(name)
	if name == "host" || name == "http2-settings" || name == "te" && value != "trailers" || connectionSpecific(name) {
		return b
	}
	var form byte // literal without indexing
	if name == "authorization" || name == "cookie" {
		form = 0x10 // never indexed (RFC 7541 7.1.3): the next hop must not keep a secret either
	}
	switch i := staticNames[name]; {
	case i == 0:
		b = appendText(append(b, form), name)
	case i < 15:
		b = append(b, form|i)
	default:
		b = append(b, form|15, i-15)
	}
	return appendText(b, strings.Trim(value, " \t"))
}

// appendText appends a string literal without Huffman coding (RFC 7541 5.2).
func appendText(b []byte, s string) []byte {
	n := len(s)
	if n < 127 {
		b = append(b, byte(n))
	} else {
		b = append(b, 127)
		for n -= 127; n >= 0x80; n >>= 7 {
			b = append(b, byte(n)|0x80)
		}
		b = append(b, byte(n))
	}
	return append(b, s...)
}
