package limits

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"ssegauge/reports/result"
)

const (
	stormStreams = 200              // in the storm that is measured
	stormMost    = 2000             // in the largest
	stormRepeats = 3                // of the one that is measured
	stormSoon    = time.Second      // in which all are back after a burst that was survived
	stormWait    = 10 * time.Second // for those that come back late
	stormBusy    = 0.1              // of the time of a storm this machine may be late by more than 10 ms
)

const (
	restoredID, restoredTitle = "storm/restored", "time until 99 % of dropped streams are back"
	burstID, burstTitle       = "storm/burst", "dropped streams that are all back within 1 s"
	replayID, replayTitle     = "storm/replay", "missed events that come after a reconnect"
)

func stormRequests(s *Session, _ time.Duration) int { return 8*min(s.config.Streams, stormMost) + 100 }

// storm drops half of some streams at one instant, as a network that fails for a moment does, and asks for all of them again at once, with Last-Event-ID. How long it takes until they
// are back is a measurement and no wall: it is done three times. Then the storm grows until not all are back within a second. What is published while they are away has to come once to
// each that comes back.
func storm(ctx context.Context, s *Session) []result.Limit {
	ctx, cancel := s.within(ctx)
	defer cancel()
	p := newStorm(s)
	defer p.crowd.close()
	gusts, why := p.measure(ctx)
	if why != nil {
		return []result.Limit{why(restoredID, restoredTitle, "s"), why(burstID, burstTitle, "streams"), why(replayID, replayTitle, "events")}
	}
	return []result.Limit{p.restored(gusts), p.burst(ctx, gusts), p.replayed(gusts)}
}

// measure does the storm that is measured. why makes the limits of which nothing can be said.
func (p *stormProbe) measure(ctx context.Context) (gusts []gust, why func(id, title, unit string) result.Limit) {
	no := func(by, owner, format string, args ...any) func(id, title, unit string) result.Limit {
		return func(id, title, unit string) result.Limit {
			l := undecided(id, title, unit, by, format, args...)
			l.Owner = owner
			return l
		}
	}
	most := min(p.config.Streams, stormStreams)
	out := p.crowd.fill(ctx, most, refusalStays)
	n := p.crowd.size()
	switch {
	case out == filledEnding:
		return nil, no("", "", "streams end by themselves (%s): none can be dropped", p.crowd.ended.Says)
	case n < 2 && out == filledPoor:
		return nil, no("", result.OwnerGenerator, "%s", p.crowd.refused.Says)
	case n < 2 && p.crowd.refused.Cause != "":
		return nil, no("", "", "%d streams could be opened, two are needed: %s", n, p.crowd.refused.Says)
	case n < 2:
		return nil, no("--streams", "", "two streams are needed")
	case out != filledAll:
		p.fewer = fmt.Sprintf("; more than %d streams could not be opened: %s", n, cmp.Or(p.crowd.refused.Says, "the time was over"))
	}
	p.most, p.retry = n, p.told()
	for range stormRepeats {
		if ctx.Err() != nil || len(gusts) > 0 && p.left() < 2*gusts[0].took {
			break
		}
		p.Note("storm of %d streams", n/2)
		g := p.gust(ctx, n/2, stormWait)
		gusts = append(gusts, g)
		if g.soon() < g.burst {
			p.rest(ctx)
		}
		if p.crowd.fill(ctx, n, refusalStays) != filledAll {
			break
		}
	}
	gusts = slices.DeleteFunc(gusts, func(g gust) bool { return g.cut })
	if len(gusts) == 0 {
		return nil, no("--budget", "", "there was no time for a storm")
	}
	return gusts, nil
}

