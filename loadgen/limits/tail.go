package limits

import (
	"context"
	"fmt"
	"slices"
	"time"

	"ssegauge/reports/result"
)

// tailEvents are the sizes of events, in bytes of data, that are watched to the end: what passes on whole buffers only keeps what does not fill another.
var tailEvents = []int{5_000, 20_000}

const tailTitle = "bytes of a large event's end held back"

// remainder is what was seen of a large event.
type remainder struct {
	came, held int64  // bytes of the event's content: before the next event was published, and with it
	says       string // of one that was not held back, and did not come at once either; "": nothing worth saying
}

// tail finds out whether the end of a larger event comes only with what is published next, where small ones come by themselves; ok is false where none does.
// says is what else is to be said of them.
func (g *gatherer) tail(ctx context.Context) (l result.Limit, ok bool, says string) {
	var least, most int64
	evidence := ""
	for _, size := range tailEvents {
		g.Note("an event of %d bytes", size)
		r := g.rest(ctx, size)
		says += r.says
		if r.held == 0 {
			continue
		}
		again := g.rest(ctx, size)
		switch {
		case again.held > 0:
		case ctx.Err() != nil:
			again = r
			says += "; the time for this probe was over before it was tried again"
		default:
			says += fmt.Sprintf("; once one of %s bytes came whole only with the next, and not so when it was tried again", result.Count(int64(size)))
			continue
		}
		if evidence != "" {
			evidence += "; "
		}
		evidence += fmt.Sprintf("an event of %s bytes comes whole only with the next one: %s bytes came, %s were held", result.Count(int64(size)), result.Count(r.came), result.Count(r.held))
		seen := []int64{r.held, again.held}
		if most > 0 {
			seen = append(seen, least, most)
		}
		least, most = slices.Min(seen), slices.Max(seen)
	}
	if most == 0 {
		return l, false, says
	}
	owner, by := g.owner()
	title := tailTitle
	if g.packed {
		title += ", compressed"
	}
	return found(g.id, title, float64(least), float64(most), "bytes", owner, "%s%s; small ones come by themselves%s", evidence, says, by), true, ""
}

// rest publishes one event of so many bytes to another stream and, where it does not come, a small one.
func (g *gatherer) rest(ctx context.Context, size int) (r remainder) {
	if o := g.fresh(ctx); o.fate != intact {
		return r
	}
	of := "; one of " + result.Count(int64(size)) + " bytes "
	p := payloadOf(size)
	ch := g.stream.Await(p.Marker)
	base := g.stream.Facts().Bytes
	sent := time.Now()
	if _, ok := g.told(ctx, p.Message); !ok {
		return r
	}
	if a, ok := g.comes(ctx, ch, max(minPatience, g.prompt)); ok {
		if took := a.At.Sub(sent); took > g.prompt {
			r.says = of + "after " + shown(took)
		}
		return r
	}
	came := g.stream.Facts().Bytes - base
	next, _, o := g.tiny(ctx)
	if o.fate != intact {
		return r
	}
	a, ok := g.comes(ctx, ch, g.prompt)
	if !ok || ctx.Err() != nil {
		if _, passed := g.comes(ctx, next, 0); passed && ctx.Err() == nil {
			r.says = of + "did not come, and a small one after it did"
		}
		return r
	}
	r.came = came
	r.held = max(0, a.End-base-came)
	return r
}
