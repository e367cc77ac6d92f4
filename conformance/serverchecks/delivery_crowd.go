package serverchecks

import (
	"context"
	"fmt"
	"slices"
	"time"

	"ssegauge/conformance"
	"ssegauge/reports/result"
)

// No clause. What breaks it: one variable for the subscriber, one queue that all read from, workers that never hear of each other's publishes. Judged by
// two crowds in a row; a stream that ends by itself, or a server of one stream at a time, says nothing.
var deliveryEverySubscriber = conformance.Check{
	ID: "delivery/every-subscriber", Title: "every subscriber gets every event",
	Level: result.Contract, Clause: noClause, Needs: conformance.Publish | conformance.Many,
	Text: "With three streams open on one URL, each of 20 published events arrives on each of them, and none is ended because another one was opened.",
	Why: "Two tabs, a phone and a laptop, two users: where subscribers share one queue each gets a part of the events; where there is room for one, the " +
		"next one silences it.",
	Good: "c1: data: a\n\nc2: data: a\n\n", Bad: "c1: data: a\n\nc2: (nothing)",
	Run: judgeEverySubscriber,
}

// No clause. A connection that stays open and hears nothing, while a newer one does, is worse than one that is cut: no client notices.
var liveSecondConnection = conformance.Check{
	ID: "live/second-connection", Title: "an older connection gets what a newer one gets",
	Level: result.Contract, Clause: noClause, Needs: conformance.Many,
	Text: "Where a second stream is opened on the same URL, what arrives on the newer one arrives on the older one too.",
	Why:  "A stream that has gone deaf looks healthy to the client and to everything between: it waits for ever, and no reconnect repairs it.",
	Good: "c1: data: a\n\nc2: data: a\n\n", Bad: "c1: (nothing)\n\nc2: data: a\n\n",
	Evidence: []string{"xdlc-labs/xdlc-agent#71"},
	Run:      judgeSecondConnection,
}

const (
	crowdSize   = 3
	crowdEvents = 20
	settled     = 300 * time.Millisecond // a server may subscribe only after it has sent the head
	stall       = 3 * time.Second        // nothing new for so long: what is missing does not come
	lull        = 400 * time.Millisecond // nothing new for so long: see whether later events still come
	overtake    = time.Second            // what a later event overtook by more does not come
)

// round is one attempt: what was published, and which of it arrived on each connection, in the order of arrival.
type round struct {
	posts   []*conformance.Posted
	arrived [][]string
	ended   []bool // by the target, before all had arrived
	after   bool   // what was published afterwards did arrive
	wire    []*conformance.Connection
}

// oneStream is remembered where a second stream got no answer while one was open: each check that waits for that again delays those after it.
const oneStream = "the target answers no second stream while one is open"

// crowdedOut remembers oneStream where that is why a second stream got no head: not where heads wait for an event, and nobody can make one.
func crowdedOut(p *conformance.Probe, err error) bool {
	wait, ok := p.First().Wait()
	if !timedOut(err) || p.Target().Publisher == nil && (!ok || wait > time.Second) {
		return false
	}
	p.Remember(oneStream)
	return true
}

// openCrowd opens n streams one after the other. Where not all are answered it says so in why.
func openCrowd(ctx context.Context, p *conformance.Probe, n int) (conns []*conformance.Connection, why string) {
	if n > 1 && p.Remembers(oneStream) {
		return nil, oneStream
	}
	for i := range n {
		c := p.OpenAwake(ctx, p.Request(), 3*time.Second+2*p.First().RoundTrip())
		conns = append(conns, c)
		if c.Err != nil || c.Head.Status != 200 {
			what := "was not answered"
			if c.Head != nil {
				what = fmt.Sprintf("was answered %d", c.Head.Status)
			} else if i > 0 && ctx.Err() == nil {
				crowdedOut(p, c.Err)
			}
			return conns, fmt.Sprintf("stream %d of %d on the same URL %s while the others were open", i+1, n, what)
		}
	}
	pause(ctx, settled)
	return conns, ""
}

func closeAll(conns []*conformance.Connection) {
	for _, c := range conns {
		c.Close()
	}
}

