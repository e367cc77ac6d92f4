package measure

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"ssegauge/reports/result"
)

// witness is a stream as the model of observed events sees it: all that it ever got.
type witness struct {
	Stream
	rec            *Recorder
	opened, closed int64         // closed 0: open to the end
	has            map[int]int64 // when which event (by its number, in order of first sight) came first
	high           int           // one more than the highest of them
}

// content is an event as it is sent.
type content struct {
	number int // in order of first sight; -1: seen by nobody yet
	first  int64
	id     string
	data   string
	before map[int]bool // what the first receiver had before it
}

// What receivers get of events with ids, lost, late, doubled and out of order, from streams that open and close at random: the counts must be those of a model that
// remembers everything.
func TestObservedAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Config{Workers: 2, Observe: true, Settle: 50 * time.Millisecond, Deadline: 300 * time.Millisecond}
		b := NewBoard(c)
		chance := func(percent int, what string) bool { return rapid.IntRange(0, 99).Draw(t, what) < percent }
		named := chance(50, "named")
		var streams []*witness
		var sent []*content
		var want result.Events
		extents := map[int]int64{}
		alone, numbers := int64(0), 0
		byNumber := map[int]*content{}
		type delivery struct {
			at int64
			s  *witness
			e  *content
		}
		var coming []delivery
		from := func(s *witness) int64 { return s.rec.eligibleFrom(&s.Stream) }
		eligible := func(s *witness, e *content) bool {
			return e.number >= 0 && (s.opened+int64(c.Settle)+joinStep-1)/joinStep*joinStep <= e.first && (s.closed == 0 || s.closed > e.first)
		}
		deliver := func(d delivery) {
			d.s.rec.Lock()
			defer d.s.rec.Unlock()
			want.Received++
			var id []byte
			if d.e.id != "" {
				id = []byte(d.e.id)
			}
			if d.at >= from(d.s) {
				s, e := d.s, d.e
				if e.number < 0 {
					e.number, e.first, e.before = numbers, d.at, map[int]bool{}
					for q := range s.has {
						e.before[q] = q >= s.high-64
					}
					byNumber[numbers] = e
					numbers++
				}
				q := e.number
				_, had := s.has[q]
				switch {
				case had:
					want.Duplicated++
				default:
					if q < s.high && eligible(s, e) && d.at <= e.first+int64(c.Deadline) && byNumber[s.high-1].before[q] {
						want.Reordered++
						extents[s.high-1-q]++
					}
					s.has[q] = d.at
					s.high = max(s.high, q+1)
				}
			}
			d.s.rec.Event(&d.s.Stream, []byte(d.e.data), id, nil, d.at, 0)
		}
		run := func(until int64) {
			slices.SortStableFunc(coming, func(x, y delivery) int { return cmp.Compare(x.at, y.at) })
			for len(coming) > 0 && coming[0].at <= until {
				d := coming[0]
				coming = coming[1:]
				if d.s.closed == 0 {
					deliver(d)
				}
			}
		}
		now, tie := int64(0), int64(0)
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			now += rapid.Int64Range(1, 40).Draw(t, "step") * ms
			run(now)
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0, 1:
				if len(streams) < 10 {
					s := &witness{rec: b.Recorder(len(streams)), opened: now, has: map[int]int64{}}
					s.rec.Lock()
					s.rec.Opened(&s.Stream, Opening{Planned: now, Head: now})
					s.rec.Unlock()
					s.high = int(s.Stream.first)
					streams = append(streams, s)
				}
			case 2:
				if len(streams) > 0 {
					if s := streams[rapid.IntRange(0, len(streams)-1).Draw(t, "which")]; s.closed == 0 {
						s.closed = now
						s.rec.Lock()
						s.rec.Closed(&s.Stream, now, "end of response")
						s.rec.Unlock()
					}
				}
			case 3, 4:
				b.conclude(now, false)
			default:
				e := &content{number: -1, data: fmt.Sprint("event ", len(sent))}
				if named {
					e.id = fmt.Sprint(len(sent))
				}
				sent = append(sent, e)
				for _, s := range streams {
					if s.closed != 0 || chance(10, "lost") {
						continue
					}
					tie++
					at := now + rapid.Int64Range(1, 60).Draw(t, "delay")*ms + tie
					if chance(3, "late") {
						at += 400 * ms
					}
					coming = append(coming, delivery{at, s, e})
					if named && chance(5, "twice") {
						coming = append(coming, delivery{at + ms, s, e})
					}
				}
			}
		}
		run(1 << 60)
		b.conclude(100_000*ms, false)
		if b.base != b.begun.Load() {
			t.Fatal("events are left over")
		}
		failed := b.observer.failed() != ""
		l := fill(b)

		for q := range numbers {
			e := byNumber[q]
			arrived, missing := int64(0), int64(0)
			for _, s := range streams {
				if !eligible(s, e) {
					continue
				}
				at, came := s.has[q]
				switch {
				case came && at <= e.first+int64(c.Deadline):
					arrived++
				case !came && s.closed != 0 && s.closed <= e.first+int64(c.Deadline):
				default:
					missing++
				}
			}
			if arrived == 1 && arrived+missing >= 3 {
				alone++
				continue
			}
			want.Published++
			want.Eligible += arrived + missing
			want.Lost += missing
		}
		if failed {
			return
		}
		if got := l.Correlation.Alone; got != alone {
			t.Errorf("%d events of one receiver alone, want %d", got, alone)
		}
		n := counters{}
		for _, r := range b.workers {
			n.add(r.n)
		}
		if n.stragglers != 0 {
			t.Errorf("%d stragglers", n.stragglers)
		}
		// A second copy of an event that is concluded may be taken for a late one, never for something else.
		if d := want.Duplicated - l.Events.Duplicated; d < 0 || d > n.late {
			t.Errorf("duplicated %d, want %d (late %d)", l.Events.Duplicated, want.Duplicated, n.late)
		}
		want.Duplicated = l.Events.Duplicated
		if l.Events != want {
			t.Errorf("got  %+v\nwant %+v", l.Events, want)
		}
		got := map[int]int64{}
		for _, r := range b.workers {
			for places, k := range r.extent {
				if k > 0 {
					got[places] += int64(k)
				}
			}
		}
		if !maps.Equal(got, extents) {
			t.Errorf("places late: %v, want %v", got, extents)
		}
	})
}

