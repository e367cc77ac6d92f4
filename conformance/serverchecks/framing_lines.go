package serverchecks

import (
	"context"
	"slices"
	"strings"

	"ssegauge/conformance"
	"ssegauge/reference/sse"
	"ssegauge/reports/result"
)

// WHATWG HTML 9.2.5, the stream production: one byte order mark, and only at the start. Later U+FEFF is a character like others, so at the start of a line it is
// part of the field's name.
var encodingBOMMidstream = conformance.Check{
	ID: "encoding/bom/midstream", Title: "no U+FEFF later at the start of a line",
	Level: result.Should, Clause: "WHATWG HTML 9.2.5", Needs: conformance.Observe,
	Text: "No line after the first begins with U+FEFF.",
	Why:  "It comes from files and templates that are glued together, or from a proxy that does so with streams. The field it stands before is ignored by every client.",
	Good: "data: one\n\ndata: two\n\n", Bad: "data: one\n\n\uFEFFdata: two\n\n",
	Run: func(_ context.Context, p *conformance.Probe) {
		conns, ok := streamed(p)
		if !ok {
			return
		}
		for _, l := range lines(conns, sse.LineUnknown) {
			if strings.HasPrefix(l.Name, string(bom)) && l.Start > int64(len(bom)) {
				p.Warn("U+FEFF at the start of a line in the stream: clients ignore the line").
					Hint("write no byte order mark; strip those of files and templates that go into the stream").At(l.evidence())
			}
		}
		if spoke(p, conns) {
			p.Pass("none among %s", plural(events(conns), "event"))
		}
	},
}

// WHATWG HTML 9.2.5, end-of-line: LF, CRLF and CR are all legal, in any mixture.
var framingEOLConsistent = conformance.Check{
	ID: "framing/eol/consistent", Title: "one style of line ending, and one that simple clients can split",
	Level: result.Advice, Clause: "WHATWG HTML 9.2.5", Needs: conformance.Observe,
	Text: "All lines end alike, in LF.",
	Why:  "Many clients are not parsers: they split at two line feeds. CRLF leaves them without any event, CR alone too, and a mixture with some.",
	Good: "data: x\n\n", Bad: "data: x\n\r\n",
	Evidence: []string{"hey-api/openapi-ts#3054", "inngest/inngest-js#1714", "a2aproject/a2a-js#714", "modelcontextprotocol/php-sdk#401"},
	Run: func(_ context.Context, p *conformance.Probe) {
		conns, ok := streamed(p)
		if !ok {
			return
		}
		var count [4]int
		var example [4]*placed
		for _, c := range conns {
			if len(strayChunks(c)) > 0 {
				p.NotObserved("chunk framing stands among the lines").Hint("see http/body-framing")
				return
			}
			ls := c.Natural()
			for i, l := range ls {
				eol := l.EOL
				if eol == sse.EOLCR && i+1 < len(ls) && ls[i+1].Kind == sse.LineLateLF {
					eol = sse.EOLCRLF // that arrived in two pieces
				}
				if eol == sse.EOLCR && l.End == int64(len(c.Content())) {
					continue // nobody knows whether a LF was to follow
				}
				if count[eol]++; example[eol] == nil {
					example[eol] = &placed{c, l}
				}
			}
		}
		styles, total := 0, 0
		for _, eol := range []sse.EOL{sse.EOLLF, sse.EOLCR, sse.EOLCRLF} {
			if total += count[eol]; count[eol] > 0 {
				styles++
			}
		}
		const hint = "end every line with LF"
		at := func(eol sse.EOL, n *conformance.Note) {
			n.Hint(hint).At(example[eol].conn.Evidence(example[eol].Start, example[eol].End))
		}
		switch {
		case total == 0:
			p.NotObserved("no line came in %s", p.Window()).Hint("a longer --window or a publish hook (--publish) would decide it").By("--publish")
		case styles > 1:
			rare := sse.EOLLF
			for _, eol := range []sse.EOL{sse.EOLCR, sse.EOLCRLF} {
				if count[eol] > 0 && (count[rare] == 0 || count[eol] <= count[rare]) {
					rare = eol
				}
			}
			at(rare, p.Warn("line endings of %d styles: %d LF, %d CRLF, %d CR; legal, but clients that split at one of them lose events",
				styles, count[sse.EOLLF], count[sse.EOLCRLF], count[sse.EOLCR]))
		case count[sse.EOLCR] > 0:
			at(sse.EOLCR, p.Warn("lines end with CR alone; legal, but many clients know only LF"))
		case count[sse.EOLCRLF] > 0:
			at(sse.EOLCRLF, p.Info("lines end with CRLF; legal, but clients that split at two line feeds see no event"))
		default:
			p.Pass("%s, all ended by LF", plural(total, "line"))
		}
	},
}

