package serverchecks

import (
	"context"
	"fmt"
	"strings"
	"time"

	"ssegauge/conformance"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// withID is the plain request with Last-Event-ID set to id as it stands, also where it is empty.
func withID(p *conformance.Probe, id string) *wire.Request {
	r := p.Request()
	r.Header = append(conformance.WithLastEventID(r.Header, nil), wire.Field{Name: "Last-Event-ID", Value: id})
	return r
}

// WHATWG HTML says nothing about what an unknown id gets (whatwg/html#8297), only what a client makes of the status (9.2.3). So: 5xx, silence and a stream that is dropped after its
// head fail, since clients come back with the same id for ever. Another status than 200 warns: it is final, though the client did nothing wrong; unless "refuse" is
// declared. 200 with live events alone warns where the server does replay and does not declare "live": the client cannot know that it lost something.
// A stream that ends is only blamed where the observed one went on.
var resumeUnknownID = conformance.Check{
	ID: "resume/unknown-id", Title: "an unknown id is answered with a stream",
	Level: result.Should, Clause: "WHATWG HTML 9.2.3", Needs: conformance.Extra, Turn: conformance.Fresh,
	Text: "A request with an id that was never given out, or is too old, is answered 200, with an event that says so, the whole history, or live events.",
	Why:  "After a restart or a long sleep every client has such an id. An error ends them for good; a stream that breaks off makes them come back for ever.",
	Good: "> Last-Event-ID: long-gone\n\nevent: gap\ndata: {\"reason\":\"expired\"}\n\n", Bad: "> Last-Event-ID: long-gone\n\nHTTP/1.1 500 Internal Server Error\n",
	Evidence: []string{"whatwg/html#8297", "evoila/meho#353", "kenn-io/forge#360", "saltbo/agent-kanban#11"},
	Run:      judgeUnknownID,
}

const (
	unknownLook = time.Second
	unknownHint = "answer with a stream, and say in it that the position is gone"
)

// anchored tells whether a field of the answer says that it goes on from somewhere else than was asked, as hubs of the Mercure protocol do.
func anchored(c *conformance.Connection, r *wire.Request) bool {
	return c.Head.Header.Has(lastEventID) && c.Head.Header.Get(lastEventID) != r.Header.Get(lastEventID)
}

func judgeUnknownID(ctx context.Context, p *conformance.Probe) {
	conns, ok := streamed(p)
	if !ok {
		return
	}
	r := resumed(ctx, p)
	replays := r.why == "" && r.status == 200 && len(r.replayed) > 0 && !r.restarted
	fresh := fresh(ctx, p) // what a client without an id gets is no answer to this one
	if fresh.why != "" || fresh.status != 200 {
		p.NotObserved("a second connection got no stream%s", suffix(fresh.why))
		return
	}
	v, ctx, release, ok := turn(ctx, p)
	if !ok {
		return
	}
	defer release()
	req := withID(p, "ssegauge-never-given-out-"+p.Nonce())
	curl := p.Curl(req, "--max-time 5")
	policy := p.Target().Declared.Replay.UnknownID
	says, patience := "", unknownLook
	look := func(c *conformance.Connection) {
		says = ""
		told := func() bool {
			// More may come meanwhile: what the history is taken for is asked first, so that the signal in it is not passed over.
			full := len(known(conns, c)) > 0 || len(fresh.conn.Events()) == 0 && atOnce(c) > 1
			switch {
			case signal(append(conns[:len(conns):len(conns)], fresh.conn), c) != nil:
				says = "signal"
			case r.restarted: // what came before comes anew
			case full:
				says = "full"
			}
			return says != ""
		}
		watch(ctx, c, patience, told)
	}
	var a *visit
	for range 2 { // an early end hangs on time, and so does the silence of who replays, perhaps slowly: both are looked at twice
		a = v.ask(ctx, p, req, look)
		patience = replayPatience
		switch {
		case a.why != "":
			p.NotObserved("%s", a.why)
			return
		case a.failed() != "":
			p.Fail("an unknown id %s", a.failed()).Hint(unknownHint).Try(curl)
			return
		case a.status >= 500:
			p.Fail("an unknown id is answered %d, twice", a.status).Hint(unknownHint).At(a.conn.HeadEvidence()).Try(curl)
			return
		case a.status != 200 && policy == "refuse":
			p.Pass("an unknown id is answered %d, as declared", a.status)
			return
		case a.status != 200:
			p.Warn("an unknown id is answered %d, which is final for clients", a.status).Hint(unknownHint).At(a.conn.HeadEvidence()).Try(curl)
			return
		}
		if says != "" || !replays && policy == "" && !endedByItself(a.conn) {
			break
		}
	}
	dropped := says == "" && endedByItself(a.conn) && len(a.conn.Events()) == 0
	switch {
	case ctx.Err() != nil:
		p.NotObserved("%s", outOfTime(p))
	case dropped && (endedByItself(conns[0]) || p.Target().Declared.Finite):
		p.NotObserved("the stream ended, as the observed one did")
	case dropped:
		p.Fail("a stream with an unknown id ends after its head, and the client comes back with the same id for ever").
			Hint("keep the stream open, and say in it that the position is gone").At(a.conn.HeadEvidence()).Try(curl)
	case policy != "" && policy != "refuse" && says != policy && (says != "" || policy != "live"):
		p.Declared(true, "an unknown id is declared to get %q, and %s", policy, whatCame(says)).Hint("serve what is declared").At(a.conn.HeadEvidence()).Try(curl)
	case says != "":
		p.Pass("an unknown id is answered 200, and %s", whatCame(says))
	case anchored(a.conn, req):
		p.Pass("an unknown id is answered 200, and the Last-Event-ID of the answer is another one")
	case policy == "live":
		p.Pass("an unknown id is answered 200 with live events, as declared")
	case replays:
		p.Warn("an unknown id is answered 200, and nothing tells the client that events were lost").
			Hint("send an event that says so (and the history that there is), or declare --replay-unknown-id live").At(a.conn.HeadEvidence()).Try(curl)
	default:
		p.Pass("an unknown id is answered 200; nothing is replayed here, so nothing is lost by it")
	}
}

func whatCame(says string) string {
	switch says {
	case "signal":
		return "an event says that the position is gone"
	case "full":
		return "the history is sent"
	}
	return "only live events came"
}

// atOnce is how many events came with the head: a history, where streams usually begin with none.
func atOnce(c *conformance.Connection) (n int) {
	for _, e := range c.Events() {
		if e.At-c.Timing.Head < visitPause/3 {
			n++
		}
	}
	return n
}

// signal is an event of a kind that these connections never had: of another type, or without an id where the others of its type have one. Connections that
// got no stream may stand among them.
func signal(conns []*conformance.Connection, c *conformance.Connection) *conformance.Event {
	kind := func(e *conformance.Event) string { return fmt.Sprint(string(e.Type), "\x00", e.IDSet) }
	usual := map[string]bool{}
	for _, o := range conns {
		if o == nil {
			continue
		}
		evs := o.Events()
		for i := range evs {
			usual[kind(&evs[i])] = true
		}
	}
	evs := c.Events()
	for i := range evs {
		if !usual[kind(&evs[i])] {
			return &evs[i]
		}
	}
	return nil
}

// WHATWG HTML 9.2.3: a client whose last id is empty sends no field. Proxies and clients that are none of EventSource's kind send it empty.
var resumeEmptyHeader = conformance.Check{
	ID: "resume/empty-header", Title: "an empty Last-Event-ID counts as none",
	Level: result.Should, Clause: "WHATWG HTML 9.2.3", Needs: conformance.Extra,
	Text: "A request with an empty Last-Event-ID gets what a request without the field gets.",
	Why:  "Clients of one's own and proxies send it. Code that parses the id as a number throws, and the first connection of such a client already fails.",
	Good: "> Last-Event-ID: \n\nHTTP/1.1 200 OK\n", Bad: "> Last-Event-ID: \n\nHTTP/1.1 500 Internal Server Error\n",
	Evidence: []string{"Scille/parsec-cloud#7033", "Scille/parsec-cloud#7034"},
	Run: func(ctx context.Context, p *conformance.Probe) {
		conns, ok := streamed(p)
		if !ok {
			return
		}
		plain := fresh(ctx, p)
		if plain.why != "" || plain.status != 200 {
			p.NotObserved("a second connection got no stream%s", suffix(plain.why))
			return
		}
		v, ctx, release, ok := turn(ctx, p)
		if !ok {
			return
		}
		defer release()
		req := withID(p, "")
		curl := p.Curl(req, "-H 'Last-Event-ID;'", "--max-time 5")
		const hint = "treat an empty id as none"
		look := func(c *conformance.Connection) {
			watch(ctx, c, visitPause, func() bool { return len(c.Events()) > 0 })
		}
		// Where enough is known of what the target usually sends, another kind of event stands out.
		odd := func(a *visit) *conformance.Event {
			if a.status != 200 || events(conns) < leastMissed || len(plain.conn.Events()) > 0 {
				return nil
			}
			return signal(append(conns[:len(conns):len(conns)], plain.conn), a.conn)
		}
		a := v.ask(ctx, p, req, look)
		if odd(a) != nil {
			a = v.ask(ctx, p, req, look) // it may have been a rare event of the stream's own
		}
		switch {
		case a.why != "":
			p.NotObserved("%s", a.why)
		case a.failed() != "":
			p.Fail("an empty Last-Event-ID %s", a.failed()).Hint(hint).Try(curl)
		case a.status >= 500:
			p.Fail("an empty Last-Event-ID is answered %d, twice; without it the answer is 200", a.status).Hint(hint).At(a.conn.HeadEvidence()).Try(curl)
		case a.status != 200:
			p.Warn("an empty Last-Event-ID is answered %d; without it the answer is 200", a.status).Hint(hint).At(a.conn.HeadEvidence()).Try(curl)
		case odd(a) != nil:
			e := odd(a)
			p.Warn("an empty Last-Event-ID is taken for an id: an event of another kind comes first").Hint(hint).At(a.conn.Evidence(e.Start, e.End)).Try(curl)
		case len(known(conns, a.conn)) > 0 && len(known(conns, plain.conn)) == 0:
			p.Warn("an empty Last-Event-ID gets history, no Last-Event-ID gets none").Hint(hint).At(a.conn.HeadEvidence()).Try(curl)
		default:
			p.Pass("an empty Last-Event-ID is answered as none")
		}
	},
}

// What is always sent is what a client may well send: numbers out of range, the words with which stores name a place in a stream, a letter beyond ASCII. Nothing of it is an attack
// to a firewall, or harms a server that takes ids for text. Paths, SQL, markup, encoded line breaks, 8 KiB and ill-formed UTF-8 are only sent with --active: a firewall may shut out who
// sends them, and weak servers break.
//
// An answer of 4xx is a right one. An id that comes back within the value of a data or id field, or within JSON, does no harm there; one that comes back in a
// field of the head, or in a page of markup as it came, may.
var resumeHostileID = conformance.Check{
	ID: "resume/hostile-id", Title: "hostile ids do no harm",
	Level: result.Security, Clause: noClause, Needs: conformance.Extra,
	Text: "Ids that look like numbers, patterns, paths, SQL or markup are answered 200 or 4xx, quickly, and do not come back in the head or in markup.",
	Why:  "Last-Event-ID is the client's to choose. Ids go into queries, stream positions and log lines; one request that makes the server throw, hang or crash is a way to stop it.",
	Good: "> Last-Event-ID: ' OR 1=1--\n\nHTTP/1.1 200 OK\n", Bad: "> Last-Event-ID: ' OR 1=1--\n\nHTTP/1.1 500 Internal Server Error\n",
	Evidence: []string{"evoila/meho#353"},
	Run:      judgeHostileID,
}

// oddIDs are always sent, activeIDs only with --active.
var (
	oddIDs    = []string{"-1", "9e99", "9223372036854775808", "$", "*", "0-0", "caf\u00e9"}
	activeIDs = []string{
		"../../etc/passwd", "' OR 1=1--", "a%0d%0ab", `"><script>NONCE</script>`, strings.Repeat("9", 8<<10), "\xff\xfe\xc3\x28",
	}
)

func judgeHostileID(ctx context.Context, p *conformance.Probe) {
	if _, ok := served(p); !ok {
		return
	}
	v, ctx, release, ok := turn(ctx, p)
	if !ok {
		return
	}
	defer release()
	ids := oddIDs
	if p.Target().Active {
		ids = append(ids[:len(ids):len(ids)], activeIDs...)
	}
	const hint = "treat the id as text that the client chose: look it up, and where it is not found answer as to an unknown one"
	refused := 0
	for i, id := range ids {
		if v.spent > visitBudget {
			p.NotObserved("the target was too slow: %d of %d ids were sent, and did no harm", i, len(ids)).Hint("--only resume/hostile-id decides it")
			return
		}
		nonce := p.Nonce()
		id = strings.ReplaceAll(id, "NONCE", nonce)
		req := withID(p, id)
		curl := p.Curl(req, "--max-time 5")
		a := v.ask(ctx, p, req, func(c *conformance.Connection) {
			watch(ctx, c, 100*time.Millisecond, func() bool { return len(c.Events()) > 0 })
		})
		switch {
		case a.why != "":
			p.NotObserved("after %d of %d ids: %s", i, len(ids), a.why)
			return
		case a.failed() != "":
			p.Fail("a request with Last-Event-ID %s %s", brief(id), a.failed()).Hint(hint).Try(curl)
			return
		case a.status >= 500:
			p.Fail("Last-Event-ID %s is answered %d, twice; the plain request is not", brief(id), a.status).Hint(hint).At(a.conn.HeadEvidence()).Try(curl)
			return
		case a.status >= 400:
			refused++
		}
		for _, f := range a.conn.Head.Header {
			if strings.ContainsAny(id, "<>'/%") && strings.Contains(f.Value, id) {
				p.Fail("Last-Event-ID %s comes back in the field %s", brief(id), result.Escape(f.Name)).Hint("send nothing of it in the head").
					At(a.conn.FieldEvidence(f.Name)).Try(curl)
			}
		}
		if mt := essence(a.conn.Head); (mt == "text/html" || mt == "") && strings.Contains(id, "<") {
			if at := strings.Index(string(a.conn.Content()), "<script>"+nonce); at >= 0 {
				p.Fail("Last-Event-ID %s comes back in a page as it came", brief(id)).Hint("escape it, or leave it out").
					At(a.conn.Evidence(int64(at), int64(at+len("<script>"+nonce)))).Try(curl)
			}
		}
	}
	note := ""
	if refused > 0 {
		note = fmt.Sprintf("; %d refused with 4xx", refused)
	}
	if !p.Target().Active {
		p.Pass("%d odd ids did no harm%s; with --active paths, SQL, markup, long and ill-formed ones are sent too", len(ids), note)
		return
	}
	p.Pass("%d odd and hostile ids did no harm%s", len(ids), note)
}

// What the other channel or user may see is not known, so it must be declared which they are. An event counts as the first channel's by its id and data, or by the word
// that the run published. Two users may share events: what the other one is sent without the id too, or live, is no leak. Harmless by default: both are the operator's own.
var resumeIsolation = conformance.Check{
	ID: "resume/isolation", Title: "an id of one channel opens no other",
	Level: result.Security, Clause: noClause, Needs: conformance.Extra | conformance.Many, Turn: conformance.Fresh,
	Text: "A request to another channel, or by another user, with an id from this one is sent nothing of this one.",
	Why:  "Where ids are global and history is looked up by id alone, anybody who has (or guesses) an id reads what was sent to somebody else.",
	Good: "> GET /events?channel=b\n> Last-Event-ID: a-7\n\nevent: gap\ndata: unknown\n\n", Bad: "> GET /events?channel=b\n> Last-Event-ID: a-7\n\nid: a-8\ndata: for a only\n\n",
	Run: func(ctx context.Context, p *conformance.Probe) {
		d := p.Target().Declared
		if d.OtherURL == nil && len(d.OtherHeader) == 0 {
			p.NotObserved("no second channel or user is known").Hint("--other-url URL or --other-header 'Authorization: ...'").By("--other-url")
			return
		}
		r, ok := cameBack(ctx, p)
		if !ok {
			return
		}
		if r.restarted {
			p.NotObserved("ids start again on every connection").Hint("see resume/replay")
			return
		}
		conns := append(p.Observed(), r.control)
		v, ctx, release, ok := turn(ctx, p)
		if !ok {
			return
		}
		defer release()
		req := r.request(p)
		if d.OtherURL != nil {
			req.URL = d.OtherURL
		}
		for _, f := range d.OtherHeader {
			req.Header = without(req.Header, f.Name)
		}
		req.Header = append(req.Header, d.OtherHeader...)
		a := v.try(ctx, p, req, func(c *conformance.Connection) {
			watch(ctx, c, unknownLook, func() bool { return len(known(conns, c)) > 0 })
		})
		switch {
		case a.why != "":
			p.NotObserved("%s", a.why)
		case a.status == 0 || a.status >= 500:
			p.NotObserved("the other channel was not answered (%d)", a.status)
		case a.status != 200:
			p.Pass("an id of this channel is answered %d on the other", a.status)
		default:
			if leaked := known(conns, a.conn); len(leaked) > 0 {
				plain := *req
				plain.Header = conformance.WithLastEventID(plain.Header, nil)
				shared := false
				b := v.try(ctx, p, &plain, func(c *conformance.Connection) {
					var live []*conformance.Posted
					if p.Target().Publisher != nil {
						pause(ctx, visitPause)
						live = append(live, p.Post(ctx, 0))
					}
					watch(ctx, c, unknownLook, func() bool {
						shared = len(known(conns, c)) > 0 || conformance.Find(live, c) > 0
						return shared
					})
				})
				if b.status != 200 || shared {
					p.NotObserved("the other channel is sent events of this one without an id too, or live")
					return
				}
				p.Fail("with an id of this channel the other one is sent %s of this one", plural(len(leaked), "event")).
					Hint("look ids up within the channel, and check who asks").At(a.conn.Evidence(leaked[0].Start, leaked[0].End)).Try(p.Curl(req))
				return
			}
			p.Pass("with an id of this channel nothing of it comes on the other")
		}
	},
}

// without is h without the fields of a name.
func without(h wire.Header, name string) wire.Header {
	var kept wire.Header
	for _, f := range h {
		if !strings.EqualFold(f.Name, name) {
			kept = append(kept, f)
		}
	}
	return kept
}
