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

// Every check of this file publishes payloads and holds what arrives against them. No clause says that a payload comes out as it went in; a publisher relies on it.

var dataTrailingNewline = conformance.Check{
	ID: "data/trailing-newline", Title: "line breaks at the end of a payload arrive",
	Level: result.Contract, Clause: noClause, Needs: conformance.Publish,
	Text: "A published payload that ends with one or two line feeds is dispatched with exactly these.",
	Why: "Clients remove one line feed at the end of the data, the one that each data line adds. A server that trims payloads, or writes one data line too many or too few, " +
		"changes text files, diffs and token streams.",
	Good: "data: a\ndata:\n\n", Bad: "data: a\n\n",
	Run: func(ctx context.Context, p *conformance.Probe) {
		fidelity(ctx, p, "write one data line for each line of the payload, the empty one at its end too",
			func(n string) string { return n + "\n" },
			func(n string) string { return n + "\n\n" },
		)
	},
}

var dataColon = conformance.Check{
	ID: "data/colon", Title: "colons in a payload arrive",
	Level: result.Contract, Clause: noClause, Needs: conformance.Publish,
	Text: "A published payload with colons, at its start too, or one that looks like a field, is dispatched as it was.",
	Why:  "Only the first colon of a line ends the field's name. What is cut at a later one loses times, URLs and JSON.",
	Good: "data: a:b\n\n", Bad: "data: a\n\n",
	Evidence: []string{"denoland/deno#23135"},
	Run: func(ctx context.Context, p *conformance.Probe) {
		fidelity(ctx, p, "write the payload after \"data: \" as it is",
			func(n string) string { return n + ":" + n },
			func(n string) string { return ":" + n },
			func(n string) string { return "data: " + n },
		)
	},
}

// WHATWG HTML 9.2.5, any-char: everything but LF and CR. U+0085, U+2028 and U+2029 end lines for the "splitlines" of some languages; not here.
var dataNUL = conformance.Check{
	ID: "data/nul", Title: "control and separator characters in a payload arrive",
	Level: result.Contract, Clause: noClause, Needs: conformance.Publish,
	Text: "U+0000, U+0001, U+0085, U+2028 and U+2029 in a published payload are dispatched as they are. Refusing them is the target's right.",
	Why: "A payload is cut at U+0000 by what thinks in C strings, and split at U+0085, U+2028 and U+2029 by what splits lines as its language does: the text gains line " +
		"breaks, or loses all that follows.",
	Good: "data: a\u2028b\n\n", Bad: "data: a\ndata: b\n\n",
	Evidence: []string{"fastapi/fastapi#15187"},
	Run: func(ctx context.Context, p *conformance.Probe) {
		var payloads []payload
		for _, c := range []string{"\x00", "\x01", "\u0085", "\u2028", "\u2029"} {
			payloads = append(payloads, func(n string) string { return n + c + n })
		}
		fidelity(ctx, p, "split payloads at CRLF, LF and CR only, and leave all other characters alone", payloads...)
	},
}

var dataVerbatim = conformance.Check{
	ID: "data/verbatim", Title: "every printable character arrives as it was",
	Level: result.Contract, Clause: noClause, Needs: conformance.Publish,
	Text: "Every printable ASCII character, markup, backslashes, JSON, text that looks like a data line, and separators beyond ASCII arrive as they were.",
	Why:  "The format escapes nothing. A server that escapes for HTML or JSON, or formats twice, sends other text than was published, and clients undo none of it.",
	Good: "data: <b>a & b</b>\n\n", Bad: "data: &lt;b&gt;a &amp; b&lt;/b&gt;\n\n",
	Run: func(ctx context.Context, p *conformance.Probe) {
		var printable strings.Builder
		for c := ' '; c <= '~'; c++ {
			printable.WriteRune(c)
		}
		fidelity(ctx, p, "write payloads as they are: no escaping, and \"data: \" once",
			func(n string) string { return n + printable.String() + n },
			func(n string) string { return n + ` \n \r \t \\ \u0041 ` + n },
			func(n string) string { return "data: data: " + n },
			func(n string) string { return `{"text": "` + n + `", "list": [1, null, "é"]}` },
			func(n string) string { return n + "\u2028" + n + "\u2029" + n + "\u0085" + n + "\v" + n + "\f" + n },
		)
	},
}

// Characters of two, three and four bytes, and a combining mark.
const (
	beyondASCII = "éßЖ世界\u20ac🌍👩\u200d👧 e\u0301 \U0010FFFD"
	misaligned  = "世é🌍" // nine bytes: no buffer of a power of two ends between characters each time
)

