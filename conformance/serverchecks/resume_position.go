package serverchecks

import (
	"context"
	"time"

	"ssegauge/conformance"
	"ssegauge/reference/wire"
)

// resumption is one reconnect with an id, held against a connection that saw what came after it. It is shared by the checks of this group.
type resumption struct {
	why   string // why there is none, with the flag that would help
	by    string
	noIDs bool   // events came and none had an id
	mute  string // plain requests are answered, the one with the id is not

	observed *conformance.Connection // the control of the observation, also where a fresh one took its place
	control  *conformance.Connection
	again    *conformance.Connection
	k        conformance.Event   // the event that was seen last
	before   []conformance.Event // seen up to K
	missed   []conformance.Event // seen after it, to be replayed
	seen     *seen               // all of these, once they are looked up

	patience time.Duration // for the first event; 0: [replayPatience]
	glance   bool          // it is enough to see that the stream may begin anew
	sorted
	restarted bool // with Last-Event-ID and without it the stream begins anew: ids count in the connection
	status    int
}

// How a reconnect is watched.
const (
	replayPatience = 3 * time.Second // between two events of a replay: it may be slow
	replayQuiet    = time.Second     // how much later than with an id a stream may begin without one
	replayLongest  = 5 * time.Second
	replayPartial  = 8 * time.Second // where some of it came
	replayLull     = 5500 * time.Millisecond
	leastMissed    = 3
)

func resumed(ctx context.Context, p *conformance.Probe) *resumption {
	return p.Once("resume", func() any { return resumeOnce(ctx, p) }).(*resumption)
}

// resumeOnce comes back with an id of the observation. What other checks did since may have pushed that position out of the server's history, and a verdict of
// absence hangs on time: unless all came again it is tried once more, from a position of this moment.
func resumeOnce(ctx context.Context, p *conformance.Probe) *resumption {
	r := &resumption{}
	if !r.choose(p.Observed()) {
		return r
	}
	v, ctx, release, ok := turn(ctx, p)
	if !ok {
		r.why = "the target could not be asked again"
		return r
	}
	defer release()
	r.observed, r.glance = r.control, true
	if r.judged(ctx, p, v) {
		return r
	}
	r.glance = false
	if r.slowly() && r.judged(ctx, p, v) { // only who asks is sent all of it: it may take its time
		return r
	}
	switch f, why := r.afresh(ctx, p, v); {
	case f != nil:
		f.observed, f.patience = r.observed, r.lull()
		f.judged(ctx, p, v)
		return f
	case r.ours() && p.Target().Publisher != nil:
		r.why = "what was missed did not all come again; whether it had left the history by then cannot be told: " + why
	case r.status == 200 && r.came == 0 && ctx.Err() == nil:
		r.patience = r.lull()
		r.judged(ctx, p, v)
	}
	return r
}

// judged comes back, and tells whether that decides: all came again, the stream begins anew, or nothing can be said.
func (r *resumption) judged(ctx context.Context, p *conformance.Probe, v *visits) bool {
	if r.reconnect(ctx, p, v, r.request(p)); r.why != "" {
		return true
	}
	r.restarted = r.status == 200 && r.beginsAnew(ctx, p, v)
	return r.restarted || r.complete()
}

// slowly tells whether events from before come again one by one, and none of those that were missed so far.
func (r *resumption) slowly() bool {
	return len(r.replayed) == 0 && r.past() >= leastMissed && r.paced()
}

func (r *resumption) complete() bool { return r.status == 200 && len(r.replayed) == len(r.missed) }

