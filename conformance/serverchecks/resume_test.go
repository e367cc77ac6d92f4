package serverchecks_test

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"ssegauge/conformance"
	"ssegauge/reports/result"
)

// slowTarget are the checks for whose requests no time is left where heads are slow: not observed, and no worse.
const slowTarget = "resume/* cors/* id/stable* id/control-frames* sec/inject/id-header* sec/auth-before-stream*"

// answering lets a peer answer some requests itself; the answer ends the connection. With end false the head goes out and the peer then says nothing more.
func answering(which func(q *request) bool, answer string) func(*peer) {
	return func(p *peer) {
		p.answer = func(_ *peer, q *request) bool {
			if !which(q) {
				return false
			}
			if answer == "" {
				io.Copy(io.Discard, q.conn)
			}
			q.write(answer)
			return true
		}
	}
}

func lastID(q *request) string { return q.Header.Get("Last-Event-ID") }

// never tells whether the request's id is one that the peer never gave out.
func never(q *request) bool { return strings.Trim(lastID(q), "0123456789") != "" }

func resuming(q *request) bool { return lastID(q) != "" && !never(q) && len(lastID(q)) < 6 }

const (
	oops  = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
	empty = okHead + "0\r\n\r\n"
)

// allowing is a head with CORS fields.
func allowing(lines ...string) func(*peer) {
	return func(p *peer) {
		p.head = head(append([]string{"Content-Type: text/event-stream", "Cache-Control: no-cache", "Transfer-Encoding: chunked"}, lines...)...)
		stream := p.head
		p.headFor = func(_ *peer, q *request) (string, bool) { return stream(q), true }
		p.answer = func(_ *peer, q *request) bool {
			switch {
			case q.Method == "OPTIONS":
				q.write("HTTP/1.1 204 No Content\r\n" + strings.Join(lines, "\r\n") + "\r\nAccess-Control-Allow-Headers: last-event-id\r\n\r\n")
			case q.Header.Get("Accept") == "application/x-ssegauge":
				q.write("HTTP/1.1 406 Not Acceptable\r\n" + strings.Join(lines, "\r\n") + "\r\nContent-Length: 0\r\n\r\n")
			default:
				return false
			}
			return true
		}
	}
}

// all of the CORS checks come into play with the fields.
const corsAll = "cors/*"

