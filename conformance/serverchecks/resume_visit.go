package serverchecks

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ssegauge/conformance"
	"ssegauge/reference/wire"
)

// visits makes the further requests of the checks of resuming, CORS and security, one at a time. They share what they learn: a target that answers
// nobody is not asked again, and one that is slow is not asked for ever.
type visits struct {
	spent time.Duration
	dead  string
}

const (
	visitPatience = 3 * time.Second // for a head, beside the path
	visitBudget   = 4 * time.Second // for the heads of all visits together
	visitPause    = 300 * time.Millisecond
	refusedTries  = 3
)

// crossBudget is for the visits of other origins, beside visitBudget: where each head waits for the next event, the others leave nothing of that.
const crossBudget = 3 * time.Second

// turn takes the check's turn alone; where ok is false it has been reported why there is none.
func turn(ctx context.Context, p *conformance.Probe) (v *visits, _ context.Context, release func(), ok bool) {
	return turnWithin(ctx, p, 0)
}

// turnWithin is turn for a check that may spend more.
func turnWithin(ctx context.Context, p *conformance.Probe, more time.Duration) (v *visits, _ context.Context, release func(), ok bool) {
	v = p.Once("visits", func() any { return &visits{} }).(*visits)
	ctx, leave, ok := p.Alone(ctx)
	if !ok {
		return nil, nil, nil, false
	}
	budget := visitBudget
	if wait, _ := p.First().Wait(); wait >= time.Second {
		budget, more = time.Second, 0 // slow heads: the time that is left is for checks of greater weight
	}
	switch {
	case v.dead != "":
		p.NotObserved("%s", v.dead).Hint("the target serves one connection at a time, or keeps every head until there is an event (see live/headers-flushed)")
	case v.spent > budget+more:
		p.NotObserved("the target was too slow for all requests of this kind").Hint("--only with this id decides it")
	default:
		return v, ctx, leave, true
	}
	leave()
	return nil, nil, nil, false
}

// visit is what one request came to.
type visit struct {
	conn   *conformance.Connection
	status int    // 0: there was no answer
	why    string // nothing can be said
	// Why there was no answer, where plain requests are answered.
	hung, broke, crashed bool
}

// failed says in words what went wrong where status is 5xx or there was no answer; "" where nothing did.
func (a *visit) failed() string {
	switch {
	case a.crashed:
		return "ends in a broken connection, and after it the target accepts none"
	case a.hung:
		return "gets no answer, twice, while the plain request does"
	case a.broke:
		return "breaks the connection without an answer, twice, while the plain request is answered"
	}
	return ""
}

// ask makes a request; look, where the answer is 200, watches the stream before it is left. An answer that blames the server (5xx, 429,
// none at all) is only believed where it comes twice and the plain request is answered in between.
func (v *visits) ask(ctx context.Context, p *conformance.Probe, r *wire.Request, look func(*conformance.Connection)) *visit {
	a := v.try(ctx, p, r, look)
	if a.why != "" || a.status != 0 && a.status < 500 && a.status != 429 {
		return a
	}
	if a.broke && v.refused(ctx, p) {
		a.crashed = true
		v.dead = "the target accepts no connection any more"
		return a
	}
	plain := v.open(ctx, p, p.Request())
	defer plain.Close()
	switch {
	case ctx.Err() != nil:
		return &visit{why: outOfTime(p)}
	case a.hung && a.conn.Woken == 0 && waited(ctx, plain):
		return &visit{why: keepsHeads}
	case plain.Head == nil:
		v.dead = "after the observed stream was left no further request was answered"
		return &visit{why: v.dead}
	case plain.Head.Status != 200:
		return &visit{why: "a plain request is answered " + fmt.Sprint(plain.Head.Status) + " by now"}
	}
	if !a.hung {
		plain.Close() // there may be room for one only
		pause(ctx, visitPause)
	}
	b := v.try(ctx, p, r, look)
	if !b.hung {
		return b
	}
	// A server that serves one at a time is busy with the plain one now: it is this request only where yet another plain one is answered beside both.
	after := v.open(ctx, p, p.Request())
	defer after.Close()
	switch {
	case ctx.Err() != nil:
		return &visit{why: outOfTime(p)}
	case b.conn.Woken == 0 && waited(ctx, after):
		return &visit{why: keepsHeads}
	case after.Head == nil:
		return &visit{why: "the target serves one connection at a time, it seems"}
	}
	return b
}

const keepsHeads = "the target keeps its heads until there is an event, and none came meanwhile"

// waited tells whether a head came late, and with content: what came was what it waited for, and a request in whose time nothing did is not to blame.
func waited(ctx context.Context, c *conformance.Connection) bool {
	a := attempted(ctx, c, 0)
	return a.together && a.wait > visitPause
}

func (v *visits) open(ctx context.Context, p *conformance.Probe, r *wire.Request) *conformance.Connection {
	start := time.Now()
	defer func() { v.spent += time.Since(start) }()
	return p.OpenAwake(ctx, r, visitPatience+2*p.First().RoundTrip())
}

func (v *visits) try(ctx context.Context, p *conformance.Probe, r *wire.Request, look func(*conformance.Connection)) *visit {
	c := v.open(ctx, p, r)
	defer c.Close()
	if c.Head != nil {
		if c.Err == nil && c.Head.Status == 200 && look != nil {
			look(c)
		} else if c.Err == nil && c.Head.Status != 200 {
			watch(ctx, c, visitPause, func() bool { return false }) // what an error page says
		}
		return &visit{conn: c, status: c.Head.Status}
	}
	re, ours := errors.AsType[*wire.RequestError](c.Err)
	we, broken := errors.AsType[*wire.Error](c.Err)
	switch {
	case ctx.Err() != nil:
		return &visit{why: outOfTime(p)}
	case ours:
		return &visit{why: "the request cannot be sent: " + conformance.Cause(re)}
	case timedOut(c.Err):
		return &visit{conn: c, hung: true}
	case broken && (we.Phase == wire.PhaseHead || we.Phase == wire.PhaseWrite):
		return &visit{conn: c, broke: true}
	}
	return &visit{conn: c, why: "no connection: " + conformance.Cause(c.Err)}
}

// refused tells whether nobody accepts connections, for longer than a restart takes.
func (v *visits) refused(ctx context.Context, p *conformance.Probe) bool {
	for range refusedTries {
		conn, _, err := p.Dial(ctx, p.Request(), visitPatience)
		if err == nil {
			conn.Close()
			return false
		}
		if we, ok := errors.AsType[*wire.Error](err); !ok || we.Phase != wire.PhaseConnect || timedOut(err) {
			return false
		}
		pause(ctx, 2*visitPause)
	}
	return ctx.Err() == nil
}

func outOfTime(p *conformance.Probe) string {
	if p.Interrupted() {
		return "interrupted"
	}
	return "the time for this check ran out"
}

// watch waits until enough says so, the stream ends, or nothing more is worth waiting for.
func watch(ctx context.Context, c *conformance.Connection, longest time.Duration, enough func() bool) {
	t := time.NewTimer(longest)
	defer t.Stop()
	for {
		changed := c.Changed()
		if _, err := c.Ended(); err != nil || enough() {
			return
		}
		select {
		case <-changed:
		case <-t.C:
			return
		case <-ctx.Done():
			return
		}
	}
}
