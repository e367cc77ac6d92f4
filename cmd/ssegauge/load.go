package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ssegauge/loadgen"
	"ssegauge/loadgen/engine"
	"ssegauge/loadgen/plan"
	"ssegauge/reports/gate"
	"ssegauge/reports/result"
)

type loadFlags struct {
	target  targetFlags
	publish publishFlags
	stamp   stampFlags
	output  outputFlags
	life    lifeFlags

	streams     int
	ramp        time.Duration
	openRate    string
	stages      string
	arrival     string
	seed        uint32
	duration    time.Duration
	perConn     int
	publishRate string
	publishSize int
	publishTime string
	inFlight    int
	deadline    time.Duration
	warmUp      time.Duration
	finite      bool
	variables   plan.Variables
	engine      string
	sources     []string
	thresholds  []string
	plan        string
	canary      bool
	calibrate   string
}

// calibrateFrom is the duration from which a run is calibrated unless it is told not to: a short one, as of a CI job, is not to take twice its time.
const calibrateFrom = 10 * time.Second

func newLoad(a *app) *cobra.Command {
	var l loadFlags
	cmd := &cobra.Command{
		Use:   "load URL...",
		Short: "Open many streams and measure how long an event takes to reach everyone",
		Long: `Opens streams at the planned times, holds them, publishes events that carry a marker, and measures
when each receiver has each event: delivery from the intended publish time, completion over all receivers, loss,
duplicates and order. Without a way to publish it measures what needs no cooperation.

Streams that end by themselves (--finite, or a method other than GET) are requests: --open-rate R/s opens them for
--duration, or --streams of them, and the run ends with the last. first_event is then the time to the first token, gap the
time between tokens, total the time to the end.

URL, header values and body may be Go templates that differ from stream to stream: {{.Stream}} is its number from 0, {{.NAME}}
the cell of its row in column NAME of --variables FILE.csv, whose first line names the columns; functions are json and urlquery.

Several URLs are one run: the streams are spread over them in turn, and what is published has to reach all of them, or
it counts as lost. {{.Origin}}, the origin of one of them, is therefore refused in the hook.

A server sees more streams than are planned: one at each URL comes first, to learn redirects, protocol and limits, and with
a way to publish and 100 streams or more the canary opens three (--canary=false: none): planned + 1 + 3 with one URL.

` + thresholdHelp(),
		Example: `  ssegauge load http://localhost:8080/events --streams 2000 --publish 'POST http://localhost:8080/publish' --publish-body '{"data":{{json .Marker}}}'
  ssegauge load https://host/stream --streams 5000 --http 2 --streams-per-conn 100 --duration 1m
  ssegauge load http://localhost:8080/events --publish-stdin redis-cli --publish-body 'PUBLISH news {{.Marker}}' --publish-rate 1000/s
  ssegauge load http://localhost:8080/events --publish-cmd 'redis-cli publish news "$SSE_DATA"' --threshold 'fanout_t99.p95 < 250ms' --threshold 'lost == 0'
  ssegauge load http://localhost:8080/events --streams 10000 --open-rate 500/s --arrival poisson
  ssegauge load http://localhost:8080/events --stages 10s:1000:30s,0s:2000:30s,0s:4000:30s
  ssegauge load https://host/v1/chat/completions --body @prompt.json -H 'Content-Type: application/json' --open-rate 5/s --arrival poisson --duration 1m
  ssegauge load 'https://host/feed?user={{urlquery .name}}' -H 'Authorization: Bearer {{.token}}' --variables users.csv --streams 500
  ssegauge load http://localhost:8080/events --streams 1000 --slow-readers 5% --publish-size 1000 --publish 'POST http://localhost:8080/publish' --threshold 'deliver.p99 < 100ms'
  ssegauge load http://localhost:8080/events --streams 1000 --churn 20/s --publish 'POST http://localhost:8080/publish' --threshold 'open.p99 < 100ms'
  ssegauge load http://localhost:8080/events --reconnect --threshold 'reconnect.lost_in_gap == 0' --publish 'POST http://localhost:8080/publish'
  ssegauge load --plan plan.yaml --report html=load.html`,
		RunE: func(cmd *cobra.Command, args []string) error { return l.run(cmd.Context(), a, cmd, args) },
	}
	l.target.addWithin(cmd, plan.DefaultTimeout)
	l.publish.add(cmd)
	l.stamp.add(cmd)
	f := cmd.Flags()
	f.StringVar(&l.publish.hook.Stdin, "publish-stdin", "", "publish by a shell `command` that runs all the time and gets the body as a line on its stdin for each event")
	f.IntVar(&l.streams, "streams", plan.DefaultStreams, "how many streams to hold open")
	f.DurationVar(&l.ramp, "ramp", 0, "time in which they are opened, evenly (default: 2,000 a second, 1 s at least)")
	f.StringVar(&l.openRate, "open-rate", "", "instead of --ramp: open so many a second, as in `200/s`, however the server copes")
	f.StringVar(&l.stages, "stages", "", "instead of --streams: `over:streams[:hold],...`, as in 10s:1000,0s:5000:30s (a ramp, then a jump and a hold)")
	f.StringVar(&l.arrival, "arrival", plan.Constant, "how streams arrive: constant|poisson (evenly, or by chance with that rate on average)")
	f.Uint32Var(&l.seed, "seed", plan.DefaultSeed, "of what is left to chance: the same `number` gives the same run")
	f.DurationVar(&l.duration, "duration", plan.DefaultDuration, "time to hold them, and to publish, after the last was due")
	f.BoolVar(&l.finite, "finite", false, "streams are meant to end by themselves, as answers of language models do, and the run with the last (default: where the method is another than GET)")
	f.StringVar(&l.variables.File, "variables", "", "CSV `file` whose rows are the streams' own: {{.Row.NAME}} or {{.NAME}}, and {{.Stream}}, in URL, header values and body (no more rows are read than there are streams, 256 MiB at most)")
	f.StringVar(&l.variables.Order, "variables-order", plan.Turn, "which row a stream gets: turn|random")
	f.IntVar(&l.perConn, "streams-per-conn", plan.DefaultStreamsPerConn, "HTTP/2: streams on one connection, at most what the server allows")
	f.StringVar(&l.publishRate, "publish-rate", fmt.Sprintf("%d/s", plan.DefaultPublishRate), "events to publish, as in `10/s` or 30/m")
	f.StringVar(&l.publishTime, "publish-arrival", plan.Constant, "how events arrive: constant|poisson")
	f.IntVar(&l.publishSize, "publish-size", 0, "`bytes` of {{.Data}}, marker included (0: the marker alone)")
	f.IntVar(&l.inFlight, "publish-in-flight", plan.DefaultInFlight, "publishes under way at one time at most")
	f.DurationVar(&l.deadline, "publish-deadline", plan.DefaultDeadline, "from when an event is due; what has not arrived then is lost")
	f.DurationVar(&l.warmUp, "publish-warm-up", 0, "publish so long before the duration begins what is counted nowhere")
	f.StringVar(&l.engine, "engine", engine.Auto, "what reads the sockets: auto|epoll|portable (epoll: Linux, in the clear)")
	f.StringSliceVar(&l.sources, "source", nil, "local `address` or CIDR to connect from, in turn (several: each has ports of its own)")
	f.StringArrayVar(&l.thresholds, "threshold", nil, "`expression` that must hold, as in 'deliver.p99 < 250ms' (repeatable)")
	f.StringVar(&l.plan, "plan", "", "YAML `file` with the whole plan; flags that are given override it")
	l.life.add(f)
	f.BoolVar(&l.canary, "canary", true, "from 100 streams on, and with a way to publish: three more in a process of its own, to tell the target's delay from this generator's")
	f.StringVar(&l.calibrate, "calibrate", "auto", "measure for two seconds before the run what this machine can receive: `true|false|auto` (auto: before a duration of 10 s and more)")
	f.Lookup("calibrate").NoOptDefVal = "true"
	l.output.add(cmd)
	return cmd
}

