package serverchecks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"ssegauge/conformance"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// RFC 9110 has no clause that a request must be served. What makes it a MUST is WHATWG HTML 9.2.3: a client that comes back sends the last id it saw, always,
// and takes any status but 200 for final. 204 after a stream that ended by itself is the way to say that there is no more.
var resumeHeaderAccepted = conformance.Check{
	ID: "resume/header-accepted", Title: "a request with Last-Event-ID is served",
	Level: result.Must, Clause: "WHATWG HTML 9.2.3", Needs: conformance.Extra, Turn: conformance.Fresh,
	Text: "A request with Last-Event-ID, set to an id that the stream itself sent, is answered 200 with a stream (204 where the stream had ended).",
	Why:  "Every client that comes back sends the field. An error status is final for it: after the first dropped connection it stays silent for ever.",
	Good: "> Last-Event-ID: 7\n\nHTTP/1.1 200 OK\n", Bad: "> Last-Event-ID: 7\n\nHTTP/1.1 400 Bad Request\n",
	Evidence: []string{"saltbo/agent-kanban#11"},
	Run: func(ctx context.Context, p *conformance.Probe) {
		r, ok := cameBack(ctx, p)
		switch {
		case r != nil && r.mute != "":
			p.Fail("a request with Last-Event-ID %s %s", brief(string(r.k.ID)), r.mute).Hint("answer with a stream, whatever the id").
				Try(p.Curl(r.request(p), "--max-time 5"))
		case !ok:
		case r.status == 200:
			p.Pass("Last-Event-ID %s is answered 200", brief(string(r.k.ID)))
		case r.status == 204 && endedByItself(r.control):
			p.Pass("204 to Last-Event-ID %s: the stream had ended", brief(string(r.k.ID)))
		default:
			if !plainIsServed(ctx, p, fmt.Sprintf("Last-Event-ID %s is answered %d", brief(string(r.k.ID)), r.status)) {
				return
			}
			say := p.Fail
			if r.status < 400 {
				say = p.Warn
			}
			say("Last-Event-ID %s is answered %d, which is final for clients; without it the answer is 200", brief(string(r.k.ID)), r.status).
				Hint("answer with a stream: what came after the id, or at least what comes now").At(r.again.HeadEvidence()).Try(p.Curl(r.again.Request))
		}
	},
}

// plainIsServed tells whether the plain request is answered 200 now; where not, the other answer says nothing, which is reported.
func plainIsServed(ctx context.Context, p *conformance.Probe, other string) bool {
	v, ctx, release, ok := turn(ctx, p)
	if !ok {
		return false
	}
	defer release()
	if plain := v.try(ctx, p, p.Request(), nil); plain.status != 200 {
		p.NotObserved("%s, and by now the plain request is not answered 200 either", other)
		return false
	}
	return true
}

func endedByItself(c *conformance.Connection) bool {
	_, err := c.Ended()
	_, ours := errors.AsType[*wire.CapError](err)
	return err != nil && !ours && len(brokenFrames(c)) == 0 // else it is we who ended it
}

// cameBack is the reconnect that the checks of this file judge; ok is false where it says nothing, which is reported then.
func cameBack(ctx context.Context, p *conformance.Probe) (r *resumption, ok bool) {
	if _, ok := streamed(p); !ok {
		return nil, false
	}
	if r = resumed(ctx, p); r.why != "" {
		p.NotObserved("%s", r.why).Hint("resuming needs ids: give events one, or have more of them sent").By(r.by)
		return r, false
	}
	return r, true
}

// replaying is cameBack where events were sent again.
func replaying(ctx context.Context, p *conformance.Probe) (r *resumption, ok bool) {
	if r, ok = cameBack(ctx, p); !ok {
		return r, false
	}
	switch {
	case r.status != 200:
		p.NotObserved("the reconnect was answered %d", r.status).Hint("see resume/header-accepted")
	case r.restarted:
		p.NotObserved("ids start again on every connection").Hint("see resume/replay")
	case len(r.replayed) == 0:
		p.NotObserved("nothing was sent again").Hint("see resume/replay")
	default:
		return r, true
	}
	return r, false
}

