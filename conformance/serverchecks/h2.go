package serverchecks

import (
	"ssegauge/conformance"
	"ssegauge/reports/result"
)

// HTTP2 is HTTP/2 and HTTP/3.
var HTTP2 = []conformance.Check{
	h2ConnectionHeaders,
	h2FieldCase,
	h2AcceptsNone,
	h2Flow,
	h2EndStream,
	h2GoAway,
	{ID: "h3/connection-headers", Title: "no connection-specific field over HTTP/3", Level: result.Must, Clause: "RFC 9114 4.2", Needs: conformance.Extra},
	{ID: "h3/request-accepts-none", Title: "a request without Connection is served over HTTP/3", Level: result.Advice, Clause: "RFC 9114 4.2", Needs: conformance.Extra},
	{ID: "h3/flow", Title: "a stream that is not read holds up no other stream over HTTP/3", Level: result.Must, Clause: "RFC 9000 4.1", Needs: conformance.Extra | conformance.Many},
	{ID: "h3/end-stream", Title: "a stream that ends over HTTP/3 is closed, not reset", Level: result.Must, Clause: "RFC 9114 4.1", Needs: conformance.Kill},
	{ID: "h3/goaway", Title: "a graceful restart announces itself with GOAWAY over HTTP/3", Level: result.Advice, Clause: "RFC 9114 5.2", Needs: conformance.Kill},
}
