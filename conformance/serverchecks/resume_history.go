package serverchecks

import (
	"bytes"
	"context"
	"net/url"
	"slices"
	"time"

	"ssegauge/conformance"
	"ssegauge/reports/result"
)

// withQuery is u with a parameter set, the others as they are written.
func withQuery(u *url.URL, name, value string) *url.URL {
	c := *u
	if c.RawQuery != "" {
		c.RawQuery += "&"
	}
	c.RawQuery += url.QueryEscape(name) + "=" + url.QueryEscape(value)
	return &c
}

// The bounds of what is asked for again at once.
const (
	farEvents = 200
	farBytes  = 256 << 10
)

// farthest is a reconnect with an id from as far back as is reasonable; nil where there is none.
func farthest(ctx context.Context, p *conformance.Probe) *resumption {
	return p.Once("farthest", func() any {
		r := resumed(ctx, p)
		if r.why != "" || r.status != 200 || r.control == nil || r.restarted || len(r.replayed) == 0 {
			return (*resumption)(nil)
		}
		w := &resumption{observed: r.observed, control: r.observed}
		evs := w.control.Events()
		used := map[string]bool{}
		from, n := -1, 0
		for i := len(evs) - 1; i >= 0 && n <= farEvents && evs[len(evs)-1].End-evs[i].Start <= farBytes; i-- {
			if e := &evs[i]; e.IDSet && len(e.ID) > 0 {
				if used[string(e.ID)] {
					break
				}
				used[string(e.ID)] = true
				from = i
				n++
			}
		}
		if from < 0 || n < leastMissed+1 {
			return (*resumption)(nil)
		}
		w.k, w.before = evs[from], evs[:from]
		for _, e := range evs[from+1:] {
			if e.IDSet && len(e.ID) > 0 {
				w.missed = append(w.missed, e)
			}
		}
		v, ctx, release, ok := turn(ctx, p)
		if !ok {
			return (*resumption)(nil)
		}
		defer release()
		w.reconnect(ctx, p, v, w.request(p))
		return w
	}).(*resumption)
}

// A fact, not a requirement, unless a window is declared: then at least so many of the newest events must come again, as far as so many were seen. What the run published
// since, for other checks, is among the newest.
var resumeWindow = conformance.Check{
	ID: "resume/window", Title: "how far back events can be replayed",
	Level: result.Advice, Clause: noClause, Needs: conformance.Observe | conformance.Publish | conformance.Long, Turn: conformance.Fresh,
	Text: "As many events can be replayed as the operator declares. Without a declaration the number that was seen is reported.",
	Why:  "What is older than the window is lost to a client that was away for longer; the number says how long that may be at the usual rate.",
	Good: "(100 declared) 100 events come again\n", Bad: "(100 declared) 16 events come again\n",
	Evidence: []string{"NousResearch/hermes-agent#32431"},
	Run: func(ctx context.Context, p *conformance.Probe) {
		r, ok := cameBack(ctx, p)
		if !ok {
			return
		}
		declared := p.Target().Declared.Replay.Window
		if len(r.replayed) == 0 || r.restarted {
			if declared > 0 && r.status == 200 {
				p.Declared(true, "a window of %d is declared, and nothing came again", declared).Hint("keep a history").Try(p.Curl(r.again.Request))
				return
			}
			p.NotObserved("nothing was sent again").Hint("see resume/replay")
			return
		}
		w := farthest(ctx, p)
		if w == nil || w.why != "" || w.status != 200 {
			p.NotObserved("no position from farther back could be asked for")
			return
		}
		n := 0
		for n < len(w.missed) && w.replayed[len(w.missed)-1-n] {
			n++
		}
		all := len(w.missed)
		if slices.ContainsFunc(w.unlike, func(u twin) bool { return !bytes.Equal(u.live.ID, u.again.ID) }) {
			p.NotObserved("events come again under other ids, so they cannot be counted").Hint("see id/stable")
			return
		}
		took := w.control.Events()[len(w.control.Events())-1].At - w.k.At
		switch {
		case n < min(declared, all) && n+w.unknown >= declared: // what came since the observation is newer still, and counts
			p.NotObserved("since the observation %s came, more than the window of %d leaves room for", plural(w.unknown, "event"), declared)
		case n < min(declared, all):
			p.Declared(true, "a window of %d is declared, and the newest %d of %d came again", declared, n, all).Hint("keep more history").
				At(w.again.HeadEvidence()).Try(p.Curl(w.again.Request))
		case n < all:
			p.Info("the newest %d of %s came again", n, plural(all, "event"))
		case declared > 0 && all >= declared:
			p.Pass("all of %s came again, %d are declared", plural(all, "event"), declared)
		default:
			p.Info("at least %s can be replayed: all that came within %v", plural(all, "event"), took.Round(time.Millisecond))
		}
	},
}