// publishRound publishes n events as fast as the hook takes them, for at most limit, and waits until all arrived on each connection or nothing new came for a while.
// A plain event published afterwards that does arrive makes that while shorter: what is missing was overtaken.
func publishRound(ctx context.Context, p *conformance.Probe, conns []*conformance.Connection, n int, limit time.Duration) *round {
	r := &round{arrived: make([][]string, len(conns)), ended: make([]bool, len(conns)), wire: conns}
	for start := time.Now(); n > 0 && ctx.Err() == nil && (len(r.posts) == 0 || time.Since(start) < limit); n-- {
		d := p.Post(ctx, 0)
		if !d.Taken() {
			break // what came before is judged
		}
		r.posts = append(r.posts, d)
	}
	published := map[string]bool{}
	for _, d := range r.posts {
		published[d.Nonce] = true
	}
	last, before := time.Now(), -1
	var later []*conformance.Posted
	var overtaken time.Time
	for asked := 0; ; {
		total, done := 0, true
		for i, c := range conns {
			r.arrived[i] = order(c, published)
			total += len(r.arrived[i])
			_, err := c.Ended()
			r.ended[i] = err != nil && len(r.arrived[i]) < len(r.posts)
			done = done && (len(r.arrived[i]) == len(r.posts) || r.ended[i])
		}
		if total != before {
			last, before = time.Now(), total
		}
		if done || time.Since(last) > stall || ctx.Err() != nil || r.after && min(time.Since(overtaken), time.Since(last)) > overtake {
			return r
		}
		if asked < 3 && time.Since(last) > time.Duration(asked+1)*lull {
			if d := p.Post(ctx, 0); d.Taken() {
				later = append(later, d)
			}
			asked++
		}
		if !r.after && slices.ContainsFunc(conns, func(c *conformance.Connection) bool { return conformance.Find(later, c) > 0 }) {
			r.after, overtaken = true, time.Now()
		}
		pause(ctx, 20*time.Millisecond)
	}
}

