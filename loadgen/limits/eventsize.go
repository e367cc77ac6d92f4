package limits

import (
	"context"
	"fmt"
	"time"

	"ssegauge/reports/result"
)

// Sizes of events that are tried, in bytes of data.
const (
	tinyEvent  = 32
	leastEvent = 1 << 10
)

var mostEvent = 16 << 20

// eventSizeRequests counts two publishes, and a stream for each, of every size on the way up and while the limit is closed in on, and those small ones that are sent after one that did not come.
func eventSizeRequests(s *Session, _ time.Duration) int {
	if s.config.Publisher == nil {
		return 0
	}
	return 100
}

// eventSize publishes ever larger events, and between the largest that comes whole and the smallest that does not it closes in on the limit. What came is compared with what was
// published byte by byte. One that does not come counts where the next of that size does not either: a stream may end for other reasons.
func eventSize(ctx context.Context, s *Session) []result.Limit {
	const id, title, unit = "event/size", "data of one event", "bytes"
	one := func(l result.Limit) []result.Limit { return []result.Limit{l} }
	if l, ok := s.publishes(id, title, unit); !ok {
		return one(l)
	}
	ctx, cancel := s.within(ctx)
	defer cancel()
	c := s.courier()
	defer c.close()
	small := c.sendTwice(ctx, tinyEvent)
	if small.fate != intact {
		return one(undecided(id, title, unit, "--publish", "not even a small event comes through: %s", small.says))
	}
	c.patience = min(max(minPatience, 10*small.after), maxPatience)

	low, size, o := tinyEvent, leastEvent, outcome{}
	for ; size <= mostEvent; size *= 4 {
		s.Note("an event of %s", result.Bytes(float64(size)))
		if o = c.sendTwice(ctx, size); o.fate != intact {
			break
		}
		low = size
	}
	switch {
	case o.fate == intact:
		return one(none(id, title, float64(low), unit, "an event of %s comes whole; larger ones were not tried", result.Bytes(float64(low))))
	case o.fate == unknown && low > tinyEvent:
		return one(none(id, title, float64(low), unit, "an event of %s comes whole; with one of %s, %s", result.Bytes(float64(low)), result.Bytes(float64(size)), o.says))
	case o.fate == unknown:
		return one(undecided(id, title, unit, "", "of an event of %d bytes: %s", size, o.says))
	}

	first, high := low, size // what holds and what does not, for sure
	sure := c.patience
	c.patience = min(max(time.Second, 10*small.after), sure) // what becomes of too large ones is known: each is tried once
	for high-low > max(64, low/20) {
		mid := low + (high-low)/2
		s.Note("an event of %d bytes: the limit lies between %d and %d", mid, low, high)
		switch tried := c.send(ctx, mid); {
		case tried.fate == intact:
			low = mid
			continue
		case tried.fate == spoiled:
			high = mid
			continue
		}
		break // what is known stands
	}
	l := found(id, title, float64(low), float64(high-1), unit, o.owner, "%d bytes come whole, %d do not: of an event of %s, %s", low, high, result.Bytes(float64(size)), o.says)
	c.patience = sure
	again, less := c.send(ctx, high), c.send(ctx, low)
	switch {
	case again.fate == intact || less.fate == spoiled:
		l = found(id, title, float64(first), float64(size-1), unit, o.owner, "%s", l.Evidence+"; not so when it was tried again")
	case ctx.Err() == nil && again.fate == unknown:
		l = found(id, title, float64(first), float64(size-1), unit, o.owner, "%s; it could not be tried again: %s", l.Evidence, again.says)
	case ctx.Err() == nil && less.fate == unknown:
		l = found(id, title, float64(first), float64(size-1), unit, o.owner, "%s; it could not be tried again: %s", l.Evidence, less.says)
	}
	return one(l)
}

// sendTwice is send, and once more where the event did not come as it should.
func (c *courier) sendTwice(ctx context.Context, size int) outcome {
	o := c.send(ctx, size)
	if o.fate != spoiled {
		return o
	}
	if again := c.send(ctx, size); again.fate != unknown {
		return again
	}
	return outcome{fate: unknown, says: fmt.Sprintf("%s once, and it could not be tried again", o.says)}
}
