package loadgen

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

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

// cpuWindow measures the processor time of this process while events are published.
type cpuWindow struct {
	start     time.Time
	from      time.Duration // since start
	began     time.Time
	cpu, used time.Duration
	wall      time.Duration
}

func (w *cpuWindow) observe(elapsed time.Duration) {
	if w.began.IsZero() && elapsed >= w.from {
		w.began, w.cpu = time.Now(), usage()
	}
}

func (w *cpuWindow) end() {
	if !w.began.IsZero() {
		w.wall, w.used = time.Since(w.began), usage()-w.cpu
	}
}

// share is the part of the machine's processors that was used, 0 to 1.
func (w *cpuWindow) share() float64 {
	if w.wall <= 0 {
		return 0
	}
	return w.used.Seconds() / (w.wall.Seconds() * float64(runtime.NumCPU()))
}
