package serverchecks

import (
	"context"
	"net/url"
	"regexp"
	"strings"

	"ssegauge/conformance"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// A client can choose Last-Event-ID and the query. No request field can hold CR or LF, so they are sent percent-encoded: a server (or a framework's helper) that
// decodes what it then writes out lets them through. What is injected is a field that means nothing; but the request is what firewalls take for an attack, so it is
// only sent with --active.
var secInjectIDHeader = conformance.Check{
	ID: "sec/inject/id-header", Title: "Last-Event-ID cannot inject lines or fields",
	Level: result.Security, Clause: "WHATWG HTML 9.2.5", Needs: conformance.Extra,
	Text: "An id of the client's, in Last-Event-ID or in the query, with percent-encoded line breaks makes no line in the stream and no field in the head.",
	Why:  "Servers echo the position (as an id, in an event that says it is unknown, in a redirect). A link that someone else made then writes events, or header fields, for whoever follows it.",
	Good: "> GET /events?lastEventId=a%0D%0Ainj:%201\n\ndata: {\"after\":\"a\\r\\ninj: 1\"}\n\n", Bad: "> GET /events?lastEventId=a%0D%0Ainj:%201\n\ndata: a\r\ninj: 1\n\n",
	Evidence: []string{"evoila/meho#353", "web-platform-tests/wpt eventsource/resources/last-event-id.py"},
	Run: func(ctx context.Context, p *conformance.Probe) {
		if _, ok := served(p); !ok {
			return
		}
		if !p.Target().Active {
			p.NotObserved("encoded line breaks were not sent: firewalls take them for an attack").Hint("--active sends them").By("--active")
			return
		}
		v, ctx, release, ok := turn(ctx, p)
		if !ok {
			return
		}
		defer release()
		for i := range 2 {
			word := "inj" + p.Nonce()
			var req *wire.Request
			if i == 0 {
				req = withID(p, "a%0D%0A"+word+":%201")
			} else {
				name := p.Target().Declared.QueryParam
				if name == "" {
					name = "lastEventId"
				}
				req = p.Request()
				req.URL = withQuery(req.URL, name, "a\r\n"+word+": 1")
			}
			curl := p.Curl(req, "--max-time 5")
			found := func(c *conformance.Connection) *conformance.Line {
				lines := c.Lines() // before the content, which grows
				content := c.Content()
				for _, l := range lines {
					if strings.HasPrefix(string(content[l.Start:l.End]), word) {
						return &l
					}
				}
				return nil
			}
			a := v.try(ctx, p, req, func(c *conformance.Connection) {
				watch(ctx, c, visitPause, func() bool { return len(c.Events()) > 0 || found(c) != nil })
			})
			if a.why != "" || a.status == 0 {
				p.NotObserved("a request with a strange id was not answered%s", suffix(a.why)).Hint("see resume/hostile-id")
				return
			}
			if a.conn.Head.Header.Has(word) {
				p.Fail("line breaks in the client's id made a field of the response head").Hint("encode what comes from the client before it is written into a field").
					At(a.conn.FieldEvidence(word)).Try(curl)
				return
			}
			if l := found(a.conn); l != nil && a.status == 200 {
				p.Fail("line breaks in the client's id made a line of the stream").Hint("write what comes from the client as JSON, or refuse control characters").
					At(a.conn.Evidence(l.Start, l.End)).Try(curl)
				return
			}
		}
		p.Pass("line breaks in the client's id make no line and no field")
	},
}

// WHATWG HTML 9.2.2: 401 and 403 are final and tell the page at once; what is said in a stream is heard by nobody, since a client whose stream ends comes back.
// A target that streams to everybody may be meant to: that is reported, and blamed only where the operator declares that credentials are needed. An event says no where it is
// the first of the stream, of a kind or with words that no stream with credentials had, and either its type is error or the stream ends with it. Harmless: one plain request.
var secAuthBeforeStream = conformance.Check{
	ID: "sec/auth-before-stream", Title: "a client without credentials is refused before the stream",
	Level: result.Advice, Clause: "WHATWG HTML 9.2.2", Needs: conformance.Extra,
	Text: "The request without its credentials is answered 401 or 403, not with a stream that tells of an error.",
	Why:  "An error event and the end of the stream make every client whose session ran out come back for ever; 401 stops it and can be acted upon.",
	Good: "HTTP/1.1 401 Unauthorized\r\n\r\n", Bad: "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nevent: error\ndata: unauthorized\n\n",
	Run: judgeAuth,
}

var denial = regexp.MustCompile(`(?i)\b(unauthori[sz]ed|unauthenticated|forbidden|access denied|not (logged|signed) in|invalid[ _-]token|login required)\b|"?(code|status|error)"?\s*[:=]\s*"?40[13]\b`)

func judgeAuth(ctx context.Context, p *conformance.Probe) {
	conns, ok := streamed(p)
	if !ok {
		return
	}
	req := p.Request()
	taken := strip(req)
	if len(taken) == 0 {
		p.NotObserved("the request holds no credentials to leave out").Hint("give them with --header").By("--header")
		return
	}
	v, ctx, release, ok := turn(ctx, p)
	if !ok {
		return
	}
	defer release()
	what := strings.Join(taken, " and ")
	says := func(e *conformance.Event) bool {
		return string(e.Type) == "error" || denial.Match(e.Data) || denial.Match(e.Type)
	}
	refusal := func(c *conformance.Connection) *conformance.Event {
		evs := c.Events()
		if len(evs) == 0 || !says(&evs[0]) {
			return nil
		}
		for _, o := range conns {
			for _, e := range o.Events() {
				if says(&e) {
					return nil
				}
			}
		}
		if string(evs[0].Type) == "error" || endedByItself(c) && len(evs) == 1 {
			return &evs[0]
		}
		return nil
	}
	a := v.ask(ctx, p, req, func(c *conformance.Connection) {
		watch(ctx, c, unknownLook, func() bool { return len(c.Events()) > 0 })
		if len(c.Events()) > 0 {
			watch(ctx, c, visitPause, func() bool { return false }) // does it end with it?
		}
	})
	const hint = "answer 401 or 403 before the stream begins"
	switch {
	case a.why != "" || a.status == 0:
		p.NotObserved("without %s there was no answer%s", what, suffix(a.why))
	case a.status >= 500:
		p.Warn("without %s the answer is %d, twice", what, a.status).Hint(hint).At(a.conn.HeadEvidence()).Try(p.Curl(req))
	case a.status >= 300:
		p.Pass("without %s the answer is %d", what, a.status)
	case a.status != 200 || essence(a.conn.Head) != essence(p.First().Head):
		p.Warn("without %s the answer is %d, %s", what, a.status, orNothing(essence(a.conn.Head))).Hint(hint).At(a.conn.HeadEvidence()).Try(p.Curl(req))
	case refusal(a.conn) != nil:
		e := refusal(a.conn)
		p.Fail("without %s the answer is 200, and an event says no", what).Hint(hint).At(a.conn.Evidence(e.Start, e.End)).Try(p.Curl(req))
	case p.Target().Declared.Auth != "":
		p.Declared(true, "credentials are declared, and without %s the answer is 200 and a stream", what).Hint(hint).At(a.conn.HeadEvidence()).Try(p.Curl(req))
	default:
		p.Info("without %s the answer is 200 and a stream as well: it is open to everybody", what).Hint("--auth header declares that it is not meant to be")
	}
}

// strip takes the credentials out of a request and names what it took.
func strip(r *wire.Request) (taken []string) {
	var kept wire.Header
	for _, f := range r.Header {
		if result.Secret(f.Name) {
			taken = append(taken, f.Name)
			continue
		}
		kept = append(kept, f)
	}
	r.Header = kept
	u := *r.URL
	if u.User != nil {
		u.User = nil
		taken = append(taken, "the user in the URL")
	}
	var query []string
	for _, pair := range strings.Split(u.RawQuery, "&") {
		if name, _, _ := strings.Cut(pair, "="); name != "" && result.Secret(name) {
			taken = append(taken, "?"+result.Escape(name)+"=")
			continue
		}
		query = append(query, pair)
	}
	u.RawQuery = strings.Join(query, "&")
	r.URL = &u
	return taken
}

// EventSource cannot set fields, so tokens in URLs are common: a fact, with what follows from it, whoever put it there. Nothing is sent.
var secTokenInURL = conformance.Check{
	ID: "sec/token-in-url", Title: "no credentials in the URL",
	Level: result.Advice, Clause: "no clause; practice", Needs: conformance.Observe,
	Text: "The URL of the stream, redirects included, holds no token, key, password or session.",
	Why:  "URLs are kept in logs of servers and proxies, in histories and in reports. A token there should be short-lived and good for this stream alone; a cookie is better.",
	Good: "> GET /events\n> Cookie: session=...\n", Bad: "> GET /events?access_token=...\n",
	Evidence: []string{"Wave-RF/WaveHouse#216"},
	Run: func(_ context.Context, p *conformance.Probe) {
		c, ok := answered(p)
		if !ok {
			return
		}
		asked := secretNames(p.Target().Request.URL)
		led := secretNames(p.Request().URL)
		for _, name := range led {
			if !contains(asked, name) {
				p.Info("a redirect of the target puts a credential into the URL: %s", name).Hint("set a cookie, or keep the token short-lived and good for this stream alone")
				return
			}
		}
		if len(asked) > 0 {
			p.Info("the URL holds a credential: %s", strings.Join(asked, ", ")).Hint("keep it short-lived and good for this stream alone; a cookie is better")
			return
		}
		p.Pass("no credential in the URL%s", via(c))
	},
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

func secretNames(u *url.URL) (names []string) {
	if u.User != nil {
		names = append(names, "the user's password")
	}
	for _, pair := range strings.Split(u.RawQuery, "&") {
		if name, _, _ := strings.Cut(pair, "="); name != "" && result.Secret(name) {
			names = append(names, "?"+result.Escape(name)+"=")
		}
	}
	return names
}
