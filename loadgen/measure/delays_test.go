package measure

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestStamp(t *testing.T) {
	const want = int64(1_795_350_000_123_456_789)
	for _, tc := range []struct {
		json, expr, data string
		ns               int64 // 0: none
		says             string
	}{
		{"t", "", `{"t":1795350000123456789}`, want, "JSON t, ns"},
		{"t", "", ` { "a" : [1,{"t":5}] , "t" : 1795350000123456 } `, want / 1e3 * 1e3, "us"},
		{"$.t", "", `{"t":1795350000123}`, want / 1e6 * 1e6, "JSON $.t, ms"},
		{"t", "", `{"t":"1795350000"}`, want / 1e9 * 1e9, ", s"},
		{"t", "", `{"t":1795350000.123456789}`, want, "decimal s"},
		{"t", "", `{"t":1795350000123.456789}`, want, "decimal ms"},
		{"t", "", `{"t":1795350000123456789.9}`, want, "decimal ns"},
		{"t", "", `{"t":1.79535000012345e9}`, want / 1e4 * 1e4, "decimal s"},
		{"t", "", `{"t":"2026-11-22T13:00:00.5Z"}`, time.Date(2026, 11, 22, 13, 0, 0, 5e8, time.UTC).UnixNano(), "RFC 3339"},
		{"t", "", `{"t":"2026-11-22T14:00:00+01:00"}`, time.Date(2026, 11, 22, 13, 0, 0, 0, time.UTC).UnixNano(), "RFC 3339"},
		{"meta.items[1].t", "", `{"x":"}{,","meta":{"items":[0,{"u":"\"","t":1795350000}]}}`, want / 1e9 * 1e9, ", s"},
		{"/meta/a~1b/0", "", `{"meta":{"a/b":[1795350000]}}`, want / 1e9 * 1e9, ", s"},
		{"", `at=(\d+)`, `note at=1795350000123 end`, want / 1e6 * 1e6, "expression at=(\\d+), ms"},
		{"", `\d{19}`, `x1795350000123456789y`, want, "ns"},
		{"", `a(\d)?`, `a`, 0, ""},
		{"t", "", `{"t":12345}`, 0, ""}, // since a start that nobody knows
		{"t", "", `{"t":9999999999999999999}`, 0, ""},
		{"t", "", `{"t":"yesterday"}`, 0, ""},
		{"t", "", `{"t":null}`, 0, ""},
		{"t", "", `{"t":{}}`, 0, ""},
		{"t", "", `{"u":1}`, 0, ""},
		{"t", "", `{"t":`, 0, ""},
		{"t", "", `{"t`, 0, ""},
		{"t", "", ``, 0, ""},
		{"t", "", `[1795350000]`, 0, ""},
		{"[0]", "", `[1795350000]`, want / 1e9 * 1e9, ", s"},
		{"[1]", "", `[1795350000]`, 0, ""},
		{"t", "", `1795350000`, 0, ""},
	} {
		s, err := StampJSON(tc.json)
		if tc.expr != "" {
			s, err = StampRegexp(tc.expr)
		}
		if err != nil {
			t.Errorf("%+v: %v", tc, err)
			continue
		}
		ns, ok := s.find([]byte(tc.data))
		if ok != (tc.ns != 0) || ns != tc.ns || !strings.Contains(s.String(), tc.says) {
			t.Errorf("%s%s in %s: %d, %v, %q; want %d, %q", tc.json, tc.expr, tc.data, ns, ok, s, tc.ns, tc.says)
		}
	}
	for _, bad := range []string{"", "$", "a..b", "."} {
		if s, err := StampJSON(bad); err == nil {
			t.Errorf("path %q is taken for %v", bad, s.path)
		}
	}
	if _, err := StampRegexp("("); err == nil {
		t.Error("a broken expression is taken")
	}
	// The unit is one for all.
	s, _ := StampJSON("t")
	s.find([]byte(`{"t":1795350000}`))
	if ns, ok := s.find([]byte(`{"t":1795350000123}`)); ok {
		t.Errorf("milliseconds among seconds: %d", ns)
	}
}

func FuzzStamp(f *testing.F) {
	f.Add(`{"a":[1,{"t":1795350000}]}`)
	f.Add(`[[[["\\"]]],{"t"`)
	f.Fuzz(func(t *testing.T, data string) {
		for _, p := range []string{"t", "a[1].t", "/a/1/t"} {
			s, err := StampJSON(p)
			if err != nil {
				t.Fatal(err)
			}
			s.find([]byte(data))
		}
	})
}

// stampedRun feeds one stream events of a clock that is offset and drifts, each delayed as delay says, and returns what is made of it.
func stampedRun(same bool, offset int64, drift float64, events int, every int64, delay func(i int) int64) *Board {
	epoch := time.Unix(1_795_350_000, 0)
	stamp, _ := StampJSON("t")
	b, streams := watching(1, Config{Epoch: epoch, Stamp: stamp, SameClock: same})
	for i := range events {
		sent := int64(i) * every
		theirs := epoch.UnixNano() + sent + offset + int64(drift*float64(sent))
		b.Recorder(0).Event(&streams[0], fmt.Appendf(nil, `{"t":%d,"n":%d}`, theirs, i), nil, nil, sent+delay(i)+10*ms, 0)
		if i%50 == 0 {
			b.conclude(sent+delay(i)+10*ms, false)
		}
	}
	b.conclude(1<<60, false)
	return b
}

