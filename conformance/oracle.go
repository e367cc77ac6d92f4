package conformance

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"ssegauge/reference/publish"
	"ssegauge/reports/result"
)

// oracle publishes through the hook and finds what it published on the observed stream. Payloads carry a nonce, a plain ASCII word that
// survives JSON, HTML and prefixes, so that other publishers, replayed history and heartbeats don't confuse it.
type oracle struct {
	s     *session
	ready chan struct{} // calibrated, or given up
	free  chan struct{} // no check wants to publish any more

	ctx context.Context // of the window; set before ready is closed

	turn    chan struct{} // one publish at a time
	reason  string        // why it cannot judge; set before ready is closed
	shape   shape
	delay   time.Duration // publish to arrival of a plain event
	hostile bool
	reopen  int
	silent  bool // the reason is that nothing came: something may hold events back

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
	maxReopen     = 30
	tailSeeds     = 5
	maxBusy       = 3 // how often a publish answered 429 or 503 is tried again
	busyPause     = time.Second
)

func newOracle(s *session, publishing int) *oracle {
	o := &oracle{s: s, ready: make(chan struct{}), free: make(chan struct{}), turn: make(chan struct{}, 1)}
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
	close(o.ready)
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
	close(o.ready)
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
		return "the publish hook mentions neither .Data nor .Marker, so nothing can be found again"
	}
	var shapes [2]shape
	for i := range shapes {
		d, err := o.plain(ctx, firstPatience)
		switch {
		case err != nil:
			return err.Error()
		case d.Receipt.Refused:
			return fmt.Sprintf("the target refused a plain event with %d", d.Receipt.Status)
		case d.Lost:
			if o.s.current().Full() {
				return tooMuch
			}
			o.silent = true
			what := "nothing came: another channel than this URL's, or something holds events back"
			if n := len(o.s.current().Events()) - d.since.events; o.s.current() == d.since.conn && n > 0 {
				what = fmt.Sprintf("none of the events that came (%d) holds its text: another channel than this URL's, or the text is changed on the way", n)
			}
			return fmt.Sprintf("a plain event was published (answer %d), and within %v %s", d.Receipt.Status, firstPatience, what)
		case len(d.Events) == 0:
			return "a published event arrived as bytes that no client dispatches"
		}
		shapes[i] = shapeOf(d.Events[0].Data, d.Nonce)
		o.delay = max(o.delay, d.Delay)
	}
	if o.shape = shapes[0]; shapes[0] != shapes[1] {
		o.shape = shape{kind: opaque}
	}
	return ""
}

// NotJudged is why nothing could be found out by publishing; nothing of it is the target's fault.
type NotJudged struct {
	Reason string
	By     string // the flag that would help
}

func (e *NotJudged) Error() string { return e.Reason }

// Delivery is what became of one published payload.
type Delivery struct {
	Nonce   string
	Sent    string // the data as published
	Receipt publish.Receipt
	Delay   time.Duration // from the publish to the arrival of the first byte line with the nonce
	Lost    bool          // accepted, plain events still arrive, and this one did not, twice
	Conn    *Connection   // where it arrived
	Events  []Event       // that carry the nonce
	Lines   []Line        // that carry the nonce, whatever they mean
	message publish.Message
	shape   shape
	since   mark
}

// mark is where the observation stood.
type mark struct {
	conn          *Connection
	lines, events int
}

