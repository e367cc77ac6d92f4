package measure

import (
	"fmt"
	"math"
	"time"

	"ssegauge/reports/result"
)

// judgeSteady tests whether delivery stayed the same while it was measured. A target that does not keep up delivers each event later than the one before: its
// percentiles say how long one measured, and nothing else. disturbed: it has been said what kept this machine from measuring well, which may be why.
func (b *Board) judgeSteady(l *result.Load, h Health, disturbed bool, say func(verdict, format string, args ...any)) {
	if !b.publishes || h.Varies || len(b.kept.events) == 0 {
		return
	}
	var points, tails []point
	var receivers []float64
	for _, e := range b.kept.events {
		at := float64(e.due-b.start) / 1e9
		points, tails = append(points, point{at, e.t50}), append(tails, point{at, e.t99})
		receivers = append(receivers, float64(e.arrived+e.lost))
	}
	l.Steady = steadyOf("fanout_t50", points)
	if s := steadyOf("fanout_t99", tails); l.Steady.Verdict != drifts && s.Verdict == drifts {
		l.Steady, points = s, tails
	}
	s := l.Steady
	if s.Verdict != drifts {
		return
	}
	what := "delivery"
	if s.Of == "fanout_t99" {
		what = "delivery to the last of the receivers"
	}
	changed := time.Duration(s.ChangeMS) * time.Millisecond
	if from, to, ok := stepped(points, s); ok && to > from {
		say(Suspect, "%s went from %s to %s at once, %s after the first event: the percentiles mix two states, and how much of each is a matter of how long one measures; find what happened then",
			what, result.Micros(from), result.Micros(to), seconds1(changed))
		return
	}
	if s.ToUS < s.FromUS {
		say(Suspect, "%s fell from %s to %s, most of it in the first %s: the target was still warming up; a warm_up of %s in the plan leaves that out",
			what, result.Micros(s.FromUS), result.Micros(s.ToUS), seconds1(changed), seconds1(changed+time.Second))
		return
	}
	span := points[len(points)-1].at - points[0].at
	rate := float64(b.total.published-1) / math.Max(span, 1e-9)
	from, to, asked := result.Micros(s.FromUS), result.Micros(s.ToUS), perSecond(rate)+" to "+result.Plural(int64(middleOf(receivers)), "stream")
	if disturbed {
		say(Suspect, "%s was not steady: it grew from %s to %s at %s, so these percentiles depend on how long one measures; what disturbed this machine, as said above, may be why", what, from, to, asked)
		return
	}
	say(Suspect, "%s grew from %s to %s: the target does not keep up at %s, so these percentiles depend on how long one measures; lower the rate or the number of streams to find what it does keep up with",
		what, from, to, asked)
}

func seconds1(d time.Duration) string { return d.Round(100 * time.Millisecond).String() }

func perSecond(rate float64) string {
	return fmt.Sprintf("%s/s", result.Number(math.Round(rate*100)/100))
}
