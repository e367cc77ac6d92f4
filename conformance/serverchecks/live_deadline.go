package serverchecks

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"syscall"
	"time"

	"ssegauge/conformance"
	"ssegauge/reference/sse"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// No clause; WHATWG HTML 9.2.2 lets a client reconnect, and it can only where it notices. Judged on the observed streams. One that ends properly is within its server's
// rights. One that breaks off may be the network's doing: it takes two, at the same age. One that goes deaf stays open, and says nothing while a second stream
// hears: what is published, or what comes by itself and is not what each new stream begins with.
//
// A second stream is opened within the window, and only where there is cause: in a window of 30 s or more what was published near its end did not arrive, or what came
// by itself stopped.
var liveNoDeadline = conformance.Check{
	ID: "live/no-deadline", Title: "the stream is not cut after a fixed time",
	Level: result.Contract, Clause: noClause, Needs: conformance.Long,
	Text: "A stream is still open after 30, 60 and 120 seconds and still hears, or its server ended it between two events.",
	Why: "A write time-out of the whole response, an idle time-out on a path that only one direction uses, a worker that is recycled: the stream is cut within an event, or " +
		"stays open and hears nothing more, which no client notices.",
	Good: "(31 s) data: still here\n\n", Bad: "(30 s) data: last\n\n(for ever) (nothing)",
	Evidence: []string{"modelcontextprotocol/go-sdk#1262", "xdlc-labs/xdlc-agent#71", "stacklok/toolhive#3691"},
	Run:      judgeNoDeadline,
}

const (
	deadlineLeast = 30 * time.Second
	deadlineLast  = 5 * time.Second // of the window: then it is asked whether the stream still hears
	deadlineWait  = 1500 * time.Millisecond
)

// hearing is what was found out about whether the first stream still hears.
type hearing struct {
	at   time.Duration // its age when it last heard
	deaf string        // how it was found deaf; "": it was not
	why  string        // nothing could be found out
}

func judgeNoDeadline(ctx context.Context, p *conformance.Probe) {
	if _, ok := served(p); !ok {
		return
	}
	h := listens(ctx, p)
	conns, ok := streamed(p)
	if !ok {
		return
	}
	if p.Interrupted() {
		p.NotObserved("interrupted")
		return
	}
	if h.deaf != "" {
		p.Fail("the stream stays open and has gone deaf: %s", h.deaf).
			Hint("look for a time-out of the whole response (write time-out), and for a subscription that ends before the stream does")
		return
	}
	first := conns[0]
	at, err := first.Ended()
	age := at - first.Timing.Head
	switch tail, loses := first.Tail(); {
	case err == nil:
	case first.Full():
		p.NotObserved("the stream sends more than the run keeps, so that it was left after %v", ms(age))
		return
	case err == io.EOF && loses && tail.Loses() && age < 2*time.Second:
		p.NotObserved("the server ended the stream after %v, for another reason than its age", ms(age)).Hint("see framing/terminated")
		return
	case err == io.EOF && loses && tail.Loses():
		p.Fail("after %v the server ended the stream within an event", ms(age)).Hint("end it between events").
			At(first.Evidence(tail.Start, int64(len(first.Content()))))
		return
	case err == io.EOF:
		p.Pass("the server ended the stream after %v, properly", ms(age))
		return
	default:
		judgeCut(ctx, p, conns)
		return
	}
	past := first.Until() - first.Timing.Head
	switch {
	case past < deadlineLeast-deadlineLast/5:
		p.NotObserved("open for %v, which is too short to meet a deadline", ms(past)).Hint("--window 35s looks past 30 s, --window 130s past two minutes").By("--window 35s")
	case h.why != "":
		p.NotObserved("open for %v; whether it still hears is not known: %s", ms(past), h.why).Hint("a publish hook (--publish) would decide it").By("--publish")
	default:
		p.Pass("open for %v, and it heard after %v", ms(past), ms(h.at))
	}
}

// cutAgain is how old a stream may have been that broke off for it to be looked at again.
const cutAgain = 10*time.Second + 500*time.Millisecond

// judgeCut judges a first stream that broke off: by those that followed it, or by one more.
func judgeCut(ctx context.Context, p *conformance.Probe, conns []*conformance.Connection) {
	at, err := conns[0].Ended()
	age := at - conns[0].Timing.Head
	again := func(c *conformance.Connection) bool {
		at, err := c.Ended()
		b := at - c.Timing.Head
		if !brokeOff(err) || max(age, b)-min(age, b) > time.Second+age/20 {
			return false
		}
		p.Fail("streams are cut without an end of the response, after %v and again after %v", ms(age), ms(b)).
			Hint("look for a time-out of the whole response (write time-out, proxy time-out) and lift it for streams")
		return true
	}
	if brokeOff(err) && age >= 2*time.Second { // what breaks sooner than that has another reason
		if slices.ContainsFunc(conns[1:], again) {
			return
		}
		if age <= cutAgain {
			ctx, release, ok := p.Alone(ctx)
			if !ok {
				return
			}
			defer release()
			c := p.OpenAwake(ctx, p.Request(), time.Second+2*p.First().RoundTrip())
			defer c.Close()
			if until(ctx, c, age+age/20+time.Second, func() bool { return false }); c.Err == nil && again(c) {
				return
			}
		}
	}
	p.NotObserved("the stream broke off after %v, by the network or by a deadline: %s", ms(age), conformance.Cause(err)).
		Hint("look for a time-out of the whole response, if it does so again")
}

// brokeOff tells that a stream was neither ended properly nor left by us.
func brokeOff(err error) bool {
	if err == nil || err == io.EOF {
		return false
	}
	_, reset := errors.AsType[*wire.ResetError](err)
	return reset || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)
}

