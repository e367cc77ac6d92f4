package html

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"ssegauge/reports/result"
)

// A chart is worked out here and drawn by the templates "curves" and "timeline": numbers and text only, so that the escaping is the template's.
type chart struct {
	ID, Title, Desc          string
	W, H                     float64
	Left, Top, Right, Bottom float64 // of the plot
	X, Y                     []tick
	XTitle, YTitle           string
	Lines                    []*line
	Note                     string
	Crosses                  string // path of what did not hold
	Band, Knee               string // paths
	KneeName                 tick
	log                      bool
}

type tick struct {
	At    float64
	Label string
}

// line is one series, told apart by colour, dashes and the shape of its marks.
type line struct {
	N          int // 1 to 6: the class that gives colour and dashes
	Name       string
	Path, Area string
	Beyond     string   // path of what the sample holds beyond what it resolves
	Ring       string   // path around the place where it resolves no more
	Bars       string   // path of the intervals of quantiles
	Marks      []string // paths
	LegendX    float64
	LegendY    float64
	LegendMark string
	q          *result.Quantiles
	points     []result.CurvePoint
	beyond     []result.CurvePoint
	steps      bool
	series     result.Series
	values     []float64
	step       float64
}

// shape draws the mark of series n around a point.
func shape(n int, x, y float64) string {
	const r = 3.6
	switch n % 5 {
	case 1: // disc
		return fmt.Sprintf("M%.1f %.1fa%.1f %.1f 0 1 0 %.1f 0a%.1f %.1f 0 1 0 -%.1f 0Z", x-r, y, r, r, 2*r, r, r, 2*r)
	case 2: // square
		return fmt.Sprintf("M%.1f %.1fh%.1fv%.1fh-%.1fZ", x-r, y-r, 2*r, 2*r, 2*r)
	case 3: // diamond
		return fmt.Sprintf("M%.1f %.1fL%.1f %.1fL%.1f %.1fL%.1f %.1fZ", x, y-r-1, x+r+1, y, x, y+r+1, x-r-1, y)
	case 4: // triangle
		return fmt.Sprintf("M%.1f %.1fL%.1f %.1fL%.1f %.1fZ", x, y-r-1, x+r+1, y+r, x-r-1, y+r)
	}
	return fmt.Sprintf("M%.1f %.1fL%.1f %.1fL%.1f %.1fZ", x, y+r+1, x+r+1, y-r, x-r-1, y-r)
}

// named is a distribution to draw.
type named struct {
	name string
	q    *result.Quantiles
	own  bool // the generator's
}

// ownLine is the class of what is the generator's: grey.
const ownLine = 6

// ring draws a circle around a point.
func ring(x, y float64) string {
	const r = 5.5
	return fmt.Sprintf("M%.1f %.1fa%.1f %.1f 0 1 0 %.1f 0a%.1f %.1f 0 1 0 -%.1f 0", x-r, y, r, r, 2*r, r, r, 2*r)
}

// curves draws latency percentiles, both axes logarithmic: x in 1/(1-p), so that 90 %, 99 % and 99.9 % are as far apart from each other; y in time.
// It returns the same chart for a wide and for a narrow page; nil if nothing was measured.
func curves(id, title string, series []named) []*chart {
	wide := &chart{ID: id + "-wide", Title: title, W: 860, H: 420, Left: 78, Right: 18, Bottom: 52}
	narrow := &chart{ID: id + "-narrow", Title: title, W: 400, H: 400, Left: 74, Right: 14, Bottom: 52}
	out := []*chart{wide, narrow}
	for _, c := range out {
		c.XTitle, c.YTitle = "percentile", "latency, log scale"
		if !c.plotCurves(series) {
			return nil
		}
	}
	return out
}

// quantiles are those that are marked on a curve.
var quantiles = []struct {
	p    float64
	name string // of its interval
}{{0.5, "p50"}, {0.9, "p90"}, {0.99, "p99"}, {0.999, "p99_9"}}

