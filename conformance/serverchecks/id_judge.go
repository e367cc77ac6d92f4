package serverchecks

import (
	"context"
	"strings"

	"ssegauge/conformance"
	"ssegauge/reference/sse"
	"ssegauge/reports/result"
)

// WHATWG HTML 9.2.3: a client comes back with the last id it saw. Ids are optional; without them there is nothing to come back with.
var idPresent = conformance.Check{
	ID: "id/present", Title: "events carry ids",
	Level: result.Advice, Clause: "WHATWG HTML 9.2.3", Needs: conformance.Observe,
	Text: "Every event has an id of its own. Where replay is declared this is a requirement.",
	Why:  "Without ids a client that comes back cannot say what it saw: it loses what happened meanwhile, or gets all of it again.",
	Good: "id: 42\ndata: x\n\n", Bad: "data: x\n\n",
	Evidence: []string{"feder-cr/invisible_playwright_mcp#1263"},
	Run: func(_ context.Context, p *conformance.Probe) {
		conns, ok := streamed(p)
		if !ok {
			return
		}
		evs, with := identified(blocks(p, conns))
		switch {
		case len(evs) == 0:
			if spoke(p, conns) {
				p.NotObserved("only events with payloads of ours came")
			}
		case with == len(evs):
			p.Pass("%s, each with an id", plural(with, "event"))
		default:
			var at []result.Evidence
			for _, b := range evs {
				if !b.event.IDSet || len(b.event.ID) == 0 {
					at = append(at, b.evidence())
				}
			}
			n := p.Info
			if p.Target().ExpectReplay {
				n = func(format string, a ...any) *conformance.Note {
					return p.Declared(true, "replay is declared, and "+format, a...)
				}
			}
			n("%d of %s carried an id", with, plural(len(evs), "event")).Hint("give every event an id if clients are to resume").At(at...)
		}
	},
}

// WHATWG HTML 9.2.3: the id is the position a client comes back to. Two events of one id are one position.
var idUnique = conformance.Check{
	ID: "id/unique", Title: "ids are not used twice",
	Level: result.Advice, Clause: "WHATWG HTML 9.2.3", Needs: conformance.Observe | conformance.Long,
	Text: "On one connection no two events of different content have the same id. Where replay is declared this is a requirement.",
	Why:  "A client that comes back with that id gets the events after the first one again, or misses those after it; one that removes duplicates by id drops the second.",
	Good: "id: 1\ndata: a\n\nid: 2\ndata: b\n\n", Bad: "id: 1\ndata: a\n\nid: 1\ndata: b\n\n",
	Run: func(_ context.Context, p *conformance.Probe) {
		conns, ok := streamed(p)
		if !ok {
			return
		}
		evs, with := identified(blocks(p, conns))
		type use struct {
			conn *conformance.Connection
			id   string
		}
		first := map[use]block{}
		for _, b := range evs {
			if !b.event.IDSet || len(b.event.ID) == 0 {
				continue
			}
			u := use{b.conn, string(b.event.ID)}
			before, used := first[u]
			switch {
			case !used:
				first[u] = b
			case !sameData(before.event, b.event) || string(before.event.Type) != string(b.event.Type):
				p.Declared(p.Target().ExpectReplay, "the id %s stands on two events of different content", brief(u.id)).
					Hint("give each event an id of its own").At(before.evidence(), b.evidence())
			}
		}
		if spoke(p, conns) {
			p.Pass("no id twice, in %s with ids", plural(with, "event"))
		}
	},
}

// Fetch, CORS-unsafe request-header byte, and the limit of 128 bytes of a CORS-safelisted request-header.
const (
	corsUnsafe  = "\"()<>?[\\]{}"
	corsCommon  = ":@" // unsafe by the same list; they stand in urns and in times, and are no accident
	corsLongest = 128
)

