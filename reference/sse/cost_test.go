package sse

import (
	"bytes"
	"fmt"
	"runtime/debug"
	"strings"
	"testing"
	"unsafe"
)

func TestDecoderIsSmall(t *testing.T) {
	if n := unsafe.Sizeof(Decoder{}); n > 24 {
		t.Errorf("a Decoder takes %d bytes, want at most 24", n)
	}
	if n := unsafe.Sizeof(record{}); n > 48 {
		t.Errorf("what a stream with ids holds while idle takes %d bytes, want at most 48", n)
	}
	// A server that writes a bare comment now and then, without a blank line, makes each stream hold one.
	if n := unsafe.Sizeof(block{}); n > 176 {
		t.Errorf("a block takes %d bytes beside its buffers, want at most 176", n)
	}
}

// TestIdleHoldsNothing: between events a stream holds no block, and no record
// unless it uses ids or retry, or nobody has asked yet what was odd.
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
			d.Odd()
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

// TestHugeBuffersAreNotPooled: a stream that cuts a small event must not end up with the buffer of a huge one.
func TestHugeBuffersAreNotPooled(t *testing.T) {
	if n := cap(pooled(make([]byte, 10, maxPooled+1))); n != 0 {
		t.Errorf("kept %d bytes", n)
	}
	if n := cap(pooled(make([]byte, 10, maxPooled))); n != maxPooled {
		t.Errorf("kept %d bytes", n)
	}
}
