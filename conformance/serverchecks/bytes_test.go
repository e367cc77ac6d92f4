package serverchecks_test

import (
	"fmt"
	"strings"
	"testing"

	"ssegauge/conformance"
	"ssegauge/reports/result"
)

// data changes the data of what is published, before it is encoded.
func data(change func(string) string) func(p *peer) {
	return raw(func(id int, d string) string { return encode(id, change(d)) })
}

// block changes each block of the channel.
func block(change func(id int, block string) string) func(p *peer) {
	return raw(func(id int, d string) string { return change(id, encode(id, d)) })
}

// bytesFaults break the rules of lines and fields, and of what becomes of payloads.
var bytesFaults = []fault{
	{
		id: "encoding/utf8/no-replacement", name: "latin-1 in between", want: result.Fail, says: "arrived as",
		breaks: data(func(d string) string {
			return strings.Map(func(c rune) rune {
				if c > 0xFFFF {
					return '?'
				}
				return c
			}, d)
		}),
	},
	{
		id: "encoding/utf8/no-replacement", name: "cut at a buffer's end", want: result.Fail, says: "from its byte 81",
		breaks: data(func(d string) string {
			if len(d) > 8192 {
				return strings.ToValidUTF8(d[:8192], "\uFFFD") + strings.ToValidUTF8(d[8192:], "\uFFFD")
			}
			return d
		}),
	},
	{id: "encoding/bom/midstream", want: result.Warn, says: "U+FEFF", breaks: prepend("\uFEFF: x\n")},
	{id: "framing/eol/consistent", name: "mixed", want: result.Warn, says: "2 styles", breaks: prepend(": x\r\n")},
	{
		id: "framing/eol/atomic", want: result.Info, says: "apart", follows: "framing/eol/consistent",
		breaks: func(p *peer) {
			p.frame = func(s string) string {
				if cut, ok := strings.CutSuffix(s, "\r\n"); ok {
					return chunk(cut+"\r") + chunk("\n")
				}
				return chunk(s)
			}
			p.encode = func(id int, d string) string { return encode(id, d)[:len(encode(id, d))-1] + "\r\n" }
		},
	},
	{
		id: "framing/blank-line", name: "before the event", want: result.Fail, says: "next event",
		breaks: func(p *peer) {
			p.tick, p.heartbeat = 0, 0
			p.encode = func(id int, d string) string { return "\n" + strings.TrimSuffix(encode(id, d), "\n") }
			p.typed = func(typ, block string) string { return "\nevent: " + typ + block }
		}, follows: lateByOne,
	},
	{
		id: "framing/blank-line", name: "never", want: result.Fail, says: "no blank line after any", follows: everything,
		breaks: func(p *peer) {
			p.open = sendHead("")
			p.encode = func(id int, d string) string { return strings.TrimSuffix(encode(id, d), "\n") }
		},
	},
	{
		id: "framing/blank-line", name: "never, and nothing is published", want: result.Fail, says: "no blank line after any", follows: everything,
		breaks: func(p *peer) {
			p.open, p.heartbeat = sendHead(""), 0
			p.encode = func(_ int, d string) string { return "data: " + d + "\n" }
		}, change: func(t *conformance.Target) { t.Publisher = nil },
	},
	{
		id: "framing/blank-line", name: "line ends spelt out", want: result.Fail, says: "no line end", follows: everything,
		breaks: func(p *peer) {
			p.open, p.heartbeat = sendHead(""), 0
			p.encode = func(id int, d string) string { return strings.ReplaceAll(encode(id, d), "\n", `\n`) }
		},
	},
	{
		id: "framing/blank-line", name: "line ends spelt out, and nothing is published", want: result.Fail, says: "no line end", follows: everything,
		breaks: func(p *peer) {
			p.open, p.heartbeat = sendHead(""), 0
			p.encode = func(id int, d string) string { return strings.ReplaceAll(encode(id, d), "\n", `\n`) }
		}, change: func(t *conformance.Target) { t.Publisher = nil },
	},
	{id: "framing/space-after-colon", want: result.Info, says: "without a space", breaks: prepend("event:x\n")},
	{id: "framing/comment", want: result.Fail, says: "white space", breaks: prepend(" : x\n")},
	{
		id: "framing/order", want: result.Info, says: "id stands after",
		breaks: block(func(id int, b string) string {
			line := fmt.Sprintf("id: %d\n", id)
			return strings.TrimSuffix(strings.TrimPrefix(b, line), "\n") + line + "\n"
		}),
	},
	{
		id: "framing/not-sse-body", name: "JSON lines", want: result.Fail, says: "nothing to a client", follows: everything,
		breaks: func(p *peer) {
			p.open, p.heartbeat = sendHead(""), 0
			p.encode = func(id int, _ string) string { return fmt.Sprintf("{\"n\":%d}\n", id) }
		},
	},
	{
		id: "framing/not-sse-body", name: "HTML", want: result.Fail, says: "nothing to a client", follows: everything,
		breaks: func(p *peer) {
			p.open, p.heartbeat = sendHead("<html>\n"), 0
			p.encode = func(int, string) string { return "<p>503</p>\n" }
		},
	},
	{
		id: "data/empty", name: "no data line", want: result.Warn, says: "without a data line",
		breaks: raw(func(id int, d string) string {
			if d == "" {
				return fmt.Sprintf("id: %d\n\n", id)
			}
			return encode(id, d)
		}),
	},
	{
		id: "data/empty", name: "dropped", want: result.Info, says: "nothing was sent",
		breaks: func(p *peer) { p.drop = func(d string) bool { return d == "" } },
	},
	{id: "data/no-data-block", want: result.Warn, says: `"done"`, breaks: prepend("event: done\n\n")},
	{
		id: "data/trailing-newline", want: result.Fail, says: `as "word"`,
		breaks: data(func(d string) string { return strings.TrimSuffix(d, "\n") }),
	},
	{
		id: "data/colon", want: result.Fail, says: `as "word"`,
		breaks: data(func(d string) string {
			if !strings.HasPrefix(d, ": ") {
				d = strings.TrimPrefix(d, ":")
			}
			return d
		}),
	},
	{
		id: "data/nul", name: "cut at U+0000", want: result.Fail, says: "arrived as",
		breaks: data(func(d string) string { d, _, _ = strings.Cut(d, "\x00"); return d }),
	},
	{
		id: "data/nul", name: "splitlines", want: result.Fail, says: "arrived as", follows: "data/verbatim",
		breaks: data(func(d string) string { return strings.ReplaceAll(d, "\u2028", "\n") }),
	},
	{
		id: "data/verbatim", name: "escaped", want: result.Fail, says: `payload "<word": arrived as "&lt;word"`,
		breaks: data(func(d string) string { return strings.ReplaceAll(d, "<", "&lt;") }),
	},
	{
		id: "data/verbatim", name: "JSON escapes undone", want: result.Fail, says: "arrived as",
		breaks: data(func(d string) string { return strings.ReplaceAll(d, `\n`, "\n") }),
	},
	{
		id: "data/large", name: "cut", want: result.Fail, says: "a payload of 65537 bytes: arrived with 65536",
		breaks: data(func(d string) string { return d[:min(len(d), 64<<10)] }),
	},
	{
		id: "data/large", name: "lost", want: result.Fail, says: "never delivered",
		breaks: func(p *peer) { p.drop = func(d string) bool { return len(d) > 64<<10 } },
	},
	{
		id: "data/large", name: "lines of its own", want: result.Warn, says: "stop at 64 KiB",
		breaks: prepend("data: " + strings.Repeat("x", 66_000) + "\n\n"), follows: "id/present",
	},
	{
		id: "event/name", name: "cut at a space", want: result.Fail, says: `"a b" arrived with the type "a"`,
		breaks: func(p *peer) {
			p.typed = func(typ, block string) string {
				typ, _, _ = strings.Cut(typ, " ")
				return "event: " + typ + "\n" + block
			}
		},
	},
	{
		id: "event/name", name: "left out", want: result.Fail, says: `arrived with the type ""`, follows: "event/default",
		breaks: func(p *peer) { p.typed = func(_, block string) string { return block } },
	},
	{id: "event/reserved", want: result.Warn, says: "error", breaks: prepend("event: error\n")},
	{
		id: "event/default", want: result.Info, says: "no event field", follows: "event/name",
		breaks: func(p *peer) { p.typed = func(_, block string) string { return block } },
	},
	{id: "event/empty", want: result.Info, says: "empty value", breaks: prepend("event:\n")},
	{
		id: "id/present", want: result.Info, says: "carried an id",
		breaks: prepend("data: without\n\n"),
	},
	{
		id: "id/present", name: "declared", want: result.Fail, says: "replay is declared",
		breaks: prepend("data: without\n\n"), change: func(t *conformance.Target) { t.ExpectReplay = true },
	},
	{id: "id/unique", want: result.Warn, says: "different content", breaks: prepend("id: 1000\ndata: a\n\nid: 1000\ndata: b\n\n")},
	{id: "id/cors-safe", name: "brackets", want: result.Warn, says: `"{"`, breaks: prepend("id: {7}\n")},
	{id: "id/cors-safe", name: "long", want: result.Warn, says: "200 bytes", breaks: prepend("id: " + strings.Repeat("x", 200) + "\n")},
	{id: "id/cors-safe", name: "times", want: result.Info, says: "may ask", breaks: prepend("id: 12:00\n")},
	{id: "id/size", name: "long", want: result.Warn, says: "2000 bytes", breaks: prepend("id: " + strings.Repeat("x", 2000) + "\n")},
	{id: "id/size", name: "too long", want: result.Fail, says: "does not fit", breaks: prepend("id: " + strings.Repeat("x", 9000) + "\n")},
	{id: "id/empty-resets", want: result.Info, says: "forget", breaks: prepend("id:\n\n")},
	{
		id: "id/empty-resets", name: "declared", want: result.Warn, says: "loses the position", follows: "id/present",
		breaks: prepend("id:\ndata: x\n\n"), change: func(t *conformance.Target) { t.ExpectReplay = true },
	},
	{id: "retry/leading-zero", want: result.Info, says: "base ten", breaks: func(p *peer) { p.open = sendHead("retry: 02000\n\n") }},
	{id: "retry/early", name: "never", want: result.Info, says: "no reconnection time", follows: "retry/range", breaks: func(p *peer) { p.open = sendHead("") }},
	{
		id: "retry/early", name: "late", want: result.Info, says: "came after",
		breaks: func(p *peer) {
			p.open = sendHead("")
			p.encode = func(id int, d string) string {
				if strings.HasPrefix(d, "tick ") {
					return encode(id, d) + "retry: 2000\n\n"
				}
				return encode(id, d)
			}
		},
	},
	{id: "retry/conflict", want: result.Info, says: "changed", breaks: prepend("retry: 5000\n\n")},
}

