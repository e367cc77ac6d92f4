package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"ssegauge/loadgen/engine"
	"ssegauge/loadgen/limits"
	"ssegauge/loadgen/plan"
	"ssegauge/reports/gate"
	"ssegauge/reports/result"
)

type limitsFlags struct {
	target  targetFlags
	publish publishFlags
	output  outputFlags

	probes  []string
	budget  time.Duration
	streams int
	engine  string
	sources []string
	remote  bool // resets at a target elsewhere too
	finite  bool
	dryRun  bool

	thresholds []string
}

func newLimits(a *app) *cobra.Command {
	var l limitsFlags
	cmd := &cobra.Command{
		Use:   "limits URL",
		Short: "Find out which limit is met first, and whose it is",
		Long: `Looks for the limits of a target, one kind after the other, and says for each how much it is, from what
was seen, and whose it is: the target's, of the path to it, or of this machine. What is going to be sent, and how long it
may take at most, is said before it begins (--dry-run: no more than that). Ctrl-C ends it with what is known by then.

Probes:
` + probeHelp() + `
The probe of resets does what every EventSource that is closed, and every page that is left, does over HTTP/2, ever more often
on one connection and until the first sign that the target has had enough. It can look like an attack: at a target that is not
on this machine it needs --remote-resets.

Many probes need to publish (--publish or --publish-cmd): what they leave undecided names the flag that decides it.
Streams that end by themselves (the first one did, --finite, or a method other than GET) are not held: most probes do not apply.

A --threshold holds a limit, by the id that the report names, against a bound (<, <=, >, >=, ==, !=): a count (k, M), a
time (ms, s, m, h), a size (B, KiB, MiB) or a share (%). Where no limit was met it is at least what was tried; one that is
undecided fails its threshold, and says why.`,
		Example: `  ssegauge limits http://localhost:8080/events --publish 'POST http://localhost:8080/publish' --publish-body '{"data":{{json .Data}}}'
  ssegauge limits https://host/events --probe h2-streams,idle --budget 3m
  ssegauge limits http://localhost:8080/events --probe streams --streams 2000 --report html=limits.html
  ssegauge limits https://host/events --probe streams,idle --threshold 'streams/total >= 1000' --threshold 'idle/timeout >= 60s'`,
		Args: oneURL,
		RunE: func(cmd *cobra.Command, args []string) error { return l.run(cmd.Context(), a, cmd, args[0]) },
	}
	l.target.add(cmd)
	l.publish.add(cmd)
	f := cmd.Flags()
	f.StringSliceVar(&l.probes, "probe", nil, "look for these kinds of limits only, by `name` (repeatable, or with commas)")
	f.DurationVar(&l.budget, "budget", 5*time.Minute, "wall clock for all probes; what needs more time is looked for as far as it goes")
	f.IntVar(&l.streams, "streams", 10_000, "open at most so many at once")
	f.StringVar(&l.engine, "engine", engine.Auto, "what reads the sockets of many streams: auto|epoll|portable")
	f.StringSliceVar(&l.sources, "source", nil, "local `address` or CIDR to connect from, in turn")
	f.BoolVar(&l.finite, "finite", false, "streams are meant to end by themselves, as answers of language models do (default: where the first one does, or the method is another than GET)")
	f.BoolVar(&l.dryRun, "dry-run", false, "print what would be done; only what the target is, is found out: a few requests")
	f.StringArrayVar(&l.thresholds, "threshold", nil, "`expression` that must hold of a limit, as in 'streams/total >= 1000' (repeatable)")
	f.BoolVar(&l.remote, "remote-resets", false, "let --probe resets run at a target that is not on this machine: have leave for it")
	l.output.add(cmd)
	return cmd
}

