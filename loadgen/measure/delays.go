package measure

import (
	"cmp"
	"math"
	"slices"

	"github.com/HdrHistogram/hdrhistogram-go"

	"ssegauge/reports/result"
)

// Delays by the sender's time stamp are differences of two clocks. Where both are one (the target is on this machine) they are the truth. Elsewhere nobody knows by how
// much the clocks differ, and what can be said is how much longer than the fastest an event took: the delay above the floor, after removing the
// slope that clocks of different speed give the floor. Which of the two it is can be known only at the end, so differences are kept as they are, with
// their sign, window by window.

// The windows of differences: one a second, joined in pairs when there are too many.
const (
	window     = int64(1e9)
	maxWindows = 512
	// maxDrift is the steepest slope that may be the clocks': more is the target falling behind.
	maxDrift = 200e-6
	// minDrift is the shortest run, in windows, of which a slope says anything.
	minDrift = 10
	// clockSlack is how far below zero a difference of one and the same clock may lie: it is read twice, and slewed between.
	clockSlack = int64(1e6)
)

// delays are the differences that one recorder saw.
type delays struct {
	width    int64
	now      *differences // of the current window
	windows  []packed
	negative int64
	min, max int64
	n        int64
	sum      float64
}

// differences are those of one window: a histogram of what they are above and below base.
type differences struct {
	from         int64 // the window's beginning
	base         int64
	min          int64
	above, below offsets
}

// packed are differences that are complete.
type packed struct {
	from, width, base, min int64
	steps                  []signed
}

type signed struct {
	step  int32 // of an offset; below base: its complement
	count uint32
}

// delayed takes an event that arrived ns after its stamp.
func (r *Recorder) delayed(at, ns int64) {
	d := &r.delays
	if d.n == 0 {
		d.width, d.min, d.max = window, ns, ns
	}
	d.n++
	d.sum += float64(ns)
	d.min, d.max = min(d.min, ns), max(d.max, ns)
	if ns < 0 {
		d.negative++
	}
	w := d.now
	switch {
	case w == nil:
		w = new(differences)
		d.now = w
		w.begin(at-at%d.width, d.baseFor(r.board, ns), ns)
	case at >= w.from+d.width || ns < w.base-clockSlack && !r.board.sameClock:
		// A new window, or a new floor far below the base: what is near the floor wants to be told apart most.
		d.pack()
		w.begin(at-at%d.width, d.baseFor(r.board, ns), ns)
	}
	w.min = min(w.min, ns)
	if v := ns - w.base; v >= 0 {
		w.above.add(v/1000, 1)
	} else {
		w.below.add(-v/1000, 1)
	}
	r.record(mDeliver, max(0, ns-d.floor(r.board))) // for the moment: see Board.delivered
}

// baseFor is what the differences of a window are counted from.
func (d *delays) baseFor(b *Board, ns int64) int64 {
	if b.sameClock {
		return 0
	}
	return min(ns, d.min)
}

// floor is the floor as far as it is known while the run goes on.
func (d *delays) floor(b *Board) int64 {
	if b.sameClock {
		return 0
	}
	return d.min
}

func (w *differences) begin(from, base, first int64) {
	w.from, w.base, w.min = from, base, first
}

// pack ends the current window.
func (d *delays) pack() {
	w := d.now
	if w == nil {
		return
	}
	p := packed{from: w.from, width: d.width, base: w.base, min: w.min}
	for i := w.above.lo; i < w.above.hi; i++ {
		if n := w.above.counts[i]; n > 0 {
			p.steps = append(p.steps, signed{int32(i), n})
		}
	}
	for i := w.below.lo; i < w.below.hi; i++ {
		if n := w.below.counts[i]; n > 0 {
			p.steps = append(p.steps, signed{^int32(i), n})
		}
	}
	w.above.reset()
	w.below.reset()
	if len(p.steps) > 0 {
		d.windows = append(d.windows, p)
	}
	if len(d.windows) > maxWindows {
		d.join()
	}
}

