package limits

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"ssegauge/loadgen/engine"
	"ssegauge/reports/result"
)

const (
	totalID, totalTitle = "streams/total", "streams at once"

	growth     = 1.5  // of one stage over the one before
	bisected   = 0.05 // of the number that holds: a limit that is not exact is narrowed down to so much
	boundaries = 3    // times that either side of the limit is tried
	gentler    = 4    // times slower is a stage opened that is looked at again
	looks      = 3    // at a stage that does not hold, before that is believed

	briefHold = time.Second            // of a stage that is only opened
	knocks    = 500 * time.Millisecond // for publishing so that a target looks after its streams
	lingering = 2 * time.Second        // an opening that takes longer is not slowed down without need
)

// climb looks for the most streams that the target holds at once: in stages, each larger than the one before by half, until one does not hold. What failed decides whose doing that
// is before anything is searched for. The first stage that fails is looked at again, opened more slowly and after the target has let go of what was closed: a limit of pace, or a
// target that still counts streams which are gone, is no limit of streams. Then comes the last good stage, to see whether the target recovers, and then what lies between the two.
// Where streams do not open, as many as were served are tried next, and one more; else the interval is halved. Either side of the limit is tried three times.
//
// Where streams do not open, nothing is published while the limit is narrowed down, and no connection for publishing is kept: there are targets that count it.
type climb struct {
	session *Session
	run     func(ctx context.Context, v level) (trial, error) // runs a stage
	open    func(ctx context.Context) error                   // opens a stream and closes it
	stage   level                                             // what stages are like; streams is that of the first
	rest    time.Duration                                     // that the target gets from the end of one stage to the next; 0: until a stream is served again
	waits   time.Duration                                     // the first such rest, where one is of use

	tried   map[int]*tries
	ours    *trial        // the stage at which this machine could not go on
	most    int           // more are not tried
	lived   time.Duration // so long a single stream lived
	full    bool          // the last stage did not hold, and its streams may still count
	ended   time.Time     // when they were closed
	reached int           // streams that were open at one time, in whichever stage
	unlike  string        // why what failed is no limit of the number of streams; "": it may be one
	notes   []string      // what else was seen
	stopped string        // why no more was tried
}

// tries are how often a stage held, and how often not.
type tries struct {
	held, failed int
	last         trial // that did not hold
}

func newClimb(s *Session) *climb {
	publishes := s.config.Publisher != nil
	patience := max(5*time.Second, 2*s.target.took)
	if d := s.config.Plan.Timeout; d > 0 {
		patience = min(patience, d)
	}
	hold := briefHold
	if publishes {
		hold = 2 * time.Second
	}
	hold = max(hold, 3*s.target.took/2) // the last one, too, is to be answered by then
	return &climb{
		session: s, run: s.try, open: s.glance, waits: 4 * time.Second, tried: map[int]*tries{}, most: s.config.Streams,
		stage: level{
			streams: min(s.config.Streams, max(10, s.config.Streams/100)), pace: 1000, ramp: 500 * time.Millisecond, hold: hold, patience: patience,
			settle: 200 * time.Millisecond, bound: time.Second, publish: publishes, deliver: publishes,
		},
	}
}

// streamRequests is at most how many streams are opened: as the pace allows, and all stages with their repetitions.
func streamRequests(s *Session, within time.Duration) int {
	v := newClimb(s).stage
	stages := math.Log(float64(s.config.Streams)/float64(v.streams))/math.Log(growth) + looks + 2*boundaries + math.Log2(1/bisected)
	n := min(v.pace*within.Seconds(), stages*float64(s.config.Streams))
	if v.publish {
		n += levelMost / v.hold.Seconds() * within.Seconds()
	}
	return int(n)
}

func streams(ctx context.Context, s *Session) []result.Limit {
	return []result.Limit{newClimb(s).search(ctx)}
}

// glance opens a stream and resets its connection.
func (s *Session) glance(ctx context.Context) error {
	d := *s.target.dialer
	d.Proto, d.NetDial = s.target.proto, engine.Abrupt(d.NetDial)
	conn, err := d.Dial(ctx, s.target.request.URL)
	if err != nil {
		return err
	}
	defer conn.Close()
	l, err := s.openOn(ctx, conn)
	if err == nil {
		l.Close()
	}
	return err
}

