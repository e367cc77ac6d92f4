package serverchecks_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ssegauge/conformance"
	"ssegauge/reports/result"
)

// scripted is a peer and what one check says of it.
type scripted struct {
	id, name string
	make     func(p *peer)
	change   func(*conformance.Target)
	want     result.Verdict
	says     string
}

func (c *scripted) run(t *testing.T) {
	t.Run(c.id+"/"+c.name, func(t *testing.T) {
		p := clean()
		if c.make != nil {
			c.make(p)
		}
		f := runOnly(t, p, func(tg *conformance.Target) {
			lend(p, tg)
			if c.change != nil {
				c.change(tg)
			}
		}, c.id)[c.id]
		if f.Verdict != c.want || !strings.Contains(f.Message, c.says) {
			t.Errorf("want %s with %q\n%s", c.want, c.says, show(f))
		}
		p.holdEvidence(t, map[string]result.Finding{c.id: f})
	})
}

// lend gives what a peer's operator can: a gauge, scripts and a restart.
func lend(p *peer, tg *conformance.Target) {
	stats, _ := url.Parse("http://peer.example/stats")
	tg.Gauge = &conformance.GaugeSource{URL: stats, Pointer: "/open"}
	tg.ScenarioURL = "http://peer.example/events?script={{.Name}}"
	tg.Restart = func(context.Context) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		close(p.down)
		p.down = make(chan struct{})
		return nil
	}
}

func noHook(t *conformance.Target) { t.Publisher = nil }

func window(d time.Duration) func(*conformance.Target) {
	return func(t *conformance.Target) { t.Window = d }
}

func both(changes ...func(*conformance.Target)) func(*conformance.Target) {
	return func(t *conformance.Target) {
		for _, c := range changes {
			c(t)
		}
	}
}

// idle says nothing by itself.
func idle(p *peer) { p.tick = 0 }

// mute says nothing by itself, not even in a silence.
func mute(p *peer) { p.tick, p.heartbeat = 0, 0 }

// holding is a stack that keeps the head back until there is content, as WSGI and ASGI servers do.
func holding(p *peer) {
	idle(p)
	p.heartbeat = 0
	p.open = sendHead("")
	p.answer = func(p *peer, q *request) bool {
		if q.Method != "GET" || q.URL.Path == "/stats" {
			return false
		}
		p.mu.Lock()
		had := len(p.log)
		p.mu.Unlock()
		for n := had; n == had; {
			q.conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
			if _, err := q.conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				return true // the client left
			}
			p.mu.Lock()
			n = len(p.log)
			p.mu.Unlock()
		}
		q.conn.SetReadDeadline(time.Time{})
		return false
	}
}

const tooLate = "HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"

// feed answers the script of a feed that is over with three events, and who comes back as told.
func feed(again string, stays bool) func(p *peer) {
	return func(p *peer) {
		p.answer = func(_ *peer, q *request) bool {
			switch {
			case q.URL.Query().Get("script") == "":
				return false
			case q.Header.Get("Last-Event-ID") == "3":
				if q.write(again); stays {
					buf := make([]byte, 1)
					q.conn.Read(buf)
				}
				return true
			}
			q.write(okHead + chunk("id: 1\ndata: a\n\nid: 2\ndata: b\n\nid: 3\ndata: c\n\n") + "0\r\n\r\n")
			return true
		}
	}
}

