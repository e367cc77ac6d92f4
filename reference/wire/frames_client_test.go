package wire

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"ssegauge/reference/sse"
)

func TestStreamSize(t *testing.T) {
	if n := unsafe.Sizeof(h2stream{}); n > 8 {
		t.Errorf("a stream costs %d bytes in the table, 8 are allowed", n)
	}
	if n := unsafe.Sizeof(h2stream{}) + unsafe.Sizeof(sse.Decoder{}); n > 32 {
		t.Errorf("a stream costs %d bytes with its decoder, 32 are allowed", n)
	}
	if n := unsafe.Sizeof(Frames{}); n > 448 {
		t.Errorf("a connection costs %d bytes, 448 are allowed", n)
	}
}

// said feeds what s holds and empties it.

func said(t *testing.T, f *Frames, s *script) []string {
	t.Helper()
	var r record
	if err := r.feed(t, f, s.buf.Bytes()); err != nil {
		t.Fatalf("%v after %q", err, r.lines)
	}
	s.buf.Reset()
	return r.lines
}

// outOf lists and drops what f wants to write.

func outOf(t *testing.T, f *Frames) []string {
	t.Helper()
	var b []byte
	for len(f.Out()) > 0 { // Wrote queues more of a request body
		b = append(b, f.Out()...)
		f.Wrote(len(f.Out()))
	}
	return wrote(t, b)
}

func want[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		t.Errorf("%s: %s, want %s", what, g, w)
	}
}

func TestFramesStart(t *testing.T) {
	f := NewFrames(FramesOptions{StreamWindow: 77, ConnWindow: 100_000, HeaderTable: 5, MaxHeaderBytes: 4000})
	out := bytes.TrimPrefix(f.Out(), []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
	fr := http2.NewFramer(nil, bytes.NewReader(out))
	frame, err := fr.ReadFrame()
	if err != nil {
		t.Fatal(err)
	}
	got := map[http2.SettingID]uint32{}
	frame.(*http2.SettingsFrame).ForeachSetting(func(s http2.Setting) error { got[s.ID] = s.Val; return nil })
	want(t, "settings", got, map[http2.SettingID]uint32{
		http2.SettingHeaderTableSize: 5, http2.SettingEnablePush: 0, http2.SettingInitialWindowSize: 77, http2.SettingMaxHeaderListSize: 4000,
	})
	frame, err = fr.ReadFrame()
	if err != nil {
		t.Fatal(err)
	}
	want(t, "window", frame.(*http2.WindowUpdateFrame).Increment, 100_000-65535)
	want(t, "peer before its settings", f.Peer(), PeerSettings{
		MaxConcurrentStreams: math.MaxUint32, InitialWindowSize: 65535, MaxFrameSize: 16384, HeaderTableSize: 4096, MaxHeaderListSize: math.MaxUint32,
	})
	s := newScript()
	s.settings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 3}, http2.Setting{ID: http2.SettingMaxFrameSize, Val: 20000}, http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: 9})
	said(t, f, s)
	want(t, "peer", f.Peer(), PeerSettings{
		Seen: true, MaxConcurrentStreams: 3, InitialWindowSize: 65535, MaxFrameSize: 20000, HeaderTableSize: 4096, MaxHeaderListSize: 9,
	})
}

