package measure

import "math/bits"

// offsets is a small histogram of the arrival offsets of one event, in microseconds, from which the order statistics over its receivers are read:
// log-linear with 64 steps an octave. A value is reported as the middle of its step, never outside the exact extremes: at most 0.8 % off. One
// costs 7 KB while its event is under way.
type offsets struct {
	counts [offsetSteps]uint32
	lo, hi int // the steps in use: lo <= i < hi
}

const (
	subBits     = 6
	offsetSteps = (32-subBits)<<subBits + 1<<subBits // up to 2^32 us, more than an hour
)

func step(us int64) int {
	us = max(0, min(us, 1<<32-1))
	if us < 1<<(subBits+1) {
		return int(us)
	}
	shift := bits.Len64(uint64(us)) - subBits - 1
	return shift<<subBits + int(us>>shift)
}

// middle is the middle of step i, in microseconds.
func middle(i int) int64 {
	if i < 1<<(subBits+1) {
		return int64(i)
	}
	shift := i>>subBits - 1
	return int64(i-shift<<subBits)<<shift + 1<<shift/2
}

func (o *offsets) add(us int64, n uint32) { o.addStep(step(us), n) }

func (o *offsets) addStep(i int, n uint32) {
	if o.hi == 0 {
		o.lo, o.hi = i, i+1
	}
	o.lo, o.hi = min(o.lo, i), max(o.hi, i+1)
	o.counts[i] += n
}

func (o *offsets) merge(from *offsets) {
	for i := from.lo; i < from.hi; i++ {
		if c := from.counts[i]; c > 0 {
			o.addStep(i, c)
		}
	}
}

func (o *offsets) reset() {
	clear(o.counts[o.lo:o.hi])
	o.lo, o.hi = 0, 0
}

// rank is the value of the n-th smallest sample, n from 1.
func (o *offsets) rank(n int64) int64 {
	for i := o.lo; i < o.hi; i++ {
		if n -= int64(o.counts[i]); n <= 0 {
			return middle(i)
		}
	}
	return middle(o.hi - 1)
}
