package engine

import (
	"errors"
	"math"

	"ssegauge/loadgen/measure"
	"ssegauge/reference/wire"
)

// beforeSettings is how many streams are opened on a connection before its peer has said how many it allows, where an earlier connection learnt it.
const beforeSettings = 100

// maxUnsent is how many bytes may wait for a peer that does not read.
const maxUnsent = 1 << 20

// mostStreams is how many streams a connection may have had before those that end there come back elsewhere: something of each stays until the connection goes.
const mostStreams = 4096

// maxTries is how many connections a stream is offered to whose peers go away or allow fewer streams than others did.
const maxTries = 3

// host is the engine that a mux lives in.
type host interface {
	spawn(t int, k []ticket) // makes a connection for streams of target t
	planned() bool           // no stream is left to be assigned to a connection
}

// connection is what a mux belongs to.
type connection interface {
	home
	leaver
}

// mux is one HTTP/2 connection with its streams: what the bytes that come mean, and which are to be written (frames.Out). It is for one
// goroutine at a time.
type mux struct {
	*run
	host host
	lane *lane
	t    int // index of the target
	self connection

	frames   *wire.Frames
	phases   measure.Opening   // of connecting: told once, with the first stream
	assigned int               // tickets ever taken
	expected int               // of their streams, those that will come back
	waiting  []ticket          // not yet opened
	streams  []stream          // stream 2i+1 is streams[i]
	unsent   []uint32          // streams whose request waits in Out
	own      measure.Stream    // what of the connection itself was found, so that it counts once
	closed   bool              // takes no more tickets
	goAway   string            // what the peer said when it went away
	owed     map[uint32]uint32 // slow readers: bytes of each stream that were taken in and not yet credited; else nil
}

func newMux(g *run, h host, l *lane, t int, k []ticket) mux {
	o := wire.FramesOptions{}
	slow := g.Life.slow(k[0].n)
	if slow {
		o.StreamWindow, o.ManualWindow = slowWindow, true
	}
	c := mux{run: g, host: h, lane: l, t: t, waiting: k, assigned: len(k), frames: wire.NewFrames(o)}
	if slow {
		c.owed = map[uint32]uint32{}
	}
	return c
}

// room is how many streams a connection to target t may carry.
func (g *run) room(t int) int {
	n := g.StreamsPerConn
	if l := g.limits[t].Load(); l > 0 {
		n = min(n, int(min(l, math.MaxInt32)))
	}
	return n
}

// take gives the connection a stream to open; false: it is full.
func (c *mux) take(k ticket) bool {
	if c.closed || c.assigned >= c.room(c.t) {
		return false
	}
	c.assigned++
	c.waiting = append(c.waiting, k)
	return true
}

// expects keeps a place for stream n, which has ended here, if it will come back. The lane is locked.
func (c *mux) expects(n uint32) {
	c.wear()
	if c.closed || c.clients == nil {
		return
	}
	if k := c.clients[n]; k != nil && k.away {
		k.home = c.self
		c.expected++
	}
}

// wear closes the connection to further streams once it has had enough of them.
func (c *mux) wear() {
	if len(c.streams) >= max(mostStreams, 2*c.room(c.t)) {
		c.closed = true
	}
}

// rejoins takes back a stream that was expected; false: no longer.
func (c *mux) rejoins(k ticket) bool {
	c.expected--
	if c.closed {
		return false
	}
	c.waiting = append(c.waiting, k)
	return true
}

