package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What correct peers do, and what we do ourselves, is no fault of theirs.

// A server may close a connection that it kept (RFC 9112 9.5): the request that crosses the close is unanswered, and that is all.
func TestKeptConnectionClosed(t *testing.T) {
	inWorld(t, func(w *world) {
		c, err := w.d.Dial(w.t.Context(), get("http://es.test/").URL)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		p := w.accept()
		go func() {
			p.request()
			p.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			p.request()
			p.Close()
		}()
		if _, err := c.Open(w.t.Context(), get("http://es.test/")); err != nil {
			t.Fatal(err)
		}
		_, err = c.Open(w.t.Context(), get("http://es.test/"))
		w.failed(err, PhaseHead, 0, ErrNoResponse)
		if f := (*Fault)(nil); errors.As(err, &f) {
			t.Errorf("a fault: %v", f)
		}
		if f := c.Transcript().Faults(); len(f) > 0 {
			t.Errorf("faults %v", f)
		}
	})
}

// The read deadline of one stream does not bound the next one on its connection.
func TestDeadlineEndsWithStream(t *testing.T) {
	inWorld(t, func(w *world) {
		c, err := w.d.Dial(w.t.Context(), get("http://es.test/").URL)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		p := w.accept()
		go func() {
			for range 2 {
				p.request()
				time.Sleep(time.Second)
				p.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na")
			}
		}()
		for range 2 {
			s, err := c.Open(w.t.Context(), get("http://es.test/"))
			if err != nil {
				t.Fatal(err)
			}
			s.SetReadDeadline(time.Now().Add(500 * ms))
			if p, err := io.ReadAll(s); string(p) != "a" || err != nil {
				t.Errorf("%q, %v", p, err)
			}
		}
	})
}

// An HTTP/2 request that was written and not answered failed waiting for the head, not writing.
func TestH2HeadTimeout(t *testing.T) {
	inWorld(t, func(w *world) {
		w.d.Proto, w.d.HeadTimeout, w.delay = H2C, 2*time.Second, ms
		o := w.open(w.t.Context(), get("http://es.test/"))
		w.acceptH2()
		if e := o.fails(PhaseHead, 2*time.Second, os.ErrDeadlineExceeded); e.Timing.Written != ms || e.Timing.FirstByte != 0 {
			t.Errorf("timing %+v", e.Timing)
		}
	})
}

// A peer that answers our GOAWAY by closing has not cut the streams short: we have.
func TestH2CloseWithStreams(t *testing.T) {
	inWorld(t, func(w *world) {
		w.d.Proto = H2C
		w.d.NetDial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := w.dial(ctx, network, addr)
			return slowClose{c}, err
		}
		o := w.open(w.t.Context(), get("http://es.test/"))
		p := w.acceptH2()
		synctest.Wait()
		p.answer(1, 200)
		s := o.stream()
		go func() {
			for !p.gone() {
				time.Sleep(ms)
			}
			p.Conn.Close()
		}()
		s.Conn.Close()
		time.Sleep(time.Second)
		if f := s.Conn.Transcript().Faults(); len(f) > 0 {
			t.Errorf("faults %v", f)
		}
	})
}

func (p *h2peer) gone() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.goaway
}

// slowClose gives the peer the time to close first.
type slowClose struct{ net.Conn }

func (c slowClose) Close() error {
	time.Sleep(100 * ms)
	return c.Conn.Close()
}

// What a peer does wrong on a stream that has ended is a fault of the connection.
func TestH2FaultAfterEnd(t *testing.T) {
	inWorld(t, func(w *world) {
		w.d.Proto = H2C
		o := w.open(w.t.Context(), get("http://es.test/"))
		p := w.acceptH2()
		synctest.Wait()
		p.answer(1, 200)
		s := o.stream()
		defer s.Close()
		p.WriteData(1, true, []byte("x"))
		if _, err := io.ReadAll(s); err != nil {
			t.Error(err)
		}
		p.WriteData(1, false, []byte("y"))
		synctest.Wait()
		if f := s.Conn.Faults(); len(f) != 1 || f[0].Code != FaultH2Closed || f[0].Stream != 1 {
			t.Errorf("faults %v", f)
		}
	})
}

