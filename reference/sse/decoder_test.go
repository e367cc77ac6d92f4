package sse

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// feedAll reads all events of chunk as the documentation of Decoder shows it.
func feedAll(t testing.TB, d *Decoder, chunk []byte, each func(*Event)) {
	t.Helper()
	var ev Event
	for {
		n, ok, err := d.Next(chunk, &ev)
		if err != nil {
			t.Fatal(err)
		}
		chunk = chunk[n:]
		if !ok {
			return
		}
		if each != nil {
			each(&ev)
		}
	}
}

func TestLargeEvents(t *testing.T) {
	for _, size := range []int{64<<10 - 1, 64 << 10, 64<<10 + 1, 1 << 20, 5 << 20} {
		want := strings.Repeat("0123456789abcdef", size/16+1)[:size]
		stream := "data: " + want + "\n\n"
		for _, chunk := range []int{len(stream), len(stream) / 2, 1000, 16 << 10} {
			var d Decoder
			events := 0
			for _, c := range every(stream, chunk) {
				feedAll(t, &d, c, func(ev *Event) {
					events++
					if string(ev.Data) != want {
						t.Errorf("%d bytes in chunks of %d: data differs", size, chunk)
					}
				})
			}
			if events != 1 {
				t.Errorf("%d bytes in chunks of %d: %d events", size, chunk, events)
			}
		}
	}
}

func TestReset(t *testing.T) {
	var d Decoder
	feedAll(t, &d, []byte("id: 1\nretry: 5\ndata: x\n\nid: 2\ndata: cut"), nil)
	d.Reset(true)
	if d.Offset() != 0 || string(d.LastEventID()) != "1" {
		t.Error(d.Offset(), string(d.LastEventID()))
	}
	if r, ok := d.Retry(); r != 5*time.Millisecond || !ok {
		t.Error(r, ok)
	}
	if _, ok := d.Pending(); ok {
		t.Error("pending")
	}
	// A byte order mark is stripped again, and an LF is not taken for a late one.
	feedAll(t, &d, []byte("data: x\r"), nil)
	d.Reset(true)
	n := 0
	feedAll(t, &d, []byte("\uFEFFdata: y\n\n"), func(ev *Event) {
		n++
		if string(ev.Data) != "y" || string(ev.ID) != "1" || ev.IDSet || ev.Start != 3 || ev.End != 12 {
			t.Errorf("%q %q %v %d %d", ev.Data, ev.ID, ev.IDSet, ev.Start, ev.End)
		}
	})
	if n != 1 {
		t.Error(n, "events")
	}
	// What is known of the last chunk says nothing of the next stream.
	for _, last := range []string{"data: x\r", "data: x\n\n: more of this chunk"} {
		var ev Event
		_, _, _ = d.Next([]byte(last), &ev)
		d.Reset(true)
		var kinds []LineKind
		n, ok, _ := d.Inspect([]byte("\ndata: y\r\r"), &ev, func(l *Line) { kinds = append(kinds, l.Kind) })
		if n != 10 || !ok || len(kinds) != 3 || kinds[0] != LineBlank {
			t.Errorf("after %q: %d %v %v", last, n, ok, kinds)
		}
		d.Reset(true)
	}
	d.Reset(false)
	if _, ok := d.Retry(); ok || len(d.LastEventID()) != 0 || d.rec != nil {
		t.Error("Reset(false) kept the id or the reconnection time")
	}
	var zero Decoder
	zero.Reset(false)
	zero.SetLastEventID(nil)
	if zero.rec != nil {
		t.Error("an empty seed takes a record")
	}
}

// TestEventLivesUntilNextCall: an event from pieces stays as it is until the call after it, and that call gives its buffer back.
func TestEventLivesUntilNextCall(t *testing.T) {
	var d, other Decoder
	var ev Event
	if _, ok, _ := d.Next([]byte("data: a\ndata: b\n\n"), &ev); !ok {
		t.Fatal("no event")
	}
	if _, ok := d.Pending(); ok {
		t.Error("pending while an event is lent")
	}
	if _, ok := d.Tail(); ok {
		t.Error("tail while an event is lent")
	}
	for range 10 {
		feedAll(t, &other, []byte("data: c\ndata: d\n\n"), nil)
	}
	if string(ev.Data) != "a\nb" {
		t.Errorf("data became %q", ev.Data)
	}
	if d.rec == nil {
		t.Fatal("not lent")
	}
	if n, ok, err := d.Next(nil, &ev); n != 0 || ok || err != nil {
		t.Error(n, ok, err)
	}
	if d.rec != nil {
		t.Error("an empty chunk does not give the buffer back")
	}
}

