package serverchecks

import (
	"context"
	"errors"
	"io"
	"time"

	"ssegauge/conformance"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// overHTTP2 tells whether HTTP/2 was spoken; where not, the check is not for this target.
func overHTTP2(p *conformance.Probe) (*conformance.Connection, bool) {
	c, ok := answered(p)
	if ok && c.Proto != wire.HTTP2 && c.Proto != wire.H2C {
		p.NotApplicable("HTTP/%s was spoken", c.Head.Proto).Hint("--http 2 or --http h2c would decide it where the target speaks HTTP/2")
		return nil, false
	}
	return c, ok
}

// RFC 9113 8.2.1 and 8.3: field names are lower case, :status is the only pseudo-field of a response and comes before the fields. A library hides this or refuses the
// message; our own reader tells.
var h2FieldCase = conformance.Check{
	ID: "h2/field-case", Title: "field names are lower case and pseudo-fields come first",
	Level: result.Must, Clause: "RFC 9113 8.2.1", Needs: conformance.Extra,
	Text: "Over HTTP/2 no field name has an upper-case letter, :status is the only pseudo-field, and none follows a regular field.",
	Why:  "Such a message is malformed: strict clients reset the stream, and the same code works over HTTP/1.1.",
	Good: ":status: 200\ncontent-type: text/event-stream\n",
	Bad:  ":status: 200\nContent-Type: text/event-stream\n",
	Run: func(_ context.Context, p *conformance.Probe) {
		c, ok := overHTTP2(p)
		if !ok {
			return
		}
		for _, f := range c.Faults() {
			switch f.Code {
			case wire.FaultH2FieldCase, wire.FaultH2Pseudo, wire.FaultH2PseudoOrder:
				p.Fail("%s", result.Escape(f.Detail)).Hint("write field names in lower case, and no pseudo-field but :status, first").At(c.HeadEvidence())
			}
		}
		p.Pass("%s, in lower case", plural(len(c.Head.Header), "field"))
	},
}

// RFC 9113 8.2.2: a request over HTTP/2 has no Connection field. What a server answers without it shows on every request; that it is this which it misses is shown by the
// same request over HTTP/1.1, with the field.
var h2AcceptsNone = conformance.Check{
	ID: "h2/request-accepts-none", Title: "a request without Connection is served",
	Level: result.Advice, Clause: "RFC 9113 8.2.2", Needs: conformance.Extra,
	Text:     "A request over HTTP/2, which cannot have Connection: keep-alive, is served.",
	Why:      "A server that looks for the field answers 400 to every client of HTTP/2, and to none in a test over HTTP/1.1.",
	Good:     "> :method: GET\n> accept: text/event-stream\n\n:status: 200\n",
	Bad:      "> :method: GET\n> accept: text/event-stream\n\n:status: 400\n",
	Evidence: []string{"parruda/ruby_llm-mcp#78"},
	Run: func(ctx context.Context, p *conformance.Probe) {
		c, ok := overHTTP2(p)
		if !ok {
			return
		}
		if c.Head.Status == 200 {
			p.Pass("200 without Connection")
			return
		}
		if c.Head.Status < 400 || !repeatable(p) {
			p.NotObserved("%s", p.NoStream()).Hint("see http/status")
			return
		}
		ctx, release, ok := p.Alone(ctx)
		if !ok {
			return
		}
		defer release()
		r := p.Request()
		r.Header = append(r.Header, wire.Field{Name: "Connection", Value: "keep-alive"})
		var s *wire.Stream
		conn, old, err := p.DialAs(ctx, r, patience(p), func(d *wire.Dialer) { d.Proto = wire.HTTP11 })
		if err == nil {
			defer conn.Close()
			s, err = conn.Open(ctx, r)
			old.Saw(s, err)
		}
		if err != nil {
			p.NotObserved("%d over HTTP/2, and over HTTP/1.1 no answer: %s", c.Head.Status, conformance.Cause(err))
			return
		}
		if s.Head.Status != 200 {
			p.NotObserved("%d over HTTP/2, and %d over HTTP/1.1 with Connection: keep-alive", c.Head.Status, s.Head.Status).Hint("see http/status")
			return
		}
		p.Warn("%d over HTTP/2, and 200 over HTTP/1.1 with Connection: keep-alive", c.Head.Status).
			Hint("do not ask for Connection or Upgrade fields: HTTP/2 has none").At(c.HeadEvidence())
	},
}

// RFC 9113 5.2: flow control is per stream, so that one that is not read holds up no other. Stream A is opened with a window of a few bytes and never read; B on the same
// connection is read, and C is asked for. What B gets is held against a connection of its own.
var h2Flow = conformance.Check{
	ID: "h2/flow", Title: "a stream that is not read holds up no other stream of its connection",
	Level: result.Must, Clause: "RFC 9113 5.2", Needs: conformance.Extra | conformance.Many,
	Text: "While one stream of a connection is not read, others of the same connection flow and new requests are answered.",
	Why:  "A tab in the background that does not read takes down every other stream that the browser has to that host: they share one connection.",
	Good: "A: window 0; B: data: x, data: y; C: :status 200\n", Bad: "A: window 0; B: nothing; C: nothing\n",
	Run: judgeFlow,
}

const (
	smallWindow = 8               // bytes: less than any content
	flowing     = 2 * smallWindow // what B has got then is more than a window
)

func judgeFlow(ctx context.Context, p *conformance.Probe) {
	if _, ok := overHTTP2(p); !ok {
		return
	}
	if _, ok := served(p); !ok || !repeatable(p) {
		return
	}
	if p.Target().Publisher == nil {
		n := 0
		for _, c := range p.Observed() {
			n += len(c.Content())
		}
		if n < flowing {
			p.NotObserved("too little comes on the stream to fill a window of %s", plural(smallWindow, "byte")).By("--publish")
			return
		}
	}
	ctx, release, ok := p.Alone(ctx)
	if !ok {
		return
	}
	defer release()
	journalOf(p).begin("a stream that is not read")
	var got flow
	for range 2 {
		if got = tryFlow(ctx, p); got.ok || got.why != "" {
			break
		}
	}
	switch {
	case ctx.Err() != nil && !got.ok:
		p.NotObserved("the time for this check ran out")
	case got.why != "":
		p.NotObserved("%s", got.why).By(got.by)
	case got.ok:
		p.Pass("beside a stream that is not read another one got %s, and a further request its head", plural(got.bytes, "byte"))
	default:
		p.Fail("beside a stream that is not read %s, twice; on a connection of its own it does", got.stalled).
			Hint("write each stream from a task of its own, and let none wait for another's window")
	}
}

// flow is what came of two streams on one connection.
type flow struct {
	ok      bool
	why, by string // why it cannot be judged
	stalled string
	bytes   int
}

func tryFlow(ctx context.Context, p *conformance.Probe) flow {
	within := min(patience(p), 2*time.Second+slowness(p))
	narrow := func(d *wire.Dialer) { d.Frames.StreamWindow, d.Proto = smallWindow, p.First().Proto }
	r := p.Request()
	conn, _, err := p.DialAs(ctx, r, patience(p), narrow)
	if err != nil {
		return flow{why: "a connection for two streams could not be opened: " + conformance.Cause(err)}
	}
	defer conn.Close()
	// What is published fills the window where nothing else does.
	done := publishing(ctx, p)
	defer done()
	a, err := conn.Open(ctx, r)
	if err != nil {
		return flow{why: "the first stream was not answered: " + conformance.Cause(err)}
	}
	defer a.Close()
	pause(ctx, firstWords)
	n, what := 0, ""
	b, err := conn.Open(ctx, r)
	if err != nil {
		what = "another one got no head: " + conformance.Cause(err)
	} else {
		defer b.Close()
		n = readSome(b, flowing, within)
		var c *wire.Stream
		if c, err = conn.Open(ctx, r); err != nil {
			what = "a further request got no answer: " + conformance.Cause(err)
		} else if c.Close(); n >= flowing {
			return flow{ok: true, bytes: n}
		} else {
			what = "another one got " + plural(n, "byte") + " in " + ms(within).String()
		}
	}
	if errors.Is(err, wire.ErrStreamLimit) || errors.Is(err, wire.ErrGoingAway) {
		return flow{why: "the target allows too few streams on a connection: " + conformance.Cause(err)}
	}
	var own *wire.Stream
	alone, _, err := p.DialAs(ctx, r, patience(p), narrow)
	if err == nil {
		defer alone.Close()
		own, err = alone.Open(ctx, r)
	}
	if err != nil {
		return flow{why: "neither on the same connection nor on one of its own was a second stream answered"}
	}
	if n := readSome(own, flowing, within); n < flowing {
		return flow{why: "too little came on any stream to fill a window of " + plural(smallWindow, "byte"), by: "--publish"}
	}
	return flow{stalled: what}
}

// publishing publishes a plain event at once and then twice a second until it is told to stop, where there is a hook.
func publishing(ctx context.Context, p *conformance.Probe) (stop func()) {
	if p.Target().Publisher == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			_ = p.Post(ctx, 0)
			pause(ctx, 500*time.Millisecond)
		}
	}()
	return func() { cancel(); <-done }
}