// watching makes a board that observes n streams which have settled.
func watching(n int, c Config) (*Board, []Stream) {
	c.Observe, c.Deadline = true, 300*time.Millisecond
	b := NewBoard(c)
	streams := make([]Stream, n)
	for i := range streams {
		b.Recorder(i).Opened(&streams[i], Opening{Head: int64(i)})
	}
	return b, streams
}

// The same content without an id, again and again, faster than it is concluded: every receiver gets as many, so nothing is lost and nothing doubled.
func TestOccurrences(t *testing.T) {
	b, streams := watching(4, Config{Workers: 2})
	at := 10 * ms
	for range 50 {
		at += 5 * ms
		for i := range streams {
			b.Recorder(i).Event(&streams[i], []byte("beat"), nil, nil, at+int64(i)*ms, 0)
		}
	}
	b.conclude(at+1000*ms, false)
	l := fill(b)
	if w := (result.Events{Published: 50, Received: 200, Eligible: 200}); l.Events != w {
		t.Errorf("%+v, want %+v", l.Events, w)
	}
	exact(t, "spread", l.LatencyUS["spread"], 50, 3000, 3000)

	// One of them gets one more: a second copy, not a loss for all others. One misses the last.
	b, streams = watching(4, Config{Workers: 2})
	for round := range 3 {
		at := int64(1+round) * 10 * ms
		if round == 0 {
			b.Recorder(2).Event(&streams[2], []byte("beat"), nil, nil, at, 0) // both of its copies before anyone else has one
		}
		for i := range streams {
			if round == 2 && i == 3 {
				continue
			}
			b.Recorder(i).Event(&streams[i], []byte("beat"), nil, nil, at, 0)
		}
	}
	b.conclude(1000*ms, false)
	l = fill(b)
	if w := (result.Events{Published: 3, Received: 12, Eligible: 12, Lost: 1, Duplicated: 1}); l.Events != w {
		t.Errorf("%+v, want %+v", l.Events, w)
	}
}

// Streams that each carry something else cannot be compared, and are not said to lose it.
func TestStreamsOfTheirOwn(t *testing.T) {
	for _, tc := range []struct{ streams, events int }{{2, 10}, {10, 10}, {2, observedRing}} {
		b, streams := watching(tc.streams, Config{Workers: 2})
		for e := range tc.events {
			for i := range streams {
				b.Recorder(i).Event(&streams[i], fmt.Appendf(nil, "stream %d, event %d", i, e), nil, nil, 10*ms, 0)
			}
		}
		b.conclude(1000*ms, false)
		l := fill(b)
		if l.Correlation.Failed == "" || l.Correlation.Tier != 0 {
			t.Errorf("%+v: %+v", tc, l.Correlation)
		}
		if w := (result.Events{Received: int64(tc.streams * tc.events)}); l.Events != w || l.LatencyUS["spread"] != nil {
			t.Errorf("%+v: %+v, %v", tc, l.Events, l.LatencyUS["spread"])
		}
	}
}

// A stream that opens gets what happened before: nobody else has to.
func TestHistoryIsNotCompared(t *testing.T) {
	b, streams := watching(3, Config{Settle: 100 * time.Millisecond})
	for i := range streams {
		b.Recorder(0).Event(&streams[i], fmt.Appendf(nil, "welcome, number %d", i), nil, nil, 50*ms, 0)
		b.Recorder(0).Event(&streams[i], []byte("news"), nil, nil, 200*ms, 0)
	}
	b.conclude(1000*ms, false)
	if l := fill(b); l.Events != (result.Events{Published: 1, Received: 6, Eligible: 3}) || l.Correlation.Alone != 0 {
		t.Errorf("%+v %+v", l.Events, l.Correlation)
	}
}

