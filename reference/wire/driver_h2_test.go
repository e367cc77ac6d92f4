package wire

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// h2peer is the server's end of an HTTP/2 connection, by x/net's Framer. What the client sends is read in the background.
type h2peer struct {
	*peer
	*http2.Framer
	mu     sync.Mutex
	credit map[uint32]int
	resets map[uint32]http2.ErrCode
	goaway bool
}

func (w *world) acceptH2(settings ...http2.Setting) *h2peer {
	w.t.Helper()
	p := &h2peer{peer: w.accept(), credit: map[uint32]int{}, resets: map[uint32]http2.ErrCode{}}
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(p.r, preface); err != nil || string(preface) != http2.ClientPreface {
		w.t.Fatalf("preface %q, %v", preface, err)
	}
	p.Framer = http2.NewFramer(p.Conn, p.r)
	go func() {
		for {
			f, err := p.ReadFrame()
			if err != nil {
				return
			}
			p.mu.Lock()
			switch f := f.(type) {
			case *http2.WindowUpdateFrame:
				p.credit[f.StreamID] += int(f.Increment)
			case *http2.RSTStreamFrame:
				p.resets[f.StreamID] = f.ErrCode
			case *http2.GoAwayFrame:
				p.goaway = true
			case *http2.PingFrame:
				data := f.Data
				if !f.IsAck() {
					time.AfterFunc(7*ms, func() { p.WritePing(true, data) })
				}
			}
			p.mu.Unlock()
		}
	}()
	p.WriteSettings(settings...)
	return p
}

// head answers a stream.
func (p *h2peer) answer(stream uint32, status int, fields ...string) {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	e.WriteField(hpack.HeaderField{Name: ":status", Value: strconv.Itoa(status)})
	for i := 0; i < len(fields); i += 2 {
		e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	p.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: b.Bytes(), EndHeaders: true})
}

// stream opens a stream in one of the modes plain, gzip, h2c, and gives a function that sends content on it.
func (w *world) stream(mode string) (*Stream, func(string)) {
	w.t.Helper()
	switch mode {
	case "h2c":
		w.d.Proto = H2C
		o := w.open(w.t.Context(), get("http://es.test/"))
		p := w.acceptH2()
		synctest.Wait()
		p.answer(1, 200)
		return o.stream(), func(s string) { p.WriteData(1, false, []byte(s)) }
	case "gzip":
		w.d.Decode = true
		o := w.open(w.t.Context(), get("http://es.test/"))
		p := w.accept()
		p.request()
		p.send("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n")
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		return o.stream(), func(s string) {
			io.WriteString(z, s)
			z.Flush()
			p.send(chunk(b.String()))
			b.Reset()
		}
	default:
		o := w.open(w.t.Context(), get("http://es.test/"))
		p := w.accept()
		p.request()
		p.send(sseHead)
		return o.stream(), func(s string) { p.send(chunk(s)) }
	}
}

func TestH2Phases(t *testing.T) {
	inWorld(t, func(w *world) {
		w.d.Proto = H2C
		w.delay = 10 * ms
		o := w.open(w.t.Context(), get("http://es.test/a"))
		time.Sleep(10 * ms)
		p := w.acceptH2(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 7})
		time.Sleep(30 * ms)
		p.answer(1, 103, "link", "</a>")
		time.Sleep(40 * ms)
		p.answer(1, 200, "content-type", "text/event-stream")
		s := o.stream()
		defer s.Close()
		if n := s.Conn.Peer().MaxConcurrentStreams; n != 7 {
			t.Errorf("peer's limit %d", n)
		}
		go func() {
			time.Sleep(50 * ms)
			p.WriteData(1, false, []byte("data: "))
			time.Sleep(60 * ms)
			p.WriteData(1, false, []byte("x\n\n"))
			time.Sleep(70 * ms)
			p.WriteData(1, true, nil)
		}()
		w.event(s, "x", 190*ms)
		w.end(s, io.EOF)
		tm := s.Timing
		if tm.Connected != 10*ms || tm.Written != 10*ms || tm.FirstByte != 40*ms || tm.Head != 80*ms || tm.FirstBody != 130*ms || tm.FirstEvent != 190*ms || tm.Ended != 260*ms {
			t.Errorf("%+v", tm)
		}
		if len(s.Interim) != 1 || s.Interim[0].Status != 103 {
			t.Errorf("interim heads %v", s.Interim)
		}
		if off, at, ok := s.Wire(6); !ok || at != 190*ms || off == 0 {
			t.Errorf("byte 6 of the content stands at %d, came after %v, %v", off, at, ok)
		}
	})
}

