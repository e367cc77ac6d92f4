package loadgen

import (
	"os"
	"runtime"
	"strconv"
	"strings"

	"ssegauge/reports/result"
)

// Environment is this machine. It raises how many files the process may open as far as it may.
func Environment() result.Environment {
	e := result.Environment{OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU()}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		e.Kernel = strings.TrimSpace(string(b))
	}
	e.MaxFiles, _ = raiseFiles()
	return e
}

// rss is the resident set of this process in bytes; 0 where it cannot be seen.
func rss() int64 {
	all, _ := resident()
	return all
}

// held is what of it is this process's own: neither its program nor another file.
func held() int64 {
	all, files := resident()
	return all - files
}

func resident() (all, files int64) {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, 0
	}
	f := strings.Fields(string(b))
	if len(f) < 3 {
		return 0, 0
	}
	page := int64(os.Getpagesize())
	all, _ = strconv.ParseInt(f[1], 10, 64)
	files, _ = strconv.ParseInt(f[2], 10, 64)
	return all * page, files * page
}
