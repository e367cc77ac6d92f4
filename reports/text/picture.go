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

// picture draws latency against streams: a row for each number of streams, from its median to its p99; what did not hold is marked, and the knee stands between the rows
// where it lies.
func (p *report) picture() {
	if len(p.Curve) == 0 {
		return
	}
	rungs, of := p.spans()
	a := newAxis(rungs)
	streams, value, note := len("streams"), 0, 0
	for i, r := range rungs {
		streams = max(streams, len(result.Count(int64(p.Curve[i].Streams))))
		value = max(value, twwidth.Width(r.said))
		if w := twwidth.Width(r.note); w <= maxNote {
			note = max(note, w)
		}
	}
	a.width = max(12, p.Width-streams-4-2-value-2-note)
	title := "Latency against streams"
	if a.log {
		of += ", log scale"
	}
	p.section(title)
	p.hanging(strings.Repeat(" ", streams+4), streams+4, of)
	p.linef("%*s   %s", streams, "streams", a.labels())
	knee := p.Knee
	kneeRow := func() {
		s := strings.Repeat("┄", streams+3) + " knee: " + knee.Said() + " "
		p.line(p.paint(yellow, s+strings.Repeat("┄", max(0, streams+4+a.width-twwidth.Width(s)))))
		knee = nil
	}
	for i, r := range rungs {
		if knee != nil && knee.Peak != nil && float64(p.Curve[i].Streams) > *knee.Peak {
			kneeRow()
		}
		mark, color := " ", style("")
		if !p.Curve[i].Holds {
			mark, color = "✕", red
		}
		beside := r.note
		if twwidth.Width(beside) > maxNote {
			beside = ""
		}
		p.line(fmt.Sprintf("%*s %s ", streams, result.Count(int64(p.Curve[i].Streams)), p.paint(color, mark)) + a.row(r) + "  " +
			fmt.Sprintf("%*s", value+len(r.said)-twwidth.Width(r.said), r.said) + "  " + p.paint(color, beside))
		if beside != r.note {
			for _, l := range wrap(r.note, p.Width-streams-4) {
				p.line(strings.Repeat(" ", streams+4) + p.paint(color, l))
			}
		}
	}
	if knee != nil {
		kneeRow()
	}
}

// span is one row: from the median to the p99 in microseconds, NaN where there is none.
type span struct {
	p50, p99   float64
	said, note string
}

// spans are what is drawn, and what it is.
func (p *report) spans() (rungs []span, of string) {
	value := func(us *float64) float64 {
		if us == nil || *us < 0 || math.IsInf(*us, 0) {
			return math.NaN()
		}
		return *us
	}
	delivered := false
	for _, r := range p.Curve {
		delivered = delivered || r.DeliverP50US != nil || r.DeliverP99US != nil
	}
	of = "○ p50 and ● p99 of delivery"
	if !delivered {
		of = "● p99 of opening; nothing was published"
	}
	for i := range p.Curve {
		r := &p.Curve[i]
		s := span{value(r.DeliverP50US), value(r.DeliverP99US), "-", r.Trouble()}
		if !delivered {
			s.p50, s.p99 = math.NaN(), value(r.OpenP99US)
		}
		if !math.IsNaN(s.p99) {
			s.said = result.Micros(s.p99)
		}
		rungs = append(rungs, s)
	}
	return rungs, of
}

// axis places latencies in the columns of a picture.
type axis struct {
	from, to float64
	log      bool
	ticks    []float64
	width    int
}

func newAxis(rungs []span) *axis {
	low, high := math.Inf(1), 0.0
	for _, r := range rungs {
		for _, v := range []float64{r.p50, r.p99} {
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

// row draws one span over the grid.
func (a *axis) row(s span) string {
	cells := []rune(strings.Repeat(" ", a.width))
	for _, v := range a.ticks {
		cells[a.column(v)] = '┊'
	}
	switch has50, has99 := !math.IsNaN(s.p50), !math.IsNaN(s.p99); {
	case has50 && has99:
		from, to := a.column(s.p50), a.column(s.p99)
		for i := from; i < to; i++ {
			cells[i] = '━'
		}
		cells[from], cells[to] = '○', '●'
	case has50:
		cells[a.column(s.p50)] = '○'
	case has99:
		cells[a.column(s.p99)] = '●'
	}
	return string(cells)
}
