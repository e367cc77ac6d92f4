package limits

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"ssegauge/reports/result"
)

// What a stream that nobody reads is put to.
const (
	lagBeside = 5  // streams that are read meanwhile
	lagSample = 50 // events that they are measured with before and after
	lagLeast  = 5  // and at least
	lagSteps  = 8  // laggards of different patience at once
	lagHold   = 20 * time.Second
	lagStall  = 2 * time.Second // that streams are still before something is wrong with them
	lagGlance = 10 * time.Millisecond
)

// How much is published while it does not read, more than the buffers of most systems hold, and in events of which size.
var (
	lagBytes = 8 << 20
	lagEvent = 16 << 10
)

func slowRequests(s *Session, _ time.Duration) int {
	if s.config.Publisher == nil {
		return 0
	}
	return 8 * lagBytes / lagEvent
}

// eventsMissing stands in the evidence where a stream goes on without what it left unread.
const eventsMissing = "events are missing"

// lagging is what is known of a stream that does not read, and of those beside it.
type lagging struct {
	*Session
	parade *parade
	beside []*Listener

	before, during, after []time.Duration // from the publish to the arrival, of each event at each stream beside it
	lost                  int             // events that did not come to all of these

	filled   int           // events published one right after the other
	noticed  bool          // its end, before it read on
	stood    time.Duration // that those beside it stood still at last
	resumed  bool          // and then went on, when it read on
	held     time.Duration // that it did not read
	problem  string        // why nothing can be said
	whyEnded Fingerprint
	from     int // the first event that was published while it did not read
	drained
}

// slowReader leaves one stream unread while events are published: how much until the target closes it or skips events, how long, and what streams that are read feel of it.
func slowReader(ctx context.Context, s *Session) []result.Limit {
	limits := [3]result.Limit{
		{ID: "slow/bytes", Title: "bytes that a client may leave unread", Unit: "bytes"},
		{ID: "slow/eviction", Title: "time that a client may leave them unread", Unit: "s"},
		{ID: "slow/neighbours", Title: "delivery beside a client that does not read", Unit: "s"},
	}
	nothing := func(by, format string, args ...any) []result.Limit {
		var out []result.Limit
		for _, l := range limits {
			out = append(out, undecided(l.ID, l.Title, l.Unit, by, format, args...))
		}
		return out
	}
	if l, ok := s.publishes("", "", ""); !ok {
		return nothing(l.DecidedBy, "%s", l.Evidence)
	}
	ctx, cancel := s.within(ctx)
	defer cancel()
	g := &lagging{Session: s, parade: s.parade(lagEvent)}
	defer g.leave()
	hold := min(lagHold, s.left()/3)
	g.watch(ctx, hold)
	switch {
	case g.problem == timeOver:
		return nothing("--budget", "%s", g.problem)
	case g.problem != "":
		return nothing("", "%s", g.problem)
	}
	beside := g.neighbours(limits[2])
	return append(g.patience(ctx, limits[0], limits[1], hold), beside)
}

const timeOver = "the time for this probe is over"

// leave closes the streams beside.
func (g *lagging) leave() {
	for _, l := range g.beside {
		l.Close()
	}
	g.beside = nil
}

// watch opens streams, leaves one more unread, and looks at both.
func (g *lagging) watch(ctx context.Context, hold time.Duration) {
	for range lagBeside {
		l, err := g.open(ctx)
		if err != nil {
			g.problem = "no stream: " + printOf(err).Says
			return
		}
		g.beside = append(g.beside, l)
	}
	pause(ctx, settle)
	for g.parade.piece > leastEvent { // some take no event of that size
		if o, ok := g.parade.next(ctx); ok || o.fate != spoiled {
			break
		}
		g.parade.piece /= 4
	}
	if g.before = g.sample(ctx); g.problem != "" {
		return
	}
	slow, err := g.openLaggard(ctx)
	if err != nil {
		g.problem = "no stream to leave unread: " + printOf(err).Says
		return
	}
	pause(ctx, settle)
	began := time.Now()
	g.from = g.parade.published()
	g.publish(ctx, slow, began.Add(hold))
	g.held = time.Since(began)
	g.Note("the stream that was left unread reads on")
	reading := make(chan struct{})
	go func() {
		defer close(reading)
		g.drained = slow.drain(ctx, g.parade, g.from, func() { g.parade.next(ctx) })
	}()
	<-reading
	for range 3 {
		g.resumed = g.resumed || g.stood > 0 && g.fire(ctx).wait(ctx, minPatience)
	}
	if g.ended != nil {
		g.whyEnded = printOf(g.ended)
	}
	if g.problem == "" && ctx.Err() == nil && (g.stood == 0 || g.resumed) {
		g.after = g.sample(ctx)
	}
	if g.problem == "" && g.ended != nil {
		for _, l := range g.beside {
			if !l.Alive() {
				g.problem = "streams that were read ended as well: " + printOf(l.Facts().Err).Says
			}
		}
	}
	if ctx.Err() != nil && g.problem == "" && g.filled == 0 {
		g.problem = timeOver
	}
}

