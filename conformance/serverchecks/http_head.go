package serverchecks

import (
	"context"
	"errors"
	"time"

	"ssegauge/conformance"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// RFC 9110 9.3.2: HEAD is GET without the content: the server sends the head that GET would get, and never content. A handler that was
// written for GET alone often runs its endless loop for HEAD too: nothing is ever sent, or the stream itself.
//
// A server that serves one connection at a time may still be busy with a stream that was left: it finds out when it next writes. So HEAD is only
// blamed for silence where it is asked a second time beside an open GET, and one more GET beside both is answered.
var httpHead = conformance.Check{
	ID: "http/head", Title: "HEAD gets the head of GET, at once and without a body",
	Level: result.Must, Clause: "RFC 9110 9.3.2", Needs: conformance.Extra, Core: true,
	Text: "A HEAD request to the stream's URL is answered within 3 seconds with the status and the media type that GET gets, and with no content.",
	Why: "Load balancers, link checkers and monitors send HEAD. A handler that runs its endless loop for them holds a worker for ever: a few probes " +
		"take the server down.",
	Good:     "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
	Bad:      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: but this was HEAD\n\n",
	Evidence: []string{"kemalcr/kemal#798", "sibidharan/zealphp#238", "yjacquin/fast-mcp#50", "arduino/arduino-app-cli#96", "vivekchand/clawmetry#248"},
	Run:      judgeHead,
}

const headDeadline = 3 * time.Second

func judgeHead(ctx context.Context, p *conformance.Probe) {
	first, ok := served(p)
	if !ok {
		return
	}
	r := p.Request()
	if r.Method != "" && r.Method != "GET" {
		p.NotApplicable("the target is asked with %s", r.Method)
		return
	}
	r.Method = "HEAD"
	curl := p.Curl(r, "--head", "--max-time", "3")
	within := patience(p)
	asked := firstHead(ctx, p)
	if !asked.ok {
		p.NotObserved("no time was left for further requests")
		return
	}
	h, inTime := asked.headAnswer, asked.inTime
	if h.head == nil && timedOut(h.err) && inTime {
		ctx, release, ok := p.Alone(ctx)
		if !ok {
			return
		}
		defer release()
		const alike = "the target serves one connection at a time, or keeps every head until there is an event (see live/headers-flushed)"
		before := p.OpenAwake(ctx, p.Request(), within+time.Second)
		defer before.Close()
		if before.Head == nil && ctx.Err() == nil {
			journalOf(p).fellSilent()
			p.NotObserved("neither HEAD nor GET was answered within %v after the observed stream was left", ms(within)).Hint(alike)
			return
		}
		if h = askHead(ctx, p, r, within); h.head == nil && timedOut(h.err) && ctx.Err() == nil {
			after := p.OpenAwake(ctx, p.Request(), within+time.Second)
			defer after.Close()
			switch {
			case after.Head != nil:
				p.Fail("HEAD got no answer within %v, twice; GET before and after it did", ms(within)).
					Hint("answer HEAD with the head of GET and return; do not run the stream for it").Try(curl)
				return
			case ctx.Err() == nil:
				p.NotObserved("beside an open stream neither HEAD nor GET was answered within %v", ms(within)).Hint(alike)
				return
			}
		}
		inTime = ctx.Err() == nil
	}
	switch {
	case h.head == nil && p.Interrupted():
		p.NotObserved("interrupted")
		return
	case h.head == nil && !inTime:
		p.NotObserved("the time for this check ran out")
		return
	case h.head == nil:
		p.NotObserved("the HEAD request broke off: %s", conformance.Cause(h.err))
		return
	case h.content > 0:
		p.Fail("HEAD was answered with %s of content after the head", plural(int(h.content), "byte")).
			Hint("send no content in answer to HEAD").At(h.evidence()).Try(curl)
		return
	}
	want, got := essence(first.Head), essence(h.head)
	switch s := h.head.Status; {
	case s == 405 || s == 501:
		p.Warn("HEAD is answered %d", s).Hint("a resource that answers GET should answer HEAD").Try(curl)
	case s != first.Head.Status:
		p.Warn("HEAD is answered %d, GET %d", s, first.Head.Status).Hint("answer HEAD with the head of GET").Try(curl)
	case got != want:
		p.Warn("the media type is %s for HEAD and %s for GET", orNothing(got), orNothing(want)).Hint("answer HEAD with the head of GET").Try(curl)
	case asked.blocks:
		p.Warn("HEAD was answered after %v, and then GET was not within %v, twice: it took the only worker", ms(h.wait), ms(within)).
			Hint("end the exchange with the head: the handler still runs").Try(curl)
	case h.stuck && h.closes:
		p.Warn("HEAD was answered after %v with Connection: close, but the connection was not closed within %v", ms(h.wait), ms(within)).
			Hint("end the exchange with the head: the handler still runs").Try(curl)
	case h.stuck:
		p.Warn("HEAD was answered after %v, but its connection then served no further request within %v", ms(h.wait), ms(within)).
			Hint("end the exchange with the head: the handler still runs").Try(curl)
	default:
		p.Pass("%d and %s after %v, no content", h.head.Status, orNothing(got), ms(h.wait))
	}
}

// firstAsked is the first HEAD of a run.
type firstAsked struct {
	headAnswer
	ok     bool // it was asked
	inTime bool // the time for it did not run out
	blocks bool // it was answered, and after it GET was not, twice
}

// firstHead asks HEAD, once a run: http/allow judges it too.
func firstHead(ctx context.Context, p *conformance.Probe) *firstAsked {
	return p.Once("HEAD", func() any {
		f := &firstAsked{}
		r := p.Request()
		if r.Method != "" && r.Method != "GET" {
			return f
		}
		ctx, release, ok := p.Alone(ctx)
		if !ok {
			return f
		}
		defer release()
		r.Method = "HEAD"
		f.headAnswer = askHead(ctx, p, r, patience(p))
		f.ok, f.inTime = true, ctx.Err() == nil
		f.blocks = f.stuck && f.inTime
		for range 2 {
			if f.blocks {
				after := p.OpenAwake(ctx, p.Request(), patience(p))
				after.Close()
				f.blocks = after.Head == nil && timedOut(after.Err) && ctx.Err() == nil
			}
		}
		if f.blocks {
			journalOf(p).fellSilent()
		}
		return f
	}).(*firstAsked)
}

func essence(h *wire.Head) string { e, _ := conformance.MediaType(h); return e }

// headAnswer is what HEAD got.
type headAnswer struct {
	*conformance.Connection
	head    *wire.Head
	err     error
	wait    time.Duration
	content int64
	stuck   bool // the connection served no further request, nor was it closed
	closes  bool // the head says that it will be
}

func (h *headAnswer) evidence() result.Evidence {
	from, n := h.PastHead()
	return h.WireEvidence(from, from+n)
}

// askHead sends HEAD, and a second one on the same connection: what comes between their heads, or after the second, is content.
func askHead(ctx context.Context, p *conformance.Probe, r *wire.Request, within time.Duration) headAnswer {
	const moment = 300 * time.Millisecond
	j := journalOf(p)
	j.begin("HEAD of the stream's URL")
	conn, c, err := p.Dial(ctx, r, within)
	defer j.end(c)
	if err != nil {
		return headAnswer{err: err}
	}
	defer conn.Close()
	s, err := conn.Open(ctx, r)
	c.Saw(s, err)
	if err != nil {
		return headAnswer{Connection: c, err: err}
	}
	h := headAnswer{Connection: c, head: s.Head, wait: s.Timing.Head - s.Timing.Written}
	if conn.Proto() != wire.HTTP11 {
		_ = s.SetReadDeadline(time.Now().Add(moment))
		n, _ := s.Read(make([]byte, 1024))
		h.content = int64(n)
		return h
	}
	again, err := conn.Open(ctx, r)
	switch {
	case err == nil:
		_ = again.Listen(time.Now().Add(moment))
		if _, h.content = c.PastHead(); h.content > 0 {
			for _, head := range append(again.Interim, again.Head) {
				h.content -= head.End - head.Offset
			}
		}
	case errors.Is(err, wire.ErrBusy):
		// The head says that the connection is closed then.
		h.closes = true
		h.stuck = s.Listen(time.Now().Add(within)) == nil
		_, h.content = c.PastHead()
	case timedOut(err):
		h.stuck = true
	default:
		// Closed without a word is a server's right; a fault in what came is content where a head should be.
		_, h.content = c.PastHead()
	}
	return h
}
