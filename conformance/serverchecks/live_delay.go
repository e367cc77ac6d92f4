package serverchecks

import (
	"context"
	"slices"
	"time"

	"ssegauge/conformance"
	"ssegauge/reports/result"
)

// WHATWG HTML 9.2.5 asks clients for buffering that does not hold events back; this is the same of servers. While other checks publish, no stream is idle,
// and what one event waits for may be the next one: where half of the series is late, a few events are published alone. What is measured then is the fastest of
// them, on which a busy machine or a slow path weighs least, against the quickest answer that this path is known to give: a delay holds heads back, too.
var liveDelay = conformance.Check{
	ID: "live/delay", Title: "an event on an idle stream is not held back",
	Level: result.Advice, Clause: "WHATWG HTML 9.2.5", Needs: conformance.Publish,
	Text: "An event that is published on an idle stream arrives without a constant delay of 100 ms or more on top of what the path costs.",
	Why: "A constant delay on an otherwise idle stream is a timer that nobody meant: small writes that wait for a delayed acknowledgement (Nagle's algorithm), " +
		"a poll, a proxy that gathers writes.",
	Good: "(published at 1.000 s) (1.002 s) data: x\n\n", Bad: "(published at 1.000 s) (1.200 s) data: x\n\n",
	Run: judgeDelay,
}

const (
	delayTries = 5
	delayGap   = 300 * time.Millisecond // of quiet before each
	delayWait  = 1500 * time.Millisecond
)

func judgeDelay(ctx context.Context, p *conformance.Probe) {
	posts, err := series(ctx, p)
	if err != nil {
		unjudged(p, err)
		return
	}
	late := lateness(posts)
	if len(late) < 5 {
		p.NotObserved("only %d of %s arrived in time", len(late), plural(len(posts), "event")).Hint("see live/unbuffered; a longer --window may decide it").By("--window")
		return
	}
	if median := late[len(late)/2]; median < constant {
		p.Pass("the fastest of %d came %v after the publish, half of them within %v", len(late), ms(max(0, late[0])), ms(max(0, median)))
		return
	}
	ctx, release, ok := p.Alone(ctx)
	if !ok {
		return
	}
	defer release()
	c := p.OpenAwake(ctx, p.Request(), 3*time.Second)
	defer c.Close()
	posts = posts[:0]
	for range delayTries {
		pause(ctx, delayGap)
		if _, err := c.Ended(); err != nil || c.Head == nil || ctx.Err() != nil {
			break
		}
		d := p.Post(ctx, 0)
		if !d.Taken() {
			break
		}
		posts = append(posts, d)
		for end := time.Now().Add(delayWait); conformance.Find(posts, c) < len(posts) && ctx.Err() == nil && time.Now().Before(end); {
			pause(ctx, 10*time.Millisecond)
		}
	}
	if late = lateness(posts); len(late) < 3 {
		p.NotObserved("half of the series came %v or more after the publish, but alone only %s arrived in time", ms(constant), plural(len(late), "event"))
		return
	}
	least, cost := late[0], quickest(ctx, p, c)
	if least-cost < constant {
		p.Pass("alone, the fastest of %d came %v after the publish; a request and its answer take %v here", len(late), ms(max(0, least)), ms(cost))
		return
	}
	i := slices.IndexFunc(posts, func(d *conformance.Posted) bool { return d.Conn != nil && d.Late() == least })
	p.Warn("no event came sooner than %v after it was published on an idle stream; a request and its answer take %v here", ms(least), ms(cost)).
		Hint("set TCP_NODELAY, write each event in one piece, and look for a poll or a proxy that gathers writes (HAProxy: option http-no-delay)").
		At(c.Evidence(posts[i].Line.Start, posts[i].Line.End))
}

// lateness is how late the posts came that came, in order.
func lateness(posts []*conformance.Posted) []time.Duration {
	var late []time.Duration
	for _, d := range posts {
		if d.Conn != nil {
			late = append(late, d.Late())
		}
	}
	slices.Sort(late)
	return late
}

// quickest is what a request and its answer cost at the least: of the streams' heads, which may wait for content, and of the heads that HEAD gets.
func quickest(ctx context.Context, p *conformance.Probe, c *conformance.Connection) time.Duration {
	cost, roundTrip := time.Second, time.Second
	count := func(c *conformance.Connection) bool {
		wait, ok := c.Wait()
		if ok {
			cost, roundTrip = min(cost, wait), min(roundTrip, c.RoundTrip())
		}
		return ok
	}
	count(p.First())
	count(c)
	r := p.Request()
	r.Method, r.Body = "HEAD", nil
	for range 3 { // a busy machine is quick now and then
		head := p.Open(ctx, r, time.Second)
		head.Close()
		if !count(head) {
			break
		}
	}
	return max(cost, 2*roundTrip)
}
