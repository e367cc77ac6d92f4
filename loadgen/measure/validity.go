package measure

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"ssegauge/reports/result"
)

// Health is what the board cannot see itself of how the run went.
type Health struct {
	Lag     float64 // share of the time in which this process waited long for a processor: Metronome.Share
	Asked   float64 // events a second, over all streams, that the plan asks for; 0: not known
	Dropped int     // events that were not published because too many were under way
	Limited int     // events that were published later because as many were under way as may be
	Cut     bool    // the run was interrupted
	Varies  bool    // the plan changes the load while it is measured: no steady state is to be expected
	// Where every stream had ended before the plan was through: when, and how long the plan is. 0: not so.
	Ended, Planned time.Duration
}

// The verdicts of result.Validity.
const (
	Valid   = "valid"
	Suspect = "suspect"
	Invalid = "invalid"
)

// The limits beyond which a measurement is not to be trusted: suspect beyond the first, invalid beyond the second.
const (
	lateSuspect, lateInvalid = 0.05, 0.25 // share of openings or publishes that began late
	cpuSuspect, cpuInvalid   = 0.80, 0.95 // of the machine
	askedSuspect             = 0.50       // of what the machine could receive before the run
	ownEvents                = 3          // that must lie beyond a percentile to speak of it
	ownSuspect               = 0.10       // what may be the generator's own, of the same percentile of delivery
	ownFloor                 = 1000.0     // us: below this it is nothing to warn of
	unmatchedLimit           = 0.01       // share of published events whose marker no receiver showed
)

// Judge says whether the measurement can be trusted, with reasons. l has been filled.
func (b *Board) Judge(l *result.Load, h Health) result.Validity {
	b.mu.Lock()
	defer b.mu.Unlock()
	v := result.Validity{Verdict: Valid, Reasons: []string{}}
	decisive := 0 // reasons for Invalid, which stand first
	say := func(verdict, format string, args ...any) {
		if verdict == Invalid || v.Verdict == Valid {
			v.Verdict = verdict
		}
		at := len(v.Reasons)
		if verdict == Invalid {
			at = decisive
			decisive++
		}
		v.Reasons = slices.Insert(v.Reasons, at, fmt.Sprintf(format, args...))
	}
	grade := func(value, suspect, invalid float64, format string, args ...any) {
		switch {
		case value > invalid:
			say(Invalid, format, args...)
		case value > suspect:
			say(Suspect, format, args...)
		}
	}
	begun := l.Streams.Opened + l.Streams.Failed - l.Streams.Failures[NoneByTheEnd]
	if h.Cut && begun == 0 {
		say(Invalid, "no stream was opened: the run was interrupted before")
		return v
	}
	if l.Streams.Opened == 0 {
		say(Invalid, "no stream was opened%s", b.commonest(func(phase string) bool { return phase != "publish" }))
		return v
	}
	grade(b.openLag.share(), lateSuspect, lateInvalid, "%.0f %% of the openings began more than 10 ms late: this machine cannot open streams at the planned rate", 100*b.openLag.share())
	late := b.publishLag.share()
	if h.Limited == 0 {
		grade(late, lateSuspect, lateInvalid, "%.0f %% of the publishes began more than 10 ms late, though fewer were under way than may be: this machine was too busy to publish in time", 100*late)
	}
	judgeHealth(l, h, say, grade)
	disturbed := len(v.Reasons) > 0
	if h.Limited > 0 {
		grade(late, lateSuspect, lateInvalid, "%.0f %% of the publishes began more than 10 ms late, and as many were under way as may be: more of them at once (--publish-in-flight), or a lower rate, is needed", 100*late)
	}
	if planned := l.Streams.Due(); h.Cut && !b.finite && begun < planned {
		say(Suspect, "the run was interrupted when %s of %s had been opened: it is not the load of the plan", result.Count(int64(begun)), result.Plural(int64(planned), "stream"))
	}
	if c := l.Generator.Calibration; c != nil && c.EventsPerSecond > 0 && h.Asked > askedSuspect*c.EventsPerSecond {
		say(Suspect, "the plan asks for %s events/s, %.0f %% of the about %s that this machine could receive from the built-in server before the run: what is measured beyond half of that may be this machine's; ask for less, or use more machines",
			result.Count(int64(h.Asked)), 100*h.Asked/c.EventsPerSecond, result.Count(int64(c.EventsPerSecond)))
	}
	if h.Dropped > 0 {
		say(Suspect, "%d planned events were not published: too many were under way", h.Dropped)
	}
	if h.Ended > 0 && !b.finite && !b.publishes {
		say(Suspect, "every stream had ended after %v of the planned %v%s: of the rest nothing is known; where streams are meant to end, say so (--finite)", h.Ended.Round(100*time.Millisecond), h.Planned.Round(100*time.Millisecond), b.commonest(func(phase string) bool { return phase == "closed" }))
	}
	b.judgeObserved(l, say)
	if b.publishes {
		if h.Ended > 0 && !b.finite {
			say(Invalid, "every stream had ended after %v of the planned %v: the rest was not measured%s", h.Ended.Round(100*time.Millisecond), h.Planned.Round(100*time.Millisecond), b.commonest(func(phase string) bool { return phase == "closed" }))
		}
		b.judgeCorrelation(l, h, say)
		b.judgeOwn(l, say)
		b.judgeSteady(l, h, disturbed, say)
		judgeCanary(l, say)
	}
	if open := b.Open(); b.finite && open > 0 && !h.Cut {
		if l.Streams.Completed == 0 {
			say(Suspect, "none of the streams ended, though the plan takes them for finite: if they are not meant to end, say so (--finite=false)")
		} else {
			say(Suspect, "%d of %d streams had not ended when the run did: the longest are missing from total; a longer duration or timeout lets them end", open, l.Streams.Opened)
		}
	}
	outside := b.outside
	for _, r := range b.workers {
		outside += r.outside
	}
	if outside > 0 {
		say(Suspect, "%d values were outside what histograms hold (1 us to 1 h)", outside)
	}
	return v
}