// WHATWG HTML 9.2.6: lines are ended by CRLF, by LF, and by CR not followed by LF; nothing says that the two arrive together.
var framingEOLAtomic = conformance.Check{
	ID: "framing/eol/atomic", Title: "CR and LF of one line ending arrive together",
	Level: result.Advice, Clause: "WHATWG HTML 9.2.6", Needs: conformance.Observe,
	Text: "Where lines end with CRLF, both are written at once.",
	Why:  "A client that treats each read by itself takes the CR for one line ending and the LF for another: a blank line in the middle of an event.",
	Good: "data: x\r\n\r\n", Bad: "data: x\r\n\r  (flush)  \n",
	Evidence: []string{"rexxars/eventsource-parser#17"},
	Run: func(_ context.Context, p *conformance.Probe) {
		conns, ok := streamed(p)
		if !ok {
			return
		}
		for _, l := range lines(conns, sse.LineLateLF) {
			p.Info("the LF of a CRLF arrived apart from its CR; legal, but it shows a fault of many clients").
				Hint("write both in one piece, or end lines with LF").At(l.conn.Evidence(l.Start, l.End))
		}
		if spoke(p, conns) {
			p.Pass("no line ending arrived in two pieces, in %s", plural(events(conns), "event"))
		}
	},
}

// WHATWG HTML 9.2.6: one space after the colon is removed, and it is optional.
var framingSpaceAfterColon = conformance.Check{
	ID: "framing/space-after-colon", Title: "one space after the colon, as simple clients want it",
	Level: result.Advice, Clause: "WHATWG HTML 9.2.6", Needs: conformance.Observe,
	Text: "Every field has one space between its colon and its value.",
	Why:  "\"data:x\" is as right as \"data: x\", but clients that look for \"data: \" are everywhere, and see nothing of it.",
	Good: "data: x\n\n", Bad: "data:x\n\n",
	Evidence: []string{"manucorporat/sse#7", "zed-industries/zed#60575"},
	Run: func(_ context.Context, p *conformance.Probe) {
		conns, ok := streamed(p)
		if !ok {
			return
		}
		with, without := 0, []placed(nil)
		for _, l := range lines(conns, sse.LineData, sse.LineEvent, sse.LineID, sse.LineRetry) {
			switch {
			case !l.Colon || emptyField(l):
			case l.Space:
				with++
			default:
				without = append(without, l)
			}
		}
		if len(without) > 0 {
			p.Info("%s without a space after the colon, %d with one; legal, but clients that look for \"data: \" miss them", plural(len(without), "field"), with).
				Hint("write one space after every colon").At(evidence(without)...)
			return
		}
		if spoke(p, conns) {
			p.Pass("%s, each with its space", plural(with, "field"))
		}
	},
}

// emptyField tells whether nothing follows the colon, so that there is nothing to set apart.
func emptyField(l placed) bool {
	b := l.conn.Content()[l.Start:l.End]
	_, value, _ := strings.Cut(strings.TrimRight(string(b[:min(len(b), 64)]), "\r\n"), ":")
	return value == ""
}

// WHATWG HTML 9.2.5, the comment production: a comment begins with a colon, at the very start of the line. What has white space before the colon is a
// field of a name that nobody knows.
var framingComment = conformance.Check{
	ID: "framing/comment", Title: "comments start with a colon",
	Level: result.Must, Clause: "WHATWG HTML 9.2.5", Needs: conformance.Observe,
	Text: "The colon of a comment is the first character of its line.",
	Why:  "With white space before it the line is a field without a name: clients ignore it too, but those that count it as a sign of life do not see one.",
	Good: ": still here\n\n", Bad: " : still here\n\n",
	Run: func(_ context.Context, p *conformance.Probe) {
		conns, ok := streamed(p)
		if !ok {
			return
		}
		for _, l := range lines(conns, sse.LineUnknown) {
			if indentedComment(l.Name, l.Colon) {
				p.Fail("a comment with white space before its colon is a field without a name").Hint("begin the line with the colon").At(l.evidence())
			}
		}
		if found := lines(conns, sse.LineComment); len(found) > 0 {
			p.Pass("%s, the first is %s", plural(len(found), "comment"), brief(found[0].Value))
			return
		}
		if spoke(p, conns) {
			p.Pass("no comment in %s", plural(events(conns), "event"))
		}
	},
}

func indentedComment(name string, colon bool) bool {
	return colon && name != "" && strings.Trim(name, " \t\u00a0") == ""
}

