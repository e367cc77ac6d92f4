package serverchecks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"ssegauge/conformance"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// WHATWG HTML 9.2.2, constructor step 15: any status other than 200 makes a client give up for good; 204 is the way to say so on
// purpose. The clause binds the client: that the URL answers 200 is what its operator promised by naming it.
var httpStatus = conformance.Check{
	ID: "http/status", Title: "the URL answers 200",
	Level: result.Contract, Clause: noClause, Needs: conformance.Observe, Core: true,
	Text: "A GET of the stream's URL, redirects followed, is answered 200. Clients take any other status as final and never come back (WHATWG HTML 9.2.2).",
	Why:  "One 503 during a deploy, and every open page stays silent until it is reloaded.",
	Good: "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n", Bad: "HTTP/1.1 503 Service Unavailable\r\n\r\n",
	Evidence: []string{"web-platform-tests/wpt eventsource/request-status-error.window.js"},
	Run: func(_ context.Context, p *conformance.Probe) {
		c := p.First()
		re, redirect := errors.AsType[*wire.RedirectError](c.Err)
		fault, broken := errors.AsType[*wire.Fault](c.Err)
		limit, huge := errors.AsType[*wire.CapError](c.Err)
		reset, isReset := errors.AsType[*wire.ResetError](c.Err)
		if f := brokenFrames(c); isReset && len(f) > 0 {
			fault, broken = &f[0], true // it is we who reset the stream
		}
		switch {
		case c.Head == nil && p.Interrupted():
			p.NotObserved("%s", p.NoStream())
		case redirect && wantsCookie(c):
			p.NotObserved("answered %d, a redirect that goes round until a cookie comes back", re.Status).
				Hint("give the cookie: --header 'Cookie: ...'").By("--header").At(c.FieldEvidence("Location"))
		case redirect:
			p.Fail("answered %d, a redirect that cannot be followed: %s", re.Status, result.Escape(result.MaskText(re.Error()))).
				Hint("name the stream's own URL, or redirect with an absolute Location").At(c.FieldEvidence("Location"))
		case c.Head != nil && c.Head.Status == 200:
			p.Pass("200%s", via(c))
		case c.Head != nil && c.Head.Status == 204:
			p.Warn("204%s: the server tells clients to stop, there is no stream", via(c)).Hint("check a URL that has a stream")
		case c.Head != nil && c.Head.Status == 405 && strings.EqualFold(c.Head.Header.Get("Allow"), "POST"):
			p.Fail("answered 405%s: %s is not allowed", via(c), cmp.Or(p.Request().Method, "GET")).Hint("Allow names POST: try --method POST, and --body if it takes one")
		case c.Head != nil:
			p.Fail("answered %d%s", c.Head.Status, via(c)).Hint("clients never come back after this status; check the URL, and the credentials in --header")
		case c.SpeaksHTTP2():
			p.Fail("an HTTP/1.1 request is answered with an HTTP/2 frame").Hint("the port speaks HTTP/2 without TLS only: try --http h2c").
				At(c.WireEvidence(0, 9))
		case broken && (fault.Code == wire.FaultHeadCut || fault.Code == wire.FaultNoResponse):
			p.Error("the connection ended within the response head")
		case broken:
			p.Fail("the answer is not a response: %s", result.Escape(fault.Detail)).Hint("is this the port of an HTTP server?").
				At(c.WireEvidence(fault.Offset, fault.Offset+int64(fault.Length)))
		case huge:
			p.Fail("the response head exceeds what clients take: %s", tooLarge(limit)).Hint("clients and proxies refuse such heads")
		case isReset:
			p.Fail("the request was answered with RST_STREAM %s in place of a head", reset.Code).Hint("clients come back for ever; look into the server's log")
		case timedOut(c.Err):
			p.NotObserved("%s", p.NoStream()).Hint("see live/headers-flushed")
		default:
			p.Error("%s", conformance.Cause(c.Err))
		}
	},
}

const noClause = "no clause; contract"

