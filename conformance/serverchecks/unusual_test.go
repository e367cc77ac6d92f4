package serverchecks_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ssegauge/conformance"
	"ssegauge/reports/result"
)

// Legal but unusual servers: none of these is to blame for anything.
func TestUnusualServersStayClean(t *testing.T) {
	unhooked := func(t *conformance.Target) { t.Publisher = nil }
	finite := func(p *peer) { p.ticks, p.tick = 5, 200*time.Millisecond }
	for _, c := range []struct {
		name   string
		make   func(p *peer)
		change func(t *conformance.Target)
		want   string // "id verdict" pairs that must hold besides
		allow  string // ids that may warn: advice on what the server chose
	}{
		{name: "CR", make: raw(func(id int, d string) string { return strings.ReplaceAll(encode(id, d), "\n", "\r") }), want: "data/multiline pass, resume/replay pass", allow: "framing/eol/consistent"},
		{name: "CRLF", make: func(p *peer) {
			p.open = sendHead("retry: 2000\r\n\r\n")
			p.encode = func(id int, d string) string { return strings.ReplaceAll(encode(id, d), "\n", "\r\n") }
			p.typed = func(typ, block string) string { return "event: " + typ + "\r\n" + block }
			p.heartbeat = 0
		}, want: "data/multiline pass, framing/eol/consistent info"},
		{name: "mixed line endings", make: raw(func(id int, d string) string {
			b, eols := []byte(nil), []string{"\r\n", "\n", "\r"}
			for i, line := range strings.Split(strings.TrimSuffix(encode(id, d), "\n"), "\n") {
				b = append(append(b, line...), eols[i%len(eols)]...)
			}
			return string(b)
		}), want: "data/multiline pass, resume/replay pass", allow: "framing/eol/consistent"},
		{name: "unknown fields", make: raw(func(id int, d string) string { return "x-shard: 7\n" + encode(id, d) }), want: "data/multiline pass, resume/replay pass", allow: "framing/field-names"},
		{name: "BOM", make: func(p *peer) { p.open = sendHead("\uFEFFretry: 2000\n\n") }, allow: "encoding/bom"},
		{name: "no space", make: raw(func(id int, d string) string {
			return strings.ReplaceAll(strings.ReplaceAll(encode(id, d), "data: ", "data:"), "id: ", "id:")
		}), change: unhooked},
		{name: "fields in any order", make: func(p *peer) {
			p.encode = func(id int, d string) string {
				block := strings.TrimPrefix(encode(id, d), fmt.Sprintf("id: %d\n", id))
				return strings.TrimSuffix(block, "\n") + fmt.Sprintf("id: %d\nevent: message\n\n", id)
			}
			p.typed = func(typ, block string) string { return strings.Replace(block, "event: message", "event: "+typ, 1) }
		}, want: "resume/replay pass, data/multiline pass, framing/order info, event/reserved info"},
		{name: "opaque ids", make: func(p *peer) {
			p.encode = func(id int, d string) string {
				return strings.Replace(encode(id, d), "id: ", "id: urn:x/", 1)
			}
			p.replay = func(q *request, _ int) int {
				n := 0
				fmt.Sscanf(q.Header.Get("Last-Event-ID"), "urn:x/%d", &n)
				return n
			}
		}, want: "id/header-safe pass, resume/replay pass, resume/no-duplicate pass"},
		{name: "no ids", make: raw(func(id int, d string) string {
			_, block, _ := strings.Cut(encode(id, d), "\n")
			return block
		}), want: "id/nul pass, id/header-safe pass, resume/replay not-observed, data/multiline pass"},
		{name: "close-delimited", make: func(p *peer) {
			p.head = sendHead("HTTP/1.1 200\r\nContent-Type: TEXT/Event-Stream; Charset=\"UTF-8\"\r\nCache-Control: no-cache\r\nConnection: close\r\n\r\n")
			p.frame = func(s string) string { return s }
		}, want: "http/content-type pass, http/content-type/charset pass, http/body-framing pass"},
		{name: "finite", make: finite, change: unhooked, want: "framing/terminated pass, encoding/utf8 pass, lifecycle/persists warn, stop/finite-loop pass", allow: "lifecycle/persists"},
		{name: "declared finite", make: finite, change: func(t *conformance.Target) { t.Publisher, t.Declared.Finite = nil, true }, want: "lifecycle/persists not-applicable"},
		{name: "finite with a length", make: func(p *peer) {
			p.head = head("Content-Type: text/event-stream", "Cache-Control: no-store", "Content-Length: 22")
			p.frame = func(s string) string { return s }
			p.open = sendHead("data: one\n\ndata: two\n")
			p.ticks, p.tick = 1, time.Second
			p.encode = func(int, string) string { return "" }
			p.last = "\n"
		}, change: unhooked, want: "http/no-content-length info", allow: "lifecycle/persists stop/finite-loop"},
		{name: "finite without hook, then 204", make: func(p *peer) {
			finite(p)
			p.answer = func(_ *peer, q *request) bool {
				return q.n > 1 && q.Method == "GET" && q.write("HTTP/1.1 204 No Content\r\n\r\n")
			}
		}, change: unhooked, want: "framing/terminated pass, stop/204 pass", allow: "resume/replay"},
		{name: "finite, and its end has an id and no data", make: func(p *peer) {
			finite(p)
			p.last = "id: end\n\n"
			p.answer = func(_ *peer, q *request) bool {
				return q.Header.Get("Last-Event-ID") == "end" && q.write("HTTP/1.1 204 No Content\r\n\r\n")
			}
		}, change: unhooked, want: "lifecycle/persists pass, stop/204 pass, stop/finite-loop pass, retry/honoured-by-server pass", allow: "resume/replay"},
		{name: "closes after each event", make: func(p *peer) { p.ticks, p.tick = 1, 0 }, change: func(t *conformance.Target) { t.Window = time.Minute }, want: "framing/terminated pass, data/multiline pass, data/leading-space pass, sec/inject/data-cr pass", allow: "lifecycle/persists"},
		{name: "leading blank lines and pings without data", make: func(p *peer) {
			p.open = sendHead("\n\r\n\nretry: 2000\n\n")
			prepend(": ping\n\nevent: ping\n\n")(p)
		}, want: "framing/field-names pass, data/no-data-block info", allow: "framing/eol/consistent"},
		{name: "byte by byte", make: func(p *peer) {
			p.frame = func(s string) string {
				var b strings.Builder
				for i := range len(s) {
					b.WriteString(chunk(s[i : i+1]))
				}
				return b.String()
			}
		}, want: "data/multiline pass, resume/replay pass"},
		{name: "a line that looks like a chunk size", make: prepend("a\n"), change: unhooked, allow: "framing/line-without-colon", want: "http/body-framing pass"},
		{name: "ends with a comment", make: func(p *peer) { p.ticks, p.last = 5, ": bye" }, change: unhooked, want: "framing/terminated pass"},
		{name: "one id for all events", make: raw(func(_ int, d string) string { return encode(1, d) }), want: "resume/replay not-observed", allow: "id/unique"},
		{
			name: "ends every 700 ms", make: func(p *peer) { p.life, p.tick = 700*time.Millisecond, 0 },
			want: "framing/terminated pass, data/multiline pass, data/leading-space pass, sec/inject/data-cr pass", allow: "lifecycle/persists",
		},
		{name: "gzip", make: func(p *peer) {
			p.zip = zip
			p.headFor = func(*peer, *request) (string, bool) {
				return "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n", true
			}
		}, want: "encoding/utf8 pass, data/multiline pass, resume/replay pass, http/content-encoding/flush pass", allow: "http/cache-control/no-transform"},
		{name: "a coding that is none", make: func(p *peer) {
			p.head = head("Content-Type: text/event-stream", "Cache-Control: no-store", "Content-Encoding: none", "Transfer-Encoding: chunked")
		}, want: "encoding/utf8 pass, data/multiline pass, resume/replay pass"},
		{name: "brotli", make: func(p *peer) {
			p.head = head("Content-Type: text/event-stream", "Cache-Control: no-store", "Content-Encoding: br", "Transfer-Encoding: chunked")
		}, want: "encoding/utf8 not-observed, framing/terminated not-observed, data/multiline not-observed", allow: "http/content-encoding/negotiated http/cache-control/no-transform"},
		{name: "redirect", make: func(p *peer) {
			stream := p.head
			p.answer = func(_ *peer, q *request) bool {
				if q.URL.Path == "/events" {
					q.write("HTTP/1.1 307 Temporary Redirect\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")
					return true
				}
				return false
			}
			p.head = stream
		}, want: "http/status pass, http/head pass, resume/replay pass"},
		{name: "only speaks when published to", make: func(p *peer) { p.tick, p.open = 0, sendHead("") }, want: "encoding/utf8 pass, resume/replay pass, framing/field-names pass"},
		{
			name: "silent", make: func(p *peer) { p.tick, p.open = 0, sendHead("") }, change: unhooked,
			want: "http/status pass, http/head pass, live/headers-flushed pass, live/heartbeat pass, encoding/utf8 not-observed, data/multiline not-observed",
		},
		{
			name: "finds out late that a client left, and serves one at a time",
			make: func(p *peer) {
				p.one = true
				p.linger = func(q *request) time.Duration {
					if q.n == 1 {
						return 3100 * time.Millisecond
					}
					return 20 * time.Second
				}
				p.encode = func(_ int, d string) string { return "data: " + d + "\n\n" }
			}, change: unhooked,
		},
		{name: "greets, and says nothing more", make: func(p *peer) {
			p.tick, p.heartbeat, p.open = 0, 0, sendHead(": hello\n\n")
		}, change: unhooked, want: "live/heartbeat not-observed, http/body-framing pass"},
		{name: "a heartbeat that is no comment", make: func(p *peer) {
			p.tick, p.heartbeat, p.open = 4*time.Second, 0, sendHead("")
			p.encode = func(int, string) string { return "ping\n\n" }
		}, change: unhooked, want: "framing/not-sse-body not-observed, framing/line-without-colon warn", allow: "framing/line-without-colon live/heartbeat/form"},
		{name: "shows what an earlier run published", make: func(p *peer) {
			p.open = sendHead("data: gauge646cvuzwtlutyo" + strings.Repeat("0", 70<<10) + "\n\n")
		}, want: "data/large pass"},
		{name: "sends nothing at all", make: func(p *peer) {
			p.tick, p.heartbeat, p.open = 0, 0, sendHead("")
		}, change: unhooked, want: "live/heartbeat not-observed, http/body-framing not-observed"},
		{name: "early hints before HEAD's answer", make: func(p *peer) {
			p.headFor = func(*peer, *request) (string, bool) {
				return "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n", true
			}
		}, want: "http/head pass"},
		{name: "finite and longer than is kept", make: func(p *peer) {
			events := strings.Repeat("data: "+strings.Repeat("y", 1<<20)+"\n\n", 12)
			p.head = head("Content-Type: text/event-stream", "Cache-Control: no-store", fmt.Sprint("Content-Length: ", len(events)))
			p.frame = func(s string) string { return s }
			p.open, p.tick, p.heartbeat = sendHead(events), 0, 0
		}, change: unhooked, want: "http/no-content-length not-observed"},
		{name: "JSON within JSON", make: raw(func(id int, d string) string {
			return encode(id, `{"message":`+quoteJSON(`{"text":`+quoteJSON(d)+`}`)+`}`)
		}), want: "data/multiline not-observed, data/leading-space not-observed, sec/inject/data-cr pass"},
		{name: "markup around data", make: raw(func(id int, d string) string {
			return encode(id, "<p>"+strings.NewReplacer("\r\n", "<br>", "\n", "<br>", "\r", "<br>", "\t", "&#9;").Replace(d)+"</p>")
		}), want: "data/multiline not-observed, sec/inject/data-cr pass"},
		{name: "the nonce in ids and types", make: raw(func(id int, d string) string {
			s := encode(id, d)
			if n := conformance.NonceOf([]byte(d)); n != "" {
				s = "event: " + n + "\nid: " + n + "\n" + s
			}
			return s
		}), want: "data/multiline pass, sec/inject/data-cr pass", allow: "event/name"},
		{name: "too many publishes", make: func(p *peer) {
			n := 0
			p.refuse = func(string) int {
				if n++; n%2 == 0 {
					return 429
				}
				return 0
			}
		}, want: "data/multiline pass, sec/inject/data-cr pass"},
		{name: "publishing breaks after some events", make: func(p *peer) {
			n := 0
			p.refuse = func(string) int {
				if n++; n > 2 {
					return 500
				}
				return 0
			}
		}, want: "data/multiline not-observed, sec/inject/data-cr not-observed"},
		{name: "one connection at a time, and a first head that takes its time", make: func(p *peer) {
			p.one, p.hold = true, 1300*time.Millisecond
			p.linger = func(*request) time.Duration { return 20 * time.Second }
		}, change: unhooked, want: "live/headers-flushed not-observed"},
		{name: "a worker that is free again when its second write to a client that left fails", make: func(p *peer) {
			written := func(n int) {
				logged := func() int {
					p.mu.Lock()
					defer p.mu.Unlock()
					return len(p.log)
				}
				n += logged()
				for end := time.Now().Add(time.Minute); logged() < n && time.Now().Before(end); {
					time.Sleep(10 * time.Millisecond)
				}
			}
			p.one, p.tick = true, 0
			p.answer = func(p *peer, q *request) bool {
				if q.n == 1 {
					written(1) // somebody left just before the run
				}
				return false
			}
			p.linger = func(*request) time.Duration { written(2); return 0 }
		}, want: "live/headers-flushed pass"},
		{name: "keeps its heads until there is an event, and has one every four seconds", make: func(p *peer) {
			p.tick, p.heartbeat = 4*time.Second, 0
			p.answer = func(p *peer, q *request) bool {
				if q.Method == "GET" {
					time.Sleep(4*time.Second - time.Duration(time.Now().UnixNano())%(4*time.Second))
				}
				return false
			}
			p.open = func(q *request) string { return p.block(1000+q.n, "news") }
		}, change: func(t *conformance.Target) { t.Publisher, t.Window = nil, 30*time.Second }, want: "live/headers-flushed fail, resume/header-accepted not-observed", allow: "live/headers-flushed"},
		{name: "answers two at a time, and is slow to find out who left", make: func(p *peer) {
			var full atomic.Bool
			p.answer = func(_ *peer, q *request) bool {
				usual := q.Header.Get("Accept") == "text/event-stream" && q.Header.Get("Accept-Encoding") == "" || q.Header.Get("Accept") == ""
				if q.Method != "GET" || usual && !full.Load() {
					return false
				}
				full.Store(true)
				io.Copy(io.Discard, q.conn)
				return true
			}
		}, change: unhooked, want: "http/survives not-observed"},
		{name: "one connection at a time", make: func(p *peer) { p.one = true }, want: "http/head pass, resume/replay pass"},
		{name: "a second connection is never answered", make: func(p *peer) {
			p.answer = func(_ *peer, q *request) bool {
				if q.n > 1 {
					io.Copy(io.Discard, q.conn)
				}
				return q.n > 1
			}
		}, want: "http/head not-observed, resume/replay not-observed"},
		{
			name: "JSON around data", make: raw(func(id int, d string) string { return encode(id, fmt.Sprintf(`{"at":%d,"text":%s}`, id, quoteJSON(d))) }),
			want: "data/multiline pass, data/leading-space pass, sec/inject/data-cr pass, resume/replay pass",
		},
		{
			name: "prefix around data", make: raw(func(id int, d string) string { return encode(id, "<p>"+d+"</p>") }),
			want: "data/multiline pass, data/leading-space pass",
		},
		{
			name: "something else around data each time", make: raw(func(id int, d string) string { return encode(id, fmt.Sprint("at ", id, ": ", d)) }),
			want: "data/multiline not-observed, data/leading-space not-observed, sec/inject/data-cr pass",
		},
		{name: "refuses everything but plain data", make: func(p *peer) {
			p.refuse = func(d string) int {
				if strings.Trim(d, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
					return 422
				}
				return 0
			}
		}, want: "data/multiline not-observed, sec/inject/data-cr pass"},
		{name: "refuses to publish", make: func(p *peer) { p.refuse = func(string) int { return 401 } }, want: "data/multiline not-observed, sec/inject/data-cr not-observed"},
		{name: "publishes elsewhere", make: func(p *peer) { p.drop = func(string) bool { return true } }, want: "data/multiline not-observed"},
		{name: "closes after HEAD", make: func(p *peer) {
			p.answer = func(p *peer, q *request) bool {
				if q.Method == "HEAD" {
					q.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
				}
				return q.Method == "HEAD"
			}
		}, want: "http/head pass"},
		{name: "the first event comes with the head", make: func(p *peer) {
			p.head = func(q *request) string {
				hello := "data: hello\n\n"
				if q.ProtoMinor > 0 {
					hello = chunk(hello)
				}
				return okHead + hello
			}
		}, want: "live/headers-flushed pass"},
		{name: "one slow head", make: func(p *peer) {
			p.head = func(q *request) string {
				if q.n == 1 {
					time.Sleep(2 * time.Second)
				}
				return okHead
			}
		}, want: "live/headers-flushed pass"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := clean()
			c.make(p)
			found := run(t, p, c.change)
			for id, f := range found {
				switch f.Verdict {
				case result.Fail, result.Warn, result.Error:
					if !strings.Contains(" "+c.allow+" ", " "+id+" ") || f.Verdict == result.Error {
						t.Error(show(f))
					}
				}
			}
			for pair := range strings.SplitSeq(c.want, ", ") {
				if id, verdict, ok := strings.Cut(pair, " "); ok && string(found[id].Verdict) != verdict {
					t.Errorf("want %s: %s", verdict, show(found[id]))
				}
			}
		})
	}
}

