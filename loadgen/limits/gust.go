package limits

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"ssegauge/reference/publish"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

const (
	stormAway    = 5                      // events that are published while streams are away
	stormReach   = 5 * time.Second        // in which an event has reached everybody
	stormAgain   = 250 * time.Millisecond // before a failed attempt is repeated at first; twice as long each time
	stormSlowest = 2 * time.Second        // and at most
)

// stormProbe is streams that are dropped and come back.
type stormProbe struct {
	*Session
	crowd   *crowd
	token   string // begins the data of what is published
	number  int    // of the last event
	tallies sync.Map
	most    int    // streams that could be opened
	fewer   string // why they are fewer than were wanted
	noIDs   string // what else is to be said of a replay
	retry   string // what streams say of when to come back
}

func newStorm(s *Session) *stormProbe {
	p := &stormProbe{Session: s, token: "storm-" + strconv.FormatUint(rand.Uint64(), 36) + "-"}
	p.crowd = newCrowd(s, netip.Addr{})
	p.crowd.opens = func(ctx context.Context) (*Listener, error) { return p.come(ctx, "") }
	return p
}

// tally is how often a stream got each event of ours.
type tally struct {
	mu   sync.Mutex
	seen map[int]int // by number
}

// note takes an event: our token, the number, and a point.
func (t *tally) note(token, data []byte, most int) {
	_, rest, ok := bytes.Cut(data, token)
	digits, _, point := bytes.Cut(rest, []byte("."))
	if !ok || !point || len(digits) > 9 {
		return
	}
	n, err := strconv.Atoi(string(digits))
	if err != nil || n < 1 || n > most {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seen[n]++
}

func (t *tally) count(n int) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.seen[n]
}

// maxNumber is more events than a storm publishes.
const maxNumber = 1000

// come opens a stream as one that has seen the event of that id.
func (p *stormProbe) come(ctx context.Context, id string) (*Listener, error) {
	r := *p.target.request
	if id != "" {
		r.Header = slices.DeleteFunc(slices.Clone(r.Header), func(f wire.Field) bool { return bytes.EqualFold([]byte(f.Name), []byte("Last-Event-ID")) })
		r.Header = append(r.Header, wire.Field{Name: "Last-Event-ID", Value: id})
	}
	conn, err := p.dial(ctx, p.target.proto)
	if err != nil {
		return nil, err
	}
	t := &tally{seen: map[int]int{}}
	token := []byte(p.token)
	l, err := p.ask(ctx, conn, &r, h2MaxEvent, func(data []byte) { t.note(token, data, maxNumber) })
	if err != nil {
		conn.Close()
		return nil, err
	}
	l.owns = true
	p.tallies.Store(l, t)
	return l, nil
}

func (p *stormProbe) tally(l *Listener) *tally {
	t, _ := p.tallies.Load(l)
	return t.(*tally)
}

// tell publishes an event of ours, and returns its number.
func (p *stormProbe) tell(ctx context.Context) (n int, err error) {
	p.number++
	m := publish.Message{Marker: p.token + strconv.Itoa(p.number) + "."}
	m.Data = m.Marker
	receipt, err := p.publish(ctx, m)
	if err == nil && receipt.Refused {
		err = fmt.Errorf("the publish was refused: %d", receipt.Status)
	}
	return p.number, err
}

// reach waits until an event has come to all of these streams, and says whether it has.
func (p *stormProbe) reach(ctx context.Context, streams []*Listener, n int) bool {
	until := time.Now().Add(stormReach)
	for {
		all := !slices.ContainsFunc(streams, func(l *Listener) bool { return l.Alive() && p.tally(l).count(n) == 0 })
		if all || ctx.Err() != nil || time.Now().After(until) {
			return all
		}
		pause(ctx, 10*time.Millisecond)
	}
}

// gust is what came of streams that were dropped and asked for again at once.
type gust struct {
	burst   int
	back    []time.Duration // since they were asked for again, from short to long
	failed  map[string]int  // attempts, by cause
	print   Fingerprint     // of the last of them
	final   int             // attempts that were answered so that an EventSource gives up
	ours    bool            // this machine could not
	lag     float64         // share of the time in which this machine was late
	took    time.Duration
	cut     bool // the time was over
	replays []replay
	trouble string // why nothing can be said of replay
}

// replay is what a stream got that came back.
type replay struct {
	came  int // of the events that were published while it was away
	twice int // how many of them more than once
}

// quantile is when 99 % were back; ok is false where they never were.
func (g *gust) quantile() (d time.Duration, ok bool) {
	i := (99*g.burst+99)/100 - 1
	if i >= len(g.back) {
		return 0, false
	}
	return g.back[i], true
}

// soon is how many were back soon.
func (g *gust) soon() int {
	n, _ := slices.BinarySearch(g.back, stormSoon+1)
	return n
}

// busy tells whether it may be this machine's doing that not all were back soon.
func (g *gust) busy() bool { return g.soon() < g.burst && (g.ours || g.lag > stormBusy) }

