package serverchecks

import (
	"context"
	"time"

	"ssegauge/conformance"
	"ssegauge/reference/publish"
	"ssegauge/reports/result"
)

// lateBlank is how long after the lines of an event its blank line may come: both are written at once, whatever the path makes of it.
const lateBlank = 250 * time.Millisecond

// WHATWG HTML 9.2.6: an event is dispatched at its blank line, and not before.
//
// The two plain events that every run with a hook begins with are judged, and a third where they differ.
var framingBlankLine = conformance.Check{
	ID: "framing/blank-line", Title: "the blank line is sent with its event",
	Level: result.Contract, Clause: noClause, Needs: conformance.Publish,
	Text: "The blank line that ends an event is sent with it, not with the next one.",
	Why: "Clients dispatch an event when its blank line comes. A server that writes it before each event instead of after, or a proxy or compressor that keeps the last bytes, " +
		"makes every event late by one: the last one is never seen.",
	Good: "data: x\n\n", Bad: "\ndata: x\n",
	Evidence: []string{"mpetazzoni/sseclient#18", "dpskvn/express-sse#26"},
	Run: func(ctx context.Context, p *conformance.Probe) {
		plains, err := p.Plain(ctx)
		if err != nil {
			unjudged(p, err)
			return
		}
		var late []*conformance.Delivery
		for _, d := range plains {
			if isLate(d) {
				late = append(late, d)
			}
		}
		if len(late) == 1 {
			d, err := p.Publish(ctx, false, func(n string) publish.Message { return publish.Message{Data: n} })
			if err != nil {
				unjudged(p, err)
				return
			}
			if !d.Lost && !d.Receipt.Refused && isLate(d) {
				late = append(late, d)
			}
		}
		if len(late) < 2 {
			p.Pass("plain events were dispatched as soon as their bytes came")
			return
		}
		d := late[0]
		l := d.Lines[len(d.Lines)-1]
		at := d.Conn.Evidence(l.Start, l.End)
		const hint = "write the blank line at the end of each event, and flush after it"
		if d.Pushed {
			p.Fail("the bytes of an event came, and its blank line only with the next event, twice").Hint(hint).At(at).Try(p.Republish(d))
			return
		}
		p.Fail("the blank line came %v after the rest of the event, twice", ms(d.Events[0].At-l.At)).Hint(hint).At(at).Try(p.Republish(d))
	},
}

func isLate(d *conformance.Delivery) bool {
	return d.Pushed || len(d.Events) > 0 && len(d.Lines) > 0 && d.Events[0].At-d.Lines[len(d.Lines)-1].At > lateBlank
}
