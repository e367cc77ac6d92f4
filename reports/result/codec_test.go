package result_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"ssegauge/reports/internal/reporttest"
	"ssegauge/reports/result"
)

func encode(t *testing.T, r *result.Run) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := result.Encode(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// compile compiles a schema; strict refuses members that it does not name.
func compile(t *testing.T, schema string, strict bool) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(result.JSONSchema(schema)))
	if err != nil {
		t.Fatal(err)
	}
	if strict {
		closeObjects(doc)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	if err := c.AddResource("run.json", doc); err != nil {
		t.Fatal(err)
	}
	if schema == result.SchemaRuns {
		for _, one := range []string{result.SchemaCheck, result.SchemaLoad, result.SchemaLimits} {
			doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(result.JSONSchema(one)))
			if err != nil {
				t.Fatal(err)
			}
			if err := c.AddResource(doc.(map[string]any)["$id"].(string), doc); err != nil {
				t.Fatal(err)
			}
		}
	}
	s, err := c.Compile("run.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func closeObjects(doc any) {
	switch doc := doc.(type) {
	case map[string]any:
		if _, ok := doc["required"]; ok {
			doc["additionalProperties"] = false
		}
		for _, v := range doc {
			closeObjects(v)
		}
	case []any:
		for _, v := range doc {
			closeObjects(v)
		}
	}
}

func TestGolden(t *testing.T) {
	for _, r := range reporttest.Runs() {
		t.Run(r.Name, func(t *testing.T) {
			got := encode(t, r.Run)
			reporttest.Golden(t, r.Name+".json", got)
			doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(got))
			if err != nil {
				t.Fatal(err)
			}
			if err := compile(t, r.Run.Schema, true).Validate(doc); err != nil {
				t.Errorf("against its own schema: %v", err)
			}
			for _, c := range string(got) {
				if c != '\n' && !unicode.IsPrint(c) {
					t.Errorf("rune %q stands bare in the file", c)
				}
			}

			back, err := result.Decode(bytes.NewReader(got))
			if err != nil {
				t.Fatal(err)
			}
			if again := encode(t, back); !bytes.Equal(again, got) {
				t.Error(cmp.Diff(string(got), string(again)))
			}
			// The invalid byte of Hostile cannot be said in JSON; all else comes back.
			lossy := cmp.Transformer("utf8", func(s string) string { return strings.ToValidUTF8(s, "\ufffd") })
			if r.Name == "load-failing" {
				delete(r.Run.Streams.Failures, "response: "+reporttest.Hostile) // a key: not transformed
				for k := range back.Streams.Failures {
					if strings.Contains(k, "script") {
						delete(back.Streams.Failures, k)
					}
				}
			}
			plan := cmp.Comparer(func(a, b map[string]any) bool { // numbers of any kind come back as float64
				x, _ := json.Marshal(a)
				y, _ := json.Marshal(b)
				return bytes.Equal(x, bytes.ReplaceAll(y, []byte("\ufffd"), []byte(`\ufffd`)))
			})
			if d := cmp.Diff(r.Run, back, cmpopts.EquateEmpty(), cmpopts.EquateNaNs(), lossy, plan); d != "" {
				t.Errorf("read back (-written +read):\n%s", d)
			}
		})
	}
}

// Lists are never null, and encoding changes nothing in the run.
func TestEmpty(t *testing.T) {
	for _, r := range []*result.Run{
		{Schema: result.SchemaCheck, Check: &result.Check{Results: []result.Finding{{ID: "a/b", Level: result.Must, Verdict: result.Pass}}}},
		{Schema: result.SchemaCheck, Check: &result.Check{}},
		{Schema: result.SchemaLoad, Load: &result.Load{
			Validity: result.Validity{Verdict: "valid"}, LatencyUS: map[string]*result.Quantiles{"gap": nil},
			Series: []result.Series{{Name: "x", StepMS: 1, Values: result.Points{math.NaN(), 1.5, math.Inf(1)}}, {Name: "y", StepMS: 1}},
		}},
		{Schema: result.SchemaLoad, Load: &result.Load{Validity: result.Validity{Verdict: "valid"}}},
		{Schema: result.SchemaLimits, Limits: &result.Limits{}},
	} {
		before := r.Load != nil && r.Series == nil
		b := encode(t, r)
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if err := compile(t, r.Schema, true).Validate(doc); err != nil {
			t.Errorf("%s\n%v", b, err)
		}
		if before && r.Series != nil {
			t.Error("the run was changed")
		}
	}
}

