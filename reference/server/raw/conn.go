package raw

import (
	"slices"

	"ssegauge/reference/wire"
)

// conn is one connection. It holds a buffer only while something is not whole: a request that comes, an answer that waits.
type conn struct {
	sh   *shard
	port *port // nil: a socket of the shard's poller
	fd   int32
	slot int32
	addr string // host:port of the peer; the port of a socket's is not kept

	in      []byte // what came and is not whole yet
	out     []byte // what waits to be written, before anything else
	scanned int    // bytes of in that hold no end of a head

	streams []stream // HTTP/1.1: at most one
	feeds   []membership
	turn    int32  // the stream that is served first
	turned  uint32 // the round in which it was last sent what is new
	gone    int32  // streams that ended and are still in the table
	h2      *h2    // nil: HTTP/1.1
	req     *request

	interest uint32 // what the poller was told
	state    connState
	held     bool // requests wait in in until answers have been taken
	polled   bool // the poller knows it
	fresh    bool // no byte was understood yet
	last     bool // the answer at hand is the last
	busy     bool // inside of pump or input
	full     bool // the peer took less than was written: writable will be called
	freed    bool // HTTP/1.1: the stream ended
	looking  bool // pump sends heartbeats and cuts streams that took nothing for too long

	// Clocks, in ms of the shard.
	heard int64 // the last input
	since int64 // when the head, the body or the frame at hand began; 0: none
	stuck int64 // since when nothing could be written; 0: nothing waits
	look  int64 // when a stream may need a heartbeat, or may have to be cut or given up; not later than that
}

type connState uint8

const (
	reading   connState = iota
	closing             // it closes when all is written
	lingering           // all is written; the peer has a moment to read it and close
	closed
)

// stream is one open stream. 24 bytes: there may be a million of them.
type stream struct {
	id     uint32 // HTTP/2; 0: it ended
	cursor uint32 // the low bits of its position in the feed
	off    uint32 // bytes written of what stands there: of the event, of its chunk (HTTP/1.1), or of what comes before the feed
	last   uint32 // ms, low bits: when something was written last, or since when nothing could be
	window int32  // HTTP/2: what the peer allows
	feed   uint16 // index in conn.feeds
	flags  uint8
}

const (
	hasPre    = 1 << iota // something comes before the feed: h2.pre
	noFeed                // and nothing after it
	waiting               // it cannot take what it should; last is since when
	asking                // its request is not whole yet
	plainBody             // HTTP/1.0: no chunks
)

// membership ties a connection to a feed that streams of it carry. A free one has no sub.
type membership struct {
	sub *sub
	at  int32 // index in sub.conns
	n   int32 // streams
}

// join makes the connection a member of a feed, for one stream more.
func (c *conn) join(s *sub) uint16 {
	hole := -1
	for i := range c.feeds {
		switch c.feeds[i].sub {
		case s:
			c.feeds[i].n++
			return uint16(i)
		case nil:
			hole = i
		}
	}
	if hole < 0 {
		hole = len(c.feeds)
		if cap(c.feeds) == 0 {
			c.feeds = make([]membership, 0, 1)
		}
		c.feeds = append(c.feeds, membership{})
	}
	c.feeds[hole] = membership{sub: s, at: int32(len(s.conns)), n: 1}
	s.conns = append(s.conns, c)
	return uint16(hole)
}

// leave takes one stream out of a feed.
func (c *conn) leave(i uint16) {
	m := &c.feeds[i]
	c.sh.eng.srv.Left(m.sub.feed, c.addr)
	if m.n--; m.n > 0 {
		return
	}
	s, last := m.sub, len(m.sub.conns)-1
	moved := s.conns[last]
	s.conns[m.at] = moved
	for j := range moved.feeds {
		if moved.feeds[j].sub == s {
			moved.feeds[j].at = m.at
		}
	}
	s.conns[last] = nil
	s.conns = s.conns[:last]
	*m = membership{}
	if last == 0 {
		c.sh.unsubscribe(s)
	}
}

// find is the index of an open stream.
func (c *conn) find(id uint32) (int, bool) {
	i, ok := slices.BinarySearchFunc(c.streams, id, func(s stream, id uint32) int { return int(int64(s.id&^dead) - int64(id)) })
	return i, ok && c.streams[i].id&dead == 0
}

// dead marks, in its id, a stream that ended.
const dead = 1 << 31

