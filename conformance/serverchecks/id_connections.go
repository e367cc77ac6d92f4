package serverchecks

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"ssegauge/conformance"
	"ssegauge/reference/sse"
	"ssegauge/reports/result"
)

// WHATWG HTML 9.2.3: a client that comes back names the last event it saw by its id, to whatever node answers then. An id that counts in the connection names another event
// there.
//
// A replay shows it; where there is none, two streams at once do, of which one was opened when the other had heard something already. What the run published is known by its word,
// other events by data that stand on each stream once, at the same time. Where ids differ and a replay works all the same, what is left is that nobody can tell a duplicate by its id: a
// warning.
var idStable = conformance.Check{
	ID: "id/stable", Title: "an event has the same id on every connection",
	Level: result.Should, Clause: "WHATWG HTML 9.2.3", Needs: conformance.Many, Turn: conformance.Fresh,
	Text: "One event, sent on two connections, live or again, has one id.",
	Why: "Ids that are made up for each connection, by a counter or at random, mean nothing on the next one, or on another node: the client resumes at the wrong place and does not " +
		"know it.",
	Good: "(c1) id: 42\ndata: x\n\n(c2) id: 42\ndata: x\n\n", Bad: "(c1) id: 42\ndata: x\n\n(c2) id: 1\ndata: x\n\n",
	Evidence: []string{"Intense-Visions/harness-engineering#678", "NVIDIA-AI-Blueprints/aiq#272"},
	Run:      judgeStable,
}

const stableHint = "give an event its id where it is made, or kept, not where it is sent"

func judgeStable(ctx context.Context, p *conformance.Probe) {
	p.Apart()
	conns, ok := streamed(p)
	if !ok || !spoke(p, conns) {
		return
	}
	if evs, with := identified(blocks(p, conns)); with == 0 {
		p.NotObserved("none of %s carried an id", plural(len(evs), "event")).Hint("see id/present")
		return
	}
	r := resumed(ctx, p)
	if r.why == "" && r.status == 200 {
		switch {
		case r.restarted && r.stale > 0:
			p.Fail("ids start again on every connection: one id stands for different events").Hint(stableHint).At(restartEvidence(r)...).Try(p.Curl(r.again.Request))
			return
		case r.restarted:
			// The content starts again too, so equal ids stand for equal events.
		case len(r.replayed) > 0:
			for _, u := range r.unlike {
				if string(u.live.ID) != string(u.again.ID) {
					unstable(p, p.Warn, u).At(r.control.Evidence(u.live.Start, u.live.End), r.again.Evidence(u.again.Start, u.again.End)).Try(p.Curl(r.again.Request))
					return
				}
			}
			p.Pass("%s came again under the same ids", plural(len(r.replayed), "event"))
			return
		}
	}
	var pace time.Duration
	var release func()
	if p.Target().Publisher == nil {
		ctx, release, pace, ok = talkative(ctx, p)
	} else if _, done, several := crowdOf(ctx, p); several { // which tells whether several streams are served at all
		done()
		ctx, release, ok = p.Alone(ctx)
	} else {
		return
	}
	if !ok {
		return
	}
	defer release()
	two := thePair(ctx, p, pace)
	if two.why != "" {
		p.NotObserved("%s", two.why)
		return
	}
	both, differ := two.common(), 0
	for _, u := range both {
		if string(u.live.ID) != string(u.again.ID) {
			differ++
		}
	}
	switch {
	case len(both) < 2:
		p.NotObserved("too few events could be found on both of two streams").Hint("a publish hook (--publish) would decide it").By("--publish")
	case differ == 0 && r.restarted:
		p.NotObserved("the content starts again on every connection, and the ids with it").Hint("see resume/replay")
	case differ == 0:
		p.Pass("%s had the same id on two streams", plural(len(both), "event"))
	case differ < len(both):
		p.Warn("%d of %s had another id on a second stream", differ, plural(len(both), "event")).Hint(stableHint)
	default:
		u := both[0]
		unstable(p, p.Fail, u).At(two.older.Evidence(u.live.Start, u.live.End), two.newer.Evidence(u.again.Start, u.again.End))
	}
}

