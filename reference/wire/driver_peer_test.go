package wire

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"ssegauge/reference/sse"
)

// serve starts net/http as an independent peer for one protocol.
func serve(t *testing.T, proto Proto) (*Dialer, string) {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Trailer", "X-Sum")
		var out io.Writer = w
		flush := func() { w.(http.Flusher).Flush() }
		if r.Header.Get("Accept-Encoding") == "gzip" {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			defer z.Close()
			out, flush = z, func() { z.Flush(); w.(http.Flusher).Flush() }
		}
		flush()
		for i := range 3 {
			fmt.Fprintf(out, "id: %d\ndata: %s\n\n", i, strings.Repeat("x", i*40000))
			flush()
		}
		w.Header().Set("X-Sum", "3")
	})
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Request", fmt.Sprint(r.Method, " ", r.RequestURI, " ", r.Host, " ", r.ContentLength))
		w.Write(body)
	})
	mux.HandleFunc("/hints", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a>")
		w.WriteHeader(103)
		w.WriteHeader(204)
	})
	mux.HandleFunc("/redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/echo?to", http.StatusFound) })
	mux.HandleFunc("/abort", func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte("data: 1\n\n"))
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	mux.HandleFunc("/hang", func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	srv := httptest.NewUnstartedServer(mux)
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetHTTP1(true)
	srv.Config.Protocols.SetUnencryptedHTTP2(true)
	srv.Config.Protocols.SetHTTP2(true)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.EnableHTTP2 = true
	d := &Dialer{Proto: proto, Record: 8 << 20, HeadTimeout: 20 * time.Second}
	if proto == H2C || proto == HTTP10 {
		if srv.Start(); proto == HTTP10 {
			d.Proto = Auto
		}
	} else {
		srv.StartTLS()
		roots := x509.NewCertPool()
		roots.AddCert(srv.Certificate())
		d.TLS = &tls.Config{RootCAs: roots, ServerName: "example.com"}
	}
	t.Cleanup(srv.Close)
	return d, srv.URL
}

// peers runs f against net/http over each protocol; HTTP10 stands for HTTP/1.1 in the clear here.
func peers(t *testing.T, f func(t *testing.T, d *Dialer, url string, spoken Proto)) {
	for name, c := range map[string]struct{ proto, spoken Proto }{
		"http/1.1": {HTTP10, HTTP11}, "https/1.1": {HTTP11, HTTP11}, "h2c": {H2C, H2C}, "h2": {HTTP2, HTTP2}, "auto": {Auto, HTTP2},
	} {
		t.Run(name, func(t *testing.T) {
			d, url := serve(t, c.proto)
			f(t, d, url, c.spoken)
		})
	}
}

