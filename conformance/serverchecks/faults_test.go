package serverchecks_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"ssegauge/conformance"
	"ssegauge/conformance/serverchecks"
	"ssegauge/reports/result"
)

// fault breaks one rule of the clean peer.
type fault struct {
	id      string
	name    string
	want    result.Verdict
	says    string // part of the message
	breaks  func(p *peer)
	change  func(t *conformance.Target)
	follows string // ids whose verdict cannot stay: no stream, no verdict on it
}

func head(lines ...string) func(*request) string {
	return func(*request) string { return "HTTP/1.1 200 OK\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n" }
}

func sendHead(h string) func(*request) string { return func(*request) string { return h } }

// prepend puts a raw block before every event that the channel makes by itself.
func prepend(block string) func(p *peer) {
	return func(p *peer) {
		p.encode = func(id int, data string) string {
			if strings.HasPrefix(data, "tick ") {
				return block + encode(id, data)
			}
			return encode(id, data)
		}
	}
}

func raw(f func(id int, data string) string) func(p *peer) { return func(p *peer) { p.encode = f } }

// all other checks need a stream, but those of the answer itself.
const everything = "*"

var ofTheAnswer = map[string]bool{"http/status": true, "http/content-type": true, "http/redirect": true, "http/allow": true, "http/method": true}

// faults are those of all groups.
var faults = slices.Concat(coreFaults, httpFaults, bytesFaults, liveFaults, resumeFaults)