// A server that reads the history first and subscribes then loses what is published between the two; one that does it the other way round sends it twice. Events are published
// while the client comes back, each a moment after the one before, and one more when all is quiet: only where that one arrives the others may be missed.
var resumeSeam = conformance.Check{
	ID: "resume/seam", Title: "between replay and live nothing is lost or doubled",
	Level: result.Advice, Clause: noClause, Needs: conformance.Extra | conformance.Publish, Turn: conformance.Fresh,
	Text: "What is published while a client comes back reaches it, once.",
	Why:  "The moment of the switch from history to live is short, and every client passes it on every reconnect: on a busy stream events are lost or come twice, and nobody sees why.",
	Good: "(8, 9 missed; 10 published meanwhile) id: 8, id: 9, id: 10\n", Bad: "(8, 9 missed; 10 published meanwhile) id: 8, id: 9, id: 11\n",
	Evidence: []string{"Intense-Visions/harness-engineering#678", "anomalyco/opencode#25658", "Emiyaaaaa/clay-ui#22"},
	Run:      judgeSeam,
}

const (
	seamEvents = 20
	seamGap    = 10 * time.Millisecond
	seamLong   = 1500 * time.Millisecond
)

func judgeSeam(ctx context.Context, p *conformance.Probe) {
	r, ok := replaying(ctx, p)
	if !ok {
		return
	}
	ours := func(e conformance.Event) bool { return conformance.NonceOf(e.Data) != "" }
	if !slices.ContainsFunc(r.control.Events(), ours) {
		p.NotObserved("what the run published did not reach the stream").Hint("see data/multiline")
		return
	}
	v, ctx, release, ok := turn(ctx, p)
	if !ok {
		return
	}
	defer release()
	var s *seam
	for range 2 {
		if s = seamOnce(ctx, p, v, r); s.why != "" {
			p.NotObserved("%s", s.why)
			return
		}
		if len(s.lost)+len(s.doubled) == 0 {
			p.Pass("%s published during a replay came once each", plural(s.published, "event"))
			return
		}
	}
	curl := p.Curl(s.conn.Request)
	if len(s.lost) > 0 {
		p.Declared(p.Target().ExpectReplay, "%d of %s that were published while the client came back never reached it, twice", len(s.lost), plural(s.published, "event")).
			Hint("take the live subscription and the position in the history in one step").At(s.conn.HeadEvidence()).Try(curl)
		return
	}
	e := s.doubled[0]
	p.Declared(p.Target().ExpectReplay, "%d of %s that were published while the client came back reached it more than once, in two tries", len(s.doubled), plural(s.published, "event")).
		Hint("take the live subscription and the position in the history in one step").At(s.conn.Evidence(e.Start, e.End)).Try(curl)
}

// seam is one reconnect during which events were published.
type seam struct {
	why       string
	conn      *conformance.Connection
	published int
	lost      []string
	doubled   []conformance.Event
}

func seamOnce(ctx context.Context, p *conformance.Probe, v *visits, r *resumption) *seam {
	s := &seam{}
	type report struct {
		nonces []string
		err    error
	}
	publishOne := func(rep *report) {
		switch d := p.Post(ctx, 0); {
		case d.Err != nil:
			rep.err = d.Err
		case d.Taken():
			rep.nonces = append(rep.nonces, d.Nonce)
		}
	}
	done := make(chan report, 1)
	go func() {
		var rep report
		for start := time.Now(); rep.err == nil && len(rep.nonces) < seamEvents && time.Since(start) < seamLong; {
			publishOne(&rep)
			pause(ctx, seamGap)
		}
		done <- rep
	}()
	var rep report
	count := map[string]int{}
	o := &resumption{control: r.control, k: r.missed[0]}
	a := v.try(ctx, p, o.request(p), func(c *conformance.Connection) {
		rep = <-done
		pause(ctx, visitPause)
		publishOne(&rep)
		if len(rep.nonces) == 0 {
			return
		}
		last := []byte(rep.nonces[len(rep.nonces)-1])
		watch(ctx, c, replayPatience, func() bool {
			evs := c.Events()
			return len(evs) > 0 && bytes.Contains(evs[len(evs)-1].Data, last)
		})
		watch(ctx, c, visitPause, func() bool { return false }) // what is doubled may come later
		if endedByItself(c) {
			s.why = "the stream ended during the replay"
		}
		for _, e := range c.Events() {
			n := conformance.NonceOf(e.Data)
			if count[n]++; n != "" && count[n] == 2 {
				s.doubled = append(s.doubled, e)
			}
		}
	})
	if s.conn = a.conn; a.status != 200 {
		<-done
		s.why = "the reconnect was not answered with a stream"
		return s
	}
	switch {
	case s.why != "":
	case rep.err != nil:
		s.why = "publishing failed: " + conformance.Cause(rep.err)
	case ctx.Err() != nil:
		s.why = outOfTime(p)
	case len(rep.nonces) < 2:
		s.why = "the target refused what was published"
	case count[rep.nonces[len(rep.nonces)-1]] == 0:
		s.why = "events that were published stopped arriving"
	}
	ours := map[string]bool{}
	for _, n := range rep.nonces {
		ours[n] = true
		if count[n] == 0 {
			s.lost = append(s.lost, n)
		}
	}
	for _, e := range r.missed[1:] { // these may not come twice either
		ours[conformance.NonceOf(e.Data)] = true
	}
	kept := s.doubled[:0]
	for _, e := range s.doubled {
		if ours[conformance.NonceOf(e.Data)] {
			kept = append(kept, e)
		}
	}
	s.doubled, s.published = kept, len(rep.nonces)
	return s
}

