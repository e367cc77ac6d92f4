package text

import (
	"fmt"
	"math"
	"strings"

	"github.com/olekukonko/tablewriter/pkg/twwidth"

	"ssegauge/reports/result"
)

// maxNote is how wide what a number of streams did not bear may be to stand beside its row, not below.
const maxNote = 14

// picture draws latency against streams: a row for each number of streams, what did not hold marked, and the knee between the rows where it lies.
func (p *report) picture() {
	stages, doubt := p.Stages()
	if len(stages) == 0 {
		return
	}
	values, drawn := p.drawn(stages)
	a := newAxis(values)
	streams, value, note := len("streams"), len(drawn.column), 0
	said := make([]string, len(stages))
	for i := range stages {
		if said[i] = "-"; !math.IsNaN(values[i][drawn.said]) {
			said[i] = result.Micros(values[i][drawn.said])
		}
		streams = max(streams, len(result.Count(int64(stages[i].Streams))))
		value = max(value, twwidth.Width(said[i]))
		if w := twwidth.Width(stages[i].Trouble()); w <= maxNote {
			note = max(note, w)
		}
	}
	a.width = max(12, p.Width-streams-4-2-value-2-note)
	p.section("Latency against streams")
	legend := strings.Join(drawn.legend, ", ")
	if a.log {
		legend += "; log scale"
	}
	if doubt != "" {
		legend += "; all measurements are " + doubt
	}
	p.hanging(strings.Repeat(" ", streams+4), streams+4, legend)
	bare := drawn.column == "" // an axis would have no meaning
	if bare {
		p.line("streams")
	} else {
		p.linef("%*s   %s  %*s", streams, "streams", a.labels(), value, drawn.column)
	}
	knee := p.Knee
	kneeRow := func() {
		s := strings.Repeat("┄", streams+3) + " knee: " + knee.Said() + " "
		p.line(p.paint(yellow, s+strings.Repeat("┄", max(0, streams+4+a.width-twwidth.Width(s)))))
		knee = nil
	}
	for i := range stages {
		v := &stages[i]
		if knee != nil && knee.Peak != nil && float64(v.Streams) > *knee.Peak {
			kneeRow()
		}
		mark, color := " ", style("")
		if !v.Holds {
			mark, color = "✕", red
		}
		trouble := v.Trouble()
		beside := trouble
		if twwidth.Width(beside) > maxNote {
			beside = ""
		}
		if bare {
			p.line(fmt.Sprintf("%*s %s %s", streams, result.Count(int64(v.Streams)), p.paint(color, mark), p.paint(color, trouble)))
			continue
		}
		p.line(fmt.Sprintf("%*s %s %s  %*s  %s", streams, result.Count(int64(v.Streams)), p.paint(color, mark), a.row(values[i]),
			value+len(said[i])-twwidth.Width(said[i]), said[i], p.paint(color, beside)))
		if beside != trouble {
			for _, l := range wrap(trouble, p.Width-streams-4) {
				p.line(strings.Repeat(" ", streams+4) + p.paint(color, l))
			}
		}
	}
	if knee != nil {
		kneeRow()
	}
}

// marks of the latencies of a stage, in their order: p50 and p99 of delivery, p99 of opening.
var marks = [...]rune{'○', '●', '◆'}

// drawing is what a picture shows.
type drawing struct {
	legend []string
	said   int // which of the latencies stands beside the rows
	column string
}

