package serverchecks_test

import (
	"strings"
	"time"

	"ssegauge/conformance"
	"ssegauge/reports/result"
)

// liveFaults break the rules of delivery, of how streams end, and of how they share the server; see [liveElsewhere].
var liveFaults = []fault{}

// liveElsewhere names the test that proves a check which the matrix of peers cannot: it needs a means that the peers there do not lend, a longer window, or breaks so
// much that the matrix would say nothing.
var liveElsewhere = map[string]string{
	"live/unbuffered": "TestDelivers", "live/delay": "TestDelivers", "live/heartbeat/form": "TestDelivers", "live/heartbeat/framing": "TestDelivers",
	"live/second-connection": "TestDelivers", "live/no-deadline": "TestNoDeadline", "delivery/burst": "TestDelivers", "delivery/every-subscriber": "TestDelivers",
	"stop/204": "TestStop204", "stop/finite-loop": "TestDelivers", "lifecycle/persists": "TestDelivers", "lifecycle/client-close": "TestClientClose",
	"lifecycle/shutdown": "TestKill", "lifecycle/end-boundary": "TestKill",
	"load/isolation": "TestDelivers", "load/slow-policy": "TestSlowPolicy", "load/many": "TestMany", "load/six": "TestReferenceServerFaults",
}

const (
	crowds = " delivery/* live/second-connection* load/*"
	ends   = "live/no-deadline live/heartbeat* lifecycle/persists stop/finite-loop* retry/honoured-by-server*" + crowds
)

// What the reference server's faults change besides, and what they need to show.
var (
	liveFollows = map[string]string{
		"framing/terminated":   ends,
		"live/headers-flushed": "load/many*", // nobody is made to wait eight times
		"stop/finite-loop":     ends + " framing/terminated* resume/no-duplicate",
		"lifecycle/persists":   ends + " framing/terminated*",
		"live/heartbeat":       "live/no-deadline*", // the window is longer
		// Where events are held back nothing can be found out by publishing.
		"live/unbuffered":           payloads + " event/default sec/inject/* live/delay*" + crowds,
		"live/heartbeat/form":       "framing/line-without-colon",
		"live/second-connection":    "delivery/every-subscriber load/*",
		"delivery/every-subscriber": "load/*",
		"delivery/burst":            "load/*",
		"load/isolation":            "load/slow-policy*",
		"load/six":                  "h2/connection-headers* http/body-framing* resume/header-case*", // HTTP/1.1 was spoken
		"load/many":                 "resume/hostile-id*",                                            // which asks for more at a time
	}
	liveChange = map[string]func(*conformance.Target){
		"live/heartbeat":   func(t *conformance.Target) { t.Window = 40 * time.Second },
		"live/no-deadline": func(t *conformance.Target) { t.Window = 40 * time.Second },
	}
	// Not to be seen in the default window.
	liveNeedsMore = map[string]bool{"live/no-deadline": true}
)

// alike tells whether a verdict did not change. Whether a heartbeat falls into the window depends on how long the checks publish.
func alike(a, b result.Finding) bool {
	beat := func(v result.Verdict) bool { return v == result.Pass || v == result.NotObserved }
	return a.Verdict == b.Verdict || strings.HasPrefix(a.ID, "live/heartbeat") && beat(a.Verdict) && beat(b.Verdict)
}
