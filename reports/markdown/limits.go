package markdown

import (
	"cmp"
	"strings"

	"ssegauge/reports/result"
)

func (p *report) limits() {
	if len(p.Expect) > 0 {
		p.linef("%s\n", escape(strings.Join(p.Expect, " ")))
	}
	p.gates(p.Thresholds)
	var rows [][]string
	for _, l := range p.ByVerdict() {
		rows = append(rows, []string{escape(l.Title), escape(l.Shown()), cmp.Or(escape(l.Owner), "–"), escape(l.Evidence)})
	}
	if len(rows) > 0 {
		p.linef("### Limits\n")
		p.table([]string{"what", "limit", "whose", "seen"}, "llll", rows)
	}
	if s := p.OpenSentence(); s != "" {
		p.linef("%s\n", escape(s))
	}
	for _, g := range p.Inapplicable() {
		ids := make([]string, len(g.IDs))
		for i, id := range g.IDs {
			ids[i] = code(id)
		}
		p.linef("Not applicable, %s: %s\n", escape(g.Why), strings.Join(ids, ", "))
	}
	p.curve()
	p.linef("%s", machine(p.Machine.Rows()))
}

// curve is latency against streams.
func (p *report) curve() {
	stages, doubt := p.Stages()
	if len(stages) == 0 {
		return
	}
	var rows [][]string
	for i := range stages {
		r := &stages[i]
		verdict := "✅"
		if !r.Holds {
			verdict = "❌"
		}
		rows = append(rows, []string{
			verdict, result.Count(int64(r.Streams)), us(r.OpenP99US), us(r.DeliverP50US), us(r.DeliverP99US), r.Rate(), escape(r.Trouble()),
		})
	}
	p.linef("### Latency against streams\n")
	p.table([]string{"", "streams", "open, p99", "delivery, p50", "delivery, p99", "events a second", "what went wrong"}, "lrrrrrl", rows)
	if doubt != "" {
		p.linef("All measurements are %s.\n", escape(doubt))
	}
	if p.Knee != nil {
		p.linef("Knee: %s\n", escape(p.Knee.Said()))
	}
}