func (c *chart) plotCurves(series []named) bool {
	low, high, most := math.Inf(1), 0.0, int64(10)
	var said []string
	for _, s := range series[:min(len(series), 6)] {
		points, steps := s.q.Curve(140)
		if len(points) < 2 {
			continue
		}
		l := &line{N: len(c.Lines) + 1, Name: result.Escape(s.name), q: s.q, points: points, steps: steps, beyond: s.q.Unresolved(60)}
		if s.own {
			l.N = ownLine
		}
		c.Lines = append(c.Lines, l)
		// The first few samples of a curve would take half of the axis.
		floor := points[0].US
		if us := s.q.At(0.5); us != nil {
			floor = max(floor, *us/20)
		}
		low, high = min(low, max(floor, 1)), max(high, points[len(points)-1].US)
		for _, p := range l.beyond {
			high = max(high, p.US)
		}
		for _, i := range s.q.CI95 {
			if i.High != nil && !math.IsInf(*i.High, 0) && !math.IsNaN(*i.High) {
				high = max(high, min(*i.High, 10*high))
			}
		}
		most = max(most, s.q.Count+max(s.q.Never, 0))
		said = append(said, describe(l.Name, s.q))
	}
	if len(c.Lines) == 0 {
		return false
	}
	high = max(high, low)
	c.Desc = "Time that the given share of samples did not exceed. " + strings.Join(said, " ")
	perRow := max(1, int((c.W-c.Left-c.Right)/150))
	c.Top = 24 + 20*math.Ceil(float64(len(c.Lines))/float64(perRow))
	left, right, top, bottom := c.Left, c.W-c.Right, c.Top, c.H-c.Bottom
	decades := min(math.Log10(float64(most)), 9)
	low, high, c.Y = logTicks(low, high)
	x := func(p float64) float64 { return left + (right-left)*min(-math.Log10(1-p)/decades, 1) }
	y := func(us float64) float64 {
		at := (math.Log10(max(us, 1e-9)) - math.Log10(low)) / (math.Log10(high) - math.Log10(low))
		return bottom - (bottom-top)*min(max(at, 0), 1)
	}
	for i := range c.Y {
		c.Y[i].At = y(c.Y[i].At)
	}
	taken := left - 20
	for _, p := range []float64{0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999, 0.9999999} {
		if -math.Log10(1-p) > decades+1e-9 {
			break
		}
		t := tick{x(p), strconv.FormatFloat(math.Round(1e7*p)/1e5, 'f', -1, 64) + " %"}
		// Where it gets crowded a line does without a label.
		if room := 3.7 * float64(len(t.Label)); t.At-room < taken || t.At+room > c.W {
			t.Label = ""
		} else {
			taken = t.At + room + 4
		}
		c.X = append(c.X, t)
	}
	if zero := (tick{left, "0 %"}); len(c.X) > 0 && c.X[0].At-left > 34 {
		c.X = append(c.X, zero)
	}
	for i, l := range c.Lines {
		l.LegendX = left + float64(i%perRow)*(right-left)/float64(perRow)
		l.LegendY = 20 + 20*float64(i/perRow)
		l.LegendMark = shape(l.N, l.LegendX+13, l.LegendY-4)
		l.curve(x, y, top)
	}
	return true
}

