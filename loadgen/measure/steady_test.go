package measure

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"ssegauge/loadgen/schedule"
	"ssegauge/reports/result"
)

// series is n points, ten a second, of which level says how long each took, in ms, with noise that is alike from one to the next.
func series(seed uint64, n int, level func(s float64) float64) []point {
	rng := rand.New(rand.NewPCG(seed, 1))
	p := make([]point, n)
	noise := 0.0
	for i := range p {
		noise = 0.5*noise + 0.2*rng.NormFloat64()
		at := float64(i) / 10
		p[i] = point{at, 1000 * level(at) * math.Exp(noise)}
	}
	return p
}

// A level that stays is steady however it is scattered, one that grows, falls or jumps is not, and a change that nobody minds is none.
func TestSteady(t *testing.T) {
	flat := func(ms float64) func(float64) float64 { return func(float64) float64 { return ms } }
	for _, c := range []struct {
		name    string
		n       int
		level   func(s float64) float64
		verdict string
		at      float64 // of the change, s; 0: not asked
	}{
		{"flat", 100, flat(20), steady, 0},
		{"flat for long", 3000, flat(20), steady, 0},
		{"slow and flat", 100, flat(900), steady, 0},
		{"grows without end", 100, func(s float64) float64 { return 20 + 90*s }, drifts, 0},
		{"grows in three seconds", 30, func(s float64) float64 { return 20 + 90*s }, drifts, 0},
		{"up to the deadline", 100, func(s float64) float64 { return min(20+900*s, 5000) }, drifts, 0},
		{"too few", 19, func(s float64) float64 { return 20 + 90*s }, unknown, 0},
		{"falls", 100, func(s float64) float64 { return 20 + 200*math.Exp(-s/3) }, drifts, 0},
		{"jumps", 100, func(s float64) float64 { return 20 + 100*math.Copysign(0.5, s-6) + 50 }, drifts, 6},
		{"a little more, of little", 100, func(s float64) float64 { return 1 + 0.3*s }, steady, 0},
		{"one second of trouble", 100, func(s float64) float64 {
			if s > 4 && s < 5 {
				return 500
			}
			return 20
		}, steady, 0},
	} {
		wrong := 0
		for seed := range uint64(100) {
			s := steadyOf("fanout_t50", series(seed, c.n, c.level))
			if s.Verdict != c.verdict {
				wrong++
			}
			if s.Verdict == drifts && c.at > 0 && math.Abs(s.ChangeMS/1000-c.at) > 1.1 {
				t.Errorf("%s: changed at %v ms, not %v s", c.name, s.ChangeMS, c.at)
			}
			if s.Verdict != unknown && (s.LowUS > s.SlopeUS || s.SlopeUS > s.HighUS) {
				t.Errorf("%s: slope %v not in %v to %v", c.name, s.SlopeUS, s.LowUS, s.HighUS)
			}
		}
		if wrong > 3 {
			t.Errorf("%s: %d of 100 are not %s", c.name, wrong, c.verdict)
		}
	}
	if s := steadyOf("x", nil); s.Verdict != unknown {
		t.Errorf("nothing is %s", s.Verdict)
	}
	if s := steadyOf("x", make([]point, 50)); s.Verdict != steady {
		t.Errorf("fifty equal points at one time are %s", s.Verdict)
	}
}

// The slope is that of the line.
func TestSlope(t *testing.T) {
	p := make([]point, 20)
	for i := range p {
		p[i] = point{float64(i), 100 + 7*float64(i)}
	}
	p[3].us = 1e9 // one that does not fit
	z, low, slope, high := kendall(p)
	if slope != 7 || low > 7 || high < 7 || z < 4 {
		t.Errorf("slope %v in %v to %v, z %v", slope, low, high, z)
	}
}