// choose finds K: the latest id that is used once, with at least three others after it.
func (r *resumption) choose(conns []*conformance.Connection) bool {
	total, identified := 0, 0
	for _, c := range conns {
		evs := c.Events()
		total += len(evs)
		used := map[string]int{}
		for i := range evs {
			if named(&evs[i]) {
				used[string(evs[i].ID)]++
				identified++
			}
		}
		var at []int // events with ids of their own
		for i := range evs {
			if used[string(evs[i].ID)] == 1 && named(&evs[i]) {
				at = append(at, i)
			}
		}
		n := len(at) - 1 - leastMissed
		if n < 0 {
			continue
		}
		r.control, r.k, r.before, r.missed = c, evs[at[n]], evs[:at[n]], nil
		for _, i := range at[n+1:] {
			r.missed = append(r.missed, evs[i])
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

// named tells whether an event has an id.
func named(e *conformance.Event) bool { return e.IDSet && len(e.ID) > 0 }

// request is that of a client that saw K last.
func (r *resumption) request(p *conformance.Probe) *wire.Request {
	req := p.Request()
	req.Header = conformance.WithLastEventID(req.Header, r.k.ID)
	return req
}

// onceMore is the same position, to be tried again in another way: what came again must then come again.
func (r *resumption) onceMore() *resumption {
	o := &resumption{observed: r.observed, control: r.control, k: r.k, before: r.before}
	for i, e := range r.missed {
		if r.replayed[i] {
			o.missed = append(o.missed, e)
		}
	}
	return o
}

// reconnect comes back and watches what is sent.
func (r *resumption) reconnect(ctx context.Context, p *conformance.Probe, v *visits, req *wire.Request) {
	r.why, r.mute, r.sorted = "", "", sorted{}
	a := v.ask(ctx, p, req, func(c *conformance.Connection) { r.follow(ctx, c) })
	r.again, r.status = a.conn, a.status
	switch {
	case a.why != "":
		r.why = "the reconnect: " + a.why
	case a.status == 0:
		r.mute = a.failed()
		r.why = "the request with the id " + r.mute
	case a.status == 200:
		if r.sort(a.conn.Events()); ctx.Err() != nil {
			r.why = "the time for the reconnect ran out"
		}
	}
}

// follow watches until all that was missed came, or nothing more of it does. Live events are none of it, so a stream that goes on is not watched for their sake.
func (r *resumption) follow(ctx context.Context, c *conformance.Connection) {
	begin := time.Now()
	patience := time.NewTimer(max(r.patience, replayPatience))
	defer patience.Stop()
	for seen, old := 0, 0; ; {
		changed := c.Changed()
		if n := len(c.Events()); n > seen {
			seen = n
			r.sort(c.Events())
			if len(r.replayed) == len(r.missed) || r.glance && r.slowly() {
				return
			}
			longest := replayLongest
			if len(r.replayed) > 0 {
				longest = replayPartial
			}
			if now := len(r.replayed) + r.past(); now > old {
				old = now
				patience.Reset(min(replayPatience, longest-time.Since(begin)))
			}
		}
		if _, err := c.Ended(); err != nil {
			return
		}
		select {
		case <-changed:
		case <-patience.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// lull is how long an event may take of a target that looks for new ones only now and then.
func (r *resumption) lull() time.Duration {
	longest, last := time.Duration(0), time.Duration(0)
	evs := r.control.Events()
	for i, e := range evs[max(0, len(evs)-20):] {
		if i > 0 {
			longest = max(longest, e.At-last)
		}
		last = e.At
	}
	return min(longest*3/2, replayLull)
}

// ours tells whether what the run publishes reaches the stream.
func (r *resumption) ours() bool {
	for _, e := range r.control.Events() {
		if conformance.NonceOf(e.Data) != "" {
			return true
		}
	}
	return false
}

// beginsAnew tells whether the stream begins where it does for a client without a position, and goes on as slowly as it did there: then the field is ignored, and
// its ids count in the connection. A history that is sent to everybody comes at once; a server that sends it slowly sends it only to who asks.
func (r *resumption) beginsAnew(ctx context.Context, p *conformance.Probe, v *visits) bool {
	if r.past() == 0 || !r.paced() || firstNamed(r.again) == nil {
		return false
	}
	first := firstNamed(r.again)
	req := p.Request()
	req.Header = conformance.WithLastEventID(req.Header, nil)
	var plain *conformance.Event
	a := v.try(ctx, p, req, func(c *conformance.Connection) {
		watch(ctx, c, first.At-r.again.Timing.Head+replayQuiet, func() bool { return firstNamed(c) != nil })
		plain = firstNamed(c)
	})
	if a.status != 200 || ctx.Err() != nil {
		return true // there is nothing to compare with; its pace tells
	}
	return plain != nil && string(first.ID) == string(plain.ID)
}

func firstNamed(c *conformance.Connection) *conformance.Event {
	evs := c.Events()
	for i := range evs {
		if named(&evs[i]) {
			return &evs[i]
		}
	}
	return nil
}

// Where a position of this moment is taken.
const (
	freshPatience = 3500 * time.Millisecond // for events that come by themselves
	freshEach     = time.Second             // for one that was published
)

// afresh takes a position from a connection of this moment; nil where none came, and why.
func (r *resumption) afresh(ctx context.Context, p *conformance.Probe, v *visits) (_ *resumption, why string) {
	req := p.Request()
	req.Header = conformance.WithLastEventID(req.Header, nil)
	f := &resumption{}
	ok := false
	a := v.try(ctx, p, req, func(c *conformance.Connection) {
		if p.Target().Publisher != nil && r.ours() {
			pause(ctx, visitPause) // a server may subscribe only after its head
			for range leastMissed + 2 {
				d := p.Post(ctx, 0)
				if !d.Taken() {
					break
				}
				watch(ctx, c, freshEach, func() bool { return conformance.Find([]*conformance.Posted{d}, c) == 1 })
			}
			pause(ctx, visitPause/6) // what ends the last one
		} else {
			watch(ctx, c, freshPatience, func() bool { return (&resumption{}).choose([]*conformance.Connection{c}) })
		}
		ok = f.choose([]*conformance.Connection{c})
	})
	switch {
	case ctx.Err() != nil:
		return nil, outOfTime(p)
	case a.why != "":
		return nil, a.why
	case a.status != 200:
		return nil, "a second connection was not answered with a stream"
	case !ok:
		return nil, "on a second connection " + f.why
	}
	return f, ""
}