// readSome reads until it has enough, the stream ends, or the time is over.
func readSome(s *wire.Stream, enough int, within time.Duration) int {
	_ = s.SetReadDeadline(time.Now().Add(within))
	n, _ := io.ReadAtLeast(s, make([]byte, 4<<10), enough)
	return n
}

// RFC 9113 8.1: a message ends with END_STREAM. Judged on streams that the server ended: of itself, or because the operator's hook made it. A connection that went down
// tells nothing: the hook may be a kill.
var h2EndStream = conformance.Check{
	ID: "h2/end-stream", Title: "a stream that ends, ends with END_STREAM",
	Level: result.Must, Clause: "RFC 9113 8.1", Needs: conformance.Observe,
	Text: "A stream that the server ends over HTTP/2 ends with END_STREAM, not with RST_STREAM and an error.",
	Why:  "A reset tells clients and proxies that something broke: errors in logs, circuits that break, where everything went as it should.",
	Good: "DATA END_STREAM\n", Bad: "RST_STREAM INTERNAL_ERROR\n",
	Run: func(ctx context.Context, p *conformance.Probe) {
		if _, ok := overHTTP2(p); !ok {
			return
		}
		conns, ok := streamed(p)
		if !ok {
			return
		}
		for _, c := range conns {
			if judgeEnd(p, c) {
				return
			}
		}
		k, _, release, ok := killed(ctx, p)
		if !ok {
			return
		}
		defer release()
		for _, c := range k.conns {
			if judgeEnd(p, c) {
				return
			}
		}
		p.NotObserved("the streams went on after the hook that ends them").Hint("see lifecycle/shutdown")
	},
}