// The clock of this machine: the delay is what it is.
func TestSameClock(t *testing.T) {
	l := fill(stampedRun(true, 10*ms, 0, 1000, 10*ms, func(i int) int64 { return int64(1+i%100) * ms }))
	q := l.LatencyUS["deliver"]
	exact(t, "deliver", q, 1000, 1000, 100_000)
	if c := l.Correlation.Clock; l.Correlation.Tier != 1 || !c.Same || c.Negative != 0 || c.FloorUS != nil || math.Abs(c.MinUS-1000) > 1 || c.Stamp != "JSON t, ns" {
		t.Errorf("%+v %+v", l.Correlation, c)
	}
	if q := l.LatencyUS["fanout_t50"]; q != nil {
		t.Errorf("completion of one receiver: %+v", q)
	}
}

// Any other clock: the delay above the fastest, whatever the clocks say, and what they say is shown.
func TestOtherClock(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		offset := rapid.Int64Range(-3600*1000, 3600*1000).Draw(t, "offset") * ms
		drift := rapid.Float64Range(-100e-6, 100e-6).Draw(t, "drift")
		// A hundred events a second for 30 s; each second some are as fast as can be.
		events, every := 3000, 10*ms
		delays := make([]int64, events)
		for i := range delays {
			delays[i] = 2 * ms
			if i%10 != 0 {
				delays[i] += rapid.Int64Range(0, 50).Draw(t, "delay") * ms
			}
		}
		l := fill(stampedRun(false, offset, drift, events, every, func(i int) int64 { return delays[i] }))
		c := l.Correlation.Clock
		if c.Same || c.FloorUS == nil || math.Abs(c.DriftPPM+drift*1e6) > 5 {
			t.Fatalf("offset %v, drift %v ppm: %+v", time.Duration(offset), drift*1e6, c)
		}
		negative := int64(0)
		for i, d := range delays {
			if sent := int64(i) * every; d+10*ms-offset-int64(drift*float64(sent)) < 0 {
				negative++
			}
		}
		if c.Negative != negative {
			t.Fatalf("%d of %d below zero, want %d, with an offset of %v", c.Negative, events, negative, time.Duration(offset))
		}
		slices.Sort(delays)
		q := l.LatencyUS["deliver"]
		want := float64(delays[events/2-1]-2*ms) / 1000
		if q.Count != int64(events) || math.Abs(*q.P50-want) > 0.01*want+300 {
			t.Fatalf("p50 %v of %d, want %v: offset %v, drift %v ppm", *q.P50, q.Count, want, time.Duration(offset), drift*1e6)
		}
	})
}

// A target that falls behind all the time is no clock that runs slow.
func TestFallingBehindIsNoDrift(t *testing.T) {
	l := fill(stampedRun(false, 0, 0, 3000, 10*ms, func(i int) int64 { return int64(i) * ms / 2 }))
	if c := l.Correlation.Clock; c.DriftPPM != 0 {
		t.Errorf("%+v", c)
	}
	if q := l.LatencyUS["deliver"]; *q.Max < 1_490_000 {
		t.Errorf("max %v, want 1.5 s", *q.Max)
	}
}

// Our clock where the stamps lie below zero by more than two readings of it can: it is not ours after all.
func TestSameClockThatIsNot(t *testing.T) {
	l := fill(stampedRun(true, 60*ms, 0, 100, 10*ms, func(i int) int64 { return int64(i) * ms }))
	if c := l.Correlation.Clock; c.Same || c.Negative != 50 || math.Abs(c.MinUS+50_000) > 1 || math.Abs(*c.FloorUS+50_000) > 1 {
		t.Errorf("%+v", c)
	}
	// What was kept as a difference is as exact as the difference was large.
	if q := l.LatencyUS["deliver"]; q.Count != 100 || math.Abs(*q.P50-49_000) > 500 || *q.Min > 500 {
		t.Errorf("%+v", q)
	}
}

// A run longer than there are windows.
func TestManyWindows(t *testing.T) {
	b := stampedRun(false, 5*ms, 0, 5000, 500*ms, func(i int) int64 { return int64(i%7) * ms })
	l := fill(b)
	exact(t, "deliver", l.LatencyUS["deliver"], 5000, 0, 6000)
	if n := len(b.workers[0].delays.windows); n > maxWindows {
		t.Errorf("%d windows", n)
	}
}

// No event with a stamp, or only some: said so.
func TestUnstamped(t *testing.T) {
	for _, tc := range []struct {
		stamped, bare int
		tier          int
		verdict       string
	}{{0, 100, 0, Invalid}, {100, 0, 1, Valid}, {98, 2, 1, Suspect}, {1000, 2, 1, Valid}} {
		stamp, _ := StampJSON("t")
		b, streams := watching(1, Config{Epoch: time.Unix(1_795_350_000, 0), Stamp: stamp})
		for i := range tc.stamped + tc.bare {
			data := fmt.Sprintf(`{"t":1795350000,"n":%d}`, i)
			if i < tc.bare {
				data = fmt.Sprintf(`{"n":%d}`, i)
			}
			b.Recorder(0).Event(&streams[0], []byte(data), nil, nil, 10*ms, 0)
		}
		b.conclude(1000*ms, false)
		l := fill(b)
		v := b.Judge(l, Health{})
		if l.Correlation.Tier != tc.tier || v.Verdict != tc.verdict || l.Correlation.Tier == 1 && l.Correlation.Unstamped != int64(tc.bare) {
			t.Errorf("%+v: %+v, %+v", tc, l.Correlation, v)
		}
	}
}
