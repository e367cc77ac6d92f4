package measure

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"ssegauge/loadgen/schedule"
	"ssegauge/reports/result"
)

const ms = int64(time.Millisecond)

// receiver is a stream as the model sees it: when it was open, and everything that came.
type receiver struct {
	Stream
	rec            *Recorder
	opened, closed int64 // closed 0: open to the end
	arrivals       []arrivalAt
}

type arrivalAt struct {
	seq int
	at  int64
}

// A random run of streams that open and close and of events that are published at their times, refused, lost, late, doubled and out of order: the board's counts
// must be those of a model that keeps everything.
func TestBoardAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := schedule.Constant{PerSecond: 100, For: 2 * time.Second}
		c := Config{
			Workers: 2, Events: events, Start: 100 * time.Millisecond, Settle: 50 * time.Millisecond,
			Deadline: 300 * time.Millisecond, Marker: NewMarker("m"),
		}
		b := NewBoard(c)
		due := func(q int) int64 { return int64(c.Start + events.At(q)) }
		var streams []*receiver
		outcome := make([]Outcome, events.Len())
		next, now := 0, int64(0)
		published := int64(0)
		// How each event fares at each receiver is drawn when it is due.
		type delivery struct {
			at  int64
			s   *receiver
			seq int
		}
		var coming []delivery
		deliver := func(until int64) {
			slices.SortStableFunc(coming, func(x, y delivery) int { return int(x.at - y.at) })
			for len(coming) > 0 && coming[0].at <= until {
				d := coming[0]
				coming = coming[1:]
				if d.s.closed != 0 {
					continue
				}
				d.s.arrivals = append(d.s.arrivals, arrivalAt{d.seq, d.at})
				d.s.rec.Lock()
				d.s.rec.Event(&d.s.Stream, []byte("data "+b.marker.Of(uint32(d.seq))+" more"), nil, nil, d.at, 0)
				d.s.rec.Unlock()
			}
		}
		chance := func(percent int, what string) bool { return rapid.IntRange(0, 99).Draw(t, what) < percent }
		for now < 3000*ms {
			now += rapid.Int64Range(1, 40).Draw(t, "step") * ms
			for next < events.Len() && due(next) <= now {
				q := next
				next++
				deliver(due(q) - 1)
				if _, _, ok := b.Begin(uint32(q)); !ok {
					t.Fatalf("no room for event %d", q)
				}
				b.Sent(uint32(q), due(q))
				outcome[q] = Published
				if chance(5, "refused") {
					outcome[q] = Refused
				}
				b.Done(uint32(q), due(q), outcome[q], "status 503")
				if outcome[q] != Published {
					continue
				}
				published++
				for _, s := range streams {
					if s.closed != 0 || chance(10, "lost") {
						continue
					}
					at := due(q) + rapid.Int64Range(1, 30).Draw(t, "delay")*ms
					if chance(3, "late") {
						at += 400 * ms
					}
					coming = append(coming, delivery{at, s, q})
					if chance(5, "twice") {
						coming = append(coming, delivery{at + ms, s, q})
					}
				}
			}
			deliver(now)
			if len(streams) < 12 && chance(30, "open") {
				s := &receiver{rec: b.Recorder(len(streams)), opened: now}
				s.rec.Lock()
				s.rec.Opened(&s.Stream, Opening{Planned: now, Head: now})
				s.rec.Unlock()
				streams = append(streams, s)
			}
			if len(streams) > 0 && chance(5, "close") {
				if s := streams[rapid.IntRange(0, len(streams)-1).Draw(t, "which")]; s.closed == 0 {
					s.closed = now
					s.rec.Lock()
					s.rec.Closed(&s.Stream, now, "end of response")
					s.rec.Unlock()
				}
			}
			if chance(50, "tick") {
				b.conclude(now, false)
			}
		}
		deliver(1 << 60)
		b.conclude(10_000*ms, false)
		if !b.Settled() {
			t.Fatal("events are left over")
		}
		var l result.Load
		b.Fill(&l)

		want := result.Events{Published: published}
		never := map[string]int64{}
		perEvent := 0
		for q := range next {
			if outcome[q] != Published {
				continue
			}
			arrived, missing := int64(0), int64(0)
			for _, s := range streams {
				if s.opened+int64(c.Settle) > due(q) || s.closed != 0 && s.closed < due(q) {
					continue
				}
				i := slices.IndexFunc(s.arrivals, func(a arrivalAt) bool { return a.seq == q })
				switch {
				case i >= 0 && s.arrivals[i].at <= due(q)+int64(c.Deadline):
					arrived++
				case i < 0 && s.closed != 0 && s.closed <= due(q)+int64(c.Deadline):
				default:
					missing++
				}
			}
			want.Eligible += arrived + missing
			want.Lost += missing
			if arrived+missing == 0 {
				continue
			}
			perEvent++
			for _, p := range []int64{50, 90, 99, 100} {
				if arrived*100 < p*(arrived+missing) {
					never[fmt.Sprintf("fanout_t%d", p)]++
				}
			}
		}
		for _, s := range streams {
			seen := map[int]bool{}
			high := -1
			for _, a := range s.arrivals {
				want.Received++
				want.Bytes += 0
				if s.opened+int64(c.Settle) > due(a.seq) {
					continue
				}
				onTime := a.at <= due(a.seq)+int64(c.Deadline)
				switch {
				case seen[a.seq]:
					want.Duplicated++
				case a.seq < high && onTime:
					want.Reordered++
				}
				seen[a.seq] = true
				high = max(high, a.seq)
			}
		}
		// A second copy of an event that is concluded may be taken for a late one, never for something else.
		late := b.workers[0].n.late + b.workers[1].n.late
		if d := want.Duplicated - l.Events.Duplicated; d < 0 || d > late {
			t.Errorf("duplicated %d, want %d (late %d)", l.Events.Duplicated, want.Duplicated, late)
		}
		want.Duplicated = l.Events.Duplicated
		if l.Events != want {
			t.Errorf("got  %+v\nwant %+v", l.Events, want)
		}
		for _, name := range []string{"fanout_t50", "fanout_t90", "fanout_t99", "fanout_t100"} {
			count := int64(0)
			if q := l.LatencyUS[name]; q != nil {
				count = q.Count
			}
			if count+b.total.never[name] != int64(perEvent) || b.total.never[name] != never[name] {
				t.Errorf("%s: %d samples and %d never, want %d of %d never", name, count, b.total.never[name], never[name], perEvent)
			}
		}
		if n := b.workers[0].n.stragglers + b.workers[1].n.stragglers; n != 0 {
			t.Errorf("%d stragglers", n)
		}
	})
}
