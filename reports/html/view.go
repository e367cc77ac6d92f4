package html

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"ssegauge/reports/result"
)

// view is one run as the templates want it.
type view struct {
	*result.Run
	ID    string // anchor
	Name  string // "Check", "Load over HTTP/2"
	Facts []string

	Before *comparison // of load runs or of searches for limits, stands before the first of them

	Counts   []tally   // of verdicts
	Findings []finding // all, in the order of the catalogue

	Tiles     []tile
	Latency   []latencyRow
	Signals   []signal
	Curves    []*chart
	Opening   []*chart
	Timelines [][]*chart
	Failures  []cause
	GateRows  []gateRow

	LimitRows []limitRow
	Ladders   [][]*chart // what was measured against streams
	Stages    []result.Stage
	Doubt     string // of all measurements
}

type tally struct {
	Chip  verdictChip
	Count int
}

type finding struct {
	result.Finding
	Anchor string
	Proofs []proof
}

// Bad tells whether the finding is shown in full.
func (f finding) Bad() bool {
	return f.Accepted == "" && (f.Verdict == result.Fail || f.Verdict == result.Warn || f.Verdict == result.Error)
}

// Decided tells whether the finding stands in the table of verdicts.
func (f finding) Decided() bool { return f.Verdict != result.NotObserved }

// proof is evidence, cut into what stands before, at and after the fault.
type proof struct {
	Where                string
	Before, Fault, After []piece
	Marked               bool
	Hex                  string
}

type tile struct{ Label, Value, Note string }

type latencyRow struct {
	Name, Text string
	Count      int64
	Cells      []cell // min, p50, p90, p99, p99.9, max
}

// cell is a quantile with its interval.
type cell struct{ Value, Interval string }

// newLatency is the row of the samples that came; with the missing ones counted in, what they leave of each quantile.
func newLatency(name, text string, q *result.Quantiles, missing int64, write func(float64) string) latencyRow {
	r := latencyRow{Name: name, Text: text, Count: q.Count + missing}
	intervals := map[float64]string{0.5: "p50", 0.9: "p90", 0.99: "p99", 0.999: "p99_9"}
	for _, p := range []float64{0, 0.5, 0.9, 0.99, 0.999, 1} {
		c := cell{Value: "–"}
		if v := q.Beyond(p, missing); v != nil {
			c.Value = write(*v)
		} else if q.Resolves(p, missing) && missing > 0 {
			c.Value = "never"
		}
		if i, ok := q.CI95[intervals[p]]; ok && missing == q.Never { // of all that should have come
			c.Interval = span(i)
		}
		r.Cells = append(r.Cells, c)
	}
	return r
}

// span is an interval in few words: "1.20–1.90 ms", "≥ 1.20 ms".
func span(i result.Interval) string {
	switch {
	case i.Low == nil && i.High == nil:
		return ""
	case i.High == nil:
		return "≥ " + result.Micros(*i.Low)
	case i.Low == nil:
		return "≤ " + result.Micros(*i.High)
	}
	low, high := result.Micros(*i.Low), result.Micros(*i.High)
	if number, unit, ok := strings.Cut(low, " "); ok && strings.HasSuffix(high, " "+unit) {
		low = number
	}
	return low + "–" + high
}

type cause struct {
	result.Cause
	Age   string
	Width int // of its bar, percent of the largest
}

// signal is one thing that the trust in a measurement rests on.
type signal struct{ Label, Seen string }

type gateRow struct {
	result.Gate
	Verdict result.Verdict
	Shown   string
}

func newView(id string, r *result.Run) *view {
	v := &view{Run: r, ID: id}
	protocol := result.Escape(result.Protocol(r.Target.HTTP))
	v.Facts = []string{r.Started.UTC().Format("2 January 2006, 15:04:05 UTC"), "took " + result.Micros(r.DurationMS*1e3), protocol}
	if r.Tool.Version != "" {
		v.Facts = append(v.Facts, "ssegauge "+result.Escape(r.Tool.Version))
	}
	switch {
	case r.Check != nil:
		if v.Name = "Check"; r.Error == "" {
			v.Name += " over " + protocol
		}
		v.check()
	case r.Limits != nil:
		v.Name = "Limits over " + protocol
		v.limits()
	default:
		v.Name = "Load over " + protocol
		v.load()
	}
	return v
}

func (v *view) check() {
	n := v.Summary
	for _, t := range []struct {
		verdict result.Verdict
		count   int
	}{{result.Fail, n.Fail}, {result.Warn, n.Warn}, {result.Error, n.Error}, {result.Pass, n.Pass}, {result.Info, n.Info}, {result.NotObserved, n.NotObserved}, {result.NotApplicable, n.NotApplicable}} {
		if t.count > 0 {
			v.Counts = append(v.Counts, tally{chip(t.verdict), t.count})
		}
	}
	v.findings(v.Results)
}

