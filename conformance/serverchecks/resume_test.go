package serverchecks_test

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"ssegauge/conformance"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// replaying are the checks that judge what comes again.
const replaying = "resume/replay resume/no-duplicate resume/order resume/window resume/idempotent resume/seam resume/fidelity resume/header-case"

// slowTarget are the checks for whose requests no time is left where heads are slow.
const slowTarget = replaying + " " + corsAll + " id/stable id/control-frames resume/header-accepted resume/unknown-id resume/empty-header resume/hostile-id resume/isolation " +
	"resume/query-param resume/no-id-no-replay sec/inject/id-header sec/auth-before-stream"

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
const corsAll = "cors/allow-origin cors/credentials cors/vary cors/stream-and-error cors/preflight/last-event-id"

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
		id: "id/stable", name: "a counter in the connection, nothing is replayed", want: result.Fail, says: "on another", follows: replaying,
		breaks: func(p *peer) { p.restart, p.tick = true, 0 },
	},
	{
		id: "id/control-frames", name: "a greeting", want: result.Warn, says: "from before it",
		breaks: func(p *peer) {
			p.open = func(q *request) string { return "retry: 2000\n\nevent: ready\nid: r\ndata: {}\n\n" }
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
	{id: "resume/hostile-id", name: "500", want: result.Fail, says: "500", change: active, follows: "sec/inject/id-header", breaks: answering(func(q *request) bool { return strings.Contains(lastID(q), "OR 1=1") }, oops)},
	{id: "resume/hostile-id", name: "breaks off", want: result.Fail, says: "breaks the connection", breaks: func(p *peer) {
		p.answer = func(_ *peer, q *request) bool { return lastID(q) == "9e99" }
	}},
	{id: "resume/hostile-id", name: "back in a field", want: result.Fail, says: "X-Resumed-From", change: active, follows: "sec/inject/id-header", breaks: func(p *peer) {
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
		id: "cors/allow-origin", name: "declared, none", want: result.Fail, says: "there is no", follows: corsAll, breaks: func(*peer) {},
		change: func(t *conformance.Target) { t.Declared.CORS = []string{"https://b.example"} },
	},
	{id: "cors/credentials", name: "any", want: result.Fail, says: "*", follows: corsAll, breaks: allowing("Access-Control-Allow-Origin: *", "Access-Control-Allow-Credentials: true")},
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

// Servers that come back in their own way, with and without a hook.
func TestResume(t *testing.T) {
	unhooked := func(t *conformance.Target) { t.Publisher = nil }
	declared := func(t *conformance.Target) { t.Publisher, t.ExpectReplay = nil, true }
	counter := func(tick time.Duration) func(*peer) { // the same bytes on every connection, at the pace of a clock
		return func(p *peer) { p.restart, p.tick, p.open, p.heartbeat = true, tick, sendHead(""), 0 }
	}
	forgets := func(keep int, gap string) func(*peer) { // keeps so many events, and says or doesn't say that more are gone
		return func(p *peer) {
			p.replay = func(_ *request, from int) int { return max(from, len(p.log)-keep) }
			p.open = func(q *request) string {
				p.mu.Lock()
				defer p.mu.Unlock()
				if from := 0; lastID(q) != "" {
					if fmt.Sscan(lastID(q), &from); from < len(p.log)-keep {
						return gap
					}
				}
				return ""
			}
		}
	}
	for _, c := range []struct {
		name   string
		make   func(*peer)
		change func(*conformance.Target)
		want   string
		says   string // by resume/replay
	}{
		{"a counter in the connection", counter(400 * time.Millisecond), unhooked, "resume/replay warn, resume/no-duplicate not-observed, id/stable not-observed", "ignored: ids start again"},
		{"a counter in the connection, declared", counter(400 * time.Millisecond), declared, "resume/replay fail", "ignored: ids start again"},
		{"a counter in the connection, over within the window", func(p *peer) { counter(400 * time.Millisecond)(p); p.ticks = 12 }, unhooked, "resume/replay warn", "ignored: ids start again"},
		{"a fast counter", counter(20 * time.Millisecond), unhooked, "resume/replay warn", "ignored: ids start again"},
		{"a slow counter", counter(4 * time.Second), unhooked, "resume/replay warn", "ignored"},
		{"made from the id", func(p *peer) {
			counter(400 * time.Millisecond)(p)
			p.count = func(q *request) int { n := 0; fmt.Sscan(lastID(q), &n); return n }
		}, unhooked, "resume/replay pass, resume/no-duplicate pass, id/stable pass", ""},
		{"a slow replay", func(p *peer) { p.slow = 1200 * time.Millisecond }, unhooked, "resume/replay pass, resume/order pass", ""},
		{"a slow replay of all to who asks", func(p *peer) {
			p.slow, p.tick = 100*time.Millisecond, 2*time.Second
			p.replay = func(*request, int) int { return 0 }
		}, unhooked, "resume/replay pass, resume/no-duplicate warn", ""},
		{"all at once to everybody", func(p *peer) {
			p.replay = func(*request, int) int { return 0 }
			p.greedy = true
		}, unhooked, "resume/replay pass, resume/no-duplicate warn, id/stable pass", ""},
		{"keeps few events", forgets(6, ""), nil, "resume/replay pass", ""},
		{"keeps few events, and says so", forgets(6, "event: gap\ndata: gone\n\n"), nil, "resume/replay pass, resume/unknown-id pass", ""},
		{"keeps nothing, and says so", forgets(0, "event: gap\ndata: gone\n\n"), nil, "resume/replay info", "tells the client so"},
		{"keeps nothing, says so, and declares more", forgets(0, "event: gap\ndata: gone\n\n"), func(t *conformance.Target) { t.ExpectReplay = true }, "resume/replay fail", "only an event"},
		{"greets with an id that is known", func(p *peer) {
			p.open = func(q *request) string {
				p.mu.Lock()
				defer p.mu.Unlock()
				if lastID(q) != "" {
					return ""
				}
				return fmt.Sprintf("id: %d\ndata:\n\n", len(p.log)) // a priming event
			}
		}, nil, "resume/replay pass, resume/no-duplicate pass, id/control-frames pass", ""},
		{"greets each time", func(p *peer) { p.open = sendHead("id: 0\ndata: welcome\n\n") }, nil, "resume/replay pass, resume/no-duplicate pass", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := clean()
			c.make(p)
			found := run(t, p, c.change)
			if f := found["resume/replay"]; !strings.Contains(f.Message, c.says) {
				t.Errorf("want %q: %s", c.says, show(f))
			}
			p.holdEvidence(t, found)
			for pair := range strings.SplitSeq(c.want, ", ") {
				if id, verdict, _ := strings.Cut(pair, " "); string(found[id].Verdict) != verdict {
					t.Errorf("want %s: %s", verdict, show(found[id]))
				}
			}
			for id, f := range found {
				if strings.HasPrefix(id, "resume/") && (f.Verdict == result.Fail || f.Verdict == result.Warn || f.Verdict == result.Error) && !strings.Contains(c.want, id) {
					t.Error(show(f))
				}
			}
		})
	}
}

func withToken(t *conformance.Target) {
	t.Request.Header = append(t.Request.Header, wire.Field{Name: "Authorization", Value: "Bearer x"})
}

// resumeElsewhere names the test that proves a check which the matrix of peers cannot.
var resumeElsewhere = map[string]string{
	"resume/header-case": "TestReferenceServerFaults",
	"resume/seam":        "TestReferenceServerFaults", "resume/isolation": "TestReferenceServerFaults", "resume/window": "TestReferenceServerFaults",
	"resume/query-param": "TestReferenceServerFaults", "sec/auth-before-stream": "TestStrangersAreRefused", "sec/inject/id-header": "TestStrangeIDs/active",
	"cors/allow-origin": "TestCORS", "cors/credentials": "TestCORS", "cors/vary": "TestCORS", "cors/stream-and-error": "TestCORS", "cors/preflight/last-event-id": "TestCORS",
	"sec/inject/event": "TestReferenceServerFaults", "sec/inject/id": "TestReferenceServerFaults", "sec/inject/retry": "TestReferenceServerFaults",
	"sec/inject/comment": "TestReferenceServerFaults",
}

// What the reference server's faults change besides, and what they need to show.
var (
	resumeFollows = map[string]string{
		"resume/replay":          replaying + " resume/query-param",
		"resume/header-accepted": replaying + " resume/query-param resume/unknown-id",
		"resume/seam":            "resume/window", // a long replay has seams of its own
		"id/stable":              "resume/fidelity resume/window sec/inject/id",
		"id/header-safe":         "id/control-frames", // where the id stands alone
		"id/unique":              "resume/window",     // the farthest position stands after the two
		"id/cors-safe":           "sec/inject/id",     // no plain id arrives as it was
		"id/size":                "sec/inject/id",
		"event/default":          "sec/inject/event", // nor a plain type
		"event/name":             "sec/inject/event",
		"sec/token-in-url":       "sec/auth-before-stream", // the token can be left out by then
		"http/no-content-length": "resume/seam",            // the length it declares is used up
		"stop/finite-loop":       "resume/isolation resume/no-id-no-replay",
		"live/unbuffered":        "resume/seam sec/inject/comment sec/inject/event sec/inject/id sec/inject/retry",
		"live/headers-flushed":   slowTarget,
		"load/isolation":         replaying + " resume/query-param", // the history does not reach back past what its check publishes
	}
	resumeChange = map[string]func(*conformance.Target){"sec/inject/id-header": active}
)

func active(t *conformance.Target) { t.Active = true }

// resumeDeclared declares of the reference server's channels what holds.
func resumeDeclared(t *conformance.Target) {
	if t.Request.URL.Path != "/events" {
		return
	}
	other := *t.Request.URL
	other.RawQuery = "channel=other"
	t.Declared.OtherURL, t.Declared.QueryParam, t.Declared.Replay.Window = &other, "lastEventId", 1000
	withToken(t)
}

// Servers with CORS as it should be, each in its own way.
func TestCORS(t *testing.T) {
	declared := func(t *conformance.Target) { t.Declared.CORS = []string{"https://a.example"} }
	for _, c := range []struct {
		name   string
		make   func(*peer)
		change func(*conformance.Target)
		want   result.Verdict
	}{
		{"any origin", allowing("Access-Control-Allow-Origin: *"), nil, result.Pass},
		{"declared", allowing("Access-Control-Allow-Origin: *"), declared, result.Pass},
		{"one origin, with credentials", allowing("Access-Control-Allow-Origin: https://app.example", "Access-Control-Allow-Credentials: true", "Vary: Accept, ORIGIN"), nil, result.Pass},
		{"no CORS", func(*peer) {}, nil, result.NotObserved},
		{"same origin declared", allowing("Access-Control-Allow-Origin: https://app.example, *"), func(t *conformance.Target) { t.Declared.SameOrigin = true }, result.NotApplicable},
		{"answers nobody a second time", func(p *peer) {
			allowing("Access-Control-Allow-Origin: *")(p)
			p.answer = func(_ *peer, q *request) bool {
				if q.n > 1 {
					io.Copy(io.Discard, q.conn)
				}
				return q.n > 1
			}
		}, nil, result.NotObserved},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := clean()
			c.make(p)
			for id, f := range run(t, p, c.change) {
				if strings.HasPrefix(id, "cors/") && f.Verdict != c.want {
					t.Errorf("want %s: %s", c.want, show(f))
				}
			}
		})
	}
}

