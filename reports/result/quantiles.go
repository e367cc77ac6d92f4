package result

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Resolvable tells whether n samples can say anything about the quantile p (0 to 1): at least one sample must be expected beyond it,
// n >= 1/(1-p). So p50 needs 2 samples, p90 10, p99 100, p99.9 1000. It is the very least: what n it takes for an interval of a
// stated confidence is another question, and a larger one.
func Resolvable(p float64, n int64) bool {
	if p >= 1 {
		return n > 0
	}
	// 1/(1-0.999) is a little more than 1000 in binary; the slack forgives it.
	return p >= 0 && float64(n)*(1-p) >= 1-1e-9
}

// FromHist summarises a histogram of microseconds; quantiles it cannot resolve ([Resolvable]) are nil. The histogram itself goes along, encoded.
// Values are HDR's: the upper end of the bucket that holds the quantile (the lower end for the minimum), so at most one part in 10^digits too high.
func FromHist(h *hdrhistogram.Histogram) *Quantiles { return FromEvents(h, 0) }

// FromEvents is [FromHist] of samples that so many published events have in common ([Quantiles.Events]).
func FromEvents(h *hdrhistogram.Histogram, events int64) *Quantiles {
	q := &Quantiles{Events: events}
	if h == nil || h.TotalCount() == 0 {
		return q
	}
	q.Count = h.TotalCount()
	q.Min = new(float64(h.Min()))
	q.Mean = new(h.Mean())
	q.Max = new(float64(h.Max()))
	at := func(p float64) *float64 {
		if !q.Resolves(p, 0) {
			return nil
		}
		return new(atRank(h, rank(p, q.Count)))
	}
	q.P50, q.P90, q.P99, q.P999 = at(0.5), at(0.9), at(0.99), at(0.999)
	// The encoding of a histogram in memory fails only for one that overflowed; then there is nothing to merge.
	if b, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase); err == nil {
		q.HDR = string(b)
	}
	return q
}

// Resolves tells whether the sample and `missing` more values that never came say anything about the quantile p: [Resolvable] of what is independent in them.
func (q *Quantiles) Resolves(p float64, missing int64) bool {
	if q == nil {
		return false
	}
	n := q.Count + missing
	if q.Events > 0 {
		n = min(n, q.Events)
	}
	return Resolvable(p, n)
}

// String writes the interval for people: "1.20 ms to 1.90 ms", "at least 1.20 ms"; "" where it has no bound.
func (i Interval) String() string {
	switch {
	case i.Low == nil && i.High == nil:
		return ""
	case i.High == nil:
		return "at least " + Micros(*i.Low)
	case i.Low == nil:
		return "at most " + Micros(*i.High)
	}
	return Micros(*i.Low) + " to " + Micros(*i.High)
}

// Hist decodes the histogram; an error if the run carries none (nil without an error if it is empty).
func (q *Quantiles) Hist() (*hdrhistogram.Histogram, error) {
	switch {
	case q == nil || q.Count == 0:
		return nil, nil
	case q.HDR == "":
		return nil, errors.New("no histogram stored")
	}
	h, err := hdrhistogram.Decode([]byte(q.HDR))
	if err != nil {
		return nil, fmt.Errorf("stored histogram: %w", err)
	}
	if h.TotalCount() != q.Count {
		return nil, fmt.Errorf("stored histogram holds %d samples, the run says %d", h.TotalCount(), q.Count)
	}
	return h, nil
}

// At returns any quantile p (0 to 1) in microseconds: 0 is the minimum, 1 the maximum; nil where the sample cannot resolve it, or where it is neither among the
// members nor to be had from the histogram.
func (q *Quantiles) At(p float64) *float64 { return q.Beyond(p, 0) }

// Beyond is [Quantiles.At] for a sample of which `missing` values never came: they count as larger than all that did, so that losing events cannot better a
// quantile. nil where the quantile lies among the missing.
func (q *Quantiles) Beyond(p float64, missing int64) *float64 {
	if q == nil || q.Count <= 0 || p < 0 || p > 1 || missing < 0 || !q.Resolves(p, missing) {
		return nil
	}
	if p == 0 {
		return q.Min
	}
	if missing == 0 {
		switch p {
		case 0.5:
			return q.P50
		case 0.9:
			return q.P90
		case 0.99:
			return q.P99
		case 0.999:
			return q.P999
		}
	}
	n := rank(p, q.Count+missing)
	switch {
	case n > q.Count:
		return nil
	case n == q.Count:
		return q.Max
	}
	h, err := q.Hist()
	if err != nil || h == nil {
		return nil
	}
	return new(atRank(h, n))
}