func TestPeerEvents(t *testing.T) {
	peers(t, func(t *testing.T, d *Dialer, url string, spoken Proto) {
		for _, coding := range []string{"identity", "gzip"} {
			d.Decode = coding == "gzip"
			r := get(url + "/events")
			r.Header = Header{{"Accept", "text/event-stream"}, {"Accept-Encoding", coding}}
			s, err := d.Open(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			if s.Conn.Proto() != spoken || s.Head.Status != 200 || s.Head.Header.Get("content-type") != "text/event-stream" {
				t.Errorf("%s, head %v", s.Conn.Proto(), s.Head)
			}
			tr := s.Conn.Transcript()
			var ev sse.Event
			for i := range 3 {
				at, err := s.Next(&ev)
				if err != nil || string(ev.ID) != fmt.Sprint(i) || len(ev.Data) != i*40000 {
					t.Fatalf("event %d: id %q, %d bytes, %v", i, ev.ID, len(ev.Data), err)
				}
				off, arrived, ok := s.Wire(ev.End - 1)
				if !ok || arrived != at.Sub(tr.Start()) || off >= tr.Received() {
					t.Errorf("event %d: wire offset %d of %d after %v (%v), %v", i, off, tr.Received(), arrived, at.Sub(tr.Start()), ok)
				}
			}
			if _, err := s.Next(&ev); err != io.EOF {
				t.Errorf("the end: %v", err)
			}
			if s.Trailer.Get("x-sum") != "3" {
				t.Errorf("trailers %v", s.Trailer)
			}
			if len(s.Faults)+len(tr.Faults()) > 0 {
				t.Errorf("faults: %v, %v", s.Faults, tr.Faults())
			}
			if p := tr.Content(s.ID); coding == "identity" && len(p) != 3*len("id: 0\ndata: \n\n")+120000 {
				t.Errorf("%d bytes of content in the transcript", len(p))
			}
			tm := s.Timing
			for _, pair := range [][2]time.Duration{{0, tm.Connected}, {tm.Connected, tm.Written}, {tm.TLS, tm.Written}, {tm.Written, tm.Head}, {tm.FirstByte, tm.Head}, {tm.Head, tm.FirstBody}, {tm.FirstBody, tm.FirstEvent}, {tm.FirstEvent, tm.Ended}} {
				if pair[0] > pair[1] || pair[1] == 0 {
					t.Errorf("phases out of order: %+v", tm)
				}
			}
			if (s.Conn.TLS() != nil) != strings.HasPrefix(url, "https") {
				t.Error("TLS state")
			}
			s.Close()
		}
	})
}

func TestPeerRequests(t *testing.T) {
	peers(t, func(t *testing.T, d *Dialer, url string, spoken Proto) {
		host := url[strings.Index(url, "//")+2:]
		open := func(method, path string, body []byte) *Stream {
			r := get(url + path)
			r.Method, r.Body = method, body
			s, err := d.Open(t.Context(), r)
			if err != nil {
				t.Fatal(method, path, err)
			}
			t.Cleanup(func() { s.Close() })
			return s
		}
		big := bytes.Repeat([]byte("0123456789"), 30000) // more than any window
		s := open("POST", "/echo?a=b", big)
		if got, err := io.ReadAll(s); !bytes.Equal(got, big) || err != nil || s.Head.Header.Get("x-request") != "POST /echo?a=b "+host+" 300000" {
			t.Errorf("echo: %d bytes, %v, %v", len(got), err, s.Head)
		}
		if s.Timing.Written == 0 && spoken != HTTP11 { // there the answer may be complete before the writer has noted its time
			t.Error("nobody knows when the body was written")
		}
		s = open("HEAD", "/echo", nil)
		if got, err := io.ReadAll(s); len(got) != 0 || err != nil {
			t.Errorf("HEAD: %q, %v", got, err)
		}
		s = open("", "/hints", nil)
		if got, err := io.ReadAll(s); len(got) != 0 || err != nil || s.Head.Status != 204 || len(s.Interim) != 1 || s.Interim[0].Header.Get("link") != "</a>" {
			t.Errorf("hints: %q, %v, %v, %v", got, err, s.Head, s.Interim)
		}
		d.MaxRedirects = 5
		s = open("POST", "/redirect", []byte("x"))
		if _, err := io.ReadAll(s); err != nil || s.Head.Header.Get("x-request") != "GET /echo?to "+host+" 0" || s.URL.Path != "/echo" {
			t.Errorf("redirect: %v, %v, %s", err, s.Head, s.URL)
		}
		s = open("", "/abort", nil)
		_, err := io.ReadAll(s)
		var reset *ResetError
		if e := (*Error)(nil); !errors.As(err, &e) || e.Phase != PhaseBody || !errors.Is(err, io.ErrUnexpectedEOF) && !errors.As(err, &reset) {
			t.Errorf("abort: %v", err)
		}
		s = open("", "/hang", nil)
		s.SetReadDeadline(time.Now())
		if _, err := s.Read(make([]byte, 1)); err == nil {
			t.Error("content out of nothing")
		}
	})
}

// Many streams on one HTTP/2 connection, up to the peer's limit.
func TestPeerStreams(t *testing.T) {
	d, url := serve(t, H2C)
	c, err := d.Dial(t.Context(), get(url).URL)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var streams []*Stream
	for {
		s, err := c.Open(t.Context(), get(url+"/hang"))
		if errors.Is(err, ErrStreamLimit) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		streams = append(streams, s)
	}
	if uint32(len(streams)) != c.Peer().MaxConcurrentStreams || len(streams) < 100 {
		t.Errorf("%d streams; the peer's limit is %d", len(streams), c.Peer().MaxConcurrentStreams)
	}
	streams[7].Close()
	s, err := c.Open(t.Context(), get(url+"/events"))
	if err != nil {
		t.Fatal("a stream in the place of another:", err)
	}
	if got, err := io.ReadAll(s); len(got) != 120000+3*14 || err != nil {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if rtt, err := c.Ping(t.Context()); rtt <= 0 || err != nil {
		t.Errorf("ping %v, %v", rtt, err)
	}
}

func TestPeerTLSErrors(t *testing.T) {
	d, url := serve(t, HTTP11)
	var e *Error
	_, err := (&Dialer{}).Open(t.Context(), get(url))
	var unknown x509.UnknownAuthorityError
	if !errors.As(err, &e) || e.Phase != PhaseTLS || !errors.As(err, &unknown) {
		t.Errorf("a certificate nobody knows: %v", err)
	}
	srv := httptest.NewUnstartedServer(http.NotFoundHandler())
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.TLS = &tls.Config{} // no ALPN at all
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetHTTP1(true)
	srv.StartTLS()
	defer srv.Close()
	d.Proto, d.TLS = HTTP2, &tls.Config{InsecureSkipVerify: true}
	var pe *ProtoError
	_, err = d.Open(t.Context(), get(srv.URL))
	if !errors.As(err, &e) || e.Phase != PhaseTLS || !errors.As(err, &pe) {
		t.Errorf("HTTP/2 asked of a server without it: %v", err)
	}
	d.TLS.NextProtos = []string{"h2", "x"} // what is offered
	srv.TLS.NextProtos = []string{"x"}
	_, err = d.Open(t.Context(), get(srv.URL))
	if !errors.As(err, &e) || e.Phase != PhaseTLS || !errors.As(err, &pe) {
		t.Errorf("HTTP/2 asked of a server that picks another: %v", err)
	}
	srv.TLS.NextProtos, d.TLS.NextProtos = []string{"http/1.1"}, nil
	_, err = d.Open(t.Context(), get(srv.URL))
	if !errors.As(err, &e) || e.Phase != PhaseTLS || !errors.As(err, &pe) {
		t.Errorf("HTTP/2 asked of a server that only picks HTTP/1.1: %v", err)
	}
	d.Proto = Auto
	s, err := d.Open(t.Context(), get(srv.URL))
	if err != nil || s.Conn.Proto() != HTTP11 || s.Head.Status != 404 {
		t.Fatalf("auto: %v", err)
	}
	s.Close()
	// Plain HTTP asked of a TLS port, TLS of a plain one.
	d.Proto = HTTP11
	if s, err := d.Open(t.Context(), get(strings.Replace(srv.URL, "https", "http", 1))); err != nil || s.Head.Status != 400 {
		t.Errorf("HTTP to a TLS port: %v", err)
	} else {
		s.Close()
	}
	_, plain := serve(t, H2C)
	if _, err := d.Open(t.Context(), get(strings.Replace(plain, "http", "https", 1))); !errors.As(err, &e) || e.Phase != PhaseTLS {
		t.Errorf("TLS to a plain port: %v", err)
	}
}

// How a TLS peer ends the connection is told apart, and a message that only the close delimits is complete only with a close_notify.
func TestTLSEnds(t *testing.T) {
	srv := httptest.NewUnstartedServer(nil) // to borrow its certificate
	srv.StartTLS()
	cert := srv.TLS.Certificates[0]
	srv.Close()
	for name, c := range map[string]struct {
		answer string
		notify bool
		how    string
		want   error
	}{
		"close, notified":      {"HTTP/1.1 200 OK\r\n\r\nabc", true, "close_notify", nil},
		"close, not notified":  {"HTTP/1.1 200 OK\r\n\r\nabc", false, "FIN without close_notify", io.ErrUnexpectedEOF},
		"length, notified":     {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", true, "close_notify", nil},
		"length, not notified": {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", false, "FIN without close_notify", nil},
		"cut, notified":        {"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc", true, "close_notify", io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.d.TLS = &tls.Config{InsecureSkipVerify: true}
				o := w.open(w.t.Context(), get("https://es.test/"))
				p := w.accept()
				server := tls.Server(p.Conn, &tls.Config{Certificates: []tls.Certificate{cert}})
				go func() {
					io.ReadFull(server, make([]byte, len("GET / HTTP/1.1\r\nHost: es.test\r\n\r\n")))
					io.WriteString(server, c.answer)
					if c.notify {
						server.CloseWrite()
					}
					p.Close()
				}()
				s := o.stream()
				defer s.Close()
				got, err := io.ReadAll(s)
				if string(got) != "abc" || !errors.Is(err, c.want) {
					t.Errorf("%q, %v; wanted %v", got, err, c.want)
				}
				s.Listen(time.Now().Add(time.Second))
				if how, _ := s.Conn.Transcript().Closed(); how != c.how {
					t.Errorf("closed by %q", how)
				}
				var f *Fault
				if name == "close, not notified" != (errors.As(err, &f) && f.Code == FaultNoCloseNotify && len(s.Faults) == 1) {
					t.Errorf("error %v, faults %v", err, s.Faults)
				}
			})
		})
	}
}