// The schema refuses what is not a run.
func TestSchemaRefuses(t *testing.T) {
	check, load, limits := string(encode(t, reporttest.Failing())), string(encode(t, reporttest.Load())), string(encode(t, reporttest.Limits()))
	for _, tc := range []struct{ doc, old, new string }{
		{check, `"ssegauge/check/v1"`, `"ssegauge/check/v2"`},
		{check, `"verdict": "fail"`, `"verdict": "failed"`},
		{check, `"level": "MUST"`, `"level": "must"`},
		{check, `"id": "http/status"`, `"id": "HTTP status"`},
		{check, `"offset": 1044`, `"offset": -1`},
		{check, `"offset": 1044`, `"offset": "1044"`},
		{check, `"evidence": []`, `"evidence": null`},
		{check, `"hex": "e9"`, `"hex": "E9"`},
		{check, `"core_decided":`, `"core_decide":`},
		{check, `"2026-03-16T09:30:00Z"`, `"16 March"`},
		{load, `"verdict": "valid"`, `"verdict": "fine"`},
		{load, `"reasons": []`, `"reasons": null`},
		{load, `"failures": {}`, `"failures": null`},
		{load, `"p99_9": null`, `"p99_9": "-"`},
		{load, `"lost": 0`, `"lost": 0.5`},
		{load, `"step_ms": 1000`, `"step_ms": 0`},
		{load, `"gates": [`, `"gate": [`},
		{limits, `"verdict": "none"`, `"verdict": "never"`},
		{limits, `"owner": "path"`, `"owner": "nginx"`},
		{limits, `"high": null`, `"high": "none"`},
		{limits, `"id": "h2/slot-release"`, `"id": "slot"`},
		{limits, `"expect": [`, `"expected": [`},
		{limits, `"holds": true`, `"holds": null`},
		{limits, `"measured": 3375`, `"measured": 0.5`},
		{limits, `"peak_ci95": [`, `"peak_ci95": [0, `},
	} {
		if !strings.Contains(tc.doc, tc.old) {
			t.Errorf("%s is not in the run", tc.old)
			continue
		}
		broken := strings.Replace(tc.doc, tc.old, tc.new, 1)
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(broken))
		if err != nil {
			t.Fatal(err)
		}
		schema := result.SchemaCheck
		switch tc.doc {
		case load:
			schema = result.SchemaLoad
		case limits:
			schema = result.SchemaLimits
		}
		if compile(t, schema, false).Validate(doc) == nil {
			t.Errorf("%s for %s: not refused", tc.new, tc.old)
		}
	}
	// But a later version may say more.
	doc, _ := jsonschema.UnmarshalJSON(strings.NewReader(strings.Replace(check, `"summary":`, `"later": {}, "summary":`, 1)))
	if err := compile(t, result.SchemaCheck, false).Validate(doc); err != nil {
		t.Errorf("a new member is refused: %v", err)
	}
}

func TestDecodeErrors(t *testing.T) {
	for in, want := range map[string]string{
		"":                                "empty",
		" \n":                             "empty",
		"<html>":                          "not JSON: line 1",
		"{\n\"schema\":\n}":               "not JSON: line 3",
		`[]`:                              "a JSON array where",
		`{}`:                              `no "schema" member`,
		`{"schema":"ssegauge/check/v9"}`:  `schema "ssegauge/check/v9" is not known here (known: ssegauge/check/v1, ssegauge/load/v1, ssegauge/limits/v1, ssegauge/runs/v1)`,
		`{"schema":"\u001b[2J"}`:          `schema "\\x1b[2J" is not known`,
		`{"schema":"ssegauge/check/v1"}`:  `without "results"`,
		`{"schema":"ssegauge/load/v1"}`:   `without "validity"`,
		`{"schema":"ssegauge/limits/v1"}`: `without "limits"`,
		`{"schema":"ssegauge/limits/v1","limits":[],"curve":{}}`: `curve": a JSON object`,
		`{"schema":7}`: `member "schema": a JSON number`,
		`{"schema":"ssegauge/check/v1","results":[{"evidence":[{"offset":"x"}]}]}`: `offset": a JSON string where int64`,
		`{"schema":"ssegauge/check/v1","results":[]} trailing`:                     "not JSON",
	} {
		_, err := result.Decode(strings.NewReader(in))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", in, err, want)
		}
		var schema *result.SchemaError
		if want := strings.Contains(want, "schema\" member") || strings.Contains(want, "not known"); errors.As(err, &schema) != want {
			t.Errorf("%q: %T", in, err)
		}
	}
	if _, err := result.Decode(&endless{}); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("endless input: %v", err)
	}
	// A byte-order mark and foreign members are no reason to refuse.
	r, err := result.Decode(strings.NewReader("\ufeff" + `{"schema":"ssegauge/check/v1","results":[{"id":"a/b","new":1}],"validity":{"verdict":"valid"}}`))
	if err != nil || r.Load != nil || len(r.Results) != 1 || r.Results[0].Evidence == nil {
		t.Errorf("%+v, %v", r, err)
	}
}

type endless struct{}

func (*endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = ' '
	}
	return len(b), nil
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"schema":"ssegauge/check/v1","results":[{"id":"a/b","level":"MUST","verdict":"fail","core":true,"evidence":[{"offset":1,"text":"ab","mark":[0,1]}]}]}`))
	f.Add([]byte(`{"schema":"ssegauge/load/v1","validity":{"verdict":"valid"},"latency_us":{"open":{"count":2,"p50":1.5,"hdr":"AAAA"}},"series":[{"values":[1,null]}],"gates":[{"value":null}]}`))
	f.Add([]byte(`{"schema":"ssegauge/limits/v1","limits":[{"verdict":"found","low":1,"high":2e300,"unit":"bytes"},{"verdict":"?"}],"curve":[{"open_p99_us":1}],"knee":{"peak":null}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := result.Decode(bytes.NewReader(b))
		if err != nil {
			return
		}
		_ = r.Sentence()
		if r.Limits != nil {
			for i := range r.Limits.Limits {
				_ = r.Limits.Limits[i].Shown()
			}
		}
		if r.Load != nil {
			for _, q := range r.LatencyUS {
				_ = q.At(0.95)
			}
		}
		first := encode(t, r)
		again, err := result.Decode(bytes.NewReader(first))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first, encode(t, again)) {
			t.Error("not the same after a second round")
		}
	})
}
