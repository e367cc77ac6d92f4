package wire

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"ssegauge/reference/sse"
)

// Each phase is stamped when it happens.
func TestPhases(t *testing.T) {
	inWorld(t, func(w *world) {
		w.delay = 10 * ms
		o := w.open(w.t.Context(), &Request{URL: get("http://es.test/a?b#c").URL, Header: Header{{"Accept", "text/event-stream"}}})
		p := w.accept()
		time.Sleep(20 * ms)
		p.request("GET /a?b HTTP/1.1", "Host: es.test", "Accept: text/event-stream", "no Content-Length")
		time.Sleep(30 * ms)
		p.send(sseHead[:1])
		time.Sleep(40 * ms)
		p.send(sseHead[1:])
		s := o.stream()
		go func() {
			time.Sleep(50 * ms)
			p.send("9\r\ndata")
			time.Sleep(60 * ms)
			p.send(": x\n\n\r\n")
			time.Sleep(70 * ms)
			p.send("0\r\n\r\n")
		}()
		w.event(s, "x", 210*ms)
		w.end(s, io.EOF)
		got := s.Timing
		got.Start = time.Time{}
		want := Timing{Connected: 10 * ms, Written: 30 * ms, FirstByte: 60 * ms, Head: 100 * ms, FirstBody: 150 * ms, FirstEvent: 210 * ms, Ended: 280 * ms}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if a := <-w.addrs; a != "es.test:80" {
			t.Errorf("dialled %s", a)
		}
		s.Close()
	})
}

