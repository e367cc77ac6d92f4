package sse

import "testing"

// A decoder that forgets gives the same events, each with the id that stands in it, and holds nothing between them, wherever the bytes are cut.
func TestForget(t *testing.T) {
	const stream = "retry: 10\n\nid: 1\ndata: a\n\ndata: b\n\nid: 2\n\nid\ndata: c\ndata: d\n\nretry: 5\nevent: x\nid: 3\r\ndata: e\r\n\r\ndata: f\n\n"
	type got struct {
		typ, data, id string
		set           bool
	}
	want := []got{{"", "a", "1", true}, {"", "b", "", false}, {"", "c\nd", "", true}, {"x", "e", "3", true}, {"", "f", "", false}}
	for size := 1; size <= len(stream); size++ {
		var d Decoder
		d.SetMax(100)
		d.Forget()
		var all []got
		for from := 0; from < len(stream); from += size {
			chunk := []byte(stream[from:min(from+size, len(stream))])
			var ev Event
			for {
				n, ok, err := d.Next(chunk, &ev)
				if err != nil {
					t.Fatal(err)
				}
				chunk = chunk[n:]
				if !ok {
					break
				}
				all = append(all, got{string(ev.Type), string(ev.Data), string(ev.ID), ev.IDSet})
			}
		}
		if len(all) != len(want) {
			t.Fatalf("in pieces of %d: %+v", size, all)
		}
		for i := range want {
			if all[i] != want[i] {
				t.Errorf("in pieces of %d: event %d is %+v, want %+v", size, i, all[i], want[i])
			}
		}
		if _, has := d.Retry(); has || len(d.LastEventID()) > 0 || d.rec != nil {
			t.Errorf("in pieces of %d: something is held: %+v", size, d.rec)
		}
	}
}
