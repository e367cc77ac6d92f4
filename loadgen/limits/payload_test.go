package limits_test

import (
	"cmp"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ssegauge/loadgen/limits"
	"ssegauge/loadgen/plan"
	"ssegauge/reference/publish"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// feed is one stream of a planted server.
type feed struct {
	w      http.ResponseWriter
	asked  http.Header
	events chan string // what to send next, as data
	gone   <-chan struct{}
	conn   *counted // nil where connections are not counted
}

// next gives what to send, until the client has gone.
func (f *feed) next(yield func(data string) bool) {
	for {
		select {
		case data := <-f.events:
			if !yield(data) {
				return
			}
		case <-f.gone:
			return
		}
	}
}

// event sends an event, at once.
func (f *feed) event(data string) {
	io.WriteString(f.w, "data: "+data+"\n\n")
	f.flush()
}

func (f *feed) flush() { http.NewResponseController(f.w).Flush() }

// planted is a server in memory: it hands what is published to every stream.
type planted struct {
	accept func(data string) int // status of the answer to a publish; nil: 200
	head   func(w http.ResponseWriter, r *http.Request)
	queue  int           // of each stream; 0: 4,096 events
	full   func(f *feed) // it is, and another event is to be sent: called in its place; nil: who publishes waits for room
	late   bool          // the head leaves with the first bytes of the stream
	stream func(f *feed) // sends f.events until it returns

	turn  chan struct{} // held while feeds are looked at (a mutex would stop the clock)
	feeds map[*feed]bool
}

func (p *planted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		data, _ := io.ReadAll(r.Body)
		if p.accept != nil {
			if status := p.accept(string(data)); status != 200 {
				http.Error(w, "no", status)
				return
			}
		}
		p.turn <- struct{}{}
		defer func() { <-p.turn }()
		for f := range p.feeds {
			select {
			case f.events <- string(data):
				continue
			default:
			}
			if p.full != nil {
				p.full(f)
				continue
			}
			select {
			case f.events <- string(data):
			case <-f.gone:
			}
		}
		return
	}
	if r.Method != http.MethodGet { // HTTP/2's preface, perhaps
		http.Error(w, "no", http.StatusMethodNotAllowed)
		return
	}
	f := &feed{w: w, asked: r.Header, events: make(chan string, cmp.Or(p.queue, 4096)), gone: r.Context().Done()}
	f.conn, _ = r.Context().Value(connKey{}).(*counted)
	p.turn <- struct{}{}
	p.feeds[f] = true
	<-p.turn
	defer func() {
		p.turn <- struct{}{}
		delete(p.feeds, f)
		<-p.turn
	}()
	w.Header().Set("Content-Type", "text/event-stream")
	if p.head != nil {
		p.head(w, r)
	}
	if !p.late {
		f.flush()
	}
	p.stream(f)
}

// memory is a listener and its dialer in memory.
type memory chan net.Conn

func (m memory) Accept() (net.Conn, error) {
	if c, ok := <-m; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (m memory) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80} }
func (m memory) Close() error   { close(m); return nil }
func (m memory) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	mine, theirs := net.Pipe()
	select {
	case m <- theirs:
		return mine, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// counted is a connection as its handlers see it.
type counted struct {
	net.Conn
	resets atomic.Int64
}

type connKey struct{}

// probe runs one probe against a server in memory, in a bubble where waiting takes no time.
func probe(t *testing.T, name string, p *planted) []result.Limit {
	t.Helper()
	p.feeds = map[*feed]bool{}
	return probeOf(t, name, p, func(*limits.Config) {})
}

func probeOf(t *testing.T, name string, h http.Handler, set func(*limits.Config)) (found []result.Limit) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		if p, ok := h.(*planted); ok {
			p.turn = make(chan struct{}, 1)
		}
		m := make(memory)
		server := &http.Server{Handler: h, Protocols: new(http.Protocols)}
		server.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, &counted{Conn: c})
		}
		server.Protocols.SetHTTP1(true)
		server.Protocols.SetUnencryptedHTTP2(true)
		over := make(chan error)
		go func() { over <- server.Serve(m) }()
		client := &http.Transport{DialContext: m.dial}

		u, err := url.Parse("http://limits.test/events")
		if err != nil {
			t.Fatal(err)
		}
		c := limits.Config{Probes: []string{name}, Budget: 10 * time.Minute, Streams: 100}
		c.Plan = plan.Plan{Targets: []plan.Target{{URL: u.String(), Request: &wire.Request{URL: u}, Dialer: &wire.Dialer{NetDial: m.dial, HeadTimeout: 10 * time.Second}}}}
		if c.Publisher, err = publish.Compile(publish.Hook{HTTP: "POST http://limits.test/publish", Transport: client}); err != nil {
			t.Fatal(err)
		}
		set(&c)
		s, err := limits.New(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		out, err := s.Run(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		found = out.Limits
		client.CloseIdleConnections()
		server.Close()
		<-over
	})
	return found
}

// holds tells whether l was found and lies around value.
func holds(l *result.Limit, value float64) bool {
	return l.Verdict == result.LimitFound && *l.Low <= value && value <= *l.High && *l.High <= 1.1**l.Low+64
}
