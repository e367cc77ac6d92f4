package engine

import (
	"time"

	"ssegauge/reference/wire"
)

// h1conn is a stream on a connection of its own, with the goroutine that reads it.
type h1conn struct {
	h1
	g    *portable
	c    *conn
	lane *lane
	done bool // over, as the goroutine knows

	took    int  // slow: bytes that came with the last read
	drained bool // slow no more: the connection was closed, and what it left is read
}

// dial makes the connection and sends the request. Reading goes on in a new goroutine, whose stack is small.
func (s *h1conn) dial() {
	n := int(s.n)
	o := s.opening
	c, cause := s.g.connect(&s.g.Targets[s.g.target(n)], s.g.Life.slow(n), o)
	if cause == "" {
		s.c = c
		o.Written = s.g.Board.Now() // not after: on a busy machine the answer may be there by then
		if req, err := s.g.request(n); err != nil {
			cause = causeRequest
		} else if p, err := req.AppendHTTP1(nil); err != nil {
			cause = causeRequest
		} else if err := c.write(p); err != nil {
			cause = CauseOf(wire.PhaseWrite, err)
		}
		if cause != "" {
			s.g.drop(c)
		}
	}
	<-s.g.dials
	if cause != "" {
		s.lane.Lock()
		s.end(s.g.run, s.lane, s.g.Board.Now(), cause)
		s.lane.Unlock()
		s.g.alive.Done()
		return
	}
	go s.read()
}

// read is the life of the stream from the request on.
func (s *h1conn) read() {
	defer s.g.alive.Done()
	defer s.g.drop(s.c)
	each := s.piece
	for {
		err := s.c.read(each)
		if err != nil {
			s.lane.Lock()
			s.lose(s.g.run, s.lane, s.g.Board.Now(), err)
			s.lane.Unlock()
			return
		}
		if s.done {
			return
		}
		if s.opening == nil && s.g.Life.slow(int(s.n)) {
			s.g.mu.Lock()
			s.c.lingers = !s.g.ending.Load()
			s.g.mu.Unlock()
			if s.c.lingers {
				s.readSlowly(each)
				return
			}
		}
	}
}

// piece takes what one read brought.
func (s *h1conn) piece(p []byte) {
	waiting := s.opening != nil
	s.took += len(p)
	if s.c.lingers {
		s.c.arr.known = false // what is read late on purpose is no delay of ours
	}
	s.lane.Lock()
	s.feed(s.g.run, s.lane, p, &s.c.arr)
	s.done = s.over
	s.lane.Unlock()
	if waiting && s.opening == nil && !s.done {
		s.g.settles(s.n, s, 0)
		s.c.net.SetDeadline(time.Time{})
	}
}

// leave closes the stream.
func (s *h1conn) leave(_, _ uint32, _ ticket) (left, placed bool) {
	s.lane.Lock()
	left = s.stream.leave(s.g.run, s.lane)
	s.lane.Unlock()
	if left {
		s.c.close()
	}
	return left, false
}
