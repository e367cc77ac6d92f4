package main

import (
	"regexp"
	"strings"
	"testing"

	"ssegauge/reports/gate"
)

// Whatever the help says can be named can be, and stands there whole.
func TestThresholdHelp(t *testing.T) {
	help := newLoad(&app{}).Long
	distributions, figures := gate.Names()
	var thresholds []string
	for _, name := range distributions {
		thresholds = append(thresholds, name+".p99 > 0", name+".p99.9.high > 0")
	}
	for _, name := range figures {
		thresholds = append(thresholds, name+" == 0")
	}
	for _, s := range thresholds {
		if _, err := gate.Parse(s); err != nil {
			t.Error(err)
		}
	}
	for _, name := range append(append(distributions, figures...), "lost", "received", "findings", "streams.failed", "reconnect.lost_in_gap", "generator.delay", "from 100 on", "from 368") {
		if !regexp.MustCompile(`(^|[ \n])` + strings.ReplaceAll(regexp.QuoteMeta(name), " ", `\s`) + `[,.]?([ \n]|$)`).MatchString(help) {
			t.Errorf("%q is not in the help", name)
		}
	}
	for line := range strings.Lines(thresholdHelp()) {
		if len(strings.TrimSuffix(line, "\n")) > 120 {
			t.Errorf("long line: %q", line)
		}
	}
}