// restored is how long it took until nearly all were back.
func (p *stormProbe) restored(gusts []gust) result.Limit {
	n := gusts[0].burst
	says := fmt.Sprintf("%d of %d open streams were dropped and asked for again at one instant, %s", n, p.most, times(len(gusts)))
	var low, high time.Duration
	var each []string
	for i, g := range gusts {
		t, ok := g.quantile()
		switch {
		case g.ours:
			l := undecided(restoredID, restoredTitle, "s", "", "%s: %s", says, g.print.Says)
			l.Owner = result.OwnerGenerator
			return l
		case !ok:
			return undecided(restoredID, restoredTitle, "s", "", "%s: once only %d were back after %s%s%s%s", says, len(g.back), shortly(stormWait), p.failures(gusts), p.retry, p.fewer)
		}
		if i == 0 || t < low {
			low = t
		}
		high = max(high, t)
		each = append(each, shortly(t))
	}
	says += ": 99 % were back after " + strings.Join(each, ", ") + p.failures(gusts) + p.retry + p.fewer
	if slices.ContainsFunc(gusts, func(g gust) bool { return g.lag > stormBusy }) {
		says += "; this machine was busy meanwhile, so that some of the time may be its own"
	}
	return found(restoredID, restoredTitle, low.Seconds(), high.Seconds(), "s", "", "%s", says)
}

// failures says which attempts to come back failed.
func (p *stormProbe) failures(gusts []gust) string {
	all, final := map[string]int{}, 0
	for _, g := range gusts {
		for cause, n := range g.failed {
			all[cause] += n
		}
		final += g.final
	}
	if len(all) == 0 {
		return "; no attempt failed"
	}
	var causes []string
	for _, c := range slices.SortedFunc(maps.Keys(all), func(a, b string) int { return cmp.Or(all[b]-all[a], strings.Compare(a, b)) }) {
		causes = append(causes, fmt.Sprintf("%s (%s times)", c, result.Count(int64(all[c]))))
	}
	says := "; attempts failed: " + strings.Join(causes[:min(3, len(causes))], ", ")
	if final > 0 {
		says += fmt.Sprintf("; after %s of these answers an EventSource does not ask again", result.Count(int64(final)))
	}
	return says
}

// told is what streams say of when to come back.
func (p *stormProbe) told() string {
	var all []time.Duration
	for _, l := range p.crowd.open {
		if r := l.Facts().Retry; r >= 0 {
			all = append(all, r)
		}
	}
	if len(all) == 0 {
		return "; no retry is sent: browsers wait a time of their own, those of a kind the same"
	}
	low, high := slices.Min(all), slices.Max(all)
	if low == high {
		return fmt.Sprintf("; retry is %s for all of them: what is lost together comes back together", high)
	}
	return fmt.Sprintf("; retry is from %s to %s: what is lost together comes back spread out", low, high)
}

// burst lets the storm grow until not all are back soon, or shrink until they are.
func (p *stormProbe) burst(ctx context.Context, gusts []gust) result.Limit {
	survived := func(g gust) bool { return g.soon() == g.burst }
	low, high, failed := 0, gusts[0].burst, gusts[0]
	var well int
	for _, g := range gusts {
		if survived(g) {
			well++
		} else if survived(failed) || failed.busy() {
			failed = g
		}
	}
	if 2*well > len(gusts) { // once may be an accident
		low, high, failed = high, 0, gust{}
	}
	most := min(p.config.Streams, stormMost) / 2
	stop := "larger ones were not tried"
	for !failed.busy() && (high == 0 && low < most || high-low > max(1, low/10)) {
		n := (low + high) / 2
		if high == 0 {
			n = min(2*low, most)
		}
		if ctx.Err() != nil || p.left() < 2*stormSoon+3*gusts[0].took {
			stop = "there was no time for others"
			break
		}
		p.Note("storm of %d streams", n)
		if p.crowd.fill(ctx, 2*n, refusalStays) != filledAll {
			stop = fmt.Sprintf("%d streams could not be opened: %s", 2*n, cmp.Or(p.crowd.refused.Says, p.crowd.ended.Says, "the time was over"))
			break
		}
		g := p.gust(ctx, n, 3*stormSoon)
		back := survived(g) || p.recovers(ctx, n)
		if back && !survived(g) { // that is no accident
			g = p.gust(ctx, n, 3*stormSoon)
			back = survived(g) || p.recovers(ctx, n)
		}
		if g.cut || ctx.Err() != nil {
			stop = "there was no time for others"
			break
		}
		if !back {
			stop = fmt.Sprintf("of one of %d only %d were, and then %d streams could not be opened again: %s", n, g.soon(), 2*n, cmp.Or(p.crowd.refused.Says, p.crowd.ended.Says))
			break
		}
		if survived(g) {
			low = n
		} else {
			high, failed = n, g
		}
	}
	return p.survived(low, high, stop, failed)
}

