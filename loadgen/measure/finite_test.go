package measure

import (
	"testing"
	"time"

	"ssegauge/reports/result"
)

// A finite stream is complete where its response ended after an event; total counts from the request, and what broke off never ends.
func TestCompleted(t *testing.T) {
	for _, c := range []struct {
		name, cause                 string
		finite                      bool
		events, completed, byServer int
	}{
		{"as it should", EndOfResponse, true, 3, 1, 0},
		{"without an event", EndOfResponse, true, 0, 0, 1},
		{"cut", "cut short", true, 3, 0, 1},
		{"not meant to end", EndOfResponse, false, 3, 0, 1},
	} {
		b := NewBoard(Config{Epoch: time.Now(), Finite: c.finite})
		r := b.Recorder(0)
		r.Lock()
		var s Stream
		r.Opened(&s, Opening{Planned: 10 * ms, Started: 10 * ms, Written: 20 * ms, Head: 50 * ms})
		for i := range c.events {
			r.Event(&s, []byte("token"), nil, nil, 60*ms+int64(i)*10*ms, 0)
		}
		r.Closed(&s, 100*ms, c.cause)
		r.Unlock()
		b.Finish()
		var l result.Load
		b.Fill(&l)
		q := l.LatencyUS["total"]
		if l.Streams.Completed != c.completed || l.Streams.ClosedByServer != c.byServer || l.Streams.Failures["closed: "+c.cause] != c.byServer || b.Open() != 0 {
			t.Errorf("%s: %+v", c.name, l.Streams)
		}
		switch {
		case !c.finite && q != nil, c.finite && (q == nil || q.Count != int64(c.completed) || q.Never != int64(c.byServer)):
			t.Errorf("%s: total %+v", c.name, q)
		case c.completed > 0 && (*q.Max < 79_900 || *q.Max > 80_100):
			t.Errorf("%s: total %v us, want 80 ms", c.name, *q.Max)
		}
	}
}