// sample measures those beside, with fewer events where these take long.
func (g *lagging) sample(ctx context.Context) (took []time.Duration) {
	until := time.Now().Add(g.left() / 8)
	for n := range lagSample {
		if n >= lagLeast && time.Now().After(until) {
			break
		}
		s := g.fire(ctx)
		if !s.wait(ctx, minPatience) && ctx.Err() != nil {
			g.problem = timeOver
			return took
		} else if !s.ok || len(s.waiting) > 0 {
			g.problem = s.trouble("an event does not come to all streams that are read")
			return took
		}
		if len(s.took) == 0 {
			g.problem = "streams that are read have ended"
			return took
		}
		took = append(took, s.took...)
	}
	return took
}

// publish publishes while slow does not read, and looks how it does and those beside it.
func (g *lagging) publish(ctx context.Context, slow *laggard, until time.Time) {
	many := lagBytes / g.parade.piece
	for n := 0; time.Now().Before(until) && ctx.Err() == nil; n++ {
		s := g.fire(ctx)
		if n < many {
			g.filled = n + 1
		}
		if n%64 == 0 || n > many {
			g.Note("%s published to a stream that is not read", result.Bytes(float64((n+1)*g.parade.piece)))
		}
		if !s.wait(ctx, lagStall) {
			if s.o != nil {
				g.problem = s.trouble("")
				return
			}
			// Either this event was lost on the way to some, or all stand still.
			next := g.fire(ctx)
			switch {
			case next.wait(ctx, lagStall) && !s.wait(ctx, lagGlance):
				g.lost++
			case !next.wait(ctx, time.Until(until)):
				g.stood = time.Since(s.sent)
				return
			}
			g.during = append(g.during, next.took...)
			s.wait(ctx, lagGlance)
		}
		g.during = append(g.during, s.took...)
		if g.noticed = slow.over(); g.noticed {
			return
		}
		if n >= many {
			pause(ctx, 250*time.Millisecond)
		}
	}
}

// shot is one event on its way to those beside.
type shot struct {
	sent    time.Time
	waiting []awaited
	took    []time.Duration
	told    chan outcome
	o       *outcome // why it could not be published
	ok      bool     // it was
}

type awaited struct {
	*Listener
	ch <-chan Arrival
}

// fire publishes an event without waiting for it.
func (g *lagging) fire(ctx context.Context) *shot {
	m, mark := g.parade.one()
	s := &shot{sent: time.Now(), told: make(chan outcome, 1)}
	for _, l := range g.beside {
		s.waiting = append(s.waiting, awaited{l, l.Await(mark)})
	}
	go func() {
		o, ok := g.parade.told(ctx, m)
		if ok {
			o.fate = intact
		}
		s.told <- o
	}()
	return s
}

// wait waits until the event has come to all, and was published; a stream that has ended is not waited for.
func (s *shot) wait(ctx context.Context, within time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if !s.ok && s.o == nil {
		select {
		case o := <-s.told:
			if s.ok = o.fate == intact; !s.ok {
				s.o = &o
			}
		case <-ctx.Done():
			return false
		}
	}
	if s.o != nil {
		return false
	}
	for len(s.waiting) > 0 {
		w := s.waiting[0]
		a, err := w.await(ctx, w.ch)
		switch {
		case err == nil:
			s.took = append(s.took, a.At.Sub(s.sent))
		case ctx.Err() != nil:
			return false
		}
		s.waiting = s.waiting[1:]
	}
	return true
}

// trouble says why an event is missing.
func (s *shot) trouble(otherwise string) string {
	if s.o != nil {
		return "events cannot be published: " + s.o.says
	}
	return otherwise
}