func TestFramesOpenErrors(t *testing.T) {
	get := &Request{URL: parseURL("http://h/")}
	f := NewFrames(FramesOptions{})
	for range 100 {
		if _, err := f.Open(get); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.Open(get); !errors.Is(err, ErrStreamLimit) {
		t.Errorf("stream 101 before SETTINGS: %v", err)
	}
	s := newScript()
	s.settings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 101})
	said(t, f, s)
	if _, err := f.Open(get); err != nil {
		t.Errorf("stream 101 of 101: %v", err)
	}
	if _, err := f.Open(get); !errors.Is(err, ErrStreamLimit) {
		t.Errorf("stream 102 of 101: %v", err)
	}
	f.Cancel(1, CodeCancel)
	if id, err := f.Open(get); err != nil || id != 203 {
		t.Errorf("after a cancel: %d, %v", id, err)
	}
	want(t, "active", f.Active(), 101)
	f.Cancel(3, CodeCancel)
	var bad *RequestError
	if _, err := f.Open(&Request{URL: get.URL, Header: Header{{"A", "b\r\nc"}}}); !errors.As(err, &bad) {
		t.Errorf("CR LF in a field: %v", err)
	}
	outOf(t, f) // what was refused left nothing behind
	f.next = lastStreamID
	if id, err := f.Open(get); err != nil || id != lastStreamID {
		t.Errorf("the last id: %d, %v", id, err)
	}
	f.Cancel(5, CodeCancel)
	if _, err := f.Open(get); !errors.Is(err, ErrStreamIDs) {
		t.Errorf("ids used up: %v", err)
	}
	s.headers(lastStreamID, true, ":status", "200")
	want(t, "on the last id", said(t, f, s), []string{fmt.Sprintf("head %d 200", lastStreamID), fmt.Sprintf("end %d", lastStreamID)})
	s.WriteGoAway(1<<31-1, http2.ErrCodeNo, []byte("bye\n"))
	said(t, f, s)
	_, err := f.Open(get)
	var away *GoAwayError
	if !errors.Is(err, ErrGoingAway) || !errors.As(err, &away) || away.Error() != `GOAWAY NO_ERROR, last stream 2147483647: "bye\n"` {
		t.Errorf("after GOAWAY: %v", err)
	}
}

// TestFramesRequest reads what Open writes with x/net's reader of requests.

func TestFramesRequest(t *testing.T) {
	f := NewFrames(FramesOptions{})
	f.Wrote(len(f.Out()))
	long := strings.Repeat("v", 50_000)
	for _, c := range []struct {
		r    *Request
		want string
	}{
		{&Request{URL: parseURL("http://h:80/")}, ":method=GET :scheme=http :authority=h :path=/"},
		{
			&Request{Method: "POST", URL: parseURL("https://h:1/a%2fb?c=d#e"), Body: []byte("xy"), Header: Header{
				{"Accept", "text/event-stream"},
				{"Cookie", "a=b"},
				{"TE", "trailers"},
				{"TE", "gzip"},
				{"Connection", "x"},
				{"Keep-Alive", "1"},
				{"Proxy-Connection", "1"},
				{"Upgrade", "h2c"},
				{"HTTP2-Settings", "1"},
				{"Transfer-Encoding", "chunked"},
				{"Last-Event-ID", " é "},
				{"User-Agent", "u"},
			}},
			":method=POST :scheme=https :authority=h:1 :path=/a%2fb?c=d accept=text/event-stream cookie=a=b! te=trailers last-event-id=é user-agent=u",
		},
		{&Request{Method: "REPORT", URL: parseURL("http://h"), Header: Header{{"Host", "other"}, {"X", long}}}, ":method=REPORT :scheme=http :authority=other :path=/ x=" + long},
		{&Request{URL: parseURL("http://u:p@h/"), Body: []byte("q")}, ":method=GET :scheme=http :authority=h :path=/ authorization=Basic dTpw! content-length=1"},
	} {
		if _, err := f.Open(c.r); err != nil {
			t.Fatal(err)
		}
		fr := http2.NewFramer(nil, bytes.NewReader(f.Out()))
		fr.ReadMetaHeaders = hpack.NewDecoder(0, nil)
		fr.MaxHeaderListSize = 1 << 20
		frame, err := fr.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		m := frame.(*http2.MetaHeadersFrame)
		var got []string
		for _, hf := range m.Fields {
			s := hf.Name + "=" + hf.Value
			if hf.Sensitive {
				s += "!"
			}
			got = append(got, s)
		}
		want(t, "request", strings.Join(got, " "), c.want)
		want(t, "END_STREAM", m.StreamEnded(), len(c.r.Body) == 0)
		f.Wrote(len(f.Out()))
	}
}

// A peer that lowers HEADER_TABLE_SIZE may wait for a size update (RFC 9113 4.3.1), which is due once.

func TestFramesTableSizeUpdate(t *testing.T) {
	f := started(t, FramesOptions{}, 0)
	s := newScript()
	s.settings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0})
	said(t, f, s)
	outOf(t, f)
	for i, first := range []byte{0x20, 0x82} {
		if _, err := f.Open(&Request{URL: parseURL("http://h/")}); err != nil {
			t.Fatal(err)
		}
		if got := f.Out()[9]; got != first {
			t.Errorf("block %d begins with %#x, want %#x", i, got, first)
		}
		f.Wrote(len(f.Out()))
	}
}

