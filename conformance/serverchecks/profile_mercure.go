package serverchecks

import (
	"context"
	"fmt"
	"net/url"
	"regexp"
	"time"

	"ssegauge/conformance"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// Mercure is what the Mercure protocol asks of a hub towards its subscribers.
var Mercure = []conformance.Check{mercureID, mercureLastEventID, mercureQuery, mercureEarliest}

const (
	mercureClause = "The Mercure Protocol, Reconnection, State Reconciliation, and Event Sourcing"
	earliest      = "earliest"
	unknownUpdate = "urn:uuid:5e94c686-0000-4000-8000-000000000000" // of no hub
)

var iri = regexp.MustCompile(`^(#|[A-Za-z][A-Za-z0-9+.-]*:)[^\s<>"{}|\\^` + "`" + `]+$`)

// The Mercure Protocol, Reconnection: each event must have an id, which should be an IRI; one that begins with # is relative to the hub.
var mercureID = conformance.Check{
	ID: "mercure/id", Title: "each update has an id, which is an IRI",
	Level: result.Must, Clause: mercureClause, Needs: conformance.Observe,
	Text: "Every event of a hub has an id; it is an IRI, as urn:uuid:... is, or a fragment.",
	Why:  "A subscriber that was away asks for what followed the last id it has. An id that is no IRI may collide with the reserved word earliest.",
	Good: "id: urn:uuid:e1ee88e2-532a-4d6f-ba70-f0f8bd584022\ndata: {}\n\n", Bad: "data: {}\n\n",
	Evidence: []string{"dunglas/mercure#535"},
	Run: func(_ context.Context, p *conformance.Probe) {
		conns, ok := streamed(p)
		if !ok || !spoke(p, conns) {
			return
		}
		n := 0
		for _, c := range conns {
			for _, e := range c.Events() {
				switch {
				case len(e.ID) == 0:
					p.Fail("an update without an id").Hint("give each update an id: urn:uuid: and a UUID, for one").At(c.Evidence(e.Start, e.End))
				case !iri.Match(e.ID):
					p.Warn("the id %s is no IRI", brief(string(e.ID))).Hint("use urn:uuid: and a UUID, or # and an offset").At(c.Evidence(e.Start, e.End))
				}
				n++
			}
		}
		p.Pass("%s, each with an IRI", plural(n, "id"))
	},
}

// The Mercure Protocol, Reconnection: a hub that is asked with Last-Event-ID must answer with a Last-Event-ID field, which is the id before the first event sent, or earliest, also where it does not
// know the one asked for.
var mercureLastEventID = conformance.Check{
	ID: "mercure/last-event-id", Title: "the answer to Last-Event-ID says from where it goes on",
	Level: result.Must, Clause: mercureClause, Needs: conformance.Extra,
	Text: "A request with Last-Event-ID is answered with a field of that name: the id of the update before the first one sent, or earliest.",
	Why:  "It is how a subscriber learns that updates were lost. Where the hub repeats an id that it does not know, the subscriber believes that it missed nothing.",
	Good: "> Last-Event-ID: urn:uuid:unknown\n\nLast-Event-ID: earliest\n", Bad: "> Last-Event-ID: urn:uuid:unknown\n\nLast-Event-ID: urn:uuid:unknown\n",
	Run: func(ctx context.Context, p *conformance.Probe) {
		conns, ok := streamed(p)
		if !ok {
			return
		}
		unknown := p.Request()
		unknown.Header = conformance.WithLastEventID(unknown.Header, []byte(unknownUpdate))
		asked, ok := askHub(ctx, p, unknown, nil)
		if !ok {
			return
		}
		if judgeAnchor(p, asked, unknownUpdate) {
			return
		}
		if got := asked.conn.Head.Header.Get(lastEventID); got == unknownUpdate {
			p.Fail("asked for an id that does not exist, the hub answers with it, as if nothing were missing").
				Hint("answer earliest where the id is not known").At(asked.conn.FieldEvidence(lastEventID))
			return
		}
		if id := conns[len(conns)-1].LastEventID(); len(id) > 0 {
			known := p.Request()
			known.Header = conformance.WithLastEventID(known.Header, id)
			if asked, ok = askHub(ctx, p, known, nil); !ok || judgeAnchor(p, asked, "an id that was sent") {
				return
			}
		}
		p.Pass("Last-Event-ID: %s for an id that is not known", brief(earliest))
	},
}

// The Mercure Protocol, Reconnection: browsers cannot set the field on a first request, so the hub must take the parameter lastEventID too.
var mercureQuery = conformance.Check{
	ID: "mercure/query", Title: "the parameter lastEventID stands for the field",
	Level: result.Must, Clause: mercureClause, Needs: conformance.Extra,
	Text: "A request with the query parameter lastEventID is answered as one with the field Last-Event-ID is.",
	Why:  "EventSource sends no Last-Event-ID on its first request: what was published between the page and its subscription is lost.",
	Good: "> GET /.well-known/mercure?match=a&lastEventID=urn:uuid:x\n\nLast-Event-ID: earliest\n", Bad: "> GET /.well-known/mercure?match=a&lastEventID=urn:uuid:x\n\n(no Last-Event-ID)\n",
	Run: func(ctx context.Context, p *conformance.Probe) {
		if _, ok := streamed(p); !ok {
			return
		}
		r := p.Request()
		u := *r.URL
		q := u.Query()
		q.Del("lastEventID")
		u.RawQuery = joined(q.Encode(), "lastEventID="+url.QueryEscape(unknownUpdate))
		r.URL = &u
		if asked, ok := askHub(ctx, p, r, nil); ok && !judgeAnchor(p, asked, "lastEventID in the query") {
			p.Pass("answered with Last-Event-ID: %s", brief(asked.conn.Head.Header.Get(lastEventID)))
		}
	},
}

func joined(query, more string) string {
	if query == "" {
		return more
	}
	return query + "&" + more
}

// The Mercure Protocol, Reconnection: the reserved value earliest asks for everything that the hub has; it may ignore that.
var mercureEarliest = conformance.Check{
	ID: "mercure/earliest", Title: "earliest gets the whole history",
	Level: result.Advice, Clause: mercureClause, Needs: conformance.Extra, Turn: conformance.Fresh,
	Text: "A request with Last-Event-ID: earliest gets all updates that the hub still has. It may decline to give them.",
	Why:  "Where a hub is used to store events, this is how they are read from the beginning.",
	Good: "> Last-Event-ID: earliest\n\nid: urn:uuid:1\n...\n", Bad: "> Last-Event-ID: earliest\n\n(only what comes from now on)\n",
	Run: func(ctx context.Context, p *conformance.Probe) {
		conns, ok := streamed(p)
		if !ok || !spoke(p, conns) {
			return
		}
		r := p.Request()
		r.Header = conformance.WithLastEventID(r.Header, []byte(earliest))
		before := map[string]bool{}
		for _, c := range conns {
			for _, e := range c.Events() {
				if len(e.ID) > 0 {
					before[string(e.ID)] = true
				}
			}
		}
		if len(before) == 0 {
			p.NotObserved("no update had an id by which it could be known again").Hint("see mercure/id")
			return
		}
		asked, ok := askHub(ctx, p, r, before)
		if !ok {
			return
		}
		if asked.again != "" {
			p.Pass("what was sent before comes again, from %s on", brief(asked.again))
			return
		}
		p.Info("what was sent before does not come again: the hub keeps no history, or declines to give it")
	},
}

const lastEventID = "Last-Event-ID"

// hub is the answer of a hub.
type hub struct {
	conn  *conformance.Connection
	again string // the first id that was sent before
}

// askHub makes one request; where there is no stream in answer it has been reported.
func askHub(ctx context.Context, p *conformance.Probe, r *wire.Request, before map[string]bool) (hub, bool) {
	ctx, release, ok := p.Alone(ctx)
	if !ok {
		return hub{}, false
	}
	defer release()
	c := p.OpenAwake(ctx, r, 3*time.Second+2*p.First().RoundTrip())
	defer c.Close()
	switch {
	case c.Head == nil:
		p.NotObserved("the hub did not answer again: %s", conformance.Cause(c.Err))
		return hub{}, false
	case c.Head.Status != 200:
		p.NotObserved("the hub answered %d", c.Head.Status)
		return hub{}, false
	}
	h := hub{conn: c}
	if len(before) > 0 {
		until(ctx, c, 2*time.Second, func() bool {
			for _, e := range c.Events() {
				if h.again == "" && before[string(e.ID)] {
					h.again = string(e.ID)
				}
			}
			return h.again != ""
		})
	}
	return h, true
}

// judgeAnchor fails an answer without Last-Event-ID; true where it did.
func judgeAnchor(p *conformance.Probe, h hub, what string) bool {
	if h.conn.Head.Header.Has(lastEventID) {
		return false
	}
	p.Fail("%s", fmt.Sprintf("asked with %s, the hub answers without Last-Event-ID", what)).
		Hint("answer with the id before the first update sent, or earliest").At(h.conn.HeadEvidence())
	return true
}
