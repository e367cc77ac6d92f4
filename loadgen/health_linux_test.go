package loadgen

import (
	"testing"
	"time"
)

// Only the processors that are ours count; what the kernel does not tell is not known rather than nothing.
func TestMachineFiles(t *testing.T) {
	const stat = "cpu  100 0 100 800 0 0 0 10 0 0\ncpu0 60 1 30 500 5 2 3 9 4 0\ncpu1 40 0 70 300 0 0 0 1 0 0\nintr 1 2 3 4 5 6 7 8 9\n"
	for _, c := range []struct {
		ours             func(int) bool
		all, idle, steal time.Duration // jiffies
	}{
		{func(int) bool { return true }, 610 + 411, 505 + 300, 10},
		{func(cpu int) bool { return cpu == 0 }, 610, 505, 9},
		{func(int) bool { return false }, 0, 0, 0},
	} {
		all, idle, steal := processors([]byte(stat), c.ours)
		if c.all == 0 && (all != -1 || idle != -1 || steal != -1) || c.all > 0 && (all != c.all*jiffy || idle != c.idle*jiffy || steal != c.steal*jiffy) {
			t.Errorf("%v %v %v, want %v %v %v jiffies", all, idle, steal, int(c.all), int(c.idle), int(c.steal))
		}
	}
	if d := pressure([]byte("some avg10=70.61 avg60=39.02 avg300=22.21 total=11695949143\nfull avg10=0.00 total=7\n")); d != 11695949143*time.Microsecond {
		t.Errorf("pressure %v", d)
	}
	if d := throttled([]byte("usage_usec 9\nnr_throttled 3\nthrottled_usec 1500\n"), "throttled_usec", time.Microsecond); d != 1500*time.Microsecond {
		t.Errorf("throttled %v", d)
	}
	for _, bad := range []string{"", "full total=3", "some", "some total=x\n", "throttled_usec x"} {
		if p, th := pressure([]byte(bad)), throttled([]byte(bad), "throttled_usec", 1); p != -1 || th != -1 {
			t.Errorf("%q: %v, %v", bad, p, th)
		}
	}
	// What is not known on one side is not known of the difference.
	if d := (machineTimes{5, 4, -1, 9, 1}).minus(machineTimes{3, 4, -1, -1, 2}); d != (machineTimes{2, 0, -1, -1, 0}) {
		t.Errorf("%+v", d)
	}
}

// A watch of the machine that runs tells what it can, and one that never began tells nothing.
func TestWatch(t *testing.T) {
	h := &health{from: time.Second}
	h.observe(0)
	if lag := h.end(); lag != 0 || h.wall != 0 {
		t.Errorf("%v, %v", lag, h.wall)
	}
	h = new(health)
	h.observe(0)
	time.Sleep(20 * time.Millisecond)
	h.end()
	if h.wall < 20*time.Millisecond || h.metronome.Quantiles().Count == 0 || h.runtime.waits.Counts == nil {
		t.Errorf("%+v", h)
	}
}
