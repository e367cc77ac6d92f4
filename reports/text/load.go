package text

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/olekukonko/tablewriter/pkg/twwidth"

	"ssegauge/reports/result"
)

func (p *report) load() {
	p.verdict(p.Word(), strings.TrimPrefix(p.Sentence(), "Interrupted; "))
	p.validity()
	p.figures()
	p.latency()
	p.failures()
	p.findings()
	p.gates(p.Gates)
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

// figures are the counters, a line for each group.
func (p *report) figures() {
	p.section("Figures")
	const indent = 16
	line := func(title, text string) { p.hanging(fmt.Sprintf("%-*s", indent, title), indent, text) }
	for _, g := range p.FigureGroups() {
		if s := g.Line(); s != "" {
			line(g.Title, s)
		}
	}
	for _, name := range result.Distributions() {
		if q := p.Distributions[name]; q != nil && q.P50 != nil {
			s := "p50 " + result.Number(*q.P50)
			if q.P99 != nil {
				s += ", p99 " + result.Number(*q.P99)
			}
			line(strings.ReplaceAll(name, "_", " "), s+", max "+result.Number(*q.Max)+": "+result.MetricText(name))
		}
	}
	for _, row := range p.CorrelationRows() {
		line(row[0], row[1])
	}
}

func (p *report) latency() {
	var rows [][]string
	for _, l := range p.Latencies() {
		count := result.Count(l.Count)
		if l.Count >= 1e6 {
			count = fmt.Sprintf("%.4g M", float64(l.Count)/1e6)
		}
		if l.Count > 0 {
			rows = append(rows, []string{clip(result.Escape(l.Name), max(16, p.Width-56)), count, aligned(l.P50), aligned(l.P90), aligned(l.P99), aligned(l.P999), aligned(l.Max)})
		}
		if l.Never > 0 {
			rows = append(rows, lateRow(l.Quantiles))
		}
	}
	if len(rows) == 0 {
		return
	}
	p.section("Latency")
	p.table("lrrrrrr", []string{"", "count", "p50  ", "p90  ", "p99  ", "p99.9  ", "max  "}, rows)
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

// intervals say how far the quantiles that are read most would differ in another run.
func (p *report) intervals() {
	var parts []string
	for _, name := range p.Metrics() {
		if name != "deliver" && name != "fanout_t99" {
			continue
		}
		for _, at := range []string{"p50", "p99"} {
			if s := p.LatencyUS[name].CI95[at].String(); s != "" {
				parts = append(parts, name+" "+at+" "+s)
			}
		}
	}
	if len(parts) > 0 {
		p.hanging("95 %   ", 7, strings.Join(parts, ", "))
	}
}

// lateRow is the distribution again with what never came in it.
func lateRow(q *result.Quantiles) []string {
	row := []string{"  all", result.Count(q.Count + q.Never)}
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

// failures are why streams failed or ended and publishes failed, the commonest first, with whose doing it is and what it means.
func (p *report) failures() {
	causes := p.Causes()
	if len(causes) == 0 {
		return
	}
	count, whose := len("count"), len("whose")
	for _, c := range causes {
		count, whose = max(count, len(result.Count(int64(c.Count)))), max(whose, len(c.Owner))
	}
	indent := count + 2 + whose + 2
	p.section("Failures")
	p.linef("%*s  %-*s  cause, and what it means", count, "count", whose, "whose")
	p.line(strings.Repeat("─", min(p.Width, indent+48)))
	for _, c := range causes {
		p.linef("%*s  %-*s  %s", count, result.Count(int64(c.Count)), whose, cmp.Or(c.Owner, "-"), clip(result.Escape(c.Text), p.Width-indent))
		for _, s := range []string{c.Age(), c.Meaning, c.Do} {
			if s != "" {
				p.hanging(strings.Repeat(" ", indent), indent, s)
			}
		}
	}
}

// findings are what the bytes of the streams broke, as in a check, and where more is to be read of each.
func (p *report) findings() {
	bad := p.Broken()
	if len(bad) == 0 {
		return
	}
	p.section("Findings")
	for i := range bad {
		p.finding(&bad[i])
	}
	p.line(p.paint(dim, "ssegauge explain ID says what is asked, why, and how it looks"))
}

func (p *report) gates(all []result.Gate) {
	if len(all) == 0 {
		return
	}
	var rows [][]string
	widest, values := 0, 0
	for _, g := range all {
		widest = max(widest, twwidth.Width(clip(result.Escape(g.Expression), 34)))
		if g.Value != nil {
			values = max(values, twwidth.Width(result.Measure(*g.Value, g.Unit)))
		}
	}
	room := p.Width - 4 - 2 - max(widest, 9) - 2 - max(values, 5) - 2 - 2
	for _, g := range all {
		w, color := "PASS", green
		if !g.Pass {
			w, color = "FAIL", red
		}
		value := "-"
		if g.Value != nil {
			value = result.Measure(*g.Value, g.Unit)
		}
		expression := clip(result.Escape(g.Expression), 34)
		why := wrap(result.Escape(g.Reason), room)
		rows = append(rows, []string{p.paint(color, w), expression, value, why[0]})
		for _, more := range why[1:min(len(why), maxSaid)] {
			rows = append(rows, []string{"", "", "", more})
		}
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
	p.machine(p.MachineRows())
}

func (p *report) machine(rows [][2]string) {
	var machine []string
	for _, row := range rows {
		machine = append(machine, row[0]+" "+result.Escape(row[1]))
	}
	p.hanging("machine  ", 9, strings.Join(machine, " · "))
}
