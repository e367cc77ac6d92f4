package measure

import (
	"cmp"
	"math"
	"slices"

	"ssegauge/reports/result"
)

// Some measures need memory for each stream or each (event, receiver) pair. They are taken of a sample: about maxProbes streams, evenly spread over the order in which
// they were opened, and at most maxBiased of the events under way at one time. Of runs smaller than that, everything is in the sample.
const (
	maxProbes = 1024
	maxBiased = 64
	minBiased = 8 // fewer receivers have no order to speak of
	// What others publish comes nobody knows how often: one event in this many ns.
	biasedStep = int64(20e6)
)

// biased tells whether the order in which event seq arrives is looked at.
func (b *Board) biased(seq uint32) bool {
	if b.observer != nil {
		return b.observer.at(seq).biased
	}
	return int(seq)%b.biasEvery == 0
}

// probe is what is remembered of a sampled stream beside its Stream.
type probe struct {
	gap    int64   // the last one, ns
	smooth float64 // jitter so far, ns
	gaps   uint8   // how many there were, saturating at 2
	next   uint8
	ids    [recentIDs]used // of the latest events with one
}

// jitter takes the next gap between two events and returns the interarrival jitter smoothed as RFC 3550 6.4.1 has it, J += (|D| - J) / 16; ok from the second gap on.
func (p *probe) jitter(gap int64) (ns int64, ok bool) {
	d := math.Abs(float64(gap - p.gap))
	p.gap = gap
	if p.gaps == 0 {
		p.gaps = 1
		return 0, false
	}
	p.gaps = 2
	p.smooth += (d - p.smooth) / 16
	return int64(p.smooth), true
}

// pair is the arrival of an event at a sampled stream: when the stream joined, and how late the event came there, ns.
type pair struct{ joined, off int64 }

// pair adds one to the list of an event.
func (r *Recorder) pair(list []pair, joined, off int64) []pair {
	if n := len(r.pairs); list == nil && n > 0 {
		list = r.pairs[n-1]
		r.pairs = r.pairs[:n-1]
	}
	return append(list, pair{joined, off})
}

// bias adds up the rank correlations of events.
type bias struct {
	pairs     []pair    // of the event that is being judged
	ranks     []float64 // for reuse: of the joining, then of the delay
	order     []int
	sum       float64
	events    int64
	receivers int64
}

func (b *bias) reset() { b.pairs = b.pairs[:0] }

// add takes the event whose pairs stand in b.
func (b *bias) add() {
	if len(b.pairs) < minBiased {
		return
	}
	if rho := b.spearman(); !math.IsNaN(rho) {
		b.sum += rho
		b.events++
		b.receivers += int64(len(b.pairs))
	}
}

// spearman is the rank correlation of joining and delay, ties at their mean rank: NaN where one of them is the same for all.
func (b *bias) spearman() float64 {
	n := len(b.pairs)
	b.ranks = slices.Grow(b.ranks[:0], 2*n)[:2*n]
	joined, off := b.ranks[:n], b.ranks[n:]
	b.rank(joined, func(p pair) int64 { return p.joined })
	b.rank(off, func(p pair) int64 { return p.off })
	mean := float64(n+1) / 2
	var xy, xx, yy float64
	for i := range joined {
		x, y := joined[i]-mean, off[i]-mean
		xy, xx, yy = xy+x*y, xx+x*x, yy+y*y
	}
	return xy / math.Sqrt(xx*yy)
}

func (b *bias) rank(ranks []float64, key func(pair) int64) {
	b.order = b.order[:0]
	for i := range b.pairs {
		b.order = append(b.order, i)
	}
	slices.SortFunc(b.order, func(i, j int) int { return cmp.Compare(key(b.pairs[i]), key(b.pairs[j])) })
	for from := 0; from < len(b.order); {
		to := from + 1
		for to < len(b.order) && key(b.pairs[b.order[to]]) == key(b.pairs[b.order[from]]) {
			to++
		}
		for _, i := range b.order[from:to] {
			ranks[i] = float64(from+1+to) / 2
		}
		from = to
	}
}

