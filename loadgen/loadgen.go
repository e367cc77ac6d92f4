// Package loadgen runs a load plan: it finds out how the target is reached, opens the streams of the plan with an engine, publishes events, and says what
// was measured and whether it can be trusted. A single machine is a fleet of one: the segment 0:1 of the plan, by the same code.
//
//	plan -> schedule -> engine (wire + sse) -> measure -> result.Load
//
// It may import loadgen/*, reference/sse, reference/wire, reference/publish and reports/result.
package loadgen

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"ssegauge/loadgen/engine"
	"ssegauge/loadgen/measure"
	"ssegauge/loadgen/plan"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// Snapshot is where a run stands, for a line of progress.
type Snapshot struct {
	measure.Snapshot
	Elapsed, Total time.Duration // Total is what the plan takes, without waiting for the last events
	Phase          string        // "opening", "publishing" or "holding", "draining"
}

// UnreachableError says that the target could not be reached at all.
type UnreachableError struct {
	URL string // credentials masked
	Err error
}

func (e *UnreachableError) Error() string {
	return "cannot reach " + e.URL + ": " + result.MaskText(e.Err.Error())
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// LimitError says before the start that this machine cannot hold what the plan asks for.
type LimitError struct {
	What  string // "file descriptors", "local ports"
	Limit uint64
	Need  int // connections
	Fits  int // streams that would fit
}

func (e *LimitError) Error() string {
	advice := "raise the limit with ulimit -n, or use HTTP/2"
	if e.What == localPorts {
		advice = "give more local addresses with --source, widen net.ipv4.ip_local_port_range, or use HTTP/2"
	}
	return fmt.Sprintf("the plan needs %d connections, but this process may have %d %s: at most %d streams fit (%s)", e.Need, e.Limit, e.What, e.Fits, advice)
}

// Run runs the plan and calls progress (nil: nobody) once a second. Errors: *[plan.Error] and *[LimitError] before anything is opened, *[UnreachableError]; where ctx is
// done before the plan is, the result is what is known by then and the error is ctx's.
func Run(ctx context.Context, p *plan.Plan, progress func(Snapshot), options ...Option) (*result.Load, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	pub, err := newPublisher(p)
	if err != nil {
		return nil, err
	}
	r := &session{plan: p, publisher: pub, progress: progress}
	for _, o := range options {
		o(r)
	}
	if r.stamp, err = newStamp(p); err != nil {
		return nil, err
	}
	if r.targets, err = r.resolve(ctx); err != nil {
		return nil, err
	}
	if r.engine, r.reads, err = engine.Choose(p.Engine, r.targets); err != nil {
		return nil, &plan.Error{Where: "engine", What: err.Error()}
	}
	if err := chooseSources(p, r.targets); err != nil {
		return nil, err
	}
	if err := checkLimits(p, r.targets); err != nil {
		return nil, err
	}
	if r.sink != nil && progress != nil {
		progress(Snapshot{Phase: "calibrating", Snapshot: measure.Snapshot{Planned: p.Streams}})
	}
	r.received = r.calibrate(ctx)
	l := r.run(ctx)
	if err := r.unreachable(l); err != nil && ctx.Err() == nil {
		return nil, err
	}
	return l, context.Cause(ctx)
}

// Option is something beside the plan that a run may use.
type Option func(*session)

// WithCanary gives the run a canary where one is of use: start makes the process, which is to call [RunCanary] and nothing else, and does not start it.
func WithCanary(start func() (*exec.Cmd, error)) Option {
	return func(r *session) { r.canary = start }
}

// WithCalibration has the run find out beforehand what this machine can receive: start makes the process of a server for [StartServer].
func WithCalibration(start func(tls bool) (*exec.Cmd, error)) Option {
	return func(r *session) { r.sink = start }
}

// WithAbruptEnds has the run reset its connections at the end instead of closing them: nothing of it is left for the target to wait for.
func WithAbruptEnds() Option {
	return func(r *session) { r.abrupt = true }
}

// Resolved is how the targets of a plan are reached, for further runs at the same: they need no stream for finding out.
type Resolved struct{ targets []engine.Target }

// WithResolved has the run take what an earlier one found out, or else find it out for later ones.
func WithResolved(known *Resolved) Option {
	return func(r *session) { r.known = known }
}

// session is one Run.
type session struct {
	plan       *plan.Plan
	publisher  *publisher     // nil: nothing is published
	stamp      *measure.Stamp // nil: events are not known to carry the time at which they were sent
	targets    []engine.Target
	progress   func(Snapshot)
	engine     engine.Engine
	reads      string // the engine's name
	board      *measure.Board
	openings   int
	heldBefore int64                     // memory before the first stream
	perStream  int64                     // memory of each, once all were open; 0: not known
	abrupt     bool                      // connections are reset
	known      *Resolved                 // nil: each run finds out by itself
	canary     func() (*exec.Cmd, error) // nil: none
	sink       func(tls bool) (*exec.Cmd, error)
	received   *result.Calibration // nil: not calibrated
}

func (r *session) run(ctx context.Context) *result.Load {
	p := r.plan
	openings := p.Openings()
	r.openings = openings.Len()
	run := runID()
	events, warm := p.Events()
	ramp := p.RampTime()
	conf := measure.Config{Workers: engine.Workers(r.reads), Streams: openings.Len(), Epoch: time.Now(), Finite: p.IsFinite(), Reconnect: p.Reconnect != nil}
	total := ramp + p.Hold
	if p.Publish != nil {
		conf.Events, conf.Warm = events, warm
		conf.Start = p.PublishStart()
		conf.Settle, conf.Deadline = p.Publish.Settle, p.Publish.Deadline
		conf.Marker = measure.NewMarker(run)
		total = conf.Start + warm + p.Hold
	} else {
		conf.Observe, conf.Settle, conf.Deadline = true, plan.DefaultSettle, plan.DefaultDeadline
		conf.Stamp, conf.SameClock = r.stamp, sameMachine(r.targets)
	}
	// What opening leaves behind would double what the streams take, and collecting it more often costs little: the heap is mostly the streams. The user may know better.
	if os.Getenv("GOGC") == "" {
		defer debug.SetGCPercent(debug.SetGCPercent(gcPercent))
	}
	board := measure.NewBoard(conf)
	r.board = board
	for _, t := range r.targets {
		if t.Lookup > 0 {
			board.Resolved(t.Lookup)
		}
	}
	before := usage()
	debug.FreeOSMemory()
	r.heldBefore = held()
	watched := &health{from: conf.Start}
	bird, noCanary := r.startCanary(run)

	engineCtx, stopEngine := context.WithCancel(ctx)
	defer stopEngine()
	drained, stopPublishing := context.WithCancel(engineCtx)
	defer stopPublishing()
	engineDone := make(chan struct{})
	go func() {
		defer close(engineDone)
		if ctx.Err() != nil {
			return // before the first opening, which would fail
		}
		r.engine.Run(engineCtx, &engine.Job{
			Targets: r.targets, Openings: openings, Burst: ramp == 0, StreamsPerConn: p.StreamsPerConn, Timeout: p.Timeout, Board: board, Life: life(p),
		})
	}()
	var publishing sync.WaitGroup
	published := make(chan struct{})
	publishing.Go(func() {
		defer close(published)
		if r.publisher != nil {
			r.publisher.run(drained, board, conf, events)
		}
	})

	ended, peak := r.watch(engineCtx, total, engineDone, published, watched)
	lag := watched.end()
	stopPublishing()
	publishing.Wait()
	board.Finish()
	rssAfter := rss()
	if r.perStream == 0 {
		debug.FreeOSMemory()
		r.weigh()
	}
	stopEngine()
	<-engineDone

	l := &result.Load{Plan: p.Map(), Environment: Environment(), Gates: []result.Gate{}}
	for i, t := range r.targets {
		m := l.Plan["targets"].([]any)[i].(map[string]any)
		m["spoken"] = t.Proto.String()
		if n := len(t.Sources); n > 1 {
			m["sources"] = fmt.Sprintf("%v to %v", t.Sources[0], t.Sources[n-1])
		}
		if !p.Requests(i).URLVaries() {
			m["url"] = result.Mask(t.Request.URL.String())
		}
	}
	l.Streams.Planned = openings.Len()
	board.Fill(l)
	l.Plan["tier"] = fmt.Sprintf("%d: %s", l.Correlation.Tier, l.Correlation.How)
	l.Generator.Engine = r.reads
	l.Generator.CPUSeconds = (usage() - before).Seconds()
	l.Generator.RSSBytes = max(rssAfter, peak)
	l.Generator.BytesPerStream = r.perStream
	watched.fill(&l.Generator)
	l.Generator.Calibration = r.received
	switch {
	case bird != nil:
		l.Generator.Canary = bird.end()
	case noCanary != "":
		l.Generator.Canary = &result.Canary{Note: noCanary}
	}
	h := measure.Health{Lag: lag, Cut: ctx.Err() != nil, Varies: p.IsFinite()}
	if ended > 0 && ended < total {
		h.Ended, h.Planned = ended, total
	}
	if p.Publish != nil {
		h.Asked = float64(p.Publish.Rate) * float64(openings.Len())
	}
	if r.publisher != nil {
		h.Dropped, h.Limited = r.publisher.dropped, r.publisher.limited
	}
	l.Validity = board.Judge(l, h)
	return l
}

// gcPercent is how much the heap may grow between two collections.
const gcPercent = 30

// sweepAfter is when memory is given back, after the ramp: before anything is published, by default.
const sweepAfter = 300 * time.Millisecond

// sweepBy is when that happens at the latest, though not all are open.
const sweepBy = 900 * time.Millisecond

// weigh notes how much memory each open stream takes. What a run costs at all would drown what each of a few streams costs.
func (r *session) weigh() {
	if open := r.board.Open(); open >= 1000 {
		r.perStream = max(0, held()-r.heldBefore) / int64(open)
	}
}

// watch ticks the board until the plan is done: the time is over and every event concluded, or no stream is left and none will come, or ctx is done. It returns when
// the last stream ended by itself, 0 if it did not come to that, and the largest resident set it saw.
func (r *session) watch(ctx context.Context, total time.Duration, engineDone, published <-chan struct{}, watched *health) (ended time.Duration, peak int64) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	start := time.Now()
	phase := func(elapsed time.Duration) string {
		switch {
		case elapsed < r.plan.RampTime():
			return "opening"
		case elapsed >= total:
			return "draining"
		case r.publisher == nil:
			return "holding"
		}
		return "publishing"
	}
	swept := false
	for second := time.Second; ; {
		select {
		case <-ctx.Done():
			return 0, peak
		case <-engineDone:
			if ctx.Err() != nil {
				return 0, peak
			}
			return time.Since(start), peak
		case <-tick.C:
		}
		r.board.Tick()
		elapsed := time.Since(start)
		watched.observe(elapsed)
		if since := elapsed - r.plan.RampTime(); !swept && since >= sweepAfter && (r.board.Open() >= r.openings || since >= sweepBy) {
			// What connecting left behind goes back to the system while nothing is measured: garbage, and the stacks of handshakes.
			swept = true
			debug.FreeOSMemory()
			if r.board.Open() >= r.openings {
				r.weigh()
			}
		}
		if elapsed >= second {
			second += time.Second
			peak = max(peak, rss())
			s := r.board.Second()
			s.Planned = r.plan.Streams
			if r.progress != nil {
				r.progress(Snapshot{Snapshot: s, Elapsed: elapsed, Total: total, Phase: phase(elapsed)})
			}
		}
		if elapsed < total || elapsed < total+r.plan.Timeout && r.board.Ending() {
			continue
		}
		select {
		case <-published:
			if r.board.Settled() {
				return 0, max(peak, rss())
			}
		default:
		}
	}
}

// unreachable is the error of a run in which every opening failed before a byte of an answer.
func (r *session) unreachable(l *result.Load) error {
	if l.Streams.Opened > 0 || l.Streams.Failed == 0 {
		return nil
	}
	n := 0
	most, cause := 0, ""
	for c, k := range l.Streams.Failures {
		if phaseOf(c) == wire.PhaseConnect || phaseOf(c) == wire.PhaseResolve || phaseOf(c) == wire.PhaseTLS {
			n += k
			if k > most {
				most, cause = k, c
			}
		}
	}
	if n < l.Streams.Failed {
		return nil
	}
	return &UnreachableError{URL: l.Plan["targets"].([]any)[0].(map[string]any)["url"].(string), Err: errors.New(cause)}
}

// runID is a short id that no other run of the hour has: five digits in base 36.
func runID() string { return strconv.FormatUint(36*36*36*36+rand.Uint64N(35*36*36*36*36), 36) }
