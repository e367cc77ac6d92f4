package conformance

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"ssegauge/reference/publish"
)

// oracle publishes through the hook and finds what it published on the observed stream. Payloads carry a nonce, a plain ASCII word that
// survives JSON, HTML and prefixes, so that other publishers, replayed history and heartbeats don't confuse it.
type oracle struct {
	s    *session
	free chan struct{} // no check wants to publish any more

	ctx context.Context // of the window; set before the stage's ready

	turn    chan struct{} // for whoever publishes or opens the observed stream again: a check, or the run itself
	reason  string        // why it cannot judge; set before the stage's ready
	barren  bool          // the reason is the hook's failure; set with it
	shape   shape
	delay   time.Duration // publish to arrival of a plain event
	hostile bool
	reopen  atomic.Int32 // read by a series while others publish
	silent  bool         // the reason is that nothing came: something may hold events back
	plains  []*Delivery  // of the calibration
	late    bool         // what ends an event comes with the next one

	left struct {
		sync.Mutex
		n int
	}
}

// Patience of the oracle: how long an event that was published may take.
const (
	firstPatience = 5 * time.Second
	maxPatience   = 3 * time.Second
	minPatience   = 500 * time.Millisecond
	maxReopen     = 100
	maxPause      = 250 * time.Millisecond // before a stream that ended is opened again, where its own time is longer
	tailSeeds     = 5
	slowBlank     = time.Second // how late the end of an event may come by itself
)

func newOracle(s *session, publishing int) *oracle {
	o := &oracle{s: s, free: make(chan struct{}), turn: make(chan struct{}, 1)}
	if o.left.n = publishing; publishing == 0 {
		close(o.free)
	}
	return o
}

// finished notes that a check is done.
func (o *oracle) finished(c *Check) {
	if c.Needs&Publish == 0 {
		return
	}
	o.left.Lock()
	defer o.left.Unlock()
	if o.left.n--; o.left.n == 0 {
		close(o.free)
	}
}

// give tells that nothing can be published.
func (o *oracle) give(reason string) {
	o.reason = reason
	o.s.stage.tell(func() { o.s.stage.ready = true })
}

// run calibrates, lets the checks publish, and then publishes a few plain events more: the positions from which resuming is tried.
func (o *oracle) run(ctx context.Context) {
	o.ctx = ctx
	if o.s.target.Publisher == nil {
		o.give("there is no publish hook")
		return
	}
	sleep(ctx, quiet)
	if reason := o.calibrate(ctx); reason != "" {
		o.give(reason)
		return
	}
	o.s.stage.tell(func() { o.s.stage.ready = true })
	select {
	case <-o.free:
	case <-ctx.Done():
		return
	}
	o.turn <- struct{}{}
	defer func() { <-o.turn }()
	o.hostile = false
	o.s.current().endHostile()
	for range tailSeeds {
		if _, err := o.plain(ctx, maxPatience); err != nil {
			return
		}
	}
}

// calibrate publishes two plain events and learns what the target makes of them.
func (o *oracle) calibrate(ctx context.Context) (reason string) {
	o.turn <- struct{}{}
	defer func() { <-o.turn }()
	if !o.s.target.Publisher.Uses("Data") && !o.s.target.Publisher.Uses("Marker") {
		o.barren = true
		return "the publish hook mentions neither .Data nor .Marker, so nothing can be found again"
	}
	var shapes [2]shape
	for i := range shapes {
		d, err := o.plain(ctx, firstPatience)
		switch {
		case err != nil:
			fault, ok := errors.AsType[*NotJudged](err)
			o.barren = ok && (fault.hook || i == 0 && fault.By == "--window" && ctx.Err() != nil)
			return err.Error()
		case d.Receipt.Refused:
			o.barren = true
			return fmt.Sprintf("the target refused a plain event with %d", d.Receipt.Status)
		case d.Lost:
			if o.s.current().Full() {
				return tooMuch
			}
			o.silent, o.barren = true, i == 0 // the first came back
			what := "nothing came: another channel than this URL's, or something holds events back"
			if n := len(o.s.current().Events()) - d.since.events; o.s.current() == d.since.conn && n > 0 {
				what = fmt.Sprintf("none of the events that came (%d) holds its text: another channel than this URL's, or the text is changed on the way", n)
			}
			return fmt.Sprintf("a plain event was published (answer %d), and within %v %s", d.Receipt.Status, firstPatience, what)
		case len(d.Events) == 0 && !o.push(ctx, d):
			return "a published event arrived as bytes that no client dispatches"
		}
		o.plains = append(o.plains, d)
		shapes[i] = shapeOf(d.Events[0].Data, d.Nonce)
		o.delay = max(o.delay, d.Delay)
	}
	o.late = o.plains[0].Pushed && o.plains[1].Pushed
	if o.shape = shapes[0]; shapes[0] != shapes[1] {
		o.shape = shape{kind: opaque}
	}
	return ""
}

