package result_test

import (
	"maps"
	"math"
	"testing"

	"github.com/HdrHistogram/hdrhistogram-go"

	"ssegauge/reports/internal/reporttest"
	"ssegauge/reports/result"
)

func near(t *testing.T, what string, got *float64, want float64) {
	t.Helper()
	switch {
	case want < 0:
		if got != nil {
			t.Errorf("%s: %v, want none", what, *got)
		}
	case got == nil:
		t.Errorf("%s: none, want %v", what, want)
	case math.Abs(*got-want) > want/1000:
		t.Errorf("%s: %v, want %v", what, *got, want)
	}
}

// n samples resolve p from 1/(1-p) on, and not one sample sooner.
func TestResolution(t *testing.T) {
	for _, tc := range []struct{ n, p50, p90, p99, p999 int }{
		{1, -1, -1, -1, -1},
		{2, 1, -1, -1, -1},
		{9, 5, -1, -1, -1},
		{10, 5, 9, -1, -1},
		{99, 50, 90, -1, -1},
		{100, 50, 90, 99, -1},
		{999, 500, 900, 990, -1},
		{1000, 500, 900, 990, 999},
	} {
		q := reporttest.Steps(tc.n)
		near(t, "p50", q.P50, float64(tc.p50)*1000)
		near(t, "p90", q.P90, float64(tc.p90)*1000)
		near(t, "p99", q.P99, float64(tc.p99)*1000)
		near(t, "p99.9", q.P999, float64(tc.p999)*1000)
		near(t, "min", q.Min, 1000)
		near(t, "max", q.Max, float64(tc.n)*1000)
		near(t, "mean", q.Mean, float64(tc.n+1)*500)
	}
	if q := result.FromHist(nil); q.Count != 0 || q.Min != nil || q.Max != nil || q.HDR != "" {
		t.Errorf("no histogram: %+v", q)
	}
	if q := result.FromHist(hdrhistogram.New(1, 1000, 3)); q.Count != 0 || q.Min != nil {
		t.Errorf("empty histogram: %+v", q)
	}
}

func TestAt(t *testing.T) {
	q := reporttest.Steps(1000)
	for p, want := range map[float64]float64{0: 1000, 0.5: 500_000, 0.95: 950_000, 0.999: 999_000, 1: 1_000_000, 0.9999: -1, -1: -1, 1.5: -1} {
		near(t, "At", q.At(p), want)
	}
	near(t, "NaN", q.At(math.NaN()), -1)
	near(t, "nothing", (*result.Quantiles)(nil).At(0.5), -1)
	// 1000 came and 1000 did not: the median of all is the last that came.
	near(t, "median", q.Beyond(0.5, 1000), 1_000_000)
	near(t, "p51", q.Beyond(0.51, 1000), -1)
	near(t, "p25", q.Beyond(0.25, 1000), 500_000)
	q.HDR = "AAAA"
	near(t, "broken payload", q.At(0.95), -1)
	near(t, "member", q.At(0.99), 990_000)
	if _, err := q.Hist(); err == nil {
		t.Error("a broken payload was decoded")
	}
}

func TestMerge(t *testing.T) {
	a, b := reporttest.Steps(1000), reporttest.Steps(500)
	q, err := result.MergeQuantiles(a, b, nil, &result.Quantiles{})
	if err != nil {
		t.Fatal(err)
	}
	if q.Count != 1500 {
		t.Errorf("count %d", q.Count)
	}
	near(t, "median", q.P50, 375_000) // twice 1..375, and so half of 1500
	near(t, "max", q.Max, 1_000_000)
	b.HDR = ""
	if _, err := result.MergeQuantiles(a, b); err == nil {
		t.Error("percentiles were merged without histograms")
	}
	b = reporttest.Steps(500)
	b.Count = 400
	if _, err := result.MergeQuantiles(a, b); err == nil {
		t.Error("a histogram that contradicts its run was merged")
	}
}

func TestHuman(t *testing.T) {
	for us, want := range map[float64]string{0: "0 µs", 1: "1 µs", 999.4: "999 µs", 999.6: "1.00 ms", 12_345: "12.3 ms", 999_499: "999 ms", 999_500: "1.00 s", 65e6: "65.0 s", 120e6: "2m", 170e6: "2m50s", 3600e6: "1h0m", 3725e6: "1h2m5s", math.NaN(): "-", math.Inf(1): "-", -1500: "-1.50 ms", 1e300: "1e+294 s"} {
		if got := result.Micros(us); got != want {
			t.Errorf("%v µs: %q, want %q", us, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000", math.MinInt64: "-9,223,372,036,854,775,808"} {
		if got := result.Count(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
	for n, want := range map[float64]string{0: "0 B", 999: "999 B", 1000: "0.977 KiB", 1 << 20: "1.00 MiB", 5e20: "434 EiB"} {
		if got := result.Bytes(n); got != want {
			t.Errorf("%v: %q, want %q", n, got, want)
		}
	}
}

func TestStatus(t *testing.T) {
	want := map[string]result.Status{"clean": result.Passed, "failing": result.Failed, "interrupted": result.Inconclusive, "load": result.Passed, "load-few": result.Passed, "load-failing": result.Inconclusive, "load-ticks": result.Passed, "load-breaking": result.Passed}
	maps.Copy(want, map[string]result.Status{"limits": result.Passed, "limits-gated": result.Failed, "limits-quiet": result.Passed, "limits-interrupted": result.Passed, "limits-undecided": result.Inconclusive})
	for _, r := range reporttest.Runs() {
		if got := r.Run.Status(); got != want[r.Name] {
			t.Errorf("%s: %s, want %s", r.Name, got, want[r.Name])
		}
	}
	if r := (&result.Run{Check: &result.Check{}}); r.Status() != result.Inconclusive {
		t.Error("an empty check is green")
	}
	if r := (&result.Run{Load: &result.Load{}}); r.Status() != result.Inconclusive {
		t.Error("an empty load is green")
	}
	s := result.Summarise(reporttest.Failing().Results)
	if s != (result.Summary{Pass: 4, Fail: 3, Warn: 1, Info: 1, NotObserved: 3, NotApplicable: 1, Error: 1, Core: 6, CoreDecided: 6}) {
		t.Errorf("%+v", s)
	}
}

func TestCore(t *testing.T) {
	core := func(v result.Verdict) result.Finding { return result.Finding{Verdict: v, Core: true} }
	s := result.Summarise([]result.Finding{core(result.Pass), core(result.Info), core(result.NotApplicable), core(result.NotObserved), core(result.Error), {Verdict: result.Pass}})
	if s.Core != 4 || s.CoreDecided != 2 {
		t.Errorf("%d of %d decided, want 2 of 4: what does not apply does not count", s.CoreDecided, s.Core)
	}
}

// What is beyond the resolution goes on where the curve ends, rises, and ends with the last sample.
func TestUnresolved(t *testing.T) {
	q := reporttest.Steps(1000)
	if p := q.Unresolved(50); p != nil {
		t.Errorf("samples that stand for themselves: %v", p)
	}
	q.Events = 100
	curve, _ := q.Curve(50)
	end, beyond := curve[len(curve)-1], q.Unresolved(50)
	if len(beyond) != 50 || end.P < 0.98999 || end.P > 0.99001 {
		t.Fatalf("%d points after %v", len(beyond), end)
	}
	for _, p := range beyond {
		if p.P <= end.P || p.US < end.US {
			t.Errorf("%v after %v", p, end)
		}
		end = p
	}
	if end.P < 0.99899 || end.US < 999_000 {
		t.Errorf("the last is %v", end)
	}
}
