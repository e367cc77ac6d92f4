package measure

import (
	"fmt"
	"testing"
	"time"

	"ssegauge/loadgen/schedule"
)

// One event at one of 1,000 streams, published or only observed. It allocates nothing.
func BenchmarkEvent(b *testing.B) {
	const streams, events = 1000, 64
	for _, published := range []bool{true, false} {
		b.Run(fmt.Sprintf("published=%v", published), func(b *testing.B) {
			c := Config{Streams: 100 * streams, Deadline: time.Hour}
			if published {
				c.Events, c.Marker = schedule.Constant{PerSecond: 1, For: time.Hour}, NewMarker("bench")
			} else {
				c.Observe = true
			}
			board := NewBoard(c)
			r := board.Recorder(0)
			list := make([]Stream, streams)
			for i := range list {
				r.Opened(&list[i], Opening{Head: 1})
			}
			var data [events][]byte
			pad := make([]byte, 80)
			for q := range data {
				data[q] = fmt.Appendf(nil, "event %d %q", q, pad[:20])
				if published {
					marker, intended, _ := board.Begin(uint32(q))
					board.Sent(uint32(q), intended)
					data[q] = fmt.Appendf(nil, `{"id":"%s","text":%q}`, marker, pad[:20])
				}
			}
			b.ReportAllocs()
			at := int64(1e12)
			for n := 0; b.Loop(); n++ {
				if n%(streams*events) == 0 { // all have all: begin anew
					b.StopTimer()
					for i := range list {
						list[i].window, list[i].high = 0, list[i].first
					}
					for q := range r.shards[:events] {
						r.shards[q].arrived = 0
					}
					r.utf8 = 1 << 40
					b.StartTimer()
				}
				at += 1000
				r.Event(&list[n%streams], data[n/streams%events], nil, nil, at, 0)
			}
		})
	}
}
