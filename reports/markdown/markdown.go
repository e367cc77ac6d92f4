// Package markdown writes a run for a job summary or a comment: GitHub-flavoured Markdown without raw HTML.
//
// Everything that a target can have a say in goes through escape or code. It imports reports/result; a new section is one
// method of report.
package markdown

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"strings"

	"ssegauge/reports/result"
)

// Render writes the report of each run; of several, first what each of them comes to.
func Render(w io.Writer, all ...*result.Run) error {
	var out bytes.Buffer
	overview(&out, all)
	for i, r := range all {
		if i > 0 {
			out.WriteByte('\n')
		}
		if err := render(&out, r); err != nil {
			return err
		}
	}
	_, err := w.Write(out.Bytes())
	return err
}

// overview is a table of several runs.
func overview(out *bytes.Buffer, all []*result.Run) {
	if len(all) < 2 {
		return
	}
	p := &report{}
	p.linef("## ssegauge: %s\n", word(string(result.Overall(all...))))
	p.linef("%s\n", escape(result.OverallSentence(all...)))
	var rows [][]string
	for _, r := range all {
		r = r.Complete()
		rows = append(rows, []string{word(r.Word()), code(r.Target.URL), escape(result.Protocol(r.Target.HTTP)), escape(r.Sentence())})
	}
	p.table([]string{"verdict", "target", "protocol", "seen"}, "llll", rows)
	out.Write(p.out.Bytes())
}

func render(w io.Writer, r *result.Run) error {
	p := &report{Run: r.Complete()}
	switch {
	case r.Check != nil:
		p.head("check")
		p.check()
	case r.Load != nil:
		p.head("load")
		p.load()
	case r.Limits != nil:
		p.head("limits")
		p.limits()
	default:
		return fmt.Errorf("markdown: nothing to report in a run of schema %q", r.Schema)
	}
	_, err := w.Write(p.out.Bytes())
	return err
}

type report struct {
	*result.Run
	out bytes.Buffer
}

func (p *report) linef(format string, args ...any) { fmt.Fprintf(&p.out, format+"\n", args...) }

// special are the characters that mean something in Markdown, or make a mention or a link of what follows.
const special = "\\`*_{}[]<>#|~!&@$"

