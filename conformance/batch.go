package conformance

import (
	"context"
	"net/http"
	"time"

	"ssegauge/reference/publish"
	"ssegauge/reports/result"
)

// busyPauses is how long is waited before a publish that was answered 429 or 503 is tried again: not no, but not now.
var busyPauses = [...]time.Duration{200 * time.Millisecond, 800 * time.Millisecond, time.Second}

// longPayload is what arrives in pieces, and may take its time.
const longPayload = 64 << 10

// PublishAll publishes what each of makes makes of a nonce of its own, one right after the other, and waits for all of them together: a corpus
// costs hardly more time than one payload. A target may lose or refuse in a hurry what it takes at leisure: before it is blamed for what became of one of
// them, that one is published again by [Probe.Publish].
//
// All of them count as hostile. Lost tells that a payload did not arrive in time. Errors are [*NotJudged].
func (p *Probe) PublishAll(ctx context.Context, makes ...func(nonce string) publish.Message) ([]*Delivery, error) {
	o := p.s.oracle
	if err := o.begin(ctx, p, true); err != nil {
		return nil, err
	}
	defer func() { <-o.turn }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(o.ctx, cancel)()
	var all, awaited []*Delivery
	patience := o.patience()
	for _, make := range makes {
		d, err := o.send(ctx, make)
		if err != nil {
			return nil, err
		}
		if all = append(all, d); !d.Receipt.Refused {
			awaited = append(awaited, d)
		}
		if len(d.Sent) > longPayload/2 {
			patience = maxPatience
		}
	}
	o.find(ctx, awaited, patience)
	if ctx.Err() != nil {
		for _, d := range awaited {
			if d.Lost {
				return nil, &NotJudged{Reason: "the window ended before what was published arrived", By: "--window"}
			}
		}
	}
	return all, nil
}

// Plain returns the two plain events that were published before anything else. Errors are [*NotJudged].
func (p *Probe) Plain(ctx context.Context) ([]*Delivery, error) {
	if err := p.s.oracle.begin(ctx, p, false); err != nil {
		return nil, err
	}
	<-p.s.oracle.turn
	return p.s.oracle.plains, nil
}

// PublishBetween publishes m, which need not hold a nonce, between two plain events. Errors are [*NotJudged].
func (p *Probe) PublishBetween(ctx context.Context, m publish.Message) (before, d, after *Delivery, err error) {
	o := p.s.oracle
	if err := o.begin(ctx, p, true); err != nil {
		return nil, nil, nil, err
	}
	defer func() { <-o.turn }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(o.ctx, cancel)()
	if before, err = o.plain(ctx, maxPatience); err != nil {
		return nil, nil, nil, err
	}
	if d, err = o.send(ctx, func(string) publish.Message { return m }); err != nil {
		return nil, nil, nil, err
	}
	if after, err = o.plain(ctx, maxPatience); err != nil {
		return nil, nil, nil, err
	}
	for _, plain := range []*Delivery{before, after} {
		if plain.Receipt.Refused || plain.Lost || len(plain.Events) == 0 {
			return nil, nil, nil, &NotJudged{Reason: "plain events around it did not arrive"}
		}
	}
	return before, d, after, nil
}

// begin waits for the check's turn to publish, which the caller gives back.
func (o *oracle) begin(ctx context.Context, p *Probe, hostile bool) error {
	o.s.stage.wait(ctx, cue{p: p, rank: p.order, when: func() bool { return o.s.stage.ready }})
	if ctx.Err() != nil {
		return &NotJudged{Reason: "interrupted"}
	}
	if o.reason != "" {
		return &NotJudged{Reason: o.reason}
	}
	o.turn <- struct{}{}
	if o.ctx.Err() != nil {
		<-o.turn
		return &NotJudged{Reason: "the window ended before everything was published", By: "--window"}
	}
	if hostile && !o.hostile {
		o.hostile = true
		o.s.current().beginHostile(false)
	}
	return nil
}

// patience is how long an event that was published may take.
func (o *oracle) patience() time.Duration {
	return min(max(20*o.delay+4*o.s.first.RoundTrip(), minPatience), maxPatience)
}

// send publishes once and does not wait for what comes of it.
func (o *oracle) send(ctx context.Context, make func(string) publish.Message) (*Delivery, error) {
	if err := o.ensure(ctx); err != nil {
		return nil, err
	}
	d := &Delivery{Nonce: o.s.nonce(ctx), shape: o.shape}
	d.message = make(d.Nonce)
	if d.message.Data != "" {
		d.message.Marker = d.Nonce // an empty payload stays empty, also where the hook takes the marker for it
	}
	d.Sent = d.message.Data
	c := o.s.current()
	d.since = mark{c, len(c.Lines()), len(c.Events())}
	_, d.again = o.s.tape.(*world)
	receipt, err := o.s.target.Publisher.Publish(ctx, d.message)
	for _, pause := range busyPauses {
		if err != nil || receipt.Status != http.StatusTooManyRequests && receipt.Status != http.StatusServiceUnavailable {
			break
		}
		sleep(ctx, pause)
		receipt, err = o.s.target.Publisher.Publish(ctx, d.message)
	}
	if d.Receipt = receipt; err != nil {
		if ctx.Err() != nil {
			return nil, &NotJudged{Reason: "the window ended before a publish was answered", By: "--window"}
		}
		return nil, &NotJudged{Reason: result.MaskText(err.Error()), hook: true}
	}
	return d, nil
}

// find waits for the nonces of all, and then until nothing more comes with them.
func (o *oracle) find(ctx context.Context, all []*Delivery, patience time.Duration) {
	settle := min(100*time.Millisecond+2*o.delay, time.Second)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for pushed := false; ; {
		c := o.s.current()
		changed := c.Changed()
		conns := o.s.observed()
		more, missing, unfinished := false, false, false
		for _, d := range all {
			before := len(d.Lines)
			d.look(conns)
			more = more || len(d.Lines) > before
			missing = missing || len(d.Lines) == 0
			unfinished = unfinished || len(d.Lines) > 0 && len(d.Events) == 0
		}
		switch {
		case more && missing:
			timer.Reset(patience)
		case more:
			timer.Reset(settle)
		}
		if c.over() && missing {
			// It may come after a reconnect, as a client would make one.
			if o.ensure(ctx) == nil {
				continue
			}
		}
		if o.late && unfinished && !missing && !pushed {
			pushed = true
			if _, err := o.send(ctx, plainMessage); err == nil {
				timer.Reset(settle)
				continue
			}
		}
		select {
		case <-changed:
			if len(c.Content()) > 1<<20 {
				sleep(ctx, 20*time.Millisecond) // there is much to look through
			}
		case <-timer.C:
			for _, d := range all {
				d.look(o.s.observed())
				d.Lost = len(d.Lines) == 0
			}
			return
		case <-ctx.Done():
			for _, d := range all {
				d.Lost = len(d.Lines) == 0
			}
			return
		}
	}
}

// push tells whether an event of which only bytes arrived is dispatched after all: late, or when another one is published.
func (o *oracle) push(ctx context.Context, d *Delivery) bool {
	for end := time.Now().Add(slowBlank); len(d.Events) == 0 && time.Now().Before(end) && ctx.Err() == nil; {
		sleep(ctx, slowBlank/20)
		d.look(o.s.observed())
	}
	if len(d.Events) == 0 {
		next, err := o.plain(ctx, firstPatience)
		if err != nil || next.Receipt.Refused || next.Lost {
			return false
		}
		d.look(o.s.observed())
		d.Pushed = len(d.Events) > 0
	}
	return len(d.Events) > 0
}
