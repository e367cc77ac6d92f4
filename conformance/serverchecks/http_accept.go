package serverchecks

import (
	"context"
	"strings"

	"ssegauge/conformance"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// RFC 9110 12.5.1: without Accept any media type is acceptable. Another representation is legal negotiation, but curl and old clients see it.
var httpAcceptMissing = conformance.Check{
	ID: "http/accept/missing", Title: "a request without Accept gets the stream",
	Level: result.Should, Clause: "RFC 9110 12.5.1", Needs: conformance.Extra,
	Text:     "A request without an Accept field is answered with the stream.",
	Why:      "Not every client sends Accept: shells, monitors, the first version of somebody's app. A server that insists on it answers them 406, or 500.",
	Good:     "> GET /events HTTP/1.1\n\nHTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
	Bad:      "> GET /events HTTP/1.1\n\nHTTP/1.1 500 Internal Server Error\r\n\r\n",
	Evidence: []string{"fastify/sse#36", "resteasy/resteasy#1323"},
	Run:      accepted(withoutAccept),
}

var httpAcceptWildcard = conformance.Check{
	ID: "http/accept/wildcard", Title: "Accept: */* and text/* get the stream",
	Level: result.Should, Clause: "RFC 9110 12.5.1", Needs: conformance.Extra,
	Text:     "Media ranges that match text/event-stream are answered with the stream.",
	Why:      "curl, many HTTP libraries and proxies send */*. A server that looks for the literal text/event-stream refuses them.",
	Good:     "> Accept: */*\n\nHTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
	Bad:      "> Accept: */*\n\nHTTP/1.1 406 Not Acceptable\r\n\r\n",
	Evidence: []string{"fastify/sse#36", "modelcontextprotocol/python-sdk#2361"},
	Run:      accepted(acceptAll, acceptText),
}

var httpAcceptList = conformance.Check{
	ID: "http/accept/list", Title: "text/event-stream is found in a list, in any case and spacing",
	Level: result.Should, Clause: "RFC 9110 12.5.1", Needs: conformance.Extra,
	Text:     "text/event-stream is recognised among other media ranges, with weights, in upper case and with white space around it.",
	Why:      "Clients that take JSON or a stream say so in one list. A server that compares the whole field answers 406, or the wrong one of the two.",
	Good:     "> Accept: text/event-stream, application/json;q=0.5\n\nHTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
	Bad:      "> Accept: text/event-stream, application/json;q=0.5\n\nHTTP/1.1 406 Not Acceptable\r\n\r\n",
	Evidence: []string{"avaje/avaje-jex#273", "elevenlabs/elevenlabs-python#847"},
	Run:      accepted(acceptList, acceptUpper, acceptSpaced),
}

// accepted judges variants that must get what the nominal request gets. A refusal fails, another representation is worth a warning.
func accepted(variants ...variant) func(context.Context, *conformance.Probe) {
	return func(ctx context.Context, p *conformance.Probe) {
		first, ok := served(p)
		if !ok || !repeatable(p) {
			return
		}
		r := negotiated(ctx, p)
		for _, v := range variants {
			a, ok := r.of(p, v)
			if !ok {
				continue
			}
			const hint = "give the stream to whoever does not exclude text/event-stream (RFC 9110 12.5.1)"
			switch h := a.conn.Head; {
			case alike(h, first.Head):
				p.Pass("%d and %s %s", h.Status, orNothing(essence(h)), v.name)
			case h.Status >= 400:
				p.Fail("a request %s is answered %d", v.name, h.Status).Hint(hint).At(a.conn.HeadEvidence()).Try(p.Curl(a.request))
			default:
				p.Warn("a request %s is answered %d and %s", v.name, h.Status, orNothing(essence(h))).Hint(hint).At(a.conn.HeadEvidence()).Try(p.Curl(a.request))
			}
		}
	}
}

// RFC 9110 12.5.1: a server may disregard Accept, so that a stream all the same is a fact and no fault.
var httpAcceptRefused = conformance.Check{
	ID: "http/accept/refused", Title: "a client that cannot take a stream is not given one",
	Level: result.Advice, Clause: "RFC 9110 12.5.1", Needs: conformance.Extra,
	Text:     "A request that excludes text/event-stream is answered 406, or with another representation.",
	Why:      "A client that asked for JSON waits for the end of a stream that has none.",
	Good:     "> Accept: application/json\n\nHTTP/1.1 406 Not Acceptable\r\n\r\n",
	Bad:      "> Accept: application/json\n\nHTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
	Evidence: []string{"fastify/sse#36"},
	Run: func(ctx context.Context, p *conformance.Probe) {
		first, ok := served(p)
		if !ok || !repeatable(p) {
			return
		}
		r := negotiated(ctx, p)
		for _, v := range []variant{acceptJSON, acceptNever} {
			a, ok := r.of(p, v)
			switch {
			case !ok:
			case alike(a.conn.Head, first.Head):
				p.Info("a request %s gets the stream all the same, which is legal", v.name).At(a.conn.FieldEvidence("Content-Type"))
			case a.conn.Head.Status >= 500:
				p.Warn("a request %s is answered %d", v.name, a.conn.Head.Status).Hint("answer 406 to whoever cannot take a stream").
					At(a.conn.HeadEvidence()).Try(p.Curl(a.request))
			default:
				p.Pass("%s %s", told(a.conn), v.name)
			}
		}
	},
}

// RFC 9110 12.5.3: without Accept-Encoding any coding is acceptable, so only a request that names what it takes is judged. Judged by the head: the content
// may be in a coding that we cannot undo.
var httpCodingNegotiated = conformance.Check{
	ID: "http/content-encoding/negotiated", Title: "no content coding is used that was not offered",
	Level: result.Should, Clause: "RFC 9110 12.5.3", Needs: conformance.Extra,
	Text: "With Accept-Encoding: identity the stream is not encoded, with gzip it is gzip or not encoded.",
	Why:  "A client that cannot undo the coding sees no line and no event, only bytes.",
	Good: "> Accept-Encoding: identity\n\nHTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
	Bad:  "> Accept-Encoding: identity\n\nHTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n",
	Run: func(ctx context.Context, p *conformance.Probe) {
		if _, ok := served(p); !ok || !repeatable(p) {
			return
		}
		r := negotiated(ctx, p)
		for _, v := range []variant{codeIdentity, codeGzip} {
			a, ok := r.of(p, v)
			if !ok {
				continue
			}
			switch c := coding(a.conn.Head); {
			case a.conn.Head.Status != 200:
				p.NotObserved("a request %s is answered %d", v.name, a.conn.Head.Status)
			case c == "", v.name == codeGzip.name && (c == "gzip" || c == "x-gzip"):
				p.Pass("Content-Encoding is %s %s", orIdentity(c), v.name)
			default:
				p.Fail("a request %s is answered in %s", v.name, brief(c)).Hint("use only codings that Accept-Encoding names").
					At(a.conn.FieldEvidence("Content-Encoding")).Try(p.Curl(a.request))
			}
		}
	},
}

func orIdentity(coding string) string {
	if coding == "" {
		return "absent"
	}
	return coding
}

// RFC 9112 6.1: a server must not send a transfer coding unless the request says HTTP/1.1 or later. Whether the body is delimited by the close cannot be seen on a
// stream without end: that nothing else delimits it can. 505 and 426 are honest answers.
var httpHTTP10 = conformance.Check{
	ID: "http/http10", Title: "an HTTP/1.0 client gets the stream without chunks",
	Level: result.Must, Clause: "RFC 9112 6.1", Needs: conformance.Extra,
	Text:     "A request over HTTP/1.0 is answered without Transfer-Encoding, the content as it is, delimited by the end of the connection.",
	Why:      "Proxies such as nginx speak HTTP/1.0 to what is behind them unless told otherwise: they pass chunk sizes on as lines of the stream.",
	Good:     "> GET /events HTTP/1.0\n\nHTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\ndata: x\n\n",
	Bad:      "> GET /events HTTP/1.0\n\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: x\n\n\r\n",
	Evidence: []string{"concurrent-php/http#1"},
	Run: func(ctx context.Context, p *conformance.Probe) {
		first, ok := served(p)
		if !ok || !repeatable(p) {
			return
		}
		if first.Proto != wire.HTTP11 {
			p.NotApplicable("HTTP/%s was spoken", first.Head.Proto).Hint("--http 1.1 would decide it")
			return
		}
		a, ok := negotiated(ctx, p).of(p, oldProtocol)
		if !ok {
			return
		}
		const hint = "send Transfer-Encoding to HTTP/1.1 clients only; to older ones send the content as it is and close the connection"
		curl := p.Curl(a.request, "--http1.0")
		for _, f := range a.conn.Faults() {
			if f.Code == wire.FaultTEHTTP10 {
				p.Fail("an HTTP/1.0 request is answered with Transfer-Encoding: %s", result.Escape(a.conn.Head.Header.Get("Transfer-Encoding"))).
					Hint(hint).At(a.conn.FieldEvidence("Transfer-Encoding")).Try(curl)
			}
		}
		if !a.conn.Head.Header.Has("Transfer-Encoding") && len(strayChunks(a.conn)) > 0 {
			p.Fail("an HTTP/1.0 request is answered with chunk sizes in the content").Hint(hint).At(a.conn.Evidence(0, 1)).Try(curl)
		}
		switch h := a.conn.Head; {
		case h.Status == 505 || h.Status == 426:
			p.Info("HTTP/1.0 is not supported: %d", h.Status)
		case !alike(h, first.Head):
			p.Warn("an HTTP/1.0 request is answered %s", told(a.conn)).Hint("answer HTTP/1.0 as HTTP/1.1, or with 505").At(a.conn.HeadEvidence()).Try(curl)
		case len(a.conn.Content()) == 0:
			p.Pass("no Transfer-Encoding; nothing came in the first %v", firstWords)
		default:
			p.Pass("no Transfer-Encoding, and %s of content as they are", strings.TrimSpace(plural(len(a.conn.Content()), "byte")))
		}
	},
}
