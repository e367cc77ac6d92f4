// Package eventsource is the client state machine of Server-Sent Events: WHATWG
// HTML 9.2.2 to 9.2.4 (living standard of 16 March 2026), with the grammar
// left to reference/sse and the bytes to reference/wire.
//
// A [Client] is a value that says what to ask for; [Client.Run] plays the life of
// one EventSource object: connecting, open, connecting again after each end,
// closed for good when the server answers what the standard calls a failure.
//
// It may import reference/wire and reference/sse. The rules stand in Run and
// its helpers in the order in which they act; which answers fail is in response.go,
// how long to wait in wait.go.
package eventsource

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"ssegauge/reference/sse"
	"ssegauge/reference/wire"
)

// State is what EventSource calls readyState; the values are the standard's (9.2.2).
type State uint8

// The states.
const (
	Connecting State = 0 // no stream yet, or waiting for the next attempt
	Open       State = 1 // the head of a good answer has arrived
	Closed     State = 2 // over: nothing will be asked for any more
)

// String gives the state's name in lower case.
func (s State) String() string {
	switch s {
	case Connecting:
		return "connecting"
	case Open:
		return "open"
	}
	return "closed"
}

// Defaults of a [Client].
const (
	// DefaultReconnectionTime is where the standard says "probably in the region of a few seconds" (9.2.2).
	DefaultReconnectionTime = 3 * time.Second
	// MaxRedirects is the number of redirects that fetch follows before it makes a network error of the answer.
	MaxRedirects = 20
)

// Client says what to ask for and how to behave; Request is the only field that must be set. It is not changed by [Client.Run], so
// one value may run many times, also at the same time.
type Client struct {
	// Dialer opens the streams; nil: the zero Dialer. Its MaxRedirects of 0 means [MaxRedirects] here, because the
	// standard has redirects followed (9.2.1), and content codings are decoded whatever its Decode says, as fetch does.
	Dialer *wire.Dialer
	// Request is reused for every attempt: method, URL, fields, body (9.2.3, reestablish step 5). A redirect is
	// followed, but the next attempt starts from this URL again. The client adds "Accept: text/event-stream"
	// and "Cache-Control: no-cache" (cache mode no-store, 9.2.2) where those fields are not there. A Last-Event-ID field
	// is taken as LastEventID.
	Request *wire.Request
	// LastEventID resumes after an event that is known already; empty: no field is sent at first.
	LastEventID string
	// ReconnectionTime is the wait before a new attempt until the stream sets another by retry; 0: [DefaultReconnectionTime].
	ReconnectionTime time.Duration
	// Backoff is added to the reconnection time after failed attempts.
	Backoff Backoff
	// Futile tells of a network error that another attempt cannot mend: the client fails instead of
	// reestablishing the connection, as the standard permits (9.2.2). nil: [Hopeless], which one of your own should call too.
	Futile func(error) bool
	// MaxEvent caps one event in bytes; 0: the Dialer's MaxEvent, then [sse.DefaultMaxEvent]. An event above it
	// fails the client with *[sse.TooLongError]: asking again from the same id would bring it again.
	MaxEvent int
}

// Change is a step of the state machine.
type Change struct {
	State State
	// At is when the step was taken.
	At time.Time
	// Stream is the answer that was announced (Open): head, final URL, timing. It is the client's to read and close.
	Stream *wire.Stream
	// Err tells why: with Connecting how the stream or attempt before ended ([io.EOF] for a proper end, nil at the
	// very start), with Closed what Run returns.
	Err error
	// Wait is how long the next attempt is put off (Connecting).
	Wait time.Duration
	// Failed counts the attempts in a row that did not get as far as Open (Connecting).
	Failed int
	// LastEventID is what the next attempt sends (Connecting); empty: no field.
	LastEventID string
}

// Handler is told what happens, in order, from the goroutine of [Client.Run]. Each function may be nil.
type Handler struct {
	// State is told every step: Connecting first, Closed last. A DOM EventSource fires open for Open, and error
	// for Closed and for every Connecting but the first.
	State func(Change)
	// Event is told each event, valid only during the call. at is when the read that completed it returned.
	Event func(ev *sse.Event, at time.Time)
	// Line is told each line before the event it completes, also what other clients never show: comments,
	// unknown fields, the end of a block that dispatches nothing.
	Line func(line *sse.Line)
}

// Run opens the stream and keeps it open until the server's answer is final or ctx ends; cancelling ctx is close()
// (9.2.2). The error is never nil and is that of the last Change: *[ResponseError] for an answer that
// is not an event stream, *[sse.TooLongError], a network error that Futile claims, an error in Request or LastEventID,
// or the cause of ctx.
func (c *Client) Run(ctx context.Context, h Handler) error {
	r := run{c: c, h: h, reconnection: c.ReconnectionTime, futile: c.Futile}
	if r.reconnection <= 0 {
		r.reconnection = DefaultReconnectionTime
	}
	if r.futile == nil {
		r.futile = Hopeless
	}
	err := r.prepare()
	if err == nil {
		err = r.live(ctx)
	}
	r.change(Change{State: Closed, Err: err})
	return err
}

