package measure

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"ssegauge/loadgen/schedule"
	"ssegauge/reports/result"
)

// A set of numbers against a map.
func TestNumbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s, void numbers
		want, gone := map[uint32]bool{}, map[uint32]bool{}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			n := rapid.Uint32Range(0, 40).Draw(t, "n")
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				if s.remove(n) != want[n] {
					t.Fatalf("remove(%d) of %v", n, s)
				}
				delete(want, n)
			case 1:
				to := n
				for to < 50 && !want[to] && to < n+5 {
					want[to] = true
					to++
				}
				s.addRange(n, to)
			case 2:
				void.add(n)
				gone[n] = true
			default:
				if s.add(n) == want[n] {
					t.Fatalf("add(%d) to %v", n, s)
				}
				want[n] = true
			}
			end, left := rapid.Uint32Range(0, 60).Draw(t, "end"), int64(0)
			for q := range want {
				if !gone[q] && q < end {
					left++
				}
			}
			if got := s.without(void, end); got != left {
				t.Fatalf("%v without %v below %d: %d, want %d", s, void, end, got, left)
			}
			for i, p := range s {
				if p.from >= p.to || i > 0 && s[i-1].to >= p.from {
					t.Fatalf("%v is not in order", s)
				}
			}
		}
	})
	var s numbers
	for n := range uint32(3 * maxSpans) {
		s.add(2 * n)
	}
	if len(s) != maxSpans || s[0].from != 0 {
		t.Errorf("%d spans from %d", len(s), s[0].from)
	}
}

// returner is a client as the model sees it.
type returner struct {
	Stream
	rec     *Recorder
	client  *Client
	periods []period
}

type period struct {
	head, closed int64 // closed 0: to the end
	arrivals     []arrivalAt
}

func (p *period) got(q int, until int64) bool {
	return slices.ContainsFunc(p.arrivals, func(a arrivalAt) bool { return a.seq == q && a.at <= until })
}

