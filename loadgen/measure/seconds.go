package measure

import (
	"math"

	"github.com/HdrHistogram/hdrhistogram-go"

	"ssegauge/reports/result"
)

// seconds are the series: one value a second of the run.
type seconds struct {
	spare           *hdrhistogram.Histogram
	open, failed    result.Points
	received        result.Points
	published, lost result.Points
	p50, p99        result.Points
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
	s.received = append(s.received, float64(n.received-s.before.received))
	s.published = append(s.published, float64(b.total.published-s.beforePublished))
	s.lost = append(s.lost, float64(b.total.lost-s.beforeLost))
	s.p50, s.p99 = append(s.p50, p50), append(s.p99, p99)
	snap := Snapshot{
		Opened: n.opened, Open: b.Open(), Failed: n.failed, Closed: n.closed, Published: b.total.published, Received: n.received, Lost: b.total.lost,
		EventsPerSecond: float64(n.received - s.before.received), DeliverP50: p50, DeliverP99: p99,
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

func (s *seconds) series() []result.Series {
	const step = 1000
	return []result.Series{
		{Name: "open_streams", StepMS: step, Values: s.open},
		{Name: "failed_streams", StepMS: step, Values: s.failed},
		{Name: "events_per_second", StepMS: step, Values: s.received},
		{Name: "published_per_second", StepMS: step, Values: s.published},
		{Name: "lost_per_second", StepMS: step, Values: s.lost},
		{Name: "deliver_p50_us", StepMS: step, Values: s.p50},
		{Name: "deliver_p99_us", StepMS: step, Values: s.p99},
	}
}