func (l *loadFlags) run(ctx context.Context, a *app, cmd *cobra.Command, urls []string) error {
	if err := l.output.check(); err != nil {
		return err
	}
	p, err := l.makePlan(cmd, urls)
	if err != nil {
		return err
	}
	gates, err := parseGates(p.Thresholds, gate.Parse)
	if err != nil {
		return err
	}
	var options []loadgen.Option
	if l.canary {
		options = append(options, withCanary)
	}
	switch {
	case l.calibrate != "auto" && l.calibrate != "true" && l.calibrate != "false":
		return usagef("--calibrate %s: true, false or auto", l.calibrate)
	case l.calibrate == "true", l.calibrate == "auto" && p.Hold >= calibrateFrom:
		options = append(options, withCalibration)
	}
	run, err := runLoad(ctx, a, p, l.output.quiet, options...)
	if run == nil {
		return err
	}
	gate.Apply(run, gates)
	return conclude(a, &l.output, run, err)
}

// conclude writes a run, whole or partial, and turns what it came to into the command's error.
func conclude(a *app, out *outputFlags, run *result.Run, err error) error {
	if werr := out.write(a.stdout, a.stderr, run); werr != nil {
		return werr
	}
	if err != nil {
		return err
	}
	return comesTo(run)
}

// comesTo is what a run comes to by itself, as an error for the exit code.
func comesTo(run *result.Run) error {
	switch run.Status() {
	case result.Failed:
		return &outcome{code: exitFailed}
	case result.Inconclusive:
		return &outcome{code: exitInconclusive}
	}
	return nil
}