// commonest is " (cause)", the most frequent failure of such a phase; "" if there is none.
func (b *Board) commonest(of func(phase string) bool) string {
	all := map[string]int{}
	for _, r := range b.workers {
		r.Lock()
		for cause, n := range r.failures {
			if phase, _, _ := strings.Cut(cause, ":"); of(phase) {
				all[cause] += n
			}
		}
		r.Unlock()
	}
	most := ""
	for cause, n := range all {
		if most == "" || n > all[most] || n == all[most] && cause < most {
			most = cause
		}
	}
	if most == "" {
		return ""
	}
	return " (" + most + ")"
}

// judgeCorrelation tells a server that loses events from a measurement that does not recognise them.
func (b *Board) judgeCorrelation(l *result.Load, h Health, say func(verdict, format string, args ...any)) {
	t := &b.total
	var n counters
	for _, r := range b.workers {
		r.Lock()
		n.add(r.n)
		r.Unlock()
	}
	published, unmatched := t.published+t.warm, t.unmatched+t.warmUnmatched
	switch {
	case published == 0 && h.Cut && t.refused+t.failed == 0:
		say(Suspect, "the run was interrupted before an event was published: nothing is known of delivery")
	case published == 0:
		say(Invalid, "no event was published: %d refused by the target, %d failed%s", t.refused, t.failed, b.commonest(func(phase string) bool { return phase == "publish" }))
	case n.received == 0:
		say(Invalid, "no stream received anything though %d events were published: does the hook publish where the streams listen?", published)
	case unmatched == published && n.unmarked > 0:
		say(Invalid, "%d events were received but none carries a marker of the %d published: either the payload does not survive as it is, or the hook publishes elsewhere and what came is other traffic; nothing can be matched", n.unmarked, published)
	case unmatched == published:
		say(Invalid, "no stream received any of the %d published events", published)
	case float64(unmatched) > unmatchedLimit*float64(published) && n.unmarked+n.corrupt > 0:
		say(Suspect, "%d of %d published events were recognised by no receiver while %d without a marker came: loss counts may be failed matches", unmatched, published, n.unmarked+n.corrupt)
	}
	if n.corrupt > 0 && float64(n.corrupt) > unmatchedLimit*float64(n.received) {
		say(Suspect, "%d events carried a marker that was cut or changed", n.corrupt)
	}
}

// judgeOwn holds what of each delivery may be the generator's own against what is reported. How late it reads is not that: the kernel says when bytes arrived. What
// does count is how late a publish began, since delivery counts from when it was due, and the delay of reads that brought several events at once, since
// the kernel's stamp is then the last one's.
func (b *Board) judgeOwn(l *result.Load, say func(verdict, format string, args ...any)) {
	own, all := b.own, l.LatencyUS["deliver"]
	if own == nil || all == nil {
		return
	}
	// The deliveries of one event have one publish in common, and often one moment in which this machine was busy: three events and more must lie beyond a
	// quantile, or the one that met with bad luck would decide.
	for _, q := range [...]struct {
		name     string
		at       float64
		own, all *float64
	}{{"p50", 0.5, own.P50, all.P50}, {"p90", 0.9, own.P90, all.P90}, {"p99", 0.99, own.P99, all.P99}} {
		if !result.Resolvable(1-(1-q.at)/ownEvents, l.Events.Published) || q.own == nil || q.all == nil || *q.own < ownFloor || *q.own <= ownSuspect**q.all {
			continue
		}
		say(Suspect, "up to %.0f %% of the %s of delivery may be the generator's own (%s of %s): it published late, or read several events at once, too late to tell when each arrived",
			100**q.own / *q.all, q.name, result.Micros(*q.own), result.Micros(*q.all))
	}
}
