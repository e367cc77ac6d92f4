package serverchecks

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"ssegauge/conformance"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// WHATWG HTML 9.2.7 speaks of what browsers limit; no clause says how many streams a server has to hold. A server of one stream at a time is within its rights,
// and its operator is to know: that there are fewer than one more than a browser opens is told, how many there can be is what `load` and `limits` measure.
//
// Two are opened first: a server that serves one at a time is not to be left with a queue of seven.
var loadMany = conformance.Check{
	ID: "load/many", Title: "many streams are served at once",
	Level: result.Advice, Clause: "WHATWG HTML 9.2.7", Needs: conformance.Many, Turn: conformance.Flood,
	Text: "Eight streams that are open at once are all served. How many more there can be is measured by 'ssegauge load' and 'ssegauge limits'.",
	Why: "A worker for each stream, a pool of a few, a limit of a proxy: a stream takes its place for hours. It works on the developer's machine, and the tenth visitor " +
		"finds the whole site hanging.",
	Good: "c1 ... c8: HTTP/1.1 200 OK", Bad: "c1 ... c4: HTTP/1.1 200 OK\n\nc5: (nothing)",
	Run: judgeMany,
}

const (
	manyStreams = 8
	hintLoad    = "measure how many there can be: ssegauge load URL --streams 1000, ssegauge limits URL --probe streams"
	hintMany    = "a stream takes its place for hours: serve it without a worker of its own, or allow more of them; " + hintLoad
)

func judgeMany(ctx context.Context, p *conformance.Probe) {
	if _, ok := lasting(p); !ok {
		return
	}
	ctx, release, ok := p.Alone(ctx)
	if !ok {
		return
	}
	defer release()
	n := manyStreams
	if c := p.Target().Declared.Capacity; c > 0 {
		n = min(n, c)
	}
	within := 3*time.Second + 2*p.First().RoundTrip()
	if wait, ok := slowHead(p); ok {
		p.NotObserved("heads take %v here: to ask for %d more would take the time of other checks", ms(wait), n).Hint("--only load/many decides it")
		return
	}
	if p.Remembers(oneStream) {
		p.Info("%s", oneStream).Hint(hintMany)
		return
	}
	here, all := sideBySide(ctx, p, n, within)
	if here < n && refused(all) && ctx.Err() == nil {
		pause(ctx, 500*time.Millisecond) // streams that were left a moment ago may have been counted
		here, all = sideBySide(ctx, p, n, within)
	}
	switch {
	case ctx.Err() != nil:
		p.NotObserved("the time for this check ran out")
	case here == n:
		p.Pass("%s at once", plural(n, "stream")).Hint(hintLoad)
	case here == 0:
		p.NotObserved("no stream was opened: %s", others(all))
	case here == 1 && len(all[0].Errs) > 0 && crowdedOut(p, all[0].Errs[0]):
		p.Info("%s", oneStream).Hint(hintMany)
	case slices.ContainsFunc(all, func(g *conformance.Guests) bool { return slices.ContainsFunc(g.Errs, timedOut) }) && !crowdedOut(p, context.DeadlineExceeded):
		p.NotObserved("%s at once, and no head for others in %v: see live/headers-flushed", plural(here, "stream"), ms(within)).
			Hint("a publish hook (--publish) can make heads come").By("--publish")
	default:
		p.Info("%s at once, and no more: %s", plural(here, "stream"), others(all)).
			Hint(hintMany)
	}
}

// sideBySide opens n streams, two of them first, and lets them go.
func sideBySide(ctx context.Context, p *conformance.Probe, n int, within time.Duration) (here int, all []*conformance.Guests) {
	two := p.Guests(ctx, min(2, n), within)
	defer two.Leave(false)
	if here, all = two.Here(), append(all, two); here < two.Asked || n == here {
		return here, all
	}
	more := p.Guests(ctx, n-here, within)
	defer more.Leave(false)
	return here + more.Here(), append(all, more)
}

func refused(all []*conformance.Guests) bool {
	return slices.ContainsFunc(all, func(g *conformance.Guests) bool { return len(g.Refused) > 0 })
}

// slowHead tells whether heads take more than two seconds, and not only until there is an event.
func slowHead(p *conformance.Probe) (time.Duration, bool) {
	c := p.First()
	wait, ok := c.Wait()
	return wait, ok && wait > 2*time.Second && (c.Woken == 0 || c.Timing.Head-c.Woken > settled)
}

// others tells what those got that no stream was opened for.
func others(all []*conformance.Guests) string {
	n, silent := map[int]int{}, 0
	var last error
	for _, g := range all {
		for status, k := range g.Refused {
			n[status] += k
		}
		for _, err := range g.Errs {
			if timedOut(err) {
				silent++
			} else {
				last = err
			}
		}
	}
	said := ""
	for _, status := range slices.Sorted(maps.Keys(n)) {
		said += fmt.Sprintf("%d answered %d, ", n[status], status)
	}
	if silent > 0 {
		said += fmt.Sprintf("%d without an answer, ", silent)
	}
	if last != nil {
		said += conformance.Cause(last) + ", "
	}
	return said[:max(0, len(said)-2)]
}

// WHATWG HTML 9.2.7: clients may be limited to a number of connections to a server. Browsers open six to a host over HTTP/1.1, for all tabs together, and speak
// HTTP/2 only over TLS. It is a fact about the deployment, so it is never worse than told.
var loadSix = conformance.Check{
	ID: "load/six", Title: "browsers are not limited to six streams",
	Level: result.Advice, Clause: "WHATWG HTML 9.2.7", Needs: conformance.Extra,
	Text: "The target speaks HTTP/2 where it is offered over TLS, so that a browser's streams share one connection.",
	Why:  "Over HTTP/1.1 a browser opens six connections to a host, for all tabs together. With a stream in each of six tabs the seventh tab hangs, and so does every image.",
	Good: "ALPN: h2", Bad: "ALPN: http/1.1",
	Evidence: []string{"arduino/arduino-app-cli#96"},
	Run:      judgeSix,
}

func judgeSix(ctx context.Context, p *conformance.Probe) {
	c, ok := served(p)
	if !ok {
		return
	}
	const hint = "serve it over HTTPS with HTTP/2, which browsers open one connection for; or share one stream between tabs"
	switch {
	case c.Proto == wire.HTTP2:
		p.Pass("HTTP/2 over TLS")
		return
	case p.Request().URL.Scheme != "https":
		p.Info("in the clear browsers speak HTTP/1.1, with at most six connections to a host for all tabs together").Hint(hint)
		return
	}
	ctx, release, ok := p.Alone(ctx)
	if !ok {
		return
	}
	defer release()
	switch proto, err := p.Offers(ctx, 3*time.Second); {
	case err != nil:
		p.NotObserved("what it offers could not be asked: %s", conformance.Cause(err))
	case proto == wire.HTTP2:
		p.Pass("HTTP/2 over TLS is offered")
	default:
		p.Info("HTTP/1.1 only: browsers open at most six connections to a host for all tabs together").Hint(hint)
	}
}