// A random run of clients that leave and come back to servers that lose, double and replay, in part, late, twice, and what was there before: every (event, client) pair
// is delivered, lost, recovered, lost in the gap, undecided or none of the client's, as a model says that keeps everything.
func TestReconnectAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := schedule.Constant{PerSecond: 100, For: time.Second}
		c := Config{
			Workers: 3, Events: events, Start: 100 * time.Millisecond, Settle: 50 * time.Millisecond,
			Deadline: 300 * time.Millisecond, Marker: NewMarker("m"), Reconnect: true,
		}
		b := NewBoard(c)
		settle, deadline := int64(c.Settle), int64(c.Deadline)
		due := func(q int) int64 { return int64(c.Start + events.At(q)) }
		chance := func(percent int, what string) bool { return rapid.IntRange(0, 99).Draw(t, what) < percent }
		var clients []*returner
		void := map[int]bool{}
		type delivery struct {
			at     int64
			s      *returner
			period int
			seq    int
		}
		var coming []delivery
		deliver := func(until int64) {
			slices.SortStableFunc(coming, func(x, y delivery) int { return int(x.at - y.at) })
			for len(coming) > 0 && coming[0].at <= until {
				d := coming[0]
				coming = coming[1:]
				if d.period != len(d.s.periods)-1 || d.s.periods[d.period].closed != 0 {
					continue
				}
				p := &d.s.periods[d.period]
				p.arrivals = append(p.arrivals, arrivalAt{d.seq, d.at})
				d.s.rec.Lock()
				d.s.rec.Event(&d.s.Stream, []byte(b.marker.Of(uint32(d.seq))), nil, nil, d.at, 0)
				d.s.rec.Unlock()
			}
		}
		next, now, end := 0, int64(0), rapid.Int64Range(1200, 2500).Draw(t, "end")*ms
		for now < end {
			now += rapid.Int64Range(1, 40).Draw(t, "step") * ms
			for next < events.Len() && due(next) <= now {
				q := next
				next++
				deliver(due(q) - 1)
				if _, _, ok := b.Begin(uint32(q)); !ok {
					t.Fatalf("no room for event %d", q)
				}
				b.Sent(uint32(q), due(q))
				o := Published
				if chance(5, "refused") {
					o, void[q] = Refused, true
				}
				b.Done(uint32(q), due(q), o, "status 503")
				for _, s := range clients {
					n := len(s.periods) - 1
					if s.periods[n].closed != 0 || void[q] || chance(10, "lost") {
						continue
					}
					at := due(q) + rapid.Int64Range(1, 30).Draw(t, "delay")*ms
					coming = append(coming, delivery{at, s, n, q})
					if chance(5, "twice") {
						coming = append(coming, delivery{at + ms, s, n, q})
					}
				}
			}
			deliver(now)
			if len(clients) < 6 && chance(30, "open") {
				s := &returner{rec: b.Recorder(len(clients)), periods: []period{{head: now}}}
				s.rec.Lock()
				s.rec.Opened(&s.Stream, Opening{Planned: now, Head: now})
				s.rec.Unlock()
				clients = append(clients, s)
			}
			for _, s := range clients {
				p := &s.periods[len(s.periods)-1]
				switch {
				case p.closed == 0 && chance(5, "close"):
					p.closed = now
					s.rec.Lock()
					s.client = s.rec.Closed(&s.Stream, now, "end of response")
					s.rec.Unlock()
				case p.closed != 0 && p.closed < now && chance(20, "return"):
					s.rec = b.Recorder(rapid.IntRange(0, 2).Draw(t, "recorder"))
					s.rec.Lock()
					s.rec.Reopened(&s.Stream, s.client, Opening{Head: now})
					s.rec.Unlock()
					s.periods = append(s.periods, period{head: now})
					n := len(s.periods) - 1
					for q := range next {
						for chance(40, "replay") {
							at := now + rapid.Int64Range(1, 30).Draw(t, "delay")*ms
							if chance(5, "late") {
								at += deadline
							}
							if !void[q] {
								coming = append(coming, delivery{at, s, n, q})
							}
						}
					}
				}
			}
			if chance(50, "tick") {
				b.conclude(now, false)
			}
		}
		deliver(now)
		b.conclude(now, true)
		var l result.Load
		b.Fill(&l)

		var want result.Reconnect
		wantEvents := result.Events{Published: int64(next - len(void)), Reordered: l.Events.Reordered, Eligible: l.Events.Eligible}
		returned, pairs, caught := 0, int64(0), int64(0)
		for _, s := range clients {
			returned += len(s.periods) - 1
			if s.periods[len(s.periods)-1].closed != 0 {
				want.Away++
			}
			came := map[int]bool{}
			for n := range s.periods {
				p := &s.periods[n]
				here := map[int]bool{}
				for _, a := range p.arrivals {
					wantEvents.Received++
					eligible := due(a.seq) >= p.head+settle
					switch {
					case n > 0 && !eligible && came[a.seq]:
						want.DuplicatesOnReplay++
					case eligible && here[a.seq]:
						wantEvents.Duplicated++
					}
					came[a.seq], here[a.seq] = true, true
				}
			}
			for q := range next {
				if void[q] {
					continue
				}
				pairs++
				missedFrom := -1 // the period after whose end it was missed
				eligible := false
				for n := range s.periods {
					p := &s.periods[n]
					switch {
					case due(q) >= p.head+settle && (p.closed == 0 || due(q) <= p.closed):
						switch {
						case p.got(q, due(q)+deadline):
							eligible = true
						case p.closed != 0 && p.closed <= due(q)+deadline:
							missedFrom = n
						case now <= due(q)+deadline+int64(conclusionDelay): // the run's end
						default:
							eligible = true
							wantEvents.Lost++
						}
					case p.closed != 0 && due(q) > p.closed && (n == len(s.periods)-1 || due(q) < s.periods[n+1].head):
						missedFrom = n
					}
				}
				if missedFrom < 0 || eligible {
					continue
				}
				want.MissedInGap++
				recovered, lost := false, false
				for _, p := range s.periods[missedFrom+1:] {
					if recovered = p.got(q, p.head+deadline); recovered {
						break
					}
					if lost = p.closed > p.head+deadline || p.closed == 0 && now > p.head+deadline; lost {
						break
					}
				}
				switch {
				case recovered:
					want.RecoveredByReplay++
				case lost:
					want.LostInGap++
				default:
					want.Undecided++
				}
			}
		}
		if got := *l.Reconnect; got != want {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
		if l.Streams.Reconnects != returned {
			t.Errorf("%d reconnects, want %d", l.Streams.Reconnects, returned)
		}
		// A second copy of an event that is concluded may be taken for a late one.
		if d := wantEvents.Duplicated - l.Events.Duplicated; d > 0 && d <= b.workers[0].n.late+b.workers[1].n.late+b.workers[2].n.late {
			wantEvents.Duplicated = l.Events.Duplicated
		}
		if l.Events != wantEvents {
			t.Errorf("got  %+v\nwant %+v", l.Events, wantEvents)
		}
		if l.Events.Eligible+want.MissedInGap > pairs {
			t.Errorf("%d eligible and %d missed of %d pairs", l.Events.Eligible, want.MissedInGap, pairs)
		}
		if q := l.LatencyUS["reconnect_caught_up"]; q != nil {
			caught = q.Count
		}
		if caught > int64(returned) || want.RecoveredByReplay == 0 && caught > 0 {
			t.Errorf("%d caught up of %d returns", caught, returned)
		}
	})
}
