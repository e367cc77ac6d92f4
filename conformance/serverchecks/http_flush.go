package serverchecks

import (
	"context"
	"regexp"
	"strings"
	"time"

	"ssegauge/conformance"
	"ssegauge/reports/result"
)

// What is published is offered to be delivered; that it is compressed on the way gives no leave to keep it. The same events are looked for on two streams side by side,
// one compressed and one not: what comes on the one and not, a second later, on the other is held by the compression. Where nobody publishes, a stream that goes on by itself is
// held against another one: which events are the same is not known then, and only a compressed stream on which nothing comes at all is failed.
var httpCodingFlush = conformance.Check{
	ID: "http/content-encoding/flush", Title: "a compressed stream is flushed with each event",
	Level: result.Contract, Clause: noClause, Needs: conformance.Observe | conformance.Extra | conformance.Publish,
	Text: "With Accept-Encoding: gzip an event arrives as soon as without it.",
	Why:  "A compressor collects input until it has a block: events come one late, in bursts of 32 KiB, or when the stream ends. It is found in production, where the proxy compresses.",
	Good: "(publish) ... gzip block with a sync flush, (+2 ms) data: x\n\n",
	Bad:  "(publish) ... nothing, until 8 KiB are full\n",
	Evidence: []string{
		"tower-rs/tower-http#419", "encode/starlette#2753", "nestjs/nest#5762", "dpskvn/express-sse#17", "elastic/kibana#212919",
	},
	Run: judgeFlush,
}

// flushTries is how many events are published.
const flushTries = 3

func judgeFlush(ctx context.Context, p *conformance.Probe) {
	first, ok := served(p)
	if !ok || !repeatable(p) {
		return
	}
	byItself := p.Target().Publisher == nil
	if !byItself {
		if _, err := p.Plain(ctx); err != nil { // nothing of it arrives anyway
			unjudged(p, err)
			return
		}
	}
	p.Apart()
	r := negotiated(ctx, p)
	a, ok := r.of(p, codeGzip)
	switch {
	case !ok:
		return
	case a.conn.Head.Status != 200 || !gzipped(a.conn):
		p.NotObserved("the target does not compress for a client that takes gzip")
		return
	case !r.beside:
		p.NotObserved("the target takes one connection at a time: a compressed stream cannot be held against another")
		return
	}
	ctx, release, ok := p.Alone(ctx)
	if !ok {
		return
	}
	defer release()
	plainly := p.Request()
	codeIdentity.change(plainly)
	var plain, zipped *conformance.Connection
	abreast(ctx, 2, func(i int) {
		if i == 0 {
			plain = p.OpenAwake(ctx, plainly, patience(p))
		} else {
			zipped = p.OpenAwake(ctx, a.request, patience(p))
		}
	})
	defer plain.Close()
	defer zipped.Close()
	switch {
	case plain.Head == nil || zipped.Head == nil || plain.Err != nil || zipped.Err != nil:
		p.NotObserved("a compressed stream and another could not be opened side by side again")
		return
	case gzipped(plain):
		p.NotObserved("there is no stream without compression to hold a compressed one against").Hint("see http/content-encoding/negotiated")
		return
	}
	if byItself {
		compareByItself(ctx, p, plain, zipped)
		return
	}
	const more = time.Second
	tolerance := 250*time.Millisecond + 4*first.RoundTrip()
	var posts []*conformance.Posted
	late, fastest, slowest := 0, time.Hour, time.Duration(0)
	for try := 0; len(posts) < flushTries; try++ {
		if try > 0 {
			pause(ctx, 50*time.Millisecond) // out of the last one's burst
		}
		d := p.Post(ctx, 0)
		if !d.Taken() {
			if d.Err != nil {
				p.NotObserved("%s", conformance.Cause(d.Err))
			} else {
				p.NotObserved("the target refused a plain event with %d", d.Receipt.Status)
			}
			return
		}
		without, ok := awaited(ctx, plain, d, 2*time.Second+4*first.RoundTrip())
		if !ok && try == 0 {
			continue // a server may subscribe only after it has sent the head
		}
		posts = append(posts, d)
		if !ok {
			p.NotObserved("what was published did not come without compression either")
			return
		}
		with, ok := awaited(ctx, zipped, d, more+4*first.RoundTrip())
		behind := with.Sub(without)
		if !ok || behind > tolerance {
			late++
		} else {
			slowest = max(slowest, behind)
		}
		if ok {
			fastest = min(fastest, behind)
		}
	}
	_, err := zipped.Ended()
	came := 0
	for _, d := range posts {
		if _, ok := arrived(zipped, d); ok {
			came++
		}
	}
	const hint = flushHint
	at, curl := zipped.FieldEvidence("Content-Encoding"), p.Curl(a.request, "--compressed")
	switch {
	case ctx.Err() != nil:
		p.NotObserved("the time for this check ran out")
	case err != nil:
		p.NotObserved("the compressed stream ended: %s", conformance.Cause(err))
	case late <= 1: // one may be chance
		p.Pass("%s came over gzip, at most %d ms after they came without it", plural(flushTries-late, "event"), ms(slowest).Milliseconds())
	case late < flushTries:
		p.Warn("over gzip %d of %d events came more than %v later than without it, or not at all", late, flushTries, ms(tolerance)).Hint(hint).At(at).Try(curl)
	case came == flushTries:
		p.Fail("over gzip each event came at least %v later than without it, perhaps with the next one", ms(fastest)).Hint(hint).At(at).Try(curl)
	case came == flushTries-1:
		p.Fail("over gzip each event comes with the one after it").Hint(hint).At(at).Try(curl)
	default:
		p.Fail("over gzip %d of %d events were held back; without it all came", flushTries-came, flushTries).Hint(hint).At(at).Try(curl)
	}
}

