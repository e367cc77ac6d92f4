package serverchecks

import (
	"ssegauge/conformance"
	"ssegauge/reports/result"
)

// Data is what events carry: the data and event fields held against what was published.
var Data = []conformance.Check{
	dataMultiline,
	dataLeadingSpace,
	{ID: "data/empty", Title: "an empty payload arrives as an event", Level: result.Should, Clause: "WHATWG HTML 9.2.6", Needs: conformance.Publish},
	{ID: "data/no-data-block", Title: "no block carries an event field without data", Level: result.Should, Clause: "WHATWG HTML 9.2.6", Needs: conformance.Observe},
	{ID: "data/trailing-newline", Title: "line breaks at the end of a payload arrive", Level: result.Contract, Clause: "no clause; contract", Needs: conformance.Publish},
	{ID: "data/colon", Title: "colons in a payload arrive", Level: result.Contract, Clause: "no clause; contract", Needs: conformance.Publish},
	{ID: "data/nul", Title: "control and separator characters in a payload arrive", Level: result.Contract, Clause: "no clause; contract", Needs: conformance.Publish},
	{ID: "data/verbatim", Title: "every printable character arrives as it was", Level: result.Contract, Clause: "no clause; contract", Needs: conformance.Publish},
	{ID: "data/large", Title: "large payloads arrive whole", Level: result.Advice, Clause: "WHATWG HTML, registration of text/event-stream", Needs: conformance.Publish},
	{ID: "event/name", Title: "event types arrive as they were", Level: result.Contract, Clause: "no clause; contract", Needs: conformance.Publish},
	{ID: "event/reserved", Title: "no application event is called open or error", Level: result.Advice, Clause: "WHATWG HTML 9.2.3", Needs: conformance.Observe | conformance.Publish},
	{ID: "event/default", Title: "whether event types are used", Level: result.Advice, Clause: "WHATWG HTML 9.2.6", Needs: conformance.Observe},
	{ID: "event/empty", Title: "no event field with an empty value", Level: result.Advice, Clause: "WHATWG HTML 9.2.6", Needs: conformance.Observe},
}
