package raw

import (
	"net/http"
	"slices"
	"time"

	"ssegauge/reference/server"
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
	turn    int32 // the stream that is served first
	gone    int32 // streams that ended and are still in the table
	h2      *h2   // nil: HTTP/1.1
	req     *request

	interest uint32 // what the poller was told
	state    connState
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
	look  int64 // when a stream may need a heartbeat, or may have to be cut; not later than that
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

// entry is what one frame or chunk in the scratch buffer means, in case it is not written.
type entry struct {
	stream int32
	end    int32 // where it ends in the buffer
	size   int32 // bytes of content it carries
	kind   entryKind
	cut    bool // the stream ends because its reader was too slow
	was    stream
}

type entryKind uint8

const (
	part   entryKind = iota // of an event
	whole                   // the end of an event
	before                  // of what comes before the feed
	beat                    // a heartbeat
	ending                  // the end of the stream
)

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

// drop forgets the stream at i, which ended one way or the other.
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
	if c.active() == 0 && !c.busy {
		c.compact()
	}
}

// active is the number of open streams.
func (c *conn) active() int { return len(c.streams) - int(c.gone) }

// room is how many bytes of content a stream may get now.
func (c *conn) room(s *stream) int {
	if c.h2 == nil {
		return 1 << 30
	}
	return int(max(0, min(int64(s.window), c.h2.window)))
}

// pump writes what streams wait for, in one write. What the peer does not take stays in the log.
func (c *conn) pump() {
	if c.state >= lingering || c.busy {
		return
	}
	c.busy = true
	c.write()
	c.busy = false
	if int(c.gone) == len(c.streams) && c.gone > 0 {
		c.compact()
	}
	c.clock()
	if c.freed {
		c.freed = false
		c.input(nil) // requests that came while the stream was there
	}
}

// write is pump inside its guard.
func (c *conn) write() {
	for c.state < lingering {
		if !c.flush() {
			return
		}
		if c.direct() {
			continue
		}
		sh := c.sh
		sh.entries = sh.entries[:0]
		buf := c.compose(sh.scratch[:0])
		if c.state == closed {
			return
		}
		if len(sh.entries) == 0 {
			break
		}
		n, err := 0, error(nil)
		if len(buf) > 0 { // the end of an HTTP/1.0 stream is no byte
			n, err = c.send(buf)
		}
		if err != nil && err != errAgain {
			c.close()
			return
		}
		c.commit(buf, n)
		if n < len(buf) {
			c.block()
			return
		}
		if c.stuck != 0 {
			c.stuck = sh.ms()
		}
	}
	if c.state == closing {
		c.linger()
		return
	}
	c.unblock()
}

// direct is the common case of HTTP/1.1, an event for a stream that keeps up: it is written as it is, copied nowhere.
func (c *conn) direct() bool {
	if c.h2 != nil || len(c.streams) != 1 || c.sh.stopping {
		return false
	}
	s := &c.streams[0]
	if s.id != 0 || s.flags != 0 {
		return false
	}
	sub := c.feeds[s.feed].sub
	if uint32(sub.next)-s.cursor != 1 {
		return false
	}
	r, lost := sub.read(sub.next - 1)
	if lost {
		return false
	}
	n, err := c.send(r.Chunk()[s.off:])
	if err != nil && err != errAgain {
		c.close()
		return true
	}
	s.last = uint32(c.sh.ms())
	if s.off += uint32(n); int(s.off) < len(r.Chunk()) {
		s.flags |= waiting
		c.block()
		return true
	}
	s.off = 0
	s.cursor++
	c.sh.tally.delivered++
	c.sh.tally.bytes += uint64(len(r.Raw()))
	return true
}

