package loadgen

import (
	"bufio"
	"bytes"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// jiffy is the unit of /proc/stat: USER_HZ is 100 on every system that Go runs on.
const jiffy = 10 * time.Millisecond

func lookAtMachine() machineTimes {
	m := machineTimes{all: -1, idle: -1, steal: -1, pressure: -1, throttled: -1}
	if b, err := os.ReadFile("/proc/stat"); err == nil {
		var ours unix.CPUSet
		known := unix.SchedGetaffinity(0, &ours) == nil
		m.all, m.idle, m.steal = processors(b, func(cpu int) bool { return !known || ours.IsSet(cpu) })
	}
	if b, err := os.ReadFile("/proc/pressure/cpu"); err == nil {
		m.pressure = pressure(b)
	}
	for _, f := range [...]struct {
		path, key string
		unit      time.Duration
	}{{"/sys/fs/cgroup/cpu.stat", "throttled_usec", time.Microsecond}, {"/sys/fs/cgroup/cpu/cpu.stat", "throttled_time", time.Nanosecond}} {
		if b, err := os.ReadFile(f.path); err == nil {
			m.throttled = throttled(b, f.key, f.unit)
			break
		}
	}
	return m
}

// processors adds up the lines "cpuN user nice system idle iowait irq softirq steal ..." of /proc/stat of those that are ours.
func processors(stat []byte, ours func(cpu int) bool) (all, idle, steal time.Duration) {
	lines := bufio.NewScanner(bytes.NewReader(stat))
	seen := false
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 9 {
			continue
		}
		digits, ok := strings.CutPrefix(f[0], "cpu")
		cpu, err := strconv.Atoi(digits)
		if !ok || err != nil || !ours(cpu) {
			continue
		}
		seen = true
		for i, v := range f[1:9] { // what follows, guests, is in user and nice
			n, _ := strconv.ParseInt(v, 10, 64)
			d := time.Duration(n) * jiffy
			all += d
			switch i {
			case 3, 4:
				idle += d
			case 7:
				steal += d
			}
		}
	}
	if !seen {
		return -1, -1, -1
	}
	return all, idle, steal
}

// pressure is the total of the line "some avg10=0.00 avg60=0.00 avg300=0.00 total=N", in us.
func pressure(psi []byte) time.Duration {
	line, _, _ := strings.Cut(string(psi), "\n")
	_, total, ok := strings.Cut(line, "total=")
	n, err := strconv.ParseInt(strings.TrimSpace(total), 10, 64)
	if !ok || err != nil || !strings.HasPrefix(line, "some ") {
		return -1
	}
	return time.Duration(n) * time.Microsecond
}

// throttled finds a line "key N".
func throttled(stat []byte, key string, unit time.Duration) time.Duration {
	for line := range strings.Lines(string(stat)) {
		if v, ok := strings.CutPrefix(line, key+" "); ok {
			if n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64); err == nil {
				return time.Duration(n) * unit
			}
		}
	}
	return -1
}
