package limits

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// maxH2Streams is how many streams are opened on one connection, whatever the target allows: more than any browser would.
const maxH2Streams = 1000

// maxRelease is how long a place that was given up is waited for.
const maxRelease = 30 * time.Second

// queued is how long one stream is left waiting for that place: no time that anybody would configure, for where it is given up as it is served another place is lost.
const queued = 7300 * time.Millisecond

// What the probe h2-streams says.
var (
	h2Advertised = kind{"h2/max-concurrent-streams", "streams on one HTTP/2 connection, as advertised", "streams"}
	h2Served     = kind{"h2/served-streams", "streams on one HTTP/2 connection, served at once", "streams"}
	h2Release    = kind{"h2/slot-release", "time until the place of a closed HTTP/2 stream is free", "s"}
)

var h2Kinds = []kind{h2Advertised, h2Served, h2Release}

// kind is a limit as a probe looks for it.
type kind struct{ id, title, unit string }

func (k kind) found(low, high float64, owner, format string, args ...any) result.Limit {
	return found(k.id, k.title, low, high, k.unit, owner, format, args...)
}

func (k kind) none(low float64, format string, args ...any) result.Limit {
	return none(k.id, k.title, low, k.unit, format, args...)
}

func (k kind) undecided(by, format string, args ...any) result.Limit {
	return undecided(k.id, k.title, k.unit, by, format, args...)
}

func (k kind) inapplicable(format string, args ...any) result.Limit {
	return inapplicable(k.id, k.title, k.unit, format, args...)
}

// h2Requests are those of a connection that is filled four times at most, and those beyond that are refused.
func h2Requests(s *Session, _ time.Duration) int {
	if s.target.h2 == 0 {
		return 0
	}
	return 4*min(s.config.Streams, maxH2Streams) + 100
}

// h2Streams compares what SETTINGS_MAX_CONCURRENT_STREAMS promises (RFC 9113 5.1.2) with how many streams are served at once, looks at what the one too many gets, and at how soon
// the place of a stream that was closed is free again. The connection is one of ours that keeps to no limit: what others would hide by opening a second one is seen.
func h2Streams(ctx context.Context, s *Session) []result.Limit {
	var out []result.Limit
	switch {
	case s.target.h2 == 0 && s.target.dialer.Proto == wire.HTTP11:
		for _, k := range h2Kinds {
			out = append(out, k.undecided("--http auto", "HTTP/2 was not tried: HTTP/1.1 was asked for"))
		}
		return out
	case s.target.h2 == 0:
		for _, k := range h2Kinds {
			out = append(out, k.inapplicable("the target speaks HTTP/1.1 only"))
		}
		return out
	}
	ctx, cancel := s.within(ctx)
	defer cancel()
	w := &h2Wave{session: s, requests: h2Requests(s, 0), quiet: min(max(quiet, 4*s.target.took), 10*time.Second)}
	defer func() { w.close() }()
	if err := w.dial(ctx); err != nil {
		for _, k := range h2Kinds {
			out = append(out, k.undecided("", "no HTTP/2 connection: %s", printOf(err).Says))
		}
		return out
	}
	served, met := w.served(ctx)
	if n := w.declared; n == math.MaxUint32 {
		out = append(out, h2Advertised.none(float64(w.peak), "the target's SETTINGS name no limit: clients take 100 until they are told more (RFC 9113 5.1.2)"))
	} else {
		out = append(out, h2Advertised.found(float64(n), float64(n), result.OwnerTarget, "SETTINGS_MAX_CONCURRENT_STREAMS is %d", n))
	}
	release := h2Release.undecided("", "no limit of streams on one connection was met, so that no place was waited for")
	if met {
		release = w.release(ctx, int(*served.Low))
	}
	return append(out, served, release)
}

