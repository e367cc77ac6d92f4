package limits

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"ssegauge/loadgen"
	"ssegauge/loadgen/plan"
	"ssegauge/reference/publish"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// Session is all that a probe may touch.
type Session struct {
	*Search
	probe Probe
	End   time.Time // when it is to be done

	note  func(string)
	curve []result.Rung // what the probe measured of levels
	knee  *result.Knee
}

// Note tells the user what the probe is at.
func (s *Session) Note(format string, args ...any) {
	if s.note != nil {
		s.note(fmt.Sprintf(format, args...))
	}
}

// left is the time that the probe has.
func (s *Session) left() time.Duration { return time.Until(s.End) }

// within is ctx until the end of the probe.
func (s *Session) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithDeadline(ctx, s.End)
}

// dial connects with a protocol, and asks for nothing yet.
func (s *Session) dial(ctx context.Context, p wire.Proto) (*wire.Conn, error) {
	d := *s.target.dialer
	d.Proto = p
	return d.Dial(ctx, s.target.request.URL)
}

// open opens a stream on a connection of its own, and reads it until it is closed.
func (s *Session) open(ctx context.Context) (*Listener, error) {
	defer s.knock(ctx)()
	return s.openFrom(ctx, netip.Addr{}, maxEvent)
}

// openFrom is open from a local address of ours, the zero one leaves it to the system, for one of many streams: see openQuietly.
func (s *Session) openFrom(ctx context.Context, from netip.Addr, most int) (*Listener, error) {
	d := *s.target.dialer
	d.Proto = s.target.proto
	if from.IsValid() {
		d.NetDial = s.target.bind(from)
	}
	conn, err := d.Dial(ctx, s.target.request.URL)
	if err != nil {
		return nil, err
	}
	l, err := s.openQuietly(ctx, conn, most)
	if err != nil {
		conn.Close()
		return nil, err
	}
	l.owns = true
	return l, nil
}

// openOn opens a stream on conn and reads it until it is closed. Where the target holds heads until there is an event, one is published. An answer that is no stream is an error
// as well, a *refusedError. ctx is for opening: what is open ends when it is closed.
func (s *Session) openOn(ctx context.Context, conn *wire.Conn) (*Listener, error) {
	defer s.knock(ctx)()
	return s.openQuietly(ctx, conn, heldEvent)
}

// openQuietly is openOn for one of many streams: nothing is published, and of an event no more is held than so many bytes.
func (s *Session) openQuietly(ctx context.Context, conn *wire.Conn, most int) (*Listener, error) {
	return s.ask(ctx, conn, s.target.request, most, nil)
}

// ask is openQuietly with a request of the caller's; each, where there is one, is called with the data of every event.
func (s *Session) ask(ctx context.Context, conn *wire.Conn, request *wire.Request, most int, each func(data []byte)) (*Listener, error) {
	life, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	end := func() { cancel(nil) }
	opening := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	stream, err := conn.Open(life, request)
	if err != nil || !opening() {
		end()
		if stream != nil {
			stream.Close()
		}
		return nil, cmp.Or(err, context.Cause(ctx))
	}
	if f, bad := ofHead(stream.Head); bad {
		stream.Close()
		end()
		return nil, &refusedError{stream.Head, f}
	}
	return listen(stream, end, most, each), nil
}

// knock publishes now and then, until it is stopped, where the target holds heads until there is an event.
func (s *Session) knock(ctx context.Context) (stop func()) {
	if !s.target.held || s.config.Publisher == nil {
		return func() {}
	}
	ctx, stop = context.WithCancel(ctx)
	go func() {
		for pause(ctx, headPatience/10); ctx.Err() == nil; pause(ctx, time.Second) {
			_, _ = s.publish(ctx, event(0))
		}
	}()
	return stop
}

// refusedError is an answer that is no stream.
type refusedError struct {
	head *wire.Head
	Fingerprint
}

func (e *refusedError) Error() string { return e.Says }

// event is something to publish: data of so many bytes, and at least a marker, which no other event has.
func event(size int) publish.Message {
	m := publish.Message{Marker: "limit-" + strconv.FormatUint(rand.Uint64(), 36)}
	m.Data = m.Marker + strings.Repeat(".", max(0, size-len(m.Marker)))
	return m
}

// publish publishes an event. The error is one of the network or of the hook, or that there is none; a refusal is in the receipt.
func (s *Session) publish(ctx context.Context, m publish.Message) (publish.Receipt, error) {
	if s.config.Publisher == nil {
		return publish.Receipt{}, errNoHook
	}
	return s.config.Publisher.Publish(ctx, m)
}

var errNoHook = errors.New("nothing can be published: --publish is not given")

// stage runs a load of the target, as set sets it up, and resets its connections at the end. What it measured is in the result also beside an error.
func (s *Session) stage(ctx context.Context, set func(*plan.Plan)) (*result.Load, error) {
	p := s.config.Plan
	p.Targets = []plan.Target{p.Targets[0]}
	if p.Publish != nil {
		hook := *p.Publish
		p.Publish = &hook
	}
	set(&p)
	return loadgen.Run(ctx, &p, func(now loadgen.Snapshot) {
		s.Note("%s of %s streams open, %s failed", result.Count(int64(now.Open)), result.Count(int64(now.Planned)), result.Count(int64(now.Failed)))
	}, loadgen.WithAbruptEnds(), loadgen.WithResolved(&s.resolved))
}

// found is a limit that lies from low to high.
func found(id, title string, low, high float64, unit, owner, format string, args ...any) result.Limit {
	return result.Limit{ID: id, Title: title, Verdict: result.LimitFound, Low: &low, High: &high, Unit: unit, Owner: owner, Evidence: fmt.Sprintf(format, args...)}
}

// none is a limit that was not met up to low.
func none(id, title string, low float64, unit, format string, args ...any) result.Limit {
	return result.Limit{ID: id, Title: title, Verdict: result.LimitNone, Low: &low, Unit: unit, Evidence: fmt.Sprintf(format, args...)}
}

// inapplicable is a limit that the target cannot have.
func inapplicable(id, title, unit, format string, args ...any) result.Limit {
	return result.Limit{ID: id, Title: title, Verdict: result.LimitNotApplicable, Unit: unit, Evidence: fmt.Sprintf(format, args...)}
}

// undecided is a limit of which nothing can be said; by is the flag that would decide it, if there is one.
func undecided(id, title, unit, by, format string, args ...any) result.Limit {
	return result.Limit{ID: id, Title: title, Verdict: result.LimitUndecided, Unit: unit, DecidedBy: by, Evidence: fmt.Sprintf(format, args...)}
}

// pause waits, or until ctx is done.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