func parseGates[G any](expressions []string, parse func(string) (G, error)) ([]G, error) {
	gates := make([]G, len(expressions))
	for i, e := range expressions {
		g, err := parse(e)
		if err != nil {
			return nil, usagef("--%v", err)
		}
		gates[i] = g
	}
	return gates, nil
}

// runLoad runs a plan with progress on stderr. The run is not nil where there is something to report, also beside an error.
func runLoad(ctx context.Context, a *app, p *plan.Plan, quiet bool, options ...loadgen.Option) (*result.Run, error) {
	var latest atomic.Pointer[loadgen.Snapshot]
	latest.Store(&loadgen.Snapshot{})
	started := time.Now()
	shown := startProgress(a.stderr, quiet, "load", func() step {
		s := latest.Load()
		return step{int64(s.Elapsed), int64(s.Total), loadNote(s)}
	})
	load, err := loadgen.Run(ctx, p, func(s loadgen.Snapshot) { latest.Store(&s) }, options...)
	shown.finish()
	if load == nil {
		return nil, loadError(err)
	}
	run := &result.Run{Schema: result.SchemaLoad, Tool: tool(), Started: started, DurationMS: float64(time.Since(started).Microseconds()) / 1000, Load: load}
	run.Target = spokenTarget(load, p)
	if err != nil && context.Cause(ctx) != nil {
		run.Interrupted = true
		err = context.Cause(ctx)
	}
	return run, loadError(err)
}

func loadError(err error) error {
	var (
		bad         *plan.Error
		limit       *loadgen.LimitError
		unreachable *loadgen.UnreachableError
	)
	switch {
	case errors.As(err, &bad), errors.As(err, &limit):
		return &usageError{err}
	case errors.As(err, &unreachable):
		return &unreachableError{plain(err)}
	}
	return err
}

