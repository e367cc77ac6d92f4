package serverchecks

import (
	"context"
	"fmt"
	"strings"

	"ssegauge/conformance"
	"ssegauge/reference/publish"
	"ssegauge/reference/sse"
	"ssegauge/reports/result"
)

// A field that a hook mentions may still come to nothing at the target, so a plain value is published first: only where it arrives in its field do the attacks
// mean anything. Each attack carries a line of its own, which begins with a word that nothing else has; a line of the stream that begins with it was injected.
//
// They go through the operator's own hook, and what a weak server makes of them is one more event with a word in it: harmless, so they are sent without --active.
type injection struct {
	field string // of the message, as hooks name it
	kind  sse.LineKind
	plain func(nonce string) string
	set   func(m *publish.Message, value string)
	nul   bool
}

var (
	injectEvent = injection{
		field: "Event", kind: sse.LineEvent, plain: func(n string) string { return "type" + n },
		set: func(m *publish.Message, v string) { m.Event = v },
	}
	injectID = injection{
		field: "ID", kind: sse.LineID, plain: func(n string) string { return "id" + n }, nul: true,
		set: func(m *publish.Message, v string) { m.ID = v },
	}
	injectRetry = injection{
		field: "Retry", kind: sse.LineRetry, plain: func(string) string { return "3000" },
		set: func(m *publish.Message, v string) { m.Retry = v },
	}
	injectComment = injection{
		field: "Comment", kind: sse.LineComment, plain: func(n string) string { return "note " + n },
		set: func(m *publish.Message, v string) { m.Comment = v },
	}
)

const injectWhy = "Whoever can put a line break there (a file name, a user's name, a header) sends any field, and with a blank line any event, to every subscriber."

// WHATWG HTML 9.2.5: any-char excludes CR and LF, so a value ends at either.
var secInjectEvent = conformance.Check{
	ID: "sec/inject/event", Title: "an event type cannot inject lines",
	Level: result.Security, Clause: "WHATWG HTML 9.2.5", Needs: conformance.Publish,
	Text: "An event type with LF, CR or CRLF is refused, or stripped of them: it makes no field, id or event of its own.",
	Why:  injectWhy,
	Good: "event: xdata: b\ndata: a\n\n", Bad: "event: x\ndata: b\n\ndata: a\n\n",
	Evidence: []string{"nestjs/nest#16686", "dpskvn/express-sse#60", "rexxars/sse-channel#42", "javalin/javalin#2579", "fastapi/fastapi#15187", "mpetrunic/fastify-sse-v2#110", "fanout/django-eventstream#185", "softwaremill/sttp-model#480", "infogulch/xtemplate#71"},
	Run:      func(ctx context.Context, p *conformance.Probe) { inject(ctx, p, &injectEvent) },
}

// U+0000 in an id injects nothing, but the client ignores the whole id: a warning.
var secInjectID = conformance.Check{
	ID: "sec/inject/id", Title: "an id cannot inject lines",
	Level: result.Security, Clause: "WHATWG HTML 9.2.5", Needs: conformance.Publish,
	Text: "An id with LF, CR, CRLF or U+0000 is refused, or stripped of them: it makes no field, type or event of its own.",
	Why:  injectWhy,
	Good: "id: 7data: b\ndata: a\n\n", Bad: "id: 7\ndata: b\n\ndata: a\n\n",
	Evidence: []string{"trpc/trpc#7460", "rexxars/sse-channel#42", "mpetrunic/fastify-sse-v2#110"},
	Run:      func(ctx context.Context, p *conformance.Probe) { inject(ctx, p, &injectID) },
}

var secInjectRetry = conformance.Check{
	ID: "sec/inject/retry", Title: "a retry value cannot inject lines",
	Level: result.Security, Clause: "WHATWG HTML 9.2.5", Needs: conformance.Publish,
	Text: "A retry value with LF, CR or CRLF is refused, or stripped of them: it makes no field or event of its own.",
	Why:  injectWhy,
	Good: "retry: 3000\ndata: a\n\n", Bad: "retry: 3000\ndata: b\n\ndata: a\n\n",
	Evidence: []string{"honojs/hono#5299", "rexxars/sse-channel#42", "singingwolfboy/flask-sse#40"},
	Run:      func(ctx context.Context, p *conformance.Probe) { inject(ctx, p, &injectRetry) },
}

