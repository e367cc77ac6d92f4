package limits

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ssegauge/reference/server"
)

// gate lets so many in at one time, of one address and of all.
type gate struct {
	each, all int           // 0: any number
	holds     time.Duration // how long after its end a place is free again
	every     time.Duration // not 0: instead of all this one opening in so long

	mu    sync.Mutex
	in    map[string]int
	total int
	next  time.Time
}

func (g *gate) enter(addr string) bool {
	host, _, _ := net.SplitHostPort(addr)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.every > 0 {
		// A bucket of five.
		now := time.Now()
		if g.next.Before(now.Add(-5 * g.every)) {
			g.next = now.Add(-5 * g.every)
		}
		if g.next.After(now) {
			return false
		}
		g.next = g.next.Add(g.every)
		return true
	}
	if g.each > 0 && g.in[host] >= g.each || g.all > 0 && g.total >= g.all {
		return false
	}
	if g.in == nil {
		g.in = map[string]int{}
	}
	g.in[host]++
	g.total++
	return true
}

func (g *gate) leave(addr string) {
	host, _, _ := net.SplitHostPort(addr)
	if g.every > 0 {
		return
	}
	time.AfterFunc(g.holds, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.in[host]--
		g.total--
	})
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !g.enter(r.RemoteAddr) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	defer g.leave(r.RemoteAddr)
	endless(w, r)
}

// seat is a connection that has a place.
type seat struct {
	net.Conn
	leave func()
}

func (s *seat) Close() error {
	s.leave()
	return s.Conn.Close()
}

// turnstile keeps g at the door: who is not let in meets refuse.
func turnstile(g *gate, refuse func(net.Conn)) func(*town, *Config) {
	return func(n *town, _ *Config) {
		n.door = func(c net.Conn) {
			addr := c.RemoteAddr().String()
			if !g.enter(addr) {
				go refuse(c)
				return
			}
			_ = n.pass(context.Background(), &seat{c, sync.OnceFunc(func() { g.leave(addr) })})
		}
	}
}

// hang reads, and never answers.
func hang(c net.Conn) {
	_, _ = io.Copy(io.Discard, c)
	_ = c.Close()
}

// shut reads the request and says nothing.
func shut(c net.Conn) {
	_, _ = c.Read(make([]byte, 1000))
	_ = c.Close()
}

// mortal ends all streams as soon as there are so many, and serves no others.
type mortal struct {
	most int

	once sync.Once
	over chan struct{}
	in   atomic.Int64
}

func (m *mortal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.once.Do(func() { m.over = make(chan struct{}) })
	switch n := m.in.Add(1); {
	case n == int64(m.most)+1: // one was the contact's
		close(m.over)
		fallthrough
	case n > int64(m.most):
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	go func() {
		select {
		case <-m.over:
			cancel()
		case <-ctx.Done():
		}
	}()
	endless(w, r.WithContext(ctx))
}

func TestPerClient(t *testing.T) {
	for _, tt := range []struct {
		name string
		h    func() http.Handler
		set  func(*town, *Config)
		want string
		says string
	}{
		{"none", planted(server.Config{}), nil, "none 100", "all of 100"},
		{"reference", planted(server.Config{MaxStreamsPerIP: 20}), nil, "found 20", "503 Service Unavailable, Retry-After: 5"},
		{"one", handler(&gate{each: 1}), nil, "found 1", "429 Too Many Requests, Retry-After: 7"},
		{"overall", handler(&gate{all: 30}), nil, "none 30", "all streams together"},
		{"both", handler(&gate{each: 20, all: 33}), nil, "found 20", "14th was refused, 33 streams being open in all"},
		{"slow", handler(&gate{each: 20, holds: 15 * time.Second}), nil, "found 20", "free again after 1"},
		{"slow overall", handler(&gate{all: 20, holds: 15 * time.Second}), nil, "none 20", "all streams together"},
		{"overall, late", handler(&gate{all: 20, holds: 2730 * time.Millisecond}), nil, "none 20", "all streams together"},
		{"pace", handler(&gate{every: time.Second}), nil, "undecided", "pace"},
		{"slow pace", handler(&gate{every: 10 * time.Second}), nil, "undecided", "by time"},
		{"closed", planted(server.Config{}), turnstile(&gate{each: 7}, shut), "found 7", "connection was closed"},
		{"hanging", planted(server.Config{}), turnstile(&gate{each: 7}, hang), "found 7", "not answered in time"},
		{"hanging overall", planted(server.Config{}), turnstile(&gate{all: 7}, hang), "none 7", "not answered in time"},
		{"mortal", handler(&mortal{most: 9}), nil, "undecided", "0 of 8 streams from one address were left when others ended by themselves"},
		{"slow heads", handler(after(4 * time.Second)), nil, "none 100", "all of 100"},
		{"one address", handler(&gate{each: 20}), func(_ *town, c *Config) { c.Plan.Sources = c.Plan.Sources[:1] }, "undecided --source", "20 streams from one address"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := probed(t, "per-client", tt.h, tt.set)[perClientID]
			is(t, l, tt.want)
			if !strings.Contains(l.Evidence, tt.says) {
				t.Errorf("the evidence does not say %q", tt.says)
			}
		})
	}
}
