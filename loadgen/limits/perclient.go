package limits

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"time"

	"ssegauge/reports/result"
)

// mostPerClient is how many streams are opened from one address at most: more than any one client's.
const mostPerClient = 1000

func perClientRequests(s *Session, _ time.Duration) int {
	return 2*min(s.config.Streams, mostPerClient) + 300
}

// perClient fills up from one address until a stream is refused, and then asks from another: where that one is served and the first is refused as before, the limit is each address's,
// and it is exact. Where the other is refused too until a place of the first's is given up, the limit is one of all together. What was refused is asked for again for a while, and a
// place is given up and must be free again: a limit of the pace, of openings in a time, or places that streams before have not left yet are no limit of streams at once.
func perClient(ctx context.Context, s *Session) []result.Limit {
	ctx, cancel := s.within(ctx)
	defer cancel()
	p := &perClientProbe{Session: s, from: s.sources()}
	p.first = newCrowd(s, p.from[0])
	defer p.first.close()
	l := p.look(ctx)
	return []result.Limit{l}
}

const perClientID, perClientTitle = "streams/per-client", "streams from one address"

type perClientProbe struct {
	*Session
	from  []netip.Addr // at least one; the first may be zero
	first *crowd
}

func (p *perClientProbe) look(ctx context.Context) result.Limit {
	most := min(p.config.Streams, mostPerClient)
	first := p.first
	if first.oneMore(ctx, maxRelease); first.size() == 0 {
		return p.undecided("", "no stream could be opened: %s", first.refused.Says)
	}
	out := first.fill(ctx, most, refusalStays)
	n := first.size()
	p.crowded, p.poor = n, out == filledPoor
	switch out {
	case filledAll:
		return none(perClientID, perClientTitle, float64(n), "streams", "all of %d streams from one address were served, each on a connection of its own; more were not tried", n)
	case filledUp:
	default:
		return p.why(ctx, out, first)
	}
	if len(p.from) < 2 {
		by, only := "--source", "this machine was given no other address to ask from"
		if a := p.target.remote.Addr(); a.Is6() && !a.Is4In6() && a.IsLoopback() {
			only = "the loopback of IPv6 has one address only"
		}
		return p.undecided(by, "%s from one address at once; the next: %s; whether that is the limit of one address or of all is not known: %s", some(n), first.refused.Says, only)
	}
	other := newCrowd(p.Session, p.from[1])
	defer other.close()
	if !other.oneMore(ctx, refusalStays) {
		return p.together(ctx, other)
	}
	return p.each(ctx, other)
}

// each is where another address is served.
func (p *perClientProbe) each(ctx context.Context, other *crowd) result.Limit {
	first := p.first
	free, hold, steady := p.steady(ctx, first)
	if !steady {
		return p.unsteady(ctx)
	}
	n := first.size()
	if other.left() == 0 {
		other.leave()
	}
	if first.oneMore(ctx, hold) { // the place came free by chance as the other asked
		return p.common(first.size(), other)
	}
	owner := cmp.Or(first.refused.Owner, result.OwnerTarget)
	says := fmt.Sprintf("%s from one address at once; the next: %s; from %s streams were served all the same, and the place of a stream that was closed was free again after %s", some(n), first.refused.Says, other.name(), shortly(free))
	low, high := n, n
	switch out := other.fill(ctx, n+1, refusalStays); {
	case out == filledAll: // more than the first
		high = other.size()
		says += fmt.Sprintf("; from there %d were served, so that streams of others may count against the first address", high)
	case out == filledUp && other.size() == n:
		says += "; the limit there is the same"
	case out == filledUp:
		says += fmt.Sprintf("; there the %s was refused, %d streams being open in all: another limit, of all together it seems, is met first", nth(other.size()+1), n+other.size())
	}
	return found(perClientID, perClientTitle, float64(low), float64(high), "streams", owner, "%s", says)
}

// together is where another address is refused as well: by the same limit, if it is served when the first gives up a place.
func (p *perClientProbe) together(ctx context.Context, other *crowd) result.Limit {
	first, n := p.first, p.first.size()
	if other.refused.Owner == result.OwnerGenerator {
		return p.undecided("--source", "%s from one address at once; the next: %s; from %s none can be asked for: %s", some(n), first.refused.Says, other.name(), other.refused.Says)
	}
	if _, _, steady := p.steady(ctx, other); other.size() == 0 {
		return p.undecided(p.other(), "%s from one address at once; the next: %s; from %s none was served either, also not after one of the first was closed: %s", some(n), first.refused.Says, other.name(), other.refused.Says)
	} else if !steady {
		return p.unsteady(ctx)
	}
	return p.common(first.size()+other.size(), other)
}

