package conformance

import (
	"context"
	"net"
	"time"

	"ssegauge/reference/wire"
)

// What may lie between a writer and a reader that does not read. Linux gives a connection over loopback a send buffer of 2.5 MiB from the
// start and up to 4 MiB; on other paths it grows only as the reader acknowledges.
const (
	slackMemory   = 96 << 10 // a connection that is none of the kernel's: a stream's window of HTTP/2
	slackPath     = 1 << 20
	slackLoopback = 6 << 20
)

// Deaf opens a stream and reads nothing of it but the head, through as small a receive buffer as the system gives, until [Connection.Hear]. slack is how many
// bytes the target may get rid of although nobody reads. To the target it looks like a client behind a path that has fallen silent: what was sent is
// acknowledged until the buffers are full, and neither FIN nor RST comes. A head that waits for an event gets one, as for [Probe.Guests]. Close it.
func (p *Probe) Deaf(ctx context.Context, within time.Duration) (c *Connection, slack int) {
	d := p.s.dialer(ctx, within, 0)
	var under *net.TCPConn
	onTCP(d, func(c *net.TCPConn) {
		under = c
		_ = c.SetReadBuffer(4 << 10)
	})
	awake := p.wake(ctx)
	c, stop := p.s.request(ctx, p.Request(), d)
	awake()
	c.wide = func() {
		if under != nil {
			_ = under.SetReadBuffer(1 << 20)
		}
		c.begin(stop)
	}
	switch {
	case c.Err != nil:
		return c, 0
	case under == nil:
		slack = slackMemory
	case loopback(under.RemoteAddr()):
		slack = slackLoopback
	default:
		slack = slackPath
	}
	if p.s.tape != nil {
		slack = p.s.tape.slack(slack)
	}
	return c, slack
}

func loopback(a net.Addr) bool {
	t, ok := a.(*net.TCPAddr)
	return ok && t.IP.IsLoopback()
}

// Hear begins to read what a deaf connection has not read so far. The times of what was waiting are those of the reading.
func (c *Connection) Hear() {
	if c.wide != nil && c.stream != nil {
		c.wide()
		c.wide = nil
	}
}

// Offers tells which protocol the target chooses where HTTP/2 is offered.
func (p *Probe) Offers(ctx context.Context, within time.Duration) (wire.Proto, error) {
	p.s.name() // it counts as a connection of the run
	d := p.s.dialer(ctx, within, 0)
	d.Proto = wire.Auto
	conn, err := d.Dial(ctx, p.Request().URL)
	if err != nil {
		return wire.Auto, err
	}
	defer conn.Close()
	return conn.Proto(), nil
}
