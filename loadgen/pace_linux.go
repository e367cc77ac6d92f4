package loadgen

import (
	"time"

	"golang.org/x/sys/unix"
)

// coarse is how far before its time a timer is set: the runtime's timers wait in whole milliseconds, and the rest is left to the kernel's clock.
const coarse = 1500 * time.Microsecond

// nap sleeps for less than a few milliseconds, exact to some 50 us.
func nap(d time.Duration) {
	if d > 0 {
		ts := unix.NsecToTimespec(int64(d))
		_ = unix.Nanosleep(&ts, nil) // cut short by a signal: then it is a little early, and the caller looks again
	}
}
