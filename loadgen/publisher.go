package loadgen

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"time"

	"ssegauge/loadgen/engine"
	"ssegauge/loadgen/measure"
	"ssegauge/loadgen/plan"
	"ssegauge/loadgen/schedule"
	"ssegauge/reference/publish"
	"ssegauge/reference/wire"
)

// publisher publishes events at their intended times, several under way at once: it does not wait for one to be done before the next is due.
type publisher struct {
	hook    *publish.Publisher
	plan    *plan.Publish
	padding string
	dropped int // planned events that never began
	limited int // events that waited for one under way, because there were as many as may be
}

func newPublisher(p *plan.Plan) (*publisher, error) {
	if p.Publish == nil {
		return nil, nil
	}
	// The target of the streams is most often that of the hook: what is trusted and spoken there is so here.
	d, r, err := p.Targets[0].Open()
	if err != nil {
		return nil, err
	}
	hook := p.Publish.Hook()
	hook.Timeout, hook.TLS, hook.Idle = max(p.Publish.Deadline, publish.DefaultTimeout), d.TLS, p.Publish.InFlight
	hook.AsStreams(d.Proto, r.URL)
	h, err := publish.Compile(hook)
	if err != nil {
		var he *publish.HookError
		if errors.As(err, &he) {
			return nil, &plan.Error{Where: "publish: " + he.Part, What: he.Reason}
		}
		return nil, err
	}
	if !h.Uses("Marker") && !h.Uses("Data") {
		return nil, &plan.Error{Where: "publish", What: "neither {{.Marker}} nor {{.Data}} stands in the URL, a header or the body, so what arrives could not be recognised; put one of them where the event's data goes"}
	}
	return &publisher{hook: h, plan: p.Publish, padding: padding(p.Publish.Size)}, nil
}

// padding is text of n bytes that no encoding escapes.
func padding(n int) string {
	const line = ".ssegauge"
	return strings.Repeat(line, n/len(line)+1)[:n]
}

// run publishes all events, or until ctx is done, and waits for those under way.
func (p *publisher) run(ctx context.Context, b *measure.Board, c measure.Config, events schedule.Arrival) {
	type job struct {
		seq    uint32
		marker string
	}
	_ = p.hook.Start() // where it fails, so does the first publish, and says so
	jobs := make(chan job)
	var workers sync.WaitGroup
	idle := 0
	var mu sync.Mutex // guards idle
	work := func() {
		for j := range jobs {
			p.publish(ctx, b, j.seq, j.marker)
			mu.Lock()
			idle++
			mu.Unlock()
		}
	}
	started := 0
	defer func() {
		close(jobs)
		workers.Wait()
		p.hook.Close()
	}()
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	n := events.Len()
	for seq := 0; seq < n; {
		due := c.Start + events.At(seq)
		if wait := due - time.Since(c.Epoch); wait > coarse {
			timer.Reset(wait - coarse)
			select {
			case <-timer.C:
			case <-ctx.Done():
				return
			}
		}
		if ctx.Err() != nil {
			return
		}
		for wait := due - time.Since(c.Epoch); wait > 0; wait = due - time.Since(c.Epoch) {
			nap(wait)
		}
		marker, _, ok := b.Begin(uint32(seq))
		if !ok { // as many are under way as the deadline allows: the board concludes some at its next tick
			if time.Since(c.Epoch) > c.Start+c.Events.At(n-1)+c.Deadline {
				p.dropped = n - seq
				return
			}
			time.Sleep(10 * time.Millisecond)
			continue
		}
		mu.Lock()
		if idle > 0 {
			idle--
		} else if started < p.plan.InFlight {
			started++
			workers.Go(work)
		} else {
			p.limited++
		}
		mu.Unlock()
		select {
		case jobs <- job{uint32(seq), marker}:
		case <-ctx.Done():
			b.Done(uint32(seq), b.Now(), measure.Failed, "")
			return
		}
		seq++
	}
}

func (p *publisher) publish(ctx context.Context, b *measure.Board, seq uint32, marker string) {
	m := publish.Message{Marker: marker, Data: marker}
	if extra := len(p.padding) - len(marker); extra > 0 {
		m.Data = marker + p.padding[:extra]
	}
	b.Sent(seq, b.Now())
	r, err := p.hook.Publish(ctx, m)
	at := b.Now()
	switch {
	case err != nil && ctx.Err() != nil:
		b.Done(seq, at, measure.Failed, "")
	case err != nil:
		b.Done(seq, at, measure.Failed, publishCause(err))
	case r.Refused:
		cause := fmt.Sprintf("status %d", r.Status)
		if p.plan.Command != "" {
			cause = fmt.Sprintf("command: exit status %d", r.Status)
		}
		b.Done(seq, at, measure.Refused, cause)
	default:
		b.Done(seq, at, measure.Published, "")
	}
}

func publishCause(err error) string {
	var carry *publish.CarryError
	var command *publish.CommandError
	var errno syscall.Errno
	switch {
	case errors.As(err, &command):
		return "command: " + command.Exit + ": " + command.Says
	case errors.As(err, &carry):
		return carry.Reason
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.As(err, &errno):
		return errno.Error()
	}
	_, what, _ := strings.Cut(engine.CauseOf(wire.PhaseConnect, err), ": ")
	return what
}
