package serverchecks

import (
	"ssegauge/conformance"
	"ssegauge/reports/result"
)

// ID is the id field.
var ID = []conformance.Check{
	idPresent,
	idNUL,
	idUnique,
	{ID: "id/stable", Title: "an event has the same id on every connection", Level: result.Should, Clause: "WHATWG HTML 9.2.3", Needs: conformance.Many},
	{ID: "id/control-frames", Title: "heartbeats and notices don't move the resume point", Level: result.Should, Clause: "WHATWG HTML 9.2.6", Needs: conformance.Observe | conformance.Publish},
	idHeaderSafe,
	idCORSSafe,
	idSize,
	idEmptyResets,
}
