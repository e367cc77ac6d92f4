package serverchecks_test

import (
	"testing"

	"ssegauge/conformance"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// The raw engine gets the verdicts of the net engine: every check, with all that a target can lend but scenarios, which it has not.
func TestRawEngineIsAlike(t *testing.T) {
	for _, c := range []struct {
		path  string
		proto wire.Proto
		hook  bool
	}{
		{"/events?channel=t", wire.HTTP11, true},
		{"/events?channel=t", wire.H2C, true},
		{"/tick?interval=500ms", wire.HTTP11, false},
		{"/tick?interval=500ms", wire.H2C, false},
		{"/tick?interval=500ms&count=5", wire.HTTP11, false},
		{"/tick?interval=500ms&count=5", wire.H2C, false},
	} {
		t.Run(c.proto.String()+c.path, func(t *testing.T) {
			t.Parallel()
			change := func(t *conformance.Target) {
				if !c.hook {
					t.Publisher, t.ExpectReplay = nil, false
					t.Declared.Finite = c.path[len(c.path)-1] == '5'
				}
			}
			var lent conformance.Needs
			if c.hook {
				lent = conformance.Gauge | conformance.Kill
			}
			net := checkEngine(t, &site{}, c.path, c.proto, lent, change, nil)
			raw := checkEngine(t, &site{raw: true}, c.path, c.proto, lent, change, nil)
			if len(raw) != len(net) {
				t.Errorf("%d findings, %d on the net engine", len(raw), len(net))
			}
			for id, f := range raw {
				if id == "http/content-encoding/flush" && f.Verdict == result.NotObserved {
					continue // it does not compress
				}
				if f.Verdict != net[id].Verdict {
					t.Errorf("%s\nnet engine: %s", show(f), show(net[id]))
				}
				if f.Verdict == result.Fail || f.Verdict == result.Warn || f.Verdict == result.Error {
					t.Error(show(f))
				}
			}
		})
	}
}
