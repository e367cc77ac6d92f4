package serverchecks

import (
	"ssegauge/conformance"
	"ssegauge/reports/result"
)

// Resume is what a server does with Last-Event-ID. No clause binds it: without a declaration the worst verdict is warn.
var Resume = []conformance.Check{
	{ID: "resume/header-accepted", Title: "a request with Last-Event-ID is served", Level: result.Must, Clause: "WHATWG HTML 9.2.3", Needs: conformance.Extra},
	{ID: "resume/header-case", Title: "Last-Event-ID is found in any case", Level: result.Must, Clause: "RFC 9110 5.1", Needs: conformance.Extra},
	resumeReplay,
	resumeNoDuplicate,
	{ID: "resume/order", Title: "replayed events keep their order", Level: result.Advice, Clause: "no clause; contract", Needs: conformance.Extra},
	{ID: "resume/seam", Title: "between replay and live nothing is lost or doubled", Level: result.Advice, Clause: "no clause; contract", Needs: conformance.Extra | conformance.Publish},
	{ID: "resume/fidelity", Title: "replayed events equal the live ones", Level: result.Advice, Clause: "no clause; contract", Needs: conformance.Publish},
	{ID: "resume/idempotent", Title: "reconnecting twice with one id gets the same replay", Level: result.Advice, Clause: "no clause; contract", Needs: conformance.Extra},
	{ID: "resume/unknown-id", Title: "an unknown id is answered with a stream", Level: result.Should, Clause: "WHATWG HTML 9.2.3", Needs: conformance.Extra},
	{ID: "resume/empty-header", Title: "an empty Last-Event-ID counts as none", Level: result.Should, Clause: "WHATWG HTML 9.2.3", Needs: conformance.Extra},
	{ID: "resume/hostile-id", Title: "hostile ids do no harm", Level: result.Security, Clause: "no clause; contract", Needs: conformance.Extra},
	{ID: "resume/isolation", Title: "an id of one channel opens no other", Level: result.Security, Clause: "no clause; contract", Needs: conformance.Extra | conformance.Many},
	{ID: "resume/window", Title: "how far back events can be replayed", Level: result.Advice, Clause: "no clause; contract", Needs: conformance.Publish | conformance.Long},
	{ID: "resume/query-param", Title: "the query parameter does what the header does", Level: result.Advice, Clause: "no clause; contract", Needs: conformance.Extra},
	{ID: "resume/no-id-no-replay", Title: "whether a first connection gets history", Level: result.Advice, Clause: "no clause; contract", Needs: conformance.Extra},
}