// curve makes the paths of a distribution. What never came counts as longer than all that did: where only that is left, the curve goes up and out.
func (l *line) curve(x, y func(float64) float64, top float64) {
	came := float64(l.q.Count) / float64(l.q.Count+max(l.q.Never, 0))
	var path, beyond strings.Builder
	var end result.CurvePoint
	for j, p := range l.points {
		p.P *= came
		switch end = p; {
		case j == 0:
			fmt.Fprintf(&path, "M%.1f %.1f", x(p.P), y(p.US))
		case l.steps:
			fmt.Fprintf(&path, "H%.1fV%.1f", x(p.P), y(p.US))
		default:
			fmt.Fprintf(&path, "L%.1f %.1f", x(p.P), y(p.US))
		}
	}
	l.Ring = ring(x(end.P), y(end.US))
	if len(l.beyond) > 0 {
		fmt.Fprintf(&beyond, "M%.1f %.1f", x(end.P), y(end.US))
		for _, p := range l.beyond {
			end = result.CurvePoint{P: p.P * came, US: p.US}
			fmt.Fprintf(&beyond, "L%.1f %.1f", x(end.P), y(end.US))
		}
	}
	if l.q.Never > 0 {
		at, tip := x(came), top+2
		up := fmt.Sprintf("L%.1f %.1fV%.1fM%.1f %.1fL%.1f %.1fL%.1f %.1f", at, y(end.US), tip, at-4, tip+7, at, tip, at+4, tip+7)
		if len(l.beyond) > 0 {
			beyond.WriteString(up)
		} else {
			path.WriteString(up)
		}
	}
	l.Path, l.Beyond = path.String(), beyond.String()
	var bars strings.Builder
	for _, q := range quantiles {
		us := l.q.Beyond(q.p, max(l.q.Never, 0))
		if us == nil {
			continue
		}
		at := x(q.p)
		l.Marks = append(l.Marks, shape(l.N, at, y(*us)))
		if i, ok := l.q.CI95[q.name]; ok {
			if i.Low != nil {
				fmt.Fprintf(&bars, "M%.1f %.1fV%.1fM%.1f %.1fh8", at, y(*us), y(*i.Low), at-4, y(*i.Low))
			}
			if i.High != nil {
				fmt.Fprintf(&bars, "M%.1f %.1fV%.1fM%.1f %.1fh8", at, y(*us), y(*i.High), at-4, y(*i.High))
			}
		}
	}
	l.Bars = bars.String()
}

func describe(name string, q *result.Quantiles) string {
	parts := []string{}
	for _, p := range []struct {
		name string
		us   *float64
	}{{"50 %", q.P50}, {"90 %", q.P90}, {"99 %", q.P99}, {"99.9 %", q.P999}} {
		if p.us != nil {
			parts = append(parts, p.name+" "+result.Micros(*p.us))
		}
	}
	return name + ": " + strings.Join(parts, ", ") + "."
}

// logTicks widens a range of microseconds to round ends and marks the decades in it, and 2 and 5 where there are few.
func logTicks(low, high float64) (from, to float64, ticks []tick) {
	if high < 2*low {
		low, high = low/1.5, high*1.5
	}
	steps := []float64{1, 2, 5}
	if high/low > 2000 {
		steps = []float64{1}
	}
	from, to = low, high
	below, above := 0.0, math.Inf(1)
	for e := math.Floor(math.Log10(low)) - 1; e <= math.Ceil(math.Log10(high))+1; e++ {
		for _, s := range steps {
			v := s * math.Pow(10, e)
			switch {
			case v <= low*1.0001:
				below = v
			case v >= high*0.9999:
				above = min(above, v)
			}
		}
	}
	if below > 0 {
		from = below
	}
	if !math.IsInf(above, 1) {
		to = above
	}
	for e := math.Floor(math.Log10(from)) - 1; e <= math.Ceil(math.Log10(to))+1; e++ {
		for _, s := range steps {
			if v := s * math.Pow(10, e); v >= from*0.9999 && v <= to*1.0001 {
				ticks = append(ticks, tick{v, short(v)})
			}
		}
	}
	return from, to, ticks
}

// short writes a round number of microseconds for an axis: "5 ms".
func short(us float64) string {
	switch {
	case us == 0:
		return "0"
	case us < 1e3:
		return fmt.Sprintf("%.3g µs", us)
	case us < 1e6:
		return fmt.Sprintf("%.3g ms", us/1e3)
	}
	return fmt.Sprintf("%.4g s", us/1e6)
}

// timeCharts are the charts over time that are known, in their order, with the series that each of them has.
var timeCharts = []struct {
	title  string
	log    bool // a wide chart, its axis logarithmic: what differs by factors
	series []string
	labels []string
}{
	{
		"Delivery, completion and the generator's own delay", true,
		[]string{"deliver_p50_us", "deliver_p99_us", "fanout_t99_p50_us", "fanout_t99_p99_us", "generator.delay_max_us"},
		[]string{"delivery, p50", "delivery, p99", "99 % have it, p50", "99 % have it, p99", "own delay, longest"},
	},
	{"Open streams", false, []string{"open_streams"}, []string{""}},
	{"Streams that failed or ended, a second", false, []string{"failed_streams", "closed_streams"}, []string{"failed", "ended"}},
	{"Events received a second", false, []string{"events_per_second"}, []string{""}},
	{"Events published or first seen, a second", false, []string{"published_per_second"}, []string{""}},
	{"Events lost a second", false, []string{"lost_per_second"}, []string{""}},
}

