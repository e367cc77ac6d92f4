package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// progress shows how a long command goes on, on stderr: one bar on a terminal, a plain line
// every two seconds elsewhere, nothing with --quiet. The state is polled, so the
// hot paths only keep their counters.
type progress struct {
	stop chan struct{}
	said chan string // nil: nothing is shown
	done sync.WaitGroup
}

// step is a moment of a command: how far of how much, and a few words.
type step struct {
	current, total int64
	note           string
}

// startProgress polls state until finish is called. Commands that end within a second show nothing.
func startProgress(w io.Writer, quiet bool, name string, state func() step) *progress {
	p := &progress{stop: make(chan struct{})}
	if quiet {
		return p
	}
	p.said = make(chan string)
	show := p.lines
	if isTerminal(w) {
		show = p.bar
	}
	p.done.Go(func() { show(w, name, state) })
	return p
}

// finish takes the bar away; call it before anything is printed.
func (p *progress) finish() {
	close(p.stop)
	p.done.Wait()
}

// say writes a line that stays. It is not to be called after finish.
func (p *progress) say(line string) {
	if p.said != nil {
		p.said <- line
	}
}

func (p *progress) lines(w io.Writer, name string, state func() step) {
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-p.stop:
			return
		case line := <-p.said:
			fmt.Fprintln(w, line)
		case <-tick.C:
			s := state()
			fmt.Fprintf(w, "%s: %3d %%  %s\n", name, 100*s.current/max(s.total, 1), s.note)
		}
	}
}

func (p *progress) bar(w io.Writer, name string, state func() step) {
	for begin := time.After(300 * time.Millisecond); begin != nil; {
		select {
		case <-p.stop:
			return
		case line := <-p.said:
			fmt.Fprintln(w, line)
		case <-begin:
			begin = nil
		}
	}
	var (
		mu   sync.Mutex
		last = state()
	)
	note := decor.Any(func(decor.Statistics) string {
		mu.Lock()
		defer mu.Unlock()
		return last.note
	})
	bars := mpb.New(mpb.WithOutput(w), mpb.WithWidth(min(widthOf(w), 40)), mpb.WithRefreshRate(150*time.Millisecond))
	bar := bars.AddBar(max(last.total, 1), mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name(name+" ")), mpb.AppendDecorators(decor.Name(" "), note))
	tick := time.NewTicker(150 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-p.stop:
			bar.Abort(true) // also when it is full: Wait hangs on a bar that neither completed nor was aborted
			bars.Wait()
			return
		case line := <-p.said:
			_, _ = fmt.Fprintln(bars, line) // above the bar
		case <-tick.C:
			s := state()
			mu.Lock()
			last = s
			mu.Unlock()
			// A full bar counts as complete and is removed; the command may still be writing.
			bar.SetCurrent(min(s.current, max(s.total, 1)-1))
		}
	}
}
