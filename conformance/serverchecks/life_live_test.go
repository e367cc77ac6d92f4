package serverchecks_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"ssegauge/conformance"
	"ssegauge/reports/result"
)

// zipped is gzip, flushed for each event.
func zipped(p *peer) {
	p.head = head("Content-Type: text/event-stream", "Cache-Control: no-store", "Content-Encoding: gzip", "Transfer-Encoding: chunked")
	p.frame = func(s string) string { return chunk(zip(s)) }
}

// jittery ticks each 300 ms, up to 250 ms late.
func jittery(p *peer) {
	p.tick = 300 * time.Millisecond
	p.encode = func(id int, d string) string {
		if strings.HasPrefix(d, "tick ") {
			time.Sleep(time.Duration(rand.IntN(250)) * time.Millisecond)
		}
		return encode(id, d)
	}
}

// quick says something each 20 ms.
func quick(p *peer) { p.tick = 20 * time.Millisecond }

// worded wraps payloads in JSON.
func worded(p *peer) {
	p.encode = func(id int, d string) string { return encode(id, fmt.Sprintf(`{"n":%d,"text":%s}`, id, quoteJSON(d))) }
}

// late events, of a hook that answers at once.
func late(d time.Duration) func(p *peer) { return func(p *peer) { p.late = d } }

// with is one change after the other.
func with(changes ...func(p *peer)) func(p *peer) {
	return func(p *peer) {
		for _, c := range changes {
			c(p)
		}
	}
}