var quantileName = regexp.MustCompile(`^(.+)_(p[0-9]+)_us$`)

// timelines draws the series of a run: those of timeCharts, then the others, one chart each but for the quantiles of one latency. A series that is zero or absent
// throughout has nothing to show. Of a wide chart there is one for a narrow page too.
func timelines(id string, all []result.Series) [][]*chart {
	var out [][]*chart
	done := make([]bool, len(all))
	shown := func(s result.Series) bool {
		return slices.ContainsFunc(s.Values, func(v float64) bool { return v > 0 && !math.IsInf(v, 0) })
	}
	draw := func(title string, log bool, lines []*line) {
		if len(lines) == 0 {
			return
		}
		size := []*chart{{W: 430, H: 190, Left: 62, Right: 14, Bottom: 26}}
		if log {
			size = []*chart{{W: 860, H: 270, Left: 78, Right: 18, Bottom: 26}, {W: 400, H: 300, Left: 64, Right: 14, Bottom: 26}}
		}
		for i, c := range size {
			c.ID, c.Title, c.log = fmt.Sprintf("%s-t%d-%d", id, len(out)+1, i+1), title, log
			for n, l := range lines[:min(len(lines), 6)] {
				c.Lines = append(c.Lines, &line{N: max(l.N, n+1), Name: l.Name, series: l.series})
			}
			c.plotTime()
		}
		out = append(out, size)
	}
	for _, known := range timeCharts {
		var lines []*line
		for n, name := range known.series {
			for i, s := range all {
				if s.Name == name && !done[i] {
					if done[i] = true; shown(s) {
						l := &line{Name: known.labels[n], series: s}
						if strings.HasPrefix(name, "generator.") {
							l.N = ownLine
						}
						lines = append(lines, l)
					}
					break
				}
			}
		}
		title := known.title
		if len(lines) == 1 && lines[0].N == ownLine {
			title = "The generator's own delay"
		}
		draw(title, known.log, lines)
	}
	for i := range all {
		if done[i] {
			continue
		}
		key, lines := "", []*line(nil)
		for j, s := range all[i:] {
			name, label := s.Name, ""
			if m := quantileName.FindStringSubmatch(s.Name); m != nil {
				name, label = m[1], m[2]
			}
			if j == 0 {
				key = name
			}
			if name == key && !done[i+j] && (j == 0 || label != "") {
				if done[i+j] = true; shown(s) {
					lines = append(lines, &line{Name: label, series: s})
				}
			}
		}
		name := strings.TrimSpace(strings.ReplaceAll(strings.TrimSuffix(key, "_us"), "_", " "))
		_, first := utf8.DecodeRuneInString(name)
		draw(result.Escape(strings.ToUpper(name[:first])+name[first:]), false, lines)
	}
	return out
}

