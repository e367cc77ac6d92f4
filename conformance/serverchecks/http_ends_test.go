package serverchecks_test

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"ssegauge/conformance"
	"ssegauge/reference/server"
	"ssegauge/reports/result"
)

// Where nothing but the close delimits a stream over TLS, and it comes without a close_notify, an end cannot be told from a cut.
func TestTLSWithoutCloseNotify(t *testing.T) {
	cert, err := server.SelfSigned("peer.example")
	if err != nil {
		t.Fatal(err)
	}
	for last, want := range map[string]map[string]result.Verdict{
		"": {
			"framing/terminated": result.Pass, "http/body-framing": result.Pass, "lifecycle/persists": result.Warn, "http/no-content-length": result.Pass,
		},
		"data: perhaps more\n": {
			"framing/terminated": result.NotObserved, "http/body-framing": result.Pass, "lifecycle/persists": result.NotObserved,
		},
	} {
		p := clean()
		p.cert = &cert
		p.head = head("Content-Type: text/event-stream", "Cache-Control: no-store", "Connection: close")
		p.frame = func(s string) string { return s }
		p.ticks, p.tick, p.last = 5, 200*time.Millisecond, last
		found := run(t, p, func(t *conformance.Target) {
			t.Publisher = nil
			t.Request.URL.Scheme = "https"
			t.Dialer.TLS = &tls.Config{InsecureSkipVerify: true}
		})
		for id, verdict := range want {
			if found[id].Verdict != verdict {
				t.Errorf("last %q: want %s: %s", last, verdict, show(found[id]))
			}
		}
		for _, f := range found {
			if f.Verdict == result.Fail || f.Verdict == result.Error {
				t.Errorf("last %q: %s", last, show(f))
			}
		}
	}
}

// What a finding says of what to do.
func TestHintsOfTheAnswer(t *testing.T) {
	const settings = "\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64"
	for _, c := range []struct {
		name, id string
		verdict  result.Verdict
		says     string
		make     func(p *peer)
	}{
		{"HTTP/2 frames", "http/status", result.Fail, "--http h2c", func(p *peer) { p.head = sendHead(settings) }},
		{"HTTP/2 frames, then the end", "http/status", result.Fail, "--http h2c", func(p *peer) {
			p.answer = func(_ *peer, q *request) bool { return q.write(settings) }
		}},
		{"bytes that are none", "http/status", result.Fail, "is this the port", func(p *peer) {
			p.answer = func(_ *peer, q *request) bool { return q.write("\x00\x00\x06\x05\x00\x00\x00\x00\x00") }
		}},
		{"a retry that nobody takes", "retry/range", result.NotObserved, "see retry/digits", func(p *peer) { p.open = sendHead("retry: 3s\n\n") }},
		{"round until a cookie comes back", "http/redirect", result.NotObserved, "Cookie", replying("HTTP/1.1 302 Found\r\nLocation: /events\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n", all)},
		{"round for ever", "http/redirect", result.Fail, "Location", replying("HTTP/1.1 302 Found\r\nLocation: /events\r\nContent-Length: 0\r\n\r\n", all)},
		{"405", "http/allow", result.Fail, "Allow", refusing("405 Method Not Allowed", all)},
		{"405 with Allow", "http/allow", result.Pass, "Allow: POST", replying("HTTP/1.1 405 No\r\nAllow: POST\r\nContent-Length: 0\r\n\r\n", all)},
		{"405 with Allow", "http/status", result.Fail, "--method POST", replying("HTTP/1.1 405 No\r\nAllow: POST\r\nContent-Length: 0\r\n\r\n", all)},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := clean()
			c.make(p)
			f := run(t, p, nil)[c.id]
			if f.Verdict != c.verdict || !strings.Contains(f.Message+f.Hint, c.says) {
				t.Errorf("want %s with %q: %s\n%s", c.verdict, c.says, show(f), f.Hint)
			}
		})
	}
}

func all(*request) bool { return true }

