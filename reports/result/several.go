package result

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// SchemaRuns is the schema of a document that holds several runs.
const SchemaRuns = "ssegauge/runs/v1"

// runs is such a document.
type runs struct {
	Schema   string `json:"schema"`
	Status   Status `json:"status"`
	Sentence string `json:"sentence"`
	Runs     []*Run `json:"runs"`
}

// Overall says what several runs come to: the worst of what each of them does.
func Overall(all ...*Run) Status {
	worst := Passed
	for _, r := range all {
		switch s := r.Status(); {
		case s == Failed:
			return Failed
		case s == Inconclusive:
			worst = Inconclusive
		}
	}
	return worst
}

// OverallSentence counts them: "3 runs: 1 failed, 2 passed."
func OverallSentence(all ...*Run) string {
	count := map[string]int{}
	for _, r := range all {
		count[r.Word()]++
	}
	var parts []string
	for _, word := range []string{string(Failed), string(Inconclusive), "interrupted", Suspect, "measured", string(Passed)} {
		if n := count[word]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, word))
		}
	}
	return Plural(int64(len(all)), "run") + ": " + strings.Join(parts, ", ") + "."
}

// Several tells whether runs are of more than one target, so that each needs its own named.
func Several(all ...*Run) bool {
	for _, r := range all {
		if Mask(r.Target.URL) != Mask(all[0].Target.URL) {
			return true
		}
	}
	return false
}

func encodeSeveral(all []*Run) ([]byte, error) {
	doc := runs{SchemaRuns, Overall(all...), OverallSentence(all...), make([]*Run, len(all))}
	for i, r := range all {
		doc.Runs[i] = r.stored()
	}
	return json.MarshalIndent(doc, "", "  ")
}

// DecodeAll reads what [Encode] writes of one run or of several, at most [MaxFile] bytes. Its errors are those of [Decode].
func DecodeAll(rd io.Reader) ([]*Run, error) {
	b, schema, err := readDocument(rd)
	if err != nil {
		return nil, err
	}
	if schema != SchemaRuns {
		r, err := decode(b, schema)
		if err != nil {
			return nil, err
		}
		return []*Run{r}, nil
	}
	var doc struct {
		Runs []json.RawMessage `json:"runs"`
	}
	if err := unmarshal(b, &doc); err != nil {
		return nil, err
	}
	if len(doc.Runs) == 0 {
		return nil, errors.New(SchemaRuns + " without \"runs\"")
	}
	all := make([]*Run, len(doc.Runs))
	for i, raw := range doc.Runs {
		one, schema, err := readDocument(bytes.NewReader(raw))
		if err == nil {
			all[i], err = decode(one, schema)
		}
		if err != nil {
			return nil, fmt.Errorf("run %d: %w", i+1, err)
		}
	}
	return all, nil
}
