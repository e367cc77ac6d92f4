package raw

import (
	"net/http"
	"time"

	"ssegauge/reference/wire"
)

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

// lookAfter sends heartbeats, cuts streams that took nothing for too long, and gives up requests that were not whole in time.
func (c *conn) lookAfter(now int64) {
	c.look = notDue
	for i := range c.streams {
		if s := &c.streams[i]; s.id&dead == 0 && s.flags&asking != 0 && c.silence(s) >= bodyTimeout {
			c.h2.streamError(c, s.id, wire.CodeEnhanceYourCalm)
		}
	}
	c.looking = true
	c.pump()
	c.looking = false
	cfg := &c.sh.eng.cfg
	for i := range c.streams {
		s := &c.streams[i]
		every := cfg.Heartbeat
		switch {
		case s.flags&asking != 0:
			every = bodyTimeout
		case s.flags&waiting != 0:
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
		c.h2.fail(c, wire.CodeEnhanceYourCalm, "a frame or a field block was not whole in time")
	case len(c.in) == 0 && c.req == nil:
		c.close() // nothing came at all
		return
	default:
		c.fresh = false
		c.refuse(http.StatusRequestTimeout, "the request was not whole in time")
	}
	c.pump()
}
