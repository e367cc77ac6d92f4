package text

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/olekukonko/tablewriter/pkg/twwidth"

	"ssegauge/reports/result"
)

func (p *report) limits() {
	if len(p.Expect) > 0 {
		p.hanging("", 0, result.Escape(strings.Join(p.Expect, " ")))
		p.line("")
	}
	p.limitTable()
	if s := p.OpenSentence(); s != "" {
		p.line("")
		p.hanging("", 0, s)
	}
	for i, g := range p.Inapplicable() {
		if i == 0 {
			p.line("")
		}
		p.hanging("", 2, "Not applicable, "+result.Escape(g.Why)+": "+result.Escape(strings.Join(g.IDs, ", ")))
	}
	p.picture()
	p.gates(p.Thresholds)
	p.section("Run")
	p.machine(p.Machine.Rows())
	p.line("")
}

// limitTable writes a limit on a line, and what was seen below it.
func (p *report) limitTable() {
	all := p.ByVerdict()
	if len(all) == 0 {
		return
	}
	what, limit, whose := len("what"), len("limit"), len("whose")
	for i := range all {
		what = max(what, twwidth.Width(result.Escape(all[i].Title)))
		limit = max(limit, twwidth.Width(all[i].Shown()))
		whose = max(whose, twwidth.Width(result.Escape(all[i].Owner)))
	}
	limit, whose = min(limit, 30), min(whose, len(result.OwnerGenerator))
	what = min(what, p.Width-limit-whose-2*2)
	p.line(fmt.Sprintf("%-*s  %-*s  %s", what, "what", limit, "limit", "whose"))
	p.line(strings.Repeat("─", what+limit+whose+2*2))
	pad := func(s string, width int) string { return s + strings.Repeat(" ", max(0, width-twwidth.Width(s))) }
	for i := range all {
		l := &all[i]
		title, shown := wrap(result.Escape(l.Title), what), wrap(l.Shown(), limit)
		for n := range max(len(title), len(shown)) {
			cell := func(lines []string) string {
				if n < len(lines) {
					return lines[n]
				}
				return ""
			}
			owner := ""
			if n == 0 && l.Verdict == result.LimitFound {
				owner = clip(cmp.Or(result.Escape(l.Owner), "-"), whose)
			}
			p.line(pad(cell(title), what) + "  " + p.paint(weight(l), pad(cell(shown), limit)) + "  " + owner)
		}
		for _, line := range wrap(result.Escape(l.ID)+": "+result.Escape(l.Evidence), p.Width-4) {
			p.line("    " + p.paint(dim, line))
		}
	}
}

// weight is the colour of what became of a limit.
func weight(l *result.Limit) style {
	switch {
	case l.Verdict == result.LimitFound && l.Owner == result.OwnerGenerator:
		return magenta
	case l.Verdict == result.LimitFound && l.Fact:
		return ""
	case l.Verdict == result.LimitFound:
		return bold
	case l.Verdict == result.LimitNone:
		return green
	}
	return yellow
}