// add puts a stream into the table: in its own place, where its request had a body.
func (c *conn) add(s stream) {
	if c.gone > 8 && int(c.gone) > len(c.streams)/2 {
		c.compact()
	}
	if c.h2 == nil && c.streams == nil {
		c.streams = make([]stream, 0, 1)
	}
	now := c.sh.ms()
	s.last = uint32(now)
	if c.active() == 0 {
		c.look = notDue
	}
	if every := c.sh.eng.cfg.Heartbeat; every > 0 {
		c.look = min(c.look, now+every.Milliseconds())
	}
	if s.flags&asking != 0 {
		c.look = min(c.look, now+bodyTimeout.Milliseconds())
	}
	if i, ok := c.find(s.id); ok {
		c.streams[i] = s
		return
	}
	c.streams = append(c.streams, s)
}

func (c *conn) compact() {
	c.streams = slices.DeleteFunc(c.streams, func(s stream) bool { return s.id&dead != 0 })
	c.gone, c.turn = 0, 0
	if len(c.streams) == 0 {
		c.streams = nil
	}
}

// drop forgets the stream at i, which ended one way or the other. It stays in its place: who walks the table may go on.
func (c *conn) drop(i int) {
	s := &c.streams[i]
	if c.h2 != nil {
		c.h2.taken(s.id &^ dead)
	}
	if s.flags&noFeed == 0 {
		c.leave(s.feed)
	}
	s.id |= dead
	s.flags = noFeed
	c.gone++
}

// active is the number of open streams.
func (c *conn) active() int { return len(c.streams) - int(c.gone) }

// block waits for the peer to take what was written.
func (c *conn) block() {
	c.full = true
	if c.stuck == 0 {
		c.stuck = c.sh.ms()
	}
	c.arm()
}

// unblock notes that everything that could be written was.
func (c *conn) unblock() {
	c.stuck = 0
	c.arm()
}

// queue is what waits, in bytes.
func (c *conn) choked() bool { return len(c.out) > maxQueued }

// writable is called when the peer takes bytes again.
func (c *conn) writable() {
	if c.state == closed {
		return
	}
	c.full = false
	if c.stuck != 0 {
		c.stuck = c.sh.ms()
	}
	c.pump()
	c.resume()
}

// input takes what came.
func (c *conn) input(p []byte) {
	if c.state != reading {
		return
	}
	c.heard = c.sh.ms()
	if c.h2 != nil {
		c.h2.pinged = false
	}
	if len(c.in) > 0 {
		c.in = append(c.in, p...)
		p = c.in
	}
	kept := len(c.in)
	if c.out == nil {
		c.out, c.sh.spare = c.sh.spare, nil
	}
	c.busy = true
	c.held = false
	n := 0
	if c.fresh {
		p = c.greet(p)
	}
	if !c.fresh {
		if c.h2 != nil {
			n = c.frames(p)
		} else {
			n = c.requests(p)
		}
	}
	c.busy = false
	if c.state == closed {
		return
	}
	switch rest := p[n:]; {
	case len(rest) == 0 || c.state != reading:
		c.in = nil
	case kept > 0 && n == 0 && len(p) == len(c.in):
	case kept > 0:
		c.in = append(c.in[:0], rest...)
	default:
		c.in = slices.Clone(rest)
	}
	c.pump()
	c.resume()
}

// resume goes on with what waited for answers to be taken.
func (c *conn) resume() {
	if c.held && !c.choked() {
		c.input(nil)
	}
}

// eof is called when the peer has closed its side.
func (c *conn) eof() {
	if c.state < lingering && c.active() == 0 && (len(c.out) > 0 || c.blocked()) {
		c.state = closing // an answer is under way
		c.pump()
		return
	}
	c.close()
}

// stop ends the connection gracefully.
func (c *conn) stop() {
	c.last = true
	if c.h2 != nil {
		c.h2.goAway(c, wire.CodeNo, "")
	} else if c.active() == 0 && c.req == nil && len(c.in) == 0 {
		c.state = max(c.state, closing)
	}
	c.pump()
}

// linger closes our side and gives the peer a moment, because a close with unread input would take from it what it has not read.
func (c *conn) linger() {
	c.state = lingering
	c.since = c.sh.ms()
	c.in, c.req = nil, nil
	if !c.shut() {
		c.close()
		return
	}
	c.clock()
}

// close ends the connection at once.
func (c *conn) close() {
	if c.state == closed {
		return
	}
	c.state = closed
	c.busy = true
	for i := range c.streams {
		if c.streams[i].id&dead == 0 {
			c.drop(i)
		}
	}
	c.hangUp()
	c.in, c.out, c.streams, c.feeds, c.req, c.h2 = nil, nil, nil, nil, nil, nil
	c.sh.remove(c)
}
