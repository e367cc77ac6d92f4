package conformance

import (
	"context"
	"slices"
	"sync"
	"time"
)

// stage has one check act at a time: what a run asks of a target, and in which order, hangs on the target and the catalogue, never on the order in
// which goroutines happen to run. A check acts until it waits for something, through a method of its [Probe], or is done.
type stage struct {
	mu        sync.Mutex
	acting    *Probe // nil: nobody
	acts      int    // counts the changes of acting
	waiting   []*cue
	undecided int           // checks that have neither finished nor wait to be among the last
	alone     bool          // somebody talks to the target alone, and may wait meanwhile
	over      bool          // the observation is over
	ready     bool          // the oracle has calibrated, or given up
	hold      time.Duration // how long the observation may last
	dog       *time.Timer   // looks after who acts
	idle      chan struct{} // closed when nobody needs the observation any more
	idled     bool
}

// cue is one check that waits.
type cue struct {
	p     *Probe
	rank  int         // the lowest goes first
	when  func() bool // what it waits for; called with the lock held
	apart bool        // it does not need the observation meanwhile
	on    chan struct{}
}

// Ranks: whoever keeps a pace of publishing, then each check in the catalogue's order, then those that talk to the target alone, by their turn.
const (
	rankPace  = -1
	rankAlone = 1 << 16
)

func (p *Probe) rankAlone() int {
	turn := p.check.Turn
	if p.check.Core {
		turn = Fresh - 1
	}
	return rankAlone*(int(turn-Fresh)+2) + p.order
}

// enter is how a check comes on stage: it waits for its first turn.
func (s *stage) enter(p *Probe) *cue {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &cue{p: p, rank: p.order, on: make(chan struct{})}
	s.waiting = append(s.waiting, c)
	if !p.last {
		s.undecided++
	}
	return c
}

// leave is how it goes.
func (s *stage) leave(p *Probe) {
	s.settle(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.yield(p)
}

// settle counts a check out that waits to be among the last, once.
func (s *stage) settle(p *Probe) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !p.last {
		p.last = true
		s.undecided--
	}
}

// wait gives the stage to others until when holds and it is this check's turn again, or ctx is done.
func (s *stage) wait(ctx context.Context, c cue) {
	when := c.when
	c.when = func() bool { return ctx.Err() != nil || when == nil || when() }
	c.on = make(chan struct{})
	defer context.AfterFunc(ctx, s.poke)()
	s.mu.Lock()
	s.waiting = append(s.waiting, &c)
	s.yield(c.p)
	s.mu.Unlock()
	<-c.on
}

// tell changes what checks wait for.
func (s *stage) tell(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	s.next()
}

func (s *stage) poke() { s.tell(func() {}) }

func (s *stage) yield(p *Probe) {
	if s.acting == p {
		s.acting = nil
		s.dog.Stop()
	}
	s.next()
}

// next lets the first of those that wait go on, if nobody acts.
func (s *stage) next() {
	if s.acting != nil {
		return
	}
	var first *cue
	needed := false
	for _, c := range s.waiting {
		needed = needed || !c.apart
		if (first == nil || c.rank < first.rank) && (c.when == nil || c.when()) {
			first = c
		}
	}
	if first == nil {
		if !needed && !s.idled {
			s.idled = true
			close(s.idle)
		}
		return
	}
	s.waiting = slices.DeleteFunc(s.waiting, func(c *cue) bool { return c == first })
	s.acting = first.p
	s.acts++
	s.watch(first.p, s.acts)
	close(first.on)
}

// watch takes the stage from a check that does not come back: a fault of ours in one is not to cost the verdicts of the others.
func (s *stage) watch(p *Probe, acts int) {
	hold := perCheck + grace
	if !s.over {
		hold += s.hold
	}
	s.dog = time.AfterFunc(hold, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.acting == p && s.acts == acts {
			s.yield(p)
		}
	})
}
