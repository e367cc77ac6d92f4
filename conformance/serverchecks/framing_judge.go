package serverchecks

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"ssegauge/conformance"
	"ssegauge/reference/sse"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// WHATWG HTML 9.2.5: "Event streams in this format must always be encoded as UTF-8."
var encodingUTF8 = conformance.Check{
	ID: "encoding/utf8", Title: "every byte belongs to well-formed UTF-8",
	Level: result.Must, Clause: "WHATWG HTML 9.2.5", Needs: conformance.Observe, Core: true,
	Text: "The whole stream is well-formed UTF-8: no other encoding, no binary data, no character cut in two.",
	Why:  "Clients replace what is ill-formed by U+FFFD; the original bytes are lost and nobody is told.",
	Good: "data: caf\xc3\xa9\n\n", Bad: "data: caf\xe9\n\n",
	Run: func(_ context.Context, p *conformance.Probe) {
		conns, ok := streamed(p)
		if !ok {
			return
		}
		total := 0
		for _, c := range conns {
			total += len(c.Content())
			for _, bad := range illFormed(c) {
				p.Fail("ill-formed UTF-8 in the stream").Hint("encode everything that goes into the stream as UTF-8").At(c.Evidence(bad[0], bad[1]))
			}
		}
		if spoke(p, conns) {
			p.Pass("%s in %s", plural(total, "well-formed byte"), plural(events(conns), "event"))
		}
	},
}

// illFormed finds the first ill-formed sequences of a stream. One that is merely incomplete at the stream's end is not among them: the rest
// may be on its way, or the stream was cut there.
func illFormed(c *conformance.Connection) (spans [][2]int64) {
	b := c.Content()
	for at := 0; at < len(b) && len(spans) < 5; {
		if b[at] < utf8.RuneSelf {
			at++
			continue
		}
		r, n := utf8.DecodeRune(b[at:])
		if r != utf8.RuneError || n > 1 {
			at += n
			continue
		}
		if !utf8.FullRune(b[at:]) {
			break
		}
		from := at
		for at++; at < len(b) && !utf8.RuneStart(b[at]) && at-from < utf8.UTFMax; at++ {
		}
		spans = append(spans, [2]int64{int64(from), int64(at)})
	}
	return spans
}

var bom = []byte("\uFEFF")

// WHATWG HTML 9.2.5, the stream production: at most one BOM, at the start. It is legal, and clients that don't know it lose the first event. A
// second one is part of the first field's name.
var encodingBOM = conformance.Check{
	ID: "encoding/bom", Title: "the stream starts without a byte order mark",
	Level: result.Advice, Clause: "WHATWG HTML 9.2.5", Needs: conformance.Observe,
	Text: "The first bytes are not EF BB BF; if they are, they don't come twice.",
	Why:  "One BOM is legal and stripped by browsers, but many clients take it for a part of the first field name and lose the first event. The second BOM does that to all clients.",
	Good: "data: x\n\n", Bad: "\uFEFF\uFEFFdata: x\n\n",
	Evidence: []string{"elizaOS/eliza#19260", "openai/openai-python#3819", "Effect-TS/effect#6976", "whatwg/html#7791"},
	Run: func(_ context.Context, p *conformance.Probe) {
		conns, ok := streamed(p)
		if !ok {
			return
		}
		seen := false
		for _, c := range conns {
			b := c.Content()
			seen = seen || len(b) >= len(bom)
			switch {
			case bytes.HasPrefix(b, slices.Concat(bom, bom)):
				p.Fail("two byte order marks at the start: the second one spoils the first field's name").
					Hint("send no byte order mark").At(c.Evidence(3, 6))
			case bytes.HasPrefix(b, bom):
				p.Warn("a byte order mark at the start; legal, but some clients lose the first event").
					Hint("send no byte order mark").At(c.Evidence(0, 3))
			}
		}
		if !seen {
			p.NotObserved("nothing came in %s", p.Window()).Hint("a longer --window or a publish hook (--publish) would decide it").By("--publish")
			return
		}
		p.Pass("no byte order mark")
	},
}

// WHATWG HTML 9.2.5, the event production: every event ends with an empty line; 9.2.6: what stands after the last one when the stream ends is
// discarded.
var framingTerminated = conformance.Check{
	ID: "framing/terminated", Title: "a stream that ends, ends after a blank line",
	Level: result.Must, Clause: "WHATWG HTML 9.2.5", Needs: conformance.Observe, Core: true,
	Text: "Where the server ends the stream, the last event is followed by its blank line.",
	Why:  "A conforming client discards the event that the blank line is missing from: the last piece of an answer, or the message that says it is complete.",
	Good: "data: last\n\n", Bad: "data: last\n",
	Evidence: []string{"openai/openai-node#2725", "google-gemini/gemini-cli#29059", "a2aproject/a2a-python#1213"},
	Run: func(_ context.Context, p *conformance.Probe) {
		conns, ok := streamed(p)
		if !ok {
			return
		}
		for _, c := range conns {
			_, err := c.Ended()
			if err == nil {
				continue
			}
			tail, loses := c.Tail()
			loses = loses && tail.Loses()
			n := int64(len(c.Content()))
			_, reset := errors.AsType[*wire.ResetError](err)
			cut := reset || errors.Is(err, io.ErrUnexpectedEOF) && c.Closed() == "FIN"
			switch {
			case loses && (err == io.EOF || cut):
				p.Fail("the stream ended within an event, which clients discard").
					Hint("write the blank line with the event, also with the last one").At(c.Evidence(tail.Start, n))
			case err == io.EOF || cut || !loses:
				p.Pass("the stream ended between events")
			case noNotify(err):
				p.NotObserved("the connection ended within an event, and without a TLS close_notify: whether the server ended the stream there or something cut it, nobody can tell").
					Hint("end TLS with close_notify, or the content with a last chunk")
			default:
				p.Error("the stream broke off within an event: %s", conformance.Cause(err))
			}
		}
		p.NotApplicable("the stream did not end in %s", p.Window())
	},
}

