package conformance

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"ssegauge/reference/wire"
)

// replayConn is a connection of a recording, a [wire.Recorded]: what came on it comes again at its time, and not before it was asked for. What is written to it goes nowhere.
type replayConn struct {
	w      *world
	asker  asker
	addr   string
	timing wire.Timing

	mu       sync.Mutex
	rec      *recordedConn // nil: none is known to fit yet
	needs    []int         // for each chunk, how many requests were asked before it
	causes   [][]int64     // for each chunk, and the close, the deeds before it
	flow     *flow         // nil over HTTP/1
	asked    int
	promised *recordedConn // what rec will be when it is connected
	settled  bool          // rec is what was asked for, not what was likely to be
	next     int           // chunk
	rest     []byte        // of the one before, not read yet
	at       time.Time
	held     time.Time // since when what comes next is due and must not come yet
	passed   time.Time // since when what came later has been done before it
	deadline time.Time
	closed   bool
	wake     chan struct{}
}

// replayTLS is one that needs no handshake; in the clear nobody asks for its state.
type replayTLS struct {
	*replayConn
	proto string
}

func (c replayTLS) ConnectionState() tls.ConnectionState {
	return tls.ConnectionState{HandshakeComplete: true, Version: tls.VersionTLS13, NegotiatedProtocol: c.proto}
}

// promise notes e for when it is connected.
func (c *replayConn) promise(e *recordedConn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.promised = e
	return true
}

// keep makes it what was promised, if that was not given to another meanwhile.
func (c *replayConn) keep() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.promised != nil {
		c.play(c.promised)
		c.promised = nil
	}
}

// take makes it the connection of e, on which was asked first what is asked on it.
func (c *replayConn) take(e *recordedConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settled = true
	c.play(e)
}

func (c *replayConn) play(e *recordedConn) {
	c.rec, c.needs, c.causes, c.flow = e, make([]int, len(e.Received)), c.w.rec.causes(e), newFlow(e)
	var offset int64
	n := 0
	for k, b := range e.Received {
		for n < len(e.Requests) && e.Requests[n].Received <= offset {
			n++
		}
		c.needs[k] = n
		offset += int64(len(b.Data))
	}
}

// lent is the connection that was given out when this was dialled, if it fits and nothing was asked on this yet. It is given back, or stays for good.
func (c *replayConn) lent(stays bool, fits func(*recordedConn) bool) *recordedConn {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.rec
	if e == nil {
		e = c.promised
	}
	if e == nil || c.settled || fits != nil && !fits(e) {
		return nil
	}
	if c.settled = stays; !stays {
		c.rec, c.promised = nil, nil
	}
	return e
}

// giveBack lets others have what nothing was asked on.
func (c *replayConn) giveBack() {
	if e := c.lent(false, nil); e != nil {
		c.w.free(e)
	}
}

func (c *replayConn) Dialled() wire.Timing { return c.timing }

