package serverchecks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"ssegauge/conformance"
	"ssegauge/reference/publish"
	"ssegauge/reference/sse"
	"ssegauge/reports/result"
)

// WHATWG HTML 9.2.6: each data line adds its value and a LF, so a payload of several lines is written as several data lines. That the payload comes out as it
// went in is what a publisher relies on; no clause says it.
var dataMultiline = conformance.Check{
	ID: "data/multiline", Title: "line breaks in a payload arrive",
	Level: result.Contract, Clause: noClause, Needs: conformance.Publish,
	Text: "A published payload with line breaks is dispatched as one event with the same text. CRLF and CR may arrive as LF: the format knows no other.",
	Why: "A server that writes \"data: \" and then the payload loses everything after the first line break: JSON is cut in two, code loses its lines, and " +
		"what follows may be read as another field.",
	Good: "data: first\ndata: second\n\n", Bad: "data: first\nsecond\n\n",
	Evidence: []string{"hoeken/PsychicHttp#174", "ralscha/sse-eventbus#8", "alexandrevicenzi/go-sse#7", "sergiodxa/remix-utils#343", "helidon-io/helidon#10406"},
	Run: func(ctx context.Context, p *conformance.Probe) {
		fidelity(ctx, p, "split payloads at CRLF, LF and CR and write each line as a data line of its own",
			func(n string) string { return n + " 1\n" + n + " 2" },
			func(n string) string { return n + " 1\n\n" + n + " 2" },
			func(n string) string { return "\n" + n + " 1" },
			func(n string) string { return n + " 1\r\n" + n + " 2" },
		)
	},
}

// WHATWG HTML 9.2.6: one space after the colon is removed, one only. A payload that begins with a space therefore needs that one.
var dataLeadingSpace = conformance.Check{
	ID: "data/leading-space", Title: "white space at the start of a payload arrives",
	Level: result.Contract, Clause: noClause, Needs: conformance.Publish,
	Text: "A published payload that begins with a space or tab is dispatched with it.",
	Why:  "Clients remove one space after the colon. A server that writes none eats the first space of every payload that begins with one: words of a token stream run together.",
	Good: "data:  two spaces, one is the payload's\n\n", Bad: "data: one space, and it was the payload's\n\n",
	Evidence: []string{"tokio-rs/axum#600", "jooby-project/jooby#3479", "hseeberger/akka-sse#138", "mpetazzoni/sse.js#30"},
	Run: func(ctx context.Context, p *conformance.Probe) {
		fidelity(ctx, p, "write one space after the colon always, and do not trim payloads",
			func(n string) string { return " " + n },
			func(n string) string { return "  " + n },
			func(n string) string { return "\t" + n },
			func(n string) string { return ": " + n },
		)
	},
}

// unjudged reports why nothing could be published.
func unjudged(p *conformance.Probe, err error) {
	n := p.NotObserved("%s", result.Escape(err.Error()))
	if e, ok := errors.AsType[*conformance.NotJudged](err); ok && e.By != "" {
		n.By(e.By)
	}
}

// outcome is what became of a payload; all empty where nothing can be said.
type outcome struct {
	equal, normalised bool
	fault             string
	at                []result.Evidence
}

// compare holds a delivery against what was published.
func compare(d *conformance.Delivery) outcome {
	if d.Receipt.Refused {
		return outcome{}
	}
	if d.Lost {
		return outcome{fault: fmt.Sprintf("accepted with %d and never delivered, twice, while plain events before and after it arrived", d.Receipt.Status)}
	}
	norm := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(d.Sent)
	allCertain := true
	var got string
	for i := range d.Events {
		texts, certain := d.Payloads(&d.Events[i])
		for _, t := range texts {
			switch t {
			case d.Sent:
				return outcome{equal: true}
			case norm:
				return outcome{normalised: true}
			}
		}
		if got == "" && len(texts) > 0 {
			got = texts[0]
		}
		allCertain = allCertain && certain
	}
	// A line that carries the nonce and is no field: part of the payload became something else, whatever the target wraps around it.
	for _, l := range d.Lines {
		if l.Kind == sse.LineUnknown {
			return outcome{fault: "a line of it arrived as a line of its own, which clients ignore", at: []result.Evidence{d.Conn.Evidence(l.Start, l.End)}}
		}
	}
	if !allCertain {
		return outcome{}
	}
	switch n := len(d.Events); {
	case n == 0:
		return outcome{fault: "its bytes arrived and made no event", at: []result.Evidence{d.Conn.Evidence(d.Lines[0].Start, d.Lines[0].End)}}
	case n > 1:
		return outcome{fault: fmt.Sprintf("arrived as %d events", n), at: span(d)}
	}
	return changed(d, got)
}

