package server

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pipeListener is a listener in memory: Dial makes one end of a net.Pipe, which holds no byte: what the client does not read blocks
// the server at once.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *pipeListener) Dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// world is a server and a client, net/http's own, connected in memory.
type world struct {
	*Server
	t      *testing.T
	l      *pipeListener
	client *http.Client
	base   string
	done   chan error
	stop   context.CancelFunc
}

// newWorld starts a server that speaks proto: "1.1", "h2c" or "h2".
func newWorld(t *testing.T, proto string, cfg Config) *world {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &world{Server: s, t: t, l: newPipeListener(), base: "http://host", done: make(chan error, 1), stop: cancel}
	var protocols http.Protocols
	tr := &http.Transport{DialContext: w.l.Dial, Protocols: &protocols, DisableCompression: true}
	var config *tls.Config
	switch proto {
	case "1.1":
		protocols.SetHTTP1(true)
	case "h2c":
		protocols.SetUnencryptedHTTP2(true)
	case "h2":
		protocols.SetHTTP2(true)
		cert, err := SelfSigned("host")
		if err != nil {
			t.Fatal(err)
		}
		config = &tls.Config{Certificates: []tls.Certificate{cert}}
		leaf, err := x509.ParseCertificate(cert.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		trusted := x509.NewCertPool()
		trusted.AddCert(leaf)
		tr.TLSClientConfig = &tls.Config{RootCAs: trusted}
		w.base = "https://host"
	}
	w.client = &http.Client{Transport: tr}
	go func() { w.done <- s.Serve(ctx, w.l, config) }()
	t.Cleanup(func() {
		cancel()
		if err := <-w.done; err != nil {
			t.Errorf("Serve: %v", err)
		}
		tr.CloseIdleConnections()
	})
	return w
}

// do sends a request with fields "K: V".
func (w *world) do(ctx context.Context, method, path, body string, fields ...string) *http.Response {
	w.t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, w.base+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range fields {
		k, v, _ := strings.Cut(f, ": ")
		req.Header.Add(k, v)
	}
	res, err := w.client.Do(req)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	return res
}

// text is the whole body of a finite answer.
func (w *world) text(res *http.Response) string {
	w.t.Helper()
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatalf("body: %v", err)
	}
	return string(b)
}

func (w *world) publish(channel, data string) string {
	w.t.Helper()
	res := w.do(w.t.Context(), "POST", "/publish?channel="+channel, `{"data":"`+data+`"}`, "Content-Type: application/json")
	text := w.text(res)
	if res.StatusCode != 200 {
		w.t.Fatalf("publish: %d %s", res.StatusCode, text)
	}
	_, rest, _ := strings.Cut(text, `"id":"`)
	id, _, _ := strings.Cut(rest, `"`)
	return id
}

// event is one block as the test's own reader sees it, which knows no more than it needs: LF, one space, the four fields.
type event struct{ id, name, data, retry, comment string }

type reader struct {
	t      *testing.T
	body   io.ReadCloser
	r      *bufio.Reader
	cancel context.CancelFunc
}

// stream opens path and skips the block that tells retry.
func (w *world) stream(path string, fields ...string) *reader {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	res := w.do(ctx, "GET", path, "", append(fields, "Accept: text/event-stream")...)
	if res.StatusCode != 200 {
		w.t.Fatalf("GET %s: %d %s", path, res.StatusCode, w.text(res))
	}
	r := &reader{t: w.t, body: res.Body, r: bufio.NewReader(res.Body), cancel: cancel}
	if e, err := r.next(); err != nil || e.retry == "" {
		w.t.Fatalf("first block: %+v, %v; want retry", e, err)
	}
	return r
}

func (r *reader) next() (e event, err error) {
	var data []string
	for {
		line, err := r.r.ReadString('\n')
		if err != nil {
			if line != "" || e != (event{}) || data != nil {
				r.t.Errorf("the stream ended inside an event: %+v %q", e, line)
			}
			return e, err
		}
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			e.data = strings.Join(data, "\n")
			return e, nil
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "":
			e.comment = value
		case "id":
			e.id = value
		case "event":
			e.name = value
		case "data":
			data = append(data, value)
		case "retry":
			e.retry = value
		default:
			r.t.Errorf("unknown field %q", line)
		}
	}
}

func (r *reader) want(data string) event {
	r.t.Helper()
	e, err := r.next()
	if err != nil || e.data != data {
		r.t.Fatalf("got %+v, %v; want data %q", e, err, data)
	}
	return e
}

func (r *reader) close() {
	r.cancel()
	_ = r.body.Close()
}

var protos = []string{"1.1", "h2c", "h2"}

