package raw

import (
	"bufio"
	"bytes"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"ssegauge/reference/server"
)

// FuzzHead: what the parser takes for a request is one to net/http too, and the same one.
func FuzzHead(f *testing.F) {
	for _, s := range []string{
		get, post(`{"data":"x"}`), "HEAD /events?a=b HTTP/1.0\r\nAccept: a\r\nAccept: b\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET http://u:p@h:1/x%20?y HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, close\r\n\r\n", "GET / HTTP/1.1\r\nHost: h\r\nX:\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n", "A / HTTP/1.1\r\nHost: [::1]:80\r\nTransfer-Encoding: Chunked\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		end := endOfHead(p, 0)
		if end < 0 {
			return
		}
		h, bad := parseHead(p[:end])
		if bad != nil {
			return
		}
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(p)))
		if err != nil {
			if strings.HasPrefix(h.r.Method, "CONNECT") || h.minor == 0 {
				return // their targets are another matter to net/http; nothing here is served to them
			}
			t.Fatalf("net/http refuses %q: %v", p[:end], err)
		}
		if h.r.Method != r.Method || h.r.RequestURI != r.RequestURI || h.r.Host != r.Host && h.r.URL.Host == "" || h.r.ContentLength != r.ContentLength && !h.chunked ||
			h.chunked != (len(r.TransferEncoding) > 0) {
			t.Fatalf("%q: %+v, net/http %+v", p[:end], h.r, r)
		}
		for _, name := range []string{"Transfer-Encoding", "Content-Length"} { // net/http takes them out
			delete(h.r.Header, name)
			delete(r.Header, name)
		}
		if !maps.EqualFunc(h.r.Header, r.Header, slices.Equal) {
			t.Fatalf("%q: %v, net/http %v", p[:end], h.r.Header, r.Header)
		}
	})
}

// sink is a connection that takes everything.
type sink struct{ net.Conn }

func (sink) Write(p []byte) (int, error) { return len(p), nil }
func (sink) Close() error                { return nil }
func (sink) RemoteAddr() net.Addr        { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// FuzzConn: whatever comes, in whatever pieces, the engine stands, holds no more than it may, and when the connection is gone nothing is left.
func FuzzConn(f *testing.F) {
	settings := string(appendFrameHead(nil, 0, frameSettings, 0, 0))
	for _, s := range []string{
		get + get, events1 + get, post(`{"data":"x"}`), "GET /tick?count=1 HTTP/1.1\r\nHost: h\r\n\r\n" + get, "POST /publish HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
		string(opening("h2c", "h", 3)),
		preface + settings + string(appendFrameHead(nil, 4, frameWindowUpdate, 0, 0)) + "\x00\x00\x00\x01",
		preface + settings + string(appendFrameHead(nil, 1, frameHeaders, 0, 1)) + "\x82" + string(appendFrameHead(nil, 1, frameContinuation, flagEndHeaders, 1)) + "\x84",
		preface + settings + string(appendFrameHead(nil, 8, frameGoAway, 0, 0)) + "\x00\x00\x00\x00\x00\x00\x00\x00",
		string(opening("h2c", "h", 1)) + string(appendFrameHead(nil, 4, frameReset, 0, 1)) + "\x00\x00\x00\x08",
		string(opening("h2c", "h", 1)) + string(appendFrameHead(nil, 2, frameData, flagEndStream|flagPadded, 1)) + "\x01\x00",
		string(opening("h2c", "h", 2)) + string(appendFrameHead(nil, 6, frameSettings, 0, 0)) + "\x00\x04\x00\x00\x00\x00",
	} {
		f.Add([]byte(s), uint16(len(s)/2))
	}
	srv, err := server.New(server.Config{MaxConcurrentStreams: 10})
	if err != nil {
		f.Fatal(err)
	}
	e, err := start(srv, &pipes{conns: make(chan net.Conn), gone: make(chan struct{})})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(e.close)
	sh := e.shards[0]
	f.Fuzz(func(t *testing.T, p []byte, cut uint16) {
		c := &conn{port: newPort(sh, sink{}), fd: -1, addr: "127.0.0.1:1"}
		sh.mu.Lock()
		sh.add(c)
		at := min(int(cut), len(p))
		for _, piece := range [][]byte{p[:at], p[at:]} {
			if len(piece) > 0 {
				c.input(piece)
			}
			if len(c.in) > len(p) || len(c.out) > 2*maxQueued+len(p)*100 {
				t.Errorf("in %d, out %d", len(c.in), len(c.out))
			}
		}
		c.close()
		sh.settle()
		left := sh.live
		sh.mu.Unlock()
		if st := srv.Stats(); left != 0 || st.Streams != 0 || len(sh.subs) != 0 {
			t.Errorf("%d connections, %d streams, %d feeds are left", left, st.Streams, len(sh.subs))
		}
	})
}

// FuzzChunks: chunks mean to us what they mean to net/http, and it is the same in two pieces.
func FuzzChunks(f *testing.F) {
	for _, s := range []string{"0\r\n\r\n", "1\r\nx\r\n0\r\n\r\n", "a;x=y\r\n0123456789\r\n0\r\nT: v\r\n\r\n", "1 \r\nx\r\n00\r\n\r\n"} {
		f.Add([]byte(s), uint16(3))
	}
	f.Fuzz(func(t *testing.T, p []byte, cut uint16) {
		var whole chunks
		body, n, done, err := whole.take(nil, p)
		at := min(int(cut), len(p))
		var cutUp chunks
		body2, n2, done2, err2 := cutUp.take(nil, p[:at])
		if !done2 && err2 == nil {
			var k int
			body2, k, done2, err2 = cutUp.take(body2, p[at:])
			n2 += k
		}
		if !bytes.Equal(body, body2) || n != n2 || done != done2 || (err == nil) != (err2 == nil) {
			t.Fatalf("%q cut at %d: %q %d %v %v, whole %q %d %v %v", p, at, body2, n2, done2, err2, body, n, done, err)
		}
		if !done || err != nil {
			return
		}
		r, err := http.ReadRequest(bufio.NewReader(io.MultiReader(strings.NewReader("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"), bytes.NewReader(p))))
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := io.ReadAll(r.Body)
		if err == nil && !bytes.Equal(theirs, body) {
			t.Fatalf("%q: %q, net/http %q", p, body, theirs)
		}
	})
}