func (v *view) findings(all []result.Finding) {
	for i, f := range all {
		w := finding{Finding: f, Anchor: fmt.Sprintf("%s-%d", v.ID, i+1)}
		for _, e := range f.Evidence {
			w.Proofs = append(w.Proofs, newProof(e))
		}
		v.Findings = append(v.Findings, w)
	}
}

// BadFindings are those shown in full, failures first.
func (v *view) BadFindings() []finding {
	var out []finding
	for _, verdict := range []result.Verdict{result.Fail, result.Warn, result.Error} {
		for _, f := range v.Findings {
			if f.Verdict == verdict && f.Bad() {
				out = append(out, f)
			}
		}
	}
	return out
}

func newProof(e result.Evidence) proof {
	p := proof{Where: e.Where(), Hex: e.HexShown()}
	before, fault, after, marked := e.Marked()
	p.Marked = marked
	p.Before, p.Fault, p.After = pieces(result.Escape(before)), pieces(result.Escape(fault)), pieces(result.Escape(after))
	return p
}

func (v *view) load() {
	v.tiles()
	v.findings(v.Load.Findings)
	v.Signals = v.signals()
	for _, l := range v.Latencies() {
		v.Latency = append(v.Latency, newLatency(result.Escape(l.Name), l.Text, l.Quantiles, 0, result.Micros))
		if l.Never > 0 {
			v.Latency = append(v.Latency, newLatency("", "with the "+result.Count(l.Never)+" that never came", l.Quantiles, l.Never, result.Micros))
		}
	}
	for _, name := range result.Distributions() {
		if q := v.Distributions[name]; q != nil && q.Count > 0 {
			v.Latency = append(v.Latency, newLatency(name, result.MetricText(name), q, 0, result.Number))
		}
	}
	delay := named{"own delay", v.Generator.DelayUS, true}
	drawn := v.pick("deliver", "fanout_t50", "fanout_t99", "fanout_t100")
	if len(drawn) == 0 {
		drawn = v.pick("spread", "skew_p50", "skew_p99")
	}
	if len(drawn) == 0 {
		drawn = v.pick("first_event", "gap", "total", "open")
	}
	v.Curves = curves(v.ID+"-curve", "Latency by percentile", append(drawn, delay))
	v.Opening = curves(v.ID+"-open", "Opening a stream by percentile", v.pick("open", "tcp_connect", "tls", "ttfb_body", "reconnect", "reconnect_caught_up"))
	v.Timelines = timelines(v.ID, v.Series)
	for _, c := range v.Causes() {
		width := 100
		if n := len(v.Failures); n > 0 {
			width = max(1, 100*c.Count/max(1, v.Failures[0].Count))
		}
		v.Failures = append(v.Failures, cause{c, c.Age(), width})
	}
	v.gates(v.Gates)
}

func (v *view) gates(all []result.Gate) {
	for _, g := range all {
		row := gateRow{Gate: g, Verdict: result.Fail, Shown: "–"}
		if g.Pass {
			row.Verdict = result.Pass
		}
		if g.Value != nil {
			row.Shown = result.Measure(*g.Value, g.Unit)
		}
		v.GateRows = append(v.GateRows, row)
	}
}

// pick returns those of the latencies that were measured.
func (v *view) pick(names ...string) []named {
	var out []named
	for _, name := range names {
		if q := v.LatencyUS[name]; q != nil && q.Count > 0 {
			out = append(out, named{name: name, q: q})
		}
	}
	return out
}

func (v *view) tiles() {
	add := func(label, value, note string) { v.Tiles = append(v.Tiles, tile{label, value, note}) }
	s, e := v.Streams, v.Events
	note := "none failed"
	if s.Failed > 0 {
		note = result.Count(int64(s.Failed)) + " failed"
	}
	if s.ClosedByServer > 0 {
		note += ", " + result.Count(int64(s.ClosedByServer)) + " ended early"
	}
	add("streams opened", result.Count(int64(s.Opened)), "of "+result.Count(int64(s.Due()))+", "+note)
	if why := v.Unmatched(); why == "" {
		add("deliveries", result.Count(e.Eligible-e.Lost), "of "+result.Count(e.Eligible)+", "+v.Loss())
	} else {
		add("events received", result.Count(e.Received), "loss not measured: "+why)
	}
	quantile := func(label string, q *result.Quantiles) {
		switch {
		case q == nil || q.P50 == nil:
		case q.P99 == nil:
			add(label, result.Micros(*q.P50), "median; too few for p99")
		default:
			note := "median; p99 " + result.Micros(*q.P99)
			if i, ok := q.CI95["p99"]; ok {
				note += " (" + span(i) + ")"
			}
			add(label, result.Micros(*q.P50), note)
		}
	}
	quantile("delivery", v.LatencyUS["deliver"])
	quantile("99 % have it", v.LatencyUS["fanout_t99"])
	if v.LatencyUS["deliver"] == nil {
		quantile("first to last receiver", v.LatencyUS["spread"])
		quantile("first event", v.LatencyUS["first_event"])
		quantile("whole answer", v.LatencyUS["total"])
	}
	for _, s := range v.Series {
		if rates := positive(s.Values); s.Name == "events_per_second" && len(rates) > 0 {
			add("events a second", result.Number(rates[len(rates)/2]), "received, median; most "+result.Number(rates[len(rates)-1]))
		}
	}
	if q := v.Generator.DelayUS; q != nil && q.P99 != nil {
		add("own delay", result.Micros(*q.P99), "p99 of the generator: bytes arrived to bytes read")
	}
}

