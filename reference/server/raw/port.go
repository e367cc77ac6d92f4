package raw

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

// port is the way of a connection that is not in a poller: a goroutine reads, and another writes while something is to be written.
type port struct {
	nc     net.Conn
	resume *sync.Cond // of the shard's mutex: the reader waits while the connection is choked
	busy   bool       // a write is under way
}

func newPort(sh *shard, nc net.Conn) *port { return &port{nc: nc, resume: sync.NewCond(&sh.mu)} }

// adopt takes in a connection that is not in a poller.
func (sh *shard) adopt(nc net.Conn) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.stopping {
		_ = nc.Close()
		return
	}
	c := &conn{port: newPort(sh, nc), fd: -1, addr: nc.RemoteAddr().String()}
	sh.add(c)
	sh.eng.wg.Go(func() { sh.readFrom(c) })
}

func (sh *shard) readFrom(c *conn) {
	p := c.port
	buf := make([]byte, 4<<10)
	for {
		n, err := p.nc.Read(buf)
		sh.mu.Lock()
		if c.state == closed {
			sh.mu.Unlock()
			return
		}
		if n > 0 {
			sh.now = time.Now()
			c.input(buf[:n])
		}
		if err != nil && c.state != closed {
			c.eof()
		}
		for c.choked() && c.state == reading {
			p.resume.Wait()
		}
		sh.settle()
		sh.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// send writes without waiting: what it took is written by a goroutine, and until that is done it takes no more.
func (p *port) send(c *conn, b []byte) (int, error) {
	if p.busy {
		return 0, errAgain
	}
	b = append([]byte(nil), b[:min(len(b), readSize)]...)
	p.busy = true
	c.sh.eng.wg.Go(func() { p.write(c, b) })
	return len(b), nil
}

func (p *port) write(c *conn, b []byte) {
	_, err := p.nc.Write(b)
	sh := c.sh
	sh.mu.Lock()
	defer sh.mu.Unlock()
	p.busy = false
	if c.state == closed {
		return
	}
	sh.now = time.Now()
	if err != nil {
		c.close()
	} else {
		c.writable()
		p.resume.Broadcast()
	}
	sh.settle()
}

// closeWrite closes our side, and tells whether the peer can see it.
func (p *port) closeWrite() bool {
	h, ok := p.nc.(interface{ CloseWrite() error })
	return ok && h.CloseWrite() == nil
}

// waker wakes the loop of a shard without a poller.
type waker struct{ told chan struct{} }

func newWaker() waker { return waker{make(chan struct{}, 1)} }

func (w waker) wake() {
	select {
	case w.told <- struct{}{}:
	default: // it will look anyway
	}
}

func (w waker) sooner(time.Time) { w.wake() }

// runPorts is the loop of a shard whose connections are ports.
func (sh *shard) runPorts() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		sh.mu.Lock()
		next := sh.round()
		ended := sh.ended
		sh.mu.Unlock()
		if ended {
			return
		}
		d := time.Hour
		if !next.IsZero() {
			d = time.Until(next)
		}
		timer.Reset(d)
		select {
		case <-timer.C:
		case <-sh.poll.told:
		}
	}
}

// passing tells whether an error of accept may not last.
func passing(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ECONNABORTED) ||
		errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.ENOMEM)
}