// compose appends what the streams of the connection wait for.
func (c *conn) compose(buf []byte) []byte {
	count := len(c.streams)
	for k := range count {
		i := int(c.turn) + k
		if i >= count {
			i -= count
		}
		if c.streams[i].id&dead != 0 {
			continue
		}
		buf = c.fill(buf, i)
		if len(buf) >= scratchSize {
			c.turn = int32((i + 1) % count)
			break
		}
	}
	return buf
}

// fill appends what the stream at i waits for and may have.
func (c *conn) fill(buf []byte, i int) []byte {
	s := &c.streams[i]
	if s.flags&asking != 0 {
		return buf
	}
	if s.flags&hasPre != 0 {
		if buf = c.h2.fillPre(c, buf, i); s.flags&(hasPre|noFeed) != 0 {
			return buf
		}
	}
	if s.flags&noFeed != 0 {
		return buf
	}
	if c.looking && s.flags&waiting != 0 && c.silence(s) >= c.sh.eng.cfg.WriteTimeout {
		return c.cut(buf, i)
	}
	sub := c.feeds[s.feed].sub
	chunked := c.h2 == nil && s.flags&plainBody == 0
	for len(buf) < scratchSize {
		lag := uint32(sub.next) - s.cursor
		at := sub.next - uint64(lag)
		if s.off == 0 && (c.sh.stopping || at >= sub.feed.End()) {
			return c.finish(buf, i)
		}
		if lag == 0 {
			if c.looking {
				buf = c.beat(buf, i)
			}
			break
		}
		r, lost := sub.read(at)
		if lost {
			return c.cut(buf, i)
		}
		rest := r.Raw()[min(int(s.off), len(r.Raw())):]
		if chunked {
			rest = r.Chunk()[s.off:]
		}
		room := c.room(s)
		if room == 0 {
			c.wait(s)
			break
		}
		was, kind := *s, whole
		if c.h2 != nil {
			if n := min(len(rest), room, int(c.h2.maxFrame)); n < len(rest) {
				rest, kind = rest[:n], part
			}
			buf = appendFrameHead(buf, len(rest), frameData, 0, s.id)
			c.h2.spend(s, len(rest))
		}
		buf = append(buf, rest...)
		if s.off += uint32(len(rest)); kind == whole {
			s.off = 0
			s.cursor++
		}
		c.log(i, buf, kind, len(r.Raw()), was)
	}
	return buf
}

// beat appends a heartbeat where the stream at i was quiet for long enough. Those that are due soon join: one write carries them all.
func (c *conn) beat(buf []byte, i int) []byte {
	s := &c.streams[i]
	every := c.sh.eng.cfg.Heartbeat
	if every <= 0 || c.silence(s) < every-every/16 || c.room(s) < len(server.Heartbeat) {
		return buf
	}
	was := *s
	switch {
	case c.h2 != nil:
		buf = append(appendFrameHead(buf, len(server.Heartbeat), frameData, 0, s.id), server.Heartbeat...)
		c.h2.spend(s, len(server.Heartbeat))
	case s.flags&plainBody != 0:
		buf = append(buf, server.Heartbeat...)
	default:
		buf = append(appendChunk(buf, server.Heartbeat), "\r\n"...)
	}
	c.log(i, buf, beat, 0, was)
	return buf
}

// silence is how long nothing was written to a stream.
func (c *conn) silence(s *stream) time.Duration {
	return time.Duration(uint32(c.sh.ms())-s.last) * time.Millisecond
}

// wait notes that a stream cannot take what it should.
func (c *conn) wait(s *stream) {
	if s.flags&waiting == 0 {
		s.flags |= waiting
		now := c.sh.ms()
		s.last = uint32(now)
		c.look = min(c.look, now+c.sh.eng.cfg.WriteTimeout.Milliseconds())
	}
}

// log remembers what stands at the end of buf.
func (c *conn) log(i int, buf []byte, kind entryKind, size int, was stream) {
	s := &c.streams[i]
	s.last = uint32(c.sh.ms())
	s.flags &^= waiting
	c.sh.entries = append(c.sh.entries, entry{stream: int32(i), end: int32(len(buf)), size: int32(size), kind: kind, was: was})
}