// neighbours says what those beside it felt.
func (g *lagging) neighbours(l result.Limit) result.Limit {
	const much = 200 * time.Millisecond // less is of no account, and may be this machine's doing
	if len(g.before) == 0 || len(g.during) == 0 {
		return undecided(l.ID, l.Title, l.Unit, "", "no event came to streams that are read before, or while, one was not read")
	}
	usual, worst, longest := max(tail(g.before), tail(g.after)), tail(g.during), slices.Max(g.during)
	felt := func(d time.Duration, format string, args ...any) result.Limit {
		return found(l.ID, l.Title, d.Seconds(), d.Seconds(), l.Unit, result.OwnerTarget, format, args...)
	}
	switch {
	case g.stood > 0 && g.resumed:
		stop := felt(g.stood, "streams that are read stand still while one is not read, and go on as soon as it reads on; longer was not waited")
		stop.High = nil
		return stop
	case g.stood > 0:
		return undecided(l.ID, l.Title, l.Unit, "", "streams that are read stood still while one was not read, and did not go on when it did")
	case g.lost > 0:
		return felt(worst, "%d events did not come to streams that are read while one was not read", g.lost)
	case worst > 10*usual && worst > usual+much:
		return felt(worst, "so long events take to streams that are read (99 %%) while one is not read, and %s before and after", shown(usual))
	case longest > lagStall && longest > 5*slices.Max(slices.Concat(g.before, g.after)) && g.ended != nil:
		return felt(longest, "so long streams that are read stand still, until the one that is not read is closed")
	}
	return none(l.ID, l.Title, worst.Seconds(), l.Unit, "so long events take to streams that are read (99 %%) while one is not read, and %s before and after", shown(usual))
}

// shown is a time as a person reads it.
func shown(d time.Duration) string { return result.Quantity(d.Seconds(), "s") }

// tail is the 99th percentile.
func tail(took []time.Duration) time.Duration {
	if len(took) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(took))
	return s[len(s)*99/100]
}

// patience says how much and how long the target lets a client leave unread.
func (g *lagging) patience(ctx context.Context, amount, span result.Limit, hold time.Duration) []result.Limit {
	size := func(events int) float64 { return float64(events * g.parade.piece) }
	in := fmt.Sprintf("in events of %s", result.Bytes(float64(g.parade.piece)))
	switch {
	case g.ended == nil && g.got <= g.last-g.from && g.got > 0:
		return []result.Limit{
			found(amount.ID, amount.Title, size(g.whole), size(g.whole+1), amount.Unit, result.OwnerTarget, "of what was published while it did not read, %s, that much came when it read on, and then %d "+eventsMissing+"; the stream goes on",
				in, g.last-g.from+1-g.got),
			none(span.ID, span.Title, g.held.Seconds(), span.Unit, "a stream that is not read is not closed: it misses events"),
		}
	case g.ended == nil && g.stood > 0:
		says := "a stream that is not read is not closed: those beside it wait for it"
		return []result.Limit{none(amount.ID, amount.Title, size(g.filled), amount.Unit, "%s", says), none(span.ID, span.Title, g.held.Seconds(), span.Unit, "%s", says)}
	case g.ended == nil:
		return []result.Limit{
			none(amount.ID, amount.Title, size(g.filled), amount.Unit, "all of it came when it read on; more was not published"),
			none(span.ID, span.Title, g.held.Seconds(), span.Unit, "the stream was still open; longer was not tried"),
		}
	}
	g.leave()
	few := 2*g.whole + 8
	if g.noticed {
		few = max(few, g.filled)
	}
	few = min(few, g.filled)
	least, most, ok := g.ladder(ctx, few, rungs(hold))
	if ok && least > 0 && g.left() > 2*most+drainQuiet {
		if l, m, ok := g.ladder(ctx, few, evenRungs(least, most)); ok && l > 0 && l < m {
			least, most = max(least, l), min(most, m)
		}
	}
	ends := "the stream ends: " + g.whyEnded.Says
	switch by := proxyOf(g.target.head); {
	case by != "": // either may have closed it
		g.whyEnded.Owner = ""
		ends += "; " + by
	case g.whyEnded.Owner == "":
		g.whyEnded.Owner = result.OwnerTarget
	}
	switch {
	case !ok:
		return []result.Limit{
			found(amount.ID, amount.Title, size(g.whole), size(g.filled), amount.Unit, g.whyEnded.Owner, "%s, it was closed with no more than that unread; there was no time to find out more; %s", in, ends),
			found(span.ID, span.Title, 0, g.held.Seconds(), span.Unit, g.whyEnded.Owner, "%s, before it read on", ends),
		}
	case least > 0:
		return []result.Limit{
			found(amount.ID, amount.Title, size(g.whole), size(few), amount.Unit, g.whyEnded.Owner, "%s, that much the target and the system have room for; one that leaves more unread for long is closed", in),
			found(span.ID, span.Title, least.Seconds(), most.Seconds(), span.Unit, g.whyEnded.Owner, "since what it leaves unread has filled what room there is; %s", ends),
		}
	}
	low, high, lasts := few, g.filled, hold
	if most > 0 {
		low, high, lasts = 0, few, 0
	}
	low, high = g.close(ctx, low, high)
	closed := found(amount.ID, amount.Title, size(low), size(high), amount.Unit, g.whyEnded.Owner, "%s; of one that leaves more unread %s", in, ends)
	// One that leaves less unread may be closed as well, later.
	if rest := min(hold, g.left()-2*drainQuiet); most > 0 && low > 0 && rest > time.Second {
		if least, most, ok = g.ladder(ctx, low-low/4, rungs(rest)); ok && least > 0 {
			return []result.Limit{closed, found(span.ID, span.Title, least.Seconds(), most.Seconds(), span.Unit, g.whyEnded.Owner, "of one that leaves %s unread %s", result.Bytes(size(low-low/4)), ends)}
		}
		if ok && most == 0 {
			lasts = rest
		}
	}
	if lasts == 0 {
		return []result.Limit{closed, undecided(span.ID, span.Title, span.Unit, "--budget", "a stream is closed for how much it leaves unread; whether for how long as well, there was no time to find out")}
	}
	return []result.Limit{closed, none(span.ID, span.Title, lasts.Seconds(), span.Unit, "a stream is closed for how much it leaves unread; with less it was still open, and longer was not tried")}
}

