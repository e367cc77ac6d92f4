package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ssegauge/loadgen/engine"
	"ssegauge/loadgen/measure"
	"ssegauge/loadgen/schedule"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// faithless is a server that closes streams and, when they come back, replays what they missed: all of it, some, twice, with what they had before, or not at all. It
// knows who is who by the ids it gives, and remembers what it did.
type faithless struct {
	mu        sync.Mutex
	log       []string // markers
	clients   []*visitor
	strangers int // requests with an id that was never given

	sent, live int
	want       result.Reconnect
}

type visitor struct {
	n        int
	out      chan string // nil: away
	last     int         // what it was sent last, as an index of log plus 1
	attempts int
}

func (s *faithless) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v, out := s.greet(w, r)
	if v == nil {
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(200)
	c := http.NewResponseController(w)
	fmt.Fprint(w, "retry: 1000\n\n")
	c.Flush()
	for {
		select {
		case <-r.Context().Done():
			return
		case text, ok := <-out:
			if !ok {
				if v.n%2 == 0 {
					panic(http.ErrAbortHandler)
				}
				return
			}
			fmt.Fprint(w, text)
			c.Flush()
		}
	}
}

// greet is who asks: nil if the answer has been given.
func (s *faithless) greet(w http.ResponseWriter, r *http.Request) (*visitor, <-chan string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := r.Header.Get("Last-Event-ID")
	if id == "" {
		v := &visitor{n: len(s.clients), out: make(chan string, 1000)}
		s.clients = append(s.clients, v)
		return v, v.out
	}
	who, _, _ := strings.Cut(id, ".")
	n, err := strconv.Atoi(who)
	if err != nil || n >= len(s.clients) || s.clients[n].out != nil || len(r.Header.Values("Last-Event-ID")) != 1 || id != fmt.Sprintf("%d.%d", n, s.clients[n].last) {
		s.strangers++
		return nil, nil
	}
	v := s.clients[n]
	s.want.Attempts++
	s.want.LastEventIDSent++
	missed := len(s.log) - v.last
	switch v.attempts++; {
	case v.n%6 == 0:
		w.WriteHeader(204)
		s.want.GaveUp++
		s.want.LostInGap += int64(missed)
		return nil, nil
	case v.n%6 == 1 && v.attempts == 1:
		s.want.Failed++
		s.mu.Unlock()
		defer s.mu.Lock()
		panic(http.ErrAbortHandler)
	}
	v.out = make(chan string, 1000)
	from := v.last
	if v.n%6 == 2 { // with two that it had
		from -= 2
		s.want.DuplicatesOnReplay += 2
	}
	for q := from; q < len(s.log); q++ {
		if v.n%6 == 3 && q%3 == 0 { // some only
			s.want.LostInGap++
			v.last = q + 1
			continue
		}
		s.send(v, q)
		if q >= len(s.log)-missed {
			s.want.RecoveredByReplay++
		}
		if v.n%6 == 4 { // twice
			s.send(v, q)
			s.want.DuplicatesOnReplay++
		}
	}
	return v, v.out
}

func (s *faithless) send(v *visitor, q int) {
	v.out <- fmt.Sprintf("id: %d.%d\ndata: %s\n\n", v.n, q+1, s.log[q])
	v.last = q + 1
	s.sent++
}

func (s *faithless) publish(marker string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, marker)
	for _, v := range s.clients {
		if v.out != nil {
			s.send(v, len(s.log)-1)
			s.live++
		}
	}
}

// dismiss closes the streams of all but every sixth client.
func (s *faithless) dismiss() (closed int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.clients {
		if v.n%6 != 5 {
			close(v.out)
			v.out = nil
			closed++
		}
	}
	return closed
}

// paced are events that wait for conditions, however long those take on this machine: from one of them on they are due when it is met.
type paced struct {
	measure.Events

	mu   sync.Mutex
	past []time.Duration // when those were due that come before the wait
	from time.Duration   // what the others count from, since the board's epoch
}

