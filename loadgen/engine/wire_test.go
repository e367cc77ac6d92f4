package engine_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ssegauge/loadgen/engine"
	"ssegauge/loadgen/measure"
	"ssegauge/loadgen/schedule"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// answers is a server that gives every connection the same bytes, the k-th in two writes cut before byte k, and then closes, or waits for the client to.
type answers struct {
	text  string
	http2 bool
	waits bool

	mu   sync.Mutex
	next int
}

func (a *answers) serve(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { a.answer(c.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	return l.Addr().String()
}

func (a *answers) answer(c *net.TCPConn) {
	defer c.Close()
	r := bufio.NewReader(c)
	if !a.asked(r) {
		return
	}
	a.mu.Lock()
	cut := a.next % (len(a.text) + 1)
	a.next++
	a.mu.Unlock()
	io.WriteString(c, a.text[:cut])
	time.Sleep(5 * time.Millisecond) // so that the two are read apart, mostly
	io.WriteString(c, a.text[cut:])
	if !a.waits {
		c.CloseWrite()
	}
	io.Copy(io.Discard, r)
}

// asked reads a request.
func (a *answers) asked(r *bufio.Reader) bool {
	if !a.http2 {
		for {
			line, err := r.ReadString('\n')
			if err != nil || line == "\r\n" {
				return err == nil
			}
		}
	}
	r.Discard(24) // the preface
	for {
		var head [9]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return false
		}
		r.Discard(int(head[0])<<16 | int(head[1])<<8 | int(head[2]))
		if head[3] == 1 { // HEADERS
			return true
		}
	}
}

// frame is an HTTP/2 frame.
func frame(kind, flags byte, stream uint32, payload string) string {
	b := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags}
	return string(binary.BigEndian.AppendUint32(b, stream)) + payload
}

// The same bytes mean the same to every engine, wherever a read cuts them.
func TestSameBytes(t *testing.T) {
	const (
		head   = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
		events = "retry: 7\n\nid: 1\ndata: a\n\n: note\n\ndata: é\rdata: b\r\n\r\nevent: x\nid: 2\ndata: c\n\ndata: lost"
	)
	cut := len(events) / 3
	chunked := fmt.Sprintf("%x\r\n%s\r\n%x;ext=1\r\n%s\r\n0\r\n\r\n", cut, events[:cut], len(events)-cut, events[cut:])
	settings := frame(4, 0, 0, "") + frame(4, 1, 0, "")
	h2head := "\x88\x0f\x10\x11text/event-stream"
	h2 := settings + frame(6, 0, 0, "pingpong") + frame(1, 4, 1, h2head) + frame(0, 0, 1, events[:cut]) + frame(8, 0, 0, "\x00\x00\x10\x00") + frame(0, 8, 1, "\x03"+events[cut:]+"\x00\x00\x00")
	for _, c := range []struct {
		name   string
		proto  wire.Proto
		text   string
		opened bool
		cause  string
		whole  bool // the content
	}{
		{"close", wire.HTTP11, head + "\r\n" + events, true, "closed: end of response", true},
		{"length", wire.HTTP11, head + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(events)) + events, true, "closed: end of response", true},
		{"length, cut short", wire.HTTP11, head + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(events)+1) + events, true, "closed: cut short", true},
		{"chunked", wire.HTTP11, head + "Transfer-Encoding: chunked\r\n\r\n" + chunked, true, "closed: end of response", true},
		{"chunked, cut short", wire.HTTP11, head + "Transfer-Encoding: chunked\r\n\r\n" + chunked[:len(chunked)-5], true, "closed: cut short", true},
		{"chunked, broken", wire.HTTP11, head + "Transfer-Encoding: chunked\r\n\r\n" + chunked[:len(chunked)-5] + "x", true, "closed: body: h1/chunk-size", true},
		{"interim", wire.HTTP11, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + head + "\r\n" + events, true, "closed: end of response", true},
		{"cut head", wire.HTTP11, head, false, "head: connection closed", false},
		{"no HTTP", wire.HTTP11, "SSH-2.0-x\r\n", false, "head: h1/status-line", false},
		{"HTTP/2 frames", wire.HTTP11, settings, false, "head: HTTP/2 frames", false},
		{"h2", wire.H2C, h2 + frame(0, 1, 1, ""), true, "closed: end of response", true},
		{"h2, reset", wire.H2C, h2 + frame(3, 0, 1, "\x00\x00\x00\x0b"), true, "closed: h2: ENHANCE_YOUR_CALM", true},
		{"h2, refused", wire.H2C, settings + frame(3, 0, 1, "\x00\x00\x00\x07"), false, "h2: REFUSED_STREAM", false},
		{"h2, broken", wire.H2C, h2 + frame(0, 0, 0, "x"), true, "closed: h2: stream-id", true},
		{"h2, closed", wire.H2C, h2, true, "closed: h2: connection closed", true},
		{"h2, going away", wire.H2C, h2 + frame(7, 0, 0, "\x00\x00\x00\x01\x00\x00\x00\x00") + frame(0, 1, 1, ""), true, "closed: end of response", true},
		{"no h2", wire.H2C, "HTTP/1.1 400 Bad Request\r\n\r\n", false, "h2: the peer does not speak HTTP/2", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n := len(c.text) + 1
			want := result.Load{}
			want.Streams.Opened, want.Streams.Failed = n, 0
			if !c.opened {
				want.Streams.Opened, want.Streams.Failed = 0, n
			} else {
				want.Streams.ClosedByServer = n
			}
			if c.whole {
				want.Events.Received, want.Events.Bytes = int64(3*n), int64(len(events)*n)
			}
			want.Streams.Failures = map[string]int{c.cause: n}
			for name, e := range engines {
				a := &answers{text: c.text, http2: c.proto == wire.H2C}
				addr := a.serve(t)
				u := &url.URL{Scheme: "http", Host: addr, Path: "/"}
				target := engine.Target{Request: &wire.Request{URL: u}, Proto: c.proto, Addrs: []string{addr}, PeerStreams: 1}
				l := job(t, e, target, n, time.Minute)
				var got result.Load
				got.Streams.Opened, got.Streams.Failed, got.Streams.ClosedByServer = l.Streams.Opened, l.Streams.Failed, l.Streams.ClosedByServer
				got.Events.Received, got.Events.Bytes, got.Streams.Failures = l.Events.Received, l.Events.Bytes, l.Streams.Failures
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s: want -, got +:\n%s", name, diff)
				}
			}
		})
	}
}

