package engine_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ssegauge/loadgen/engine"
	"ssegauge/loadgen/measure"
	"ssegauge/loadgen/schedule"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The engines; every test runs with each.
var engines = map[string]engine.Engine{"portable": engine.Portable{}, "epoll": engine.Epoll{}}

// The protocols, each served by net/http.
var protocols = []wire.Proto{wire.HTTP11, wire.H2C, wire.HTTP2}

// each runs a test for every engine and protocol, with a server of the handler.
func each(t *testing.T, h http.HandlerFunc, test func(t *testing.T, e engine.Engine, target engine.Target)) {
	for name, e := range engines {
		for _, proto := range protocols {
			t.Run(name+"/"+proto.String(), func(t *testing.T) { test(t, e, serve(t, proto, h)) })
		}
	}
}

// serve starts a net/http server that speaks proto and nothing else.
func serve(t testing.TB, proto wire.Proto, h http.Handler) engine.Target {
	s := httptest.NewUnstartedServer(h)
	s.Config.Protocols = new(http.Protocols)
	s.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 10}
	target := engine.Target{Proto: proto}
	switch proto {
	case wire.HTTP11:
		s.Config.Protocols.SetHTTP1(true)
		s.Start()
	case wire.H2C:
		s.Config.Protocols.SetUnencryptedHTTP2(true)
		s.Start()
	case wire.HTTP2:
		s.Config.Protocols.SetHTTP2(true)
		s.EnableHTTP2 = true
		s.StartTLS()
		target.TLS = &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}
	}
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	target.Request = &wire.Request{URL: u, Header: wire.Header{{Name: "Accept", Value: "text/event-stream"}}}
	target.Addrs = []string{u.Host}
	return target
}

// unruly is a server that loses, doubles, reorders, closes and cuts at every byte, and remembers what it did.
type unruly struct {
	mu      sync.Mutex
	rand    *rand.Rand
	rules   rules
	streams []*subscriber
	conns   map[string]int // open streams by remote address
	most    int            // on one connection

	sent, lost, doubled, reordered, closed int
}

type rules struct{ lose, double, reorder, closing int } // percent

type subscriber struct {
	out    chan string
	held   string // goes out behind the next event
	closed bool
}

func (s *unruly) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	sub := &subscriber{out: make(chan string, 1000)}
	s.mu.Lock()
	s.streams = append(s.streams, sub)
	s.conns[r.RemoteAddr]++
	s.most = max(s.most, s.conns[r.RemoteAddr])
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.conns[r.RemoteAddr]--
		s.mu.Unlock()
	}()
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.WriteHeader(200)
	c := http.NewResponseController(w)
	c.Flush()
	for n := 0; ; {
		select {
		case <-r.Context().Done():
			return
		case text, ok := <-sub.out:
			if !ok {
				return
			}
			// Most events in two pieces, with the cut at every place in turn; some byte by byte.
			cuts := []int{n % len(text)}
			if n%8 == 0 {
				cuts = cuts[:0]
				for i := range len(text) {
					cuts = append(cuts, i)
				}
			}
			n++
			for from := 0; from < len(text); {
				to := len(text)
				for _, i := range cuts {
					if i > from {
						to = i
						break
					}
				}
				fmt.Fprint(w, text[from:to])
				c.Flush()
				from = to
			}
		}
	}
}

// publish sends an event to all subscribers by the rules.
func (s *unruly) publish(n int, marker string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// The marker stands in the data, the id or the type; with every line ending.
	text := []string{
		"data: {\"n\": \"" + marker + "\", \"again\": \"" + marker + "\"}\n\n",
		"id: " + marker + "\r\ndata: x\r\ndata: y\r\n\r\n",
		"event: " + marker + "\rdata: é\r\r",
		": c\nretry: 10\ndata:" + marker + "\n\n",
	}[n%4]
	chance := func(percent int) bool { return s.rand.IntN(100) < percent }
	for _, sub := range s.streams {
		if sub.closed {
			continue
		}
		switch {
		case sub.held == "" && chance(s.rules.lose):
			s.lost++
			continue
		case sub.held == "" && chance(s.rules.reorder):
			sub.held = text
			continue
		}
		sub.out <- text
		s.sent++
		if sub.held != "" {
			sub.out <- sub.held
			sub.held = ""
			s.sent++
			s.reordered++
		}
		if chance(s.rules.double) {
			sub.out <- text
			s.sent++
			s.doubled++
		}
		if chance(s.rules.closing) {
			close(sub.out)
			sub.closed = true
			s.closed++
		}
	}
}