func newPaced(e measure.Events) *paced { return &paced{Events: e, from: time.Hour} }

func (p *paced) At(n int) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n < len(p.past) {
		return p.past[n]
	}
	return p.from + p.Events.At(n)
}

func (p *paced) Next(at time.Duration) int {
	return sort.Search(p.Len(), func(n int) bool { return p.At(n) >= at })
}

// hold lets event n, the next one, wait.
func (p *paced) hold(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.past); i < n; i++ {
		p.past = append(p.past, p.from+p.Events.At(i))
	}
	p.from = time.Hour
}

// when lets it go once a condition is met and streams have settled.
func (p *paced) when(t *testing.T, b *measure.Board, met func() bool) {
	until(t, met)
	p.mu.Lock()
	p.from = time.Duration(b.Now()) + 200*time.Millisecond - p.Events.At(len(p.past))
	p.mu.Unlock()
}

// until waits for a condition.
func until(t *testing.T, met func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !met(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Error("waited for a minute in vain")
			return
		}
	}
}

// What is said of streams that come back is exactly what the server did: those it sent away for good, let down at first, replayed all, some, twice, with
// more than was asked for.
func TestReconnect(t *testing.T) {
	const streams = 24
	for name, e := range engines {
		for _, proto := range protocols {
			t.Run(name+"/"+proto.String(), func(t *testing.T) {
				t.Parallel()
				s := &faithless{}
				target := serve(t, proto, s)
				const ms = time.Millisecond
				events := newPaced(schedule.Ramp{{To: 20, Over: 500 * ms}, {To: 60, Over: 200 * ms}, {To: 70, Over: 200 * ms}})
				b := measure.NewBoard(measure.Config{
					Epoch: time.Now(), Workers: 2, Marker: measure.NewMarker("t"), Events: events, Settle: 100 * ms, Deadline: 3 * time.Second, Reconnect: true,
				})
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan struct{})
				go func() {
					defer close(done)
					e.Run(ctx, &engine.Job{
						Targets: []engine.Target{target}, Openings: schedule.Linear(streams, 100*ms), StreamsPerConn: 100, Timeout: 10 * time.Second, Board: b,
						Life: engine.Life{Reconnect: &engine.Reconnect{Delay: time.Hour}},
					})
				}()
				go func() { // as a run does, and more often
					for ctx.Err() == nil {
						b.Tick()
						time.Sleep(ms)
					}
				}()
				closed := 0
				events.when(t, b, func() bool { return b.Open() == streams })
				for n := range events.Len() {
					if n == 20 || n == 40 || n == 60 {
						events.hold(n)
					}
					switch n {
					case 20:
						closed = s.dismiss()
						events.when(t, b, func() bool { return b.Open() == streams-closed })
					case 40: // some are not let in at their first return, some never
						events.when(t, b, func() bool { return b.Open() >= streams-2*streams/6 })
					case 60:
						events.when(t, b, func() bool { return b.Open() == streams-streams/6 })
					}
					marker, intended, _ := b.Begin(uint32(n))
					time.Sleep(time.Duration(intended - b.Now()))
					b.Sent(uint32(n), b.Now())
					s.publish(marker)
					b.Done(uint32(n), b.Now(), measure.Published, "")
				}
				for end := time.Now().Add(10 * time.Second); !b.Settled() && time.Now().Before(end); {
					time.Sleep(20 * ms)
					b.Tick()
				}
				b.Finish()
				cancel()
				<-done
				var l result.Load
				b.Fill(&l)
				s.want.MissedInGap = s.want.RecoveredByReplay + s.want.LostInGap
				s.want.RetryMS = &result.Span{Min: 1000, Max: 1000}
				if diff := cmp.Diff(s.want, *l.Reconnect); diff != "" {
					t.Errorf("want -, got +:\n%s", diff)
				}
				if s.strangers > 0 {
					t.Errorf("%d requests with an id that was not the last", s.strangers)
				}
				want := result.Events{Published: 70, Received: int64(s.sent), Eligible: int64(s.live), Bytes: l.Events.Bytes}
				if l.Events != want {
					t.Errorf("got  %+v\nwant %+v", l.Events, want)
				}
				if got := l.Streams; got.Opened != streams || got.Failed != 0 || got.ClosedByServer != closed || got.Reconnects != closed-s.want.GaveUp {
					t.Errorf("%+v, want %d closed and %d back", got, closed, closed-s.want.GaveUp)
				}
				back := int64(closed - s.want.GaveUp)
				for name, n := range map[string]int64{"open": streams, "reconnect": back, "reconnect_first_event": back, "reconnect_caught_up": back - streams/6} {
					if q := l.LatencyUS[name]; q == nil || q.Count != n {
						t.Errorf("%s: %+v, want %d", name, q, n)
					}
				}
				if q := l.LatencyUS["reconnect"]; q != nil && (*q.Min < 0.999e6 || *q.Max < 2.997e6) {
					t.Errorf("came back after %v to %v us; the stream says 1 s, and one failure is one more", *q.Min, *q.Max)
				}
				if q := l.LatencyUS["reconnect_caught_up"]; q != nil && q.Never != int64(streams/6+s.want.GaveUp) {
					t.Errorf("%d never caught up, want %d", q.Never, streams/6+s.want.GaveUp)
				}
			})
		}
	}
}

