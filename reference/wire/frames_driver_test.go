package wire

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"ssegauge/reference/sse"
)

// played is a server that the test plays frame by frame; what the client sends is noted.
type played struct {
	*http2.Framer
	t    *testing.T
	dial *Dialer
	conn net.Conn
	mu   sync.Mutex
	seen []string
}

// playH2 gives test a dialer and the server it reaches, in a bubble of its own.
func playH2(t *testing.T, test func(p *played)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		mine, theirs := net.Pipe()
		p := &played{t: t, conn: theirs, Framer: http2.NewFramer(theirs, theirs)}
		p.AllowIllegalWrites = true
		p.dial = &Dialer{Proto: H2C, NetDial: func(context.Context, string, string) (net.Conn, error) { return mine, nil }}
		go func() {
			if _, err := io.ReadFull(theirs, make([]byte, len(clientPreface))); err != nil {
				return
			}
			for {
				frame, err := p.ReadFrame()
				if err != nil {
					return
				}
				p.mu.Lock()
				p.seen = append(p.seen, frameText(frame))
				p.mu.Unlock()
			}
		}()
		test(p)
		theirs.Close()
	})
}

// connect dials and exchanges SETTINGS.
func (p *played) connect(settings ...http2.Setting) *Conn {
	p.t.Helper()
	c, err := p.dial.Dial(p.t.Context(), parseURL("http://h/"))
	if err != nil {
		p.t.Fatal(err)
	}
	p.WriteSettings(settings...)
	synctest.Wait()
	return c
}

// begin opens a stream whose head is still to come.
func (p *played) begin(c *Conn) func() (*Stream, error) {
	type opened struct {
		s   *Stream
		err error
	}
	ch := make(chan opened, 1)
	go func() {
		s, err := c.Open(p.t.Context(), &Request{URL: parseURL("http://h/")})
		ch <- opened{s, err}
	}()
	time.Sleep(time.Millisecond) // so that the moment of writing is not 0
	synctest.Wait()
	return func() (*Stream, error) {
		o := <-ch
		return o.s, o.err
	}
}

func (p *played) headers(id uint32, end bool, kv ...string) {
	p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block(kv...), EndHeaders: true, EndStream: end})
}

// stream opens a stream and answers it.
func (p *played) stream(c *Conn, id uint32, kv ...string) *Stream {
	p.t.Helper()
	wait := p.begin(c)
	p.headers(id, false, append([]string{":status", "200"}, kv...)...)
	s, err := wait()
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}

// heard tells whether the client sent that frame.
func (p *played) heard(frame string) bool {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Contains(p.seen, frame)
}

func wantReset(t *testing.T, what string, err error, code ErrCode) {
	t.Helper()
	var reset *ResetError
	if !errors.As(err, &reset) || reset.Code != code {
		t.Errorf("%s: %v, want %v", what, err, code)
	}
}

// GOAWAY in the middle: the streams it names go on to their end, those above are refused, no new ones are opened.
func TestH2GoAwayMidStream(t *testing.T) {
	playH2(t, func(p *played) {
		c := p.connect()
		defer c.Close()
		a := p.stream(c, 1)
		b := p.stream(c, 3)
		waiting := p.begin(c)
		p.WriteData(1, false, []byte("one "))
		p.WriteData(3, false, []byte("lost"))
		p.WriteGoAway(1, http2.ErrCodeNo, []byte("restart"))
		_, err := waiting()
		wantReset(t, "a stream without a head", err, CodeRefusedStream)
		var e *Error
		if !errors.As(err, &e) || e.Phase != PhaseHead {
			t.Errorf("phase of %v", err)
		}
		got, err := io.ReadAll(b)
		want(t, "before the refusal", string(got), "lost")
		wantReset(t, "a stream above", err, CodeRefusedStream)
		if _, err := c.Open(p.t.Context(), &Request{URL: parseURL("http://h/")}); !errors.Is(err, ErrGoingAway) {
			t.Errorf("a new stream: %v", err)
		}
		p.WriteData(1, true, []byte("two"))
		got, err = io.ReadAll(a)
		if want(t, "the stream that goes on", string(got), "one two"); err != nil {
			t.Error(err)
		}
	})
}

