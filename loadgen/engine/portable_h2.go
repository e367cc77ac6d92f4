package engine

import (
	"sync"
	"time"
)

// h2conn is a connection with its mux, and the goroutine that reads it. Others give it streams and write.
type h2conn struct {
	g *portable
	c *conn

	mu sync.Mutex // guards what follows; taken before the lane's lock
	mux
	ready    bool // connected
	writing  bool // someone is writing
	out      []byte
	deadline *time.Timer
	pace     *time.Timer // of a slow reader's credit; nil: it gives none
}

// assign gives a stream to the target's current connection, or to a new one if that is full.
func (g *portable) assign(t int, k ticket) {
	i := t
	if g.Life.slow(k.n) {
		i += len(g.Targets)
	}
	c := g.current[i]
	if c != nil {
		c.mu.Lock()
		taken := c.take(k)
		c.mu.Unlock()
		if taken {
			return
		}
		c.kick() // what it took in this batch
	}
	g.current[i] = g.connection(t, []ticket{k})
}

// leave closes stream n and opens k in its place.
func (c *h2conn) leave(n, id uint32, k ticket) (left, placed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	left, placed = c.mux.leave(n, id, k)
	if c.flush(); c.idle() {
		c.c.close()
	}
	return left, placed
}

// rejoin opens a stream again that was here.
func (c *h2conn) rejoin(k ticket) bool {
	c.mu.Lock()
	ok := c.rejoins(k)
	c.mu.Unlock()
	if ok {
		c.kick()
	}
	return ok
}

func (g *portable) spawn(t int, k []ticket) { g.connection(t, k) }

// connection makes a connection for streams of target t.
func (g *portable) connection(t int, k []ticket) *h2conn {
	c := &h2conn{g: g, mux: newMux(g.run, g, g.lane(), t, k)}
	c.self = c
	g.alive.Add(1)
	g.mu.Lock()
	g.muxed[c] = struct{}{}
	g.mu.Unlock()
	go c.dial()
	return c
}

// dial makes the connection, and hands over to read, whose stack is small.
func (c *h2conn) dial() {
	c.g.dials <- struct{}{}
	nc, cause := c.g.connect(&c.Targets[c.t], c.owed != nil, &c.phases)
	<-c.g.dials
	if cause != "" {
		c.gone(cause)
		c.g.alive.Done()
		return
	}
	nc.net.SetDeadline(time.Time{})
	c.c = nc
	c.mu.Lock()
	c.ready = true
	c.deadline = time.AfterFunc(c.Timeout, c.expire)
	if c.owed != nil && c.Life.Slow.Rate > 0 {
		c.pace = time.AfterFunc(time.Second, c.allow)
	}
	c.mu.Unlock()
	c.kick()
	go c.read()
}

// kick opens what waits and writes it.
func (c *h2conn) kick() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ready {
		c.openWaiting()
		c.flush()
	}
}

// flush writes what Frames has to say. The lock is let go while writing: whoever finds another at it leaves it to that one.
func (c *h2conn) flush() {
	if c.writing {
		if len(c.frames.Out()) > maxUnsent {
			c.c.close()
		}
		return
	}
	c.writing = true
	for len(c.frames.Out()) > 0 {
		c.out = append(c.out[:0], c.frames.Out()...)
		c.frames.Wrote(len(c.out))
		c.written(c.requests()) // not after: on a busy machine the answer may be there by then
		c.mu.Unlock()
		c.c.net.SetWriteDeadline(time.Now().Add(c.Timeout))
		err := c.c.write(c.out)
		c.mu.Lock()
		if err != nil {
			c.c.close() // the reader tells what became of it
			break
		}
	}
	if cap(c.out) > 4096 {
		c.out = nil
	}
	c.writing = false
}

// read is the life of the connection.
func (c *h2conn) read() {
	defer c.g.alive.Done()
	defer c.g.drop(c.c)
	var fatal error
	each := func(p []byte) {
		if fatal == nil {
			fatal = c.piece(p)
		}
	}
	for {
		err := c.c.read(each)
		if err == nil {
			err = fatal
		}
		if err == nil && c.done() {
			err = errIdle
		}
		if err != nil {
			c.gone(lostBy(err))
			return
		}
	}
}

// done tells whether the connection is of no further use.
func (c *h2conn) done() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.idle()
}

// lastCall closes the connection if nothing is on it and nothing will be.
func (c *h2conn) lastCall() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ready && c.idle() {
		c.c.close()
	}
}

// piece takes what one read brought.
func (c *h2conn) piece(p []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.feed(p, &c.c.arr)
	c.flush()
	return err
}

// gone ends what is on the connection.
func (c *h2conn) gone(cause string) {
	c.g.mu.Lock()
	delete(c.g.muxed, c)
	c.g.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.deadline != nil {
		c.deadline.Stop()
	}
	if c.pace != nil {
		c.pace.Stop()
	}
	c.lose(cause)
}

// allow gives the streams of a slow connection what they may take in within a second.
func (c *h2conn) allow() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed && c.frames.Active() == 0 {
		return
	}
	c.credit(uint32(c.Life.Slow.Rate))
	c.flush()
	c.pace.Reset(time.Second)
}

// expire cancels the streams that have waited too long for their head.
func (c *h2conn) expire() {
	defer c.lastCall()
	c.mu.Lock()
	defer c.mu.Unlock()
	if next := c.overdue(); next > 0 {
		c.deadline.Reset(time.Duration(next - c.Board.Now()))
	}
	c.flush()
}