// ladder publishes so many events to laggards that read on after different times. Where some last and the others do not, the time lies from least to most; least is 0 where none
// lasts, and most as well where all do.
func (g *lagging) ladder(ctx context.Context, events int, waits []time.Duration) (least, most time.Duration, ok bool) {
	g.Note("%d events left unread for %s to %s", events, waits[0].Round(time.Millisecond), waits[len(waits)-1].Round(time.Millisecond))
	steps := make([]struct {
		waited time.Duration
		ended  bool
	}, len(waits))
	var slow []*laggard
	for range waits {
		l, err := g.openLaggard(ctx)
		if err != nil {
			break
		}
		slow = append(slow, l)
	}
	pause(ctx, settle)
	from := g.parade.published()
	sent := g.blast(ctx, events)
	filled := time.Now()
	// What one asks with would be left unread by the others: it is published when all read.
	var reading, all sync.WaitGroup
	var once sync.Once
	all.Add(len(slow))
	for i, l := range slow {
		reading.Go(func() {
			there := sync.OnceFunc(all.Done)
			defer there()
			pause(ctx, time.Until(filled.Add(waits[i])))
			at := time.Now()
			d := l.drain(ctx, g.parade, from, func() {
				there()
				all.Wait()
				once.Do(func() { g.parade.next(ctx) })
			})
			steps[i].waited, steps[i].ended = at.Sub(g.parade.at(from+min(d.whole, events-1))), d.ended != nil
		})
	}
	reading.Wait()
	if !sent || len(slow) < len(waits) || ctx.Err() != nil {
		return 0, 0, false
	}
	for _, s := range steps {
		if s.ended && (most == 0 || s.waited < most) {
			most = s.waited
		}
	}
	for _, s := range steps {
		if !s.ended && (most == 0 || s.waited < most) {
			least = max(least, s.waited)
		}
	}
	if most == 0 {
		return 0, 0, true
	}
	return least, most, true
}

// rungs are times up to d, each so many times that before it.
func rungs(d time.Duration) []time.Duration {
	var waits []time.Duration
	for range lagSteps {
		waits = append([]time.Duration{d}, waits...)
		d = time.Duration(float64(d) / 1.87)
	}
	return waits
}

// evenRungs are times between two others, in even steps.
func evenRungs(a, b time.Duration) []time.Duration {
	var waits []time.Duration
	for i := range time.Duration(lagSteps) {
		waits = append(waits, a+(b-a)*(i+1)/(lagSteps+1))
	}
	return waits
}

// blast publishes so many events one after the other.
func (g *lagging) blast(ctx context.Context, events int) bool {
	for range events {
		if _, ok := g.parade.next(ctx); !ok {
			return false
		}
	}
	return true
}

// close closes in on the number of events that a stream may leave unread: low are fine and high are not.
func (g *lagging) close(ctx context.Context, low, high int) (int, int) {
	for high-low > max(1, low/20) && ctx.Err() == nil {
		mid := low + (high-low)/2
		g.Note("%d events left unread: the limit lies between %d and %d", mid, low, high)
		l, err := g.openLaggard(ctx)
		if err != nil {
			break
		}
		pause(ctx, settle)
		from := g.parade.published()
		sent := g.blast(ctx, mid)
		pause(ctx, settle)
		d := l.drain(ctx, g.parade, from, func() { g.parade.next(ctx) })
		switch {
		case !sent || ctx.Err() != nil:
			return low, high
		case d.ended != nil:
			high = mid
		default:
			low = mid
		}
	}
	return low, high
}