// ordinary are servers of which no check of when and to whom has anything bad to say.
var ordinary = map[string]func(p *peer){
	"ticks": func(*peer) {}, "idle": idle, "mute": mute, "jittery": jittery, "quick": quick, "gzip": zipped, "JSON": worded,
	"no ids":          raw(func(_ int, d string) string { return "data: " + strings.ReplaceAll(d, "\n", "\ndata: ") + "\n\n" }),
	"one at a time":   func(p *peer) { p.one = true },
	"holds its heads": holding,
	"slow path":       late(40 * time.Millisecond),
	"HTTP/1.0": func(p *peer) {
		p.head = sendHead("HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
		p.frame = bare
	},
	"ends each":         func(p *peer) { p.ticks, p.tick = 1, 0 },
	"finite":            func(p *peer) { p.ticks = 12 },
	"greets":            func(p *peer) { mute(p); p.open = sendHead("retry: 2000\n\nid: 0\nevent: hello\ndata: {}\n\n") },
	"a greeting of six": func(p *peer) { mute(p); p.open = sendHead(strings.Repeat("data: state\n\n", 6)) },
}

func bare(s string) string { return s }

// What these checks say of ordinary servers, with a hook and without.
func TestOrdinaryServers(t *testing.T) {
	ids := []string{
		"live/unbuffered", "live/delay", "live/second-connection", "live/heartbeat/form", "live/heartbeat/framing", "live/no-deadline", "delivery/burst",
		"delivery/every-subscriber", "stop/204", "stop/finite-loop", "lifecycle/persists", "lifecycle/client-close", "lifecycle/shutdown", "lifecycle/end-boundary",
		"load/isolation", "load/slow-policy", "load/many", "load/six",
	}
	allowed := map[string]string{
		"finite": "lifecycle/persists", "ends each": "lifecycle/persists",
	}
	for name, change := range ordinary {
		for hook, lent := range map[string]func(*conformance.Target){"hook": func(*conformance.Target) {}, "no hook": noHook} {
			t.Run(name+"/"+hook, func(t *testing.T) {
				t.Parallel()
				p := clean()
				change(p)
				for id, f := range runOnly(t, p, func(tg *conformance.Target) {
					lend(p, tg)
					tg.ScenarioURL = ""
					lent(tg)
				}, ids...) {
					switch f.Verdict {
					case result.Fail, result.Warn, result.Error:
						if f.Verdict == result.Error || !strings.Contains(allowed[name], id) {
							t.Error(show(f))
						}
					}
				}
			})
		}
	}
}

// Whether a stream still hears after a while.
func TestNoDeadline(t *testing.T) {
	long := window(40 * time.Second)
	endless := func(p *peer) { p.heartbeat = 0 }
	for _, c := range []scripted{
		{name: "ticks", change: both(long, noHook), want: result.Pass, says: "heard after"},
		{name: "ticks, with a hook", change: long, want: result.Pass, says: "heard after 35"},
		{name: "idle, with a hook", make: mute, change: long, want: result.Pass, says: "heard after 35"},
		{name: "beats only", make: idle, change: both(window(100*time.Second), noHook), want: result.Pass},
		{name: "mute", make: mute, change: both(long, noHook), want: result.NotObserved, says: "nothing came by itself"},
		{name: "two minutes", change: window(130 * time.Second), want: result.Pass, says: "open for 2m10s"},
		{name: "default window", want: result.NotObserved, says: "too short"},
		{name: "deaf", make: func(p *peer) { p.deaf = 31 * time.Second }, change: long, want: result.Fail, says: "deaf"},
		{name: "deaf, without a hook", make: func(p *peer) { p.deaf = 30 * time.Second }, change: both(long, noHook), want: result.Fail, says: "second stream"},
		{name: "deaf in the default window", make: func(p *peer) { p.deaf = 8 * time.Second }, change: noHook, want: result.Fail, says: "second stream"},
		{name: "deaf, one at a time", make: func(p *peer) { p.deaf, p.one = 31*time.Second, true }, change: long, want: result.NotObserved},
		{name: "idle and deaf", make: func(p *peer) { mute(p); p.deaf = 31 * time.Second }, change: long, want: result.Fail, says: "deaf"},
		{name: "each stream its own, and it is over", make: func(p *peer) {
			p.restart, p.heartbeat = true, 0
			begun := map[int]int{}
			p.hears = func(q *request, id int) bool {
				p.mu.Lock()
				defer p.mu.Unlock()
				if begun[q.n] == 0 {
					begun[q.n] = id
				}
				return id < begun[q.n]+8
			}
			p.encode = func(id int, _ string) string { return encode(id, fmt.Sprint("part ", id)) }
		}, change: both(long, noHook), want: result.NotObserved},
		{name: "fell silent for all", make: func(p *peer) {
			endless(p)
			p.hears = func(q *request, id int) bool { return id <= 10 }
		}, change: both(long, noHook), want: result.NotObserved},
		{name: "publishes elsewhere", make: func(p *peer) { mute(p); p.drop = func(string) bool { return true } }, change: long, want: result.NotObserved},
		{name: "ends properly", make: func(p *peer) { p.life = 30 * time.Second }, change: both(long, noHook), want: result.Pass, says: "properly"},
		{name: "ends within an event", make: func(p *peer) { p.ticks, p.last = 30, "data: x\n" }, change: both(long, noHook), want: result.Fail, says: "within an event"},
		{name: "is cut once", make: func(p *peer) { p.reset = 30 * time.Second }, change: both(long, noHook), want: result.NotObserved, says: "broke off"},
		{name: "is cut each time", make: func(p *peer) { p.reset = 8 * time.Second }, want: result.Fail, says: "again after"},
		{name: "is cut each time, and is idle", make: func(p *peer) { mute(p); p.reset = 8 * time.Second }, change: noHook, want: result.Fail, says: "again after"},
		{name: "is cut now and then", make: func(p *peer) { p.reset, p.first = 8*time.Second, true }, want: result.NotObserved, says: "broke off"},
		{name: "no stream", make: func(p *peer) { p.head = sendHead("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n") }, change: long, want: result.NotObserved},
	} {
		c.id = "live/no-deadline"
		c.run(t)
	}
}

// When events arrive, and where.
func TestDelivers(t *testing.T) {
	newest := func(p *peer) {
		p.hears = func(q *request, _ int) bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return q.n == p.accepts || len(p.subs) < 2
		}
	}
	third := func(q *request, id int) bool {
		q.p.mu.Lock()
		defer q.p.mu.Unlock()
		return id%3 == q.n%3 || len(q.p.subs) < 2
	}
	lossy := func(q *request, id int) bool { return id < 40 || id%10 != 0 }
	for _, c := range []scripted{
		{id: "live/unbuffered", name: "4 KiB", make: with(idle, func(p *peer) { p.gather = 4 << 10 }), want: result.Fail, says: "4 KiB had gathered"},
		{id: "live/unbuffered", name: "16 KiB", make: with(idle, func(p *peer) { p.gather = 16 << 10 }), want: result.Fail, says: "16 KiB had gathered"},
		{id: "live/unbuffered", name: "a few events", make: with(mute, func(p *peer) { p.gather = 200 }), want: result.Fail},
		{id: "live/unbuffered", name: "one late", make: with(mute, func(p *peer) { p.oneLate = true }), want: result.Fail, says: "only with the next"},
		{id: "live/unbuffered", name: "gzip, flushed", make: zipped, want: result.Pass},
		{id: "live/unbuffered", name: "slow", make: late(150 * time.Millisecond), want: result.Pass},
		{id: "live/unbuffered", name: "publishes elsewhere", make: with(mute, func(p *peer) { p.drop = func(string) bool { return true } }), want: result.NotObserved},
		{id: "live/delay", name: "150 ms", make: with(idle, late(150*time.Millisecond)), want: result.Warn, says: "no event came sooner than 150ms"},
		{id: "live/delay", name: "60 ms", make: with(idle, late(60*time.Millisecond)), want: result.Pass},
		{id: "live/delay", name: "some late", make: func(p *peer) {
			p.encode = func(id int, d string) string {
				if id%2 == 0 {
					time.Sleep(150 * time.Millisecond)
				}
				return encode(id, d)
			}
		}, want: result.Pass},
		{id: "live/second-connection", name: "newest only", make: with(mute, newest), want: result.Fail, says: "hears nothing"},
		{id: "live/second-connection", name: "newest only, by itself", make: newest, change: noHook, want: result.Fail, says: "hears nothing"},
		{id: "live/second-connection", name: "both, by themselves", change: noHook, want: result.Pass},
		{id: "live/second-connection", name: "mute", make: mute, change: noHook, want: result.NotObserved},
		{id: "live/second-connection", name: "one at a time", make: func(p *peer) { p.one = true }, want: result.NotObserved, says: "no"},
		{id: "delivery/every-subscriber", name: "shared", make: with(mute, func(p *peer) { p.hears = third }), want: result.Fail, says: "only some"},
		{id: "delivery/every-subscriber", name: "newest only", make: with(mute, newest), want: result.Fail, says: "only some"},
		{id: "delivery/every-subscriber", name: "thrown out", make: func(p *peer) {
			mute(p)
			p.answer = func(p *peer, q *request) bool {
				p.mu.Lock()
				defer p.mu.Unlock()
				if q.Method == "GET" && len(p.subs) > 0 {
					close(p.down)
					p.down = make(chan struct{})
				}
				return false
			}
		}, want: result.Fail, says: "ends an earlier one"},
		{id: "delivery/every-subscriber", name: "one at a time", make: func(p *peer) { p.one = true }, want: result.NotObserved},
		{id: "delivery/every-subscriber", name: "ends each", make: func(p *peer) { p.ticks, p.tick = 1, 0 }, want: result.NotObserved},
		{id: "delivery/every-subscriber", name: "every fifth reaches nobody", make: with(mute, func(p *peer) { p.hears = func(_ *request, id int) bool { return id%5 != 0 } }), want: result.Fail, says: "none of 3"},
		{id: "delivery/burst", name: "comes twice", make: with(mute, raw(func(id int, d string) string { return encode(id, d) + encode(id, d) })), want: result.Warn, says: "more than once"},
		{id: "delivery/burst", name: "loses some", make: with(mute, func(p *peer) { p.hears = lossy }), want: result.Fail, says: "never arrived"},
		{id: "delivery/burst", name: "coalesces", make: with(mute, coalescing), want: result.Warn, says: "together"},
		{id: "delivery/burst", name: "gives up", make: with(mute, func(p *peer) { p.refuse = afterMany(100, 429) }), want: result.Pass, says: "events in"},
		{id: "delivery/burst", name: "gives up at once", make: with(mute, func(p *peer) { p.refuse = afterMany(20, 429) }), want: result.NotObserved},
		{id: "load/isolation", name: "in line", make: func(p *peer) { p.shared, p.open, p.tick = true, sendHead(""), 0 }, want: result.Fail, says: "holds up the others"},
		{id: "load/isolation", name: "leaves out", make: func(p *peer) {
			mute(p)
			p.queue, p.overflow = 4, func(*request, int) string { return "" }
		}, want: result.Pass},
		{id: "load/isolation", name: "ends it", make: func(p *peer) {
			mute(p)
			p.queue, p.overflow = 4, func(*request, int) string { return "end" }
		}, want: result.Pass},
		{id: "live/heartbeat", name: "declared, and not served", make: idle, change: declaresHeartbeat, want: result.Fail, says: "declared to come every 4s"},
		{id: "live/heartbeat", name: "declared, and served", make: with(idle, beats(3*time.Second, ": x\n\n")), change: declaresHeartbeat, want: result.Pass, says: "as declared"},
		{id: "live/heartbeat/form", name: "comments", make: with(idle, beats(3*time.Second, ": x\n\n")), change: noHook, want: result.Pass},
		{id: "live/heartbeat/form", name: "blank lines", make: with(idle, beats(3*time.Second, "\n")), change: noHook, want: result.Pass},
		{id: "live/heartbeat/form", name: "events", make: with(idle, beats(3*time.Second, "event: ping\ndata: {}\n\n")), change: noHook, want: result.Pass},
		{id: "live/heartbeat/form", name: "events with ids", make: with(idle, beats(3*time.Second, "event: ping\nid: 9\ndata: {}\n\n")), change: noHook, want: result.Warn, says: "moves the point"},
		{id: "live/heartbeat/form", name: "without data", make: with(idle, beats(3*time.Second, "event: ping\n\n")), change: noHook, want: result.Warn, says: "without data"},
		{id: "live/heartbeat/form", name: "a word", make: with(idle, beats(3*time.Second, "ping\n\n")), change: noHook, want: result.Fail, says: "neither"},
		{id: "live/heartbeat/form", name: "an event each five seconds", make: func(p *peer) { p.tick = 5 * time.Second }, change: noHook, want: result.NotObserved},
		{id: "live/heartbeat/form", name: "a busy stream with heartbeats", make: with(quick, beats(3*time.Second, ": x\n\n")), want: result.NotObserved},
		{id: "live/heartbeat/form", name: "ends within an event, after a silence", make: func(p *peer) {
			p.ticks, p.tick, p.life = 0, 0, 6*time.Second
			p.frame = func(s string) string { return chunk(s) }
		}, want: result.NotObserved},
		{id: "live/heartbeat/framing", name: "open comment", make: with(idle, beats(3*time.Second, ": x\n")), change: noHook, want: result.Info, says: "without a blank line"},
		{id: "live/heartbeat/framing", name: "block", make: with(idle, beats(3*time.Second, ": x\n\n")), change: noHook, want: result.Pass},
		{id: "live/heartbeat", name: "quick", make: quick, want: result.NotObserved},
		{id: "live/heartbeat", name: "a comment each 15 s", make: idle, change: both(noHook, window(40*time.Second)), want: result.Pass},
		{id: "live/heartbeat", name: "a comment each 40 s", make: with(idle, beats(40*time.Second, ": x\n\n")), change: both(noHook, window(90*time.Second)), want: result.Warn},
		{id: "lifecycle/persists", name: "ends after each event", make: func(p *peer) { p.ticks, p.tick = 1, 0 }, want: result.Warn, says: "ended the stream after"},
		{id: "lifecycle/persists", name: "ends after a second", make: func(p *peer) { p.life = time.Second }, change: noHook, want: result.Warn},
		{id: "lifecycle/persists", name: "ended once", make: func(p *peer) { p.life, p.first = time.Second, true }, change: noHook, want: result.Pass},
		{id: "lifecycle/persists", name: "ends after ten", make: func(p *peer) { p.life = 10 * time.Second }, change: noHook, want: result.Pass},
		{id: "stop/finite-loop", name: "the same again", make: func(p *peer) {
			p.ticks, p.tick, p.restart = 3, 200*time.Millisecond, true
		}, change: noHook, want: result.Warn, says: "came again"},
		{id: "stop/finite-loop", name: "the same again, slowly", make: func(p *peer) {
			p.ticks, p.tick, p.restart = 9, 600*time.Millisecond, true
		}, change: noHook, want: result.Warn, says: "came again"},
		{id: "stop/finite-loop", name: "what is new", make: func(p *peer) { p.ticks, p.tick = 3, 200*time.Millisecond }, change: noHook, want: result.Pass},
	} {
		c.run(t)
	}
}

func beats(every time.Duration, text string) func(p *peer) {
	return func(p *peer) { p.heartbeat, p.beat = every, text }
}

// coalescing makes one event of several that come together.
func coalescing(p *peer) {
	var mu sync.Mutex
	var held []string
	p.encode = func(id int, d string) string {
		mu.Lock()
		defer mu.Unlock()
		if held = append(held, d); len(held) < 2 && id > 20 {
			return ": held\n"
		}
		d, held = strings.Join(held, " "), nil
		return encode(id, d)
	}
}

func afterMany(n int, status int) func(string) int {
	return func(string) int {
		if n--; n < 0 {
			return status
		}
		return 0
	}
}

func declaresHeartbeat(t *conformance.Target) { t.Publisher, t.Declared.Heartbeat = nil, 4*time.Second }