// NotJudged is why nothing could be found out by publishing; nothing of it is the target's fault.
type NotJudged struct {
	Reason string
	By     string // the flag that would help

	hook bool // it is an error of the publish hook
}

func (e *NotJudged) Error() string { return e.Reason }

// Publish publishes what make makes of a fresh nonce, and waits for it on the observed stream. Hostile tells that a weak server may mangle the
// payload, so that the lines it makes of it are no evidence for other checks. Errors are [*NotJudged].
func (p *Probe) Publish(ctx context.Context, hostile bool, make func(nonce string) publish.Message) (*Delivery, error) {
	o := p.s.oracle
	if err := o.begin(ctx, p, hostile); err != nil {
		return nil, err
	}
	defer func() { <-o.turn }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(o.ctx, cancel)()
	patience := o.patience()
	for try := 1; ; try++ {
		d, err := o.publish(ctx, make, patience)
		if err != nil || !d.Lost && !d.Receipt.Refused {
			return d, err
		}
		// Is it this one that is lost or refused, or is everything? Events come in order: a plain one after it tells.
		after, err := o.plain(ctx, maxPatience)
		switch {
		case err != nil:
			return nil, err
		case after.Receipt.Refused:
			return nil, &NotJudged{Reason: fmt.Sprintf("the target took plain events at first, and then refused them with %d", after.Receipt.Status)}
		case d.Receipt.Refused:
			return d, nil
		case after.Lost:
			return nil, &NotJudged{Reason: "events that were published stopped arriving"}
		}
		o.find(ctx, []*Delivery{d}, 0)
		if ctx.Err() != nil {
			return nil, &NotJudged{Reason: "the window ended before what was published arrived", By: "--window"}
		}
		if !d.Lost || try == 2 {
			return d, nil
		}
	}
}

// plain publishes a plain event.
func (o *oracle) plain(ctx context.Context, patience time.Duration) (*Delivery, error) {
	return o.publish(ctx, plainMessage, patience)
}

func plainMessage(nonce string) publish.Message { return publish.Message{Data: nonce, Marker: nonce} }

// publish publishes once and waits. Lost means only that it did not arrive within patience.
func (o *oracle) publish(ctx context.Context, make func(string) publish.Message, patience time.Duration) (*Delivery, error) {
	d, err := o.send(ctx, make)
	if err != nil || d.Receipt.Refused {
		return d, err
	}
	if len(d.Sent) > longPayload/2 {
		patience = maxPatience
	}
	o.find(ctx, []*Delivery{d}, patience)
	if d.Lost && ctx.Err() != nil {
		return nil, &NotJudged{Reason: "the window ended before what was published arrived", By: "--window"}
	}
	return d, nil
}

const tooMuch = "the stream sends more than the run keeps"

// ensure makes sure that a stream is open, reconnecting as EventSource does where the target ended it.
func (o *oracle) ensure(ctx context.Context) error {
	c := o.s.current()
	if !c.over() {
		return nil
	}
	kept := 0
	for _, c := range o.s.observed() {
		kept += len(c.Content())
	}
	if c.Full() || kept > maxContent {
		return &NotJudged{Reason: tooMuch}
	}
	if o.reopen.Add(1) > maxReopen || ctx.Err() != nil {
		return &NotJudged{Reason: "the stream ended and was not opened again", By: "--window"}
	}
	pause := 200 * time.Millisecond
	if retry, ok := c.retry(); ok {
		pause = min(max(retry, 50*time.Millisecond), maxPause)
	}
	sleep(ctx, pause)
	r := o.s.nominal()
	r.Header = WithLastEventID(r.Header, c.LastEventID())
	n := o.s.open(o.ctx, &r, maxPatience, 0) // it outlives the publish that it was opened for
	if n.Err != nil || n.Head.Status != 200 {
		what := "did not answer"
		if n.Err == nil {
			n.Close()
			what = fmt.Sprintf("answered %d", n.Head.Status)
		}
		o.reopen.Store(maxReopen)
		return &NotJudged{Reason: "the stream ended, and the target " + what + " when a client came back"}
	}
	if o.hostile {
		n.beginHostile(true)
	}
	o.s.add(n)
	sleep(ctx, 100*time.Millisecond)
	return nil
}
