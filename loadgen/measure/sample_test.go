package measure

import (
	"bytes"
	"math"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"

	"ssegauge/loadgen/schedule"
	"ssegauge/reports/result"
)

func TestStreamSize(t *testing.T) {
	if n := unsafe.Sizeof(Stream{}); n > 64 {
		t.Errorf("Stream is %d bytes; a million of them want at most 64 each", n)
	}
}

// opened makes a board without events and a stream of it, written to at 10 ms and open at 20 ms.
func opened(t *testing.T, c Config) (*Board, *Recorder, *Stream) {
	t.Helper()
	b := NewBoard(c)
	r, s := b.Recorder(0), new(Stream)
	r.Opened(s, Opening{Planned: 5 * ms, Started: 5 * ms, Written: 10 * ms, Head: 20 * ms})
	return b, r, s
}

func fill(b *Board) *result.Load {
	l := new(result.Load)
	b.Fill(l)
	return l
}

// exact holds a distribution of few values to them, in microseconds, within 0.5 %: HDR keeps three digits, silence 4 us.
func exact(t *testing.T, name string, q *result.Quantiles, count int64, lowest, highest float64) {
	t.Helper()
	if q == nil || q.Count != count || count > 0 && (math.Abs(*q.Min-lowest) > 0.005*lowest || math.Abs(*q.Max-highest) > 0.005*highest) {
		t.Errorf("%s: %+v, want %d from %v to %v", name, q, count, lowest, highest)
	}
}

func TestBytesAndBatches(t *testing.T) {
	b, r, s := opened(t, Config{})
	read := func(at int64, events int) {
		r.Bytes(s, make([]byte, 10), at)
		for range events {
			r.Event(s, []byte("x"), nil, nil, at, 0)
		}
	}
	read(15*ms, 0)   // a comment, read before the writer noted that the request was out
	read(1015*ms, 2) // two events
	read(1015*ms, 1) // and a third in another chunk of the same read
	read(3015*ms, 1)
	read(3016*ms, 0)
	read(5_003_015*ms, 1) // longer than 32 bits of microseconds
	l := fill(b)
	exact(t, "ttfb_body", l.LatencyUS["ttfb_body"], 1, 5000, 5000)
	exact(t, "byte_silence", l.LatencyUS["byte_silence"], 3, 1000, 2e6)
	exact(t, "first_event", l.LatencyUS["first_event"], 1, 1005e3, 1005e3)
	exact(t, "coalesce", l.Distributions["coalesce"], 3, 1, 3)
	exact(t, "gap", l.LatencyUS["gap"], 3, 0, 2e6)
	if b.workers[0].outside != 2 {
		t.Errorf("%d values outside, want the silence and the gap beyond an hour", b.workers[0].outside)
	}
}

// RFC 3550 6.4.1: J += (|D(i-1,i)| - J) / 16.
func TestJitter(t *testing.T) {
	b, r, s := opened(t, Config{})
	at := int64(0)
	for _, gap := range []int64{100, 100, 100, 260, 100} {
		at += gap * ms
		r.Event(s, []byte("x"), nil, nil, at, 0)
	}
	// Gaps between events: 100, 100, 260, 100: differences 0, 160, 160: J = 0, 10, 10 + 150/16.
	exact(t, "jitter", fill(b).LatencyUS["jitter"], 3, 0, 19375)
}

func TestSampled(t *testing.T) {
	b := NewBoard(Config{Streams: 3 * maxProbes})
	r := b.Recorder(0)
	n := 0
	for range 3 * maxProbes {
		s := new(Stream)
		r.Opened(s, Opening{Head: 1})
		if s.probe() != nil {
			n++
		}
	}
	if n != maxProbes {
		t.Errorf("%d of %d streams are sampled, want %d", n, 3*maxProbes, maxProbes)
	}
}

