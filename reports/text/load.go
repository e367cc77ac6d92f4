package text

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/olekukonko/tablewriter/pkg/twwidth"

	"ssegauge/reports/result"
)

func (p *report) load() {
	p.validity()
	p.streams()
	p.reconnect()
	p.events()
	p.latency()
	p.generator()
	p.failures()
	p.gates()
	p.plan()
	p.line("")
}

// validity comes first: what follows is worth no more than it says.
func (p *report) validity() {
	v := result.Escape(p.Validity.Verdict)
	color, text := red, "the measurement cannot be trusted"
	switch p.Validity.Verdict {
	case result.Valid:
		color, text = green, "the measurement can be trusted"
	case result.Suspect:
		color, text = yellow, "take the figures with care"
	}
	p.linef("%s  %s", p.paint(color, strings.ToUpper(v)), text)
	for _, r := range p.Validity.Reasons {
		p.hanging("  - ", 4, result.Escape(r))
	}
}

func (p *report) streams() {
	s := p.Streams
	p.section("Streams")
	p.numbers([]string{"planned", "opened", "failed", "peak", "connections", "closed by server", "reconnects"},
		s.Planned, s.Opened, s.Failed, s.Peak, s.Connections, s.ClosedByServer, s.Reconnects)
	if s.Completed > 0 {
		p.linef("%s completed: they ended as they should, after an event or more", result.Plural(int64(s.Completed), "stream"))
	}
}

// reconnect is one line: what became of those that left.
func (p *report) reconnect() {
	r := p.Reconnect
	if r == nil {
		return
	}
	parts := []string{
		result.Plural(int64(r.Attempts), "attempt"), result.Count(int64(r.Failed)) + " failed", result.Count(int64(r.LastEventIDSent)) + " with Last-Event-ID",
		result.Count(r.MissedInGap) + " missed in the gap", result.Count(r.RecoveredByReplay) + " recovered by replay", result.Count(r.LostInGap) + " lost",
		result.Count(r.DuplicatesOnReplay) + " duplicates on replay",
	}
	for _, more := range []struct {
		n    int64
		what string
	}{{r.Undecided, "undecided"}, {int64(r.GaveUp), "gave up"}, {int64(r.Away), "away at the end"}} {
		if more.n > 0 {
			parts = append(parts, result.Count(more.n)+" "+more.what)
		}
	}
	p.section("Reconnects")
	p.hanging("", 0, strings.Join(parts, " · "))
}

func (p *report) events() {
	e := p.Events
	p.section("Events")
	p.numbers([]string{"published", "received", "eligible", "lost", "duplicated", "reordered", "bytes"},
		e.Published, e.Received, e.Eligible, e.Lost, e.Duplicated, e.Reordered, result.Bytes(float64(e.Bytes)))
	var parts []string
	if q := p.Distributions["coalesce"]; q != nil && q.P99 != nil {
		parts = append(parts, fmt.Sprintf("events a read: p99 %.0f, max %.0f", *q.P99, *q.Max))
	}
	if q := p.Distributions["reorder_extent"]; q != nil && q.Max != nil {
		parts = append(parts, fmt.Sprintf("out of order by up to %.0f", *q.Max))
	}
	if b := p.PositionBias; b != nil {
		parts = append(parts, fmt.Sprintf("position bias %+.2f (0: when a stream joined does not matter)", b.Rho))
	}
	if len(parts) > 0 {
		p.hanging("", 0, strings.Join(parts, " · "))
	}
}

// numbers writes a table of one row.
func (p *report) numbers(header []string, values ...any) {
	row := make([]string, len(values))
	for i, v := range values {
		switch v := v.(type) {
		case int:
			row[i] = result.Count(int64(v))
		case int64:
			row[i] = result.Count(v)
		case string:
			row[i] = v
		}
	}
	p.table(strings.Repeat("r", len(row)), header, [][]string{row})
}

