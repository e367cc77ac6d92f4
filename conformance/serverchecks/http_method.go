package serverchecks

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"ssegauge/conformance"
	"ssegauge/reports/result"
)

// methodsAsked are the answers to OPTIONS and to those of POST and DELETE that are declared not to be meant.
type methodsAsked struct {
	why     string
	options []*conformance.Connection // one, or two where the first was not answered
	beside  *conformance.Connection   // GET, where OPTIONS was not answered
	after   *conformance.Connection   // GET once more, where OPTIONS was not answered beside that
	others  []*conformance.Connection
}

// readOnly tells whether nothing here acts, by the operator's word: POST and DELETE are sent to nobody else. An endpoint that takes POST may well take DELETE
// too, as MCP does to end a session.
func readOnly(p *conformance.Probe) bool {
	declared := p.Target().Declared.Methods
	nominal := cmp.Or(p.Request().Method, "GET")
	return len(declared) > 0 && !slices.ContainsFunc(append(slices.Clone(declared), nominal), func(m string) bool {
		return !slices.Contains([]string{"GET", "HEAD", "OPTIONS"}, strings.ToUpper(m))
	})
}

func askMethods(ctx context.Context, p *conformance.Probe) *methodsAsked {
	return p.Once("methods", func() any {
		m := &methodsAsked{}
		ctx, release, ok := p.Alone(ctx)
		if !ok {
			m.why = "no time was left for further requests"
			return m
		}
		defer release()
		if journalOf(p).isSilent() {
			m.why = unanswered
			return m
		}
		within := patience(p)
		ask := func(method string) *conformance.Connection {
			r := p.Request()
			r.Method, r.Body = method, nil
			j := journalOf(p)
			j.begin(method + " of the stream's URL")
			c := p.Open(ctx, r, within)
			j.end(c)
			c.Close()
			return c
		}
		m.options = append(m.options, ask("OPTIONS"))
		if c := m.options[0]; c.Head == nil && timedOut(c.Err) && ctx.Err() == nil {
			// Is it OPTIONS, or does nobody get an answer just now?
			m.beside = p.OpenAwake(ctx, p.Request(), within)
			defer m.beside.Close()
			if m.beside.Head == nil {
				journalOf(p).fellSilent()
			} else {
				if again := ask("OPTIONS"); again.Head == nil {
					m.after = p.OpenAwake(ctx, p.Request(), within)
					m.after.Close()
					m.options = append(m.options, again)
				} else {
					m.options = append(m.options, again)
				}
			}
		}
		if readOnly(p) {
			for _, method := range []string{"POST", "DELETE"} {
				if ctx.Err() == nil {
					m.others = append(m.others, ask(method))
				}
			}
		}
		return m
	}).(*methodsAsked)
}

// RFC 9110 9.3.7. Any answer will do: 405, 404 and 501 are answers.
var httpOptions = conformance.Check{
	ID: "http/options", Title: "OPTIONS is answered",
	Level: result.Advice, Clause: "RFC 9110 9.3.7", Needs: conformance.Extra,
	Text: "An OPTIONS request to the stream's URL is answered within 3 seconds, whatever the answer.",
	Why:  "Browsers send OPTIONS before a request with fields of the page's own. A handler that runs its endless loop for it holds a worker, and the page waits for ever.",
	Good: "> OPTIONS /events HTTP/1.1\n\nHTTP/1.1 204 No Content\r\nAllow: GET, HEAD, OPTIONS\r\n\r\n", Bad: "> OPTIONS /events HTTP/1.1\n\n(nothing)\n",
	Run: func(ctx context.Context, p *conformance.Probe) {
		if _, ok := served(p); !ok {
			return
		}
		m := askMethods(ctx, p)
		if m.why != "" {
			p.NotObserved("%s", m.why)
			return
		}
		last := m.options[len(m.options)-1]
		switch {
		case last.Head != nil:
			wait, _ := last.Wait()
			p.Pass("%d after %v", last.Head.Status, ms(wait))
		case !timedOut(last.Err) || p.Interrupted():
			p.NotObserved("the OPTIONS request broke off: %s", conformance.Cause(last.Err))
		case len(m.options) < 2:
			p.NotObserved("neither OPTIONS nor GET was answered after the observed stream was left").
				Hint("the target serves one connection at a time, or keeps every head until there is an event (see live/headers-flushed)")
		case m.after == nil || m.after.Head == nil:
			p.NotObserved("beside an open stream neither OPTIONS nor GET was answered").
				Hint("the target serves one connection at a time, or keeps every head until there is an event (see live/headers-flushed)")
		case p.First().Woken > 0 || m.beside.Woken > 0 || m.after.Woken > 0:
			p.NotObserved("OPTIONS was not answered, and neither is GET before there is an event").Hint("see live/headers-flushed")
		default:
			p.Warn("OPTIONS got no answer, twice; GET before and after it did").Hint("answer OPTIONS with 204 and Allow; do not run the stream for it").
				Try(p.Curl(last.Request, "--max-time", "3"))
		}
	},
}