// Users who leave and others who come: each is closed by us and opened again at once, on the connection that it had over HTTP/2, without what it knew, and whoever is there has
// every event.
func TestChurn(t *testing.T) {
	const streams = 20
	for name, e := range engines {
		for _, proto := range protocols {
			t.Run(name+"/"+proto.String(), func(t *testing.T) {
				t.Parallel()
				s := &unruly{rand: rand.New(rand.NewPCG(1, 1)), conns: map[string]int{}}
				resumed := atomic.Int32{}
				target := serve(t, proto, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Header.Get("Last-Event-ID") != "" {
						resumed.Add(1)
					}
					s.ServeHTTP(w, r)
				}))
				const ms = time.Millisecond
				// Who leaves does so by the clock; none does where none is open.
				events, leave := schedule.Linear(30, 2*time.Second), schedule.Ramp{{Over: 2 * time.Second}, {To: 50, Over: 2500 * ms}}
				b := measure.NewBoard(measure.Config{
					Epoch: time.Now(), Workers: 2, Marker: measure.NewMarker("t"), Start: 2 * time.Second, Events: events, Settle: ms, Deadline: time.Minute, Reconnect: true,
				})
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan struct{})
				go func() {
					defer close(done)
					e.Run(ctx, &engine.Job{
						Targets: []engine.Target{target}, Openings: schedule.Linear(streams, 100*ms), StreamsPerConn: 10, Timeout: 10 * time.Second, Board: b,
						Life: engine.Life{Churn: leave, Reconnect: &engine.Reconnect{Delay: time.Second}},
					})
				}()
				for n := range events.Len() {
					marker, intended, _ := b.Begin(uint32(n))
					time.Sleep(time.Duration(intended - b.Now()))
					b.Sent(uint32(n), b.Now())
					s.publish(4*n+1, marker) // with an id
					b.Done(uint32(n), b.Now(), measure.Published, "")
				}
				time.Sleep(time.Duration(int64(4600*ms) - b.Now()))
				until(t, func() bool { b.Tick(); return b.Settled() && b.Open() == streams })
				b.Finish()
				cancel()
				<-done
				var l result.Load
				b.Fill(&l)
				got := l.Streams
				if got.Churned > leave.Len() || got.Churned < leave.Len()/2 || got.Opened != streams+got.Churned || got.Failed != 0 || got.ClosedByServer != 0 || got.Reconnects != 0 || len(got.Failures) != 0 {
					t.Errorf("%+v, want %d churned, and none closed", got, leave.Len())
				}
				connections := 2
				if proto == wire.HTTP11 {
					connections = got.Opened
				}
				if got.Connections != connections {
					t.Errorf("%d connections, want %d", got.Connections, connections)
				}
				if q := l.LatencyUS["open"]; q.Count != int64(got.Opened) {
					t.Errorf("%d openings timed, want %d", q.Count, got.Opened)
				}
				if e := l.Events; e.Lost != 0 || e.Duplicated != 0 || e.Eligible == 0 || e.Eligible > int64(events.Len()*streams) {
					t.Errorf("%+v", e)
				}
				if r := l.Reconnect; r.Attempts+int(r.MissedInGap) != 0 || resumed.Load() != 0 {
					t.Errorf("%+v, and %d with an id: who takes a place is a new client", r, resumed.Load())
				}
			})
		}
	}
}