// tooLarge says which bound of ours a target went past.
func tooLarge(e *wire.CapError) string {
	switch e.What {
	case "head", "field block", "field list", "chunk-size line":
		return "a " + e.What + " of more than " + result.Bytes(float64(e.Limit))
	case "trailers":
		return "trailers of more than " + result.Bytes(float64(e.Limit))
	}
	return fmt.Sprintf("the %s, more than %d", e.What, e.Limit)
}

func via(c *conformance.Connection) string {
	if n := len(c.Hops); n > 0 {
		return " after " + plural(n, "redirect")
	}
	return ""
}

// WHATWG HTML 9.2.2, constructor step 15.3, and 9.2.5: a response whose media type is not text/event-stream fails the connection for good.
// Parameters and case don't matter.
var httpContentType = conformance.Check{
	ID: "http/content-type", Title: "the media type is text/event-stream",
	Level: result.Must, Clause: "WHATWG HTML 9.2.2", Needs: conformance.Observe, Core: true,
	Text:     "The response's media type is text/event-stream; parameters and upper case are ignored.",
	Why:      "A browser that sees another type closes the EventSource for ever, with an error event that tells nothing.",
	Good:     "Content-Type: Text/Event-Stream; charset=UTF-8\r\n",
	Bad:      "Content-Type: text/plain\r\n",
	Evidence: []string{"kartikk221/hyper-express#268", "licson0729/libSSE-php#38", "hhxsv5/php-sse#15", "tpeczek/Lib.AspNetCore.ServerSentEvents#53"},
	Run: func(_ context.Context, p *conformance.Probe) {
		c, ok := served(p)
		if !ok {
			return
		}
		switch got := essence(c.Head); {
		case got == eventStream:
			p.Pass("%s", result.Escape(mediaType(c.Head)))
		case !c.Head.Header.Has("Content-Type"):
			p.Fail("there is no Content-Type").Hint("send Content-Type: text/event-stream").At(c.FieldEvidence("Content-Type"))
		default:
			p.Fail("the media type is %s", brief(got)).Hint("send Content-Type: text/event-stream").At(c.FieldEvidence("Content-Type"))
		}
	},
}

// Registration of text/event-stream: charset is optional, its only value is utf-8, and it serves no purpose.
var httpCharset = conformance.Check{
	ID: "http/content-type/charset", Title: "a charset parameter, where there is one, says utf-8",
	Level: result.Must, Clause: "WHATWG HTML, registration of text/event-stream", Needs: conformance.Observe,
	Text: "The charset parameter may be absent; if it is present its value is utf-8, in any case.",
	Why:  "Event streams are always UTF-8. A client that believes another charset shows garbage, one that doesn't shows what the server did not mean.",
	Good: "Content-Type: text/event-stream\r\n", Bad: "Content-Type: text/event-stream; charset=iso-8859-1\r\n",
	Evidence: []string{"Azure/fetch-event-source#1", "ReactiveX/RxNetty#556", "overcat/requests-sse#14"},
	Run: func(_ context.Context, p *conformance.Probe) {
		c, ok := served(p)
		if !ok {
			return
		}
		if essence(c.Head) != eventStream {
			p.NotObserved("the media type is not text/event-stream").Hint("see http/content-type")
			return
		}
		switch charset, ok := charsetOf(mediaType(c.Head)); {
		case !ok:
			p.Pass("no charset parameter, and none is needed")
		case strings.EqualFold(charset, "utf-8"):
			p.Pass("charset=%s", result.Escape(charset))
		default:
			p.Fail("charset is %s", brief(charset)).Hint("leave the charset out, or say utf-8").At(c.FieldEvidence("Content-Type"))
		}
	},
}

// mediaType is the value of Content-Type that counts.
func mediaType(h *wire.Head) string { _, v := conformance.MediaType(h); return v }

// charsetOf finds the first charset parameter, also in a value that is not quite well-formed.
func charsetOf(v string) (string, bool) {
	_, params, _ := strings.Cut(v, ";")
	for param := range strings.SplitSeq(params, ";") {
		name, value, ok := strings.Cut(param, "=")
		if ok && strings.EqualFold(strings.TrimSpace(name), "charset") {
			return strings.Trim(strings.TrimSpace(value), `"`), true
		}
	}
	return "", false
}

