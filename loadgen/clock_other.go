//go:build !linux

package loadgen

import "time"

// shared is a clock that all processes of this machine have in common, ns: here the time of day.
func shared() int64 { return time.Now().UnixNano() }