// Asked lets come what was asked for, or finds that it never was.
func (c *replayConn) Asked(r *wire.Request) (at, written time.Time, err error) {
	c.mu.Lock()
	first := c.asked == 0
	c.mu.Unlock()
	if first {
		e := c.w.asked(c, r)
		if e == nil {
			return time.Now(), time.Time{}, ErrNotRecorded
		}
		if e != c.rec {
			c.take(e)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked >= len(c.rec.Requests) || c.rec.Requests[c.asked].Request != requestText(r) {
		c.asker.miss("a further request on a connection was not asked so then")
		return time.Now(), time.Time{}, ErrNotRecorded
	}
	a := c.rec.Requests[c.asked]
	c.asked++
	c.poke()
	at = c.timing.Start.Add(a.At)
	if a.Written >= 0 {
		written = c.timing.Start.Add(a.Written)
	}
	return at, written, nil
}

// poke wakes who reads. The caller holds mu.
func (c *replayConn) poke() {
	close(c.wake)
	c.wake = make(chan struct{})
}

// ReadStamped waits for what comes next.
func (c *replayConn) ReadStamped(p []byte) (int, time.Time, error) {
	for {
		n, at, w, err := c.read(p)
		if n > 0 || err != nil {
			return n, at, err
		}
		var due <-chan time.Time
		var t *time.Timer
		if !w.until.IsZero() {
			t = time.NewTimer(time.Until(w.until))
			due = t.C
		}
		select {
		case <-w.wake:
		case <-w.moved:
		case <-due:
			if w.held && !time.Now().Before(w.until) {
				c.w.deeds.change(func(o int64, _ *deed) bool { return slices.Contains(w.causes, o) })
			}
		}
		if t != nil {
			t.Stop()
		}
	}
}

// wait is for what a read waits.
type wait struct {
	wake   <-chan struct{} // something changed on the connection
	moved  <-chan struct{} // something was done elsewhere; nil: that is of no account
	until  time.Time       // zero: for ever
	held   bool            // what comes next is due, and what it came of is not done yet
	causes []int64
}

// read takes what is there, or tells for what to wait.
func (c *replayConn) read(p []byte) (n int, at time.Time, w wait, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	w.wake = c.wake
	switch {
	case c.closed:
		return 0, now, w, net.ErrClosed
	case !c.deadline.IsZero() && !now.Before(c.deadline):
		return 0, now, w, os.ErrDeadlineExceeded
	}
	if len(c.rest) == 0 && c.rec != nil {
		switch {
		case c.next < len(c.rec.Received):
			k := c.rec.Received[c.next]
			if c.asked >= c.needs[c.next] && c.due(now, k.At, c.causes[c.next], &w) {
				c.rest, c.at = k.Data, c.timing.Start.Add(k.At)
				c.next++
			}
		case c.rec.Closed != "" && c.asked >= len(c.rec.Requests):
			if c.due(now, c.rec.ClosedAt, c.causes[c.next], &w) {
				return 0, c.timing.Start.Add(c.rec.ClosedAt), w, &wire.ClosedError{How: c.rec.Closed, Err: howEnded(c.rec.Closed)}
			}
		}
	}
	if len(c.rest) > 0 {
		n = copy(p, c.rest)
		c.rest = c.rest[n:]
		return n, c.at, w, nil
	}
	if !c.deadline.IsZero() && (w.until.IsZero() || c.deadline.Before(w.until)) {
		w.until, w.held = c.deadline, false
	}
	return 0, now, w, nil
}

// due tells whether something may come: its time is there, and all is done that it came of.
func (c *replayConn) due(now time.Time, at time.Duration, causes []int64, w *wait) bool {
	moment := c.timing.Start.Add(at)
	if moment.After(now) {
		w.until = moment
		return false
	}
	yes, moved := c.w.deeds.all(causes)
	if yes && (c.flow.room(c.next) || !c.held.IsZero() && !now.Before(c.held.Add(deedPatience))) {
		c.held, c.passed = time.Time{}, time.Time{}
		return true
	}
	if c.held.IsZero() {
		c.held = now
	}
	w.until, w.moved, w.held, w.causes = c.held.Add(deedPatience), moved, true, causes
	if c.passed.IsZero() && c.w.deeds.some(c.causes[c.next+1:]) {
		c.passed = now
	}
	if soon := c.passed.Add(turnPatience); !c.passed.IsZero() && soon.Before(w.until) {
		w.until = soon
	}
	return false
}

// howEnded is the error of the read that found out how the peer closed.
func howEnded(how string) error {
	switch how {
	case "FIN", "close_notify":
		return io.EOF
	case "FIN without close_notify":
		return io.ErrUnexpectedEOF
	case "RST":
		return syscall.ECONNRESET
	case context.DeadlineExceeded.Error():
		return context.DeadlineExceeded
	}
	return errors.New(how)
}

func (c *replayConn) Read(p []byte) (int, error) {
	n, _, err := c.ReadStamped(p)
	return n, err
}

func (c *replayConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, net.ErrClosed
	}
	if c.flow != nil {
		c.flow.sent(p)
		c.poke()
	}
	return len(p), nil
}

// behind tells whether something is due by then that was not read.
func (c *replayConn) behind(by time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.closed && c.rec != nil && c.asked > 0 && (len(c.rest) > 0 || c.next < len(c.rec.Received) && !c.timing.Start.Add(c.rec.Received[c.next].At).After(by))
}

// more tells whether something is still to come.
func (c *replayConn) more() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.closed && c.rec != nil && (len(c.rest) > 0 || c.next < len(c.rec.Received) || c.rec.Closed != "")
}

func (c *replayConn) Close() error {
	c.w.mu.Lock()
	delete(c.w.open, c)
	c.w.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.poke()
	return nil
}

func (c *replayConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	c.poke()
	return nil
}

func (c *replayConn) SetDeadline(t time.Time) error    { return c.SetReadDeadline(t) }
func (c *replayConn) SetWriteDeadline(time.Time) error { return nil }
func (c *replayConn) LocalAddr() net.Addr              { return recordedAddr("recording") }
func (c *replayConn) RemoteAddr() net.Addr             { return recordedAddr(c.addr) }

// recordedAddr is an address that nobody can dial.
type recordedAddr string

func (recordedAddr) Network() string  { return "recording" }
func (a recordedAddr) String() string { return string(a) }