// TestEventEnd: where a chunk ends between CR and LF of a blank line, the event is there at once and ends at the CR.
func TestEventEnd(t *testing.T) {
	var d Decoder
	var ev Event
	if n, ok, _ := d.Next([]byte("data: x\r\n\r"), &ev); n != 10 || !ok || ev.End != 10 {
		t.Error(n, ok, ev.End)
	}
	var lines []Line
	keep := func(l *Line) { lines = append(lines, *l) }
	if n, ok, _ := d.Inspect([]byte("\ndata: y\n\n"), &ev, keep); n != 10 || !ok || ev.Start != 11 || ev.End != 20 {
		t.Error(n, ok, ev.Start, ev.End)
	}
	if len(lines) != 3 || lines[0].Kind != LineLateLF || lines[0].Start != 10 || lines[0].End != 11 || lines[0].EOL != EOLNone {
		t.Errorf("%+v", lines)
	}
}

func TestTail(t *testing.T) {
	for _, tc := range []struct {
		stream string
		ok     bool
		want   string // name, value, kind of the incomplete line
		saw    []LineKind
		loses  bool
	}{
		{"", false, "", nil, false},
		{"data: x\n\n", false, "", nil, false},
		{": c\n", true, "", []LineKind{LineComment}, false},
		{": c", true, `comment "" " c" colon=true 0-3`, nil, false},
		{"da", true, `unknown "da" "" colon=false 0-2`, nil, true},
		{"data", true, `unknown "data" "" colon=false 0-4`, nil, true},
		{"data:", true, `data "data" "" colon=true 0-5`, nil, true},
		{"data: ab", true, `data "data" "ab" colon=true 0-8`, nil, true},
		{"data: a\nevent: ab", true, `event "event" "ab" colon=true 8-17`, []LineKind{LineData}, true},
		{": c\nid: ab", true, `id "id" "ab" colon=true 4-10`, []LineKind{LineComment}, true},
		{"retry: 5\nretry: 10", true, `retry "retry" "10" colon=true 9-18`, []LineKind{LineRetry}, true},
		{"foo: bar", true, `unknown "foo" "bar" colon=true 0-8`, nil, false},
		{"unknown: bar", true, `unknown "unknown" "bar" colon=true 0-12`, nil, false},
		{"unknown", true, `unknown "unknown" "" colon=false 0-7`, nil, false},
		{"\xEF\xBB", true, "unknown \"\\xef\\xbb\" \"\" colon=false 0-2", nil, false},
		{"id: \x00\n", true, "", []LineKind{LineIDIgnored}, false},
		{"event: x\n", true, "", []LineKind{LineEvent}, true},
	} {
		for _, size := range []int{1, 100} {
			var d Decoder
			var ev Event
			for _, c := range every(tc.stream, size) {
				for ok := true; ok; {
					var n int
					n, ok, _ = d.Inspect(c, &ev, func(*Line) {})
					c = c[n:]
				}
			}
			tail, ok := d.Tail()
			line := ""
			if l := tail.Line; tail.InLine {
				line = fmt.Sprintf("%v %q %q colon=%v %d-%d", l.Kind, l.Name, l.Value, l.Colon, l.Start, l.End)
			}
			if ok != tc.ok || line != tc.want || tail.Loses() != tc.loses {
				t.Errorf("%q: %v %s loses %v", tc.stream, ok, line, tail.Loses())
			}
			saw := uint16(0)
			for _, k := range tc.saw {
				saw |= 1 << k
			}
			if tail.Saw != saw {
				t.Errorf("%q: saw %b, want %b", tc.stream, tail.Saw, saw)
			}
		}
	}
}

func TestEventName(t *testing.T) {
	for typ, want := range map[string]string{"": "message", "add": "add", "a\xffb": "a\uFFFDb"} {
		if got := (&Event{Type: []byte(typ)}).Name(); got != want {
			t.Errorf("%q: %q, want %q", typ, got, want)
		}
	}
}

func TestStrings(t *testing.T) {
	if s := LineLateLF.String() + " " + LineKind(99).String() + " " + EOLCRLF.String() + " " + EOLNone.String() + " " + EOLLF.String() + " " + EOLCR.String(); s != "late-lf LineKind(99) CRLF none LF CR" {
		t.Error(s)
	}
}
