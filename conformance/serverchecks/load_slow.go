package serverchecks

import (
	"bytes"
	"context"
	"fmt"
	"math/big"
	"slices"
	"time"

	"ssegauge/conformance"
	"ssegauge/reference/sse"
)

const (
	slowStall = 2 * time.Second        // nothing new for so long: it stands still
	slowSmall = 4 << 10                // an event that any hook takes
	slowLarge = 16 << 10               // the largest, where large payloads were not asked for
	slowHuge  = 64 << 10               // with --active
	slowTime  = 2 * time.Second        // of publishing
	slowLeast = 700 * time.Millisecond // it is not read for so long
)

// slowReader is the one experiment of a run with a client that does not read: one round, or two where the first stood still.
type slowReader struct {
	why    string // there is nothing to judge
	by     string // the flag that would help
	rounds []*beside
}

// beside is what came on a stream beside one that is not read, and what came on that one afterwards.
type beside struct {
	posts            []*conformance.Posted
	size, slack      int // bytes of an event, and how many may be swallowed on the way
	arrived          int
	hung             bool // publishing itself
	stalled, resumed bool

	slow   *conformance.Connection // once it was read after all; nil: it was not
	missed []*conformance.Posted
	ended  bool   // by the target
	extra  string // published later
	after  bool   // and arrived
}

func (b *beside) String() string {
	s := fmt.Sprintf("%d of %s arrived in %v", b.arrived, plural(len(b.posts), "event"), slowStall)
	if b.hung {
		s += ", and a publish hung"
	}
	return s
}

func (b *beside) volume() int { return len(b.posts) * b.size }

// slowOf makes the experiment, or returns what came of it; where nothing can be judged it has reported why.
func slowOf(ctx context.Context, p *conformance.Probe) (_ *slowReader, release func(), ok bool) {
	p.Apart()
	if _, ok := lasting(p); !ok {
		return nil, nil, false
	}
	if !p.Target().Publisher.Uses("Data") {
		p.NotObserved("the publish hook never mentions .Data, so that events cannot be made larger").By("--publish")
		return nil, nil, false
	}
	ctx, release, ok = p.Alone(ctx)
	if !ok {
		return nil, nil, false
	}
	s := p.Once("slow reader", func() any {
		s := &slowReader{}
		if p.Remembers(oneStream) {
			s.why = oneStream
			return s
		}
		for range 2 {
			r := s.round(ctx, p)
			if s.why == "" && ctx.Err() != nil {
				s.why = "the time for this check ran out"
			}
			if s.why != "" {
				break
			}
			if s.rounds = append(s.rounds, r); !r.stalled || !r.resumed {
				break
			}
		}
		return s
	}).(*slowReader)
	if s.why != "" {
		n := p.NotObserved("%s", s.why)
		if s.by != "" {
			n.By(s.by)
		}
		release()
		return nil, nil, false
	}
	return s, release, true
}

// round makes one attempt; where it cannot, it sets why.
func (s *slowReader) round(ctx context.Context, p *conformance.Probe) *beside {
	within := 3*time.Second + 2*p.First().RoundTrip()
	c := p.OpenAwake(ctx, p.Request(), within)
	defer c.Close()
	if c.Err != nil || c.Head.Status != 200 {
		s.why = "the stream was not answered again"
		return nil
	}
	slow, slack := p.Deaf(ctx, within)
	defer slow.Close()
	if slow.Err != nil || slow.Head.Status != 200 {
		s.why = "a second stream on the same URL was not answered while another one was open"
		crowdedOut(p, slow.Err)
		return nil
	}
	opened := time.Now()
	pause(ctx, settled)

	r := &beside{slack: slack}
	hanging := s.fill(ctx, p, r)
	defer func() {
		if hanging != nil {
			slow.Close()
			<-hanging // it ends with the check's time at the latest
		}
	}()
	if s.why != "" {
		return nil
	}
	r.arrived = progress(ctx, r.posts, slowStall, c)
	if _, err := c.Ended(); err != nil {
		s.why = "the stream that was read ended meanwhile"
		return nil
	}
	r.stalled = r.hung || r.arrived < len(r.posts)
	switch {
	case ctx.Err() != nil:
	case !r.stalled:
		pause(ctx, slowLeast-time.Since(opened))
		r.hear(ctx, p, slow)
	case r.hung:
		slow.Close()
		timer := time.NewTimer(slowStall)
		defer timer.Stop()
		select {
		case <-hanging:
			hanging, r.resumed = nil, true
		case <-timer.C:
		}
	default:
		slow.Close()
		r.resumed = progress(ctx, r.posts, slowStall, c) > r.arrived
	}
	return r
}