// A stream that nobody reads gets no more credit than its window, and holds up no other.
func TestH2Backpressure(t *testing.T) {
	inWorld(t, func(w *world) {
		w.d.Proto = H2C
		w.d.Frames.StreamWindow = 1000
		w.d.Frames.ConnWindow = 65535
		c, err := w.d.Dial(w.t.Context(), get("http://es.test/").URL)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		p := w.acceptH2()
		synctest.Wait()
		var s [2]*Stream
		for i := range s {
			go func() {
				synctest.Wait()
				p.answer(uint32(2*i+1), 200)
			}()
			if s[i], err = c.Open(w.t.Context(), get("http://es.test/")); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		p.WriteData(1, false, make([]byte, 1000))
		for range 100 {
			p.WriteData(3, false, make([]byte, 1000))
			s[1].SetReadDeadline(time.Time{})
			if _, err := io.ReadFull(s[1], make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
			s[1].SetReadDeadline(time.Now())
			s[1].Read(make([]byte, 1)) // comes back for more: the credit goes out
			synctest.Wait()
		}
		credit := func(id uint32) int {
			synctest.Wait()
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.credit[id]
		}
		if a, b := credit(1), credit(3); a != 0 || b != 100*1000 {
			t.Errorf("credit %d for the stream that is not read, %d for the other", a, b)
		}
		if n := credit(0); n < 101*1000/2 {
			t.Errorf("credit %d for the connection", n)
		}
		io.ReadFull(s[0], make([]byte, 1000))
		s[0].SetReadDeadline(time.Now())
		s[0].Read(make([]byte, 1))
		if n := credit(1); n != 1000 {
			t.Errorf("credit %d once it is read", n)
		}
		// Less than half a window is not worth a frame.
		for i, want := range []int{1000, 1000, 1600} {
			s[0].SetReadDeadline(time.Time{})
			p.WriteData(1, false, make([]byte, 200))
			io.ReadFull(s[0], make([]byte, 200))
			s[0].SetReadDeadline(time.Now())
			s[0].Read(make([]byte, 1))
			if n := credit(1); n != want {
				t.Errorf("credit %d after %d bytes more", n, 200*(i+1))
			}
		}
	})
}

// How streams end that do not end well.
func TestH2Ends(t *testing.T) {
	for name, c := range map[string]struct {
		play func(p *h2peer)
		want error
	}{
		"reset":          {func(p *h2peer) { p.WriteRSTStream(1, http2.ErrCodeInternal) }, &ResetError{CodeInternal}},
		"FIN":            {func(p *h2peer) { p.Conn.Close() }, io.ErrUnexpectedEOF},
		"goaway":         {func(p *h2peer) { p.WriteGoAway(0, http2.ErrCodeNo, nil) }, &ResetError{CodeRefusedStream}},
		"goaway and FIN": {func(p *h2peer) { p.WriteGoAway(1, http2.ErrCodeEnhanceYourCalm, nil); p.Conn.Close() }, &GoAwayError{Last: 1, Code: CodeEnhanceYourCalm}},
		"broken":         {func(p *h2peer) { p.WriteRawFrame(http2.FrameSettings, 0, 0, []byte("x")) }, &Fault{Code: FaultH2FrameSize}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.d.Proto = H2C
				o := w.open(w.t.Context(), get("http://es.test/"))
				p := w.acceptH2()
				synctest.Wait()
				p.answer(1, 200)
				s := o.stream()
				defer s.Close()
				p.WriteData(1, false, []byte("data: x\n\ndata: y"))
				c.play(p)
				synctest.Wait()
				w.event(s, "x", 0)
				_, err := io.ReadAll(s)
				var reset, wantReset *ResetError
				var fault, wantFault *Fault
				var away, wantAway *GoAwayError
				switch {
				case errors.As(c.want, &wantAway):
					if !errors.As(err, &away) || *away != *wantAway || !errors.Is(err, io.ErrUnexpectedEOF) {
						t.Errorf("error %v, wanted %v", err, c.want)
					}
				case errors.As(c.want, &wantReset):
					if !errors.As(err, &reset) || *reset != *wantReset {
						t.Errorf("error %v, wanted %v", err, c.want)
					}
				case errors.As(c.want, &wantFault):
					if !errors.As(err, &fault) || fault.Code != wantFault.Code {
						t.Errorf("error %v, wanted %v", err, c.want)
					}
				case !errors.Is(err, c.want):
					t.Errorf("error %v, wanted %v", err, c.want)
				}
				w.failed(err, PhaseBody, 0, nil)
			})
		})
	}
}

