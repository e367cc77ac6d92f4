package serverchecks

import (
	"bytes"
	"context"

	"ssegauge/conformance"
	"ssegauge/reports/result"
)

// WHATWG HTML 9.2.3 makes a client send the last id it saw when it comes back; no clause says what a server does with it (whatwg/html#8297). So without a
// declaration the worst verdict is warn.
//
// The first connection is the ground truth: K is an id it saw with others after it. A client that saw K and comes back must get those others. A stream that begins anew for everybody, as
// slowly as before, has ignored K even where the same bytes come by again.
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

func judgeReplay(ctx context.Context, p *conformance.Probe) {
	conns, ok := streamed(p)
	if !ok {
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
	id, since := brief(string(r.k.ID)), plural(len(r.missed), "event")
	const hint = "keep a history and send what came after the id"
	switch n := len(r.replayed); {
	case r.status != 200:
		p.Declared(declared, "Last-Event-ID %s is answered %d, final for clients, though %s came after it", id, r.status, since).
			Hint("answer with a stream: what came after the id, or at least what comes now").Try(curl)
	case r.restarted:
		p.Declared(declared, "Last-Event-ID %s was ignored: ids start again on every connection, with the field and without it", id).
			Hint("number events in the channel, not in the connection, and send what came after the id").At(restartEvidence(r)...).Try(curl)
	case n == len(r.missed):
		p.Pass("all of %s after id %s came again", since, id)
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
		gap := r.missing()
		p.Declared(declared, "%d of %d events after id %s came again; missing: id %s", n, len(r.missed), id, brief(string(gap.ID))).
			Hint("send every event after the id").At(r.control.Evidence(gap.Start, gap.End)).Try(curl)
	case signal(append(conns[:len(conns):len(conns)], r.control), r.again) != nil:
		e := signal(append(conns[:len(conns):len(conns)], r.control), r.again)
		at := r.again.Evidence(e.Start, e.End)
		if !declared {
			p.Info("nothing was sent again after id %s, and an event (%s) tells the client so", id, orMessage(e.Type)).At(at).Hint(hint)
			return
		}
		p.Declared(true, "nothing was sent again after id %s, only an event (%s) that tells so, though no more than %s came after it", id, orMessage(e.Type), since).
			Hint(hint).At(at).Try(curl)
	case r.came == 0:
		p.Declared(declared, "Last-Event-ID %s was ignored: %s came after it, and nothing was sent in %v, after %v in a first try", id, since, ms(max(r.patience, replayPatience)), replayPatience).Hint(hint).Try(curl)
	default:
		p.Declared(declared, "Last-Event-ID %s was ignored: %s came after it, and none of them was sent again", id, since).Hint(hint).Try(curl)
	}
}

// first is the event of that id on the control.
func (r *resumption) first(id []byte) *conformance.Event {
	for i := range r.missed {
		if bytes.Equal(r.missed[i].ID, id) {
			return &r.missed[i]
		}
	}
	return nil
}

// restartEvidence shows where the stream begins again, and where it did at first.
func restartEvidence(r *resumption) []result.Evidence {
	first := firstNamed(r.again)
	if first == nil {
		return nil
	}
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
	case r.gotK != nil && r.earlier > 0:
		p.Warn("the whole history is sent again: %s from before id %s", plural(r.earlier, "event"), brief(string(r.k.ID))).
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
