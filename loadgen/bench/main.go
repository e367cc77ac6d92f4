//go:build linux

// Command bench holds ssegauge against baselines: what a stream and a delivery cost beside a net/http client and beside a program that only receives, a million
// streams, how true the reported latencies are, how quickly streams open, and whether a run knows that it was disturbed. Every line is ours, the baseline's and the
// ratio, taken in one run on one machine: absolute figures of two machines, or of two hours, compare nothing.
//
//	go run ./loadgen/bench -ssegauge .build/ssegauge            # all rows, some minutes
//	go run ./loadgen/bench -ssegauge .build/ssegauge -only million
//
// It knows ssegauge as a user does, by its command line, its JSON and /proc; it imports nothing of it. To add a row: one function in the table below.
package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// rows are run in this order.
var rows = []struct {
	name string
	run  func(*bench) error
}{
	{"cost", (*bench).cost},
	{"truth", (*bench).truth},
	{"opening", (*bench).opening},
	{"validity", (*bench).validity},
	{"million", (*bench).million},
}

// bench is one run of this program.
type bench struct {
	ssegauge string
	engine   string // of serve
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "role" {
		if err := play(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "bench role:", err)
			os.Exit(1)
		}
		return
	}
	b := &bench{}
	flag.StringVar(&b.ssegauge, "ssegauge", ".build/ssegauge", "the program to measure")
	flag.StringVar(&b.engine, "serve-engine", "raw", "engine of the server behind the rows cost and million")
	only := flag.String("only", "", "run the rows whose name matches this `regexp`")
	flag.Parse()
	pick, err := regexp.Compile(*only)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: -only:", err)
		os.Exit(2)
	}
	raiseFiles()
	fmt.Println(machine())
	failed, ran := false, 0
	for _, r := range rows {
		if !pick.MatchString(r.name) {
			continue
		}
		ran++
		start := time.Now()
		fmt.Printf("\n== %s\n", r.name)
		if err := r.run(b); err != nil {
			fmt.Printf("%s: NOT MEASURED: %v\n", r.name, err)
			failed = true
		}
		fmt.Printf("(%s took %v)\n", r.name, time.Since(start).Round(time.Second))
	}
	switch {
	case ran == 0:
		fmt.Fprintf(os.Stderr, "bench: -only %q matches no row\n", *only)
		os.Exit(2)
	case failed:
		os.Exit(1)
	}
}

// machine says in one line what the figures were taken on.
func machine() string {
	model := "unknown processor"
	if f, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(f)) {
			if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
				model = strings.TrimSpace(v)
				break
			}
		}
	}
	var u unix.Utsname
	_ = unix.Uname(&u)
	var files syscall.Rlimit
	_ = syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files)
	load, _ := os.ReadFile("/proc/loadavg")
	one, _, _ := strings.Cut(string(load), " ")
	return fmt.Sprintf("machine: %d CPUs (%s), %.0f GiB, Linux %s, %s, %d descriptors a process, load %s before the start",
		runtime.NumCPU(), model, float64(meminfo("MemTotal"))/(1<<30), unix.ByteSliceToString(u.Release[:]), runtime.Version(), files.Cur, one)
}

func raiseFiles() {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) == nil && l.Cur < l.Max {
		l.Cur = l.Max
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l)
	}
}
