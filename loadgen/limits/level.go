package limits

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"ssegauge/loadgen"
	"ssegauge/loadgen/plan"
	"ssegauge/reports/result"
)

// level is a stage: so many streams at once, opened at planned times, held, and published to where there is a hook.
type level struct {
	streams int
	pace    float64       // streams opened a second, at most
	ramp    time.Duration // the opening takes at least so long
	hold    time.Duration // from when the last was due
	// patience is how long a stream may wait for its head from when it was due; what waits longer has failed.
	patience time.Duration
	settle   time.Duration // after the last was due, and once more, nothing is published
	bound    time.Duration // that the p99 of delivery is to keep
	publish  bool          // events are published
	deliver  bool          // they must all come, in time
	exact    bool          // every stream must open; else 99.9 % of them
	mortal   bool          // streams end by themselves at some age: it is enough that so many were open at one time
}

// At most so many events a stage, at least so few, and so many deliveries a second: what delivers them is not to be measured, but that it does.
const (
	levelMost, levelLeast = 40, 5
	levelDeliveries       = 20_000
)

// opening is how long the streams take to be due.
func (v *level) opening() time.Duration {
	return max(v.ramp, time.Duration(float64(v.streams)/v.pace*float64(time.Second)))
}

// takes is how long the stage takes, if all is well.
func (v *level) takes() time.Duration {
	d := v.opening() + v.hold + 200*time.Millisecond
	if v.publish {
		d += 2*v.settle + v.bound
	}
	return d
}

// set makes a plan that of the stage.
func (v *level) set(p *plan.Plan) {
	p.Streams, p.Ramp, p.Hold = v.streams, v.opening(), v.hold
	if p.Timeout == 0 || p.Timeout > v.patience {
		p.Timeout = v.patience
	}
	p.Finite = new(false)
	if !v.publish {
		p.Publish = nil
		return
	}
	seconds := v.hold.Seconds()
	p.Publish.Rate = plan.Rate(min(levelMost/seconds, max(levelLeast/seconds, levelDeliveries/float64(v.streams))))
	p.Publish.Settle, p.Publish.Deadline = v.settle, 2*v.bound
}

// trial is how a stage went.
type trial struct {
	level
	holds   bool
	served  int    // streams that were open at one time
	why     string // it does not hold: what was seen
	owner   string // and whose it is
	waiting bool   // some had no answer yet when the stage ended
	// What keeps it from holding is that streams did not open; else, that some ended before their time; else, what was delivered.
	closed, ended, missed bool
	// told: those that did not open were refused in so many words, by the target or by this machine's system, whatever the pace of the measurement.
	told bool
	// crowded: no processor of this machine was free, though it is not this process that had them all. If the target runs here too, what took too long may be both's doing.
	crowded bool
	unfit   string // why this machine may be why it does not hold, rather than the target; "": it is not
	wall    *loadgen.LimitError
}

// try runs the stage and judges it. An error is ctx's, and the trial is nothing then.
func (s *Session) try(ctx context.Context, v level) (trial, error) {
	l, err := s.stage(ctx, v.set)
	if ctx.Err() != nil {
		return trial{}, context.Cause(ctx)
	}
	var wall *loadgen.LimitError
	var away *loadgen.UnreachableError
	switch {
	case errors.As(err, &wall):
		return trial{level: v, why: wall.Error(), owner: result.OwnerGenerator, wall: wall}, nil
	case errors.As(err, &away):
		f := printOf(away.Err)
		if c := result.Explain(away.Err.Error()); c.Owner != "" {
			f = ofCause(c.Text)
		}
		return trial{level: v, why: "no stream could be opened: " + f.Says, owner: f.Owner}, nil
	case err != nil:
		return trial{level: v, why: err.Error(), owner: result.OwnerGenerator}, nil
	}
	o := v.judge(l)
	s.curve = append(s.curve, v.rung(l, o.holds))
	return o, nil
}

