package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"ssegauge/reference/publish"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// ErrNotRecorded is why a request has no answer and a message no receipt where a recording is judged again.
var ErrNotRecorded = errors.New("not in the recording")

// Replay judges it again: the checks run as they did, in a world that is made of it. See [Recording] for what that means. The run is that of [Run], marked as a replay and begun when
// the recording was; a recording of a run that was interrupted is interrupted where that was.
func (r *Recording) Replay(ctx context.Context, checks []Check, o Options) (*result.Run, error) {
	t, err := r.target.target()
	if err != nil {
		return nil, fmt.Errorf("the recording's target: %w", err)
	}
	if r.Interrupted {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.Duration)
		defer cancel()
	}
	o.tape, o.seed = &world{rec: r, used: map[any]bool{}, open: map[*replayConn]bool{}}, r.seed
	run, err := Run(ctx, t, checks, o)
	if err != nil {
		return nil, err
	}
	run.Started, run.Replayed = r.Started, true
	return run, nil
}

// world answers as the target did.
type world struct {
	rec   *Recording
	deeds *deeds

	mu   sync.Mutex
	base time.Time // when the run that is judged again began, by the clock of now
	open map[*replayConn]bool
	used map[any]bool // what of the recording is given out: pointers into it
}

func (w *world) wrap(t *Target, checks []*Check) {
	w.base = time.Now()
	w.deeds = deedsOf(w.rec)
	for _, id := range w.rec.Checks {
		if !slices.ContainsFunc(checks, func(c *Check) bool { return c.ID == id }) {
			w.deeds.left("", id)
		}
	}
	if t.Publisher != nil {
		t.Publisher = t.Publisher.Through(w.publish)
	}
	if w.rec.target.Kill {
		t.Kill = w.action("kill")
	}
	if w.rec.target.Restart {
		t.Restart = w.action("restart")
	}
}

// moment is when something of the recording is, by the clock of now.
func (w *world) moment(offset time.Duration) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.base.Add(offset)
}

// skip goes on to a moment of the recording that is still to come, where nothing more is to come until then on any connection: with fewer checks than there were, those
// that are left need not wait for what the others did.
func (w *world) skip(offset time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.open {
		if c.more() {
			return
		}
	}
	if now := time.Now().Add(-offset); now.Before(w.base) {
		w.base = now
	}
}