// RFC 9112 6.2 and 6.3: a length ends the message where it says. A live stream has none; one that is declared cuts the stream off, or is a
// lie. A finite stream may declare its length.
var httpNoContentLength = conformance.Check{
	ID: "http/no-content-length", Title: "a live stream declares no length",
	Level: result.Must, Clause: "RFC 9112 6", Needs: conformance.Observe, Core: true,
	Text:     "A stream that goes on has no Content-Length, and none stands beside Transfer-Encoding. A finite stream may declare its true length.",
	Why:      "Clients and proxies stop reading at the declared length: events after it are lost, or taken for the next response.",
	Good:     "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
	Bad:      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 0\r\n\r\ndata: lost\n\n",
	Evidence: []string{"aws/bedrock-agentcore-sdk-typescript#143", "tornadoweb/tornado#301", "keroxp/servest#130", "civetweb/civetweb#967"},
	Run: func(_ context.Context, p *conformance.Probe) {
		first, ok := served(p)
		if !ok {
			return
		}
		if !first.Head.Header.Has("Content-Length") {
			p.Pass("no Content-Length")
			return
		}
		at := first.FieldEvidence("Content-Length")
		const hint = "leave Content-Length out"
		for _, f := range first.Faults() {
			switch f.Code {
			case wire.FaultTEAndCL:
				p.Fail("Content-Length together with Transfer-Encoding").Hint(hint).At(at)
			case wire.FaultCLConflict, wire.FaultCLInvalid, wire.FaultCLRepeated:
				p.Fail("%s", result.Escape(f.Detail)).Hint(hint).At(at)
			}
		}
		if first.Head.Header.Has("Transfer-Encoding") {
			return
		}
		if essence(first.Head) != eventStream {
			p.NotObserved("the answer is %s, not a stream", orNothing(essence(first.Head))).Hint("see http/content-type")
			return
		}
		length := result.Escape(first.Head.Header.Get("Content-Length"))
		p.Observed()
		_, err := first.Ended()
		got := len(first.Content())
		for _, f := range first.Faults() {
			if f.Code == wire.FaultAfterEnd || f.Code == wire.FaultH2Length {
				p.Fail("Content-Length: %s, and more bytes came after them", length).Hint(hint).At(at, first.WireEvidence(f.Offset, f.Offset+int64(f.Length)))
			}
		}
		switch {
		case err == io.EOF:
			p.Info("Content-Length: %s on a stream that ended there; legal for a finite stream", length)
		case err != nil && first.Closed() == "FIN":
			p.Fail("Content-Length: %s, and the server ended the connection after %s", length, plural(got, "byte")).Hint(hint).At(at)
		case err != nil:
			p.Error("the stream broke off: %s", conformance.Cause(err))
		case first.Full():
			p.NotObserved("Content-Length: %s, of which %s were read, which is as much as is kept", length, plural(got, "byte"))
		case p.Interrupted():
			p.NotObserved("Content-Length: %s, and the run was interrupted before the stream showed whether it is live", length)
		default:
			p.Fail("Content-Length: %s, and the stream still goes on after %s in %s", length, plural(got, "byte"), p.Window()).Hint(hint).At(at)
		}
	},
}

// framingFaults are breaches of RFC 9112 6 and 7 in the body; those of Content-Length belong to http/no-content-length.
var framingFaults = map[wire.FaultCode]bool{
	wire.FaultChunkSize: true, wire.FaultChunkPadding: true, wire.FaultChunkEnd: true, wire.FaultTENotLast: true,
	wire.FaultTERepeated: true, wire.FaultTECoding: true, wire.FaultTEHTTP10: true, wire.FaultTrailerCut: true,
}

