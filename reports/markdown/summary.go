package markdown

import (
	"bytes"
	"io"
	"slices"
	"strings"

	"ssegauge/reports/result"
)

// MaxSummary is how much [Summary] writes at most: GitHub drops the whole summary of a step above 1 MiB.
const MaxSummary = 1000 << 10

// Summary writes the runs for the summary of a job (the file that GITHUB_STEP_SUMMARY names), of all of them at most [MaxSummary] bytes: where that is too little, first the evidence is left out,
// then all but the verdicts.
func Summary(w io.Writer, runs ...*result.Run) error {
	var out bytes.Buffer
	for _, shorten := range []func(*result.Run) *result.Run{whole, brief, verdictOnly} {
		out.Reset()
		overview(&out, runs)
		for _, r := range runs {
			if err := render(&out, shorten(r)); err != nil {
				return err
			}
			if out.WriteByte('\n'); out.Len() > MaxSummary {
				break
			}
		}
		if out.Len() <= MaxSummary {
			break
		}
	}
	if out.Len() > MaxSummary { // hundreds of runs: as many whole lines as there is room for
		out.Truncate(bytes.LastIndexByte(out.Bytes()[:MaxSummary], '\n') + 1)
	}
	_, err := w.Write(out.Bytes())
	return err
}

func whole(r *result.Run) *result.Run { return r }

// brief is a run without evidence and with texts of bounded length.
func brief(r *result.Run) *result.Run {
	short := *r
	if r.Check != nil {
		c := *r.Check
		c.Results = briefly(r.Results)
		short.Check = &c
	}
	if r.Load != nil {
		l := *r.Load
		l.Streams.Failures, l.Findings = nil, briefly(l.Findings)
		short.Load = &l
	}
	if r.Limits != nil {
		short.Limits = bareLimits(r.Limits, clip)
	}
	return &short
}

// bareLimits is a search without its curve and with what was seen shortened.
func bareLimits(l *result.Limits, seen func(string) string) *result.Limits {
	out := &result.Limits{Machine: l.Machine, Thresholds: l.Thresholds, Limits: slices.Clone(l.Limits)}
	for i := range out.Limits {
		x := &out.Limits[i]
		x.Title, x.Evidence = clip(x.Title), seen(x.Evidence)
	}
	return out
}

func briefly(findings []result.Finding) []result.Finding {
	out := make([]result.Finding, len(findings))
	for i, f := range findings {
		f.Evidence, f.Reproduce, f.Message, f.Hint = nil, "", clip(f.Message), clip(f.Hint)
		out[i] = f
	}
	return out
}

func clip(s string) string {
	if len(s) > 300 {
		return strings.ToValidUTF8(s[:300], "") + " …"
	}
	return s
}

// verdictOnly is a run without its findings or figures; its counts and gates, and so its status, stay.
func verdictOnly(r *result.Run) *result.Run {
	short := *r
	short.Target.URL = clip(r.Target.URL)
	if r.Check != nil {
		short.Check = &result.Check{Summary: r.Summary}
	}
	if r.Load != nil {
		short.Load = &result.Load{Validity: result.Validity{Verdict: r.Validity.Verdict}, Streams: r.Streams, Events: r.Events, Gates: r.Gates}
		short.Load.Streams.Failures = nil
	}
	if r.Limits != nil {
		short.Limits = bareLimits(r.Limits, func(string) string { return "" })
	}
	return &short
}