// unstable reports one event with two ids.
func unstable(p *conformance.Probe, say func(string, ...any) *conformance.Note, u twin) *conformance.Note {
	return say("one event has the id %s on one connection and %s on another", brief(string(u.live.ID)), brief(string(u.again.ID))).Hint(stableHint)
}

// common returns the events that came on both streams, with an id on one at least: by the word of what was published, else by data that stands on each stream once.
func (two *pair) common() (both []twin) {
	key := func(e *conformance.Event) string {
		if n := conformance.NonceOf(e.Data); n != "" {
			return n
		}
		if len(e.Data) < 6 || !named(e) {
			return ""
		}
		return "=" + string(e.Data)
	}
	index := func(c *conformance.Connection) map[string]*conformance.Event {
		m := map[string]*conformance.Event{}
		evs := c.Events()
		for i := range evs {
			k := key(&evs[i])
			if _, twice := m[k]; twice {
				m[k] = nil
				continue
			}
			m[k] = &evs[i]
		}
		delete(m, "")
		return m
	}
	here := index(two.newer)
	for k, e := range index(two.older) {
		o := here[k]
		if e == nil || o == nil || !named(e) && !named(o) {
			continue
		}
		apart := two.older.Timing.Start.Add(e.At).Sub(two.newer.Timing.Start.Add(o.At)).Abs()
		if k[0] != '=' || apart < time.Second {
			both = append(both, twin{live: *e, again: *o})
		}
	}
	slices.SortFunc(both, func(a, b twin) int { return cmp.Compare(a.live.Start, b.live.Start) })
	return both
}

// WHATWG HTML 9.2.6: every block sets the client's position, also one without data. What is only meant for the connection (a sign of life, a greeting, a priming event) and has an id
// of its own must therefore be a place from which the stream can be resumed.
//
// Such a block is known by having no data, or by its type. It is tried where other events came after it: a client that saw it last comes back, and must get these and no others.
var idControlFrames = conformance.Check{
	ID: "id/control-frames", Title: "heartbeats and notices don't move the resume point",
	Level: result.Should, Clause: "WHATWG HTML 9.2.6", Needs: conformance.Observe | conformance.Publish, Turn: conformance.Fresh,
	Text: "Heartbeats, status and priming frames carry no id of their own, or one from which the server resumes as from an event's.",
	Why:  "The client takes the id of a heartbeat for its position. If the server does not know it there, everybody who was cut off after a heartbeat loses events or gets all of them again.",
	Good: ": beat\n\n", Bad: "event: ping\nid: 1700000000\ndata:\n\n",
	Evidence: []string{"NVIDIA-AI-Blueprints/aiq#272", "CleverCloud/clever-client.js#180"},
	Run:      judgeControlFrames,
}

// controlNames are types of what is only meant for the connection, beside [beatNames].
var controlNames = map[string]bool{
	"status": true, "connected": true, "connect": true, "connection": true, "open": true, "opened": true, "ready": true, "init": true, "hello": true, "welcome": true,
	"endpoint": true, "retry": true, "reconnect": true,
}

// control tells whether an event is only meant for the connection.
func control(e *conformance.Event) bool {
	typ := strings.ToLower(string(e.Type))
	return len(e.Data) == 0 || beatNames[typ] || controlNames[typ]
}

// frame is a block of this kind with an id of its own.
type frame struct {
	conn *conformance.Connection
	id   string
	at   conformance.Line
	past []conformance.Event // events before it
	next []conformance.Event // and after it
}

// frames finds them on one connection.
func frames(c *conformance.Connection) (found []frame) {
	evs := c.Events()
	for _, b := range blocksOf(c) {
		id := b.last(sse.LineID)
		if id == nil || id.Value == "" || b.event != nil && !control(b.event) {
			continue
		}
		f := frame{conn: c, id: id.Value, at: *id}
		position := c.Request.Header.Get("Last-Event-ID")
		for i := range evs {
			switch e := &evs[i]; {
			case control(e):
			case e.Start < b.end:
				if f.past = append(f.past, *e); e.IDSet {
					position = string(e.ID)
				}
			case named(e): // what has no id may be none of the history
				f.next = append(f.next, *e)
			}
		}
		if f.id != position {
			found = append(found, f)
		}
		if len(found) == mostFrames {
			break
		}
	}
	return found
}

