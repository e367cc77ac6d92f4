package serverchecks

import (
	"context"

	"ssegauge/conformance"
	"ssegauge/reference/publish"
	"ssegauge/reference/sse"
	"ssegauge/reports/result"
)

// WHATWG HTML 9.2.6, dispatch: without a data line nothing is dispatched; an empty one dispatches an event with empty data.
//
// An empty payload carries no nonce: what came of it is looked for between two plain events. A target may drop it (not every queue knows empty messages), which is
// told and held against nobody; a block that is sent and reaches nobody was meant to.
var dataEmpty = conformance.Check{
	ID: "data/empty", Title: "an empty payload arrives as an event",
	Level: result.Should, Clause: "WHATWG HTML 9.2.6", Needs: conformance.Publish,
	Text: "An empty published payload is written with one empty data line, and so dispatched.",
	Why:  "A server that loops over the lines of a payload and finds none writes a block without data: its type and id go out, and no client dispatches it.",
	Good: "event: done\ndata:\n\n", Bad: "event: done\n\n",
	Evidence: []string{"r3labs/sse#46", "denoland/deno#23135", "tokio-rs/axum#1242", "graphql/graphql-sse#71"},
	Run:      judgeEmpty,
}

func judgeEmpty(ctx context.Context, p *conformance.Probe) {
	if !p.Target().Publisher.Uses("Data") {
		p.NotObserved("the publish hook never mentions .Data, so no payload can be chosen").By("--publish")
		return
	}
	var bare []result.Evidence // of a block without data, each time
	for range 2 {
		before, d, after, err := p.PublishBetween(ctx, publish.Message{})
		if err != nil {
			unjudged(p, err)
			return
		}
		if d.Receipt.Refused {
			p.Pass("the target refused an empty payload (%d), which is its right", d.Receipt.Status)
			return
		}
		if before.Conn != after.Conn {
			p.NotObserved("the stream ended while an empty payload was under way")
			return
		}
		// It stands before the plain event that was published after it, unless the target changes the order.
		from := before.Events[len(before.Events)-1].End
		certain := false
		for _, e := range before.Conn.Events() {
			if e.Start < from {
				continue
			}
			empty, known := before.Empty(&e)
			if certain = certain || known; empty {
				p.Pass("arrived as an event with empty data")
				return
			}
		}
		at := dataless(before.Conn, from)
		if len(at) == 0 {
			if _, known := before.Empty(&conformance.Event{}); !known && !certain {
				p.NotObserved("what the target makes of payloads changes, so an empty one cannot be told")
				return
			}
			p.Info("an empty payload was accepted with %d, and nothing was sent", d.Receipt.Status).Hint("send an event with an empty data line, or refuse it")
			return
		}
		bare = at
	}
	p.Warn("an empty payload made a block without a data line, twice, which no client dispatches").Hint("write \"data:\" also where there is nothing to write").At(bare...)
}

// dataless finds the blocks of a stream, from an offset on, that have fields and no data.
func dataless(c *conformance.Connection, from int64) (found []result.Evidence) {
	start, fields, data := int64(-1), false, false
	for _, l := range c.Lines() {
		if l.Start < from {
			continue
		}
		switch l.Kind {
		case sse.LineBlank:
			if fields && !data {
				found = append(found, c.Evidence(start, l.End))
			}
			start, fields, data = -1, false, false
		case sse.LineComment, sse.LineLateLF, sse.LineBOM:
		default:
			if start < 0 {
				start = l.Start
			}
			fields, data = true, data || l.Kind == sse.LineData
		}
	}
	return found
}
