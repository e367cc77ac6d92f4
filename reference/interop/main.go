// Command interop runs ssegauge against servers that nobody here wrote: the servers that the well-known tutorials and libraries
// lead to, on their real stacks, and behind the proxies that stand in front of them. Each folder holds a stack or a proxy, with a YAML file that says how
// its servers are started and what ssegauge has to find. Those verdicts were established by hand from the bytes on the wire, which the file quotes,
// never from what the program said.
//
// It installs nothing (reference/interop/install does), starts each server on a free loopback port, runs check,
// load and watch against it, prints a table, stops what it started, and exits 1 on any difference, 2 where something is missing, 130 after an interrupt. A
// server that differs is asked once more, alone, and the table says so.
//
//	go run ./reference/interop                 all of them, with a program built from this tree
//	go run ./reference/interop -only 'node*'   some of them
//
// It imports the standard library and the YAML reader only, and knows ssegauge by its published command line and JSON.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	program := flag.String("ssegauge", "", "the program to run; built from this tree where empty")
	folder := flag.String("dir", "reference/interop", "where the servers are")
	only := flag.String("only", "*", "glob of the names to run")
	together := flag.Int("j", 16, "how many servers are checked at once; load, which comes after that, runs at a quarter of them")
	window := flag.Duration("window", 12*time.Second, "how long check observes each")
	keep := flag.String("keep", "", "write what ssegauge printed into this directory")
	flag.Parse()
	os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin") // where Debian has nginx, whoever one is
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, *program, *folder, *only, *together, *keep, *window))
}

func run(ctx context.Context, program, folder, only string, together int, keep string, window time.Duration) int {
	scratch, err := os.MkdirTemp("", "ssegauge-interop-")
	if err != nil {
		return refuse(err)
	}
	defer os.RemoveAll(scratch)
	if program == "" {
		program = filepath.Join(scratch, "ssegauge")
		if out, err := exec.CommandContext(ctx, "go", "build", "-o", program, "./cmd/ssegauge").CombinedOutput(); err != nil {
			return refuse(fmt.Errorf("building ssegauge: %v\n%s", err, out))
		}
	}
	if program, err = filepath.Abs(program); err != nil { // servers are started in their folders
		return refuse(err)
	}
	cases, err := load(folder)
	if err != nil {
		return refuse(err)
	}
	var chosen []*Case
	var missing, without []string
	for _, c := range cases {
		if ok, err := path.Match(only, c.Name); err != nil {
			return refuse(fmt.Errorf("-only %q: %v", only, err))
		} else if ok {
			lacks := c.lacks()
			switch {
			case len(lacks) == 0:
				chosen = append(chosen, c)
			case c.Optional:
				without = append(without, fmt.Sprintf("%s was not run: it needs %s", c.Name, strings.Join(lacks, ", ")))
			default:
				missing = append(missing, fmt.Sprintf("%s needs %s", c.Name, strings.Join(lacks, ", ")))
			}
		}
	}
	if len(missing) > 0 {
		return refuse(fmt.Errorf("%s\nrun reference/interop/install, which gets it from Debian", strings.Join(missing, "\n")))
	}
	if len(chosen) == 0 {
		return refuse(fmt.Errorf("-only %q matches no server", only))
	}
	if keep != "" {
		if err := os.MkdirAll(keep, 0o755); err != nil {
			return refuse(err)
		}
	}

	h := &harness{program: program, scratch: scratch, keep: keep, window: window}
	outcomes := make([]*outcome, len(chosen))
	sideBySide(together, chosen, func(i int, c *Case) {
		outcomes[i] = &outcome{c: c, check: "-", load: "-", watch: "-"}
		h.with(ctx, outcomes[i], h.steps(c)...)
	})
	for i, o := range outcomes {
		if len(o.differences) > 0 && ctx.Err() == nil {
			// Side by side they share a processor; alone it is the server that speaks. The table says that it took two tries.
			fmt.Fprintf(os.Stderr, "%s once more, alone, after:\n  %s\n", o.c.Name, strings.Join(o.differences, "\n  "))
			outcomes[i] = &outcome{c: o.c, check: "-", load: "-", watch: "-", again: true}
			h.with(ctx, outcomes[i], h.steps(o.c)...)
		}
	}
	sideBySide(together/4, chosen, func(i int, c *Case) {
		if c.Load != nil {
			h.with(ctx, outcomes[i], h.load)
		}
	})
	code := report(os.Stdout, outcomes)
	for _, w := range without {
		fmt.Println(w)
	}
	if ctx.Err() != nil {
		fmt.Fprintln(os.Stderr, "interop: interrupted; the table is what was known by then")
		return 130
	}
	return code
}

// sideBySide does something with each case, n of them at a time: those that take long first.
func sideBySide(n int, cases []*Case, do func(i int, c *Case)) {
	slots := make(chan struct{}, max(n, 1))
	var wg sync.WaitGroup
	for _, first := range []bool{true, false} {
		for i, c := range cases {
			if c.First != first {
				continue
			}
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				do(i, c)
			})
		}
	}
	wg.Wait()
}

func refuse(err error) int {
	fmt.Fprintln(os.Stderr, "interop:", err)
	return 2
}
