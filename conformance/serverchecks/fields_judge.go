package serverchecks

import (
	"context"
	"strconv"
	"strings"

	"ssegauge/conformance"
	"ssegauge/reference/sse"
	"ssegauge/reports/result"
)

// WHATWG HTML 9.2.6, field "id": a value that holds U+0000 is ignored.
var idNUL = conformance.Check{
	ID: "id/nul", Title: "no id holds U+0000",
	Level: result.Should, Clause: "WHATWG HTML 9.2.6", Needs: conformance.Observe, Core: true,
	Text: "No id field holds the character U+0000: clients ignore the whole field.",
	Why:  "The position stays at an earlier event; after a reconnect events come twice, or resuming fails, and nothing says why.",
	Good: "id: 42\ndata: x\n\n", Bad: "id: 4\x002\ndata: x\n\n",
	Evidence: []string{"trpc/trpc#7460", "web-platform-tests/wpt eventsource/format-field-id-null.window.js"},
	Run: func(_ context.Context, p *conformance.Probe) {
		conns, ok := streamed(p)
		if !ok {
			return
		}
		if bad := lines(conns, sse.LineIDIgnored); len(bad) > 0 {
			p.Fail("%s with U+0000, ignored by clients", plural(len(bad), "id")).Hint("make ids of printable ASCII").At(evidence(bad)...)
			return
		}
		if spoke(p, conns) {
			p.Pass("%s", ids(conns))
		}
	},
}

// ids says how many ids there were; with none there is nothing to break.
func ids(conns []*conformance.Connection) string {
	n := 0
	for _, c := range conns {
		for _, l := range c.Lines() {
			if l.Kind == sse.LineID {
				n++
			}
		}
	}
	if n > 0 {
		return plural(n, "id") + " in " + plural(events(conns), "event")
	}
	return "no id in " + plural(events(conns), "event")
}

// WHATWG HTML 9.2.4: the id comes back as the value of Last-Event-ID. RFC 9110 5.5: white space around a field value is not part of it, and control characters
// are not allowed in one.
var idHeaderSafe = conformance.Check{
	ID: "id/header-safe", Title: "every id survives as an HTTP field value",
	Level: result.Should, Clause: "WHATWG HTML 9.2.4", Needs: conformance.Observe, Core: true,
	Text: "No id begins or ends with a space or tab, none holds control characters; ids of ASCII are safest.",
	Why: "Clients send the id back as a header: HTTP strips white space at the ends, some clients refuse to send what HTTP does not allow, and stacks that read " +
		"headers as latin-1 mangle the rest.",
	Good: "id: 1700000000-7\ndata: x\n\n", Bad: "id:  7 \ndata: x\n\n",
	Evidence: []string{"nodejs/undici#5746", "whatwg/html#689", "whatwg/html#7363"},
	Run: func(_ context.Context, p *conformance.Probe) {
		conns, ok := streamed(p)
		if !ok {
			return
		}
		for _, l := range lines(conns, sse.LineID) {
			switch {
			case l.Value != strings.Trim(l.Value, " \t"):
				p.Fail("an id begins or ends with white space, which HTTP strips").Hint("trim ids").At(l.evidence())
			case strings.ContainsFunc(l.Value, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }):
				p.Fail("an id holds control characters, which no HTTP field value may").Hint("make ids of printable ASCII").At(l.evidence())
			case strings.ContainsFunc(l.Value, func(c rune) bool { return c > 0x7f }):
				p.Warn("an id holds characters outside of ASCII, which some servers read back as latin-1").Hint("make ids of printable ASCII").At(l.evidence())
			}
		}
		if spoke(p, conns) {
			p.Pass("%s", ids(conns))
		}
	},
}

// WHATWG HTML 9.2.6, field "retry": if the value consists of only ASCII digits, it is the reconnection time in milliseconds; otherwise the field is
// ignored.
var retryDigits = conformance.Check{
	ID: "retry/digits", Title: "every retry value is ASCII digits",
	Level: result.Should, Clause: "WHATWG HTML 9.2.6", Needs: conformance.Observe, Core: true,
	Text: "The value of every retry field is one or more ASCII digits, in milliseconds: no sign, no fraction, no unit, not empty.",
	Why:  "Clients ignore anything else and come back after a time of their own choosing; some non-browser clients throw.",
	Good: "retry: 3000\n\n", Bad: "retry: 3s\n\n",
	Evidence: []string{"isucon/isucon6-final#228", "spring-projects/spring-framework#37193", "openai/openai-python#3834", "envoyproxy/envoy#43176"},
	Run: func(_ context.Context, p *conformance.Probe) {
		conns, ok := streamed(p)
		if !ok {
			return
		}
		if bad := lines(conns, sse.LineRetryIgnored); len(bad) > 0 {
			p.Fail("retry: %s is ignored by clients", brief(bad[0].Value)).Hint("write milliseconds in ASCII digits").At(evidence(bad)...)
			return
		}
		if n := len(lines(conns, sse.LineRetry)); n > 0 {
			p.Pass("%s", plural(n, "retry field"))
			return
		}
		if spoke(p, conns) {
			p.Pass("no retry field in %s", plural(events(conns), "event"))
		}
	},
}

// WHATWG HTML 9.2.3: a client waits for the reconnection time before each attempt.
var retryRange = conformance.Check{
	ID: "retry/range", Title: "the reconnection time is sensible",
	Level: result.Advice, Clause: "WHATWG HTML 9.2.3", Needs: conformance.Observe,
	Text: "The reconnection time is between 100 milliseconds and an hour.",
	Why:  "A few milliseconds make every restart a storm of reconnects, and are mostly seconds written by mistake; hours leave clients silent after one dropped connection.",
	Good: "retry: 3000\n\n", Bad: "retry: 3\n\n",
	Evidence: []string{"go-resty/resty#1010", "launchdarkly/dotnet-eventsource#126"},
	Run: func(_ context.Context, p *conformance.Probe) {
		conns, ok := streamed(p)
		if !ok {
			return
		}
		all := lines(conns, sse.LineRetry)
		for _, l := range all {
			n, err := strconv.ParseUint(l.Value, 10, 63)
			switch {
			case err != nil || n > 3_600_000:
				p.Warn("retry: %s is more than an hour", brief(l.Value)).Hint("the unit is milliseconds").At(l.evidence())
			case n < 100:
				p.Warn("retry: %d makes clients come back within %d ms", n, n).Hint("the unit is milliseconds").At(l.evidence())
			}
		}
		if len(all) == 0 {
			if bad := lines(conns, sse.LineRetryIgnored); len(bad) > 0 {
				p.NotObserved("no retry field came that clients take, only %s", brief(bad[0].Value)).Hint("see retry/digits")
				return
			}
			p.NotObserved("no retry field came")
			return
		}
		p.Pass("%s", plural(len(all), "sensible value"))
	},
}
