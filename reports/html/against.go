package html

import (
	"fmt"
	"math"
	"strings"

	"ssegauge/reports/result"
)

// stageLine is one line of a chart against streams.
type stageLine struct {
	n      int // 1 to 6: the class that gives colour and dashes
	name   string
	values []float64 // one for each number of streams, NaN where there is none
}

// latencies of each number of streams, in microseconds.
func latencies(stages []result.Stage) []stageLine {
	lines := []stageLine{{n: 1, name: "delivery, p50"}, {n: 2, name: "delivery, p99"}, {n: 3, name: "opening, p99"}}
	for _, r := range stages {
		for i, us := range []*float64{r.DeliverP50US, r.DeliverP99US, r.OpenP99US} {
			lines[i].values = append(lines[i].values, drawable(us))
		}
	}
	return lines
}

// rates are events delivered a second.
func rates(stages []result.Stage) []stageLine {
	measured := stageLine{n: 1, name: "measured"}
	for _, r := range stages {
		measured.values = append(measured.values, drawable(&r.EventsPerSecond))
	}
	return []stageLine{measured}
}

// drawable is v, NaN where it has no place in a chart.
func drawable(v *float64) float64 {
	if v == nil || !(*v > 0) || *v > 1e18 {
		return math.NaN()
	}
	return *v
}

// against draws what was measured of each number of streams, once for a wide and once for a narrow page, and where the knee is; nil where nothing was.
func against(id, title, yTitle string, stages []result.Stage, lines []stageLine, knee *result.Knee, fit func(n float64) float64, write func(float64) string) []*chart {
	var drawn []stageLine
	few, many, low, high := math.Inf(1), 0.0, math.Inf(1), 0.0
	for _, line := range lines {
		shown := false
		for i, v := range line.values {
			if !math.IsNaN(v) {
				n := max(1, float64(stages[i].Streams))
				few, many, low, high, shown = min(few, n), max(many, n), min(low, v), max(high, v), true
			}
		}
		if shown {
			drawn = append(drawn, line)
		}
	}
	if len(drawn) == 0 {
		return nil
	}
	var fitted []point
	for i := 0; fit != nil && i <= fitSteps; i++ {
		n := few * math.Pow(many/few, float64(i)/fitSteps)
		if v := fit(n); v > 0 && v < 1e18 {
			fitted = append(fitted, point{n, v})
			low, high = min(low, v), max(high, v)
		}
	}
	var said strings.Builder
	for _, line := range drawn {
		fmt.Fprintf(&said, "%s: ", line.name)
		for i, v := range line.values {
			if !math.IsNaN(v) {
				fmt.Fprintf(&said, "%s with %s; ", write(v), result.Plural(int64(stages[i].Streams), "stream"))
			}
		}
	}
	out := []*chart{{ID: id + "-wide", W: 860, H: 380, Left: 78, Right: 26, Bottom: 52}, {ID: id + "-narrow", W: 400, H: 360, Left: 72, Right: 22, Bottom: 52}}
	for _, c := range out {
		c.Title, c.Desc = title, strings.TrimSuffix(said.String(), "; ")+"."
		legend := len(drawn)
		if fitted != nil {
			legend++
		}
		perRow := max(1, int((c.W-c.Left-c.Right)/150))
		c.Top = 38 + 20*math.Ceil(float64(legend)/float64(perRow)) // the name of the knee has a line of its own
		x := scale(few, many, c.Left, c.W-c.Right, func(v float64) string { return result.Count(int64(math.Round(v))) })
		y := scale(low, high, c.H-c.Bottom, c.Top, write)
		c.X, c.Y, c.XTitle, c.YTitle = thinned(x.ticks, c.W), y.ticks, "streams at once"+x.note(), yTitle+y.note()
		for _, line := range drawn {
			c.Lines = append(c.Lines, pathOf(line, stages, x.at, y.at))
		}
		if fitted != nil {
			c.Lines = append(c.Lines, fitLine(fitted, x, y))
		}
		for i, d := range c.Lines {
			d.LegendX = c.Left + float64(i%perRow)*(c.W-c.Right-c.Left)/float64(perRow)
			d.LegendY = 20 + 20*float64(i/perRow)
			if d.N != ownLine {
				d.LegendMark = shape(d.N, d.LegendX+13, d.LegendY-4)
			}
		}
		c.Crosses = crosses(drawn, stages, x.at, y.at)
		c.markKnee(knee, x)
	}
	return out
}

