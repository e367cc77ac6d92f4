package serverchecks

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"ssegauge/conformance"
	"ssegauge/reports/result"
)

// WHATWG HTML 9.2.2: a client reconnects whenever the body ends. No clause forbids a server to end it.
//
// A stream that ended young is opened once more before anything is said, unless the run saw it end twice already.
var lifecyclePersists = conformance.Check{
	ID: "lifecycle/persists", Title: "the stream stays open",
	Level: result.Advice, Clause: "WHATWG HTML 9.2.2", Needs: conformance.Observe,
	Text: "The server keeps the stream open: it does not end it after each event or within five seconds.",
	Why: "Each end costs every client a reconnect: a new request with its authentication, a pause in which events are missed unless they are replayed, and an " +
		"error event in the browser. It is polling in disguise.",
	Good: "data: 1\n\n(seconds later) data: 2\n\n", Bad: "data: 1\n\n(end of the response)",
	Run: judgePersists,
}

const young = 5 * time.Second

func judgePersists(ctx context.Context, p *conformance.Probe) {
	conns, ok := streamed(p)
	if !ok {
		return
	}
	if p.Target().Declared.Finite {
		p.NotApplicable("the stream is declared to be finite")
		return
	}
	var ended []string
	for _, c := range conns {
		if died, how := diedYoung(c); died {
			ended = append(ended, how)
		}
	}
	if len(ended) == 0 {
		at, err := conns[0].Ended()
		if err != nil && !finished(conns[0]) && at-conns[0].Timing.Head < young {
			p.NotObserved("the stream broke off after %v: %s", ms(at-conns[0].Timing.Head), conformance.Cause(err))
			return
		}
		if err != nil {
			p.Pass("open for %v, then the server ended it", ms(at-conns[0].Timing.Head))
			return
		}
		p.Pass("open for %v, until we left", ms(conns[0].Until()-conns[0].Timing.Head))
		return
	}
	if len(ended) == 1 {
		ctx, release, ok := p.Alone(ctx)
		if !ok {
			return
		}
		defer release()
		r := p.Request()
		r.Header = conformance.WithLastEventID(r.Header, conns[len(conns)-1].LastEventID())
		c := p.Open(ctx, r, 3*time.Second)
		defer c.Close()
		switch {
		case c.Head != nil && c.Head.Status == 204:
			p.Pass("the stream was over after %s, and the server says so with 204", ended[0])
			return
		case c.Err != nil || c.Head.Status != 200:
			p.NotObserved("the stream ended after %s, and could not be opened again", ended[0])
			return
		}
		until(ctx, c, young, func() bool { return false })
		died, how := diedYoung(c)
		if !died {
			p.Pass("the stream ended after %s, and the next one stayed open", ended[0])
			return
		}
		ended = append(ended, how)
	}
	p.Warn("the server ended the stream after %s, then after %s", ended[0], ended[1]).
		Hint("keep the response open and wait for the next event; if the stream is meant to end, declare it finite, and answer 204 to who comes back")
}

// diedYoung tells whether the server ended the stream properly within five seconds. What broke off may be the network's fault.
func diedYoung(c *conformance.Connection) (bool, string) {
	at, _ := c.Ended()
	age := at - c.Timing.Head
	return finished(c) && age < young, fmt.Sprintf("%v and %s", ms(age), plural(len(c.Events()), "event"))
}