// positive are the values above zero, in order.
func positive(values []float64) []float64 {
	var out []float64
	for _, v := range values {
		if v > 0 && !math.IsInf(v, 0) {
			out = append(out, v)
		}
	}
	slices.Sort(out)
	return out
}

// signals are what the verdict on the measurement rests on.
func (v *view) signals() []signal {
	var out []signal
	add := func(label, seen string) { out = append(out, signal{label, seen}) }
	two := func(q *result.Quantiles) string {
		switch {
		case q == nil || q.P50 == nil:
			return ""
		case q.P99 == nil:
			return "p50 " + result.Micros(*q.P50)
		}
		return "p50 " + result.Micros(*q.P50) + ", p99 " + result.Micros(*q.P99)
	}
	g, deliver := v.Generator, v.LatencyUS["deliver"]
	if s := two(g.DelayUS); s != "" {
		add("bytes arrived until they were read", s)
	}
	if s := two(v.LatencyUS["sched_lag"]); s != "" {
		add("opens and publishes began after their time by", s)
	}
	if s := two(g.LagUS); s != "" {
		add("waiting for a processor", s)
	}
	if m := g.Machine; m != nil {
		s := fmt.Sprintf("%.0f %% used by the generator", 100*m.Own)
		if m.Busy != nil {
			s += fmt.Sprintf(", %.0f %% by all", 100**m.Busy)
		}
		if m.Full != nil {
			s += fmt.Sprintf("; none was free in %.0f %% of the time", 100**m.Full)
		}
		add("this machine's processors", s)
	}
	if g.GC != nil {
		add("collecting garbage", fmt.Sprintf("%.1f %% of the generator's processor time, longest pause %s", 100*g.GC.CPUShare, result.Micros(g.GC.PauseMaxUS)))
	}
	if c := g.Canary; c != nil {
		s := result.Escape(c.Note)
		if seen := two(c.DeliverUS); seen != "" {
			s = result.Plural(int64(c.Streams), "stream") + " in a process of their own: " + seen
			if here := two(deliver); here != "" {
				s += "; all streams: " + here
			}
			if c.Note != "" {
				s += "; " + result.Escape(c.Note)
			}
		}
		add("canary", s)
	}
	if c := g.Calibration; c != nil {
		s := result.Escape(c.Note)
		if c.EventsPerSecond > 0 {
			s = fmt.Sprintf("this machine can receive about %s events a second over %s", result.Count(int64(c.EventsPerSecond)), result.Plural(int64(c.Streams), "stream"))
			if c.Note != "" {
				s += "; " + result.Escape(c.Note)
			}
		}
		add("calibration", s)
	}
	if s := v.Steady; s != nil {
		said := map[string]string{"steady": "the same from the first event to the last", "drifts": "it drifted", "unknown": "too few events to tell"}[s.Verdict]
		if s.Verdict != "unknown" {
			said += fmt.Sprintf(": %s %s at the start, %s at the end, of %s", result.Escape(s.Of), result.Micros(s.FromUS), result.Micros(s.ToUS), result.Plural(int64(s.Events), "event"))
		}
		add("steadiness of delivery", cmp.Or(said, result.Escape(s.Verdict)))
	}
	return out
}

// comparison sets load runs side by side, or searches for limits.
type comparison struct {
	Many   bool // targets
	Runs   []*view
	Curves []*chart
	Rows   []result.CompareRow
}

func newComparison(views []*view) *comparison {
	c := new(comparison)
	for _, v := range views {
		if v.Load != nil {
			c.Runs = append(c.Runs, v)
			c.Many = c.Many || v.Target.URL != c.Runs[0].Target.URL
		}
	}
	if len(c.Runs) < 2 {
		return nil
	}
	loads := make([]*result.Load, len(c.Runs))
	for i, v := range c.Runs {
		loads[i] = v.Load
	}
	c.Rows = result.SideBySide(loads)
	var drawn []named
	for _, v := range c.Runs[:min(len(c.Runs), 6)] {
		drawn = append(drawn, named{name: strings.TrimPrefix(v.Name, "Load over "), q: v.LatencyUS["deliver"]})
	}
	c.Curves = curves("compare", "Delivery by percentile", drawn)
	return c
}
