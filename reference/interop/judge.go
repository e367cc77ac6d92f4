package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"sync"
	"text/template"
	"time"
)

// harness runs ssegauge against cases.
type harness struct {
	program, scratch, keep string
	window                 time.Duration
}

// outcome is what was found on one server.
type outcome struct {
	c           *Case
	check       string // the verdicts that name trouble
	load, watch string
	differences []string
	again       bool // at the second try
	cut         bool // by an interrupt
}

func (o *outcome) differ(format string, args ...any) {
	o.differences = append(o.differences, fmt.Sprintf(format, args...))
}

// with starts the server of o, takes the steps, and stops it.
func (h *harness) with(ctx context.Context, o *outcome, steps ...func(context.Context, *Case, place, *outcome)) {
	if ctx.Err() != nil {
		o.cut = true
		return
	}
	dir, err := os.MkdirTemp(h.scratch, "")
	if err != nil {
		o.differ("%v", err)
		return
	}
	p, stop, err := start(ctx, o.c, dir, h.program)
	if err != nil {
		o.differ("starting: %v", err)
		return
	}
	defer stop()
	for _, step := range steps {
		began, before := time.Now(), len(o.differences)
		if step(ctx, o.c, p, o); ctx.Err() != nil {
			o.differences, o.cut = o.differences[:before], true // what was cut short says nothing
			return
		}
		fmt.Fprintf(os.Stderr, "%s: %d differences in %.0f s\n", o.c.Name, len(o.differences)-before, time.Since(began).Seconds())
	}
}

// steps are what is done with c while others are at work beside it.
func (h *harness) steps(c *Case) []func(context.Context, *Case, place, *outcome) {
	if c.Limits != nil {
		return []func(context.Context, *Case, place, *outcome){h.limits}
	}
	return []func(context.Context, *Case, place, *outcome){h.check, h.watch}
}

// target is the part of a command line that check, load and watch share.
func (c *Case) target(p place) []string {
	url := p.expand("$BASE" + c.Path)
	if c.HTTP == "2" || c.TLS {
		url = strings.Replace(url, "http:", "https:", 1)
	}
	return append([]string{url, "--http", c.HTTP}, p.expandAll(c.Flags)...)
}

func (c *Case) hook(p place) []string {
	if c.Publish == nil {
		return nil
	}
	args := []string{"--publish", p.expand(c.Publish.Request), "--publish-body", c.Publish.Body}
	for _, f := range c.Publish.Header {
		args = append(args, "--publish-header", f)
	}
	return args
}

