package serverchecks_test

import (
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ssegauge/conformance"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

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
		{"a replay of all at the pace of a clock, to who asks", func(p *peer) {
			p.slow, p.tick, p.heartbeat = 400*time.Millisecond, 400*time.Millisecond, 0
			p.replay = func(*request, int) int { return 0 }
		}, func(t *conformance.Target) { t.Publisher, t.Window = nil, 4*time.Second }, "resume/replay pass, resume/no-duplicate warn", ""},
		{"all at once to everybody", func(p *peer) {
			p.replay = func(*request, int) int { return 0 }
			p.greedy = true
		}, unhooked, "resume/replay pass, resume/no-duplicate warn, id/stable pass", ""},
		{"all at once to everybody, and nothing else", func(p *peer) {
			p.tick = 0
			p.open = func(*request) string {
				var b strings.Builder
				for i := range 6 {
					b.WriteString(p.block(i+1, fmt.Sprint("part ", i)))
				}
				return b.String()
			}
		}, unhooked, "resume/replay pass, resume/no-duplicate warn", ""},
		{"keeps few events", forgets(6, ""), nil, "resume/replay pass", ""},
		{"keeps few events, and says so", forgets(6, "event: gap\ndata: gone\n\n"), nil, "resume/replay pass, resume/unknown-id pass", ""},
		{"keeps few events, and others publish many meanwhile", func(p *peer) {
			forgets(6, "")(p)
			busy := true
			p.answer = func(p *peer, q *request) bool {
				if lastID(q) != "" && busy {
					busy = false
					for range 20 {
						p.append("news")
					}
				}
				return false
			}
		}, nil, "resume/replay pass", ""},
		{"keeps nothing, and says so", forgets(0, "event: gap\ndata: gone\n\n"), nil, "resume/replay info", "tells the client so"},
		{"keeps nothing, says so, and declares more", forgets(0, "event: gap\ndata: gone\n\n"), func(t *conformance.Target) { t.ExpectReplay = true }, "resume/replay fail", "only an event"},
		{"looks for new events every five seconds", func(p *peer) { p.tick, p.polls = 2*time.Second, 5*time.Second }, unhooked, "resume/replay pass", ""},
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
		{"pings with the id of the last event", func(p *peer) {
			p.encode = func(id int, d string) string {
				return encode(id, d) + fmt.Sprintf("event: ping\nid: %d\ndata: x\n\n", id)
			}
		}, nil, "id/control-frames pass", ""},
		{"marks places by blocks without data", func(p *peer) {
			p.encode = func(id int, d string) string {
				return fmt.Sprintf("id: %d\n\n", 10*id+5) + strings.Replace(encode(id, d), fmt.Sprintf("id: %d\n", id), fmt.Sprintf("id: %d\n", 10*id+9), 1)
			}
			p.replay = func(_ *request, from int) int { // 5: before the event, 9: after it
				if from%10 == 5 {
					return from/10 - 1
				}
				return from / 10
			}
		}, nil, "id/control-frames pass, resume/replay pass", ""},
		{"greets each time", func(p *peer) { p.open = sendHead("id: 0\ndata: welcome\n\n") }, nil, "resume/replay pass, resume/no-duplicate pass", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
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
		"resume/replay":          "resume/window resume/*",
		"resume/header-accepted": "resume/replay resume/unknown-id resume/*",
		"resume/seam":            "resume/window", // a long replay has seams of its own
		"id/stable":              "resume/fidelity resume/window* sec/inject/id*",
		"id/header-safe":         "id/control-frames", // where the id stands alone
		"id/unique":              "resume/window*",    // the farthest position stands after the two
		"id/present":             "sec/inject/id*",    // the plain id may be one of those that are left out
		"id/cors-safe":           "sec/inject/id*",    // no plain id arrives as it was
		"id/size":                "sec/inject/id*",
		"event/default":          "sec/inject/event*", // nor a plain type
		"event/name":             "sec/inject/event*",
		"sec/token-in-url":       "sec/auth-before-stream", // the token can be left out by then
		"http/no-content-length": "resume/seam*",           // the length it declares is used up
		"stop/finite-loop":       "resume/isolation* resume/no-id-no-replay",
		"live/unbuffered":        "resume/seam*",
		"live/headers-flushed":   slowTarget,
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
			t.Parallel()
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

// Who lets in others than the one that asks, or nobody, is to blame for nothing.
func TestCORSForOthers(t *testing.T) {
	only := func(lines ...string) func(*peer) { // for its own origins, whoever asks
		return func(p *peer) {
			allowing(lines...)(p)
			p.headFor = nil
			named := p.head
			p.head = func(q *request) string {
				if q.Header.Get("Origin") == "" {
					return okHead
				}
				return named(q)
			}
			p.headFor = func(_ *peer, q *request) (string, bool) { return p.head(q), true }
		}
	}
	refuses := func(p *peer) { // OPTIONS
		next := p.answer
		p.answer = func(p *peer, q *request) bool {
			if q.Method == "OPTIONS" {
				q.write("HTTP/1.1 405 Method Not Allowed\r\nAllow: GET\r\nContent-Length: 0\r\n\r\n")
				return true
			}
			return next(p, q)
		}
	}
	for _, c := range []struct {
		name string
		make func(*peer)
		want string
	}{
		{"credentials for nobody here", only("Access-Control-Allow-Credentials: true", "Vary: Origin"), "cors/allow-origin not-observed, cors/credentials not-observed"},
		{"another origin", only("Access-Control-Allow-Origin: https://app.example", "Vary: Origin"), "cors/allow-origin not-observed, cors/preflight/last-event-id not-observed"},
		{"null", only("Access-Control-Allow-Origin: null"), "cors/allow-origin not-observed"},
		{"an empty origin", only("Access-Control-Allow-Origin:"), "cors/allow-origin not-observed"},
		{"credentials: false", allowing("Access-Control-Allow-Origin: *", "Access-Control-Allow-Credentials: false"), "cors/credentials pass, cors/allow-origin pass"},
		{"one that asks, and Vary", only("Access-Control-Allow-Origin: https://a.example", "Vary: Accept, ORIGIN"), "cors/vary pass, cors/allow-origin pass"},
		{"one that asks, and no cache", func(p *peer) {
			only("Access-Control-Allow-Origin: https://a.example")(p)
			named := p.head
			p.head = func(q *request) string { return strings.Replace(named(q), "no-cache", "no-store", 1) }
		}, "cors/vary pass, cors/allow-origin pass"},
		{"no ids, no preflight", func(p *peer) {
			allowing("Access-Control-Allow-Origin: *")(p)
			refuses(p)
			p.encode = func(id int, d string) string { _, block, _ := strings.Cut(encode(id, d), "\n"); return block }
		}, "cors/preflight/last-event-id info, cors/allow-origin pass"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := clean()
			c.make(p)
			found := run(t, p, nil)
			for pair := range strings.SplitSeq(c.want, ", ") {
				if id, verdict, _ := strings.Cut(pair, " "); string(found[id].Verdict) != verdict {
					t.Errorf("want %s: %s", verdict, show(found[id]))
				}
			}
			for id, f := range found {
				if strings.HasPrefix(id, "cors/") && (f.Verdict == result.Fail || f.Verdict == result.Warn || f.Verdict == result.Error) {
					t.Error(show(f))
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
		{"numbers that look like a status", func(p *peer) {
			p.open = func(q *request) string {
				if q.Header.Get("Authorization") == "" {
					return "data: {\"price\":401}\n\n"
				}
				return ""
			}
		}, withToken, result.Info},
		{"a refusal without a type, and the end", answering(func(q *request) bool { return q.Method == "GET" && q.Header.Get("Authorization") == "" },
			okHead+chunk("data: {\"status\":401}\n\n")+"0\r\n\r\n"), withToken, result.Fail},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := clean()
			c.make(p)
			if f := runOnly(t, p, c.change, "sec/auth-before-stream")["sec/auth-before-stream"]; f.Verdict != c.want {
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
		{"two users who share the events", func(*peer) {}, func(t *conformance.Target) {
			t.Declared.OtherHeader = wire.Header{{Name: "Authorization", Value: "Bearer other"}}
		}, "resume/isolation not-observed"},
		{
			"another user who is refused", answering(func(q *request) bool { return q.Header.Get("Authorization") != "" }, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"),
			func(t *conformance.Target) {
				t.Declared.OtherHeader = wire.Header{{Name: "Authorization", Value: "Bearer other"}}
			}, "resume/isolation pass",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
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

// A request that takes the target down is told from one that is only refused.
func TestCrash(t *testing.T) {
	p := clean()
	var down atomic.Bool
	p.listening = func() bool { return !down.Load() }
	p.answer = func(_ *peer, q *request) bool {
		if lastID(q) == "9e99" {
			down.Store(true)
		}
		return down.Load()
	}
	if f := run(t, p, nil)["resume/hostile-id"]; f.Verdict != result.Fail || !strings.Contains(f.Message, "after it the target accepts none") {
		t.Error(show(f))
	}
}

// TestErrorURLElsewhere: what is meant for the target alone is not sent to another origin, whoever named that.
func TestErrorURLElsewhere(t *testing.T) {
	p := clean()
	allowing("Access-Control-Allow-Origin: *")(p)
	next := p.answer
	asked := false
	p.answer = func(p *peer, q *request) bool {
		if q.Host != "other.example" {
			return next(p, q)
		}
		asked = true
		if q.Header.Get("Authorization") != "" {
			t.Errorf("the other origin got %v", q.Header)
		}
		q.write("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
		return true
	}
	found := run(t, p, func(t *conformance.Target) {
		withToken(t)
		t.Declared.ErrorURL, _ = url.Parse("http://other.example/no")
	})
	if f := found["cors/stream-and-error"]; f.Verdict != result.Warn || !asked {
		t.Errorf("asked %v: %s", asked, show(f))
	}
}