// mostFrames is how many of them are looked at, on one connection.
const mostFrames = 50

func judgeControlFrames(ctx context.Context, p *conformance.Probe) {
	p.Apart()
	conns, ok := streamed(p)
	if !ok || !spoke(p, conns) {
		return
	}
	var all []frame
	for _, c := range conns {
		all = append(all, frames(c)...)
	}
	if len(all) == 0 {
		p.Pass("nothing that is no event carries an id of its own, in %s", plural(events(conns), "event"))
		return
	}
	r, ok := replaying(ctx, p)
	if !ok {
		return
	}
	v, ctx, release, ok := turn(ctx, p)
	if !ok {
		return
	}
	defer release()
	all = slices.DeleteFunc(all, func(f frame) bool { return strings.ContainsFunc(f.id, unicode.IsControl) })
	if len(all) == 0 {
		p.NotObserved("no client can send back the ids of frames that are no events").Hint("see id/header-safe")
		return
	}
	var f *frame
	for i := range all {
		if n := len(all[i].next); n > 0 && n <= farEvents {
			f = &all[i]
		}
	}
	if f == nil || len(f.past) == 0 { // a greeting: a new one is as good, and no history has moved on since
		if greeted := greeting(ctx, p, v, r); greeted != nil {
			f = greeted
		}
	}
	if f == nil {
		p.NotObserved("after a frame with the id %s nothing came", brief(all[0].id)).Hint("a publish hook (--publish) would decide it").By("--publish")
		return
	}
	at := f.conn.Evidence(f.at.Start, f.at.End)
	var o *resumption
	for range 2 { // what is missing hangs on time
		o = &resumption{observed: f.conn, control: f.conn, k: conformance.Event{ID: []byte(f.id), IDSet: true, At: f.at.At}, before: f.past, missed: f.next}
		o.reconnect(ctx, p, v, o.request(p))
		if o.why == "" && o.complete() && o.earlier == 0 && o.strangers() == 0 {
			p.Pass("the id %s of a frame that is no event is a place to resume from: %s came again", brief(f.id), plural(len(o.replayed), "event"))
			return
		}
	}
	const hint = "send frames that are no events without an id"
	say := func(format string, a ...any) {
		p.Warn("a frame that is no event has the id %s, and %s", brief(f.id), fmt.Sprintf(format, a...)).Hint(hint).At(at).Try(p.Curl(o.request(p)))
	}
	switch {
	case o.mute != "":
		say("a request with it %s", o.mute)
		return
	case o.why != "":
		p.NotObserved("%s", o.why)
		return
	}
	told := signal(append(conns[:len(conns):len(conns)], f.conn, r.control), o.again)
	switch {
	case o.status != 200:
		say("coming back with it is answered %d", o.status)
	case len(o.lost()) > 0:
		say("of %s after it %d are not sent to a client that comes back with it", plural(len(o.missed), "event"), len(o.lost()))
	case told != nil:
		say("to a client that comes back with it the server says that it does not know it (%s)", orMessage(told.Type))
	case o.earlier > 0:
		say("a client that comes back with it gets %s from before it again", plural(o.earlier, "event"))
	default:
		say("a client that comes back with it gets %s from before it", plural(o.strangers(), "event"))
	}
}

// greeting opens a stream that may begin with such a frame, and has events come after it.
func greeting(ctx context.Context, p *conformance.Probe, v *visits, r *resumption) *frame {
	fresh, _ := r.afresh(ctx, p, v)
	if fresh == nil {
		return nil
	}
	found := frames(fresh.control)
	for i := range found {
		if f := &found[i]; len(f.next) > 0 && len(f.past) == 0 {
			return f
		}
	}
	return nil
}

// strangers counts the events with ids that the control never had and that came before the first of those that were missed.
func (r *resumption) strangers() (n int) {
	known := map[string]bool{}
	key := func(e *conformance.Event) string { return string(e.ID) + "\x00" + conformance.NonceOf(e.Data) }
	for i := range r.missed {
		known[key(&r.missed[i])] = true
	}
	evs := r.again.Events()
	for i := range evs {
		switch e := &evs[i]; {
		case control(e) || !named(e):
		case known[key(e)]:
			return n
		default:
			n++
		}
	}
	return n
}