func (c *climb) search(ctx context.Context) result.Limit {
	if c.session.target.held && c.session.config.Publisher == nil {
		return undecided(totalID, totalTitle, "streams", "--publish", "the target answers with the first event only, and none can be published")
	}
	ctx, cancel := c.session.within(ctx)
	defer cancel()
	c.ladder(ctx)
	if _, bad := c.bounds(); bad != nil && c.stopped == "" {
		c.precise(bad)
		c.recover(ctx)
		c.narrow(ctx)
		c.repeat(ctx)
	}
	c.session.held, _ = c.bounds()
	return c.verdict()
}

// ladder tries ever larger stages until one does not hold.
func (c *climb) ladder(ctx context.Context) {
	for n := min(c.most, c.stage.streams); ; {
		o, ok := c.try(ctx, n)
		good, bad := c.bounds()
		switch {
		case o.wall != nil && o.wall.Fits > good:
			// What fits here is known before anything is opened: so many are tried.
			c.ours, c.most = &o, o.wall.Fits
		case o.wall != nil:
			c.ours = &o
			return
		case !ok || bad != nil || good >= c.most:
			return
		}
		n = min(c.most, max(c.stage.streams, int(math.Ceil(growth*float64(good)))))
	}
}

// recover tries as many as were served when too many were tried, or the last good stage again.
func (c *climb) recover(ctx context.Context) {
	good, bad := c.bounds()
	if n := between(good, bad); n == bad.served {
		if o, ok := c.try(ctx, n); !ok || o.holds {
			if ok {
				c.note("after %s had been tried, %s held", result.Count(int64(bad.streams)), result.Count(int64(n)))
			}
			return
		}
	}
	if good == 0 || c.stopped != "" {
		return
	}
	if o, ok := c.try(ctx, good); ok && o.holds {
		c.note("after %s had been tried, %s held again", result.Count(int64(bad.streams)), result.Count(int64(good)))
	} else if ok {
		c.note("after %s had been tried, %s that had held before did no more (%s)", result.Count(int64(bad.streams)), result.Count(int64(good)), o.why)
	}
}

// narrow tries what lies between the largest stage that holds and the smallest that does not.
func (c *climb) narrow(ctx context.Context) {
	for c.stopped == "" {
		good, bad := c.bounds()
		c.precise(bad)
		n := between(good, bad)
		if n == 0 || c.chance(bad) {
			return
		}
		c.try(ctx, n)
	}
}

// precise has stages only opened, and every stream of them, where the limit is one of opening.
func (c *climb) precise(bad *trial) {
	if c.stage.exact = bad.closed; !c.stage.exact {
		return
	}
	c.stage.publish, c.stage.deliver = c.session.target.held, false
	if c.stage.hold < c.stage.patience && !c.stage.publish {
		c.stage.hold = min(c.stage.hold, briefHold)
	}
}

// chance tells whether a stage failed though as many streams and more were open at one time in another: that is no limit of their number.
func (c *climb) chance(bad *trial) bool { return (bad.closed || bad.ended) && c.reached >= bad.streams }

// between is what to try next; 0: nothing.
func between(good int, bad *trial) int {
	few := bad.closed || bad.ended
	switch gap := bad.streams - good; {
	case gap <= 1:
		return 0
	case few && bad.served > good && bad.served < bad.streams:
		return bad.served
	case few && bad.served == good:
		return good + 1
	case float64(gap-1) <= bisected*float64(good):
		return 0
	default:
		return good + gap/2
	}
}

// repeat tries both sides of the limit again.
func (c *climb) repeat(ctx context.Context) {
	for range boundaries - 1 {
		good, bad := c.bounds()
		for _, n := range []int{good, bad.streams} {
			if n > 0 && c.stopped == "" && !c.chance(bad) {
				c.try(ctx, n)
			}
		}
	}
}

// bounds are the largest stage that always held, of those below every stage that ever failed, and the smallest that ever failed; nil: none did.
func (c *climb) bounds() (good int, bad *trial) {
	for _, n := range slices.Sorted(maps.Keys(c.tried)) {
		if t := c.tried[n]; t.failed > 0 {
			return good, &t.last
		}
		good = n
	}
	return good, nil
}

