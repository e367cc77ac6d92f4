package serverchecks

import (
	"context"
	"fmt"
	"time"

	"ssegauge/conformance"
	"ssegauge/reports/result"
)

// No clause. One stream is opened and not read, and a megabyte is published in events of a few KiB, enough to fill what lies between. Blame needs
// proof: the other stream stands still for two seconds and goes on when the one that is not read is closed, twice.
var loadIsolation = conformance.Check{
	ID: "load/isolation", Title: "a slow reader slows no other",
	Level: result.Should, Clause: noClause, Needs: conformance.Many | conformance.Publish, Turn: conformance.Flood,
	Text: "While one client does not read, events arrive on the streams of the others, and publishing goes on.",
	Why: "A phone in a tunnel stops reading. Where the server writes to its subscribers in turn and waits for each, that one client silences all others, and whoever " +
		"publishes.",
	Good: "c1: (not read)\n\nc2: data: 1\n\ndata: 2\n\n", Bad: "c1: (not read)\n\nc2: (nothing until c1 is closed)",
	Evidence: []string{"ralscha/sse-eventbus#32"},
	Run:      judgeIsolation,
}

const (
	slowStall  = 2 * time.Second
	slowEvent  = 4 << 10
	slowVolume = 1 << 20
	slowTime   = time.Second
)

func judgeIsolation(ctx context.Context, p *conformance.Probe) {
	p.Apart()
	if _, ok := streamed(p); !ok {
		return
	}
	if why := byItself(p); why != "" {
		p.NotObserved("%s", why)
		return
	}
	if !p.Target().Publisher.Uses("Data") {
		p.NotObserved("the publish hook never mentions .Data, so that events cannot be made larger").By("--publish")
		return
	}
	ctx, release, ok := p.Alone(ctx)
	if !ok {
		return
	}
	defer release()
	var told []string
	for range 2 {
		r, ok := besideSlow(ctx, p)
		switch {
		case !ok:
			return
		case ctx.Err() != nil:
			p.NotObserved("the time for this check ran out").Hint("--only load/isolation decides it")
			return
		case !r.stalled:
			p.Pass("%s of %d KiB arrived beside a stream that was not read", plural(r.posted, "event"), slowEvent>>10)
			return
		case !r.resumed:
			p.NotObserved("%s, and nothing more after the stream that was not read was closed", r)
			return
		}
		told = append(told, r.String())
	}
	p.Fail("a client that does not read holds up the others: %s; then %s; each time it went on when that stream was closed", told[0], told[1]).
		Hint("write to each subscriber from a task of its own, with a bounded queue and a deadline for its writes")
}

// beside is what came on a stream beside one that is not read.
type beside struct {
	posted, arrived  int
	hung             bool // publishing itself
	stalled, resumed bool
}

func (b *beside) String() string {
	s := fmt.Sprintf("%d of %s arrived in %v", b.arrived, plural(b.posted, "event"), slowStall)
	if b.hung {
		s += ", and a publish hung"
	}
	return s
}

// besideSlow makes one attempt; where it cannot, it has reported why.
func besideSlow(ctx context.Context, p *conformance.Probe) (*beside, bool) {
	within := 3*time.Second + 2*p.First().RoundTrip()
	conns, why := openCrowd(ctx, p, 1)
	defer closeAll(conns)
	if why != "" {
		p.NotObserved("the stream was not answered again")
		return nil, false
	}
	slow, err := p.Deaf(ctx, within)
	if err != nil {
		p.NotObserved("a second stream on the same URL was not answered while another one was open")
		return nil, false
	}
	left := false
	leave := func() {
		if !left {
			left = true
			slow.Close()
			slow.Conn.Close()
		}
	}
	defer leave()
	pause(ctx, settled)

	r := &beside{}
	var posts []*conformance.Posted
	post := func() (done chan *conformance.Posted) {
		done = make(chan *conformance.Posted, 1)
		go func() { done <- p.Post(ctx, slowEvent) }()
		return done
	}
	var hanging chan *conformance.Posted
	for start := time.Now(); len(posts) < slowVolume/slowEvent && ctx.Err() == nil && time.Since(start) < slowTime; {
		done := post()
		timer := time.NewTimer(slowStall)
		select {
		case d := <-done:
			timer.Stop()
			if !d.Taken() {
				if len(posts) > 0 {
					start = time.Time{} // what came before is judged
					break
				}
				p.NotObserved("the target did not take an event of %d KiB", slowEvent>>10)
				return nil, false
			}
			posts = append(posts, d)
			continue
		case <-timer.C:
			hanging, r.hung = done, true
		}
		break
	}
	defer func() {
		if hanging != nil {
			leave()
			<-hanging // it ends with the check's time at the latest
		}
	}()
	r.posted = len(posts)
	progress := func(wait time.Duration, from int) int {
		n, last := from, time.Now()
		for ctx.Err() == nil && time.Since(last) < wait {
			if now := conformance.Find(posts, conns[0]); now > n {
				n, last = now, time.Now()
			}
			if n == len(posts) {
				break
			}
			pause(ctx, 20*time.Millisecond)
		}
		return n
	}
	r.arrived = progress(slowStall, 0)
	if _, err := conns[0].Ended(); err != nil {
		p.NotObserved("the stream that was read ended meanwhile")
		return nil, false
	}
	r.stalled = r.hung || r.arrived < len(posts)
	if !r.stalled || ctx.Err() != nil {
		return r, true
	}
	leave()
	if r.hung {
		timer := time.NewTimer(slowStall)
		defer timer.Stop()
		select {
		case <-hanging:
			hanging, r.resumed = nil, true
		case <-timer.C:
		}
		return r, true
	}
	r.resumed = progress(slowStall, r.arrived) > r.arrived
	return r, true
}
