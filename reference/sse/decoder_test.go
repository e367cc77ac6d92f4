package sse

import (
	"bytes"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"testing"
	"time"
	"unsafe"
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

func TestDecoderIsSmall(t *testing.T) {
	if n := unsafe.Sizeof(Decoder{}); n > 24 {
		t.Errorf("a Decoder takes %d bytes, want at most 24", n)
	}
	if n := unsafe.Sizeof(record{}); n > 48 {
		t.Errorf("what a stream with ids holds while idle takes %d bytes, want at most 48", n)
	}
}

// TestIdleHoldsNothing: between events a stream holds no block, and no record
// unless it uses ids or retry.
func TestIdleHoldsNothing(t *testing.T) {
	for _, tc := range []struct {
		stream string
		record bool
	}{
		{"data: x\n\n", false},
		{"event: e\ndata: x\ndata: y\n\n", false},
		{": comment\n\n", false},
		{"\uFEFF", false},
		{"foo: bar\r\n\r\n", false},
		{"id: 1\ndata: x\n\n", true},
		{"id: 1\n\n", true},
		{"retry: 1\n\n", true},
	} {
		for _, size := range []int{1, 3, 1000} {
			var d Decoder
			for _, c := range every(tc.stream, size) {
				feedAll(t, &d, c, nil)
			}
			if (d.rec != nil) != tc.record || d.open() {
				t.Errorf("%q in pieces of %d: holds %+v", tc.stream, size, d.rec)
			}
		}
	}
}

// TestEventIsSliceOfChunk: an event of one data line that lies whole in a chunk is not copied.
func TestEventIsSliceOfChunk(t *testing.T) {
	for _, stream := range []string{
		"event: e\ndata: hello\n\n",
		"event: e\r\ndata: hello\r\n\r\n",
		"event: e\rdata: hello\r\r",
		": c\n\nfoo: x\nid: 1\nretry: 5\nevent: e\ndata: hello\n\ndata: next",
		"event: e\ndata: hello" + strings.Repeat("!", 1<<20) + "\n\n",
	} {
		chunk := []byte(stream)
		var d Decoder
		var ev Event
		if _, ok, err := d.Next(chunk, &ev); !ok || err != nil {
			t.Fatal(ok, err)
		}
		i, j := bytes.Index(chunk, []byte("hello")), bytes.Index(chunk, []byte("e\r"))
		if j < 0 {
			j = bytes.Index(chunk, []byte("e\n"))
		}
		if &ev.Data[0] != &chunk[i] || &ev.Type[0] != &chunk[j] {
			t.Errorf("%.60q was copied", stream)
		}
	}
}

// steady is a stream whose blocks all have the same shape.
func steady(block string, times int) string { return strings.Repeat(block, times) }

func TestNoAllocation(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // a collection empties the pools
	long := strings.Repeat("0123456789", 10)
	for _, tc := range []struct {
		name   string
		stream string
		size   int
	}{
		{"whole events", steady("id: 12345678\nevent: update\ndata: "+long+"\n\n", 50), 1 << 20},
		{"whole events without id", steady("data: "+long+"\n\n", 50), 1 << 20},
		{"whole events, CRLF", steady("id: 12345678\r\nevent: update\r\ndata: "+long+"\r\n\r\n", 50), 1 << 20},
		{"cut events", steady("id: 12345678\nevent: update\ndata: "+long+"\n\n", 50), 61},
		{"cut events without id", steady("event: update\ndata: "+long+"\n\n", 50), 61},
		{"single bytes", steady("id: 12345678\r\nevent: update\r\ndata: "+long+"\r\n\r\n", 5), 1},
		{"several data lines", steady("data: "+long+"\ndata: "+long+"\n\n", 50), 1 << 20},
		{"several data lines, cut", steady("id: 12345678\ndata: "+long+"\ndata: "+long+"\n\n", 50), 100},
		{"comments", steady(": "+long+"\n\n", 50), 37},
		{"retry and ignored", steady("retry: 100\nfoo: bar\nid: x\x00\ndata: x\n\n", 50), 1 << 20},
		{"ids of equal and smaller length", steady("id: 12345678\ndata: x\n\nid: 1234\ndata: x\n\nid\ndata: x\n\n", 50), 1 << 20},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if raceEnabled {
				t.Skip("under the race detector sync.Pool drops at random")
			}
			chunks := every(tc.stream, tc.size)
			var d Decoder
			var ev Event
			run := func() {
				for _, c := range chunks {
					for {
						n, ok, err := d.Next(c, &ev)
						if err != nil {
							t.Fatal(err)
						}
						c = c[n:]
						if !ok {
							break
						}
					}
				}
			}
			run()
			if n := testing.AllocsPerRun(20, run); n != 0 {
				t.Errorf("%v allocations for %d events", n, strings.Count(tc.stream, "\n\n"))
			}
		})
	}
}

