package limits

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// How often streams are opened and reset, in a second each for as long as a step takes, and how many of them there are at most. Every page that is left, and every EventSource that
// is closed, resets one.
var resetRates = []int{1, 2, 5, 10, 20, 50, 100, 200}

const (
	resetStep   = 2 * time.Second
	mostResets  = 2000
	resetFlight = 32              // streams under way at once
	resetHead   = 5 * time.Second // that a stream is waited for
)

func resetRequests(s *Session, _ time.Duration) int {
	if s.refusesResets() {
		return 0
	}
	return mostResets
}

// refusesResets tells that the target is not on this machine, and nobody said that it may be tried all the same.
func (s *Session) refusesResets() bool {
	return !s.config.RemoteResets && !s.target.remote.Addr().IsLoopback()
}

// resets opens streams on one connection and resets each as soon as its head is there, ever more often, until the target shows that it had enough (since the attack of 2023, CVE-2023-44487,
// servers count resets), and no further.
func resets(ctx context.Context, s *Session) []result.Limit {
	const id, title, unit = "h2/resets", "streams reset on one HTTP/2 connection", "streams"
	one := func(l result.Limit) []result.Limit { return []result.Limit{l} }
	switch {
	case s.target.h2 == 0:
		return one(inapplicable(id, title, unit, "the target speaks HTTP/1.1 only"))
	case s.refusesResets():
		return one(undecided(id, title, unit, "--remote-resets", "the target is not on this machine: many resets may look like an attack"))
	}
	ctx, cancel := s.within(ctx)
	defer cancel()
	conn, err := s.dial(ctx, s.target.h2)
	if err != nil {
		return one(undecided(id, title, unit, "", "no HTTP/2 connection: %s", printOf(err).Says))
	}
	defer conn.Close()
	if _, err := conn.Ping(ctx); err != nil { // the answer to it comes after the peer's SETTINGS
		return one(undecided(id, title, unit, "", "no HTTP/2 connection: %s", printOf(err).Says))
	}
	c := &churn{Session: s, conn: conn}
	rate := c.run(ctx)
	if !c.enough {
		if _, err := conn.Ping(ctx); err != nil && conn.Err() != nil {
			c.stop(printOf(conn.Err()))
		}
	}
	switch {
	case c.enough && c.sign.Owner == result.OwnerGenerator:
		return one(undecided(id, title, unit, "", "%s", c.sign.Says))
	case c.enough && c.polite:
		return one(undecided(id, title, unit, "--probe requests", "after %d streams that were reset, at up to %d a second, %s; a limit of requests on a connection shows itself in the same way", c.sent, rate, c.sign.Says))
	case c.enough && !s.serves(ctx):
		return one(undecided(id, title, unit, "", "after %d streams that were reset, at up to %d a second, %s; and no stream is served on another connection either", c.sent, rate, c.sign.Says))
	case c.enough:
		return one(found(id, title, float64(c.taken), float64(max(c.taken, c.sent-1)), unit, c.sign.Owner, "at up to %d a second: %s", rate, c.sign.Says))
	case c.sent == 0:
		return one(undecided(id, title, unit, "", "the time for this probe is over"))
	}
	return one(none(id, title, float64(c.sent), unit, "all were taken, at up to %d a second; more were not tried", rate))
}

// serves tells whether a stream is served on another connection.
func (s *Session) serves(ctx context.Context) bool {
	conn, err := s.dial(ctx, s.target.h2)
	if err != nil {
		return false
	}
	defer conn.Close()
	l, err := s.openOn(ctx, conn)
	if err != nil {
		return s.target.held && silent(err)
	}
	l.Close()
	return true
}

// churn opens and resets streams.
type churn struct {
	*Session
	conn *wire.Conn

	mu       sync.Mutex
	begun    int
	sent     int         // resets
	taken    int         // of them, after which a stream was opened
	enough   bool        // the target had
	polite   bool        // and ended the connection as it does for other reasons
	sign     Fingerprint // how that showed
	answered bool        // a head has come
}

// run goes through the rates, and returns the last.
func (c *churn) run(ctx context.Context) (rate int) {
	var streams sync.WaitGroup
	defer streams.Wait()
	flight := make(chan struct{}, max(1, min(resetFlight, int64(c.conn.Peer().MaxConcurrentStreams)/2)))
	for i := 0; ctx.Err() == nil; i++ {
		rate = resetRates[min(i, len(resetRates)-1)]
		tick := time.NewTicker(time.Second / time.Duration(rate))
		for range rate * int(resetStep/time.Second) {
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
			c.mu.Lock()
			over := c.enough || c.begun == mostResets || ctx.Err() != nil
			c.begun++
			sent := c.sent
			c.mu.Unlock()
			if over {
				tick.Stop()
				return rate
			}
			if sent%rate == 0 {
				c.Note("%d streams opened and reset, now %d a second", sent, rate)
			}
			flight <- struct{}{}
			streams.Go(func() {
				defer func() { <-flight }()
				c.one(ctx)
			})
		}
		tick.Stop()
	}
	return rate
}

// one opens a stream and resets it.
func (c *churn) one(ctx context.Context) {
	patience := resetHead
	if c.target.held {
		patience = settle // nothing would come
	}
	asking, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c.mu.Lock()
	before := c.sent
	c.mu.Unlock()
	l, err := c.openQuietly(asking, c.conn, leastEvent)
	if l != nil {
		l.Close()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case ctx.Err() != nil:
	case err == nil:
		c.sent++
		c.answered = true
		c.taken = max(c.taken, before)
	case asking.Err() != nil && c.conn.Err() == nil && !c.answered: // a head that is held back until there is an event
		c.sent++
		c.taken = max(c.taken, before)
	case asking.Err() != nil && c.conn.Err() == nil:
		c.halt(Fingerprint{Cause: "head: timeout", Owner: result.OwnerTarget, Says: fmt.Sprintf("a stream was not answered within %s any more", resetHead)}, nil)
	default:
		c.halt(printOf(err), err)
	}
}

func (c *churn) stop(f Fingerprint) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.halt(f, c.conn.Err())
}

// halt notes the first sign. The caller holds mu.
func (c *churn) halt(f Fingerprint, err error) {
	if c.enough {
		return
	}
	c.enough, c.sign = true, f
	if c.sign.Owner == "" {
		c.sign.Owner = result.OwnerTarget
	}
	var goaway *wire.GoAwayError
	c.polite = errors.As(err, &goaway) && goaway.Code == wire.CodeNo
}
