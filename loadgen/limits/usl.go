package limits

import (
	"math"
	"math/rand/v2"
	"slices"
)

// usl is the universal scalability law (Gunther 1993): what n streams bring in events a second. Lambda is what one brings, sigma what they contend for, kappa what each has to do
// because of each other.
type usl struct{ lambda, sigma, kappa float64 }

func (u usl) at(n float64) float64 {
	return u.lambda * n / (1 + u.sigma*(n-1) + u.kappa*n*(n-1))
}

// peak is the number of streams beyond which more bring less: at least one, +Inf where there is none.
func (u usl) peak() float64 {
	switch {
	case u.kappa <= 0:
		return math.Inf(1)
	case u.sigma >= 1:
		return 1
	}
	return max(1, math.Sqrt((1-u.sigma)/u.kappa))
}

// throughput is what was measured of so many streams: events a second in one slice of the time after the other.
type throughput struct {
	streams   int
	perSecond []float64
}

func (t *throughput) mean() float64 {
	sum := 0.0
	for _, x := range t.perSecond {
		sum += x
	}
	return sum / float64(len(t.perSecond))
}

// fitUSL fits the law to what each of these numbers of streams brought. ok is false for fewer than four of them, or for one that brought nothing.
//
// The law is linear in 1/lambda, sigma/lambda and kappa/lambda when it is written for n/X(n) = 1/lambda + sigma/lambda (n-1) + kappa/lambda n(n-1), and that is what is fitted, by
// least squares with weights (X/n)^2. Throughput errs by a share of itself, be it 10 or 10,000 streams, and so does n/X: with these weights each number of streams counts by its
// relative error, where plain least squares on X would see the largest throughputs only. A linear problem has one solution, which needs no first guess; that none of the three may
// be negative is kept by looking at each set of those that are not zero.
func fitUSL(streams, perSecond []float64) (u usl, ok bool) {
	if len(streams) < 4 || len(streams) != len(perSecond) {
		return u, false
	}
	rows := make([][3]float64, len(streams)) // each to be 1 when multiplied by the unknowns
	var scale [3]float64                     // columns of length 1: n(n-1) may be 1e10
	for i, n := range streams {
		if !(perSecond[i] > 0) || math.IsInf(perSecond[i], 0) || n < 1 {
			return u, false
		}
		y := n / perSecond[i]
		rows[i] = [3]float64{1 / y, (n - 1) / y, n * (n - 1) / y}
		for k, v := range rows[i] {
			scale[k] += v * v
		}
	}
	for k := range scale {
		if scale[k] = math.Sqrt(scale[k]); scale[k] == 0 {
			return u, false
		}
	}
	best := math.Inf(1)
	for _, set := range [][]int{{0}, {0, 1}, {0, 2}, {0, 1, 2}} {
		a, solved := leastSquares(rows, scale, set)
		if !solved || a[0] <= 0 || a[1] < 0 || a[2] < 0 {
			continue
		}
		off := 0.0
		for _, r := range rows {
			d := 1 - r[0]*a[0] - r[1]*a[1] - r[2]*a[2]
			off += d * d
		}
		if off < best {
			best, u = off, usl{1 / a[0], a[1] / a[0], a[2] / a[0]}
		}
	}
	return u, !math.IsInf(best, 1)
}

// leastSquares solves rows x a = 1 for the unknowns in set, the others being 0.
func leastSquares(rows [][3]float64, scale [3]float64, set []int) (a [3]float64, ok bool) {
	k := len(set)
	var m [3][4]float64 // normal equations
	for _, r := range rows {
		for i := range k {
			v := r[set[i]] / scale[set[i]]
			for j := range k {
				m[i][j] += v * r[set[j]] / scale[set[j]]
			}
			m[i][k] += v
		}
	}
	for i := range k {
		p := i
		for j := i + 1; j < k; j++ {
			if math.Abs(m[j][i]) > math.Abs(m[p][i]) {
				p = j
			}
		}
		m[i], m[p] = m[p], m[i]
		if math.Abs(m[i][i]) < 1e-12 {
			return a, false
		}
		for j := range k {
			if j == i {
				continue
			}
			f := m[j][i] / m[i][i]
			for c := i; c <= k; c++ {
				m[j][c] -= f * m[i][c]
			}
		}
	}
	for i := range k {
		a[set[i]] = m[i][k] / m[i][i] / scale[set[i]]
	}
	return a, true
}

// resamples is how often the fit is made again for an interval.
const resamples = 1000

// fitted is the law with what is known of its peak.
type fitted struct {
	usl
	low, high float64 // 95 % interval of the peak; +Inf: there may be none
	off       float64 // by which share of itself throughput is off the law: root mean square
}

// fitLevels fits the law to levels, with a bootstrap interval of its peak. Two things vary: the slices of a level, which are drawn anew from it, and levels, which are not measured
// at the same moment: each is moved by what some level was off the law, drawn from all, and widened for what the fit took out of them. The same levels give the same interval.
func fitLevels(levels []throughput) (f fitted, ok bool) {
	n := make([]float64, len(levels))
	x := make([]float64, len(levels))
	for i := range levels {
		if len(levels[i].perSecond) == 0 {
			return f, false
		}
		n[i], x[i] = float64(levels[i].streams), levels[i].mean()
	}
	if f.usl, ok = fitUSL(n, x); !ok {
		return f, false
	}
	offs := make([]float64, len(levels))
	for i := range levels {
		offs[i] = x[i]/f.at(n[i]) - 1
		f.off += offs[i] * offs[i] / float64(len(offs))
	}
	f.off = math.Sqrt(f.off)
	widened := math.Sqrt(float64(len(levels)) / float64(len(levels)-3))

	chance := rand.New(rand.NewPCG(1, 2))
	var peaks []float64
	again := make([]float64, len(levels))
	for range resamples {
		for i := range levels {
			sum := 0.0
			drawn := levels[i].perSecond
			for range drawn {
				sum += drawn[chance.IntN(len(drawn))]
			}
			within := sum / float64(len(drawn)) / x[i]
			again[i] = f.at(n[i]) * within * max(0.01, 1+widened*offs[chance.IntN(len(offs))])
		}
		if u, ok := fitUSL(n, again); ok {
			peaks = append(peaks, u.peak())
		}
	}
	if len(peaks) < resamples/2 {
		return f, false
	}
	slices.Sort(peaks)
	f.low, f.high = peaks[len(peaks)*25/1000], peaks[len(peaks)*975/1000]
	return f, true
}
