package conformance

import (
	"context"
	"time"
)

// Left is how much of the window is left; the observation may be over before.
func (p *Probe) Left() time.Duration { return time.Until(p.s.deadline) }

// Rest lets the observation go on for that long, and other checks act. It is false where the observation is over meanwhile, or the run is.
func (p *Probe) Rest(ctx context.Context, d time.Duration) bool {
	rested, st := false, p.s.stage
	t := time.AfterFunc(d, func() { st.tell(func() { rested = true }) })
	defer t.Stop()
	over := false
	st.wait(ctx, cue{p: p, rank: rankPace, when: func() bool {
		over = st.over
		return rested || over
	}})
	return ctx.Err() == nil && !over
}

// Watched is the first connection and whether it is still being watched: neither over nor left.
func (p *Probe) Watched() (*Connection, bool) {
	return p.s.first, p.s.first.stream != nil && !p.s.first.over()
}
