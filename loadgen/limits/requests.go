package limits

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"
	"time"

	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

const (
	// mostTurns is how many requests are made on one connection at most: twice what nginx allows by default.
	mostTurns = 2000
	// turnEnds is how long a response may take that ends by itself.
	turnEnds = time.Second // at most
	// turnBytes is how much of it is read at most, in bytes.
	turnBytes = 1 << 20
	// cancelGap lies between streams that are cancelled: fewer a second than what node allows (33), which counts resets.
	cancelGap = 40 * time.Millisecond
	// turnGap lies between other requests.
	turnGap = 2 * time.Millisecond
)

func connRequestsRequests(_ *Session, within time.Duration) int {
	return min(4*mostTurns, int(within/turnGap)) + 16
}

// connRequests makes one request after the other on a connection until it is ended, by each protocol that the target speaks, and again on a second connection at half the pace: the same
// number is a limit of requests, the same age is not. A stream that does not end cannot be followed by another one over HTTP/1.1, and to reset thousands over HTTP/2 is what servers defend
// themselves against, so requests for the head alone are counted where they are answered.
func connRequests(ctx context.Context, s *Session) []result.Limit {
	ctx, cancel := s.within(ctx)
	defer cancel()
	h1 := &turns{Session: s, id: "conn/requests-h1", title: "requests on one HTTP/1.1 connection", proto: wire.HTTP11}
	h2 := &turns{Session: s, id: "conn/requests-h2", title: "requests on one HTTP/2 connection", proto: s.target.h2}
	half := time.Now().Add(s.left() / 2)
	var out []result.Limit
	if s.target.h1 {
		if s.target.h2 == 0 {
			half = s.End
		}
		ctx, cancel := context.WithDeadline(ctx, half)
		defer cancel()
		out = append(out, h1.look(ctx))
	} else {
		out = append(out, inapplicable(h1.id, h1.title, "requests", "the target speaks HTTP/2 only, or was asked for by it"))
	}
	if s.target.h2 == 0 {
		return append(out, inapplicable(h2.id, h2.title, "requests", "the target speaks HTTP/1.1 only, or was asked for by it"))
	}
	return append(out, h2.look(ctx))
}

// turns counts the requests of connections with one protocol.
type turns struct {
	*Session
	id, title string
	proto     wire.Proto
}

// turn is a kind of request that can be followed by another one.
type turn struct {
	method string
	cancel bool // its stream is cancelled after the head
	status int  // of the answer
}

func (t turn) String() string {
	switch {
	case t.cancel:
		return "streams (each cancelled after its head)"
	case t.status >= 400:
		return fmt.Sprintf("%s requests (answered %d)", t.method, t.status)
	}
	return t.method + " requests"
}

// ride is what became of one connection.
type ride struct {
	served int
	took   time.Duration // from the first request until the end
	over   bool          // the target ended it; else the requests or the time were over
	proper bool          // it said so
	how    string        // how it was ended, or why the ride was broken off; "": it was not
	status int           // of the last answer
}

func (t *turns) look(ctx context.Context) result.Limit {
	kind, one, why := t.choose(ctx)
	switch {
	case ctx.Err() != nil:
		return t.undecided("--budget", "the time was over before a kind of request was found that can be counted%s", why)
	case one != nil:
		return found(t.id, t.title, 1, 1, "requests", result.OwnerTarget, "no connection is kept: %s", one.how)
	case why != "":
		return t.undecided("", "%s", why)
	}
	first := t.ride(ctx, kind, mostTurns, 0, quiet)
	if l, done := t.inconclusive(ctx, kind, &first); done {
		return l
	}
	end, _ := ctx.Deadline()
	left := time.Until(end)
	slower := first.took / time.Duration(max(first.served, 1))
	if first.took*5/2 > left {
		slower = 0
	}
	says := fmt.Sprintf("%s were made one after the other on one connection; %s", kind, first.how)
	if first.took > left {
		return t.undecided("--budget", "%s; there was no time to see whether that is so of others", says)
	}
	second := t.ride(ctx, kind, mostTurns, slower, quiet)
	again := fmt.Sprintf("%d after %s and %d after %s", first.served, shortly(first.took), second.served, shortly(second.took))
	switch {
	case second.over && second.served == first.served && slower > 0:
		return found(t.id, t.title, float64(first.served), float64(first.served), "requests", result.OwnerTarget, "%s, and at half the pace the same on another", says)
	case second.over && second.served == first.served:
		return found(t.id, t.title, float64(first.served), float64(first.served), "requests", result.OwnerTarget, "%s, and the same on another", says)
	case second.over && near(first.took, second.took) && slower == 0:
		return t.undecided("--budget", "two connections were ended, at the same pace, %s: whether it is their age or the number of requests there was no time to find out; %s", again, says)
	case second.over && near(first.took, second.took):
		return none(t.id, t.title, float64(max(first.served, second.served)), "requests", "connections are ended at an age, not after a number of requests: %s; %s", again, says)
	case second.over:
		return found(t.id, t.title, float64(min(first.served, second.served)), float64(max(first.served, second.served)), "requests", result.OwnerTarget, "two connections were ended, %s: %s", again, says)
	case second.served > first.served:
		return none(t.id, t.title, float64(second.served), "requests", "another connection served %d; %s", second.served, says)
	}
	by, then := "--budget", "the time was over"
	if second.how != "" {
		by, then = "", second.how
	}
	return t.undecided(by, "%s; it was seen once: another connection served %d, then %s", says, second.served, then)
}