var coreFaults = []fault{
	{
		id: "http/status", name: "503", want: result.Fail, says: "503", follows: everything,
		breaks: func(p *peer) { p.head = sendHead("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n") },
	},
	{
		id: "http/status", name: "204", want: result.Warn, says: "stop", follows: everything,
		breaks: func(p *peer) { p.head = sendHead("HTTP/1.1 204 No Content\r\n\r\n") },
	},
	{
		id: "http/status", name: "redirect without Location", want: result.Fail, says: "302", follows: everything,
		breaks: func(p *peer) { p.head = sendHead("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n") },
	},
	{
		id: "http/status", name: "not HTTP", want: result.Fail, says: "not a response", follows: everything,
		breaks: func(p *peer) { p.head = sendHead("SSH-2.0-OpenSSH_9.2\r\n\r\n") },
	},
	{
		id: "http/status", name: "endless head", want: result.Fail, says: "exceeds", follows: everything,
		breaks: func(p *peer) {
			p.head = sendHead("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("a", 1<<20))
		},
	},
	{
		id: "http/content-type", name: "text/plain", want: result.Fail, says: "text/plain", follows: "http/head http/content-type/charset",
		breaks: func(p *peer) {
			p.head = head("Content-Type: text/plain", "Cache-Control: no-store", "Transfer-Encoding: chunked")
		},
	},
	{
		id: "http/content-type", name: "none", want: result.Fail, says: "no Content-Type", follows: "http/head http/content-type/charset http/content-type/single",
		breaks: func(p *peer) { p.head = head("Cache-Control: no-store", "Transfer-Encoding: chunked") },
	},
	{
		id: "http/content-type/charset", want: result.Fail, says: "latin1",
		breaks: func(p *peer) {
			p.head = head(`Content-Type: text/event-stream; charset="latin1"`, "Cache-Control: no-store", "Transfer-Encoding: chunked")
		},
	},
	{
		id: "http/no-content-length", name: "live", want: result.Fail, says: "still goes on", follows: "load/*",
		breaks: func(p *peer) {
			p.head = head("Content-Type: text/event-stream", "Cache-Control: no-store", "Content-Length: 1000000")
			p.frame = func(s string) string { return s }
		},
	},
	{
		id: "http/no-content-length", name: "both", want: result.Fail, says: "Transfer-Encoding",
		breaks: func(p *peer) {
			p.head = head("Content-Type: text/event-stream", "Cache-Control: no-store", "Content-Length: 10", "Transfer-Encoding: chunked")
		},
	},
	{
		id: "http/body-framing", name: "not chunked", want: result.Fail, says: "chunk", follows: everything,
		breaks: func(p *peer) { p.frame = func(s string) string { return s } },
	},
	{
		id: "http/body-framing", name: "chunked twice", follows: "framing/eol/consistent http/http10", want: result.Fail, says: "twice",
		breaks: func(p *peer) { p.frame = func(s string) string { return chunk(chunk(s)) } },
	},
	{
		id: "http/head", name: "hangs", want: result.Fail, says: "twice",
		breaks: func(p *peer) { p.headFor = func(*peer, *request) (string, bool) { return "", false } },
	},
	{
		id: "http/head", name: "content", want: result.Fail, says: "content",
		breaks: func(p *peer) {
			p.headFor = func(*peer, *request) (string, bool) { return okHead + chunk("data: x\n\n"), true }
		},
	},
	{
		id: "http/head", name: "405", want: result.Warn, says: "405", follows: "http/allow",
		breaks: func(p *peer) {
			p.headFor = func(*peer, *request) (string, bool) {
				return "HTTP/1.1 405 Method Not Allowed\r\nAllow: GET\r\nContent-Length: 0\r\n\r\n", true
			}
		},
	},
	{
		id: "http/cache-control", name: "none", want: result.Warn, says: "no Cache-Control",
		breaks: func(p *peer) { p.head = head("Content-Type: text/event-stream", "Transfer-Encoding: chunked") },
	},
	{
		id: "http/cache-control", name: "says something else", want: result.Warn, says: "forbids no",
		breaks: func(p *peer) {
			p.head = head("Content-Type: text/event-stream", "Cache-Control: max-age=0", "Transfer-Encoding: chunked")
		},
	},
	{
		id: "http/cache-control", name: "public", want: result.Warn, says: "store",
		breaks: func(p *peer) {
			p.head = head("Content-Type: text/event-stream", "Cache-Control: public, max-age=60", "Transfer-Encoding: chunked")
		},
	},
	{id: "encoding/utf8", follows: "id/present", want: result.Fail, says: "ill-formed", breaks: prepend("data: caf\xe9\n\n")},
	{
		id: "encoding/bom", name: "one", want: result.Warn, says: "legal",
		breaks: func(p *peer) { p.open = sendHead("\uFEFFretry: 2000\n\n") },
	},
	{
		id: "encoding/bom", name: "two", want: result.Fail, says: "two",
		breaks: func(p *peer) { p.open = sendHead("\uFEFF\uFEFFdata: x\n\nretry: 2000\n\n") },
	},
	{id: "framing/terminated", want: result.Fail, says: "within an event", follows: ends, // the stream is shorter
		breaks: func(p *peer) { p.ticks, p.last = 25, "data: unfinished\n" }},
	{
		id: "framing/terminated", name: "within a character", want: result.Fail, says: "within an event", follows: ends,
		breaks: func(p *peer) { p.ticks, p.last = 25, "data: caf\xc3" },
	},
	{id: "framing/field-names", name: "upper case", want: result.Fail, says: `"Data"`, breaks: prepend("Data: x\n")},
	{id: "framing/field-names", name: "space before colon", want: result.Fail, says: `"id "`, breaks: prepend("id : 7\n")},
	{id: "framing/field-names", name: "comment", want: result.Fail, says: `"comment"`, breaks: prepend("comment: beat\n\n")},
	{id: "framing/field-names", name: "unknown", want: result.Warn, says: "ignored", breaks: prepend("time: 12\n")},
	{id: "framing/line-without-colon", follows: "id/present", want: result.Warn, says: "colon", breaks: prepend("data: a\nsecond line\n\n")},
	{id: "id/nul", follows: "id/present", want: result.Fail, says: "U+0000", breaks: prepend("id: 4\x002\ndata: x\n\n")},
	{id: "id/header-safe", name: "space", want: result.Fail, says: "white space", breaks: prepend("id: a \n\n")},
	{id: "id/header-safe", name: "control", want: result.Fail, says: "control", breaks: prepend("id: a\x07b\n\n")},
	{id: "id/header-safe", name: "beyond ASCII", want: result.Warn, says: "ASCII", breaks: prepend("id: é\n\n")},
	{id: "retry/digits", name: "unit", want: result.Fail, says: `"3s"`, breaks: prepend("retry: 3s\n\n")},
	{id: "retry/digits", name: "empty", want: result.Fail, says: `""`, breaks: prepend("retry:\n\n")},
	{id: "retry/range", name: "seconds", follows: "retry/conflict", want: result.Warn, says: "3", breaks: prepend("retry: 3\n\n")},
	{id: "retry/range", name: "years", follows: "retry/conflict", want: result.Warn, says: "hour", breaks: prepend("retry: 99999999999999999999\n\n")},
	{
		id: "live/headers-flushed", name: "with the first event", want: result.Fail, says: "with the first content", follows: slowTarget,
		breaks: func(p *peer) {
			p.hold = time.Second
			p.open = sendHead("retry: 2000\n\n")
		},
	},
	{
		id: "live/headers-flushed", name: "slow, then with a greeting", want: result.Warn, says: "slow", follows: slowTarget,
		breaks: func(p *peer) { p.hold = 1500 * time.Millisecond },
	},
	{
		id: "live/headers-flushed", name: "slow by itself", want: result.Warn, says: "slow",
		breaks: func(p *peer) {
			p.hold = 1500 * time.Millisecond
			p.open = sendHead("")
		}, follows: "retry/range retry/early " + slowTarget,
	},
	{
		id: "live/heartbeat", want: result.Warn, says: "silent", follows: "live/no-deadline", // the window is longer
		breaks: func(p *peer) { p.heartbeat, p.tick = 0, 0 }, change: func(t *conformance.Target) { t.Window = 40 * time.Second },
	},
	{
		id: "data/multiline", name: "not split", want: result.Fail, says: "line of its own",
		breaks: raw(func(id int, data string) string { return fmt.Sprintf("id: %d\ndata: %s\n\n", id, data) }), follows: "sec/inject/data-cr data/trailing-newline",
	},
	{
		id: "data/multiline", name: "joined", follows: "data/trailing-newline", want: result.Fail, says: "arrived as",
		breaks: raw(func(id int, data string) string {
			return encode(id, strings.NewReplacer("\r", "", "\n", "").Replace(data))
		}),
	},
	{
		id: "data/multiline", name: "cut off", follows: "data/trailing-newline", want: result.Fail, says: "arrived as",
		breaks: raw(func(id int, data string) string { s, _, _ := strings.Cut(data, "\n"); return encode(id, s) }),
	},
	{
		id: "data/multiline", name: "CR spelt out, and no space written", want: result.Fail, says: `\\r`,
		follows: "data/leading-space framing/space-after-colon",
		breaks: raw(func(id int, d string) string {
			d = strings.ReplaceAll(strings.ReplaceAll(d, "\r", `\r`), "\n", "\ndata:")
			return fmt.Sprintf("id:%d\ndata:%s\n\n", id, d)
		}),
	},
	{
		id: "data/multiline", name: "dropped", follows: "data/trailing-newline", want: result.Fail, says: "never delivered",
		breaks: func(p *peer) { p.drop = func(data string) bool { return strings.Contains(data, "\n\n") } },
	},
	{
		id: "data/leading-space", name: "no space written", follows: "data/verbatim data/colon framing/space-after-colon", want: result.Fail, says: `as "word"`,
		breaks: raw(func(id int, data string) string { return strings.ReplaceAll(encode(id, data), "data: ", "data:") }),
	},
	{
		id: "data/leading-space", name: "trimmed", want: result.Fail, says: `as "word"`,
		breaks: raw(func(id int, data string) string { return encode(id, strings.TrimLeft(data, " \t")) }),
	},
	{
		id: "sec/inject/data-cr", want: result.Fail, says: "of its own",
		breaks: raw(func(id int, data string) string {
			data = strings.ReplaceAll(data, "\r\n", "\n")
			return fmt.Sprintf("id: %d\ndata: %s\n\n", id, strings.ReplaceAll(data, "\n", "\ndata: "))
		}),
	},
	{
		id: "resume/replay", name: "ignored", want: result.Warn, says: "ignored",
		breaks: func(p *peer) { p.replay = func(*request, int) int { return 1 << 30 } },
	},
	{
		id: "resume/replay", name: "ignored, declared", want: result.Fail, says: "ignored",
		breaks: func(p *peer) { p.replay = func(*request, int) int { return 1 << 30 } },
		change: func(t *conformance.Target) { t.ExpectReplay = true },
	},
	{
		id: "resume/replay", name: "gap", want: result.Warn, says: "missing",
		breaks: func(p *peer) { p.replay = func(_ *request, from int) int { return from + 1 } },
	},
	{
		id: "resume/order", name: "in another order", want: result.Warn, says: "another order", follows: "delivery/burst",
		breaks: func(p *peer) { p.backwards = true },
	},
	{
		id: "resume/replay", name: "ids start again", want: result.Warn, says: "start again", follows: "id/stable",
		breaks: func(p *peer) { p.restart = true },
	},
	{
		id: "resume/replay", name: "ids start again, declared", want: result.Fail, says: "start again", follows: "id/stable",
		breaks: func(p *peer) { p.restart = true }, change: func(t *conformance.Target) { t.ExpectReplay = true },
	},
	{
		id: "resume/replay", name: "no ids, declared", want: result.Fail, says: "no event carried an id",
		breaks: raw(func(id int, data string) string { _, block, _ := strings.Cut(encode(id, data), "\n"); return block }),
		change: func(t *conformance.Target) { t.ExpectReplay = true }, follows: "id/present id/stable*",
	},
	{
		id: "resume/replay", name: "ids go on", want: result.Warn, says: "lost", follows: "id/stable",
		breaks: func(p *peer) {
			p.restart, p.tick = true, 0
			p.open = func(q *request) string {
				for range 4 * (q.n - 1) { // what others publish meanwhile
					p.append("news")
				}
				return "retry: 2000\n\n"
			}
			p.count = func(q *request) int {
				from := 0
				fmt.Sscan(q.Header.Get("Last-Event-ID"), &from)
				return from
			}
		},
	},
	{
		id: "resume/header-accepted", name: "refused", want: result.Fail, says: "400",
		breaks: func(p *peer) {
			p.head = func(q *request) string {
				if q.Header.Get("Last-Event-ID") != "" {
					return "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
				}
				return okHead
			}
		},
	},
	{
		id: "resume/no-duplicate", name: "off by one", want: result.Warn, says: "off by one",
		breaks: func(p *peer) { p.replay = func(_ *request, from int) int { return from - 1 } },
	},
	{
		id: "resume/no-duplicate", name: "off by one, declared", want: result.Fail, says: "off by one",
		breaks: func(p *peer) { p.replay = func(_ *request, from int) int { return from - 1 } },
		change: func(t *conformance.Target) { t.ExpectReplay = true },
	},
	{
		id: "resume/no-duplicate", name: "whole history", want: result.Warn, says: "history",
		breaks: func(p *peer) { p.replay = func(*request, int) int { return 0 } },
	},
}

// The matrix: each fault is found by its check, and no other check changes its verdict.
func TestFaults(t *testing.T) {
	base := run(t, clean(), nil)
	for _, f := range faults {
		t.Run(f.id+"/"+f.name, func(t *testing.T) {
			t.Parallel()
			p := clean()
			f.breaks(p)
			found := run(t, p, f.change)
			got := found[f.id]
			if got.Verdict != f.want || !strings.Contains(got.Message, f.says) {
				t.Errorf("want %s with %q\n%s", f.want, f.says, show(got))
			}
			if (got.Verdict == result.Fail || got.Verdict == result.Warn) && (got.Hint == "" || got.Reproduce == "") {
				t.Errorf("no hint or no command: %+v", got)
			}
			p.holdEvidence(t, found)
			for id, g := range found {
				if id == f.id || f.follows == everything || mayChange(f.follows+" "+resumeFollows[f.id]+" "+httpFollows[f.id], id, g.Verdict) {
					if g.Verdict == result.Error {
						t.Errorf("blames us: %s", show(g))
					}
					if f.follows == everything && id != f.id && !ofTheAnswer[id] && (g.Verdict == result.Fail || g.Verdict == result.Warn) {
						t.Errorf("there is no stream, and yet: %s", show(g))
					}
					continue
				}
				if !alike(base[id], g) {
					t.Errorf("changed from %s: %s", base[id].Verdict, show(g))
				}
			}
		})
	}
}

// Every built check has a peer on which it passes and one on which it does not.
func TestEveryCheckIsProved(t *testing.T) {
	base := run(t, clean(), nil)
	broken := map[string]bool{}
	for _, f := range faults {
		broken[f.id] = true
	}
	elsewhere := map[string]string{
		"framing/terminated":    "TestUnusualServersStayClean/finite",
		"live/heartbeat":        "TestUnusualServersStayClean/silent",
		"h2/connection-headers": "TestReferenceServerFaults",
		"live/proxy-diff":       "TestProxyDiff",
	}
	maps.Copy(elsewhere, httpElsewhere)
	maps.Copy(elsewhere, bytesElsewhere)
	maps.Copy(elsewhere, liveElsewhere)
	maps.Copy(elsewhere, resumeElsewhere)
	for _, c := range serverchecks.All() {
		if c.Run == nil {
			continue
		}
		if base[c.ID].Verdict != result.Pass && elsewhere[c.ID] == "" {
			t.Errorf("%s passes nowhere: %s", c.ID, show(base[c.ID]))
		}
		if !broken[c.ID] && elsewhere[c.ID] == "" {
			t.Errorf("%s fails nowhere", c.ID)
		}
	}
}

// holdEvidence holds every piece of evidence against the bytes that the peer sent: it names them by connection and offset.
func (p *peer) holdEvidence(t *testing.T, found map[string]result.Finding) {
	t.Helper()
	for _, f := range found {
		for _, e := range f.Evidence {
			n := 0
			fmt.Sscanf(e.Connection, "c%d", &n)
			sent := p.sent[n+p.hops] // a redirect is a connection of its own, and has no name
			want := strings.ReplaceAll(e.Hex, " ", "")
			if want == "" {
				continue
			}
			to := min(e.Offset+int64(len(want)/2), int64(len(sent)))
			if got := fmt.Sprintf("%x", sent[min(e.Offset, to):to]); got != want {
				t.Errorf("evidence says %s stands at %d of %s, there is %s\n%s", want, e.Offset, e.Connection, got, show(f))
			}
		}
	}
}

// mayChange tells whether a finding may be another one beside a fault: where its id is named, or where a pattern names it (resume/*) and it
// blames nobody. No fault of the target makes it one of ours.
func mayChange(follows, id string, to result.Verdict) bool {
	for name := range strings.FieldsSeq(follows) {
		prefix, pattern := strings.CutSuffix(name, "*")
		if name == id && to != result.Error || pattern && strings.HasPrefix(id, prefix) && (to == result.NotObserved || to == result.NotApplicable || to == result.Pass) {
			return true
		}
	}
	return false
}