// RFC 9110 5.1: field names are case-insensitive. Over HTTP/2 they are lower case on the wire, whatever the client wrote. The proof that the field was found is that
// events are sent again.
var resumeHeaderCase = conformance.Check{
	ID: "resume/header-case", Title: "Last-Event-ID is found in any case",
	Level: result.Must, Clause: "RFC 9110 5.1", Needs: conformance.Extra, Turn: conformance.Fresh,
	Text: "A request with last-event-id or LAST-EVENT-ID is answered as one with Last-Event-ID.",
	Why:  "HTTP/2 and many proxies write all names in lower case. A server that looks for one spelling loses the position of everybody behind them.",
	Good: "> last-event-id: 7\n\nid: 8\ndata: missed\n\n", Bad: "> last-event-id: 7\n\nid: 12\ndata: live\n\n",
	Evidence: []string{"Scille/parsec-cloud#7034"},
	Run:      judgeHeaderCase,
}

func judgeHeaderCase(ctx context.Context, p *conformance.Probe) {
	r, ok := replaying(ctx, p)
	if !ok {
		return
	}
	if r.again.Proto != wire.HTTP11 {
		p.NotApplicable("over HTTP/2 every field name is lower case")
		return
	}
	repeated(ctx, p, r)
	v, ctx, release, ok := turn(ctx, p)
	if !ok {
		return
	}
	defer release()
	for _, name := range []string{"last-event-id", "LAST-EVENT-ID"} {
		req := r.request(p)
		for i, f := range req.Header {
			if f.Name == "Last-Event-ID" {
				req.Header[i].Name = name
			}
		}
		o := r.onceMore()
		o.reconnect(ctx, p, v, req)
		if o.why == "" && o.status == 200 && len(o.replayed) > 0 {
			continue
		}
		usual := r.onceMore()
		usual.reconnect(ctx, p, v, r.request(p))
		switch {
		case usual.why != "" || usual.status != 200 || len(usual.replayed) == 0:
			p.NotObserved("with %s nothing was sent again, and neither was it with Last-Event-ID by then", name).Hint("see resume/idempotent")
		case o.why != "" && o.mute == "":
			p.NotObserved("%s", o.why)
		case o.mute != "":
			p.Fail("a request with %s %s", name, o.mute).Hint("compare field names without regard to case").Try(p.Curl(req))
		case o.status != 200:
			p.Fail("a request with %s is answered %d, one with Last-Event-ID 200", name, o.status).
				Hint("compare field names without regard to case").At(o.again.HeadEvidence()).Try(p.Curl(req))
		default:
			p.Fail("%s is not found: nothing is sent again after id %s, as it is with Last-Event-ID", name, brief(string(r.k.ID))).
				Hint("compare field names without regard to case").At(o.again.HeadEvidence()).Try(p.Curl(req))
		}
		return
	}
	p.Pass("last-event-id and LAST-EVENT-ID are found")
}

// WHATWG HTML 9.2.6: lines are processed in the order received. That the order is that of publishing is the server's to see to; no clause says it.
var resumeOrder = conformance.Check{
	ID: "resume/order", Title: "replayed events keep their order",
	Level: result.Advice, Clause: noClause, Needs: conformance.Extra, Turn: conformance.Fresh,
	Text: "Events that are sent again come in the order in which they came first.",
	Why:  "Clients apply events as they come: an older state overwrites a newer one. And the last id they saw is then an old one, so the next reconnect repeats the rest.",
	Good: "> Last-Event-ID: 7\n\nid: 8\ndata: a\n\nid: 9\ndata: b\n\n", Bad: "> Last-Event-ID: 7\n\nid: 9\ndata: b\n\nid: 8\ndata: a\n\n",
	Run: func(ctx context.Context, p *conformance.Probe) {
		r, ok := replaying(ctx, p)
		switch {
		case !ok:
		case r.disorder != nil:
			p.Declared(p.Target().ExpectReplay, "after id %s events come again in another order than at first: id %s too late", brief(string(r.k.ID)), brief(string(r.disorder.ID))).
				Hint("replay in the order of publishing").At(r.again.Evidence(r.disorder.Start, r.disorder.End)).Try(p.Curl(r.again.Request))
		case len(r.replayed) < 2:
			p.NotObserved("only one event came again").Hint("see resume/replay")
		default:
			p.Pass("%s came again in order", plural(len(r.replayed), "event"))
		}
	},
}