const flushHint = "flush the compressor with each event, or do not compress event streams (Cache-Control: no-transform keeps proxies from it)"

// compareByItself waits for three events without compression, and looks what came with it by then and a second later.
func compareByItself(ctx context.Context, p *conformance.Probe, plain, zipped *conformance.Connection) {
	const enough, limit, more = 3, 6 * time.Second, time.Second
	before := len(plain.Events()) // what every client gets at first may be of any age
	until(ctx, plain, limit, func() bool { return len(plain.Events()) >= before+enough })
	came := len(plain.Events()) - before
	pause(ctx, more)
	_, ended := plain.Ended()
	_, cut := zipped.Ended()
	got := wholeEvents(string(zipped.Unzipped()))
	switch {
	case ctx.Err() != nil:
		p.NotObserved("the time for this check ran out")
	case ended != nil || cut != nil:
		p.NotObserved("one of two streams side by side ended")
	case came < enough:
		p.NotObserved("%s came by itself in %v, too few to tell", plural(came, "event"), ms(limit)).By("--publish")
	case got == 0:
		p.Fail("over gzip no event came while %d came without it", came).Hint(flushHint).
			At(zipped.FieldEvidence("Content-Encoding")).Try(p.Curl(zipped.Request, "--compressed"))
	case got >= came-1:
		p.Pass("%s came over gzip, beside %d without it", plural(got, "event"), came)
	default:
		p.NotObserved("%s came over gzip, beside %d without it; whether they are the same is not known", plural(got, "event"), came).By("--publish")
	}
}

// wholeEvents counts the blocks with data that came up to their blank line.
func wholeEvents(text string) int {
	n := 0
	all := blankLine.Split(text, -1)
	for _, b := range all[:len(all)-1] {
		if strings.HasPrefix(b, "data") || strings.Contains(b, "\ndata") || strings.Contains(b, "\rdata") {
			n++
		}
	}
	return n
}

func gzipped(c *conformance.Connection) bool {
	v := coding(c.Head)
	return v == "gzip" || v == "x-gzip"
}

// awaited waits for an event on a stream, and tells when it came.
func awaited(ctx context.Context, c *conformance.Connection, d *conformance.Posted, within time.Duration) (at time.Time, ok bool) {
	for until := time.Now().Add(within); ; {
		_, err := c.Ended()
		if at, ok = arrived(c, d); ok || err != nil || ctx.Err() != nil || time.Now().After(until) {
			return at, ok
		}
		pause(ctx, 20*time.Millisecond)
	}
}

// arrived tells whether an event came on a stream, up to its blank line, and when.
func arrived(c *conformance.Connection, d *conformance.Posted) (time.Time, bool) {
	one := &conformance.Posted{Nonce: d.Nonce}
	if conformance.Find([]*conformance.Posted{one}, c) == 0 {
		if !gzipped(c) {
			return time.Time{}, false
		}
		_, after, ok := strings.Cut(string(c.Unzipped()), d.Nonce)
		return time.Now(), ok && blankLine.MatchString(after)
	}
	for _, e := range c.Events() {
		if e.Start <= one.Line.Start && one.Line.End <= e.End {
			return c.Timing.Start.Add(e.At), true
		}
	}
	return time.Time{}, false
}

var blankLine = regexp.MustCompile(`(\r\n|\n|\r)(\r\n|\n|\r)`)
