package serverchecks

import (
	"context"
	"slices"
	"strings"

	"ssegauge/conformance"
	"ssegauge/reference/sse"
	"ssegauge/reports/result"
)

// signsOfLife are types of blocks that are sent only so that something is sent.
var signsOfLife = []string{"ping", "heartbeat", "keepalive", "keep-alive", "keep_alive"}

func signOfLife(typ string) bool { return slices.Contains(signsOfLife, strings.ToLower(typ)) }

// WHATWG HTML 9.2.6, dispatch: where the data buffer is empty, the type is cleared and nothing is dispatched.
var dataNoDataBlock = conformance.Check{
	ID: "data/no-data-block", Title: "no block carries an event field without data",
	Level: result.Should, Clause: "WHATWG HTML 9.2.6", Needs: conformance.Observe,
	Text: "A block with an event field has a data field too, even if it is empty. Blocks that only set id or retry, comments, and signs of life called ping or heartbeat are meant as they are.",
	Why:  "No browser dispatches it: a listener for that type never hears of it, and nobody sees an error.",
	Good: "event: done\ndata:\n\n", Bad: "event: done\n\n",
	Evidence: []string{"denoland/deno#23135", "rexxars/eventsource-stream#6", "tokio-rs/axum#1242"},
	Run: func(_ context.Context, p *conformance.Probe) {
		conns, ok := streamed(p)
		if !ok {
			return
		}
		n := 0
		for _, b := range blocks(p, conns) {
			l := b.last(sse.LineEvent)
			switch {
			case l == nil || b.has(sse.LineData):
				n++
			case signOfLife(l.Value):
				p.Info("signs of life of type %s without data: no client dispatches them, which does no harm", brief(l.Value)).
					Hint("a comment says the same to everyone").At(b.evidence())
			default:
				p.Warn("an event of type %s without data is dispatched to nobody", brief(l.Value)).
					Hint("add a data field; it may be empty").At(b.evidence())
			}
		}
		if spoke(p, conns) {
			p.Pass("%s, none with a type and without data", plural(n, "block"))
		}
	},
}

// WHATWG HTML 9.2.3: the client fires events called open and error itself.
var eventReserved = conformance.Check{
	ID: "event/reserved", Title: "no application event is called open or error",
	Level: result.Advice, Clause: "WHATWG HTML 9.2.3", Needs: conformance.Observe,
	Text: "No event of the stream has the type open or error.",
	Why: "EventSource fires open and error of its own, at the same object: a listener for error hears the server's message and every lost connection alike, " +
		"and one of the two has no data.",
	Good: "event: failure\ndata: x\n\n", Bad: "event: error\ndata: x\n\n",
	Evidence: []string{"sourcegraph/sourcegraph#15620"},
	Run: func(_ context.Context, p *conformance.Probe) {
		conns, ok := streamed(p)
		if !ok {
			return
		}
		for _, b := range blocks(p, conns) {
			if b.event == nil {
				continue
			}
			switch typ := string(b.event.Type); typ {
			case "open", "error":
				if p.Call() {
					p.Info("an event of type %s; no EventSource, which has its own, reads the answer to a call", typ).At(b.evidence())
					continue
				}
				p.Warn("an event of type %s, which clients fire themselves", typ).Hint("call it something else").At(b.evidence())
			case "message":
				p.Info("the type message is written out; it is what events without a type have").At(b.evidence())
			}
		}
		if spoke(p, conns) {
			p.Pass("none among %s", plural(events(conns), "event"))
		}
	},
}

// WHATWG HTML 9.2.6: an event without a type is dispatched as message.
var eventDefault = conformance.Check{
	ID: "event/default", Title: "whether event types are used",
	Level: result.Advice, Clause: "WHATWG HTML 9.2.6", Needs: conformance.Observe,
	Text: "Events with a type of their own are heard by listeners for that type alone; those without one go to onmessage.",
	Why:  "It is as the application wants it. Some clients dispatch only what carries an event field, and hear nothing of a stream without.",
	Good: "event: add\ndata: x\n\n", Bad: "data: x\n\n",
	Evidence: []string{"stacklok/toolhive#5954"},
	Run: func(_ context.Context, p *conformance.Probe) {
		conns, ok := streamed(p)
		if !ok || !spoke(p, conns) {
			return
		}
		typed := 0
		for _, c := range conns {
			for _, e := range c.Events() {
				if len(e.Type) > 0 {
					typed++
				}
			}
		}
		if typed == 0 {
			p.Info("no event field in %s: all are of type message", plural(events(conns), "event"))
			return
		}
		p.Pass("%d of %s carried a type", typed, plural(events(conns), "event"))
	},
}

// WHATWG HTML 9.2.6: an event field with an empty value sets the type to the empty string, which is dispatched as message.
var eventEmpty = conformance.Check{
	ID: "event/empty", Title: "no event field with an empty value",
	Level: result.Advice, Clause: "WHATWG HTML 9.2.6", Needs: conformance.Observe,
	Text: "An event field has a value.",
	Why:  "An empty one means message, as if the field were not there. Clients that are not browsers dispatch an event whose type is the empty string, for which nobody listens.",
	Good: "data: x\n\n", Bad: "event:\ndata: x\n\n",
	Evidence: []string{"ReactiveX/RxNetty#220"},
	Run: func(_ context.Context, p *conformance.Probe) {
		conns, ok := streamed(p)
		if !ok {
			return
		}
		for _, l := range lines(conns, sse.LineEvent) {
			if l.Value == "" {
				p.Info("an event field with an empty value; it means message").Hint("leave the field out").At(l.evidence())
			}
		}
		if spoke(p, conns) {
			p.Pass("none among %s", plural(events(conns), "event"))
		}
	},
}
