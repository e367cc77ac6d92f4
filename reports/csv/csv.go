// Package csv writes a run as one table: for a check a row for each finding, for a load run a row for each figure
// (kind, name, quantity, value, unit), so that a spreadsheet or a data frame can filter and pivot it.
//
// Text cells that a spreadsheet would take for a formula begin with an apostrophe. It imports reports/result; a new figure is one line in load.
package csv

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"ssegauge/reports/result"
)

// Render writes the table of a run, with a header. The table of several has the target of each row in its first column; checks and load runs do
// not go into one.
func Render(w io.Writer, all ...*result.Run) error {
	var rows [][]string
	for i, r := range all {
		r = r.Complete()
		var table [][]string
		switch {
		case (r.Check == nil) != (all[0].Check == nil):
			return errors.New("csv: checks and load runs do not go into one table")
		case r.Check != nil:
			table = check(r.Check)
		case r.Load != nil:
			table = load(r)
		default:
			return fmt.Errorf("csv: nothing to report in a run of schema %q", r.Schema)
		}
		if len(all) > 1 {
			for n := range table {
				target := "target"
				if n > 0 {
					target = text(r.Target.URL)
				}
				table[n] = append([]string{target}, table[n]...)
			}
		}
		if i > 0 {
			table = table[1:] // one header
		}
		rows = append(rows, table...)
	}
	var out bytes.Buffer
	table := csv.NewWriter(&out)
	if err := table.WriteAll(rows); err != nil {
		return err
	}
	_, err := w.Write(out.Bytes())
	return err
}

// text makes a cell of what a target may have a say in.
func text(s string) string {
	s = result.Escape(s)
	if s != "" && strings.ContainsRune("=+-@", rune(s[0])) {
		return "'" + s
	}
	return s
}

func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

func check(c *result.Check) [][]string {
	rows := [][]string{{"id", "verdict", "level", "clause", "core", "title", "message", "hint", "decided_by", "connection", "offset", "length", "time_ms", "hex", "text", "reproduce"}}
	for _, f := range c.Results {
		row := []string{text(f.ID), text(string(f.Verdict)), text(string(f.Level)), text(f.Clause), strconv.FormatBool(f.Core), text(f.Title), text(f.Message), text(f.Hint), result.Escape(f.DecidedBy)}
		if len(f.Evidence) > 0 { // the first: a table has one row for a finding
			e := f.Evidence[0]
			row = append(row, text(e.Connection), strconv.FormatInt(e.Offset, 10), strconv.Itoa(e.Length), number(e.TimeMS), text(e.Hex), text(e.Text))
		} else {
			row = append(row, "", "", "", "", "", "")
		}
		rows = append(rows, append(row, text(f.Reproduce)))
	}
	return rows
}

func load(r *result.Run) [][]string {
	rows := [][]string{{"kind", "name", "quantity", "value", "unit"}}
	add := func(kind, name, quantity, value, unit string) {
		rows = append(rows, []string{kind, name, quantity, value, unit})
	}
	count := func(kind, quantity string, n int64) { add(kind, "", quantity, strconv.FormatInt(n, 10), "") }
	add("run", "", "validity", text(r.Validity.Verdict), "")
	add("run", "", "duration", number(r.DurationMS), "ms")
	s, e, g := r.Streams, r.Events, r.Generator
	count("streams", "planned", int64(s.Planned))
	count("streams", "opened", int64(s.Opened))
	count("streams", "failed", int64(s.Failed))
	count("streams", "peak", int64(s.Peak))
	count("streams", "connections", int64(s.Connections))
	count("streams", "closed_by_server", int64(s.ClosedByServer))
	count("streams", "completed", int64(s.Completed))
	count("streams", "reconnects", int64(s.Reconnects))
	for _, cause := range slices.Sorted(maps.Keys(s.Failures)) {
		add("failures", text(cause), "count", strconv.Itoa(s.Failures[cause]), "")
	}
	count("events", "published", e.Published)
	count("events", "received", e.Received)
	count("events", "eligible", e.Eligible)
	count("events", "lost", e.Lost)
	count("events", "duplicated", e.Duplicated)
	count("events", "reordered", e.Reordered)
	add("events", "", "bytes", strconv.FormatInt(e.Bytes, 10), "bytes")
	latency := func(name string, q *result.Quantiles) {
		if q == nil {
			return
		}
		add("latency", name, "count", strconv.FormatInt(q.Count, 10), "")
		add("latency", name, "never", strconv.FormatInt(q.Never, 10), "")
		for _, v := range []struct {
			quantity string
			us       *float64
		}{{"min", q.Min}, {"mean", q.Mean}, {"p50", q.P50}, {"p90", q.P90}, {"p99", q.P99}, {"p99_9", q.P999}, {"max", q.Max}} {
			value := "" // not resolved
			if v.us != nil {
				value = number(*v.us)
			}
			add("latency", name, v.quantity, value, "us")
		}
	}
	for _, name := range r.Metrics() {
		latency(text(name), r.LatencyUS[name])
	}
	latency("generator.delay", g.DelayUS)
	add("generator", "", "cpu", number(g.CPUSeconds), "s")
	add("generator", "", "rss", strconv.FormatInt(g.RSSBytes, 10), "bytes")
	add("generator", "", "per_stream", strconv.FormatInt(g.BytesPerStream, 10), "bytes")
	count("generator", "workers", int64(g.Workers))
	for _, gate := range r.Gates {
		value := ""
		if gate.Value != nil {
			value = number(*gate.Value)
		}
		add("gate", text(gate.Expression), "value", value, text(gate.Unit))
		add("gate", text(gate.Expression), "pass", strconv.FormatBool(gate.Pass), "")
	}
	for _, s := range r.Series {
		for i, v := range s.Values {
			if !math.IsNaN(v) && !math.IsInf(v, 0) {
				add("series", text(s.Name), strconv.FormatInt(int64(i)*s.StepMS, 10), number(v), "")
			}
		}
	}
	return rows
}