// drawn are the latencies of each stage in microseconds, NaN where there is none, and what there is of them: delivery, if anything was delivered, and opening.
func (p *report) drawn(stages []result.Stage) (values [][len(marks)]float64, d drawing) {
	seen := [len(marks)]bool{}
	for i := range stages {
		var row [len(marks)]float64
		for k, us := range []*float64{stages[i].DeliverP50US, stages[i].DeliverP99US, stages[i].OpenP99US} {
			row[k] = math.NaN()
			if us != nil && *us >= 0 && !math.IsInf(*us, 0) {
				row[k], seen[k] = *us, true
			}
		}
		values = append(values, row)
	}
	switch {
	case seen[0] && seen[1]:
		d = drawing{[]string{"○ p50 and ● p99 of delivery"}, 1, "p99"}
	case seen[1]:
		d = drawing{[]string{"● p99 of delivery"}, 1, "p99"}
	case seen[0]:
		d = drawing{[]string{"○ p50 of delivery (too few events for p99)"}, 0, "p50"}
	case seen[2]:
		return values, drawing{[]string{"◆ p99 of opening; nothing was published"}, 2, "p99"}
	default:
		return values, drawing{[]string{"too few streams and events to tell"}, 2, ""}
	}
	if seen[2] {
		d.legend = append(d.legend, "◆ p99 of opening")
	}
	return values, d
}

// axis places latencies in the columns of a picture.
type axis struct {
	from, to float64
	log      bool
	ticks    []float64
	width    int
}

func newAxis(stages [][len(marks)]float64) *axis {
	low, high := math.Inf(1), 0.0
	for _, values := range stages {
		for _, v := range values {
			if !math.IsNaN(v) {
				low, high = min(low, max(v, 1)), max(high, v, 1)
			}
		}
	}
	if high == 0 {
		low, high = 1000, 1000
	}
	a := &axis{to: high, log: high > 20*low}
	if !a.log {
		step := math.Pow(10, math.Floor(math.Log10(high)))
		for _, part := range []float64{0.2, 0.25, 0.5, 1} { // three to five ticks
			if high <= 5*step*part {
				step *= part
				break
			}
			if part == 1 {
				step *= 2
			}
		}
		a.to = step * math.Ceil(high/step-1e-9)
		for v := 0.0; v <= a.to*1.0001; v += step {
			a.ticks = append(a.ticks, v)
		}
		return a
	}
	every := high/low <= 200 // or decades only
	for e := math.Floor(math.Log10(low)); ; e++ {
		for _, step := range []float64{1, 2, 5} {
			v := step * math.Pow(10, e)
			if v <= low*1.0001 {
				a.from, a.ticks = v, nil
			}
			if step == 1 || every {
				a.ticks = append(a.ticks, v)
			}
			if v >= high*0.9999 {
				a.to = v
				return a
			}
		}
	}
}

// column is where a value stands, from 0.
func (a *axis) column(v float64) int {
	at := 0.0
	switch {
	case a.log:
		at = (math.Log10(max(v, a.from)) - math.Log10(a.from)) / (math.Log10(a.to) - math.Log10(a.from))
	case a.to > 0:
		at = v / a.to
	}
	return int(math.Round(min(max(at, 0), 1) * float64(a.width-1)))
}

// labels is the line of the ticks' names; one that would touch the one before is left out.
func (a *axis) labels() string {
	line := []rune(strings.Repeat(" ", a.width))
	free := 0
	for _, v := range a.ticks {
		name := []rune(result.Quantity(v/1e6, "s"))
		if v == 0 {
			name = []rune("0")
		}
		start := max(0, min(a.column(v)-len(name)/2, a.width-len(name)))
		if start < free {
			continue
		}
		copy(line[start:], name)
		free = start + len(name) + 2
	}
	return string(line)
}

// row draws the latencies of one stage over the grid.
func (a *axis) row(values [len(marks)]float64) string {
	cells := []rune(strings.Repeat(" ", a.width))
	for _, v := range a.ticks {
		cells[a.column(v)] = '┊'
	}
	if p50, p99 := values[0], values[1]; !math.IsNaN(p50) && !math.IsNaN(p99) {
		for i := a.column(p50); i < a.column(p99); i++ {
			cells[i] = '━'
		}
	}
	for _, k := range []int{2, 0, 1} { // delivery over opening
		if !math.IsNaN(values[k]) {
			cells[a.column(values[k])] = marks[k]
		}
	}
	return string(cells)
}
