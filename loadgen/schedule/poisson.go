package schedule

import (
	"math"
	"sort"
	"time"
)

// Level is an [Arrival] of which it is known when it reaches any part of a number.
type Level interface {
	Arrival
	// Time is when the level reaches x, from 0 to Len(): At(n) is Time(n).
	Time(x float64) time.Duration
}

// Poisson is a level whose things come by chance: as many as the level has, in the same time, at its rate on average, and independent of each other.
// It is a Poisson process of which the number of arrivals is given, so that a plan's count and end stay what they are. The same seed gives the same times.
type Poisson struct {
	of    Level
	seed  uint64
	marks []float64 // the sum of the gaps before number i*stride
	scale float64   // from sums of gaps to levels
}

// stride is how many gaps are drawn again to find one time: what is remembered is a quarter of a byte for each thing.
const stride = 32

// NewPoisson draws the times of a level's things.
func NewPoisson(of Level, seed uint64) *Poisson {
	p := &Poisson{of: of, seed: seed}
	n := of.Len()
	var sum float64
	for i := range n {
		if i%stride == 0 {
			p.marks = append(p.marks, sum)
		}
		sum += p.gap(i)
	}
	sum += p.gap(n)
	p.scale = float64(n) / sum
	return p
}

// gap is the time before thing n, drawn from the exponential distribution with mean 1.
func (p *Poisson) gap(n int) float64 {
	return -math.Log(float64(Draw(p.seed, n)>>11+1) / (1 << 53))
}

// Draw is the n-th of a seed's random numbers (splitmix64): any of them can be had alone.
func Draw(seed uint64, n int) uint64 {
	z := seed + (uint64(n)+1)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Len is that of the level.
func (p *Poisson) Len() int { return p.of.Len() }

// At is when thing n comes.
func (p *Poisson) At(n int) time.Duration {
	sum := p.marks[n/stride]
	for i := n / stride * stride; i <= n; i++ {
		sum += p.gap(i)
	}
	return p.of.Time(sum * p.scale)
}

// Next is the inverse of At.
func (p *Poisson) Next(t time.Duration) int {
	// The last block that begins before t, and then one by one.
	k := sort.Search(len(p.marks), func(k int) bool { return p.of.Time(p.marks[k]*p.scale) >= t }) - 1
	if k < 0 {
		return 0
	}
	sum := p.marks[k]
	for n := k * stride; n < min((k+1)*stride, p.Len()); n++ {
		if sum += p.gap(n); p.of.Time(sum*p.scale) >= t {
			return n
		}
	}
	return min((k+1)*stride, p.Len())
}
