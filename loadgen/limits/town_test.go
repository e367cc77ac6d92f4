package limits

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"ssegauge/loadgen/plan"
	"ssegauge/reference/publish"
	"ssegauge/reference/server"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// town is pipes that know who comes, and a door.
type town struct {
	*pipes
	door func(net.Conn) // what becomes of a connection before the server has it; nil: the server has it
	port atomic.Int64   // that the last connection came from
}

// at is a connection that knows who it comes from.
type at struct {
	net.Conn
	from net.Addr
}

func (c at) RemoteAddr() net.Addr { return c.from }

func (n *town) from(a netip.Addr) dialFunc {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		mine, theirs := net.Pipe()
		c := at{theirs, &net.TCPAddr{IP: a.AsSlice(), Port: int(n.port.Add(1))}}
		if n.door != nil {
			n.door(c)
			return mine, nil
		}
		return mine, n.pass(ctx, c)
	}
}

// pass lets a connection to the server.
func (n *town) pass(ctx context.Context, c net.Conn) error {
	select {
	case n.accepted <- c:
		return nil
	case <-n.closed:
		return syscall.ECONNREFUSED
	case <-ctx.Done():
		return ctx.Err()
	}
}

// probed runs one probe against the handler that is made in its bubble, with an hour's budget of a time that takes none, and returns what it found by id.
func probed(t *testing.T, name string, built func() http.Handler, set func(*town, *Config)) map[string]result.Limit {
	t.Helper()
	out := map[string]result.Limit{}
	synctest.Test(t, func(t *testing.T) {
		n := &town{pipes: newPipes()}
		home := netip.MustParseAddr("10.0.0.1")
		u, _ := url.Parse("http://town.test/events")
		c := Config{Probes: []string{name}, Budget: time.Hour, Streams: 100}
		c.Plan = plan.Plan{
			Targets: []plan.Target{{Request: &wire.Request{URL: u}, Dialer: &wire.Dialer{NetDial: n.from(home), HeadTimeout: 30 * time.Second}}},
			Sources: []string{"10.0.0.1", "10.0.0.2"},
		}
		if set != nil {
			set(n, &c)
		}
		served := make(chan struct{})
		ctx, stop := context.WithCancel(t.Context())
		go func() {
			defer close(served)
			serve(ctx, n, built())
		}()
		s, err := New(ctx, c)
		if err != nil {
			t.Fatal(err)
		}
		s.target.bind = n.from
		found, err := s.Run(ctx, func(p Progress) { t.Logf("%s: %s", p.Probe, p.Note) })
		if err != nil {
			t.Error(err)
		}
		if c.Publisher != nil {
			c.Publisher.Close()
		}
		stop()
		<-served
		time.Sleep(time.Hour) // whoever waits for something is woken
		for _, l := range found.Limits {
			out[l.ID] = l
		}
	})
	return out
}

// serve runs h, or the reference server where h is one, until ctx is done.
func serve(ctx context.Context, n *town, h http.Handler) {
	if s, ok := h.(*reference); ok {
		_ = s.Serve(ctx, n, nil)
		return
	}
	var both http.Protocols
	both.SetHTTP1(true)
	both.SetUnencryptedHTTP2(true)
	hs := &http.Server{Handler: h, Protocols: &both}
	go func() {
		<-ctx.Done()
		hs.Close()
	}()
	_ = hs.Serve(n)
	n.Close()
}

// reference is the reference server as a handler.
type reference struct {
	*server.Server
	http.Handler
}

func planted(c server.Config) func() http.Handler {
	return func() http.Handler {
		s, err := server.New(c)
		if err != nil {
			panic(err)
		}
		return &reference{s, s.Handler()}
	}
}

// handler makes h what a table can hold beside planted.
func handler(h http.Handler) func() http.Handler { return func() http.Handler { return h } }

// hooked lets the probes publish to the town's server.
func hooked(t *testing.T) func(*town, *Config) {
	return func(n *town, c *Config) {
		p, err := publish.Compile(publish.Hook{
			HTTP: "POST http://town.test/publish", Body: `{"data":{{json .Data}}}`,
			Transport: &http.Transport{DialContext: n.from(netip.MustParseAddr("10.9.9.9"))},
		})
		if err != nil {
			t.Fatal(err)
		}
		c.Publisher = p
	}
}

// endless is a stream that says hello and stays open.
func endless(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = io.WriteString(w, ": hello\n\n")
	http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

// after is endless with heads that take so long.
func after(d time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(d):
			endless(w, r)
		case <-r.Context().Done():
		}
	}
}

// is fails the test unless the limit is what is wanted: "found 20", "found 3 to 5", "none 40", "undecided", "undecided --source".
func is(t *testing.T, l result.Limit, want string) {
	t.Helper()
	got := l.Verdict
	switch {
	case l.Verdict == result.LimitUndecided && l.DecidedBy != "":
		got += " " + l.DecidedBy
	case l.Low != nil && l.High != nil && *l.Low != *l.High:
		got += fmt.Sprintf(" %g to %g", *l.Low, *l.High)
	case l.Low != nil:
		got += fmt.Sprintf(" %g", *l.Low)
	}
	t.Logf("%s: %s: %s", l.ID, got, l.Evidence)
	if got != want {
		t.Errorf("%s: %s, want %s: %s", l.ID, got, want, l.Evidence)
	}
}