// judgeEnd judges a stream that the server ended; false where it did not.
func judgeEnd(p *conformance.Probe, c *conformance.Connection) bool {
	_, err := c.Ended()
	reset, isReset := errors.AsType[*wire.ResetError](err)
	switch {
	case err == nil:
		return false
	case err == io.EOF:
		p.Pass("the stream ended with END_STREAM")
	case isReset && reset.Code == wire.CodeNo:
		p.Warn("the stream was reset with NO_ERROR in place of its end").Hint("end the response")
	case isReset:
		p.Warn("the stream was reset with %s", reset.Code).Hint("end the response in place of aborting it")
	default:
		p.NotObserved("the connection went down with the stream: %s", conformance.Cause(err))
	}
	return true
}

// RFC 9113 6.8: GOAWAY lets a client know which requests may be made again elsewhere. Streams that are live end some time after it.
var h2GoAway = conformance.Check{
	ID: "h2/goaway", Title: "a graceful restart announces itself with GOAWAY",
	Level: result.Advice, Clause: "RFC 9113 6.8", Needs: conformance.Kill,
	Text: "On a restart the server sends GOAWAY, and then ends its streams within bounded time.",
	Why:  "Without it clients see connections that break, and requests that were on their way are lost or made twice.",
	Good: "GOAWAY NO_ERROR last=1; DATA END_STREAM\n", Bad: "(the connection is reset)\n",
	Run: func(ctx context.Context, p *conformance.Probe) {
		if _, ok := overHTTP2(p); !ok {
			return
		}
		if p.Target().Kill != nil && p.Target().Restart == nil {
			p.NotObserved("only a hook that ends the streams was given").Hint("--restart-cmd CMD restarts the server gracefully").By("--restart-cmd")
			return
		}
		k, _, release, ok := killed(ctx, p)
		if !ok {
			return
		}
		defer release()
		for _, c := range k.conns {
			after, err := k.ended(c)
			switch away := c.GoingAway(); {
			case away && err == nil:
				p.Warn("GOAWAY came, and the stream still went on %v after the restart began", killPatience).Hint("end live streams on shutdown")
			case away:
				p.Pass("GOAWAY, and the stream ended %v after the restart began", ms(max(0, after)))
			case err == nil:
				p.NotObserved("the stream did not end within %v of the restart", killPatience).Hint("see lifecycle/shutdown")
			default:
				p.Warn("the stream ended without GOAWAY (%s)", ending(err)).Hint("shut down gracefully: send GOAWAY, then end the streams")
			}
		}
	},
}

// ending says how a stream ended.
func ending(err error) string {
	if err == io.EOF {
		return "END_STREAM"
	}
	return conformance.Cause(err)
}
