package server

import (
	"testing"
	"time"
)

func TestScheduleResume(t *testing.T) {
	now := time.Unix(1000, 500_000_000)
	endless := schedule{interval: time.Second, keep: 10} // event 1000 was due half a second ago
	finite := schedule{interval: time.Second, keep: 10, count: 100}
	for _, c := range []struct {
		of   schedule
		id   string
		from int64
		why  string
	}{
		{endless, "1000", 1001, ""},
		{endless, "990", 991, ""},
		{endless, "989", 991, "expired"},
		{endless, "1", 991, "expired"},
		{endless, "1001", 991, "unknown"},
		{endless, "0", 991, "unknown"},
		{endless, "-1", 991, "unknown"},
		{endless, "x", 991, "unknown"},
		{endless, "99999999999999999999", 991, "unknown"},
		{finite, "990000-11", 12, ""}, // begun at 990, so 11 was due half a second ago
		{finite, "990000-5", 6, ""},
		{finite, "990000-12", 1, "unknown"}, // not due yet
		{finite, "900000-100", 101, ""},     // the end
		{finite, "900000-101", 1, "unknown"},
		{finite, "950000-2", 42, "expired"},
		{finite, "1001000-1", 1, "unknown"}, // begins in the future
		{finite, "5", 6, ""},
		{finite, "100", 101, ""},
		{finite, "101", 1, "unknown"},
		{finite, "-5", 1, "unknown"},
		{finite, "990000-", 1, "unknown"},
	} {
		if from, why := c.of.resume(c.id, now); from != c.from || why != c.why {
			t.Errorf("%q of %d: %d %q, want %d %q", c.id, c.of.count, from, why, c.from, c.why)
		}
	}
}
