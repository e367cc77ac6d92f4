package html

import (
	"cmp"
	"math"

	"ssegauge/reports/result"
)

// limitRow is a limit as the table of them shows it.
type limitRow struct {
	result.Limit
	Value string // "128 streams"; "" where nothing can be said
	Chip  verdictChip
}

func (v *view) limits() {
	for _, l := range v.ByVerdict() {
		row := limitRow{Limit: l, Value: l.Shown()}
		switch l.Verdict {
		case result.LimitFound:
			row.Owner = cmp.Or(result.Escape(l.Owner), "cannot be told")
		case result.LimitNone:
			row.Owner = ""
		default:
			row.Value, row.Owner, row.Chip = "", "", verdictChip{"unseen", "?", cmp.Or(result.Escape(l.Verdict), result.LimitUndecided)}
		}
		v.LimitRows = append(v.LimitRows, row)
	}
	v.gates(v.Thresholds)
	v.Stages, v.Doubt = v.Limits.Stages()
	v.Ladders = append(v.Ladders, against(v.ID+"-latency", "Latency against streams", "latency", v.Stages, latencies(v.Stages), v.Knee, nil, short))
	full := v.Stages
	if v.Knee != nil && len(v.Knee.Levels) > 0 { // the law was fitted to these: in the stages no more is delivered than is published
		full, _ = (&result.Limits{Curve: v.Knee.Levels}).Stages()
	}
	v.Ladders = append(v.Ladders, against(v.ID+"-rate", "Events delivered a second, against streams", "events a second", full, rates(full), v.Knee, law(v.Knee), result.Number))
}

// law is the scalability law of a knee, nil where there is none.
func law(k *result.Knee) func(n float64) float64 {
	if k == nil || !(k.Lambda > 0) {
		return nil
	}
	return func(n float64) float64 {
		v := k.Lambda * n / (1 + k.Sigma*(n-1) + k.Kappa*n*(n-1))
		if math.IsInf(v, 0) {
			return math.NaN()
		}
		return v
	}
}

// compareLimits is nil where there are not several searches.
func compareLimits(views []*view) *comparison {
	c := new(comparison)
	var searches []*result.Limits
	for _, v := range views {
		if v.Limits != nil {
			c.Runs, searches = append(c.Runs, v), append(searches, v.Limits)
			c.Many = c.Many || v.Target.URL != c.Runs[0].Target.URL
		}
	}
	if len(c.Runs) < 2 {
		return nil
	}
	c.Rows = result.LimitsSideBySide(searches)
	return c
}