// resumeFaults break the rules of resuming, of CORS and of what clients and publishers may inject.
var resumeFaults = []fault{
	{
		id: "id/stable", name: "ids of the connection's own", want: result.Warn, says: "on another", follows: "resume/fidelity",
		breaks: func(p *peer) {
			p.own = func(q *request, block string) string {
				return regexp.MustCompile(`(?m)^id: \d+`).ReplaceAllString(block, fmt.Sprint("$0.", q.n))
			}
		},
	},
	{
		id: "id/stable", name: "a counter in the connection, nothing is replayed", want: result.Fail, says: "on another", follows: "resume/replay resume/*",
		breaks: func(p *peer) { p.restart, p.tick = true, 0 },
	},
	{
		id: "id/control-frames", name: "a greeting", want: result.Warn, says: `"r%d", and a client that comes back with it`,
		breaks: func(p *peer) {
			p.open = func(q *request) string { return "retry: 2000\n\nevent: ready\nid: r%d\ndata: {}\n\n" }
		},
	},
	{
		id: "id/control-frames", name: "heartbeats ahead of the events", want: result.Warn, says: "are not sent",
		breaks: func(p *peer) {
			p.encode = func(id int, data string) string {
				if strings.HasSuffix(data, "5") && strings.HasPrefix(data, "tick ") {
					return encode(id, data) + fmt.Sprintf("event: ping\nid: %d\ndata:\n\n", 1<<20)
				}
				return encode(id, data)
			}
		},
	},
	{
		id: "resume/header-accepted", name: "silence", want: result.Fail, says: "no answer", follows: slowTarget,
		breaks: answering(resuming, ""),
	},
	{
		id: "resume/fidelity", name: "the type is lost", want: result.Warn, says: `"extra"`,
		breaks: func(p *peer) {
			p.encode = func(id int, data string) string { return encode(id, data) }
			stream := p.open
			p.open = func(q *request) string {
				if resuming(q) {
					var b strings.Builder
					from := 0
					fmt.Sscan(lastID(q), &from)
					p.mu.Lock()
					for i, data := range p.log[min(from, len(p.log)):] {
						b.WriteString("event: extra\n" + encode(from+i+1, data))
					}
					p.mu.Unlock()
					return stream(q) + b.String()
				}
				return stream(q)
			}
			p.replay = func(q *request, from int) int {
				if resuming(q) {
					return 1 << 30
				}
				return 0
			}
		},
		follows: "resume/seam", // the test's own, between its two halves
	},
	{
		id: "resume/idempotent", name: "handed out once", want: result.Warn, says: "did not come again",
		breaks: func(p *peer) {
			n := map[string]int{}
			p.replay = func(q *request, from int) int {
				if n[lastID(q)]++; n[lastID(q)] == 2 {
					return from + 1
				}
				return from
			}
		},
	},
	{id: "resume/unknown-id", name: "500", want: result.Fail, says: "500", breaks: answering(func(q *request) bool { return strings.Contains(lastID(q), "never") }, oops)},
	{id: "resume/unknown-id", name: "404", want: result.Warn, says: "404", breaks: answering(func(q *request) bool { return strings.Contains(lastID(q), "never") },
		"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")},
	{id: "resume/unknown-id", name: "dropped", want: result.Fail, says: "ends after its head", breaks: answering(func(q *request) bool { return strings.Contains(lastID(q), "never") }, empty)},
	{id: "resume/unknown-id", name: "silence", want: result.Fail, says: "no answer", breaks: answering(func(q *request) bool { return strings.Contains(lastID(q), "never") }, ""), follows: slowTarget},
	{id: "resume/unknown-id", name: "only live events", want: result.Warn, says: "nothing tells", breaks: func(p *peer) {
		p.replay = func(q *request, from int) int {
			if never(q) {
				return 1 << 30
			}
			return from
		}
	}},
	{id: "resume/empty-header", name: "500", want: result.Fail, says: "500", breaks: answering(func(q *request) bool {
		_, there := q.Header["Last-Event-Id"]
		return there && lastID(q) == ""
	}, oops)},
	{id: "resume/empty-header", name: "400", want: result.Warn, says: "400", breaks: answering(func(q *request) bool {
		_, there := q.Header["Last-Event-Id"]
		return there && lastID(q) == ""
	}, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")},
	{id: "resume/hostile-id", name: "500", want: result.Fail, says: "500", change: active, follows: "sec/inject/id-header*", breaks: answering(func(q *request) bool { return strings.Contains(lastID(q), "OR 1=1") }, oops)},
	{id: "resume/hostile-id", name: "breaks off", want: result.Fail, says: "breaks the connection", breaks: func(p *peer) {
		p.answer = func(_ *peer, q *request) bool { return lastID(q) == "9e99" }
	}},
	{id: "resume/hostile-id", name: "back in a field", want: result.Fail, says: "X-Resumed-From", change: active, follows: "sec/inject/id-header*", breaks: func(p *peer) {
		p.head = func(q *request) string {
			if never(q) {
				return strings.Replace(okHead, "\r\n\r\n", "\r\nX-Resumed-From: "+lastID(q)+"\r\n\r\n", 1)
			}
			return okHead
		}
	}},
	{id: "resume/no-id-no-replay", name: "history for all", want: result.Info, says: "history", breaks: func(p *peer) {
		p.open = func(q *request) string {
			if q.n == 1 || lastID(q) != "" {
				return "retry: 2000\n\n"
			}
			return "retry: 2000\n\n" + p.block(1, p.log[0]) + p.block(2, p.log[1])
		}
	}},
	{id: "sec/inject/id-header", name: "in the stream", change: active, want: result.Fail, says: "line of the stream", breaks: func(p *peer) {
		p.open = func(q *request) string {
			if from := q.URL.Query().Get("lastEventId"); from != "" {
				return "retry: 2000\n\n: from " + from + "\n\n"
			}
			return "retry: 2000\n\n"
		}
	}},
	{id: "sec/inject/id-header", name: "in the head", change: active, want: result.Fail, says: "response head", breaks: func(p *peer) {
		p.head = func(q *request) string {
			if from := q.URL.Query().Get("lastEventId"); from != "" {
				return strings.Replace(okHead, "\r\n\r\n", "\r\nX-From: "+from+"\r\n\r\n", 1)
			}
			return okHead
		}
	}},
	{id: "sec/token-in-url", name: "redirect", want: result.Info, says: "access_token", follows: "sec/auth-before-stream", breaks: func(p *peer) {
		p.answer = func(_ *peer, q *request) bool {
			if q.URL.Query().Has("access_token") || q.Method != "GET" {
				return false
			}
			q.write("HTTP/1.1 307 Temporary Redirect\r\nLocation: /events?access_token=x\r\nContent-Length: 0\r\n\r\n")
			return true
		}
	}},
	{
		id: "sec/token-in-url", name: "asked for", want: result.Info, says: "token", breaks: func(*peer) {}, follows: "sec/auth-before-stream",
		change: func(t *conformance.Target) { u := *t.Request.URL; u.RawQuery = "token=x"; t.Request.URL = &u },
	},
	{id: "sec/auth-before-stream", name: "says so in the stream", want: result.Fail, says: "an event says no", change: withToken, breaks: func(p *peer) {
		p.answer = func(_ *peer, q *request) bool {
			if q.Method == "GET" && q.Header.Get("Authorization") == "" {
				q.write(okHead + chunk("event: error\ndata: {\"code\":401}\n\n") + "0\r\n\r\n")
				return true
			}
			return false
		}
	}},
	{id: "cors/allow-origin", name: "twice", want: result.Fail, says: "several", follows: corsAll, breaks: allowing("Access-Control-Allow-Origin: *", "Access-Control-Allow-Origin: *")},
	{
		id: "cors/allow-origin", name: "declared, none", want: result.Fail, says: "there is no", follows: corsAll + " cors/preflight/last-event-id", breaks: func(*peer) {},
		change: func(t *conformance.Target) { t.Declared.CORS = []string{"https://b.example"} },
	},
	{id: "cors/credentials", name: "any", want: result.Fail, says: "*", follows: corsAll, breaks: allowing("Access-Control-Allow-Origin: *", "Access-Control-Allow-Credentials: true")},
	{
		id: "cors/credentials", name: "any, and heads take half a second", want: result.Fail, says: "*", follows: corsAll + " " + slowTarget,
		breaks: func(p *peer) {
			allowing("Access-Control-Allow-Origin: *", "Access-Control-Allow-Credentials: true")(p)
			p.hold = 700 * time.Millisecond
		},
	},
	{id: "cors/vary", name: "echo", want: result.Warn, says: "Vary", follows: corsAll, breaks: func(p *peer) {
		allowing("Access-Control-Allow-Origin: https://a.example")(p)
		p.head = func(q *request) string {
			if q.Header.Get("Origin") == "" {
				return strings.Replace(okHead, "no-store", "no-cache", 1)
			}
			return head("Content-Type: text/event-stream", "Cache-Control: no-cache", "Transfer-Encoding: chunked", "Access-Control-Allow-Origin: https://a.example")(q)
		}
	}},
	{id: "cors/stream-and-error", name: "not on errors", want: result.Warn, says: "406", follows: corsAll, breaks: func(p *peer) {
		allowing("Access-Control-Allow-Origin: *")(p)
		next := p.answer
		p.answer = func(p *peer, q *request) bool {
			if q.Header.Get("Accept") == "application/x-ssegauge" {
				q.write("HTTP/1.1 406 Not Acceptable\r\nContent-Length: 0\r\n\r\n")
				return true
			}
			return next(p, q)
		}
	}},
	{id: "cors/preflight/last-event-id", name: "405", want: result.Fail, says: "405", follows: corsAll, breaks: func(p *peer) {
		allowing("Access-Control-Allow-Origin: *")(p)
		next := p.answer
		p.answer = func(p *peer, q *request) bool {
			if q.Method == "OPTIONS" {
				q.write("HTTP/1.1 405 Method Not Allowed\r\nAllow: GET\r\nContent-Length: 0\r\n\r\n")
				return true
			}
			return next(p, q)
		}
	}},
}