// Data may hold the time at which it was sent: where digits alone differ, nothing is blamed.
var resumeFidelity = conformance.Check{
	ID: "resume/fidelity", Title: "replayed events equal the live ones",
	Level: result.Advice, Clause: noClause, Needs: conformance.Observe | conformance.Publish, Turn: conformance.Fresh,
	Text: "An event that is sent again has the type, the id and the data, to the byte, that it had at first.",
	Why:  "History is often kept by other code than that which sends: the type is lost and no listener is called, JSON is encoded twice, lines are joined.",
	Good: "id: 8\nevent: add\ndata: x\n\n(again) id: 8\nevent: add\ndata: x\n\n", Bad: "id: 8\nevent: add\ndata: x\n\n(again) id: 8\ndata: \"x\"\n\n",
	Run: func(ctx context.Context, p *conformance.Probe) {
		r, ok := replaying(ctx, p)
		if !ok {
			return
		}
		n, unlike, conn := len(r.replayed), r.unlike, r.again
		if w := farthest(ctx, p); w != nil && len(w.replayed) > 0 && w.again != nil {
			n += len(w.replayed)
			if len(unlike) == 0 {
				unlike, conn = w.unlike, w.again
			}
		}
		for _, u := range unlike {
			what := "data"
			switch {
			case string(u.live.ID) != string(u.again.ID):
				what = fmt.Sprintf("the id %s", brief(string(u.again.ID)))
			case string(u.live.Type) != string(u.again.Type):
				what = fmt.Sprintf("type %s, and had %s", orMessage(u.again.Type), orMessage(u.live.Type))
			case digitless(u.live.Data) == digitless(u.again.Data):
				p.Info("replayed events differ from the live ones in digits only (a time?): id %s", brief(string(u.again.ID))).
					At(conn.Evidence(u.again.Start, u.again.End))
				continue
			default:
				what = fmt.Sprintf("data %s, and had %s", brief(string(u.again.Data)), brief(string(u.live.Data)))
			}
			p.Declared(p.Target().ExpectReplay, "the event of id %s comes again with %s", brief(string(u.live.ID)), what).
				Hint("keep the encoded event, and send that again").
				At(conn.Evidence(u.again.Start, u.again.End), r.control.Evidence(u.live.Start, u.live.End)).Try(p.Curl(conn.Request))
		}
		p.Pass("%s came again as they were", plural(n, "event"))
	},
}

func orMessage(typ []byte) string {
	if len(typ) == 0 {
		return `"message"`
	}
	return brief(string(typ))
}

func digitless(data []byte) string {
	return strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' {
			return -1
		}
		return c
	}, string(data))
}

// A third reconnect decides whether the second was different because history moved on meanwhile.
var resumeIdempotent = conformance.Check{
	ID: "resume/idempotent", Title: "reconnecting twice with one id gets the same replay",
	Level: result.Advice, Clause: noClause, Needs: conformance.Extra, Turn: conformance.Fresh,
	Text: "Two requests with the same Last-Event-ID, one after the other, are sent the same events.",
	Why: "A connection may break while it is made, or before the first event is read: the client then comes back with the same id. A server that hands out each " +
		"missed event once has lost them by then.",
	Good: "(twice) > Last-Event-ID: 7\n\nid: 8\ndata: missed\n\n", Bad: "(the second time) > Last-Event-ID: 7\n\n: nothing\n\n",
	Evidence: []string{"modelcontextprotocol/typescript-sdk#2499"},
	Run: func(ctx context.Context, p *conformance.Probe) {
		first, ok := replaying(ctx, p)
		if !ok {
			return
		}
		second, third := repeated(ctx, p, first), first.onceMore()
		if second.why == "" && second.status == 200 && len(second.lost()) == 0 {
			p.Pass("the second time the same %s came again", plural(len(second.replayed), "event"))
			return
		}
		v, ctx, release, ok := turn(ctx, p)
		if !ok {
			return
		}
		defer release()
		third.reconnect(ctx, p, v, first.request(p))
		again, lost := third.lost(), second.lost()
		switch {
		case second.why != "" || third.why != "":
			p.NotObserved("%s", cmp.Or(second.why, third.why))
		case second.status != 200:
			p.Declared(p.Target().ExpectReplay, "the second request with id %s is answered %d", brief(string(first.k.ID)), second.status).
				Hint("a position can be resumed from as often as a client asks").Try(p.Curl(second.again.Request))
		case len(lost) > 0 && len(again) > 0 && third.came > len(third.replayed):
			p.NotObserved("the stream went on meanwhile, and what was missed may have left the history")
		case len(lost) > 0:
			e := lost[0]
			p.Declared(p.Target().ExpectReplay, "the second time %d of %s after id %s did not come again: id %s", len(lost), plural(len(first.replayed), "event"),
				brief(string(first.k.ID)), brief(string(e.ID))).
				Hint("a position can be resumed from as often as a client asks; keep history by events, not by clients").
				At(first.control.Evidence(e.Start, e.End)).Try(p.Curl(second.again.Request))
		default:
			p.Pass("the second time the same events came again")
		}
	},
}