// listens finds out, while the first stream is observed, whether it still hears.
func listens(ctx context.Context, p *conformance.Probe) hearing {
	c, open := p.Watched()
	if !open {
		return hearing{}
	}
	if p.Target().Publisher != nil && p.Target().Window >= deadlineLeast {
		if !p.Rest(ctx, p.Left()-deadlineLast) {
			return hearing{}
		}
		if h := asked(ctx, p, c); h.why == "" {
			return h
		}
	}
	return overheard(ctx, p, c)
}

// asked publishes, and again beside a second stream where the first does not hear.
func asked(ctx context.Context, p *conformance.Probe, c *conformance.Connection) hearing {
	s := conformance.NewSearch(nil)
	heard := func(n int, conn *conformance.Connection, s *conformance.Search, within time.Duration) bool {
		for start := time.Now(); s.Look(conn) < n; {
			if _, err := conn.Ended(); err != nil || time.Since(start) > within || !p.Rest(ctx, 20*time.Millisecond) {
				return s.Look(conn) >= n
			}
		}
		return true
	}
	d := p.Post(ctx, 0)
	if !d.Taken() {
		return hearing{why: "the hook published nothing"}
	}
	s.Add(d)
	if heard(1, c, s, deadlineWait) {
		return hearing{at: d.At - c.Timing.Head}
	}
	second := p.OpenAwake(ctx, p.Request(), deadlineWait)
	defer second.Close()
	if second.Err != nil || second.Head.Status != 200 {
		return hearing{why: "what was published did not arrive, and a second stream was not answered"}
	}
	p.Rest(ctx, settled)
	other := conformance.NewSearch(nil)
	for n := range 2 {
		d := p.Post(ctx, 0)
		if !d.Taken() {
			return hearing{why: "the hook published nothing"}
		}
		other.Add(&conformance.Posted{Nonce: d.Nonce})
		s.Add(d)
		if !heard(n+1, second, other, deadlineWait/2) {
			return hearing{why: "what was published did not arrive"}
		}
	}
	switch _, open := p.Watched(); {
	case !open:
		return hearing{}
	case s.Look(c) > 0:
		return hearing{at: c.Until() - c.Timing.Head}
	}
	last := c.Timing.Head
	if ls := c.Lines(); len(ls) > 0 {
		last = ls[len(ls)-1].At
	}
	return hearing{deaf: "nothing came after " + ms(last-c.Timing.Head).String() + "; two events that were published later came on a second stream and not on it"}
}

// overheard goes by what comes by itself: where it stops, a second stream shows whether it stopped for all.
func overheard(ctx context.Context, p *conformance.Probe, c *conformance.Connection) hearing {
	const unknown = "nothing came by itself"
	for p.Left() > deadlineLast/2 {
		if !p.Rest(ctx, time.Second) {
			return hearing{why: unknown}
		}
		if _, open := p.Watched(); !open {
			return hearing{}
		}
		pace, last, ok := paceOf(c)
		if !ok || c.Until()-last < max(4*pace, 4*time.Second) {
			continue
		}
		if h, sure := compared(ctx, p, c, pace); sure {
			return h
		}
		break
	}
	for p.Rest(ctx, time.Minute) {
	}
	pace, last, ok := paceOf(c)
	if !ok || c.Until()-last > 2*pace+time.Second || last-c.Timing.Head < deadlineLeast-max(2*pace, deadlineLast) {
		return hearing{why: unknown}
	}
	return hearing{at: last - c.Timing.Head}
}

// paceOf is the longest pause between what came by itself, of four or more pieces that kept a pace, and when the last came. What the run published is left out.
func paceOf(c *conformance.Connection) (pace, last time.Duration, ok bool) {
	var at []time.Duration
	for _, e := range own(c) {
		at = append(at, e.At)
	}
	for _, l := range c.Natural() {
		if l.Kind == sse.LineComment {
			at = append(at, l.At)
		}
	}
	slices.Sort(at)
	n := 0
	for i := range at {
		if i > 0 && at[i]-at[i-1] > breath {
			pace = max(pace, at[i]-at[i-1])
			n++
		}
		last = at[i]
	}
	return pace, last, n >= 4
}

// compared opens a second stream and tells whether it hears what the first does not.
func compared(ctx context.Context, p *conformance.Probe, c *conformance.Connection, pace time.Duration) (h hearing, sure bool) {
	had := len(c.Lines())
	second := p.Open(ctx, p.Request(), deadlineWait)
	defer second.Close()
	if second.Err != nil || second.Head.Status != 200 {
		return hearing{}, false
	}
	// What a new stream begins with proves nothing: it has to hear at least twice after that, each time a little apart.
	until := time.Now().Add(min(3*pace+time.Second, p.Left()-time.Second))
	for time.Now().Before(until) && p.Rest(ctx, 100*time.Millisecond) {
		if len(c.Lines()) > had {
			return hearing{}, false
		}
	}
	apart := 0
	last := second.Timing.Head + breath
	for _, l := range second.Lines() {
		if l.At-last > breath {
			apart++
		}
		last = max(last, l.At)
	}
	if _, open := p.Watched(); !open || len(c.Lines()) > had || apart < 2 || again(c, second) {
		return hearing{}, false
	}
	at := c.Lines()[had-1].At
	return hearing{deaf: "nothing came after " + ms(at-c.Timing.Head).String() + ", while a second stream heard what comes by itself"}, true
}

// again tells that the second stream is given what the first was: each has its own, which may be over.
func again(first, second *conformance.Connection) bool {
	n := min(len(first.Events()), len(second.Events()))
	if n == 0 {
		return true
	}
	for i, e := range second.Events()[:n] {
		if !bytes.Equal(e.Data, first.Events()[i].Data) {
			return false
		}
	}
	return true
}
