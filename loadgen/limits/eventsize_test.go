package limits_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"ssegauge/reports/result"
)

// each makes a stream of what is done with each event; false ends it.
func each(do func(f *feed, data string) bool) func(*feed) {
	return func(f *feed) {
		for data := range f.next {
			if !do(f, data) {
				return
			}
		}
	}
}

// TestEventSize wants the limit of servers that each do something else with an event that is too large, and what they do.
func TestEventSize(t *testing.T) {
	const limit = 5000
	// larger sends small events as they are and does something else with the others.
	larger := func(do func(f *feed, data string) bool) func(*feed) {
		return each(func(f *feed, data string) bool {
			if len(data) > limit {
				return do(f, data)
			}
			f.event(data)
			return true
		})
	}
	for _, tt := range []struct {
		name  string
		serve *planted
		says  string
	}{
		{"refuses", &planted{stream: larger(nil), accept: func(data string) int {
			if len(data) > limit {
				return 413
			}
			return 200
		}}, "the publish is refused: 413"},
		{"truncates", &planted{stream: larger(func(f *feed, data string) bool { f.event(data[:limit]); return true })}, "it is truncated: the first 4.88 KiB come"},
		{"splits", &planted{stream: larger(func(f *feed, data string) bool { f.event(data[:limit]); f.event(data[limit:]); return true })}, "it comes in several events"},
		{"drops", &planted{stream: larger(func(*feed, string) bool { return true })}, "it does not come, though"},
		{"closes", &planted{stream: larger(func(*feed, string) bool { return false })}, "the stream ends: "},
		{"alters", &planted{stream: larger(func(f *feed, data string) bool { f.event(data[:2000] + "\ndata: " + data[2000:]); return true })}, "it is altered"},
		{"falls silent", &planted{stream: larger(func(f *feed, _ string) bool {
			for range f.next {
			}
			return false
		})}, "nothing else comes on that stream"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := probe(t, "event-size", tt.serve)[0]
			if !holds(&l, limit) || !strings.Contains(l.Evidence, tt.says) || l.Owner != result.OwnerTarget {
				t.Errorf("%+v; want a limit of %d, found by: %s", l, limit, tt.says)
			}
		})
	}
}

// TestEventSizeNone wants no limit of a server that has none, though a stream ends in its time, and none where nothing can be said.
func TestEventSizeNone(t *testing.T) {
	var sent atomic.Int64
	for _, tt := range []struct {
		name    string
		serve   *planted
		verdict string
		says    string
	}{
		{"wraps, and ends once", &planted{stream: each(func(f *feed, data string) bool {
			f.event(`{"text":"` + data + `"}`)
			return sent.Add(1) != 2
		})}, result.LimitNone, "an event of 1.00 MiB comes whole"},
		{"delivers nothing", &planted{stream: each(func(*feed, string) bool { return true })}, result.LimitUndecided, "not even a small event"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := probe(t, "event-size", tt.serve)[0]
			if l.Verdict != tt.verdict || !strings.Contains(l.Evidence, tt.says) {
				t.Errorf("%+v; want %s: %s", l, tt.verdict, tt.says)
			}
		})
	}
}