func TestStreamHead(t *testing.T) {
	for _, proto := range protos {
		t.Run(proto, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, proto, Config{})
				start := time.Now()
				for _, method := range []string{"GET", "HEAD"} {
					ctx, cancel := context.WithCancel(t.Context())
					res := w.do(ctx, method, "/events", "")
					if res.StatusCode != 200 || time.Since(start) != 0 {
						t.Errorf("%s: %d after %v", method, res.StatusCode, time.Since(start))
					}
					for k, v := range map[string]string{
						"Content-Type": "text/event-stream", "Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no",
						"Access-Control-Allow-Origin": "*", "Vary": "Accept-Encoding", "Connection": "", "Content-Encoding": "", "Content-Length": "",
					} {
						if got := res.Header.Get(k); got != v {
							t.Errorf("%s: %s is %q, want %q", method, k, got, v)
						}
					}
					if method == "HEAD" {
						if body := w.text(res); body != "" {
							t.Errorf("HEAD has a body: %q", body)
						}
					}
					cancel()
					res.Body.Close()
				}
				synctest.Wait()
				if n := w.Stats().Streams; n != 0 {
					t.Errorf("%d streams are still counted", n)
				}
			})
		})
	}
}

func TestPublishReachesEachSubscriber(t *testing.T) {
	for _, proto := range protos {
		t.Run(proto, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, proto, Config{})
				a, b, other := w.stream("/events?channel=x"), w.stream("/events?channel=x"), w.stream("/events?channel=y")
				id := w.publish("x", `one\ntwo`)
				for _, r := range []*reader{a, b} {
					if e := r.want("one\ntwo"); e.id != id {
						t.Errorf("id %q, published as %q", e.id, id)
					}
				}
				w.publish("y", "else")
				other.want("else")
				for _, r := range []*reader{a, b, other} {
					r.close()
				}
			})
		})
	}
}

func TestHeartbeatOnlyWhenQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "1.1", Config{})
		r := w.stream("/events")
		start := time.Now()
		go func() {
			time.Sleep(10 * time.Second)
			w.publish("default", "data")
		}()
		r.want("data")
		for i := 1; i <= 3; i++ {
			e, err := r.next()
			if want := time.Duration(10+15*i) * time.Second; err != nil || e.comment == "" || time.Since(start) != want {
				t.Fatalf("after %v: %+v, %v; want a comment after %v", time.Since(start), e, err, want)
			}
		}
		r.close()
	})
}

func TestTickDoesNotDrift(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "1.1", Config{Heartbeat: -1})
		r := w.stream("/tick?interval=100ms&size=200")
		start := time.Now()
		for n := range 1000 {
			if n == 500 { // a reader that pauses delays what comes then, not what comes after
				time.Sleep(250 * time.Millisecond)
			}
			e, err := r.next()
			if err != nil || len(e.data) != 200 {
				t.Fatalf("tick %d: %+v, %v", n, e, err)
			}
			if at, due := time.Since(start), time.Duration(n+1)*100*time.Millisecond; at != due && (n < 500 || n > 502) {
				t.Fatalf("tick %d came at %v, due at %v", n+1, at, due)
			}
		}
		r.close()
	})
}

func TestTickCountAndResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "h2c", Config{})
		read := func(r *reader, n int) (got []event) {
			t.Helper()
			for range n {
				e, err := r.next()
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, e)
			}
			return got
		}
		// Finite: the first at once, the last is the end, and after that there is nothing.
		start := time.Now()
		all := w.stream("/tick?count=5&interval=1000")
		five := read(all, 5)
		if _, err := all.next(); err != io.EOF || time.Since(start) != 4*time.Second {
			t.Errorf("after the last: %v after %v", err, time.Since(start))
		}
		all.close()
		res := w.do(t.Context(), "GET", "/tick?count=5&interval=1000", "", "Last-Event-ID: "+five[4].id)
		if w.text(res); res.StatusCode != 204 {
			t.Errorf("status %d, want 204", res.StatusCode)
		}
		// What was missed comes at once and is what it was; what is due comes then.
		some := w.stream("/tick?count=5&interval=1s", "Last-Event-ID: "+five[1].id)
		start = time.Now()
		if got := read(some, 3); !slices.Equal(got, five[2:]) || time.Since(start) != 0 {
			t.Errorf("%+v after %v, want %+v", got, time.Since(start), five[2:])
		}
		some.close()
		// Endless: the same events for everyone.
		a, b := w.stream("/tick?interval=1s"), w.stream("/tick?interval=1s")
		four := read(a, 4)
		if got := read(b, 4); !slices.Equal(got, four) || !strings.Contains(four[0].data, `"sent_ns":946684`) {
			t.Errorf("%+v and %+v", four, got)
		}
		c := w.stream("/tick?interval=1s", "Last-Event-ID: "+four[0].id)
		if got := read(c, 3); !slices.Equal(got, four[1:]) {
			t.Errorf("%+v, want %+v", got, four[1:])
		}
		for _, r := range []*reader{a, b, c} {
			r.close()
		}
		for _, q := range []string{"interval=0", "interval=2h", "interval=x", "interval=-1s", "size=-1", "size=2000000", "size=x", "count=-1", "event=a%0ab"} {
			res := w.do(t.Context(), "GET", "/tick?"+q, "")
			if text := w.text(res); res.StatusCode != 400 || strings.Count(text, "\n") != 1 {
				t.Errorf("%s: %d %q", q, res.StatusCode, text)
			}
		}
	})
}

