package serverchecks

import (
	"context"
	"errors"
	"io"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"ssegauge/conformance"
	"ssegauge/reference/sse"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// What several checks ask before they judge: is there an answer, a stream, a line?

// answered returns the first connection if it has a head; else it says why there is nothing to judge.
func answered(p *conformance.Probe) (*conformance.Connection, bool) {
	c := p.First()
	if c.Head != nil {
		return c, true
	}
	p.NotObserved("%s", p.NoStream()).Hint("see http/status and live/headers-flushed")
	return nil, false
}

// served is answered, and the answer is 200.
func served(p *conformance.Probe) (*conformance.Connection, bool) {
	c, ok := answered(p)
	if ok && c.Head.Status != 200 {
		p.NotObserved("%s", p.NoStream()).Hint("see http/status")
		return nil, false
	}
	return c, ok
}

// streamed waits for the observation and returns its connections if they carried a stream: what is labelled as one, or what has at least
// an event under a wrong label.
func streamed(p *conformance.Probe) ([]*conformance.Connection, bool) {
	c, ok := served(p)
	if !ok {
		return nil, false
	}
	conns := p.Observed()
	if _, err := c.Ended(); err != nil {
		if e, ok := errors.AsType[*wire.CodingError](err); ok {
			p.NotObserved("the content cannot be read: %s", result.Escape(e.Error())).Hint("ask without Accept-Encoding")
			return nil, false
		}
	}
	if essence, _ := conformance.MediaType(c.Head); essence != eventStream && len(c.Events()) == 0 {
		p.NotObserved("the answer is %s and holds no event", orNothing(essence)).Hint("see http/content-type")
		return nil, false
	}
	return conns, true
}

// noNotify tells whether a stream that only the close delimits ended with a FIN and no TLS close_notify, as python's servers close: it may be whole, it may be cut.
func noNotify(err error) bool {
	f, ok := errors.AsType[*wire.Fault](err)
	return ok && f.Code == wire.FaultNoCloseNotify
}

// finished tells whether the server ended the stream itself. Where nobody can tell an end from a cut, an end between two events is taken for what it most likely is.
func finished(c *conformance.Connection) bool {
	_, err := c.Ended()
	tail, loses := c.Tail()
	return err == io.EOF || noNotify(err) && !(loses && tail.Loses())
}

const eventStream = "text/event-stream"

func orNothing(essence string) string {
	if essence == "" {
		return "of no media type"
	}
	return result.Escape(essence)
}

// elsewhere is the nominal request to another URL. One of another origin gets no field of the target's: it may be a credential.
func elsewhere(p *conformance.Probe, u *url.URL) *wire.Request {
	r := p.Request()
	if r.URL.Scheme != u.Scheme || !strings.EqualFold(r.URL.Host, u.Host) {
		r.Header = wire.Header{{Name: "Accept", Value: eventStream}}
	}
	r.URL = u
	return r
}

func timedOut(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}

// events counts the events of all connections.
func events(conns []*conformance.Connection) int {
	n := 0
	for _, c := range conns {
		n += len(c.Events())
	}
	return n
}

// spoke tells whether anything came that a field check can judge: with no event there is nothing to break.
func spoke(p *conformance.Probe, conns []*conformance.Connection) bool {
	if events(conns) > 0 {
		return true
	}
	if c := conns[len(conns)-1]; c.Full() {
		p.NotObserved("no event came in the first %s", plural(len(c.Content()), "byte"))
		return false
	}
	if p.Target().Publisher != nil {
		p.NotObserved("no event came in %s, nor of what was published", p.Window()).Hint("the publish hook must reach the channel of this URL; see framing/blank-line too")
		return false
	}
	p.NotObserved("no event came in %s", p.Window()).Hint("a longer --window or a publish hook (--publish) would decide it").By("--publish")
	return false
}

// placed is a line with its connection.
type placed struct {
	conn *conformance.Connection
	conformance.Line
}

func (l placed) evidence() result.Evidence {
	end := l.End
	switch l.EOL {
	case sse.EOLCRLF:
		end -= 2
	case sse.EOLLF, sse.EOLCR:
		end--
	}
	return l.conn.Evidence(l.Start, end)
}

// lines returns the lines of these kinds that the target wrote of itself. What is chunk framing is not the stream's.
func lines(conns []*conformance.Connection, kinds ...sse.LineKind) []placed {
	var want [16]bool
	for _, k := range kinds {
		want[k] = true
	}
	var found []placed
	for _, c := range conns {
		chunks := strayChunks(c)
		ls := c.Natural()
		for i := range ls {
			if l := &ls[i]; want[l.Kind] && !chunks[l.Start] {
				found = append(found, placed{c, *l})
			}
		}
	}
	return found
}

func evidence(ls []placed) []result.Evidence {
	var e []result.Evidence
	for _, l := range ls[:min(len(ls), 5)] {
		e = append(e, l.evidence())
	}
	return e
}

// brief quotes text of the target for a message.
func brief(s string) string { return `"` + result.Escape(cut(s)) + `"` }

// exactly is brief for what a backslash in the text must not be mistaken in.
func exactly(s string) string { return `"` + result.Literal([]byte(cut(s))) + `"` }

const briefly = 40 // characters

func cut(s string) string {
	if r := []rune(s); len(r) > briefly {
		return string(r[:briefly]) + "…"
	}
	return s
}

// ms rounds a duration for a message.
func ms(d time.Duration) time.Duration {
	if d < time.Millisecond {
		return d.Round(10 * time.Microsecond)
	}
	return d.Round(time.Millisecond)
}

// plural writes "1 event", "3 events".
func plural(n int, noun string) string {
	s := strconv.Itoa(n) + " " + noun
	if n != 1 {
		s += "s"
	}
	return s
}