// HeadTimeout and the context stop an opening wherever it hangs, and the error says where.
func TestHang(t *testing.T) {
	request := func(p *peer) { p.request("GET / HTTP/1.1") }
	for name, c := range map[string]struct {
		url   string
		delay time.Duration
		play  func(p *peer)
		phase Phase
	}{
		"dial":      {"http://es.test/", time.Hour, nil, PhaseConnect},
		"tls":       {"https://es.test/", 0, func(p *peer) { io.ReadFull(p, make([]byte, 5)) }, PhaseTLS},
		"write":     {"http://es.test/", 0, func(*peer) {}, PhaseWrite},
		"no answer": {"http://es.test/", 0, request, PhaseHead},
		"half an answer": {"http://es.test/", 0, func(p *peer) {
			request(p)
			p.send("HTTP/1.1 200 OK\r\n")
		}, PhaseHead},
		"a byte a second": {"http://es.test/", 0, func(p *peer) {
			request(p)
			for _, b := range []byte(sseHead) {
				if _, err := p.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}, PhaseHead},
		"interim heads": {"http://es.test/", 0, func(p *peer) {
			request(p)
			for {
				if _, err := io.WriteString(p, "HTTP/1.1 102 Processing\r\n\r\n"); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}, PhaseHead},
	} {
		for _, how := range []string{"timeout", "cancel", "deadline"} {
			t.Run(name+"/"+how, func(t *testing.T) {
				inWorld(t, func(w *world) {
					w.delay = c.delay
					ctx, cancel := context.WithCancelCause(w.t.Context())
					defer cancel(nil)
					why := errors.New("changed my mind")
					switch how {
					case "timeout":
						w.d.HeadTimeout = 5 * time.Second
						why = os.ErrDeadlineExceeded
					case "cancel":
						time.AfterFunc(5*time.Second, func() { cancel(why) })
					case "deadline":
						var stop func()
						ctx, stop = context.WithTimeout(ctx, 5*time.Second)
						defer stop()
						why = context.DeadlineExceeded
					}
					o := w.open(ctx, get(c.url))
					if c.play != nil {
						go c.play(w.accept())
					}
					o.fails(c.phase, 5*time.Second, why)
				})
			})
		}
	}
}

// HeadTimeout is over with the head; the context is not.
func TestCancelStream(t *testing.T) {
	inWorld(t, func(w *world) {
		w.d.HeadTimeout = time.Second
		ctx, cancel := context.WithCancel(w.t.Context())
		o := w.open(ctx, get("http://es.test/"))
		p := w.accept()
		p.request()
		p.send(sseHead + chunk("data: 1\n\n"))
		s := o.stream()
		w.event(s, "1", 0)
		go func() {
			time.Sleep(time.Minute)
			p.send(chunk("data: 2\n\n"))
			time.Sleep(time.Minute)
			cancel()
		}()
		w.event(s, "2", time.Minute)
		w.failed(w.end(s, context.Canceled), PhaseBody, 2*time.Minute, nil)
		w.end(s, context.Canceled)
		s.Close()
	})
}

func TestReadDeadline(t *testing.T) {
	for _, mode := range []string{"plain", "gzip", "h2c"} {
		t.Run(mode, func(t *testing.T) {
			inWorld(t, func(w *world) {
				s, send := w.stream(mode)
				defer s.Close()
				go func() {
					time.Sleep(2 * time.Second)
					send("data: ")
					time.Sleep(2 * time.Second)
					send("1\n\n")
				}()
				for i := range 3 {
					s.SetReadDeadline(time.Now().Add(time.Second))
					w.failed(w.end(s, os.ErrDeadlineExceeded), PhaseBody, time.Duration(i+1)*time.Second, nil)
				}
				s.SetReadDeadline(time.Time{})
				w.event(s, "1", 4*time.Second)
				s.SetReadDeadline(time.Now())
				w.end(s, os.ErrDeadlineExceeded)
				// A deadline moved while Next waits counts.
				s.SetReadDeadline(time.Now().Add(time.Hour))
				time.AfterFunc(time.Second, func() { s.SetReadDeadline(time.Now().Add(time.Second)) })
				w.failed(w.end(s, os.ErrDeadlineExceeded), PhaseBody, 6*time.Second, nil)
			})
		})
	}
}

// Close ends a Next that waits in another goroutine.
func TestCloseWhileReading(t *testing.T) {
	for _, mode := range []string{"plain", "gzip", "h2c"} {
		t.Run(mode, func(t *testing.T) {
			inWorld(t, func(w *world) {
				s, _ := w.stream(mode)
				time.AfterFunc(time.Second, func() { s.Close() })
				w.end(s, os.ErrClosed)
				w.end(s, os.ErrClosed)
				if err := s.Close(); err != nil {
					t.Errorf("closing again: %v", err)
				}
				if how, _ := s.Conn.Transcript().Closed(); how != "" {
					t.Errorf("the peer is said to have closed: %s", how)
				}
			})
		})
	}
}

// Over one HTTP/1.1 connection several exchanges go, one after the other.
func TestReuse(t *testing.T) {
	inWorld(t, func(w *world) {
		c, err := w.d.Dial(w.t.Context(), get("http://es.test/").URL)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		p := w.accept()
		go func() {
			p.request("HEAD /1 HTTP/1.1")
			p.send(sseHead)
			p.request("GET /2 HTTP/1.1")
			p.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc")
			p.request("GET /3 HTTP/1.1")
			p.send(sseHead + chunk("xyz"))
		}()
		r := get("http://es.test/1")
		r.Method = "HEAD"
		s1, err := c.Open(w.t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		s2, err := c.Open(w.t.Context(), get("http://es.test/2"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Open(w.t.Context(), get("http://es.test/3")); !errors.Is(err, ErrBusy) {
			t.Errorf("a second request on a busy connection: %v", err)
		}
		if err := s1.Close(); err != nil { // must not end the exchange of another
			t.Error(err)
		}
		if p, err := io.ReadAll(s2); string(p) != "abc" || err != nil {
			t.Errorf("%q, %v", p, err)
		}
		s3, err := c.Open(w.t.Context(), get("http://es.test/3"))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(c.Transcript().Content(s2.ID)); got != "abc" {
			t.Errorf("content of the second exchange: %q", got)
		}
		synctest.Wait()
		b := make([]byte, 10)
		if n, err := s3.Read(b); string(b[:n]) != "xyz" || err != nil {
			t.Errorf("%q, %v", b[:n], err)
		}
		if off, _, ok := s3.Wire(2); !ok || off != c.Transcript().Received()-3 {
			t.Errorf("wire offset %d of %d", off, c.Transcript().Received())
		}
		s3.Close() // in the middle of a message: the connection ends
		if _, err := c.Open(w.t.Context(), get("http://es.test/4")); err == nil {
			t.Error("a request on a closed connection")
		}
	})
}

// A connection that says close, or that said too much, carries nothing more.
func TestNoReuse(t *testing.T) {
	for name, answer := range map[string]string{
		"close":    "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 1\r\n\r\na",
		"1.0":      "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na",
		"too much": "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				c, err := w.d.Dial(w.t.Context(), get("http://es.test/").URL)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				p := w.accept()
				go func() {
					p.request()
					p.send(answer)
				}()
				s, err := c.Open(w.t.Context(), get("http://es.test/"))
				if err != nil {
					t.Fatal(err)
				}
				if p, err := io.ReadAll(s); string(p) != "a" || err != nil {
					t.Errorf("%q, %v", p, err)
				}
				if _, err := c.Open(w.t.Context(), get("http://es.test/")); !errors.Is(err, ErrBusy) {
					t.Errorf("a request on a spent connection: %v", err)
				}
			})
		})
	}
}

// Listen hears what comes after the answer to HEAD.
func TestListen(t *testing.T) {
	inWorld(t, func(w *world) {
		r := get("http://es.test/")
		r.Method = "HEAD"
		o := w.open(w.t.Context(), r)
		p := w.accept()
		p.request("HEAD / HTTP/1.1")
		p.send(sseHead)
		s := o.stream()
		defer s.Close()
		if err := s.Listen(time.Now().Add(time.Second)); err != nil || len(s.Faults) != 0 {
			t.Errorf("a silent second: %v, %v", err, s.Faults)
		}
		go func() {
			p.send("9\r\ndata: 1\n\n\r\n")
			p.Close()
		}()
		if err := s.Listen(time.Now().Add(time.Second)); err != io.EOF {
			t.Errorf("listening: %v", err)
		}
		if len(s.Faults) != 1 || s.Faults[0].Code != FaultContentForbidden || s.Faults[0].Offset != int64(len(sseHead)) {
			t.Errorf("faults %v", s.Faults)
		}
		if how, at := s.Conn.Transcript().Closed(); how != "FIN" || at != time.Second {
			t.Errorf("closed: %s after %v", how, at)
		}
	})
}

// What went wrong on the wire comes as a typed error, with its phase, and what was understood before it.
func TestBrokenAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		answer string // then FIN
		phase  Phase
		code   FaultCode
		cause  error
		status int
	}{
		"nothing":         {"", PhaseHead, FaultNoResponse, ErrNoResponse, 0},
		"half a head":     {"HTTP/1.1 200 OK\r\n", PhaseHead, FaultHeadCut, io.ErrUnexpectedEOF, 0},
		"no HTTP":         {"SSH-2.0-x\r\n", PhaseHead, FaultStatusLine, nil, 0},
		"cut in a chunk":  {sseHead + "9\r\ndata", PhaseBody, FaultBodyCut, io.ErrUnexpectedEOF, 200},
		"no last chunk":   {sseHead + chunk("data: x\n\n"), PhaseBody, FaultBodyCut, io.ErrUnexpectedEOF, 200},
		"not chunked":     {sseHead + "data: x\n\n", PhaseBody, FaultChunkSize, nil, 200},
		"two lengths":     {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", PhaseBody, FaultCLConflict, nil, 200},
		"length too long": {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", PhaseBody, FaultBodyCut, io.ErrUnexpectedEOF, 200},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				o := w.open(w.t.Context(), get("http://es.test/"))
				p := w.accept()
				p.request()
				go func() {
					io.WriteString(p, c.answer)
					p.Close()
				}()
				<-o.done
				err := o.err
				if err == nil {
					defer o.s.Close()
					_, err = io.Copy(io.Discard, o.s)
				}
				e := w.failed(err, c.phase, 0, c.cause)
				var f *Fault
				if !errors.As(err, &f) || f.Code != c.code {
					t.Errorf("error %v; wanted %s", err, c.code)
				}
				if c.status != 0 && (e.Head == nil || e.Head.Status != c.status) {
					t.Errorf("the error holds the head %v", e.Head)
				}
				faults := e.Transcript.Faults()
				if len(faults) != 1 || faults[0].Code != c.code {
					t.Errorf("transcript: %v", faults)
				}
			})
		})
	}
}