func (p *report) latency() {
	var rows [][]string
	add := func(name string, q *result.Quantiles) {
		if q == nil || q.Count == 0 {
			return
		}
		count := result.Count(q.Count)
		if q.Count >= 1e6 {
			count = fmt.Sprintf("%.4g M", float64(q.Count)/1e6)
		}
		rows = append(rows, []string{clip(name, p.Width-63), count, aligned(q.Min), aligned(q.P50), aligned(q.P90), aligned(q.P99), aligned(q.P999), aligned(q.Max)})
	}
	for _, name := range p.Metrics() {
		add(result.Escape(name), p.LatencyUS[name])
		if q := p.LatencyUS[name]; q != nil && q.Never > 0 {
			rows = append(rows, lateRow(q))
		}
	}
	add("(own delay)", p.Generator.DelayUS)
	if len(rows) == 0 {
		return
	}
	p.section("Latency")
	p.table("lrrrrrrr", []string{"", "count", "min  ", "p50  ", "p90  ", "p99  ", "p99.9  ", "max  "}, rows)
	has := func(cell string) bool {
		return slices.ContainsFunc(rows, func(row []string) bool { return slices.Contains(row, cell) })
	}
	if has("-   ") {
		p.line(p.paint(dim, "-      too few samples to resolve this quantile"))
	}
	if has("  all") {
		p.line(p.paint(dim, "all    those above and those that never came, which thresholds count as late"))
	}
	p.intervals()
}

// lateRow is the distribution again with what never came in it.
func lateRow(q *result.Quantiles) []string {
	row := []string{"  all", result.Count(q.Count + q.Never), aligned(q.Min)}
	for _, at := range []float64{0.5, 0.9, 0.99, 0.999, 1} {
		v := q.Beyond(at, q.Never)
		if v == nil && q.Resolves(at, q.Never) {
			row = append(row, "never  ")
		} else {
			row = append(row, aligned(v))
		}
	}
	return row
}

// aligned pads the unit to two columns, so that right-aligned numbers end in the same column.
func aligned(us *float64) string {
	if us == nil {
		return "-   "
	}
	s := result.Micros(*us)
	if number, unit, ok := strings.Cut(s, " "); ok && len([]rune(unit)) < 2 {
		return number + " " + unit + " "
	}
	return s
}

func (p *report) generator() {
	g := p.Generator
	parts := []string{"processor " + result.Micros(g.CPUSeconds*1e6), "memory " + result.Bytes(float64(g.RSSBytes))}
	if g.BytesPerStream != 0 {
		parts = append(parts, result.Bytes(float64(g.BytesPerStream))+" a stream")
	}
	parts = append(parts, result.Plural(int64(g.Workers), "worker"))
	if q := g.DelayUS; q != nil && q.P50 != nil {
		s := "own delay p50 " + result.Micros(*q.P50)
		if q.P99 != nil {
			s += ", p99 " + result.Micros(*q.P99)
		}
		parts = append(parts, s)
	}
	if q := g.LagUS; q != nil && q.P99 != nil {
		parts = append(parts, "waits for a processor p99 "+result.Micros(*q.P99))
	}
	if g.GC != nil {
		parts = append(parts, fmt.Sprintf("garbage %.1f %% of its processor time, longest pause %s", 100*g.GC.CPUShare, result.Micros(g.GC.PauseMaxUS)))
	}
	if m := g.Machine; m != nil && m.Busy != nil {
		parts = append(parts, fmt.Sprintf("this machine's processors %.0f %% busy, %.0f %% by it", 100**m.Busy, 100*m.Own))
	}
	p.section("Generator")
	p.hanging("", 0, strings.Join(parts, " · "))
	if c := g.Canary; c != nil {
		s := result.Plural(int64(c.Streams), "stream") + " in a process of its own"
		if q := c.DeliverUS; q != nil && q.P50 != nil {
			s += ": delivered p50 " + result.Micros(*q.P50)
			if q.P99 != nil {
				s += ", p99 " + result.Micros(*q.P99)
			}
		}
		if c.Note != "" {
			s += "; " + result.Escape(c.Note)
		}
		p.hanging("canary       ", 13, s)
	}
	if c := g.Calibration; c != nil {
		s := result.Escape(c.Note)
		if c.EventsPerSecond > 0 {
			s = fmt.Sprintf("this machine can receive about %s events/s over %s", result.Count(int64(c.EventsPerSecond)), result.Plural(int64(c.Streams), "stream"))
			if c.Note != "" {
				s += "; " + result.Escape(c.Note)
			}
		}
		p.hanging("calibration  ", 13, s)
	}
}

