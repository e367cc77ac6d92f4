package conformance

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"ssegauge/reference/publish"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// Defaults of a [Target].
const (
	DefaultWindow     = 20 * time.Second
	DefaultHeadBudget = time.Second
)

// Target is who is judged, and what its operator lends and declares.
type Target struct {
	Request      wire.Request       // the nominal request, Accept included
	Dialer       wire.Dialer        // redirects, recording and decoding are the run's own business
	Publisher    *publish.Publisher // nil: no publish hook
	Window       time.Duration      // how long the stream is observed; 0: [DefaultWindow]
	HeadBudget   time.Duration      // how long a head may take beside the path's round trip; 0: [DefaultHeadBudget]
	ExpectReplay bool               // declared: a client that reconnects with Last-Event-ID gets what it missed
	Active       bool               // hostile and large payloads are allowed

	// What the operator lends beside the publish hook; the zero value: nothing.
	ScenarioURL string       // template of the URLs of named scripts: "http://host/scenario/{{.Name}}"
	Kill        Action       // ends the streams
	Restart     Action       // restarts the server
	Gauge       *GaugeSource // tells how many streams there are
	DirectURL   *url.URL     // the way past the proxy: the same checks run there too, after these

	Declared Declared
}

// Options are how a run goes about it.
type Options struct {
	// Progress, where set, is called as checks come to a verdict, one call at a time.
	Progress func(decided, total int, id string)
	// Opened, where set, is called before the first finding, with the target and the protocol that it speaks. It is not called where nobody answers.
	Opened func(result.Target)
	// Finding, where set, is called with each finding as it is made, before Progress.
	Finding func(result.Finding)
	// Barren, where set, is called at the end with why, where the publish hook failed: it gave an error, the target refused a plain event, or
	// nothing of what was published ever came back. Checks that were not observed for another reason are not told of here.
	Barren func(why string)
	// Severity overrides, by id, what it counts for when a requirement is not met.
	Severity map[string]Severity
	// Recording, where set, is filled with all that the run asks and all that comes back.
	Recording *Recording

	tape  tape   // of a run within a run, or of a replay
	scope string // of a run within a run
	seed  string // of its nonces; "": a new one
}

// A run ends with its window where the target answers; where it doesn't, those checks that talk to it alone wait for it.
const (
	beyond   = 25 * time.Second // all of them together
	perCheck = 12 * time.Second // one of them
	grace    = 5 * time.Second  // what is not done then is a fault of ours
)

