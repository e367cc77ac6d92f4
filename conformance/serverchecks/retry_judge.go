package serverchecks

import (
	"context"
	"math/big"
	"time"

	"ssegauge/conformance"
	"ssegauge/reference/sse"
	"ssegauge/reports/result"
)

// WHATWG HTML 9.2.6: the digits are interpreted as an integer in base ten.
var retryLeadingZero = conformance.Check{
	ID: "retry/leading-zero", Title: "retry values without leading zeros",
	Level: result.Advice, Clause: "WHATWG HTML 9.2.6", Needs: conformance.Observe,
	Text: "No retry value begins with a zero that means nothing.",
	Why:  "03000 is 3000 by the standard; a client whose language reads a leading zero as octal comes back after 1536 ms.",
	Good: "retry: 3000\n\n", Bad: "retry: 03000\n\n",
	Evidence: []string{"web-platform-tests/wpt eventsource/format-field-retry.any.js"},
	Run: func(_ context.Context, p *conformance.Probe) {
		all, ok := retries(p)
		if !ok {
			return
		}
		for _, l := range all {
			if len(l.Value) > 1 && l.Value[0] == '0' {
				p.Info("retry: %s; legal, and base ten", brief(l.Value)).Hint("write it without leading zeros").At(l.evidence())
			}
		}
		p.Pass("%s", plural(len(all), "value"))
	},
}

// retries returns the values that clients take. Where none came, or nothing at all, it has been reported: what is not there breaks no rule of how it is written.
func retries(p *conformance.Probe) ([]placed, bool) {
	conns, ok := streamed(p)
	if !ok {
		return nil, false
	}
	all := lines(conns, sse.LineRetry)
	if len(all) == 0 {
		if spoke(p, conns) {
			p.Pass("no retry field in %s", plural(events(conns), "event"))
		}
		return nil, false
	}
	return all, true
}

// longWait is a silence within which a client may well be cut off.
const longWait = 5 * time.Second

// WHATWG HTML 9.2.6: the reconnection time holds from its line on. A client that is cut off before it uses one of its own.
var retryEarly = conformance.Check{
	ID: "retry/early", Title: "retry is sent at the start of the stream",
	Level: result.Advice, Clause: "WHATWG HTML 9.2.6", Needs: conformance.Observe,
	Text: "The reconnection time comes before the first event or with it, and before the first long silence.",
	Why:  "Connections are lost before the first event too. Until the field comes, each kind of client uses a time of its own: from none at all to several seconds.",
	Good: "retry: 3000\n\n", Bad: "data: 1\n\ndata: 2\n\nretry: 3000\n\n",
	Evidence: []string{"mpetrunic/fastify-sse-v2#97"},
	Run: func(_ context.Context, p *conformance.Probe) {
		conns, ok := streamed(p)
		if !ok {
			return
		}
		c := conns[0]
		before := 0
		last := c.Timing.Head
		for _, b := range blocksOf(c) {
			if l := b.last(sse.LineRetry); l != nil {
				if silence := l.At - last; before == 0 && silence <= longWait {
					p.Pass("retry: %s, before anything else was to be waited for", brief(l.Value))
				} else if before > 0 {
					p.Info("the reconnection time came after %s", plural(before, "event")).Hint("send retry in the first block").At(b.evidence())
				} else {
					p.Info("the reconnection time came after %v of silence", silence.Round(100*time.Millisecond)).Hint("send retry in the first block").At(b.evidence())
				}
				return
			}
			if b.event != nil {
				before++
			}
			last = b.lines[len(b.lines)-1].At
		}
		if spoke(p, conns) {
			p.Info("no reconnection time was sent: each kind of client uses one of its own").Hint("send retry in the first block")
		}
	},
}

// WHATWG HTML 9.2.6: each retry field sets the reconnection time anew, so the last one holds.
var retryConflict = conformance.Check{
	ID: "retry/conflict", Title: "the reconnection time does not change",
	Level: result.Advice, Clause: "WHATWG HTML 9.2.6", Needs: conformance.Observe | conformance.Long,
	Text: "On one connection all retry fields say the same.",
	Why:  "The last one holds. Two that differ are legal, and mostly two layers that both set it: a framework and the application, a server and its proxy.",
	Good: "retry: 3000\n\n", Bad: "retry: 3000\n\nretry: 500\n\n",
	Run: func(_ context.Context, p *conformance.Probe) {
		all, ok := retries(p)
		if !ok {
			return
		}
		first := map[*conformance.Connection]placed{}
		for _, l := range all {
			before, known := first[l.conn]
			if !known {
				first[l.conn] = l
				continue
			}
			if decimal(before.Value).Cmp(decimal(l.Value)) != 0 {
				p.Info("the reconnection time changed from %s to %s", brief(before.Value), brief(l.Value)).
					Hint("set it in one place, unless the change is meant").At(before.evidence(), l.evidence())
			}
		}
		p.Pass("%s, all the same", plural(len(all), "value"))
	},
}

// decimal is the number that digits mean, however many there are.
func decimal(digits string) *big.Int {
	n, _ := new(big.Int).SetString("0"+digits[:min(len(digits), 64)], 10)
	return n
}