// inconclusive is what is to be said of a ride that met no limit of requests; done is false where it did.
func (t *turns) inconclusive(ctx context.Context, kind turn, r *ride) (l result.Limit, done bool) {
	switch {
	case r.over && kind.cancel && !r.proper:
		return t.undecided("", "%d streams were opened and cancelled one after the other on one connection; then %s: that may be a budget of resets as well as a limit of requests", r.served, r.how), true
	case r.over && r.served > 0:
		return l, false
	case r.how != "":
		return t.undecided("", "%d %s were made on one connection; then %s", r.served, kind, r.how), true
	case ctx.Err() != nil && r.served == 0:
		return t.undecided("--budget", "there was no time to make requests"), true
	case ctx.Err() != nil:
		return none(t.id, t.title, float64(r.served), "requests", "%d %s were made on one connection in %s, and it stays open; more were not tried", r.served, kind, shortly(r.took)), true
	}
	return none(t.id, t.title, float64(r.served), "requests", "%d %s were made on one connection, and it stays open; more were not tried", r.served, kind), true
}

func (t *turns) undecided(by, format string, args ...any) result.Limit {
	return undecided(t.id, t.title, "requests", by, format, args...)
}

// choose finds out what kind of request can be counted: one is a ride of one request where connections are not kept whatever is asked for, why says why there is none.
func (t *turns) choose(ctx context.Context) (kind turn, one *ride, why string) {
	kinds := []turn{{method: "HEAD"}, {method: "OPTIONS"}}
	if t.target.request.Method == "" || t.target.request.Method == "GET" {
		kinds = append(kinds, turn{method: "GET"})
		if t.proto != wire.HTTP11 {
			kinds = append(kinds, turn{method: "GET", cancel: true})
		}
	}
	var said []string
	var refused *turn
	kept := true
	end, _ := ctx.Deadline()
	patience := min(quiet, max(time.Until(end)/8, 500*time.Millisecond)) // one that hangs leaves time for the others
	for _, k := range kinds {
		r := t.ride(ctx, k, 2, 0, patience)
		if ctx.Err() != nil {
			break
		}
		k.status = r.status
		switch {
		case r.served == 2 && r.status < 400:
			return k, nil, ""
		case r.served == 2 && r.status < 500 && r.status != 429 && refused == nil:
			refused = &k
		case r.served == 1 && r.over && r.status < 400:
			kept, one = false, &r
		}
		how := r.how
		if r.served == 2 {
			how = fmt.Sprintf("answered %d", r.status)
		}
		said = append(said, fmt.Sprintf("%s: %s", k.method, how))
	}
	last := kinds[len(kinds)-1]
	switch {
	case ctx.Err() != nil:
		if len(said) > 0 {
			why = " (" + strings.Join(said, "; ") + ")"
		}
		return kind, nil, why
	case refused != nil:
		return *refused, nil, ""
	case !kept && last.method == "GET" && t.closes(ctx):
		return kind, one, ""
	case t.proto == wire.HTTP11:
		return kind, nil, "no kind of request could be made twice on one connection (" + strings.Join(said, "; ") + "); over HTTP/1.1 a stream that does not end is the last of its connection anyway"
	}
	return kind, nil, "no kind of request could be made twice on one connection (" + strings.Join(said, "; ") + ")"
}

// closes tells whether the head of a stream says that its connection ends with it.
func (t *turns) closes(ctx context.Context) bool {
	conn, err := t.dial(ctx, t.proto)
	if err != nil {
		return false
	}
	defer conn.Close()
	head, err := t.take(ctx, conn, turn{method: "GET", cancel: true}, headPatience)
	return err == nil && saysClose(head) || t.proto != wire.HTTP11
}

// saysClose tells whether an HTTP/1.1 connection ends with the answer (RFC 9112 9.3).
func saysClose(h *wire.Head) bool {
	options := strings.ToLower(strings.Join(h.Header.Values("Connection"), ","))
	has := func(o string) bool {
		return slices.ContainsFunc(strings.Split(options, ","), func(s string) bool { return strings.TrimSpace(s) == o })
	}
	return has("close") || h.Proto == wire.HTTP10 && !has("keep-alive")
}

