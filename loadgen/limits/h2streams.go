package limits

import (
	"context"
	"math"
	"time"

	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// maxH2Streams is how many streams are opened on one connection, whatever the target allows: more than any browser would.
const maxH2Streams = 1000

// quiet is how long nothing happens before streams that were asked for are taken not to come.
const quiet = 2 * time.Second

// maxRelease is how long a place that was given up is waited for.
const maxRelease = 10 * time.Second

func h2Requests(s *Session, _ time.Duration) int { return min(s.config.Streams, maxH2Streams) + 2 }

// h2Streams compares what SETTINGS_MAX_CONCURRENT_STREAMS promises (RFC 9113 5.1.2) with how many streams are answered at once, looks at what the one too many gets, and at how soon
// the place of a stream that was closed is free again. The connection is one of ours that keeps to no limit: what others would hide by opening a second one is seen.
func h2Streams(ctx context.Context, s *Session) []result.Limit {
	const (
		advertisedID, advertisedTitle = "h2/max-concurrent-streams", "streams on one HTTP/2 connection, as advertised"
		servedID, servedTitle         = "h2/served-streams", "streams on one HTTP/2 connection, served at once"
		releaseID, releaseTitle       = "h2/slot-release", "time until the place of a closed HTTP/2 stream is free"
	)
	all := func(l result.Limit, why string) []result.Limit {
		out := []result.Limit{l}
		for _, o := range [][2]string{{servedID, servedTitle}, {releaseID, releaseTitle}} {
			u := l
			u.ID, u.Title, u.Low, u.High, u.Owner, u.Evidence = o[0], o[1], nil, nil, "", why
			if u.Verdict != result.LimitNotApplicable {
				u.Verdict = result.LimitUndecided
			}
			out = append(out, u)
		}
		return out
	}
	if s.target.h2 == 0 {
		l := inapplicable(advertisedID, advertisedTitle, "streams", "the target speaks HTTP/1.1 only")
		return all(l, l.Evidence)
	}
	ctx, cancel := s.within(ctx)
	defer cancel()
	d := *s.target.dialer
	d.Proto, d.Frames.PastLimit = s.target.h2, true
	conn, err := d.Dial(ctx, s.target.request.URL)
	if err == nil {
		defer conn.Close()
		_, err = conn.Ping(ctx) // the answer to it comes after the peer's SETTINGS
	}
	if err != nil {
		l := undecided(advertisedID, advertisedTitle, "streams", "", "no HTTP/2 connection: %s", fingerprint(err).Says)
		return all(l, l.Evidence)
	}
	peer := conn.Peer()
	var out []result.Limit
	most := min(s.config.Streams, maxH2Streams)
	if n := peer.MaxConcurrentStreams; n == math.MaxUint32 {
		out = append(out, none(advertisedID, advertisedTitle, float64(most), "streams", "the target's SETTINGS name no limit: clients take 100 until they are told more (RFC 9113 5.1.2)"))
	} else {
		out = append(out, found(advertisedID, advertisedTitle, float64(n), float64(n), "streams", result.OwnerTarget, "SETTINGS_MAX_CONCURRENT_STREAMS is %d", n))
		most = min(most, int(n))
	}

	w := &h2Wave{session: s, conn: conn}
	defer w.close()
	w.open(ctx, most)
	switch n := len(w.served); {
	case n < most && w.failed.Owner == result.OwnerGenerator:
		out = append(out, undecided(servedID, servedTitle, "streams", "", "%s", w.failed.Says))
	case n < most:
		says := "the others wait for a head that does not come"
		if w.failed.Cause != "" {
			says = "of the others, one " + w.failed.Says
		}
		out = append(out, found(servedID, servedTitle, float64(n), float64(n), "streams", result.OwnerTarget, "%d of %d streams were served; %s", n, most, says))
	case uint32(most) < peer.MaxConcurrentStreams:
		out = append(out, none(servedID, servedTitle, float64(n), "streams", "all of %d streams were served; more were not tried", n))
	default:
		w.open(ctx, 1)
		switch {
		case len(w.served) > n:
			out = append(out, none(servedID, servedTitle, float64(len(w.served)), "streams", "all %d streams were served, and one more than SETTINGS allow", n))
		case w.failed.Cause != "":
			out = append(out, found(servedID, servedTitle, float64(n), float64(n), "streams", result.OwnerTarget, "all %d streams were served; the one too many: %s", n, w.failed.Says))
		default:
			out = append(out, found(servedID, servedTitle, float64(n), float64(n), "streams", result.OwnerTarget, "all %d streams were served; the one too many is not answered", n))
		}
	}
	return append(out, w.release(ctx, releaseID, releaseTitle, out[len(out)-1]))
}

// h2Wave opens streams on one connection.
type h2Wave struct {
	session *Session
	conn    *wire.Conn
	served  []*Listener
	failed  Fingerprint // of the last that was refused; zero: none was
}

// open opens n streams and waits until each was answered, or nothing has happened for a while: those that still wait are given up.
func (w *h2Wave) open(ctx context.Context, n int) {
	type answer struct {
		l   *Listener
		err error
	}
	asking, giveUp := context.WithCancel(ctx)
	defer giveUp()
	answers := make(chan answer)
	for range n {
		go func() {
			l, err := w.session.openOn(asking, w.conn)
			answers <- answer{l, err}
		}()
	}
	still := time.AfterFunc(quiet, giveUp)
	defer still.Stop()
	for range n {
		a := <-answers
		switch late := asking.Err() != nil; {
		case a.err == nil:
			w.served = append(w.served, a.l)
		case !late:
			w.failed = printOf(a.err)
		}
		if asking.Err() == nil {
			still.Reset(quiet)
			w.session.Note("%d streams on one connection", len(w.served))
		}
	}
}

// release closes one stream and asks for another until it is served.
func (w *h2Wave) release(ctx context.Context, id, title string, served result.Limit) result.Limit {
	if served.Verdict != result.LimitFound || len(w.served) == 0 {
		return undecided(id, title, "s", "", "no limit of streams was met, so that no place was waited for")
	}
	before := len(w.served)
	w.served[0].Close()
	closed := time.Now()
	ctx, cancel := context.WithTimeout(ctx, maxRelease)
	defer cancel()
	var last time.Duration // when a stream was asked for in vain
	for ctx.Err() == nil && w.conn.Err() == nil {
		asked := time.Since(closed)
		w.open(ctx, 1)
		if len(w.served) > before {
			high := time.Since(closed)
			return found(id, title, last.Seconds(), high.Seconds(), "s", result.OwnerTarget, "a stream was served again %s after another was closed", high.Round(time.Millisecond))
		}
		last = asked
		pause(ctx, 50*time.Millisecond)
	}
	if err := w.conn.Err(); err != nil {
		return undecided(id, title, "s", "", "the connection ended before another stream was served: %s", fingerprint(err).Says)
	}
	return undecided(id, title, "s", "", "no stream was served within %s of another's end", time.Since(closed).Round(time.Second))
}

func (w *h2Wave) close() {
	for _, l := range w.served {
		l.Close()
	}
}