// finish appends the end of the stream at i, which stands between two events.
func (c *conn) finish(buf []byte, i int) []byte {
	s := &c.streams[i]
	was := *s
	s.flags |= noFeed | asking // nothing comes after it
	switch {
	case c.h2 != nil:
		buf = appendFrameHead(buf, 0, frameData, flagEndStream, s.id)
	case s.flags&plainBody == 0:
		buf = append(buf, "0\r\n\r\n"...)
	}
	c.log(i, buf, ending, 0, was)
	return buf
}

// cut ends the stream at i, whose reader was too slow: between two events where it stands there, else by a reset.
func (c *conn) cut(buf []byte, i int) []byte {
	s := &c.streams[i]
	switch {
	case s.off == 0 && s.flags&hasPre == 0:
		buf = c.finish(buf, i)
	case c.h2 == nil:
		c.sh.tally.cut++
		c.close()
		return buf
	default:
		was := *s
		s.flags |= noFeed | asking
		buf = append(appendFrameHead(buf, 4, frameReset, 0, s.id), 0, 0, 0, byte(codeCancel))
		c.log(i, buf, ending, 0, was)
	}
	c.sh.entries[len(c.sh.entries)-1].cut = true
	return buf
}

// commit takes note of what was written: n bytes of buf. What was not stays as it was; the rest of a frame that was written in part waits in out.
func (c *conn) commit(buf []byte, n int) {
	sh := c.sh
	start := 0
	short := -1
	for k := range sh.entries {
		e := &sh.entries[k]
		if n < int(e.end) {
			short = k
			break
		}
		start = int(e.end)
		c.account(e)
	}
	if short < 0 {
		return
	}
	for k := len(sh.entries) - 1; k > short; k-- { // backwards: a stream may be there several times
		c.restore(&sh.entries[k])
	}
	e := &sh.entries[short]
	switch {
	case n == start:
		c.restore(e)
	case c.h2 == nil && (e.kind == part || e.kind == whole):
		c.restore(e)
		c.streams[e.stream].off += uint32(n - start)
	default:
		c.out = append(c.out, buf[n:e.end]...)
		c.account(e)
	}
}

func (c *conn) account(e *entry) {
	t := &c.sh.tally
	switch e.kind {
	case whole:
		t.delivered++
		t.bytes += uint64(e.size)
	case beat:
		t.beats++
	case before:
		c.h2.taken(c.streams[e.stream].id)
	case ending:
		if e.cut {
			t.cut++
		}
		s := &c.streams[e.stream]
		s.flags = s.flags&^noFeed | e.was.flags&noFeed
		c.drop(int(e.stream))
		if c.h2 == nil {
			c.freed = true
			c.ended()
		} else {
			c.h2.leave(c)
		}
	}
}

func (c *conn) restore(e *entry) {
	if c.h2 != nil {
		c.h2.window += int64(e.was.window) - int64(c.streams[e.stream].window)
	}
	c.streams[e.stream] = e.was
}

// flush writes what waits in out, and tells whether nothing is left of it.
func (c *conn) flush() bool {
	if c.full {
		return false
	}
	if len(c.out) > 0 {
		n, err := c.send(c.out)
		if err != nil && err != errAgain {
			c.close()
			return false
		}
		if n < len(c.out) {
			if n > 0 {
				c.stuck = c.sh.ms()
			}
			c.keep(n)
			c.block()
			return false
		}
	}
	c.keep(len(c.out))
	if c.blocked() {
		c.block()
		return false
	}
	return true
}

