package engine

import (
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"ssegauge/loadgen/measure"
	"ssegauge/loadgen/schedule"
	"ssegauge/reference/sse"
	"ssegauge/reference/wire"
)

// Life says what becomes of streams once they are open. The zero value leaves them alone.
type Life struct {
	Reconnect *Reconnect       // nil: a stream that ends stays so
	Churn     schedule.Arrival // when, since the board's epoch, one open stream is closed and another opened in its place; nil: never
	Slow      *Slow            // nil: every stream reads what comes
	Seed      uint64           // of what is left to chance
}

// moves tells whether streams are opened after those of the plan.
func (l *Life) moves() bool { return l.Reconnect != nil || l.Churn != nil }

// Reconnect is how a stream that ends, or could not be opened, comes back: as an EventSource does (WHATWG HTML 9.2.2, 9.2.3).
type Reconnect struct {
	Delay  time.Duration // the reconnection time until the stream sets another by retry
	Jitter float64       // a wait is longer by a random part of it, up to this share. 0: streams that end together come back together
}

// After failed attempts a wait is longer by between a half and the whole of this, doubled with each more in a row.
const (
	leastBackoff = time.Second
	mostBackoff  = 30 * time.Second
)

// maxEventID is the longest last event ID that is sent back: past it no server would take the field.
const maxEventID = 4096

// longest is longer than any run, and can be added to a time.
const longest = time.Duration(1 << 61)

// wait is how long a client waits whose reconnection time is retry, after so many failed attempts in a row.
func (r *Reconnect) wait(retry time.Duration, failed int, chance *rand.Rand) time.Duration {
	part := func(d time.Duration) time.Duration { // up to d at random; nothing where there is to be no chance
		if r.Jitter <= 0 {
			return 0
		}
		return time.Duration(chance.Int64N(int64(d) + 1))
	}
	d := min(retry, longest)
	d += part(time.Duration(min(r.Jitter, 1) * float64(d)))
	if failed > 0 {
		more := mostBackoff
		if failed < 6 {
			more = min(more, leastBackoff<<(failed-1))
		}
		d += more - part(more/2)
	}
	return d
}

// final tells of a cause after which an EventSource does not ask again: an answer that is not an event stream, a protocol that is not spoken, an event that would only
// come again.
func final(cause string) bool {
	what, ok := strings.CutPrefix(cause, "head: ")
	return ok && (strings.HasPrefix(what, "status ") || strings.HasPrefix(what, "content ") || what == "no content type") ||
		cause == "h2: the peer does not speak HTTP/2" || cause == "tls: no h2 by ALPN" || cause == "body: event too large" || cause == causeRequest
}

// client is what is remembered of a stream that has ended once, or whose first attempt failed.
type client struct {
	m        *measure.Client // nil: it never was open, or is
	home     home            // the connection that keeps a place for it; nil: none does
	id       string          // the last event ID string
	retry    time.Duration   // the reconnection time
	hasRetry bool            // the stream has set it
	away     bool
	failed   int   // attempts in a row
	planned  int64 // when its first stream was due
}

// home is a connection that streams come back to.
type home interface {
	// rejoin opens a stream that was here; false: the connection takes none any more.
	rejoin(k ticket) bool
}

// client is that of stream n; nil where streams do not come back.
func (g *run) client(n int, planned int64) *client {
	if g.clients == nil || g.Life.slow(n) {
		return nil
	}
	if g.clients[n] == nil {
		g.clients[n] = &client{retry: g.Life.Reconnect.Delay, planned: planned}
	}
	return g.clients[n]
}

// remember keeps what a client knows of its stream, which is about to end.
func (g *run) remember(s *stream) {
	c := g.client(int(s.n), 0)
	if c == nil {
		return
	}
	if d, ok := s.dec.Retry(); ok {
		c.retry, c.hasRetry = d, true
	}
	if id := s.dec.LastEventID(); len(id) > maxEventID {
		c.id = ""
	} else if string(id) != c.id {
		c.id = sse.Text(id)
	}
}

// comesBack puts the return of stream n off by as long as its client waits; false: it does not come back. The lane is locked.
func (g *run) comesBack(l *lane, n int, c *client, at int64, cause string) bool {
	if final(cause) {
		l.GaveUp(c.m, at, cause)
		g.clients[n] = nil
		return false
	}
	if c.failed > 0 {
		l.AttemptFailed(cause)
	}
	c.away = true
	l.returns.push(alarm{at + int64(g.Life.Reconnect.wait(c.retry, c.failed, l.chance)), int32(n)})
	g.look()
	return true
}

// look tells who waits that there may be something else to wait for.
func (g *run) look() {
	if g.rouse != nil {
		g.rouse()
	}
}

// nextReturn is when the next stream of the lane is due to come back. The lane is locked.
func (l *lane) nextReturn() int64 {
	if len(l.returns) == 0 {
		return never
	}
	return l.returns[0].due
}

// returning takes the stream of the lane that is due first, and where a place is kept for it: nil if nowhere. The lane is not locked: the board's lock comes before it.
func (g *run) returning(l *lane, now int64) (ticket, home) {
	l.Lock()
	due, n := l.returns[0].due, int(l.returns[0].pad)
	l.returns.pop()
	c := g.clients[n]
	advertised := time.Duration(-1)
	if c.hasRetry {
		advertised = c.retry
	}
	l.Attempt(c.id != "", advertised)
	k, h := ticket{planned: due, started: now, n: n}, c.home
	if c.m == nil {
		k.planned = c.planned
	}
	c.home = nil
	l.Unlock()
	g.Board.Opening(due, now, g.Life.Reconnect.Jitter <= 0)
	return k, h
}

// returned notes that a stream has the head that its client waited for; false if it is the client's first. The lane is locked.
func (g *run) returned(l *lane, s *stream) bool {
	if g.clients == nil || g.clients[s.n] == nil {
		return false
	}
	c := g.clients[s.n]
	m := c.m
	c.m, c.away, c.failed = nil, false, 0
	if m == nil {
		return false
	}
	s.dec.SetLastEventID([]byte(c.id))
	l.Reopened(&s.m, m, *s.opening)
	return true
}

// forsake gives up the streams of the lane that never were open: the run is over.
func (g *run) forsake(l *lane) {
	l.Lock()
	defer l.Unlock()
	for _, a := range l.returns {
		if g.clients[a.pad].m == nil {
			l.Failed(causeEnd)
		}
	}
	l.returns = nil
}

// resuming is a request with the last event ID of stream n, if it has one.
func (g *run) resuming(n int, r *wire.Request) *wire.Request {
	if g.clients == nil || g.clients[n] == nil || g.clients[n].id == "" {
		return r
	}
	with := *r
	with.Header = slices.DeleteFunc(slices.Clone(r.Header), func(f wire.Field) bool { return strings.EqualFold(f.Name, lastEventID) })
	with.Header = append(with.Header, wire.Field{Name: lastEventID, Value: g.clients[n].id})
	return &with
}

const lastEventID = "Last-Event-ID"

// never is later than any run.
const never = 1<<63 - 1