// Fetch, CORS-safelisted request-header: a value of more than 128 bytes or with certain bytes makes the browser ask first.
var idCORSSafe = conformance.Check{
	ID: "id/cors-safe", Title: "ids need no CORS preflight",
	Level: result.Advice, Clause: "Fetch, CORS-safelisted request-header", Needs: conformance.Observe,
	Text: "No id is longer than 128 bytes or holds one of \" ( ) < > ? [ \\ ] { }. For control characters see id/header-safe.",
	Why: "Across origins a browser asks with OPTIONS before it sends back such an id. A server that does not allow Last-Event-ID there is connected to once, " +
		"and never again after the first interruption.",
	Good: "id: 1700000000-7\ndata: x\n\n", Bad: "id: {\"seq\":7}\ndata: x\n\n",
	Evidence: []string{"web-platform-tests/wpt eventsource/eventsource-cross-origin-preflight.window.js", "web-platform-tests/wpt#49257", "whatwg/fetch#568"},
	Run: func(_ context.Context, p *conformance.Probe) {
		conns, ok := streamed(p)
		if !ok {
			return
		}
		for _, l := range lines(conns, sse.LineID) {
			bad := strings.IndexFunc(l.Value, func(c rune) bool { return strings.ContainsRune(corsUnsafe, c) })
			switch {
			case len(l.Value) > longID:
				// id/size says it.
			case len(l.Value) > corsLongest:
				p.Warn("an id of %s: across origins a browser asks with OPTIONS before it comes back", plural(len(l.Value), "byte")).
					Hint("make ids shorter than 128 bytes, or allow Last-Event-ID in the answer to a preflight").At(l.evidence())
			case bad >= 0:
				p.Warn("an id holds %s: across origins a browser asks with OPTIONS before it comes back", brief(l.Value[bad:bad+1])).
					Hint("make ids of letters, digits, - . and _, or allow Last-Event-ID in the answer to a preflight").At(l.evidence())
			case strings.ContainsAny(l.Value, corsCommon):
				p.Info("an id holds : or @, so across origins a browser may ask with OPTIONS before it comes back").
					Hint("allow Last-Event-ID in the answer to a preflight").At(l.evidence())
			}
		}
		if spoke(p, conns) {
			p.Pass("%s", ids(conns))
		}
	},
}

// Lengths of an id in bytes: common servers take 8 KiB for all fields of a request.
const (
	longID    = 1 << 10
	longestID = 8 << 10
)

// RFC 9110 5.4 sets no limit on the length of a field; servers do, and answer 431 or 400 past it.
var idSize = conformance.Check{
	ID: "id/size", Title: "ids are short enough for a header",
	Level: result.Advice, Clause: "no clause; common header limits", Needs: conformance.Observe,
	Text: "No id is longer than 1 KiB; beyond 8 KiB most servers refuse the request that carries it.",
	Why:  "The id comes back in a request field. A server or proxy that limits those answers 431 or 400, which is final for a client.",
	Good: "id: 1700000000-7\ndata: x\n\n", Bad: "id: (9 KiB of state, encoded)\ndata: x\n\n",
	Run: func(_ context.Context, p *conformance.Probe) {
		conns, ok := streamed(p)
		if !ok {
			return
		}
		longest := 0
		for _, l := range lines(conns, sse.LineID) {
			n := len(l.Value)
			longest = max(longest, n)
			switch {
			case n > longestID:
				p.Fail("an id of %s does not fit into the head of a request", plural(n, "byte")).Hint("keep the state at the server and send a key to it").At(l.evidence())
			case n > longID:
				p.Warn("an id of %s", plural(n, "byte")).Hint("keep the state at the server and send a key to it").At(l.evidence())
			}
		}
		if spoke(p, conns) {
			p.Pass("the longest id has %s", plural(longest, "byte"))
		}
	},
}

// WHATWG HTML 9.2.6: an id field with an empty value sets the last event ID to the empty string, and 9.2.3 sends no Last-Event-ID then.
var idEmptyResets = conformance.Check{
	ID: "id/empty-resets", Title: "an empty id is meant as a reset",
	Level: result.Advice, Clause: "WHATWG HTML 9.2.6", Needs: conformance.Observe,
	Text: "An empty id field tells clients to forget their position. Where replay is declared no event without an id follows it.",
	Why:  "It is mostly an id that nobody filled in: the client forgets where it was and comes back without Last-Event-ID.",
	Good: "id: 7\ndata: x\n\n", Bad: "id:\ndata: x\n\n",
	Evidence: []string{"modelcontextprotocol/typescript-sdk#2769"},
	Run: func(_ context.Context, p *conformance.Probe) {
		conns, ok := streamed(p)
		if !ok {
			return
		}
		var reset *conformance.Connection // the stream whose position is forgotten
		for _, b := range blocks(p, conns) {
			if reset != b.conn {
				reset = nil
			}
			if l := b.last(sse.LineID); l != nil {
				if reset = nil; l.Value == "" {
					reset = b.conn
					p.Info("an empty id: clients forget their position").Hint("leave the id field out where there is none").At(b.evidence())
				}
			}
			if reset != nil && b.event != nil && len(b.event.Data) > 0 && p.Target().ExpectReplay {
				p.Warn("replay is declared, and an event follows an empty id: who is cut off after it loses the position").
					Hint("leave the id field out where there is none").At(b.evidence())
			}
		}
		if spoke(p, conns) {
			p.Pass("no empty id, in %s", plural(events(conns), "event"))
		}
	},
}