// pathOf makes the path of a line through what was measured of it, and its marks.
func pathOf(of stageLine, stages []result.Stage, x, y func(float64) float64) *line {
	d := &line{N: of.n, Name: of.name}
	var path strings.Builder
	op := 'M'
	for i, v := range of.values {
		if math.IsNaN(v) {
			continue
		}
		at, up := x(float64(stages[i].Streams)), y(v)
		fmt.Fprintf(&path, "%c%.1f %.1f", op, at, up)
		op = 'L'
		if len(stages) <= 60 { // more would hide the line
			d.Marks = append(d.Marks, shape(of.n, at, up))
		}
	}
	d.Path = path.String()
	return d
}

// fitSteps are the stretches of which the line of a fitted law is made, within what was measured.
const fitSteps = 80

type point struct{ x, y float64 }

func fitLine(points []point, x, y *axis) *line {
	var path strings.Builder
	op := 'M'
	for _, p := range points {
		fmt.Fprintf(&path, "%c%.1f %.1f", op, x.at(p.x), y.at(p.y))
		op = 'L'
	}
	return &line{N: ownLine, Name: "fitted law", Path: path.String()}
}

// crosses marks the numbers of streams that did not hold, at the highest of their points, if they have any.
func crosses(lines []stageLine, stages []result.Stage, x, y func(float64) float64) string {
	const r = 6
	var path strings.Builder
	for i, c := range stages {
		if c.Holds {
			continue
		}
		at, up := x(float64(c.Streams)), math.Inf(1)
		for _, line := range lines {
			if v := line.values[i]; !math.IsNaN(v) {
				up = min(up, y(v))
			}
		}
		if math.IsInf(up, 1) {
			continue
		}
		fmt.Fprintf(&path, "M%.1f %.1fL%.1f %.1fM%.1f %.1fL%.1f %.1f", at-r, up-r, at+r, up+r, at-r, up+r, at+r, up-r)
	}
	return path.String()
}

// markKnee draws the interval of the knee as a band, and the knee in it.
func (c *chart) markKnee(k *result.Knee, x *axis) {
	if k == nil || k.Peak == nil || math.IsNaN(drawable(k.Peak)) || *k.Peak < x.low || *k.Peak > x.high {
		return
	}
	at, top, bottom := x.at(*k.Peak), c.Top-6, c.H-c.Bottom
	if from, to := x.at(k.CI95[0]), x.at(k.CI95[1]); from < to {
		c.Band = fmt.Sprintf("M%.1f %.1fH%.1fV%.1fH%.1fZ", from, top, to, bottom, from)
	}
	c.Knee, c.KneeName = fmt.Sprintf("M%.1f %.1fV%.1f", at, top, bottom), tick{at, "knee: about " + result.Count(int64(math.Round(*k.Peak)))}
	c.KneeName.At = min(max(at, c.Left+64), c.W-c.Right-64)
}

// axis places values on a chart, on a logarithmic scale where they span more than a factor of ten.
type axis struct {
	low, high float64
	log       bool
	ticks     []tick
	at        func(v float64) float64
}

func (a *axis) note() string {
	if a.log {
		return ", log scale"
	}
	return ""
}

// scale makes the axis of values from low to high between two places.
func scale(low, high, from, to float64, write func(float64) string) *axis {
	a := &axis{low: 0, log: high > 10*low}
	var share func(v float64) float64
	if a.log {
		a.low, a.high, a.ticks = logTicks(low, high)
		share = func(v float64) float64 {
			return (math.Log10(max(v, a.low)) - math.Log10(a.low)) / (math.Log10(a.high) - math.Log10(a.low))
		}
	} else {
		unit := nice(high / 4)
		a.high = unit * math.Ceil(high/unit-1e-9)
		for v := 0.0; v <= a.high*1.0001; v += unit {
			a.ticks = append(a.ticks, tick{At: v})
		}
		share = func(v float64) float64 { return v / a.high }
	}
	a.at = func(v float64) float64 { return from + (to-from)*min(max(share(v), 0), 1) }
	for i, t := range a.ticks {
		a.ticks[i] = tick{a.at(t.At), write(t.At)}
	}
	return a
}

// thinned leaves out names of ticks where there is no room for them.
func thinned(ticks []tick, width float64) []tick {
	taken := 0.0
	for i := range ticks {
		t := &ticks[i]
		if room := 3.9 * float64(len(t.Label)); t.At-room < taken || t.At+room > width {
			t.Label = ""
		} else {
			taken = t.At + room + 6
		}
	}
	return ticks
}