// RFC 9112 6 and 7.1: the head says how the body is delimited, and the body keeps to it, each chunk with its size in hexadecimal, CRLF, the data and CRLF,
// the last one of size 0.
var httpBodyFraming = conformance.Check{
	ID: "http/body-framing", Title: "the body keeps to the framing that the head declares",
	Level: result.Must, Clause: "RFC 9112 6, 7.1", Needs: conformance.Observe,
	Text: "A body declared as chunked is chunked, once, with correct sizes and an end; nothing follows its end. A body that is not declared as chunked has no chunk sizes in it. " +
		"Over HTTP/2 the frames of the connection come in an order, and with sizes, that RFC 9113 allows.",
	Why:  "Frameworks that chunk by hand under a server that chunks again show clients the sizes as fields; a wrong size kills the connection in the middle of an event.",
	Good: "Transfer-Encoding: chunked\r\n\r\n9\r\ndata: x\n\n\r\n",
	Bad:  "Transfer-Encoding: chunked\r\n\r\ndata: x\n\n",
	Run: func(_ context.Context, p *conformance.Probe) {
		conns, ok := served(p)
		if !ok {
			return
		}
		if conns.Proto != wire.HTTP11 {
			judgeFrames(p)
			return
		}
		if _, n := conns.PastHead(); n == 0 && len(p.Observed()) == 1 {
			if _, n = conns.PastHead(); n == 0 {
				p.NotObserved("nothing came after the head in %s", p.Window()).Hint("a longer --window or a publish hook (--publish) would decide it").By("--publish")
				return
			}
		}
		for _, c := range p.Observed() {
			judgeFraming(p, c)
		}
	},
}

func judgeFraming(p *conformance.Probe, c *conformance.Connection) {
	chunked := strings.EqualFold(c.Head.Header.Get("Transfer-Encoding"), "chunked")
	if _, err := c.Ended(); err != nil {
		if limit, ok := errors.AsType[*wire.CapError](err); ok {
			p.Fail("the framing of the body exceeds what clients take: %s", tooLarge(limit)).Hint("clients stop reading there").At(c.WireEvidence(limit.Offset, limit.Offset))
		}
	}
	for _, f := range c.Faults() {
		at := c.WireEvidence(f.Offset, f.Offset+int64(f.Length))
		switch {
		case framingFaults[f.Code], f.Code == wire.FaultAfterEnd && chunked:
			p.Fail("%s", result.Escape(f.Detail)).Hint("let the server do the framing; do not write chunks by hand").At(at)
		case f.Code == wire.FaultBodyCut && chunked && c.Closed() == "FIN":
			p.Warn("the connection ended without the last chunk: clients cannot tell the end from a failure").
				Hint("end the response instead of closing the connection").At(at)
		}
	}
	if stray := strayChunks(c); len(stray) > 0 {
		for _, l := range c.Lines() {
			if stray[l.Start] {
				how := "chunk framing in a body that is not declared as chunked"
				if chunked {
					how = "chunk framing within chunk framing: the body is chunked twice"
				}
				p.Fail("%s", how).Hint("let the server do the framing; do not write chunks by hand").At(c.Evidence(l.Start, l.End))
			}
		}
	}
	p.Pass("%s read by their framing", plural(len(c.Content()), "byte"))
}

// strayChunks finds chunk-size lines that stand in the stream as if they were fields: a hexadecimal number that is the length of what
// follows it up to a CRLF. Keyed by the offset of their line.
func strayChunks(c *conformance.Connection) map[int64]bool {
	var found map[int64]bool
	lines := c.Lines() // before the content, which may grow
	content := c.Content()
	for i := range lines {
		l := &lines[i]
		if l.Colon || l.Name == "" || len(l.Name) > 8 {
			continue
		}
		size, err := strconv.ParseUint(l.Name, 16, 32)
		end := l.End + int64(size)
		if err != nil || end+2 > int64(len(content)) || string(content[end:end+2]) != "\r\n" {
			continue
		}
		if found == nil {
			found = map[int64]bool{}
		}
		found[l.Start] = true
	}
	return found
}

