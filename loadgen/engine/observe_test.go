package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"ssegauge/loadgen/engine"
	"ssegauge/loadgen/measure"
	"ssegauge/loadgen/schedule"
	"ssegauge/reports/result"
)

// The same without its cooperation: what is told from the streams alone is what the server did. Of the order only so much can be known as one receiver shows of another.
func TestUnrulyObserved(t *testing.T) {
	const streams, events, deadline = 24, 40, 3 * time.Second
	for name, e := range engines {
		for _, proto := range protocols {
			t.Run(name+"/"+proto.String(), func(t *testing.T) {
				t.Parallel()
				s := &unruly{rand: rand.New(rand.NewPCG(2, uint64(proto))), conns: map[string]int{}}
				target := serve(t, proto, s)
				b := measure.NewBoard(measure.Config{Epoch: time.Now(), Workers: 2, Observe: true, Settle: time.Second, Deadline: deadline})
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan struct{})
				go func() {
					defer close(done)
					e.Run(ctx, &engine.Job{
						Targets: []engine.Target{target}, Openings: schedule.Linear(streams, 100*time.Millisecond),
						StreamsPerConn: 100, Timeout: 10 * time.Second, Board: b,
					})
				}()
				wait := func(d time.Duration) {
					for end := time.Now().Add(d); time.Now().Before(end); b.Tick() {
						time.Sleep(20 * time.Millisecond)
					}
				}
				for b.Open() < streams && ctx.Err() == nil {
					time.Sleep(10 * time.Millisecond)
				}
				s.publish(0, "unheard") // before anyone has settled
				early := s.sent
				wait(1500 * time.Millisecond)
				publish := func(from, to int) {
					for n := from; n < to; n++ {
						s.publish(n, fmt.Sprint("event-", n))
						wait(25 * time.Millisecond)
					}
					s.release()
				}
				s.rules = rules{lose: 5, double: 5, reorder: 10}
				publish(0, events)
				wait(deadline + time.Second) // what is lost is lost before anything closes
				s.rules = rules{closing: 3}
				publish(events, 2*events)
				wait(time.Second)
				b.Finish()
				cancel()
				<-done
				var l result.Load
				b.Fill(&l)
				want := result.Events{
					Published: 2 * events, Received: int64(s.sent), Eligible: int64(s.sent - s.doubled + s.lost - early),
					Lost: int64(s.lost), Duplicated: int64(s.doubled), Reordered: l.Events.Reordered, Bytes: l.Events.Bytes,
				}
				if l.Events != want {
					t.Errorf("events: got  %+v\nwant %+v\n%+v", l.Events, want, l.Correlation)
				}
				if l.Events.Reordered == 0 { // which of two was first is what most receivers say, if the first of them got them the wrong way round
					t.Errorf("none reordered, the server says %d", s.reordered)
				}
				if q := l.LatencyUS["spread"]; l.Correlation.Tier != 0 || q == nil || q.Count != 2*events {
					t.Errorf("%+v, spread %+v", l.Correlation, q)
				}
				wantFindings(t, l.Findings, "")
			})
		}
	}
}