// intervals say how far the quantiles that are read most would differ in another run.
func (p *report) intervals() {
	var parts []string
	for _, name := range p.Metrics() {
		if name != "deliver" && name != "fanout_t99" {
			continue
		}
		for _, at := range []string{"p50", "p99"} {
			i, ok := p.LatencyUS[name].CI95[at]
			switch {
			case !ok || i.Low == nil && i.High == nil:
			case i.High == nil:
				parts = append(parts, fmt.Sprintf("%s %s at least %s", name, at, result.Micros(*i.Low)))
			case i.Low == nil:
				parts = append(parts, fmt.Sprintf("%s %s at most %s", name, at, result.Micros(*i.High)))
			default:
				parts = append(parts, fmt.Sprintf("%s %s %s to %s", name, at, result.Micros(*i.Low), result.Micros(*i.High)))
			}
		}
	}
	if len(parts) > 0 {
		p.hanging("95 %   ", 7, strings.Join(parts, ", "))
	}
}

// failures are why streams failed or ended and publishes failed, the commonest first.
func (p *report) failures() {
	if len(p.Streams.Failures) == 0 {
		return
	}
	causes := slices.SortedFunc(maps.Keys(p.Streams.Failures), func(a, b string) int {
		return cmp.Or(p.Streams.Failures[b]-p.Streams.Failures[a], strings.Compare(a, b))
	})
	var rows [][]string
	for _, c := range causes {
		rows = append(rows, []string{result.Count(int64(p.Streams.Failures[c])), clip(result.Escape(c), p.Width-12)})
	}
	p.section("Failures")
	p.table("rl", []string{"count", "cause"}, rows)
	for _, d := range p.Disconnects {
		if q := d.AgeUS; q.Min != nil && q.Max != nil {
			p.hanging("", 0, fmt.Sprintf("closed by %s: %s to %s old", result.Escape(d.Cause), result.Micros(*q.Min), result.Micros(*q.Max)))
		}
	}
}

func (p *report) gates() {
	if len(p.Gates) == 0 {
		return
	}
	var rows [][]string
	widest, values := 0, 0
	for _, g := range p.Gates {
		widest = max(widest, twwidth.Width(clip(result.Escape(g.Expression), 34)))
		if g.Value != nil {
			values = max(values, twwidth.Width(result.Measure(*g.Value, g.Unit)))
		}
	}
	room := p.Width - 4 - 2 - max(widest, 9) - 2 - max(values, 5) - 2 - 2
	for _, g := range p.Gates {
		w, color := "PASS", green
		if !g.Pass {
			w, color = "FAIL", red
		}
		value := "-"
		if g.Value != nil {
			value = result.Measure(*g.Value, g.Unit)
		}
		expression := clip(result.Escape(g.Expression), 34)
		rows = append(rows, []string{p.paint(color, w), expression, value, clip(result.Escape(g.Reason), room)})
	}
	p.section("Thresholds")
	p.table("llrl", []string{"", "threshold", "value", ""}, rows)
}

func (p *report) plan() {
	p.section("Run")
	var parts []string
	for _, row := range p.PlanRows() {
		parts = append(parts, result.Escape(row[0])+" "+result.Escape(row[1]))
	}
	if len(parts) > 0 {
		p.hanging("plan     ", 9, strings.Join(parts, ", "))
	}
	e := p.Environment
	s := fmt.Sprintf("%s/%s, %s, %s files", result.Escape(e.OS), result.Escape(e.Arch), result.Plural(int64(e.CPUs), "CPU"), result.Count(int64(min(e.MaxFiles, 1<<62))))
	if e.Kernel != "" {
		s += ", kernel " + result.Escape(e.Kernel)
	}
	p.hanging("machine  ", 9, s)
}