// rank is the place, from 1, of the quantile p among n samples in order: the first that at least the share p of all does not exceed.
func rank(p float64, n int64) int64 { return max(1, int64(math.Ceil(p*float64(n)-1e-9))) }

// atRank returns the value at a place. ValueAtPercentile would round p to the nearest place: a percentile that is a place leaves it no choice.
func atRank(h *hdrhistogram.Histogram, n int64) float64 {
	return float64(h.ValueAtPercentile(100 * float64(n) / float64(h.TotalCount())))
}

// CurvePoint is a point of a distribution: the share P of the samples took at most US microseconds.
type CurvePoint struct{ P, US float64 }

// Curve returns the distribution for drawing: at most n points, evenly spaced where the axis is the logarithm of 1/(1-p) as
// HDR plots have it, from the minimum to the last quantile that the sample resolves. With fewer samples than n it is exact: steps, each point the place where
// one begins, the last one their end. Without a histogram it has the stored quantiles only.
func (q *Quantiles) Curve(n int) (points []CurvePoint, steps bool) {
	if q == nil || q.Count <= 0 || q.Min == nil {
		return nil, false
	}
	h, err := q.Hist()
	if err != nil || h == nil {
		points = append(points, CurvePoint{0, *q.Min})
		for _, p := range []float64{0.5, 0.9, 0.99, 0.999} {
			if us := q.At(p); us != nil {
				points = append(points, CurvePoint{p, *us})
			}
		}
		return points, false
	}
	count := float64(q.Count)
	if q.Count < int64(n) && q.Events == 0 {
		for at := int64(1); at < q.Count; at++ {
			points = append(points, CurvePoint{float64(at-1) / count, atRank(h, at)})
		}
		if len(points) > 0 {
			points = append(points, CurvePoint{1 - 1/count, points[len(points)-1].US})
		}
		return points, true
	}
	points = append(points, CurvePoint{0, *q.Min})
	if q.Events > 0 {
		count = math.Min(count, float64(q.Events))
	}
	for i := 1; i < n; i++ {
		p := 1 - math.Pow(count, -float64(i)/float64(n-1))
		points = append(points, CurvePoint{p, atRank(h, rank(p, q.Count))})
	}
	return points, false
}

// Unresolved returns what the sample holds beyond the last point of [Quantiles.Curve]: values that were seen, of which it is not known how often
// they would be seen again. At most n points; none where each sample stands for itself.
func (q *Quantiles) Unresolved(n int) []CurvePoint {
	if q == nil || q.Events <= 0 || q.Events >= q.Count {
		return nil
	}
	h, err := q.Hist()
	if err != nil || h == nil {
		return nil
	}
	var points []CurvePoint
	from, to := float64(q.Events), float64(q.Count)
	for i := 1; i <= n; i++ {
		p := 1 - math.Pow(to/from, -float64(i)/float64(n))/from
		points = append(points, CurvePoint{p, atRank(h, rank(p, q.Count))})
	}
	return points
}

// MergeQuantiles adds up the histograms of several runs or workers: percentiles are never averaged. Empty ones count for nothing; one that carries no histogram is an error.
func MergeQuantiles(parts ...*Quantiles) (*Quantiles, error) {
	var sum *hdrhistogram.Histogram
	var never, events int64
	for _, q := range parts {
		if q != nil {
			never += q.Never
			events += q.Events
		}
		h, err := q.Hist()
		if err != nil {
			return nil, err
		}
		switch {
		case h == nil:
		case sum == nil:
			sum = h
		default:
			if dropped := sum.Merge(h); dropped > 0 {
				return nil, fmt.Errorf("histograms of different range: %d samples do not fit", dropped)
			}
		}
	}
	q := FromEvents(sum, events)
	q.Never = never
	return q, nil
}