// wait lasts until the moment of the recording has come.
func (w *world) wait(ctx context.Context, offset time.Duration) error {
	t := time.NewTimer(time.Until(w.moment(offset)))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// find gives out the first of list that was done for a and fits, or else, where others may lend it, for anybody in the same scope.
func find[T any](w *world, list []T, a asker, of func(*T) (scope, check string), fits func(*T) bool) *T {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, own := range []bool{true, false} {
		for i := range list {
			e := &list[i]
			if scope, check := of(e); scope == a.scope && (check == a.id) == own && !w.used[e] && fits(e) {
				w.used[e] = true
				return e
			}
		}
	}
	return nil
}

func (w *world) publish(ctx context.Context, m publish.Message, _ publish.Func) (publish.Receipt, error) {
	a, d := askerOf(ctx), digest(&m)
	e := find(w, w.rec.posts, a, func(e *recordedPost) (string, string) { return e.Scope, e.Check }, func(e *recordedPost) bool { return e.Digest == d })
	if e == nil {
		now := time.Now() // as with a hook that fails: whoever needs the receipt cannot judge, and one more of a flow of messages is of no account
		return publish.Receipt{Sent: now, Done: now}, ErrNotRecorded
	}
	w.deeds.done(e.Order)
	if err := w.wait(ctx, e.Done); err != nil {
		return publish.Receipt{Sent: w.moment(e.Sent), Done: time.Now()}, err
	}
	return publish.Receipt{Sent: w.moment(e.Sent), Done: w.moment(e.Done), Refused: e.Refused, Status: e.Status}, e.Error.error()
}

func (w *world) action(name string) Action {
	return func(ctx context.Context) error {
		a := askerOf(ctx)
		e := find(w, w.rec.actions, a, func(e *recordedAction) (string, string) { return e.Scope, e.Check }, func(e *recordedAction) bool { return e.Action == name })
		if e == nil {
			a.miss("nobody had the target " + name + " its streams then")
			return ErrNotRecorded
		}
		w.deeds.done(e.Order)
		if err := w.wait(ctx, e.Done); err != nil {
			return err
		}
		return e.Error.error()
	}
}

// drain waits until all that is due on the open connections was read. The end of the window is a moment of the clock, and a connection of the recording holds only what had come before it was left.
func (w *world) drain() {
	for end := time.Now().Add(deedPatience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		soon, waits := time.Now().Add(turnPatience), false
		w.mu.Lock()
		for c := range w.open {
			waits = waits || c.behind(soon)
		}
		w.mu.Unlock()
		if !waits {
			break
		}
	}
	time.Sleep(time.Millisecond) // what was read is taken in
}

func (w *world) slack(bytes int) int { return max(bytes, w.rec.target.Slack) }

func (w *world) left(a asker) { w.deeds.left(a.scope, a.id) }

// miss notes that a check asked for what is not there.
func (a asker) miss(what string) {
	if a.p != nil {
		a.p.miss(what)
	}
}

func (w *world) dial(ctx context.Context, d *wire.Dialer) {
	a := askerOf(ctx)
	d.NetDial = func(ctx context.Context, _, addr string) (net.Conn, error) {
		// What will be asked is not known yet. It is most likely what was asked next on behalf of the same check.
		c := &replayConn{w: w, asker: a, addr: addr, wake: make(chan struct{}), timing: wire.Timing{Start: time.Now()}}
		w.mu.Lock()
		w.open[c] = true
		w.mu.Unlock()
		e := w.connection(a, func(e *recordedConn) bool { return e.Addr == addr && c.promise(e) })
		if e != nil {
			w.skip(e.Start)
			if e.Failed != nil {
				if e.Failed.Kind == "timeout" || e.Failed.Kind == "deadline" || e.Failed.Kind == "canceled" {
					<-ctx.Done()
				}
				_ = w.wait(ctx, e.Start)
				return nil, &wire.Error{Phase: wire.Phase(e.Failed.Phase), Err: e.Failed.error()}
			}
			if err := w.wait(ctx, e.Start+max(e.Connected, e.TLS)); err != nil {
				c.giveBack()
				c.Close()
				return nil, err
			}
			c.keep()
			c.timing = wire.Timing{Start: w.moment(e.Start), Resolved: e.Resolved, Connected: e.Connected, TLS: e.TLS}
			if e.HTTP == wire.HTTP2.String() {
				return replayTLS{c, "h2"}, nil
			}
		}
		return replayTLS{c, ""}, nil
	}
}

// connection gives out the next one that fits.
func (w *world) connection(a asker, fits func(*recordedConn) bool) *recordedConn {
	return find(w, w.rec.conns, a, func(e *recordedConn) (string, string) { return e.Scope, e.Check }, fits)
}

// free takes back what was given out and not used.
func (w *world) free(e *recordedConn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.used, any(e))
}

// asked finds the connection on which r was asked first, which may not be the one that was given out when it was dialled: that may be another's, which has not asked yet.
func (w *world) asked(c *replayConn, r *wire.Request) *recordedConn {
	text := requestText(r)
	first := func(e *recordedConn) bool { return len(e.Requests) > 0 && e.Requests[0].Request == text }
	if e := c.lent(true, first); e != nil {
		return e
	}
	c.giveBack()
	e := w.connection(c.asker, func(e *recordedConn) bool { return e.Addr == c.addr && e.Failed == nil && first(e) })
	if e == nil {
		e = w.takeBack(c, first)
	}
	if e == nil {
		c.asker.miss(strings.ReplaceAll(cut(text), "\n", ", ") + " was not asked then")
	}
	return e
}

