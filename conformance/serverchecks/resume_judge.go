package serverchecks

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"ssegauge/conformance"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// WHATWG HTML 9.2.3 makes a client send the last id it saw when it comes back; no clause says what a server does with it (whatwg/html#8297). So without a
// declaration the worst verdict is warn.
//
// The first connection is the ground truth: K is an id it saw with others after it. A client that saw K and comes back must get those others.
var resumeReplay = conformance.Check{
	ID: "resume/replay", Title: "events missed while away are sent after reconnecting",
	Level: result.Advice, Clause: noClause, Needs: conformance.Observe | conformance.Extra, Turn: conformance.Fresh,
	Text: "A request with Last-Event-ID is answered with every event after that id, then with live ones.",
	Why:  "A client comes back after every network change, deploy and proxy time-out. Without replay it loses what happened meanwhile and doesn't know.",
	Good: "> Last-Event-ID: 7\n\nid: 8\ndata: missed\n\nid: 9\ndata: missed too\n\n", Bad: "> Last-Event-ID: 7\n\nid: 12\ndata: live\n\n",
	Evidence: []string{"anomalyco/opencode#25657", "anomalyco/opencode#25658", "growthbook/growthbook-golang#51", "Cocoanetics/SwiftMCP#109"},
	Run:      judgeReplay,
}

var resumeNoDuplicate = conformance.Check{
	ID: "resume/no-duplicate", Title: "what was received before is not sent again",
	Level: result.Advice, Clause: noClause, Needs: conformance.Observe | conformance.Extra, Turn: conformance.Fresh,
	Text: "The replay begins after the event that Last-Event-ID names.",
	Why:  "An event that comes twice is a payment booked twice, a message shown twice. Starting at the id instead of after it does that on every reconnect.",
	Good: "> Last-Event-ID: 7\n\nid: 8\ndata: x\n\n", Bad: "> Last-Event-ID: 7\n\nid: 7\ndata: seen before\n\n",
	Evidence: []string{"athrvk/vayu#21", "feder-cr/invisible_playwright_mcp#1263", "r3labs/sse#61"},
	Run:      judgeNoDuplicate,
}

// resumption is one reconnect with an id, held against the first connection. It is shared by the checks of this group.
type resumption struct {
	why   string // why there is none, with the flag that would help
	by    string
	noIDs bool   // events came and none had an id
	mute  string // plain requests are answered, the one with the id is not

	control *conformance.Connection
	again   *conformance.Connection
	k       conformance.Event   // the event that was seen last
	before  []conformance.Event // seen up to K
	missed  []conformance.Event // seen after it, to be replayed

	replayed  map[int]bool       // index into missed: came again, with the same data
	disorder  *conformance.Event // that came again before one it had followed
	unlike    []pair             // came again, and not quite as it was
	renamed   []conformance.Event
	gotK      *conformance.Event
	gotBefore int
	restarted bool // ids of events long gone stand on new ones
	came      int  // events on the new connection
	status    int
}

// pair is one event as it came first and as it came again.
type pair struct{ live, again conformance.Event }

// How a reconnect is watched.
const (
	replayPatience = 3 * time.Second
	replayQuiet    = time.Second
	replayLongest  = 5 * time.Second
	leastMissed    = 3
	mostMissed     = 5
)

func resumed(ctx context.Context, p *conformance.Probe) *resumption {
	return p.Once("resume", func() any { return resumeOnce(ctx, p) }).(*resumption)
}

func resumeOnce(ctx context.Context, p *conformance.Probe) *resumption {
	r := &resumption{}
	conns := p.Observed()
	if !r.choose(conns) {
		return r
	}
	v, ctx, release, ok := turn(ctx, p)
	if !ok {
		r.why = "the target could not be asked again"
		return r
	}
	defer release()
	for range 2 {
		r.reconnect(ctx, p, v, r.request(p))
		// Silence hangs on time: it is looked at twice.
		if r.why != "" || r.status != 200 || r.came > 0 {
			break
		}
	}
	return r
}

// choose finds K: the latest id that is used once, with at least three others after it.
func (r *resumption) choose(conns []*conformance.Connection) bool {
	total, identified := 0, 0
	for _, c := range conns {
		evs := c.Events()
		total += len(evs)
		used := map[string]int{}
		var at []int // events with ids
		for i, e := range evs {
			if e.IDSet && len(e.ID) > 0 {
				used[string(e.ID)]++
				at = append(at, i)
			}
		}
		identified += len(at)
		for n := len(at) - 1 - leastMissed; n >= 0 && n >= len(at)-1-leastMissed-mostMissed; n-- {
			if used[string(evs[at[n]].ID)] > 1 {
				continue
			}
			r.control, r.k, r.before, r.missed = c, evs[at[n]], evs[:at[n]], nil
			for _, i := range at[n+1:] {
				r.missed = append(r.missed, evs[i])
			}
			break
		}
	}
	if r.control != nil {
		return true
	}
	r.noIDs = total > 0 && identified == 0
	switch {
	case total == 0:
		r.why, r.by = "no event came, so there is no id to come back with", "--publish"
	case r.noIDs:
		r.why = "no event carried an id"
	default:
		r.why, r.by = "fewer than four events with ids of their own came", "--publish"
	}
	return false
}

