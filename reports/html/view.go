package html

import (
	"cmp"
	"fmt"
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

	Before *comparison // of load runs, stands before the first of them

	Counts   []tally   // of verdicts
	Findings []finding // all, in the order of the catalogue

	Tiles     []tile
	Latency   []latencyRow
	Curves    []*chart
	Timelines []*chart
	Causes    []cause
	GateRows  []gateRow
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
	Cells      []string // min, p50, p90, p99, p99.9, max
}

// newLatency is the row of the samples that came; with the missing ones counted in, what they leave of each quantile.
func newLatency(name, text string, q *result.Quantiles, missing int64) latencyRow {
	r := latencyRow{Name: name, Text: text, Count: q.Count + missing}
	for _, p := range []float64{0, 0.5, 0.9, 0.99, 0.999, 1} {
		cell := "–"
		if v := q.Beyond(p, missing); v != nil {
			cell = result.Micros(*v)
		} else if q.Resolves(p, missing) && missing > 0 {
			cell = "never"
		}
		r.Cells = append(r.Cells, cell)
	}
	return r
}

type cause struct {
	Text  string
	Count int
}

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
	if r.Check != nil {
		if v.Name = "Check"; r.Error == "" {
			v.Name += " over " + protocol
		}
		v.check()
	} else {
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
	for i, f := range v.Results {
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
	s, e := v.Streams, v.Events
	note := "none failed"
	if s.Failed > 0 {
		note = result.Count(int64(s.Failed)) + " failed"
	}
	v.Tiles = append(v.Tiles, tile{"streams opened", result.Count(int64(s.Opened)), "of " + result.Count(int64(s.Planned)) + ", " + note})
	switch why := v.Unmatched(); {
	case why != "":
		v.Tiles = append(v.Tiles, tile{"events received", result.Count(e.Received), "loss not measured: " + why})
	default:
		note = "none lost"
		if e.Lost > 0 {
			note = result.Count(e.Lost) + " lost"
		}
		v.Tiles = append(v.Tiles, tile{"deliveries", result.Count(e.Eligible - e.Lost), "of " + result.Count(e.Eligible) + ", " + note})
	}
	quantile := func(label string, q *result.Quantiles) {
		switch {
		case q == nil || q.P50 == nil:
		case q.P99 == nil:
			v.Tiles = append(v.Tiles, tile{label, result.Micros(*q.P50), "median; too few for p99"})
		default:
			v.Tiles = append(v.Tiles, tile{label, result.Micros(*q.P50), "median; p99 " + result.Micros(*q.P99)})
		}
	}
	quantile("delivery", v.LatencyUS["deliver"])
	quantile("99 % have it", v.LatencyUS["fanout_t99"])

	var drawn []named
	for _, name := range v.Metrics() {
		if q := v.LatencyUS[name]; q != nil && q.Count > 0 {
			v.Latency = append(v.Latency, newLatency(result.Escape(name), result.MetricText(name), q, 0))
			if q.Never > 0 {
				v.Latency = append(v.Latency, newLatency("", "with the "+result.Count(q.Never)+" that never came", q, q.Never))
			}
		}
		if slices.Contains([]string{"open", "deliver", "fanout_t99"}, name) {
			drawn = append(drawn, named{name, v.LatencyUS[name]})
		}
	}
	if q := v.Generator.DelayUS; q != nil && q.Count > 0 {
		v.Latency = append(v.Latency, newLatency("own delay", "the generator's own share: bytes arrived to bytes read", q, 0))
		drawn = append(drawn, named{"own delay", q})
	}
	v.Curves = curves(v.ID+"-curve", "Latency by percentile", drawn)
	v.Timelines = timelines(v.ID, v.Series)
	for text, n := range v.Streams.Failures {
		v.Causes = append(v.Causes, cause{result.Escape(text), n})
	}
	slices.SortFunc(v.Causes, func(a, b cause) int { return cmp.Or(b.Count-a.Count, strings.Compare(a.Text, b.Text)) })
	for _, g := range v.Gates {
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

// comparison sets load runs side by side.
type comparison struct {
	Runs   []*view
	Curves []*chart
	Rows   []compareRow
}

type compareRow struct {
	Name  string
	Cells []string
}

func newComparison(views []*view) *comparison {
	c := new(comparison)
	for _, v := range views {
		if v.Load != nil {
			c.Runs = append(c.Runs, v)
		}
	}
	if len(c.Runs) < 2 {
		return nil
	}
	row := func(name string, value func(l *result.Load) string) {
		r := compareRow{Name: name}
		empty := true
		for _, v := range c.Runs {
			s := value(v.Load)
			empty = empty && s == "–"
			r.Cells = append(r.Cells, s)
		}
		if !empty {
			c.Rows = append(c.Rows, r)
		}
	}
	quantile := func(metric string, p float64) func(l *result.Load) string {
		return func(l *result.Load) string {
			if us := l.LatencyUS[metric].At(p); us != nil {
				return result.Micros(*us)
			}
			return "–"
		}
	}
	row("streams opened", func(l *result.Load) string { return result.Count(int64(l.Streams.Opened)) })
	row("connections", func(l *result.Load) string { return result.Count(int64(l.Streams.Connections)) })
	row("events received", func(l *result.Load) string { return result.Count(l.Events.Received) })
	row("events lost", func(l *result.Load) string { return result.Count(l.Events.Lost) })
	row("open, p99", quantile("open", 0.99))
	row("delivery, median", quantile("deliver", 0.5))
	row("delivery, p99", quantile("deliver", 0.99))
	row("99 % have it, median", quantile("fanout_t99", 0.5))
	row("99 % have it, p99", quantile("fanout_t99", 0.99))
	row("generator, processor", func(l *result.Load) string { return result.Micros(l.Generator.CPUSeconds * 1e6) })
	row("generator, a stream", func(l *result.Load) string {
		if l.Generator.BytesPerStream == 0 {
			return "–"
		}
		return result.Bytes(float64(l.Generator.BytesPerStream))
	})
	var drawn []named
	for _, v := range c.Runs[:min(len(c.Runs), 6)] {
		drawn = append(drawn, named{strings.TrimPrefix(v.Name, "Load over "), v.LatencyUS["deliver"]})
	}
	c.Curves = curves("compare", "Delivery by percentile", drawn)
	return c
}