func TestFramesCancel(t *testing.T) {
	f := started(t, FramesOptions{StreamWindow: 100}, 4)
	s := newScript()
	s.settings()
	s.headers(1, false, ":status", "200", "content-length", "1")
	said(t, f, s)
	outOf(t, f)
	f.Cancel(1, CodeCancel)
	f.Cancel(1, CodeCancel)
	f.Cancel(3, 0xabc)
	f.Cancel(99, CodeCancel)
	want(t, "wrote", outOf(t, f), []string{"RST_STREAM 1 CANCEL", "RST_STREAM 3 0xabc"})
	want(t, "active", f.Active(), 2)
	// What was in flight says nothing.
	s.data(1, false, "late")
	s.headers(3, false, ":status", "200")
	s.data(3, true, "late")
	s.headers(1, true, "x", "y")
	want(t, "in flight", said(t, f, s), []string(nil))
	// Both have ended on both sides now: what comes is a fault.
	s.data(3, false, "x")
	want(t, "afterwards", said(t, f, s), []string{"broken 3 h2/closed-stream"})
	// Cancelled in the middle of a DATA frame.
	s.headers(5, false, ":status", "200")
	s.data(5, false, "abcdef")
	s.headers(7, true, ":status", "200")
	in := s.buf.Bytes()
	cut := bytes.Index(in, []byte("def"))
	var r record
	r.feed(t, f, in[:cut])
	f.Cancel(5, CodeCancel)
	r.feed(t, f, in[cut:])
	want(t, "cancelled while reading", r.lines, []string{"head 5 200", "body 5 abc", "head 7 200", "end 7"})
}

// Streams come and go without end on one connection; the table must not grow, whichever stays and however they end.

func TestFramesChurn(t *testing.T) {
	f := started(t, FramesOptions{}, 2) // these stay
	s := newScript()
	s.settings()
	said(t, f, s)
	get := &Request{URL: parseURL("http://h/")}
	head := block(":status", "200")
	for i := range 30_000 {
		id, err := f.Open(get)
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			f.Cancel(id, CodeCancel)
		} else {
			s.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: head, EndHeaders: true, EndStream: true})
			if n := len(said(t, f, s)); n != 2 {
				t.Fatalf("%d items", n)
			}
		}
		f.Wrote(len(f.Out()))
	}
	if n := cap(f.streams.list); n > 8*maxCancelled {
		t.Errorf("the table has %d entries for 2 streams", n)
	}
	want(t, "active", f.Active(), 2)
	s.data(5, false, "") // cancelled long ago and forgotten: no fault
	s.headers(1, true, ":status", "200")
	s.headers(3, true, ":status", "200")
	want(t, "those that stayed", said(t, f, s), []string{"head 1 200", "end 1", "head 3 200", "end 3"})
}

// The whole body must never stand in Out at once.

// A peer that asks and does not read is refused before it fills our memory.

func TestFramesOffsets(t *testing.T) {
	f := started(t, FramesOptions{}, 1)
	s := newScript()
	s.settings()
	b := block(":status", "200", "Upper", "1")
	s.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: b[:2]})
	s.WriteContinuation(1, true, b[2:])
	s.data(1, true, "xyz")
	in := s.buf.Bytes()
	headEnd := int64(9 + 9 + 9 + len(b))
	var items []Item
	for rest := in; ; {
		var it Item
		n, err := f.Next(rest, &it)
		if err != nil {
			t.Fatal(err)
		}
		if it.Kind == None {
			break
		}
		items = append(items, it)
		rest = rest[n:]
	}
	broken, head, body, end := items[1], items[2], items[3], items[4]
	want(t, "fault", broken.Fault, Fault{FaultH2FieldCase, 1, 9, int(headEnd - 9), `field name "Upper"; lower case would be right`, "RFC 9113 8.2.1"})
	want(t, "head", [3]int64{head.Offset, head.Head.Offset, head.Head.End}, [3]int64{9, 9, headEnd})
	want(t, "body", body.Offset, headEnd+9)
	want(t, "end", end.Offset, headEnd)
	if &body.Data[0] != &in[headEnd+9] {
		t.Error("content was copied")
	}
}

