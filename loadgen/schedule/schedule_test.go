package schedule

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const ms = time.Millisecond

func TestAt(t *testing.T) {
	for _, c := range []struct {
		name string
		a    Arrival
		want []time.Duration // intended times of 0, 1, 2 ...
	}{
		{"ten a second", Constant{PerSecond: 10, For: 400 * ms}, []time.Duration{0, 100 * ms, 200 * ms, 300 * ms}},
		{"end is open", Constant{PerSecond: 10, For: 301 * ms}, []time.Duration{0, 100 * ms, 200 * ms, 300 * ms}},
		{"less than one a second", Constant{PerSecond: 0.5, For: 5 * time.Second}, []time.Duration{0, 2 * time.Second, 4 * time.Second}},
		{"rate of none", Constant{For: time.Second}, nil},
		{"ramp", Linear(4, time.Second), []time.Duration{0, 250 * ms, 500 * ms, 750 * ms}},
		{"all at once", Linear(3, 0), []time.Duration{0, 0, 0}},
		{"steps", Ramp{{2, time.Second}, {2, time.Second}, {4, 0}, {5, time.Second}}, []time.Duration{0, 500 * ms, 2000 * ms, 2000 * ms, 2000 * ms}},
		{"first half", Part{Linear(5, time.Second), 0, 2}, []time.Duration{0, 400 * ms, 800 * ms}},
		{"second half", Part{Linear(5, time.Second), 1, 2}, []time.Duration{200 * ms, 600 * ms}},
		{"share of nothing", Part{Linear(1, time.Second), 1, 2}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.a.Len() != len(c.want) {
				t.Fatalf("Len = %d, want %d", c.a.Len(), len(c.want))
			}
			for n, want := range c.want {
				if got := c.a.At(n); got != want {
					t.Errorf("At(%d) = %v, want %v", n, got, want)
				}
			}
		})
	}
}

func TestNext(t *testing.T) {
	c := Constant{PerSecond: 10, For: time.Second}
	for _, w := range []struct {
		t time.Duration
		n int
	}{{-ms, 0}, {0, 0}, {1, 1}, {100 * ms, 1}, {101 * ms, 2}, {900 * ms, 9}, {901 * ms, 10}, {time.Hour, 10}} {
		if got := c.Next(w.t); got != w.n {
			t.Errorf("Next(%v) = %d, want %d", w.t, got, w.n)
		}
	}
}

// Every shape: At never falls, and Next is its inverse; the shares of a schedule are the schedule.
func TestShapes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a Arrival = Constant{PerSecond: rapid.Float64Range(0.1, 50_000).Draw(t, "rate"), For: time.Duration(rapid.IntRange(1, 2e9).Draw(t, "for"))}
		if rapid.Bool().Draw(t, "ramp") {
			var r Ramp
			for level := 0; len(r) < 4; {
				level += rapid.IntRange(0, 200).Draw(t, "more")
				r = append(r, Step{level, time.Duration(rapid.IntRange(0, 1e9).Draw(t, "over"))})
			}
			a = r
		}
		if rapid.Bool().Draw(t, "poisson") {
			a = NewPoisson(a.(Level), rapid.Uint64().Draw(t, "seed"))
		}
		if n := a.Len(); n > 0 {
			i := rapid.IntRange(0, n-1).Draw(t, "n")
			at := a.At(i)
			if i > 0 && a.At(i-1) > at {
				t.Fatalf("At(%d) = %v is after At(%d) = %v", i-1, a.At(i-1), i, at)
			}
			if got := a.Next(at); got > i || a.At(got) != at {
				t.Fatalf("Next(At(%d)) = %d", i, got)
			}
			if got := a.Next(at + 1); got <= i {
				t.Fatalf("Next just after At(%d) = %d", i, got)
			}
		}
		k := rapid.IntRange(1, 5).Draw(t, "parts")
		sum := 0
		for i := range k {
			p := Part{a, i, k}
			sum += p.Len()
			if p.Len() > 0 {
				last := p.Len() - 1
				if p.At(last) != a.At(i+last*k) || p.Next(p.At(last)) > last || p.Next(p.At(last)+1) <= last {
					t.Fatalf("part %d of %d: At and Next disagree", i, k)
				}
			}
		}
		if sum != a.Len() {
			t.Fatalf("parts add up to %d of %d", sum, a.Len())
		}
	})
}

// The gaps of a Poisson schedule are those of the exponential distribution, its numbers in equal times those of the Poisson distribution, whatever the level is.
func TestPoisson(t *testing.T) {
	const n, rate = 100_000, 1000.0
	p := NewPoisson(Constant{PerSecond: rate, For: n / rate * time.Second}, 7)
	if p.Len() != n || p.At(n-1) > n/rate*time.Second {
		t.Fatalf("%d, the last at %v", p.Len(), p.At(n-1))
	}
	gaps := make([]float64, 0, n)
	counts := make([]float64, n/rate*10) // in tenths of seconds
	for i := range n {
		at := p.At(i).Seconds()
		counts[min(len(counts)-1, int(at*10))]++
		if i > 0 {
			gaps = append(gaps, at-p.At(i-1).Seconds())
		}
	}
	slices.Sort(gaps)
	worst := 0.0 // Kolmogorov and Smirnov's distance
	for i, g := range gaps {
		worst = max(worst, math.Abs(1-math.Exp(-rate*g)-float64(i)/float64(len(gaps))))
	}
	if limit := 1.63 / math.Sqrt(n); worst > limit { // significance 0.01; the seed is fixed
		t.Errorf("distance to the exponential distribution %.4f, limit %.4f", worst, limit)
	}
	var dispersion float64
	for _, c := range counts {
		dispersion += (c - rate/10) * (c - rate/10) / (rate / 10) / float64(len(counts))
	}
	if dispersion < 0.85 || dispersion > 1.15 {
		t.Errorf("variance over mean of counts %.3f, want about 1", dispersion)
	}
	if q := NewPoisson(Constant{PerSecond: rate, For: n / rate * time.Second}, 7); q.At(n/2) != p.At(n/2) {
		t.Error("the same seed gives other times")
	}
	if q := NewPoisson(Constant{PerSecond: rate, For: n / rate * time.Second}, 8); q.At(n/2) == p.At(n/2) {
		t.Error("another seed gives the same times")
	}
	// Nothing comes on a plateau, and a jump stays one.
	steps := NewPoisson(Ramp{{100, time.Second}, {100, time.Second}, {200, time.Second}, {300, 0}, {300, time.Second}}, 1)
	for i := range steps.Len() {
		at := steps.At(i)
		if at > time.Second && at < 2*time.Second || at > 3*time.Second {
			t.Fatalf("number %d comes at %v", i, at)
		}
	}
	if k := steps.Next(3 * time.Second); k < 180 || k > 230 || steps.At(299) != 3*time.Second {
		t.Errorf("%d before the jump, the last at %v", k, steps.At(299))
	}
	if none := NewPoisson(Constant{}, 1); none.Len() != 0 || none.Next(time.Hour) != 0 {
		t.Error("a share of nothing")
	}
}