// request is that of a client that saw K last.
func (r *resumption) request(p *conformance.Probe) *wire.Request {
	req := p.Request()
	req.Header = conformance.WithLastEventID(req.Header, r.k.ID)
	return req
}

// onceMore is the same position, to be tried again in another way: what came again must then come again.
func (r *resumption) onceMore() *resumption {
	o := &resumption{control: r.control, k: r.k, before: r.before}
	for i, e := range r.missed {
		if r.replayed[i] {
			o.missed = append(o.missed, e)
		}
	}
	return o
}

// reconnect comes back and watches what is sent.
func (r *resumption) reconnect(ctx context.Context, p *conformance.Probe, v *visits, req *wire.Request) {
	r.why, r.mute, r.came, r.replayed = "", "", 0, nil
	a := v.ask(ctx, p, req, func(c *conformance.Connection) { r.follow(ctx, c) })
	r.again, r.status = a.conn, a.status
	switch {
	case a.why != "":
		r.why = "the reconnect: " + a.why
	case a.status == 0:
		r.mute = a.failed()
		r.why = "the request with the id " + r.mute
	case a.status == 200:
		if r.match(a.conn.Events()); ctx.Err() != nil {
			r.why = "the time for the reconnect ran out"
		}
	}
}

// follow watches until all that was missed came, or nothing more does.
func (r *resumption) follow(ctx context.Context, c *conformance.Connection) {
	quiet := r.quiet()
	patience := time.NewTimer(replayPatience)
	defer patience.Stop()
	end := time.NewTimer(replayLongest)
	defer end.Stop()
	for seen := 0; ; {
		changed := c.Changed()
		if n := len(c.Events()); n > seen {
			seen = n
			patience.Reset(quiet)
			if r.match(c.Events()); len(r.replayed) == len(r.missed) {
				return
			}
		}
		if _, err := c.Ended(); err != nil {
			return
		}
		select {
		case <-changed:
		case <-patience.C:
			return
		case <-end.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// quiet is how long a pause ends the replay: a server may make what was missed anew, as slowly as it made it first.
func (r *resumption) quiet() time.Duration {
	longest := time.Duration(0)
	for i := range r.missed {
		last := r.k.At
		if i > 0 {
			last = r.missed[i-1].At
		}
		longest = max(longest, r.missed[i].At-last)
	}
	return min(max(2*longest, replayQuiet), replayPatience)
}

// match says what the events of the new connection are.
func (r *resumption) match(got []conformance.Event) {
	r.came, r.replayed, r.disorder, r.renamed, r.gotK, r.gotBefore, r.restarted = len(got), map[int]bool{}, nil, nil, nil, 0, false
	r.unlike = nil
	last := -1
	ahead := map[string]int{}
	for i, e := range r.missed {
		ahead[string(e.ID)] = i
	}
	past := map[string]*conformance.Event{}
	for i := range r.before {
		if e := &r.before[i]; e.IDSet {
			past[string(e.ID)] = e
		}
	}
	for i := range got {
		e := &got[i]
		if !e.IDSet || len(e.ID) == 0 {
			continue
		}
		id := string(e.ID)
		switch j, ok := ahead[id]; {
		case ok && sameData(e, &r.missed[j]):
			if j < last && !r.replayed[j] && r.disorder == nil {
				r.disorder = e
			}
			if !bytes.Equal(e.Data, r.missed[j].Data) || !bytes.Equal(e.Type, r.missed[j].Type) {
				r.unlike = append(r.unlike, pair{r.missed[j], *e})
			}
			r.replayed[j], last = true, max(last, j)
		case ok:
			r.renamed = append(r.renamed, *e)
		case id == string(r.k.ID) && sameData(e, &r.k):
			r.gotK = e
		case id == string(r.k.ID):
			r.restarted = true
		case past[id] != nil && sameData(e, past[id]):
			r.gotBefore++
		case past[id] != nil:
			r.restarted = true
		}
	}
	// The same ids from the start in the same order, but as slowly as the first time: that is no history, the content repeats.
	if r.gotBefore > 0 && len(r.replayed) == 0 && r.paced(got) {
		r.restarted = true
	}
	if len(r.renamed) > 0 && r.restarted {
		r.renamed = nil
	}
}

// paced tells whether events came apart from each other, as live ones do.
func (r *resumption) paced(got []conformance.Event) bool {
	return len(got) < 2 || got[len(got)-1].At-got[0].At > replayQuiet/4
}

// sameData tells whether two events are one: the same bytes, or the same publish in a wrapping that changes.
func sameData(a, b *conformance.Event) bool {
	if bytes.Equal(a.Data, b.Data) {
		return true
	}
	nonce := conformance.NonceOf(a.Data)
	return nonce != "" && nonce == conformance.NonceOf(b.Data)
}

func judgeReplay(ctx context.Context, p *conformance.Probe) {
	if _, ok := streamed(p); !ok {
		return
	}
	declared := p.Target().ExpectReplay
	r := resumed(ctx, p)
	if r.why != "" {
		if r.noIDs && declared {
			p.Fail("replay is declared, and %s", r.why).Hint("give every event an id")
			return
		}
		p.NotObserved("%s", r.why).Hint("resuming needs ids: give events one, or have more of them sent").By(r.by)
		return
	}
	curl := p.Curl(r.again.Request)
	id := brief(string(r.k.ID))
	switch n := len(r.replayed); {
	case r.status != 200:
		p.Declared(declared, "Last-Event-ID %s is answered %d, final for clients, though %s came after it", id, r.status, plural(len(r.missed), "event")).
			Hint("answer with a stream: what came after the id, or at least what comes now").Try(curl)
	case n == len(r.missed):
		p.Pass("all of %s after id %s came again", plural(n, "event"), id)
	case r.restarted:
		p.Declared(declared, "ids start again on every connection, so Last-Event-ID %s means nothing to the server", id).
			Hint("number events in the channel, not in the connection, and send what came after the id").At(restartEvidence(r)...).Try(curl)
	case len(r.renamed) > 0:
		e := r.renamed[0]
		at := r.again.Evidence(e.Start, e.End)
		if old := r.first(e.ID); old != nil && conformance.NonceOf(old.Data) == "" {
			// Data that is made anew (a time, a measurement) differs although nothing was lost.
			p.Info("after Last-Event-ID %s the ids go on, with other data than before: id %s; whether anything was lost cannot be told", id, brief(string(e.ID))).At(at).
				Hint("with a publish hook (--publish) it could")
			return
		}
		p.Declared(declared, "after Last-Event-ID %s the ids go on, and what was published under them is lost: id %s", id, brief(string(e.ID))).
			Hint("an id must name one event, on every connection").At(at).Try(curl)
	case n > 0:
		gap := missing(r)
		p.Declared(declared, "%d of %d events after id %s came again; missing: id %s", n, len(r.missed), id, brief(string(gap.ID))).
			Hint("send every event after the id").At(r.control.Evidence(gap.Start, gap.End)).Try(curl)
	case r.came == 0:
		p.Declared(declared, "Last-Event-ID %s was ignored: %s came after it, and nothing was sent in %v, twice", id, plural(len(r.missed), "event"), replayPatience).
			Hint("keep a history and send what came after the id").Try(curl)
	default:
		p.Declared(declared, "Last-Event-ID %s was ignored: %s came after it, and only new ones were sent", id, plural(len(r.missed), "event")).
			Hint("keep a history and send what came after the id").Try(curl)
	}
}

// first is the event of that id on the first connection.
func (r *resumption) first(id []byte) *conformance.Event {
	for i := range r.missed {
		if bytes.Equal(r.missed[i].ID, id) {
			return &r.missed[i]
		}
	}
	return nil
}

func missing(r *resumption) conformance.Event {
	for i, e := range r.missed {
		if !r.replayed[i] {
			return e
		}
	}
	return r.k
}

// restartEvidence shows one id with both its meanings.
func restartEvidence(r *resumption) []result.Evidence {
	first := r.again.Events()[0]
	e := []result.Evidence{r.again.Evidence(first.Start, first.End)}
	for _, old := range r.control.Events() {
		if old.IDSet && bytes.Equal(old.ID, first.ID) {
			return append(e, r.control.Evidence(old.Start, old.End))
		}
	}
	return e
}

func judgeNoDuplicate(ctx context.Context, p *conformance.Probe) {
	if _, ok := streamed(p); !ok {
		return
	}
	declared := p.Target().ExpectReplay
	r := resumed(ctx, p)
	if r.why != "" {
		p.NotObserved("%s", r.why).Hint("resuming needs ids: give events one, or have more of them sent").By(r.by)
		return
	}
	curl := p.Curl(r.again.Request)
	switch {
	case r.status != 200:
		p.NotObserved("the reconnect was answered %d", r.status).Hint("see resume/replay")
	case r.restarted:
		p.NotObserved("ids start again on every connection, so nothing tells what was sent before").Hint("see resume/replay")
	case r.gotBefore > 0:
		p.Warn("the whole history is sent again: %s from before id %s", fmt.Sprint(r.gotBefore), brief(string(r.k.ID))).
			Hint("start after the id that the client names").Try(curl)
	case r.gotK != nil:
		p.Declared(declared, "the event of id %s itself is sent again: off by one", brief(string(r.k.ID))).
			Hint("start after the id that the client names, not at it").At(r.again.Evidence(r.gotK.Start, r.gotK.End)).Try(curl)
	case len(r.replayed) == 0:
		p.NotObserved("nothing was sent again").Hint("see resume/replay")
	default:
		p.Pass("the replay starts after id %s", brief(string(r.k.ID)))
	}
}
