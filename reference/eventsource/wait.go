package eventsource

import (
	"context"
	"math"
	"math/rand/v2"
	"time"
)

// Backoff is the optional wait of WHATWG HTML 9.2.3, reestablish step 3. It only ever adds to the reconnection time,
// which stays the lower bound, and only after attempts that failed: a stream that was open and ended is asked for
// again after the reconnection time exactly. After n failures in a row the addition lies, at random so that many clients do not
// come back at once, between a half and the whole of Base doubled n-1 times, at most Max. The zero value is Base 1 s, Max 30 s.
type Backoff struct {
	Base time.Duration // 0: 1 s; negative: no addition
	Max  time.Duration // 0: 30 s
}

func (b Backoff) extra(failed int) time.Duration {
	if failed == 0 || b.Base < 0 {
		return 0
	}
	d, most := b.Base, b.Max
	if d == 0 {
		d = time.Second
	}
	if most <= 0 {
		most = 30 * time.Second
	}
	for ; failed > 1 && d < most; failed-- {
		d = later(d, d)
	}
	d = min(d, most)
	return d - rand.N(d/2+1)
}

// later adds two waits; retry values go up to the largest Duration, so the sum stops there.
func later(a, b time.Duration) time.Duration {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// sleep waits for d or the end of ctx, whose cause it returns.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
