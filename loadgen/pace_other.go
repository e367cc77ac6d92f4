//go:build !linux

package loadgen

import "time"

// coarse is how far before its time a timer is set: here timers are all there is.
const coarse = 0

func nap(d time.Duration) { time.Sleep(d) }