// Receivers that get each event in the order in which they joined, in the reverse one, and all at once.
func TestPositionBias(t *testing.T) {
	for _, tc := range []struct {
		name  string
		delay func(i int) int64
		want  float64
		none  bool
	}{
		{"joined first, served first", func(i int) int64 { return int64(i+1) * ms }, 1, false},
		{"joined first, served last", func(i int) int64 { return int64(100-i) * ms }, -1, false},
		{"all at once", func(int) int64 { return ms }, 0, true},
		{"the odd ones late", func(i int) int64 { return int64(i%2) * ms }, 0.174, false},
	} {
		b := NewBoard(Config{Workers: 2, Streams: 10, Events: schedule.Constant{PerSecond: 10, For: time.Second}, Start: time.Second, Deadline: time.Second, Marker: NewMarker("m")})
		streams := make([]Stream, 10)
		for i := range streams {
			b.Recorder(i).Opened(&streams[i], Opening{Head: int64(i+1) * ms})
		}
		marker, intended, _ := b.Begin(0)
		b.Sent(0, intended)
		b.Done(0, intended, Published, "")
		for i := range streams {
			b.Recorder(i).Event(&streams[i], []byte(marker), nil, nil, intended+tc.delay(i), 0)
		}
		b.conclude(intended+200*ms, false)
		p := fill(b).PositionBias
		if tc.none {
			if p != nil {
				t.Errorf("%s: %+v, want none", tc.name, p)
			}
			continue
		}
		if p == nil || math.Abs(p.Rho-tc.want) > 0.001 || p.Events != 1 || p.Receivers != 10 {
			t.Errorf("%s: %+v, want %v", tc.name, p, tc.want)
		}
	}
}

func TestDisconnects(t *testing.T) {
	b := NewBoard(Config{Workers: 2})
	for i, end := range []struct {
		age   int64
		cause string
	}{{1000, "end of response"}, {3000, "end of response"}, {2000, "cut short"}} {
		s := new(Stream)
		b.Recorder(i).Opened(s, Opening{Head: 10 * ms})
		b.Recorder(i).Closed(s, (10+end.age)*ms, end.cause)
	}
	l := fill(b)
	if len(l.Disconnects) != 2 || l.Disconnects[0].Cause != "end of response" || l.Disconnects[1].Cause != "cut short" || l.Disconnects[0].Count != 2 {
		t.Fatalf("%+v", l.Disconnects)
	}
	exact(t, "age", l.Disconnects[0].AgeUS, 2, 1e6, 3e6)
	exact(t, "age", l.Disconnects[1].AgeUS, 1, 2e6, 2e6)
}

// How late an event out of order is: as many places as events before which it should have come.
func TestReorderExtent(t *testing.T) {
	b := NewBoard(Config{Events: schedule.Constant{PerSecond: 10, For: time.Second}, Start: time.Second, Deadline: time.Hour, Marker: NewMarker("m")})
	r, s := b.Recorder(0), new(Stream)
	r.Opened(s, Opening{Head: 1})
	for q := range uint32(6) {
		_, intended, _ := b.Begin(q)
		b.Sent(q, intended)
		b.Done(q, intended, Published, "")
	}
	for _, q := range []uint32{0, 2, 1, 5, 4, 3} {
		r.Event(s, bytes.Clone([]byte(b.marker.Of(q))), nil, nil, 2000*ms, 0)
	}
	exact(t, "reorder_extent", fill(b).Distributions["reorder_extent"], 3, 1, 2)
}

// A step of an age is 100 us: what a report says of many lies that near.
func TestAges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a ages
		for _, v := range rapid.SliceOfN(rapid.Int64Range(0, int64(100*time.Hour)), 1, 50).Draw(t, "ages") {
			a.add(v)
		}
		q := a.quantiles()
		if q.P50 != nil && (*q.P50 < *q.Min || *q.P50 > *q.Max) {
			t.Fatalf("p50 %v outside %v to %v", *q.P50, *q.Min, *q.Max)
		}
	})
}
