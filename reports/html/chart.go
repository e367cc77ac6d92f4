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

// A chart is worked out here and drawn by the templates "curve" and "timeline": numbers and text only, so that the escaping is the template's.
type chart struct {
	ID, Title, Desc          string
	W, H                     float64
	Left, Top, Right, Bottom float64 // of the plot
	X, Y                     []tick
	XTitle, YTitle           string
	Lines                    []*line
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
	Marks      []string // paths
	LegendX    float64
	LegendY    float64
	LegendMark string
	q          *result.Quantiles
	points     []result.CurvePoint
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

func (c *chart) plotCurves(series []named) bool {
	low, high, most := math.Inf(1), 0.0, int64(10)
	var said []string
	for _, s := range series {
		points, steps := s.q.Curve(140)
		if len(points) < 2 {
			continue
		}
		l := &line{N: len(c.Lines) + 1, Name: result.Escape(s.name), q: s.q, points: points, steps: steps}
		c.Lines = append(c.Lines, l)
		for i := range points {
			points[i].US = max(points[i].US, 1) // below the resolution; a logarithm needs something
			low, high = min(low, points[i].US), max(high, points[i].US)
		}
		most = max(most, s.q.Count)
		said = append(said, describe(l.Name, s.q))
	}
	if len(c.Lines) == 0 {
		return false
	}
	c.Desc = "Time that the given share of samples did not exceed. " + strings.Join(said, " ")
	perRow := max(1, int((c.W-c.Left-c.Right)/150))
	c.Top = 24 + 20*math.Ceil(float64(len(c.Lines))/float64(perRow))
	left, right, top, bottom := c.Left, c.W-c.Right, c.Top, c.H-c.Bottom
	decades := min(math.Log10(float64(most)), 9)
	low, high, c.Y = logTicks(low, high)
	x := func(p float64) float64 { return left + (right-left)*min(-math.Log10(1-p)/decades, 1) }
	y := func(us float64) float64 {
		return bottom - (bottom-top)*(math.Log10(us)-math.Log10(low))/(math.Log10(high)-math.Log10(low))
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
		var path strings.Builder
		for j, p := range l.points {
			switch {
			case j == 0:
				fmt.Fprintf(&path, "M%.1f %.1f", x(p.P), y(p.US))
			case l.steps:
				fmt.Fprintf(&path, "H%.1fV%.1f", x(p.P), y(p.US))
			default:
				fmt.Fprintf(&path, "L%.1f %.1f", x(p.P), y(p.US))
			}
		}
		l.Path = path.String()
		for _, p := range []float64{0.5, 0.9, 0.99, 0.999} {
			if us := l.q.At(p); us != nil {
				l.Marks = append(l.Marks, shape(l.N, x(p), y(max(*us, 1))))
			}
		}
	}
	return true
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

// titles of series; quantiles of one latency over time share a chart under the title of the latency.
var titles = map[string]string{
	"open_streams":         "Open streams",
	"failed_streams":       "Failed streams",
	"events_per_second":    "Events received per second",
	"published_per_second": "Events published per second",
	"lost_per_second":      "Events lost per second",
	"deliver":              "Delivery",
}

var quantileName = regexp.MustCompile(`^(.+)_(p[0-9]+)_us$`)

// timelines draws the series of a run, one chart each but for the quantiles of one latency. A series that is zero or absent throughout has nothing to show.
func timelines(id string, all []result.Series) []*chart {
	var out []*chart
	at := map[string]*chart{}
	for i, s := range all {
		if !slices.ContainsFunc(s.Values, func(v float64) bool { return v > 0 && !math.IsInf(v, 0) }) {
			continue
		}
		key, label := s.Name, ""
		if m := quantileName.FindStringSubmatch(s.Name); m != nil {
			key, label = m[1], m[2]
		}
		c := at[key]
		if c == nil {
			c = &chart{ID: fmt.Sprintf("%s-t%d", id, i+1), Title: titles[key], W: 430, H: 190, Left: 62, Top: 12, Right: 14, Bottom: 26}
			if c.Title == "" {
				name := strings.TrimSpace(strings.ReplaceAll(strings.TrimSuffix(key, "_us"), "_", " "))
				_, first := utf8.DecodeRuneInString(name)
				c.Title = result.Escape(strings.ToUpper(name[:first]) + name[first:])
			}
			at[key] = c
			out = append(out, c)
		}
		if len(c.Lines) < 6 {
			c.Lines = append(c.Lines, &line{N: len(c.Lines) + 1, Name: label, series: s})
		}
	}
	for _, c := range out {
		c.plotTime()
	}
	return out
}

func (c *chart) plotTime() {
	high, span := 0.0, 1.0
	for _, l := range c.Lines {
		l.values, l.step = l.series.Values, float64(max(l.series.StepMS, 1))
		if n := (len(l.values) + 299) / 300; n > 1 { // no more points than can be seen: the largest of each stretch
			l.values, l.step = stretch(l.values, n), l.step*float64(n)
		}
		for i, v := range l.values {
			if !math.IsNaN(v) && !math.IsInf(v, 0) {
				high, span = max(high, v), max(span, l.step, float64(i)*l.step)
			}
		}
	}
	write := result.Number
	if strings.HasSuffix(c.Lines[0].series.Name, "_us") {
		write = short
	}
	if len(c.Lines) > 1 {
		c.Top = 30 // for the legend
	}
	left, right, top, bottom := c.Left, c.W-c.Right, c.Top, c.H-c.Bottom
	unit := nice(high / 3)
	ceiling := unit * math.Ceil(high/unit-1e-9)
	for v := 0.0; v <= ceiling*1.0001; v += unit {
		c.Y = append(c.Y, tick{bottom - (bottom-top)*v/ceiling, write(v)})
	}
	every := nice(span / 4)
	for t := 0.0; t <= span*1.0001; t += every {
		label := short(t * 1e3)
		if t == 0 {
			label = "0 s"
		}
		c.X = append(c.X, tick{left + (right-left)*t/span, label})
	}
	for _, l := range c.Lines {
		l.overTime(func(i int) float64 { return left + (right-left)*min(float64(i)*l.step/span, 1) },
			func(v float64) float64 { return bottom - (bottom-top)*min(max(v, 0)/ceiling, 1) }, bottom)
		if len(c.Lines) > 1 {
			l.Area = "" // one over the other would say nothing
			l.LegendX, l.LegendY = left+64*float64(l.N-1), 14
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
