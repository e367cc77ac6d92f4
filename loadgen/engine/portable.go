package engine

import (
	"context"
	"crypto/tls"
	"errors"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"ssegauge/loadgen/measure"
	"ssegauge/reference/wire"
)

// maxDials bounds how many connections are being made at one time. Past it openings wait, which shows as lateness.
const maxDials = 1024

// Portable is the engine with a goroutine for each connection.
type Portable struct{}

// portable is one Run of it.
type portable struct {
	*run
	ctx     context.Context
	opened  atomic.Bool // every stream of the plan has been assigned
	dials   chan struct{}
	alive   sync.WaitGroup // connections
	mu      sync.Mutex
	conns   map[*conn]struct{}
	muxed   map[*h2conn]struct{}
	turn    atomic.Uint32 // of addresses and lanes
	current []*h2conn     // by target: the connection that takes the next stream; then those for slow readers
	wake    chan struct{} // there may be something else to wait for
	slab    []h1conn      // room for the HTTP/1.1 streams to come, side by side
}

// Run opens and reads the job's streams.
func (Portable) Run(ctx context.Context, j *Job) {
	g := &portable{
		run: newRun(j), ctx: ctx, dials: make(chan struct{}, maxDials), conns: map[*conn]struct{}{}, current: make([]*h2conn, 2*len(j.Targets)),
		muxed: map[*h2conn]struct{}{}, wake: make(chan struct{}, 1),
	}
	g.rouse = func() {
		select {
		case g.wake <- struct{}{}:
		default:
		}
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		g.end()
	})
	g.open()
	g.opened.Store(true)
	g.mu.Lock()
	muxed := slices.Collect(maps.Keys(g.muxed))
	g.mu.Unlock()
	for _, c := range muxed {
		c.lastCall()
	}
	g.alive.Wait()
	for i := range g.lanes {
		g.forsake(&g.lanes[i])
	}
	if !stop() {
		<-ended
	}
}

func (g *portable) planned() bool { return g.opened.Load() }

// end closes every connection.
func (g *portable) end() {
	g.ending.Store(true)
	g.mu.Lock()
	defer g.mu.Unlock()
	for c := range g.conns {
		if !c.lingers {
			c.close()
		}
	}
}

// open starts the streams at their times, and those that come back at theirs.
func (g *portable) open() {
	n := g.Openings.Len()
	g.slab = g.side(n)
	timer := time.NewTimer(0)
	defer timer.Stop()
	replace := churn{step: 1}
	for i := 0; i < n || g.Life.moves() && g.going.Load() > 0; {
		due := min(g.nextReturn(), replace.due(g.run))
		if i < n {
			due = min(due, int64(g.Openings.At(i)))
		}
		if wait := due - g.Board.Now(); wait > 0 {
			timer.Reset(time.Duration(wait))
			select {
			case <-timer.C:
			case <-g.wake:
				continue
			case <-g.ctx.Done():
				return
			}
		}
		// Everything that is due by now goes in one batch.
		for now := g.Board.Now(); i < n && int64(g.Openings.At(i)) <= now; i++ {
			k := ticket{planned: int64(g.Openings.At(i)), n: i}
			if g.skips(i) {
				continue
			}
			if !g.free(i) {
				return
			}
			k.started = g.Board.Now()
			g.Board.Opening(k.planned, k.started, g.burst(i))
			g.going.Add(1)
			g.begin(k)
		}
		if !g.bringBack() {
			return
		}
		replace.next(g.run, func(int) bool { return true }, func(k ticket) {
			if g.free(k.n) {
				g.begin(k)
			}
		})
		for _, c := range g.current {
			if c != nil {
				c.kick()
			}
		}
	}
}

// nextReturn is when the next stream is due to come back.
func (g *portable) nextReturn() int64 {
	due := int64(never)
	if g.clients != nil {
		for i := range g.lanes {
			g.lanes[i].Lock()
			due = min(due, g.lanes[i].nextReturn())
			g.lanes[i].Unlock()
		}
	}
	return due
}

