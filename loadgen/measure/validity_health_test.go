package measure

import (
	"math"
	"strings"
	"testing"
	"time"

	"ssegauge/reports/result"
)

// What happened to this machine and this process decides by reason, each with what to do; what cannot be seen decides nothing.
func TestHealth(t *testing.T) {
	quantiles := func(us int64) *result.Quantiles {
		h := newHist()
		_ = h.RecordValues(us, 1000)
		return result.FromHist(h)
	}
	machine := func(own, busy, full float64) *result.Machine {
		return &result.Machine{Own: own, Busy: &busy, Full: &full}
	}
	for _, c := range []struct {
		name      string
		generator result.Generator
		lag       float64
		verdict   string
		want      string
	}{
		{"nothing seen", result.Generator{}, 0, Valid, ""},
		{"healthy", result.Generator{Machine: machine(0.3, 0.6, 0.1), GC: &result.GC{CPUShare: 0.1, PauseMaxUS: 900}, LagUS: quantiles(900), SchedUS: quantiles(9000), DelayUS: quantiles(900)}, 0.04, Valid, ""},
		{"own", result.Generator{Machine: machine(0.85, 0.9, 0)}, 0, Suspect, "the generator used 85 %"},
		{"all own", result.Generator{Machine: machine(0.96, 0.96, 0)}, 0, Invalid, "the generator used 96 %"},
		{"full", result.Generator{Machine: machine(0.2, 0.99, 0.9)}, 0, Suspect, "in 90 % of the time no processor of this machine was free (this process used 20 % of them, all others 79 %)"},
		{"full now and then", result.Generator{Machine: machine(0.2, 0.5, 0.11)}, 0, Suspect, "in 11 % of the time"},
		{"stolen", result.Generator{Machine: &result.Machine{Steal: new(0.07)}}, 0, Suspect, "the host took 7 %"},
		{"much stolen", result.Generator{Machine: &result.Machine{Steal: new(0.3)}}, 0, Invalid, "the host took 30 %"},
		{"throttled", result.Generator{Machine: &result.Machine{Throttled: new(0.05)}}, 0, Suspect, "held back by its processor quota in 5 %"},
		{"lag", result.Generator{}, 0.06, Suspect, "waited more than 10 ms for a processor in 6 %"},
		{"much lag", result.Generator{}, 0.3, Invalid, "waited more than 10 ms for a processor in 30 %"},
		{"garbage", result.Generator{GC: &result.GC{CPUShare: 0.4}}, 0, Suspect, "collecting garbage took 40 %"},
		{"pause", result.Generator{GC: &result.GC{PauseMaxUS: 72_000}}, 0, Suspect, "stopped the generator for 72.0 ms"},
		{"asks for half", result.Generator{Calibration: &result.Calibration{EventsPerSecond: 2000}}, 0, Valid, ""},
		{"asks for more", result.Generator{Calibration: &result.Calibration{EventsPerSecond: 1500}}, 0, Suspect, "the plan asks for 1,000 events/s, 67 % of the about 1,500 that this machine could receive"},
		{"not calibrated", result.Generator{Calibration: &result.Calibration{Note: "no calibration: x"}}, 0, Valid, ""},
		{"readers wait, and nothing is stamped", result.Generator{SchedUS: quantiles(9000)}, 0, Suspect, "45 % of the p99 of delivery"},
	} {
		l := delivered(t, 100, Health{}, func(int) time.Duration { return 20 * time.Millisecond })
		l.Generator = c.generator
		b := NewBoard(Config{Workers: 1})
		l.Streams.Opened = 1
		v := b.Judge(l, Health{Lag: c.lag, Asked: 1000})
		if v.Verdict != c.verdict || c.want != "" && (len(v.Reasons) != 1 || !strings.Contains(v.Reasons[0], c.want)) {
			t.Errorf("%s: %+v; want %s, %q", c.name, v, c.verdict, c.want)
		}
	}
}

// A delay counts by how long it lasts, not as one beat of many.
func TestMetronome(t *testing.T) {
	m, every := NewMetronome()
	if every != time.Millisecond || m.Share() != 0 || m.Quantiles().Count != 0 {
		t.Error("not empty")
	}
	for range 900 {
		m.Late(80 * time.Microsecond)
	}
	m.Late(100 * time.Millisecond)
	if s := m.Share(); math.Abs(s-0.09) > 0.005 {
		t.Errorf("%.3f of the time late, want 0.09", s)
	}
	if q := m.Quantiles(); *q.P50 > 81 || *q.P99 < 85_000 {
		t.Errorf("%+v", q)
	}
	m.Late(-time.Second) // woken early
	m.Late(48 * time.Hour)
}

func TestFromBuckets(t *testing.T) {
	q := FromBuckets([]uint64{90, 0, 9, 1}, []float64{math.Inf(-1), 1e-6, 1e-5, 1e-3, math.Inf(1)})
	if q.Count != 100 || *q.P50 != 1 || *q.P99 != 1000 || *q.Max != 1000 {
		t.Errorf("%+v", q)
	}
	if q := FromBuckets(nil, nil); q.Count != 0 {
		t.Errorf("%+v", q)
	}
}