// A fact: both are sensible. A chat shows what was said before, a ticker does not.
var resumeNoIDNoReplay = conformance.Check{
	ID: "resume/no-id-no-replay", Title: "whether a first connection gets history",
	Level: result.Advice, Clause: noClause, Needs: conformance.Extra,
	Text: "Whether a request without Last-Event-ID is sent events from before it.",
	Why:  "A client that is restarted without its position gets all of the history again where the server sends it to everybody, and must not count it twice.",
	Good: "> GET /events\n\n(only what comes from now on)\n", Bad: "> GET /events\n\nid: 1\ndata: from yesterday\n\n",
	Evidence: []string{"r3labs/sse#61"},
	Run: func(ctx context.Context, p *conformance.Probe) {
		conns, ok := streamed(p)
		if !ok || !spoke(p, conns) {
			return
		}
		f := fresh(ctx, p)
		if f.why != "" || f.status != 200 {
			p.NotObserved("a second connection got no stream%s", suffix(f.why))
			return
		}
		if old := known(conns, f.conn); len(old) > 0 {
			p.Info("a first connection is sent history: %s that came on an earlier connection", plural(len(old), "event")).
				At(f.conn.Evidence(old[0].Start, old[0].End))
			return
		}
		p.Pass("a first connection gets only what comes from then on")
	},
}

func suffix(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}

// fresh is one more plain connection, watched for a moment.
func fresh(ctx context.Context, p *conformance.Probe) *visit {
	return p.Once("fresh", func() any {
		v, ctx, release, ok := turn(ctx, p)
		if !ok {
			return &visit{why: "the target could not be asked again"}
		}
		defer release()
		req := p.Request()
		req.Header = conformance.WithLastEventID(req.Header, nil)
		return v.ask(ctx, p, req, func(c *conformance.Connection) {
			watch(ctx, c, visitPause, func() bool { return len(c.Events()) > 0 })
			watch(ctx, c, visitPause/6, func() bool { return false })
		})
	}).(*visit)
}

// known returns the events on c that came before on other connections: the same id and data. What the run published is known in any case, as it publishes nothing meanwhile.
func known(conns []*conformance.Connection, c *conformance.Connection) (old []conformance.Event) {
	seen := map[string]bool{}
	key := func(e *conformance.Event) string { return string(e.ID) + "\x00" + string(e.Data) }
	for _, o := range conns {
		for _, e := range o.Events() {
			if named(&e) {
				seen[key(&e)] = true
			}
		}
	}
	for _, e := range c.Events() {
		if n := conformance.NonceOf(e.Data); n != "" && c.Woken == 0 || n == "" && named(&e) && seen[key(&e)] {
			old = append(old, e)
		}
	}
	if len(old) == 1 && greets(conns, &old[0]) {
		return nil
	}
	return old
}

// greets tells whether streams begin with that event and go on with others: that is no history.
func greets(conns []*conformance.Connection, e *conformance.Event) bool {
	return slices.ContainsFunc(conns, func(c *conformance.Connection) bool {
		evs := c.Events()
		return len(evs) > 1 && bytes.Equal(evs[0].ID, e.ID) && bytes.Equal(evs[0].Data, e.Data)
	})
}
