package main

import (
	"fmt"
	"strings"

	"ssegauge/reports/gate"
	"ssegauge/reports/result"
)

// thresholdHelp says what thresholds can name, and how many events a percentile takes.
func thresholdHelp() string {
	distributions, figures := gate.Names()
	bounded := result.Needed(0.99)
	for _, above := result.Bounded(0.99, bounded); !above; _, above = result.Bounded(0.99, bounded) {
		bounded++
	}
	paragraphs := []string{
		"A --threshold holds one figure of the run against a bound (<, <=, >, >=, ==, !=). Of " + strings.Join(distributions, ", ") +
			" it is .p50, .p90, .p95, .p99, .p99.9 or another percentile, .min, .mean, .max or .count; .p99.high is the upper end of the 95 % interval, .p99.low the lower (of p50, p90, p99, p99.9).",
		"Other figures stand alone, those of a whole also in percent (lost < 0.1%): " + strings.Join(figures, ", ") + ".",
		fmt.Sprintf("A percentile takes events: p99 has a value from %d on, and .p99.high from %d. Of deliver and fanout_t99 published events count, not deliveries. "+
			"With fewer the threshold fails and says so: raise --publish-rate or --duration, or name a lower percentile.", result.Needed(0.99), bounded),
	}
	for i, p := range paragraphs {
		paragraphs[i] = fill(p, 120)
	}
	return strings.Join(paragraphs, "\n\n")
}

// fill breaks text into lines of that many columns at most.
func fill(text string, width int) string {
	var b strings.Builder
	column := 0
	for i, word := range strings.Fields(text) {
		switch {
		case i == 0:
		case column+1+len(word) > width:
			b.WriteByte('\n')
			column = 0
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	return b.String()
}