// A server that closes the connection behind GOAWAY leaves its reason in the error.
func TestH2GoAwayAndClose(t *testing.T) {
	playH2(t, func(p *played) {
		c := p.connect()
		defer c.Close()
		s := p.stream(c, 1)
		p.WriteGoAway(1, http2.ErrCodeEnhanceYourCalm, []byte("too_many_pings"))
		p.conn.Close()
		_, err := io.ReadAll(s)
		var away *GoAwayError
		if !errors.Is(err, io.ErrUnexpectedEOF) || !errors.As(err, &away) || away.Code != CodeEnhanceYourCalm || away.Debug != "too_many_pings" {
			t.Errorf("%v", err)
		}
	})
}

func TestH2StreamLimit(t *testing.T) {
	playH2(t, func(p *played) {
		c := p.connect(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 2})
		defer c.Close()
		a := p.stream(c, 1)
		p.stream(c, 3)
		if _, err := c.Open(p.t.Context(), &Request{URL: parseURL("http://h/")}); !errors.Is(err, ErrStreamLimit) {
			t.Errorf("stream 3 of 2: %v", err)
		}
		a.Close()
		if !p.heard("RST_STREAM 1 CANCEL") {
			t.Error("Close sends no RST_STREAM")
		}
		p.stream(c, 5)
		p.WriteRSTStream(3, http2.ErrCodeNo)
		synctest.Wait()
		p.stream(c, 7)
	})
}

func TestH2ClosedMidFrame(t *testing.T) {
	playH2(t, func(p *played) {
		c := p.connect()
		defer c.Close()
		a, b := p.stream(c, 1), p.stream(c, 3)
		p.conn.Write([]byte{0, 0, 20, 0, 0, 0, 0, 0, 1, 'p', 'a', 'r', 't'})
		p.conn.Close()
		for s, content := range map[*Stream]string{a: "part", b: ""} {
			got, err := io.ReadAll(s)
			if want(t, "content", string(got), content); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("stream %d: %v", s.ID, err)
			}
		}
		var truncated bool
		for _, f := range c.Faults() {
			truncated = truncated || f.Code == FaultH2Truncated
		}
		if !truncated {
			t.Errorf("faults %v", c.Faults())
		}
	})
}

// A malformed head is judged and told: a client library would only fail.
func TestH2MalformedHead(t *testing.T) {
	playH2(t, func(p *played) {
		c := p.connect()
		defer c.Close()
		s := p.stream(c, 1, "connection", "keep-alive", "Content-Type", "text/event-stream")
		var codes []FaultCode
		for _, f := range s.Faults {
			codes = append(codes, f.Code)
		}
		want(t, "faults", codes, []FaultCode{FaultH2Connection, FaultH2FieldCase})
		want(t, "content-type", s.Head.Header.Get("content-type"), "text/event-stream")
		p.WriteData(1, true, []byte("data: x\n\n"))
		var ev sse.Event
		if _, err := s.Next(&ev); err != nil || string(ev.Data) != "x" {
			t.Errorf("%q, %v", ev.Data, err)
		}
	})
}

// A peer that ignores the window of a stream that is not read fills no memory and harms no other stream.
func TestH2Overrun(t *testing.T) {
	playH2(t, func(p *played) {
		p.dial.Frames.StreamWindow = 10
		c := p.connect()
		defer c.Close()
		a, b := p.stream(c, 1), p.stream(c, 3)
		p.WriteData(1, false, []byte("0123456789"))
		p.WriteData(1, false, []byte("x"))
		p.WriteData(3, true, []byte("fine"))
		got, err := io.ReadAll(a)
		want(t, "within the window", string(got), "0123456789")
		wantReset(t, "beyond it", err, CodeFlowControl)
		if !p.heard("RST_STREAM 1 FLOW_CONTROL_ERROR") {
			t.Error("the peer is not told")
		}
		got, err = io.ReadAll(b)
		if want(t, "the other", string(got), "fine"); err != nil {
			t.Error(err)
		}
	})
}

