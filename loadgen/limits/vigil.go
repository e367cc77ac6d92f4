package limits

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"ssegauge/reference/wire"
)

// vigil is a watch over streams that grow old, each on a connection of its own; the probes idle and lifetime judge what was seen. Whatever is published reaches every
// stream of the URL, so that none can be kept busy beside quiet ones. It is the moments of opening that tell silence from age:
//
//	first    opened at once, and kept busy by publishing for an eighth of the time; then nothing is published any more
//	later    opened then: as quiet as the first, and so much younger
//	ladder   a stream for each rung, opened so that its silence has lasted that long at the end
//	sentinel at the end an event is published: it comes on every stream that is as open as it looks
//	busy     where all were closed before that, for their silence: opened then, and kept busy to the end
//
// Where nobody asks about silence, the first and the later are kept busy to the end, and that is all.
//
// What ends at the same silence ends for its silence, what ends at the same age for its age (ends.go).
type vigil struct {
	done chan struct{} // closed when it is over
	s    *Session

	mu      sync.Mutex // guards what follows, and the lives
	streams []*watched
	opening int
	failed  Fingerprint // of the last stream that could not be opened; zero: all could
	quiet   bool        // nothing is published
	since   time.Time   // that
	beats   beats

	fed     bool   // what was published came
	unfed   string // why not, where there is a hook
	deaf    int    // streams on which something that was published did not come while they were busy
	asked   bool   // the sentinel was sent
	lost    string // why nothing is known of it
	answers bool   // a stream on which it did not come is on an HTTP/2 connection that answers a PING
	ends    ends
}

// watched is a stream under watch.
type watched struct {
	*Listener
	seen  life
	burst time.Time // when the last pieces that came together began to come
	own   int       // how often something came by itself
}

// life is what is known of one stream. Times of silence count from its head.
type life struct {
	opened      time.Time
	last, event time.Time     // when a byte, and an event, came last
	gap         time.Duration // the longest silence that a byte ended
	eventGap    time.Duration // the longest time without an event that one ended
	until       time.Time     // its end, or that of the vigil
	end         *ending       // nil: it was open to the end
	called      bool          // the sentinel was sent while it was open
	answered    bool          // and came
	silent      time.Duration // when it was sent
}

// beats are what comes by itself.
type beats struct {
	streams          int // it came on
	events, comments int
	low, high        time.Duration // apart
	after            time.Duration // the longest silence after the last
}

const (
	firstStreams = 8
	laterStreams = 3
	busyStreams  = 5
	// settling is how long what comes on a stream belongs to its opening: a greeting, a replay.
	settling = time.Second
	// together are pieces that come within this time.
	together = 50 * time.Millisecond
	// slowHook is how long publishing may take.
	slowHook = 5 * time.Second
	// glance is how often the streams are looked at. When something came, or ended, is known to the read.
	glance = 100 * time.Millisecond
)

// ladder are the silences that are tried, the longest first: on either side of what proxies, load balancers and NATs are known for. The last is a control.
var ladder = []time.Duration{
	601 * time.Second, 350 * time.Second, 300 * time.Second, 121 * time.Second, 119 * time.Second, 101 * time.Second, 99 * time.Second, 90 * time.Second, 75 * time.Second,
	61 * time.Second, 59 * time.Second, 56 * time.Second, 54 * time.Second, 45 * time.Second, 31 * time.Second, 29 * time.Second, 25 * time.Second, 20 * time.Second,
	15 * time.Second, 10 * time.Second, 5 * time.Second, 2 * time.Second,
}

// wants tells whether a probe is to be run.
func (s *Search) wants(name string) bool {
	return slices.ContainsFunc(s.probes, func(p Probe) bool { return p.Name == name })
}

// vigil returns what was seen of streams over time. The first probe that asks keeps it, the other one waits for that.
func (s *Session) vigil(ctx context.Context) *vigil {
	s.kept.Lock()
	v, mine := s.watch, s.watch == nil
	if mine {
		v = &vigil{s: s, done: make(chan struct{})}
		s.watch = v
	}
	s.kept.Unlock()
	if mine {
		v.keep(ctx)
		close(v.done)
	}
	<-v.done
	return v
}

// vigilRequests is how many requests a vigil makes at most.
func vigilRequests(s *Session, within time.Duration) int {
	n := firstStreams + laterStreams
	if s.config.Publisher != nil {
		n += len(ladder) + busyStreams + int(within/time.Second) + 160
	}
	return n
}

