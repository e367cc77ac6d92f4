package raw

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"

	"ssegauge/reference/server"
)

// pipes is a listener without a network: what a peer does not read blocks the engine's writes at once.
type pipes struct {
	conns chan net.Conn
	gone  chan struct{}
	once  sync.Once
}

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.gone:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error   { l.once.Do(func() { close(l.gone) }); return nil }
func (l *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// world is an engine without a network, in a bubble of testing/synctest.
type world struct {
	t    *testing.T
	srv  *server.Server
	l    *pipes
	stop context.CancelFunc
	done chan error

	engine *engine
}

func newWorld(t *testing.T, cfg server.Config) *world {
	t.Helper()
	var e *engine
	w := newWorldOf(t, cfg, func(ctx context.Context, srv *server.Server, l net.Listener) (err error) {
		if e, err = start(srv, l); err != nil {
			return err
		}
		return e.serve(ctx)
	})
	synctest.Wait()
	w.engine = e
	return w
}

type serveFunc func(context.Context, *server.Server, net.Listener) error

// newWorldOf is newWorld for any engine.
func newWorldOf(t *testing.T, cfg server.Config, serve serveFunc) *world {
	t.Helper()
	srv, err := server.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	w := &world{t: t, srv: srv, l: &pipes{conns: make(chan net.Conn), gone: make(chan struct{})}, stop: stop, done: make(chan error, 1)}
	go func() { w.done <- serve(ctx, srv, w.l) }()
	t.Cleanup(func() {
		stop()
		if err := <-w.done; err != nil {
			t.Error(err)
		}
	})
	return w
}

func netEngine(ctx context.Context, srv *server.Server, l net.Listener) error {
	return srv.Serve(ctx, l, nil)
}

// dial opens a connection whose peer reads all, unless it is deaf.
func (w *world) dial(deaf bool) *peer {
	w.t.Helper()
	ours, theirs := net.Pipe()
	w.l.conns <- theirs
	p := &peer{t: w.t, nc: ours}
	if !deaf {
		go p.read()
	}
	w.t.Cleanup(func() { _ = ours.Close() })
	return p
}

// peer is the client's end of a connection.
type peer struct {
	t      *testing.T
	nc     net.Conn
	mu     sync.Mutex
	got    bytes.Buffer
	closed bool
}

func (p *peer) read() {
	buf := make([]byte, 64<<10)
	for {
		n, err := p.nc.Read(buf)
		p.mu.Lock()
		p.got.Write(buf[:n])
		p.closed = err != nil
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// send writes without waiting for the engine to read.
func (p *peer) send(parts ...string) {
	go func() {
		for _, s := range parts {
			_, _ = io.WriteString(p.nc, s)
		}
	}()
	synctest.Wait()
}

// text is what came so far and was not asked for before.
func (p *peer) text() string {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.got.String()
	p.got.Reset()
	return s
}

func (p *peer) ended() bool {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}
