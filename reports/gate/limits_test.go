package gate_test

import (
	"strings"
	"testing"

	"ssegauge/reports/gate"
	"ssegauge/reports/internal/reporttest"
	"ssegauge/reports/result"
)

// A threshold is met only where all of what is known of the limit meets it; what is not known fails, and says why.
func TestLimit(t *testing.T) {
	r := reporttest.Limits()
	for _, c := range []struct {
		text   string
		pass   bool
		value  float64 // -1: none
		reason string
	}{
		{"streams/total >= 2250", true, 2250, "2,250 to 2,363 streams (target)"},
		{"streams/total >= 2.25k", true, 2250, ""},
		{"streams/total>=2251", false, 2250, "2,250 to 2,363"},
		{"streams/total > 2250", false, 2250, ""},
		{"streams/total <= 2363", true, 2363, ""},
		{"streams/total < 2363", false, 2363, ""},
		{"streams/total == 2250", false, 2363, ""},
		{"streams/total != 2300", false, 2250, ""},
		{"streams/total != 2364", true, 2250, ""},
		{"h2/max-concurrent-streams == 128", true, 128, "128 streams (target)"},
		{"h2/max-concurrent-streams != 128", false, 128, ""},
		{"h2/slot-release <= 1s", true, 0.112, ""},
		{"h2/slot-release < 100ms", false, 0.112, ""},
		{"h2/slot-release < 1", false, -1, `a bound in "" does not fit a limit in s`},
		{"h2/slot-release > 0", true, 0.05, ""},
		{"h2/slot-release < 1KiB", false, -1, `a bound in "KiB" does not fit`},
		{"streams/total >= 1s", false, -1, `does not fit a limit in streams`},
		{"event/size >= 63KiB", true, 65_535, ""},
		{"event/size >= 64KiB", false, 65_535, ""},
		{"event/size >= 65535", true, 65_535, ""},
		{"requests/per-connection >= 1200", true, 1200, "none up to 1,200 requests"},
		{"requests/per-connection >= 1201", false, 1200, ""},
		{"requests/per-connection <= 5000", false, -1, "none up to"},
		{"requests/per-connection == 1200", false, -1, ""},
		{"requests/per-connection != 1000", true, 1200, ""},
		{"requests/per-connection != 1200", false, 1200, ""},
		{"requests/per-connection != 5000", false, 1200, ""},
		{"streams/generator >= 20000", true, 28_231, "(generator)"},
		{"streams/generator <= 90000", false, -1, "(generator)"},
		{"storm/replay >= 99%", false, -1, "undecided: --publish; needs a way to publish"},
		{"client/per-address >= 1", false, -1, "not applicable; there is one address"},
		{"streams/totals >= 1", false, -1, "was not looked for; these were: h1/connections-per-host, "},
	} {
		g, err := gate.ParseLimit(c.text)
		if err != nil {
			t.Error(err)
			continue
		}
		got := g.Eval(r.Limits)
		value := -1.0
		if got.Value != nil {
			value = *got.Value
		}
		if got.Pass != c.pass || value != c.value || !strings.Contains(got.Reason, c.reason) || got.Reason == "" || got.Expression != c.text {
			t.Errorf("%s: %+v with %v, want %+v", c.text, got, value, c)
		}
	}
	// Where nothing is held back there is nothing to allow.
	r.Limits.Limits = append(r.Limits.Limits, result.Limit{ID: "buffering/size", Verdict: result.LimitNone, Low: new(0.0), Unit: "bytes"})
	if g, err := gate.ParseLimit("buffering/size < 4KiB"); err != nil || !g.Eval(r.Limits).Pass {
		t.Errorf("nothing is held back, and %v %v", g, err)
	}
	gates := []*gate.Limit{}
	for _, s := range []string{"streams/total >= 1000", "storm/replay >= 99%"} {
		g, err := gate.ParseLimit(s)
		if err != nil {
			t.Fatal(err)
		}
		gates = append(gates, g)
	}
	gate.ApplyLimits(r.Limits, gates)
	if len(r.Thresholds) != 2 || !r.Thresholds[0].Pass || r.Thresholds[1].Pass || r.Status() != result.Failed || r.Word() != "failed" {
		t.Errorf("%s: %+v", r.Word(), r.Thresholds)
	}
	gate.ApplyLimits(r.Limits, gates[:1])
	if r.Status() != result.Passed || r.Word() != "passed" {
		t.Errorf("%s: %+v", r.Word(), r.Thresholds)
	}
	if got := gates[0].Eval(new(result.Limits)); got.Pass || got.Reason != "no limit was looked for" {
		t.Errorf("%+v", got)
	}
}

// A bound that only more than the most can meet is known before anything is looked for.
func TestLimitBeyond(t *testing.T) {
	for text, want := range map[string]bool{
		"streams/total >= 300": false, "streams/total >= 301": true, "streams/total > 299": false, "streams/total > 300": true, "streams/total >= 1k": true, "streams/total == 301": true,
		"streams/total <= 900": false, "streams/total < 900": false, "streams/total != 900": false, "streams/total >= 900s": false,
	} {
		if g, err := gate.ParseLimit(text); err != nil || g.Beyond(300) != want {
			t.Errorf("%s: %v, want %v", text, err, want)
		}
	}
}

func TestParseLimitErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                        "no comparison; write it like `streams/total >= 1000`",
		"streams/total":           "no comparison",
		"streams/total = 3":       `"=" is no comparison`,
		"deliver.p99 < 250ms":     `"deliver.p99" is no id of a limit`,
		"Streams/total >= 1":      "is no id of a limit",
		"streams/total >= many":   `"many" is no number`,
		"streams/total >= 5 kg":   `"kg" is no unit`,
		"streams/total >= -1":     "is no number",
		"streams/total >= 1 && x": "is no unit",
	} {
		if _, err := gate.ParseLimit(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}
