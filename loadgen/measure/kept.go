package measure

import (
	"math"
	"math/rand/v2"
	"slices"

	"ssegauge/reports/result"
)

// The bounds of what is kept: events, and steps of their histograms (8 bytes each).
const (
	keptEvents = 4096
	keptSteps  = 1 << 19
)

// kept is a fair sample of the concluded events, for what the sum of all deliveries cannot say: how they changed over time, and how far they would
// differ in another run. The deliveries of one event have their publish, and the moment, in common: the event is the unit.
type kept struct {
	events []keptEvent
	steps  int
	thin   uint // an event is kept if the last thin bits of its hash are 0
}

// keptEvent is one event: when it was due, and its arrivals.
type keptEvent struct {
	seq      uint32
	due      int64 // ns since the epoch
	lost     int64
	arrived  int64
	t50, t99 float64 // us; the deadline if that share was never reached
	at       []stepCount
}

type stepCount struct {
	count uint32
	step  uint16
}

// add keeps an event, if it is one to keep, and makes room by dropping a fair half.
func (k *kept) add(e keptEvent, at *offsets) {
	if !k.keeps(e.seq) {
		return
	}
	for i := at.lo; i < at.hi; i++ {
		if c := at.counts[i]; c > 0 {
			e.at = append(e.at, stepCount{c, uint16(i)})
		}
	}
	k.events = append(k.events, e)
	k.steps += len(e.at)
	for len(k.events) > keptEvents || k.steps > keptSteps && len(k.events) > 1 {
		k.thin++
		k.events = slices.DeleteFunc(k.events, func(e keptEvent) bool { return !k.keeps(e.seq) })
		k.steps = 0
		for _, e := range k.events {
			k.steps += len(e.at)
		}
	}
}

// keeps is fair to events that differ by turns.
func (k *kept) keeps(seq uint32) bool {
	h := (uint64(seq) + 1) * 0x9e3779b97f4a7c15
	h = (h ^ h>>29) * 0xbf58476d1ce4e5b9
	return h>>32&(1<<k.thin-1) == 0
}

// The number of resamples, and how many steps all of them together may add up.
const (
	mostResamples  = 1000
	leastResamples = 200
	resampledSteps = 1 << 26
)

// intervals are the 95 % intervals of the quantiles of delivery by the percentile bootstrap over events: as many events as there are are drawn with replacement, again
// and again, each with all its deliveries. A side that the number of events (n, of which those here are a sample) does not bound is nil.
func (k *kept) intervals(n int64) map[string]result.Interval {
	m := len(k.events)
	if m == 0 {
		return nil
	}
	qs := result.IntervalQuantiles
	rounds := max(leastResamples, min(mostResamples, resampledSteps/max(1, k.steps)))
	var drawn [len(qs)][]float64
	rng := rand.New(rand.NewPCG(0x55e6, uint64(m))) // the same run has the same intervals
	times := make([]int32, m)
	var sum [offsetSteps]int64
	for range rounds {
		clear(times)
		for range m {
			times[rng.IntN(m)]++
		}
		clear(sum[:])
		total := int64(0)
		for i, t := range times {
			if t == 0 {
				continue
			}
			e := &k.events[i]
			total += int64(t) * (e.arrived + e.lost)
			for _, s := range e.at {
				sum[s.step] += int64(t) * int64(s.count)
			}
		}
		// Sums of counts in one go, for all quantiles: their ranks ascend.
		at, below := 0, int64(0)
		for i, q := range qs {
			rank := max(1, int64(math.Ceil(q.P*float64(total)-1e-9)))
			for at < offsetSteps && below+sum[at] < rank {
				below += sum[at]
				at++
			}
			v := math.Inf(1) // among the lost
			if at < offsetSteps {
				v = float64(middle(at))
			}
			drawn[i] = append(drawn[i], v)
		}
	}
	all := map[string]result.Interval{}
	for i, q := range qs {
		if !result.Resolvable(q.P, n) {
			continue
		}
		slices.Sort(drawn[i])
		low, high := drawn[i][rounds/40], drawn[i][rounds-1-rounds/40]
		below, above := result.Bounded(q.P, n)
		var v result.Interval
		if below && !math.IsInf(low, 1) {
			v.Low = &low
		}
		if above && !math.IsInf(high, 1) {
			v.High = &high
		}
		all[q.Name] = v
	}
	return all
}