// makePlan is the plan of the file, if one is named, with what the command line says over it.
func (l *loadFlags) makePlan(cmd *cobra.Command, urls []string) (*plan.Plan, error) {
	if err := l.target.applyProfile(cmd); err != nil {
		return nil, err
	}
	p := &plan.Plan{}
	if l.plan != "" {
		f, err := os.Open(l.plan)
		if err != nil {
			return nil, usagef("--plan: %v", plain(err))
		}
		defer f.Close()
		if p, err = plan.Decode(f); err != nil {
			return nil, usagef("--plan %s: %v", l.plan, err)
		}
		p.In(filepath.Dir(l.plan))
	} else if len(urls) == 0 {
		return nil, usagef("no URL was given: usage: %s", cmd.UseLine())
	}
	if len(urls) > 0 {
		p.Targets = nil
		for _, raw := range urls {
			req, dialer, err := l.target.load(cmd, plan.Plain(raw))
			if err != nil {
				return nil, err
			}
			// The request and the dialer decide; the rest is for the report, and for a canary, which makes its own.
			p.Targets = append(p.Targets, plan.Target{
				URL: raw, HTTP: l.target.http, Method: req.Method, Request: req, Dialer: dialer,
				Insecure: l.target.insecure, CACert: l.target.caCert, Cert: l.target.cert, Key: l.target.key,
			})
		}
	} else {
		var alone *pflag.Flag
		for _, name := range []string{"header", "method", "body", "http", "insecure", "cacert", "cert", "key", "connect-to"} {
			if f := cmd.Flags().Lookup(name); f.Changed {
				alone = f
			}
		}
		if alone != nil {
			return nil, usagef("--%s is about the URLs of the command line, and none is there: give one, or put it into the plan's targets", alone.Name)
		}
	}
	switch {
	case l.streams < 1:
		return nil, usagef("--streams %d: at least 1 is wanted", l.streams)
	case l.perConn < 1:
		return nil, usagef("--streams-per-conn %d: at least 1 is wanted", l.perConn)
	case l.duration <= 0:
		return nil, usagef("--duration %v: a time above zero is wanted", l.duration)
	case l.ramp < 0:
		return nil, usagef("--ramp %v: a time of zero or more is wanted", l.ramp)
	case l.inFlight < 1:
		return nil, usagef("--publish-in-flight %d: at least 1 is wanted", l.inFlight)
	case l.deadline <= 0:
		return nil, usagef("--publish-deadline %v: a time above zero is wanted", l.deadline)
	case l.publishSize < 0:
		return nil, usagef("--publish-size %d: zero or more is wanted", l.publishSize)
	}
	given := func(name string) bool { return l.plan == "" || cmd.Flags().Changed(name) }
	if err := l.openings(p, cmd.Flags().Changed); err != nil {
		return nil, err
	}
	if err := l.life.apply(p, cmd.Flags().Changed); err != nil {
		return nil, err
	}
	if given("duration") {
		p.Hold = l.duration
	}
	if given("streams-per-conn") {
		p.StreamsPerConn = l.perConn
	}
	if cmd.Flags().Changed("variables") {
		p.Variables = &l.variables
	} else if cmd.Flags().Changed("variables-order") {
		if p.Variables == nil {
			return nil, usagef("--variables-order is about rows, and there are none: give --variables FILE.csv")
		}
		p.Variables.Order = l.variables.Order
	}
	if cmd.Flags().Changed("finite") {
		p.Finite = &l.finite
	}
	if given("engine") {
		p.Engine = l.engine
	}
	if given("source") {
		p.Sources = l.sources
	}
	if given("timeout") {
		p.Timeout = l.target.timeout
	}
	if given("threshold") {
		p.Thresholds = ownThresholds(cmd, l.thresholds, false)
	}
	l.stamp.apply(p)
	if err := l.publishing(p); err != nil {
		return nil, err
	}
	if p.Publish != nil && given("publish-rate") {
		var err error
		if p.Publish.Rate, err = plan.ParseRate(l.publishRate); err != nil {
			return nil, usagef("--publish-rate: %v", err)
		}
	}
	if p.Publish != nil && given("publish-arrival") {
		p.Publish.Arrival = l.publishTime
	}
	if p.Publish != nil && given("publish-size") {
		p.Publish.Size = l.publishSize
	}
	if p.Publish != nil && given("publish-in-flight") {
		p.Publish.InFlight = l.inFlight
	}
	if p.Publish != nil && given("publish-deadline") {
		p.Publish.Deadline = l.deadline
	}
	if p.Publish != nil && given("publish-warm-up") {
		p.Publish.WarmUp = l.warmUp
	}
	if err := p.Validate(); err != nil {
		return nil, usagef("%v", err)
	}
	return p, nil
}

