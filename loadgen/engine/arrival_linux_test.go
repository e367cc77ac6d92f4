package engine

import (
	"testing"
	"time"

	"ssegauge/loadgen/measure"
)

// What one read brings is blurred by no more than the loop was late for its last segment, and by no more than the time since it looked before: not by how long it slept.
func TestArrival(t *testing.T) {
	epoch := time.Now().Add(-10 * time.Second)
	for _, c := range []struct {
		ago, since time.Duration // before now: the last segment, the turn before
		least      time.Duration
	}{
		{2 * time.Millisecond, 9 * time.Second, 2 * time.Millisecond},
		{5 * time.Second, 6 * time.Second, time.Second},
		{time.Second, time.Second / 2, 0},
	} {
		board := measure.NewBoard(measure.Config{Workers: 1, Epoch: epoch})
		l := &loop{run: &run{Job: &Job{Board: board}}}
		now := time.Now()
		l.since, l.first = board.Since(now.Add(-c.since)), board.Since(now)
		stamp := now.Add(-c.ago).UnixNano()
		a := l.arrival(stamp)
		late := time.Since(now) // of this test itself
		if blur := time.Duration(a.blur); blur < c.least-time.Millisecond/10 || blur > c.least+late+time.Millisecond/10 || l.first > a.at {
			t.Errorf("%+v: blur %v, first %v, at %v", c, blur, l.first, a.at)
		}
	}
}
