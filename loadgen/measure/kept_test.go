package measure

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// Many events are thinned fairly: also of those that come by turns about as many stay.
func TestKeptIsBounded(t *testing.T) {
	var k kept
	o := new(offsets)
	for i := range 400 {
		o.add(int64(100+i), 1)
	}
	for q := range uint32(100_000) {
		k.add(keptEvent{seq: q, arrived: 400}, o)
		if len(k.events) > keptEvents || k.steps > keptSteps {
			t.Fatalf("%d events, %d steps", len(k.events), k.steps)
		}
	}
	if k.steps < keptSteps/3 {
		t.Errorf("only %d steps are kept", k.steps)
	}
	var by [4]int
	for _, e := range k.events {
		by[e.seq%4]++
	}
	if slices.Min(by[:])*3 < slices.Max(by[:])*2 {
		t.Errorf("by turns: %v", by)
	}
}

// clustered is a run of n events with receivers deliveries each, which have the greater part of their delay in common. Its true median is 10 ms.
func clustered(rng *rand.Rand, n, receivers int) *kept {
	k := new(kept)
	for q := range n {
		level := 10_000 * math.Exp(0.5*rng.NormFloat64())
		o := new(offsets)
		for range receivers {
			o.add(int64(level*math.Exp(0.05*rng.NormFloat64())), 1)
		}
		k.add(keptEvent{seq: uint32(q), arrived: int64(receivers)}, o)
	}
	return k
}

// The interval of the median holds it about as often as it says, which one over deliveries would not by far.
func TestCoverage(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	const runs = 60
	hit := 0
	width := 0.0
	for range runs {
		i := clustered(rng, 100, 200).intervals(100)["p50"]
		if *i.Low <= 10_000 && 10_000 <= *i.High {
			hit++
		}
		width += (*i.High - *i.Low) / 10_000 / runs
	}
	if hit < runs*90/100 || hit == runs {
		t.Errorf("%d of %d intervals hold the median", hit, runs)
	}
	if width < 0.15 || width > 0.4 { // 2 x 1.96 x 1.25 x 0.5 / 10
		t.Errorf("%.2f wide", width)
	}
}

// What the number of events does not bound has no bound, however many deliveries there were.
func TestIntervalBounds(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	for _, c := range []struct {
		n    int
		high map[string]bool
	}{
		{5, map[string]bool{"p50": false}},
		{99, map[string]bool{"p50": true, "p90": true}},
		{100, map[string]bool{"p50": true, "p90": true, "p99": false}},
		{367, map[string]bool{"p99": false}},
		{368, map[string]bool{"p99": true}},
		{1000, map[string]bool{"p99": true, "p99_9": false}},
	} {
		all := clustered(rng, c.n, 50).intervals(int64(c.n))
		for name, want := range c.high {
			i, ok := all[name]
			if !ok || (i.High != nil) != want {
				t.Errorf("%d events, %s: %v, %+v", c.n, name, ok, i)
			}
		}
		if _, ok := all["p99"]; ok && c.n < 100 {
			t.Errorf("%d events have an interval of p99", c.n)
		}
	}
	if got := new(kept).intervals(0); got != nil {
		t.Errorf("of nothing: %v", got)
	}
}
