package junit_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"ssegauge/reports/internal/reporttest"
	"ssegauge/reports/junit"
	"ssegauge/reports/result"
)

func render(t *testing.T, r ...*result.Run) ([]byte, *node) {
	t.Helper()
	var b bytes.Buffer
	if err := junit.Render(&b, r...); err != nil {
		t.Fatal(err)
	}
	n, err := parse(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatalf("%v:\n%s", err, b.Bytes())
	}
	if err := loadSchema(t).validate(n); err != nil {
		t.Errorf("not valid: %v", err)
	}
	return b.Bytes(), n
}

// Every run is valid by the schema, and the counts are those of the testcases.
func TestGolden(t *testing.T) {
	type doc struct {
		Name string
		runs []*result.Run
	}
	docs := []doc{{"several", reporttest.Several()}}
	for _, r := range reporttest.Runs() {
		docs = append(docs, doc{r.Name, []*result.Run{r.Run}})
	}
	for _, r := range docs {
		b, n := render(t, r.runs...)
		reporttest.Golden(t, r.Name+".xml", b)
		if got := len(n.find("testsuite")); got != len(r.runs) {
			t.Errorf("%s: %d suites of %d runs", r.Name, got, len(r.runs))
		}
		for _, s := range append(n.find("testsuite"), n) {
			for attr, element := range map[string]string{"tests": "testcase", "failures": "failure", "errors": "error", "skipped": "skipped"} {
				if got, want := s.attrs[attr], fmt.Sprint(len(s.find(element))); got != want {
					t.Errorf("%s: %s of %s is %s, there are %s", r.Name, attr, s.name, got, want)
				}
			}
		}
	}
}

// outcomes are the testcases by name: the element that stands for the outcome ("" for a pass) and its message.
func outcomes(t *testing.T, r *result.Run) map[string]string {
	_, n := render(t, r)
	out := map[string]string{}
	for _, c := range n.find("testcase") {
		name := c.attrs["name"]
		if _, twice := out[name]; twice {
			t.Errorf("two testcases %s", name)
		}
		out[name] = ""
		for _, k := range c.kids {
			if k.name != "system-out" {
				out[name] = k.name + ": " + k.attrs["message"]
			}
		}
	}
	return out
}

func TestCheck(t *testing.T) {
	r := reporttest.Failing()
	got := outcomes(t, r)
	if len(got) != len(r.Results) {
		t.Errorf("%d testcases of %d checks", len(got), len(r.Results))
	}
	want := map[result.Verdict]string{
		result.Pass: "", result.Info: "", result.Warn: "", result.Fail: "failure: ", result.Error: "error: ",
		result.NotObserved: "skipped: ", result.NotApplicable: "skipped: ",
	}
	for _, f := range r.Results {
		o := got[f.ID]
		if w := want[f.Verdict]; !strings.HasPrefix(o, w) || w == "" && o != "" || w != "" && !strings.Contains(o, result.Escape(f.Message)) {
			t.Errorf("%s, %s: %q", f.ID, f.Verdict, o)
		}
		if f.DecidedBy != "" && !strings.Contains(o, f.DecidedBy) {
			t.Errorf("%s: %q does not say what would decide it", f.ID, o)
		}
	}
	_, n := render(t, r)
	for _, c := range n.find("testcase") {
		if c.attrs["name"] != "encoding/utf8" {
			continue
		}
		if c.attrs["classname"] != "check.encoding" {
			t.Errorf("class %s", c.attrs["classname"])
		}
		out := c.find("system-out")[0].text
		for _, part := range []string{`caf\xe9 au lait`, "byte 1,044", "hex e9", "curl -N"} {
			if !strings.Contains(out, part) {
				t.Errorf("no %s in %s", part, out)
			}
		}
	}
}

// A run in which nothing was decided is no success for a reader that counts failures and errors.
func TestConclusion(t *testing.T) {
	if o := outcomes(t, reporttest.Interrupted())["conclusion"]; !strings.HasPrefix(o, "error: Interrupted; ") {
		t.Errorf("%q", o)
	}
	if o := outcomes(t, &result.Run{Check: &result.Check{}})["conclusion"]; !strings.HasPrefix(o, "error: ") {
		t.Errorf("%q", o)
	}
	if o, ok := outcomes(t, reporttest.Clean())["conclusion"]; ok {
		t.Errorf("%q", o)
	}
}