// Hopeless tells of an error that asking again cannot mend: a request that cannot be written, a protocol that the
// server does not speak, a redirect that cannot be followed, a content coding that nobody asked for and this house does not know.
func Hopeless(err error) bool {
	var request *wire.RequestError
	var proto *wire.ProtoError
	var redirect *wire.RedirectError
	var coding *wire.CodingError
	return errors.As(err, &request) || errors.As(err, &proto) || errors.As(err, &redirect) || errors.As(err, &coding)
}

// run is one life of a client.
type run struct {
	c            *Client
	h            Handler
	dialer       wire.Dialer
	request      wire.Request // without Last-Event-ID
	lastEventID  string       // the last event ID string, U+FFFD where the stream's bytes were ill-formed
	reconnection time.Duration
	futile       func(error) bool
	failed       int // attempts in a row that did not get as far as Open
	buf          []byte
}

func (r *run) change(ch Change) {
	if r.h.State != nil {
		ch.At = time.Now()
		r.h.State(ch)
	}
}

// prepare copies what the caller gave, so that it stays the caller's.
func (r *run) prepare() error {
	if r.c.Dialer != nil {
		r.dialer = *r.c.Dialer
	}
	r.dialer.Decode = true
	if r.dialer.MaxRedirects == 0 {
		r.dialer.MaxRedirects = MaxRedirects
	}
	if r.c.Request == nil || r.c.Request.URL == nil {
		return errors.New("eventsource: the request has no URL")
	}
	r.request = *r.c.Request
	r.lastEventID = r.c.LastEventID
	if r.lastEventID == "" {
		r.lastEventID = r.request.Header.Get(lastEventID)
	}
	if i := strings.IndexAny(r.lastEventID, "\x00\r\n"); i >= 0 {
		return fmt.Errorf("eventsource: the last event ID %q cannot stand in a field: byte %d is %q; no stream can set NUL, CR or LF", r.lastEventID, i, r.lastEventID[i])
	}
	r.request.Header = slices.DeleteFunc(slices.Clone(r.request.Header), func(f wire.Field) bool {
		return strings.EqualFold(f.Name, lastEventID)
	})
	for _, f := range []wire.Field{{Name: "Accept", Value: "text/event-stream"}, {Name: "Cache-Control", Value: "no-cache"}} {
		if !r.request.Header.Has(f.Name) {
			r.request.Header = append(r.request.Header, f)
		}
	}
	r.buf = make([]byte, 16<<10)
	return nil
}

const lastEventID = "Last-Event-ID"

// live goes round: wait, attempt, read to the end. It returns when the client is closed.
func (r *run) live(ctx context.Context) error {
	var ended error // how the stream or attempt before ended
	var wait time.Duration
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		r.change(Change{State: Connecting, Err: ended, Wait: wait, Failed: r.failed, LastEventID: r.lastEventID})
		if err := sleep(ctx, wait); err != nil {
			return err
		}
		var final bool
		final, ended = r.attempt(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if final {
			return ended
		}
		wait = later(r.reconnection, r.c.Backoff.extra(r.failed))
	}
}

// attempt is one request and its stream. err says how it ended, final that it must not be tried again.
func (r *run) attempt(ctx context.Context) (final bool, err error) {
	req := r.request
	if r.lastEventID != "" { // 9.2.3: only if it is not the empty string
		req.Header = append(slices.Clip(req.Header), wire.Field{Name: lastEventID, Value: r.lastEventID})
	}
	s, err := r.dialer.Open(ctx, &req)
	if err != nil {
		r.failed++
		return r.futile(err), err
	}
	defer s.Close()
	if err := accept(s); err != nil {
		return true, err
	}
	if ctx.Err() != nil {
		return true, context.Cause(ctx)
	}
	r.failed = 0
	r.change(Change{State: Open, Stream: s})
	return r.read(ctx, s)
}

// read interprets the stream until it ends. The decoder is a new one on each connection (9.2.6: the buffers belong
// to the stream, and a byte order mark is stripped again), with the last event ID carried over.
func (r *run) read(ctx context.Context, s *wire.Stream) (final bool, err error) {
	d := &s.Decoder
	d.SetMax(cmp.Or(r.c.MaxEvent, r.dialer.MaxEvent))
	d.SetLastEventID([]byte(r.lastEventID))
	// What an unfinished block said is discarded, but a retry line acts at once and an id at its blank line.
	defer func() {
		r.lastEventID = sse.Text(d.LastEventID())
		if t, ok := d.Retry(); ok {
			r.reconnection = t
		}
	}()
	var ev sse.Event
	for {
		n, err := s.Read(r.buf)
		at := s.At()
		for chunk := r.buf[:n]; ; {
			n, ok, err := r.decode(d, chunk, &ev)
			if err != nil {
				return true, err
			}
			if !ok {
				break // the call that finds nothing more lets the decoder give its buffers back
			}
			chunk = chunk[n:]
			if ctx.Err() != nil { // 9.2.6: the task fires only if not CLOSED
				return true, context.Cause(ctx)
			}
			if s.Timing.FirstEvent == 0 {
				s.Timing.FirstEvent = at.Sub(s.Timing.Start)
			}
			if r.h.Event != nil {
				r.h.Event(&ev, at)
			}
		}
		if err != nil {
			return err != io.EOF && r.futile(err), err
		}
	}
}

func (r *run) decode(d *sse.Decoder, chunk []byte, ev *sse.Event) (int, bool, error) {
	if r.h.Line != nil {
		return d.Inspect(chunk, ev, r.h.Line)
	}
	return d.Next(chunk, ev)
}