// A client without credentials: what is right, and what proves nothing.
func TestStrangersAreRefused(t *testing.T) {
	refuse := func(answer string) func(*peer) {
		return answering(func(q *request) bool { return q.Method == "GET" && q.Header.Get("Authorization") == "" }, answer)
	}
	for _, c := range []struct {
		name   string
		make   func(*peer)
		change func(*conformance.Target)
		want   result.Verdict
	}{
		{"401", refuse("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"), withToken, result.Pass},
		{"to a page for logging in", refuse("HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n"), withToken, result.Pass},
		{"500", refuse(oops), withToken, result.Warn},
		{"silence", refuse(""), withToken, result.NotObserved},
		{"open to everybody", func(*peer) {}, withToken, result.Info},
		{"open to everybody, which was not declared", func(*peer) {}, func(t *conformance.Target) { withToken(t); t.Declared.Auth = "header" }, result.Fail},
		{"none needed", func(*peer) {}, nil, result.NotObserved},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := clean()
			c.make(p)
			if f := run(t, p, c.change)["sec/auth-before-stream"]; f.Verdict != c.want {
				t.Errorf("want %s: %s", c.want, show(f))
			}
		})
	}
}

// Right answers to ids that are none.
func TestStrangeIDs(t *testing.T) {
	for _, c := range []struct {
		name   string
		make   func(*peer)
		change func(*conformance.Target)
		want   string
	}{
		{"an event says so", func(p *peer) {
			p.replay = func(q *request, from int) int {
				if never(q) {
					return 1 << 30
				}
				return from
			}
			p.open = func(q *request) string {
				if never(q) {
					return "event: stale\ndata: reload\n\n"
				}
				return "retry: 2000\n\n"
			}
		}, nil, "resume/unknown-id pass, resume/empty-header pass"},
		{"live, as declared", func(p *peer) {
			p.replay = func(q *request, from int) int {
				if never(q) {
					return 1 << 30
				}
				return from
			}
		}, func(t *conformance.Target) { t.Declared.Replay.UnknownID = "live" }, "resume/unknown-id pass"},
		{"a signal was declared", func(*peer) {}, func(t *conformance.Target) { t.Declared.Replay.UnknownID = "signal" }, "resume/unknown-id fail"},
		{
			"refused with 400, as declared", answering(never, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
			func(t *conformance.Target) { t.Declared.Replay.UnknownID = "refuse" }, "resume/unknown-id pass, resume/hostile-id pass",
		},
		{"no replay at all", func(p *peer) { p.replay = func(*request, int) int { return 1 << 30 } }, nil, "resume/unknown-id pass, resume/hostile-id pass"},
		{"everybody is refused by then", func(p *peer) {
			p.answer = func(_ *peer, q *request) bool {
				if q.n > 1 && q.Method == "GET" {
					q.write("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
					return true
				}
				return false
			}
		}, nil, "resume/unknown-id not-observed, resume/hostile-id not-observed, resume/empty-header not-observed, resume/header-accepted not-observed"},
		{"one at a time, and slow to notice who left", func(p *peer) {
			p.one = true
			p.linger = func(*request) time.Duration { return 2 * time.Second }
		}, nil, "http/status pass"},
		{"active", func(*peer) {}, func(t *conformance.Target) { t.Active = true }, "resume/hostile-id pass, sec/inject/id-header pass"},
		{"nobody is there any more after a hostile id", func(p *peer) {}, nil, "resume/hostile-id pass"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := clean()
			c.make(p)
			found := run(t, p, c.change)
			for pair := range strings.SplitSeq(c.want, ", ") {
				if id, verdict, _ := strings.Cut(pair, " "); string(found[id].Verdict) != verdict {
					t.Errorf("want %s: %s", verdict, show(found[id]))
				}
			}
			for id, f := range found {
				if (f.Verdict == result.Fail || f.Verdict == result.Error) && !strings.Contains(c.want, id+" "+string(f.Verdict)) {
					t.Error(show(f))
				}
			}
		})
	}
}
