package serverchecks

import (
	"context"
	"time"

	"ssegauge/conformance"
	"ssegauge/reference/sse"
	"ssegauge/reports/result"
)

// How the return of a client is tried.
const (
	defaultRetry = 3 * time.Second // where the stream says nothing, about what browsers do
	longestRetry = 5 * time.Second // a later return is not waited for
)

// WHATWG HTML 9.2.3: at the end of the stream a client waits for the reconnection time and asks again; an answer other than 200 is final. No clause binds the server to be
// there then, but it named the time itself.
//
// It is judged where the stream ended in the window, or where there is a hook that ends it. 4xx may be what a feed that is over answers, so it only warns; a refused
// connection is tried once more, after the same time.
var retryHonoured = conformance.Check{
	ID: "retry/honoured-by-server", Title: "a client that comes back after the reconnection time is served",
	Level: result.Contract, Clause: noClause, Needs: conformance.Kill,
	Text: "After the server ended a stream, a client that comes back exactly after the reconnection time gets 200, or 204 if there is no more.",
	Why:  "The server says when to come back. If it is not ready by then, or throttles who does as told, browsers take the 503 for the last word and never ask again.",
	Good: "retry: 3000\n\n  (end, 3 s)\n\nHTTP/1.1 200 OK\n", Bad: "retry: 3000\n\n  (end, 3 s)\n\nHTTP/1.1 503 Service Unavailable\n",
	Run: judgeHonoured,
}

func judgeHonoured(ctx context.Context, p *conformance.Probe) {
	conns, ok := streamed(p)
	if !ok {
		return
	}
	for _, c := range conns {
		if at, err := c.Ended(); err != nil && !c.Full() {
			ctx, release, ok := p.Alone(ctx)
			if !ok {
				return
			}
			defer release()
			comeBack(ctx, p, c, c.Timing.Start.Add(at), false)
			return
		}
	}
	if !p.Target().Gives(conformance.Kill) {
		p.NotObserved("the stream did not end in %s", p.Window()).Hint("a command that ends it (--kill-cmd) would decide it").By("--kill-cmd")
		return
	}
	k, ctx, release, ok := killed(ctx, p)
	if !ok {
		return
	}
	defer release()
	for _, c := range k.conns {
		if after, err := k.ended(c); err != nil {
			comeBack(ctx, p, c, k.begun.Add(after), p.Target().Restart == nil)
			return
		}
	}
	p.NotObserved("the stream went on after the hook that ends it")
}

// comeBack asks again as a client does whose stream ended then. gone tells that the target may have been ended for good.
func comeBack(ctx context.Context, p *conformance.Probe, c *conformance.Connection, ended time.Time, gone bool) {
	retry := defaultRetry
	for _, l := range c.Natural() {
		if l.Kind == sse.LineRetry {
			if n := decimal(l.Value); n.IsInt64() {
				retry = time.Duration(min(n.Int64(), int64(longestRetry/time.Millisecond))) * time.Millisecond
			}
		}
	}
	r := p.Request()
	r.Header = conformance.WithLastEventID(r.Header, c.LastEventID())
	due := ended.Add(retry)
	for try := range 2 {
		pause := time.NewTimer(time.Until(due))
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
		again := p.Open(ctx, r, 3*time.Second)
		again.Close()
		switch {
		case ctx.Err() != nil:
			p.NotObserved("the time for it ran out")
		case again.Head == nil && timedOut(again.Err):
			p.NotObserved("the client that came back got no answer in 3s").Hint("see http/survives")
		case again.Head == nil && try == 0:
			due = time.Now().Add(retry)
			continue
		case again.Head == nil && gone:
			p.NotObserved("the server was ended, and nobody answers in its place").Hint("give a command that starts it again: --restart-cmd CMD").By("--restart-cmd")
		case again.Head == nil:
			p.Fail("%v after the end, and again after as long, nobody answers: %s", retry, conformance.Cause(again.Err)).
				Hint("be ready before the reconnection time is over, or tell a longer one").Try(p.Curl(r))
		case again.Head.Status == 200 || again.Head.Status == 204:
			p.Pass("%d after %v", again.Head.Status, retry)
		case again.Head.Status >= 500:
			p.Fail("the client that came back after %v was answered %d, which is final for browsers", retry, again.Head.Status).
				Hint("be ready before the reconnection time is over, or tell a longer one").At(again.HeadEvidence()).Try(p.Curl(r))
		case again.Head.Status >= 400:
			p.Warn("the client that came back after %v was answered %d, which is final for browsers", retry, again.Head.Status).
				Hint("answer 204 where there is no more to come").At(again.HeadEvidence()).Try(p.Curl(r))
		default:
			p.NotObserved("the client that came back was answered %d", again.Head.Status).Hint("see http/redirect")
		}
		return
	}
}