// A server may answer before it took the whole request, and may never take it.
func TestEarlyAnswer(t *testing.T) {
	for _, size := range []int{10, 1 << 20} {
		inWorld(t, func(w *world) {
			r := get("http://es.test/")
			r.Method, r.Body = "POST", make([]byte, size)
			o := w.open(w.t.Context(), r)
			p := w.accept()
			p.request("POST / HTTP/1.1")
			if size == 10 {
				io.ReadFull(p.r, make([]byte, size))
			}
			p.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
			s := o.stream()
			if s.Head.Status != 413 {
				t.Errorf("status %d", s.Head.Status)
			}
			s.Close()
		})
	}
}

// A server that closes while a long request is being written is told from one that closes after it.
func TestClosedWhileWriting(t *testing.T) {
	for _, taken := range []bool{false, true} {
		inWorld(t, func(w *world) {
			r := get("http://es.test/")
			r.Method, r.Body = "POST", make([]byte, 1<<20)
			o := w.open(w.t.Context(), r)
			p := w.accept()
			p.request("POST / HTTP/1.1")
			phase := PhaseWrite
			if taken {
				io.ReadFull(p.r, make([]byte, 1<<20))
				synctest.Wait()
				phase = PhaseHead
			}
			p.Close()
			e := o.fails(phase, 0, nil)
			if errors.Is(e, net.ErrClosed) {
				t.Errorf("our own closing is blamed: %v", e)
			}
		})
	}
}

