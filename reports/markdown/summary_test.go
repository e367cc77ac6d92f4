package markdown_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"ssegauge/reports/internal/reporttest"
	"ssegauge/reports/markdown"
	"ssegauge/reports/result"
)

func TestSummary(t *testing.T) {
	var b bytes.Buffer
	if err := markdown.Summary(&b, reporttest.Failing(), reporttest.Load()); err != nil {
		t.Fatal(err)
	}
	if s := b.String(); !strings.Contains(s, "## ssegauge check: ❌ failed") || !strings.Contains(s, "## ssegauge load: ✅ passed") || !strings.Contains(s, "hex e9") {
		t.Error(s)
	}
	// Too large: first without evidence, then without findings; never more than the runner takes, never in the middle of a line.
	evidence := result.NewEvidence(bytes.Repeat([]byte("x"), 400), 100, 300)
	finding := result.Finding{ID: "encoding/utf8", Verdict: result.Fail, Message: strings.Repeat("a long story ", 8), Evidence: []result.Evidence{evidence, evidence}}
	one, few, many, load := reporttest.Failing(), reporttest.Failing(), reporttest.Failing(), reporttest.LoadFailing()
	one.Results = []result.Finding{finding}
	few.Results = slices.Repeat(one.Results, 2000)
	many.Results = slices.Repeat(few.Results, 3)
	for _, r := range []*result.Run{one, few, many} {
		r.Summary = result.Summarise(r.Results)
	}
	load.Validity.Verdict, load.Interrupted = result.Valid, false
	load.Streams.Failures = map[string]int{strings.Repeat("x", markdown.MaxSummary): 1}
	limits, wide := reporttest.Limits(), reporttest.Limits()
	limits.Limits.Limits[0].Evidence = strings.Repeat("seen ", markdown.MaxSummary)
	wide.Limits.Limits = slices.Repeat(wide.Limits.Limits, 2000)
	limits.Thresholds, wide.Thresholds = []result.Gate{{Expression: "streams/total >= 9000"}}, []result.Gate{{Expression: "streams/total >= 9000"}}
	for name, c := range map[string]struct {
		runs       []*result.Run
		has, lacks string
	}{
		"few":    {[]*result.Run{few}, "### All checks", "hex 78"},
		"many":   {[]*result.Run{many}, "6000 of 6,000 checks failed", "### "},
		"load":   {[]*result.Run{load}, "❌ failed", "### Failures"},
		"loads":  {slices.Repeat([]*result.Run{load}, 400), "❌ failed", "### Failures"},
		"limits": {[]*result.Run{limits}, "❌ failed", "Latency against"},
		"wide":   {[]*result.Run{wide}, "❌ failed", "Latency against"},
		"legion": {slices.Repeat([]*result.Run{one}, 9000), "1 check failed", "### "},
	} {
		b.Reset()
		if err := markdown.Summary(&b, c.runs...); err != nil {
			t.Fatal(err)
		}
		if s := b.String(); len(s) > markdown.MaxSummary || !strings.HasSuffix(s, "\n") || !strings.Contains(s, c.has) || strings.Contains(s, c.lacks) || strings.Contains(s, "passed") {
			t.Errorf("%s: %d bytes, %.300s", name, b.Len(), s)
		}
	}
	if markdown.Summary(&b, &result.Run{}) == nil {
		t.Error("a summary of a run without an outcome")
	}
}