// TestInspectDoesNotAllocateForEachLine: a check of a long stream is no burden either.
func TestInspectDoesNotAllocateForEachLine(t *testing.T) {
	if raceEnabled {
		t.Skip("under the race detector sync.Pool drops at random")
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	stream := []byte(steady("id: 1\nevent: e\nfoo: bar\n: c\ndata: x\ndata: y\n\n", 100))
	var d Decoder
	var ev Event
	lines := 0
	count := func(*Line) { lines++ }
	run := func() {
		for c := stream; ; {
			n, ok, err := d.Inspect(c, &ev, count)
			if err != nil {
				t.Fatal(err)
			}
			c = c[n:]
			if !ok {
				break
			}
		}
	}
	run()
	if n := testing.AllocsPerRun(10, run); n != 0 || lines == 0 {
		t.Errorf("%v allocations, %d lines", n, lines)
	}
}

// TestLinear: a block is looked at a bounded number of times however small the
// chunks it comes in. It counts bytes, not time.
func TestLinear(t *testing.T) {
	mega := 1 << 20
	if raceEnabled {
		mega >>= 4 // the count is the same; the detector only makes it slow
	}
	for _, tc := range []struct {
		name  string
		block string // without its blank line
		size  int
	}{
		{"one line of 1 MiB in 1 KiB chunks", "data: " + strings.Repeat("x", mega) + "\n", 1 << 10},
		{"one line of 64 KiB in single bytes", "data: " + strings.Repeat("x", mega>>4) + "\n", 1},
		{"one line of 1 MiB, whole", "data: " + strings.Repeat("x", mega) + "\n", 1 << 30},
		{"a million data lines, whole", strings.Repeat("data:x\n", mega), 1 << 30},
		{"a million data lines in 1 KiB chunks", strings.Repeat("data:x\n", mega), 1 << 10},
		{"a million data lines ended by CR, whole", strings.Repeat("data:x\r", mega), 1 << 30},
		{"a million data lines ended by CRLF in 64 KiB chunks", strings.Repeat("data:x\r\n", mega), 64 << 10},
		{"a million comments, whole", strings.Repeat(":\n", mega), 1 << 30},
		{"a million CRLF comments, whole", strings.Repeat(":\r\n", mega), 1 << 30},
		{"one id of 1 MiB in 1 KiB chunks", "id: " + strings.Repeat("x", mega) + "\n", 1 << 10},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var d Decoder
			for _, c := range every(tc.block, tc.size) {
				feedAll(t, &d, c, nil)
			}
			// One look for LF, one for CR, one to take the bytes, and once more where whole gave up.
			if per := float64(d.rec.block.work) / float64(len(tc.block)); per > 4 || per < 1 {
				t.Errorf("each byte was looked at %.1f times", per)
			}
		})
	}
}

