package limits

import (
	"math"
	"math/rand/v2"
	"testing"
)

// synthetic measures a law at twelve numbers of streams up to most, in ten slices each, off by shares of itself: of each level, and of each slice.
func synthetic(u usl, most int, between, within float64, seed uint64) []throughput {
	chance := rand.New(rand.NewPCG(seed, 0))
	var levels []throughput
	for i := range 12 {
		n := int(math.Round(4 * math.Pow(float64(most)/4, float64(i)/11)))
		t := throughput{streams: n}
		moved := 1 + between*chance.NormFloat64()
		for range 10 {
			t.perSecond = append(t.perSecond, u.at(float64(n))*moved*(1+within*chance.NormFloat64()))
		}
		levels = append(levels, t)
	}
	return levels
}

// The law that made the figures is found again, whatever its parameters; those at the edge of what they may be too.
func TestFitUSL(t *testing.T) {
	for _, want := range []usl{
		{1000, 0, 0},
		{1000, 0.05, 0},
		{1000, 0, 1e-6},
		{5000, 0.9, 1e-5},
		{300, 0.02, 1e-4},
		{1, 0.5, 1e-8},
		{20_000, 0.999, 1e-9},
	} {
		f, ok := fitLevels(synthetic(want, 10_000, 0, 0, 1))
		near := func(a, b float64) bool { return math.Abs(a-b) <= 1e-6*math.Max(math.Abs(b), 1e-6) }
		if !ok || !near(f.lambda/want.lambda, 1) || !near(f.sigma, want.sigma) || math.Abs(f.kappa-want.kappa) > 1e-4*want.kappa+1e-12 || f.off > 1e-6 {
			t.Errorf("%+v; want %+v", f, want)
		}
	}
	for _, u := range []usl{{1000, 2, 0.1}, {1000, 0.5, 1}} {
		if p := u.peak(); p != 1 {
			t.Errorf("the peak of %+v is %v, want 1", u, p)
		}
	}
}

// Of noisy figures the interval holds the true peak nearly as often as it says, and is no wider than it is of use.
func TestBootstrapUSL(t *testing.T) {
	for _, c := range []struct {
		law             usl
		most            int
		between, within float64
		atLeast         int     // of 20 times the interval holds the peak
		width           float64 // high/low at most, most often
	}{
		{usl{1000, 0.05, 1e-6}, 10_000, 0.02, 0.05, 16, 2},
		{usl{1000, 0.02, 1e-4}, 1000, 0.05, 0.1, 16, 2},
		{usl{5000, 0.9, 1e-3}, 1000, 0.02, 0.05, 16, 20},
	} {
		held, wide := 0, 0
		for seed := range uint64(20) {
			f, ok := fitLevels(synthetic(c.law, c.most, c.between, c.within, seed))
			if !ok {
				t.Fatalf("%+v: no fit", c.law)
			}
			if peak := c.law.peak(); f.low <= peak && peak <= f.high {
				held++
			}
			if f.high/f.low > c.width {
				wide++
			}
		}
		t.Logf("%+v, peak %.0f: held %d, wide %d of 20", c.law, c.law.peak(), held, wide)
		if held < c.atLeast || wide > 5 {
			t.Errorf("%+v: of 20 intervals %d hold the peak, %d are wide", c.law, held, wide)
		}
	}
}

// What is no measurement is not fitted.
func TestFitUSLNot(t *testing.T) {
	good := []throughput{{4, []float64{400}}, {8, []float64{700}}, {16, []float64{1000}}, {32, []float64{1200}}}
	if _, ok := fitLevels(good); !ok {
		t.Error("four levels are not enough")
	}
	for _, bad := range [][]throughput{
		nil,
		good[:3],
		append([]throughput{{2, nil}}, good...),
		append([]throughput{{2, []float64{0}}}, good...),
		append([]throughput{{0, []float64{5}}}, good...),
		append([]throughput{{2, []float64{math.Inf(1)}}}, good...),
	} {
		if f, ok := fitLevels(bad); ok {
			t.Errorf("%v: %+v", bad, f)
		}
	}
	same := []throughput{{7, []float64{400}}, {7, []float64{400}}, {7, []float64{400}}, {7, []float64{410}}}
	if f, ok := fitLevels(same); ok && (f.sigma > 0 || f.kappa > 0) && f.at(7) < 300 {
		t.Errorf("%+v", f)
	}
}