// eventServer sends /?n=..&size=.. events over whatever HTTP/2 the test speaks.
func eventServer(t *testing.T, encrypted bool) (*httptest.Server, *Dialer) {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var n, size int
		fmt.Sscan(r.FormValue("n"), &n)
		fmt.Sscan(r.FormValue("size"), &size)
		if r.Method == http.MethodPost {
			io.Copy(w, r.Body)
			return
		}
		pad := strings.Repeat("x", size)
		for i := range n {
			if _, err := fmt.Fprintf(w, "data: %s %d %s\n\n", r.FormValue("name"), i, pad); err != nil {
				return
			}
			w.(http.Flusher).Flush()
		}
		if r.FormValue("end") == "abort" {
			panic(http.ErrAbortHandler)
		}
	}))
	s.Config.Protocols = new(http.Protocols)
	d := &Dialer{Proto: H2C}
	if encrypted {
		d.Proto, d.TLS = HTTP2, &tls.Config{InsecureSkipVerify: true}
		s.Config.Protocols.SetHTTP2(true)
		s.EnableHTTP2 = true
		s.StartTLS()
	} else {
		s.Config.Protocols.SetUnencryptedHTTP2(true)
		s.Start()
	}
	t.Cleanup(s.Close)
	return s, d
}

// readEvents reads a stream of eventServer to its end and checks that nothing is lost or foreign.
func readEvents(s *Stream, name string, n int) error {
	var ev sse.Event
	for i := range n {
		if _, err := s.Next(&ev); err != nil {
			return fmt.Errorf("%s: event %d: %w", name, i, err)
		}
		if prefix := fmt.Sprintf("%s %d ", name, i); !strings.HasPrefix(string(ev.Data), prefix) {
			return fmt.Errorf("%s: event %d is %.40q", name, i, ev.Data)
		}
	}
	if _, err := s.Next(&ev); err != io.EOF {
		return fmt.Errorf("%s: at the end: %.40q, %w", name, ev.Data, err)
	}
	return nil
}

func TestH2NetHTTP(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		srv, d := eventServer(t, encrypted)
		c, err := d.Dial(t.Context(), parseURL(srv.URL))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		want(t, "protocol", c.Proto(), d.Proto)
		ask := func(query string) *Stream {
			t.Helper()
			s, err := c.Open(t.Context(), &Request{URL: parseURL(srv.URL + "/?" + query)})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}

		// One stream is not read while far more than its window waits for it.
		stuck := ask("name=stuck&n=300&size=10000")

		// A hundred and fifty others flow meanwhile.
		var wg sync.WaitGroup
		for i := range 150 {
			name := fmt.Sprint("s", i)
			s := ask(fmt.Sprintf("name=%s&n=50&size=%d", name, i*3))
			wg.Go(func() {
				if err := readEvents(s, name, 50); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()

		// The whole connection's window, and more, through one of them.
		if err := readEvents(ask("name=big&n=2000&size=10000"), "big", 2000); err != nil {
			t.Error(err)
		}
		// A body beyond every window comes back whole.
		body := bytes.Repeat([]byte("body"), 500_000)
		s, err := c.Open(t.Context(), &Request{Method: "POST", URL: parseURL(srv.URL), Body: body})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(s); err != nil || !bytes.Equal(got, body) {
			t.Errorf("echo of %d bytes: %d, %v", len(body), len(got), err)
		}
		// A reset in the middle.
		aborted := ask("name=a&n=1&size=1&end=abort")
		got, err := io.ReadAll(aborted)
		want(t, "before the reset", string(got), "data: a 0 x\n\n")
		wantReset(t, "reset", err, CodeInternal)

		// The stream nobody read has lost nothing.
		if err := readEvents(stuck, "stuck", 300); err != nil {
			t.Error(err)
		}
		if len(c.Faults())+len(stuck.Faults)+len(s.Faults) > 0 {
			t.Errorf("faults of net/http: %v", c.Faults())
		}
		if err := c.Err(); err != nil {
			t.Error(err)
		}
	}
}
