package wire

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"ssegauge/reference/sse"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a bubble of its own with a dialer in it and a peer that the test plays. Time takes no time; connections are pipes without a buffer, so what
// one side writes the other must read.
type world struct {
	t     *testing.T
	d     *Dialer
	start time.Time
	conns chan net.Conn
	addrs chan string
	delay time.Duration // how long dialling takes
}

func inWorld(t *testing.T, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, start: time.Now(), conns: make(chan net.Conn, 8), addrs: make(chan string, 64)}
		w.d = &Dialer{NetDial: w.dial, Record: 1 << 20}
		f(w)
		time.Sleep(time.Minute) // what sleeps in the peers wakes up and finds its connection closed
	})
}

func (w *world) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	t := time.NewTimer(w.delay)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	mine, theirs := net.Pipe()
	w.conns <- theirs
	w.addrs <- addr
	return mine, nil
}

// opening is Dialer.Open under way.
type opening struct {
	w    *world
	s    *Stream
	err  error
	done chan struct{}
}

func get(rawURL string) *Request {
	u, err := url.Parse(rawURL)
	if err != nil {
		panic(err)
	}
	return &Request{URL: u}
}

func (w *world) open(ctx context.Context, r *Request) *opening {
	o := &opening{w: w, done: make(chan struct{})}
	go func() {
		defer close(o.done)
		o.s, o.err = w.d.Open(ctx, r)
	}()
	return o
}

// stream waits for success.
func (o *opening) stream() *Stream {
	o.w.t.Helper()
	<-o.done
	if o.err != nil {
		o.w.t.Fatalf("open: %v", o.err)
	}
	return o.s
}

// fails waits for failure in a phase at a time.
func (o *opening) fails(phase Phase, at time.Duration, cause error) *Error {
	o.w.t.Helper()
	<-o.done
	return o.w.failed(o.err, phase, at, cause)
}

func (w *world) failed(err error, phase Phase, at time.Duration, cause error) *Error {
	w.t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		w.t.Fatalf("error %v, wanted one in phase %s", err, phase)
	}
	if e.Phase != phase || time.Since(w.start) != at || cause != nil && !errors.Is(err, cause) {
		w.t.Errorf("after %v: %v; wanted phase %s after %v, cause %v", time.Since(w.start), err, phase, at, cause)
	}
	return e
}

// peer is the server's end of one connection.
type peer struct {
	w *world
	net.Conn
	r *bufio.Reader
}

func (w *world) accept() *peer {
	w.t.Helper()
	c := <-w.conns
	w.t.Cleanup(func() { c.Close() })
	return &peer{w, c, bufio.NewReader(c)}
}

// request reads a request head and wants these lines in it, in any order, the first line first.
func (p *peer) request(want ...string) {
	p.w.t.Helper()
	var lines []string
	for {
		line, err := p.r.ReadString('\n')
		if err != nil {
			p.w.t.Fatalf("reading a request: %v after %q", err, lines)
		}
		if line = strings.TrimSuffix(line, "\r\n"); line == "" {
			break
		}
		lines = append(lines, line)
	}
	for i, l := range want {
		absent := strings.HasPrefix(l, "no ")
		found := false
		for j, have := range lines {
			if absent && strings.HasPrefix(strings.ToLower(have), strings.ToLower(l[3:])+":") || have == l && (i > 0 || j == 0) {
				found = true
			}
		}
		if found == absent {
			p.w.t.Errorf("request %q; wanted %q", lines, l)
		}
	}
}

func (p *peer) send(s string) {
	p.w.t.Helper()
	if _, err := io.WriteString(p, s); err != nil {
		p.w.t.Errorf("sending %q: %v", s, err)
	}
}

// event wants the next event of s to hold data, at a time since the world began.
func (w *world) event(s *Stream, data string, at time.Duration) {
	w.t.Helper()
	var ev sse.Event
	got, err := s.Next(&ev)
	if err != nil || string(ev.Data) != data || got.Sub(w.start) != at {
		w.t.Errorf("event %q after %v, %v; wanted %q after %v", ev.Data, got.Sub(w.start), err, data, at)
	}
}

// end wants the stream to end with err.
func (w *world) end(s *Stream, want error) error {
	w.t.Helper()
	var ev sse.Event
	_, err := s.Next(&ev)
	if !errors.Is(err, want) {
		w.t.Errorf("event %q, error %v; wanted error %v", ev.Data, err, want)
	}
	return err
}

const sseHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"

func chunk(s string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(s), s) }

const ms = time.Millisecond
