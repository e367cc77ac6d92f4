package conformance

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"ssegauge/reference/wire"
)

// Times of the run itself. None of them is a verdict on the target.
const (
	wakeAfter   = 2 * time.Second        // no head until then: publish something, it may come with an event
	strangeBody = 3 * time.Second        // how long an answer that is no event stream is read
	quiet       = 300 * time.Millisecond // after the head, before the first publish: a server may subscribe after it flushes
)

// maxRedirects is how many redirects are followed, as fetch has it.
const maxRedirects = 20

// session is what the checks of one run share.
type session struct {
	target   Target
	first    *Connection
	oracle   *oracle
	secrets  *secrets
	over     chan struct{} // the observation is over
	stage    *stage
	shared   sync.Map
	hooks    hooks
	facts    sync.Map  // what checks remember of the target
	deadline time.Time // of the observation; set before it begins
	scope    string    // "direct": of the run within a run that goes past the proxy
	seed     string    // of nonces
	tape     tape
	past     *past // set before the checks that need the direct way run; nil where there is none

	afterwards sync.Once
	until      time.Time // when those who talk to it alone must be done; set as the first of them begins

	mu     sync.Mutex
	conns  []*Connection
	named  int
	nonces map[string]int // made so far, by who asked
}

// tape is what stands between a run and the network: a [Recording] that keeps what is asked, or the world that is made of one.
type tape interface {
	wrap(*Target, []*Check)
	dial(context.Context, *wire.Dialer)
	left(asker) // a check is done
	slack(int) int
	drain() // connections are about to be left: what came on them by now is to be there
}

// UnreachableError tells that the target could not be judged at all: nobody answered there.
type UnreachableError struct{ Err error }

func (e *UnreachableError) Error() string { return e.Err.Error() }

func (e *UnreachableError) Unwrap() error { return e.Err }

func (s *session) name() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.named++
	return fmt.Sprintf("c%d", s.named)
}

func (s *session) dialer(ctx context.Context, within time.Duration, redirects int) *wire.Dialer {
	d := s.target.Dialer
	d.HeadTimeout, d.MaxRedirects = within, redirects
	d.Decode = true
	d.Record = 2 * maxContent
	s.onTape(ctx, &d)
	return &d
}

func (s *session) onTape(ctx context.Context, d *wire.Dialer) {
	if s.tape != nil {
		s.tape.dial(ctx, d)
	}
}

// open makes one request. The connection's stream is read in the background until it ends, ctx does, or it is closed.
func (s *session) open(ctx context.Context, r *wire.Request, within time.Duration, redirects int) *Connection {
	c, stop := s.request(ctx, r, s.dialer(ctx, within, redirects))
	if c.Err == nil {
		c.begin(stop)
	}
	return c
}

// request makes one request and reads no more than the head. stop ends what ctx governs; it is called already where there is no stream.
func (s *session) request(ctx context.Context, r *wire.Request, d *wire.Dialer) (c *Connection, stop func()) {
	life, stop := context.WithCancel(ctx)
	c = &Connection{Name: s.name(), Request: r, changed: make(chan struct{}), Proto: s.target.Dialer.Proto, life: life, hide: s.secrets}
	defer func() { s.secrets.heads(c.Head, c.Hops) }()
	st, err := d.Open(life, r)
	if err != nil {
		stop()
		c.Err = err
		if e, ok := errors.AsType[*wire.Error](err); ok {
			c.Head, c.Hops, c.Timing, c.record = e.Head, e.Hops, e.Timing, e.Transcript
			if c.Head != nil && c.Proto == wire.Auto && (c.Head.Proto == wire.HTTP10 || c.Head.Proto == wire.HTTP11) {
				c.Proto = wire.HTTP11
			}
		}
		return c, stop
	}
	c.stream, c.Head, c.Hops, c.Timing = st, st.Head, st.Hops, st.Timing
	c.record, c.Proto = st.Conn.Transcript(), st.Conn.Proto()
	// As a client does: the id it came with stands until the stream sets another.
	c.decoder.SetLastEventID([]byte(r.Header.Get("Last-Event-ID")))
	return c, stop
}

// wakeAfter is how long a head is waited for before something is published.
func (s *session) wakeAfter() time.Duration {
	if s.first != nil && s.first.Woken > 0 {
		return quiet // it is known to wait: two seconds more would only be lost
	}
	return wakeAfter
}

