package engine

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"ssegauge/reference/wire"
)

// The reconnection time is the least that a client waits; jitter and failures only add to it, within bounds, whatever the target says.
func TestWait(t *testing.T) {
	chance := rand.New(rand.NewPCG(1, 2))
	const s = time.Second
	for _, c := range []struct {
		jitter float64
		retry  time.Duration
		failed int
		least  time.Duration
		most   time.Duration
	}{
		{0, 3 * s, 0, 3 * s, 3 * s},
		{0, 0, 0, 0, 0},
		{0, 3 * s, 1, 4 * s, 4 * s},
		{0, 3 * s, 2, 5 * s, 5 * s},
		{0, 3 * s, 1000, 33 * s, 33 * s},
		{0.1, 3 * s, 0, 3 * s, 3300 * time.Millisecond},
		{0.1, 0, 3, 2 * s, 4 * s},
		{1, 1<<63 - 1, 5, longest, 2*longest + mostBackoff},
	} {
		r := Reconnect{Jitter: c.jitter}
		spread := map[time.Duration]bool{}
		for range 100 {
			d := r.wait(c.retry, c.failed, chance)
			if spread[d] = true; d < c.least || d > c.most {
				t.Errorf("%+v: %v", c, d)
			}
		}
		if len(spread) == 1 != (c.least == c.most) {
			t.Errorf("%+v: %d different waits", c, len(spread))
		}
	}
}

// What ends a client's story, and what is only a network error.
func TestFinal(t *testing.T) {
	for cause, want := range map[string]bool{
		"head: status 204": true, "head: status 503": true, "head: content type text/html": true, "head: no content type": true, "head: content encoding gzip": true,
		"body: event too large": true, "h2: the peer does not speak HTTP/2": true, "tls: no h2 by ALPN": true,
		"end of response": false, "cut short": false, "head: timeout": false, "head: connection closed": false, "connect: connection refused": false, "h2: GOAWAY NO_ERROR": false,
	} {
		if final(cause) != want {
			t.Errorf("%s: %v", cause, !want)
		}
	}
}

// Slow readers are spread evenly, and are as many as was said.
func TestSlowShare(t *testing.T) {
	for _, c := range []struct {
		share float64
		n     int
		want  int
	}{{0.05, 100, 5}, {0.1, 10, 1}, {0.3, 10, 3}, {1, 7, 7}, {0.001, 999, 0}, {0.07, 100_000, 7000}} {
		l := Life{Slow: &Slow{Share: c.share}}
		n, last, widest := 0, -1, 0
		for i := range c.n {
			if l.slow(i) {
				n, widest, last = n+1, max(widest, i-last), i
			}
		}
		if n != c.want || c.want > 0 && float64(widest) > 1/c.share+1 {
			t.Errorf("%v of %d: %d, want %d; at most %d apart", c.share, c.n, n, c.want, widest)
		}
	}
}

// A slow stream over HTTP/2 is credited what it has taken in, at the rate that it reads, and no more.
func TestCredit(t *testing.T) {
	c := mux{frames: wire.NewFrames(wire.FramesOptions{ManualWindow: true}), owed: map[uint32]uint32{1: 50, 3: 250}}
	for i, want := range []string{"map[3:150]", "map[3:50]", "map[]", "map[]"} {
		if c.credit(100); fmt.Sprint(c.owed) != want {
			t.Errorf("after %d s: %v, want %s", i+1, c.owed, want)
		}
	}
}
