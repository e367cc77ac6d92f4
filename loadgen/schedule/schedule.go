// Package schedule says when things should happen: when stream n should open, when event n should be published. An
// [Arrival] is a pure function of n; whoever follows it keeps the clock, and what happens later than intended
// shows as lateness in the results and not as a thinner load.
//
// It imports the standard library only. To add a load shape: one type with At and Next, and one table in the test.
package schedule

import (
	"math"
	"time"
)

// Arrival gives the intended times of a series of n things, numbered from 0, as offsets from the start of the series.
type Arrival interface {
	// Len is how many there are.
	Len() int
	// At is the intended time of number n. It never decreases with n; n is from 0 to Len()-1.
	At(n int) time.Duration
	// Next is the first n whose intended time is t or later: the inverse of At. Len() if there is none.
	Next(t time.Duration) int
}

// Constant is a constant rate: number n is due at n/PerSecond.
type Constant struct {
	PerSecond float64       // more than 0
	For       time.Duration // how long it lasts: only what is due before For belongs to the series
}

// Len is the number of things due before For.
func (c Constant) Len() int {
	if c.PerSecond <= 0 || c.For <= 0 {
		return 0
	}
	n := int(math.Ceil(c.For.Seconds() * c.PerSecond))
	for n > 0 && c.At(n-1) >= c.For { // the product may have rounded up
		n--
	}
	return n
}

// At is n/PerSecond.
func (c Constant) At(n int) time.Duration { return c.Time(float64(n)) }

// Time is x/PerSecond, and never beyond For.
func (c Constant) Time(x float64) time.Duration {
	return min(c.For, time.Duration(x/c.PerSecond*float64(time.Second)))
}

// Next is the inverse of At.
func (c Constant) Next(t time.Duration) int { return next(c, int(t.Seconds()*c.PerSecond), t) }

// Step is one piece of a [Ramp]: the level goes from where it is to To, linearly within Over.
type Step struct {
	To   int
	Over time.Duration
}

// Ramp opens streams along a piecewise linear level: one step is a linear ramp, a step with the level of the one before it a plateau,
// a step with Over 0 a jump. Levels never fall.
type Ramp []Step

// Linear is a ramp to n within d; 0 opens all at once.
func Linear(n int, d time.Duration) Ramp { return Ramp{{To: n, Over: d}} }

// Len is the last level.
func (r Ramp) Len() int {
	if len(r) == 0 {
		return 0
	}
	return r[len(r)-1].To
}

// At is the time at which the level reaches n: stream 0 opens at once, and the last of a step one interval before the step's end, so that a ramp
// to n within d opens one stream every d/n.
func (r Ramp) At(n int) time.Duration { return r.Time(float64(n)) }

// Time is when the level reaches x.
func (r Ramp) Time(x float64) time.Duration {
	var from int
	var start time.Duration
	for _, s := range r {
		if x < float64(s.To) {
			return start + time.Duration(float64(s.Over)*(x-float64(from))/float64(s.To-from))
		}
		from, start = s.To, start+s.Over
	}
	return start
}

// Next is the inverse of At.
func (r Ramp) Next(t time.Duration) int {
	var from int
	var start time.Duration
	for _, s := range r {
		if end := start + s.Over; t <= end && s.To > from && s.Over > 0 {
			return next(r, from+int(float64(s.To-from)*float64(t-start)/float64(s.Over)), t)
		}
		from, start = s.To, start+s.Over
	}
	return next(r, r.Len(), t)
}

// Total is how long the ramp lasts, plateaus included.
func (r Ramp) Total() time.Duration {
	var d time.Duration
	for _, s := range r {
		d += s.Over
	}
	return d
}

// Part is every count-th of an arrival, beginning with number index: one machine's share. Shares of all machines together are the whole, each at its own time.
type Part struct {
	Arrival
	Index, Count int
}

// Len is the size of the share.
func (p Part) Len() int { return (p.Arrival.Len() - p.Index + p.Count - 1) / p.Count }

// At is the intended time of the share's number n.
func (p Part) At(n int) time.Duration { return p.Arrival.At(p.Index + n*p.Count) }

// Next is the inverse of At.
func (p Part) Next(t time.Duration) int {
	return max(0, min(p.Len(), (p.Arrival.Next(t)-p.Index+p.Count-1)/p.Count))
}

// next mends a guess of the inverse, which floating point may have put one or two beside it.
func next(a Arrival, guess int, t time.Duration) int {
	n := a.Len()
	guess = max(0, min(n, guess))
	for guess > 0 && a.At(guess-1) >= t {
		guess--
	}
	for guess < n && a.At(guess) < t {
		guess++
	}
	return guess
}
