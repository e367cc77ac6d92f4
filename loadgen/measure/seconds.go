package measure

import (
	"math"
	"slices"
	"strings"

	"github.com/HdrHistogram/hdrhistogram-go"

	"ssegauge/reports/result"
)

// seconds are the series: one value a second of the run.
type seconds struct {
	spare           *hdrhistogram.Histogram
	open            result.Points
	failed, closed  result.Points
	received        result.Points
	published, lost result.Points
	p50, p99        result.Points
	t99p50, t99p99  result.Points
	delay           result.Points
	spreadP50       result.Points
	spreadP99       result.Points
	spreads         []float64 // of the events concluded in this second, us
	concluded       []float64 // of the events concluded in this second, when 99 % of the receivers had it, us
	before          counters
	beforePublished int64
	beforeLost      int64
}

// Snapshot is where a run stands.
type Snapshot struct {
	Planned, Opened, Open, Failed, Closed int
	Published, Received, Lost             int64
	// Of the last whole second; quantiles in microseconds, NaN where there was no delivery.
	EventsPerSecond        float64
	DeliverP50, DeliverP99 float64
}

// Second ends one second of the series and tells where the run stands. It is called once a second.
func (b *Board) Second() Snapshot {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, deliver := b.drain()
	s := &b.seconds
	p50, p99 := math.NaN(), math.NaN()
	if deliver.TotalCount() > 0 {
		p50, p99 = float64(deliver.ValueAtPercentile(50)), float64(deliver.ValueAtPercentile(99))
	}
	b.deliver.Merge(deliver)
	deliver.Reset()
	s.open = append(s.open, float64(b.Open()))
	s.failed = append(s.failed, float64(n.failed-s.before.failed))
	s.closed = append(s.closed, float64(n.closed-s.before.closed))
	s.received = append(s.received, float64(n.received-s.before.received))
	s.published = append(s.published, float64(b.total.published-s.beforePublished))
	s.lost = append(s.lost, float64(b.total.lost-s.beforeLost))
	s.p50, s.p99 = append(s.p50, p50), append(s.p99, p99)
	slices.Sort(s.concluded)
	s.t99p50, s.t99p99 = append(s.t99p50, nearest(s.concluded, 0.5)), append(s.t99p99, nearest(s.concluded, 0.99))
	s.concluded = s.concluded[:0]
	slices.Sort(s.spreads)
	s.spreadP50, s.spreadP99 = append(s.spreadP50, nearest(s.spreads, 0.5)), append(s.spreadP99, nearest(s.spreads, 0.99))
	s.spreads = s.spreads[:0]
	s.delay = append(s.delay, b.slowest())
	snap := Snapshot{
		Opened: n.opened, Open: b.Open(), Failed: n.failed, Closed: n.closed, Published: b.total.published, Received: n.received, Lost: b.total.lost,
		EventsPerSecond: float64(n.received - s.before.received), DeliverP50: p50, DeliverP99: p99,
	}
	if o := b.observer; o != nil && o.failed() != "" {
		snap.Published, snap.Lost = 0, 0
	}
	s.before, s.beforePublished, s.beforeLost = n, b.total.published, b.total.lost
	return snap
}

// drain adds up the counters and takes the deliveries since the last call, in the spare histogram.
func (b *Board) drain() (counters, *hdrhistogram.Histogram) {
	var n counters
	sum := b.seconds.spare
	for i, r := range b.workers {
		r.Lock()
		n.add(r.n)
		h := r.hist[mDeliver]
		if i == 0 {
			r.hist[mDeliver] = sum
			sum = h
			r.Unlock()
			continue
		}
		sum.Merge(h)
		h.Reset()
		r.Unlock()
	}
	b.seconds.spare = sum
	return n, sum
}

// slowest is the longest of the generator's own delays since the last call, in us; NaN where nothing was read.
func (b *Board) slowest() float64 {
	most := int64(-1)
	for _, r := range b.workers {
		r.Lock()
		most = max(most, r.slowest)
		r.slowest = -1
		r.Unlock()
	}
	if most < 0 {
		return math.NaN()
	}
	return float64(most) / 1000
}

// nearest is the quantile p of sorted values, one of them; NaN of none.
func nearest(sorted []float64, p float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	return sorted[max(1, int(math.Ceil(p*float64(len(sorted)))))-1]
}

func (s *seconds) series() []result.Series {
	const step = 1000
	return []result.Series{
		{Name: "open_streams", StepMS: step, Values: s.open},
		{Name: "failed_streams", StepMS: step, Values: s.failed},
		{Name: "closed_streams", StepMS: step, Values: s.closed},
		{Name: "events_per_second", StepMS: step, Values: s.received},
		{Name: "published_per_second", StepMS: step, Values: s.published},
		{Name: "lost_per_second", StepMS: step, Values: s.lost},
		{Name: "deliver_p50_us", StepMS: step, Values: s.p50},
		{Name: "deliver_p99_us", StepMS: step, Values: s.p99},
		{Name: "spread_p50_us", StepMS: step, Values: s.spreadP50},
		{Name: "spread_p99_us", StepMS: step, Values: s.spreadP99},
		{Name: "fanout_t99_p50_us", StepMS: step, Values: s.t99p50},
		{Name: "fanout_t99_p99_us", StepMS: step, Values: s.t99p99},
		{Name: "generator.delay_max_us", StepMS: step, Values: s.delay},
	}
}

// ofCompared tells whether a series says something only where events are tied to receivers.
func ofCompared(name string) bool {
	for _, p := range [...]string{"published_", "lost_", "spread_", "fanout_"} {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}
