package conformance

import (
	"context"
	"fmt"
	"strings"
	"time"

	"ssegauge/reference/publish"
	"ssegauge/reports/result"
)

// Posted is one plain event that was published without waiting for it.
type Posted struct {
	Nonce   string
	Receipt publish.Receipt
	Err     error       // of the hook
	Conn    *Connection // where it arrived; nil: nowhere so far
	At      time.Duration
	Line    Line // the first with the nonce
}

// Late is how long it took from when the hook was done, which counts no delay of the hook's; negative where it arrived before.
func (d *Posted) Late() time.Duration {
	return d.Conn.Timing.Start.Add(d.At).Sub(d.Receipt.Done)
}

// Post publishes one plain event, padded to size bytes where the hook carries data.
func (p *Probe) Post(ctx context.Context, size int) *Posted {
	d := &Posted{Nonce: p.Nonce()}
	m := plainMessage(d.Nonce)
	if pad := size - len(m.Data) - 1; pad > 0 {
		m.Data += " " + strings.Repeat("x", pad)
	}
	d.Receipt, d.Err = p.s.target.Publisher.Publish(ctx, m)
	return d
}

// Taken tells that the target took the event.
func (d *Posted) Taken() bool { return d.Err == nil && !d.Receipt.Refused }

// Search looks for posts on connections; it goes on where it stopped.
type Search struct {
	missing map[string]*Posted
	found   int
	seen    map[*Connection]int // lines
}

// NewSearch looks for these posts; [Search.Add] adds one.
func NewSearch(posts []*Posted) *Search {
	s := &Search{missing: map[string]*Posted{}, seen: map[*Connection]int{}}
	for _, d := range posts {
		s.Add(d)
	}
	return s
}

// Add looks for one more, from what has not been looked through.
func (s *Search) Add(d *Posted) {
	if d.Conn != nil {
		s.found++
		return
	}
	s.missing[d.Nonce] = d
}

// Look goes through what came since it last did and returns how many of all have arrived.
func (s *Search) Look(conns ...*Connection) int {
	for _, c := range conns {
		lines, content := c.Lines(), c.Content()
		for i := s.seen[c]; i < len(lines) && len(s.missing) > 0; i++ {
			l := &lines[i]
			eachNonce(content[l.Start:l.End], func(word []byte) {
				if d := s.missing[string(word)]; d != nil {
					d.Conn, d.At, d.Line = c, l.At, *l
					delete(s.missing, d.Nonce)
					s.found++
				}
			})
		}
		s.seen[c] = len(lines)
	}
	return s.found
}

// Find looks for posts once: it returns how many of all have arrived on these connections.
func Find(posts []*Posted, conns ...*Connection) int { return NewSearch(posts).Look(conns...) }

// Nonces returns every nonce in b.
func Nonces(b []byte) []string {
	var all []string
	eachNonce(b, func(word []byte) { all = append(all, string(word)) })
	return all
}

func eachNonce(b []byte, do func(word []byte)) {
	for {
		at, ok := nonceIn(b)
		if !ok {
			return
		}
		do(b[at : at+nonceSize])
		b = b[at+nonceSize:]
	}
}

// Series publishes n plain events on the observed stream at a fixed pace, whether or not they arrive, and waits for them up to patience. Events that were published
// while no stream was open are left out. Where the calibration found that nothing comes, it goes on nevertheless: then more and larger events
// are published, up to flood bytes, to learn whether something lets go of them. Errors are [*NotJudged].
func (p *Probe) Series(ctx context.Context, n int, gap, patience time.Duration, flood int) ([]*Posted, error) {
	o := p.s.oracle
	p.s.stage.wait(ctx, cue{p: p, rank: rankPace, when: func() bool { return p.s.stage.ready }})
	if ctx.Err() != nil {
		return nil, &NotJudged{Reason: "interrupted"}
	}
	if o.reason != "" && !o.silent {
		return nil, &NotJudged{Reason: o.reason}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(o.ctx, cancel)()
	var posts []*Posted
	search := NewSearch(nil)
	from := p.s.current()
	post := func(size int) error {
		o.turn <- struct{}{}
		defer func() { <-o.turn }()
		if err := o.ensure(ctx); err != nil {
			return err
		}
		open := p.s.current()
		d := p.Post(ctx, size)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case d.Err != nil:
			return &NotJudged{Reason: result.MaskText(d.Err.Error())}
		case d.Receipt.Refused:
			return &NotJudged{Reason: fmt.Sprintf("the target refused a plain event with %d", d.Receipt.Status)}
		}
		if !open.over() { // else it may have come while nobody listened
			posts = append(posts, d)
			search.Add(d)
		}
		return nil
	}
	conns := func() []*Connection {
		all := p.s.observed()
		for i, c := range all {
			if c == from {
				return all[i:]
			}
		}
		return all
	}
	reopened := o.reopen.Load()
	for range n {
		start := time.Now()
		if o.reopen.Load()-reopened > 3 {
			break // each event ends a stream, and others need some too
		}
		if err := post(0); err != nil {
			if len(posts) == 0 || ctx.Err() == nil {
				return nil, err
			}
			break
		}
		p.Rest(ctx, gap-time.Since(start))
	}
	wait := time.Now().Add(patience)
	for search.Look(conns()...) < len(posts) && ctx.Err() == nil && time.Now().Before(wait) {
		p.Rest(ctx, 20*time.Millisecond)
	}
	for sent := 0; sent < flood && o.silent && search.Look(conns()...) == 0 && ctx.Err() == nil; sent += 2 << 10 {
		if post(2<<10) != nil {
			break
		}
		p.Rest(ctx, 20*time.Millisecond)
	}
	if o.silent {
		p.Rest(ctx, quiet)
	}
	if search.Look(conns()...) == 0 && o.silent {
		return nil, &NotJudged{Reason: o.reason}
	}
	if len(posts) == 0 {
		return nil, &NotJudged{Reason: "the window ended before everything was published", By: "--window"}
	}
	return posts, nil
}
