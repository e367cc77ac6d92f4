// Package ndjson writes a run as lines of JSON, one object each, so that a stream of them can be cut, filtered and joined by line: first the "run", then
// its parts, last the "end" with what it comes to. Every line says in "type" what it is.
//
// `check` writes the lines of a run while it goes on ([NewRun], [NewFinding], [NewEnd]): its findings come as its checks finish, and its "run" does not know yet how
// long it takes. Lines without an "end" are of a run that was broken off without a report.
//
// It imports reports/result. A new member of a load run or of a search for limits is a line of its own by itself.
package ndjson

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"ssegauge/reports/result"
)

// Finding is the line of one finding.
type Finding struct {
	Type string `json:"type"`
	result.Finding
}

// NewFinding returns the line of a finding.
func NewFinding(f result.Finding) Finding {
	if f.Evidence == nil {
		f.Evidence = []result.Evidence{}
	}
	f.Reproduce = result.MaskText(f.Reproduce)
	return Finding{"finding", f}
}

type limit struct {
	Type string `json:"type"`
	result.Limit
}

type rung struct {
	Type string `json:"type"`
	result.Rung
}

type run struct {
	Type       string        `json:"type"`
	Schema     string        `json:"schema"`
	Tool       result.Tool   `json:"tool"`
	Target     result.Target `json:"target"`
	Started    time.Time     `json:"started"`
	DurationMS float64       `json:"duration_ms,omitempty"` // unknown while it goes on
}

// NewRun returns the line of a run that begins: its schema, tool, target and start.
func NewRun(r *result.Run) any {
	return run{"run", r.Schema, r.Tool, result.Target{URL: result.Mask(r.Target.URL), HTTP: r.Target.HTTP}, r.Started, r.DurationMS}
}

type end struct {
	Type        string          `json:"type"`
	DurationMS  float64         `json:"duration_ms"`
	Replayed    bool            `json:"replayed,omitempty"`
	Error       string          `json:"error,omitempty"`
	Status      result.Status   `json:"status"`
	Sentence    string          `json:"sentence"`
	Interrupted bool            `json:"interrupted"`
	Summary     *result.Summary `json:"summary,omitempty"`
}

// NewEnd returns the line of a run that is over.
func NewEnd(r *result.Run) any {
	e := end{Type: "end", DurationMS: r.DurationMS, Replayed: r.Replayed, Error: r.Error, Status: r.Status(), Sentence: r.Sentence(), Interrupted: r.Interrupted}
	if r.Check != nil {
		e.Summary = &r.Summary
	}
	return e
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

// Render writes the lines of each run, one run after the other.
func Render(w io.Writer, all ...*result.Run) error {
	var out bytes.Buffer
	for _, r := range all {
		if err := render(&out, r.Complete()); err != nil {
			return err
		}
	}
	_, err := w.Write(out.Bytes())
	return err
}

func render(out *bytes.Buffer, r *result.Run) error {
	var failed error
	line := func(v any) {
		if err := result.EncodeLine(out, v); err != nil && failed == nil {
			failed = err
		}
	}
	line(NewRun(r))
	switch {
	case r.Check != nil:
		for _, f := range r.Results {
			line(NewFinding(f))
		}
	case r.Load != nil:
		members(r, reflect.ValueOf(*r.Load), line)
	case r.Limits != nil:
		members(r, reflect.ValueOf(*r.Limits), line)
	default:
		return fmt.Errorf("ndjson: nothing to report in a run of schema %q", r.Schema)
	}
	line(NewEnd(r))
	return failed
}

// members writes a line for each member, of a list for each of its elements.
func members(r *result.Run, v reflect.Value, line func(any)) {
	for i := range v.NumField() {
		name, option, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		if option == "omitempty" && v.Field(i).IsZero() {
			continue
		}
		switch m := v.Field(i).Interface().(type) {
		case map[string]*result.Quantiles:
			names := slices.Sorted(maps.Keys(m))
			if name == "latency_us" {
				names = r.Metrics() // in reading order
			}
			for _, of := range names {
				line(part{name, of, m[of]})
			}
		case []result.Gate:
			for _, g := range m {
				line(part{"gate", "", g})
			}
		case []result.Disconnect:
			for _, d := range m {
				line(part{"disconnect", "", d})
			}
		case []result.Finding:
			for _, f := range m {
				line(NewFinding(f))
			}
		case []result.Limit:
			for _, l := range m {
				line(limit{"limit", l})
			}
		case []result.Rung:
			for _, r := range m {
				line(rung{"rung", r})
			}
		case []result.Series:
			points(m, line)
		default:
			if f := v.Field(i); f.Kind() != reflect.Pointer || !f.IsNil() {
				line(part{name, "", m})
			}
		}
	}
}

func points(all []result.Series, line func(any)) {
	for _, s := range all {
		for i, v := range s.Values {
			if !math.IsNaN(v) && !math.IsInf(v, 0) {
				line(point{"point", s.Name, int64(i) * s.StepMS, v})
			}
		}
	}
}
