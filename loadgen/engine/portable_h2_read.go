package engine

import (
	"errors"
	"time"

	"ssegauge/reference/wire"
)

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
	c.c.tell(c.rec)
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
		if err := body(c.c, c.rec, &s.dec, &s.m, it.Data, at); err != nil {
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
