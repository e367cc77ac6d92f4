// Package raw is the engine of the reference server that shows what SSE can cost at best: HTTP/1.1 and h2c in the clear with a parser and frames of
// its own, no goroutine, timer or buffer for a stream that is at rest, each event encoded once and written with one write a connection: over
// HTTP/2 that one write carries it to all streams of the connection. What the server answers (channels, history, ids, publishing, limits) is the code of
// reference/server, by way of [server.Carrier].
//
// A connection belongs to one shard, which does all work for it; there is a shard a core. On Linux a shard is an epoll loop; elsewhere, and on connections
// that are no sockets, each connection has a goroutine that reads.
//
// # Slow readers
//
// A stream that cannot take an event lags: its place in the log of its channel stays where it is, and nothing is copied for it but the rest of
// a frame (at most 16 KiB a connection). It catches up when it reads again. When the log has moved past it (Config.History, Config.Queue and
// Config.HistoryBytes say when), or when it took nothing for Config.WriteTimeout, its stream ends (between two events where it can, else by a reset) and is
// counted in streams_cut. Others are never held up.
//
// It may import reference/server, reference/sse, x/net (hpack) and x/sys.
package raw

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"ssegauge/reference/server"
)

// The bounds of what a peer can make a connection hold or do. Over HTTP/1.1 they are those of the net engine where it has one.
const (
	maxHead       = 64 << 10         // bytes of a request's head, and of a field block, encoded and decoded
	maxQueued     = 128 << 10        // bytes of answers that wait to be written; past it the connection is not read
	headTimeout   = 10 * time.Second // for a head, or a frame, once it has begun
	bodyTimeout   = time.Minute      // for the body of a request
	idleTimeout   = 2 * time.Minute  // without a stream or a request
	pingAfter     = time.Minute      // of silence on an HTTP/2 connection with streams
	pingTimeout   = 15 * time.Second
	lingerTimeout = 500 * time.Millisecond // for the peer to close after we have
)

// MaxConcurrentStreams is the most that [server.Config.MaxConcurrentStreams] may say.
const MaxConcurrentStreams = 60_000

// errAgain tells that a write or a read would have to wait.
var errAgain = errors.New("raw: try again")

// engine is one call of Serve.
type engine struct {
	srv     *server.Server
	cfg     server.Config
	handler http.Handler
	in      listener
	shards  []*shard
	turn    atomic.Uint32
	wg      sync.WaitGroup
}

// Serve answers for srv on l until ctx ends or srv is shut down, then ends gracefully within [server.Config.ShutdownTimeout] and returns nil. It
// closes l. It speaks HTTP/1.1 and h2c (by prior knowledge).
func Serve(ctx context.Context, srv *server.Server, l net.Listener) error {
	e, err := start(srv, l)
	if err != nil {
		return err
	}
	return e.serve(ctx)
}

// start makes an engine whose shards run.
func start(srv *server.Server, l net.Listener) (*engine, error) {
	cfg := srv.Config()
	if cfg.Fault != "" || cfg.MaxConcurrentStreams > MaxConcurrentStreams || cfg.Limits != (server.Limits{}) {
		_ = l.Close()
		return nil, fmt.Errorf("raw: no fault (%q), at most %d streams a connection (%d), and none of server.Limits (%+v)",
			cfg.Fault, MaxConcurrentStreams, cfg.MaxConcurrentStreams, cfg.Limits)
	}
	in, err := listen(l)
	if err != nil {
		return nil, err
	}
	e := &engine{srv: srv, cfg: cfg, handler: srv.Carried(), in: in}
	for range runtime.GOMAXPROCS(0) {
		sh, err := newShard(e, in.sockets())
		if err != nil {
			_ = in.Close()
			e.close()
			return nil, err
		}
		e.shards = append(e.shards, sh)
		e.wg.Go(sh.run)
	}
	return e, nil
}

func (e *engine) serve(ctx context.Context) error {
	accepted := make(chan error, 1)
	go func() { accepted <- e.in.accept(e) }()
	var err error
	select {
	case err = <-accepted:
		accepted <- err
	case <-e.srv.Stopping():
	case <-ctx.Done():
	}
	ended, stop := context.WithTimeout(context.WithoutCancel(ctx), e.cfg.ShutdownTimeout)
	defer stop()
	_ = e.srv.Shutdown(ended) // it has no servers of its own: this tells all streams to end
	_ = e.in.Close()
	<-accepted
	e.drain(ended)
	e.close()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// drain ends all streams and waits until their connections are gone, or ctx ends.
func (e *engine) drain(ctx context.Context) {
	for _, sh := range e.shards {
		sh.stop()
	}
	for _, sh := range e.shards {
		select {
		case <-sh.empty:
		case <-ctx.Done():
		}
	}
}

// close cuts what is left and waits for the shards.
func (e *engine) close() {
	for _, sh := range e.shards {
		sh.end()
	}
	e.wg.Wait()
}

// next is the shard of the next connection.
func (e *engine) next() *shard { return e.shards[int(e.turn.Add(1))%len(e.shards)] }

// conns is a listener that is no socket of ours to accept from.
type conns struct{ net.Listener }

func (l conns) sockets() bool { return false }

func (l conns) accept(e *engine) error {
	for wait := time.Duration(0); ; {
		nc, err := l.Accept()
		if err == nil {
			wait = 0
			e.next().adopt(nc)
			continue
		}
		if !passing(err) {
			return err
		}
		wait = pause(wait)
	}
}

// pause waits after an error of accept that may pass, longer each time.
func pause(before time.Duration) time.Duration {
	d := min(max(2*before, 5*time.Millisecond), time.Second)
	time.Sleep(d)
	return d
}

// listener is where connections come from.
type listener interface {
	accept(e *engine) error // until Close
	sockets() bool          // they are for a poller
	Close() error
}