// openAwake is open, and where no head comes for a while publishes something: it may be waiting for that.
func (s *session) openAwake(ctx context.Context, r *wire.Request, within time.Duration, redirects int) *Connection {
	start := time.Now()
	woken := make(chan time.Duration, 1)
	if s.target.Publisher != nil {
		wake := time.AfterFunc(s.wakeAfter(), func() {
			a := askerOf(ctx)
			ctx, cancel := context.WithTimeout(asker{a.scope, wakes + a.id, nil}.in(ctx), wakeAfter)
			defer cancel()
			woken <- time.Since(start)
			// Whether it went well shows on the stream.
			_, _ = s.target.Publisher.Publish(ctx, plainMessage(s.nonce(ctx)))
		})
		defer wake.Stop()
	}
	c := s.open(ctx, r, within, redirects)
	select {
	case c.Woken = <-woken:
	default:
	}
	return c
}

// openFirst opens the connection that most checks judge. err is set where nobody can be judged there.
func (s *session) openFirst(ctx context.Context) error {
	r := s.target.Request
	start := time.Now()
	for again := range 2 {
		c := s.openAwake(ctx, &r, max(s.target.Window-time.Since(start), time.Second), maxRedirects)
		s.first = c
		e, ok := errors.AsType[*wire.Error](c.Err)
		switch {
		case c.Err == nil || ctx.Err() != nil:
			s.add(c)
			return nil
		case !ok:
			return c.Err
		}
		if re, ok := errors.AsType[*wire.RequestError](c.Err); ok {
			return re
		}
		switch e.Phase {
		case wire.PhaseResolve, wire.PhaseConnect, wire.PhaseTLS:
			return &UnreachableError{e}
		case wire.PhaseWrite, wire.PhaseHead:
			// Nothing at all came back and the connection is gone: perhaps a server that restarts. Once more, then nobody is there.
			if e.Transcript.Received() == 0 && !errors.Is(e.Err, context.DeadlineExceeded) {
				if again == 1 || s.call() { // what was asked may have been done
					return &UnreachableError{e}
				}
				sleep(ctx, quiet)
				continue
			}
		}
		s.add(c)
		return nil
	}
	return nil
}

func (s *session) add(c *Connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns = append(s.conns, c)
}

// observed returns the connections of the observation.
func (s *session) observed() []*Connection {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*Connection(nil), s.conns...)
}

// current is the last of them.
func (s *session) current() *Connection {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns[len(s.conns)-1]
}

// nominal is the request for what the target's URL led to.
func (s *session) nominal() wire.Request {
	if s.first != nil && s.first.stream != nil {
		return *s.first.stream.Request
	}
	return s.target.Request
}

// streams tells whether there is a stream to observe.
func (s *session) streams() bool { return s.first.stream != nil && s.first.Head.Status == 200 }

// observe keeps the observation going: to the end of the window, or until the stream ended and nothing more is to be published on it, or
// until nobody needs it.
func (s *session) observe(ctx context.Context) {
	defer func() {
		s.stage.tell(func() { s.stage.over = true })
		close(s.over)
	}()
	if !s.streams() {
		s.oracle.give("there is no stream to publish to")
		if s.first.stream != nil {
			s.first.Close()
		}
		return
	}
	ctx, cancel := context.WithDeadline(ctx, s.deadline)
	published := make(chan struct{})
	go func() {
		defer close(published)
		s.oracle.run(ctx)
	}()
	defer func() {
		cancel()
		<-published
		s.oracle.turn <- struct{}{} // no check opens another connection from here on
		defer func() { <-s.oracle.turn }()
		if s.tape != nil {
			s.tape.drain()
		}
		for _, c := range s.observed() {
			c.Close()
		}
	}()
	strange := time.NewTimer(strangeBody)
	defer strange.Stop()
	done, idle := published, s.stage.idle
	for {
		c := s.current()
		changed := c.Changed()
		if done == nil && (c.over() || idle == nil) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-done:
			done = nil
		case <-idle:
			idle = nil
		case <-strange.C:
			if !isEventStream(s.first.Head) && len(s.first.Events()) == 0 {
				return
			}
		case <-changed:
		}
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