func TestErrCode(t *testing.T) {
	for c, s := range map[ErrCode]string{CodeNo: "NO_ERROR", CodeHTTP11Required: "HTTP_1_1_REQUIRED", 14: "0xe", math.MaxUint32: "0xffffffff"} {
		want(t, "name", c.String(), s)
	}
	want(t, "reset", (&ResetError{CodeRefusedStream}).Error(), "stream reset: REFUSED_STREAM")
}

// A complete answer ends the request with it, however much of its body is still to go.

// The connection's credit counts when its last byte is written, not before.

// The answer to HEAD declares a length and has no content; content all the same is a fault.

func TestFramesHead(t *testing.T) {
	f := NewFrames(FramesOptions{})
	for range 2 {
		if _, err := f.Open(&Request{Method: "HEAD", URL: parseURL("http://h/")}); err != nil {
			t.Fatal(err)
		}
	}
	s := newScript()
	s.settings()
	s.headers(1, true, ":status", "200", "content-length", "5")
	s.headers(3, false, ":status", "200", "content-length", "5")
	s.data(3, true, "12345")
	want(t, "items", said(t, f, s)[1:], []string{
		"head 1 200 content-length=5", "end 1", "head 3 200 content-length=5", "broken 3 h2/content-length", "body 3 12345", "end 3",
	})
}

// A peer that keeps an idle connection alive by PING for years is no flood: its PINGs are answered and the answers taken.

// After a fatal fault GOAWAY is the last word: no rest of a request body follows.

// What the peer is instead of an HTTP/2 server is named plainly.
func TestFramesStranger(t *testing.T) {
	for in, detail := range map[string]string{
		"HTTP/1.1 400 Bad Request\r\nA: b": `the peer answered in HTTP/1, it does not speak HTTP/2 on this port: "HTTP/1.1 400 Bad Request"`,
		"HTTP/1.1 40":                      `the peer answered in HTTP/1, it does not speak HTTP/2 on this port: "HTTP/1.1 40"`,
		"\x15\x03\x01\x00\x02\x02\x16":     "the peer speaks TLS on this port",
		"SSH-2.0-OpenSSH_9.6\r\n":          `the first bytes are no SETTINGS frame: "SSH-2.0-O"`,
		"220 ":                             `the first bytes are no SETTINGS frame: "220 "`,
		"":                                 "the connection was closed before the peer's SETTINGS",
	} {
		f := started(t, FramesOptions{}, 0)
		var it Item
		n, err := f.Next([]byte(in), &it)
		if err == nil {
			if n != len(in) {
				t.Errorf("%q: %d bytes consumed", in, n)
			}
			err = f.EOF(&it)
		}
		var fault *Fault
		if !errors.As(err, &fault) || fault.Code != FaultH2Preface || fault.Detail != detail || it.Kind != Broken || it.Fault != *fault {
			t.Errorf("%q: %v", in, err)
		}
	}
}

// The same head again means the same, and is as wrong as before.
func TestSameHead(t *testing.T) {
	f := NewFrames(FramesOptions{})
	s := newScript()
	s.settings()
	said(t, f, s)
	right := []string{":status", "200", "content-type", "text/event-stream", "content-length", "2"}
	wrong := []string{":status", "200", "Content-Type", "text/event-stream"}
	before := map[bool]string{}
	for i, fields := range [][]string{right, right, wrong, wrong, right, wrong} {
		id, err := f.Open(&Request{URL: parseURL("http://h/")})
		if err != nil {
			t.Fatal(err)
		}
		s.headers(id, false, fields...)
		lines := said(t, f, s)
		text := strings.ReplaceAll(strings.Join(lines, "\n"), fmt.Sprint(" ", id, " "), " ID ")
		good := len(fields) == len(right)
		if last, ok := before[good]; ok && last != text || len(lines) != map[bool]int{true: 1, false: 2}[good] {
			t.Errorf("block %d: %q, before %q", i, text, last)
		}
		before[good] = text
	}
	want(t, "streams whose content is counted", len(f.lengths), 3)
}
