// Package ndjson writes a run as lines of JSON, one object each, so that a stream of them can be cut, filtered and joined by line: first the "run", then
// its parts, last the "end" with what it comes to. Every line says in "type" what it is.
//
// It imports reports/result. A new part is one line in the function of its command.
package ndjson

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"time"

	"ssegauge/reports/result"
)

// Finding is the line of one finding; `check` writes them as its checks finish.
type Finding struct {
	Type string `json:"type"`
	result.Finding
}

// NewFinding returns the line of a finding.
func NewFinding(f result.Finding) Finding {
	if f.Evidence == nil {
		f.Evidence = []result.Evidence{}
	}
	return Finding{"finding", f}
}

type run struct {
	Type       string        `json:"type"`
	Schema     string        `json:"schema"`
	Tool       result.Tool   `json:"tool"`
	Target     result.Target `json:"target"`
	Started    time.Time     `json:"started"`
	DurationMS float64       `json:"duration_ms"`
}

type end struct {
	Type        string          `json:"type"`
	Status      result.Status   `json:"status"`
	Sentence    string          `json:"sentence"`
	Interrupted bool            `json:"interrupted"`
	Summary     *result.Summary `json:"summary,omitempty"`
}

type part struct {
	Type  string `json:"type"`
	Name  string `json:"name,omitempty"`
	Value any    `json:"value"`
}

type point struct {
	Type  string  `json:"type"`
	Name  string  `json:"name"`
	AtMS  int64   `json:"at_ms"`
	Value float64 `json:"value"`
}

// Render writes the lines of a run.
func Render(w io.Writer, r *result.Run) error {
	r = r.Complete()
	var out bytes.Buffer
	var failed error
	line := func(v any) {
		if err := result.EncodeLine(&out, v); err != nil && failed == nil {
			failed = err
		}
	}
	line(run{"run", r.Schema, r.Tool, r.Target, r.Started, r.DurationMS})
	last := end{Type: "end", Status: r.Status(), Sentence: r.Sentence(), Interrupted: r.Interrupted}
	switch {
	case r.Check != nil:
		for _, f := range r.Results {
			line(NewFinding(f))
		}
		last.Summary = &r.Summary
	case r.Load != nil:
		line(part{"validity", "", r.Validity})
		line(part{"plan", "", r.Plan})
		line(part{"environment", "", r.Environment})
		line(part{"streams", "", r.Streams})
		line(part{"events", "", r.Events})
		for _, name := range r.Metrics() {
			line(part{"latency_us", name, r.LatencyUS[name]})
		}
		line(part{"generator", "", r.Generator})
		for _, g := range r.Gates {
			line(part{"gate", "", g})
		}
		for _, s := range r.Series {
			for i, v := range s.Values {
				if !math.IsNaN(v) && !math.IsInf(v, 0) {
					line(point{"point", s.Name, int64(i) * s.StepMS, v})
				}
			}
		}
	default:
		return fmt.Errorf("ndjson: nothing to report in a run of schema %q", r.Schema)
	}
	line(last)
	if failed != nil {
		return failed
	}
	_, err := w.Write(out.Bytes())
	return err
}