// openWaiting asks for the streams that the peer has room for. What it has no room for goes to other connections, once the peer has said so.
func (c *mux) openWaiting() {
	k := 0
	var err error
	for ; k < len(c.waiting); k++ {
		seen := c.frames.Peer().Seen
		if known := int(min(c.limits[c.t].Load(), beforeSettings)); !seen && c.frames.Active() >= known {
			break
		}
		if c.streams == nil {
			c.streams = make([]stream, 0, min(c.room(c.t), 128))
		}
		w := &c.waiting[k]
		req, bad := c.request(w.n)
		if bad != nil {
			c.fail(*w, causeRequest)
			continue
		}
		var id uint32
		if id, err = c.frames.Open(req); err != nil {
			break
		}
		o := c.lane.begin(*w)
		o.Dialled, o.Connected, o.TLS = c.phases.Dialled, c.phases.Connected, c.phases.TLS
		c.phases = measure.Opening{}
		c.streams = append(c.streams, stream{opening: o, n: uint32(w.n), tries: uint8(w.tries)})
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
func (c *mux) passOn(tickets []ticket, cause string) {
	var again []ticket
	for _, k := range tickets {
		if k.tries++; k.tries < maxTries && !c.ending.Load() {
			again = append(again, k)
		} else {
			c.fail(k, cause)
		}
	}
	for n := c.room(c.t); len(again) > 0; {
		k := min(n, len(again))
		c.host.spawn(c.t, again[:k:k])
		again = again[k:]
	}
}

func (c *mux) fail(k ticket, cause string) {
	c.lane.Lock()
	c.ended(c.lane, k.n, nil, k.planned, c.Board.Now(), cause)
	c.lane.Unlock()
}

// requests takes the streams whose requests are in what Out holds now.
func (c *mux) requests() []uint32 {
	ids := c.unsent
	c.unsent = nil
	return ids
}

// written notes that the requests of streams are about to be written.
func (c *mux) written(ids []uint32) {
	if len(ids) == 0 {
		return
	}
	at := c.Board.Now()
	for _, id := range ids {
		if o := c.streams[id/2].opening; o != nil {
			o.Written = at
		}
	}
}

// idle tells whether the connection carries no stream and will carry no more.
func (c *mux) idle() bool {
	return len(c.waiting) == 0 && c.frames.Active() == 0 && (c.closed || c.expected == 0 && (c.host.planned() || c.assigned >= c.room(c.t)))
}

// feed takes what one read brought. What it has to say to that waits in Out.
func (c *mux) feed(p []byte, a *arrival) error {
	c.lane.Lock()
	a.tell(c.lane)
	it := &c.lane.it
	var err error
	settings := false
	for {
		var n int
		n, err = c.frames.Next(p, it)
		p = p[n:]
		settings = settings || it.Kind == wire.Settings
		c.item(it, a)
		if it.Kind == wire.None || err != nil {
			break
		}
	}
	c.lane.Unlock()
	if settings {
		c.limits[c.t].Store(max(1, c.frames.Peer().MaxConcurrentStreams))
	}
	if settings || c.goAway != "" && len(c.waiting) > 0 {
		c.openWaiting()
	}
	return err
}

// item takes one thing that Frames found out. The lane is locked.
func (c *mux) item(it *wire.Item, a *arrival) {
	i := int(it.Stream / 2)
	if it.Kind == wire.GoAway {
		c.goAway, c.closed = "GOAWAY "+wire.ErrCode(it.Code).String(), true
		return
	}
	if it.Stream == 0 || i >= len(c.streams) || c.streams[i].over {
		if it.Kind == wire.Broken {
			c.fault(c.lane, &c.own, &it.Fault, a.at)
		}
		return
	}
	s := &c.streams[i]
	cause, cancel := "", false
	switch it.Kind {
	case wire.Final:
		if cause, cancel = s.head(c.run, c.lane, it.Head, a.at), true; cause == "" {
			c.settles(s.n, c.self, it.Stream)
		}
	case wire.Body:
		if s.opening == nil {
			if cause, cancel = s.body(c.lane, it.Data, a), true; c.owed != nil {
				c.owed[it.Stream] += uint32(len(it.Data))
			}
		}
	case wire.End:
		cause = "end of response"
	case wire.Reset:
		if cause = "h2: " + wire.ErrCode(it.Code).String(); c.goAway != "" && it.Code == uint32(wire.CodeRefusedStream) {
			if s.opening != nil { // nobody has looked at it (RFC 9113 6.8): it may be asked for elsewhere
				c.waiting = append(c.waiting, ticket{planned: s.opening.Planned, started: s.opening.Started, n: int(s.n), tries: int(s.tries)})
				s.opening, s.over = nil, true
				return
			}
			cause = "h2: " + c.goAway
		}
	case wire.Broken:
		c.fault(c.lane, &s.m, &it.Fault, a.at)
		if it.Fault.Code == wire.FaultH2Incomplete {
			cause = causeCut
		}
	}
	if cause == "" {
		return
	}
	s.end(c.run, c.lane, a.at, cause)
	c.expects(s.n)
	if cancel {
		c.frames.Cancel(it.Stream, wire.CodeCancel)
	}
}

// lose ends every stream: the connection is gone, or could not be made.
func (c *mux) lose(cause string) {
	c.closed = true
	full := cause
	if _, _, phased := cutCause(cause); !phased {
		full = "h2: " + cause
	}
	if c.goAway != "" {
		full = "h2: " + c.goAway
	}
	at := c.Board.Now()
	c.lane.Lock()
	for i := range c.streams {
		c.streams[i].end(c.run, c.lane, at, full)
	}
	c.lane.Unlock()
	waiting := c.waiting
	c.waiting = nil
	if c.goAway != "" {
		c.passOn(waiting, full)
		return
	}
	for _, k := range waiting {
		c.fail(k, full)
	}
}

// lostBy is the cause where a connection ended with err, without its phase.
func lostBy(err error) string {
	if isEOF(err) || errors.Is(err, errIdle) {
		return "connection closed"
	}
	_, cause, _ := cutCause(CauseOf("h2", err))
	return cause
}

var errIdle = errors.New("no streams left")

// overdue gives up the streams that have waited too long for their head, and returns when to look again; 0: never.
func (c *mux) overdue() (next int64) {
	now := c.Board.Now()
	c.lane.Lock()
	for i := range c.streams {
		s := &c.streams[i]
		if s.over || s.opening == nil {
			continue
		}
		if due := s.opening.Started + int64(c.Timeout); due <= now {
			s.end(c.run, c.lane, now, "head: timeout")
			c.expects(s.n)
			c.frames.Cancel(uint32(2*i+1), wire.CodeCancel)
		} else if next == 0 || due < next {
			next = due
		}
	}
	c.lane.Unlock()
	// Those that were never asked for, too: a peer whose SETTINGS do not come answers nothing.
	left := c.waiting
	c.waiting = nil
	for _, k := range left {
		if due := k.started + int64(c.Timeout); due <= now {
			c.fail(k, "head: timeout")
		} else {
			c.waiting = append(c.waiting, k)
			if next == 0 || due < next {
				next = due
			}
		}
	}
	if next == 0 && !c.closed && (c.assigned < c.room(c.t) || c.Life.moves()) {
		next = now + int64(c.Timeout)
	}
	return next
}
