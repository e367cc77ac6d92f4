package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"ssegauge/conformance"
	"ssegauge/conformance/catalogue"
	"ssegauge/reports/result"
)

type checkFlags struct {
	target  targetFlags
	publish publishFlags
	output  outputFlags
	lent    cooperationFlags
	policy  policyFlags

	window         time.Duration
	only, skip     []string
	profiles       []string
	record, replay string
	dry            bool
	barren         map[*result.Run]error // the complaint about the publish hook
}

func newCheck(a *app) *cobra.Command {
	var c checkFlags
	cmd := &cobra.Command{
		Use:   "check URL...|-",
		Short: "Judge a server",
		Long: `Opens streams of URL as a client does, watches them for the window, and judges what the server sent and did,
byte by byte. With a way to publish it also proves what only an oracle can: that payloads arrive as they were
meant, that nothing can be injected, that a client which comes back gets what it missed.

A stream that answers a POST is asked for once, and not held to what only a feed can be: --active allows further requests.

Several URLs are judged one after the other, each by itself, and set side by side at the end. {{.Origin}} stands
for scheme, host and port of the URL at hand wherever a flag says how to publish, end, restart or measure.

With - it judges the bytes of a stream that comes on stdin, and nothing of how it came.

--record keeps all that was asked and all that came back, with times, in one file. Credentials of requests are masked in
it; what the server sent is not, a cookie that it sets over HTTP/2 included. --replay judges such a file again without a network: the same verdicts, by the checks of today. It
takes as long as the run did, because what a check does about silence is to wait; what it measures is as it was,
however busy this machine is. The file is NDJSON: a line "recording" (what was judged), a line for each "connection",
"publish" and "action", and an "end".

Exit code 0: every check passed or warned; 1: a check failed; 3: nobody was there; 4: too little could be decided.
Of several targets the worst counts: 1, then 3, then 4.`,
		Example: `  ssegauge check http://localhost:8080/events
  ssegauge check http://localhost:8080/events --publish 'POST http://localhost:8080/publish' --publish-body '{"data":{{json .Data}},"event":{{json .Event}},"id":{{json .ID}}}'
  ssegauge check https://host/stream -H 'Authorization: Bearer ...' --http 2 --window 60s
  ssegauge check http://localhost:8080/events --only 'http/*' --format json
  ssegauge check http://origin:8080/events https://cdn.example/events --publish 'POST http://origin:8080/publish' --report html=both.html
  ssegauge check http://a:8080/sse http://b:9090/events --publish 'POST {{.Origin}}/publish'
  ssegauge check http://localhost:3000/mcp --profile-set mcp --method POST --body @call.json -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' -H 'MCP-Protocol-Version: 2025-11-25'
  ssegauge check https://api.example/v1/chat/completions --profile-set llm --body @prompt.json -H 'Content-Type: application/json' -H 'Authorization: Bearer ...'
  ssegauge check https://host/stream --record run.ndjson
  ssegauge check --replay run.ndjson --only 'resume/*'
  ssegauge check https://host/stream --publish 'POST https://host/publish' --dry-run
  curl -sN http://localhost:8080/events | ssegauge check - --window 10s`,
		Args: func(cmd *cobra.Command, args []string) error {
			if c.replay != "" {
				if len(args) > 0 {
					return fmt.Errorf("--replay: the target stands in the recording, no URL is wanted")
				}
				return nil
			}
			return someURLs(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if c.replay != "" {
				return c.again(cmd.Context(), a, cmd)
			}
			if args[0] == "-" {
				return c.piped(cmd.Context(), a, cmd)
			}
			return c.run(cmd.Context(), a, cmd, args)
		},
	}
	c.target.add(cmd)
	c.publish.add(cmd)
	c.lent.add(cmd)
	f := cmd.Flags()
	f.DurationVar(&c.window, "window", conformance.DefaultWindow, "how long to watch; further requests follow for some seconds, at most 25s")
	f.StringSliceVar(&c.only, "only", nil, "only checks whose id matches the `glob` (repeatable)")
	f.StringSliceVar(&c.skip, "skip", nil, "no checks whose id matches the `glob` (repeatable)")
	f.StringSliceVar(&c.profiles, "profile-set", nil, "also what a protocol on top of event streams asks: `name` "+strings.Join(catalogue.Profiles(), ", ")+" (repeatable)")
	f.StringVar(&c.record, "record", "", "keep every connection with its times in this `file`, to be judged again by --replay")
	f.BoolVar(&c.dry, "dry-run", false, "print every request, message and command instead of sending it: a rehearsal on the built-in reference server")
	f.StringVar(&c.replay, "replay", "", "judge what --record kept in this `file`, without a network")
	c.policy.add(cmd)
	c.output.add(cmd)
	return cmd
}

func (c *checkFlags) run(ctx context.Context, a *app, cmd *cobra.Command, urls []string) error {
	targets := make([]conformance.Target, len(urls))
	for i, rawURL := range urls {
		req, dialer, err := c.target.load(cmd, rawURL)
		if err != nil {
			return err
		}
		targets[i] = conformance.Target{Request: *req, Dialer: *dialer}
	}
	if err := c.output.check(); err != nil {
		return err
	}
	checks, err := c.selected(func(checks []conformance.Check) []conformance.Check { return checks })
	if err != nil {
		return err
	}
	if c.record != "" {
		if c.dry {
			return usagef("--record: with --dry-run there is nothing to keep")
		}
		if len(targets) > 1 {
			return usagef("--record keeps the run of one target: give one URL with it")
		}
		if info, err := os.Stat(filepath.Dir(c.record)); err != nil || !info.IsDir() {
			return usagef("--record %q: there is no directory %s", c.record, filepath.Dir(c.record))
		}
	}
	if c.lent.direct != "" && len(targets) > 1 {
		return usagef("--direct-url is the other way to one target: give one URL with it")
	}
	for i := range targets {
		t := &targets[i]
		t.Window = c.window
		if t.Publisher, err = c.publish.compile(&t.Dialer, t.Request.URL); err != nil {
			return err
		}
		if err := c.lent.fill(t); err != nil {
			return err
		}
	}
	if c.dry {
		return c.rehearse(ctx, a, targets, checks)
	}
	return c.judge(ctx, a, conformance.Run, targets, checks)
}

// judge holds the targets against the checks, one after the other, and reports.
func (c *checkFlags) judge(ctx context.Context, a *app, judge judge, targets []conformance.Target, checks []conformance.Check) error {
	c.barren = map[*result.Run]error{}
	late := c.policy.update || c.policy.accepted != nil && len(targets) > 1 // what an update accepts, and what is stale for all of several, is known at the end only
	if c.output.format == "ndjson" && !late {
		c.output.lines = &lines{w: a.stdout, policy: &c.policy}
		c.output.quiet = c.output.quiet || isTerminal(a.stdout) // they show how it goes on
	}
	var runs []*result.Run
	var failed []error
	for i, t := range targets {
		of := ""
		if len(targets) > 1 {
			of = fmt.Sprintf("target %d of %d, ", i+1, len(targets))
		}
		o := conformance.Options{Severity: c.policy.severities}
		if c.record != "" {
			o.Recording = conformance.NewRecording()
		}
		barren := ""
		o.Barren = func(why string) { barren = why }
		c.output.lines.follow(&o)
		run, err := runCheck(ctx, a, judge, t, checks, o, c.output.quiet, of)
		if werr := c.keep(o.Recording); werr != nil {
			failed = append(failed, werr)
		}
		if err != nil {
			switch {
			case len(targets) > 1 && ctx.Err() == nil && exitCode(err) == exitUnreachable:
				run = unreached(&t, err) // the others are judged all the same
			case len(runs) == 0:
				return worst(append([]error{err}, failed...))
			}
			failed = append(failed, err)
		}
		if run == nil {
			break
		}
		if runs = append(runs, run); run.Interrupted {
			break
		}
		if err == nil && barren != "" {
			c.barren[run] = unproved(run, checks, barren)
			failed = append(failed, c.barren[run])
		}
		if i < len(targets)-1 && c.output.lines != nil { // the end of the last is written when all is known
			_ = c.weigh(ctx, run) // again in conclude
			c.output.lines.end(run)
		}
	}
	return worst(append([]error{c.conclude(ctx, a, runs)}, failed...))
}

// keep writes a recording, also of a run that was interrupted or never got through.
func (c *checkFlags) keep(rec *conformance.Recording) error {
	if rec == nil || !rec.Begun() {
		return nil
	}
	rec.Tool = "ssegauge " + toolVersion()
	for _, check := range catalogue.All() {
		if check.Run != nil {
			rec.Known = append(rec.Known, check.ID)
		}
	}
	if err := writeFile(c.record, rec.Write); err != nil {
		return &outcome{exitInternal, fmt.Sprintf("could not write the recording: %v", plain(err))}
	}
	return nil
}

// unreached is the run of one of several targets where there was nobody.
func unreached(t *conformance.Target, err error) *result.Run {
	return &result.Run{
		Schema: result.SchemaCheck, Tool: tool(), Started: time.Now(), Error: err.Error(),
		Target: result.Target{URL: maskURL(t.Request.URL.String())}, Check: &result.Check{Results: []result.Finding{}},
	}
}

// unproved is the complaint about a publish hook that failed, with which nothing could be proved: a job that relies on it (a token that expired, a URL
// misspelt) must not be green.
func unproved(run *result.Run, checks []conformance.Check, why string) error {
	n := 0
	for i := range run.Results {
		f := &run.Results[i]
		c := slices.IndexFunc(checks, func(c conformance.Check) bool { return c.ID == f.ID })
		if c < 0 || checks[c].Needs&conformance.Publish == 0 || checks[c].Needs&conformance.Observe != 0 {
			continue
		}
		if f.Verdict != result.NotObserved {
			return nil
		}
		n++
	}
	if n == 0 {
		return nil
	}
	return &outcome{exitInconclusive, fmt.Sprintf("--publish proved nothing, %s not observed: %s", result.Plural(int64(n), "check"), why)}
}

// conclude writes the report of finished runs and says what they come to.
func (c *checkFlags) conclude(ctx context.Context, a *app, runs []*result.Run) error {
	if err := c.policy.apply(a, runs); err != nil {
		return err
	}
	errs := []error{c.policy.outdated()}
	for _, run := range runs {
		errs = append(errs, c.weigh(ctx, run))
	}
	c.output.lines.last(runs)
	if err := c.output.write(a.stdout, a.stderr, runs...); err != nil {
		return err
	}
	return worst(errs)
}

// weigh returns what a run comes to, as an error for the exit code, and notes in the run what is no part of its results, so that every report says the same. It
// can be done again.
func (c *checkFlags) weigh(ctx context.Context, run *result.Run) error {
	run.Policy = nil
	err := interruption(ctx, run)
	if err == nil && run.Error == "" { // else the exit code is that of the error
		err = comesTo(run)
	}
	if err == nil {
		err = c.policy.demands(run)
		run.Policy = breach(run.Policy, err)
	}
	run.Policy = breach(run.Policy, c.barren[run])
	run.Policy = breach(run.Policy, c.policy.complain(c.policy.staleOf[run]))
	return err
}

// breach adds a complaint, if there is one.
func breach(to []result.Breach, err error) []result.Breach {
	if err == nil {
		return to
	}
	return append(to, result.Breach{Reason: err.Error(), Failed: exitCode(err) == exitFailed})
}

// selected are the checks to run, of those that narrow leaves, and the complaints about the flags that choose them.
func (c *checkFlags) selected(narrow func([]conformance.Check) []conformance.Check) ([]conformance.Check, error) {
	if c.window < time.Second || c.window > 24*time.Hour {
		return nil, usagef("--window %v is out of range: 1s to 24h", c.window)
	}
	all := catalogue.All()
	if len(c.profiles) > 0 {
		more, err := catalogue.InProfiles(c.profiles...)
		if err != nil {
			return nil, usagef("--profile-set %v", err)
		}
		all = append(all, more...)
	}
	checks, err := catalogue.Filter(narrow(all), c.only, c.skip)
	if err != nil {
		for _, id := range c.only {
			if check, ok := catalogue.Lookup(id); ok && check.Profile != "" && !slices.Contains(c.profiles, check.Profile) {
				return nil, usagef("--only %s: the check is of an optional profile: add --profile-set %s", id, check.Profile)
			}
		}
		return nil, usagef("%v", err)
	}
	checks = slices.DeleteFunc(checks, func(c conformance.Check) bool { return c.Run == nil })
	if len(checks) == 0 {
		return nil, usagef("--only and --skip leave no check that is built: 'ssegauge list' shows them")
	}
	return c.policy.load(checks)
}

// judge is conformance.Run, or what stands in for it.
type judge func(context.Context, conformance.Target, []conformance.Check, conformance.Options) (*result.Run, error)

// collectAt is how much memory the collector lets garbage take while a target is judged: what is kept of a target is bounded, and a hostile one makes
// much garbage besides.
const collectAt = 128 << 20

// runCheck runs checks with progress on stderr; of says of which target.
func runCheck(ctx context.Context, a *app, judge judge, t conformance.Target, checks []conformance.Check, o conformance.Options, quiet bool, of string) (*result.Run, error) {
	var decided atomic.Int64
	built := 0
	for _, c := range checks {
		if c.Run != nil {
			built++
		}
	}
	most := t.Window
	if t.DirectURL != nil {
		most *= 2 // once more, past the proxy
	}
	started := time.Now()
	shown := startProgress(a.stderr, quiet, "check", func() step {
		return step{
			min(int64(time.Since(started)), int64(most)*99/100), int64(most), // what comes after the window is not known before
			of + fmt.Sprintf("%d of %d checks decided, %.0f s, watching for %.0f s", decided.Load(), built, time.Since(started).Seconds(), most.Seconds()),
		}
	})
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(-1))
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(collectAt)
	}
	o.Progress = func(n, _ int, _ string) { decided.Store(int64(n)) }
	run, err := judge(ctx, t, checks, o)
	shown.finish()
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		return nil, plain(err)
	}
	run.Schema, run.Tool = result.SchemaCheck, tool()
	return run, nil
}

// interruption is the error of a run that the user cut short.
func interruption(ctx context.Context, run *result.Run) error {
	if !run.Interrupted {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return errInterrupted
}