// bringBack opens again the streams that are due to come back; false: the run is over.
func (g *portable) bringBack() bool {
	if g.clients == nil {
		return true
	}
	for i := range g.lanes {
		for l := &g.lanes[i]; ; {
			now := g.Board.Now()
			l.Lock()
			due := l.nextReturn()
			l.Unlock()
			if due > now {
				break
			}
			k, h := g.returning(l, now)
			if h != nil && h.rejoin(k) {
				continue
			}
			if !g.free(k.n) {
				l.Lock()
				l.returns.push(alarm{due, int32(k.n)}) // it is still away
				l.Unlock()
				return false
			}
			g.begin(k)
		}
	}
	return g.ctx.Err() == nil
}

// free waits until stream n may be dialled; false: the run is over.
func (g *portable) free(n int) bool {
	if g.Targets[g.target(n)].Proto != wire.HTTP11 {
		return g.ctx.Err() == nil
	}
	select {
	case g.dials <- struct{}{}:
		return true
	case <-g.ctx.Done():
		return false
	}
}

// begin opens a stream.
func (g *portable) begin(k ticket) {
	t := g.target(k.n)
	if g.Targets[t].Proto != wire.HTTP11 {
		g.assign(t, k)
		return
	}
	if len(g.slab) == 0 {
		g.slab = make([]h1conn, 1)
	}
	s := &g.slab[0]
	g.slab = g.slab[1:]
	s.g, s.n, s.lane = g, uint32(k.n), g.lane()
	s.opening = s.lane.begin(k)
	g.alive.Add(1)
	go s.dial()
}

// side is room for the HTTP/1.1 streams among n, side by side.
func (g *portable) side(n int) []h1conn {
	k := 0
	for i := range n {
		if g.Targets[g.target(i)].Proto == wire.HTTP11 && !g.skips(i) {
			k++
		}
	}
	return make([]h1conn, k)
}

// connect makes a connection to t, with little room for what comes if it is to be slow; phases are noted in o.
func (g *portable) connect(t *Target, slow bool, o *measure.Opening) (*conn, string) {
	deadline := time.Now().Add(g.Timeout)
	ctx, cancel := context.WithDeadline(g.ctx, deadline)
	defer cancel()
	turn := int(g.turn.Add(1))
	dial := t.Dial
	if dial == nil {
		dial = t.dialer(turn, slow)
	}
	if t.Abrupt {
		dial = Abrupt(dial)
	}
	o.Dialled = g.Board.Now()
	nc, err := dial(ctx, "tcp", t.Addrs[turn%len(t.Addrs)])
	if err != nil {
		if g.ctx.Err() != nil {
			g.ending.Store(true) // whoever is to say so may come later
		}
		return nil, CauseOf(wire.PhaseConnect, err)
	}
	o.Connected = g.Board.Now()
	pool := small
	switch {
	case t.Proto != wire.HTTP11:
		pool = large
	case slow:
		pool = smallest
	}
	c := newConn(nc, pool, g.Board)
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

// dialer connects from the next of our addresses.
func (t *Target) dialer(turn int, slow bool) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		for tries := 0; ; tries++ {
			var d net.Dialer
			from, more := t.source(turn, tries)
			if from.IsValid() {
				d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
			}
			d.Control = func(_, _ string, c syscall.RawConn) error {
				return c.Control(func(fd uintptr) {
					if from.IsValid() {
						bindLate(fd)
					}
					if slow {
						Narrow(fd)
					}
				})
			}
			nc, err := d.DialContext(ctx, network, addr)
			if !more || !errors.Is(err, syscall.EADDRNOTAVAIL) {
				return nc, err
			}
		}
	}
}

// drop closes c and forgets it.
func (g *portable) drop(c *conn) {
	g.mu.Lock()
	delete(g.conns, c)
	g.mu.Unlock()
	c.close()
}

// lane is the next one in turn.
func (g *portable) lane() *lane { return &g.lanes[int(g.turn.Add(1))%len(g.lanes)] }
