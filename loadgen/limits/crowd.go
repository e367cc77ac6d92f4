package limits

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// crowdWave is how many streams of a crowd are asked for at one time at most.
const crowdWave = 32

// crowdSettled is how long a stream stays open that is not refused by being ended at once.
const crowdSettled = 50 * time.Millisecond

// refusalStays is how long a refusal lasts that is taken for one of a limit of streams at once: a queue that was full for a moment, or a limit of the pace, lets the next one in.
const refusalStays = 1500 * time.Millisecond

// filled is how filling up ended.
type filled int

const (
	filledAll    filled = iota // all that were asked for were served
	filledUp                   // one more is refused, and stays so
	filledEnding               // streams end by themselves meanwhile
	filledPaced                // one more is refused, and time and again served a moment later
	filledPoor                 // this machine could open no more
	filledLate                 // the time was over
)

// crowd is streams from one address, each on a connection of its own.
type crowd struct {
	session *Session
	from    netip.Addr // zero: the system's choice
	opens   func(ctx context.Context) (*Listener, error)
	open    []*Listener
	peak    int           // the most that were open
	slowest time.Duration // to a head
	latest  time.Time     // when the last one was served
	refused Fingerprint   // the last refusal; zero: none
	ended   Fingerprint   // of the last that ended by itself
}

func newCrowd(s *Session, from netip.Addr) *crowd {
	return &crowd{session: s, from: from, slowest: s.target.took, opens: func(ctx context.Context) (*Listener, error) { return s.openFrom(ctx, from, h2MaxEvent) }}
}

func (c *crowd) size() int { return len(c.open) }

// patience is how long a head is waited for: the target has shown how long it takes when it serves.
func (c *crowd) patience() time.Duration { return max(quiet, 5*c.slowest) }

// ask asks for n streams at once, and says how many were served and stay.
func (c *crowd) ask(ctx context.Context, n int) int {
	type answer struct {
		l    *Listener
		err  error
		took time.Duration
	}
	patience := c.patience()
	asking, giveUp := context.WithTimeoutCause(ctx, patience, &wire.TimeoutError{After: patience})
	defer giveUp()
	defer c.session.knock(asking)()
	answers := make(chan answer)
	for range n {
		go func() {
			began := time.Now()
			l, err := c.opens(asking)
			answers <- answer{l, err, time.Since(began)}
		}()
	}
	var served []*Listener
	for range n {
		a := <-answers
		if a.err == nil {
			served = append(served, a.l)
			c.slowest, c.latest = max(c.slowest, a.took), time.Now()
		} else if ctx.Err() == nil {
			c.refused = printOf(a.err)
		}
	}
	pause(ctx, crowdSettled)
	stay := 0
	for _, l := range served {
		if !l.Alive() {
			c.refused = printOf(l.Facts().Err)
			l.Close()
			continue
		}
		c.open = append(c.open, l)
		stay++
	}
	c.peak = max(c.peak, c.size())
	return stay
}

// left drops the streams that ended by themselves, and says how many they are.
func (c *crowd) left() (n int) {
	alive := c.open[:0]
	for _, l := range c.open {
		if l.Alive() {
			alive = append(alive, l)
			continue
		}
		c.ended = printOf(l.Facts().Err)
		l.Close()
		n++
	}
	clear(c.open[len(alive):])
	c.open = alive
	return n
}

// leave closes one stream.
func (c *crowd) leave() {
	last := len(c.open) - 1
	c.open[last].Close()
	c.open = c.open[:last]
}

// oneMore asks for another stream until it is served, or was refused for so long.
func (c *crowd) oneMore(ctx context.Context, hold time.Duration) bool {
	until := time.Now().Add(hold)
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		if c.ask(ctx, 1) == 1 {
			return true
		}
		if ctx.Err() != nil || c.refused.Owner == result.OwnerGenerator || !time.Now().Before(until) {
			return false
		}
		pause(ctx, wait)
	}
}

// fill opens streams until there are so many, or one more is refused for as long as hold.
func (c *crowd) fill(ctx context.Context, most int, hold time.Duration) filled {
	again, atOnce := 0, crowdWave
	for n := 1; c.size() < most; n = min(2*n, atOnce) {
		n = min(n, most-c.size())
		served := c.ask(ctx, n)
		c.session.Note("%d streams from %s", c.size(), c.name())
		if served < n && c.refused.Owner != result.OwnerGenerator && c.left() == 0 {
			if !c.oneMore(ctx, hold) && c.left() == 0 && ctx.Err() == nil && c.refused.Owner != result.OwnerGenerator {
				return filledUp
			}
			if n == 1 {
				again++
			}
			atOnce, served = max(1, n/2), n // too many at one time, it may be
		}
		switch {
		case c.left() > 0 || c.ended.Cause != "":
			return filledEnding
		case ctx.Err() != nil:
			return filledLate
		case served < n || c.refused.Owner == result.OwnerGenerator:
			return filledPoor
		case again > maxPaced:
			return filledPaced
		}
	}
	return filledAll
}

// maxPaced is how often a stream may be refused and the next served before that is no accident.
const maxPaced = 8

// name is the address as a person reads it.
func (c *crowd) name() string {
	if c.from.IsValid() {
		return c.from.String()
	}
	return "one address"
}

func (c *crowd) close() {
	var closing sync.WaitGroup
	for _, l := range c.open {
		closing.Go(l.Close)
	}
	closing.Wait()
	c.open = nil
}
