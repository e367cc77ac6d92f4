package serverchecks

import (
	"ssegauge/conformance"
	"ssegauge/reports/result"
)

// ID is the id field.
var ID = []conformance.Check{
	{ID: "id/present", Title: "events carry ids", Level: result.Advice, Clause: "WHATWG HTML 9.2.3", Needs: conformance.Observe},
	idNUL,
	{ID: "id/unique", Title: "ids are not used twice", Level: result.Advice, Clause: "WHATWG HTML 9.2.3", Needs: conformance.Observe | conformance.Long},
	{ID: "id/stable", Title: "an event has the same id on every connection", Level: result.Should, Clause: "WHATWG HTML 9.2.3", Needs: conformance.Many},
	{ID: "id/control-frames", Title: "heartbeats and notices don't move the resume point", Level: result.Should, Clause: "WHATWG HTML 9.2.6", Needs: conformance.Observe | conformance.Publish},
	idHeaderSafe,
	{ID: "id/cors-safe", Title: "ids need no CORS preflight", Level: result.Advice, Clause: "Fetch, CORS-safelisted request-header", Needs: conformance.Observe},
	{ID: "id/size", Title: "ids are short enough for a header", Level: result.Advice, Clause: "no clause; common header limits", Needs: conformance.Observe},
	{ID: "id/empty-resets", Title: "an empty id is meant as a reset", Level: result.Advice, Clause: "WHATWG HTML 9.2.6", Needs: conformance.Observe},
}
