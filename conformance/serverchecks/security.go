package serverchecks

import (
	"ssegauge/conformance"
	"ssegauge/reports/result"
)

// Secure is what a hostile publisher or client could do.
var Secure = []conformance.Check{
	{ID: "sec/inject/event", Title: "an event type cannot inject lines", Level: result.Security, Clause: "WHATWG HTML 9.2.5", Needs: conformance.Publish},
	{ID: "sec/inject/id", Title: "an id cannot inject lines", Level: result.Security, Clause: "WHATWG HTML 9.2.5", Needs: conformance.Publish},
	secInjectDataCR,
	{ID: "sec/inject/retry", Title: "a retry value cannot inject lines", Level: result.Security, Clause: "WHATWG HTML 9.2.5", Needs: conformance.Publish},
	{ID: "sec/inject/comment", Title: "a comment cannot inject lines", Level: result.Security, Clause: "WHATWG HTML 9.2.5", Needs: conformance.Publish | conformance.Scenario},
	{ID: "sec/inject/id-header", Title: "Last-Event-ID cannot inject lines or fields", Level: result.Security, Clause: "WHATWG HTML 9.2.5", Needs: conformance.Extra},
	{ID: "sec/auth-before-stream", Title: "a client without credentials is refused before the stream", Level: result.Advice, Clause: "WHATWG HTML 9.2.2", Needs: conformance.Extra},
	{ID: "sec/token-in-url", Title: "no credentials in the URL", Level: result.Advice, Clause: "no clause; practice", Needs: conformance.Observe},
}