// A reset before the head fails the opening; closing a stream resets it; closing the connection says goodbye.
func TestH2Close(t *testing.T) {
	inWorld(t, func(w *world) {
		w.d.Proto = H2C
		c, err := w.d.Dial(w.t.Context(), get("http://es.test/").URL)
		if err != nil {
			t.Fatal(err)
		}
		p := w.acceptH2()
		go func() {
			time.Sleep(ms)
			p.WriteRSTStream(1, http2.ErrCodeRefusedStream)
			time.Sleep(ms)
			p.answer(3, 200)
		}()
		_, err = c.Open(w.t.Context(), get("http://es.test/"))
		var reset *ResetError
		if !errors.As(err, &reset) || reset.Code != CodeRefusedStream {
			t.Errorf("error %v", err)
		}
		w.failed(err, PhaseHead, ms, nil)
		s, err := c.Open(w.t.Context(), get("http://es.test/"))
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if rtt, err := c.Ping(w.t.Context()); rtt != 7*ms || err != nil {
			t.Errorf("ping %v, %v", rtt, err)
		}
		s.Close()
		synctest.Wait()
		p.mu.Lock()
		if p.resets[3] != http2.ErrCodeCancel || len(p.resets) != 1 {
			t.Errorf("resets %v", p.resets)
		}
		p.mu.Unlock()
		if _, err := s.Read(make([]byte, 1)); !errors.Is(err, os.ErrClosed) {
			t.Errorf("reading a closed stream: %v", err)
		}
		c.Close()
		synctest.Wait()
		if !p.goaway {
			t.Error("no GOAWAY")
		}
		if _, err := c.Open(w.t.Context(), get("http://es.test/")); err == nil {
			t.Error("a stream on a closed connection")
		}
		if _, err := c.Ping(w.t.Context()); err == nil {
			t.Error("a ping on a closed connection")
		}
	})
}

// A peer that never reads cannot hold up Close.
func TestH2CloseUnread(t *testing.T) {
	inWorld(t, func(w *world) {
		w.d.Proto = H2C
		c, err := w.d.Dial(w.t.Context(), get("http://es.test/").URL)
		if err != nil {
			t.Fatal(err)
		}
		w.accept()
		c.Close()
		if d := time.Since(w.start); d > time.Second {
			t.Errorf("Close took %v", d)
		}
	})
}

// A server that speaks only HTTP/1.1 is told from one that is broken.
func TestH2ToHTTP1(t *testing.T) {
	inWorld(t, func(w *world) {
		w.d.Proto = H2C
		o := w.open(w.t.Context(), get("http://es.test/"))
		p := w.accept()
		go io.Copy(io.Discard, p.r)
		p.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
		e := o.fails(PhaseHead, 0, nil)
		var f *Fault
		if !errors.As(e, &f) || f.Code != FaultH2Preface {
			t.Errorf("error %v", e)
		}
	})
}

// An endless run of interim heads is cut off.
func TestH2Interims(t *testing.T) {
	inWorld(t, func(w *world) {
		w.d.Proto = H2C
		o := w.open(w.t.Context(), get("http://es.test/"))
		p := w.acceptH2()
		time.Sleep(ms)
		for range 17 {
			p.answer(1, 102)
		}
		e := o.fails(PhaseHead, ms, nil)
		var ce *CapError
		if !errors.As(e, &ce) || ce.What != "interim heads" {
			t.Errorf("error %v", e)
		}
	})
}