// The end of a feed, asked for by its script or seen.
func TestStop204(t *testing.T) {
	finite := func(again string) func(p *peer) {
		return func(p *peer) {
			p.ticks, p.tick = 3, 200*time.Millisecond
			p.answer = func(_ *peer, q *request) bool {
				return q.n > 1 && q.Method == "GET" && q.write(again)
			}
		}
	}
	unscripted := func(t *conformance.Target) { t.ScenarioURL, t.Publisher = "", nil }
	for _, c := range []scripted{
		{name: "204", make: feed("HTTP/1.1 204 No Content\r\n\r\n", false), want: result.Pass},
		{name: "204, kept alive", make: feed("HTTP/1.1 204 No Content\r\nServer: x\r\n\r\n", true), want: result.Pass},
		{name: "empty stream", make: feed(okHead+"0\r\n\r\n", false), want: result.Fail, says: "come back for ever"},
		{name: "empty stream with a comment", make: feed(okHead+chunk(": nothing\n\n")+"0\r\n\r\n", false), want: result.Fail, says: "come back for ever"},
		{name: "stays open", make: feed(okHead, true), want: result.Warn, says: "wait for ever"},
		{name: "410", make: feed(tooLate, false), want: result.Warn, says: "410"},
		{name: "content", make: feed("HTTP/1.1 204 No Content\r\n\r\ndata: x\n\n", false), want: result.Fail, says: "content follows"},
		{name: "chunked", make: feed("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false), want: result.Fail, says: "Transfer-Encoding"},
		{name: "Content-Length", make: feed("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", false), want: result.Warn, says: "Content-Length"},
		{name: "no such script", make: func(p *peer) {
			p.answer = func(_ *peer, q *request) bool {
				return q.URL.Query().Get("script") != "" && q.write("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
			}
		}, want: result.NotObserved, says: "answered 404"},
		{name: "a script that does not end", want: result.NotObserved, says: "did not end"},
		{name: "seen, 204", make: finite("HTTP/1.1 204 No Content\r\n\r\n"), change: unscripted, want: result.Pass},
		{name: "seen, 204 with content", make: finite("HTTP/1.1 204 No Content\r\n\r\nx"), change: unscripted, want: result.Fail, says: "content follows"},
		{name: "seen, 200", make: finite(okHead + "0\r\n\r\n"), change: unscripted, want: result.NotObserved, says: "not known"},
		{name: "goes on", change: unscripted, want: result.NotObserved, says: "did not end"},
	} {
		c.id = "stop/204"
		c.run(t)
	}
}

// Fifty clients come and go.
func TestClientClose(t *testing.T) {
	for _, c := range []scripted{
		{name: "ticks", want: result.Pass, says: "of 50 that left with RST"},
		{name: "ticks, without a hook", change: noHook, want: result.Pass},
		{name: "idle", make: idle, want: result.Pass},
		{name: "holds its heads back", make: holding, want: result.Pass},
		{name: "holds its heads back, without a hook", make: holding, change: noHook, want: result.NotObserved},
		{name: "keeps all", make: func(p *peer) { p.leaky = func(int) bool { return true } }, want: result.Fail, says: "with FIN, 50"},
		{name: "keeps all, without a hook", make: func(p *peer) { p.leaky = func(int) bool { return true } }, change: noHook, want: result.Fail, says: "with FIN, 50"},
		{name: "keeps some", make: func(p *peer) { p.leaky = func(n int) bool { return n%4 == 0 } }, want: result.Warn, says: "still counted"},
		{name: "notices when it writes, and does not", make: func(p *peer) {
			mute(p)
			p.leaky = func(int) bool { return true }
		}, change: noHook, want: result.NotObserved, says: "as it next writes"},
		{name: "others come and go", make: func(p *peer) {
			p.leaky = func(n int) bool { return n%25 == 0 }
		}, want: result.Pass},
		{name: "serves ten", make: func(p *peer) { p.seats = 10 }, want: result.Pass, says: "of 10 that left"},
		{name: "declares that it serves ten", change: func(t *conformance.Target) { t.Declared.Capacity = 10 }, want: result.Pass, says: "of 5 that left"},
		{name: "one at a time", make: func(p *peer) { p.one = true }, want: result.NotObserved},
		{name: "ends each stream", make: func(p *peer) { p.life, p.tick = 700*time.Millisecond, 0 }, want: result.NotObserved, says: "by themselves"},
		{name: "counts something else", change: func(t *conformance.Target) {
			t.Gauge.URL, _ = url.Parse("http://peer.example/stats?other")
		}, make: func(p *peer) {
			p.answer = func(_ *peer, q *request) bool {
				return q.URL.RawQuery == "other" && q.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{\"open\":7}")
			}
		}, want: result.NotObserved, says: "something else"},
		{name: "no gauge there", change: func(t *conformance.Target) { t.Gauge.Pointer = "/none" }, want: result.NotObserved, says: "cannot be read"},
		{name: "none", change: func(t *conformance.Target) { t.Gauge = nil }, want: result.NotObserved},
	} {
		c.id = "lifecycle/client-close"
		c.run(t)
	}
}

// The hook makes the target end its streams, or not.
func TestKill(t *testing.T) {
	// hangs takes no new connections for that long and ends its streams after it.
	hangs := func(d time.Duration) scripted {
		var dead atomic.Bool
		return scripted{
			make: func(p *peer) { p.listening = func() bool { return !dead.Load() } },
			change: func(t *conformance.Target) {
				end := t.Restart
				t.Restart = nil
				dead.Store(false)
				t.Kill = func(context.Context) error {
					dead.Store(true)
					time.AfterFunc(d, func() { end(context.Background()); dead.Store(false) })
					return nil
				}
			},
		}
	}
	cut := func(p *peer) { p.last = "data: cut off\n" }
	type row struct {
		scripted
		boundary result.Verdict
		why      string
	}
	hang := func(name string, d time.Duration, want result.Verdict, says string, boundary result.Verdict) row {
		c := hangs(d)
		c.name, c.want, c.says = name, want, says
		return row{c, boundary, ""}
	}
	for _, c := range []row{
		{scripted{name: "ends", want: result.Pass, says: "properly"}, result.Pass, ""},
		{scripted{name: "ends, without a hook", change: noHook, want: result.Pass}, result.Pass, ""},
		{scripted{name: "ends, idle", make: mute, change: noHook, want: result.Pass}, result.Pass, "0 events"},
		{scripted{name: "ends within an event", make: cut, want: result.Pass}, result.Fail, "within an event"},
		{scripted{name: "holds its heads back", make: holding, want: result.Pass}, result.Pass, ""},
		{scripted{name: "one at a time", make: func(p *peer) { p.one = true }, want: result.Pass, says: "1 stream"}, result.Pass, ""},
		{scripted{name: "breaks off", change: func(t *conformance.Target) {
			t.Restart = func(context.Context) error { return nil }
		}, make: func(p *peer) { p.reset = 700 * time.Millisecond }, want: result.Pass, says: "2 of 2 by breaking off"}, result.Pass, ""},
		hang("ends after a second", time.Second, result.Pass, "properly", result.Pass),
		hang("ends after five", 5*time.Second, result.Warn, "held its streams", result.Pass),
		hang("never ends", time.Hour, result.Fail, "still go on", result.NotObserved),
		{scripted{name: "the hook does nothing", change: func(t *conformance.Target) {
			t.Restart = func(context.Context) error { return nil }
		}, want: result.NotObserved, says: "ended nothing"}, result.NotObserved, "went on"},
		{scripted{name: "the hook fails", change: func(t *conformance.Target) {
			t.Restart = func(context.Context) error { return errors.New("no such unit") }
		}, want: result.Error, says: "no such unit"}, result.Error, "no such unit"},
		{scripted{name: "the hook does not come back", change: func(t *conformance.Target) {
			end := t.Restart
			t.Restart = func(ctx context.Context) error {
				end(ctx)
				<-ctx.Done()
				return context.Cause(ctx)
			}
		}, want: result.Error}, result.Error, ""},
		{scripted{name: "no hook", change: func(t *conformance.Target) { t.Restart = nil }, want: result.NotObserved}, result.NotObserved, ""},
	} {
		c.id = "lifecycle/shutdown"
		c.run(t)
		c.id, c.want, c.says = "lifecycle/end-boundary", c.boundary, c.why
		c.run(t)
	}
}

// What a client gets that did not read for a while.
func TestSlowPolicy(t *testing.T) {
	leaves := func(word string, change func(p *peer)) func(p *peer) {
		return func(p *peer) {
			idle(p)
			p.queue, p.overflow = 8, func(_ *request, left int) string { return strings.Replace(word, "N", fmt.Sprint(left), 1) }
			if change != nil {
				change(p)
			}
		}
	}
	noIDs := raw(func(_ int, d string) string { _, block, _ := strings.Cut(encode(1, d), "\n"); return block })
	opaque := raw(func(id int, d string) string {
		return strings.Replace(encode(id, d), fmt.Sprintf("id: %d\n", id), fmt.Sprintf("id: urn:%x-\n", id*7919), 1)
	})
	// early has the client get one event before the gap.
	early := func(p *peer) {
		p.open = func(*request) string { return "retry: 2000\n\nid: 0\ndata: gaugeaaaaaaaaaaaaaa\n\n" }
	}
	for _, c := range []scripted{
		{name: "keeps all", make: idle, want: result.Info, says: "is kept"},
		{name: "ends the stream", make: leaves("end", nil), want: result.Info, says: "was ended"},
		{name: "leaves out, without ids", make: leaves("", noIDs), want: result.Fail, says: "without a word"},
		{name: "leaves out, says so", make: leaves("event: gap\ndata: N\n\n", func(p *peer) { noIDs(p); early(p) }), want: result.Info, says: "in their place"},
		{name: "leaves out, says so in a comment", make: leaves(": N left out\n\n", func(p *peer) { noIDs(p); early(p) }), want: result.Info, says: "in their place"},
		{name: "leaves out, ids tell", make: leaves("", early), want: result.Info, says: "ids show the gap"},
		{name: "leaves out, ids are opaque", make: leaves("", func(p *peer) { opaque(p); early(p) }), want: result.Info, says: "only the server's clients know"},
		{name: "one at a time", make: func(p *peer) { p.one = true }, want: result.NotObserved},
		{name: "holds others up", make: func(p *peer) { p.shared, p.open = true, sendHead("") }, want: result.NotObserved, says: "stood still"},
		{name: "takes no large events", make: func(p *peer) {
			p.refuse = func(d string) int {
				if len(d) > 1000 {
					return 413
				}
				return 0
			}
		}, want: result.NotObserved, says: "did not take"},
	} {
		c.id = "load/slow-policy"
		c.run(t)
	}
}

// How many at once.
func TestMany(t *testing.T) {
	for _, c := range []scripted{
		{name: "all", want: result.Pass, says: "8 streams"},
		{name: "all, without a hook", change: noHook, want: result.Pass},
		{name: "holds its heads back", make: holding, want: result.Pass},
		{name: "four", make: func(p *peer) { p.seats = 4 }, want: result.Info, says: "4 streams at once, and no more: 4 answered 503"},
		{name: "one, the others wait", make: func(p *peer) { p.one = true }, want: result.Info, says: "no second stream"},
		{name: "declared", make: func(p *peer) { p.seats = 4 }, change: func(t *conformance.Target) { t.Declared.Capacity = 4 }, want: result.Pass, says: "4 streams"},
		{name: "finite", make: func(p *peer) { p.ticks = 3 }, change: noHook, want: result.NotObserved},
	} {
		c.id = "load/many"
		c.run(t)
	}
}

// A server that keeps its heads back until there is an event serves several streams all the same, and one that serves one at a time is known after the first try.
func TestHeldHeads(t *testing.T) {
	ids := []string{"delivery/every-subscriber", "load/isolation", "load/many"}
	p := clean()
	holding(p)
	for id, f := range runOnly(t, p, nil, ids...) {
		if f.Verdict != result.Pass {
			t.Error(id, show(f))
		}
	}
	p = clean()
	p.one = true
	for id, f := range runOnly(t, p, nil, ids...) {
		if want := map[string]result.Verdict{"load/many": result.Info}[id]; f.Verdict != cmp.Or(want, result.NotObserved) {
			t.Error(id, show(f))
		}
	}
	// Without a hook nobody can tell the two apart.
	p = clean()
	p.hold = 1500 * time.Millisecond
	p.answer = func(_ *peer, q *request) bool {
		if q.n > 2 {
			time.Sleep(4 * time.Second)
		}
		return false
	}
	if f := runOnly(t, p, noHook, "load/many")["load/many"]; f.Verdict != result.NotObserved {
		t.Error(show(f))
	}
}