// try tries a stage of n streams until what it shows can be believed, and takes that down. ok is false where nothing is known of it, and no more to be tried.
func (c *climb) try(ctx context.Context, n int) (o trial, ok bool) {
	v, rest := c.stage, c.rest
	v.streams = n
	good, bad := c.bounds()
	met := bad != nil || c.rest > 0
	var before []trial // that were not believed
	for {
		if o, ok = c.once(ctx, v, rest); !ok {
			if len(before) > 0 {
				c.note("with %s: %s, which is not enough to tell a limit by", result.Count(int64(n)), before[len(before)-1].why)
			}
			return o, false
		}
		switch {
		case o.holds || o.wall != nil:
		case o.missed && good == 0 && len(before) == 0:
			c.note("delivery is not judged, since at %d streams already %s", n, o.why)
			v.deliver, c.stage.deliver = false, false
			continue
		case o.ended && !v.mortal && c.ages(ctx, v):
			v.mortal, c.stage.mortal = true, true
			continue
		case c.stopped != "":
			return o, false
		case !believed(&o, before, good, met):
			before = append(before, o)
			if !met || o.served < good {
				rest = max(2*rest, c.waits)
			}
			if !met {
				v.pace /= gentler
				v.ramp *= 2
			}
			if o.waiting {
				v.hold = max(v.hold, v.patience+100*time.Millisecond)
			}
			continue
		}
		break
	}
	same := !slices.ContainsFunc(before, func(b trial) bool { return b.served != o.served })
	switch {
	case o.wall != nil:
		return o, false
	case !o.holds && o.unfit != "" && o.closed && o.served > 0 && len(before) > 0 && same:
		o.owner, o.unfit = result.OwnerTarget, "" // a machine that is busy does not serve as many each time
	}
	switch {
	case !o.holds && o.closed && o.served < good && o.owner != result.OwnerGenerator:
		c.unlike = fmt.Sprintf("of %s streams %s were served, fewer than the %s that had been held (%s): a limit of pace, or of what the target went through, and not of the number of streams",
			result.Count(int64(n)), result.Count(int64(o.served)), result.Count(int64(good)), o.why)
		c.stop("what was looked for after that would say nothing")
		return o, false
	case !o.holds && o.owner == result.OwnerGenerator:
		c.ours = &o
		c.stop("at %s streams this machine could not go on", result.Count(int64(n)))
		return o, false
	case !o.holds && o.closed && !o.told:
		c.stage.hold = v.hold // an answer that does not come is waited for as long again
	}
	if len(before) > 0 && (o.holds || !alike(o.served, before[0].served)) {
		// From now on all are tried as gently.
		c.note("%d of %d streams were served at first, and %d after a pause of %s, opened at %s a second", before[0].served, n, o.served, rest, result.Number(v.pace))
		pace, ramp := c.stage.pace, c.stage.ramp
		c.stage.pace, c.stage.ramp, c.rest = v.pace, v.ramp, rest
		if o.holds && v.opening() > lingering {
			v.pace, v.ramp = pace, ramp
			if fast, ok := c.once(ctx, v, rest); ok && fast.holds {
				c.note("the pause was enough")
				c.stage.pace, c.stage.ramp = pace, ramp
			}
		}
	}
	t := c.tried[n]
	if t == nil {
		t = &tries{}
		c.tried[n] = t
	}
	if o.holds {
		t.held++
	} else {
		t.failed++
		t.last = o
		for _, b := range before {
			if b.closed == o.closed && b.ended == o.ended && b.owner == o.owner && b.served >= good {
				t.failed++
			}
		}
	}
	return o, true
}

// believed tells whether a stage that does not hold was seen often enough. Once a limit was met, that is only in doubt where fewer were served than had held before.
func believed(o *trial, before []trial, good int, met bool) bool {
	switch {
	case len(before) == looks-1:
		return true
	case o.waiting && o.hold < o.patience:
		return false
	case o.owner == result.OwnerGenerator:
		return o.told || o.closed && o.served > 0 && len(before) > 0 && before[len(before)-1].served == o.served
	case met:
		return !o.closed || o.served >= good
	case len(before) == 0:
		return false
	}
	return alike(o.served, before[len(before)-1].served)
}

