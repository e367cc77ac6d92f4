package serverchecks

import (
	"context"
	"fmt"
	"time"

	"ssegauge/conformance"
)

// secondWithoutHook compares two streams of a target that speaks by itself.
func secondWithoutHook(ctx context.Context, p *conformance.Probe) {
	ctx, release, pace, ok := talkative(ctx, p)
	if !ok {
		return
	}
	defer release()
	deaf := 0
	var told string
	for try := range 2 {
		two := thePair(ctx, p, pace)
		if try > 0 {
			two = openPair(ctx, p, pace)
		}
		if two.why != "" {
			p.NotObserved("%s", two.why)
			return
		}
		a, b := len(two.older.Events())-two.heard[0], len(two.newer.Events())-two.heard[1]
		_, ended := two.older.Ended()
		told = fmt.Sprintf("%s on the older, %d on the newer", plural(a, "event"), b)
		if two.older.Full() || two.newer.Full() {
			p.NotObserved("the streams send more than the run keeps: %s", told)
			return
		}
		if ctx.Err() != nil || ended != nil {
			p.NotObserved("the streams could not be compared to the end: %s", told)
			return
		}
		if a > 0 || b < 2 {
			break
		}
		deaf++
	}
	switch {
	case deaf == 2:
		p.Fail("an older stream stays open and hears nothing once there is a newer one: %s, twice", told).
			Hint("keep every subscriber; do not put the newest in the place of the one before")
	case told[0] == '0':
		p.NotObserved("nothing came on the older stream: %s", told).Hint("a publish hook (--publish) would decide it").By("--publish")
	default:
		p.Pass("both streams hear events: %s", told)
	}
}

// talkative takes the turn alone where two streams of a target can be compared that speaks by itself; pace is how often it does.
func talkative(ctx context.Context, p *conformance.Probe) (_ context.Context, release func(), pace time.Duration, ok bool) {
	conns, ok := lasting(p)
	if !ok {
		return nil, nil, 0, false
	}
	evs := conns[0].Events()
	if len(evs) < 4 || conns[0].Until()/time.Duration(len(evs)) > 2*time.Second {
		p.NotObserved("too few events come by themselves to compare two streams").Hint("a publish hook (--publish) would decide it").By("--publish")
		return nil, nil, 0, false
	}
	ctx, release, ok = p.Alone(ctx)
	return ctx, release, conns[0].Until() / time.Duration(len(evs)), ok
}

// pair is two streams on one URL, both closed by now. The second was opened when the first had heard something, so that what counts in a connection differs between
// them.
type pair struct {
	why          string
	older, newer *conformance.Connection
	heard        [2]int // events on each when both were open
}

// thePair is the one pair of a run; the caller has the target for itself.
func thePair(ctx context.Context, p *conformance.Probe, pace time.Duration) *pair {
	return p.Once("pair", func() any { return openPair(ctx, p, pace) }).(*pair)
}

// pairEvents is how many events a pair is given to hear.
const pairEvents = 3

// openPair opens two streams, and publishes, or waits for what comes every so often, on both.
func openPair(ctx context.Context, p *conformance.Probe, pace time.Duration) *pair {
	two := &pair{}
	more := func(n int, conns ...*conformance.Connection) {
		had := make([]int, len(conns))
		for i, c := range conns {
			had[i] = len(c.Events())
		}
		enough := func(n int) func() bool {
			return func() bool {
				for i, c := range conns {
					if len(c.Events()) < had[i]+n {
						return false
					}
				}
				return true
			}
		}
		if p.Target().Publisher == nil {
			until(ctx, conns[0], min(time.Duration(n+1)*pace+500*time.Millisecond, 4*time.Second), enough(n))
			return
		}
		for i := range n {
			if !p.Post(ctx, 0).Taken() {
				return
			}
			until(ctx, conns[0], time.Second, enough(i+1))
		}
	}
	crowd, why := openCrowd(ctx, p, 1)
	defer func() { closeAll(crowd) }()
	if two.why = why; why != "" {
		return two
	}
	two.older = crowd[0]
	more(1, two.older)
	second, why := openCrowd(ctx, p, 1)
	crowd = append(crowd, second...)
	if why != "" {
		two.why = "a second stream on the same URL was not answered while another one was open"
		return two
	}
	two.newer = second[0]
	two.heard = [2]int{len(two.older.Events()), len(two.newer.Events())}
	more(pairEvents, two.older, two.newer)
	return two
}
