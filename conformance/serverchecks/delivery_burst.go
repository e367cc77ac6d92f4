package serverchecks

import (
	"context"
	"slices"
	"time"

	"ssegauge/conformance"
	"ssegauge/reports/result"
)

// No clause. Order and completeness are judged by nonces in what a client dispatches, on a stream of the check's own. What is missing does not come
// any more: plain events published afterwards came, and nothing more for a second. A stream that is ended is a signal: the client comes
// back. A slow hook cannot make a burst, and nothing is said of one.
var deliveryBurst = conformance.Check{
	ID: "delivery/burst", Title: "a burst of events arrives whole and in order",
	Level: result.Contract, Clause: noClause, Needs: conformance.Publish,
	Turn: conformance.Flood,
	Text: "Of 500 small events, published as fast as the hook takes them, each arrives, once, as an event of its own, in the order of publishing.",
	Why: "Queues for subscribers that drop what does not fit, and goroutines or promises for each event that overtake one another, lose and shuffle events " +
		"only under load, and no client can tell.",
	Good: "data: 1\n\ndata: 2\n\ndata: 3\n\n", Bad: "data: 1\n\ndata: 3\n\n",
	Run: judgeBurst,
}

const (
	burstSize = 500
	burstTime = 3 * time.Second // a hook that takes longer makes a smaller burst
	burstMin  = 50
)

func judgeBurst(ctx context.Context, p *conformance.Probe) {
	p.Apart()
	if _, ok := lasting(p); !ok {
		return
	}
	ctx, release, ok := p.Alone(ctx)
	if !ok {
		return
	}
	defer release()
	var rounds []*round
	for range 2 {
		conns, why := openCrowd(ctx, p, 1)
		if why != "" {
			closeAll(conns)
			p.NotObserved("the stream was not answered again")
			return
		}
		r := publishRound(ctx, p, conns, burstSize, burstTime)
		rounds = append(rounds, r)
		alive := r.flawless() || r.ended[0] || r.after
		closeAll(conns)
		switch {
		case ctx.Err() != nil:
			p.NotObserved("the time for this check ran out").Hint("--only delivery/burst decides it")
			return
		case len(r.posts) < burstMin:
			p.NotObserved("the hook took only %s in %v", plural(len(r.posts), "event"), burstTime).Hint("a faster publish hook would decide it").By("--publish")
			return
		case len(r.arrived[0]) == 0:
			p.NotObserved("none of the published events arrived")
			return
		case !alive:
			p.NotObserved("after %d of %s nothing came any more, not even a plain event", len(r.arrived[0]), plural(len(r.posts), "event"))
			return
		}
		if r.flawless() {
			break
		}
	}
	r := rounds[len(rounds)-1]
	n := len(r.posts)
	const hint = "wait for room in a subscriber's queue, or end its stream so that it resumes; one writer for each stream keeps the order"
	switch {
	case !r.flawless() && slices.ContainsFunc(rounds, func(r *round) bool { return r.ended[0] }):
		p.Info("the server ended the stream after %d of %s: a client comes back for the rest", len(r.arrived[0]), plural(n, "event")).
			Hint("see resume/replay")
	case !r.flawless() && len(rounds) == 2:
		p.Fail("%d of %s never arrived, and %d of %d in a first burst, while an event published afterwards did", n-len(r.arrived[0]), plural(n, "event"),
			len(rounds[0].posts)-len(rounds[0].arrived[0]), len(rounds[0].posts)).Hint(hint)
	case !ordered(r):
		p.Warn("%s arrived in another order than published", plural(n, "event")).Hint(hint)
	case doubled(r) > 0:
		p.Warn("%d of %s arrived more than once on one connection", doubled(r), plural(n, "event")).
			Hint("register a subscriber once, and do not send again what was written to the connection")
	case coalesced(r) > 0:
		p.Warn("%d of %s arrived together with others in one event", coalesced(r), plural(n, "event")).Hint("send each as an event of its own, or say so to who publishes")
	default:
		p.Pass("%s in %v, whole and in order", plural(n, "event"), ms(r.posts[n-1].Receipt.Done.Sub(r.posts[0].Receipt.Sent)))
	}
}

// ordered tells whether what arrived stands in the order of publishing.
func ordered(r *round) bool {
	i := 0
	for _, d := range r.posts {
		if i < len(r.arrived[0]) && r.arrived[0][i] == d.Nonce {
			i++
		}
	}
	return i == len(r.arrived[0])
}

// coalesced counts the events that came in one with others.
func coalesced(r *round) int {
	published := map[string]bool{}
	for _, d := range r.posts {
		published[d.Nonce] = true
	}
	n := 0
	for _, e := range r.wire[0].Events() {
		here := 0
		for _, word := range conformance.Nonces(e.Data) {
			if published[word] {
				here++
			}
		}
		if here > 1 {
			n += here
		}
	}
	return n
}

// doubled counts the events that came again, in an event of their own.
func doubled(r *round) int {
	came := map[string]int{}
	for _, e := range r.wire[0].Events() {
		for _, word := range slices.Compact(conformance.Nonces(e.Data)) {
			came[word]++
		}
	}
	n := 0
	for _, d := range r.posts {
		if came[d.Nonce] > 1 {
			n++
		}
	}
	return n
}
