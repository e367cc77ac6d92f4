package serverchecks

import (
	"context"
	"errors"
	"strings"

	"ssegauge/conformance"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// RFC 9110 5.3: a field that is no list stands once. Which of two values counts is for each reader to guess; a list of media types in one field is no media
// type at all.
var httpContentTypeSingle = conformance.Check{
	ID: "http/content-type/single", Title: "there is exactly one Content-Type field",
	Level: result.Must, Clause: "RFC 9110 8.3", Needs: conformance.Observe,
	Text: "The response has one Content-Type field with one media type.",
	Why: "A framework adds its default beside the handler's own. Browsers take the last valid one, proxies the first: the stream works for some clients " +
		"and is final for others.",
	Good: "Content-Type: text/event-stream\r\n", Bad: "Content-Type: text/html\r\nContent-Type: text/event-stream\r\n",
	Run: func(_ context.Context, p *conformance.Probe) {
		c, ok := served(p)
		if !ok {
			return
		}
		values := c.Head.Header.Values("Content-Type")
		const hint = "set the field in one place, in place of adding it"
		switch {
		case len(values) == 0:
			p.NotObserved("there is no Content-Type").Hint("see http/content-type")
		case len(values) > 1:
			p.Fail("Content-Type stands %d times: %s", len(values), brief(strings.Join(values, " | "))).Hint(hint).At(c.FieldEvidence("Content-Type"))
		case strings.Contains(unquoted(values[0]), ","):
			p.Fail("Content-Type is a list: %s", brief(values[0])).Hint(hint).At(c.FieldEvidence("Content-Type"))
		default:
			p.Pass("%s", result.Escape(values[0]))
		}
	},
}

// unquoted is v without what stands between quotes.
func unquoted(v string) string {
	var b strings.Builder
	for i, part := range strings.Split(v, `"`) {
		if i%2 == 0 {
			b.WriteString(part)
		}
	}
	return b.String()
}

// RFC 9111 5.2.2.6. That it is absent is a fact, no fault: only what is compressed already shows that somebody transforms.
var httpNoTransform = conformance.Check{
	ID: "http/cache-control/no-transform", Title: "the answer forbids transformation on the way",
	Level: result.Advice, Clause: "RFC 9111 5.2.2.6", Needs: conformance.Observe,
	Text:     "Cache-Control holds no-transform.",
	Why:      "A proxy or a middleware that compresses a stream collects bytes until a block is full: events come late, in bursts, or at the end.",
	Good:     "Cache-Control: no-store, no-transform\r\n",
	Bad:      "Cache-Control: no-store\r\nContent-Encoding: gzip\r\n",
	Evidence: []string{"einaros/sse.js#25", "NodeFactoryIo/fastify-sse-v2#8", "nestjs/nest#5762"},
	Run: func(_ context.Context, p *conformance.Probe) {
		c, ok := served(p)
		if !ok {
			return
		}
		_, forbidden := directives(c.Head.Header.Values("Cache-Control"))["no-transform"]
		switch {
		case forbidden:
			p.Pass("Cache-Control: %s", result.Escape(strings.Join(c.Head.Header.Values("Cache-Control"), ", ")))
		case coding(c.Head) != "":
			p.Warn("the content is compressed (%s) and no-transform is absent", brief(coding(c.Head))).
				Hint("send Cache-Control: no-store, no-transform, or leave compression off for streams").At(c.FieldEvidence("Content-Encoding"))
		default:
			p.Info("no no-transform: a proxy may compress the stream, and hold it back for that")
		}
	},
}

// coding is the content coding of a response, "" for identity; "none" is what tutorials call that.
func coding(h *wire.Head) string {
	v := strings.ToLower(strings.TrimSpace(strings.Join(h.Header.Values("Content-Encoding"), ", ")))
	if v == "identity" || v == "none" {
		return ""
	}
	return v
}

// nginx, ngx_http_proxy_module: X-Accel-Buffering switches proxy buffering for one response. It is no standard, so its absence is no fault.
var httpXAccelBuffering = conformance.Check{
	ID: "http/x-accel-buffering", Title: "the answer switches off buffering in nginx",
	Level: result.Advice, Clause: "no clause; nginx", Needs: conformance.Observe,
	Text:     "X-Accel-Buffering: no is sent.",
	Why:      "nginx collects 4 to 8 KiB of an answer before it passes anything on, unless the answer or its configuration says otherwise.",
	Good:     "X-Accel-Buffering: no\r\n",
	Bad:      "X-Accel-Buffering: yes\r\n",
	Evidence: []string{"nginx/nginx#1505", "fanout/django-eventstream#37", "julienschmidt/sse#5"},
	Run: func(_ context.Context, p *conformance.Probe) {
		c, ok := served(p)
		if !ok {
			return
		}
		switch v := c.Head.Header.Get("X-Accel-Buffering"); {
		case strings.EqualFold(v, "no"):
			p.Pass("X-Accel-Buffering: no")
		case !c.Head.Header.Has("X-Accel-Buffering"):
			p.Info("no X-Accel-Buffering: behind nginx its configuration has to switch buffering off")
		case strings.EqualFold(v, "yes"):
			p.Warn("X-Accel-Buffering: yes asks nginx to buffer the stream").Hint("send X-Accel-Buffering: no").At(c.FieldEvidence("X-Accel-Buffering"))
		default:
			p.Warn("X-Accel-Buffering is %s, which nginx does not know", brief(v)).Hint("send X-Accel-Buffering: no").At(c.FieldEvidence("X-Accel-Buffering"))
		}
	},
}

// RFC 9112 9.3: connections of HTTP/1.1 persist unless something says close, so keep-alive says nothing. To an HTTP/1.0 answer it does.
var httpKeepaliveHeader = conformance.Check{
	ID: "http/keepalive-header", Title: "no Connection: keep-alive, which says nothing over HTTP/1.1",
	Level: result.Advice, Clause: "RFC 9112 9.3", Needs: conformance.Observe,
	Text:     "An HTTP/1.1 response does not say Connection: keep-alive.",
	Why:      "Copied from tutorials, it does nothing where it is legal; behind the same code over HTTP/2 it makes the response malformed (h2/connection-headers).",
	Good:     "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
	Bad:      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: keep-alive\r\n\r\n",
	Evidence: []string{"bartblast/hologram#1262"},
	Run: func(_ context.Context, p *conformance.Probe) {
		c, ok := answered(p)
		if !ok {
			return
		}
		if c.Proto != wire.HTTP11 || c.Head.Proto == wire.HTTP10 {
			p.NotApplicable("HTTP/%s was spoken", c.Head.Proto).Hint("see h2/connection-headers")
			return
		}
		for _, v := range c.Head.Header.Values("Connection") {
			for token := range strings.SplitSeq(v, ",") {
				if strings.EqualFold(strings.TrimSpace(token), "keep-alive") {
					p.Info("Connection: keep-alive says nothing over HTTP/1.1, and is an error over HTTP/2").At(c.FieldEvidence("Connection"))
					return
				}
			}
		}
		p.Pass("Connection does not say keep-alive")
	},
}

// wantsCookie tells whether a redirect that came back to where it began set a cookie on the way: a browser, which keeps it, may get through.
func wantsCookie(c *conformance.Connection) bool {
	re, ok := errors.AsType[*wire.RedirectError](c.Err)
	if !ok || re.Kind != wire.RedirectLoop {
		return false
	}
	set := c.Head != nil && c.Head.Header.Has("Set-Cookie")
	for _, h := range c.Hops {
		set = set || h.Head.Header.Has("Set-Cookie")
	}
	return set
}

// WHATWG HTML 9.2.1 names 301 and 307; fetch follows 302, 303 and 308 as well, which work.
var httpRedirect = conformance.Check{
	ID: "http/redirect", Title: "a redirect leads to a stream",
	Level: result.Advice, Clause: "WHATWG HTML 9.2.1", Needs: conformance.Extra,
	Text: "Where the URL answers with a redirect, it is 301, 307 or 308, with a Location that resolves, and the way ends at an event stream.",
	Why: "A client follows without a word. What ends at a login page is a failure for good, with nothing to see but an error event; what goes in a circle or " +
		"nowhere is the same.",
	Good: "HTTP/1.1 307 Temporary Redirect\r\nLocation: https://eu.example/events\r\n\r\n",
	Bad:  "HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\n",
	Run: func(_ context.Context, p *conformance.Probe) {
		c := p.First()
		if re, ok := errors.AsType[*wire.RedirectError](c.Err); ok {
			if wantsCookie(c) {
				p.NotObserved("the redirect goes round until a cookie comes back").Hint("give the cookie: --header 'Cookie: ...'").By("--header")
				return
			}
			p.Fail("answered %d, a redirect that cannot be followed: %s", re.Status, result.Escape(result.MaskText(re.Error()))).
				Hint("redirect with a Location that leads to the stream").At(c.FieldEvidence("Location"))
			return
		}
		if len(c.Hops) == 0 {
			if _, ok := answered(p); ok {
				p.NotApplicable("the URL answers by itself")
			}
			return
		}
		way := "after " + plural(len(c.Hops), "redirect")
		if c.Head == nil {
			p.NotObserved("%s: %s", way, p.NoStream())
			return
		}
		last := c.Hops[len(c.Hops)-1].Head
		switch kind := essence(c.Head); {
		case c.Head.Status != 200:
			p.Warn("%s the answer is %d", way, c.Head.Status).Hint("redirect to a URL that streams; see http/status").At(c.HeadEvidence())
		case kind == "text/html" || kind == "application/xhtml+xml":
			p.Warn("%s the answer is a page (%s), perhaps a login", way, kind).Hint("answer 401 or 403 in place of a redirect to a page").At(c.FieldEvidence("Content-Type"))
		case kind != eventStream:
			p.Warn("%s the answer is %s, not a stream", way, orNothing(kind)).Hint("see http/content-type").At(c.FieldEvidence("Content-Type"))
		case last.Status == 302 || last.Status == 303:
			p.Warn("the redirect is %d: it works, 301 and 307 are the ones that are named", last.Status).
				Hint("send 307 for a redirect that may change, 301 or 308 for one that does not")
		default:
			p.Pass("%d, and %s a stream", last.Status, way)
		}
	},
}
