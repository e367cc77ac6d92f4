package result

import (
	"math"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// IntervalQuantiles are the quantiles that have an interval, by the name they have in CI95.
var IntervalQuantiles = [...]struct {
	Name string
	P    float64
}{{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99_9", 0.999}}

// tail is what lies outside of a 95 % interval on each side.
const tail = 0.025

// Bounded tells on which sides n independent samples bound the quantile p with 95 % confidence: above only if it is unlikely enough that all of them lie below it,
// p^n <= 2.5 %, which takes 6 samples for the median, 36 for p90, 368 for p99 and 3,688 for p99.9.
func Bounded(p float64, n int64) (below, above bool) {
	return math.Pow(1-p, float64(n)) <= tail, math.Pow(p, float64(n)) <= tail
}

// Needed is the least n that [Resolvable] takes for p.
func Needed(p float64) int64 {
	if p >= 1 {
		return 1
	}
	return int64(math.Ceil(1/(1-p) - 1e-6))
}

// OrderStatistics are the intervals of the quantiles of a sample whose values are independent, of which `never` more were infinitely long: the values at the places
// between which each quantile lies with 95 % confidence, whatever the distribution. nil for an empty sample.
func OrderStatistics(h *hdrhistogram.Histogram, never int64) map[string]Interval {
	count := h.TotalCount()
	if count == 0 {
		return nil
	}
	at := func(place int64) *float64 {
		if place > count {
			return nil // among those that never came
		}
		return new(atRank(h, place))
	}
	all := map[string]Interval{}
	for _, q := range IntervalQuantiles {
		n := count + never
		if !Resolvable(q.P, n) {
			continue
		}
		low, high := places(n, q.P)
		var i Interval
		if low >= 1 {
			i.Low = at(low)
		}
		if high <= n {
			i.High = at(high)
		}
		all[q.Name] = i
	}
	return all
}

// places are the places, from 1, between which the quantile p of n values in order lies: 0 and n+1 where there is none. How many of the values lie
// below the quantile is binomial.
func places(n int64, p float64) (low, high int64) {
	mean, sd := float64(n)*p, math.Sqrt(float64(n)*p*(1-p))
	from := max(0, int64(mean-8*sd)-8)
	all, _ := math.Lgamma(float64(n + 1))
	sum := 0.0 // P(fewer than k below)
	low, high = 0, n+1
	for k := from; k <= n && float64(k) <= mean+8*sd+8; k++ {
		if sum <= tail {
			low = k
		}
		if sum >= 1-tail {
			high = k
			break
		}
		a, _ := math.Lgamma(float64(k + 1))
		b, _ := math.Lgamma(float64(n - k + 1))
		sum += math.Exp(all - a - b + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p))
	}
	return low, high
}