// publishing sets what the flags say of how events are published, in the place of what a plan says.
func (l *loadFlags) publishing(p *plan.Plan) error {
	if len(p.Targets) > 1 && l.publish.usesOrigin() {
		return usagef("{{.Origin}} with %d targets: the streams are spread over them, and what is published at one alone would count as lost at the others; load one at a time, or publish at a URL written out that reaches all", len(p.Targets))
	}
	target := &url.URL{}
	if len(p.Targets) > 0 && p.Targets[0].Request != nil {
		target = p.Targets[0].Request.URL
	}
	hook, err := l.publish.at(target)
	if hook == nil || err != nil {
		return err
	}
	if p.Publish == nil {
		p.Publish = new(plan.Publish)
	}
	p.Publish.HTTP, p.Publish.Header, p.Publish.Body, p.Publish.Command, p.Publish.Stdin = hook.HTTP, hook.Header, hook.Body, hook.Command, hook.Stdin
	p.Publish.Protocol = l.publish.proto
	return nil
}

// openings sets what the flags say of when streams open; a plan's own shape gives way to another that is given.
func (l *loadFlags) openings(p *plan.Plan, changed func(flag string) bool) (err error) {
	for _, with := range []string{"streams", "ramp", "open-rate"} {
		if changed("stages") && changed(with) {
			return usagef("--stages and --%s: the stages say how many streams there are and how fast they open; give one or the other", with)
		}
	}
	if changed("ramp") && changed("open-rate") {
		return usagef("--ramp and --open-rate: both say how fast streams open; give one of them")
	}
	if changed("streams") {
		p.Streams, p.Stages = l.streams, nil
	}
	if changed("ramp") {
		p.Ramp, p.OpenRate, p.Stages = l.ramp, 0, nil
		if p.Ramp == 0 {
			p.Ramp = -1 // all at once; 0 is the plan's "choose for me"
		}
	}
	if changed("open-rate") {
		p.Ramp, p.Stages = 0, nil
		if p.OpenRate, err = plan.ParseRate(l.openRate); err != nil {
			return usagef("--open-rate: %v", err)
		}
	}
	if changed("stages") {
		p.Streams, p.Ramp, p.OpenRate = 0, 0, 0
		if p.Stages, err = plan.ParseStages(l.stages); err != nil {
			return usagef("--stages: %v", err)
		}
	}
	if changed("arrival") {
		p.Arrival = l.arrival
	}
	if changed("seed") {
		p.Seed = l.seed
	}
	return nil
}

// loadNote is the moment of a load run in a few words.
func loadNote(s *loadgen.Snapshot) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s of %s streams open", s.Phase, result.Count(int64(s.Open)), result.Count(int64(s.Planned)))
	if s.Failed > 0 {
		fmt.Fprintf(&b, ", %s failed", result.Count(int64(s.Failed)))
	}
	if s.Received > 0 {
		fmt.Fprintf(&b, ", %s events/s", result.Count(int64(s.EventsPerSecond)))
	}
	if !math.IsNaN(s.DeliverP99) && s.DeliverP99 > 0 {
		fmt.Fprintf(&b, ", delivered p50 %s p99 %s", result.Micros(s.DeliverP50), result.Micros(s.DeliverP99))
	}
	if s.Lost > 0 {
		fmt.Fprintf(&b, ", %s lost", result.Count(s.Lost))
	}
	return b.String()
}

// spokenTarget names the first target as it was reached: the final URL and the protocol.
func spokenTarget(load *result.Load, p *plan.Plan) result.Target {
	t := result.Target{URL: result.Mask(p.Targets[0].URL)}
	if targets, ok := load.Plan["targets"].([]any); ok && len(targets) > 0 {
		if first, ok := targets[0].(map[string]any); ok {
			t.HTTP, _ = first["spoken"].(string)
		}
	}
	return t
}