// until waits for done, for the stream's end, for d or for ctx.
func until(ctx context.Context, c *conformance.Connection, d time.Duration, done func() bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		changed := c.Changed()
		if _, err := c.Ended(); err != nil || done() {
			return
		}
		select {
		case <-changed:
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// WHATWG HTML 9.2.3: a client comes back after the end of a body, and again, for ever; only another status stops it.
//
// Only streams that end by themselves before anything is published are judged: what the run publishes is new each time. One event without an id
// that comes again may be the state of something that did not change.
var stopFiniteLoop = conformance.Check{
	ID: "stop/finite-loop", Title: "a finished stream is not served again from the start",
	Level: result.Should, Clause: "WHATWG HTML 9.2.3", Needs: conformance.Observe,
	Text: "To a client that comes back with Last-Event-ID after the end, the server sends what is new, or answers 204 where nothing will ever be.",
	Why: "A finite answer that is sent anew to each reconnect is processed again every few seconds for as long as a page stays open: doubled records, a " +
		"server that serves nothing but repetitions.",
	Good:     "HTTP/1.1 204 No Content\r\n\r\n",
	Bad:      "id: 1\ndata: the same\n\nid: 2\ndata: as before\n\n(end)",
	Evidence: []string{"stellar-deprecated/horizon#424", "sanity-io/client#1236"},
	Run:      judgeFiniteLoop,
}

func judgeFiniteLoop(ctx context.Context, p *conformance.Probe) {
	conns, ok := streamed(p)
	if !ok {
		return
	}
	first := conns[0]
	if !finished(first) {
		p.NotApplicable("the stream did not end by itself in %s", p.Window())
		return
	}
	before := own(first)
	if len(before) == 0 {
		p.NotApplicable("the stream ended without an event of its own")
		return
	}
	ctx, release, ok := p.Alone(ctx)
	if !ok {
		return
	}
	defer release()
	id := first.LastEventID()
	var again *conformance.Connection
	for try := range 2 {
		r := p.Request()
		r.Header = conformance.WithLastEventID(r.Header, id)
		c := p.Open(ctx, r, 3*time.Second)
		defer c.Close()
		switch {
		case c.Head != nil && c.Head.Status == 204:
			p.Pass("204 for the client that comes back")
			return
		case c.Head == nil:
			p.NotObserved("the stream could not be opened again: %s", conformance.Cause(c.Err))
			return
		case c.Err != nil || c.Head.Status != 200:
			p.Pass("%d for the client that comes back, which ends it", c.Head.Status)
			return
		}
		life, _ := first.Ended()
		until(ctx, c, min(life-first.Timing.Head+time.Second, 4*time.Second), func() bool { return len(own(c)) >= len(before) })
		came := own(c)
		if _, err := c.Ended(); err == nil && len(came) < len(before) && len(came) > 2 && len(came) >= len(before)/2 {
			before = before[:len(came)] // a longer stream is not waited for to its end
		}
		if !sameEvents(before, came) {
			p.Pass("the client that comes back does not get the same events again")
			return
		}
		if again = c; try == 0 {
			id = c.LastEventID()
		}
	}
	if len(before) == 1 && !before[0].IDSet {
		p.Info("the one event of the stream comes again at each reconnect: a state that did not change, or a finished answer without an end").
			Hint("answer 204 once nothing more will come")
		return
	}
	p.Warn("the same %s came again at each of two reconnects", plural(len(before), "event")).
		Hint("after the end answer 204 to a client that comes back, or send only what follows its Last-Event-ID").
		At(first.Evidence(before[0].Start, before[0].End), again.Evidence(own(again)[0].Start, own(again)[0].End))
}

// own returns the events that the run did not publish; an empty one may be ours, for it holds no nonce.
func own(c *conformance.Connection) []conformance.Event {
	var kept []conformance.Event
	for _, e := range c.Events() {
		if len(e.Data) > 0 && conformance.NonceOf(e.Data) == "" {
			kept = append(kept, e)
		}
	}
	return kept
}

// sameEvents tells whether b begins with all of a.
func sameEvents(a, b []conformance.Event) bool {
	if len(b) < len(a) {
		return false
	}
	for i := range a {
		if !bytes.Equal(a[i].Type, b[i].Type) || !bytes.Equal(a[i].Data, b[i].Data) || !bytes.Equal(a[i].ID, b[i].ID) {
			return false
		}
	}
	return true
}