// bulk is a server of large events, which gives up the streams that do not take them when it is told to.
type bulk struct {
	evicted atomic.Int32

	mu   sync.Mutex
	subs []*taker
}

// taker is a stream of it.
type taker struct {
	out     chan string
	control *http.ResponseController
	writing atomic.Bool
}

func (s *bulk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	sub := &taker{out: make(chan string, 1000), control: http.NewResponseController(w)}
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(200)
	sub.control.Flush()
	s.mu.Lock()
	s.subs = append(s.subs, sub)
	s.mu.Unlock()
	for {
		select {
		case <-r.Context().Done():
			return
		case text := <-sub.out:
			sub.writing.Store(true)
			_, err := io.WriteString(w, text)
			if err == nil {
				err = sub.control.Flush()
			}
			sub.writing.Store(false)
			if err != nil && r.Context().Err() == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				s.evicted.Add(1)
				panic(http.ErrAbortHandler)
			}
		}
	}
}

func (s *bulk) publish(marker string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sub := range s.subs {
		sub.out <- "data: " + marker + "\ndata: " + strings.Repeat("x", 60_000) + "\n\n"
	}
}

// behind tells whether it has something for the stream that has not been taken.
func (sub *taker) behind() bool { return sub.writing.Load() || len(sub.out) > 0 }

// behind is how many streams have not taken everything.
func (s *bulk) behind() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sub := range s.subs {
		if sub.behind() {
			n++
		}
	}
	return n
}

// evict ends those streams.
func (s *bulk) evict() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sub := range s.subs {
		if sub.behind() {
			sub.control.SetWriteDeadline(time.Now())
		}
	}
}