// RFC 9111 5.2.2. WHATWG HTML says nothing of the response: it only makes the client ask with cache mode no-store.
var httpCacheControl = conformance.Check{
	ID: "http/cache-control", Title: "the answer says that it must not be cached",
	Level: result.Advice, Clause: "RFC 9111 5.2.2", Needs: conformance.Observe,
	Text: "Cache-Control holds no-store, no-cache or private.",
	Why:  "A cache on the way may store a stream that ended and hand the old events to the next client, or wait for its end before it passes anything on.",
	Good: "Cache-Control: no-store\r\n", Bad: "Cache-Control: public, max-age=60\r\n",
	Evidence: []string{"mdn/content#12085", "webiny/webiny-js#5737", "sysid/sse-starlette#35"},
	Run: func(_ context.Context, p *conformance.Probe) {
		c, ok := served(p)
		if !ok {
			return
		}
		d := directives(c.Head.Header.Values("Cache-Control"))
		_, noStore := d["no-store"]
		_, noCache := d["no-cache"]
		_, private := d["private"]
		_, public := d["public"]
		switch {
		case noStore || noCache || private:
			p.Pass("Cache-Control: %s", result.Escape(strings.Join(c.Head.Header.Values("Cache-Control"), ", ")))
		case public || positive(d["max-age"]) || positive(d["s-maxage"]):
			p.Warn("Cache-Control lets caches store the stream").Hint("send Cache-Control: no-store, unless caches are meant to fan the stream out").
				At(c.FieldEvidence("Cache-Control"))
		case p.Call():
			p.Pass("nothing lets caches store it, and the answer to %s they store only then", p.Request().Method)
		case !c.Head.Header.Has("Cache-Control"):
			p.Warn("there is no Cache-Control").Hint("send Cache-Control: no-store").At(c.FieldEvidence("Cache-Control"))
		default:
			p.Warn("Cache-Control forbids no caching").Hint("send Cache-Control: no-store").At(c.FieldEvidence("Cache-Control"))
		}
	},
}

// directives splits Cache-Control into lower-case names and their arguments.
func directives(values []string) map[string]string {
	d := map[string]string{}
	for _, v := range values {
		for one := range strings.SplitSeq(v, ",") {
			name, arg, _ := strings.Cut(strings.TrimSpace(one), "=")
			d[strings.ToLower(strings.TrimSpace(name))] = strings.Trim(strings.TrimSpace(arg), `"`)
		}
	}
	return d
}

func positive(arg string) bool {
	n, err := strconv.ParseUint(arg, 10, 64)
	return err == nil && n > 0 || errors.Is(err, strconv.ErrRange)
}

// RFC 9113 8.2.2: an endpoint must not generate an HTTP/2 message with connection-specific fields, and a message that has them is malformed.
var h2ConnectionHeaders = conformance.Check{
	ID: "h2/connection-headers", Title: "no connection-specific field over HTTP/2",
	Level: result.Must, Clause: "RFC 9113 8.2.2", Needs: conformance.Extra, Core: true,
	Text: "Over HTTP/2 the response has no Connection, Keep-Alive, Proxy-Connection, Transfer-Encoding or Upgrade field.",
	Why: "Safari and other strict clients treat the response as malformed and drop the stream or the whole connection; the same code works over " +
		"HTTP/1.1, so it is found in production.",
	Good:     ":status: 200\ncontent-type: text/event-stream\n",
	Bad:      ":status: 200\ncontent-type: text/event-stream\nconnection: keep-alive\n",
	Evidence: []string{"bartblast/hologram#1262", "nestjs/nest#17597", "ktorio/ktor#4581", "nghttp2/nghttp2#1674", "keycloak/keycloak#22246"},
	Run: func(_ context.Context, p *conformance.Probe) {
		c, ok := answered(p)
		if !ok {
			return
		}
		if c.Proto != wire.HTTP2 && c.Proto != wire.H2C {
			p.NotApplicable("HTTP/%s was spoken", c.Head.Proto).Hint("--http 2 or --http h2c would decide it where the target speaks HTTP/2")
			return
		}
		var names []string
		for _, name := range []string{"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"} {
			if c.Head.Header.Has(name) {
				names = append(names, name)
			}
		}
		if len(names) == 0 {
			p.Pass("none among %s", plural(len(c.Head.Header), "field"))
			return
		}
		n := p.Fail("the response has %s", strings.Join(names, ", ")).Hint("send connection-specific fields over HTTP/1.1 only")
		for _, name := range names {
			n.At(c.FieldEvidence(name))
		}
	},
}
