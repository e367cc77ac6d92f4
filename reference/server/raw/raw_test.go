package raw

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ssegauge/reference/server"
)

func TestMain(m *testing.M) {
	if name := os.Getenv(engineEnv); name != "" {
		fmt.Fprintln(os.Stderr, serveForBench(name))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// site is the engine on a socket, and a client of net/http for it.
type site struct {
	t      *testing.T
	srv    *server.Server
	client *http.Client
	base   string
	addr   string
	stop   context.CancelFunc
	done   chan error
}

// protos are what the engine speaks.
var protos = []string{"1.1", "h2c"}

func newSite(t *testing.T, proto string, cfg server.Config) *site {
	t.Helper()
	srv, err := server.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	tr := &http.Transport{Protocols: new(http.Protocols), DisableCompression: true}
	tr.Protocols.SetHTTP1(proto == "1.1")
	tr.Protocols.SetUnencryptedHTTP2(proto == "h2c")
	s := &site{t: t, srv: srv, client: &http.Client{Transport: tr}, base: "http://" + l.Addr().String(), addr: l.Addr().String(), stop: stop, done: make(chan error, 1)}
	go func() { s.done <- Serve(ctx, srv, l) }()
	t.Cleanup(func() {
		s.end()
		tr.CloseIdleConnections()
	})
	return s
}

// end stops the engine and waits for it.
func (s *site) end() {
	s.stop()
	select {
	case err := <-s.done:
		if err != nil {
			s.t.Error(err)
		}
		s.done <- nil
	case <-time.After(10 * time.Second):
		s.t.Error("the engine does not end")
	}
}

func (s *site) get(path string) *http.Response {
	s.t.Helper()
	res, err := s.client.Get(s.base + path)
	if err != nil {
		s.t.Fatal(err)
	}
	return res
}

func (s *site) text(path string) string {
	s.t.Helper()
	res := s.get(path)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(b)
}

func (s *site) publish(data string) {
	s.t.Helper()
	res, err := s.client.Post(s.base+"/publish", "application/json", strings.NewReader(`{"data":"`+data+`"}`))
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	if b, _ := io.ReadAll(res.Body); res.StatusCode != 200 {
		s.t.Fatalf("publish: %s %s", res.Status, b)
	}
}

// want reads lines of data until they are these.
func want(t *testing.T, r *bufio.Reader, data ...string) {
	t.Helper()
	for _, d := range data {
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatalf("%v; want %q", err, d)
			}
			if got, ok := strings.CutPrefix(line, "data: "); ok {
				if got != d+"\n" {
					t.Fatalf("%q, want %q", got, d)
				}
				break
			}
		}
	}
}

func TestEventsReachEachStream(t *testing.T) {
	for _, proto := range protos {
		t.Run(proto, func(t *testing.T) {
			s := newSite(t, proto, server.Config{})
			var readers []*bufio.Reader
			for range 20 {
				res := s.get("/events")
				defer res.Body.Close()
				readers = append(readers, bufio.NewReader(res.Body))
			}
			large := strings.Repeat("x", 300_000) // more than a frame, more than a window of 65,535
			for _, d := range []string{"one", "two", large, "three"} {
				s.publish(d)
			}
			for _, r := range readers {
				want(t, r, "one", "two", large, "three")
			}
			if st := s.srv.Stats(); st.Streams != 20 || st.Delivered != 80 || st.Cut != 0 {
				t.Errorf("%+v", st)
			}
			s.end() // on an event boundary
			for _, r := range readers {
				if rest, err := io.ReadAll(r); err != nil || strings.Trim(string(rest), "\n") != "" {
					t.Errorf("%q, %v", rest, err)
				}
			}
		})
	}
}

// Readers that stand still while more than the sockets hold is published, and then read: each event once, whole and in order.
func TestSocketsThatAreFull(t *testing.T) {
	for _, proto := range protos {
		t.Run(proto, func(t *testing.T) {
			const events, size = 400, 40_000
			s := newSite(t, proto, server.Config{History: 2 * events, HistoryBytes: 1 << 30})
			var slow []net.Conn
			for range 3 {
				nc, err := net.Dial("tcp", s.addr)
				if err != nil {
					t.Fatal(err)
				}
				defer nc.Close()
				if _, err := nc.Write(opening(proto, "h", 1)); err != nil {
					t.Fatal(err)
				}
				slow = append(slow, nc)
			}
			for s.srv.Stats().Streams < 3 {
				time.Sleep(time.Millisecond)
			}
			for i := range events {
				s.publish(fmt.Sprintf("%05d%s", i, strings.Repeat("x", size)))
			}
			if n := s.srv.Stats().Delivered; n >= 3*events {
				t.Skipf("the sockets hold it all")
			}
			for _, nc := range slow {
				var text []byte // what is left when the heads of frames and chunks are out of the way
				buf := make([]byte, 1<<20)
				for came, seen := 0, 0; came < events; {
					_ = nc.SetReadDeadline(time.Now().Add(20 * time.Second))
					n, err := nc.Read(buf)
					if err != nil {
						t.Fatalf("after %d events: %v", came, err)
					}
					text = append(text, buf[:n]...)
					for {
						i := bytes.Index(text[seen:], []byte("data: "))
						if i < 0 || len(text) < seen+i+11 {
							break
						}
						if got, want := string(text[seen+i+6:seen+i+11]), fmt.Sprintf("%05d", came); got != want {
							t.Fatalf("%s, want %s", got, want)
						}
						seen += i + 11
						came++
					}
				}
				for bytes.Count(text, []byte{'x'}) < events*size {
					n, err := nc.Read(buf)
					if err != nil {
						t.Fatal(err)
					}
					text = append(text, buf[:n]...)
				}
			}
			if st := s.srv.Stats(); st.Delivered != 3*events || st.Cut != 0 {
				t.Errorf("%+v", st)
			}
		})
	}
}

// A peer that asks, closes its side and reads late gets every answer.
func TestHalfClosed(t *testing.T) {
	const n = 20_000
	s := newSite(t, "1.1", server.Config{})
	nc, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	sent := make(chan error, 1)
	go func() {
		_, err := io.WriteString(nc, strings.Repeat("GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n", n))
		sent <- errors.Join(err, nc.(*net.TCPConn).CloseWrite())
	}()
	time.Sleep(50 * time.Millisecond) // so that the engine cannot write on; nothing is judged by it
	text, err := io.ReadAll(nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if got := bytes.Count(text, []byte("HTTP/1.1 200 OK")); got != n {
		t.Errorf("%d answers of %d", got, n)
	}
}

func TestRoutes(t *testing.T) {
	for _, proto := range protos {
		t.Run(proto, func(t *testing.T) {
			s := newSite(t, proto, server.Config{})
			for path, has := range map[string]string{
				"/stats": `"streams":0`, "/metrics": "# EOF", "/healthz": "ok", "/scenario/eol-lf": "--engine net", "/": "--engine net",
				"/tick?interval=1ms&count=3": `"seq":3`, "/tick?interval=x": "interval is neither",
			} {
				if text := s.text(path); !strings.Contains(text, has) {
					t.Errorf("%s: %q, want %q", path, text, has)
				}
			}
		})
	}
}

func TestFaultsAreRefused(t *testing.T) {
	srv, err := server.New(server.Config{Fault: "http/status"})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := Serve(t.Context(), srv, l); err == nil {
		t.Error("a fault was accepted")
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener: %v", err)
	}
}
