package serverchecks_test

import (
	"testing"

	"ssegauge/reports/result"
)

func TestCleanPeer(t *testing.T) {
	for id, f := range run(t, clean(), nil) {
		t.Log(show(f))
		switch f.Verdict {
		case result.Pass, result.Info, result.NotApplicable, result.NotObserved:
		default:
			t.Errorf("%s: %s", id, show(f))
		}
	}
}