// alike tells whether two looks at a stage served as many.
func alike(n, m int) bool {
	return math.Abs(float64(n-m)) <= max(1, bisected*float64(m))
}

// once runs one stage. ok is false where it could not be run to its end.
func (c *climb) once(ctx context.Context, v level, rest time.Duration) (o trial, ok bool) {
	c.session.Note("%s streams", result.Count(int64(v.streams)))
	if rest > 0 {
		pause(ctx, rest-time.Since(c.ended))
	} else if c.full {
		c.letGo(ctx, v.patience)
	}
	if p := c.session.config.Publisher; p != nil {
		p.Close()
	}
	if c.session.left() < v.takes() {
		c.stop("there was no time left to try %s", result.Count(int64(v.streams)))
		return o, false
	}
	o, err := c.run(ctx, v)
	switch {
	case err != nil && c.session.left() <= 0:
		c.stop("the time was over while %s were tried", result.Count(int64(v.streams)))
	case err != nil:
		c.stop("it was interrupted while %s were tried", result.Count(int64(v.streams)))
	}
	c.full, c.ended = !o.holds && o.wall == nil, time.Now()
	if err != nil {
		return o, false
	}
	c.reached = max(c.reached, o.served)
	if good, _ := c.bounds(); c.full && o.served == 0 && good > 0 && o.owner != result.OwnerGenerator && !c.letGo(ctx, v.patience) {
		if ctx.Err() == nil {
			c.stop("with %s the target ceased to serve any (%s), and served none within %s after that", result.Plural(int64(v.streams), "stream"), o.why, v.patience)
		} else {
			c.stop("with %s the target ceased to serve any (%s), and there was no time left to see whether it would again", result.Plural(int64(v.streams), "stream"), o.why)
		}
		return o, false
	}
	return o, true
}

// letGo waits until the target serves a stream again, at most so long. Events let one notice closed streams that only looks when it writes: the first is lost on the way, for the
// second there is an error.
func (c *climb) letGo(ctx context.Context, most time.Duration) (served bool) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	if c.session.config.Publisher != nil {
		knocking, enough := context.WithTimeout(ctx, knocks)
		var knocked sync.WaitGroup
		defer enough()
		defer knocked.Wait()
		knocked.Go(func() {
			for range 2 {
				_, _ = c.session.publish(knocking, event(0)) // what comes of it is of no interest
				pause(knocking, knocks/5)
			}
		})
	}
	began := time.Now()
	for wait := 10 * time.Millisecond; ctx.Err() == nil; wait *= 2 {
		if c.open(ctx) == nil {
			if took := time.Since(began); took > time.Second {
				c.note("it took %s until a stream was served again after many were closed", took.Round(100*time.Millisecond))
			}
			return true
		}
		pause(ctx, wait)
	}
	return false
}

// ages tells whether a single stream, too, ends before as much time is over as a stage takes.
func (c *climb) ages(ctx context.Context, v level) bool {
	if v.takes() <= c.lived {
		return false
	}
	alone := v
	alone.streams, alone.ramp, alone.deliver = 1, 0, false
	alone.hold = v.takes()
	o, ok := c.once(ctx, alone, 0)
	if ok && o.ended {
		c.note("streams end by themselves, a single one too (%s): only how many are open at one time is judged", o.why)
	} else if ok {
		c.lived = v.takes()
	}
	return ok && o.ended
}

func (c *climb) note(format string, args ...any) {
	c.notes = append(c.notes, fmt.Sprintf(format, args...))
}

func (c *climb) stop(format string, args ...any) {
	if c.stopped == "" {
		c.stopped = fmt.Sprintf(format, args...)
	}
}

// established tells whether a limit was met more than once: at the smallest stage that failed, or at larger ones of which as many were served as hold.
func (c *climb) established(good int, bad *trial) bool {
	n := 0
	for _, t := range c.tried {
		if t.failed > 0 && (t.last.streams == bad.streams || (t.last.closed || t.last.ended) && t.last.served == good) {
			n += t.failed
		}
	}
	return n > 1
}

