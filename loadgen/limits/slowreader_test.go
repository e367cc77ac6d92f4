package limits_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"ssegauge/reports/result"
)

// TestSlowReader wants of servers that deal in different ways with a client that does not read what they do, and of one that waits for ever nothing.
func TestSlowReader(t *testing.T) {
	plain := each(func(f *feed, data string) bool { f.event(data); return true })
	// cut closes what takes nothing for five seconds.
	cut := func(f *feed) {
		for data := range f.next {
			http.NewResponseController(f.w).SetWriteDeadline(time.Now().Add(5 * time.Second))
			f.event(data)
		}
	}
	const event = 1 << 10
	type want struct {
		verdict string
		value   float64 // found: lies within the interval
	}
	is := func(v float64) want { return want{result.LimitFound, v} }
	none, open := want{verdict: result.LimitNone}, want{verdict: result.LimitUndecided}
	for _, tt := range []struct {
		name                    string
		serve                   *planted
		bytes, eviction, beside want
		says                    string
	}{
		{"closes at 10 events", &planted{stream: plain, queue: 10, full: func(f *feed) { f.conn.Close() }}, is(11 * event), none, none, "with less it was still open"},
		{"closes after 5 s", &planted{stream: cut}, is(0), is(5), none, ""},
		{"waits until it closes after 5 s", &planted{stream: cut, queue: 10}, is(0), is(5), is(0), ""},
		{"closes all after 10 s", &planted{stream: func(f *feed) {
			end := time.After(10 * time.Second)
			for {
				select {
				case data := <-f.events:
					f.event(data)
				case <-end:
					return
				case <-f.gone:
					return
				}
			}
		}, queue: 1000, full: func(*feed) {}}, open, open, open, "streams that are read have ended"},
		{"skips", &planted{stream: plain, queue: 10, full: func(*feed) {}}, is(11 * event), none, none, "events are missing; the stream goes on"},
		{"waits", &planted{stream: plain, queue: 10}, none, none, is(0), "go on as soon as it reads on"},
		{"slows down", &planted{stream: plain, queue: 20, full: func(*feed) { time.Sleep(300 * time.Millisecond) }}, is(21 * event), none, is(0.3), "before and after"},
		{"late", &planted{stream: each(func(f *feed, data string) bool { time.Sleep(time.Second); f.event(data); return true })}, none, none, none, "all of it came when it read on"},
		{"holds all", &planted{stream: plain}, none, none, none, "all of it came when it read on"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			said := ""
			all := probe(t, "slow-reader", tt.serve)
			for i, w := range []want{tt.bytes, tt.eviction, tt.beside} {
				l := all[i]
				said += l.Evidence + "\n"
				if l.Verdict != w.verdict || w.value > 0 && (*l.Low > w.value || *l.High < w.value) {
					t.Errorf("%s %s %v: %s; want %v", l.ID, l.Verdict, span(l), l.Evidence, w)
				}
			}
			if !strings.Contains(said, tt.says) {
				t.Errorf("%swant: %s", said, tt.says)
			}
		})
	}
}

func span(l result.Limit) (v []float64) {
	for _, p := range []*float64{l.Low, l.High} {
		if p != nil {
			v = append(v, *p)
		}
	}
	return v
}
