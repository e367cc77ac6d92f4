package measure

import (
	"strings"
	"testing"
	"time"

	"ssegauge/loadgen/schedule"
	"ssegauge/reports/result"
)

func TestFound(t *testing.T) {
	b := NewBoard(Config{Workers: 2})
	streams := make([]Stream, 6)
	for i := range streams {
		b.Recorder(i).Opened(&streams[i], Opening{Head: 1})
	}
	event := func(i int, at int64, id, data string) {
		b.Recorder(i).Event(&streams[i], []byte(data), []byte(id), nil, at, 0)
	}
	event(3, 20*ms, "1", "caf\xe9"+strings.Repeat("x", 200)) // the first to be seen is not the first recorder's
	event(2, 30*ms, "1", "\x1b[2J\xff")
	event(2, 40*ms, "2", "\xff again")
	event(4, 50*ms, "\xff", "good")
	event(5, 60*ms, "7", "this")
	event(5, 61*ms, "7", "this")
	event(5, 62*ms, "8", "that")
	event(5, 63*ms, "7", "not this")
	l := fill(b)
	if len(l.Findings) != 2 {
		t.Fatalf("%+v", l.Findings)
	}
	f := l.Findings[0]
	if f.ID != "encoding/utf8" || f.Verdict != result.Fail || f.Message != "ill-formed UTF-8 in data; on 3 streams, first after 20.0 ms with 6 open" || len(f.Evidence) != 1 || !strings.HasPrefix(f.Evidence[0].Text, `caf\xe9xxx`) || f.Evidence[0].Hex != "e9" {
		t.Errorf("%+v", f)
	}
	if f := l.Findings[1]; f.ID != "id/unique" || f.Verdict != result.Warn || !strings.HasSuffix(f.Message, "; on 1 stream, first after 63.0 ms with 6 open") {
		t.Errorf("%+v", f)
	}
}

// What fails says more than what only warns, whichever was first.
func TestFoundWorst(t *testing.T) {
	b := NewBoard(Config{})
	var one, two Stream
	r := b.Recorder(0)
	r.Opened(&one, Opening{Head: 1})
	r.Opened(&two, Opening{Head: 1})
	r.Found(&one, FoundFieldName, false, 10*ms, "other", []byte("time: 1"), 0, 4)
	r.Found(&one, FoundFieldName, true, 15*ms, "counted already", nil, 0, 0)
	r.Found(&two, FoundFieldName, true, 20*ms, "wrong", []byte("Data: x"), 0, 4)
	var connection Stream // what it breaks again and again counts once
	for range 3 {
		r.Found(&connection, FoundFraming, true, 30*ms, "a connection's", nil, 0, 0)
	}
	l := fill(b)
	if len(l.Findings) != 2 || l.Findings[1].Message != "wrong; on 2 streams, first after 20.0 ms with 2 open" || l.Findings[0].ID != "http/body-framing" || !strings.Contains(l.Findings[0].Message, "on 1 stream") {
		t.Errorf("%+v", l.Findings)
	}
}

// Looking costs no more than its budget, and what is not looked at is counted.
func TestUTF8Budget(t *testing.T) {
	b := NewBoard(Config{})
	var s Stream
	r := b.Recorder(0)
	r.Opened(&s, Opening{Head: 1})
	r.Event(&s, make([]byte, utf8Budget-10), nil, nil, 1*ms, 0)
	r.Event(&s, []byte("twenty bytes of \xff..."), nil, nil, 2*ms, 0)
	if l := fill(b); len(l.Findings) != 0 || l.Generator.UnreadBytes != 20 {
		t.Errorf("%+v, %d unread", l.Findings, l.Generator.UnreadBytes)
	}
	b.conclude(100*ms, false)
	r.Event(&s, []byte("\xff"), nil, nil, 200*ms, 0)
	if l := fill(b); len(l.Findings) != 1 {
		t.Errorf("%+v", l.Findings)
	}
}

// Out of order is a finding where the order was certain.
func TestFoundOrder(t *testing.T) {
	b := NewBoard(Config{Events: schedule.Constant{PerSecond: 10, For: time.Second}, Start: time.Second, Deadline: time.Hour, Marker: NewMarker("m")})
	r, s := b.Recorder(0), new(Stream)
	r.Opened(s, Opening{Head: 1})
	for q := range uint32(3) {
		_, intended, _ := b.Begin(q)
		b.Sent(q, intended)
		b.Done(q, intended+ms, Published, "")
	}
	for _, q := range []uint32{0, 2, 1} {
		r.Event(s, []byte(b.marker.Of(q)), nil, nil, 2000*ms, 0)
	}
	l := fill(b)
	if len(l.Findings) != 1 || l.Findings[0].ID != "delivery/burst" || l.Findings[0].Evidence[0].Text != b.marker.Of(1) {
		t.Errorf("%+v", l.Findings)
	}
}