func TestRequestForms(t *testing.T) {
	for name, c := range map[string]struct {
		r    Request
		url  string
		want []string
	}{
		"userinfo":      {Request{}, "http://us%40er:pa:ss@es.test:8080/", []string{"GET / HTTP/1.1", "Host: es.test:8080", "Authorization: Basic dXNAZXI6cGE6c3M="}},
		"own auth":      {Request{Header: Header{{"authorization", "Bearer x"}}}, "http://u:p@es.test/", []string{"GET / HTTP/1.1", "authorization: Bearer x", "no Authorization: Basic"}},
		"post":          {Request{Method: "POST", Body: []byte("abc")}, "http://es.test:80/x?", []string{"POST /x? HTTP/1.1", "Host: es.test", "Content-Length: 3"}},
		"post nothing":  {Request{Method: "POST"}, "http://es.test", []string{"POST / HTTP/1.1", "Content-Length: 0"}},
		"delete":        {Request{Method: "DELETE"}, "http://es.test", []string{"DELETE / HTTP/1.1", "no Content-Length"}},
		"http/1.0":      {Request{HTTP10: true}, "http://es.test/", []string{"GET / HTTP/1.0", "Host: es.test"}},
		"own host":      {Request{Header: Header{{"host", "other"}}}, "http://es.test/", []string{"GET / HTTP/1.1", "host: other"}},
		"international": {Request{}, "http://bücher.test/ü", []string{"GET /%C3%BC HTTP/1.1", "Host: xn--bcher-kva.test"}},
		"ipv6":          {Request{}, "http://[::1]/", []string{"GET / HTTP/1.1", "Host: [::1]"}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				r := c.r
				r.URL = get(c.url).URL
				o := w.open(w.t.Context(), &r)
				p := w.accept()
				p.request(c.want...)
				io.ReadFull(p.r, make([]byte, len(r.Body)))
				p.send("HTTP/1.1 204 \r\n\r\n")
				o.stream().Close()
			})
		})
	}
}

