package serverchecks

import (
	"ssegauge/conformance"
	"ssegauge/reports/result"
)

// Lifecycle is how streams stop, end and share a server.
var Lifecycle = []conformance.Check{
	{ID: "stop/204", Title: "the end of a feed is answered 204", Level: result.Must, Clause: "WHATWG HTML 9.2.1", Needs: conformance.Scenario | conformance.Kill},
	stopFiniteLoop,
	lifecyclePersists,
	{ID: "lifecycle/client-close", Title: "a client that leaves is let go", Level: result.Should, Clause: "no clause; contract", Needs: conformance.Gauge},
	{ID: "lifecycle/shutdown", Title: "a shutdown ends streams in time, on an event boundary", Level: result.Advice, Clause: "no clause; contract", Needs: conformance.Kill},
	{ID: "lifecycle/end-boundary", Title: "a stream that the server ends, ends after a blank line", Level: result.Must, Clause: "WHATWG HTML 9.2.5", Needs: conformance.Kill},
	loadIsolation,
	{ID: "load/slow-policy", Title: "what happens to a slow reader", Level: result.Advice, Clause: "no clause; contract", Needs: conformance.Many | conformance.Publish | conformance.Gauge},
	{ID: "load/many", Title: "how many streams are served at once", Level: result.Advice, Clause: "no clause; contract", Needs: conformance.Many},
	{ID: "load/six", Title: "browsers are not limited to six streams", Level: result.Advice, Clause: "WHATWG HTML 9.2.7", Needs: conformance.Extra},
}
