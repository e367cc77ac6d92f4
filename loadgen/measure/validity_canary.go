package measure

import "ssegauge/reports/result"

const (
	canaryTimes = 2.0    // delivery of the run that is so many times that of the canary
	canaryFloor = 5000.0 // us, and so much longer
	canaryBias  = -0.3   // rank correlation of joining and delay: below, those that join last, as the canary does, are served first
)

// judgeCanary holds the delivery of the run against that of a process with a few streams: both slow, and the target or the path is; the run alone, and it is the generator
// that reads too slowly and so keeps the target from sending. That shows in how late it reads, too: without it the difference may be that of the places in the
// order in which the target serves its streams.
func judgeCanary(l *result.Load, say func(verdict, format string, args ...any)) {
	c, run, delay := l.Generator.Canary, l.LatencyUS["deliver"], l.Generator.DelayUS
	if c == nil || c.DeliverUS == nil || run == nil || l.PositionBias != nil && l.PositionBias.Rho < canaryBias {
		return
	}
	for _, p := range [...]struct {
		name string
		at   float64
	}{{"p99", 0.99}, {"p90", 0.9}, {"p50", 0.5}} {
		a, b, own := run.At(p.at), c.DeliverUS.At(p.at), delay.At(p.at)
		if a == nil || b == nil {
			continue // the highest that both resolve
		}
		if *a > canaryTimes**b && *a > *b+canaryFloor && (own == nil || *own > (*a-*b)/2) {
			say(Suspect, "%s of delivery is %s here and %s to %s of a process of its own: the difference is this generator's, which reads too slowly; use fewer streams or a lower rate",
				p.name, result.Micros(*a), result.Micros(*b), result.Plural(int64(c.Streams), "stream"))
		}
		return
	}
}
