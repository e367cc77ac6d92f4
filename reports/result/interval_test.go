package result_test

import (
	"testing"

	"github.com/HdrHistogram/hdrhistogram-go"

	"ssegauge/reports/internal/reporttest"
	"ssegauge/reports/result"
)

// The places are those of the tables: of 100 values the median lies between the 40th and the 61st; the largest of n bounds a quantile p from where p^n <= 2.5 %.
func TestOrderStatistics(t *testing.T) {
	for _, tc := range []struct {
		n         int
		never     int64
		name      string
		low, high float64 // ms, -1: none
	}{
		{5, 0, "p50", -1, -1},
		{6, 0, "p50", 1, 6},
		{100, 0, "p50", 40, 61},
		{100, 0, "p90", 84, 96},
		{100, 0, "p99", 97, -1},
		{367, 0, "p99", 359, -1},
		{368, 0, "p99", 360, 368},
		{3687, 0, "p99_9", 3679, -1},
		{3688, 0, "p99_9", 3680, 3688},
		// What never came lies beyond all that did.
		{40, 60, "p50", 40, -1},
		{61, 39, "p50", 40, 61},
		{39, 61, "p50", -1, -1},
	} {
		h, err := reporttest.Steps(tc.n).Hist()
		if err != nil {
			t.Fatal(err)
		}
		i := result.OrderStatistics(h, tc.never)[tc.name]
		near(t, "low", i.Low, tc.low*1000)
		near(t, "high", i.High, tc.high*1000)
		if t.Failed() {
			t.Fatalf("%+v", tc)
		}
	}
	if got := result.OrderStatistics(hdrhistogram.New(1, 1000, 3), 0); got != nil {
		t.Errorf("of nothing: %v", got)
	}
	h, _ := reporttest.Steps(99).Hist()
	if got, ok := result.OrderStatistics(h, 0)["p99"]; ok {
		t.Errorf("p99 of 99 values: %v", got)
	}
}

// What deliveries resolve is what their events do, in the members, at any quantile, with lost ones, and in a merger.
func TestResolvesByEvent(t *testing.T) {
	h, err := reporttest.Steps(2000).Hist()
	if err != nil {
		t.Fatal(err)
	}
	few, enough := result.FromEvents(h, 99), result.FromEvents(h, 100)
	near(t, "p90", few.P90, 1800_000)
	near(t, "p99", few.P99, -1)
	near(t, "p99 at", few.At(0.99), -1)
	near(t, "p99 beyond", few.Beyond(0.99, 1000), -1)
	near(t, "p50 beyond", few.Beyond(0.5, 1000), 1500_000)
	near(t, "p99 of 100", enough.P99, 1980_000)
	near(t, "p99.9 of 100", enough.P999, -1)
	sum, err := result.MergeQuantiles(few, enough)
	if err != nil || sum.Events != 199 || sum.P99 == nil || sum.P999 != nil {
		t.Errorf("%+v, %v", sum, err)
	}
	if points, _ := few.Curve(140); points[len(points)-1].P > 0.99 {
		t.Errorf("curve up to %v", points[len(points)-1].P)
	}
	if result.Needed(0.99) != 100 || result.Needed(0.999) != 1000 || result.Needed(1) != 1 {
		t.Error("needed")
	}
}