// Copies of one event that are stamped when they are written are one event, each with a delay of its own; of others nothing but the stamp may differ.
func TestStampedCopies(t *testing.T) {
	for _, given := range []bool{true, false} {
		conf, member, unit := Config{Workers: 2, SameClock: true, Epoch: time.Unix(1_700_000_000, 0)}, "sent_ns", int64(1)
		if given {
			conf.Stamp, _ = StampJSON("t")
			member, unit = "t", ms
		}
		b, streams := watching(4, conf)
		for e := range 20 {
			at := int64(1+e) * 20 * ms
			for i := range streams {
				sent := at + int64(i)*ms // and each arrives 5 ms later
				b.Recorder(i).Event(&streams[i], fmt.Appendf(nil, `{"%s":%d,"n":%d}`, member, (1_700_000_000*int64(time.Second)+sent)/unit, e), fmt.Append(nil, e), nil, sent+5*ms, 0)
			}
		}
		b.conclude(2000*ms, false)
		l := fill(b)
		if w := (result.Events{Published: 20, Received: 80, Eligible: 80}); l.Events != w || l.Correlation.Failed != "" {
			t.Errorf("%s: %+v, want %+v; %+v", member, l.Events, w, l.Correlation)
		}
		if q := l.LatencyUS["deliver"]; q == nil || q.Count != 80 || *q.Min < 4900 || *q.Max > 5100 {
			t.Errorf("%s: %+v, want 80 of 5 ms: %v %v", member, q, *q.Min, *q.Max)
		}
	}
}

// Where receivers get different contents under one id, those who lack one of them have lost nothing; where they get all of them, ids are used again.
func TestContentsUnderOneID(t *testing.T) {
	for _, c := range []struct {
		name   string
		id     func(e int) int
		data   func(e, i int) int // of event e at receiver i; -1: none
		lost   int64
		failed string
	}{
		{"all alike", func(e int) int { return e }, func(e, i int) int { return e }, 0, ""},
		{"of every tenth event two copies", func(e int) int { return e }, func(e, i int) int {
			if e%10 == 9 && i > 4 {
				return e + 1000
			}
			return e
		}, 0, "receivers get contents of their own under the same ids"},
		{"one of a hundred", func(e int) int { return e }, func(e, i int) int {
			if e == 50 && i > 4 {
				return e + 1000
			}
			return e
		}, 0, ""},
		{"one id for all, and one loss in ten", func(e int) int { return 1 }, func(e, i int) int {
			if e%10 == 9 && i == 3 {
				return -1
			}
			return e
		}, 10, ""},
	} {
		b, streams := watching(10, Config{Workers: 2})
		for e := range 100 {
			at := int64(1+e) * 20 * ms
			for i := range streams {
				if d := c.data(e, i); d >= 0 {
					b.Recorder(i).Event(&streams[i], fmt.Append(nil, "event ", d), fmt.Append(nil, c.id(e)), nil, at+int64(i)*1000, 0)
				}
			}
			b.conclude(at+10*ms, false)
			if s := b.Second(); e > 50 && c.failed != "" && s.Lost+s.Published != 0 {
				t.Errorf("%s: %+v", c.name, s)
			}
		}
		b.conclude(5000*ms, false)
		l := fill(b)
		if l.Events.Lost != c.lost || l.Correlation.Failed != c.failed || (l.Events.Published == 0) != (c.failed != "") {
			t.Errorf("%s: %+v, %+v", c.name, l.Events, l.Correlation)
		}
		if drawn := slices.ContainsFunc(l.Series, func(s result.Series) bool { return ofCompared(s.Name) }); drawn != (c.failed == "") {
			t.Errorf("%s: series %v", c.name, drawn)
		}
	}
}

// Answers to one client each are not compared, whether they are alike or not; their time stamps count.
func TestFiniteIsNotCompared(t *testing.T) {
	for _, path := range []string{"", "t"} {
		conf := Config{Workers: 2, Finite: true, SameClock: true, Epoch: time.Unix(1_700_000_000, 0)}
		if path != "" {
			conf.Stamp, _ = StampJSON(path)
		}
		b, streams := watching(4, conf)
		for i := range streams {
			for e := range 3 {
				b.Recorder(i).Event(&streams[i], fmt.Appendf(nil, `{"t":%d}`, 1_700_000_000_010+e), nil, nil, 30*ms, 0)
			}
		}
		b.conclude(1000*ms, false)
		l := fill(b)
		if l.Events != (result.Events{Received: 12}) || l.Correlation.Failed == "" || l.LatencyUS["spread"] != nil || (l.LatencyUS["deliver"] != nil) != (path != "") {
			t.Errorf("%q: %+v, %+v", path, l.Events, l.Correlation)
		}
		for _, f := range l.Figures() {
			if f.Group == "events" && (f.Name == "published" || f.Name == "lost") && f.Value != nil {
				t.Errorf("%s is %v", f.Name, *f.Value)
			}
		}
	}
}