func TestShutdownEndsOnABoundary(t *testing.T) {
	for _, proto := range protos {
		t.Run(proto, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, proto, Config{})
				r := w.stream("/tick?interval=10ms&size=10000")
				quiet := w.stream("/events")
				time.AfterFunc(105*time.Millisecond, w.stop)
				n := 0
				for ; ; n++ {
					if _, err := r.next(); err == io.EOF {
						break
					} else if err != nil {
						t.Fatalf("after %d events: %v", n, err)
					}
				}
				if n != 10 {
					t.Errorf("%d events, want 10", n)
				}
				if _, err := quiet.next(); err != io.EOF {
					t.Errorf("quiet stream: %v", err)
				}
			})
		})
	}
}

func TestShutdownIsBounded(t *testing.T) {
	for _, proto := range []string{"1.1", "h2c"} {
		t.Run(proto, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, proto, Config{})
				r := w.stream("/tick?interval=10ms&size=1000000") // never read
				time.Sleep(time.Second)
				start := time.Now()
				w.stop()
				w.done <- <-w.done
				if d := time.Since(start); d > DefaultShutdownTimeout+time.Second {
					t.Errorf("shutdown took %v", d)
				}
				r.close()
			})
		})
	}
}

func TestSlowReaderIsCutAndHurtsNobody(t *testing.T) {
	for _, proto := range []string{"1.1", "h2c"} {
		t.Run(proto, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, proto, Config{Queue: 10, History: 1000, HistoryBytes: 1 << 30})
				stuck := w.stream("/events")
				r := w.stream("/events")
				payload := strings.Repeat("x", 100_000)
				start := time.Now()
				for i := range 60 { // more than the window of an HTTP/2 stream of this client, 4 MiB
					w.publish("default", payload)
					r.want(payload)
					if time.Since(start) != 0 {
						t.Fatalf("event %d took %v", i, time.Since(start))
					}
				}
				go r.next() // a reader that reads, as the end of the chunk is still to come
				time.Sleep(DefaultWriteTimeout + time.Second)
				synctest.Wait()
				if st := w.Stats(); st.Cut != 1 || st.Streams != 1 {
					t.Errorf("%d cut, %d open; want 1 and 1", st.Cut, st.Streams)
				}
				r.close()
				stuck.close()
			})
		})
	}
}

func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "1.1", Config{MaxStreams: 2})
		refused := func() {
			t.Helper()
			res := w.do(t.Context(), "GET", "/tick", "")
			if w.text(res); res.StatusCode != 503 || res.Header.Get("Retry-After") == "" || res.Header.Get("Access-Control-Allow-Origin") != "*" ||
				strings.Contains(res.Header.Get("Content-Type"), "event-stream") {
				t.Errorf("%d %v", res.StatusCode, res.Header)
			}
		}
		a, b := w.stream("/events"), w.stream("/tick")
		refused()
		if res := w.do(t.Context(), "HEAD", "/events", ""); res.StatusCode != 200 {
			t.Errorf("HEAD: %d", res.StatusCode)
		}
		a.close()
		synctest.Wait()
		// An answer that is no stream is not counted, and a stream that ends by itself is given back.
		w.text(w.do(t.Context(), "GET", "/events", "", "Accept: text/html"))
		w.text(w.do(t.Context(), "GET", "/tick?count=1", ""))
		w.text(w.do(t.Context(), "GET", "/scenario/eol-lf", ""))
		c := w.stream("/events")
		refused()
		b.close()
		c.close()
		synctest.Wait()
		if st := w.Stats(); st.Streams != 0 || st.Refused != 2 {
			t.Errorf("%d open, %d refused", st.Streams, st.Refused)
		}
	})
}

func TestLimitByAddress(t *testing.T) {
	l := &limiter{perIP: 1, byIP: map[string]int{}}
	for _, step := range []struct {
		addr string
		ok   bool
	}{{"a", true}, {"a", false}, {"b", true}} {
		if err := l.enter(step.addr); (err == nil) != step.ok {
			t.Errorf("%s: %v", step.addr, err)
		}
	}
	l.leave("a")
	if l.enter("a") != nil || len(l.byIP) != 2 {
		t.Error("a does not come in again")
	}
	l.leave("a")
	l.leave("b")
	if len(l.byIP) != 0 || l.streams() != 0 {
		t.Errorf("%v is left", l.byIP)
	}
}