// Publish publishes what make makes of a fresh nonce, and waits for it on the observed stream. Hostile tells that a weak server may mangle the
// payload, so that the lines it makes of it are no evidence for other checks. Errors are [*NotJudged].
func (p *Probe) Publish(ctx context.Context, hostile bool, make func(nonce string) publish.Message) (*Delivery, error) {
	o := p.s.oracle
	select {
	case <-o.ready:
	case <-ctx.Done():
		return nil, &NotJudged{Reason: "interrupted"}
	}
	if o.reason != "" {
		return nil, &NotJudged{Reason: o.reason}
	}
	o.turn <- struct{}{}
	defer func() { <-o.turn }()
	if o.ctx.Err() != nil {
		return nil, &NotJudged{Reason: "the window ended before everything was published", By: "--window"}
	}
	if hostile && !o.hostile {
		o.hostile = true
		p.s.current().beginHostile()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(o.ctx, cancel)()
	patience := min(max(20*o.delay+4*p.s.first.RoundTrip(), minPatience), maxPatience)
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
		o.find(ctx, d, 0)
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
	if err := o.ensure(ctx); err != nil {
		return nil, err
	}
	d := &Delivery{Nonce: newNonce(), shape: o.shape}
	d.message = make(d.Nonce)
	d.message.Marker = d.Nonce
	d.Sent = d.message.Data
	c := o.s.current()
	d.since = mark{c, len(c.Lines()), len(c.Events())}
	receipt, err := o.s.target.Publisher.Publish(ctx, d.message)
	for range maxBusy {
		if err != nil || receipt.Status != http.StatusTooManyRequests && receipt.Status != http.StatusServiceUnavailable {
			break
		}
		sleep(ctx, busyPause) // not no, but not now
		receipt, err = o.s.target.Publisher.Publish(ctx, d.message)
	}
	if d.Receipt = receipt; err != nil {
		if ctx.Err() != nil {
			return nil, &NotJudged{Reason: "the window ended before a publish was answered", By: "--window"}
		}
		return nil, &NotJudged{Reason: result.MaskText(err.Error())}
	}
	if receipt.Refused {
		return d, nil
	}
	o.find(ctx, d, patience)
	if d.Lost && ctx.Err() != nil {
		return nil, &NotJudged{Reason: "the window ended before what was published arrived", By: "--window"}
	}
	return d, nil
}

// find waits for the nonce, and then until nothing more comes with it.
func (o *oracle) find(ctx context.Context, d *Delivery, patience time.Duration) {
	settle := min(100*time.Millisecond+2*o.delay, time.Second)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		c := o.s.current()
		changed := c.Changed()
		before := len(d.Lines)
		if d.look(o.s.observed()); len(d.Lines) > before {
			timer.Reset(settle)
		}
		if c.over() && len(d.Lines) == 0 {
			// It may come after a reconnect, as a client would make one.
			if o.ensure(ctx) == nil {
				continue
			}
		}
		select {
		case <-changed:
		case <-timer.C:
			d.look(o.s.observed())
			d.Lost = len(d.Lines) == 0
			return
		case <-ctx.Done():
			d.Lost = len(d.Lines) == 0
			return
		}
	}
}

// look collects what came with the nonce since the publish, on the first connection where anything does.
func (d *Delivery) look(conns []*Connection) {
	word := []byte(d.Nonce)
	conns = conns[slices.Index(conns, d.since.conn):]
	for _, c := range conns {
		if d.Conn != nil && d.Conn != c {
			continue
		}
		// The stream goes on meanwhile: what was taken last holds what was taken before.
		events, lines := c.Events(), c.Lines()
		content := c.Content()
		if c == d.since.conn {
			lines, events = lines[d.since.lines:], events[d.since.events:]
		}
		d.Lines, d.Events = nil, nil
		for _, l := range lines {
			if bytes.Contains(content[l.Start:l.End], word) {
				d.Lines = append(d.Lines, l)
			}
		}
		for _, e := range events {
			if bytes.Contains(e.Data, word) || bytes.Contains(e.Type, word) || bytes.Contains(e.ID, word) && e.IDSet {
				d.Events = append(d.Events, e)
			}
		}
		if len(d.Lines) > 0 {
			d.Conn = c
			d.Delay = max(0, d.Lines[0].At-d.Receipt.Sent.Sub(c.Timing.Start))
			d.Lost = false
			return
		}
	}
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
	if o.reopen++; o.reopen > maxReopen || ctx.Err() != nil {
		return &NotJudged{Reason: "the stream ended and was not opened again", By: "--window"}
	}
	pause := 200 * time.Millisecond
	if retry, ok := c.retry(); ok {
		pause = min(max(retry, 50*time.Millisecond), time.Second)
	}
	sleep(ctx, pause)
	r := o.s.nominal()
	c.mu.Lock()
	id := bytes.Clone(c.decoder.LastEventID())
	c.mu.Unlock()
	r.Header = WithLastEventID(r.Header, id)
	n := o.s.open(o.ctx, &r, maxPatience, 0) // it outlives the publish that it was opened for
	if n.Err != nil || n.Head.Status != 200 {
		what := "did not answer"
		if n.Err == nil {
			n.Close()
			what = fmt.Sprintf("answered %d", n.Head.Status)
		}
		o.reopen = maxReopen
		return &NotJudged{Reason: "the stream ended, and the target " + what + " when a client came back"}
	}
	if o.hostile {
		n.beginHostile()
	}
	o.s.add(n)
	sleep(ctx, 100*time.Millisecond)
	return nil
}

const (
	nonceStart = "gauge"
	nonceSize  = len(nonceStart) + 14
)

func newNonce() string {
	return nonceStart + strings.ToLower(rand.Text()[:nonceSize-len(nonceStart)])
}

// NonceOf finds the nonce of what a run published in an event's data; "" where there is none.
func NonceOf(data []byte) string {
	for at := 0; ; at++ {
		i := bytes.Index(data[at:], []byte(nonceStart))
		if i < 0 || len(data)-at-i < nonceSize {
			return ""
		}
		at += i
		if word := data[at : at+nonceSize]; bytes.IndexFunc(word, func(c rune) bool { return !(c >= 'a' && c <= 'z' || c >= '2' && c <= '7') }) < 0 {
			return string(word)
		}
	}
}