func quoteJSON(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// zippers are kept: to make one costs a megabyte.
var zippers = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}

// zip is one gzip member; members in a row are one stream (RFC 1952 2.2).
func zip(s string) string {
	var b bytes.Buffer
	w := zippers.Get().(*gzip.Writer)
	defer zippers.Put(w)
	w.Reset(&b)
	io.WriteString(w, s)
	w.Close()
	return b.String()
}

// A stream that is opened again lives as long as the target lets it, not as long as the publish that needed it.
func TestOpensAgainOnce(t *testing.T) {
	p := clean()
	p.life, p.first, p.tick = 500*time.Millisecond, true, 0
	c, _ := lookup("data/multiline")
	synctest.Test(t, func(t *testing.T) {
		p.turn = make(chan struct{}, 1)
		r, err := conformance.Run(t.Context(), target(t, p, nil), []conformance.Check{c}, conformance.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if f := r.Results[0]; f.Verdict != result.Pass {
			t.Error(show(f))
		}
	})
	// The observed stream, and the same again.
	if p.accepts > 2 {
		t.Errorf("%d connections", p.accepts)
	}
}

// A flag is named only where it would decide: not where a hook was given and failed, not where there is no stream.
func TestNamesNoFlagInVain(t *testing.T) {
	for says, c := range map[string]struct {
		make   func(p *peer)
		change func(t *conformance.Target)
	}{
		"refused a plain event with 401": {make: func(p *peer) {
			p.tick, p.open = 0, sendHead("")
			p.refuse = func(string) int { return 401 }
		}},
		"the answer was 503": {
			make:   func(p *peer) { p.head = sendHead("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n") },
			change: func(t *conformance.Target) { t.Publisher = nil },
		},
	} {
		p := clean()
		c.make(p)
		for id, f := range run(t, p, c.change) {
			if f.DecidedBy == "--publish" {
				t.Errorf("%s: %s", says, show(f))
			}
			if strings.HasPrefix(id, "data/") && id != "data/no-data-block" && !strings.Contains(f.Message, says) {
				t.Errorf("want %q: %s", says, show(f))
			}
		}
	}
}
