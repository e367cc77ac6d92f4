package limits

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"ssegauge/loadgen"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// Step is what the search is going to do, to be said before it begins.
type Step struct {
	Probe    Probe
	Within   time.Duration // at most
	Requests int           // at most
	Why      string        // it is not going to be done, and why; "": it is
}

// Progress is where a search stands.
type Progress struct {
	Probe      string
	Number, Of int            // which probe it is of how many
	Note       string         // what it is at
	Found      []result.Limit // of a probe that has ended: what it says; nil: it goes on
}

// Steps says what Run will do.
func (s *Search) Steps() []Step {
	var steps []Step
	for _, p := range s.unfit {
		steps = append(steps, Step{Probe: p, Why: s.target.finite})
	}
	left := s.config.Budget
	for i := 0; i < len(s.probes); {
		batch := s.batch(i)
		within := s.share(i, left)
		for _, p := range batch {
			d := min(within, p.Most)
			step := Step{Probe: p, Within: d, Requests: p.Requests(&Session{Search: s, probe: p}, d)}
			if step.Why = s.costs(&p, step.Requests); d < p.Least {
				step.Why = p.tooShort(d)
			}
			steps = append(steps, step)
		}
		left -= longest(batch, within)
		i += len(batch)
	}
	return steps
}

// Most is the budget beyond which more would tell nothing more.
func (s *Search) Most() (most time.Duration) {
	for i := 0; i < len(s.probes); {
		batch := s.batch(i)
		i += len(batch)
		var longest time.Duration
		for _, p := range batch {
			longest = max(longest, p.Most)
		}
		most += longest
	}
	return most
}

// aim is what a probe looks for: where it is kept from it, each of these limits is undecided.
type aim struct {
	kinds  []kind
	also   []string // ids of limits that it may find besides
	finite bool     // it says something also of streams that end by themselves, as answers do
}

var aims = map[string]aim{
	"h1-hosts":   {kinds: []kind{h1Conns, h1Seventh}, finite: true},
	"h2-streams": {kinds: h2Kinds, finite: true},
	"requests":   {kinds: []kind{{"conn/requests-h1", "requests on one HTTP/1.1 connection", "requests"}, {"conn/requests-h2", "requests on one HTTP/2 connection", "requests"}}, finite: true},
	"event-size": {kinds: []kind{{"event/size", "data of one event", "bytes"}}},
	"buffering":  {kinds: []kind{{"buffering/size", "bytes held back", "bytes"}, {"buffering/gzip", "bytes held back, compressed", "bytes"}}, also: []string{"buffering/events", "buffering/delay", "buffering/gzip-events", "buffering/gzip-delay"}},
	"idle":       {kinds: []kind{idleClosed, idleDropped, idleBeat}},
	"lifetime":   {kinds: []kind{lifeAge, lifeJitter}},
	"per-client": {kinds: []kind{{perClientID, perClientTitle, "streams"}}},
	"streams":    {kinds: []kind{{totalID, totalTitle, "streams"}}},
	"storm":      {kinds: []kind{{restoredID, restoredTitle, "s"}, {burstID, burstTitle, "streams"}, {replayID, replayTitle, "events"}}},
	"resets":     {kinds: []kind{{"h2/resets", "streams reset on one HTTP/2 connection", "streams"}}, finite: true},
	"slow-reader": {kinds: []kind{
		{"slow/bytes", "bytes that a client may leave unread", "bytes"}, {"slow/eviction", "time that a client may leave them unread", "s"}, {"slow/neighbours", "delivery beside a client that does not read", "ratio"},
	}},
	"knee": {kinds: []kind{{kneeID, kneeTitle, "streams"}}},
}

// Seeks is the name of the probe that looks for a limit of that id, "": none does; and all ids that are looked for.
func Seeks(id string) (probe string, ids []string) {
	for _, p := range Probes() {
		a := aims[p.Name]
		of := slices.Clone(a.also)
		for _, k := range a.kinds {
			of = append(of, k.id)
		}
		if slices.Contains(of, id) {
			probe = p.Name
		}
		ids = append(ids, of...)
	}
	return probe, ids
}

