package conformance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// Probe is all that a check may touch: the connections of the run, further requests, the publish hook, and the one way to report.
//
// Several reports may be made; the gravest is the finding, and the evidence of equally grave ones is kept together.
type Probe struct {
	s     *session
	check *Check
	ctx   context.Context
	order int  // of the check in the run
	last  bool // it is done, or waits to be among the last; the stage's

	published sync.Once // it publishes no more on the observed stream

	mu     sync.Mutex
	best   *Note
	missed string // what it asked for that is not in the recording
}

// Note is one report of a check; its methods add to it.
type Note struct {
	verdict  result.Verdict
	message  string
	hint     string
	by       string
	try      string
	contract bool // the target's own declaration makes it a requirement
	evidence []result.Evidence
}

// grave orders verdicts: a check that saw both is reported by the graver.
var grave = map[result.Verdict]int{
	result.NotApplicable: 1, result.NotObserved: 2, result.Pass: 3, result.Info: 4, result.Error: 5, result.Warn: 6, result.Fail: 7,
}

// maxEvidence is how many places a finding points at.
const maxEvidence = 5

func (p *Probe) note(v result.Verdict, format string, a []any) *Note {
	n := &Note{verdict: v, message: oneLine(fmt.Sprintf(format, a...))}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.best == nil || grave[v] > grave[p.best.verdict] {
		p.best = n
		return n
	}
	if v == p.best.verdict {
		return p.best // its message stands, further evidence goes to it
	}
	return n
}

// Pass reports that the requirement is met.
func (p *Probe) Pass(format string, a ...any) *Note { return p.note(result.Pass, format, a) }

// Fail reports that it is not.
func (p *Probe) Fail(format string, a ...any) *Note { return p.note(result.Fail, format, a) }

// Warn reports what is no breach but will hurt.
func (p *Probe) Warn(format string, a ...any) *Note { return p.note(result.Warn, format, a) }

// Info reports a fact.
func (p *Probe) Info(format string, a ...any) *Note { return p.note(result.Info, format, a) }

// NotObserved reports that nothing was seen that would decide.
func (p *Probe) NotObserved(format string, a ...any) *Note {
	return p.note(result.NotObserved, format, a)
}

// NotApplicable reports that the requirement is none for this target.
func (p *Probe) NotApplicable(format string, a ...any) *Note {
	return p.note(result.NotApplicable, format, a)
}

// Error reports a fault of the network or of ours, which is never blamed on the target.
func (p *Probe) Error(format string, a ...any) *Note { return p.note(result.Error, format, a) }

// Declared is Fail where the target's operator declared the feature, else Warn: no clause binds the server.
func (p *Probe) Declared(yes bool, format string, a ...any) *Note {
	if yes {
		n := p.Fail(format, a...)
		n.contract = true
		return n
	}
	return p.Warn(format, a...)
}

// Hint says what to do, or what would decide.
func (n *Note) Hint(format string, a ...any) *Note {
	if n.hint == "" {
		n.hint = oneLine(fmt.Sprintf(format, a...))
	}
	return n
}

// By names the flag that would decide what was not observed.
func (n *Note) By(flag string) *Note { n.by = flag; return n }

// At points at the bytes.
func (n *Note) At(e ...result.Evidence) *Note {
	if room := maxEvidence - len(n.evidence); len(e) > room {
		e = e[:room]
	}
	n.evidence = append(n.evidence, e...)
	return n
}

