package engine

import (
	"context"
	"crypto/tls"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"ssegauge/loadgen/measure"
	"ssegauge/reference/sse"
	"ssegauge/reference/wire"
)

// maxDials bounds how many connections are being made at one time. Past it openings wait, which shows as lateness.
const maxDials = 1024

// Portable is the engine with a goroutine for each connection.
type Portable struct{}

// run is one Run of it.
type run struct {
	*Job
	ctx     context.Context
	planned atomic.Bool
	ending  atomic.Bool // what connections say from now on is our doing
	dials   chan struct{}
	alive   sync.WaitGroup // connections
	mu      sync.Mutex
	conns   map[*conn]struct{}
	muxed   []*h2conn       // every one ever made
	turn    atomic.Uint32   // of addresses and recorders
	current []*h2conn       // by target: the connection that takes the next stream
	limits  []atomic.Uint32 // by target: streams a connection, as the peer said last
}

// Run opens and reads the job's streams.
func (Portable) Run(ctx context.Context, j *Job) {
	g := &run{
		Job: j, ctx: ctx, dials: make(chan struct{}, maxDials), conns: map[*conn]struct{}{},
		current: make([]*h2conn, len(j.Targets)), limits: make([]atomic.Uint32, len(j.Targets)),
	}
	for i := range j.Targets {
		g.limits[i].Store(j.Targets[i].PeerStreams)
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		g.end()
	})
	g.open()
	g.planned.Store(true)
	g.mu.Lock()
	muxed := slices.Clone(g.muxed)
	g.mu.Unlock()
	for _, c := range muxed {
		c.lastCall()
	}
	g.alive.Wait()
	if !stop() {
		<-ended
	}
}

// end closes every connection.
func (g *run) end() {
	g.ending.Store(true)
	g.mu.Lock()
	defer g.mu.Unlock()
	for c := range g.conns {
		c.close()
	}
}

// open starts the streams at their times.
func (g *run) open() {
	n := g.Openings.Len()
	h1 := g.slab(n)
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	for i := 0; i < n; {
		due := int64(g.Openings.At(i))
		if wait := due - g.Board.Now(); wait > 0 {
			timer.Reset(time.Duration(wait))
			select {
			case <-timer.C:
			case <-g.ctx.Done():
				return
			}
		}
		if g.ctx.Err() != nil {
			return
		}
		// Everything that is due by now goes in one batch.
		for now := g.Board.Now(); i < n && int64(g.Openings.At(i)) <= now; i++ {
			planned, t := int64(g.Openings.At(i)), i%len(g.Targets)
			if g.Targets[t].Proto == wire.HTTP11 {
				s := &h1[0]
				h1 = h1[1:]
				select {
				case g.dials <- struct{}{}:
				case <-g.ctx.Done():
					return
				}
				s.run, s.target, s.opening = g, &g.Targets[t], &measure.Opening{Planned: planned, Started: g.Board.Now()}
				g.Board.Opening(planned, s.opening.Started, g.Burst)
				g.alive.Add(1)
				go s.dial()
				continue
			}
			started := g.Board.Now()
			g.Board.Opening(planned, started, g.Burst)
			g.assign(t, ticket{planned: planned, started: started})
		}
		for _, c := range g.current {
			if c != nil {
				c.kick()
			}
		}
	}
}

// slab has room for the HTTP/1.1 streams among n, side by side.
func (g *run) slab(n int) []h1stream {
	k := 0
	for i, t := range g.Targets {
		if t.Proto == wire.HTTP11 {
			k += (n - i + len(g.Targets) - 1) / len(g.Targets)
		}
	}
	return make([]h1stream, max(0, k))
}

// connect makes a connection to t; phases are noted in o.
func (g *run) connect(t *Target, o *measure.Opening) (*conn, string) {
	deadline := time.Now().Add(g.Timeout)
	ctx, cancel := context.WithDeadline(g.ctx, deadline)
	defer cancel()
	dial := t.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	o.Dialled = g.Board.Now()
	nc, err := dial(ctx, "tcp", t.Addrs[int(g.turn.Add(1))%len(t.Addrs)])
	if err != nil {
		return nil, CauseOf(wire.PhaseConnect, err)
	}
	o.Connected = g.Board.Now()
	pool := small
	if t.Proto != wire.HTTP11 {
		pool = large
	}
	c := newConn(nc, pool)
	g.mu.Lock()
	if g.ending.Load() {
		g.mu.Unlock()
		nc.Close()
		return nil, causeEnd
	}
	g.conns[c] = struct{}{}
	g.mu.Unlock()
	g.Board.Connection()
	nc.SetDeadline(deadline)
	if t.TLS != nil {
		c.feed = &feed{Conn: nc, pool: pool}
		c.tls = tls.Client(c.feed, t.TLS)
		if err := c.tls.HandshakeContext(ctx); err != nil {
			g.drop(c)
			return nil, CauseOf(wire.PhaseTLS, err)
		}
		c.feed.fed = true
		o.TLS = g.Board.Now()
		if t.Proto == wire.HTTP2 && c.tls.ConnectionState().NegotiatedProtocol != "h2" {
			g.drop(c)
			return nil, "tls: no h2 by ALPN"
		}
	}
	return c, ""
}

// drop closes c and forgets it.
func (g *run) drop(c *conn) {
	g.mu.Lock()
	delete(g.conns, c)
	g.mu.Unlock()
	c.close()
}

// recorder is the next one in turn.
func (g *run) recorder() *measure.Recorder { return g.Board.Recorder(int(g.turn.Add(1))) }

const causeEnd = "head: none by the end of the run"

// body feeds content to a stream's decoder and its events to the recorder. The error is the decoder's: the stream is of no further use.
func body(c *conn, r *measure.Recorder, d *sse.Decoder, m *measure.Stream, p []byte, at int64) error {
	r.Bytes(len(p))
	var ev sse.Event
	for {
		n, ok, err := d.Next(p, &ev)
		if !ok {
			return err
		}
		p = p[n:]
		id := ev.ID
		if !ev.IDSet {
			id = nil
		}
		r.Event(m, ev.Data, id, ev.Type, at, c.blur())
	}
}
