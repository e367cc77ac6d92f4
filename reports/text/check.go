package text

import (
	"fmt"
	"strings"

	"github.com/olekukonko/tablewriter/pkg/twwidth"

	"ssegauge/reports/result"
)

// places is how many pieces of evidence of one finding are shown.
const places = 3

// maxSaid is how many lines a message of the table may take.
const maxSaid = 6

// maxListed is how many checks that share a reason are named one by one.
const maxListed = 16

// indent is where the text of a finding stands, behind its verdict.
const indent = 7

func (p *report) check() {
	for _, f := range p.Bad() {
		p.finding(&f)
	}
	p.verdicts()
	p.notObserved()
	p.notApplicable()
	p.line("")
}

// word is how a verdict is written, and its colour.
func word(v result.Verdict) (string, style) {
	switch v {
	case result.Pass:
		return "PASS", green
	case result.Fail:
		return "FAIL", red
	case result.Warn:
		return "WARN", yellow
	case result.Error:
		return "ERROR", magenta
	case result.Info:
		return "INFO", ""
	}
	return strings.ToUpper(result.Escape(string(v))), ""
}

func (p *report) finding(f *result.Finding) {
	labelled := func(label, s string) {
		if s != "" {
			p.hanging(fmt.Sprintf("%*s%-6s", indent, "", label), indent+6, result.Escape(s))
		}
	}
	w, color := word(f.Verdict)
	p.line(p.paint(color, fmt.Sprintf("%-*s", indent-1, w)) + " " + p.paint(bold, clip(result.Escape(f.ID), p.Width-indent)))
	if f.Message != "" {
		p.hanging(strings.Repeat(" ", indent), indent, result.Escape(f.Message))
	}
	for i := range f.Evidence[:min(len(f.Evidence), places)] {
		p.evidence(&f.Evidence[i])
	}
	if more := len(f.Evidence) - places; more > 0 {
		p.linef("%*sand %s more", indent, "", result.Plural(int64(more), "place"))
	}
	labelled("rule:", f.Title+" ("+f.Source()+")")
	labelled("do:", f.Hint)
	if f.Reproduce != "" {
		p.linef("%*srun:  %s", indent, "", result.Escape(f.Reproduce)) // not wrapped, to be copied
	}
	p.line("")
}

// evidence writes where the bytes came, the bytes among their neighbours with the ones at fault marked below, and those in hexadecimal.
func (p *report) evidence(e *result.Evidence) {
	p.linef("%*s%s:", indent, "", e.Where())

	const margin = indent + 4
	room := p.Width - margin
	before, fault, after, marked := e.Marked()
	before, fault, after = result.Escape(before), result.Escape(fault), result.Escape(after)
	if !marked {
		p.linef("%*s%s", margin, "", clip(before, room))
	} else {
		fault = clip(fault, room*2/3)
		before = clipLeft(before, max(room/3, room-twwidth.Width(fault)-twwidth.Width(after)))
		before = clipLeft(before, room-twwidth.Width(fault)-1)
		after = clip(after, room-twwidth.Width(before)-twwidth.Width(fault))
		p.linef("%*s%s%s%s", margin, "", before, p.paint(red, fault), after)
		p.linef("%*s%*s%s", margin, "", twwidth.Width(before), "", p.paint(red, strings.Repeat("^", max(1, twwidth.Width(fault)))))
	}
	if e.Hex != "" {
		more := ""
		if 3*e.Length-1 > len(e.Hex) {
			more = " …"
		}
		p.hanging(strings.Repeat(" ", margin)+p.paint(dim, "hex "), margin+4, result.Escape(e.Hex)+more)
	}
}

// verdicts writes the table of every check that has a verdict.
func (p *report) verdicts() {
	var rows [][]string
	idWidth := 0
	for _, f := range p.Results {
		if f.Verdict != result.NotObserved && f.Verdict != result.NotApplicable {
			idWidth = min(34, max(idWidth, twwidth.Width(result.Escape(f.ID))))
		}
	}
	seen := p.Width - 5 - 2 - idWidth - 2 - 8 - 2
	for _, f := range p.Results {
		if f.Verdict == result.NotObserved || f.Verdict == result.NotApplicable {
			continue
		}
		w, color := word(f.Verdict)
		if f.Accepted != "" {
			w, color = "KNOWN", ""
			f.Message = "accepted: " + f.Accepted + "; " + f.Message
		}
		said := []string{clip(result.Escape(f.Message), seen)}
		if f.Verdict == result.Info || f.Accepted != "" { // stands nowhere else
			said = wrap(result.Escape(f.Message), seen)
		}
		rows = append(rows, []string{p.paint(color, w), clip(result.Escape(f.ID), idWidth), clip(result.Escape(string(f.Level)), 8), said[0]})
		for _, more := range said[1:min(len(said), maxSaid)] {
			rows = append(rows, []string{"", "", "", more})
		}
	}
	if len(rows) > 0 {
		p.table("llll", []string{"", "check", "level", "seen"}, rows)
	}
}

func (p *report) notObserved() {
	groups := p.Undecided()
	if len(groups) == 0 {
		return
	}
	p.line("")
	p.hanging("", 0, p.UndecidedSentence())
	for _, g := range groups {
		ids := make([]string, len(g.Findings))
		for i, f := range g.Findings {
			ids[i] = result.Escape(f.ID)
		}
		if g.Flag == "" && len(ids) > maxListed {
			ids = []string{fmt.Sprintf("%d checks (%s)", len(ids), strings.Join(byGroup(g.Findings), ", "))}
		}
		if g.Flag == "" {
			p.hanging("  ", 4, result.Escape(g.Why)+": "+strings.Join(ids, ", "))
			continue
		}
		flag := result.Escape(g.Flag)
		p.hanging("  "+flag+"  ", min(4+twwidth.Width(flag), 24), strings.Join(ids, ", "))
	}
}

// byGroup counts findings by the first part of their ids, in order of appearance.
func byGroup(findings []result.Finding) []string {
	var names []string
	n := map[string]int{}
	for i := range findings {
		group, _, _ := strings.Cut(result.Escape(findings[i].ID), "/")
		if n[group]++; n[group] == 1 {
			names = append(names, group)
		}
	}
	for i, name := range names {
		names[i] = fmt.Sprintf("%s %d", name, n[name])
	}
	return names
}

func (p *report) notApplicable() {
	var ids []string
	for _, f := range p.Results {
		if f.Verdict == result.NotApplicable {
			ids = append(ids, result.Escape(f.ID))
		}
	}
	if len(ids) > 0 {
		p.line("")
		p.hanging("", 2, "Not applicable: "+strings.Join(ids, ", "))
	}
}