// ssegauge runs the program and decodes what it printed into v.
func (h *harness) ssegauge(ctx context.Context, c *Case, v any, args ...string) (code int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	args = append(args, "--format", "json")
	cmd := exec.CommandContext(ctx, h.program, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	if h.keep != "" {
		name := filepath.Join(h.keep, strings.NewReplacer(" ", "-", "/", "-").Replace(c.Name+"-"+args[0]))
		os.WriteFile(name+".json", stdout.Bytes(), 0o644)
		os.WriteFile(name+".stderr", stderr.Bytes(), 0o644)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 0, err
	}
	if err := json.Unmarshal(stdout.Bytes(), v); err != nil {
		return 0, fmt.Errorf("exit %d, no JSON: %v: %.300s%.300s", cmd.ProcessState.ExitCode(), err, stdout.Bytes(), stderr.Bytes())
	}
	return cmd.ProcessState.ExitCode(), nil
}

// check compares the verdicts with those that the case expects.
func (h *harness) check(ctx context.Context, c *Case, p place, o *outcome) {
	var run struct {
		Results []struct{ ID, Verdict, Message string }
	}
	args := append([]string{"check"}, c.target(p)...)
	args = append(args, "--window", h.window.String())
	args = append(append(args, c.hook(p)...), p.expandAll(c.Checks)...)
	code, err := h.ssegauge(ctx, c, &run, args...)
	if err != nil {
		o.differ("check: %v", err)
		return
	}
	if code != c.Exit {
		o.differ("check: exit %d, expected %d", code, c.Exit)
	}
	found := map[string]bool{}
	bad := map[string][]string{}
	for _, r := range run.Results {
		found[r.ID] = true
		want, listed := c.Expect[r.ID]
		trouble := r.Verdict == "fail" || r.Verdict == "warn" || r.Verdict == "error"
		if trouble {
			bad[r.Verdict] = append(bad[r.Verdict], r.ID)
		}
		switch {
		case listed && r.Verdict != want:
			o.differ("%s: found %s, expected %s (%s)", r.ID, r.Verdict, want, r.Message)
		case !listed && trouble:
			o.differ("%s: found %s where nothing is wrong (%s)", r.ID, r.Verdict, r.Message)
		}
	}
	for id, want := range c.Expect {
		if !found[id] {
			o.differ("%s: not decided, expected %s", id, want)
		}
	}
	var parts []string
	for _, verdict := range []string{"fail", "warn", "error"} {
		if ids := bad[verdict]; len(ids) > 0 {
			sort.Strings(ids)
			parts = append(parts, verdict+" "+strings.Join(ids, " "))
		}
	}
	if o.check = strings.Join(parts, "; "); o.check == "" {
		o.check = "nothing wrong"
	}
}

// load wants every stream opened, events received, and none lost, doubled or out of order.
func (h *harness) load(ctx context.Context, c *Case, p place, o *outcome) {
	var run struct {
		Validity struct {
			Verdict string
			Reasons []string
		}
		Streams struct{ Planned, Opened, Failed int }
		Events  struct{ Published, Received, Lost, Duplicated, Reordered int64 }
	}
	args := append([]string{"load"}, c.target(p)...)
	args = append(append(args, c.hook(p)...), "--streams", fmt.Sprint(c.Load.Streams), "--duration", c.Load.Duration)
	code, err := h.ssegauge(ctx, c, &run, append(args, c.Load.Flags...)...)
	if err != nil {
		o.differ("load: %v", err)
		return
	}
	s, e := run.Streams, run.Events
	o.load = fmt.Sprintf("%d opened, %d events, %d lost", s.Opened, e.Received, e.Lost)
	switch want := c.Load.Streams; {
	case c.Load.Silent && s.Opened == 0 && e.Received == 0:
	case c.Load.Silent:
		o.differ("load: %d opened, %d events received where none can be", s.Opened, e.Received)
	case s.Opened != want || s.Failed != 0:
		o.differ("load: %d of %d streams opened, %d failed", s.Opened, want, s.Failed)
	case e.Received == 0:
		o.differ("load: nothing was received")
	}
	// A machine that is too busy to measure times on says so, and the counts still hold.
	if late := code == 4 && run.Validity.Verdict == "invalid" && len(run.Validity.Reasons) > 0; late && c.Load.Exit == 0 {
		o.load += ", times not valid"
	} else if code != c.Load.Exit {
		o.differ("load: exit %d, expected %d: %q", code, c.Load.Exit, run.Validity.Reasons)
	}
	if e.Lost != 0 || e.Duplicated != 0 && !c.Load.Doubles || e.Reordered != 0 {
		o.differ("load: %d lost, %d duplicated, %d reordered", e.Lost, e.Duplicated, e.Reordered)
	}
	if c.Publish != nil && e.Published == 0 {
		o.differ("load: nothing was published")
	}
}

// watch runs until the expected text is on stdout, then interrupts it as a person would.
func (h *harness) watch(ctx context.Context, c *Case, p place, o *outcome) {
	if c.Watch == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, h.program, append(append([]string{"watch"}, c.target(p)...), "--format", "ndjson")...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	seen := &waitFor{text: regexp.MustCompile(c.Watch), found: cancel}
	cmd.Stdout, cmd.Stderr = seen, seen
	if err := cmd.Start(); err != nil {
		o.differ("watch: %v", err)
		return
	}
	if c.Publish != nil {
		go publish(ctx, c, p)
	}
	cmd.Wait()
	switch code := cmd.ProcessState.ExitCode(); {
	case !seen.ok():
		o.watch = "not seen"
		o.differ("watch: %q was not seen in 20 s: %.400q", c.Watch, seen.buf.Bytes())
	case code != 0 && code != 130:
		o.differ("watch: exit %d after an interrupt", code)
		o.watch = "seen"
	default:
		o.watch = "seen"
	}
}

// waitFor collects output and calls found once text is in it.
type waitFor struct {
	mu    sync.Mutex
	text  *regexp.Regexp
	found func()
	buf   bytes.Buffer
}

func (w *waitFor) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf.Write(b)
	if w.text.Match(w.buf.Bytes()) {
		w.found()
	}
	return len(b), nil
}

func (w *waitFor) ok() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Match(w.buf.Bytes())
}

// publish sends c.Watch twice a second until ctx ends: the first ones may come before the watcher has subscribed.
func publish(ctx context.Context, c *Case, p place) {
	asJSON := func(v any) (string, error) { b, err := json.Marshal(v); return string(b), err }
	body, err := template.New("").Funcs(template.FuncMap{"json": asJSON, "urlquery": url.QueryEscape}).Parse(c.Publish.Body)
	if err != nil {
		return
	}
	method, target, _ := strings.Cut(p.expand(c.Publish.Request), " ")
	for ctx.Err() == nil {
		time.Sleep(500 * time.Millisecond)
		var b bytes.Buffer
		if body.Execute(&b, map[string]string{"Data": c.Watch, "Marker": "", "ID": "", "Event": "", "Retry": ""}) != nil {
			return
		}
		req, err := http.NewRequestWithContext(ctx, method, target, &b)
		if err != nil {
			return
		}
		for _, f := range c.Publish.Header {
			k, v, _ := strings.Cut(f, ":")
			req.Header.Set(k, strings.TrimSpace(v))
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			res.Body.Close()
		}
	}
}