// A connection that answers with a reset, or a server that is gone, costs its streams and nothing else.
func TestReset(t *testing.T) {
	for name, e := range engines {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		const n = 20
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := range n {
				c, err := l.Accept()
				if err != nil {
					return
				}
				bufio.NewReader(c).ReadString('\n')
				if i%2 == 0 {
					io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: x\n\n")
					time.Sleep(10 * time.Millisecond)
				}
				c.(*net.TCPConn).SetLinger(0)
				c.Close()
			}
			l.Close()
		}()
		u := &url.URL{Scheme: "http", Host: l.Addr().String(), Path: "/"}
		target := engine.Target{Request: &wire.Request{URL: u}, Proto: wire.HTTP11, Addrs: []string{l.Addr().String()}}
		b := measure.NewBoard(measure.Config{Epoch: time.Now(), Workers: 1})
		e.Run(t.Context(), &engine.Job{
			Targets: []engine.Target{target}, Openings: schedule.Linear(n+5, 600*time.Millisecond), StreamsPerConn: 1, Timeout: time.Minute, Board: b,
		})
		<-done
		b.Finish()
		var r result.Load
		b.Fill(&r)
		reset, refused := 0, 0
		for cause, k := range r.Streams.Failures {
			switch {
			case strings.HasSuffix(cause, "connection reset by peer"):
				reset += k
			case cause == "connect: connection refused":
				refused += k
			}
		}
		// Who is in the queue of the listener when it closes is reset too.
		if r.Streams.Opened != n/2 || reset < n || refused == 0 || reset+refused != n+5 {
			t.Errorf("%s: %+v, want %d opened, %d reset and the other 5 refused", name, r.Streams, n/2, n)
		}
	}
}

// A server that says GOAWAY after so many requests, as nginx does, has not looked at those behind: they are asked for again on another connection.
func TestGoAwayInFlight(t *testing.T) {
	const head = "\x88\x0f\x10\x11text/event-stream"
	for name, e := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			defer wg.Wait()
			defer l.Close()
			answer := func(c net.Conn) {
				defer c.Close()
				io.WriteString(c, frame(4, 0, 0, "")+frame(4, 1, 0, ""))
				r := bufio.NewReader(c)
				r.Discard(24) // the preface
				for streams := 0; ; {
					var h [9]byte
					if _, err := io.ReadFull(r, h[:]); err != nil {
						return
					}
					r.Discard(int(h[0])<<16 | int(h[1])<<8 | int(h[2]))
					if h[3] != 1 { // HEADERS
						continue
					}
					if streams++; streams <= 2 {
						io.WriteString(c, frame(1, 4, binary.BigEndian.Uint32(h[5:]), head))
					}
					if streams == 3 {
						io.WriteString(c, frame(7, 0, 0, "\x00\x00\x00\x03\x00\x00\x00\x00"))
					}
				}
			}
			wg.Go(func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					wg.Go(func() { answer(c) })
				}
			})
			u := &url.URL{Scheme: "http", Host: l.Addr().String(), Path: "/"}
			target := engine.Target{Proto: wire.H2C, Addrs: []string{u.Host}, Request: &wire.Request{URL: u}}
			b := measure.NewBoard(measure.Config{Epoch: time.Now(), Workers: 1})
			ctx, cancel := context.WithCancel(t.Context())
			wg.Go(func() {
				defer cancel()
				for end := time.Now().Add(10 * time.Second); b.Open() < 5 && time.Now().Before(end); {
					time.Sleep(5 * time.Millisecond)
				}
			})
			e.Run(ctx, &engine.Job{Targets: []engine.Target{target}, Openings: schedule.Linear(5, 0), Burst: true, StreamsPerConn: 100, Timeout: 10 * time.Second, Board: b})
			b.Finish()
			var out result.Load
			b.Fill(&out)
			if s := out.Streams; s.Opened != 5 || s.Failed != 0 || s.Connections != 3 {
				t.Errorf("%+v, want 5 opened on 3 connections", s)
			}
		})
	}
}

// A peer that takes connections and never says a word answers too late, whether or not it could be asked.
func TestSilent(t *testing.T) {
	for name, e := range engines {
		for _, proto := range []wire.Proto{wire.HTTP11, wire.H2C} {
			t.Run(name+"/"+proto.String(), func(t *testing.T) {
				t.Parallel()
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				u := &url.URL{Scheme: "http", Host: l.Addr().String(), Path: "/"}
				s := job(t, e, engine.Target{Proto: proto, Addrs: []string{u.Host}, Request: &wire.Request{URL: u}}, 3, 300*time.Millisecond).Streams
				if s.Failed != 3 || s.Failures["head: timeout"] != 3 {
					t.Errorf("%+v, want 3 timeouts", s)
				}
			})
		}
	}
}
