package sarif_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"ssegauge/reports/internal/reporttest"
	"ssegauge/reports/result"
	"ssegauge/reports/sarif"
)

// schemas are the reduced one of our own and, where SARIF_SCHEMA names a copy of it, that of the standard.
func schemas(t *testing.T) []*jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	var out []*jsonschema.Schema
	for _, path := range []string{"testdata/sarif-2.1.0-reduced.schema.json", os.Getenv("SARIF_SCHEMA")} {
		if path == "" {
			continue
		}
		s, err := c.Compile(path)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	return out
}

// object is a JSON object whose members the tests walk through.
type object map[string]any

func (o object) list(name string) (out []object) {
	list, _ := o[name].([]any)
	for _, e := range list {
		out = append(out, e.(map[string]any))
	}
	return out
}

func (o object) at(names ...string) object {
	for _, n := range names {
		m, _ := o[n].(map[string]any)
		o = m
	}
	return o
}

func render(t *testing.T, r ...*result.Run) ([]byte, object) {
	t.Helper()
	var b bytes.Buffer
	if err := sarif.Render(&b, r...); err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range schemas(t) {
		if err := s.Validate(doc); err != nil {
			t.Errorf("not valid: %v\n%s", err, b.Bytes())
		}
	}
	run := object(doc.(map[string]any)).list("runs")[0]
	rules := run.at("tool", "driver").list("rules")
	ids := map[any]bool{}
	for _, rule := range rules {
		if ids[rule["id"]] {
			t.Errorf("two rules %s", rule["id"])
		}
		ids[rule["id"]] = true
	}
	for _, res := range run.list("results") {
		if at := number(res["ruleIndex"]); at >= len(rules) || rules[at]["id"] != res["ruleId"] {
			t.Errorf("rule %d is not %s", at, res["ruleId"])
		}
	}
	return b.Bytes(), run
}

func number(v any) int {
	n, err := v.(interface{ Int64() (int64, error) }).Int64()
	if err != nil {
		return -1
	}
	return int(n)
}