// TestManyEventsInOneChunk: what is known of a chunk's CRs survives from call to
// call, so the chunk is not searched again for each event.
func TestManyEventsInOneChunk(t *testing.T) {
	chunk := []byte(strings.Repeat("data: x\n\n", 1000) + "data: y\r\r")
	var d Decoder
	var ev Event
	for i := 0; ; i++ {
		n, ok, err := d.Next(chunk, &ev)
		if err != nil {
			t.Fatal(err)
		}
		chunk = chunk[n:]
		if !ok {
			break
		}
		if want := max(bytes.IndexByte(chunk, '\r'), 0); len(chunk) > 0 && int(d.ahead) != want {
			t.Fatalf("after event %d: %d bytes are known to hold no CR, want %d", i, d.ahead, want)
		}
	}
	// A caller may also come back with more than what was left, or with less.
	d.Reset(false)
	got := ""
	for _, c := range []string{"data: 1\n\ndata: 2\n", "data: 2\n\rdata: 3\r\r", "data: 3\r", "\rdata: 4\n\ndata: 5\r\n\r\n", "data: 5\r\n\r\n"} {
		n, ok, err := d.Next([]byte(c), &ev)
		if err != nil {
			t.Fatal(err)
		}
		got += fmt.Sprintf("%s %v %d; ", ev.Data, ok, n)
	}
	if want := "1 true 9; 2 true 9; 2 false 8; 3 true 1; "; !strings.HasPrefix(got, want) {
		t.Errorf("got %s, want %s", got, want)
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

// TestHugeBuffersAreNotPooled: a stream that cuts a small event must not end up with the buffer of a huge one.
func TestHugeBuffersAreNotPooled(t *testing.T) {
	if n := cap(pooled(make([]byte, 10, maxPooled+1))); n != 0 {
		t.Errorf("kept %d bytes", n)
	}
	if n := cap(pooled(make([]byte, 10, maxPooled))); n != maxPooled {
		t.Errorf("kept %d bytes", n)
	}
}

func TestTooLong(t *testing.T) {
	var d Decoder
	d.SetMax(10)
	var ev Event
	chunk := []byte("data: 1\n\ndata: 0123456789\n\ndata: 2\n\n")
	n, ok, err := d.Next(chunk, &ev)
	if n != 9 || !ok || err != nil {
		t.Fatal(n, ok, err)
	}
	_, ok, err = d.Next(chunk[n:], &ev)
	var tooLong *TooLongError
	if ok || !errors.As(err, &tooLong) || *tooLong != (TooLongError{Offset: 9, Limit: 10}) {
		t.Fatal(ok, err)
	}
	if !strings.Contains(err.Error(), "offset 9") || !strings.Contains(err.Error(), "10 bytes") {
		t.Error(err)
	}
	for range 2 {
		if n, ok, again := d.Next([]byte("\n\ndata: 3\n\n"), &ev); n != 0 || ok || again != err {
			t.Error("the error does not stick", n, ok, again)
		}
	}
	d.Reset(true)
	n, ok, err = d.Next([]byte("data: 3\n\n"), &ev)
	if n != 9 || !ok || err != nil || ev.Start != 0 {
		t.Error("Reset does not clear it", n, ok, err)
	}
	if _, _, err = d.Next([]byte("data: 0123456789"), &ev); err != nil {
		t.Error("the cap is met", err)
	}
	if _, _, err = d.Next([]byte("x"), &ev); err == nil {
		t.Error("Reset dropped the cap")
	}
}

// TestEndlessLineIsNotHeld: what a hostile peer can make the decoder hold is the cap, whatever it sends.
func TestEndlessLineIsNotHeld(t *testing.T) {
	for _, begin := range []string{"data: ", "id: ", "event: ", ": ", "foo: ", "endless", "retry: "} {
		for _, inspect := range []bool{false, true} {
			var d Decoder
			d.SetMax(1000)
			var ev Event
			next := func(s string) (err error) {
				if inspect {
					_, _, err = d.Inspect([]byte(s), &ev, func(*Line) {})
				} else {
					_, _, err = d.Next([]byte(s), &ev)
				}
				return err
			}
			err := next(begin)
			for range 100 {
				if err != nil {
					break
				}
				err = next(strings.Repeat("0", 100))
			}
			k := d.rec.block
			if held := cap(k.data) + cap(k.typ) + cap(k.id) + cap(k.scratch); held > 4*maxPooled {
				t.Errorf("%q: holds %d bytes", begin, held)
			}
			if used := len(k.data) + len(k.typ) + len(k.id) + len(k.scratch); used > 1000+MaxNote {
				t.Errorf("%q: uses %d bytes", begin, used)
			}
			var tooLong *TooLongError
			if named := begin[0] == 'd' || begin[0] == 'i' || begin[:2] == "ev"; errors.As(err, &tooLong) != named {
				t.Errorf("%q: error %v", begin, err)
			}
		}
	}
}

func TestSetMax(t *testing.T) {
	for _, tc := range []struct{ set, want int }{{0, DefaultMaxEvent}, {-1, DefaultMaxEvent}, {1, 1}, {1<<32 - 1, 1<<32 - 1}, {1 << 40, 1<<32 - 1}} {
		var d Decoder
		d.SetMax(tc.set)
		if d.limit() != tc.want {
			t.Errorf("SetMax(%d): %d, want %d", tc.set, d.limit(), tc.want)
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