// gust drops so many streams of the crowd, and asks for them again for so long.
func (p *stormProbe) gust(ctx context.Context, burst int, patience time.Duration) (g gust) {
	began := time.Now()
	g = gust{burst: burst, failed: map[string]int{}}
	defer func() { g.took, g.cut = time.Since(began), ctx.Err() != nil }()
	publishes := p.config.Publisher != nil
	if publishes {
		n, err := p.tell(ctx) // so that they have seen an event, and know its id
		if err != nil {
			g.trouble = "an event could not be published: " + err.Error()
		} else if !p.reach(ctx, p.crowd.open, n) {
			g.trouble = fmt.Sprintf("an event did not reach all streams within %s, though none was dropped yet", stormReach)
		}
	}
	gone := slices.Clone(p.crowd.open[:burst])
	p.crowd.open = slices.Clone(p.crowd.open[burst:])
	stayed := slices.Clone(p.crowd.open)
	ids := make([]string, burst)
	var closing sync.WaitGroup
	for i, l := range gone {
		ids[i] = l.Facts().ID
		closing.Go(l.Close)
		p.tallies.Delete(l)
	}
	closing.Wait()
	if !slices.ContainsFunc(ids, func(id string) bool { return id != "" }) {
		p.noIDs = "; events have no id, so that nothing can be asked for"
	}
	first := p.number + 1
	for range stormAway {
		if !publishes || g.trouble != "" {
			break
		}
		if _, err := p.tell(ctx); err != nil {
			g.trouble = "an event could not be published: " + err.Error()
		}
	}
	back := p.comeBack(ctx, &g, ids, patience)
	if publishes && g.trouble == "" {
		p.judge(ctx, &g, back, stayed, first)
	}
	p.crowd.open = append(p.crowd.open, back...)
	return g
}

// comeBack asks for a stream for each id, all at once, and again after a while where it is refused.
func (p *stormProbe) comeBack(ctx context.Context, g *gust, ids []string, patience time.Duration) (back []*Listener) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, &wire.TimeoutError{After: patience})
	defer cancel()
	defer p.knock(ctx)()
	var mu sync.Mutex
	var coming sync.WaitGroup
	start := make(chan struct{})
	var at time.Time
	for _, id := range ids {
		coming.Go(func() {
			<-start
			for wait := stormAgain; ; wait = min(2*wait, stormSlowest) {
				l, err := p.come(ctx, id)
				took := time.Since(at)
				mu.Lock()
				if err == nil {
					g.back = append(g.back, took)
					back = append(back, l)
				} else {
					g.fails(err)
				}
				mu.Unlock()
				if err == nil {
					return
				}
				if pause(ctx, wait); ctx.Err() != nil {
					return
				}
			}
		})
	}
	late := metronome()
	at = time.Now()
	close(start)
	coming.Wait()
	g.lag = late()
	slices.Sort(g.back)
	return back
}

// fails notes an attempt that failed.
func (g *gust) fails(err error) {
	g.print = printOf(err)
	g.failed[g.print.Cause]++
	g.ours = g.ours || g.print.Owner == result.OwnerGenerator
	var refused *refusedError
	if errors.As(err, &refused) {
		g.final++
	}
}

// judge finds out what those that came back got of the events from first on: one more event, which comes after all that was missed, says when to look.
func (p *stormProbe) judge(ctx context.Context, g *gust, back, stayed []*Listener, first int) {
	last, err := p.tell(ctx)
	if err != nil {
		g.trouble = "an event could not be published: " + err.Error()
		return
	}
	p.reach(ctx, append(slices.Clone(back), stayed...), last)
	pause(ctx, crowdSettled)
	for n := first; n < last; n++ {
		if slices.ContainsFunc(stayed, func(l *Listener) bool { return l.Alive() && p.tally(l).count(n) == 0 }) {
			g.trouble = "not all events that were published reached the streams that stayed: the loss is not the reconnect's"
			return
		}
	}
	for _, l := range back {
		if !l.Alive() {
			continue
		}
		var r replay
		for n := first; n < last; n++ {
			switch c := p.tally(l).count(n); {
			case c > 1:
				r.twice++
				fallthrough
			case c == 1:
				r.came++
			}
		}
		g.replays = append(g.replays, r)
	}
}

// metronome asks for the processor every millisecond for [stormSoon] at most; the function that it returns ends that, and says in what share of the time this machine was more than
// 10 ms late.
func metronome() func() float64 {
	const beat, tolerated = time.Millisecond, 10 * time.Millisecond
	began := time.Now()
	stop := make(chan struct{})
	var beating sync.WaitGroup
	var lost time.Duration
	beating.Go(func() {
		for time.Since(began) < stormSoon {
			asleep := time.Now()
			select {
			case <-stop:
				return
			case <-time.After(beat):
			}
			if late := time.Since(asleep) - beat; late > tolerated {
				lost += late
			}
		}
	})
	return func() float64 {
		close(stop)
		beating.Wait()
		return lost.Seconds() / max(min(time.Since(began), stormSoon), beat).Seconds()
	}
}