// WHATWG HTML 9.2.5: "Event streams in this format must always be encoded as UTF-8."
var encodingNoReplacement = conformance.Check{
	ID: "encoding/utf8/no-replacement", Title: "no character becomes U+FFFD on the way",
	Level: result.Contract, Clause: noClause, Needs: conformance.Observe | conformance.Publish,
	Text: "Published characters of two, three and four bytes arrive as they were, also in a payload so long that its pieces are cut within characters.",
	Why: "Where bytes are decoded piece by piece, a character cut in two becomes two U+FFFD; where the encoding is not UTF-8, a question mark. It happens to a few events " +
		"of thousands, in some languages only.",
	Good: "data: 世界\n\n", Bad: "data: 世\uFFFD\uFFFD\n\n",
	Evidence: []string{"labring/aisix#111", "musistudio/claude-code-router#1672", "BerriAI/litellm-rs#1180", "danielmiessler/Fabric#2203"},
	Run: func(ctx context.Context, p *conformance.Probe) {
		if p.Target().Publisher == nil {
			lookForReplacement(p)
			return
		}
		run := 5400 // 48 KiB
		if p.Target().Active {
			run = 12_000
		}
		fidelity(ctx, p, "decode bytes to characters with a decoder that keeps what is incomplete, and write UTF-8",
			func(n string) string { return n + beyondASCII + n },
			func(n string) string { return n + strings.Repeat(misaligned, run) + n },
		)
	},
}

// lookForReplacement is what can be said where nothing is published.
func lookForReplacement(p *conformance.Probe) {
	conns, ok := streamed(p)
	if !ok {
		return
	}
	for _, c := range conns {
		if i := strings.IndexRune(string(c.Content()), '\uFFFD'); i >= 0 && strings.HasPrefix(string(c.Content()[i:]), "\uFFFD") {
			p.Warn("U+FFFD stands in the stream: a character was lost before it was written, or it was meant").
				Hint("with a publish hook (--publish) it could be told").At(c.Evidence(int64(i), int64(i+3))).By("--publish")
			return
		}
	}
	p.NotObserved("what was published is not known").Hint("give a publish hook: --publish 'POST URL' or --publish-cmd CMD").By("--publish")
}

// Sizes of large payloads in bytes: around the 64 KiB of many buffers. Only with --active beyond that.
var (
	largeSizes  = []int{4 << 10, 64<<10 - 1, 64<<10 + 1}
	activeSizes = []int{1 << 20, 5 << 20}
)

// WHATWG HTML, registration of text/event-stream: clients are expected to limit what they take; nothing is said of servers.
//
// A payload without line breaks is one data line whatever its size, so a long one of ours is not held against the target; those it writes of its own accord are.
var dataLarge = conformance.Check{
	ID: "data/large", Title: "large payloads arrive whole",
	Level: result.Advice, Clause: "WHATWG HTML, registration of text/event-stream", Needs: conformance.Publish,
	Text: "Payloads of 4 KiB, 64 KiB - 1 and 64 KiB + 1 (with --active also 1 MiB and 5 MiB) arrive whole, or are refused. The target's own events have no data line of more than 64 KiB.",
	Why:  "What is cut at a buffer's size is JSON that does not parse, and only with the largest documents. Many clients stop for good at a line of more than 64 KiB.",
	Good: "data: (all of it)\n\n", Bad: "data: (the first 65536 bytes)\n\n",
	Evidence: []string{"r3labs/sse#97", "cloudwego/hertz#1441", "modelcontextprotocol/go-sdk#726", "openai/openai-go#368", "mark3labs/mcp-go#61"},
	Run:      judgeLarge,
}