// rest lets the target recover.
func (p *stormProbe) rest(ctx context.Context) { pause(ctx, 2*stormSoon) }

// recovers tells whether the target serves as many streams as before a burst of n: one that is gone has no limit.
func (p *stormProbe) recovers(ctx context.Context, n int) bool {
	p.rest(ctx)
	return p.crowd.fill(ctx, 2*n, refusalStays) == filledAll
}

// survived is what the bursts tell: low were back in time, high were not (0: there was no such).
func (p *stormProbe) survived(low, high int, stop string, failed gust) result.Limit {
	says := fmt.Sprintf("a burst of %d was back within 1 s", low)
	if high == 0 {
		return none(burstID, burstTitle, float64(low), "streams", "%s; %s", says, stop)
	}
	why := fmt.Sprintf("of one of %d only %d were%s", high, failed.soon(), p.failures([]gust{failed}))
	switch {
	case failed.busy():
		what := "this machine was too busy to tell more"
		if failed.ours {
			what = failed.print.Says
		}
		l := undecided(burstID, burstTitle, "streams", "", "%s: %s", why, what)
		if low > 0 {
			l = none(burstID, burstTitle, float64(low), "streams", "%s; %s: %s", says, why, what)
		}
		l.Owner = result.OwnerGenerator
		return l
	case low == 0:
		return undecided(burstID, burstTitle, "streams", "", "no burst was back within 1 s: %s", why)
	}
	return found(burstID, burstTitle, float64(low), float64(high-1), "streams", cmp.Or(failed.print.Owner, result.OwnerTarget), "%s; %s%s", says, why, p.fewer)
}

// replayed is what came of the events that were published while streams were away.
func (p *stormProbe) replayed(gusts []gust) result.Limit {
	if p.config.Publisher == nil {
		return undecided(replayID, replayTitle, "events", "--publish", "nothing can be missed where nothing is published")
	}
	var streams, missed, twice int
	low, high := stormAway, 0
	for _, g := range gusts {
		if g.trouble != "" {
			return undecided(replayID, replayTitle, "events", "--publish", "%s", g.trouble)
		}
		for _, r := range g.replays {
			streams++
			low, high = min(low, r.came), max(high, r.came)
			missed += stormAway - r.came
			twice += r.twice
		}
	}
	switch {
	case streams == 0:
		return undecided(replayID, replayTitle, "events", "", "no stream came back")
	case twice > 0:
		p.noIDs += fmt.Sprintf("; %s came more than once", result.Count(int64(twice)))
	}
	says := fmt.Sprintf("%d events were published while a stream was away, with %s streams coming back", stormAway, result.Count(int64(streams)))
	if missed == 0 {
		return none(replayID, replayTitle, stormAway, "events", "%s: all came to each of them%s", says, p.noIDs)
	}
	return found(replayID, replayTitle, float64(low), float64(high), "events", result.OwnerTarget, "%s: of these %s events, %s never came%s", says, result.Count(int64(streams*stormAway)), result.Count(int64(missed)), p.noIDs)
}

func times(n int) string {
	switch n {
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return fmt.Sprintf("%d times", n)
}