// outgrown is where one address had more streams open than fit here beside what a stage keeps for other things.
func (c *climb) outgrown(evidence func() string) result.Limit {
	n := float64(c.session.crowded)
	says := fmt.Sprintf("held at once: %s, by the probe per-client", result.Plural(int64(c.session.crowded), "stream"))
	var l result.Limit
	if c.session.poor {
		l = found(totalID, totalTitle, n, n, "streams", result.OwnerGenerator, "%s, and this machine could open no more; %s", says, evidence())
	} else {
		l = none(totalID, totalTitle, n, "streams", "%s, which opened no more; %s", says, evidence())
		l.Owner = result.OwnerGenerator
	}
	return l
}

// verdict is what is known by now.
func (c *climb) verdict() result.Limit {
	good, bad := c.bounds()
	var says []string
	say := func(format string, args ...any) { says = append(says, fmt.Sprintf(format, args...)) }
	if t := c.tried[good]; t != nil {
		say("held at once: %s, in %d of %d tries", result.Plural(int64(good), "stream"), t.held, t.held+t.failed)
	}
	if bad != nil {
		t := c.tried[bad.streams]
		say("with %s: %s, in %d of %d tries", result.Count(int64(bad.streams)), bad.why, t.failed, t.held+t.failed)
	}
	says = append(says, c.notes...)
	if c.stopped != "" {
		says = append(says, c.stopped)
	}
	if c.ours != nil {
		says = append(says, c.ours.why)
		if c.ours.unfit != "" {
			say("this machine was not fit to measure that: %s", c.ours.unfit)
		}
	}
	evidence := func() string { return strings.Join(says, "; ") }
	switch {
	case c.ours != nil && c.ours.wall != nil && bad == nil && c.session.crowded > good:
		// What is kept here for other things is no limit of what was open: the probe before kept nothing.
		return c.outgrown(evidence)
	case c.unlike != "":
		return undecided(totalID, totalTitle, "streams", "", "%s", strings.Join(append([]string{c.unlike}, says...), "; "))
	case bad != nil && c.chance(bad):
		return undecided(totalID, totalTitle, "streams", "", "streams fail now and then, and not by their number: %s were open at one time; %s", result.Count(int64(c.reached)), evidence())
	case bad != nil && good == 0:
		return undecided(totalID, totalTitle, "streams", "", "%s", evidence())
	case bad != nil && !c.established(good, bad):
		say("one failure is not enough to tell a limit by")
		return none(totalID, totalTitle, float64(good), "streams", "%s", evidence())
	case bad != nil && bad.ended && bad.mortal:
		return none(totalID, totalTitle, float64(good), "streams", "%s", evidence())
	case bad != nil:
		owner := bad.owner
		// As many each time is no matter of processors.
		if bad.crowded && !(bad.closed && bad.served == good && good == bad.streams-1) {
			owner = ""
			say("no processor of this machine was free: if the target runs on it too, it cannot be told whose limit that is")
		}
		return found(totalID, totalTitle, float64(good), float64(bad.streams-1), "streams", owner, "%s", evidence())
	case c.ours != nil && (c.ours.wall == nil || good >= c.most):
		var l result.Limit
		switch {
		case c.ours.wall != nil:
			l = found(totalID, totalTitle, float64(good), float64(good), "streams", "", "%s", evidence())
		case c.ours.told:
			l = found(totalID, totalTitle, float64(good), float64(c.ours.streams-1), "streams", "", "%s", evidence())
		case good > 0:
			l = none(totalID, totalTitle, float64(good), "streams", "%s", evidence())
		default:
			l = undecided(totalID, totalTitle, "streams", "", "%s", evidence())
		}
		l.Owner = result.OwnerGenerator
		return l
	case good == 0:
		l := undecided(totalID, totalTitle, "streams", "", "%s", evidence())
		if c.ours != nil {
			l.Owner = result.OwnerGenerator
		}
		return l
	}
	if good >= c.session.config.Streams {
		say("more were not tried (--streams)")
	}
	return none(totalID, totalTitle, float64(good), "streams", "%s", evidence())
}
