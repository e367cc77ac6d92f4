package measure

import (
	"fmt"

	"ssegauge/reports/result"
)

// sight records the completion of an event that was seen and not published by us: from when it was sent, where the stamp is by our clock; its spread.
func (b *Board) sight(q uint32, arrived, receivers int64) {
	if receivers < 2 || arrived == 0 {
		return
	}
	first, last := b.extremes(q)
	b.spread(first, last, arrived)
	w := b.observer.at(q)
	if !w.stamped || !b.sameClock {
		return
	}
	sent := b.slot(q).intended - w.stamp // before the first sight
	for _, c := range completions {
		rank := (receivers*c.share + 99) / 100
		if rank > arrived {
			b.neverReached(c.name)
			continue
		}
		b.record(c.name, max(0, sent+first+b.after(first, last, arrived, c.share)))
	}
}

// correlation says how events were matched, and what came of it. The board has been filled but for that.
func (b *Board) correlate(l *result.Load) {
	c := &result.Correlation{Tier: 2, How: "published events carry a marker that is found in what arrives", Events: b.total.published}
	l.Correlation = c
	o := b.observer
	if o == nil {
		if !b.publishes {
			c.Tier, c.How = 0, "nothing was compared"
		}
		return
	}
	stamped, bare := o.stamped, o.bare
	for _, r := range b.workers {
		stamped, bare = stamped+r.stamps, bare+r.bare
	}
	delays, clock := b.delivered()
	compared := "events are compared between receivers, by id and content"
	if o.apart {
		compared = "nothing is compared"
	}
	switch {
	case stamped == 0 && o.given != nil:
		c.Tier, c.How = 0, fmt.Sprintf("no event carries a time stamp (%s); %s", o.given.how, compared)
	case stamped == 0:
		c.Tier, c.How = 0, compared
	case o.own:
		c.Tier = 3
	default:
		c.Tier = 1
	}
	c.Alone, c.Failed = o.alone, o.failed()
	if c.Tier > 0 {
		c.Unstamped, c.Clock = bare, clock
		c.Clock.Stamp = o.stamp.String()
		c.How = "events carry the time at which they were sent (" + c.Clock.Stamp + "); deliver is from then to arrival"
		if !clock.Same {
			c.How = "events carry the time at which they were sent (" + c.Clock.Stamp + ") by another clock; deliver is the delay above the fastest"
		}
		l.LatencyUS["deliver"] = result.FromEvents(delays, stamped) // the deliveries of one event are one sample of its sender
		if l.LatencyUS["deliver"].Never = b.total.lost; c.Failed != "" {
			l.LatencyUS["deliver"].Never = 0
		}
	} else {
		delete(l.LatencyUS, "deliver") // there are only those that never came
	}
	if c.Tier == 0 || !clock.Same {
		for _, k := range completions {
			delete(l.LatencyUS, k.name)
		}
	}
	l.Events.Duplicated += o.repeated
	if o.split > 0 && c.Failed == "" {
		c.How += fmt.Sprintf("; %s with contents that differ under one id left out", result.Plural(o.split, "event"))
	}
	if c.Failed != "" {
		if !o.apart {
			c.How += "; receivers could not be compared"
		}
		l.Events.Published, l.Events.Eligible, l.Events.Lost, l.Events.Reordered, l.Events.Duplicated = 0, 0, 0, 0, 0
		for _, name := range []string{"spread", "skew_p50", "skew_p99", "fanout_t50", "fanout_t90", "fanout_t99", "fanout_t100"} {
			delete(l.LatencyUS, name)
		}
		delete(l.Distributions, "reorder_extent")
		l.PositionBias = nil
		c.Alone = 0
	}
	c.Events = l.Events.Published
}

// judgeObserved says what of the time stamps cannot be trusted.
func (b *Board) judgeObserved(l *result.Load, say func(verdict, format string, args ...any)) {
	c, o := l.Correlation, b.observer
	if c == nil || o == nil {
		return
	}
	switch {
	case o.given != nil && c.Tier == 0 && l.Events.Received > 0:
		say(Invalid, "no event carries a time stamp (%s), so nothing is known of delivery", o.given.how)
	case c.Unstamped > 0:
		if all := c.Unstamped + o.stamped; float64(c.Unstamped) > unmatchedLimit*float64(all) {
			say(Suspect, "%d of %d events carried no time stamp that could be read (%s)", c.Unstamped, all, c.Clock.Stamp)
		}
	}
}
