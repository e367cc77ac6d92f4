package engine

import (
	"time"
)

// Slow says which streams read slowly, and how.
type Slow struct {
	Share float64 // of the streams
	Rate  int     // bytes a second that each takes in, from its head on; 0: none
}

// slow tells whether stream n reads slowly: they are spread evenly over all.
func (l *Life) slow(n int) bool {
	if l.Slow == nil {
		return false
	}
	before := func(n int) int { return int(float64(n)*l.Slow.Share + 1e-9) }
	return before(n+1) > before(n)
}

// What a slow reader has room for: little, so that what it does not read stays with the server.
const (
	slowReceive = 4 << 10 // SO_RCVBUF; Linux takes twice that
	slowSegment = 1400    // bytes of a segment: over loopback they are so large that the server's buffer alone holds megabytes
	slowWindow  = 4 << 10 // SETTINGS_INITIAL_WINDOW_SIZE
	slowBuffer  = 512
)

// How often a slow reader that does not read looks whether it was closed, and how long it reads on at the end to find out whether there is an end
// behind what it left.
const (
	glance    = 500 * time.Millisecond
	aftermath = time.Second
)

// pause waits until a slow reader may take in more, or its connection was closed; false: the run is over.
func (s *h1conn) pause() bool {
	until := time.Duration(1 << 62)
	if rate := s.g.Life.Slow.Rate; rate > 0 {
		until = time.Duration(float64(s.took) / float64(rate) * float64(time.Second))
	}
	s.took = 0
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	for until > 0 {
		d := min(until, glance)
		until -= d
		timer.Reset(d)
		select {
		case <-timer.C:
		case <-s.g.ctx.Done():
			return false
		}
		if s.c.raw != nil && HungUp(s.c.raw) {
			s.drained = true // there is no reason to go slowly any more
			return true
		}
	}
	return true
}

// readSlowly is the life of a slow reader from its head on: it has the head, and perhaps the beginning of the content.
func (s *h1conn) readSlowly(each func(p []byte)) {
	over := false
	for !s.done {
		if !over && !s.drained && !s.pause() {
			// It reads what is left, to see whether the server closed it behind that.
			over = true
			s.c.net.SetDeadline(time.Now().Add(aftermath))
		}
		err := s.c.read(each)
		if err == nil {
			continue
		}
		s.lane.Lock()
		defer s.lane.Unlock()
		if over && isTimeout(err) {
			s.end(s.g.run, s.lane, 0, causeEnd)
			return
		}
		s.lane.aftermath = over
		at := s.g.Board.Now()
		if over {
			at = 0 // nobody knows
		}
		s.lose(s.g.run, s.lane, at, err)
		s.lane.aftermath = false
		return
	}
}

// credit lets the peer send n bytes more, at most, on each stream of a slow connection that has taken in as many.
func (c *mux) credit(n uint32) {
	for id, owed := range c.owed {
		k := min(owed, n)
		c.frames.Credit(id, k)
		if c.owed[id] = owed - k; owed == k {
			delete(c.owed, id)
		}
	}
}
