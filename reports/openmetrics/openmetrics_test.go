package openmetrics_test

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"ssegauge/reports/internal/reporttest"
	"ssegauge/reports/openmetrics"
	"ssegauge/reports/result"
)

func render(t *testing.T, runs ...*result.Run) string {
	t.Helper()
	var b bytes.Buffer
	if err := openmetrics.Render(&b, runs...); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestGolden(t *testing.T) {
	for _, r := range reporttest.Runs() {
		got := render(t, r.Run)
		reporttest.Golden(t, r.Name+".txt", []byte(got))
		if err := valid(got); err != nil {
			t.Errorf("%s: %v", r.Name, err)
		}
	}
}

// Several runs are told apart, and what a target or a stored file says cannot break the exposition.
func TestValid(t *testing.T) {
	h := reporttest.Hostile
	hostile := reporttest.LoadFailing()
	hostile.Target = result.Target{URL: h, HTTP: h}
	hostile.LatencyUS[h] = &result.Quantiles{Count: -3, Min: new(-1.0), Never: -4}
	hostile.Series = append(hostile.Series, result.Series{Name: h, StepMS: -4, Values: result.Points{1, 2, 3}}, hostile.Series[0])
	hostile.Gates = append(hostile.Gates, hostile.Gates[0], result.Gate{Expression: h})
	hostile.Validity.Verdict = h
	check := reporttest.Failing()
	check.Results = append(check.Results, check.Results[0], result.Finding{ID: h, Verdict: result.Verdict(h)})
	for name, runs := range map[string][]*result.Run{
		"same": {reporttest.Load(), reporttest.Load()}, "mixed": {reporttest.Clean(), reporttest.Load(), reporttest.Failing()},
		"hostile": {hostile}, "hostile check": {check, hostile}, "bare": {{Load: &result.Load{}}, {Check: &result.Check{}}},
	} {
		if err := valid(render(t, runs...)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, bad := range []string{
		"", "a 1\n# EOF\n", "# TYPE a gauge\n# HELP a x\na{b=\"c\"} 1 1\n", "# TYPE a gauge\n# HELP a x\na{b=\"c} 1 1\n# EOF\n",
		"# TYPE a gauge\na{} 1 2\na{} 1 1\n# EOF\n", "# TYPE a gauge\na{} 1 2\n# TYPE b gauge\nb{} 1 1\na{x=\"1\"} 1 2\n# EOF\n",
		"# TYPE a info\na{} 1 2\n# EOF\n", "# TYPE a gauge\n# UNIT a seconds\na{} 1 2\n# EOF\n", "# TYPE a summary\na{quantile=\"2\"} 1 2\n# EOF\n",
		"# TYPE a gauge\na{} x 2\n# EOF\n", "# TYPE a gauge\n# EOF\na{} 1 2\n",
	} {
		if valid(bad) == nil {
			t.Errorf("taken as valid: %q", bad)
		}
	}
}

var (
	descriptor = regexp.MustCompile(`^# (TYPE|UNIT|HELP) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$`)
	sample     = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*",?)*)\} (\S+) (-?[0-9.]+)$`)
	label      = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"`)
)

// valid holds text to the rules of OpenMetrics 1.0 for what is written here: families in one piece, each with its type before its samples; names and
// suffixes that go with the type, units in names; labels well formed, in no sample twice; points of one metric together and in order of time; the end marked.
func valid(text string) error {
	body, ok := strings.CutSuffix(text, "# EOF\n")
	if !ok {
		return fmt.Errorf("no # EOF at the end")
	}
	suffixes := map[string][]string{"gauge": {""}, "info": {"_info"}, "stateset": {""}, "summary": {"", "_count", "_sum"}}
	var family, kind string
	seen := map[string]bool{}
	points := map[string]float64{}
	metric := ""
	for line := range strings.Lines(body) {
		line = strings.TrimSuffix(line, "\n")
		if d := descriptor.FindStringSubmatch(line); d != nil {
			switch {
			case d[1] == "TYPE":
				if seen[d[2]] {
					return fmt.Errorf("family %s in two pieces", d[2])
				}
				family, kind, metric = d[2], d[3], ""
				seen[family] = true
				if suffixes[kind] == nil {
					return fmt.Errorf("type %s", line)
				}
			case d[2] != family:
				return fmt.Errorf("within family %s: %s", family, line)
			case d[1] == "UNIT" && !strings.HasSuffix(family, "_"+d[3]):
				return fmt.Errorf("unit: %s", line)
			}
			continue
		}
		s := sample.FindStringSubmatch(line)
		if s == nil {
			return fmt.Errorf("no sample: %s", line)
		}
		suffix, ok := strings.CutPrefix(s[1], family)
		if !ok || family == "" || !slices.Contains(suffixes[kind], suffix) {
			return fmt.Errorf("within the %s %s: %s", kind, family, line)
		}
		labels := map[string]string{}
		for _, l := range label.FindAllStringSubmatch(s[2], -1) {
			if _, twice := labels[l[1]]; twice {
				return fmt.Errorf("label %s twice: %s", l[1], line)
			}
			labels[l[1]] = l[2]
		}
		value, err := strconv.ParseFloat(s[3], 64)
		at, err2 := strconv.ParseFloat(s[4], 64)
		switch q, isQuantile := labels["quantile"]; {
		case err != nil || err2 != nil:
			return fmt.Errorf("numbers: %s", line)
		case kind == "summary" && suffix == "":
			if p, err := strconv.ParseFloat(q, 64); err != nil || p < 0 || p > 1 {
				return fmt.Errorf("quantile: %s", line)
			}
		case isQuantile:
			return fmt.Errorf("quantile of a %s: %s", kind, line)
		case kind == "summary" && value < 0:
			return fmt.Errorf("negative: %s", line)
		case kind == "info" && value != 1, kind == "stateset" && value != 0 && value != 1:
			return fmt.Errorf("value: %s", line)
		case kind == "stateset" && labels[family] == "":
			return fmt.Errorf("state: %s", line)
		}
		id := s[1] + "{" + s[2]
		if last, before := points[id]; before && (id != metric || at <= last) {
			return fmt.Errorf("not in its place: %s", line)
		}
		points[id], metric = at, id
	}
	return nil
}
