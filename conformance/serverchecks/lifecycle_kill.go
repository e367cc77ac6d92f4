package serverchecks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"ssegauge/conformance"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// No clause. Streams are open and events are published while the hook restarts or stops the target. Blame needs the target's own word that it heard: it
// takes no new connections, and holds the streams nevertheless. (Behind a proxy that word is not to be had.) Where in the stream it ends is what
// lifecycle/end-boundary judges.
var lifecycleShutdown = conformance.Check{
	ID: "lifecycle/shutdown", Title: "a shutdown ends the streams in time",
	Level: result.Advice, Clause: noClause, Needs: conformance.Kill,
	Text: "When the server is told to stop, its streams end within three seconds after it takes no more connections; they do not hold the shutdown up.",
	Why: "A graceful shutdown waits for responses to end, and a stream never does: each deploy hangs until the supervisor kills the process, which cuts every stream at an " +
		"arbitrary byte, and whatever else was to be finished.",
	Good: "(SIGTERM)\n\ndata: last\n\n(0.1 s) (end of the response)", Bad: "(SIGTERM)\n\n(30 s) (killed)",
	Evidence: []string{"tokio-rs/axum#2673", "hyperium/hyper#2787", "nestjs/nest#9517", "sysid/sse-starlette#157"},
	Run:      judgeShutdown,
}

// WHATWG HTML 9.2.5, the event production, and 9.2.6: what stands after the last blank line when the stream ends is discarded. As framing/terminated, at an end that the
// hook brings about while events are published. A response that breaks off may have been killed, which no server can help: that warns.
var lifecycleEndBoundary = conformance.Check{
	ID: "lifecycle/end-boundary", Title: "a stream that the server ends, ends after a blank line",
	Level: result.Must, Clause: "WHATWG HTML 9.2.5", Needs: conformance.Kill,
	Text: "Where the server ends its streams because it stops or restarts, the last event on each is followed by its blank line.",
	Why:  "A conforming client discards the event that the blank line is missing from, and comes back for what follows the one before: what was on the wire is lost, or comes twice.",
	Good: "id: 7\ndata: last\n\n(end)", Bad: "id: 7\ndata: la(end)",
	Run: judgeEndBoundary,
}

const (
	killPatience = 8 * time.Second
	killGrace    = 3 * time.Second
	killLead     = 300 * time.Millisecond // events before the hook
	killPosts    = 400
)

// killing is what the hook did to open streams.
type killing struct {
	why     string // nothing can be said
	failed  error  // of the hook
	conns   []*conformance.Connection
	begun   time.Time
	took    time.Duration // the hook
	refused time.Duration // since begun: nobody took a connection any more; 0: never seen
}

// ended is when the stream ended, since the hook began, and how; err is nil where it goes on.
func (k *killing) ended(c *conformance.Connection) (after time.Duration, err error) {
	at, err := c.Ended()
	return c.Timing.Start.Add(at).Sub(k.begun), err
}

// all tells whether every stream ended.
func (k *killing) all() bool {
	for _, c := range k.conns {
		if _, err := c.Ended(); err == nil {
			return false
		}
	}
	return true
}

// killed is the one use of the hook in a run, and the target alone until release; where nothing came of it that can be judged it has reported why.
func killed(ctx context.Context, p *conformance.Probe) (_ *killing, _ context.Context, release func(), ok bool) {
	if !p.Require(conformance.Kill) {
		return nil, nil, nil, false
	}
	p.Apart()
	if _, ok := streamed(p); !ok {
		return nil, nil, nil, false
	}
	ctx, release, ok = p.Last(ctx)
	if !ok {
		return nil, nil, nil, false
	}
	k := p.Once("kill", func() any { return kill(ctx, p) }).(*killing)
	switch {
	case k.why != "":
		p.NotObserved("%s", k.why)
	case k.failed != nil:
		p.Error("the hook that ends streams failed: %s", conformance.Cause(k.failed))
	default:
		return k, ctx, release, true
	}
	release()
	return nil, nil, nil, false
}

