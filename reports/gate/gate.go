// Package gate holds thresholds on a load run: `deliver.p99 < 250ms`, `lost == 0`, `streams.failed < 0.1%`; and on limits: `streams/total >= 1000` (limits.go).
//
//	threshold = measure ( "<" | "<=" | ">" | ">=" | "==" | "!=" ) number [ unit ]
//	measure   = latency "." ( "p50" | "p99.9" | ... | "min" | "mean" | "max" | "count" | quantile ( ".low" | ".high" ) )
//	          | [ "events." ] count  |  "streams." count  |  "generator." figure
//
// Times need a unit (ns, us, ms, s, m, h), sizes may have one (B, kB, KiB ...), counts may end in k or M, or be a percentage: of
// the planned streams, of the eligible or received events.
//
// A value that the run cannot resolve fails its threshold: silence is no pass. What never came counts as later than all that did, so that
// losing events cannot better a quantile of deliver or fanout_t99. What a sample resolves follows from the number of events, not of deliveries. "deliver.p99.high" is the upper
// end of the 95 % interval of that quantile.
//
// It imports reports/result. A new measure is one line in measures.go.
package gate

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"ssegauge/reports/result"
)

// Gate is a threshold, parsed.
type Gate struct {
	text    string
	measure measure
	op      string
	bound   float64 // in the measure's unit; a ratio if share
	share   bool    // the bound is a percentage of the measure's whole
}

// String returns the expression as it was given.
func (g *Gate) String() string { return g.text }

// operators, the longer before those that they begin with.
var operators = []string{"<=", ">=", "==", "!=", "<", ">"}

// Parse reads a threshold. The error says what is wrong and what would be right.
func Parse(expression string) (*Gate, error) {
	c, err := compare(expression, "deliver.p99 < 250ms")
	if err != nil {
		return nil, err
	}
	g := &Gate{text: c.text, op: c.op}
	if g.measure, err = lookup(c.name); err != nil {
		return nil, c.fail("%v", err)
	}
	value, unit, err := c.number()
	if err != nil {
		return nil, err
	}
	if g.bound, g.share, err = g.measure.bound(value, unit); err != nil {
		return nil, c.fail("%v", err)
	}
	return g, nil
}

// comparison is a threshold, cut at its operator.
type comparison struct{ text, name, op, rest string }

func (c *comparison) fail(format string, args ...any) error {
	return fmt.Errorf("threshold %q: %s", shown(c.text), fmt.Sprintf(format, args...))
}

// compare cuts a threshold at its operator; like is one as it should be.
func compare(expression, like string) (*comparison, error) {
	c := &comparison{text: strings.TrimSpace(expression)}
	at := strings.IndexAny(c.text, "<>=!")
	if at < 0 {
		return nil, c.fail("no comparison; write it like `%s`", like)
	}
	c.name, c.rest = strings.TrimSpace(c.text[:at]), c.text[at:]
	for _, op := range operators {
		if strings.HasPrefix(c.rest, op) {
			c.op, c.rest = op, strings.TrimSpace(c.rest[len(op):])
			return c, nil
		}
	}
	return nil, c.fail("%q is no comparison; use one of < <= > >= == !=", c.rest[:1])
}

// number reads what stands behind the operator.
func (c *comparison) number() (value float64, unit string, err error) {
	digits := strings.TrimLeft(c.rest, "0123456789.")
	number, unit := c.rest[:len(c.rest)-len(digits)], strings.TrimSpace(digits)
	value, err = strconv.ParseFloat(number, 64)
	if err != nil || math.IsInf(value, 0) {
		return 0, "", c.fail("%q is no number", shown(c.rest))
	}
	return value, unit, nil
}

func shown(s string) string {
	if len(s) > 80 {
		s = strings.ToValidUTF8(s[:80], "") + "…"
	}
	return s
}

// units and how many of a measure's own unit each is.
var units = map[string]map[string]float64{
	"us":    {"ns": 1e-3, "us": 1, "µs": 1, "μs": 1, "ms": 1e3, "s": 1e6, "m": 60e6, "min": 60e6, "h": 3600e6},
	"s":     {"ms": 1e-3, "s": 1, "m": 60, "min": 60, "h": 3600},
	"bytes": {"": 1, "B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30},
	"":      {"": 1, "k": 1e3, "M": 1e6},
}

// bound converts a number with a unit into the measure's own unit.
func (m *measure) bound(value float64, unit string) (bound float64, share bool, err error) {
	if unit == "%" {
		if m.whole == nil {
			return 0, false, fmt.Errorf("%s is no part of a whole: a percentage says nothing", m.name)
		}
		return value / 100, true, nil
	}
	if factor, ok := units[m.unit][unit]; ok {
		return value * factor, false, nil
	}
	switch {
	case unit == "" && value == 0:
		return 0, false, nil
	case unit == "":
		return 0, false, fmt.Errorf("%s is a time: give a unit, such as 250ms or 1s", m.name)
	}
	kind := map[string]string{"us": "a time (ns, us, ms, s, m, h)", "s": "a time (ms, s, m, h)", "bytes": "a size (B, kB, KiB, MB, MiB, GB, GiB)", "": "a count (k, M or %)"}[m.unit]
	return 0, false, fmt.Errorf("unit %q does not fit: %s is %s", shown(unit), m.name, kind)
}

// Eval holds a run against the threshold.
func (g *Gate) Eval(r *result.Run) result.Gate {
	out := result.Gate{Expression: g.text, Unit: g.measure.unit}
	if r.Load == nil {
		out.Reason = "not a load run"
		return out
	}
	out.Value, out.Reason = g.measure.value(r.Load)
	if out.Value == nil {
		return out
	}
	if g.share {
		whole := g.measure.whole(r.Load)
		out.Unit = "ratio"
		if whole <= 0 {
			out.Value, out.Reason = nil, "a share of nothing"
			return out
		}
		out.Value = new(*out.Value / whole)
	}
	out.Pass = holds(*out.Value, g.op, g.bound)
	return out
}

func holds(v float64, op string, bound float64) bool {
	switch op {
	case "<":
		return v < bound
	case "<=":
		return v <= bound
	case ">":
		return v > bound
	case ">=":
		return v >= bound
	case "==":
		return v == bound
	}
	return v != bound
}

// Apply holds a load run against the thresholds and stores the outcome in it.
func Apply(r *result.Run, gates []*Gate) {
	if r.Load == nil {
		return
	}
	r.Gates = make([]result.Gate, 0, len(gates))
	for _, g := range gates {
		r.Gates = append(r.Gates, g.Eval(r))
	}
}
