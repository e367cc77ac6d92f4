package gate_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ssegauge/reports/gate"
	"ssegauge/reports/internal/reporttest"
	"ssegauge/reports/result"
)

// run is a run of round figures.
func run() *result.Run {
	r := reporttest.LoadFew()
	r.LatencyUS = map[string]*result.Quantiles{"deliver": reporttest.Steps(1000), "fanout_t99": reporttest.Steps(100), "open": reporttest.Steps(9), "spread": {}, "gap": nil}
	r.Streams = result.Streams{Planned: 1000, Opened: 998, Failed: 2}
	r.Events = result.Events{Published: 10, Received: 1000, Eligible: 1000}
	r.Generator = result.Generator{CPUSeconds: 1.5, BytesPerStream: 2048, DelayUS: reporttest.Steps(10)}
	return r
}

func TestEval(t *testing.T) {
	lossy := run()
	lossy.Events.Lost, lossy.Events.Eligible = 10, 1010
	lossy.LatencyUS["deliver"].Never = 10
	lossy.LatencyUS["gap"] = &result.Quantiles{Never: 3}
	few := run()
	few.LatencyUS["deliver"].Events = 99
	few.LatencyUS["deliver"].CI95 = map[string]result.Interval{"p50": {Low: new(400_000.0), High: new(600_000.0)}, "p99_9": {Low: new(700_000.0)}}
	few.Generator.LagUS, few.Generator.Canary = reporttest.Steps(10), &result.Canary{DeliverUS: reporttest.Steps(10)}
	broken := run()
	broken.Load.Findings = reporttest.LoadBreaking().Load.Findings
	events := func(e result.Events) *result.Run {
		r := run()
		r.Events = e
		return r
	}
	unpublished := events(result.Events{Received: 500})
	refused := events(result.Events{Received: 500, Eligible: 3, Duplicated: 1}) // what was refused came all the same
	unawaited := events(result.Events{Published: 10, Received: 500})            // no stream was open early enough
	allLost := events(result.Events{Published: 10, Received: 500, Eligible: 1000, Lost: 1000})
	allLate := events(result.Events{Published: 10, Received: 1000, Eligible: 1000, Lost: 1000, Duplicated: 2})
	for _, tc := range []struct {
		run  *result.Run
		text string
		pass bool
		unit string
		val  float64 // -1: none
		why  string
	}{
		{run(), "deliver.p99 < 250ms", false, "us", 990_000, ""},
		{run(), "deliver.p99 < 1s", true, "us", 990_000, ""},
		{run(), "deliver.p99<=991ms", true, "us", 990_000, ""},
		{run(), "deliver.p95 < 1 s", true, "us", 950_000, ""},
		{run(), "deliver.p99.9 > 0", true, "us", 999_000, ""},
		{run(), "deliver.p99_9 > 999000us", true, "us", 999_000, ""},
		{run(), "deliver.p99.99 < 1h", false, "us", -1, "1,000 samples cannot resolve p99.99"},
		{run(), "fanout_t99.p99.9 < 1s", false, "us", -1, "100 samples cannot resolve p99.9"},
		{run(), "open.p90 < 1s", false, "us", -1, "9 samples cannot resolve p90"},
		{run(), "open.p50 <= 5.01ms", true, "us", 5000, ""},
		{run(), "open.max < 1s", true, "us", 9000, ""},
		{run(), "open.count == 9", true, "", 9, ""},
		{run(), "spread.p50 < 1s", false, "us", -1, "no samples"},
		{run(), "gap.p50 < 1s", false, "us", -1, "no samples"},
		{run(), "first_event.p50 < 1s", false, "us", -1, "no samples"},
		{run(), "first_event.count == 0", true, "", 0, ""},
		{run(), "lost == 0", true, "", 0, ""},
		{run(), "events.lost != 0", false, "", 0, ""},
		{run(), "received >= 1k", true, "", 1000, ""},
		{run(), "findings == 0", true, "", 0, ""},
		{broken, "findings == 0", false, "", 2, ""},
		{run(), "streams.failed == 0", false, "", 2, ""},
		{run(), "streams.failed <= 0.2%", true, "ratio", 0.002, ""},
		{run(), "streams.opened > 99.9%", false, "ratio", 0.998, ""},
		{run(), "generator.cpu_seconds < 2s", true, "s", 1.5, ""},
		{run(), "generator.bytes_per_stream <= 2KiB", true, "bytes", 2048, ""},
		{run(), "generator.delay.p90 < 10ms", true, "us", 9000, ""},
		// A quantile of all that should have come: p99 of 1010 is the 1000th, the last that came; beyond lie the lost.
		{lossy, "deliver.p99 < 10s", true, "us", 1_000_000, "10 never came, counted as late"},
		{lossy, "deliver.p50 < 506ms", true, "us", 505_000, "10 never came, counted as late"},
		{lossy, "deliver.p99.9 < 10s", false, "us", -1, "10 never came, p99.9 is among them"},
		{lossy, "deliver.max < 10h", false, "us", -1, "10 never came, max is among them"},
		{lossy, "deliver.mean < 10h", false, "us", -1, "10 never came, mean is among them"},
		{lossy, "deliver.min < 10ms", true, "us", 1000, ""},
		{lossy, "gap.p50 < 10s", false, "us", -1, "3 never came, p50 is among them"},
		{lossy, "gap.min < 10s", false, "us", -1, "no histogram stored to take min from"},
		{few, "deliver.p50 < 1s", true, "us", 500_000, ""},
		{few, "deliver.p99 < 10s", false, "us", -1, "99 published events cannot resolve p99: it takes 100, more time or a higher rate"},
		{few, "deliver.p99.9 < 10s", false, "us", -1, "99 published events cannot resolve p99.9: it takes 1,000, more time or a higher rate"},
		{few, "deliver.p50.high < 1s", true, "us", 600_000, "end of a 95 % interval"},
		{few, "deliver.p50.low > 1ms", true, "us", 400_000, "end of a 95 % interval"},
		{few, "deliver.p99.9.low > 1ms", true, "us", 700_000, "end of a 95 % interval"},
		{few, "deliver.p99.9.high < 10h", false, "us", -1, "the sample sets no such bound: it takes more events, or fewer that never came"},
		{few, "deliver.p90.low > 0", false, "us", -1, "the sample sets no such bound: it takes more events, or fewer that never came"},
		{few, "fanout_t99.p50.low > 0", false, "us", -1, "no samples"},
		{few, "generator.lag.p50 < 1s", true, "us", 5000, ""},
		{few, "generator.canary.p50 < 1s", true, "us", 5000, ""},
		{run(), "generator.canary.p50 < 1s", false, "us", -1, "no samples"},
		{lossy, "lost < 1%", true, "ratio", 10.0 / 1010, ""},
		{unpublished, "lost == 0", false, "", -1, "no samples"},
		{unpublished, "lost < 1%", false, "", -1, "no samples"},
		{unpublished, "duplicated == 0", false, "", -1, "no samples"},
		{unpublished, "duplicated < 1%", false, "", -1, "no samples"},
		{unpublished, "reordered == 0", false, "", -1, "no samples"},
		{unpublished, "published == 0", true, "", 0, ""},
		{unpublished, "received >= 500", true, "", 500, ""},
		{refused, "lost == 0", false, "", -1, "no samples"},
		{refused, "duplicated < 5", false, "", -1, "no samples"},
		{unawaited, "lost == 0", false, "", -1, "no samples"},
		{unawaited, "reordered == 0", false, "", -1, "no samples"},
		{allLost, "lost == 0", false, "", 1000, ""},
		{allLost, "duplicated == 0", false, "", -1, "no samples"},
		{allLate, "duplicated == 0", false, "", 2, ""},
		{run(), "duplicated == 0", true, "", 0, ""},
		{run(), "reordered < 1%", true, "ratio", 0, ""},
		{reporttest.Clean(), "lost == 0", false, "", -1, "not a load run"},
	} {
		g, err := gate.Parse(tc.text)
		if err != nil {
			t.Error(err)
			continue
		}
		got := g.Eval(tc.run)
		if got.Expression != tc.text || got.Pass != tc.pass || got.Unit != tc.unit || got.Reason != tc.why {
			t.Errorf("%s: %+v, want pass %v, unit %q, reason %q", tc.text, got, tc.pass, tc.unit, tc.why)
		}
		switch {
		case tc.val < 0 != (got.Value == nil):
			t.Errorf("%s: value %v, want %v", tc.text, got.Value, tc.val)
		case got.Value != nil && (*got.Value < tc.val*0.999 || *got.Value > tc.val*1.001): // HDR keeps three digits
			t.Errorf("%s: value %v, want %v", tc.text, *got.Value, tc.val)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    "no comparison",
		"deliver.p99":                         "no comparison",
		"deliver.p99 = 250ms":                 `"=" is no comparison`,
		"deliver.p99 ! 250ms":                 `"!" is no comparison`,
		"< 250ms":                             "nothing before the comparison",
		"delivery.p99 < 250ms":                `"delivery.p99" is not measured; latencies are open,`,
		"deliver < 250ms":                     "is no quantile",
		"deliver.p101 < 250ms":                `"p101" is no quantile`,
		"deliver.99 < 250ms":                  `"99" is no quantile`,
		"deliver.pNaN < 250ms":                `"pNaN" is no quantile`,
		"deliver.p1e1 < 250ms":                `"p1e1" is no quantile`,
		"deliver.p99 < 250":                   "deliver.p99 is a time: give a unit",
		"deliver.p99 < 250 MiB":               `unit "MiB" does not fit: deliver.p99 is a time`,
		"deliver.p99 < 5%":                    "a percentage says nothing",
		"deliver.p99 < ":                      `"" is no number`,
		"deliver.p99 < -5ms":                  `"-5ms" is no number`,
		"deliver.p99 < 1.2.3ms":               `is no number`,
		"deliver.p99 < fast":                  `"fast" is no number`,
		"deliver.p95.high < 1s":               `"p95" has no interval`,
		"streams.lost == 0":                   `streams has no "lost"; it has planned, opened, failed`,
		"lost == 0ms":                         `unit "ms" does not fit: events.lost is a count`,
		"generator.cpu_seconds < 2":           "is a time: give a unit",
		"deliver.p99 < 250ms && x":            `unit "ms && x" does not fit`,
		"lost == " + strings.Repeat("9", 400): "is no number",
	} {
		g, err := gate.Parse(text)
		if err == nil {
			t.Errorf("%q: accepted as %v", text, g)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v\nwant: %s", text, err, want)
		}
	}
}

func TestApply(t *testing.T) {
	r := run()
	var gates []*gate.Gate
	for _, s := range []string{"lost == 0", "streams.failed == 0"} {
		g, err := gate.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		gates = append(gates, g)
	}
	gate.Apply(r, gates)
	want := []result.Gate{{Expression: "lost == 0", Value: new(0.0), Pass: true}, {Expression: "streams.failed == 0", Value: new(2.0)}}
	if d := cmp.Diff(want, r.Gates); d != "" {
		t.Error(d)
	}
	if r.Status() != result.Failed {
		t.Errorf("status %s", r.Status())
	}
	gate.Apply(reporttest.Clean(), gates) // nothing to hold against
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"deliver.p99 < 250ms", "lost==0", "streams.failed <= 0.1%", "generator.delay.p99.9 != 1h", "open.min > 0", "x", "a.b.c >= 1e9", "p < %"} {
		f.Add(s)
	}
	r := run()
	f.Fuzz(func(t *testing.T, s string) {
		g, err := gate.Parse(s)
		if err != nil {
			if len(err.Error()) > 2000 {
				t.Errorf("error of %d bytes", len(err.Error()))
			}
			return
		}
		again, err := gate.Parse(g.String())
		if err != nil {
			t.Fatalf("%q parses, %q does not: %v", s, g.String(), err)
		}
		a, b := g.Eval(r), again.Eval(r)
		if d := cmp.Diff(a, b); d != "" {
			t.Error(d)
		}
		if a.Value == nil && (a.Pass || a.Reason == "") {
			t.Errorf("%q: no value, yet %+v", s, a)
		}
	})
}