// Nothing that may act is sent to whom nobody declared to be harmless.
func TestSendsNothingThatActs(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(t *conformance.Target)
		want   string // the methods that may be seen
	}{
		{"GET", func(*conformance.Target) {}, "GET HEAD OPTIONS"},
		{"GET and POST declared", func(t *conformance.Target) { t.Declared.Methods = []string{"GET", "POST"} }, "GET HEAD OPTIONS"},
		{"GET and DELETE declared", func(t *conformance.Target) { t.Declared.Methods = []string{"get", "delete"} }, "GET HEAD OPTIONS"},
		{"read only", getOnly, "GET HEAD OPTIONS POST DELETE"},
		{"POST, as MCP and LLMs have it", func(t *conformance.Target) { t.Request.Method, t.Request.Body = "POST", []byte("{}") }, "POST OPTIONS"},
		{"POST, GET declared", func(t *conformance.Target) { getOnly(t); t.Request.Method, t.Request.Body = "POST", []byte("{}") }, "POST OPTIONS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := clean()
			seen := map[string]int{}
			p.method = "POST"
			p.answer = func(p *peer, q *request) bool {
				p.mu.Lock()
				defer p.mu.Unlock()
				seen[q.Method]++
				if q.Method == "POST" && q.ContentLength == 0 {
					seen["POST without the body"]++
				}
				return false
			}
			run(t, p, func(t *conformance.Target) {
				t.Publisher = nil
				c.change(t)
			})
			t.Log(seen)
			for m := range seen {
				if !strings.Contains(" "+c.want+" ", " "+m+" ") && !(m == "POST without the body" && c.name == "read only") {
					t.Errorf("%s was sent", m)
				}
			}
			for m := range strings.FieldsSeq(c.want) {
				if seen[m] == 0 && m != "OPTIONS" { // which a target that acts is spared
					t.Errorf("%s was not sent", m)
				}
			}
		})
	}
}

// Answers that are legal, and seldom.
func TestUnusualAnswersStayClean(t *testing.T) {
	unhooked := func(t *conformance.Target) { t.Publisher = nil }
	for _, c := range []struct {
		name   string
		make   func(p *peer)
		change func(t *conformance.Target)
		want   string // "id verdict" pairs that must hold besides
		allow  string // ids that may warn
	}{
		{name: "HTTP/1.0", make: func(p *peer) {
			p.head = sendHead("HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\r\n")
			p.frame = func(s string) string { return s }
		}, want: "http/http10 pass, http/keepalive-header not-applicable, http/body-framing pass, http/survives pass"},
		{
			name: "HTTP/1.0 is not served", make: replying("HTTP/1.1 505 HTTP Version Not Supported\r\nContent-Length: 0\r\n\r\n", func(q *request) bool { return q.ProtoMinor == 0 }),
			want: "http/http10 info",
		},
		{name: "takes two requests at once", make: func(p *peer) {
			p.answer = func(p *peer, q *request) bool {
				p.mu.Lock()
				full := len(p.subs) >= 2
				p.mu.Unlock()
				if full {
					q.write("HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n")
				}
				return full
			}
		}, change: unhooked, want: "http/survives pass"},
		{name: "takes ten streams", make: func(p *peer) { p.seats = 10 }, change: func(t *conformance.Target) { t.Declared.Capacity = 10 }, want: "http/capacity-5xx pass"},
		{name: "serves once", make: func(p *peer) {
			p.answer = func(_ *peer, q *request) bool {
				if q.n > 1 {
					q.write("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
				}
				return q.n > 1
			}
		}, change: unhooked, want: "http/survives not-observed, http/accept/missing not-observed", allow: "http/head resume/replay"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := clean()
			c.make(p)
			found := run(t, p, c.change)
			for id, f := range found {
				bad := f.Verdict == result.Fail || f.Verdict == result.Warn || f.Verdict == result.Error
				if bad && !strings.Contains(" "+c.allow+" ", " "+id+" ") {
					t.Error(show(f))
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
