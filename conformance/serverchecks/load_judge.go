package serverchecks

import (
	"context"
	"fmt"

	"ssegauge/conformance"
	"ssegauge/reports/result"
)

// No clause. One stream is opened and not read, and more is published than what lies between can swallow. Blame needs proof: the other stream stands still for
// two seconds and goes on when the one that is not read is closed, twice.
var loadIsolation = conformance.Check{
	ID: "load/isolation", Title: "a slow reader slows no other",
	Level: result.Should, Clause: noClause, Needs: conformance.Many | conformance.Publish, Turn: conformance.Flood,
	Text: "While one client does not read, events arrive on the streams of the others, and publishing goes on.",
	Why: "A phone in a tunnel stops reading. Where the server writes to its subscribers in turn and waits for each, that one client silences all others, and whoever " +
		"publishes.",
	Good: "c1: (not read)\n\nc2: data: 1\n\ndata: 2\n\n", Bad: "c1: (not read)\n\nc2: (nothing until c1 is closed)",
	Evidence: []string{"ralscha/sse-eventbus#32"},
	Run:      judgeIsolation,
}

// No clause; the mirror of what clients owe (IANA considerations of text/event-stream). What the server does with a slow reader is its choice, and told: it keeps
// everything, it ends the stream, it leaves something out. Left out without a word is a fault: a later event arrives, the client cannot know of the ones before. A word
// is an event or comment of the server's own at that place, or ids from which the gap shows. How much memory the server takes does not show on the wire.
var loadSlowPolicy = conformance.Check{
	ID: "load/slow-policy", Title: "a slow reader is told what it missed",
	Level: result.Advice, Clause: noClause, Needs: conformance.Many | conformance.Publish, Turn: conformance.Flood,
	Text: "A client that reads too slowly gets every event, or its stream is ended so that it comes back with its id, or it is told that something was left out.",
	Why: "Queues without a bound take the server down with its slowest client. Queues that drop in silence leave a page that looks alive and is wrong, and no reconnect " +
		"repairs it.",
	Good: "id: 7\ndata: x\n\nevent: gap\ndata: 40 left out\n\nid: 48\ndata: y\n\n", Bad: "data: x\n\n(40 events are missing)\n\ndata: y\n\n",
	Evidence: []string{"sst/opencode#19423", "OpenCTI-Platform/opencti#13908", "IBM/mcp-context-forge#1682"},
	Run:      judgeSlowPolicy,
}

func judgeIsolation(ctx context.Context, p *conformance.Probe) {
	s, release, ok := slowOf(ctx, p)
	if !ok {
		return
	}
	defer release()
	last := s.rounds[len(s.rounds)-1]
	switch {
	case last.stalled && !last.resumed:
		p.NotObserved("%s, and nothing more after the stream that was not read was closed", last)
	case last.stalled:
		p.Fail("a client that does not read holds up the others: %s; then %s; each time it went on when that stream was closed", s.rounds[0], last).
			Hint("write to each subscriber from a task of its own, with a bounded queue and a deadline for its writes")
	case last.volume() < last.slack:
		p.NotObserved("only %s of %d KiB could be published in time: buffers may have swallowed them", plural(len(last.posts), "event"), last.size>>10).
			Hint("a faster publish hook, or larger events (--active), would decide it").By("--active")
	default:
		p.Pass("%s of %d KiB arrived beside a stream that was not read", plural(len(last.posts), "event"), last.size>>10)
	}
}

func judgeSlowPolicy(ctx context.Context, p *conformance.Probe) {
	s, release, ok := slowOf(ctx, p)
	if !ok {
		return
	}
	defer release()
	r := s.rounds[len(s.rounds)-1]
	n := plural(len(r.posts), "event")
	volume := fmt.Sprintf("%d KiB", r.volume()>>10)
	switch {
	case r.stalled:
		p.NotObserved("the stream beside it stood still").Hint("see load/isolation")
	case r.slow == nil:
		p.NotObserved("the time for this check ran out").Hint("--only load/slow-policy decides it")
	case len(r.missed) == 0:
		p.Info("a client that did not read for a while got all of %s (%s) afterwards: what it waits for is kept, up to a bound that this did not reach", n, volume).
			Hint("bound the queue of each subscriber, and end the stream of one whose queue is full: it comes back with its id")
	case r.ended:
		p.Info("the stream of a client that did not read was ended, with %d of %s missing: it comes back with its id", len(r.missed), n)
	case !r.after:
		p.NotObserved("of %s %d did not arrive on the stream that was not read, and nothing after them", n, len(r.missed))
	default:
		r.judgeGap(p)
	}
}