func judgeLarge(ctx context.Context, p *conformance.Probe) {
	sizes := largeSizes
	if p.Target().Active {
		sizes = append(sizes[:len(sizes):len(sizes)], activeSizes...)
	}
	var payloads []payload
	for _, size := range sizes {
		payloads = append(payloads, func(n string) string { return n + strings.Repeat("0", size-2*len(n)) + n })
	}
	c, ok := try(ctx, p, payloads)
	if !ok {
		return
	}
	if c.failed != nil {
		d, fault := c.delivery, c.fault.fault
		if n := len(d.Events); n == 1 && len(d.Events[0].Data) < len(d.Sent) {
			fault = fmt.Sprintf("arrived with %d", len(d.Events[0].Data))
		}
		p.Fail("a payload of %d bytes: %s", len(d.Sent), fault).Hint("send it whole, or refuse it where it is published").At(c.fault.at...).Try(p.Republish(d))
		return
	}
	if c.unknown > 0 || c.arrived == 0 {
		for i, r := range c.refused {
			c.refused[i] = fmt.Sprintf("%d bytes %s", sizes[i], r[strings.LastIndex(r, "("):])
		}
		c.report(p)
		return
	}
	for _, conn := range p.Observed() {
		for _, l := range conn.Natural() {
			// What an earlier run published, and the target shows again, is no event of its own either.
			if l.Kind == sse.LineData && l.End-l.Start > 64<<10 && conformance.NonceOf(conn.Content()[l.Start:l.End]) == "" {
				p.Warn("a data line of %d bytes: many clients stop at 64 KiB", l.End-l.Start).
					Hint("send a reference to large documents, or several lines of data").At(conn.Evidence(l.Start, l.Start+64))
			}
		}
	}
	note := "; --active tries more"
	if p.Target().Active {
		note = ""
	}
	if n := len(c.refused); n > 0 {
		note = fmt.Sprintf("; %s refused", plural(n, "larger one"))
	}
	p.Pass("payloads of up to %d bytes arrived whole%s", sizes[c.arrived-1], note)
}

// WHATWG HTML 9.2.6, field "event": the type is the value, whatever it holds but line breaks.
var eventName = conformance.Check{
	ID: "event/name", Title: "event types arrive as they were",
	Level: result.Contract, Clause: noClause, Needs: conformance.Publish,
	Text: "An event published with a type (with a space, a colon, a letter beyond ASCII, of 200 characters) is dispatched with that type, or refused.",
	Why:  "Listeners are registered for the exact name. One that is changed on the way is heard by nobody, and no error is seen.",
	Good: "event: a b\ndata: x\n\n", Bad: "event: a\ndata: x\n\n",
	Run: judgeEventName,
}

func judgeEventName(ctx context.Context, p *conformance.Probe) {
	if !p.Target().Publisher.Uses("Event") {
		p.NotObserved("the publish hook never mentions .Event, so no type can be chosen").Hint("use {{json .Event}} in --publish-body").By("--publish")
		return
	}
	types := []string{"add", "a b", "é", "a:b", strings.Repeat("long-", 40)}
	var makes []func(string) publish.Message
	for _, typ := range types {
		makes = append(makes, func(n string) publish.Message { return publish.Message{Data: n, Event: typ} })
	}
	ds, err := p.PublishAll(ctx, makes...)
	arrived := 0
	var refused []string
	for i := 0; err == nil && i < len(ds); i++ {
		d, typ := ds[i], types[i]
		if !typedAs(d, typ) && (!d.Receipt.Refused || len(refused) == 0) {
			if d, err = p.Publish(ctx, true, makes[i]); err != nil {
				break
			}
		}
		switch {
		case d.Receipt.Refused:
			refused = append(refused, fmt.Sprintf("%s (%d)", brief(typ), d.Receipt.Status))
		case typedAs(d, typ):
			arrived++
		case d.Lost:
			p.Fail("an event of type %s was accepted with %d and never delivered, twice", brief(typ), d.Receipt.Status).
				Hint("deliver it, or refuse it where it is published").Try(p.Republish(d))
			return
		case len(d.Events) == 0:
			p.Fail("the bytes of an event of type %s arrived and made no event", brief(typ)).Hint("write the type as it is, in one line").
				At(d.Conn.Evidence(d.Lines[0].Start, d.Lines[0].End)).Try(p.Republish(d))
			return
		default:
			p.Fail("an event of type %s arrived with the type %s", brief(typ), brief(d.Events[0].TypeName())).Hint("write the type as it is, in one line").
				At(span(d)...).Try(p.Republish(d))
			return
		}
	}
	switch {
	case err != nil:
		unjudged(p, err)
	case arrived == 0:
		p.NotObserved("the target refused %s, which is its right", strings.Join(refused, ", "))
	case len(refused) > 0:
		p.Pass("%s arrived as published; refused: %s", plural(arrived, "type"), strings.Join(refused, ", "))
	default:
		p.Pass("%s arrived as published", plural(arrived, "type"))
	}
}

func typedAs(d *conformance.Delivery, typ string) bool {
	for i := range d.Events {
		if string(d.Events[i].Type) == typ {
			return true
		}
	}
	return false
}