// ride makes up to most requests on one connection, with so much time between them beside what is always there. patience is for the first answers.
func (t *turns) ride(ctx context.Context, kind turn, most int, slower, patience time.Duration) (r ride) {
	conn, err := t.dial(ctx, t.proto)
	switch {
	case ctx.Err() != nil:
		if err == nil {
			conn.Close()
		}
		return r
	case err != nil:
		return ride{how: "another connection could not be opened: " + printOf(err).Says}
	}
	defer conn.Close()
	began := time.Now()
	defer func() { r.took = time.Since(began) }()
	gap, slowest := turnGap, time.Duration(0)
	if kind.cancel {
		gap = cancelGap
	}
	var last *wire.Head
	for r.served < most {
		asked := time.Now()
		head, err := t.take(ctx, conn, kind, max(patience, 5*slowest))
		if err != nil {
			if ctx.Err() == nil {
				r.end(ctx, t, conn, kind, last, err, patience)
			}
			return r
		}
		slowest = max(slowest, time.Since(asked))
		if r.served > 0 && head.Status != r.status && head.Status >= 400 {
			f, _ := ofHead(head)
			r.how = "one was " + f.Says
			return r
		}
		last, r.status = head, head.Status
		r.served++
		pause(ctx, gap+slower)
	}
	return r
}

// end notes how a connection ended: last is the last head before err.
func (r *ride) end(ctx context.Context, t *turns, conn *wire.Conn, kind turn, last *wire.Head, err error, patience time.Duration) {
	var goaway *wire.GoAwayError
	if t.proto != wire.HTTP11 && !errors.As(err, &goaway) && conn.Err() == nil {
		_, second := t.take(ctx, conn, kind, patience) // what came after the last stream of a GOAWAY is told nothing else
		errors.As(second, &goaway)
	}
	switch {
	case goaway != nil || errors.As(err, &goaway):
		r.over, r.proper = true, goaway.Code == wire.CodeNo
		r.how = fmt.Sprintf("after the answer to the %s: %s", nth(r.served), printOf(goaway).Says)
		if goaway.Code == wire.CodeEnhanceYourCalm {
			r.over = false
			r.how += ": a budget of resets or of the pace, no limit of requests"
		}
	case errors.Is(err, wire.ErrBusy) && last != nil && saysClose(last):
		r.over, r.proper, r.how = true, true, fmt.Sprintf("the answer to the %s says that the connection closes", nth(r.served))
	case errors.Is(err, errEndless), errors.Is(err, errBeyond):
		r.how = err.Error()
	case silent(err):
		r.how = fmt.Sprintf("the %s is not answered", nth(r.served+1))
	case r.served > 0 && (errors.Is(err, wire.ErrBusy) || conn.Err() != nil || hungUp(err)):
		r.over, r.how = true, fmt.Sprintf("after the answer to the %s the connection is closed without a word", nth(r.served))
	default:
		r.how = fmt.Sprintf("the %s: %s", nth(r.served+1), printOf(err).Says)
	}
}

// take makes one request and takes its answer to the end.
func (t *turns) take(ctx context.Context, conn *wire.Conn, kind turn, patience time.Duration) (*wire.Head, error) {
	ends := min(turnEnds, patience)
	ctx, cancel := context.WithTimeoutCause(ctx, patience+ends, &wire.TimeoutError{After: patience})
	defer cancel()
	r := *t.target.request
	r.Method = kind.method
	if kind.method != "GET" {
		r.Body = nil
	}
	s, err := conn.Open(ctx, &r)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if kind.cancel {
		return s.Head, nil
	}
	_ = s.SetReadDeadline(time.Now().Add(ends))
	n, err := io.Copy(io.Discard, io.LimitReader(s, turnBytes))
	switch {
	case err == nil && n == turnBytes, silent(err):
		err = errEndless
	case err == nil && slices.ContainsFunc(s.Faults, func(f wire.Fault) bool { return f.Code == wire.FaultAfterEnd }):
		err = errBeyond
	}
	return s.Head, err
}

var (
	errEndless = errors.New("the answer does not end")
	errBeyond  = errors.New("the answer goes on beyond its end")
)

// hungUp tells whether an error is that the peer closed the connection.
func hungUp(err error) bool {
	return errors.Is(err, wire.ErrNoResponse) || errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// near tells whether two times are the same but for a tenth.
func near(a, b time.Duration) bool { return (a - b).Abs() <= max(a, b)/10 }

// nth is a number of order: 1st, 22nd, 113th.
func nth(n int) string {
	suffix := "th"
	if n%100/10 != 1 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return result.Count(int64(n)) + suffix
}