// What cannot be sent is the caller's fault, and nothing is dialled for it.
func TestRefusedRequests(t *testing.T) {
	for name, r := range map[string]*Request{
		"no URL":      {},
		"scheme":      get("ftp://es.test/"),
		"no host":     get("http:///x"),
		"method":      {Method: "GET /", URL: get("http://es.test/").URL},
		"field name":  {URL: get("http://es.test/").URL, Header: Header{{"a b", "c"}}},
		"field value": {URL: get("http://es.test/").URL, Header: Header{{"a", "c\r\nd: e"}}},
	} {
		for _, proto := range []Proto{HTTP11, H2C} {
			t.Run(name+"/"+proto.String(), func(t *testing.T) {
				inWorld(t, func(w *world) {
					w.d.Proto = proto
					_, err := w.d.Open(w.t.Context(), r)
					var e *Error
					var re *RequestError
					if !errors.As(err, &e) || !errors.As(err, &re) {
						t.Errorf("error %v", err)
					}
					if len(w.addrs) > 0 {
						t.Error("a connection was made")
					}
				})
			})
		}
	}
}

func TestProtoErrors(t *testing.T) {
	for _, c := range []struct {
		proto Proto
		url   string
	}{{HTTP2, "http://es.test/"}, {H2C, "https://es.test/"}} {
		_, err := (&Dialer{Proto: c.proto}).Open(t.Context(), get(c.url))
		var pe *ProtoError
		if !errors.As(err, &pe) {
			t.Errorf("%s to %s: %v", c.proto, c.url, err)
		}
	}
}

// The errors of real sockets.
func TestSocketErrors(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + l.Addr().String()
	reset := make(chan bool)
	go func() {
		defer close(reset)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b := make([]byte, 1024)
			n, _ := c.Read(b)
			switch {
			case strings.HasPrefix(string(b[:n]), "GET /body"):
				io.WriteString(c, sseHead+chunk("data: x\n\n"))
				<-reset
			case b[0] == 0x16: // a TLS hello: answered with the alert handshake_failure
				c.Write([]byte{0x15, 3, 3, 0, 2, 2, 40})
				c.Close()
				continue
			}
			c.(*net.TCPConn).SetLinger(0)
			c.Close()
		}
	}()
	d := &Dialer{Record: 1 << 16, Proto: HTTP11}
	_, err = d.Open(t.Context(), get(url+"/head"))
	var e *Error
	if !errors.As(err, &e) || e.Phase != PhaseHead || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("reset before the head: %v", err)
	} else if how, _ := e.Transcript.Closed(); how != "RST" {
		t.Errorf("closed by %q", how)
	}
	if tm := e.Timing; tm.Resolved != 0 {
		t.Errorf("an address was resolved after %v", tm.Resolved)
	}
	_, err = d.Open(t.Context(), get(strings.Replace(url, "127.0.0.1", "localhost", 1)))
	if !errors.As(err, &e) || e.Timing.Resolved == 0 || e.Timing.Resolved > e.Timing.Connected {
		t.Errorf("a name was resolved after %v, connected after %v (%v)", e.Timing.Resolved, e.Timing.Connected, err)
	}
	s, err := d.Open(t.Context(), get(url+"/body"))
	if err != nil {
		t.Fatal(err)
	}
	var ev sse.Event
	if _, err := s.Next(&ev); err != nil {
		t.Fatal(err)
	}
	reset <- true
	if _, err := s.Next(&ev); !errors.As(err, &e) || e.Phase != PhaseBody || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("reset in the body: %v", err)
	}
	if how, _ := s.Conn.Transcript().Closed(); how != "RST" {
		t.Errorf("closed by %q", how)
	}
	s.Close()
	_, err = d.Open(t.Context(), get(strings.Replace(url, "http:", "https:", 1)))
	if !errors.As(err, &e) || e.Phase != PhaseTLS {
		t.Errorf("TLS alert: %v", err)
	} else if how, _ := e.Transcript.Closed(); how != "TLS alert: handshake failure" {
		t.Errorf("closed by %q", how)
	}
	l.Close()
	<-reset
	_, err = d.Open(t.Context(), get(url))
	if !errors.As(err, &e) || e.Phase != PhaseConnect || !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("refused: %v", err)
	}
	_, err = (&Dialer{NetDial: func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "no.test", IsNotFound: true}}
	}}).Open(t.Context(), get("http://no.test/"))
	if !errors.As(err, &e) || e.Phase != PhaseResolve {
		t.Errorf("no such host: %v", err)
	}
}
