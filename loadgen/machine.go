package loadgen

import (
	"os"
	"runtime"
	"strconv"
	"strings"

	"ssegauge/reports/result"
)

func environment() result.Environment {
	e := result.Environment{OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU()}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		e.Kernel = strings.TrimSpace(string(b))
	}
	e.MaxFiles, _ = raiseFiles()
	return e
}

// rss is the resident set of this process in bytes; 0 where it cannot be seen.
func rss() int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b))
	if len(f) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(f[1], 10, 64)
	return pages * int64(os.Getpagesize())
}