// metrics are the names of latencies in the order in which they are read, with what they span.
var metrics = []struct{ name, text string }{
	{"open", "planned start of a stream to its response head"},
	{"open_service", "actual start of a stream to its response head"},
	{"dns", "resolving the target's name, once a target"},
	{"tcp_connect", "start of a connection to its handshake done"},
	{"tls", "start of the TLS handshake to its end"},
	{"ttfb_body", "request written to the first byte of content, comments included"},
	{"first_event", "request written to the first event"},
	{"total", "request written to the end of a finite response"},
	{"deliver", "intended publish time to the event's arrival, each receiver"},
	{"deliver_from_send", "actual send of the publish to the event's arrival, each receiver"},
	{"fanout_t50", "intended publish time until half of the receivers have it"},
	{"fanout_t90", "intended publish time until 90 % of the receivers have it"},
	{"fanout_t99", "intended publish time until 99 % of the receivers have it"},
	{"fanout_t100", "intended publish time until every receiver has it"},
	{"spread", "first receiver to last receiver of the same event"},
	{"skew_p50", "first receiver until half of those that got the event have it"},
	{"skew_p99", "first receiver until 99 % of those that got the event have it"},
	{"gap", "between two events of the same stream"},
	{"jitter", "change from one gap to the next, smoothed as RFC 3550 does; of a sample of the streams"},
	{"byte_silence", "between two reads of the same stream, comments included"},
	{"reconnect", "close of a stream seen to the next response head"},
	{"reconnect_first_event", "close of a stream seen to the first event after it"},
	{"reconnect_caught_up", "close of a stream seen until all that was missed has come"},
	{"publish_ack", "publish sent to its answer"},
	{"sched_lag", "planned to actual start of an open or a publish"},
}

// distributions are the names of counts, as metrics are of latencies.
var distributions = []struct{ name, text string }{
	{"coalesce", "events that one read brought a stream, of reads that brought any"},
	{"reorder_extent", "how many later events came before an event that came out of order"},
}

// Distributions returns the names of the known distributions of counts in reading order.
func Distributions() []string {
	names := make([]string, len(distributions))
	for i, d := range distributions {
		names[i] = d.name
	}
	return names
}

// Metrics returns the names of the latencies of the run: the known ones in reading order, others after them by name.
func (l *Load) Metrics() []string {
	var names, others []string
	for _, m := range metrics {
		if _, ok := l.LatencyUS[m.name]; ok {
			names = append(names, m.name)
		}
	}
	for name := range l.LatencyUS {
		if !slices.Contains(names, name) {
			others = append(others, name)
		}
	}
	slices.Sort(others)
	return append(names, others...)
}

// Latency is one distribution of times of a run.
type Latency struct {
	Name, Text string // as thresholds have it; what it spans
	Own        bool   // the generator's, not the target's
	*Quantiles        // never nil
}

// Latencies are all distributions of times that have samples, in reading order, the generator's own last.
func (l *Load) Latencies() []Latency {
	var out []Latency
	add := func(name, text string, own bool, q *Quantiles) {
		if q != nil && (q.Count > 0 || q.Never > 0) {
			out = append(out, Latency{name, text, own, q})
		}
	}
	for _, name := range l.Metrics() {
		add(name, MetricText(name), false, l.LatencyUS[name])
	}
	g := l.Generator
	if g.Canary != nil {
		add("canary.deliver", "as deliver, seen by a process of its own on a few streams", true, g.Canary.DeliverUS)
	}
	add("generator.delay", "bytes arrived to bytes read: the generator's own delay", true, g.DelayUS)
	add("generator.lag", "how late a thread woke that asks for the processor every millisecond", true, g.LagUS)
	add("generator.sched", "how long goroutines that could run waited to", true, g.SchedUS)
	return out
}

// MetricText says what a latency spans, "" if the name is not known.
func MetricText(name string) string {
	for _, m := range metrics {
		if m.name == name {
			return m.text
		}
	}
	for _, d := range distributions {
		if d.name == name {
			return d.text
		}
	}
	return ""
}

// MetricNames returns the names of the known latencies in reading order.
func MetricNames() []string {
	names := make([]string, len(metrics))
	for i, m := range metrics {
		names[i] = m.name
	}
	return names
}
