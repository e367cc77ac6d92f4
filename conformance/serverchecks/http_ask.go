package serverchecks

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"ssegauge/conformance"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// Further requests, made in one round that several checks share.

// journal is what the further requests of a run came to, for the checks that judge all of them.
type journal struct {
	mu      sync.Mutex
	last    string // the last request, in words
	suspect string // the last one before the target did not answer as at first any more
	silent  bool   // the nominal request was not answered any more
	refused []*conformance.Connection
}

func journalOf(p *conformance.Probe) *journal {
	return p.Once("journal", func() any { return &journal{} }).(*journal)
}

// begin notes what is asked, end what was answered.
func (j *journal) begin(what string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.last = what
}

func (j *journal) end(c *conformance.Connection) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if c.Head != nil && c.Head.Status == 405 {
		j.refused = append(j.refused, c)
	}
}

// fellSilent notes that the nominal request got no answer: it is not waited for again and again.
func (j *journal) fellSilent() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.silent = true
}

func (j *journal) isSilent() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.silent
}

// suspects notes that the target does not answer as at first any more, and gives the last request before.
func (j *journal) suspects() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.suspect == "" {
		j.suspect = j.last
	}
	return j.suspect
}

const unanswered = "the nominal request was not answered again: the target takes one connection at a time, or keeps every head until there is an event"

// variant is the nominal request with something changed.
type variant struct {
	name   string // in words: "without Accept"
	change func(r *wire.Request)
}

func fields(name, value string) func(*wire.Request) {
	return func(r *wire.Request) {
		kept := r.Header[:0:0]
		for _, f := range r.Header {
			if !strings.EqualFold(f.Name, name) {
				kept = append(kept, f)
			}
		}
		if value != "" {
			kept = append(kept, wire.Field{Name: name, Value: value})
		}
		r.Header = kept
	}
}

func accepting(value string) variant {
	return variant{"with Accept: " + value, fields("Accept", value)}
}

var (
	asNominal     = variant{"as at first", func(*wire.Request) {}}
	withoutAccept = variant{"without Accept", fields("Accept", "")}
	acceptAll     = accepting("*/*")
	acceptText    = accepting("text/*")
	acceptList    = accepting("text/event-stream, application/json;q=0.5")
	acceptUpper   = accepting("TEXT/EVENT-STREAM")
	acceptSpaced  = accepting("application/json;q=0.5 ,  text/event-stream ; q=1")
	acceptJSON    = accepting("application/json")
	acceptNever   = accepting("text/event-stream;q=0")
	codeIdentity  = variant{"with Accept-Encoding: identity", fields("Accept-Encoding", "identity")}
	codeGzip      = variant{"with Accept-Encoding: gzip", fields("Accept-Encoding", "gzip")}
	oldProtocol   = variant{"over HTTP/1.0", func(r *wire.Request) { r.HTTP10 = true }}
)

// reply is a variant's answer.
type reply struct {
	request *wire.Request
	conn    *conformance.Connection // closed; nil where it was not asked
	why     string                  // why it cannot be judged; "" where it can
}

// negotiation is one round of variants.
type negotiation struct {
	why     string // why there is none at all
	again   bool   // the nominal request was answered again as at first
	beside  bool   // the target answers beside an open stream
	queued  bool   // and not beside as many as were asked for then
	answers map[string]*reply
}

// of returns the answer to a variant; where there is none to judge it has reported why.
func (r *negotiation) of(p *conformance.Probe, v variant) (*reply, bool) {
	why := r.why
	a := r.answers[v.name]
	if why == "" {
		switch {
		case a == nil:
			why = "a request " + v.name + " was not made: the target takes one connection at a time, and the time ran out"
		case a.why != "":
			why = "a request " + v.name + ": " + a.why
		default:
			return a, true
		}
	}
	p.NotObserved("%s", result.Escape(why))
	return nil, false
}

// Times of a round.
const (
	serialRound = 5 * time.Second        // for servers that take one connection at a time
	besides     = time.Second            // for the second head beside an open stream
	firstWords  = 500 * time.Millisecond // for content after a head
)

// patience is how long a further head is waited for: longer where the first one took its time.
func patience(p *conformance.Probe) time.Duration {
	return headDeadline + 2*p.First().RoundTrip() + slowness(p)
}

// slowness is how long a head takes by itself, as far as the first one tells.
func slowness(p *conformance.Probe) time.Duration {
	wait, ok := p.First().Wait()
	if !ok || p.First().Woken > 0 { // it waited for an event, which is published sooner from now on
		return 0
	}
	return min(wait, headDeadline)
}

// negotiated makes the round, once a run. Servers that take one connection at a time are not overrun: the first variant is asked beside an open stream, and only
// where both are answered the others are asked side by side. An answer that would be blamed is asked for again, and the nominal request after it.
func negotiated(ctx context.Context, p *conformance.Probe) *negotiation {
	return p.Once("negotiation", func() any {
		r := &negotiation{answers: map[string]*reply{}}
		r.run(ctx, p)
		return r
	}).(*negotiation)
}