// nearMisses are names that someone meant something by.
var nearMisses = []string{"data", "event", "id", "retry", "comment", "message", "error"}

// WHATWG HTML 9.2.6: field names are compared literally, and any other field is ignored. Legal bytes without a meaning: what they were to say, nobody
// hears.
var framingFieldNames = conformance.Check{
	ID: "framing/field-names", Title: "field names are data, event, id and retry, exactly",
	Level: result.Should, Clause: "WHATWG HTML 9.2.6", Needs: conformance.Observe, Core: true,
	Text: "Every field is called data, event, id or retry: lower case, no space before the name or before the colon. Other names are legal and ignored by every client.",
	Why:  "A heartbeat written as a field \"comment\", a payload line that lost its \"data: \", an upper-case name: the server says something that nobody hears.",
	Good: ": heartbeat\n\ndata: x\n\n", Bad: "comment: heartbeat\n\nData: x\n\n",
	Evidence: []string{"LabsCrypt/flowfi#225", "LabsCrypt/flowfi#325"},
	Run: func(_ context.Context, p *conformance.Probe) {
		conns, ok := streamed(p)
		if !ok {
			return
		}
		if foreign(p, conns) {
			return
		}
		for _, l := range lines(conns, sse.LineUnknown) {
			switch {
			case l.Start == int64(len(bom)) && strings.HasPrefix(l.Name, string(bom)):
				// The second of two byte order marks: encoding/bom says it.
			case indentedComment(l.Name, l.Colon), strings.Trim(l.Name, string(bom)) == "":
				// No name at all: framing/comment and encoding/bom/midstream say it.
			case nearMiss(l.Name, l.Colon):
				p.Fail("the field name %s is none: clients ignore that line", brief(l.Name)).
					Hint("write data, event, id and retry exactly so; comments begin with a colon").At(l.evidence())
			case l.Colon:
				p.Warn("fields of the name %s are ignored by clients", brief(l.Name)).
					Hint("use data, event, id and retry only").At(l.evidence())
			}
		}
		known := lines(conns, sse.LineData, sse.LineEvent, sse.LineID, sse.LineIDIgnored, sse.LineRetry, sse.LineRetryIgnored, sse.LineComment)
		if len(known) == 0 {
			p.NotObserved("no line came in %s", p.Window()).Hint("a longer --window or a publish hook (--publish) would decide it").By("--publish")
			return
		}
		p.Pass("%s with known names or comments", plural(len(known), "line"))
	},
}

func nearMiss(name string, colon bool) bool {
	bare := strings.ToLower(strings.Trim(strings.TrimPrefix(name, string(bom)), " \t\u00a0"))
	// Without a colon a word like "message" is more likely a line of a payload.
	return slices.Contains(nearMisses[:4], bare) || colon && slices.Contains(nearMisses[4:], bare)
}

// WHATWG HTML 9.2.6: a line without a colon is a field name with an empty value, and a name that is none of the four is ignored.
var framingLineWithoutColon = conformance.Check{
	ID: "framing/line-without-colon", Title: "no line is taken for a field by mistake",
	Level: result.Should, Clause: "WHATWG HTML 9.2.6", Needs: conformance.Observe,
	Text: "Every line has a colon, or is one of the four field names.",
	Why:  "Such a line is almost always the second line of a payload whose line breaks were not split into data lines: clients lose it.",
	Good: "data: first\ndata: second\n\n", Bad: "data: first\nsecond\n\n",
	Evidence: []string{"ralscha/sse-eventbus#8"},
	Run: func(_ context.Context, p *conformance.Probe) {
		conns, ok := streamed(p)
		if !ok {
			return
		}
		if foreign(p, conns) {
			return
		}
		for _, l := range lines(conns, sse.LineUnknown) {
			if !l.Colon && !nearMiss(l.Name, false) && !strings.HasPrefix(l.Name, string(bom)) {
				p.Warn("a line without a colon, ignored by clients").
					Hint("write each line of a payload as a data line of its own").At(l.evidence())
			}
		}
		if spoke(p, conns) {
			p.Pass("none among %s", plural(events(conns), "event"))
		}
	},
}