// fill publishes until more than the slack is out, the time is up, or a publish hangs: then it returns where that one will be told.
//
// Real subscribers of the channel get it too: 1 MiB, in events of at most 16 KiB; on loopback, where there are none but a developer's, 6 MiB.
func (s *slowReader) fill(ctx context.Context, p *conformance.Probe, r *beside) (hanging chan *conformance.Posted) {
	r.size = slowSmall
	for start := time.Now(); r.volume() <= r.slack && ctx.Err() == nil && time.Since(start) < slowTime; {
		done := make(chan *conformance.Posted, 1)
		began := time.Now()
		go func() { done <- p.Post(ctx, r.size) }()
		timer := time.NewTimer(slowStall)
		select {
		case d := <-done:
			timer.Stop()
			switch {
			case d.Taken():
				r.posts = append(r.posts, d)
			case r.size > slowSmall && len(r.posts) == 1:
				r.size = slowSmall // it takes nothing large
			case len(r.posts) > 1:
				return nil // what came before is judged
			default:
				s.why = fmt.Sprintf("the target did not take an event of %d KiB", slowSmall>>10)
				return nil
			}
			if len(r.posts) == 1 && r.size == slowSmall && d.Taken() {
				// So large that it comes to enough in time.
				need := int64(r.slack) * int64(time.Since(began)) / int64(slowTime/2)
				most := slowLarge
				if p.Target().Active {
					most = slowHuge
				}
				r.size = int(min(max(need, int64(r.slack)>>8, slowSmall), int64(most)))
				pause(ctx, 10*time.Millisecond) // a server may write to its streams one after the other
			}
		case <-timer.C:
			r.hung = true
			return done
		}
	}
	return nil
}

// progress waits until all posts arrived on c or none did for a while, and returns how many did.
func progress(ctx context.Context, posts []*conformance.Posted, patience time.Duration, c *conformance.Connection) int {
	s := conformance.NewSearch(posts)
	n, last := s.Look(c), time.Now()
	for n < len(posts) && ctx.Err() == nil && time.Since(last) < patience {
		if _, err := c.Ended(); err != nil {
			return s.Look(c)
		}
		pause(ctx, 20*time.Millisecond)
		if now := s.Look(c); now > n {
			n, last = now, time.Now()
		}
	}
	return n
}

// hear reads the stream that was not read, and then one event more.
func (b *beside) hear(ctx context.Context, p *conformance.Probe, slow *conformance.Connection) {
	slow.Hear()
	copies := func(posts ...*conformance.Posted) []*conformance.Posted {
		var own []*conformance.Posted
		for _, d := range posts {
			own = append(own, &conformance.Posted{Nonce: d.Nonce})
		}
		return own
	}
	posts := copies(b.posts...)
	progress(ctx, posts, slowStall, slow)
	for _, d := range posts {
		if d.Conn == nil {
			b.missed = append(b.missed, d)
		}
	}
	if _, err := slow.Ended(); err != nil {
		b.ended = true
	} else if len(b.missed) > 0 {
		if d := p.Post(ctx, 0); d.Taken() {
			b.extra = d.Nonce
			b.after = progress(ctx, copies(d), slowStall, slow) == 1
		}
	}
	if ctx.Err() == nil {
		b.slow = slow
	}
}

// judgeGap judges how a client is told that events were left out: by what stands between the last event before the gap and the first after it.
func (b *beside) judgeGap(p *conformance.Probe) {
	order := make(map[string]int, len(b.posts))
	for i, d := range b.posts {
		order[d.Nonce] = i
	}
	gone := make([]bool, len(b.posts)+1)
	for _, d := range b.missed {
		gone[order[d.Nonce]] = true
	}
	order[b.extra] = len(b.posts)

	next := 0 // the event that is to come
	var id []byte
	from, word, opaque := int64(0), false, false
	left := fmt.Sprintf("%d of %s were left out for a client that did not read", len(b.missed), plural(len(b.posts), "event"))
	for _, e := range b.slow.Events() {
		n, ours := order[conformance.NonceOf(e.Data)]
		if ours && n >= next && slices.Contains(gone[next:n], true) {
			if word || commented(b.slow, from, e.Start) {
				p.Info("%s, and something of the server's stands in their place", left)
				return
			}
			a, ok := trailing(id)
			z, ok2 := trailing(e.ID)
			switch {
			case !e.IDSet || len(e.ID) == 0 || len(id) == 0:
			case !ok || !ok2:
				opaque = true
			case new(big.Int).Sub(z, a).Cmp(big.NewInt(1)) > 0:
				p.Info("%s; its ids show the gap", left)
				return
			}
		}
		switch {
		case ours:
			next, from, word = n+1, e.End, false
		case conformance.NonceOf(e.Data) == "":
			word = true
		}
		if e.IDSet {
			id = e.ID
		}
	}
	if opaque {
		p.Info("%s; whether its ids show it only the server's clients know", left)
		return
	}
	p.Fail("%s, without a word: no event says so and no id shows it", left).
		Hint("end the stream of a client whose queue is full, so that it comes back with its id; or send an event that says what is missing")
}

// commented tells whether a comment stands within these bytes.
func commented(c *conformance.Connection, from, to int64) bool {
	return slices.ContainsFunc(c.Lines(), func(l conformance.Line) bool { return l.Kind == sse.LineComment && l.Start >= from && l.End <= to })
}

// trailing is the number at the end of an id.
func trailing(id []byte) (*big.Int, bool) {
	digits := id[len(bytes.TrimRight(id, "0123456789")):]
	if len(digits) == 0 || len(digits) > 100 {
		return nil, false
	}
	return new(big.Int).SetString(string(digits), 10)
}
