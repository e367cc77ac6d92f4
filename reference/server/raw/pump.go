package raw

import (
	"time"

	"ssegauge/reference/server"
	"ssegauge/reference/wire"
)

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
		buf = append(appendFrameHead(buf, 4, frameReset, 0, s.id), 0, 0, 0, byte(wire.CodeCancel))
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