// escape makes text of one line that reads as it is.
func escape(s string) string {
	s = result.Escape(s)
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '@':
			b.WriteString("&#64;") // a backslash does not stop a mention
		case c == ':' && strings.HasPrefix(s[i:], "://"):
			b.WriteString("&#58;") // nor a link
		case c == '.' && i >= 3 && strings.EqualFold(s[i-3:i], "www"):
			b.WriteString("&#46;")
		case strings.IndexByte(special, c) >= 0:
			b.WriteByte('\\')
			b.WriteByte(c)
		case i == 0 && (c == '-' || c == '+' || c == '='):
			b.WriteByte('\\')
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// code makes a code span, or escaped text where a span cannot hold it.
func code(s string) string {
	s = result.Escape(s)
	if s == "" || strings.ContainsAny(s, "`|") || strings.TrimSpace(s) != s {
		return escape(s)
	}
	return "`" + s + "`"
}

// block makes a code block that its content cannot end.
func (p *report) block(lines ...string) {
	fence := "```"
	for strings.Contains(strings.Join(lines, "\n"), fence) {
		fence += "`"
	}
	p.linef("%s", fence)
	for _, l := range lines {
		p.linef("%s", l)
	}
	p.linef("%s\n", fence)
}

func (p *report) table(header []string, align string, rows [][]string) {
	rule := make([]string, len(header))
	for i := range header {
		rule[i] = "---"
		if align[i] == 'r' {
			rule[i] = "---:"
		}
	}
	for _, row := range append([][]string{header, rule}, rows...) {
		p.linef("| %s |", strings.Join(row, " | "))
	}
	p.linef("")
}

// word is a verdict with a sign that is seen without colour.
func word(v string) string {
	switch v {
	case "pass", "passed", "valid":
		return "✅ " + v
	case "fail", "failed", "invalid":
		return "❌ " + v
	case "warn", "suspect", "inconclusive", "measured", "interrupted":
		return "⚠️ " + v
	case "info", "searched":
		return "ℹ️ " + v
	}
	return escape(v)
}

func (p *report) head(command string) {
	p.linef("## ssegauge %s: %s\n", command, word(p.Word()))
	p.linef("%s\n", escape(p.Sentence()))
	note := ""
	if p.Replayed {
		note = " · from a recording"
	}
	p.linef("%s · %s · %s · %s%s\n", code(p.Target.URL), escape(result.Protocol(p.Target.HTTP)), p.Started.UTC().Format("2006-01-02 15:04:05 UTC"), result.Micros(p.DurationMS*1e3), note)
}

func (p *report) findings(bad []result.Finding) {
	for _, f := range bad {
		p.linef("### %s %s\n", word(string(f.Verdict)), code(f.ID))
		p.linef("%s\n", escape(f.Message))
		for _, e := range f.Evidence {
			p.block(e.Lines()...)
		}
		p.linef("- Rule: %s (%s)", escape(f.Title), escape(f.Source()))
		if f.Hint != "" {
			p.linef("- Do: %s", escape(f.Hint))
		}
		p.linef("")
		if f.Reproduce != "" {
			p.block(result.Escape(f.Reproduce))
		}
	}
}

func (p *report) check() {
	p.findings(p.Bad())
	var rows [][]string
	for _, f := range p.Results {
		if f.Verdict != result.NotObserved {
			rows = append(rows, []string{word(string(f.Verdict)), code(f.ID), escape(string(f.Level)), escape(f.Message)})
		}
	}
	if len(rows) > 0 {
		p.linef("### All checks\n")
		p.table([]string{"verdict", "check", "level", "seen"}, "llll", rows)
	}
	if s := p.UndecidedSentence(); s != "" {
		p.linef("%s\n", escape(s))
		for _, g := range p.Undecided() {
			ids := make([]string, len(g.Findings))
			for i, f := range g.Findings {
				ids[i] = code(f.ID)
			}
			p.linef("- %s: %s", cmp.Or(code(g.Flag), escape(g.Why)), strings.Join(ids, ", "))
		}
		p.linef("")
	}
}

func us(v *float64) string {
	if v == nil {
		return "–"
	}
	return result.Micros(*v)
}

func (p *report) load() {
	p.linef("Measurement: %s\n", word(p.Validity.Verdict))
	for _, reason := range p.Validity.Reasons {
		p.linef("- %s", escape(reason))
	}
	if len(p.Validity.Reasons) > 0 {
		p.linef("")
	}
	p.gates(p.Gates)
	p.causes()
	p.findings(p.Broken())
	p.latencies()
	p.linef("### Figures\n")
	for _, g := range p.FigureGroups() {
		if s := g.Line(); s != "" {
			p.linef("- %s: %s", g.Title, escape(s))
		}
	}
	for _, row := range p.CorrelationRows() {
		p.linef("- %s: %s", row[0], escape(row[1]))
	}
	p.linef("- %s", machine(p.MachineRows()))
	p.linef("")
}

func machine(rows [][2]string) string {
	var parts []string
	for _, row := range rows {
		parts = append(parts, row[0]+" "+row[1])
	}
	return "machine: " + escape(strings.Join(parts, " · "))
}

func (p *report) gates(all []result.Gate) {
	if len(all) == 0 {
		return
	}
	var rows [][]string
	for _, g := range all {
		verdict, value := "fail", "–"
		if g.Pass {
			verdict = "pass"
		}
		if g.Value != nil {
			value = result.Measure(*g.Value, g.Unit)
		}
		rows = append(rows, []string{word(verdict), code(g.Expression), value, escape(g.Reason)})
	}
	p.linef("### Thresholds\n")
	p.table([]string{"verdict", "threshold", "value", ""}, "llrl", rows)
}

func (p *report) causes() {
	var rows [][]string
	for _, c := range p.Causes() {
		rows = append(rows, []string{result.Count(int64(c.Count)), strings.TrimSpace(escape(c.Text) + " " + c.Age()), cmp.Or(c.Owner, "–"), c.Meaning, c.Do})
	}
	if len(rows) > 0 {
		p.linef("### Failures\n")
		p.table([]string{"count", "cause", "whose", "what it means", "do"}, "rllll", rows)
	}
}

func (p *report) latencies() {
	var rows [][]string
	for _, l := range p.Latencies() {
		never := ""
		if l.Never > 0 {
			never = " (and " + result.Count(l.Never) + " never)"
		}
		// Intervals are of all that should have come.
		with := func(us, name string) string {
			if i := l.CI95[name].String(); i != "" && l.Never == 0 {
				return us + " (" + i + ")"
			}
			return us
		}
		rows = append(rows, []string{
			code(l.Name), result.Count(l.Count) + never, us(l.Min), with(us(l.P50), "p50"), with(us(l.P90), "p90"), with(us(l.P99), "p99"), with(us(l.P999), "p99_9"), us(l.Max),
		})
	}
	if len(rows) == 0 {
		return
	}
	p.linef("### Latency\n")
	p.table([]string{"", "samples", "min", "p50", "p90", "p99", "p99.9", "max"}, "lrrrrrrr", rows)
	p.linef("In brackets 95 %% intervals. A dash: too few samples to resolve the quantile.\n")
}
