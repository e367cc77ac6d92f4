package engine

import (
	"errors"
	"math"
	"sync"
	"time"

	"ssegauge/loadgen/measure"
	"ssegauge/reference/sse"
	"ssegauge/reference/wire"
)

// beforeSettings is how many streams are opened on a connection before its peer has said how many it allows, where an earlier connection learnt it.
const beforeSettings = 100

// maxUnsent is how many bytes may wait for a peer that does not read.
const maxUnsent = 1 << 20

// ticket is a stream to be opened.
type ticket struct {
	planned, started int64
	tries            int // connections that did not take it
}

// maxTries is how many connections a stream is offered to whose peers go away or allow fewer streams than others did.
const maxTries = 3

// h2conn is one HTTP/2 connection with its streams.
type h2conn struct {
	*run
	t   int // index of the target
	c   *conn
	rec *measure.Recorder

	mu       sync.Mutex // guards what follows; taken before the recorder's lock
	frames   *wire.Frames
	it       wire.Item       // here, so that a read allocates nothing
	phases   measure.Opening // of connecting: told once, with the first stream
	assigned int             // tickets ever taken
	waiting  []ticket        // not yet opened
	streams  []h2stream      // stream 2i+1 is streams[i]
	ready    bool            // connected
	closed   bool            // takes no more tickets
	writing  bool            // someone is writing
	unsent   []uint32        // streams whose request waits in Out
	out      []byte
	goAway   string // what the peer said when it went away
	deadline *time.Timer
}

type h2stream struct {
	opening *measure.Opening // nil once the head is there
	dec     sse.Decoder
	m       measure.Stream
	over    bool
}

// assign gives a stream to the target's current connection, or to a new one if that is full.
func (g *run) assign(t int, k ticket) {
	c := g.current[t]
	if c != nil {
		if c.take(k) {
			return
		}
		c.kick() // what it took in this batch
	}
	g.current[t] = g.spawn(t, []ticket{k})
}

// spawn makes a connection for the tickets.
func (g *run) spawn(t int, k []ticket) *h2conn {
	c := &h2conn{run: g, t: t, rec: g.recorder(), waiting: k, assigned: len(k), frames: wire.NewFrames(wire.FramesOptions{})}
	g.alive.Add(1)
	g.mu.Lock()
	g.muxed = append(g.muxed, c)
	g.mu.Unlock()
	go c.dial()
	return c
}

// room is how many streams the connection may carry.
func (c *h2conn) room() int {
	n := c.StreamsPerConn
	if l := c.limits[c.t].Load(); l > 0 {
		n = min(n, int(min(l, math.MaxInt32)))
	}
	return n
}

func (c *h2conn) take(k ticket) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.assigned >= c.room() {
		return false
	}
	c.assigned++
	c.waiting = append(c.waiting, k)
	return true
}

// dial makes the connection, and hands over to read, whose stack is small.
func (c *h2conn) dial() {
	c.dials <- struct{}{}
	nc, cause := c.connect(&c.Targets[c.t], &c.phases)
	<-c.dials
	if cause != "" {
		c.mu.Lock()
		c.lose(cause)
		c.mu.Unlock()
		c.alive.Done()
		return
	}
	nc.net.SetDeadline(time.Time{})
	c.c = nc
	c.mu.Lock()
	c.ready = true
	c.deadline = time.AfterFunc(c.Timeout, c.overdue)
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

// openWaiting asks for the streams that the peer has room for. What it has no room for goes to other connections, once the peer has said so.
func (c *h2conn) openWaiting() {
	target := &c.Targets[c.t]
	k := 0
	var err error
	for ; k < len(c.waiting); k++ {
		seen := c.frames.Peer().Seen
		if known := int(min(c.limits[c.t].Load(), beforeSettings)); !seen && c.frames.Active() >= known {
			break
		}
		if len(c.waiting) == 1 && cap(c.streams) == 0 && c.assigned == 1 {
			c.streams = make([]h2stream, 0, min(c.room(), 128))
		}
		var id uint32
		if id, err = c.frames.Open(target.Request); err != nil {
			break
		}
		o := &measure.Opening{Planned: c.waiting[k].planned, Started: c.waiting[k].started}
		o.Dialled, o.Connected, o.TLS = c.phases.Dialled, c.phases.Connected, c.phases.TLS
		c.phases = measure.Opening{}
		c.streams = append(c.streams, h2stream{opening: o})
		c.unsent = append(c.unsent, id)
	}
	left := c.waiting[k:]
	c.waiting = left
	switch {
	case len(left) == 0:
		c.waiting = nil
	case err == nil, errors.Is(err, wire.ErrStreamLimit) && !c.frames.Peer().Seen:
		return // its SETTINGS will tell
	default:
		cause := CauseOf("h2", err)
		if c.goAway != "" {
			cause = "h2: " + c.goAway
		}
		c.closed = true
		c.waiting = nil
		c.passOn(left, cause)
	}
}

// passOn gives tickets to a new connection, or fails those that too many have refused.
func (c *h2conn) passOn(tickets []ticket, cause string) {
	var again []ticket
	for _, k := range tickets {
		if k.tries++; k.tries < maxTries && !c.ending.Load() {
			again = append(again, k)
		} else {
			c.fail(cause)
		}
	}
	for n := c.room(); len(again) > 0; {
		k := min(n, len(again))
		c.spawn(c.t, again[:k:k])
		again = again[k:]
	}
}

func (c *h2conn) fail(cause string) {
	if c.ending.Load() {
		cause = causeEnd
	}
	c.rec.Lock()
	c.rec.Failed(cause)
	c.rec.Unlock()
}

// written notes that the requests of streams are out.
func (c *h2conn) written(ids []uint32) {
	at := c.Board.Now()
	for _, id := range ids {
		if o := c.streams[id/2].opening; o != nil {
			o.Written = at
		}
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
		sent := c.unsent
		c.unsent = nil
		c.written(sent) // an answer may overtake the note after writing
		c.mu.Unlock()
		c.c.net.SetWriteDeadline(time.Now().Add(c.Timeout))
		err := c.c.write(c.out)
		c.mu.Lock()
		c.written(sent)
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