// The peer may use credit the moment it has it, also where our write has yet to return.
func TestH2CreditAtOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		w.d.Proto, w.d.Frames.ConnWindow = H2C, initialWindow
		w.d.NetDial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := w.dial(ctx, network, addr)
			return slowWrite{c}, err
		}
		o := w.open(w.t.Context(), get("http://es.test/"))
		p := w.acceptH2()
		synctest.Wait()
		p.answer(1, 200)
		s := o.stream()
		defer s.Close()
		time.Sleep(time.Second)
		credit := func() int {
			synctest.Wait()
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.credit[0]
		}
		sent, x := 0, []byte(strings.Repeat("x", 16000))
		for sent < 10*len(x) {
			for start := time.Now(); initialWindow+credit()-sent < len(x); time.Sleep(ms) {
				if time.Since(start) > time.Second {
					t.Fatalf("no credit after %d bytes", sent)
				}
			}
			p.Conn.SetWriteDeadline(time.Now().Add(time.Second))
			if p.WriteData(1, false, x) != nil || s.Conn.Err() != nil {
				t.Fatalf("after %d bytes: %v", sent, s.Conn.Err())
			}
			sent += len(x)
		}
	})
}

// slowWrite returns late from a write that is done.
type slowWrite struct{ net.Conn }

func (c slowWrite) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	time.Sleep(50 * ms)
	return n, err
}

// Listen leaves the exchange alone that has the connection now.
func TestListenToTheLastOnly(t *testing.T) {
	inWorld(t, func(w *world) {
		c, err := w.d.Dial(w.t.Context(), get("http://es.test/").URL)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		p := w.accept()
		go func() {
			p.request()
			p.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			p.request()
			p.send(sseHead)
			time.Sleep(100 * ms)
			p.send(chunk("data: x\n\n"))
		}()
		s1, err := c.Open(w.t.Context(), get("http://es.test/"))
		if err != nil {
			t.Fatal(err)
		}
		s2, err := c.Open(w.t.Context(), get("http://es.test/"))
		if err != nil {
			t.Fatal(err)
		}
		if err := s1.Listen(time.Now().Add(time.Second)); !errors.Is(err, ErrBusy) {
			t.Errorf("listening to another's exchange: %v", err)
		}
		w.event(s2, "x", 100*ms)
	})
}

// The name in SNI, which the certificate is checked against, is the one that is resolved.
func TestServerNameOfUnicodeHost(t *testing.T) {
	inWorld(t, func(w *world) {
		o := w.open(w.t.Context(), get("https://bücher.test/"))
		p := w.accept()
		names := make(chan string, 1)
		server := tls.Server(p.Conn, &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			names <- h.ServerName
			return nil, errors.New("enough")
		}})
		server.Handshake()
		p.Close()
		o.fails(PhaseTLS, 0, nil)
		if name := <-names; name != "xn--bcher-kva.test" {
			t.Errorf("server name %q", name)
		}
	})
}

// A close_notify that comes with the last bytes and the end of the connection in one read is one all the same.
func TestCloseNotifyWithEOF(t *testing.T) {
	srv := httptest.NewUnstartedServer(nil) // to borrow its certificate
	srv.StartTLS()
	cert := srv.TLS.Certificates[0]
	srv.Close()
	inWorld(t, func(w *world) {
		w.d.TLS = &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}}
		var held *allAtOnce
		w.d.NetDial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := w.dial(ctx, network, addr)
			held = &allAtOnce{Conn: c}
			return held, err
		}
		o := w.open(w.t.Context(), get("https://es.test/"))
		p := w.accept()
		p.Conn = tls.Server(p.Conn, &tls.Config{Certificates: []tls.Certificate{cert}, MaxVersion: tls.VersionTLS12})
		p.r.Reset(p.Conn)
		p.request()
		p.send("HTTP/1.1 200 OK\r\n\r\n")
		s := o.stream()
		held.on = true
		go func() {
			p.send("data: x\n\n")
			p.Conn.Close()
		}()
		if b, err := io.ReadAll(s); string(b) != "data: x\n\n" || err != nil {
			t.Errorf("%q, %v", b, err)
		}
		s.Close()
	})
}

// allAtOnce reads, once it is on, up to the end before it gives anything, and then all with io.EOF.
type allAtOnce struct {
	net.Conn
	on   bool
	rest []byte
}

func (c *allAtOnce) Read(p []byte) (int, error) {
	if !c.on {
		return c.Conn.Read(p)
	}
	if c.rest == nil {
		c.rest, _ = io.ReadAll(c.Conn)
	}
	n := copy(p, c.rest)
	if c.rest = c.rest[n:]; len(c.rest) == 0 {
		return n, io.EOF
	}
	return n, nil
}

// A request for HTTP/1.0 is not quietly sent as something else.
func TestHTTP10OverH2(t *testing.T) {
	inWorld(t, func(w *world) {
		w.d.Proto = H2C
		r := get("http://es.test/")
		r.HTTP10 = true
		o := w.open(w.t.Context(), r)
		w.accept()
		e := o.fails(PhaseWrite, 0, nil)
		if p := (*ProtoError)(nil); !errors.As(e, &p) || p.Want != HTTP10 {
			t.Errorf("%v", e)
		}
	})
}