// served opens as many streams as it may and one more. met is true where that one was refused, and by a limit of the connection.
func (w *h2Wave) served(ctx context.Context) (served result.Limit, met bool) {
	s := w.session
	if s.target.held && s.config.Publisher == nil {
		return h2Served.undecided("--publish", "the head of a response comes with the first event only, and nothing can be published"), false
	}
	no := w.fill(ctx, 1, 1) // SETTINGS may be changed until the first stream is served
	w.declared = w.conn.Peer().MaxConcurrentStreams
	want := int(min(int64(s.config.Streams), maxH2Streams, int64(w.declared)))
	if no.Cause == "" {
		no = w.fill(ctx, want, h2Step)
	}
	if w.conn.Err() != nil && !w.retired() {
		var l *result.Limit
		if no, l = w.fragile(ctx, want); l != nil {
			return *l, false
		}
	}
	n := w.peak
	open := result.Plural(int64(n), "stream") + " open at once"
	switch {
	case n == 0 && w.answered > 0:
		return h2Served.undecided("", "streams end by themselves, sooner than they can be counted"), false
	case n == 0:
		return h2Served.undecided("", "no stream over HTTP/2 was served: %s", cmp.Or(no.Says, "the search ended before")), false
	case ctx.Err() != nil:
		return h2Served.none(float64(n), "%s; the search ended before more were tried", open), false
	case w.retired():
		return h2Served.none(float64(n), "%s when the connection was told to go, without a fault (GOAWAY NO_ERROR): more were not tried on it", open), false
	case no.Owner == result.OwnerGenerator:
		return h2Served.undecided("", "%d streams were served; %s", n, no.Says), false
	case no.Cause == "" && w.alive() < want:
		return h2Served.none(float64(n), "%s; streams end by themselves, so that more could not be held", open), false
	}

	says := ""
	if w.fine() {
		got, seen, told := w.reach(ctx)
		if told && got < n {
			return h2Served.found(float64(got), float64(got), result.OwnerTarget, "%d streams have a head, and %s", n, seen), false
		}
		says = "; " + seen
	}
	of := "all of "
	if no.Cause != "" {
		of = "no more than "
	} else {
		if uint32(want) < w.declared {
			return h2Served.none(float64(n), "all of %d streams were served%s; more were not tried", n, says), false
		}
		no = w.ask(ctx, 1)
		w.settled(ctx, settle)
		switch {
		case ctx.Err() != nil || no.Owner == result.OwnerGenerator:
			return h2Served.none(float64(n), "all of %d streams were served%s; the search ended before one more was tried", n, says), false
		case no.Cause == "" && w.peak > n:
			return h2Served.none(float64(w.peak), "all of %d streams were served, and one more than SETTINGS allow%s", n, says), false
		case no.Cause == "":
			return h2Served.none(float64(n), "all of %d streams were served%s; streams end by themselves, so that one more could not be tried", n, says), false
		}
	}
	return w.whose(ctx, n, no, of, says)
}

// whose tells whether it is the connection that takes no more than n streams, or something to which other connections count as well.
func (w *h2Wave) whose(ctx context.Context, n int, no Fingerprint, of, says string) (l result.Limit, met bool) {
	seen := fmt.Sprintf("%s%d streams were served%s; the one too many: %s", of, n, says, no.Says)
	deadly := !w.fine()
	if deadly && (!w.refill(ctx, n) || w.ask(ctx, 1).Cause == "" || w.fine() || !w.refill(ctx, n)) {
		return h2Served.undecided("", "%s; it did not end so again on another connection", seen), false
	}
	other := &h2Wave{session: w.session, requests: 1, quiet: w.quiet}
	defer func() { other.close() }()
	if err := other.dial(ctx); err != nil {
		return h2Served.undecided("", "%s; another connection to compare with could not be made: %s", seen, printOf(err).Says), false
	}
	also := other.ask(ctx, 1)
	switch {
	case ctx.Err() == nil && also.Cause != "":
		return h2Served.none(float64(n), "%s; so was one on another connection: it is not the connection that is limited", seen), false
	case !deadly && w.ask(ctx, 1).Cause == "" && ctx.Err() == nil:
		return h2Served.none(float64(max(n, w.peak)), "%s; but a later one was served", seen), false
	case ctx.Err() != nil:
		return h2Served.undecided("", "%s; the search ended before it was compared with another connection", seen), false
	}
	return h2Served.found(float64(n), float64(n), cmp.Or(no.Owner, result.OwnerTarget), "%s", seen), true
}

// fragile finds out with how many streams a connection ends: of many that were asked for at once it cannot be told. Where none ends with streams that are asked for one by one,
// the search goes on with such a connection; l is what there is to say where it cannot.
func (w *h2Wave) fragile(ctx context.Context, want int) (no Fingerprint, l *result.Limit) {
	var ended [2]int
	for i := range ended {
		if err := w.redial(ctx); err != nil {
			l := h2Served.undecided("", "the connection ended, and another could not be made: %s", printOf(err).Says)
			return no, &l
		}
		if no = w.fill(ctx, want, 1); w.conn.Err() == nil || ctx.Err() != nil {
			return no, nil
		}
		ended[i] = w.peak
	}
	if ended[0] != ended[1] || ended[0] == 0 {
		l := h2Served.undecided("", "connections ended with %d and %d streams open: %s", ended[0], ended[1], no.Says)
		return no, &l
	}
	if !w.refill(ctx, ended[0]) {
		l := h2Served.undecided("", "two connections ended with %d streams open, another one with %d: %s", ended[0], w.peak, no.Says)
		return no, &l
	}
	return no, nil
}