// As a load run writes them: the cause of an opening that was under way at its end, and the verdict on a measurement that is none.
const (
	unanswered = "head: none by the end of the run"
	invalid    = "invalid"
)

// refusals are causes in which the target said no, or nobody was there to say anything.
var refusals = []string{"head: status ", "head: content ", "head: no content type", "connect: connection refused", "h2: REFUSED_STREAM", "h2: PROTOCOL_ERROR", "h2: ENHANCE_YOUR_CALM", "h2: GOAWAY"}

// judge tells whether the stage held, and if not whose doing that is.
func (v level) judge(l *result.Load) trial {
	o := trial{level: v, served: l.Streams.Peak}
	if !v.mortal {
		o.served = max(0, min(o.served, l.Streams.Opened-l.Streams.ClosedByServer))
	}
	var opening, ending result.Cause // the commonest of each
	refused := 0
	for _, c := range l.Causes() {
		switch {
		case strings.HasPrefix(c.Text, "publish: "):
		case strings.HasPrefix(c.Text, "closed: "):
			if ending.Count == 0 {
				ending = c
			}
		case c.Owner == result.OwnerGenerator:
			o.why, o.owner = fmt.Sprintf("%d of %d streams failed to open (%s)", c.Count, v.streams, ofCause(c.Text).Says), c.Owner
			o.closed, o.told = true, true
			return o
		default:
			refused += c.Count
			if opening.Count == 0 {
				opening = c
			}
		}
	}
	o.waiting = l.Streams.Failures[unanswered] > 0
	allowed := v.streams / 1000
	if v.exact {
		allowed = 0
	}
	lost, p99 := int64(0), time.Duration(0)
	if v.deliver {
		lost, p99 = l.Events.Lost, delivered99(l)
	}
	switch {
	case refused > allowed:
		f := ofCause(opening.Text)
		o.closed = true
		for _, r := range refusals {
			o.told = o.told || strings.HasPrefix(opening.Text, r)
		}
		// A cause that alone tells no owner was met at the other end of an open way: it is the target's, or of what stands for it.
		o.owner = f.Owner
		if o.owner == "" {
			o.owner = result.OwnerTarget
		}
		o.why = fmt.Sprintf("%d of %d streams failed to open (%s)", refused, v.streams, f.Says)
		if n, all := retransmitted(l); n > 0 && !o.told {
			o.why += fmt.Sprintf("; %d of %d connections took 1, 3 or 7 s longer than others: their requests were dropped and sent again, as where the queue of connections to accept is full", n, all)
		}
	case v.mortal && o.served < v.streams-allowed:
		o.why, o.owner, o.ended = fmt.Sprintf("%d of %d streams were open at one time: they end by themselves sooner than all are opened", o.served, v.streams), result.OwnerTarget, true
	case !v.mortal && l.Streams.ClosedByServer > 0:
		f := ofCause(ending.Text)
		o.why, o.owner, o.ended = fmt.Sprintf("%d of %d streams ended before their time (%s)", l.Streams.ClosedByServer, v.streams, f.Says), f.Owner, true
		if o.owner == "" {
			o.owner = result.OwnerTarget
		}
	case lost > 0:
		o.why, o.owner, o.missed = fmt.Sprintf("%d of %d deliveries to %d streams did not come within %s", lost, l.Events.Eligible, v.streams, 2*v.bound), result.OwnerTarget, true
	case p99 > v.bound:
		o.why, o.owner, o.missed = fmt.Sprintf("the p99 of delivery to %d streams was %s, beyond %s", v.streams, result.Micros(float64(p99.Microseconds())), v.bound), result.OwnerTarget, true
	default:
		o.holds = true
		return o
	}
	// What was answered was answered; what only took too long may have done so here.
	if !o.told {
		if why, ours := v.disturbed(l); ours {
			o.owner, o.unfit = result.OwnerGenerator, why
		}
		o.crowded = o.owner == result.OwnerTarget && shared(l)
	}
	return o
}