func (v *vigil) keep(ctx context.Context) {
	ctx, cancel := v.s.within(ctx)
	defer cancel()
	defer v.close()
	whole := v.s.left()
	patience := min(5*time.Second, whole/5)
	lead, end := time.Now().Add(whole/8), time.Now().Add(whole-patience)

	v.hush(v.s.config.Publisher == nil)
	v.open(ctx, min(firstStreams, max(1, v.s.config.Streams/3)))
	if v.failed.Cause != "" {
		v.halve(ctx)
	}
	var every time.Duration // between two events that keep streams busy; 0: none do
	if v.s.config.Publisher != nil && v.alive() > 0 {
		if _, v.unfed = v.call(ctx, v.living(), patience); v.unfed != "" {
			v.halve(ctx) // the streams may have taken all places, and left none to publish from
			_, v.unfed = v.call(ctx, v.living(), patience)
		}
		if v.unfed == "" {
			v.fed, every = true, min(max(whole/160, glance), time.Second)
		}
	}
	v.wait(ctx, lead, every, nil)
	if v.fed && v.alive() > 0 {
		missed, _ := v.call(ctx, v.living(), patience)
		v.deaf = len(missed)
	}
	if opened := v.open(ctx, laterStreams); opened == 0 && v.failed.Cause != "" {
		v.halve(ctx)
		v.open(ctx, laterStreams)
	}
	if v.fed && !v.s.wants("idle") {
		if v.wait(ctx, end, every, nil); v.alive() == 0 && time.Now().Before(end) {
			v.open(ctx, laterStreams)
			v.wait(ctx, end, every, nil)
		}
		return
	}
	v.hush(true)
	var rungs []time.Duration
	if v.fed && !v.s.target.held { // where heads are held, a stream is opened by publishing
		most := time.Until(end)
		rungs = slices.DeleteFunc(slices.Clone(ladder), func(d time.Duration) bool { return d > most })
	}
	v.wait(ctx, end, 0, rungs)
	v.hush(false)
	switch {
	case !v.fed || ctx.Err() != nil:
	case v.alive() > 0:
		v.ask(ctx, patience)
	default:
		if e := endsOf(v.lives()); e.why == endIdle || e.why == endQuiet || e.why == endEither {
			v.open(ctx, busyStreams)
			// Thirty times the silence, so that nothing is published more than 120 times.
			if most := time.Now().Add(30 * e.silence.low); most.Before(end) {
				end = most
			}
			v.wait(ctx, end, max(min(every, e.silence.low/4), glance/5), nil)
		}
	}
}

// open opens so many streams at once, and returns how many are open when each was answered.
func (v *vigil) open(ctx context.Context, n int) int {
	before := v.count()
	var all sync.WaitGroup
	for range n {
		all.Go(func() { v.openOne(ctx) })
	}
	all.Wait()
	return v.count() - before
}

// count is how many streams have been opened.
func (v *vigil) count() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.streams)
}

func (v *vigil) openOne(ctx context.Context) {
	s := v.s
	if v.alive() >= s.config.Streams {
		return
	}
	v.mu.Lock()
	v.opening++
	v.mu.Unlock()
	d := *s.target.dialer
	d.Proto = s.target.proto
	if d.NetDial == nil {
		d.NetDial = (&net.Dialer{KeepAlive: -1}).DialContext // they would keep alive what forgets connections
	}
	conn, err := d.Dial(ctx, s.target.request.URL)
	var l *Listener
	if err == nil {
		stop := s.knock(ctx)
		if l, err = s.openQuietly(ctx, conn, h2MaxEvent); err != nil {
			conn.Close()
		}
		stop()
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.opening--
	if err != nil {
		if ctx.Err() == nil {
			v.failed = printOf(err)
		}
		return
	}
	l.owns = true
	f := l.Facts()
	w := &watched{Listener: l, seen: life{opened: f.Opened, last: f.Last, event: f.Opened, gap: f.Last.Sub(f.Opened)}, burst: f.Last}
	v.streams = append(v.streams, w)
	l.Hear(func(at time.Time, event bool) { v.hear(w, at, event) })
}

// hear notes a piece of content.
func (v *vigil) hear(w *watched, at time.Time, event bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	apart := at.Sub(w.burst)
	w.seen.gap, w.seen.last = max(w.seen.gap, at.Sub(w.seen.last)), at
	if event {
		w.seen.eventGap, w.seen.event = max(w.seen.eventGap, at.Sub(w.seen.event)), at
	}
	if apart < together {
		return
	}
	w.burst = at
	if !v.quiet || !at.After(v.since) || at.Sub(w.seen.opened) < settling { // what was published before may be told late
		return
	}
	b := &v.beats
	if event {
		b.events++
	} else {
		b.comments++
	}
	if w.own++; w.own == 1 {
		b.streams++
		return
	}
	b.low, b.high = cmp.Or(min(b.low, apart), apart), max(b.high, apart)
}

// hush begins or ends the time in which nothing is published.
func (v *vigil) hush(quiet bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.quiet != quiet {
		v.quiet, v.since = quiet, time.Now()
	}
	for _, w := range v.streams {
		if !quiet && w.own > 0 && w.Alive() {
			v.beats.after = max(v.beats.after, time.Since(w.seen.last))
		}
	}
}

// wait waits until a moment, or until no stream is left. It publishes every so often, where that is not 0, and opens the rungs of the ladder when it is their time.
func (v *vigil) wait(ctx context.Context, until time.Time, every time.Duration, rungs []time.Duration) {
	var opening sync.WaitGroup
	defer opening.Wait()
	opened, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	next, note := time.Now().Add(every), time.Now()
	for left := time.Until(until); left > 0 && ctx.Err() == nil; left = time.Until(until) {
		now := time.Now()
		for len(rungs) > 0 && left <= rungs[0]+glance {
			rungs = rungs[1:]
			opening.Go(func() { v.openOne(opened) })
		}
		if every > 0 && !now.Before(next) {
			next = now.Add(every)
			publishing, done := context.WithTimeout(opened, slowHook)
			_, _ = v.s.publish(publishing, event(0))
			done()
		}
		n := v.alive()
		if n == 0 {
			return
		}
		if !now.Before(note) {
			note = now.Add(time.Second)
			v.s.Note("%d streams open, %s to go", n, left.Round(time.Second))
		}
		pause(ctx, min(glance, left))
	}
}

// call publishes an event for those streams, and returns those on which it did not come in time; why is not empty where it came on none.
func (v *vigil) call(ctx context.Context, streams []*watched, patience time.Duration) (missed []*watched, why string) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	m := event(0)
	arrivals := make([]<-chan Arrival, len(streams))
	for i, w := range streams {
		arrivals[i] = w.Await(m.Marker)
	}
	receipt, err := v.s.publish(ctx, m)
	switch {
	case err != nil:
		return nil, "nothing could be published: " + short(err.Error())
	case receipt.Refused:
		return nil, fmt.Sprintf("what was published was refused (%d)", receipt.Status)
	}
	for i, w := range streams {
		if _, err := w.await(ctx, arrivals[i]); err != nil {
			missed = append(missed, w)
		}
	}
	if len(missed) == len(streams) {
		return missed, fmt.Sprintf("what was published came on no stream within %s", patience.Round(time.Millisecond))
	}
	return missed, ""
}