// Ceiling is beyond which a number of streams at once cannot be found where so many are opened at most; ok is false for limits of other things.
func Ceiling(id string, streams int) (most int, ok bool) {
	switch id {
	case totalID:
		return streams, true
	case perClientID:
		return min(streams, mostPerClient), true
	}
	return 0, false
}

// facts are found like limits, but stop nobody.
var facts = []string{h1Seventh.id, h2Release.id, idleBeat.id, lifeJitter.id, "storm/burst", "storm/restored", "storm/replay"}

// aimed is p with what it looks for; one that is not among aims looks for one limit.
func aimed(p Probe) Probe {
	if a, ok := aims[p.Name]; ok {
		p.aim = a
		return p
	}
	title, _, _ := strings.Cut(p.Title, ":")
	p.aim = aim{kinds: []kind{{"probe/" + p.Name, title, ""}}}
	return p
}

// batch is the probe at i, or it and those after it that run side by side.
func (s *Search) batch(i int) []Probe {
	n := i + 1
	for s.probes[i].Watches && n < len(s.probes) && s.probes[n].Watches {
		n++
	}
	return s.probes[i:n]
}

// share is the time that the batch at i has when so much is left for it and all after it.
func (s *Search) share(i int, left time.Duration) time.Duration {
	sum, own := 0, 0
	for n := i; n < len(s.probes); {
		w := 0
		batch := s.batch(n)
		for _, p := range batch {
			w = max(w, p.Weight)
		}
		if n == i {
			own = w
		}
		sum += w
		n += len(batch)
	}
	return max(0, left*time.Duration(own)/time.Duration(sum))
}

// longest is the time that a batch takes at most.
func longest(batch []Probe, within time.Duration) (d time.Duration) {
	for _, p := range batch {
		if most := min(within, p.Most); most >= p.Least {
			d = max(d, most)
		}
	}
	return d
}

// run is a search under way.
type run struct {
	*Search
	began    time.Time
	progress func(Progress) // one at a time
	out      *result.Limits
	gone     string // why no stream can be opened any more; "": one can
}

// Run runs the probes and calls progress with each thing that is worth telling. Where ctx is done before, the result is what is known by then and the error is ctx's.
func (s *Search) Run(ctx context.Context, progress func(Progress)) (*result.Limits, error) {
	r := &run{Search: s, began: time.Now()}
	r.out = &result.Limits{BudgetMS: float64(s.config.Budget.Microseconds()) / 1000, Limits: []result.Limit{}, Curve: []result.Rung{}, Machine: loadgen.Environment()}
	var mu sync.Mutex
	r.progress = func(p Progress) {
		mu.Lock()
		defer mu.Unlock()
		if progress != nil {
			p.Of = len(s.probes)
			p.Note = s.plain(p.Note)
			progress(p)
		}
	}
	for _, p := range r.unfit {
		for _, kind := range p.aim.kinds {
			l := kind.inapplicable("%s", r.target.finite)
			l.Probe = p.Name
			r.out.Limits = append(r.out.Limits, l)
		}
	}
	r.tryHook(ctx)
	for i := 0; i < len(s.probes); {
		batch := s.batch(i)
		r.together(ctx, i, batch)
		i += len(batch)
	}
	slices.SortFunc(r.out.Curve, func(a, b result.Rung) int { return a.Streams - b.Streams })
	r.still(ctx)
	r.out.Expect = expect(r.out.Limits)
	if away := r.out.Departure(); away != "" {
		r.out.Expect = slices.Insert(r.out.Expect, 0, capital(away)+".")
	}
	return r.out, context.Cause(ctx)
}