// release sends what is held back, as nothing comes any more that it could go behind.
func (s *unruly) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sub := range s.streams {
		if sub.held != "" {
			sub.out <- sub.held
			sub.held = ""
			s.sent++
		}
	}
}

// What the engine counts of a server that loses, doubles, reorders, closes and cuts at every byte is exactly what the server says it did.
func TestUnruly(t *testing.T) {
	const streams, losingEvents, closingEvents = 24, 40, 20
	for name, e := range engines {
		for _, proto := range protocols {
			t.Run(name+"/"+proto.String(), func(t *testing.T) {
				t.Parallel()
				s := &unruly{rand: rand.New(rand.NewPCG(1, uint64(proto))), conns: map[string]int{}}
				target := serve(t, proto, s)
				b := measure.NewBoard(measure.Config{
					Epoch: time.Now(), Workers: 2, Marker: measure.NewMarker("t"), Start: 1500 * time.Millisecond,
					Events: schedule.Ramp{{To: losingEvents, Over: time.Second}, {To: losingEvents, Over: 6 * time.Second}, {To: losingEvents + closingEvents, Over: 500 * time.Millisecond}},
					Settle: time.Millisecond, Deadline: 4 * time.Second,
				})
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan struct{})
				go func() {
					defer close(done)
					e.Run(ctx, &engine.Job{
						Targets: []engine.Target{target}, Openings: schedule.Linear(streams, 100*time.Millisecond),
						StreamsPerConn: 100, Timeout: 10 * time.Second, Board: b,
					})
				}()
				publish := func(from, to int) {
					for n := from; n < to; n++ {
						marker, intended, _ := b.Begin(uint32(n))
						time.Sleep(time.Duration(intended - b.Now()))
						b.Sent(uint32(n), b.Now())
						s.publish(n, marker)
						b.Done(uint32(n), b.Now(), measure.Published, "")
					}
					s.release()
				}
				settle := func() {
					for end := time.Now().Add(8 * time.Second); !b.Settled() && time.Now().Before(end); {
						time.Sleep(20 * time.Millisecond)
						b.Tick()
					}
				}
				s.rules = rules{lose: 5, double: 5, reorder: 10}
				publish(0, losingEvents)
				settle() // what is lost is lost before anything closes
				s.rules = rules{closing: 3}
				publish(losingEvents, losingEvents+closingEvents)
				settle()
				b.Finish()
				cancel()
				<-done
				var l result.Load
				b.Fill(&l)
				want := result.Events{
					Published: losingEvents + closingEvents, Received: int64(s.sent), Eligible: int64(s.sent - s.doubled + s.lost),
					Lost: int64(s.lost), Duplicated: int64(s.doubled), Reordered: int64(s.reordered), Bytes: l.Events.Bytes,
				}
				if l.Events != want {
					t.Errorf("events: got  %+v\nwant %+v\ndeliver max %v us, publish lag max %v us", l.Events, want, *l.LatencyUS["deliver"].Max, *l.LatencyUS["sched_lag"].Max)
				}
				wantFindings(t, l.Findings, "delivery/burst fail")
				least, most := streams, streams
				if proto != wire.HTTP11 {
					least, most = 3, 6 // the peer allows 10 streams each, and says so while they are being opened
				}
				if got := l.Streams; got.Opened != streams || got.Failed != 0 || got.Connections < least || got.Connections > most || got.ClosedByServer != s.closed || got.Failures["closed: end of response"] != s.closed {
					t.Errorf("streams: %+v, want %d on %d to %d connections, closed %d", got, streams, least, most, s.closed)
				}
				if proto != wire.HTTP11 && s.most > 10 {
					t.Errorf("%d streams on one connection, the peer allows 10", s.most)
				}
				if s.lost == 0 || s.doubled == 0 || s.reordered == 0 || s.closed == 0 {
					t.Errorf("the server was too well behaved: %+v", s)
				}
			})
		}
	}
}