// disturbed tells whether this machine is why a stage took too long: the measurement calls itself invalid, or this process had not the processors that it wanted. A run of which
// nothing came is called invalid too; that is no sign of it.
func (v *level) disturbed(l *result.Load) (why string, ours bool) {
	nothing := l.Streams.Opened == 0 || l.Streams.ClosedByServer >= l.Streams.Opened || v.publish && (l.Events.Published == 0 || l.Events.Eligible == l.Events.Lost)
	if l.Validity.Verdict == invalid && !nothing && len(l.Validity.Reasons) > 0 {
		return l.Validity.Reasons[0], true
	}
	above := func(share *float64, limit float64) bool { return share != nil && *share > limit }
	switch m := l.Generator.Machine; {
	case m == nil:
	case m.Own > 0.8:
		return fmt.Sprintf("this process used %.0f %% of the processors", 100*m.Own), true
	case above(m.Steal, 0.05):
		return fmt.Sprintf("its host took %.0f %% of the processors' time", 100**m.Steal), true
	case above(m.Throttled, 0.02):
		return fmt.Sprintf("a quota held this process back in %.0f %% of the time", 100**m.Throttled), true
	}
	return "", false
}

// shared tells whether for most of the time no processor was free, though it is not this process that used them all.
func shared(l *result.Load) bool {
	m := l.Generator.Machine
	return m != nil && m.Full != nil && *m.Full > 0.5
}

// delivered99 is the 99th percentile of all deliveries. They are of few events, too few for what a load run calls its p99; a stage asks only whether they came in time.
func delivered99(l *result.Load) time.Duration {
	h, err := l.LatencyUS["deliver"].Hist()
	if err != nil || h == nil {
		return 0
	}
	return time.Duration(h.ValueAtPercentile(99)) * time.Microsecond
}

// retransmitted counts the connections that took longer than the quickest by as much as it takes until a request for one is sent again: 1, 3, 7 s, and on newer systems each
// second in between. It is 0 unless most of those that took long did so: of all.
func retransmitted(l *result.Load) (n, all int64) {
	h, err := l.LatencyUS["tcp_connect"].Hist()
	if err != nil || h == nil {
		return 0, 0
	}
	const near = 0.1 // s
	long := int64(0)
	for _, bar := range h.Distribution() {
		late := float64(bar.From-h.Min()) / 1e6
		if bar.Count == 0 || late < 1-near {
			continue
		}
		long += bar.Count
		switch k := math.Round(late); {
		case math.Abs(late-k) > near:
		case k <= 5 || k == 7 || k == 15:
			n += bar.Count
		}
	}
	if n < 3 || 2*n < long {
		return 0, h.TotalCount()
	}
	return n, h.TotalCount()
}

// rung is the stage as a report shows it.
func (v *level) rung(l *result.Load, holds bool) result.Rung {
	failed := l.Streams.Failed + l.Streams.ClosedByServer
	r := result.Rung{
		Streams: v.streams, Opened: l.Streams.Opened, Failed: failed, Validity: l.Validity.Verdict, Holds: holds, EventsPerSecond: v.perSecond(l),
		OpenP99US: l.LatencyUS["open"].Beyond(0.99, int64(l.Streams.Failed)),
	}
	if d := l.LatencyUS["deliver"]; v.publish && d != nil {
		r.Lost = l.Events.Lost
		r.DeliverP50US, r.DeliverP99US = d.Beyond(0.5, d.Never), d.Beyond(0.99, d.Never)
	}
	return r
}

// perSecond is how many events a second were delivered, over all streams, while the stage was held.
func (v *level) perSecond(l *result.Load) float64 {
	if v.publish {
		return float64(l.Events.Eligible-l.Events.Lost) / v.hold.Seconds()
	}
	return float64(l.Events.Received) / (v.opening()/2 + v.hold).Seconds()
}