// changed says how what came differs from what was sent; where both are long, from where on.
func changed(d *conformance.Delivery, got string) outcome {
	shown := func(s string) string { return exactly(strings.ReplaceAll(s, d.Nonce, word)) }
	if len(d.Sent) <= longShown && len(got) <= longShown {
		return outcome{fault: "arrived as " + shown(got), at: span(d)}
	}
	n := 0
	for n < len(got) && n < len(d.Sent) && got[n] == d.Sent[n] {
		n++
	}
	if n == len(got) {
		return outcome{fault: fmt.Sprintf("only %d of its %d bytes arrived", len(got), len(d.Sent)), at: span(d)}
	}
	if n == len(d.Sent) {
		return outcome{fault: fmt.Sprintf("%d bytes arrived after its %d: %s", len(got)-n, n, exactly(got[n:])), at: span(d)}
	}
	for n > 0 && !utf8.RuneStart(d.Sent[n]) {
		n--
	}
	few := func(s string) string {
		s = s[min(n, len(s)):]
		return shown(string([]rune(s[:min(len(s), 64)])[:min(8, utf8.RuneCountInString(s[:min(len(s), 64)]))]))
	}
	at := span(d)
	// The bytes themselves, where they stand in the stream as they are.
	e := &d.Events[0]
	raw := d.Conn.Content()[e.Start:e.End]
	if i := bytes.Index(raw, []byte(got[n:min(len(got), n+24)])); i >= 0 {
		at = []result.Evidence{d.Conn.Evidence(e.Start+int64(i), min(e.End, e.Start+int64(i)+24))}
	}
	return outcome{fault: fmt.Sprintf("from its byte %d on %s arrived for %s", n, few(got), few(d.Sent)), at: at}
}

// longShown is how many bytes of a payload are told whole.
const longShown = 120

func span(d *conformance.Delivery) []result.Evidence {
	return []result.Evidence{d.Conn.Evidence(d.Events[0].Start, d.Events[len(d.Events)-1].End)}
}

// WHATWG HTML 9.2.5: a bare CR ends a line too, so any-char excludes it. A server that splits payloads at LF alone lets whoever controls the data
// write fields and events.
var secInjectDataCR = conformance.Check{
	ID: "sec/inject/data-cr", Title: "a bare CR in data cannot inject fields",
	Level: result.Security, Clause: "WHATWG HTML 9.2.5", Needs: conformance.Publish,
	Text: "A payload with a bare CR makes no field, id or event of its own: the CR is a line break within the data, is escaped, removed, or the payload is refused.",
	Why: "Clients end lines at CR. Whoever can put a CR into a payload (a chat message, a file name) can otherwise send any event, with any type and id, to every " +
		"subscriber.",
	Good:     "data: a\ndata: event: admin\ndata: b\n\n",
	Bad:      "data: a\revent: admin\rdata: b\n\n",
	Evidence: []string{"fanout/django-eventstream#185", "mpetrunic/fastify-sse-v2#110", "softwaremill/sttp-model#480", "starfederation/datastar-ruby#18"},
	Run:      judgeInjectDataCR,
}

func judgeInjectDataCR(ctx context.Context, p *conformance.Probe) {
	if !p.Target().Publisher.Uses("Data") {
		p.NotObserved("the publish hook never mentions .Data, so no payload can be chosen").By("--publish")
		return
	}
	const hint = "split payloads at CR as at LF, or refuse them"
	refused, lost, harmless := 0, 0, 0
	for _, attack := range []struct {
		name string
		text func(n string) string
	}{
		{`a\revent: x\rdata: b`, func(n string) string { return "a" + n + "\revent: inj" + n + "\rdata: b" + n }},
		{`a\r\rdata: b`, func(n string) string { return "a" + n + "\r\rdata: inj" + n }},
	} {
		d, err := p.Publish(ctx, true, func(n string) publish.Message { return publish.Message{Data: attack.text(n)} })
		if err != nil {
			unjudged(p, err)
			return
		}
		if d.Receipt.Refused {
			refused++
			continue
		}
		if d.Lost {
			lost++
			continue
		}
		harmless++
		for _, l := range d.Lines {
			// The nonce alone proves nothing: a hook may put .Marker into an id or a type.
			if (l.Kind == sse.LineEvent || l.Kind == sse.LineUnknown) && strings.Contains(l.Name+l.Value, "inj"+d.Nonce) {
				p.Fail("published data %s made a line of its own, which clients take for a field", brief(attack.name)).Hint(hint).
					At(d.Conn.Evidence(l.Start, l.End)).Try(p.Republish(d))
			}
		}
		for _, e := range d.Events {
			if strings.HasPrefix(string(e.Data), "inj"+d.Nonce) { // what the target wraps around payloads may follow
				p.Fail("published data %s made an event of its own", brief(attack.name)).Hint(hint).
					At(d.Conn.Evidence(e.Start, e.End)).Try(p.Republish(d))
			}
		}
	}
	switch {
	case refused == 2:
		p.Pass("the target refused both payloads")
	case lost > 0:
		p.Pass("no field or event injected; %s accepted and never delivered", plural(lost, "payload"))
	case refused > 0:
		p.Pass("no field or event injected; one payload was refused")
	default:
		p.Pass("no field or event injected")
	}
}
