// Package csv writes a run as one table: for a check a row for each finding, for a search for limits a row for each limit, for a load run a row for each figure
// (kind, name, quantity, value, unit), so that a spreadsheet or a data frame can filter and pivot it.
//
// Text cells that a spreadsheet would take for a formula begin with an apostrophe. It imports reports/result; a figure of
// [result.Load.Figures] is here of itself, another one is one line in load.
package csv

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"ssegauge/reports/result"
)

// Render writes the table of a run, with a header. The table of several has the target of each row in its first column; checks, load runs and searches for limits
// do not go into one.
func Render(w io.Writer, all ...*result.Run) error {
	var rows [][]string
	for i, r := range all {
		r = r.Complete()
		var table [][]string
		switch {
		case (r.Check == nil) != (all[0].Check == nil) || (r.Load == nil) != (all[0].Load == nil):
			return errors.New("csv: checks, load runs and searches for limits do not go into one table")
		case r.Check != nil:
			table = check(r.Check)
		case r.Load != nil:
			table = load(r)
		case r.Limits != nil:
			table = limits(r.Limits)
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

func optional(v *float64) string {
	if v == nil {
		return ""
	}
	return number(*v)
}

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

func limits(l *result.Limits) [][]string {
	rows := [][]string{{"id", "probe", "title", "verdict", "low", "high", "unit", "owner", "decided_by", "evidence", "fact"}}
	for _, x := range l.Limits {
		rows = append(rows, []string{
			text(x.ID), text(x.Probe), text(x.Title), text(x.Verdict), optional(x.Low), optional(x.High), text(x.Unit), text(x.Owner), result.Escape(x.DecidedBy), text(x.Evidence), strconv.FormatBool(x.Fact),
		})
	}
	return rows
}

func load(r *result.Run) [][]string {
	rows := [][]string{{"kind", "name", "quantity", "value", "unit"}}
	add := func(kind, name, quantity, value, unit string) {
		rows = append(rows, []string{kind, name, quantity, value, unit})
	}
	add("run", "", "validity", text(r.Validity.Verdict), "")
	add("run", "", "duration", number(r.DurationMS), "ms")
	for _, f := range r.Figures() {
		add(f.Group, "", f.Name, optional(f.Value), f.Unit) // empty: not measured
	}
	for _, c := range r.Causes() {
		add("failures", text(c.Text), "count", strconv.Itoa(c.Count), "")
	}
	distribution := func(kind, name, unit string, q *result.Quantiles) {
		if q == nil {
			return
		}
		name = text(name)
		add(kind, name, "count", strconv.FormatInt(q.Count, 10), "")
		add(kind, name, "never", strconv.FormatInt(q.Never, 10), "")
		for _, v := range []struct {
			quantity string
			value    *float64
		}{{"min", q.Min}, {"mean", q.Mean}, {"p50", q.P50}, {"p90", q.P90}, {"p99", q.P99}, {"p99_9", q.P999}, {"max", q.Max}} {
			add(kind, name, v.quantity, optional(v.value), unit) // empty: not resolved
			if i, ok := q.CI95[v.quantity]; ok {
				add(kind, name, v.quantity+".low", optional(i.Low), unit)
				add(kind, name, v.quantity+".high", optional(i.High), unit)
			}
		}
	}
	for _, l := range r.Latencies() {
		distribution("latency", l.Name, "us", l.Quantiles)
	}
	for _, name := range result.Distributions() {
		distribution("distribution", name, "", r.Distributions[name])
	}
	for _, d := range r.Disconnects {
		distribution("disconnect", d.Cause, "us", d.AgeUS)
	}
	for _, f := range r.Load.Findings {
		add("finding", text(f.ID), text(string(f.Verdict)), "1", "")
	}
	for _, gate := range r.Gates {
		add("gate", text(gate.Expression), "value", optional(gate.Value), text(gate.Unit))
		add("gate", text(gate.Expression), "pass", strconv.FormatBool(gate.Pass), "")
	}
	for _, s := range r.Series { // quantity: milliseconds since the start
		unit := ""
		if strings.HasSuffix(s.Name, "_us") {
			unit = "us"
		}
		for i, v := range s.Values {
			if !math.IsNaN(v) && !math.IsInf(v, 0) {
				add("series", text(s.Name), strconv.FormatInt(int64(i)*s.StepMS, 10), number(v), unit)
			}
		}
	}
	return rows
}
