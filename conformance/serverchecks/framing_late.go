package serverchecks

import (
	"bytes"
	"context"
	"time"

	"ssegauge/conformance"
	"ssegauge/reference/publish"
	"ssegauge/reference/sse"
	"ssegauge/reports/result"
)

// lateBlank is how long after the lines of an event its blank line may come: both are written at once, whatever the path makes of it.
const lateBlank = 250 * time.Millisecond

// WHATWG HTML 9.2.6: an event is dispatched at its blank line, and not before.
//
// The two plain events that every run with a hook begins with are judged, and a third where they differ. With a hook or without: data lines that come
// one after the other, and no blank line in between to the window's end, will make no event any more.
var framingBlankLine = conformance.Check{
	ID: "framing/blank-line", Title: "the blank line is sent with its event",
	Level: result.Contract, Clause: noClause, Needs: conformance.Observe | conformance.Publish,
	Text: "The blank line that ends an event is sent with it, not with the next one.",
	Why: "Clients dispatch an event when its blank line comes. A server that writes it before each event instead of after, or a proxy or compressor that keeps the last bytes, " +
		"makes every event late by one: the last one is never seen.",
	Good: "data: x\n\n", Bad: "\ndata: x\n",
	Evidence: []string{"mpetazzoni/sseclient#18", "dpskvn/express-sse#26"},
	Run: func(ctx context.Context, p *conformance.Probe) {
		plains, err := p.Plain(ctx)
		if err != nil {
			switch {
			case unended(p):
			case p.Target().Publisher == nil:
				p.NotObserved("what was published is not known").Hint("give a publish hook: --publish 'POST URL' or --publish-cmd CMD").By("--publish")
			default:
				unjudged(p, err)
			}
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

// unended tells, and reports, that events came again and again, and never a blank line after them, or no line end at all.
func unended(p *conformance.Probe) bool {
	conns, ok := streamed(p)
	if !ok {
		return true
	}
	for _, c := range conns {
		var first, last *conformance.Line
		n := 0
		for _, l := range c.Lines() {
			switch l.Kind {
			case sse.LineBlank:
				first, n = nil, 0
			case sse.LineData:
				if n++; first == nil {
					first = &l
				}
				last = &l
			}
		}
		if n >= 2 && last.At-first.At >= time.Second {
			p.Fail("%s came within %v, and no blank line after any: clients wait for it for ever", plural(n, "data line"), ms(last.At-first.At)).
				Hint("write an empty line after each event: \"data: x\\n\\n\"").At(c.Evidence(first.Start, first.End), c.Evidence(last.Start, last.End))
			return true
		}
		content := c.Content()
		if len(c.Lines()) == 0 && (len(conformance.Nonces(content)) >= 2 || bytes.Count(content, []byte("data:")) > 2) {
			p.Fail("%s came, and no line end: clients wait for it for ever", plural(len(content), "byte")).
				Hint("end each line with a line feed (byte 0a, not a backslash and an n), and each event with an empty line").At(c.Evidence(0, int64(min(len(content), 16))))
			return true
		}
	}
	return false
}
