package result

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
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
	for _, word := range []string{string(Failed), string(Inconclusive), "interrupted", Suspect, "measured", "searched", string(Passed)} {
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

// CompareRow is one figure of several runs, "–" where a run has none.
type CompareRow struct {
	Name  string
	Cells []string
}

// SideBySide are the figures by which load runs are compared, without those that none has.
func SideBySide(loads []*Load) []CompareRow {
	var rows []CompareRow
	row := func(name string, value func(l *Load) string) {
		r := CompareRow{Name: name}
		empty := true
		for _, l := range loads {
			s := value(l)
			empty = empty && s == "–"
			r.Cells = append(r.Cells, s)
		}
		if !empty {
			rows = append(rows, r)
		}
	}
	quantile := func(metric string, p float64) func(l *Load) string {
		return func(l *Load) string {
			if us := l.LatencyUS[metric].At(p); us != nil {
				return Micros(*us)
			}
			return "–"
		}
	}
	row("streams opened", func(l *Load) string { return Count(int64(l.Streams.Opened)) })
	row("connections", func(l *Load) string { return Count(int64(l.Streams.Connections)) })
	row("events received", func(l *Load) string { return Count(l.Events.Received) })
	row("events lost", func(l *Load) string {
		if l.Unmatched() != "" {
			return "–"
		}
		return Count(l.Events.Lost)
	})
	row("lost while away", func(l *Load) string {
		if l.Reconnect == nil {
			return "–"
		}
		return Count(l.lostAway())
	})
	row("open, p99", quantile("open", 0.99))
	row("delivery, median", quantile("deliver", 0.5))
	row("delivery, p99", quantile("deliver", 0.99))
	row("99 % have it, median", quantile("fanout_t99", 0.5))
	row("99 % have it, p95", quantile("fanout_t99", 0.95))
	row("99 % have it, p99", quantile("fanout_t99", 0.99))
	row("generator, processor", func(l *Load) string { return Micros(l.Generator.CPUSeconds * 1e6) })
	row("generator, a stream", func(l *Load) string {
		if l.Generator.BytesPerStream == 0 {
			return "–"
		}
		return Bytes(float64(l.Generator.BytesPerStream))
	})
	return rows
}

// LimitsSideBySide are the limits of several searches, by id, in the order in which they were looked for; "?" is undecided.
func LimitsSideBySide(searches []*Limits) []CompareRow {
	var rows []CompareRow
	index := map[string]int{}
	for column, s := range searches {
		for i := range s.Limits {
			l := &s.Limits[i]
			at, known := index[l.ID]
			if !known {
				at = len(rows)
				index[l.ID] = at
				rows = append(rows, CompareRow{Escape(l.ID), slices.Repeat([]string{"–"}, len(searches))})
			}
			rows[at].Cells[column] = l.Brief()
		}
	}
	return rows
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