// WHATWG HTML 9.2.3 processes lines in the order received; within a block the order of fields has no meaning.
var framingOrder = conformance.Check{
	ID: "framing/order", Title: "id and event stand before data",
	Level: result.Advice, Clause: "WHATWG HTML 9.2.6", Needs: conformance.Observe,
	Text: "Within a block id and event come before data.",
	Why:  "Any order is right. Simple clients that act on each data line as it comes do so with the type and id of the event before.",
	Good: "id: 7\nevent: add\ndata: x\n\n", Bad: "data: x\nevent: add\nid: 7\n\n",
	Run: func(_ context.Context, p *conformance.Probe) {
		conns, ok := streamed(p)
		if !ok {
			return
		}
		n := 0
		for _, b := range blocks(p, conns) {
			data := false
			for _, l := range b.lines {
				if (l.Kind == sse.LineID || l.Kind == sse.LineEvent) && data {
					p.Info("%s stands after the data of its event; legal, but simple clients act on data lines as they come", l.Kind).
						Hint("write id and event first").At(b.evidence())
					break
				}
				data = data || l.Kind == sse.LineData
			}
			n++
		}
		if spoke(p, conns) {
			p.Pass("%s, each with id and event before data", plural(n, "block"))
		}
	},
}

// WHATWG HTML 9.2.5: what is served as text/event-stream is in that format. Every text is, by the grammar; one in which no line means anything to a client is
// something else under a wrong label. A line that only misses a name (framing/field-names) shows what was meant.
var framingNotSSEBody = conformance.Check{
	ID: "framing/not-sse-body", Title: "what is labelled an event stream is one",
	Level: result.Must, Clause: "WHATWG HTML 9.2.5", Needs: conformance.Observe,
	Text: "The content has fields of the format (data, event, id, retry), and is not only text of another kind.",
	Why:  "JSON lines or an error page under this label make a client that waits for ever, or that reconnects once a second for ever, and never sees the error.",
	Good: "data: {\"n\":1}\n\n", Bad: "{\"n\":1}\n{\"n\":2}\n",
	Evidence: []string{"sanity-io/client#1236"},
	Run: func(_ context.Context, p *conformance.Probe) {
		conns, ok := streamed(p)
		if !ok {
			return
		}
		known, comments, strange := kinds(conns)
		size := 0
		for _, c := range conns {
			size += len(c.Content())
		}
		_, ended := conns[0].Ended()
		switch last := conns[len(conns)-1]; {
		case known > 0:
			p.Pass("%s of the format", plural(known, "line"))
		case pulse(conns, strange):
			p.NotObserved("only %s came, again and again: a heartbeat, it seems, that is no comment", brief(strange[0].Name)).
				Hint("a comment begins with a colon; --publish lets events be seen too").By("--publish")
		case len(strange) > 0:
			p.Fail("labelled %s, and %s of it mean nothing to a client, and none carries data", eventStream, plural(len(strange), "line")).
				Hint("write \"data: \" before each line of the payload and a blank line after it, or label it as what it is").At(evidence(strange)...)
		case comments > 0:
			p.Pass("%s", plural(comments, "comment"))
		case size > 0 && (ended != nil || last.Full()):
			if _, pending := last.Tail(); pending {
				p.Fail("labelled %s, and %s hold no line of the format", eventStream, plural(size, "byte")).
					Hint("write the format, or label it as what it is").At(last.Evidence(0, int64(min(len(last.Content()), 64))))
				return
			}
			p.NotObserved("only blank lines came")
		default:
			p.NotObserved("no line came in %s", p.Window()).Hint("a longer --window or a publish hook (--publish) would decide it").By("--publish")
		}
	},
}

// kinds counts the lines that are fields, or were meant to be, and comments; strange are those that mean nothing to anybody.
func kinds(conns []*conformance.Connection) (fields, comments int, strange []placed) {
	for _, c := range conns {
		for _, l := range c.Lines() {
			switch l.Kind {
			case sse.LineBlank, sse.LineBOM, sse.LineLateLF:
			case sse.LineComment:
				comments++
			case sse.LineUnknown:
				if !nearMiss(l.Name, l.Colon) && !indentedComment(l.Name, l.Colon) && !strings.HasPrefix(l.Name, string(bom)) {
					strange = append(strange, placed{c, l})
					continue
				}
				fields++
			default:
				fields++
			}
		}
	}
	return fields, comments, strange
}

// pulse tells whether what means nothing is no content of another kind, but a heartbeat misspelt on a stream that is quiet otherwise: one word, as a block
// of its own, on a stream that stays open.
func pulse(conns []*conformance.Connection, strange []placed) bool {
	if len(strange) == 0 {
		return false
	}
	for _, c := range conns {
		if _, err := c.Ended(); err != nil {
			return false
		}
	}
	name := strange[0].Name
	word := func(r rune) bool {
		return r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
	}
	if name == "" || len(name) > 32 || strings.TrimFunc(name, word) != "" || len(lines(conns, sse.LineBlank)) < len(strange) {
		return false
	}
	return !slices.ContainsFunc(strange, func(l placed) bool { return l.Name != name })
}

// foreign tells, and reports, that the content is no event stream at all, so that its lines are not to be judged as if it were.
func foreign(p *conformance.Probe, conns []*conformance.Connection) bool {
	fields, _, strange := kinds(conns)
	if fields > 0 || len(strange) == 0 || pulse(conns, strange) {
		return false
	}
	p.NotObserved("the content is no event stream").Hint("see framing/not-sse-body")
	return true
}