// order lists the nonces that a client would see in events of c, each once.
func order(c *conformance.Connection, published map[string]bool) []string {
	var seen []string
	had := map[string]bool{}
	for _, e := range c.Events() {
		for _, n := range conformance.Nonces(e.Data) {
			if published[n] && !had[n] {
				had[n] = true
				seen = append(seen, n)
			}
		}
	}
	return seen
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// crowd is what three streams on one URL got: one round, or two where the first was not flawless.
type crowd struct {
	why    string
	rounds []*round
}

// flawless tells whether everyone got everything.
func (r *round) flawless() bool {
	return len(r.posts) > 0 && !slices.ContainsFunc(r.arrived, func(a []string) bool { return len(a) < len(r.posts) })
}

// most is how many the luckiest stream got.
func (r *round) most() int {
	n := 0
	for _, a := range r.arrived {
		n = max(n, len(a))
	}
	return n
}

func (r *round) String() string {
	s := ""
	for i, a := range r.arrived {
		if i > 0 {
			s += ", "
		}
		s += fmt.Sprintf("%s %d", r.wire[i].Name, len(a))
		if r.ended[i] {
			s += " and was ended"
		}
	}
	return fmt.Sprintf("of %s %s", plural(len(r.posts), "event"), s)
}

// theCrowd is the one crowd of a run; the caller has the target for itself.
func theCrowd(ctx context.Context, p *conformance.Probe) *crowd {
	return p.Once("crowd", func() any {
		cr := &crowd{}
		for range 2 {
			conns, why := openCrowd(ctx, p, crowdSize)
			if cr.why = why; why == "" {
				cr.rounds = append(cr.rounds, publishRound(ctx, p, conns, crowdEvents, 2*time.Second))
			}
			closeAll(conns)
			if why != "" || ctx.Err() != nil || cr.rounds[len(cr.rounds)-1].flawless() {
				break
			}
		}
		switch {
		case ctx.Err() != nil:
			cr.why = "the time for this check ran out"
		case cr.why == "" && len(cr.rounds[0].posts) == 0:
			cr.why = "the hook published nothing"
		case cr.why == "" && cr.rounds[len(cr.rounds)-1].most() == 0:
			cr.why = "none of the published events arrived on any stream: another channel than this URL's, or something holds events back"
		}
		return cr
	}).(*crowd)
}

// lasting is streamed where streams last: one that ends in any case tells nothing of what others do to it.
func lasting(p *conformance.Probe) ([]*conformance.Connection, bool) {
	conns, ok := streamed(p)
	if !ok {
		return nil, false
	}
	if _, err := conns[0].Ended(); err != nil || len(conns) > 1 {
		p.NotObserved("streams end by themselves here, with what is published meanwhile")
		return nil, false
	}
	return conns, true
}

func crowdOf(ctx context.Context, p *conformance.Probe) (_ *crowd, release func(), ok bool) {
	p.Apart()
	if _, ok := lasting(p); !ok {
		return nil, nil, false
	}
	ctx, release, ok = p.Alone(ctx)
	if !ok {
		return nil, nil, false
	}
	cr := theCrowd(ctx, p)
	if cr.why != "" {
		p.NotObserved("%s", cr.why)
		release()
		return nil, nil, false
	}
	return cr, release, true
}

func judgeEverySubscriber(ctx context.Context, p *conformance.Probe) {
	cr, release, ok := crowdOf(ctx, p)
	if !ok {
		return
	}
	defer release()
	last := cr.rounds[len(cr.rounds)-1]
	if last.flawless() {
		p.Pass("each of %s arrived on each of %d streams", plural(len(last.posts), "event"), crowdSize)
		return
	}
	thrown := func(r *round) bool {
		return slices.Contains(r.ended[:len(r.ended)-1], true) && !r.ended[len(r.ended)-1]
	}
	partial := func(r *round) bool { return r.most() == len(r.posts) || shared(r) }
	const hint = "keep every subscriber in a list and send each event to all; with several workers, through something that reaches them all"
	a, b := cr.rounds[0], last
	switch {
	case thrown(a) && thrown(b):
		p.Fail("a later stream ends an earlier one: %s; then %s", a, b).Hint(hint)
	case slices.Contains(a.ended, true) || slices.Contains(b.ended, true):
		p.NotObserved("streams ended meanwhile: %s; then %s", a, b)
	case partial(a) && partial(b):
		p.Fail("events reached only some of %d streams: %s; then %s", crowdSize, a, b).Hint(hint)
	case a.after && b.after:
		p.Fail("events reached none of %d streams, and later ones did: %s; then %s", crowdSize, a, b).
			Hint("wait for room in a subscriber's queue, or end its stream so that it resumes")
	default:
		p.NotObserved("not every event arrived anywhere: %s; then %s", a, b).Hint("see delivery/burst")
	}
}

// shared tells that every event arrived somewhere and hardly any everywhere: subscribers share a queue.
func shared(r *round) bool {
	somewhere := map[string]int{}
	for _, a := range r.arrived {
		for _, n := range a {
			somewhere[n]++
		}
	}
	return len(somewhere) == len(r.posts)
}

func judgeSecondConnection(ctx context.Context, p *conformance.Probe) {
	if p.Target().Publisher == nil {
		secondWithoutHook(ctx, p)
		return
	}
	cr, release, ok := crowdOf(ctx, p)
	if !ok {
		return
	}
	defer release()
	deaf := func(r *round) bool {
		newest := len(r.arrived) - 1
		return len(r.arrived[newest]) >= len(r.posts)/2 && len(r.posts) >= 4 &&
			slices.ContainsFunc(r.arrived[:newest], func(a []string) bool { return len(a) == 0 }) && !slices.Contains(r.ended, true)
	}
	last := cr.rounds[len(cr.rounds)-1]
	switch {
	case deaf(cr.rounds[0]) && deaf(last):
		p.Fail("an older stream stays open and hears nothing once there is a newer one: %s", last).
			Hint("keep every subscriber; do not put the newest in the place of the one before")
	case slices.Contains(last.ended, true):
		p.NotObserved("streams ended meanwhile: %s", last).Hint("see delivery/every-subscriber")
	default:
		p.Pass("the older streams hear what the newest does: %s", last)
	}
}