func TestGolden(t *testing.T) {
	for _, r := range reporttest.Runs() {
		b, _ := render(t, r.Run)
		reporttest.Golden(t, r.Name+".sarif", b)
	}
	// Several: a run each, of a category of its own, also of the same target.
	b, _ := render(t, append(reporttest.Several(), reporttest.Clean())...)
	reporttest.Golden(t, "several.sarif", b)
	var doc struct {
		Runs []struct{ AutomationDetails struct{ ID string } }
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, r := range doc.Runs {
		if id := r.AutomationDetails.ID; seen[id] || !strings.HasSuffix(id, "/") {
			t.Errorf("category %q", id)
		}
		seen[r.AutomationDetails.ID] = true
	}
	if len(seen) != 4 {
		t.Errorf("%d categories", len(seen))
	}
}

// A result for each check that failed or warned, at the byte; a notification for each that could not be judged; nothing for the rest.
func TestCheck(t *testing.T) {
	r := reporttest.Failing()
	_, run := render(t, r)
	results, notes := map[any]object{}, run.list("invocations")[0].list("toolExecutionNotifications")
	for _, o := range run.list("results") {
		results[o["ruleId"]] = o
	}
	if rules := run.at("tool", "driver").list("rules"); len(rules) != len(r.Results) {
		t.Errorf("%d rules of %d checks", len(rules), len(r.Results))
	}
	errors := 0
	for _, f := range r.Results {
		o, ok := results[f.ID]
		switch f.Verdict {
		case result.Fail, result.Warn:
			want := map[result.Verdict]string{result.Fail: "error", result.Warn: "warning"}[f.Verdict]
			if !ok || o["level"] != want || o.at("message")["text"] != result.Escape(f.Message) {
				t.Errorf("%s, %s: %v", f.ID, f.Verdict, o)
			}
		case result.Error:
			errors++
			fallthrough
		default:
			if ok {
				t.Errorf("%s, %s: %v", f.ID, f.Verdict, o)
			}
		}
	}
	if len(notes) != errors || notes[0].at("associatedRule")["id"] != "http/head" {
		t.Errorf("notifications %v of %d errors", notes, errors)
	}

	o := results["data/multiline"]
	first := o.list("locations")[0].at("physicalLocation")
	if number(first.at("region")["byteOffset"]) != 226 || number(first.at("region")["byteLength"]) != 6 || first.at("region", "properties")["connection"] != "c3" {
		t.Errorf("first place %v", first)
	}
	if related := o.list("relatedLocations"); len(related) != 1 || number(related[0].at("physicalLocation", "region")["byteLength"]) != 0 {
		t.Errorf("other places %v", related)
	}
	if got := resolve(t, run, first.at("artifactLocation")); got != "http://127.0.0.1:8080/events?token=***" {
		t.Errorf("location %s", got)
	}
}

// resolve puts a location and its base together, as a reader does.
func resolve(t *testing.T, run, location object) string {
	t.Helper()
	uri, err := url.Parse(location["uri"].(string))
	if err != nil || uri.IsAbs() || strings.HasPrefix(uri.Path, "/") || uri.Host != "" {
		t.Fatalf("reference %s: %v", location["uri"], err)
	}
	if location["uriBaseId"] == nil {
		return uri.String()
	}
	base, err := url.Parse(run.at("originalUriBaseIds", location["uriBaseId"].(string))["uri"].(string))
	if err != nil || !base.IsAbs() || !strings.HasSuffix(base.Path, "/") {
		t.Fatalf("base: %v", err)
	}
	return base.ResolveReference(uri).String()
}

func TestLocation(t *testing.T) {
	for raw, want := range map[string]string{
		"http://h:1/events":            "",
		"http://h":                     "http://h/",
		"http://h/":                    "",
		"http://h?x=1":                 "http://h/?x=1",
		"https://[::1]:80/a/b?c=/&d#e": "",
		"http://h//a":                  "",
		"http://h/a:b":                 "",
		"http://h/a%2Fb%20c":           "",
		"http://h/a b?q=\"<>":          "http://h/a%20b?q=%22%3C%3E",
		"http://u:p@h/?token=1":        "http://h/?token=***",
		"not a URL":                    "./not%20a%20URL",
		"":                             "./",
		"http://h/%zz":                 "./http:%2F%2Fh%2F%25zz",
		"http://h/\x00\xff?\x1b=é":     `http://h/%5Cx00%5Cxff?%5Cx1b=%C3%A9`,
	} {
		r := reporttest.Failing()
		r.Target.URL = raw
		_, run := render(t, r)
		if want == "" {
			want = raw
			if raw == "" {
				want = "./"
			}
		}
		if got := resolve(t, run, run.list("results")[0].list("locations")[0].at("physicalLocation", "artifactLocation")); got != want {
			t.Errorf("%q: %s, want %s", raw, got, want)
		}
	}
}

func TestLoad(t *testing.T) {
	failing := reporttest.LoadFailing()
	failing.Validity, failing.Interrupted = result.Validity{Verdict: result.Valid}, false
	for _, c := range []struct {
		run            *result.Run
		results, notes int
		executed       bool
	}{
		{reporttest.Load(), 0, 0, true},
		{reporttest.LoadFew(), 0, 1, true},
		{reporttest.LoadFailing(), 0, 2, false}, // not valid
		{failing, 3, 0, true},
	} {
		_, run := render(t, c.run)
		in := run.list("invocations")[0]
		if got := len(run.list("results")); got != c.results || len(in.list("toolExecutionNotifications")) != c.notes || in["executionSuccessful"] != c.executed {
			t.Errorf("%d results, want %d; %v", got, c.results, in)
		}
	}
}

// Hostile text anywhere leaves a valid document without a rune that does not print.
func TestHostile(t *testing.T) {
	h := reporttest.Hostile
	r := reporttest.Failing()
	r.Target, r.Tool = result.Target{URL: h, HTTP: h}, result.Tool{Version: h}
	evidence := result.Evidence{Connection: h, Offset: -5, Length: -1, TimeMS: -1, Text: h, Hex: h, Mark: &[2]int{5, 9}}
	r.Results = []result.Finding{
		{ID: h, Title: h, Level: result.Level(h), Clause: h, Verdict: result.Fail, Message: h, Hint: h, Reproduce: h, Evidence: []result.Evidence{evidence, evidence}},
		{ID: h, Verdict: result.Warn},
		{ID: h, Verdict: result.Verdict(h)},
		{ID: h, Verdict: result.Error, Message: h},
	}
	load := reporttest.LoadFailing()
	load.Target, load.Validity = r.Target, result.Validity{Verdict: result.Valid, Reasons: []string{h}}
	load.Gates = []result.Gate{{Expression: h, Unit: h, Reason: h, Value: new(-1e300)}, {Expression: h}, {}}
	for _, r := range []*result.Run{r, load} {
		b, _ := render(t, r)
		if bytes.ContainsAny(b, "\x00\x1b\u202e\ufffd<") {
			t.Error("hostile text came through")
		}
	}
}

func TestErrors(t *testing.T) {
	if err := sarif.Render(io.Discard, &result.Run{}); err == nil {
		t.Error("a report of a run without an outcome")
	}
}
