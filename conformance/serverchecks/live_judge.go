package serverchecks

import (
	"context"
	"fmt"
	"strings"
	"time"

	"ssegauge/conformance"
	"ssegauge/reference/sse"
	"ssegauge/reports/result"
)

// WHATWG HTML 9.2.3: the open event is bound to the head, which a client therefore needs before there is an event. No clause binds the server: that a
// client learns it is connected is what the stream is offered for.
//
// The first connection is opened while the run publishes nothing. What the head waited for is told by whether content came in the same breath. A slow
// head is looked at again, alone, before anything is said.
var liveHeadersFlushed = conformance.Check{
	ID: "live/headers-flushed", Title: "the head is sent at once, before there is an event",
	Level: result.Contract, Clause: noClause, Needs: conformance.Observe, Core: true,
	Text: "The response head arrives within a second of the request although there is no event to send.",
	Why: "Until the head comes, a client cannot tell a quiet stream from a dead server: no open event, time-outs in clients and proxies, reconnects " +
		"that cause the load they were to find out about.",
	Good:     "(0.01 s) HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n(8 s) data: first\n\n",
	Bad:      "(8 s) HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: first\n\n",
	Evidence: []string{"danielgtaylor/huma#1037", "r3labs/sse#57", "mpetrunic/fastify-sse-v2#97", "honojs/node-server#244", "NousResearch/hermes-agent#80776"},
	Run:      judgeHeadersFlushed,
}

// attempt is how one head came.
type attempt struct {
	conn     *conformance.Connection
	wait     time.Duration
	none     bool // no complete head in the time there was
	together bool // content came in the same breath as the head
}

// held tells whether the head took too long. One that comes with content is late a little before the limit, so that a server whose events are
// exactly the limit apart doesn't pass or fail by a hair.
func (a *attempt) held(budget time.Duration) bool {
	return a.none || a.wait > budget || a.together && a.wait > budget-budget/10
}

func (a *attempt) String() string {
	switch {
	case a.none && a.conn.HeadBytes() > 0:
		return fmt.Sprintf("only %s of a head in %v", plural(int(a.conn.HeadBytes()), "byte"), ms(a.wait))
	case a.none:
		return fmt.Sprintf("no head in %v", ms(a.wait))
	case a.together:
		return fmt.Sprintf("the head with the first content after %v", ms(a.wait))
	}
	return fmt.Sprintf("the head alone after %v", ms(a.wait))
}

// story tells several attempts.
func story(tries []attempt) string {
	var told []string
	for i := range tries {
		told = append(told, tries[i].String())
	}
	return strings.Join(told, ", then ")
}

// slowByItself tells, of heads that all came late and with content, that it is not the content they waited for: each took as long as the others, and
// what came after the first content took its own time.
func slowByItself(tries []attempt) bool {
	least, most := tries[0].wait, tries[0].wait
	for i := range tries {
		if tries[i].none || tries[i].conn.Woken > 0 {
			return false
		}
		least, most = min(least, tries[i].wait), max(most, tries[i].wait)
	}
	if most-least > least/10+100*time.Millisecond {
		return false
	}
	c := tries[0].conn
	lines := c.Lines()
	if len(lines) == 0 {
		return false
	}
	gap := c.Until() - lines[0].At
	next := func(at time.Duration) {
		if at -= lines[0].At; at > breath {
			gap = min(gap, at)
		}
	}
	for _, e := range c.Events() {
		if conformance.NonceOf(e.Data) == "" { // what the run publishes comes at the run's own pace
			next(e.At)
		}
	}
	for _, l := range lines {
		if l.Kind == sse.LineComment {
			next(l.At)
		}
	}
	return gap < least*3/4 || gap > most*4/3
}