// keep drops n bytes from the front of out. A connection with nothing to write holds no buffer: the shard lends one.
func (c *conn) keep(n int) {
	if c.out == nil {
		return
	}
	var rest []byte
	if n < len(c.out) {
		rest = append(rest, c.out[n:]...)
	}
	if cap(c.out) <= scratchSize && cap(c.out) > cap(c.sh.spare) {
		c.sh.spare = c.out[:0]
	}
	c.out = rest
}

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
	held := c.choked()
	c.full = false
	if c.stuck != 0 {
		c.stuck = c.sh.ms()
	}
	c.pump()
	if held && !c.choked() {
		c.input(nil)
	}
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
	held := len(c.in)
	if c.out == nil {
		c.out, c.sh.spare = c.sh.spare, nil
	}
	c.busy = true
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
	case held > 0 && n == 0 && len(p) == len(c.in):
	case held > 0:
		c.in = append(c.in[:0], rest...)
	default:
		c.in = slices.Clone(rest)
	}
	c.pump()
}

// eof is called when the peer has closed its side.
func (c *conn) eof() {
	if c.state == reading && c.active() == 0 && (len(c.out) > 0 || c.blocked()) {
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
		c.h2.goAway(c, codeNone, "")
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

// clock tells the shard when to look after the connection.
func (c *conn) clock() {
	if c.state == closed {
		return
	}
	sh := c.sh
	at := int64(notDue)
	sooner := func(from int64, d time.Duration) { at = min(at, from+d.Milliseconds()) }
	switch {
	case c.state == lingering:
		sooner(c.since, lingerTimeout)
	case c.since != 0:
		sooner(c.since, c.patience())
	}
	if c.stuck != 0 {
		sooner(c.stuck, sh.eng.cfg.WriteTimeout)
	}
	if c.active() == 0 {
		sooner(c.heard, idleTimeout)
	} else {
		at = min(at, c.look)
		if c.h2 != nil {
			sooner(c.heard, c.h2.silence())
		}
	}
	if at != sh.due[c.slot] {
		sh.set(c, at)
	}
}

// expire does what is due at a time.
func (c *conn) expire(now int64) {
	over := func(from int64, d time.Duration) bool { return from != 0 && now-from >= d.Milliseconds() }
	switch {
	case c.state == lingering:
		if over(c.since, lingerTimeout) {
			c.close()
		}
	case over(c.stuck, c.sh.eng.cfg.WriteTimeout):
		c.sh.tally.cut += uint64(c.active())
		c.close()
	case over(c.since, c.patience()):
		c.late()
	case c.active() == 0 && over(c.heard, idleTimeout):
		c.stop()
	case c.h2 != nil && c.active() > 0 && over(c.heard, c.h2.silence()):
		c.h2.quiet(c)
	}
	if c.state < lingering && c.active() > 0 && now >= c.look {
		c.lookAfter(now)
	}
	c.clock()
}

// lookAfter sends heartbeats, and cuts streams that took nothing for too long.
func (c *conn) lookAfter(now int64) {
	c.look = notDue
	c.looking = true
	c.pump()
	c.looking = false
	cfg := &c.sh.eng.cfg
	for i := range c.streams {
		s := &c.streams[i]
		every := cfg.Heartbeat
		if s.flags&waiting != 0 {
			every = cfg.WriteTimeout
		}
		if s.id&dead == 0 && every > 0 {
			c.look = min(c.look, max(now+1, now+(every-c.silence(s)).Milliseconds()))
		}
	}
}

// patience is how long what has begun to come may take.
func (c *conn) patience() time.Duration {
	if c.req != nil {
		return bodyTimeout
	}
	return headTimeout
}

// late ends a connection whose request, or frame, did not come to its end in time.
func (c *conn) late() {
	switch c.since = 0; {
	case c.h2 != nil:
		c.h2.fail(c, codeCalm, "a frame or a field block was not whole in time")
	case len(c.in) == 0 && c.req == nil:
		c.close() // nothing came at all
		return
	default:
		c.fresh = false
		c.refuse(http.StatusRequestTimeout, "the request was not whole in time")
	}
	c.pump()
}