// repeated is the reconnect once more, to the letter. It comes before all that try the position in other ways.
func repeated(ctx context.Context, p *conformance.Probe, first *resumption) *resumption {
	return p.Once("repeated", func() any {
		second := first.onceMore()
		v, ctx, release, ok := turn(ctx, p)
		if !ok {
			second.why = "the target could not be asked again"
			return second
		}
		defer release()
		second.reconnect(ctx, p, v, first.request(p))
		return second
	}).(*resumption)
}

// EventSource repeats the URL it was made with, so a position in it is only for a first connection. Which parameter it is, the operator has to say.
var resumeQueryParam = conformance.Check{
	ID: "resume/query-param", Title: "the query parameter does what the header does",
	Level: result.Advice, Clause: noClause, Needs: conformance.Extra, Turn: conformance.Fresh,
	Text: "Where a query parameter is declared to stand for Last-Event-ID, a request with it gets what a request with the field gets.",
	Why:  "EventSource cannot set a field on its first request; pages that continue from a rendered state depend on the parameter.",
	Good: "> GET /events?lastEventId=7\n\nid: 8\ndata: missed\n\n", Bad: "> GET /events?lastEventId=7\n\nid: 12\ndata: live\n\n",
	Evidence: []string{"sguiheux/EventSource#25"},
	Run: func(ctx context.Context, p *conformance.Probe) {
		name := p.Target().Declared.QueryParam
		if name == "" {
			p.NotObserved("no query parameter is declared").Hint("--query-param lastEventId").By("--query-param")
			return
		}
		r, ok := replaying(ctx, p)
		if !ok {
			return
		}
		repeated(ctx, p, r)
		v, ctx, release, ok := turn(ctx, p)
		if !ok {
			return
		}
		defer release()
		req := p.Request()
		req.Header = conformance.WithLastEventID(req.Header, nil)
		req.URL = withQuery(req.URL, name, string(r.k.ID))
		o := r.onceMore()
		o.reconnect(ctx, p, v, req)
		lost := o.lost()
		if o.why == "" && o.status == 200 && len(lost) > 0 {
			usual := r.onceMore() // is it the parameter, or has the history moved on?
			usual.reconnect(ctx, p, v, r.request(p))
			if usual.why != "" || usual.status != 200 || len(usual.lost()) > 0 {
				p.NotObserved("by then nothing came again with Last-Event-ID either").Hint("see resume/idempotent")
				return
			}
		}
		switch {
		case o.why != "" && o.mute == "":
			p.NotObserved("%s", o.why)
		case o.mute != "" || o.status != 200:
			p.Declared(true, "?%s= is declared, and the answer to it is no stream (%d)", result.Escape(name), o.status).Hint("treat it as the field").Try(p.Curl(req))
		case len(lost) > 0:
			p.Declared(true, "?%s= is declared, and with it %d of the %s do not come again that do with Last-Event-ID", result.Escape(name), len(lost), plural(len(r.replayed), "event")).
				Hint("treat it as the field, which comes first where both are there").At(o.again.HeadEvidence()).Try(p.Curl(req))
		default:
			p.Pass("?%s= gets what Last-Event-ID gets", result.Escape(name))
		}
	},
}
