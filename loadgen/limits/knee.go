package limits

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"ssegauge/loadgen"
	"ssegauge/reports/result"
)

const (
	kneeID, kneeTitle = "streams/knee", "streams beyond which more bring no more events a second"

	kneeFirst     = 4      // streams of the first level
	kneeLevels    = 4      // fewer say nothing of three parameters
	kneeSlices    = 10     // of the time of a level
	kneeEvents    = 20     // fewer in a level say nothing
	kneeFlood     = 20_000 // events a level at most
	kneeWindow    = 64     // events under way at one time at most
	kneeGain      = 0.1    // what twice as many under way must bring, or they are enough
	kneeOff       = 0.25   // root mean square by which throughput may be off the law, or it is not described by it
	kneeReach     = 2      // times the most streams that were measured: no peak beyond is spoken of
	kneeLongest   = 10 * time.Second
	kneeLostLimit = 0.01 // of events, or streams, of a level
)

// ascent measures how many events a second many streams are brought, at ever more of them, and where more streams bring no more.
//
// At a fixed rate of events a target that keeps up delivers just that rate, and nothing of its limit shows; far above what it can do, it falls behind without end and what is measured
// is how it throws events away. So events are published as fast as they arrive: so many are under way at one time, and the next begins when one has come to two streams of our own, the
// first and the last that were opened. How many must be under way is found out at the first level: twice as many until that brings no more.
type ascent struct {
	session *Session
	stage   level
	flood   time.Duration // of a level, and before it is counted a quarter of it
	measure func(ctx context.Context, v level, window int) (sample, error)

	notes []string
}

// sample is a level.
type sample struct {
	throughput
	rung    result.Rung
	useless string // why nothing can be made of it; ends the ascent
	ours    string // why this machine may be what limits it
	crowded bool   // no processor of this machine was free, though others had some
}

func newAscent(s *Session) *ascent {
	a := &ascent{session: s, flood: 3 * time.Second}
	a.stage = newClimb(s).stage
	a.measure = a.level
	return a
}

// takes is how long a level takes.
func (a *ascent) takes(n int) time.Duration {
	v := a.stage
	v.streams = n
	return v.opening() + 2*v.settle + a.flood + a.flood/4 + 500*time.Millisecond
}

// most is how many streams are opened at most: as many as were seen to hold.
func (a *ascent) most() int {
	if n := a.session.held; n > 0 {
		return min(n, a.session.config.Streams)
	}
	return a.session.config.Streams
}

// levels are the numbers of streams to be measured: twice as many each time, or what the time allows, or what makes six of them.
func (a *ascent) levels(most int, within time.Duration) []int {
	ratio := min(2, math.Pow(float64(most)/kneeFirst, 1.0/5))
	for ; ; ratio *= 1.25 {
		var all []int
		total := time.Duration(0)
		for n := float64(most); n > kneeFirst*1.2; n /= ratio {
			all = append(all, int(n))
		}
		all = append(all, kneeFirst)
		slices.Reverse(all)
		all = slices.Compact(all)
		for _, n := range all {
			total += a.takes(n)
		}
		if total <= within || len(all) <= kneeLevels {
			return all
		}
	}
}

func kneeRequests(s *Session, within time.Duration) int {
	if s.config.Publisher == nil {
		return 0
	}
	a := newAscent(s)
	sum := 0
	for _, n := range a.levels(a.most(), within) {
		sum += n + kneeFlood
	}
	return sum + 4*kneeFlood // to find out how many must be under way
}

func knee(ctx context.Context, s *Session) []result.Limit {
	return []result.Limit{newAscent(s).search(ctx)}
}