// A slow reader is one the server notices, or not; the others have every event, and it stands in none of their figures.
func TestSlowReaders(t *testing.T) {
	const streams, share = 20, 0.2
	for name, e := range engines {
		for _, proto := range protocols {
			for _, evicts := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s/%s/evicts=%v", name, proto, evicts), func(t *testing.T) {
					t.Parallel()
					const ms = time.Millisecond
					s := &bulk{}
					target := serve(t, proto, s)
					events := newPaced(schedule.Linear(6, 300*ms))
					b := measure.NewBoard(measure.Config{
						Epoch: time.Now(), Workers: 2, Marker: measure.NewMarker("t"), Events: events, Settle: ms, Deadline: time.Minute, Reconnect: true,
					})
					ctx, cancel := context.WithCancel(t.Context())
					done := make(chan struct{})
					go func() {
						defer close(done)
						e.Run(ctx, &engine.Job{
							Targets: []engine.Target{target}, Openings: schedule.Linear(streams, 100*ms), StreamsPerConn: 10, Timeout: 10 * time.Second, Board: b,
							Life: engine.Life{Slow: &engine.Slow{Share: share}, Reconnect: &engine.Reconnect{Delay: time.Second}},
						})
					}()
					events.when(t, b, func() bool { return b.Open() == streams })
					for n := range events.Len() {
						marker, intended, _ := b.Begin(uint32(n))
						time.Sleep(time.Duration(intended - b.Now()))
						b.Sent(uint32(n), b.Now())
						s.publish(marker)
						b.Done(uint32(n), b.Now(), measure.Published, "")
					}
					slow, closed := int(streams*share), 0
					until(t, func() bool { b.Tick(); return b.Settled() && s.behind() == slow })
					if evicts {
						closed = slow
						s.evict()
						until(t, func() bool {
							return int(s.evicted.Load()) == slow && (proto == wire.HTTP11 || b.Open() == streams-slow)
						})
					}
					time.Sleep(500 * ms) // a connection that is closed tells a slow reader nothing: it has not read so far
					b.Finish()
					gaveUp := int(s.evicted.Load()) // what it says of those that we close does not count
					cancel()
					<-done
					var l result.Load
					b.Fill(&l)
					if got := l.SlowReaders; got == nil || got.Streams != slow || got.ClosedByServer != closed || gaveUp != closed {
						t.Errorf("%+v, want %d slow readers; the server gave up %d", got, slow, gaveUp)
					} else if evicts && proto != wire.HTTP11 && (got.FoundAtEnd != 0 || got.ClosedAfterUS == nil || got.BytesBefore.Max > 4096) {
						t.Errorf("%+v", got)
					}
					if got := l.Streams; got.Opened != streams || got.ClosedByServer != 0 || got.Reconnects != 0 || got.Failed != 0 {
						t.Errorf("%+v", got)
					}
					want := result.Events{Published: 6, Received: 6 * int64(streams-slow), Eligible: 6 * int64(streams-slow), Bytes: l.Events.Bytes}
					if l.Events != want {
						t.Errorf("got  %+v\nwant %+v", l.Events, want)
					}
				})
			}
		}
	}
}

// A server that ends every stream at once and asks for it back at once cannot make a connection remember more and more of them.
func TestWorn(t *testing.T) {
	for name, e := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			requests := atomic.Int32{}
			target := serve(t, wire.H2C, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				fmt.Fprint(w, "retry: 0\n\n")
				if requests.Add(1) == 9000 {
					cancel()
				}
			}))
			b := measure.NewBoard(measure.Config{Epoch: time.Now(), Workers: 1, Reconnect: true})
			e.Run(ctx, &engine.Job{
				Targets: []engine.Target{target}, Openings: schedule.Linear(5, 0), Burst: true, StreamsPerConn: 100, Timeout: 10 * time.Second, Board: b,
				Life: engine.Life{Reconnect: &engine.Reconnect{}},
			})
			b.Finish()
			var l result.Load
			b.Fill(&l)
			if n := l.Streams.Connections; n < 3 || n > 10 {
				t.Errorf("%d connections for 9,000 streams, want 3 or a few more", n)
			}
		})
	}
}

// A stream that comes back and gets no answer is given up as one of the plan is, long after the others of its connection were open.
func TestHeadTimeoutAfterReturn(t *testing.T) {
	for name, e := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := atomic.Int32{}
			target := serve(t, wire.H2C, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				if asked.Add(1) > 1 {
					<-r.Context().Done() // without a head
					return
				}
				fmt.Fprint(w, "retry: 700\n\n")
			}))
			b := measure.NewBoard(measure.Config{Epoch: time.Now(), Workers: 1, Reconnect: true})
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			e.Run(ctx, &engine.Job{
				Targets: []engine.Target{target}, Openings: schedule.Linear(1, 0), Burst: true, StreamsPerConn: 1, Timeout: 400 * time.Millisecond, Board: b,
				Life: engine.Life{Reconnect: &engine.Reconnect{}},
			})
			b.Finish()
			var l result.Load
			b.Fill(&l)
			if n := l.Streams.Failures["reconnect: head: timeout"]; n != 1 {
				t.Errorf("%+v, want one timeout", l.Streams.Failures)
			}
		})
	}
}