// The comment goes through the hook as .Comment; few targets publish comments, and then there is nothing to judge.
var secInjectComment = conformance.Check{
	ID: "sec/inject/comment", Title: "a comment cannot inject lines",
	Level: result.Security, Clause: "WHATWG HTML 9.2.5", Needs: conformance.Publish,
	Text: "A comment with LF, CR or CRLF is written as several comment lines, refused, or stripped of them: it makes no field or event of its own.",
	Why:  injectWhy,
	Good: ": a\n: data: b\n\n", Bad: ": a\ndata: b\n\n",
	Evidence: []string{"wheels-dev/wheels#2051", "mpetrunic/fastify-sse-v2#110"},
	Run:      func(ctx context.Context, p *conformance.Probe) { inject(ctx, p, &injectComment) },
}

func inject(ctx context.Context, p *conformance.Probe, in *injection) {
	if !p.Target().Publisher.Uses(in.field) {
		p.NotObserved("the publish hook never mentions .%s", in.field).Hint("where the target takes one, use {{json .%s}} in --publish-body", in.field).By("--publish")
		return
	}
	send := func(value func(n string) string) (*conformance.Delivery, error) {
		return p.Publish(ctx, true, func(n string) publish.Message {
			m := publish.Message{Data: n}
			in.set(&m, value(n))
			return m
		})
	}
	d, err := send(in.plain)
	switch {
	case err != nil:
		unjudged(p, err)
		return
	case d.Receipt.Refused:
		p.NotObserved("the target refused a plain %s with %d", strings.ToLower(in.field), d.Receipt.Status)
		return
	case d.Lost || !in.arrived(d):
		p.NotObserved("a plain %s that was published did not arrive in its field", strings.ToLower(in.field)).
			Hint("see that the hook hands .%s to the target", in.field).By("--publish")
		return
	}
	attacks := []string{"\n", "\r\n", "\r"}
	refused, unsent := 0, 0
	for _, br := range attacks {
		d, err := send(func(n string) string { return in.plain(n) + br + "data: inj" + n + br + br + "data: inj" + n })
		switch {
		case err != nil && d == nil && refused+unsent == 0 && br == attacks[0]:
			unjudged(p, err)
			return
		case err != nil:
			unsent++
			continue
		case d.Receipt.Refused:
			refused++
			continue
		case d.Lost:
			continue
		}
		if at := injected(d, "data: inj"+d.Nonce); at != nil {
			p.Fail("a published %s with %s made lines of its own, which clients take for fields", strings.ToLower(in.field), brief(br)).
				Hint("refuse values with CR or LF, or take these out, before the value is written").At(at...).Try(p.Republish(d))
		}
	}
	if in.nul {
		// A hook may be unable to carry U+0000; that is no verdict.
		if d, err := send(func(n string) string { return in.plain(n) + "\x00" }); err == nil && !d.Receipt.Refused && !d.Lost {
			for _, l := range d.Lines {
				if l.Kind == sse.LineIDIgnored {
					p.Warn("an id with U+0000 goes to the wire, and clients ignore the whole field").
						Hint("refuse it").At(d.Conn.Evidence(l.Start, l.End)).Try(p.Republish(d))
				}
			}
		}
	}
	switch {
	case unsent == len(attacks):
		p.NotObserved("the publish hook cannot carry line breaks in .%s", in.field).Hint("use {{json .%s}} in --publish-body", in.field).By("--publish")
	case refused == len(attacks):
		p.Pass("the target refused every %s with a line break", strings.ToLower(in.field))
	default:
		p.Pass("no %s with a line break injected anything%s", strings.ToLower(in.field), note(refused > 0, fmt.Sprintf("; %d refused", refused)))
	}
}

func note(yes bool, text string) string {
	if yes {
		return text
	}
	return ""
}

// arrived tells whether the plain value came in its field: on a line of the block of the event that carries the nonce.
func (in *injection) arrived(d *conformance.Delivery) bool {
	want := in.plain(d.Nonce)
	for _, l := range d.Conn.Lines() {
		if l.Kind == in.kind && strings.TrimSpace(l.Value) == want && near(d, l) {
			return true
		}
	}
	return false
}

// near tells whether a line stands within the bytes of what was delivered, or just before.
func near(d *conformance.Delivery, l conformance.Line) bool {
	for _, e := range d.Events {
		if l.Start >= e.Start && l.End <= e.End {
			return true
		}
	}
	for _, own := range d.Lines {
		if own.Start == l.Start {
			return true
		}
	}
	return false
}

// injected points at the lines that begin with text, one space more or less; nil where there is none.
func injected(d *conformance.Delivery, text string) (at []result.Evidence) {
	content := d.Conn.Content()
	tight := strings.Replace(text, ": ", ":", 1)
	for _, l := range d.Lines {
		if line := string(content[l.Start:l.End]); strings.HasPrefix(line, text) || strings.HasPrefix(line, tight) {
			at = append(at, d.Conn.Evidence(l.Start, l.End))
		}
	}
	return at
}