// common is a limit that is no single address's.
func (p *perClientProbe) common(n int, other *crowd) result.Limit {
	return none(perClientID, perClientTitle, float64(n), "streams", "no limit of one address up to %d streams: the next was refused from there and from %s alike until one was closed: the limit is one of all streams together, or our addresses are one to the target (%s)", n, other.name(), p.first.refused.Says)
}

// other is the flag that would tell more: further addresses, where none were given.
func (p *perClientProbe) other() string {
	if len(p.config.Plan.Sources) == 0 {
		return "--source"
	}
	return ""
}

// steady gives up a place of the first crowd, waits until one of c is served, and asks for more for longer than it was since the one served before: were openings counted over
// a time, the next would be served by then. It does so until the number of all stays the same: places that streams before us had not left yet are ours then too. It says how long a place
// took to be free, and how long a refusal lasts that is taken for one to stay.
func (p *perClientProbe) steady(ctx context.Context, c *crowd) (free, hold time.Duration, ok bool) {
	all := func() int {
		if c == p.first {
			return c.size()
		}
		return p.first.size() + c.size()
	}
	for range 3 {
		n := all()
		if p.first.size() == 0 {
			return free, hold, false
		}
		before := p.first.latest
		if c.latest.After(before) {
			before = c.latest
		}
		p.first.leave()
		closed := time.Now()
		if !p.comesFree(ctx, c) {
			return free, hold, false
		}
		free, hold = max(free, c.latest.Sub(closed)), max(hold, refusalStays, c.latest.Sub(before)*5/4)
		if c.fill(ctx, n+mostPerClient, hold) != filledUp {
			return free, hold, false
		}
		if all() == n {
			return free, hold, true
		}
	}
	return free, hold, false
}

func (p *perClientProbe) unsteady(ctx context.Context) result.Limit {
	n, says := p.first.size(), p.first.refused.Says
	if ctx.Err() != nil {
		return p.undecided("--budget", "%s from one address when the time was over: some were refused (%s), and no place was free again after one was closed, or it took long", some(n), says)
	}
	return p.undecided("", "%s from one address, and others were refused (%s), but their number does not stay the same: openings are limited by time it seems, or others come and go", some(n), says)
}

// comesFree asks for one more until it is served or the time of the probe is over. What is published meanwhile lets a target notice who has gone that does so only when it writes.
func (p *perClientProbe) comesFree(ctx context.Context, c *crowd) bool {
	for ctx.Err() == nil {
		if p.config.Publisher != nil {
			_, _ = p.publish(ctx, event(0))
		}
		if c.oneMore(ctx, 0) {
			return true
		}
		pause(ctx, 50*time.Millisecond)
	}
	return false
}

// why is what can be said where filling up came to no limit.
func (p *perClientProbe) why(ctx context.Context, out filled, c *crowd) result.Limit {
	n := c.size()
	switch out {
	case filledPoor:
		l := p.undecided("", "%s from one address; %s", some(n), c.refused.Says)
		l.Owner = result.OwnerGenerator
		return l
	case filledEnding:
		says := fmt.Sprintf("%d of %d streams from one address were left when others ended by themselves: %s", n, c.peak, c.ended.Says)
		if !c.oneMore(ctx, refusalStays) {
			says += "; then no other was served: " + c.refused.Says
		}
		return p.undecided("", "%s", says)
	case filledPaced:
		return p.undecided("", "%s from one address; time and again the next was refused and a moment later served: the pace is limited before their number is (%s)", some(n), c.refused.Says)
	}
	return p.undecided("--budget", "%s from one address when the time was over", some(n))
}

func (p *perClientProbe) undecided(by, format string, args ...any) result.Limit {
	return undecided(perClientID, perClientTitle, "streams", by, format, args...)
}

// sources are local addresses to ask from: those that were given, else on the loopback of IPv4, where all of 127/8 is this machine's, a few. The zero one is the system's choice.
func (s *Session) sources() []netip.Addr {
	remote := s.target.remote.Addr().Unmap()
	given, _ := s.config.Plan.SourceAddrs() // it was validated
	var fit []netip.Addr
	for _, a := range given {
		if !remote.IsValid() || a.Is4() == remote.Is4() {
			fit = append(fit, a)
		}
	}
	switch {
	case len(fit) > 0:
		return fit
	case remote.Is4() && remote.IsLoopback():
		return []netip.Addr{{}, netip.AddrFrom4([4]byte{127, 0, 0, 2})}
	}
	return []netip.Addr{{}}
}

// shortly is a time as a person reads it.
func shortly(d time.Duration) string {
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(100 * time.Millisecond).String()
}

func some(n int) string { return result.Plural(int64(n), "stream") }
