package engine

import (
	"runtime"
	"testing"
	"time"

	"ssegauge/loadgen/measure"
	"ssegauge/loadgen/schedule"
	"ssegauge/reference/wire"
)

// Every replacement is one that a loop with streams makes, also where there are more loops than connections.
func TestChurnShares(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(5))
	all := newLoops(&Job{
		Targets:  []Target{{Proto: wire.H2C, Addrs: []string{"127.0.0.1:1"}}},
		Openings: schedule.Linear(20, 0), StreamsPerConn: 10, Board: measure.NewBoard(measure.Config{Workers: 4}),
		Life: Life{Churn: schedule.Linear(12, time.Second)},
	})
	done := map[int]bool{}
	for i, l := range all {
		defer l.close()
		if l.churn.step == 0 {
			continue
		}
		if i > 1 {
			t.Errorf("loop %d of %d, without a stream, is to replace some", i, len(all))
		}
		for k := l.churn.k; k < 12; k += l.churn.step {
			done[k] = true
		}
	}
	if len(all) != 4 || len(done) != 12 {
		t.Errorf("%d loops make %d of 12 replacements", len(all), len(done))
	}
}