// takeBack finds what fits among what was given out to others on whose connections nothing was asked so far.
func (w *world) takeBack(c *replayConn, fits func(*recordedConn) bool) *recordedConn {
	w.mu.Lock()
	defer w.mu.Unlock()
	for o := range w.open {
		if o != c && o.addr == c.addr && o.asker.scope == c.asker.scope {
			if e := o.lent(false, fits); e != nil {
				return e
			}
		}
	}
	return nil
}

// deeds are the messages and actions of a recording, by their order: what came of one is not to come before it is done again. Times alone would not keep that up, where the run that is
// judged again is late by more than lay between them.
type deeds struct {
	mu    sync.Mutex
	of    map[int64]*deed
	moved chan struct{}
}

type deed struct {
	scope, check string
	done         bool
	over         bool // it is done, or never will be
}

// Patience of a connection with a deed that does not come, because the run goes another way than it did. It is short where others are done already that came later then: two checks that
// publish at the same moment may have changed places, and who waits for the second keeps the first from publishing.
const (
	deedPatience = time.Second
	turnPatience = 50 * time.Millisecond
)

func deedsOf(r *Recording) *deeds {
	d := &deeds{of: map[int64]*deed{}, moved: make(chan struct{})}
	for i := range r.posts {
		p := &r.posts[i]
		d.of[p.Order] = &deed{scope: p.Scope, check: p.Check}
	}
	for i := range r.actions {
		a := &r.actions[i]
		d.of[a.Order] = &deed{scope: a.Scope, check: a.Check}
	}
	return d
}

func (d *deeds) change(over func(order int64, e *deed) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for order, e := range d.of {
		e.over = e.over || over(order, e)
	}
	close(d.moved)
	d.moved = make(chan struct{})
}

func (d *deeds) done(order int64) {
	d.change(func(o int64, e *deed) bool { e.done = e.done || o == order; return e.done })
}

// left: what a check that is done, or has no part in this, has not done it never will.
func (d *deeds) left(scope, check string) {
	d.change(func(_ int64, e *deed) bool { return e.scope == scope && e.check == check })
}

// all tells whether all of these are over; else moved tells of a change.
func (d *deeds) all(orders []int64) (yes bool, moved <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, o := range orders {
		if e := d.of[o]; e != nil && !e.over {
			return false, d.moved
		}
	}
	return true, nil
}

// some tells whether any of these was done.
func (d *deeds) some(chunks [][]int64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, orders := range chunks {
		for _, o := range orders {
			if e := d.of[o]; e != nil && e.done {
				return true
			}
		}
	}
	return false
}

// causes are, for each chunk of a connection and last for its close, the deeds that it must not come before: a chunk not before the message whose nonce it is the first to hold, what came next after
// a message without one not before that, and the close not before what ended the streams.
func (r *Recording) causes(e *recordedConn) [][]int64 {
	out := make([][]int64, len(e.Received)+1)
	var all []byte
	ends := make([]int, len(e.Received))
	for k, b := range e.Received {
		all = append(all, b.Data...)
		ends[k] = len(all)
	}
	for i := range r.posts {
		p := &r.posts[i]
		k := len(e.Received)
		if len(p.Nonces) > 0 {
			for _, n := range p.Nonces {
				if at := bytes.Index(all, []byte(n)); at >= 0 {
					k = min(k, sort.SearchInts(ends, at+1))
				}
			}
		} else {
			k = sort.Search(len(e.Received), func(k int) bool { return e.Received[k].Order > p.Order })
		}
		if k < len(e.Received) && e.Received[k].Order > p.Order {
			out[k] = append(out[k], p.Order)
		}
	}
	for i := range r.actions {
		if a := &r.actions[i]; e.Order > a.Order {
			out[len(e.Received)] = append(out[len(e.Received)], a.Order)
		}
	}
	return out
}