// bytesElsewhere names the test that proves a check which the matrix of peers cannot.
var bytesElsewhere = map[string]string{"retry/honoured-by-server": "TestComesBack"}

// payloads are the checks that publish some.
const payloads = "data/* event/name* event/default* encoding/utf8/no-replacement* framing/blank-line* sec/inject/data-cr*"

// lateByOne are those that count events, and miss the last where events come one late.
const lateByOne = "delivery/* resume/*"

// What the reference server's faults change besides, and what they need to show.
var (
	bytesFollows = map[string]string{
		"framing/eol/atomic":       "framing/eol/consistent", // there must be CRLF, and heartbeats have none
		"framing/blank-line":       lateByOne,
		"framing/not-sse-body":     everything,
		"data/multiline":           "data/trailing-newline",
		"event/default":            "event/name",
		"retry/honoured-by-server": everything,
	}
	bytesChange = map[string]func(*conformance.Target){
		"retry/honoured-by-server": func(t *conformance.Target) {
			t.Request.URL, _ = t.Request.URL.Parse("/tick?interval=500ms&count=5")
			t.Publisher, t.Declared.Finite = nil, true
		},
	}
)

// A client that comes back when it was told to is served, or not.
func TestComesBack(t *testing.T) {
	refused := "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
	for _, c := range []struct {
		name string
		make func(p *peer)
		want result.Verdict
	}{
		{name: "ends, and answers", make: func(p *peer) { p.ticks = 5 }, want: result.Pass},
		{name: "ends, then 204", make: func(p *peer) {
			p.ticks = 5
			p.head = func(q *request) string {
				if q.n > 1 {
					return "HTTP/1.1 204 No Content\r\n\r\n"
				}
				return okHead
			}
		}, want: result.Pass},
		{name: "ends, then 503", make: func(p *peer) {
			p.ticks = 5
			p.head = func(q *request) string {
				if q.n > 1 {
					return refused
				}
				return okHead
			}
		}, want: result.Fail},
		{name: "ends, then 410", make: func(p *peer) {
			p.ticks = 5
			p.head = func(q *request) string {
				if q.n > 1 {
					return strings.Replace(refused, "503", "410", 1)
				}
				return okHead
			}
		}, want: result.Warn},
		{name: "goes on", make: func(*peer) {}, want: result.NotObserved},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := clean()
			c.make(p)
			f := run(t, p, func(t *conformance.Target) { t.Publisher = nil })["retry/honoured-by-server"]
			if f.Verdict != c.want {
				t.Errorf("want %s: %s", c.want, show(f))
			}
		})
	}
}

// A failing payload is shrunk, and its reproducer is a command that shows the smallest one.
func TestShrinks(t *testing.T) {
	p := clean()
	data(func(d string) string { return strings.ReplaceAll(d, "~", "") })(p)
	f := run(t, p, nil)["data/verbatim"]
	if !strings.Contains(f.Message, `payload "~word"`) || !strings.Contains(f.Reproduce, "printf '~gauge") {
		t.Errorf("%s\n%s", show(f), f.Reproduce)
	}
}
