package gate

import (
	"fmt"
	"regexp"
	"strings"

	"ssegauge/reports/result"
)

// Limit is a threshold on a limit, parsed: `streams/total >= 1000`, `idle/timeout >= 60s`, `event/size > 64KiB`.
//
//	threshold = id ( "<" | "<=" | ">" | ">=" | "==" | "!=" ) number [ unit ]
//
// A limit is known as an interval, and a threshold is met only where all of the interval meets it. Where no limit was met, or it is this machine's, that of the target has
// no upper end: it is at least what was tried. What is undecided fails its threshold: silence is no pass.
type Limit struct {
	text, id, op string
	value        float64
	unit         string
}

// String returns the expression as it was given.
func (g *Limit) String() string { return g.text }

// ID is that of the limit.
func (g *Limit) ID() string { return g.id }

// Beyond tells whether it can be met only by a count greater than most.
func (g *Limit) Beyond(most float64) bool {
	factor, ok := units[""][g.unit]
	if !ok {
		return false
	}
	switch bound := g.value * factor; g.op {
	case ">":
		return bound >= most
	case ">=", "==":
		return bound > most
	}
	return false
}

var limitID = regexp.MustCompile(`^[a-z0-9-]+(/[a-z0-9-]+)+$`)

// limitUnits and how many of the unit of a limit each is; of a limit in any other unit the number is a count.
var limitUnits = map[string]map[string]float64{"s": units["s"], "bytes": units["bytes"], "ratio": {"": 1, "%": 0.01}}

// OfLimit tells whether a threshold is on a limit, whatever else may be wrong with it.
func OfLimit(expression string) bool {
	return strings.Contains(expression, "/")
}

// ParseLimit reads a threshold. The error says what is wrong and what would be right. Whether there is such a limit, and whether the unit fits it, is known only once it was looked for.
func ParseLimit(expression string) (*Limit, error) {
	const like = "streams/total >= 1000"
	c, err := compare(expression, like)
	if err != nil {
		return nil, err
	}
	if !limitID.MatchString(c.name) {
		return nil, c.fail("%q is no id of a limit; write it like `%s`", shown(c.name), like)
	}
	g := &Limit{text: c.text, id: c.name, op: c.op}
	if g.value, g.unit, err = c.number(); err != nil {
		return nil, err
	}
	_, known := units[""][g.unit]
	for _, of := range limitUnits {
		_, ok := of[g.unit]
		known = known || ok
	}
	if !known {
		return nil, c.fail("%q is no unit; use none, k or M, a time (ms, s, m, h), a size (B, kB, KiB, MB, MiB, GB, GiB) or %%", shown(g.unit))
	}
	return g, nil
}

// Eval holds what was found against the threshold.
func (g *Limit) Eval(l *result.Limits) result.Gate {
	out := result.Gate{Expression: g.text}
	var limit *result.Limit
	var ids []string
	for i := range l.Limits {
		if x := &l.Limits[i]; x.ID == g.id {
			limit = x
		} else {
			ids = append(ids, x.ID)
		}
	}
	switch {
	case limit == nil && len(ids) == 0:
		out.Reason = "no limit was looked for"
		return out
	case limit == nil:
		out.Reason = "that limit was not looked for; these were: " + strings.Join(ids, ", ")
		return out
	case limit.Verdict != result.LimitFound && limit.Verdict != result.LimitNone || limit.Low == nil:
		out.Reason = limit.Shown() + "; " + limit.Evidence
		return out
	}
	of, ok := limitUnits[limit.Unit]
	if !ok {
		of = units[""]
	} else {
		out.Unit = limit.Unit
	}
	factor, ok := of[g.unit]
	if !ok && g.value != 0 {
		out.Reason = fmt.Sprintf("a bound in %q does not fit a limit in %s", g.unit, limit.Unit)
		return out
	}
	out.Reason = limit.Shown()
	if limit.Owner != "" {
		out.Reason += " (" + limit.Owner + ")"
	}
	low, high := limit.Low, limit.High
	switch {
	case limit.Verdict == result.LimitNone && strings.HasPrefix(limit.ID, "buffering/"):
		high = low // nothing is held back
	case limit.Verdict == result.LimitNone, limit.Owner == result.OwnerGenerator:
		high = nil // nothing says where it ends
	}
	bound := g.value * factor
	switch g.op {
	case ">", ">=":
		out.Value, out.Pass = low, holds(*low, g.op, bound)
	case "<", "<=":
		if out.Value = high; high != nil {
			out.Pass = holds(*high, g.op, bound)
		}
	case "==":
		if out.Value = high; high != nil {
			out.Pass = *low == bound && *high == bound
		}
	case "!=":
		out.Value, out.Pass = low, bound < *low || high != nil && bound > *high
	}
	return out
}

// ApplyLimits holds a search for limits against the thresholds and stores the outcome in it.
func ApplyLimits(l *result.Limits, gates []*Limit) {
	l.Thresholds = nil
	for _, g := range gates {
		l.Thresholds = append(l.Thresholds, g.Eval(l))
	}
}