// together runs probes side by side, the first of which is the i-th.
func (r *run) together(ctx context.Context, i int, batch []Probe) {
	within := r.share(i, r.config.Budget-time.Since(r.began))
	found := make([][]result.Limit, len(batch))
	sessions := make([]*Session, len(batch))
	var running sync.WaitGroup
	for k, p := range batch {
		d := min(within, p.Most)
		if by, why := r.kept(ctx, p, d); why != "" {
			for _, kind := range p.aim.kinds {
				found[k] = append(found[k], kind.undecided(by, "%s", why))
			}
			continue
		}
		end := time.Now().Add(d)
		// A probe keeps to its end by itself, so that it can say what it knows; the context is for one that is held up.
		probing, cancel := context.WithDeadline(ctx, end.Add(grace))
		session := &Session{Search: r.Search, probe: p, End: end, note: func(note string) {
			r.progress(Progress{Probe: p.Name, Number: i + k + 1, Note: note})
		}}
		sessions[k] = session
		session.Note("")
		running.Go(func() {
			defer cancel()
			found[k] = p.run(probing, session)
			r.unsaid(ctx, p, &found[k])
		})
	}
	running.Wait()
	r.look(ctx, batch, found)
	for k, p := range batch {
		for n := range found[k] {
			l := &found[k][n]
			l.Probe, l.Found, l.Fact = p.Name, l.Verdict == result.LimitFound, slices.Contains(facts, l.ID)
			r.hooked(l)
			l.Evidence = cmp.Or(r.plain(l.Evidence), nothingSeen)
		}
		r.out.Limits = append(r.out.Limits, found[k]...)
		if s := sessions[k]; s != nil {
			r.out.Curve = append(r.out.Curve, s.curve...)
			if s.knee != nil {
				r.out.Knee = s.knee
			}
		}
		r.progress(Progress{Probe: p.Name, Number: i + k + 1, Found: found[k]})
	}
}

// nothingSeen stands where a probe says nothing of what it saw.
const nothingSeen = "nothing was seen that would tell"

// remark adds a sentence on the search itself.
func (r *run) remark(format string, args ...any) {
	r.out.Remarks = append(r.out.Remarks, r.plain(fmt.Sprintf(format, args...)))
}

// grace is how long after its end a probe may still be closing what it opened.
const grace = 5 * time.Second

// kept tells what keeps a probe from beginning, and the flag that would help.
func (r *run) kept(ctx context.Context, p Probe, within time.Duration) (by, why string) {
	switch {
	case ctx.Err() != nil:
		return "", "the search was interrupted before"
	case r.gone != "":
		return "", r.gone
	case within <= 0:
		return "--budget", "no time was left for it"
	case within < p.Least:
		return "--budget", p.tooShort(within)
	}
	if why = r.costs(&p, p.Requests(&Session{Search: r.Search, probe: p}, within)); why != "" {
		return "--probe", why
	}
	return "", ""
}

func (p *Probe) tooShort(within time.Duration) string {
	return fmt.Sprintf("it takes %s or more, and has %s", p.Least, within.Round(100*time.Millisecond))
}

// unsaid adds what a probe that was interrupted did not come to say.
func (r *run) unsaid(ctx context.Context, p Probe, limits *[]result.Limit) {
	for _, k := range p.aim.kinds {
		if ctx.Err() != nil && !slices.ContainsFunc(*limits, func(l result.Limit) bool { return l.ID == k.id }) {
			*limits = append(*limits, k.undecided("", "the search was interrupted before it was known"))
		}
	}
}

// recovery is how long a target may refuse streams after a probe: no longer than a tenth of the budget, but long enough for one that takes its time.
const recovery = 10 * time.Second

func (r *run) recovery() time.Duration {
	return max(min(recovery, r.config.Budget/10), 2*r.target.took)
}