// delivered is a run at 10/s to ten streams in which event q reaches them after took(q); negative: never.
func delivered(t *testing.T, n int, h Health, took func(q int) time.Duration) *result.Load {
	t.Helper()
	events := schedule.Constant{PerSecond: 10, For: time.Duration(n) * 100 * time.Millisecond}
	b := NewBoard(Config{Workers: 1, Events: events, Deadline: time.Second, Marker: NewMarker("v")})
	r := b.Recorder(0)
	streams := make([]Stream, 10)
	r.Lock()
	for i := range streams {
		r.Opened(&streams[i], Opening{})
	}
	r.Unlock()
	for q := range events.Len() {
		marker, due, ok := b.Begin(uint32(q))
		if !ok {
			t.Fatal("no room")
		}
		b.Sent(uint32(q), due)
		b.Done(uint32(q), due, Published, "")
		r.Lock()
		for i := range streams {
			if d := took(q); d >= 0 {
				r.Event(&streams[i], []byte(marker), nil, nil, due+int64(d), 0)
			}
		}
		r.Unlock()
		b.conclude(due+int64(2*time.Second), false)
	}
	b.Finish()
	l := new(result.Load)
	b.Fill(l)
	l.Validity = b.Judge(l, h)
	return l
}

// A target that does not keep up is not valid, and told from one that warms up and one to which something happens.
func TestSteadyReasons(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		health Health
		took   func(q int) time.Duration
		want   string // of the reason; "": valid
	}{
		{Health{}, func(q int) time.Duration { return 20 * ms }, ""},
		{Health{}, func(q int) time.Duration { return 20*ms + time.Duration(q)*9*ms }, "delivery grew from 60.5 ms to 870 ms: the target does not keep up at 10/s to 10 streams"},
		{Health{Varies: true}, func(q int) time.Duration { return 20*ms + time.Duration(q)*9*ms }, ""},
		{Health{}, func(q int) time.Duration { return max(20*ms, time.Duration(800-20*q)*ms) }, "delivery fell from 710 ms to 20.0 ms, most of it in the first"},
		{Health{}, func(q int) time.Duration { return []time.Duration{20 * ms, 200 * ms}[q/60] }, "delivery went from 20.0 ms to 200 ms at once, 6s after the first event"},
		// Never is as late as it gets.
		{Health{}, func(q int) time.Duration { return []time.Duration{20 * ms, -1}[q/50] }, "delivery went from 20.0 ms to 1.00 s at once, 5s after"},
	} {
		l := delivered(t, 100, c.health, c.took)
		v := l.Validity
		if c.want == "" && (v.Verdict != Valid || len(v.Reasons) > 0) || c.want != "" && (v.Verdict != Suspect || !strings.Contains(strings.Join(v.Reasons, "\n"), c.want)) {
			t.Errorf("%+v, %+v; want %q", v, l.Steady, c.want)
		}
	}
}

// The percentiles that thresholds read count what never came as the latest: losing events betters none of them.
func TestLostIsLate(t *testing.T) {
	l := delivered(t, 400, Health{Varies: true}, func(q int) time.Duration {
		if q%20 == 19 {
			return -1
		}
		return time.Duration(q%20+1) * time.Millisecond
	})
	d := l.LatencyUS["deliver"]
	if d.Never != 200 || d.Count != 3800 || d.Events != 400 || l.Events.Lost != 200 {
		t.Fatalf("%+v of %+v", d, l.Events)
	}
	if p := d.Beyond(0.9, d.Never); p == nil || math.Abs(*p-18000) > 100 {
		t.Errorf("p90 of all %v", p)
	}
	if p := d.Beyond(0.99, d.Never); p != nil {
		t.Errorf("p99 of all %v, but 5 %% never came", *p)
	}
	if i := d.CI95["p90"]; i.Low == nil || i.High == nil || *i.High < 18000 {
		t.Errorf("p90 of all in %+v", i)
	}
	if i := d.CI95["p99"]; i.High != nil {
		t.Errorf("p99 at most %v, but 5 %% never came", *i.High)
	}
	f := l.LatencyUS["fanout_t100"]
	if f.Never != 20 || f.Beyond(0.99, f.Never) != nil || f.CI95["p99"].High != nil || f.CI95["p50"].High == nil {
		t.Errorf("%+v", f)
	}
}
