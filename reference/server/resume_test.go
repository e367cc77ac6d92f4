package server

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ssegauge/reference/sse"
)

// TestSeam has publishers that never pause and subscribers that drop their connection after a few events and come back with the id of the
// last one: each must see exactly the sequence of the log, nothing lost, nothing twice, whatever the moment.
func TestSeam(t *testing.T) {
	for _, proto := range []string{"1.1", "h2c"} {
		t.Run(proto, func(t *testing.T) {
			const publishers, each, subscribers = 4, 250, 6
			w := newWorld(t, proto, Config{History: publishers * each, HistoryBytes: 1 << 30})
			first := w.publish("default", "start")

			seen := make([][]string, subscribers)
			var wg sync.WaitGroup
			for i := range subscribers {
				wg.Go(func() {
					rng := rand.New(rand.NewPCG(uint64(i), 1))
					last := first
					for len(seen[i]) < publishers*each {
						r := w.stream("/events", "Last-Event-ID: "+last)
						for range 1 + rng.IntN(60) {
							if len(seen[i]) == publishers*each {
								break
							}
							e, err := r.next()
							if err != nil || e.name == "gap" {
								t.Errorf("subscriber %d: %+v, %v", i, e, err)
								r.close()
								return
							}
							last = e.id
							seen[i] = append(seen[i], e.id+" "+e.data)
						}
						r.close()
					}
				})
			}
			for p := range publishers {
				wg.Go(func() {
					for n := range each {
						w.publish("default", fmt.Sprintf("%d/%d", p, n))
					}
				})
			}
			wg.Wait()

			c, err := w.channels.hold("default")
			if err != nil {
				t.Fatal(err)
			}
			defer w.channels.release(c)
			var want []string
			for cursor := uint64(1); cursor < c.live(); {
				recs, _, lost := c.read(cursor, nil)
				if lost {
					t.Fatal("the log lost events")
				}
				for _, r := range recs {
					_, data, _ := strings.Cut(string(r.raw), "data: ")
					want = append(want, r.id+" "+strings.TrimSpace(data))
				}
				cursor += uint64(len(recs))
			}
			next := make([]int, publishers) // the log itself keeps the order of each publisher
			for _, s := range want {
				var p, n int
				if _, err := fmt.Sscanf(s[strings.Index(s, " ")+1:], "%d/%d", &p, &n); err != nil || n != next[p] {
					t.Fatalf("log: %q, %v; want number %d of publisher %d", s, err, next[p], p)
				}
				next[p]++
			}
			for i := range seen {
				if got, want := strings.Join(seen[i], "\n"), strings.Join(want, "\n"); got != want {
					t.Errorf("subscriber %d saw another sequence: %d events, want %d", i, len(seen[i]), publishers*each)
				}
			}
		})
	}
}

func TestResumePolicy(t *testing.T) {
	own := func(n int) func([]string, string) string {
		return func(ids []string, _ string) string { return ids[n] }
	}
	literal := func(id string) func([]string, string) string { return func([]string, string) string { return id } }
	for _, c := range []struct {
		name string
		id   func(ids []string, other string) string
		gap  string
		from int // the first of the ten that is replayed
	}{
		{"newest", own(9), "", 10},
		{"within", own(7), "", 8},
		{"just before the history", own(6), "", 7},
		{"kept for slow readers only", own(5), "expired", 7},
		{"long gone", own(0), "expired", 7},
		{"of another channel", func(_ []string, other string) string { return other }, "unknown", 7},
		{"of another process", literal("abc-7"), "unknown", 7},
		{"in the future", func(ids []string, _ string) string { return strings.Replace(ids[0], "-1", "-99", 1) }, "unknown", 7},
		{"hostile", literal(`"}<script>`), "unknown", 7},
	} {
		for _, how := range []string{"field", "query"} {
			t.Run(c.name+" by "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, "1.1", Config{History: 3, Queue: 5})
					var ids []string
					for i := range 10 {
						ids = append(ids, w.publish("default", fmt.Sprint(i)))
					}
					id := c.id(ids, w.publish("other", "x"))
					var r *reader
					if how == "field" {
						r = w.stream("/events", "Last-Event-ID: "+id)
					} else {
						r = w.stream("/events?lastEventId=" + url.QueryEscape(id))
					}
					defer r.close()
					if c.gap != "" {
						e, err := r.next()
						if err != nil || e.name != "gap" || e.id != "" || !strings.Contains(e.data, `"reason":"`+c.gap+`"`) || strings.Contains(e.data, "<") {
							t.Errorf("%+v, %v; want a gap, %s", e, err, c.gap)
						}
					}
					for i := c.from; i < 10; i++ {
						if e := r.want(fmt.Sprint(i)); e.id != ids[i] {
							t.Errorf("%q replayed as %q", ids[i], e.id)
						}
					}
					live := w.publish("default", "live")
					if e := r.want("live"); e.id != live {
						t.Errorf("%q came as %q", live, e.id)
					}
					if n := w.Stats().Resumed; n != 1 {
						t.Errorf("%d streams counted as resumed", n)
					}
				})
			})
		}
	}
}

func TestResumeHeaderOutranksQuery(t *testing.T) {
	r := httptest.NewRequest("GET", "/events?lastEventId=old%20", nil)
	if got := lastEventID(r); got != "old" {
		t.Errorf("query: %q", got)
	}
	r.Header.Set("last-event-id", "new")
	if got := lastEventID(r); got != "new" {
		t.Errorf("field: %q", got)
	}
}

func TestSlowReaderResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "1.1", Config{Queue: 10, History: 1000, WriteTimeout: time.Hour, Heartbeat: -1})
		r := w.stream("/events")
		id := w.publish("default", "seen")
		r.want("seen")
		for i := range 100 {
			w.publish("default", fmt.Sprint(i))
		}
		r.close()
		r = w.stream("/events", "Last-Event-ID: "+id)
		for i := range 100 {
			r.want(fmt.Sprint(i))
		}
		r.close()
	})
}

func TestLogBounds(t *testing.T) {
	cs := newChannels(Config{History: 4, Queue: 2, HistoryBytes: 100, Channels: 2}, func(m *sse.Message) ([]byte, error) { return sse.AppendMessage(nil, m) })
	c, err := cs.hold("a")
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		if _, err := c.publish(sse.Message{ID: "same", Data: "x"}); err != nil { // one id for all: the newest counts
			t.Fatal(err)
		}
	}
	if len(c.log) != 4 || len(c.where) != 1 {
		t.Errorf("%d events, %d ids", len(c.log), len(c.where))
	}
	if from, _, ok := c.resume("same"); !ok || from != 1000 {
		t.Errorf("resume: %d, %v", from, ok)
	}
	id, _ := c.publish(sse.Message{Data: strings.Repeat("x", 1000)})
	if len(c.log) != 1 {
		t.Errorf("%d events beside one beyond the bound in bytes", len(c.log))
	}
	if _, _, lost := c.read(999, nil); !lost {
		t.Error("a cursor before the log is not told")
	}
	next, _ := c.publish(sse.Message{Data: "after"})
	if len(c.log) != 1 || len(c.where) != 2 {
		t.Errorf("%d events, %d ids", len(c.log), len(c.where))
	}
	if from, _, ok := c.resume(id); !ok || from != 1001 {
		t.Errorf("resume after the event that just left: %d, %v", from, ok)
	}

	if _, err := cs.hold("b"); err != nil {
		t.Fatal(err)
	}
	if _, err := cs.hold("c"); err != errTooManyChannels {
		t.Errorf("a third channel beside two in use: %v", err)
	}
	cs.release(c)
	if _, err := cs.hold("c"); err != nil {
		t.Errorf("an idle channel does not make room: %v", err)
	}
	cs.release(cs.byName["c"]) // nothing was published: it goes
	again, err := cs.hold("a")
	if err != nil {
		t.Fatal(err)
	}
	if _, why, ok := again.resume(next); ok || why != "unknown" {
		t.Errorf("an id of the channel that was removed: %q, %v", why, ok)
	}
}

func TestReadIsBounded(t *testing.T) {
	cs := newChannels(Config{}.withDefaults(), func(m *sse.Message) ([]byte, error) { return sse.AppendMessage(nil, m) })
	c, err := cs.hold("a")
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{maxBatch / 4, maxBatch / 4, maxBatch / 4, 2 * maxBatch, 1} {
		if _, err := c.publish(sse.Message{Data: strings.Repeat("x", size)}); err != nil {
			t.Fatal(err)
		}
	}
	var got []int
	for cursor := uint64(0); cursor < c.live(); {
		recs, _, _ := c.read(cursor, nil)
		got = append(got, len(recs))
		cursor += uint64(len(recs))
	}
	if !slices.Equal(got, []int{3, 1, 1}) {
		t.Errorf("reads of %d events, want 3, the large one alone, and 1", got)
	}
}

// TestIDsOutliveNoServer holds that an id is not taken for one of its own by a server that was started later.
func TestIDsOutliveNoServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := newWorld(t, "1.1", Config{}).publish("default", "x")
		time.Sleep(time.Microsecond)
		after := newWorld(t, "1.1", Config{})
		if id := after.publish("default", "y"); id == before {
			t.Errorf("%q twice", id)
		}
		r := after.stream("/events", "Last-Event-ID: "+before)
		if e, err := r.next(); err != nil || e.name != "gap" {
			t.Errorf("%+v, %v", e, err)
		}
		r.want("y")
		r.close()
	})
}

func TestHistoryOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "1.1", Config{History: -1})
		r := w.stream("/events")
		for i := range 5 {
			w.publish("default", fmt.Sprint(i))
		}
		id := ""
		for i := range 5 {
			id = r.want(fmt.Sprint(i)).id
		}
		same := w.stream("/events", "Last-Event-ID: "+id)
		w.publish("default", "next")
		same.want("next") // no gap: nothing is missing
		r.want("next")
		late := w.stream("/events", "Last-Event-ID: "+id)
		if e, err := late.next(); err != nil || e.name != "gap" {
			t.Errorf("%+v, %v", e, err)
		}
		for _, r := range []*reader{r, same, late} {
			r.close()
		}
		synctest.Wait()
		if n := len(w.Stats().Channels); n != 0 {
			t.Errorf("%d channels are left", n)
		}
	})
}

func TestReaderBehindTheQueueIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "1.1", Config{Queue: 10, History: -1, WriteTimeout: time.Hour, Heartbeat: -1})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		res := w.do(ctx, "GET", "/events", "")
		synctest.Wait() // the handler stands in the write of the first block
		for range 100 {
			w.publish("default", "x")
		}
		body, err := io.ReadAll(res.Body) // a proper end
		if err != nil || !strings.HasSuffix(string(body), "\n\n") {
			t.Errorf("%q, %v", body, err)
		}
		if w.Stats().Cut != 1 {
			t.Errorf("%d cut", w.Stats().Cut)
		}
	})
}
