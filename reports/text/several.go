package text

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/olekukonko/tablewriter/pkg/twwidth"

	"ssegauge/reports/result"
)

// maxColumns is how many runs are set side by side; for more there is no room, and the HTML has the whole matrix.
const maxColumns = 6

// several writes what several runs come to: a row for each, and the checks on which they differ.
func (p *report) several(all []*result.Run) {
	runs := make([]*result.Run, len(all))
	checks, widest := true, 0
	for i, r := range all {
		runs[i] = r.Complete()
		widest = max(widest, len(r.Word()))
		checks = checks && r.Check != nil
	}
	var rows [][]string
	header, align := []string{"", "", "target"}, "rll"
	if checks {
		header, align = append(header, "fail", "warn", "pass", "unseen"), align+"rrrr"
	}
	room := p.Width - len(strconv.Itoa(len(runs))) - 2 - widest - 2
	if checks {
		room -= 4*2 + 3*4 + len("unseen")
	}
	scheme := schemeOf(runs)
	for i, r := range runs {
		row := []string{strconv.Itoa(i + 1), p.paint(shade(r.Word()), strings.ToUpper(r.Word())), clipMiddle(result.Escape(strings.TrimPrefix(r.Target.URL, scheme)), room)}
		switch {
		case checks && r.Error != "":
			row = append(row, "-", "-", "-", "-")
		case checks:
			n := r.Summary
			row = append(row, strconv.Itoa(n.Fail), strconv.Itoa(n.Warn), strconv.Itoa(n.Pass), strconv.Itoa(n.NotObserved))
		}
		rows = append(rows, row)
	}
	p.table(align, header, rows)
	if checks {
		p.differences(runs)
	}
	p.compare(runs)
	p.compareLimits(runs)
	p.line("")
	word := string(result.Overall(runs...))
	for _, r := range runs {
		if r.Interrupted {
			word = r.Word()
		}
	}
	p.verdict(word, result.OverallSentence(runs...))
}

// schemeOf is the scheme that all targets have in common, which tells nothing where there is little room.
func schemeOf(runs []*result.Run) string {
	for _, scheme := range []string{"http://", "https://"} {
		if !slices.ContainsFunc(runs, func(r *result.Run) bool { return !strings.HasPrefix(r.Target.URL, scheme) }) {
			return scheme
		}
	}
	return ""
}

// differences writes the checks to which not all runs came with the same verdict.
func (p *report) differences(runs []*result.Run) {
	header, align := []string{"where they differ"}, "l"
	var shown []*result.Run
	var number []int
	for i, r := range runs {
		if r.Error == "" {
			shown, number = append(shown, r), append(number, i+1)
		}
	}
	if len(shown) < 2 {
		return
	}
	var ids []string
	verdicts := map[string][]result.Verdict{}
	for i, r := range shown {
		for _, f := range r.Results {
			if verdicts[f.ID] == nil {
				verdicts[f.ID] = make([]result.Verdict, len(shown))
				ids = append(ids, f.ID)
			}
			verdicts[f.ID][i] = f.Verdict
		}
	}
	columns := min(len(shown), maxColumns)
	for _, n := range number[:columns] {
		header, align = append(header, strconv.Itoa(n)), align+"l"
	}
	var rows [][]string
	for _, id := range ids {
		same := true
		row := []string{clip(result.Escape(id), min(34, p.Width-columns*7-2))}
		for i, v := range verdicts[id] {
			same = same && v == verdicts[id][0]
			if i < columns {
				w, color := brief(v)
				row = append(row, p.paint(color, w))
			}
		}
		if !same {
			rows = append(rows, row)
		}
	}
	p.line("")
	if len(rows) == 0 {
		p.line("All came to the same verdicts.")
		return
	}
	p.table(align, header, rows)
	if more := len(shown) - columns; more > 0 {
		p.line(fmt.Sprintf("and %s more: --format html sets all side by side", result.Plural(int64(more), "run")))
	}
}

// compare sets load runs side by side, as many as there is room for.
func (p *report) compare(runs []*result.Run) {
	var loads []*result.Load
	header, align := []string{"side by side"}, "l"
	for i, r := range runs {
		if r.Load != nil {
			loads = append(loads, r.Load)
			header, align = append(header, strconv.Itoa(i+1)), align+"r"
		}
	}
	if len(loads) > 1 {
		p.sideBySide(header, align, result.SideBySide(loads))
	}
}

// compareLimits does so with searches for limits.
func (p *report) compareLimits(runs []*result.Run) {
	var searches []*result.Limits
	header, align := []string{"limits side by side"}, "l"
	for i, r := range runs {
		if r.Limits != nil {
			searches = append(searches, r.Limits)
			header, align = append(header, strconv.Itoa(i+1)), align+"r"
		}
	}
	if len(searches) < 2 {
		return
	}
	p.sideBySide(header, align, result.LimitsSideBySide(searches))
	p.line(p.paint(dim, "≥ no limit was met up to there, ? undecided, – not applicable or not looked for"))
}

func (p *report) sideBySide(header []string, align string, rows []result.CompareRow) {
	all, columns, used := len(header)-1, 0, 0
	for i := -1; i < min(all, maxColumns); i++ {
		width := len(header[i+1])
		for _, r := range rows {
			cell := clip(r.Name, 34)
			if i >= 0 {
				cell = r.Cells[i]
			}
			width = max(width, twwidth.Width(cell))
		}
		if used += width; used > p.Width {
			break
		}
		columns, used = i+1, used+2
	}
	table := make([][]string, len(rows))
	for i, r := range rows {
		table[i] = append([]string{clip(r.Name, 34)}, r.Cells[:columns]...)
	}
	p.line("")
	p.table(align[:columns+1], header[:columns+1], table)
	if more := all - columns; more > 0 {
		p.line(fmt.Sprintf("and %s more: --format html sets all side by side", result.Plural(int64(more), "run")))
	}
}

// brief is word in five columns.
func brief(v result.Verdict) (string, style) {
	switch v {
	case result.NotObserved:
		return "?", ""
	case result.NotApplicable, "":
		return "-", ""
	}
	return word(v)
}

// clipMiddle is clip where the end tells as much as the beginning, as of a URL.
func clipMiddle(s string, width int) string {
	if clip(s, width) == s {
		return s
	}
	half := (width - 1) / 2
	return strings.TrimSuffix(clip(s, width-half), "…") + clipLeft(s, half+1)
}