// Try gives the shell command that shows it, credentials masked already.
func (n *Note) Try(command string) *Note {
	if n.try == "" {
		n.try = command
	}
	return n
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// finding makes the finding of what was reported.
func (p *Probe) finding() result.Finding {
	c := p.check
	f := result.Finding{ID: c.ID, Title: c.Title, Level: c.Level, Clause: c.Clause, Core: c.Core, Evidence: []result.Evidence{}}
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.best
	if p.missed != "" {
		n = &Note{verdict: result.NotObserved, message: "not in the recording: " + oneLine(p.missed), hint: "the recording was made for other questions: record again"}
	}
	if n == nil {
		n = &Note{verdict: result.Error, message: "the check came to no verdict: a fault of ours"}
		if p.ctx.Err() != nil {
			n = &Note{verdict: result.NotObserved, message: "interrupted before a verdict"}
		}
	}
	f.Verdict, f.Message, f.Hint, f.Reproduce = n.verdict, n.message, n.hint, n.try
	if n.contract {
		f.Level = result.Contract
	}
	if n.verdict == result.NotObserved && !(n.by == "--publish" && p.s.target.Publisher != nil) {
		f.DecidedBy = n.by // a hook that was given already would decide nothing
	}
	f.Evidence = append(f.Evidence, n.evidence...)
	if f.Reproduce == "" && (n.verdict == result.Fail || n.verdict == result.Warn) {
		f.Reproduce = p.Curl(nil)
	}
	p.s.secrets.conceal(&f)
	return f
}

// miss notes that it asked for what is not in the recording, and so cannot be judged by it.
func (p *Probe) miss(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.missed == "" {
		p.missed = what
	}
}

// Target is who is judged.
func (p *Probe) Target() *Target { return &p.s.target }

// First is the run's first connection, with its head; c.Head is nil where none came in the window.
func (p *Probe) First() *Connection { return p.s.first }

// Observed waits until the observation is over and returns its connections: the first, and those that followed where
// the stream ended while the run still published.
//
// The check publishes no more: nothing is published after the observation.
func (p *Probe) Observed() []*Connection {
	p.Apart()
	p.s.stage.wait(context.Background(), cue{p: p, rank: p.order, when: func() bool { return p.s.stage.over }}) // which comes with the end of the run's context, too
	return p.s.observed()
}

// NoStream says why there is no stream to judge; "" where there is one.
func (p *Probe) NoStream() string {
	switch c := p.s.first; {
	case c.Head != nil && c.Head.Status == 200:
		return ""
	case c.Head != nil:
		return fmt.Sprintf("the answer was %d, not a stream", c.Head.Status)
	case p.Interrupted():
		return "interrupted before a response head came"
	case c.SpeaksHTTP2():
		return "an HTTP/1.1 request was answered with an HTTP/2 frame"
	case errors.Is(c.Err, context.DeadlineExceeded), errors.Is(c.Err, os.ErrDeadlineExceeded):
		if n := c.HeadBytes(); n > 0 {
			return fmt.Sprintf("no complete response head within %v, only the first %d bytes of one", p.Window(), n)
		}
		return fmt.Sprintf("no response head within %v", p.Window())
	}
	return "no usable response head: " + Cause(p.s.first.Err)
}

// Cause is an error of a connection without its address, escaped and masked.
func Cause(err error) string {
	if e, ok := errors.AsType[*wire.Error](err); ok {
		err = e.Err
	}
	if err == nil {
		return "no error"
	}
	return result.Escape(result.MaskText(err.Error()))
}

// Window is how long the observation was meant to last, in words.
func (p *Probe) Window() string { return p.s.target.Window.String() }

// Alone waits until the observation is over (nothing more is published on it) and no other check is talking to the target: a server may serve one connection at a
// time, and its being busy with one of ours is not its fault. The context bounds what the check may take, all such checks together included;
// call release when done. ok is false where there is no time left, or the target must not be asked again (see [Probe.Call]), which has been reported then.
func (p *Probe) Alone(ctx context.Context) (_ context.Context, release func(), ok bool) {
	p.Apart()
	if p.spare() {
		return nil, nil, false
	}
	st := p.s.stage
	st.wait(ctx, cue{p: p, rank: p.rankAlone(), apart: true, when: func() bool { return st.over && !st.alone }})
	if ctx.Err() != nil {
		p.NotObserved("interrupted")
		return nil, nil, false
	}
	st.tell(func() { st.alone = true })
	done := func() { st.tell(func() { st.alone = false }) }
	p.s.afterwards.Do(func() { p.s.until = time.Now().Add(beyond) })
	ctx, cancel := context.WithDeadlineCause(ctx, p.s.until, errNoTime)
	if ctx.Err() != nil {
		cancel()
		done()
		if p.Interrupted() {
			p.NotObserved("interrupted")
		} else {
			p.NotObserved("no time was left for it: the checks before it took the %v that there are after the window", beyond).
				Hint("--only %s decides it", p.check.ID)
		}
		return nil, nil, false
	}
	ctx, stop := context.WithTimeoutCause(ctx, perCheck, errNoTime)
	return ctx, func() { stop(); cancel(); done() }, true
}

// Apart tells that the check publishes nothing (more) on the observed stream, so that nobody waits for it there. Alone says so too.
func (p *Probe) Apart() { p.published.Do(func() { p.s.oracle.finished(p.check) }) }

var errNoTime = errors.New("the time for this check ran out")

// Interrupted tells that the run was ended before its time, so that absence proves nothing.
func (p *Probe) Interrupted() bool { return p.ctx.Err() != nil }

// Request is the nominal request after redirects; a copy to be changed.
func (p *Probe) Request() *wire.Request {
	r := p.s.nominal()
	r.Header = append(wire.Header(nil), r.Header...)
	return &r
}

// Open makes one further request and begins to read the answer; a redirect is the answer. The connection is always there; its Err tells
// why there is no stream. within bounds the wait for the head, ctx the stream. Close it.
func (p *Probe) Open(ctx context.Context, r *wire.Request, within time.Duration) *Connection {
	return p.s.open(ctx, r, within, 0)
}

// OpenAwake is Open for a target that may keep its head back until there is an event: after two seconds without a head a plain event is
// published, where there is a hook.
func (p *Probe) OpenAwake(ctx context.Context, r *wire.Request, within time.Duration) *Connection {
	return p.s.openAwake(ctx, r, within, 0)
}

// Dial connects without asking for anything, for checks that use one connection several times and read it themselves; the [Connection] is
// the record. Close the wire.Conn.
func (p *Probe) Dial(ctx context.Context, r *wire.Request, within time.Duration) (*wire.Conn, *Connection, error) {
	return p.DialAs(ctx, r, within, func(*wire.Dialer) {})
}

// DialAs is [Probe.Dial] in another manner than the run's: with another protocol, other windows.
func (p *Probe) DialAs(ctx context.Context, r *wire.Request, within time.Duration, change func(*wire.Dialer)) (*wire.Conn, *Connection, error) {
	c := &Connection{Name: p.s.name(), Request: r, changed: make(chan struct{}), hide: p.s.secrets}
	d := p.s.dialer(ctx, within, 0)
	change(d)
	conn, err := d.Dial(ctx, r.URL)
	if err != nil {
		c.Err = err
		return nil, c, err
	}
	c.Proto, c.record, c.Timing = conn.Proto(), conn.Transcript(), conn.Timing()
	return conn, c, nil
}

// Once shares one value, made by the first who asks, among the checks of a run.
func (p *Probe) Once(key string, produce func() any) any {
	st := p.s.stage
	o := &once{}
	if v, loaded := p.s.shared.LoadOrStore(key, o); loaded {
		o = v.(*once)
		// Whoever makes it needs the observation, or does not.
		st.wait(context.Background(), cue{p: p, rank: p.order, apart: true, when: func() bool { return o.made }})
		if o.missed != "" {
			p.miss(o.missed)
		}
		return o.value
	}
	defer st.tell(func() { o.made = true })
	o.value = produce()
	p.mu.Lock()
	o.missed = p.missed
	p.mu.Unlock()
	return o.value
}

// Remember keeps a fact about the target for the checks that come later; Remembers tells whether one did.
func (p *Probe) Remember(fact string) { p.s.facts.Store(fact, true) }

// Remembers tells whether a check before remembered that.
func (p *Probe) Remembers(fact string) bool { _, ok := p.s.facts.Load(fact); return ok }

// once is a value in the making.
type once struct {
	made   bool // the stage's
	value  any
	missed string // what of it is not in the recording
}
