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
		c.mu.Unlock()
		c.c.net.SetWriteDeadline(time.Now().Add(c.Timeout))
		err := c.c.write(c.out)
		at := c.Board.Now()
		c.mu.Lock()
		for _, id := range sent {
			if o := c.streams[id/2].opening; o != nil {
				o.Written = at
			}
		}
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
	defer c.alive.Done()
	defer c.drop(c.c)
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
		if err == nil && c.idle() {
			err = errIdle
		}
		if err != nil {
			cause := "connection closed"
			if !isEOF(err) && !errors.Is(err, errIdle) {
				_, cause, _ = cutCause(CauseOf("h2", err))
			}
			c.mu.Lock()
			c.lose(cause)
			c.mu.Unlock()
			return
		}
	}
}

var errIdle = errors.New("no streams left")

// idle tells whether the connection carries no stream and will carry no more.
func (c *h2conn) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.waiting) == 0 && c.frames.Active() == 0 && (c.closed || c.planned.Load() || c.assigned >= c.room())
}

// lastCall closes the connection if nothing is on it and nothing will be.
func (c *h2conn) lastCall() {
	if c.idle() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.ready {
			c.c.close()
		}
	}
}

// piece takes what one read brought.
func (c *h2conn) piece(p []byte) error {
	at := c.Board.Since(c.c.at)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rec.Lock()
	if c.c.told {
		c.rec.Delay(c.c.delay)
	}
	it := &c.it
	var err error
	settings := false
	for {
		var n int
		n, err = c.frames.Next(p, it)
		p = p[n:]
		settings = settings || it.Kind == wire.Settings
		c.item(it, at)
		if it.Kind == wire.None || err != nil {
			break
		}
	}
	c.rec.Unlock()
	if settings {
		c.limits[c.t].Store(max(1, c.frames.Peer().MaxConcurrentStreams))
	}
	if settings || c.goAway != "" && len(c.waiting) > 0 {
		c.openWaiting()
	}
	c.flush()
	return err
}

// item takes one thing that Frames found out. The recorder is locked.
func (c *h2conn) item(it *wire.Item, at int64) {
	i := int(it.Stream / 2)
	if it.Kind == wire.GoAway {
		c.goAway, c.closed = "GOAWAY "+wire.ErrCode(it.Code).String(), true
		return
	}
	if it.Stream == 0 || i >= len(c.streams) || c.streams[i].over {
		return
	}
	s := &c.streams[i]
	switch it.Kind {
	case wire.Final:
		if cause := refusal(it.Head); cause != "" {
			c.end(s, at, cause)
			c.frames.Cancel(it.Stream, wire.CodeCancel)
			return
		}
		if s.opening != nil {
			s.opening.Head = at
			c.rec.Opened(&s.m, *s.opening)
			s.opening = nil
		}
	case wire.Body:
		if s.opening != nil {
			return
		}
		if err := body(c.rec, &s.dec, &s.m, it.Data, at); err != nil {
			c.end(s, at, CauseOf(wire.PhaseBody, err))
			c.frames.Cancel(it.Stream, wire.CodeCancel)
		}
	case wire.End:
		c.end(s, at, "end of response")
	case wire.Reset:
		if c.goAway != "" && it.Code == uint32(wire.CodeRefusedStream) {
			c.end(s, at, "h2: "+c.goAway)
			return
		}
		c.end(s, at, "h2: "+wire.ErrCode(it.Code).String())
	case wire.Broken:
		if it.Fault.Code == wire.FaultH2Incomplete {
			c.end(s, at, "cut short")
		}
	}
}

// end notes that a stream is over. The recorder is locked.
func (c *h2conn) end(s *h2stream, at int64, cause string) {
	if s.over {
		return
	}
	s.over = true
	switch {
	case s.opening != nil:
		if c.ending.Load() {
			cause = causeEnd
		} else if _, _, phased := cutCause(cause); !phased {
			cause = "head: " + cause
		}
		c.rec.Failed(cause)
		s.opening = nil
	case !c.ending.Load():
		c.rec.Closed(&s.m, at, cause)
	}
	s.dec.Reset(false)
}

// lose ends every stream: the connection is gone, or could not be made.
func (c *h2conn) lose(cause string) {
	c.closed = true
	if c.deadline != nil {
		c.deadline.Stop()
	}
	full := cause
	if _, _, phased := cutCause(cause); !phased {
		full = "h2: " + cause
	}
	if c.goAway != "" {
		full = "h2: " + c.goAway
	}
	at := c.Board.Now()
	c.rec.Lock()
	for i := range c.streams {
		c.end(&c.streams[i], at, full)
	}
	c.rec.Unlock()
	waiting := c.waiting
	c.waiting = nil
	if c.goAway != "" {
		c.passOn(waiting, full)
		return
	}
	for range waiting {
		c.fail(full)
	}
}

// overdue cancels the streams that have waited too long for their head.
func (c *h2conn) overdue() {
	defer c.lastCall()
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.Board.Now()
	next := int64(0)
	c.rec.Lock()
	for i := range c.streams {
		s := &c.streams[i]
		if s.over || s.opening == nil {
			continue
		}
		if due := s.opening.Started + int64(c.Timeout); due <= now {
			c.end(s, now, "head: timeout")
			c.frames.Cancel(uint32(2*i+1), wire.CodeCancel)
		} else if next == 0 || due < next {
			next = due
		}
	}
	c.rec.Unlock()
	if next == 0 && !c.closed && c.assigned < c.room() {
		next = now + int64(c.Timeout)
	}
	if next > 0 {
		c.deadline.Reset(time.Duration(next - now))
	}
	c.flush()
}
