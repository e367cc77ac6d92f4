package serverchecks

import (
	"context"
	"fmt"
	"math"
	"time"

	"ssegauge/conformance"
	"ssegauge/reports/result"
)

// No clause. Fifty streams are opened beside what there is and left again, with FIN and with RST, and the target's own gauge is watched. A server that finds
// out at its next write is right too: with a hook something is published meanwhile, without one it has two heartbeats. Whoever else comes and goes moves
// the gauge as well: what stays is blamed from half of the fifty on.
//
// A client that falls silent, its packets lost, sends neither. To the server that looks like one that does not read: it is acknowledged until the buffers are
// full. No right server needs to notice within two heartbeats (TCP takes minutes), so what the gauge says then is only told.
var lifecycleClientClose = conformance.Check{
	ID: "lifecycle/client-close", Title: "a client that leaves is let go",
	Level: result.Should, Clause: noClause, Needs: conformance.Gauge, Turn: conformance.Flood,
	Text: "After 50 clients closed their connections, or broke them off, the number of streams that the server counts is back where it was within two heartbeats.",
	Why: "A handler that never hears of its client's end keeps a goroutine, a socket and a subscription for each page that was ever open. The server fills up in days, " +
		"and each event is written to thousands of dead streams.",
	Good: "streams 3\n\n(50 more open) streams 53\n\n(they leave) streams 3", Bad: "streams 3\n\n(50 more open) streams 53\n\n(they leave) streams 53",
	Evidence: []string{"gmux#243", "valyala/fasthttp#422", "einaros/sse.js#9", "mark3labs/mcp-go#152"},
	Run:      judgeClientClose,
}

const (
	guestCount  = 50
	silentCount = 10
	guestWrites = 3 * time.Second // with a hook: time for several writes
)

func judgeClientClose(ctx context.Context, p *conformance.Probe) {
	if !p.Require(conformance.Gauge) {
		return
	}
	p.Apart()
	if _, ok := lasting(p); !ok {
		return
	}
	beat, known := ownBeat(p)
	ctx, release, ok := p.Alone(ctx)
	if !ok {
		return
	}
	defer release()
	if p.Remembers(oneStream) {
		p.NotObserved(oneStream)
		return
	}
	n := guestCount
	if c := p.Target().Declared.Capacity; c > 0 {
		n = max(1, min(n, c/2))
	}
	var told string
	for _, abruptly := range []bool{false, true} {
		how := "with FIN"
		if abruptly {
			how = "with RST"
		}
		v, ok := stay(ctx, p, n, abruptly)
		switch {
		case !ok:
			return
		case v.left <= v.few():
			if told != "" {
				told += ", "
			}
			told += fmt.Sprintf("of %d that left %s none were counted after %v", v.came, how, ms(v.took))
		case p.Target().Publisher == nil && (!known || v.took < 2*beat):
			p.NotObserved("of %d streams whose clients left %s, %.0f were still counted after %v: a server may notice only as it next writes",
				v.came, how, v.left, ms(v.took)).Hint("with a publish hook it can be made to write").By("--publish")
			return
		case v.left < float64(v.came)/2:
			p.Warn("of %d streams whose clients left %s, %.0f were still counted after %v", v.came, how, v.left, ms(v.took)).
				Hint("end the handler and give back its subscription when the request's context is done or a write fails")
			return
		default:
			p.Fail("of %d streams whose clients left %s, %.0f were still counted after %v", v.came, how, v.left, ms(v.took)).
				Hint("end the handler and give back its subscription when the request's context is done or a write fails")
			return
		}
	}
	p.Pass("%s%s", told, fellSilent(ctx, p, min(n, silentCount), min(2*beat, 500*time.Millisecond)))
}

