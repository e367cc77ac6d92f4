package engine

import (
	"sync"

	"ssegauge/reference/wire"
)

// places are where the open streams are, so that one of them can be closed and another opened in its place: as users who leave and others who come.
type places struct {
	mu sync.Mutex // a leaf: taken under any other lock
	of []place    // by stream
}

// place is a stream's connection, and what it is there.
type place struct {
	in leaver
	id uint32
}

// leaver is a connection that streams leave.
type leaver interface {
	// leave closes stream n, which has such an id here, and opens k instead if this is the connection for it. left is false where n is not open here, placed where k is
	// to be opened elsewhere.
	leave(n, id uint32, k ticket) (left, placed bool)
}

// settles notes that stream n is open.
func (g *run) settles(n uint32, in leaver, id uint32) {
	if g.Life.Churn == nil || g.Life.slow(int(n)) {
		return
	}
	g.places.mu.Lock()
	g.places.of[n] = place{in, id}
	g.places.mu.Unlock()
}

// churn replaces streams in turn: those of one loop.
type churn struct {
	k, step int // what is due next, of so many
	last    int // stream that was looked at last
}

// due is when the next stream is to leave.
func (c *churn) due(g *run) int64 {
	if g.Life.Churn == nil || c.k >= g.Life.Churn.Len() {
		return never
	}
	return int64(g.Life.Churn.At(c.k))
}

// next replaces the streams that are to leave by now, of those that are mine, and calls open with each that has to be opened elsewhere.
func (c *churn) next(g *run, mine func(n int) bool, open func(k ticket)) {
	for {
		now, planned := g.Board.Now(), c.due(g)
		if planned > now {
			return
		}
		c.k += c.step
		for range g.places.of {
			c.last = (c.last + 1) % len(g.places.of)
			if !mine(c.last) {
				continue
			}
			g.places.mu.Lock()
			p := g.places.of[c.last]
			g.places.mu.Unlock()
			if p.in == nil {
				continue
			}
			k := ticket{planned: planned, started: now, n: c.last}
			if left, placed := p.in.leave(uint32(c.last), p.id, k); left {
				g.Board.Opening(planned, now, false)
				if !placed {
					open(k)
				}
				break
			}
		}
	}
}

// leave ends a stream because its user leaves; false: it is not open. The lane is locked.
func (s *stream) leave(g *run, l *lane) bool {
	if s.over || s.opening != nil {
		return false
	}
	s.over = true
	l.Churned(&s.m, g.Board.Now())
	s.dec.Reset(false)
	if g.clients != nil {
		g.clients[s.n] = nil
	}
	return true
}

// leave cancels stream n and puts k in its place.
func (c *mux) leave(n, id uint32, k ticket) (left, placed bool) {
	i := int(id / 2)
	if i >= len(c.streams) || c.streams[i].n != n {
		return false, false
	}
	c.lane.Lock()
	left = c.streams[i].leave(c.run, c.lane)
	c.lane.Unlock()
	if !left {
		return false, false
	}
	c.frames.Cancel(id, wire.CodeCancel)
	if c.wear(); c.closed {
		return true, false
	}
	c.waiting = append(c.waiting, k)
	c.openWaiting()
	return true, true
}
