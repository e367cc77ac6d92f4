package conformance

import (
	"context"
	"io"
	"net"
	"sync"
	"time"

	"ssegauge/reference/wire"
)

// guestRecord is what is kept of a guest's connection: enough for its head.
const guestRecord = 64 << 10

// Guests are streams that are opened only to be there, and to leave. What comes on them is read and forgotten.
type Guests struct {
	Asked   int
	Refused map[int]int // answers other than 200, by status
	Errs    []error     // why others got no answer

	streams []*guest
}

// guest is one of them.
type guest struct {
	*Connection
	under *net.TCPConn // nil in memory
	gone  chan struct{}
}

// Here is how many streams were opened.
func (g *Guests) Here() int { return len(g.streams) }

// Guests asks for n streams side by side. A target that keeps its heads back until there is an event gets some, where there is a publish hook. Let them
// leave.
func (p *Probe) Guests(ctx context.Context, n int, within time.Duration) *Guests {
	g := &Guests{Asked: n, Refused: map[int]int{}}
	defer p.wake(ctx)()
	asked := make([]*guest, n)
	var wg sync.WaitGroup
	for i := range asked {
		wg.Go(func() { asked[i] = p.guest(ctx, within) })
	}
	wg.Wait()
	for _, c := range asked {
		switch {
		case c.Head != nil && c.Head.Status != 200:
			g.Refused[c.Head.Status]++
			c.Close()
		case c.Err != nil:
			g.Errs = append(g.Errs, c.Err)
		default:
			g.streams = append(g.streams, c)
			go c.idle()
		}
	}
	return g
}

// guest asks for one stream.
func (p *Probe) guest(ctx context.Context, within time.Duration) *guest {
	d := p.s.dialer(ctx, within, 0)
	d.Record = guestRecord
	g := &guest{gone: make(chan struct{})}
	onTCP(d, func(c *net.TCPConn) { g.under = c })
	g.Connection, _ = p.s.request(ctx, p.Request(), d)
	return g
}

// onTCP has f see the connection that d makes, where it is one of the kernel's.
func onTCP(d *wire.Dialer, f func(*net.TCPConn)) {
	dial := d.NetDial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	d.NetDial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if t, ok := c.(*net.TCPConn); ok {
			f(t)
		}
		return c, err
	}
}

// idle keeps nothing unread: a connection that is closed with something unread is reset, not finished.
func (g *guest) idle() {
	defer close(g.gone)
	_, _ = io.Copy(io.Discard, g.stream)
}

// wake publishes a plain event now and then until done is called: a head may be waiting for one.
func (p *Probe) wake(ctx context.Context) (done func()) {
	if p.s.target.Publisher == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	over := make(chan struct{})
	go func() {
		defer close(over)
		for sleep(ctx, p.s.wakeAfter()); ctx.Err() == nil; sleep(ctx, quiet) {
			_, _ = p.s.target.Publisher.Publish(ctx, plainMessage(p.Nonce()))
		}
	}()
	return func() { cancel(); <-over }
}

// Leave lets all of them go: with FIN, or abruptly with RST. Over HTTP/2 it is the connection that ends. In memory there is only one way.
func (g *Guests) Leave(abruptly bool) {
	for _, c := range g.streams {
		if abruptly && c.under != nil {
			_ = c.under.SetLinger(0)
			_ = c.under.Close()
		}
		c.Close()
		<-c.gone
	}
	g.streams = nil
}
