//go:build !linux

package raw

import "net"

func listen(l net.Listener) (listener, error) { return conns{l}, nil }

// poller wakes the loop of a shard.
type poller struct{ waker }

func (p *poller) open(bool) error { p.waker = newWaker(); return nil }

func (sh *shard) run() { sh.runPorts() }

func (c *conn) arm()                       {}
func (c *conn) send(p []byte) (int, error) { return c.port.send(c, p) }
func (c *conn) blocked() bool              { return c.port.busy }
func (c *conn) shut() bool                 { return c.port.closeWrite() }

func (c *conn) hangUp() {
	_ = c.port.nc.Close()
	c.port.resume.Broadcast()
}
