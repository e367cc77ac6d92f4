package serverchecks

import (
	"context"
	"fmt"
	"slices"
	"time"

	"ssegauge/conformance"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// No clause; WHATWG HTML 9.2.1 and 9.2.7 presuppose it. Small events are published half a second apart, whether or not they arrive. Held back is only
// what is proved to be: it arrives, in company of later ones, and later than the path and the hook explain. Nothing is said of events that never
// arrive: the hook may publish to another channel.
var liveUnbuffered = conformance.Check{
	ID: "live/unbuffered", Title: "each event is delivered when it is published",
	Level: result.Contract, Clause: noClause, Needs: conformance.Publish,
	Text: "Small events published half a second apart arrive one by one as they are published, not in batches.",
	Why: "A buffer between the handler and the network (of the framework, of a compressor, of a proxy) turns a live stream into one that says nothing for " +
		"minutes and then everything at once. It does not show in development, where there is no proxy.",
	Good:     "(0.5 s) data: 1\n\n(1.0 s) data: 2\n\n(1.5 s) data: 3\n\n",
	Bad:      "(1.5 s) data: 1\n\ndata: 2\n\ndata: 3\n\n",
	Evidence: []string{"nginx/nginx#1505", "soliplex/soliplex#682", "tower-rs/tower-http#419", "dpskvn/express-sse#26"},
	Run:      judgeUnbuffered,
}

const (
	seriesLen   = 10
	seriesGap   = 500 * time.Millisecond
	seriesWait  = 1500 * time.Millisecond // for the last ones
	seriesFlood = 72 << 10                // bytes that are published to make a buffer overflow
	constant    = 100 * time.Millisecond  // what a delay has to be to be called one
)

// series is the one series of a run.
func series(ctx context.Context, p *conformance.Probe) ([]*conformance.Posted, error) {
	type outcome struct {
		posts []*conformance.Posted
		err   error
	}
	o := p.Once("series", func() any {
		posts, err := p.Series(ctx, seriesLen, seriesGap, seriesWait, seriesFlood)
		return outcome{posts, err}
	}).(outcome)
	return o.posts, o.err
}

// pathCost is what a request and its answer cost: the wait for a head holds what the network, a proxy and the server take, and a buffer that holds
// heads is not to excuse one that holds events.
func pathCost(p *conformance.Probe) time.Duration {
	cost := 2 * p.First().RoundTrip()
	if wait, ok := p.First().Wait(); ok {
		cost = max(cost, min(wait, time.Second))
	}
	return cost
}

func judgeUnbuffered(ctx context.Context, p *conformance.Probe) {
	posts, err := series(ctx, p)
	if err != nil {
		unjudged(p, err)
		return
	}
	arrived := came(posts)
	if len(arrived) < 3 {
		p.NotObserved("only %d of %s arrived in time, too few to tell", len(arrived), plural(len(posts), "event")).Hint("a longer --window may decide it").By("--window")
		return
	}
	budget := seriesGap/2 + constant + pathCost(p)
	// A batch is several events in one breath of which the first are late. One late event may be anybody's fault; it takes two batches, or all in one.
	late, batches, alone := 0, 0, 0
	var longest time.Duration
	var at []result.Evidence
	for i := 0; i < len(arrived); {
		n := i + 1
		for n < len(arrived) && arrived[n].Conn == arrived[i].Conn && arrived[n].At-arrived[n-1].At <= 5*time.Millisecond {
			n++
		}
		held := 0
		for _, d := range arrived[i:n] {
			if l := d.Late(); l > budget {
				held++
				longest = max(longest, l)
			}
		}
		switch {
		case n-i > 1 && held > 0:
			batches++
			late += held
			if len(at) < 3 {
				at = append(at, arrived[i].Conn.Evidence(arrived[i].Line.Start, arrived[n-1].Line.End))
			}
		case held == 1 && behind(arrived[i]):
			alone++
			longest = max(longest, arrived[i].Late())
		}
		i = n
	}
	const hint = "flush after each event; switch off buffering and compression of text/event-stream in every layer in front (nginx: proxy_buffering off)"
	first := arrived[0]
	size := first.Conn.Content()[:batchEnd(arrived)]
	switch {
	case batches > 0 && late >= 3 && (batches == 1 && late >= len(arrived)/3 && first.Late() > budget || size4k(len(size)) && first.Late() > budget):
		p.Fail("nothing came until %s had gathered: the first event was %v late%s", gathered(len(size)), ms(first.Late()), coded(p, first.Conn)).Hint(hint).At(at...)
	case batches > 1 && late >= 3:
		p.Fail("events come in batches: %d of %d were late, by up to %v%s", late, len(arrived), ms(longest), coded(p, first.Conn)).Hint(hint).At(at...)
	case oneLate(posts, arrived, budget):
		p.Fail("each event comes only with the next one, up to %v late%s", ms(longest), coded(p, first.Conn)).Hint(hint).At(at...)
	case late+alone > len(arrived)/2:
		p.NotObserved("%d of %d events were late, by up to %v, but not in batches: a slow path or a busy machine does that too", late+alone, len(arrived), ms(longest)).
			Hint("see live/delay")
	default:
		p.Pass("%s half a second apart, each by itself", plural(len(arrived), "event"))
	}
}

// came returns the posts that arrived, in the order of arrival.
func came(posts []*conformance.Posted) []*conformance.Posted {
	var arrived []*conformance.Posted
	for _, d := range posts {
		if d.Conn != nil {
			arrived = append(arrived, d)
		}
	}
	slices.SortStableFunc(arrived, func(a, b *conformance.Posted) int {
		return a.Conn.Timing.Start.Add(a.At).Compare(b.Conn.Timing.Start.Add(b.At))
	})
	return arrived
}

// behind tells that the event did not come alone, but right before something published or sent later.
func behind(d *conformance.Posted) bool {
	for _, e := range d.Conn.Events() {
		if e.Start > d.Line.Start && e.Start > d.Line.End {
			return e.At-d.At <= 5*time.Millisecond
		}
	}
	return false
}

// oneLate tells that each event but the last ones came when the next was published, and not before.
func oneLate(posts, arrived []*conformance.Posted, budget time.Duration) bool {
	if last := posts[len(posts)-1]; last.Conn != nil && last.Late() < 2*seriesGap {
		return false // nothing followed it, and it came
	}
	matched := 0
	for i := range len(arrived) - 1 {
		a, next := arrived[i], arrived[i+1]
		came := a.Conn.Timing.Start.Add(a.At)
		if a.Late() > seriesGap/2 && !came.Before(next.Receipt.Sent) && came.Before(next.Receipt.Done.Add(budget)) {
			matched++
		}
	}
	return matched >= 4 && matched >= (len(arrived)-1)*3/4
}

// batchEnd is how much content had come with the first batch.
func batchEnd(arrived []*conformance.Posted) int64 {
	end := arrived[0].Line.End
	for _, l := range arrived[0].Conn.Lines() {
		if l.At-arrived[0].At <= 5*time.Millisecond {
			end = max(end, l.End)
		}
	}
	return end
}

// size4k tells that n bytes are about what a buffer of a usual size holds.
func size4k(n int) bool { return nearest(n) > 0 }

func nearest(n int) int {
	for _, k := range []int{4, 8, 16, 32, 64} {
		if full := k << 10; n >= full-512 && n <= full+2560 { // the last event may not have fitted, and a head may count
			return k
		}
	}
	return 0
}

func gathered(n int) string {
	if k := nearest(n); k > 0 {
		return fmt.Sprintf("%d KiB", k)
	}
	return plural(n, "byte")
}

// coded names the content coding that the stream has.
func coded(p *conformance.Probe, c *conformance.Connection) string {
	if coding := c.Head.Header.Get("Content-Encoding"); !wire.Uncoded(coding) {
		return fmt.Sprintf(" (under %s; --only http/content-encoding/flush compares)", result.Escape(coding))
	}
	return ""
}