// look looks after a batch whether the target still serves streams; the probes after it would take for a limit what this one has done. What was found of a target that is not even there
// any more may come of that.
func (r *run) look(ctx context.Context, batch []Probe, found [][]result.Limit) {
	if r.gone != "" || ctx.Err() != nil {
		return
	}
	err := r.there(ctx)
	if err == nil || ctx.Err() != nil {
		return
	}
	var names []string
	for _, p := range batch {
		names = append(names, p.Name)
	}
	r.gone = fmt.Sprintf("no stream can be opened since %s: %s", strings.Join(names, " and "), printOf(err).Says)
	r.remark("No stream could be opened for %s after %s: %s.", seconds(r.recovery()), strings.Join(names, " and "), printOf(err).Says)
	if absent(err) || silent(err) && !ours(err) {
		r.out.Gone = r.plain(fmt.Sprintf("no stream can be opened since %s: %s", strings.Join(names, " and "), printOf(err).Cause))
	}
	if !absent(err) {
		return
	}
	for k := range found {
		for n := range found[k] {
			l := &found[k][n]
			if l.Verdict != result.LimitFound || l.Owner == result.OwnerGenerator || l.ID == h2Advertised.id { // which was said, not seen
				continue
			}
			*l = kind{l.ID, l.Title, l.Unit}.undecided("", "%s: %s; but the target is gone since, and that may be why", l.Shown(), l.Evidence)
		}
	}
}

// absent tells whether there is nobody to connect to.
func absent(err error) bool {
	var e *wire.Error
	return errors.As(err, &e) && (e.Phase == wire.PhaseConnect || e.Phase == wire.PhaseTLS) && !ours(err)
}

// still asks once more, at the end, where the target was gone: one that is back did not go away. It may take as long to answer as when it was met.
func (r *run) still(ctx context.Context) {
	if r.out.Gone == "" || ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, max(headPatience, r.recovery()))
	defer cancel()
	if s := (&Session{Search: r.Search}); s.visit(ctx) == nil {
		r.out.Gone = ""
	}
}

// there waits until a stream can be opened; the error is why none can.
func (r *run) there(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.recovery())
	defer cancel()
	s := &Session{Search: r.Search}
	var last error
	for {
		err := s.visit(ctx)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err // and not that the time is over
		}
		if pause(ctx, r.recovery()/20); ctx.Err() != nil {
			return last
		}
	}
}

// visit opens a stream and closes it, or connects where a stream is not to be had for the asking.
func (s *Session) visit(ctx context.Context) error {
	if s.target.held || s.target.finite != "" {
		conn, err := s.dial(ctx, s.target.proto)
		if err == nil {
			conn.Close()
		}
		return err
	}
	return s.glance(ctx)
}

// tryHook publishes an event before the first probe: a hook that fails is no reason to run the probes that need it, and no flag would decide what they leave.
func (r *run) tryHook(ctx context.Context) {
	if r.config.Publisher == nil || len(r.probes) == 0 || r.target.finite != "" || ctx.Err() != nil {
		return
	}
	s := &Session{Search: r.Search}
	r.progress(Progress{Note: "the publish hook is tried"})
	stream, err := s.open(ctx) // there are hooks that refuse what nobody listens to
	if err == nil {
		defer stream.Close()
	}
	m := event(0)
	var came <-chan Arrival
	if err == nil {
		came = stream.Await(m.Marker)
	}
	for try := range 2 {
		if try > 0 {
			pause(ctx, time.Second)
		}
		receipt, err := s.publish(ctx, m)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			r.mute = short(err.Error())
			continue
		case receipt.Refused:
			r.mute = fmt.Sprintf("it is refused with %d", receipt.Status)
			continue
		}
		r.mute = ""
		break
	}
	if r.mute != "" {
		r.config.Publisher, r.config.Plan.Publish = nil, nil
		r.remark("The publish hook fails: %s. Nothing was published.", r.mute)
		return
	}
	if came == nil {
		return
	}
	waiting, cancel := context.WithTimeout(ctx, headPatience)
	defer cancel()
	if _, err := stream.await(waiting, came); err != nil && ctx.Err() == nil {
		r.remark("What the hook published did not come on a stream within %s: is it the same channel?", headPatience)
	}
}

// hooked keeps a limit from naming the flag that was given.
func (r *run) hooked(l *result.Limit) {
	switch {
	case !strings.HasPrefix(l.DecidedBy, "--publish"):
	case r.mute != "":
		l.DecidedBy = ""
		if l.Evidence != errNoHook.Error() {
			l.Evidence += "; nothing could be published: the hook fails"
			return
		}
		l.Evidence = "nothing could be published: the hook fails"
	case r.config.Publisher != nil && l.DecidedBy == "--publish":
		l.DecidedBy = ""
	}
}