func (c *chart) plotTime() {
	low, high, span, thinned := math.Inf(1), 0.0, 1.0, 0.0
	for _, l := range c.Lines {
		l.values, l.step = l.series.Values, float64(max(l.series.StepMS, 1))
		if n := (len(l.values) + 299) / 300; n > 1 { // no more points than can be seen: the largest of each stretch
			l.values, l.step = stretch(l.values, n), l.step*float64(n)
			thinned = max(thinned, l.step)
		}
		for i, v := range l.values {
			if !math.IsNaN(v) && !math.IsInf(v, 0) {
				high, span = max(high, v), max(span, l.step, float64(i)*l.step)
				if v > 0 {
					low = min(low, v)
				}
			}
		}
	}
	if thinned > 0 {
		c.Note = "each point the largest of " + result.Micros(thinned*1e3)
	}
	write := result.Number
	if strings.HasSuffix(c.Lines[0].series.Name, "_us") {
		write = short
	}
	perRow := max(1, int((c.W-c.Left-c.Right)/150))
	c.Top = 12
	legend := len(c.Lines) > 1 || c.Lines[0].Name != ""
	if legend {
		c.Top = 12 + 18*math.Ceil(float64(len(c.Lines))/float64(perRow))
	}
	left, right, top, bottom := c.Left, c.W-c.Right, c.Top, c.H-c.Bottom
	var y func(v float64) float64
	if c.log {
		low, high, c.Y = logTicks(low, high)
		y = func(v float64) float64 {
			return bottom - (bottom-top)*min(max((math.Log10(max(v, low))-math.Log10(low))/(math.Log10(high)-math.Log10(low)), 0), 1)
		}
		for i := range c.Y {
			c.Y[i].At = y(c.Y[i].At)
		}
	} else {
		unit := nice(high / 3)
		ceiling := unit * math.Ceil(high/unit-1e-9)
		y = func(v float64) float64 { return bottom - (bottom-top)*min(max(v, 0)/ceiling, 1) }
		for v := 0.0; v <= ceiling*1.0001; v += unit {
			c.Y = append(c.Y, tick{y(v), write(v)})
		}
	}
	every := nice(span / 4)
	if c.W > 500 {
		every = nice(span / 8)
	}
	for t := 0.0; t <= span*1.0001; t += every {
		label := short(t * 1e3)
		if t == 0 {
			label = "0 s"
		}
		c.X = append(c.X, tick{left + (right-left)*t/span, label})
	}
	for i, l := range c.Lines {
		l.overTime(func(i int) float64 { return left + (right-left)*min(float64(i)*l.step/span, 1) }, y, bottom)
		if len(c.Lines) > 1 || c.log {
			l.Area = "" // one over the other would say nothing, nor does what is below a logarithm
		}
		if legend {
			l.LegendX = left + float64(i%perRow)*(right-left)/float64(perRow)
			l.LegendY = 14 + 18*float64(i/perRow)
			l.LegendMark = shape(l.N, l.LegendX+13, l.LegendY-4)
		}
		c.Desc += l.say(span, write)
	}
}

// overTime makes the path of a series, broken where nothing was measured, and the area below it.
func (l *line) overTime(x func(int) float64, y func(float64) float64, bottom float64) {
	var path, area strings.Builder
	start := -1
	end := func(i int) {
		if start >= 0 {
			fmt.Fprintf(&area, "L%.1f %.1fL%.1f %.1fZ", x(i), bottom, x(start), bottom)
			if start == i {
				l.Marks = append(l.Marks, shape(l.N, x(i), y(l.values[i])))
			}
		}
		start = -1
	}
	for i, v := range l.values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			end(i - 1)
			continue
		}
		op := 'L'
		if start < 0 {
			op, start = 'M', i
		}
		fmt.Fprintf(&path, "%c%.1f %.1f", op, x(i), y(v))
		fmt.Fprintf(&area, "%c%.1f %.1f", op, x(i), y(v))
	}
	end(len(l.values) - 1)
	l.Path, l.Area = path.String(), area.String()
}

// say describes a series in words.
func (l *line) say(span float64, write func(float64) string) string {
	high, last := 0.0, 0.0
	for _, v := range l.values {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			high, last = max(high, v), v
		}
	}
	s := fmt.Sprintf("From 0 to %s: at most %s, at the end %s. ", result.Micros(span*1e3), write(high), write(last))
	if l.Name != "" {
		s = l.Name + ": " + s
	}
	return s
}

func stretch(values []float64, n int) []float64 {
	out := make([]float64, 0, len(values)/n+1)
	for i := 0; i < len(values); i += n {
		m := math.NaN()
		for _, v := range values[i:min(i+n, len(values))] {
			if math.IsNaN(m) || v > m {
				m = v
			}
		}
		out = append(out, m)
	}
	return out
}

// nice rounds up to 1, 2, 2.5 or 5 times a power of ten.
func nice(v float64) float64 {
	if v <= 0 || math.IsInf(v, 0) {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 2.5, 5} {
		if v <= m*power*1.0001 {
			return m * power
		}
	}
	return 10 * power
}