// release closes one of n streams, which are as many as there may be, and asks for another until it is served.
func (w *h2Wave) release(ctx context.Context, n int) result.Limit {
	if (!w.fine() || w.alive() != n) && !w.refill(ctx, n) {
		return h2Release.undecided("", "another connection did not hold %d streams", n)
	}
	w.quiet = max(w.quiet, queued)
	closed := w.drop()
	var low, next time.Duration // after which there was no place yet, and after which it is tried again
	for next <= maxRelease {
		pause(ctx, time.Until(closed.Add(next)))
		asked := time.Since(closed)
		no := w.ask(ctx, 1)
		at := time.Since(closed)
		switch {
		case ctx.Err() != nil || no.Owner == result.OwnerGenerator:
			next = maxRelease + 1
			continue
		case no.Cause == "" && w.settled(ctx, settle/10) != n:
			return h2Release.undecided("", "streams end by themselves, so that it cannot be told whose place is taken")
		case no.Cause == "":
			if slack := max(10*w.usual, 200*time.Millisecond); at-asked > slack {
				low = max(low, at-slack) // it was queued, and had its answer as soon as there was a place
			}
			return h2Release.found(low.Seconds(), at.Seconds(), result.OwnerTarget, "a stream was served again %s after another was closed", result.Micros(float64(at.Microseconds())))
		case no.Cause == notAnswered:
			low = at
		default:
			low = asked
		}
		if next = max(at, low*13/10, low+20*time.Millisecond); w.fine() {
			continue
		}
		next = max(next, 4*low, time.Second) // each try costs a connection
		if !w.refill(ctx, n) {
			break
		}
		closed = w.drop()
	}
	if low == 0 {
		return h2Release.undecided("--budget", "another stream was not served at once, and the search ended before it was tried later")
	}
	l := h2Release.found(low.Seconds(), 0, result.OwnerTarget, "no stream was served within %s of another's end", low.Round(time.Millisecond))
	l.High = nil
	return l
}

// reach publishes, and tells how many of the open streams get it: a head is no event yet. told is false where nothing follows from what was seen.
func (w *h2Wave) reach(ctx context.Context) (got int, says string, told bool) {
	s := w.session
	switch {
	case s.mute != "":
		return 0, "whether each gets events was not tried: the publish hook fails", false
	case s.config.Publisher == nil:
		return 0, "whether each gets events was not tried (--publish)", false
	}
	open := w.living()
	first, err := s.reached(ctx, open, w.quiet)
	switch {
	case err != nil:
		return 0, "whether each gets events could not be tried: " + err.Error(), false
	case first.all():
		return len(open), "each got what was published", true
	}
	some := "what was published came on " + result.Count(int64(first.count())) + " of them"
	if first.count() == 0 {
		return 0, some, false
	}
	// It is the connection's doing where it is always the same streams that get it, and one on another connection does.
	other := &h2Wave{session: s, requests: 1, quiet: w.quiet}
	defer func() { other.close() }()
	if other.dial(ctx) != nil || other.ask(ctx, 1).Cause != "" {
		return 0, some, false
	}
	for range 2 {
		again, err := s.reached(ctx, slices.Concat(open, other.open), w.quiet)
		switch {
		case err != nil || ctx.Err() != nil || len(w.living()) < len(open) || len(other.living()) == 0:
			return 0, some, false
		case again.all():
			return len(open), "each got what was published", true
		case !slices.Equal(again, append(slices.Clone(first), true)):
			return 0, some + ", and not always on the same", false
		}
	}
	return first.count(), result.Count(int64(first.count())) + " of them got what was published, as did one on another connection", true
}

// arrivals tells of each of several streams whether an event came on it.
type arrivals []bool

func (a arrivals) count() (n int) {
	for _, came := range a {
		if came {
			n++
		}
	}
	return n
}

func (a arrivals) all() bool { return a.count() == len(a) }

// reached publishes an event and waits for it on each of the streams, until none has got it for a while.
func (s *Session) reached(ctx context.Context, on []*Listener, quiet time.Duration) (arrivals, error) {
	m := event(0)
	came := make(chan int)
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	for i, l := range on {
		ch := l.Await(m.Marker)
		go func() {
			if _, err := l.await(waiting, ch); err != nil {
				i = -1
			}
			came <- i
		}()
	}
	receipt, err := s.publish(ctx, m)
	if err == nil && receipt.Refused {
		err = errRefused
	}
	if err != nil {
		stop()
	}
	still := time.AfterFunc(quiet, stop)
	defer still.Stop()
	out := make(arrivals, len(on))
	for range on {
		if i := <-came; i >= 0 {
			out[i] = true
			if waiting.Err() == nil {
				still.Reset(quiet)
			}
		}
	}
	return out, err
}

var errRefused = errors.New("the hook refuses the event")