// Nor is one that does not meet what was asked of it beyond its results.
func TestPolicy(t *testing.T) {
	for want, policy := range map[string][]result.Breach{
		"error: no proof":          {{Reason: "no proof"}},
		"failure: no proof; stale": {{Reason: "no proof"}, {Reason: "stale", Failed: true}},
	} {
		r := reporttest.Clean()
		r.Policy = policy
		all := outcomes(t, r)
		if _, ok := all["conclusion"]; ok || !strings.HasPrefix(all["policy"], want) {
			t.Errorf("%q, want %q", all["policy"], want)
		}
	}
	if o, ok := outcomes(t, reporttest.Clean())["policy"]; ok {
		t.Errorf("%q", o)
	}
}

func TestLoad(t *testing.T) {
	invalid, failing := reporttest.LoadFailing(), reporttest.LoadFailing()
	failing.Validity, failing.Interrupted = result.Validity{Verdict: result.Valid}, false
	cut := reporttest.Load()
	cut.Interrupted = true
	for _, c := range []struct {
		run             *result.Run
		name, beginning string
	}{
		{reporttest.Load(), "validity", ""},
		{reporttest.Load(), "lost == 0", ""},
		{reporttest.LoadFew(), "validity", ""}, // suspect: said in system-out
		{cut, "validity", "error: interrupted"},
		{invalid, "validity", "error: the measurement is not valid"},
		{invalid, "lost == 0", "skipped: the measurement is not valid; measured 3,100"},
		{failing, "lost == 0", "failure: measured 3,100"},
		{failing, "deliver.p99 < 250ms", "failure: no value; 3,100 never came"},
		{failing, "deliver.p90 < 250ms", ""},
	} {
		got, ok := outcomes(t, c.run)[c.name]
		if !ok || !strings.HasPrefix(got, c.beginning) || c.beginning == "" && got != "" {
			t.Errorf("%s: %q, want %q", c.name, got, c.beginning)
		}
	}
}

// Text that would break XML 1.0, in every place of it.
func TestHostile(t *testing.T) {
	var every strings.Builder
	for c := range rune(0x300) {
		every.WriteRune(c)
	}
	h := every.String() + "]]>\ufffe\uffff\xff\xed\xa0\x80&amp;<!--<![CDATA[" + reporttest.Hostile
	check := &result.Run{Target: result.Target{URL: h, HTTP: h}, Tool: result.Tool{Version: h}, Check: &result.Check{}}
	for _, v := range []result.Verdict{result.Pass, result.Fail, result.Warn, result.Error, result.NotObserved, result.Verdict(h)} {
		check.Results = append(check.Results, result.Finding{
			ID: h + string(v), Title: h, Level: result.Level(h), Clause: h, Verdict: v, Message: h, Hint: h, DecidedBy: h, Reproduce: h,
			Evidence: []result.Evidence{{Connection: h, Text: h, Hex: h, Mark: &[2]int{5, 9}}},
		})
	}
	load := &result.Run{Target: check.Target, Load: &result.Load{
		Validity: result.Validity{Verdict: h, Reasons: []string{h}},
		Gates:    []result.Gate{{Expression: h, Unit: h, Reason: h, Value: new(-1e300)}, {Pass: true}},
	}}
	for _, r := range []*result.Run{check, load} {
		b, n := render(t, r)
		if bytes.ContainsAny(b, "\x00\x1b\u202e\ufffd") {
			t.Error("hostile text came through")
		}
		if name := n.find("testsuite")[0].attrs["name"]; !strings.HasSuffix(name, result.Escape(result.Mask(h))) {
			t.Errorf("the name reads %s", name)
		}
	}
}

func TestErrors(t *testing.T) {
	if err := junit.Render(io.Discard, &result.Run{}); err == nil {
		t.Error("a report of a run without an outcome")
	}
}