// join doubles the width of the windows.
func (d *delays) join() {
	d.width *= 2
	var out []packed
	for _, p := range d.windows {
		p.from -= p.from % d.width
		p.width = d.width
		if n := len(out); n > 0 && out[n-1].from == p.from {
			q := &out[n-1]
			into := map[int32]uint32{}
			for _, s := range q.steps {
				into[s.step] += s.count
			}
			for _, s := range p.steps {
				v := s.value() + p.base - q.base
				if v >= 0 {
					into[int32(step(v/1000))] += s.count
				} else {
					into[^int32(step(-v/1000))] += s.count
				}
			}
			q.steps = q.steps[:0]
			for step, count := range into {
				q.steps = append(q.steps, signed{step, count})
			}
			q.min = min(q.min, p.min)
			continue
		}
		out = append(out, p)
	}
	d.windows = out
}

// value is the difference from the base, ns.
func (s signed) value() int64 {
	if s.step >= 0 {
		return middle(int(s.step)) * 1000
	}
	return -middle(int(^s.step)) * 1000
}

// line is a floor: at time t it is at + slope*(t-from).
type line struct {
	from, at int64
	slope    float64
}

func (l line) value(t int64) int64 { return l.at + int64(l.slope*float64(t-l.from)) }

// floorOf is the line below all minima that lies nearest to them, if it is no steeper than clocks are; else level, through the lowest.
func floorOf(windows []packed) line {
	lowest := slices.MinFunc(windows, func(a, b packed) int { return cmp.Compare(a.min, b.min) })
	level := line{from: 0, at: lowest.min}
	// One point a window: the recorders' together.
	points := map[int64]int64{}
	var times []int64
	for _, w := range windows {
		t := w.from + w.width/2
		if m, ok := points[t]; !ok {
			points[t] = w.min
			times = append(times, t)
		} else {
			points[t] = min(m, w.min)
		}
	}
	slices.Sort(times)
	if len(times) < minDrift {
		return level
	}
	// The lower hull; the sum of distances to the minima is least along its edge over their mean time.
	var hull []int64
	var mean float64
	for _, t := range times {
		mean += float64(t) / float64(len(times))
		for len(hull) >= 2 {
			a, b := hull[len(hull)-2], hull[len(hull)-1]
			if float64(points[b]-points[a])*float64(t-a) < float64(points[t]-points[a])*float64(b-a) {
				break
			}
			hull = hull[:len(hull)-1]
		}
		hull = append(hull, t)
	}
	for i := 1; i < len(hull); i++ {
		a, b := hull[i-1], hull[i]
		if float64(b) < mean {
			continue
		}
		slope := float64(points[b]-points[a]) / float64(b-a)
		if math.Abs(slope) > maxDrift {
			return level
		}
		return line{from: a, at: points[a], slope: slope}
	}
	return level
}

// delivered is the distribution of delays by time stamp, and what is known of the clocks. nil without any.
func (b *Board) delivered() (*hdrhistogram.Histogram, *result.Clock) {
	var windows []packed
	c := &result.Clock{}
	lowest, highest, sum, n := int64(math.MaxInt64), int64(math.MinInt64), 0.0, int64(0)
	for _, r := range b.workers {
		d := &r.delays
		if d.n == 0 {
			continue
		}
		d.pack()
		windows = append(windows, d.windows...)
		lowest, highest = min(lowest, d.min), max(highest, d.max)
		sum, n, c.Negative = sum+d.sum, n+d.n, c.Negative+d.negative
	}
	if len(windows) == 0 {
		return nil, nil
	}
	c.MinUS, c.MeanUS, c.MaxUS = float64(lowest)/1000, sum/float64(n)/1000, float64(highest)/1000
	var floor line
	switch {
	case b.sameClock && lowest >= -clockSlack:
		c.Same = true
	default:
		floor = floorOf(windows)
		c.FloorUS, c.DriftPPM = new(float64(floor.at)/1000), floor.slope*1e6
	}
	h := newHist()
	for _, w := range windows {
		under := floor.value(w.from + w.width/2)
		for _, s := range w.steps {
			// Within half a step of zero, or within half a window's drift, a difference may seem to lie below the floor.
			if h.RecordValues(max(0, w.base+s.value()-under)/1000, int64(s.count)) != nil {
				b.outside += int64(s.count)
			}
		}
	}
	return h, c
}
