package measure

import (
	"maps"
	"slices"
	"strings"

	"github.com/HdrHistogram/hdrhistogram-go"

	"ssegauge/reports/result"
)

// Fill writes what was measured into l: streams, events, latencies, series and the generator's own delay. Call it after [Board.Finish].
func (b *Board) Fill(l *result.Load) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, deliver := b.drain()
	b.deliver.Merge(deliver)
	deliver.Reset()

	l.Streams.Opened, l.Streams.Failed, l.Streams.ClosedByServer = n.opened, n.failed, n.closed
	l.Streams.Churned = n.churned
	l.Streams.Completed = n.completed
	l.Streams.Peak, l.Streams.Connections = int(b.peak.Load()), b.connections
	l.Streams.Failures = map[string]int{}
	for _, r := range b.workers {
		for cause, k := range r.failures {
			l.Streams.Failures[cause] += k
		}
	}
	l.Events = result.Events{
		Published: b.total.published, Received: n.received, Eligible: b.total.eligible + n.stragglers, Lost: b.total.lost,
		Duplicated: n.duplicated, Reordered: n.reordered, Bytes: n.bytes,
	}
	l.LatencyUS = map[string]*result.Quantiles{}
	never := map[string]int64{"deliver": b.total.lost}
	maps.Copy(never, b.total.never)
	if b.finite {
		never["total"] = int64(n.closed) // of what broke off there is no end
	}
	put := func(name string, h *hdrhistogram.Histogram) {
		if h.TotalCount() > 0 || never[name] > 0 {
			var q *result.Quantiles
			switch name {
			case "deliver", "deliver_from_send":
				q = result.FromEvents(h, b.total.published)
			default:
				q = result.FromHist(h)
			}
			switch {
			case name == "deliver":
				q.CI95 = b.kept.intervals(b.total.published)
			case name == "spread" || name == "publish_ack" || strings.HasPrefix(name, "fanout_") || strings.HasPrefix(name, "skew_"):
				q.CI95 = result.OrderStatistics(h, never[name])
			}
			q.Never = never[name]
			l.LatencyUS[name] = q
		}
	}
	for m, name := range metricNames {
		sum := newHist()
		if m == mDeliver {
			sum = b.deliver
		}
		for _, r := range b.workers {
			sum.Merge(r.hist[m])
		}
		switch m {
		case mDelay:
			l.Generator.DelayUS = result.FromHist(sum)
		case mOwn:
			b.own = result.FromHist(sum)
		default:
			put(name, sum)
		}
	}
	for name := range b.total.never {
		if b.extra[name] == nil {
			b.extra[name] = newHist()
		}
	}
	for name, h := range b.extra {
		put(name, h)
	}
	b.fillReturns(l)
	b.fillSlow(l)
	l.Generator.Workers = len(b.workers)
	l.Distributions, l.Disconnects, l.PositionBias = b.distributions(), b.disconnects(), b.bias.result()
	b.correlate(l)
	l.Findings, l.Generator.UnreadBytes = b.broken()
	l.Series = b.seconds.series()
	if l.Correlation.Failed != "" { // until then they were compared
		l.Series = slices.DeleteFunc(l.Series, func(s result.Series) bool { return ofCompared(s.Name) })
	}
}