// ownBeat is how often something comes by itself, as declared or as seen; known is false where too little came to say.
func ownBeat(p *conformance.Probe) (beat time.Duration, known bool) {
	if d := p.Target().Declared.Heartbeat; d > 0 {
		return d, true
	}
	c := p.First()
	last := c.Timing.Head
	ls := c.Lines()
	for _, l := range ls {
		beat, last = max(beat, l.At-last), l.At
	}
	if len(ls) < 4 || beat < breath {
		return 15 * time.Second, false
	}
	return max(beat, c.Until()-last), true
}

// stayed is what the gauge said of streams that came and left.
type stayed struct {
	came int
	left float64 // above what was counted before
	took time.Duration
}

// few is how many may come and go by themselves meanwhile.
func (v *stayed) few() float64 { return math.Max(1, float64(v.came)/10) }

// stay opens n streams, lets them go and watches the gauge until they are gone or the time is up; where it cannot, it has reported why.
func stay(ctx context.Context, p *conformance.Probe, n int, abruptly bool) (*stayed, bool) {
	before, err := p.Gauge(ctx)
	if err != nil {
		p.NotObserved("the gauge cannot be read: %s", conformance.Cause(err)).By("--gauge-url")
		return nil, false
	}
	g := p.Guests(ctx, n, 3*time.Second+2*p.First().RoundTrip())
	defer g.Leave(true)
	v := &stayed{came: g.Here()}
	if v.came < min(5, n) {
		p.NotObserved("of %d streams that were asked for at once only %d were opened", n, v.came)
		return nil, false
	}
	if up := read(ctx, p, before, 2*time.Second, func(v float64) bool { return v >= before+0.8*float64(g.Here()) }); up < before+0.8*float64(v.came) {
		p.NotObserved("the gauge said %.0f before and %.0f after %d streams were opened: it counts something else", before, up, v.came).By("--gauge-url")
		return nil, false
	}
	g.Leave(abruptly)
	start := time.Now()
	within := time.Until(deadline(ctx)) - time.Second
	if p.Target().Publisher != nil {
		within = min(within, 2*guestWrites)
	}
	gone := func(now float64) bool { return now-before <= v.few() }
	after := read(ctx, p, before, within, gone)
	v.left, v.took = max(0, after-before), time.Since(start)
	if ctx.Err() != nil {
		p.NotObserved("the time for this check ran out")
		return nil, false
	}
	return v, true
}

// read reads the gauge until done, or until the time is up. Half a second after the start it begins to publish, where it can, so that the target has to write.
func read(ctx context.Context, p *conformance.Probe, was float64, within time.Duration, done func(float64) bool) float64 {
	start := time.Now()
	for {
		if now, err := p.Gauge(ctx); err == nil {
			if was = now; done(now) {
				return now
			}
		}
		if time.Since(start) >= within || ctx.Err() != nil {
			return was
		}
		if p.Target().Publisher != nil && time.Since(start) > 500*time.Millisecond {
			p.Post(ctx, 0)
		}
		pause(ctx, 200*time.Millisecond)
	}
}

// fellSilent tells what the gauge says of clients that neither read nor leave.
func fellSilent(ctx context.Context, p *conformance.Probe, n int, within time.Duration) string {
	before, err := p.Gauge(ctx)
	if err != nil || time.Until(deadline(ctx)) < within+time.Second {
		return ""
	}
	silent := 0
	for range n {
		c, _ := p.Deaf(ctx, time.Second+2*p.First().RoundTrip())
		defer c.Close()
		if c.Err != nil || c.Head.Status != 200 {
			break
		}
		silent++
	}
	if silent == 0 {
		return ""
	}
	after := read(ctx, p, before, within, func(float64) bool { return false })
	return fmt.Sprintf("; of %d that only fell silent %.0f still were after %v, and TCP alone takes minutes to notice", silent, max(0, after-before), ms(within))
}

// deadline is when ctx ends at the latest.
func deadline(ctx context.Context) time.Time {
	at, ok := ctx.Deadline()
	if !ok {
		return time.Now().Add(time.Minute)
	}
	return at
}
