package serverchecks

import (
	"context"
	"errors"
	"syscall"
	"time"

	"ssegauge/conformance"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// WHATWG HTML 9.2.2 makes a client give up for good at any status but 200 and at any other media type, and come back for ever to a stream that ends. So an error
// within a stream is a loop. The URL is declared to be refused: a stream there is a broken promise.
var httpErrorNot200 = conformance.Check{
	ID: "http/error-not-200", Title: "an error is answered as an error, not as a stream that says so",
	Level: result.Should, Clause: "WHATWG HTML 9.2.2", Needs: conformance.Extra,
	Text:     "A URL that must be refused is answered with 4xx or 5xx, not with 200 and an event stream.",
	Why:      "A client that reads an error in a stream that then ends comes back a second later, and again, for ever: a storm of reconnects that no status code shows.",
	Good:     "HTTP/1.1 404 Not Found\r\nContent-Type: application/problem+json\r\n\r\n",
	Bad:      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n{\"error\":\"no such channel\"}",
	Evidence: []string{"sanity-io/client#1236", "meshery/meshery#20375"},
	Run: func(ctx context.Context, p *conformance.Probe) {
		u := p.Target().Declared.ErrorURL
		if u == nil {
			p.NotObserved("no URL is known that must be refused").Hint("--error-url names one: an unknown channel, say").By("--error-url")
			return
		}
		ctx, release, ok := p.Alone(ctx)
		if !ok {
			return
		}
		defer release()
		r := elsewhere(p, u)
		journalOf(p).begin("the error URL")
		c := p.Open(ctx, r, patience(p))
		defer c.Close()
		if c.Head == nil {
			p.NotObserved("the error URL was not answered: %s", told(c))
			return
		}
		awaitContent(ctx, c)
		switch s := c.Head.Status; {
		case s >= 400, s == 204:
			p.Pass("%s", told(c))
		case s >= 300:
			p.Info("the error URL redirects: %d", s)
		case essence(c.Head) == eventStream:
			n := p.Declared(true, "a URL that must be refused is answered 200 with an event stream").
				Hint("answer with the status of the error before the stream begins").Try(p.Curl(r))
			if len(c.Content()) > 0 {
				n.At(c.Evidence(0, int64(len(c.Content()))))
			} else {
				n.At(c.HeadEvidence())
			}
		default:
			p.Warn("the error is answered %s: clients stop, but monitors and proxies see a success", told(c)).
				Hint("answer with the status of the error").At(c.HeadEvidence()).Try(p.Curl(r))
		}
	},
}

// mostStreams bounds the streams that a check of a declared capacity opens.
const mostStreams = 250

// WHATWG HTML, registration of text/event-stream: a server that is overloaded tells clients to stay away with 5xx and not with a stream that ends, after which they come
// back. Only a declared capacity is tried.
var httpCapacity = conformance.Check{
	ID: "http/capacity-5xx", Title: "a server that is full answers 503 before the stream",
	Level: result.Should, Clause: "WHATWG HTML, registration of text/event-stream", Needs: conformance.Extra | conformance.Many, Turn: conformance.Flood,
	Text: "With the declared number of streams open, one more is answered 503 (or 429), not 200 with a stream that ends at once.",
	Why:  "A stream that ends at once makes each client come back every few seconds: the server that is full already gets the load of all whom it turned away.",
	Good: "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\n\r\n",
	Bad:  "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 0\r\n\r\n",
	Run: func(ctx context.Context, p *conformance.Probe) {
		if _, ok := served(p); !ok || !repeatable(p) {
			return
		}
		n := p.Target().Declared.Capacity
		switch {
		case n == 0:
			p.NotObserved("how many streams the target takes is not known").Hint("--capacity N says it, and has N + 1 opened").By("--capacity")
			return
		case n > mostStreams:
			p.NotObserved("a capacity of %d is more than a check opens (%d)", n, mostStreams).Hint("ssegauge load opens that many")
			return
		}
		ctx, release, ok := p.Alone(ctx)
		if !ok {
			return
		}
		defer release()
		journalOf(p).begin(plural(n+1, "stream") + " at once")
		within := patience(p)
		open := p.Guests(ctx, n, within)
		defer func() { open.Leave(false) }()
		held := open.Here()
		if held < n { // the streams of the checks before may count for a moment more
			open.Leave(false)
			pause(ctx, time.Second)
			open = p.Guests(ctx, n, within)
			held = open.Here()
		}
		if held < n {
			p.NotObserved("only %d of the declared %d streams could be held open", held, n).
				Hint("streams of others count too; what was left a moment ago may count as well")
			return
		}
		more := p.Open(ctx, p.Request(), within)
		defer more.Close()
		if more.Err == nil {
			until(ctx, more, time.Second, func() bool { return false })
		}
		_, ended := more.Ended()
		const hint = "answer 503 with Retry-After before the stream begins"
		switch curl := p.Curl(nil); {
		case more.Head == nil && ctx.Err() != nil:
			p.NotObserved("the time for this check ran out")
		case more.Head == nil && timedOut(more.Err):
			p.Warn("with %s open one more is not answered", plural(n, "stream")).Hint(hint).Try(curl)
		case more.Head == nil:
			p.Warn("with %s open one more is cut off without an answer (%s): clients come back at once", plural(n, "stream"), told(more)).Hint(hint).Try(curl)
		case more.Head.Status == 503 || more.Head.Status == 429:
			p.Pass("%d to one more than %s", more.Head.Status, plural(n, "stream"))
		case more.Head.Status >= 400:
			p.Warn("with %s open one more is answered %d", plural(n, "stream"), more.Head.Status).Hint(hint).At(more.HeadEvidence()).Try(curl)
		case more.Head.Status == 200 && ended != nil:
			p.Fail("with %s open one more is answered 200 and ended at once", plural(n, "stream")).Hint(hint).At(more.HeadEvidence()).Try(curl)
		default:
			p.Info("with %s open one more is answered %s: there is room for more than declared", plural(n, "stream"), told(more))
		}
	},
}

// The service that the operator offers. A refusal is looked at twice, two seconds apart. Silence is a proof only where streams that were left cannot hold the
// target up: where it was seen to answer beside one, and most of what was asked side by side. A URL that serves once is no service that could be taken down: who was not answered the same again right after the
// observation proves nothing, unless nobody is there any more, or it is an error of the server's own. 429 and 503 are what an overloaded server should say: they are
// blamed only where HEAD, which was answered before, gets them too. Where the operator lent a way to end the target, its end is nobody's fault.
var httpSurvives = conformance.Check{
	ID: "http/survives", Title: "the target still serves after everything that was asked of it",
	Level: result.Contract, Clause: noClause, Needs: conformance.Extra,
	Text: "After all requests of the run the nominal request is still answered with a stream.",
	Why:  "A server that a handful of odd requests takes down, or makes run out of workers, is taken down by the first scanner that passes.",
	Good: "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n", Bad: "curl: (7) Failed to connect: Connection refused\n",
	Run: judgeSurvives,
}

func judgeSurvives(ctx context.Context, p *conformance.Probe) {
	first, ok := served(p)
	if !ok || !repeatable(p) {
		return
	}
	before := negotiated(ctx, p)
	head := firstHead(ctx, p)
	if head.blocks {
		p.Fail("after HEAD, which was answered, the nominal request gets no answer any more").Hint("end the exchange with the head: the handler still runs, and nobody else is served")
		return
	}
	tries := 2
	if journalOf(p).isSilent() {
		tries = 1
	}
	ctx, release, ok := p.Last(ctx)
	if !ok {
		return
	}
	defer release()
	var c *conformance.Connection
	for try := range tries {
		if try > 0 {
			pause(ctx, 2*time.Second)
		}
		c = p.OpenAwake(ctx, p.Request(), patience(p))
		defer c.Close()
		if c.Head != nil && alike(c.Head, first.Head) {
			p.Pass("%s after the run", told(c))
			return
		}
		if ctx.Err() != nil {
			p.NotObserved("the time for this check ran out")
			return
		}
	}
	last := journalOf(p).suspects()
	if last != "" {
		last = "; the last request before was " + last
	}
	gone := c.Head == nil && (errors.Is(c.Err, syscall.ECONNREFUSED) || errors.Is(c.Err, syscall.ECONNRESET) || errors.Is(c.Err, wire.ErrNoResponse))
	const hint = "look at the server's log of that moment"
	switch {
	case p.Target().Kill != nil || p.Target().Restart != nil:
		p.NotObserved("after the run the nominal request came to: %s. A hook that ends the target was given", result.Escape(told(c)))
	case gone:
		p.Fail("after the run the target is gone (%s)%s", told(c), last).Hint(hint)
	case c.Head == nil && !timedOut(c.Err):
		p.Error("after the run: %s", told(c))
	case c.Head == nil && !before.beside:
		p.NotObserved("after the run the nominal request got no answer: the target takes one connection at a time, or keeps every head until there is an event")
	case c.Head == nil && before.queued:
		p.NotObserved("after the run the nominal request gets no answer: the target answers few requests at a time, and may not have found out yet that clients left").
			Hint("see load/many; look for workers that never find out that their client left")
	case c.Head == nil && !lively(p):
		p.NotObserved("after the run the nominal request gets no answer: nothing is written on streams that were left, so the target does not find out that it could give up their workers").
			Hint("a heartbeat would let it; a publish hook (--publish) decides it").By("--publish")
	case c.Head == nil:
		p.Fail("after the run the nominal request gets no answer in %v, twice%s", ms(patience(p)), last).Hint("look for workers that never find out that their client left")
	case c.Head.Status == 204:
		p.Pass("after the run the target says that the stream is over: 204")
	case !before.again && c.Head.Status < 500:
		p.NotObserved("after the run the nominal request is answered %s, and so it may have been right after the first: the URL may serve once", told(c))
	case (c.Head.Status == 503 || c.Head.Status == 429) && !headRefused(ctx, p, head, c.Head.Status):
		p.NotObserved("after the run the target takes no more: %s", told(c)).Hint("streams that were left may count until the server finds out")
	default:
		p.Fail("after the run the nominal request is answered %s%s", told(c), last).Hint(hint).At(c.HeadEvidence())
	}
}

// lively tells whether a server has reason to write on its streams, and so to find out who left: what is published, or what it says itself.
func lively(p *conformance.Probe) bool {
	if p.Target().Publisher != nil {
		return true
	}
	c := p.First()
	lines := c.Lines()
	return len(lines) > 0 && lines[len(lines)-1].At > c.Timing.Head+time.Second
}

// headRefused tells whether HEAD, which opens no stream, was answered as it should and is now refused with that status: not full, but down.
func headRefused(ctx context.Context, p *conformance.Probe, asked *firstAsked, status int) bool {
	if asked.head == nil || asked.head.Status != 200 {
		return false
	}
	r := p.Request()
	r.Method = "HEAD"
	now := askHead(ctx, p, r, patience(p))
	return now.head != nil && now.head.Status == status
}
