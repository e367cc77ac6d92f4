package engine

import (
	"io"

	"golang.org/x/sys/unix"

	"ssegauge/reference/wire"
)

// h2slot is an HTTP/2 connection of a loop.
type h2slot struct {
	mux
	l       *loop
	i       int32 // its place in conns
	fd      int32
	state   uint8
	check   int64 // when its alarm is due; 0: there is none
	blocked int64 // since when a write waits for room; 0: none does
}

// assign gives a stream to the target's current connection, or to a new one if that is full.
func (l *loop) assign(t int, k ticket) {
	c := l.current[t]
	if c != nil {
		if c.take(k) {
			return
		}
		l.kick(c) // what it took in this batch
	}
	l.current[t] = l.connection(t, []ticket{k})
}

// rejoin opens a stream again that was here.
func (c *h2slot) rejoin(k ticket) bool {
	ok := c.rejoins(k)
	if ok {
		c.l.kick(c)
	}
	return ok
}

// leave closes stream n and opens k in its place.
func (c *h2slot) leave(n, id uint32, k ticket) (left, placed bool) {
	left, placed = c.mux.leave(n, id, k)
	if c.l.flush(c); c.state == established && c.idle() {
		c.l.drop(c, lostBy(errIdle))
	}
	return left, placed
}

func (l *loop) spawn(t int, k []ticket) { l.connection(t, k) }

// connection begins a connection for streams of target t.
func (l *loop) connection(t int, k []ticket) *h2slot {
	i := len(l.conns)
	if n := len(l.free); n > 0 {
		i, l.free = l.free[n-1], l.free[:n-1]
	} else {
		l.conns = append(l.conns, nil)
	}
	c := &h2slot{mux: newMux(l.run, l, l.lane, t, k), l: l, i: int32(i)}
	c.self = c
	l.conns[i] = c
	c.phases.Dialled = l.Board.Now()
	fd, err := l.connect(t, c.i<<1|1)
	if err != nil {
		l.drop(c, CauseOf(wire.PhaseConnect, err))
		return c
	}
	c.fd, c.state = int32(fd), connecting
	l.arm(c, c.phases.Dialled+int64(l.Timeout))
	return c
}

// arm sets the alarm of c, if it has none that is due before.
func (l *loop) arm(c *h2slot, due int64) {
	if c.check == 0 || due < c.check {
		c.check = due
		l.alarms.push(alarm{due, c.i<<1 | 1})
	}
}

// drop ends what is on the connection and lets go of it.
func (l *loop) drop(c *h2slot, cause string) {
	l.conns[c.i] = nil
	l.free = append(l.free, int(c.i))
	l.disconnect(int(c.fd), c.state)
	c.state = closed
	c.lose(cause)
}

// kick opens what waits and writes it.
func (l *loop) kick(c *h2slot) {
	if c.state == established && len(c.waiting) > 0 {
		c.openWaiting()
		l.flush(c)
	}
}

// flush writes what Frames has to say.
func (l *loop) flush(c *h2slot) {
	c.written(c.requests()) // not after: on a busy machine an answer may be there by then
	for c.state == established {
		out := c.frames.Out()
		if len(out) == 0 {
			c.blocked = 0
			return
		}
		n, err := send(int(c.fd), out)
		if n > 0 {
			c.frames.Wrote(n)
			c.blocked = 0
			continue
		}
		if err != unix.EAGAIN {
			l.drop(c, lostBy(err))
			return
		}
		if len(out) > maxUnsent {
			l.drop(c, "the peer does not read")
			return
		}
		if c.blocked == 0 {
			c.blocked = l.Board.Now()
			l.arm(c, c.blocked+int64(l.Timeout))
		}
		return
	}
}

// h2Event takes what epoll says of connection i.
func (l *loop) h2Event(i int, fd int32, events uint32) {
	c := l.conns[i]
	if c == nil || c.fd != fd {
		return // of one before
	}
	if c.state == connecting {
		err := l.connected(int(fd), events)
		if err == unix.EAGAIN {
			return
		}
		if err != nil {
			l.drop(c, CauseOf(wire.PhaseConnect, err))
			return
		}
		c.state = established
		c.phases.Connected = l.Board.Now()
		c.openWaiting()
	}
	if events&^unix.EPOLLOUT != 0 {
		if err := l.readH2(c, events); err != nil {
			_, _ = send(int(c.fd), c.frames.Out()) // what we think of it
			l.drop(c, lostBy(err))
			return
		}
		if c.idle() {
			l.flush(c)
			if c.state == established {
				l.drop(c, lostBy(errIdle))
			}
			return
		}
	}
	l.flush(c)
}

// readH2 reads what is there.
func (l *loop) readH2(c *h2slot, events uint32) error {
	ended := events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0
	for range maxReads {
		n, stamp, err := tryRead(uintptr(c.fd), &l.buf)
		switch {
		case err == errAgain:
			return nil
		case err != nil:
			return err
		case n == 0:
			return io.EOF
		}
		a := l.arrival(stamp)
		if err := c.feed(l.buf.data[:n], &a); err != nil {
			return err
		}
		if n < len(l.buf.data) && !ended {
			return nil
		}
	}
	l.again(int(c.fd), c.i<<1|1)
	return nil
}

// timeoutH2 gives up what has waited too long on c.
func (l *loop) timeoutH2(c *h2slot, now int64) {
	switch {
	case c.state == connecting:
		l.drop(c, "connect: timeout")
		return
	case c.blocked > 0 && c.blocked+int64(l.Timeout) <= now:
		l.drop(c, "write: timeout")
		return
	case c.blocked > 0:
		l.arm(c, c.blocked+int64(l.Timeout))
	}
	next := c.overdue()
	l.flush(c)
	switch {
	case c.state != established:
	case c.idle():
		l.drop(c, lostBy(errIdle))
	case next > 0:
		l.arm(c, next)
	}
}