func kill(ctx context.Context, p *conformance.Probe) *killing {
	k := &killing{}
	for range 2 {
		c := p.OpenAwake(ctx, p.Request(), 3*time.Second)
		defer c.Close()
		if c.Err != nil || c.Head.Status != 200 {
			break // it may serve one at a time
		}
		k.conns = append(k.conns, c)
	}
	if len(k.conns) == 0 {
		k.why = "no stream could be opened to be ended"
		return k
	}
	live, cancel := context.WithCancel(ctx)
	traffic := make(chan struct{})
	go func() {
		defer close(traffic)
		if p.Target().Publisher == nil {
			return
		}
		for n := 0; n < killPosts && live.Err() == nil && p.Post(live, 0).Taken(); n++ {
			pause(live, 10*time.Millisecond)
		}
	}()
	defer func() { cancel(); <-traffic }()
	pause(ctx, killLead)
	k.begun = time.Now()
	hook := make(chan error, 1)
	go func() { hook <- p.Restart(ctx) }()
	var done bool
	for (!done || !k.all()) && ctx.Err() == nil && time.Since(k.begun) < killPatience {
		if k.refused == 0 && !k.all() {
			if c, _, err := p.Dial(ctx, p.Request(), 500*time.Millisecond); err == nil {
				c.Close()
			} else if e, ok := errors.AsType[*wire.Error](err); ok && e.Phase == wire.PhaseConnect && !timedOut(err) {
				k.refused = time.Since(k.begun)
			}
		}
		tick := time.NewTimer(100 * time.Millisecond)
		select {
		case k.failed = <-hook:
			done, k.took = true, time.Since(k.begun)
		case <-tick.C:
		}
		tick.Stop()
		if k.failed != nil {
			return k
		}
	}
	if !done { // it is told by the end of the check's time at the latest
		err := <-hook
		if k.took = time.Since(k.begun); k.all() || k.refused == 0 {
			k.failed = err
		}
	}
	return k
}

func judgeShutdown(ctx context.Context, p *conformance.Probe) {
	k, _, release, ok := killed(ctx, p)
	if !ok {
		return
	}
	defer release()
	const hint = "on the signal to stop, end every stream (in Go: http.Server.RegisterOnShutdown, or a context that the handlers watch) before waiting for them"
	var last time.Duration
	broke := 0
	for _, c := range k.conns {
		after, err := k.ended(c)
		if err == nil {
			if k.refused == 0 {
				p.NotObserved("%v after the hook was called streams went on, and new connections were taken: it ended nothing", killPatience).
					Hint("see what the command does")
				return
			}
			p.Fail("%v after the server took no more connections its streams still go on", ms(killPatience-k.refused)).Hint(hint)
			return
		}
		if last = max(last, after); err != io.EOF {
			broke++
		}
	}
	how := "properly"
	if broke > 0 {
		how = fmt.Sprintf("%d of %d by breaking off", broke, len(k.conns))
	}
	if k.refused > 0 && last-k.refused > killGrace {
		p.Warn("for %v the server took no more connections and held its streams; then they ended, %s", ms(last-k.refused), how).Hint(hint)
		return
	}
	p.Pass("%s ended %v after the hook was called, %s", plural(len(k.conns), "stream"), ms(max(0, last)), how)
}

func judgeEndBoundary(ctx context.Context, p *conformance.Probe) {
	k, _, release, ok := killed(ctx, p)
	if !ok {
		return
	}
	defer release()
	ended := 0
	for _, c := range k.conns {
		_, err := k.ended(c)
		if err == nil {
			continue
		}
		ended++
		tail, loses := c.Tail()
		if !loses || !tail.Loses() {
			continue
		}
		at := c.Evidence(tail.Start, int64(len(c.Content())))
		if err == io.EOF {
			p.Fail("the stream was ended within an event, which clients discard").
				Hint("end each stream from the task that writes to it, between two events").At(at)
			continue
		}
		p.Warn("the stream broke off within an event: %s", conformance.Cause(err)).
			Hint("write each event with its blank line in one piece; end the process with a signal that it can handle").At(at)
	}
	if ended == 0 {
		p.NotObserved("the streams went on after the hook that ends them").Hint("see lifecycle/shutdown")
		return
	}
	p.Pass("%s ended between events, with %s on them", plural(ended, "stream"), plural(events(k.conns), "event"))
}
