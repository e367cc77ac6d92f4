package measure

import (
	"cmp"
	"math"
	"slices"

	"ssegauge/reports/result"
)

// Verdicts of result.Steady.
const (
	steady  = "steady"
	drifts  = "drifts"
	unknown = "unknown"
)

const (
	steadyEvents = 20      // fewer say nothing of a trend
	steadyBlocks = 20      // at most; neighbouring events are alike, blocks of them less so
	driftFloor   = 5000.0  // us: a change below this matters to nobody
	driftShare   = 0.5     // nor does one below this share of the lower level
	steadyZ      = 1.95996 // 95 %
	stepChance   = 0.01    // that a series without a change looks as much like one
)

// point is the completion of one event: when it was due, s, and how long it took, us.
type point struct{ at, us float64 }

// steadyOf tests whether the completion of events stayed the same: Kendall's rank test on the medians of blocks of events, with the Theil-Sen slope, for a trend;
// Pettitt's for a change of level; and a
// floor below which a trend is of no interest. It sees growth, decay and a lasting step; what comes and goes is no trend.
func steadyOf(name string, points []point) *result.Steady {
	slices.SortFunc(points, func(a, b point) int { return cmp.Compare(a.at, b.at) })
	s := &result.Steady{Verdict: unknown, Of: name, Events: len(points)}
	n := len(points)
	if n == 0 {
		return s
	}
	edge := max(1, n/10)
	s.FromUS, s.ToUS = median(points[:edge]), median(points[n-edge:])
	if n < steadyEvents {
		return s
	}
	blocks := blocked(points, min(steadyBlocks, n/2))
	z, low, slope, high := kendall(blocks)
	s.Verdict, s.SlopeUS, s.LowUS, s.HighUS = steady, slope, low, high
	change := math.Abs(s.ToUS - s.FromUS)
	if change <= driftFloor || change <= driftShare*min(s.FromUS, s.ToUS) || slope*(s.ToUS-s.FromUS) < 0 {
		return s
	}
	if _, chance := pettitt(blocks); math.Abs(z) >= steadyZ || chance <= stepChance {
		at, _ := pettitt(points)
		s.Verdict, s.ChangeMS = drifts, 1000*(points[at].at-points[0].at)
	}
	return s
}

// blocked is the medians of k runs of points of about the same length.
func blocked(points []point, k int) []point {
	out := make([]point, k)
	for i := range out {
		b := points[i*len(points)/k : (i+1)*len(points)/k]
		out[i].us = median(b)
		for _, p := range b {
			out[i].at += p.at / float64(len(b))
		}
	}
	return out
}

func median(points []point) float64 {
	v := make([]float64, len(points))
	for i, p := range points {
		v[i] = p.us
	}
	return middleOf(v)
}

// middleOf is the median of v, which it sorts.
func middleOf(v []float64) float64 {
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// kendall is the normal deviate of the Mann-Kendall statistic of a series, corrected for ties, and its Theil-Sen slope with a 95 % interval.
func kendall(p []point) (z, low, slope, high float64) {
	n := float64(len(p))
	s := 0.0
	var slopes []float64
	ties := map[float64]float64{}
	for i := range p {
		ties[p[i].us]++
		for j := range i {
			s += float64(cmp.Compare(p[i].us, p[j].us))
			if d := p[i].at - p[j].at; d > 0 {
				slopes = append(slopes, (p[i].us-p[j].us)/d)
			}
		}
	}
	if len(slopes) == 0 {
		return 0, 0, 0, 0
	}
	variance := n * (n - 1) * (2*n + 5)
	for _, t := range ties {
		variance -= t * (t - 1) * (2*t + 5)
	}
	sd := math.Sqrt(max(0, variance) / 18)
	if sd > 0 {
		z = (s - math.Copysign(1, s)) / sd
		if s == 0 {
			z = 0
		}
	}
	slope = middleOf(slopes)
	off := steadyZ * sd
	at := func(rank float64) float64 {
		return slopes[max(0, min(len(slopes)-1, int(math.Round(rank))))]
	}
	m := float64(len(slopes))
	return z, at((m-off)/2 - 1), slope, at((m + off) / 2)
}

// pettitt is where the level of a series changed, if it did: the first point after the change, by Pettitt's statistic on ranks, and the chance of one as large without.
func pettitt(p []point) (at int, chance float64) {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(p[a].us, p[b].us) })
	rank := make([]float64, len(p))
	for i := 0; i < len(order); {
		j := i
		for j < len(order) && p[order[j]].us == p[order[i]].us {
			j++
		}
		for k := i; k < j; k++ {
			rank[order[k]] = float64(i+j+1) / 2
		}
		i = j
	}
	best, u := -1.0, 0.0
	for i := range len(p) - 1 {
		u += 2*rank[i] - float64(len(p)+1)
		if math.Abs(u) > best {
			best, at = math.Abs(u), i+1
		}
	}
	n := float64(len(p))
	return at, 2 * math.Exp(-6*best*best/(n*n*n+n*n))
}

// stepped tells whether a change of level at one moment describes points better than a line does, and between which levels.
func stepped(points []point, s *result.Steady) (from, to float64, ok bool) {
	blocks := blocked(points, min(steadyBlocks, len(points)/2))
	t := points[0].at + s.ChangeMS/1000
	at := slices.IndexFunc(blocks, func(p point) bool { return p.at >= t })
	if at <= 1 || at >= len(blocks)-1 {
		return 0, 0, false
	}
	from, to = median(blocks[:at]), median(blocks[at:])
	rest := make([]float64, len(blocks))
	for i, p := range blocks {
		rest[i] = p.us - s.SlopeUS*p.at
	}
	base := middleOf(rest)
	line, step := 0.0, 0.0
	for i, p := range blocks {
		line += math.Abs(p.us - base - s.SlopeUS*p.at)
		level := from
		if i >= at {
			level = to
		}
		step += math.Abs(p.us - level)
	}
	return from, to, step < line/2
}
