package result_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"ssegauge/reports/internal/reporttest"
	"ssegauge/reports/result"
)

// Several runs are one document, each run in it as in a file of its own; read again they are the same.
func TestSeveral(t *testing.T) {
	all := append(reporttest.Several(), reporttest.Load())
	var b bytes.Buffer
	if err := result.Encode(&b, all...); err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if err := compile(t, result.SchemaRuns, true).Validate(doc); err != nil {
		t.Errorf("against its own schema: %v", err)
	}
	var plain struct {
		Status   result.Status
		Sentence string
		Runs     []json.RawMessage
	}
	if err := json.Unmarshal(b.Bytes(), &plain); err != nil {
		t.Fatal(err)
	}
	if plain.Status != result.Failed || plain.Sentence != "4 runs: 1 failed, 1 inconclusive, 2 passed." {
		t.Errorf("%s: %s", plain.Status, plain.Sentence)
	}
	for i, r := range all {
		var got, want any
		if json.Unmarshal(plain.Runs[i], &got) != nil || json.Unmarshal(encode(t, r), &want) != nil {
			t.Fatal("no JSON")
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("run %d (-alone +among others):\n%s", i, d)
		}
	}
	back, err := result.DecodeAll(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	var again bytes.Buffer
	if err := result.Encode(&again, back...); err != nil || !bytes.Equal(again.Bytes(), b.Bytes()) {
		t.Errorf("%v: read back (-written +read):\n%s", err, cmp.Diff(b.String(), again.String()))
	}
	if one, err := result.DecodeAll(bytes.NewReader(encode(t, all[0]))); err != nil || len(one) != 1 {
		t.Errorf("%d runs, %v", len(one), err)
	}
	for in, want := range map[string]string{
		`{"schema":"ssegauge/runs/v1"}`:                                          `without "runs"`,
		`{"schema":"ssegauge/runs/v1","runs":[{"schema":"ssegauge/check/v1"}]}`:  `run 1: ssegauge/check/v1 without "results"`,
		`{"schema":"ssegauge/runs/v1","runs":[{"schema":"ssegauge/runs/v1"}]}`:   `run 1: schema "ssegauge/runs/v1" is not known`,
		`{"schema":"ssegauge/runs/v1","runs":[{"schema":"ssegauge/limits/v9"}]}`: `run 1: schema "ssegauge/limits/v9" is not known`,
	} {
		if _, err := result.DecodeAll(strings.NewReader(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", in, err, want)
		}
	}
}

// A run that never reached its target concludes nothing, and says why.
func TestUnreachable(t *testing.T) {
	r := reporttest.Unreachable()
	if r.Status() != result.Inconclusive || r.Sentence() != "nothing could be judged: connect 127.0.0.1:8082: connection refused." {
		t.Errorf("%s: %s", r.Status(), r.Sentence())
	}
}
