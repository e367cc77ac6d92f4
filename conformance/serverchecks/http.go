package serverchecks

import (
	"ssegauge/conformance"
	"ssegauge/reports/result"
)

// HTTP is the answer to the nominal request: status, fields, framing, methods.
var HTTP = []conformance.Check{
	httpStatus,
	httpContentType,
	httpCharset,
	{ID: "http/content-type/single", Title: "there is exactly one Content-Type field", Level: result.Must, Clause: "RFC 9110 8.3", Needs: conformance.Observe},
	httpNoContentLength,
	httpBodyFraming,
	{ID: "http/error-not-200", Title: "an error is answered as an error, not as a stream that says so", Level: result.Should, Clause: "WHATWG HTML 9.2.2", Needs: conformance.Extra},
	{ID: "http/capacity-5xx", Title: "a server that is full answers 503 before the stream", Level: result.Should, Clause: "WHATWG HTML, registration of text/event-stream", Needs: conformance.Extra | conformance.Many},
	httpHead,
	{ID: "http/options", Title: "OPTIONS is answered", Level: result.Advice, Clause: "RFC 9110 9.3.7", Needs: conformance.Extra},
	{ID: "http/method", Title: "other methods get 405, not a stream", Level: result.Advice, Clause: "RFC 9110 15.5.6", Needs: conformance.Extra},
	{ID: "http/allow", Title: "every 405 names the allowed methods in Allow", Level: result.Must, Clause: "RFC 9110 15.5.6", Needs: conformance.Extra},
	{ID: "http/accept/missing", Title: "a request without Accept gets the stream", Level: result.Should, Clause: "RFC 9110 12.5.1", Needs: conformance.Extra},
	{ID: "http/accept/wildcard", Title: "Accept: */* and text/* get the stream", Level: result.Should, Clause: "RFC 9110 12.5.1", Needs: conformance.Extra},
	{ID: "http/accept/list", Title: "text/event-stream is found in a list, in any case and spacing", Level: result.Should, Clause: "RFC 9110 12.5.1", Needs: conformance.Extra},
	{ID: "http/accept/refused", Title: "a client that cannot take a stream is not given one", Level: result.Advice, Clause: "RFC 9110 12.5.1", Needs: conformance.Extra},
	httpCacheControl,
	{ID: "http/cache-control/no-transform", Title: "the answer forbids transformation on the way", Level: result.Advice, Clause: "RFC 9111 5.2.2.6", Needs: conformance.Observe},
	{ID: "http/x-accel-buffering", Title: "the answer switches off buffering in nginx", Level: result.Advice, Clause: "no clause; nginx", Needs: conformance.Observe},
	{ID: "http/content-encoding/negotiated", Title: "no content coding is used that was not offered", Level: result.Should, Clause: "RFC 9110 12.5.3", Needs: conformance.Extra},
	{ID: "http/content-encoding/flush", Title: "a compressed stream is flushed with each event", Level: result.Contract, Clause: "no clause; contract", Needs: conformance.Extra | conformance.Publish},
	{ID: "http/redirect", Title: "a redirect leads to a stream", Level: result.Advice, Clause: "WHATWG HTML 9.2.1", Needs: conformance.Extra},
	{ID: "http/http10", Title: "an HTTP/1.0 client gets the stream without chunks", Level: result.Must, Clause: "RFC 9112 6.1", Needs: conformance.Extra},
	{ID: "http/keepalive-header", Title: "no Connection: keep-alive, which says nothing over HTTP/1.1", Level: result.Advice, Clause: "RFC 9112 9.3", Needs: conformance.Observe},
	{ID: "http/survives", Title: "the target still serves after everything that was asked of it", Level: result.Contract, Clause: "no clause; contract", Needs: conformance.Extra},
}
