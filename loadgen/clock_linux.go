package loadgen

import "golang.org/x/sys/unix"

// shared is a clock that all processes of this machine have in common, ns: it is neither set nor slewed.
func shared() int64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // there is one on every kernel
	return ts.Nano()
}