// RFC 9110 15.5.6. Only what is declared not to be meant is asked: a POST might act.
var httpMethod = conformance.Check{
	ID: "http/method", Title: "other methods get 405, not a stream",
	Level: result.Advice, Clause: "RFC 9110 15.5.6", Needs: conformance.Extra,
	Text:     "POST and DELETE, where they are declared not to be meant, are not answered with a stream.",
	Why:      "A stream in answer to a POST by mistake, or by a scanner, holds a connection and a worker for ever.",
	Good:     "> DELETE /events HTTP/1.1\n\nHTTP/1.1 405 Method Not Allowed\r\nAllow: GET, HEAD\r\n\r\n",
	Bad:      "> DELETE /events HTTP/1.1\n\nHTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
	Evidence: []string{"vercel/mcp-handler#18"},
	Run: func(ctx context.Context, p *conformance.Probe) {
		if _, ok := served(p); !ok || !declaredMethods(p) {
			return
		}
		m := askMethods(ctx, p)
		if m.why != "" {
			p.NotObserved("%s", m.why)
			return
		}
		for _, c := range m.others {
			switch {
			case c.Head == nil:
				p.NotObserved("%s was not answered: %s", c.Request.Method, told(c))
			case c.Head.Status == 200 && essence(c.Head) == eventStream:
				p.Warn("%s is answered with a stream", c.Request.Method).Hint("answer 405 with Allow").At(c.HeadEvidence()).Try(p.Curl(c.Request, "--max-time", "3"))
			default:
				p.Pass("%s is answered %d", c.Request.Method, c.Head.Status)
			}
		}
	},
}

func declaredMethods(p *conformance.Probe) bool {
	switch {
	case len(p.Target().Declared.Methods) == 0:
		p.NotObserved("which methods are meant to work is not known, and others might act").
			Hint("declare them: --methods GET,HEAD has POST and DELETE tried").By("--methods")
	case !readOnly(p):
		p.NotApplicable("other methods than GET, HEAD and OPTIONS are meant here")
	default:
		return true
	}
	return false
}

// RFC 9110 15.5.6: the server must generate an Allow field in a 405 response. It may be empty.
var httpAllow = conformance.Check{
	ID: "http/allow", Title: "every 405 names the allowed methods in Allow",
	Level: result.Must, Clause: "RFC 9110 15.5.6", Needs: conformance.Extra,
	Text: "Every 405 answer, whatever was asked, has an Allow field.",
	Why:  "Without it a client cannot tell a method that is not allowed from a server that is broken; link checkers and gateways branch on it.",
	Good: "HTTP/1.1 405 Method Not Allowed\r\nAllow: GET, HEAD\r\n\r\n", Bad: "HTTP/1.1 405 Method Not Allowed\r\n\r\n",
	Run: func(ctx context.Context, p *conformance.Probe) {
		first, ok := answered(p)
		if !ok {
			return
		}
		j := journalOf(p)
		switch {
		case first.Head.Status == 200:
			_ = firstHead(ctx, p)
			_ = askMethods(ctx, p)
			if repeatable(p) {
				_ = negotiated(ctx, p)
			}
		case first.Head.Status == 405:
			j.end(first)
		}
		j.mu.Lock()
		defer j.mu.Unlock()
		for _, c := range j.refused {
			method := cmp.Or(c.Request.Method, "GET")
			if c.Head.Header.Has("Allow") {
				p.Pass("Allow: %s after %s", result.Escape(strings.Join(c.Head.Header.Values("Allow"), ", ")), method)
				continue
			}
			p.Fail("%s is answered 405 without Allow", method).Hint("send Allow with the methods that work").At(c.HeadEvidence()).Try(p.Curl(c.Request, "--max-time", "3"))
		}
		if len(j.refused) == 0 {
			n := p.NotObserved("nothing was answered 405")
			if len(p.Target().Declared.Methods) == 0 {
				n.Hint("--methods GET,HEAD has POST and DELETE tried").By("--methods")
			}
		}
	},
}
