package serverchecks

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"ssegauge/conformance"
	"ssegauge/reports/result"
)

// Jakarta is what clients of Jakarta REST rely on.
var Jakarta = []conformance.Check{jakarta503}

// Jakarta REST, SseEventSource, reconnect support: a client that is answered 503 with Retry-After comes back after that time; without the field it gives up. (By WHATWG HTML
// a 503 is final either way: see http/status.) It is judged on the target's own answer, or on that of the URL that is declared to refuse.
var jakarta503 = conformance.Check{
	ID: "jakarta/503", Title: "a 503 says in Retry-After when to come back",
	Level: result.Should, Clause: "Jakarta REST, SseEventSource; RFC 9110 10.2.3", Needs: conformance.Extra, Gentle: true,
	Text: "An answer 503 carries Retry-After: a number of seconds, or a date.",
	Why:  "The client of Jakarta REST comes back after the time it is told, and for good stays away where it is told none.",
	Good: "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\n\r\n", Bad: "HTTP/1.1 503 Service Unavailable\r\n\r\n",
	Evidence: []string{"jakartaee/rest#670"},
	Run: func(ctx context.Context, p *conformance.Probe) {
		c := p.First()
		if c.Head != nil && c.Head.Status == http.StatusServiceUnavailable {
			judgeRetryAfter(p, c)
			return
		}
		refusing := p.Target().Declared.ErrorURL
		if refusing == nil {
			p.NotObserved("the target did not answer 503").Hint("a URL that does (--error-url) would decide it").By("--error-url")
			return
		}
		ctx, release, ok := p.Alone(ctx)
		if !ok {
			return
		}
		defer release()
		r := elsewhere(p, refusing)
		r.Method, r.Body = "", nil
		c = p.Open(ctx, r, 3*time.Second+2*c.RoundTrip())
		defer c.Close()
		switch {
		case c.Head == nil:
			p.NotObserved("the URL that is declared to refuse did not answer: %s", conformance.Cause(c.Err))
		case c.Head.Status != http.StatusServiceUnavailable:
			p.NotObserved("the URL that is declared to refuse answers %d", c.Head.Status).Hint("give one that answers 503").By("--error-url")
		default:
			judgeRetryAfter(p, c)
		}
	},
}

func judgeRetryAfter(p *conformance.Probe, c *conformance.Connection) {
	const name, hint = "Retry-After", "send Retry-After with a number of seconds"
	value := c.Head.Header.Get(name)
	_, notSeconds := strconv.ParseUint(value, 10, 31)
	_, notDate := http.ParseTime(value)
	switch {
	case !c.Head.Header.Has(name):
		p.Warn("503 without Retry-After: clients stay away").Hint(hint).At(c.HeadEvidence())
	case notSeconds != nil && notDate != nil:
		p.Fail("Retry-After: %s is neither a number of seconds nor a date", brief(value)).Hint(hint).At(c.FieldEvidence(name))
	default:
		p.Pass("503, and Retry-After: %s", result.Escape(value))
	}
}