func (r *negotiation) run(ctx context.Context, p *conformance.Probe) {
	first := p.First()
	ctx, release, ok := p.Alone(ctx)
	if !ok {
		r.why = "no time was left for further requests"
		return
	}
	defer release()
	if journalOf(p).isSilent() {
		r.why = unanswered
		return
	}
	within := patience(p)
	variants := []variant{
		withoutAccept, acceptAll, acceptText, acceptList, acceptUpper, acceptSpaced, acceptJSON, acceptNever, codeIdentity, codeGzip,
	}
	if first.Proto == wire.HTTP11 {
		variants = append(variants, oldProtocol)
	}
	// The nominal request, and beside it the first variant.
	wait := besides + 2*first.RoundTrip() + 2*slowness(p)
	if first.Woken > 0 {
		wait = within // heads wait for an event, which takes its time to be published
	}
	var beside *conformance.Connection
	var lead *reply
	abreast(ctx, 2, func(i int) {
		if i == 0 {
			beside = p.OpenAwake(ctx, p.Request(), within)
		} else {
			lead = r.exchange(ctx, p, variants[0], wait)
		}
	})
	defer beside.Close()
	if beside.Head == nil || beside.Head.Status != first.Head.Status {
		journalOf(p).suspects()
		if beside.Head == nil && timedOut(beside.Err) {
			journalOf(p).fellSilent()
		}
		r.why = "the nominal request, made again, was not answered as at first: " + told(beside)
		return
	}
	r.again = true
	if lead.conn.Head == nil {
		beside.Close()
		until := time.Now().Add(serialRound)
		for _, v := range variants {
			a := r.ask(ctx, p, v, within)
			r.settle(ctx, p, v, a, within)
			if a.conn.Head == nil || ctx.Err() != nil || time.Now().After(until) {
				return
			}
		}
		return
	}
	r.beside = true
	waiting := 0
	answers := make([]*reply, len(variants))
	answers[0] = lead
	journalOf(p).begin("several requests with other Accept and Accept-Encoding fields, side by side")
	abreast(ctx, len(variants)-1, func(i int) { answers[i+1] = r.exchange(ctx, p, variants[i+1], within) })
	for i, v := range variants {
		r.answers[v.name] = answers[i]
		if c := answers[i].conn; c.Head == nil && timedOut(c.Err) {
			waiting++
		}
	}
	r.queued = waiting > len(variants)/3 // one or two may be hung by what they ask for
	for i, v := range variants {
		r.settle(ctx, p, v, answers[i], within)
	}
}

// abreast makes n requests side by side: in order, a moment apart.
func abreast(ctx context.Context, n int, ask func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			pause(ctx, time.Duration(i)*2*time.Millisecond)
			ask(i)
		})
	}
	wg.Wait()
}

// ask asks and keeps the answer.
func (r *negotiation) ask(ctx context.Context, p *conformance.Probe, v variant, within time.Duration) *reply {
	journalOf(p).begin("the nominal request " + v.name)
	a := r.exchange(ctx, p, v, within)
	r.answers[v.name] = a
	return a
}

func (r *negotiation) exchange(ctx context.Context, p *conformance.Probe, v variant, within time.Duration) *reply {
	a := &reply{request: p.Request()}
	v.change(a.request)
	a.conn = p.OpenAwake(ctx, a.request, within)
	journalOf(p).end(a.conn)
	if v.name == oldProtocol.name {
		awaitContent(ctx, a.conn)
	}
	a.conn.Close()
	return a
}

// settle looks again at an answer that would be blamed: once more the variant, then the nominal request. Who wants fewer requests at once says nothing of this one.
func (r *negotiation) settle(ctx context.Context, p *conformance.Probe, v variant, a *reply, within time.Duration) {
	nominal := p.First().Head
	free := v.name == acceptJSON.name || v.name == acceptNever.name // whatever the answer is, it is no fault
	switch h := a.conn.Head; {
	case h == nil:
		a.why = told(a.conn)
		return
	case alike(h, nominal), free && h.Status < 500:
		return
	case ctx.Err() != nil:
		a.why = told(a.conn) + ", and there was no time to look again"
		return
	}
	again := r.ask(ctx, p, v, within)
	switch h := again.conn.Head; {
	case h == nil:
		again.why = told(again.conn)
		return
	case alike(h, nominal):
		return
	case h.Status == 429 || h.Status == 503:
		again.why = told(again.conn) + ": the target takes no more just now"
		return
	}
	control := r.exchange(ctx, p, asNominal, within)
	if control.conn.Head == nil || control.conn.Head.Status != nominal.Status {
		again.why = told(again.conn) + ", and the nominal request after it: " + told(control.conn)
	}
}

// alike tells whether two heads are the same answer.
func alike(a, b *wire.Head) bool { return a.Status == b.Status && essence(a) == essence(b) }

// told says in words how a request was answered.
func told(c *conformance.Connection) string {
	if c.Head != nil {
		return fmt.Sprintf("%d and %s", c.Head.Status, orNothing(essence(c.Head)))
	}
	if timedOut(c.Err) {
		return "no answer in time"
	}
	return conformance.Cause(c.Err)
}

// awaitContent waits a moment for the first content.
func awaitContent(ctx context.Context, c *conformance.Connection) {
	if c.Err == nil {
		until(ctx, c, firstWords, func() bool { return len(c.Content()) > 0 })
	}
}

// repeatable tells whether further requests may be made at all; see [conformance.Probe.Call].
func repeatable(p *conformance.Probe) bool {
	if p.Call() && !p.Target().Active {
		p.NotObserved("the target is asked with %s, which may act each time", p.Request().Method).Hint("--active allows further requests").By("--active")
		return false
	}
	return true
}
