package limits

import (
	"context"
	"time"

	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// quiet is how long nothing happens before streams that were asked for are taken not to come.
const quiet = 2 * time.Second

// h2Step is how many streams are asked for at once: as many as a client may before it was told a number.
const h2Step = 100

// h2MaxEvent bounds what is held of an event by each of many streams, in bytes.
const h2MaxEvent = 256 << 10

// notAnswered is the cause of a request that waits for its head.
const notAnswered = "head: timeout"

// h2Wave opens streams on one HTTP/2 connection, past what it allows.
type h2Wave struct {
	session  *Session
	conn     *wire.Conn
	requests int           // that may still be made
	quiet    time.Duration // how long an answer is waited for
	usual    time.Duration // that an answer takes

	declared uint32 // math.MaxUint32: SETTINGS name no limit
	open     []*Listener
	answered int // streams that had a head
	peak     int // the most that were open at once, and still were when the ends of others had been read
}

// dial connects and learns what the peer allows.
func (w *h2Wave) dial(ctx context.Context) error {
	d := *w.session.target.dialer
	d.Proto, d.Frames.PastLimit = w.session.target.h2, true
	conn, err := d.Dial(ctx, w.session.target.request.URL)
	if err != nil {
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, headPatience)
	defer cancel()
	_, err = conn.Ping(waiting) // the answer to it comes after the peer's SETTINGS
	if err != nil && (conn.Err() != nil || !conn.Peer().Seen) {
		conn.Close()
		return err
	}
	w.conn, w.declared = conn, conn.Peer().MaxConcurrentStreams
	w.open, w.answered, w.peak = nil, 0, 0
	return nil
}

// redial leaves the connection for another.
func (w *h2Wave) redial(ctx context.Context) error {
	w.close()
	return w.dial(ctx)
}

// refill leaves the connection for another on which n streams are open, and tells whether that was possible.
func (w *h2Wave) refill(ctx context.Context, n int) bool {
	if w.redial(ctx) != nil {
		return false
	}
	no := w.fill(ctx, n, h2Step)
	return no.Cause == "" && w.alive() == n && w.fine()
}

func (w *h2Wave) close() {
	for _, l := range w.open {
		l.Close()
	}
	w.open = nil
	if w.conn != nil {
		w.conn.Close()
	}
}

// fine tells whether the connection takes requests.
func (w *h2Wave) fine() bool { return w.conn.Err() == nil && w.conn.GoingAway() == nil }

// retired tells whether it was told to go without a fault: its requests or its time were used up.
func (w *h2Wave) retired() bool {
	goaway := w.conn.GoingAway()
	return goaway != nil && goaway.Code == wire.CodeNo
}

// living are the streams that have not ended.
func (w *h2Wave) living() (open []*Listener) {
	for _, l := range w.open {
		if l.Alive() {
			open = append(open, l)
		}
	}
	return open
}

func (w *h2Wave) alive() int { return len(w.living()) }

// settled counts the streams that are open, after d: what ends others as it is opened has done so by then.
func (w *h2Wave) settled(ctx context.Context, d time.Duration) int {
	pause(ctx, d)
	n := w.alive()
	w.peak = max(w.peak, n)
	return n
}

// drop closes the oldest stream, and tells when.
func (w *h2Wave) drop() time.Time {
	w.open = w.living()
	if len(w.open) > 0 {
		w.open[0].Close()
		w.open = w.open[1:]
	}
	return time.Now()
}

// fill opens streams until so many are open, and returns why there are fewer; it has no cause where the time, the requests or the connection came to an end without one. Where some of
// many at once are refused it goes on one by one: it may have been the pace. Where as many end as are opened it does not go on.
func (w *h2Wave) fill(ctx context.Context, want, step int) (no Fingerprint) {
	refused := 0 // in a row, one by one
	n := w.settled(ctx, 0)
	for n < want && ctx.Err() == nil && w.requests > 0 && w.fine() {
		asked := min(step, want-n)
		no = w.ask(ctx, asked)
		before, wait := n, settle
		if asked == 1 {
			wait /= 10
		}
		n = w.settled(ctx, wait)
		if no.Cause == "" {
			if refused = 0; n <= before {
				break
			}
			continue
		}
		if step == 1 {
			refused++
		}
		if refused == 2 || refused == 1 && no.Cause == notAnswered || no.Owner == result.OwnerGenerator {
			return no
		}
		step = 1
		pause(ctx, time.Second)
	}
	return no
}

// ask asks for n streams and waits until each was answered, or nothing has happened for a while: those that still wait are given up. It returns how it went with the last that was
// not served; it has no cause where all were.
func (w *h2Wave) ask(ctx context.Context, n int) (no Fingerprint) {
	s := w.session
	if n = min(n, w.requests); n == 0 {
		return Fingerprint{Cause: "no more requests", Owner: result.OwnerGenerator, Says: "as many requests were made as were said beforehand"}
	}
	w.requests -= n
	asking, giveUp := context.WithCancel(ctx)
	defer giveUp()
	defer s.knock(asking)()
	type answer struct {
		l   *Listener
		err error
	}
	answers := make(chan answer)
	began := time.Now()
	for range n {
		go func() {
			l, err := s.openQuietly(asking, w.conn, h2MaxEvent)
			answers <- answer{l, err}
		}()
	}
	still := time.AfterFunc(w.quiet, giveUp)
	defer still.Stop()
	for range n {
		a := <-answers
		switch late := asking.Err() != nil; {
		case a.err == nil:
			w.open = append(w.open, a.l)
			w.answered++
		case ctx.Err() != nil:
		case late || silent(a.err):
			if no.Cause == "" {
				no = Fingerprint{Cause: notAnswered, Owner: result.OwnerTarget, Says: "not answered within " + time.Since(began).Round(100*time.Millisecond).String()}
			}
		default:
			no = printOf(a.err)
		}
		if asking.Err() == nil {
			still.Reset(w.quiet)
			s.Note("%d streams on one connection", len(w.open))
		}
	}
	if goaway := w.conn.GoingAway(); goaway != nil && no.Cause != "" {
		no = printOf(goaway) // what is beyond its last stream counts as refused
	}
	if len(w.open) == 1 && n == 1 && no.Cause == "" {
		w.usual = time.Since(began)
		w.quiet = min(max(quiet, 4*w.usual), 10*time.Second) // the target may be far or slow
	}
	w.open = w.living()
	return no
}