func (a *ascent) search(ctx context.Context) result.Limit {
	if a.session.config.Publisher == nil {
		return undecided(kneeID, kneeTitle, "streams", "--publish", "how many events a second arrive can be seen only where events can be published")
	}
	most := a.most()
	if most < 2*kneeFirst {
		return undecided(kneeID, kneeTitle, "streams", "--streams", "%s at once are too few to see it", result.Plural(int64(most), "stream"))
	}
	ctx, cancel := a.session.within(ctx)
	defer cancel()
	var samples []sample
	window := a.window(ctx)
	for _, n := range a.levels(most, a.session.left()-a.takes(kneeFirst)) {
		if window == 0 {
			break
		}
		if a.session.left() < a.takes(n) {
			a.note("there was no time left for %s", result.Plural(int64(n), "stream"))
			break
		}
		v := a.stage
		v.streams = n
		x, err := a.measure(ctx, v, window)
		if err != nil {
			a.note("the time was over, or it was interrupted, at %s", result.Plural(int64(n), "stream"))
			break
		}
		if x.useless != "" {
			a.note("at %s %s", result.Plural(int64(n), "stream"), x.useless)
			break
		}
		samples = append(samples, x)
	}
	return a.verdict(samples, window)
}

// window is how many events must be under way at one time; 0 where none arrive, which is noted.
func (a *ascent) window(ctx context.Context) int {
	v := a.stage
	v.streams = kneeFirst
	best := 0.0
	for window := 4; ; window *= 2 {
		x, err := a.measure(ctx, v, window)
		switch {
		case err != nil:
			a.note("the time was over, or it was interrupted, before anything was measured")
			return 0
		case x.useless != "":
			a.note("at %s %s", result.Plural(kneeFirst, "stream"), x.useless)
			return 0
		case x.mean() < (1+kneeGain)*best:
			return window / 2
		case 2*window > kneeWindow:
			a.note("more than %d events under way at one time, which were not tried, may bring more", window)
			return window
		}
		best = x.mean()
	}
}

// level measures one.
func (a *ascent) level(ctx context.Context, v level, window int) (x sample, err error) {
	s := a.session
	s.Note("%s, events as fast as they arrive", result.Plural(int64(v.streams), "stream"))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	first, err := s.open(ctx)
	if err != nil {
		return sample{useless: "no stream could be opened: " + printOf(err).Says}, ctx.Err()
	}
	defer first.Close()

	n := v.streams
	v.streams -= 2
	v.hold, v.publish, v.deliver = a.flood+a.flood/4+kneeLongest, true, false
	type ran struct {
		l   *result.Load
		err error
	}
	done := make(chan ran, 1)
	go func() {
		l, err := s.stage(ctx, v.set)
		done <- ran{l, err}
	}()
	select {
	case r := <-done: // it could not begin
		return unbegun(r.err), context.Cause(ctx)
	case <-time.After(v.opening() + v.settle):
	}
	last, err := s.open(ctx)
	if err != nil {
		cancel()
		<-done
		return sample{useless: "no further stream could be opened: " + printOf(err).Says}, ctx.Err()
	}
	defer last.Close()
	before := first.Facts().Events
	f := flood{session: s, watch: []*Listener{first, last}, window: window}
	f.run(ctx, a.flood/4, a.flood)
	seen := first.Facts().Events - before
	pause(ctx, v.settle)
	if ctx.Err() != nil {
		<-done
		return sample{}, context.Cause(ctx)
	}
	cancel()
	r := <-done
	if r.l == nil {
		return unbegun(r.err), nil
	}
	return f.sample(n, seen, &v, r.l), nil
}

// unbegun is a stage that opened nothing.
func unbegun(err error) sample {
	var wall *loadgen.LimitError
	x := sample{useless: "no streams could be opened"}
	if err != nil {
		x.useless = err.Error()
	}
	if errors.As(err, &wall) {
		x.ours = wall.Error()
	}
	return x
}

// flood publishes events as fast as they arrive.
type flood struct {
	session *Session
	watch   []*Listener
	window  int

	mu           sync.Mutex
	began        time.Time // when it is counted from
	slice        time.Duration
	arrived      [kneeSlices]int // events everywhere watched, by slice of the time
	begun, count int
	refused      int
	lost         int
	says         string // why publishing failed
}