// probeHelp lists the probes.
func probeHelp() string {
	var b strings.Builder
	for _, p := range limits.Probes() {
		fmt.Fprintf(&b, "  %-12s %s", p.Name, p.Title)
		if p.OptIn {
			b.WriteString(" (only where it is named)")
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func (l *limitsFlags) config(cmd *cobra.Command, rawURL string) (limits.Config, error) {
	var c limits.Config
	req, dialer, err := l.target.load(cmd, rawURL)
	if err != nil {
		return c, err
	}
	for _, name := range l.probes {
		if names, ok := limits.Known(name); !ok {
			return c, usagef("--probe %q is unknown: %s are right%s", name, strings.Join(names, ", "), alike(name, names))
		}
	}
	switch {
	case l.budget < time.Second || l.budget > 24*time.Hour:
		return c, usagef("--budget %v is out of range: 1s to 24h", l.budget)
	case l.streams < 1:
		return c, usagef("--streams %d: at least 1 is wanted", l.streams)
	}
	if slices.Contains(l.probes, "resets") && !l.remote && !atHome(cmp.Or(dialer.ConnectTo, req.URL.Host)) {
		return c, usagef("--probe resets can look like an attack, and the target is not on this machine: give --remote-resets too if you may")
	}
	c = limits.Config{Probes: l.probes, Budget: l.budget, Streams: l.streams, RemoteResets: l.remote}
	c.Plan = plan.Plan{
		Targets: []plan.Target{{URL: rawURL, HTTP: l.target.http, Request: req, Dialer: dialer, Insecure: l.target.insecure, CACert: l.target.caCert, Cert: l.target.cert, Key: l.target.key}},
		Engine:  l.engine, Sources: l.sources, Timeout: l.target.timeout,
	}
	hook, err := l.publish.at(req.URL)
	if err != nil {
		return c, err
	}
	if hook != nil {
		c.Plan.Publish = &plan.Publish{HTTP: hook.HTTP, Header: hook.Header, Body: hook.Body, Command: hook.Command, Protocol: l.publish.proto}
		if c.Publisher, err = l.publish.compile(dialer, req.URL); err != nil {
			return c, err
		}
	}
	if cmd.Flags().Changed("finite") {
		c.Plan.Finite = &l.finite
	}
	trial := c.Plan // whatever is wrong with it is said before anything is sent
	if err := trial.Validate(); err != nil {
		return c, ofFlags(err)
	}
	return c, bindable(&c.Plan)
}

// ofFlags names the flag, where a plan's complaint is about one.
func ofFlags(err error) error {
	var bad *plan.Error
	if errors.As(err, &bad) {
		flag, _, _ := strings.Cut(bad.Where, "[")
		switch flag {
		case "sources":
			return usagef("--source: %s", bad.What)
		case "engine":
			return usagef("--engine %s", bad.What)
		}
	}
	return usagef("%v", err)
}

// bindable complains about a source that is not an address of this machine.
func bindable(p *plan.Plan) error {
	sources, err := p.SourceAddrs()
	if err != nil {
		return ofFlags(err)
	}
	for _, a := range sources {
		c, err := net.ListenUDP("udp", &net.UDPAddr{IP: a.AsSlice(), Zone: a.Zone()})
		if errors.Is(err, syscall.EADDRNOTAVAIL) {
			return usagef("--source %s is no address of this machine", a)
		}
		if err == nil {
			c.Close()
		}
	}
	return nil
}

// alike suggests what may have been meant by a name that is not among those that are known.
func alike(name string, known []string) string {
	var near []string
	for _, k := range known {
		if name != "" && (strings.Contains(k, name) || strings.Contains(name, k)) {
			near = append(near, k)
		}
	}
	if len(near) == 0 || len(near) > 3 {
		return ""
	}
	return "; did you mean " + strings.Join(near, " or ") + "?"
}

// atHome tells whether a host, perhaps with a port, is this machine by its name or address alone.
func atHome(host string) bool {
	u := url.URL{Host: host}
	name := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	return name == "localhost" || strings.HasSuffix(name, ".localhost") || net.ParseIP(name).IsLoopback()
}

func (l *limitsFlags) run(ctx context.Context, a *app, cmd *cobra.Command, rawURL string) error {
	if err := l.output.check(); err != nil {
		return err
	}
	if l.dryRun && (l.output.format != "text" || len(l.output.reports) > 0) {
		return usagef("--dry-run prints text, and there is nothing to report")
	}
	config, err := l.config(cmd, rawURL)
	if err != nil {
		return err
	}
	if config.Publisher != nil {
		defer config.Publisher.Close()
	}
	gates, err := parseGates(ownThresholds(cmd, l.thresholds, true), gate.ParseLimit)
	if err != nil {
		return err
	}
	for _, g := range gates {
		if err := l.within(g); err != nil {
			return err
		}
	}
	started := time.Now()
	search, err := met(ctx, a, config, l.output.quiet)
	switch {
	case err != nil:
		return limitsError(err)
	case l.dryRun:
		return l.rehearsed(a.stdout, search)
	case !l.output.quiet:
		l.announce(a.stderr, search)
	}
	found, err := searched(ctx, a, search, l.budget, l.output.quiet)
	run := &result.Run{Schema: result.SchemaLimits, Tool: tool(), Target: search.Target(), Started: started, DurationMS: float64(time.Since(started).Microseconds()) / 1000, Limits: found}
	if err != nil {
		run.Interrupted = true
	}
	gate.ApplyLimits(found, gates)
	return conclude(a, &l.output, run, err)
}

// within complains about a threshold that nothing which is looked for can meet.
func (l *limitsFlags) within(g *gate.Limit) error {
	name, ids := limits.Seeks(g.ID())
	if name == "" {
		return usagef("--threshold %q: no probe looks for %s%s", g, g.ID(), alike(g.ID(), ids))
	}
	asked := slices.Contains(l.probes, name)
	if !asked && (len(l.probes) > 0 || slices.ContainsFunc(limits.Probes(), func(p limits.Probe) bool { return p.Name == name && p.OptIn })) {
		return usagef("--threshold %q: nothing looks for that without --probe %s", g, strings.Join(append(slices.Clone(l.probes), name), ","))
	}
	switch most, ok := limits.Ceiling(g.ID(), l.streams); {
	case !ok || !g.Beyond(float64(most)):
		return nil
	case most < l.streams:
		return usagef("--threshold %q: at most %d streams are opened by that probe", g, most)
	default:
		return usagef("--threshold %q: at most %d streams are opened (--streams)", g, most)
	}
}

// ownThresholds are all that the command line gives; a profile may hold those of limits and those of load runs, of which each command takes its own.
func ownThresholds(cmd *cobra.Command, all []string, ofLimits bool) []string {
	if cmd.Flags().Changed("threshold") {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return gate.OfLimit(s) != ofLimits })
}

func limitsError(err error) error {
	var answer *limits.AnswerError
	if errors.As(err, &answer) {
		return &outcome{exitInconclusive, err.Error()}
	}
	return loadError(err)
}
