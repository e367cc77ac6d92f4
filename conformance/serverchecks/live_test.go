package serverchecks_test

import (
	"strings"
	"time"

	"ssegauge/conformance"
	"ssegauge/reports/result"
)

// liveFaults break the rules of delivery, of how streams end, and of how they share the server.
var liveFaults = []fault{}

// liveElsewhere names the test that proves a check which the matrix of peers cannot.
var liveElsewhere = map[string]string{
	"live/unbuffered": "TestReferenceServerFaults", "live/delay": "TestReferenceServerFaults",
	"live/heartbeat/form": "TestReferenceServerFaults", "live/heartbeat/framing": "TestReferenceServerFaults",
	"live/second-connection": "TestReferenceServerFaults", "delivery/burst": "TestReferenceServerFaults",
	"load/isolation":            "TestReferenceServerFaults",
	"delivery/every-subscriber": "TestReferenceServerFaults",
	"stop/finite-loop":          "TestReferenceServerFaults", "lifecycle/persists": "TestReferenceServerFaults",
}

const (
	hooked = payloads + " sec/inject/data-cr"
	crowds = " delivery/burst delivery/every-subscriber live/second-connection load/isolation"
	ends   = "live/heartbeat lifecycle/persists stop/finite-loop retry/honoured-by-server" + crowds
)

// What the reference server's faults change besides, and what they need to show.
var (
	liveFollows = map[string]string{
		"framing/terminated": ends,
		"stop/finite-loop":   ends + " framing/terminated resume/no-duplicate",
		"lifecycle/persists": ends + " framing/terminated",
		// Where events are held back nothing can be found out by publishing.
		"live/unbuffered":           hooked + crowds + " live/delay",
		"live/heartbeat/form":       "framing/line-without-colon",
		"live/second-connection":    "delivery/every-subscriber load/isolation",
		"delivery/every-subscriber": "load/isolation",
		"delivery/burst":            "load/isolation",
	}
	liveChange = map[string]func(*conformance.Target){
		"live/heartbeat": func(t *conformance.Target) { t.Window = 40 * time.Second },
	}
	// Not to be seen in the default window.
	liveNeedsMore = map[string]bool{"live/no-deadline": true}
)

// alike tells whether a verdict did not change. Whether a heartbeat falls into the window depends on how long the checks publish.
func alike(a, b result.Finding) bool {
	beat := func(v result.Verdict) bool { return v == result.Pass || v == result.NotObserved }
	return a.Verdict == b.Verdict || strings.HasPrefix(a.ID, "live/heartbeat") && beat(a.Verdict) && beat(b.Verdict)
}
