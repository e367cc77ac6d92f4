package serverchecks

import (
	"context"
	"net/url"
	"strings"

	"ssegauge/conformance"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// Fetch, 4.10 "CORS check": what a browser holds a response against before a page of another origin may read it. EventSource makes such requests too (WHATWG HTML 9.2.2).
//
// None of it binds a server for pages of its own origin. So these checks judge where origins are declared, or where the target shows by its own fields that
// it means to serve other origins; else they are not-observed. What is not let in although nobody declared that it must be is the target's choice. Harmless: what browsers send.
var corsAllowOrigin = conformance.Check{
	ID: "cors/allow-origin", Title: "the page's origin is allowed",
	Level: result.Must, Clause: "Fetch, CORS check", Needs: conformance.Extra,
	Text: "A request with Origin is answered with one Access-Control-Allow-Origin, which is that origin or *.",
	Why:  "Without it the browser closes the EventSource for good, and the page is told nothing but \"error\". Two values, often one of the application and one of a proxy, are as bad as none.",
	Good: "> Origin: https://a.example\n\nAccess-Control-Allow-Origin: https://a.example\r\n", Bad: "> Origin: https://a.example\n\nAccess-Control-Allow-Origin: *, *\r\n",
	Evidence: []string{"web-platform-tests/wpt eventsource/eventsource-cross-origin.window.js", "sockjs/sockjs-node#168"},
	Run: func(ctx context.Context, p *conformance.Probe) {
		c, ok := crossed(ctx, p)
		if !ok {
			return
		}
		curl := p.Curl(c.conn.Request)
		values := fieldValues(c.conn.Head, allowOrigin)
		at := c.conn.FieldEvidence(allowOrigin)
		const hint = "send Access-Control-Allow-Origin once, with the request's origin or *"
		switch {
		case len(values) == 0 && !c.declared:
			p.NotObserved("the target does not let in %s, and no origin is declared", c.origin).Hint("--cors ORIGIN names one that must be let in").By("--cors")
		case len(values) == 0:
			p.Fail("%s is declared, and there is no Access-Control-Allow-Origin for it", c.origin).Hint(hint).At(at).Try(curl)
		case len(values) > 1 || strings.Contains(values[0], ","):
			p.Fail("Access-Control-Allow-Origin has several values: %s", brief(strings.Join(values, ", "))).Hint(hint).At(at).Try(curl)
		case values[0] == c.origin || values[0] == "*":
			p.Pass("%s is let in by %s", c.origin, brief(values[0]))
		case values[0] == "" && c.declared:
			p.Fail("Access-Control-Allow-Origin is empty").Hint(hint).At(at).Try(curl)
		case !c.declared:
			p.NotObserved("the target lets in %s, and no origin is declared", brief(values[0])).Hint("--cors ORIGIN names one that must be let in").By("--cors")
		default:
			p.Fail("Access-Control-Allow-Origin is %s for %s", brief(values[0]), c.origin).Hint(hint).At(at).Try(curl)
		}
	},
}

// Fetch, CORS check, step 4: with credentials * allows nobody. What is allowed is spelt "true", in lower case; any other value means no, which "false" says on purpose.
var corsCredentials = conformance.Check{
	ID: "cors/credentials", Title: "credentials are allowed for one named origin",
	Level: result.Must, Clause: "Fetch, CORS check", Needs: conformance.Extra,
	Text:     "Where Access-Control-Allow-Credentials is sent its value is true, and Access-Control-Allow-Origin names the origin: not *.",
	Why:      "new EventSource(url, {withCredentials: true}) fails for good at *, although the server says that it allows credentials.",
	Good:     "Access-Control-Allow-Origin: https://a.example\r\nAccess-Control-Allow-Credentials: true\r\n",
	Bad:      "Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Credentials: true\r\n",
	Evidence: []string{"eclipse-ditto/ditto#814"},
	Run: func(ctx context.Context, p *conformance.Probe) {
		c, ok := crossed(ctx, p)
		if !ok {
			return
		}
		curl := p.Curl(c.conn.Request)
		h := c.conn.Head.Header
		credentials, at := h.Get(allowCredentials), c.conn.FieldEvidence(allowCredentials)
		switch {
		case !h.Has(allowCredentials):
			p.Pass("credentials are not allowed to other origins, and nothing says that they are")
		case strings.EqualFold(credentials, "false"):
			p.Pass("credentials are not allowed to other origins")
		case credentials != "true":
			p.Fail("Access-Control-Allow-Credentials is %s: browsers know no value but true", brief(credentials)).Hint("send true, or leave the field out").At(at).Try(curl)
		case h.Get(allowOrigin) == "*":
			p.Fail("Access-Control-Allow-Credentials comes with Access-Control-Allow-Origin: *, which browsers refuse").
				Hint("name the request's origin, if it is one that you trust").At(at).Try(curl)
		case !h.Has(allowOrigin):
			p.NotObserved("credentials are allowed to no origin").Hint("see cors/allow-origin")
		default:
			p.Pass("credentials are allowed to %s", brief(h.Get(allowOrigin)))
		}
	},
}

// Fetch, "CORS protocol and HTTP caches". Only what a cache may keep is at stake: with no-store there is nothing to mix up. That the field depends on the origin is
// known where it names ours and the response without Origin did not.
var corsVary = conformance.Check{
	ID: "cors/vary", Title: "Vary names Origin where the answer depends on it",
	Level: result.Should, Clause: "Fetch, CORS protocol and HTTP caches", Needs: conformance.Extra,
	Text: "A response that may be cached, and whose Access-Control-Allow-Origin depends on the request's Origin, has Vary: Origin.",
	Why:  "A cache hands one origin's response to another, whose browser refuses it; it works again after a while, and nobody can reproduce it.",
	Good: "Access-Control-Allow-Origin: https://a.example\r\nVary: Origin\r\n", Bad: "Access-Control-Allow-Origin: https://a.example\r\nCache-Control: no-cache\r\n",
	Run: func(ctx context.Context, p *conformance.Probe) {
		c, ok := crossed(ctx, p)
		if !ok {
			return
		}
		h := c.conn.Head.Header
		switch {
		case !h.Has(allowOrigin):
			p.NotObserved("the target does not let in %s", c.origin).Hint("see cors/allow-origin")
		case h.Get(allowOrigin) != c.origin || p.First().Head.Header.Get(allowOrigin) == c.origin:
			p.Pass("the answer does not depend on the origin")
		case hasToken(h, "Vary", "origin") || hasToken(h, "Vary", "*"):
			p.Pass("Vary names Origin")
		case hasToken(h, "Cache-Control", "no-store"):
			p.Pass("no cache may keep the response")
		default:
			p.Warn("Access-Control-Allow-Origin echoes the origin, the response may be cached, and Vary does not name Origin").
				Hint("send Vary: Origin").At(c.conn.FieldEvidence("Vary"), c.conn.FieldEvidence(allowOrigin)).Try(p.Curl(c.conn.Request))
		}
	},
}

// An error must be provoked without harm: the declared error URL, else the request with a media type that the target does not offer (406).
var corsStreamAndError = conformance.Check{
	ID: "cors/stream-and-error", Title: "errors are readable across origins too",
	Level: result.Should, Clause: "Fetch, CORS check", Needs: conformance.Extra,
	Text: "An error of the stream's URL has the same Access-Control-Allow-Origin as the stream.",
	Why:  "Without it a page that uses fetch cannot tell 401 from a network that is down: it shows the wrong message, and comes back for ever.",
	Good: "HTTP/1.1 401 Unauthorized\r\nAccess-Control-Allow-Origin: *\r\n", Bad: "HTTP/1.1 401 Unauthorized\r\n",
	Evidence: []string{"tpeczek/Lib.AspNetCore.ServerSentEvents#60"},
	Run: func(ctx context.Context, p *conformance.Probe) {
		c, ok := crossed(ctx, p)
		if !ok {
			return
		}
		if !c.conn.Head.Header.Has(allowOrigin) {
			if optionsHasOrigin(ctx, p, c) {
				p.Warn("OPTIONS has Access-Control-Allow-Origin, and the stream has none").Hint("send it with every answer").
					At(c.conn.HeadEvidence()).Try(p.Curl(c.conn.Request))
				return
			}
			p.NotObserved("the stream has no Access-Control-Allow-Origin").Hint("see cors/allow-origin")
			return
		}
		v, ctx, release, ok := turnWithin(ctx, p, crossBudget)
		if !ok {
			return
		}
		defer release()
		req := withOrigin(p.Request(), c.origin)
		if u := p.Target().Declared.ErrorURL; u != nil {
			req = withOrigin(elsewhere(p, u), c.origin)
		} else {
			req.Header = append(without(req.Header, "Accept"), wire.Field{Name: "Accept", Value: "application/x-ssegauge"})
		}
		a := v.try(ctx, p, req, nil)
		switch {
		case a.why != "" || a.status == 0:
			p.NotObserved("no error could be provoked%s", suffix(a.why)).By("--error-url")
		case a.status < 400:
			p.NotObserved("no error is known: a request for another media type is answered %d", a.status).Hint("--error-url names a URL that must be refused").By("--error-url")
		case !a.conn.Head.Header.Has(allowOrigin):
			p.Warn("the stream has Access-Control-Allow-Origin, the answer %d has none", a.status).Hint("send it with every answer").
				At(a.conn.HeadEvidence()).Try(p.Curl(req))
		default:
			p.Pass("the stream and the answer %d have Access-Control-Allow-Origin", a.status)
		}
	},
}

// Browsers ask before they send Last-Event-ID where the id is long or holds unsafe bytes, and libraries built on fetch always do. Authorization and Cache-Control, which these
// like to send, are asked for apart, and only reported. Where no event carries an id it is a fact and no more.
var corsPreflight = conformance.Check{
	ID: "cors/preflight/last-event-id", Title: "a preflight for Last-Event-ID succeeds",
	Level: result.Should, Clause: "Fetch, CORS-preflight fetch", Needs: conformance.Extra,
	Text:     "OPTIONS with Access-Control-Request-Headers: last-event-id is answered 2xx, allows the origin, and names Last-Event-ID in Access-Control-Allow-Headers.",
	Why:      "The first connection works. After the first break the client has an id, must ask first, is refused, and stays silent for good.",
	Good:     "HTTP/1.1 204 No Content\r\nAccess-Control-Allow-Origin: *\r\nAccess-Control-Allow-Headers: Last-Event-ID\r\n",
	Bad:      "HTTP/1.1 405 Method Not Allowed\r\n",
	Evidence: []string{"dunglas/mercure#535", "Wave-RF/WaveHouse#216", "cameronrye/openzim-mcp#116", "whatwg/fetch#568", "web-platform-tests/wpt eventsource/eventsource-cross-origin-preflight.window.js"},
	Run: func(ctx context.Context, p *conformance.Probe) {
		c, ok := crossed(ctx, p)
		if !ok {
			return
		}
		if named := c.conn.Head.Header.Get(allowOrigin); named != "*" && named != c.origin && !c.declared {
			p.NotObserved("the stream itself does not let in %s", c.origin).Hint("--cors ORIGIN names one that must be let in").By("--cors")
			return
		}
		blame := p.Fail
		if evs, with := identified(blocks(p, p.Observed())); len(evs) > 0 && with == 0 {
			blame = p.Info // no event carries an id, so no client sends one
		}
		f := preflight(ctx, p, c)
		a := f.asked
		req := preflightRequest(p, c.origin, "last-event-id")
		curl := p.Curl(req)
		const hint = "answer OPTIONS 204 with Access-Control-Allow-Origin and Access-Control-Allow-Headers: Last-Event-ID"
		switch {
		case a.why != "":
			p.NotObserved("%s", a.why)
		case a.failed() != "":
			blame("a preflight %s", a.failed()).Hint(hint).Try(curl)
		case a.status < 200 || a.status > 299:
			blame("a preflight for Last-Event-ID is answered %d", a.status).Hint(hint).At(a.conn.HeadEvidence()).Try(curl)
		case a.conn.Head.Header.Get(allowOrigin) != "*" && a.conn.Head.Header.Get(allowOrigin) != c.origin:
			blame("a preflight does not allow %s", c.origin).Hint(hint).At(a.conn.FieldEvidence(allowOrigin)).Try(curl)
		case !allows(a.conn.Head, "last-event-id"):
			blame("a preflight does not allow Last-Event-ID").Hint(hint).At(a.conn.FieldEvidence(allowHeaders)).Try(curl)
		case f.more.status >= 200 && f.more.status < 300 && allows(f.more.conn.Head, "authorization") && allows(f.more.conn.Head, "cache-control"):
			p.Pass("Last-Event-ID is allowed, and so are Authorization and Cache-Control")
		default:
			p.Pass("Last-Event-ID is allowed; Authorization and Cache-Control, which libraries like to send, are not both")
		}
	},
}

const (
	allowOrigin      = "Access-Control-Allow-Origin"
	allowCredentials = "Access-Control-Allow-Credentials"
	allowHeaders     = "Access-Control-Allow-Headers"
)

// crossing is the nominal request as a page of another origin makes it, with a cookie.
type crossing struct {
	conn     *conformance.Connection
	origin   string
	declared bool
	why      string
}

// someOrigin stands for pages of anybody (RFC 2606 6).
const someOrigin = "https://a.example"

// crossed returns that request's answer; where it tells nothing, or does not apply, that has been reported.
func crossed(ctx context.Context, p *conformance.Probe) (*crossing, bool) {
	first, ok := served(p)
	if !ok {
		return nil, false
	}
	d := p.Target().Declared
	if d.SameOrigin {
		p.NotApplicable("no page of another origin is meant to read the stream")
		return nil, false
	}
	c := p.Once("crossing", func() any {
		c := &crossing{origin: someOrigin, declared: len(d.CORS) > 0}
		// An origin that the target names without being asked is one it means to let in.
		if named := first.Head.Header.Get(allowOrigin); isOrigin(named) {
			c.origin = named
		}
		if c.declared {
			c.origin = d.CORS[0]
		}
		v, ctx, release, ok := turnWithin(ctx, p, crossBudget)
		if !ok {
			c.why = "the target could not be asked again"
			return c
		}
		defer release()
		a := v.ask(ctx, p, withOrigin(p.Request(), c.origin), nil)
		if c.conn, c.why = a.conn, a.why; c.why == "" && a.status == 0 {
			c.why = "the request with Origin " + a.failed()
		}
		return c
	}).(*crossing)
	switch {
	case c.why != "":
		p.NotObserved("%s", c.why)
	case c.conn.Head.Status != 200 && !c.declared:
		p.NotObserved("the request with Origin: %s is answered %d", c.origin, c.conn.Head.Status).Hint("--cors ORIGIN names one that must be let in").By("--cors")
	case c.declared || hasCORS(c.conn.Head) || hasCORS(first.Head):
		return c, true
	default:
		p.NotObserved("nothing shows that pages of other origins are meant to read the stream").Hint("--cors ORIGIN declares it, --same-origin the opposite").By("--cors")
	}
	return nil, false
}

func isOrigin(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https") && u.Path == "" && !strings.ContainsAny(s, ", ")
}

func hasCORS(h *wire.Head) bool {
	for _, f := range h.Header {
		if strings.HasPrefix(strings.ToLower(f.Name), "access-control-allow-") {
			return true
		}
	}
	return false
}

func withOrigin(r *wire.Request, origin string) *wire.Request {
	r.Header = append(without(r.Header, "Origin"), wire.Field{Name: "Origin", Value: origin})
	if !r.Header.Has("Cookie") {
		r.Header = append(r.Header, wire.Field{Name: "Cookie", Value: "ssegauge=1"}) // as a page with credentials would send one
	}
	return r
}

func preflightRequest(p *conformance.Probe, origin, fields string) *wire.Request {
	r := p.Request()
	method := r.Method
	if method == "" {
		method = "GET"
	}
	r.Method, r.Body = "OPTIONS", nil
	r.Header = wire.Header{ // a browser sends no credentials with it, and no field of the page's
		{Name: "Origin", Value: origin},
		{Name: "Access-Control-Request-Method", Value: method},
		{Name: "Access-Control-Request-Headers", Value: fields},
	}
	return r
}

// preflights are the two that are asked.
type preflights struct{ asked, more *visit }

func preflight(ctx context.Context, p *conformance.Probe, c *crossing) *preflights {
	return p.Once("preflight", func() any {
		f := &preflights{&visit{why: "the target could not be asked again"}, &visit{}}
		v, ctx, release, ok := turnWithin(ctx, p, crossBudget)
		if !ok {
			return f
		}
		defer release()
		f.asked = v.ask(ctx, p, preflightRequest(p, c.origin, "last-event-id"), nil)
		if s := f.asked.status; s >= 200 && s < 300 {
			f.more = v.try(ctx, p, preflightRequest(p, c.origin, "authorization,cache-control,last-event-id"), nil)
		}
		return f
	}).(*preflights)
}

func optionsHasOrigin(ctx context.Context, p *conformance.Probe, c *crossing) bool {
	a := preflight(ctx, p, c).asked
	return a.status >= 200 && a.status < 300 && a.conn.Head.Header.Has(allowOrigin)
}

// allows tells whether a preflight's answer allows a field. * does not cover Authorization, and nothing at all with credentials.
func allows(h *wire.Head, name string) bool {
	if hasToken(h.Header, allowHeaders, name) {
		return true
	}
	return hasToken(h.Header, allowHeaders, "*") && name != "authorization" && h.Header.Get(allowCredentials) != "true"
}

func fieldValues(h *wire.Head, name string) (values []string) {
	for _, f := range h.Header {
		if strings.EqualFold(f.Name, name) {
			values = append(values, f.Value)
		}
	}
	return values
}

// hasToken tells whether a list field has a member, in any case; parameters are left out of account.
func hasToken(h wire.Header, name, token string) bool {
	for _, f := range h {
		if !strings.EqualFold(f.Name, name) {
			continue
		}
		for _, member := range strings.Split(f.Value, ",") {
			member, _, _ = strings.Cut(member, "=")
			if strings.EqualFold(strings.TrimSpace(member), token) {
				return true
			}
		}
	}
	return false
}
