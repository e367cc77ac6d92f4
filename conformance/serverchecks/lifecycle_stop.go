package serverchecks

import (
	"context"
	"fmt"
	"io"
	"time"

	"ssegauge/conformance"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// endOfFeed is the script of a feed that is over after three events: to a client that comes back with the id of the last one there is nothing to say any more.
const endOfFeed = "stop-after-3"

// WHATWG HTML 9.2.1 and 9.2.3: a client reconnects after the end of a body, for ever; 204 tells it to stop. RFC 9110 15.3.5, 6.4.1 and RFC 9112 6.1: 204
// has no content and no Transfer-Encoding.
//
// Judged on the script of that name, or where the observed stream ended by itself and a client that comes back is told so. Any other status than 200 stops
// browsers as well, but as an error: that warns.
var stop204 = conformance.Check{
	ID: "stop/204", Title: "the end of a feed is answered 204",
	Level: result.Must, Clause: "WHATWG HTML 9.2.1", Needs: conformance.Scenario,
	Text: "A client that comes back after the last event of a feed is answered 204, without content and without Transfer-Encoding.",
	Why: "200 with an empty stream is an end that makes the client come back, at once and for ever: a finished job that costs as much as a running one, times every page " +
		"that is still open. Content behind a 204 is read as the next answer on that connection.",
	Good: "HTTP/1.1 204 No Content\r\n\r\n", Bad: "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 0\r\n\r\n",
	Evidence: []string{"eclipse-ee4j/jersey#6119"},
	Run:      judge204,
}

func judge204(ctx context.Context, p *conformance.Probe) {
	if !p.Target().Gives(conformance.Scenario) {
		judgeOwn204(ctx, p)
		return
	}
	r, err := p.Scenario(endOfFeed)
	if err != nil {
		p.Error("%v", err)
		return
	}
	ctx, release, ok := p.Alone(ctx)
	if !ok {
		return
	}
	defer release()
	feed := p.Open(ctx, r, 3*time.Second)
	defer feed.Close()
	if feed.Err != nil || feed.Head.Status != 200 {
		what := "did not answer"
		if feed.Head != nil {
			what = fmt.Sprintf("answered %d", feed.Head.Status)
		}
		p.NotObserved("the script %s %s", endOfFeed, what).Hint("%s", ofScript)
		return
	}
	until(ctx, feed, 5*time.Second, func() bool { return false })
	if _, err := feed.Ended(); err != io.EOF {
		p.NotObserved("the script %s did not end in 5s", endOfFeed).Hint("%s", ofScript)
		return
	}
	if len(feed.Events()) == 0 {
		p.NotObserved("the script %s sent no event", endOfFeed).Hint("%s", ofScript)
		return
	}
	comeAgain(ctx, p, r, feed, true)
}

const ofScript = "it is to send three events and end, and to answer 204 to who comes back with the id of the last one"

// judgeOwn204 goes by the end of the observed stream: what is answered then is the target's own choice, and only a 204 is judged.
func judgeOwn204(ctx context.Context, p *conformance.Probe) {
	conns, ok := streamed(p)
	if !ok {
		return
	}
	c := conns[len(conns)-1]
	if _, err := c.Ended(); err != io.EOF {
		p.NotObserved("the feed did not end in %s", p.Window()).
			Hint("a script that ends decides it: --scenario-url 'http://host/scenario/{{.Name}}' (%s)", endOfFeed).By("--scenario-url")
		return
	}
	ctx, release, ok := p.Alone(ctx)
	if !ok {
		return
	}
	defer release()
	comeAgain(ctx, p, p.Request(), c, false)
}

// comeAgain comes back as a client does and judges the answer. over tells that the feed is known to be over.
func comeAgain(ctx context.Context, p *conformance.Probe, r *wire.Request, feed *conformance.Connection, over bool) {
	r.Header = conformance.WithLastEventID(r.Header, feed.LastEventID())
	const moment = 300 * time.Millisecond
	conn, c, err := p.Dial(ctx, r, 3*time.Second)
	if err != nil {
		p.NotObserved("the client that came back could not connect: %s", conformance.Cause(err))
		return
	}
	defer conn.Close()
	s, err := conn.Open(ctx, r)
	if c.Saw(s, err); err != nil {
		p.NotObserved("the client that came back got no answer: %s", conformance.Cause(err))
		return
	}
	const hint = "answer 204 to a client that comes back after the last event"
	switch {
	case c.Head.Status == 204:
		if c.Proto == wire.HTTP11 {
			_ = s.Listen(time.Now().Add(moment))
		}
		judgeBare(p, c)
	case !over:
		p.NotObserved("the feed ended, and who came back was answered %d: whether it was over is not known", c.Head.Status).
			Hint("a script that ends decides it: --scenario-url 'http://host/scenario/{{.Name}}' (%s)", endOfFeed).By("--scenario-url")
	case c.Head.Status == 200:
		_ = s.SetReadDeadline(time.Now().Add(2 * time.Second))
		buf := make([]byte, 64<<10)
		n, err := s.Read(buf)
		for got := n; err == nil && got < len(buf); got += n {
			n, err = s.Read(buf[got:])
		}
		if err == io.EOF {
			p.Fail("after its last event the feed is answered 200 and ends again: clients come back for ever").Hint(hint).At(c.HeadEvidence()).Try(p.Curl(r))
			return
		}
		p.Warn("after its last event the feed is answered 200 and stays open: clients wait for ever").Hint(hint).At(c.HeadEvidence()).Try(p.Curl(r))
	case c.Head.Status >= 400:
		p.Warn("after its last event the feed is answered %d: it stops a client, as an error", c.Head.Status).Hint(hint).At(c.HeadEvidence()).Try(p.Curl(r))
	default:
		p.NotObserved("who came back was answered %d", c.Head.Status)
	}
}

// judgeBare judges a 204.
func judgeBare(p *conformance.Probe, c *conformance.Connection) {
	for _, f := range c.Faults() {
		switch f.Code {
		case wire.FaultTEForbidden:
			p.Fail("the 204 declares a Transfer-Encoding: a client waits for its end").Hint("send no Transfer-Encoding with 204").At(c.HeadEvidence())
		case wire.FaultContentForbidden:
			p.Fail("content follows the 204: %s", f.Detail).Hint("send nothing after the head").At(c.WireEvidence(c.Head.Offset, f.Offset+max(1, int64(f.Length))))
		case wire.FaultCLForbidden:
			p.Warn("the 204 declares a Content-Length, which no 204 may").Hint("send no Content-Length with 204").At(c.HeadEvidence())
		}
	}
	p.Pass("204, and nothing behind it")
}
