package wire

import "time"

// Recorded is what a net.Conn from [Dialer.NetDial] may be besides: a connection of a recording, which knows when everything was done. The driver takes its times in
// the place of those of the clock, so that whoever judges them sees what was seen at first. [Transcript.Dialled], [Transcript.Asks], [Transcript.Chunks] and
// [Transcript.Closed] are what such a recording is made of. Where dialling failed, NetDial returns the [*Error] of then; what ends the reading is a [*ClosedError].
//
// A recording of a TLS connection has a ConnectionState besides: it is of what was within.
type Recorded interface {
	Stamper
	// Dialled returns the moments of connecting.
	Dialled() Timing
	// Asked tells that r is about to be written. It returns when that was so, and when it was written (zero where that never came to an end). An
	// error keeps r from being sent.
	Asked(r *Request) (at, written time.Time, err error)
}

// ClosedError ends the reading of a [Recorded] connection. How is what [Transcript.Closed] said; Err is the error of the read, io.EOF where the end was proper.
type ClosedError struct {
	How string
	Err error
}

func (e *ClosedError) Error() string { return e.Err.Error() }

func (e *ClosedError) Unwrap() error { return e.Err }

// Ask is a request as it went out on a connection.
type Ask struct {
	Request *Request
	At      time.Duration // since the connection's Timing.Start
	Written time.Duration // the last byte was handed to the kernel; negative: never
	// Received is how many bytes had come on the connection before.
	Received int64
	Order    int64 // see [Chunk]
}

// asks notes that r is about to be written, and returns which of the connection's requests it is.
func (c *Conn) asks(r *Request) (n int, at, written time.Time, err error) {
	if at = time.Now(); c.recorded != nil {
		if at, written, err = c.recorded.Asked(r); err != nil {
			return 0, at, written, err
		}
	}
	return c.record.ask(at, r), at, written, nil
}

func (t *Transcript) ask(at time.Time, r *Request) int {
	if t == nil {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.asked) < maxFaults {
		// A copy: whoever asks may change it for the next time.
		q, u := *r, *r.URL
		q.URL, q.Header = &u, append(Header(nil), r.Header...)
		t.asked = append(t.asked, Ask{Request: &q, At: at.Sub(t.start), Written: -1, Received: t.in, Order: t.orderOf(true)})
	}
	return len(t.asked) - 1
}

// wrote notes when request n was written.
func (t *Transcript) wrote(n int, at time.Time) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if n < len(t.asked) && t.asked[n].Written < 0 {
		t.asked[n].Written = at.Sub(t.start)
	}
}

// Asks returns the requests on the connection, at most a thousand.
func (t *Transcript) Asks() []Ask {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]Ask(nil), t.asked...)
}

// Dialled returns the moments of connecting and the protocol that came of it; err is why it failed, nil also while it is under way.
func (t *Transcript) Dialled() (timing Timing, proto Proto, err *Error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.timing, t.proto, t.failed
}

// ClosedOrder is the [Chunk] Order of [Transcript.Closed].
func (t *Transcript) ClosedOrder() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.closedOrder
}

// dialled notes what dialling came to.
func (t *Transcript) dialled(c *Conn, err error) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.recorded != nil {
		t.start = c.timing.Start // nothing was kept before
	}
	t.timing, t.proto = c.timing, c.proto
	if e, ok := err.(*Error); ok {
		t.failed = e
	}
}