// job runs n openings to the end and returns what was recorded.
func job(t *testing.T, e engine.Engine, target engine.Target, n int, timeout time.Duration) result.Load {
	t.Helper()
	b := measure.NewBoard(measure.Config{Epoch: time.Now(), Workers: 2})
	e.Run(t.Context(), &engine.Job{
		Targets: []engine.Target{target}, Openings: schedule.Linear(n, 0), Burst: true, StreamsPerConn: 100, Timeout: timeout, Board: b,
	})
	b.Finish()
	var l result.Load
	b.Fill(&l)
	return l
}

// count adds up the failures of a cause, in whichever phase if none is named.
func count(failures map[string]int, cause string) (n int) {
	for c, k := range failures {
		if c == cause || strings.HasSuffix(c, ": "+cause) {
			n += k
		}
	}
	return n
}

// Every way in which a stream can fail or end has its cause, and a job whose streams have all ended is over.
func TestCauses(t *testing.T) {
	stream := func(w http.ResponseWriter) *http.ResponseController {
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(200)
		c := http.NewResponseController(w)
		c.Flush()
		return c
	}
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
		cause   map[wire.Proto]string // 0: of all protocols
		opened  bool
	}{
		{"status", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "full", http.StatusServiceUnavailable) }, map[wire.Proto]string{0: "head: status 503"}, false},
		{"no content", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) }, map[wire.Proto]string{0: "head: status 204"}, false},
		{"page", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "<!doctype html>") }, map[wire.Proto]string{0: "head: content type text/html"}, false},
		{"gzip", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			stream(w)
		}, map[wire.Proto]string{0: "head: content encoding gzip"}, false},
		{"silent", func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, map[wire.Proto]string{0: "timeout"}, false},
		{
			"aborted head", func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) },
			map[wire.Proto]string{wire.HTTP11: "head: connection closed", wire.H2C: "h2: INTERNAL_ERROR", wire.HTTP2: "h2: INTERNAL_ERROR"},
			false,
		},
		{"ends", func(w http.ResponseWriter, r *http.Request) { stream(w) }, map[wire.Proto]string{0: "closed: end of response"}, true},
		{
			"aborted body", func(w http.ResponseWriter, r *http.Request) { stream(w); panic(http.ErrAbortHandler) },
			map[wire.Proto]string{wire.HTTP11: "closed: cut short", wire.H2C: "closed: h2: INTERNAL_ERROR", wire.HTTP2: "closed: h2: INTERNAL_ERROR"},
			true,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, c.handler, func(t *testing.T, e engine.Engine, target engine.Target) {
				const n = 7
				patience := time.Minute // of a machine that is busy with other things
				if c.name == "silent" {
					patience = 300 * time.Millisecond
				}
				l := job(t, e, target, n, patience)
				cause := c.cause[0]
				if cause == "" {
					cause = c.cause[target.Proto]
				}
				opened := 0
				if c.opened {
					opened = n
				}
				s := l.Streams
				if s.Opened != opened || s.Failed != n-opened || s.ClosedByServer != opened || len(s.Failures) != 1 && c.name != "silent" || count(s.Failures, cause) != n {
					t.Errorf("%+v, want %d opened and %d times %q", s, opened, n, cause)
				}
			})
		})
	}
}

// What goes wrong before HTTP is spoken.
func TestConnectCauses(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	l.Close()
	plain := serve(t, wire.HTTP11, http.NotFoundHandler())
	for name, e := range engines {
		for _, c := range []struct {
			addr   string
			proto  wire.Proto
			tls    bool
			causes []string
		}{
			{nobody, wire.HTTP11, false, []string{"connect: connection refused"}},
			{nobody, wire.H2C, false, []string{"connect: connection refused"}},
			{plain.Addrs[0], wire.HTTP2, true, []string{"tls: no handshake"}},
			{plain.Addrs[0], wire.H2C, false, []string{"h2: the peer does not speak HTTP/2"}},
		} {
			target := engine.Target{Request: plain.Request, Proto: c.proto, Addrs: []string{c.addr}}
			if c.tls {
				target.TLS = &tls.Config{ServerName: "localhost", NextProtos: []string{"h2"}}
			}
			l := job(t, e, target, 5, time.Minute)
			n := 0
			for cause, k := range l.Streams.Failures {
				if slices.Contains(c.causes, cause) {
					n += k
				}
			}
			if l.Streams.Failed != 5 || n != 5 {
				t.Errorf("%s: %+v, want 5 of %q", name, l.Streams, c.causes)
			}
		}
	}
}