// run publishes for warm and then within, or until kneeFlood events are published.
func (f *flood) run(ctx context.Context, warm, within time.Duration) {
	f.began = time.Now().Add(warm)
	f.slice = within / kneeSlices
	end := f.began.Add(within)
	var workers sync.WaitGroup
	for range f.window {
		workers.Go(func() {
			for f.next(end) && ctx.Err() == nil {
				f.one(ctx)
			}
		})
	}
	workers.Wait()
}

// next tells whether one more is to be published.
func (f *flood) next(end time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Now().After(end) || f.begun >= kneeFlood {
		return false
	}
	f.begun++
	return true
}

func (f *flood) one(ctx context.Context) {
	m := event(0)
	arrivals := make([]<-chan Arrival, len(f.watch))
	for i, l := range f.watch {
		arrivals[i] = l.Await(m.Marker)
	}
	receipt, err := f.session.publish(ctx, m)
	if err != nil || receipt.Refused {
		f.mu.Lock()
		f.refused++
		if f.says = fmt.Sprintf("refused with %d", receipt.Status); err != nil {
			f.says = err.Error()
		}
		f.mu.Unlock()
		pause(ctx, 10*time.Millisecond)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, kneeLongest)
	defer cancel()
	var at time.Time
	for i, l := range f.watch {
		a, err := l.await(ctx, arrivals[i])
		if err != nil {
			f.mu.Lock()
			f.lost++
			f.mu.Unlock()
			return
		}
		if a.At.After(at) {
			at = a.At
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count++
	if since := at.Sub(f.began); since >= 0 {
		if i := int(since / f.slice); i < len(f.arrived) {
			f.arrived[i]++
		}
	}
}

// sample is what came of it: n streams, those that are watched among them, of which each of these got so many events while it lasted.
func (f *flood) sample(n int, seen int64, v *level, l *result.Load) sample {
	x := sample{throughput: throughput{streams: n}}
	x.ours, _ = v.disturbed(l)
	x.crowded = x.ours == "" && shared(l)
	short := v.streams - (l.Streams.Opened - l.Streams.ClosedByServer)
	counted := 0
	for _, k := range f.arrived {
		counted += k
	}
	switch {
	case float64(f.refused) > kneeLostLimit*float64(f.begun):
		x.useless = fmt.Sprintf("%d of %d events could not be published (%s)", f.refused, f.begun, f.says)
	case float64(f.lost) > kneeLostLimit*float64(f.begun):
		x.useless = fmt.Sprintf("%d of %d events did not come within %s", f.lost, f.begun, kneeLongest)
	case float64(short) > kneeLostLimit*float64(v.streams):
		x.useless = fmt.Sprintf("%d of %d streams did not open, or ended", short, v.streams)
	case counted < kneeEvents:
		x.useless = fmt.Sprintf("only %d events arrived in %s", counted, kneeSlices*f.slice)
	}
	if x.useless != "" {
		return x
	}
	// Where the others were brought fewer than those watched, they count for as much less.
	share := 1.0
	if v.streams > 0 && seen > 0 {
		share = min(1, float64(l.Events.Received)/float64(v.streams)/float64(seen))
	}
	// Once the last event of kneeFlood was published, nothing more comes: slices after that say nothing, nor does the one it came in.
	full := kneeSlices
	if f.begun >= kneeFlood {
		for full > 0 && f.arrived[full-1] == 0 {
			full--
		}
		full = max(1, full-1)
	}
	for _, k := range f.arrived[:full] {
		x.perSecond = append(x.perSecond, share*float64(k*n)/f.slice.Seconds())
	}
	x.rung = v.rung(l, true)
	x.rung.Streams, x.rung.Opened, x.rung.EventsPerSecond = n, n-short, x.mean()
	return x
}

func (a *ascent) note(format string, args ...any) {
	a.notes = append(a.notes, fmt.Sprintf(format, args...))
}

// verdict is what the samples come to.
func (a *ascent) verdict(samples []sample, window int) result.Limit {
	says := func(more ...string) string { return strings.Join(append(more, a.notes...), "; ") }
	if len(samples) < kneeLevels {
		by := ""
		if len(samples) > 0 && len(a.notes) == 0 {
			by = "--streams"
		}
		return undecided(kneeID, kneeTitle, "streams", by, "%s", says(fmt.Sprintf("%d numbers of streams were measured, and %d are the least", len(samples), kneeLevels)))
	}
	levels := make([]throughput, len(samples))
	highest := 0
	for i := range samples {
		levels[i] = samples[i].throughput
		if levels[i].mean() > levels[highest].mean() {
			highest = i
		}
	}
	first, last := &levels[0], &levels[len(levels)-1]
	most := last.streams
	measured := fmt.Sprintf("%d levels with %s under way at one time: %s events/s to %d streams, at most %s to %s, %s to %s", len(levels), result.Plural(int64(window), "event"),
		count(first.mean()), first.streams, count(levels[highest].mean()), result.Count(int64(levels[highest].streams)), count(last.mean()), result.Count(int64(most)))
	f, ok := fitLevels(levels)
	if !ok || f.off > kneeOff {
		return undecided(kneeID, kneeTitle, "streams", "", "%s", says(measured, fmt.Sprintf("the law does not describe that: it is off by %.0f %%", 100*f.off)))
	}
	reach := float64(kneeReach * most)
	k := &result.Knee{Lambda: f.lambda, Sigma: f.sigma, Kappa: f.kappa, CI95: [2]float64{min(f.low, reach), min(f.high, reach)}, Max: most}
	for i := range samples {
		k.Levels = append(k.Levels, samples[i].rung)
	}
	peak := f.peak()
	if peak <= reach {
		k.Peak = &peak
	}
	a.session.knee = k
	law := fmt.Sprintf("the law fitted (lambda %s events/s, sigma %.2g, kappa %.2g; off by %.0f %%)", count(f.lambda), f.sigma, f.kappa, 100*f.off)
	if most := f.lambda / f.sigma; peak > reach && most < 1.25*levels[highest].mean() {
		law += fmt.Sprintf(" levels off at %s events/s, and", count(most))
	}

	// What limits is what limited about the peak, or where there is none at the end.
	owner := result.OwnerTarget
	for _, x := range samples {
		if float64(x.streams) < min(peak/2, float64(most)/2) {
			continue
		}
		switch {
		case x.ours != "":
			owner = result.OwnerGenerator
			a.note("at %s this machine may be what limits: %s", result.Plural(int64(x.streams), "stream"), x.ours)
		case x.crowded && owner == result.OwnerTarget:
			owner = ""
			a.note("at %s no processor of this machine was free: if the target runs on it too, it cannot be told whose limit that is", result.Plural(int64(x.streams), "stream"))
		}
		if owner != result.OwnerTarget {
			break
		}
	}
	switch {
	case f.high <= reach:
		return found(kneeID, kneeTitle, math.Floor(f.low), math.Ceil(f.high), "streams", owner, "%s",
			says(measured, fmt.Sprintf("%s has its peak at %s streams, 95 %% interval %s to %s", law, count(peak), count(f.low), count(f.high))))
	case f.low >= float64(most)/2:
		l := none(kneeID, kneeTitle, math.Floor(min(f.low, float64(most))), "streams", "%s", says(measured, law+" has no peak among the numbers measured, or none that can be told"))
		if owner == result.OwnerGenerator {
			l.Owner = owner
		}
		return l
	}
	by := "--streams"
	if a.session.held > 0 && a.session.held <= most {
		by = "" // more are not held
	}
	return undecided(kneeID, kneeTitle, "streams", by, "%s",
		says(measured, fmt.Sprintf("%s may have a peak from %s streams on, or none within %s, twice as many as were measured: measured more exactly, or of more streams, it would tell", law, count(f.low), count(reach))))
}

func count(x float64) string { return result.Count(int64(math.Round(x))) }
