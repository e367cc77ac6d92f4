package measure

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"ssegauge/loadgen/schedule"
	"ssegauge/reports/result"
)

// A run that is slow where its canary is not is its generator's fault only if the generator reads late, and none at all if the canary was served first.
func TestJudgeCanary(t *testing.T) {
	all := func(d time.Duration, n int64) *result.Quantiles {
		h := newHist()
		_ = h.RecordValues(d.Microseconds(), n)
		return result.FromHist(h)
	}
	const ms = time.Millisecond
	for _, c := range []struct {
		name               string
		run, canary, delay time.Duration // delay 0: not known
		n                  int64         // deliveries to the canary
		rho                float64
		want               string
	}{
		{"generator", 900 * ms, 20 * ms, 800 * ms, 300, 0, "p99 of delivery is 900 ms here and 20.0 ms to 3 streams"},
		{"generator, no stamps", 900 * ms, 20 * ms, 0, 300, 0, "p99 of delivery"},
		{"generator, few events", 900 * ms, 20 * ms, 800 * ms, 50, 0, "p90 of delivery"},
		{"target", 900 * ms, 850 * ms, 800 * ms, 300, 0, ""},
		{"late in the order", 100 * ms, 20 * ms, 5 * ms, 300, 0, ""},
		{"first in the order", 100 * ms, 20 * ms, 90 * ms, 300, -0.9, ""},
		{"nothing to speak of", 5 * ms, 1 * ms, 5 * ms, 300, 0, ""},
		{"one delivery", 900 * ms, 20 * ms, 800 * ms, 1, 0, ""},
	} {
		l := &result.Load{LatencyUS: map[string]*result.Quantiles{"deliver": all(c.run, 1000)}, PositionBias: &result.PositionBias{Rho: c.rho}}
		l.Generator.Canary = &result.Canary{Streams: 3, DeliverUS: all(c.canary, c.n)}
		if c.delay > 0 {
			l.Generator.DelayUS = all(c.delay, 1000)
		}
		got := ""
		judgeCanary(l, func(_, format string, args ...any) { got = fmt.Sprintf(format, args...) })
		if (got == "") != (c.want == "") || !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// What a canary reports counts only if it was published, after the warm-up, and came in time.
func TestCanaryCounts(t *testing.T) {
	b := NewBoard(Config{Workers: 1, Events: schedule.Constant{PerSecond: 10, For: 2 * time.Second}, Warm: 500 * time.Millisecond, Start: time.Second, Deadline: time.Second, Marker: NewMarker("v")})
	for q := range uint32(10) {
		b.Begin(q)
	}
	c := b.Canary()
	due := func(q int) int64 { return int64(time.Second) + int64(q)*int64(100*time.Millisecond) }
	c.Arrived(4, due(4)+1e6) // warm-up
	c.Arrived(5, due(5)+1e6)
	c.Arrived(5, due(5)+3e6)
	c.Arrived(6, due(6)-1000) // clocks differ by a little
	c.Arrived(7, due(7)+2e9)  // too late
	c.Arrived(11, due(11))    // of the future
	if q := c.Quantiles(); q.Count != 3 || q.Events != 2 || *q.Max < 2990 || *q.Max > 3010 || *q.Min != 0 {
		t.Errorf("%+v", q)
	}
}