func (b *bias) result() *result.PositionBias {
	if b.events == 0 {
		return nil
	}
	return &result.PositionBias{Rho: b.sum / float64(b.events), Events: b.events, Receivers: b.receivers / b.events}
}

// batch counts events by the read that brought them: fresh begins one.
func (r *Recorder) batch(s *Stream, fresh bool) {
	if fresh {
		s.batch = 1
		r.coalesce[1]++
		return
	}
	if s.batch < maxBatch-1 {
		r.coalesce[s.batch]--
		s.batch++
		r.coalesce[s.batch]++
	}
}

// ages are how old streams were that ended for one cause, in steps of 100 us.
type ages struct {
	n        int64
	sum      float64
	min, max int64 // ns
	at       offsets
}

const ageStep = 100_000 // ns

func (a *ages) add(ns int64) {
	if a.n == 0 {
		a.min, a.max = ns, ns
	}
	a.n++
	a.sum += float64(ns)
	a.min, a.max = min(a.min, ns), max(a.max, ns)
	a.at.add(ns/ageStep, 1)
}

func (a *ages) merge(from *ages) {
	if a.n == 0 {
		a.min, a.max = from.min, from.max
	}
	a.n += from.n
	a.sum += from.sum
	a.min, a.max = min(a.min, from.min), max(a.max, from.max)
	a.at.merge(&from.at)
}

// quantiles are the ages in microseconds.
func (a *ages) quantiles() *result.Quantiles {
	at := func(p float64) *float64 {
		if !result.Resolvable(p, a.n) {
			return nil
		}
		ns := a.at.rank(max(1, int64(math.Ceil(p*float64(a.n)-1e-9)))) * ageStep
		return new(float64(min(max(ns, a.min), a.max)) / 1000)
	}
	return &result.Quantiles{
		Count: a.n, Min: new(float64(a.min) / 1000), Mean: new(a.sum / float64(a.n) / 1000), Max: new(float64(a.max) / 1000),
		P50: at(0.5), P90: at(0.9), P99: at(0.99), P999: at(0.999),
	}
}

// age notes how old a stream was when it ended.
func (r *Recorder) age(cause string, ns int64) {
	a := r.ended[cause]
	if a == nil {
		if len(r.ended) >= maxCauses {
			cause = "other"
		}
		if a = r.ended[cause]; a == nil {
			a = new(ages)
			r.ended[cause] = a
		}
	}
	a.add(max(0, ns))
}

// disconnects is the table of why streams ended. The recorders are locked.
func (b *Board) disconnects() []result.Disconnect {
	all := map[string]*ages{}
	for _, r := range b.workers {
		for cause, a := range r.ended {
			if all[cause] == nil {
				all[cause] = new(ages)
			}
			all[cause].merge(a)
		}
	}
	var list []result.Disconnect
	for cause, a := range all {
		list = append(list, result.Disconnect{Cause: cause, Count: a.n, AgeUS: a.quantiles()})
	}
	slices.SortFunc(list, func(x, y result.Disconnect) int {
		return cmp.Or(cmp.Compare(y.Count, x.Count), cmp.Compare(x.Cause, y.Cause))
	})
	return list
}

// distributions are the counts that are no times.
func (b *Board) distributions() map[string]*result.Quantiles {
	batches, extents := newHist(), newHist()
	for _, r := range b.workers {
		for n, k := range r.coalesce {
			_ = batches.RecordValues(int64(n), k) // within the range by far, as below
		}
		for n, k := range r.extent {
			_ = extents.RecordValues(int64(n), int64(k))
		}
	}
	m := map[string]*result.Quantiles{}
	if batches.TotalCount() > 0 {
		m["coalesce"] = result.FromHist(batches)
	}
	if extents.TotalCount() > 0 {
		m["reorder_extent"] = result.FromHist(extents)
	}
	return m
}
