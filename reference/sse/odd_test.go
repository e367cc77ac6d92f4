package sse

import (
	"testing"

	"pgregory.net/rapid"
)

// Odd says of complete blocks what Inspect says of their lines, wherever the stream is cut and whenever it is asked.
func TestOdd(t *testing.T) {
	line := rapid.SampledFrom([]string{"data: x", "data:\xff", "dat: x", "Data: x", "id: 1", "id: a\x00", "ids: 1", "retry: 5", "retry: 5s", "retry", "event: e", "events", ": note", "comment: note", "x", "id", "\uFEFFdata: x", ""})
	eol := rapid.SampledFrom([]string{"\n", "\n", "\r", "\r\n"})
	rapid.Check(t, func(t *rapid.T) {
		stream := ""
		for range rapid.IntRange(0, 12).Draw(t, "lines") {
			stream += line.Draw(t, "line") + eol.Draw(t, "eol")
		}
		var whole Decoder
		var want, block uint16
		whole.inspectAll(stream, func(l *Line) {
			if l.Kind == LineBlank {
				want |= block
				block = 0
			} else {
				block |= 1 << l.Kind & oddKinds
			}
		})
		if got := whole.Odd(); got != 0 {
			t.Errorf("Inspect leaves %b behind", got)
		}
		var d Decoder
		var got uint16
		size := rapid.IntRange(1, len(stream)+1).Draw(t, "size")
		for _, c := range every(stream, size) {
			var ev Event
			for {
				n, ok, err := d.Next(c, &ev)
				if err != nil {
					t.Fatal(err)
				}
				c = c[n:]
				got |= d.Odd()
				if !ok {
					break
				}
			}
		}
		got |= d.Odd()
		if got != want || d.Odd() != 0 {
			t.Fatalf("%q in pieces of %d: %b, want %b", stream, size, got, want)
		}
	})
}

func (d *Decoder) inspectAll(stream string, line func(*Line)) {
	chunk := []byte(stream)
	var ev Event
	for {
		n, ok, _ := d.Inspect(chunk, &ev, line)
		chunk = chunk[n:]
		if !ok {
			return
		}
	}
}