// ask sends the sentinel, and a second one for those streams on which the first did not come.
func (v *vigil) ask(ctx context.Context, patience time.Duration) {
	streams := v.living()
	v.mu.Lock()
	for _, w := range streams {
		w.seen.called, w.seen.answered, w.seen.silent = true, true, time.Since(w.seen.last)
	}
	v.mu.Unlock()
	missed, why := v.call(ctx, streams, patience/2)
	if why == "" && len(missed) > 0 {
		missed, _ = v.call(ctx, missed, patience/4)
	}
	v.asked, v.lost = true, why
	for i, w := range missed {
		err := w.Facts().Err
		v.mu.Lock()
		// A stream whose end came through was no more lost than one whose event did. A reset is what a forgotten connection gets when it is used.
		w.seen.called, w.seen.answered = err == nil || errors.Is(err, syscall.ECONNRESET), false
		v.mu.Unlock()
		if i == 0 && err == nil && w.Conn.Peer().Seen {
			v.answers = v.ping(ctx, w.Conn, patience/4)
		}
	}
}

// ping tells whether an HTTP/2 connection answers.
func (v *vigil) ping(ctx context.Context, conn *wire.Conn, patience time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := conn.Ping(ctx)
	return err == nil
}

// living are the streams that are open.
func (v *vigil) living() (open []*watched) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, w := range v.streams {
		if w.Alive() {
			open = append(open, w)
		}
	}
	return open
}

// alive counts the streams that are open or being opened.
func (v *vigil) alive() int {
	n := len(v.living())
	v.mu.Lock()
	defer v.mu.Unlock()
	return n + v.opening
}

// halve closes half of the open streams and forgets them, where there is a limit to how many there can be: others need places too.
func (v *vigil) halve(ctx context.Context) {
	open := v.living()
	rest := open[(len(open)+1)/2:]
	v.mu.Lock()
	v.streams = slices.DeleteFunc(v.streams, func(w *watched) bool { return slices.Contains(rest, w) })
	v.mu.Unlock()
	for _, w := range rest {
		w.Close()
	}
	pause(ctx, glance) // until that is known
}

// lives is what is known of the streams by now.
func (v *vigil) lives() (lives []life) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, w := range v.streams {
		l, f := w.seen, w.Facts()
		if l.until = time.Now(); !f.Ended.IsZero() && (!l.called || l.answered) {
			l.until, l.end = f.Ended, endingOf(w.Stream, f.Err)
		}
		lives = append(lives, l)
	}
	return lives
}

// close keeps what is known of the streams, and closes them.
func (v *vigil) close() {
	v.ends = endsOf(v.lives())
	var all sync.WaitGroup
	for _, w := range v.streams {
		all.Go(w.Close)
	}
	all.Wait()
}
