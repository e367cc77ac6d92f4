package measure

import (
	"strings"
	"testing"
	"time"

	"ssegauge/loadgen/schedule"
	"ssegauge/reports/result"
)

// judged is a run of with ten streams that get eighty events, each late after it was due and with blur; of every so many publishes one begins behind its time.
func judged(t *testing.T, deliver, blur, behind time.Duration, every int, h Health) *result.Load {
	t.Helper()
	events := schedule.Constant{PerSecond: 80, For: time.Second}
	b := NewBoard(Config{Workers: 1, Events: events, Deadline: time.Second, Marker: NewMarker("v")})
	r := b.Recorder(0)
	streams := make([]Stream, 10)
	r.Lock()
	for i := range streams {
		r.Opened(&streams[i], Opening{})
	}
	r.Unlock()
	for q := range events.Len() {
		marker, due, ok := b.Begin(uint32(q))
		if !ok {
			t.Fatal("no room")
		}
		sent := due
		if q%every == every-1 {
			sent += int64(behind)
		}
		b.Sent(uint32(q), sent)
		b.Done(uint32(q), sent, Published, "")
		r.Lock()
		r.Delay(time.Minute) // of reading: the stamps are the kernel's, so it is in no figure
		for i := range streams {
			r.Event(&streams[i], []byte(marker), nil, nil, due+int64(deliver), int64(blur))
		}
		r.Unlock()
		b.conclude(due+int64(deliver), false)
	}
	b.Finish()
	l := new(result.Load)
	b.Fill(l)
	l.Validity = b.Judge(l, h)
	return l
}

// What the generator adds to the figures makes them suspect; what it does not add does not.
func TestOwnShare(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		deliver, blur, behind time.Duration
		every                 int
		want, at              string
	}{
		{20 * ms, 0, 0, 1, Valid, ""},
		{20 * ms, 1 * ms, 500 * time.Microsecond, 1, Valid, ""},
		{20 * ms, 3 * ms, 0, 1, Suspect, "p50"},
		{20 * ms, 0, 3 * ms, 1, Suspect, "p50"},
		{20 * ms, 0, 3 * ms, 5, Suspect, "p90"},
		{20 * ms, 0, 3 * ms, 40, Valid, ""},               // two of eighty: too few to speak of a p99
		{2 * ms, 900 * time.Microsecond, 0, 1, Valid, ""}, // a share, but of what nobody can see
	} {
		l := judged(t, c.deliver, c.blur, c.behind, c.every, Health{})
		if l.Validity.Verdict != c.want || c.want == Suspect && !strings.Contains(l.Validity.Reasons[0], "15 % of the "+c.at) {
			t.Errorf("%+v: %+v", c, l.Validity)
		}
	}
}

// A target that goes away in the middle has not been measured.
func TestEndedEarly(t *testing.T) {
	l := judged(t, time.Millisecond, 0, 0, 1, Health{Ended: 3 * time.Second, Planned: 10 * time.Second})
	if v := l.Validity; v.Verdict != Invalid || !strings.Contains(v.Reasons[0], "after 3s of the planned 10s") {
		t.Errorf("%+v", v)
	}
	// Nor has one that publishes by itself, but what came of it stands.
	for _, finite := range []bool{false, true} {
		b := NewBoard(Config{Workers: 1, Observe: true, Finite: finite})
		var s Stream
		r := b.Recorder(0)
		r.Lock()
		r.Opened(&s, Opening{Head: 1})
		r.Closed(&s, 2, EndOfResponse)
		r.Unlock()
		b.Finish()
		l := new(result.Load)
		b.Fill(l)
		v := b.Judge(l, Health{Ended: 3 * time.Second, Planned: 10 * time.Second})
		if finite && v.Verdict != Valid || !finite && (v.Verdict != Suspect || !strings.Contains(v.Reasons[0], "after 3s of the planned 10s")) {
			t.Errorf("finite %v: %+v", finite, v)
		}
	}
}

// Streams that open and end between two ticks were open.
func TestPeak(t *testing.T) {
	b := NewBoard(Config{Workers: 2})
	var s [3]Stream
	for i := range s {
		b.Recorder(i).Lock()
		b.Recorder(i).Opened(&s[i], Opening{Head: 1})
		b.Recorder(i).Unlock()
	}
	for i := range s {
		b.Recorder(i).Lock()
		b.Recorder(i).Closed(&s[i], 2, "end")
		b.Recorder(i).Unlock()
	}
	l := new(result.Load)
	b.Fill(l)
	if l.Streams.Peak != 3 || b.Open() != 0 {
		t.Errorf("peak %d, open %d; want 3, 0", l.Streams.Peak, b.Open())
	}
}

// Nobody waits for an event that the target refused.
func TestRefusedIsOver(t *testing.T) {
	b := NewBoard(Config{Workers: 1, Events: schedule.Constant{PerSecond: 1, For: time.Second}, Deadline: time.Hour, Marker: NewMarker("v")})
	var s Stream
	b.Recorder(0).Lock()
	b.Recorder(0).Opened(&s, Opening{})
	b.Recorder(0).Unlock()
	b.Begin(0)
	b.Sent(0, 1)
	if b.conclude(2, false); b.Settled() {
		t.Error("settled before an answer")
	}
	b.Done(0, 2, Refused, "status 401")
	if b.conclude(3, false); !b.Settled() {
		t.Error("not settled though it was refused")
	}
}

// An answer that overtook the note of its request counts from the answer; nothing falls out of a histogram unseen.
func TestAnswerOvertakes(t *testing.T) {
	b := NewBoard(Config{Workers: 1})
	r := b.Recorder(0)
	var s Stream
	r.Lock()
	r.Opened(&s, Opening{Written: 3000, Head: 2000})
	r.Event(&s, []byte("x"), nil, nil, 2000, 0)
	r.record(mGap, -5000)
	r.Unlock()
	l := new(result.Load)
	b.Fill(l)
	l.Streams.Opened = 1
	if v := b.Judge(l, Health{}); v.Verdict != Suspect || !strings.HasPrefix(v.Reasons[0], "1 values were outside") {
		t.Errorf("%+v", v)
	}
	if q := l.LatencyUS["first_event"]; q == nil || q.Count != 1 {
		t.Errorf("first event %+v", q)
	}
}