// Run holds the target against the checks, all of them side by side; those whose Run is nil are left out. One connection is observed for
// the window and judged by many checks; those that make further requests take turns after it.
//
// The findings stand in the order of checks. Where ctx ends early the run holds what is known by then, Interrupted. Tool is the
// caller's to fill.
//
// The errors: [*UnreachableError] where nobody answers, [*wire.RequestError] where the request cannot be sent as it stands.
func Run(ctx context.Context, t Target, checks []Check, o Options) (*result.Run, error) {
	if t.Window <= 0 {
		t.Window = DefaultWindow
	}
	if t.HeadBudget <= 0 {
		t.HeadBudget = DefaultHeadBudget
	}
	t.ExpectReplay = t.ExpectReplay || t.Declared.Replay != Replay{}
	built := make([]*Check, 0, len(checks))
	for i := range checks {
		if checks[i].Run != nil && o.Severity[checks[i].ID] != SeverityOff {
			built = append(built, &checks[i])
		}
	}
	start := time.Now()
	s := &session{
		target: t, over: make(chan struct{}), secrets: secretsOf(&t), scope: o.scope, seed: o.seed, tape: o.tape,
		stage: &stage{hold: t.Window, idle: make(chan struct{})},
	}
	if s.seed == "" {
		s.seed = rand.Text()
	}
	ctx, stop := context.WithCancel(ctx)
	s.hooks.count(&s.target)
	defer s.hooks.wait() // a run leaves no command behind
	defer stop()
	if r := o.Recording; r != nil {
		r.begin(s, start, built)
		s.tape = r
		defer func() { r.end(s.secrets.all(), ctx.Err() != nil) }()
	}
	if s.tape != nil && s.scope == "" {
		s.tape.wrap(&s.target, built)
	}
	ctx = asker{scope: s.scope}.in(ctx)
	publishing := 0
	for _, c := range built {
		if c.Needs&Publish != 0 {
			publishing++
		}
	}
	s.oracle = newOracle(s, publishing)
	if err := s.openFirst(ctx); err != nil {
		return nil, err
	}
	about := result.Target{URL: result.Mask(t.Request.URL.String()), HTTP: s.spoken()}
	if o.Opened != nil {
		o.Opened(about)
	}

	s.deadline = start.Add(t.Window)

	findings := make([]result.Finding, len(built))
	var wg sync.WaitGroup
	var mu sync.Mutex
	decided := 0
	judge := func(p *Probe, on *cue) {
		f := s.judge(ctx, p, on)
		mu.Lock()
		defer mu.Unlock()
		findings[p.order] = f
		decided++
		shown := f
		o.Severity[p.check.ID].apply(&shown)
		if o.Finding != nil {
			o.Finding(shown)
		}
		if o.Progress != nil {
			o.Progress(decided, len(built), p.check.ID)
		}
	}
	for i, c := range built {
		if c.Needs&Direct == 0 {
			p := &Probe{s: s, check: c, ctx: ctx, order: i}
			on := s.stage.enter(p)
			wg.Go(func() { judge(p, on) })
		}
	}
	go s.observe(ctx) // not before all are on stage: it ends when nobody there needs it
	s.stage.poke()    // curtain up; an empty list ends too
	wg.Wait()
	<-s.over
	s.goPast(ctx, findings, built)
	for i, c := range built {
		if c.Needs&Direct != 0 {
			p := &Probe{s: s, check: c, ctx: ctx, order: i}
			on := s.stage.enter(p)
			s.stage.poke()
			judge(p, on)
		}
		o.Severity[c.ID].apply(&findings[i])
	}
	if o.Barren != nil && s.oracle.barren {
		why := result.Finding{Message: oneLine(s.oracle.reason)}
		s.secrets.conceal(&why)
		o.Barren(why.Message)
	}
	return &result.Run{
		Schema:      result.SchemaCheck,
		Target:      about,
		Started:     start,
		DurationMS:  millis(time.Since(start)),
		Interrupted: ctx.Err() != nil,
		Check:       &result.Check{Summary: result.Summarise(findings), Results: findings},
	}, nil
}

// spoken names the protocol of the first connection.
func (s *session) spoken() string {
	switch c := s.first; {
	case c.Head != nil && c.Proto == wire.HTTP11:
		return c.Head.Proto.String() // it may be 1.0
	case c.Proto == wire.Auto && s.target.Request.URL.Scheme == "http":
		return wire.HTTP11.String()
	default:
		return c.Proto.String()
	}
}

// judge runs one check: a panic is a fault of ours, and so is one that does not come back.
func (s *session) judge(ctx context.Context, p *Probe, on *cue) result.Finding {
	c := p.check
	done := make(chan struct{})
	go func() {
		defer close(done)
		<-on.on
		defer s.stage.leave(p)
		if s.tape != nil {
			defer s.tape.left(asker{s.scope, c.ID, p})
		}
		defer p.Apart()
		defer func() {
			if v := recover(); v != nil {
				p.Error("a fault of ours in this check: %v at %s", v, panicSite())
			}
		}()
		if why := p.NoStream(); why != "" && c.Needs&Publish != 0 {
			p.NotObserved("%s", why).Hint("see http/status and live/headers-flushed")
			return
		}
		if c.Needs&(Publish|Observe) == Publish && s.target.Publisher == nil {
			p.Require(Publish)
			return
		}
		c.Run(asker{s.scope, c.ID, p}.in(ctx), p)
	}()
	limit := time.NewTimer(s.target.Window + beyond + grace)
	defer limit.Stop()
	select {
	case <-done:
		return p.finding()
	case <-limit.C:
		return result.Finding{
			ID: c.ID, Title: c.Title, Level: c.Level, Clause: c.Clause, Core: c.Core, Evidence: []result.Evidence{},
			Verdict: result.Error, Message: fmt.Sprintf("no verdict within %v of the window's end: a fault of ours", beyond+grace),
		}
	}
}

// panicSite is the file and line that panicked, without the rest of the stack.
func panicSite() string {
	lines := strings.Split(string(debug.Stack()), "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, "panic(") && i+3 < len(lines) {
			site, _, _ := strings.Cut(strings.TrimSpace(lines[i+3]), " +")
			return site[strings.LastIndex(site, "/")+1:]
		}
	}
	return "an unknown place"
}

func isEventStream(h *wire.Head) bool {
	essence, _ := MediaType(h)
	return essence == "text/event-stream"
}