func judgeHeadersFlushed(ctx context.Context, p *conformance.Probe) {
	c := p.First()
	if why := p.NoStream(); why != "" && (c.Head != nil || !timedOut(c.Err) || p.Interrupted()) {
		p.NotObserved("%s", why).Hint("see http/status")
		return
	}
	budget := p.Target().HeadBudget + 2*c.RoundTrip()
	first := attempted(ctx, c, p.Target().Window)
	if !first.held(budget) {
		p.Pass("%s", &first)
		return
	}
	if p.Call() {
		if first.none {
			p.NotObserved("%s: a call may take its time", &first).Hint("a longer --window would decide it").By("--window")
		} else {
			p.Info("%s: a call may take its time", &first)
		}
		return
	}
	ctx, release, ok := p.Alone(ctx)
	if !ok {
		return
	}
	defer release()
	tries := []attempt{first}
	// A server of one connection at a time is free again when it next writes to the one that was left.
	within := 3 * time.Second
	if !first.none && c.Woken == 0 { // how long a head waited for our publish says nothing
		within = min(within+2*first.wait, 5*time.Second)
	}
	for n := 0; n < 2 || n < 4 && lucky(tries, budget); n++ {
		letGo(ctx, p)
		c := p.Open(ctx, p.Request(), within)
		if c.Head == nil && !timedOut(c.Err) || ctx.Err() != nil {
			c.Close()
			why := conformance.Cause(c.Err)
			if ctx.Err() != nil {
				why = conformance.Cause(context.Cause(ctx))
			}
			p.NotObserved("%s, and it could not be looked at again: %s", &first, why)
			return
		}
		tries = append(tries, attempted(ctx, c, within))
		c.Close()
	}
	held, together, came := 0, 0, 0
	for i := range tries {
		a := &tries[i]
		if !a.none {
			came++
		}
		if a.held(budget) {
			held++
		}
		if a.together || a.none {
			together++
		}
	}
	hint := fmt.Sprintf("send and flush the head when the request comes, with a first comment if the server needs bytes; a proxy in front may hold it (limit: %v)", ms(budget))
	switch {
	case together == len(tries) && held == len(tries) && slowByItself(tries):
		p.Warn("the head is slow, by about the same time whenever it is asked for: %s", story(tries)).
			Hint("send and flush the head before preparing the first content (limit: %v)", ms(budget))
	case together == len(tries) && lucky(tries, budget):
		p.NotObserved("%s: the target keeps its heads until there is an event, or it serves one connection at a time", story(tries))
	case together == len(tries) && came == 1 && !first.none && c.Woken == 0 && first.wait <= within:
		// One head proves nothing of what it waited for, and whoever serves one connection at a time may not have found out yet that it is free again.
		p.NotObserved("%s: the target keeps its heads until there is an event, or its first one was slow and it serves one connection at a time", story(tries)).
			Hint("a publish hook (--publish) would decide it").By("--publish")
	case together == len(tries) && held >= 2 && greeted(tries, budget) < 2:
		n := p.Fail("the head does not come by itself: %s", story(tries)).Hint("%s", hint)
		for i := range tries {
			if tries[i].conn.Head != nil {
				n.At(tries[i].conn.HeadEvidence())
				break
			}
		}
	case held == len(tries):
		p.Warn("the head is slow: %s", story(tries)).Hint("the limit is %v; something else than an event holds it up", ms(budget))
	default:
		p.Pass("%s: not every time late", story(tries))
	}
}

// lucky tells whether the tries made alone say nothing yet: one head came at once, but so did content, and for another none came. The target may keep its heads until there
// is an event, which one of them met; or it greets every stream, serves one connection at a time, and was busy still with one that had left.
func lucky(tries []attempt, budget time.Duration) bool {
	none := false
	for i := range tries {
		none = none || i > 0 && tries[i].none
	}
	return none && greeted(tries, budget) == 1
}

// greeted counts the heads that came at once and with content while the run published nothing.
func greeted(tries []attempt, budget time.Duration) int {
	n := 0
	for i := range tries {
		if a := &tries[i]; i > 0 && a.together && !a.held(budget) {
			n++
		}
	}
	return n
}

// letGo has the target write twice to the streams that were left, where there is a hook: a server that finds out only so that its client is gone, and serves one connection
// at a time, has its worker back then.
func letGo(ctx context.Context, p *conformance.Probe) {
	if p.Target().Publisher == nil {
		return
	}
	for range 2 {
		p.Post(ctx, 0)
		pause(ctx, 2*breath+p.First().RoundTrip())
	}
}

// Two writes of a server in one go arrive within milliseconds, however long the path is.
const breath = 50 * time.Millisecond

// attempted waits a moment for content after a head and tells how the head came.
func attempted(ctx context.Context, c *conformance.Connection, window time.Duration) attempt {
	a := attempt{conn: c}
	var ok bool
	if a.wait, ok = c.Wait(); !ok {
		a.wait, a.none = window, true
		return a
	}
	// A head that comes as soon as something was published, after seconds without, waited for that.
	if late := c.Timing.Head - c.Woken; c.Woken > 0 && late >= 0 && late < 500*time.Millisecond {
		a.together = true
		return a
	}
	timer := time.NewTimer(breath)
	defer timer.Stop()
	for {
		changed := c.Changed()
		if lines := c.Lines(); len(lines) > 0 {
			a.together = lines[0].At-c.Timing.Head <= breath
			return a
		}
		select {
		case <-changed:
		case <-timer.C:
			return a
		case <-ctx.Done():
			return a
		}
	}
}
