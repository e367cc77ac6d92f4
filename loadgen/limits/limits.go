// Package limits finds out which limit of a push server is met first, and whose it is: how many streams it holds, for how long, what it lets pass. Each [Probe] looks for
// one kind of limit and is judged by what failed (fingerprint.go): whatever this machine cannot do is the generator's limit, never the target's.
//
//	Config -> contact (what the target is) -> probes, one after the other -> result.Limits
//
// It may import loadgen, loadgen/engine, loadgen/plan, reference/sse, reference/wire, reference/publish and reports/result. To add a probe: one file with its function, one
// line in [Probes], and a server with that limit planted in reference/interop/limits/reference.yaml.
package limits

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"ssegauge/loadgen"
	"ssegauge/loadgen/plan"
	"ssegauge/reference/publish"
	"ssegauge/reports/result"
)

// Probe is one kind of limit and how to look for it.
type Probe struct {
	Name  string // as --probe takes it
	Title string // one line: what it asks of the target
	// Weight is its share of the budget; what it leaves goes to those after it. Most is the time after which more would tell nothing more.
	Weight int
	Most   time.Duration
	// Watches tells that it only holds a few streams and waits: such probes run side by side.
	Watches bool
	OptIn   bool          // only where it is named
	Needs   string        // the flag without which it says nothing, or little: "--publish"
	Least   time.Duration // with less than that it says nothing and does not begin; 0: it goes as far as it comes
	// Requests says how many requests and streams it makes at most, given the time it has.
	Requests func(s *Session, within time.Duration) int

	run func(ctx context.Context, s *Session) []result.Limit
	aim aim
}

// Probes lists every probe in the order in which they run: first those that disturb nobody.
func Probes() []Probe {
	return []Probe{
		{Name: "h1-hosts", Title: "streams that a browser holds over HTTP/1.1, and how long the one too many waits", Weight: 2, Most: time.Minute, Requests: hostRequests, run: hosts},
		{Name: "h2-streams", Title: "streams on one HTTP/2 connection: advertised, served, and what the one too many gets", Weight: 6, Most: time.Minute, Requests: h2Requests, run: h2Streams},
		{Name: "requests", Title: "requests on one connection until the target ends it", Weight: 3, Most: time.Minute, Requests: connRequestsRequests, run: connRequests},
		{Name: "event-size", Title: "bytes of one event: what comes whole, and what becomes of more", Weight: 3, Most: 90 * time.Second, Needs: "--publish", Requests: eventSizeRequests, run: eventSize},
		{Name: "buffering", Title: "bytes, events or time that are held back before a client gets any of them", Weight: 3, Most: 2 * time.Minute, Needs: "--publish", Requests: bufferingRequests, run: buffering},
		{Name: "slow-reader", Title: "how much, and how long, a client may leave unread, and what others feel of it", Weight: 4, Most: 2 * time.Minute, Needs: "--publish", Requests: slowRequests, run: slowReader},
		{Name: "idle", Title: "how long streams may be silent before they are closed, or dead without a word", Weight: 28, Most: 12 * time.Minute, Watches: true, Requests: idleRequests, run: idle},
		{Name: "lifetime", Title: "how old streams become, and whether all of them the same", Weight: 28, Most: 12 * time.Minute, Watches: true, Requests: lifetimeRequests, run: lifetime},
		{Name: "per-client", Title: "streams from one address, and whether the limit is each client's or all clients' together", Weight: 8, Most: 2 * time.Minute, Requests: perClientRequests, run: perClient},
		{Name: "streams", Title: "streams at once: how many are held and served before the first wall, and whose wall that is", Weight: 20, Most: 5 * time.Minute, Requests: streamRequests, run: streams},
		{Name: "knee", Title: "streams beyond which more bring no more events a second", Weight: 6, Most: 2 * time.Minute, Needs: "--publish", Requests: kneeRequests, run: knee},
		{Name: "storm", Title: "half of the streams lost at once and asked for again: how soon they are back, and with what they missed", Weight: 3, Most: 90 * time.Second, Requests: stormRequests, run: storm},
		{Name: "resets", Title: "streams opened and reset on one HTTP/2 connection, as each page that is left does", Weight: 2, Most: time.Minute, OptIn: true, Requests: resetRequests, run: resets},
	}
}

// Config is a search for limits.
type Config struct {
	// Plan is what a load stage is made of: one target with its request and dialer, the hook, sources, engine and timeout. How many streams there are and how long they
	// are held is the probes' business.
	Plan      plan.Plan
	Publisher *publish.Publisher // nil: nothing is published
	Probes    []string           // by name; none: all that need not be named
	Budget    time.Duration      // wall clock for all of them
	Streams   int                // at most so many at once
	// RemoteResets lets the probe of resets run at a target that is not on this machine.
	RemoteResets bool
}

// Search is a search for limits at a target that was reached.
type Search struct {
	config Config
	probes []Probe
	unfit  []Probe // that make no sense of this target
	target contact
	known  result.Secrets
	mute   string // why nothing can be published though a hook was given; "": it can
	// How stages reach the target; one after the other, not beside each other.
	resolved loadgen.Resolved
	held     int // streams that were seen to be held at once; 0: it was not looked for
	// What the probe per-client had open at once, and whether this machine could open no more then.
	crowded int
	poor    bool

	kept  sync.Mutex // guards watch
	watch *vigil     // that the probes idle and lifetime share
}

// New reaches the target and learns what it is. The error is a *[loadgen.UnreachableError] where nobody is there, an *[AnswerError] where what is there is no stream.
func New(ctx context.Context, c Config) (*Search, error) {
	s := &Search{config: c}
	for _, p := range Probes() {
		if len(c.Probes) == 0 && !p.OptIn || slices.Contains(c.Probes, p.Name) {
			s.probes = append(s.probes, aimed(p))
		}
	}
	var err error
	if s.target, err = meet(ctx, &c); err != nil {
		return nil, err
	}
	s.known = lent(&c)
	if s.target.finite != "" {
		s.unfit = slices.DeleteFunc(slices.Clone(s.probes), func(p Probe) bool { return p.aim.finite })
		s.probes = slices.DeleteFunc(s.probes, func(p Probe) bool { return !p.aim.finite })
	}
	return s, nil
}

// lent are the credentials that a target is given, and can send back.
func lent(c *Config) (known result.Secrets) {
	request := c.Plan.Targets[0].Request
	if request == nil {
		return nil
	}
	known = result.URLSecrets(request.URL.String())
	for _, f := range request.Header {
		known = append(known, result.FieldSecrets(f.Name, f.Value)...)
	}
	if c.Publisher != nil {
		_, u, header, _, _ := c.Publisher.Request(publish.Message{})
		known = append(known, result.URLSecrets(u)...)
		for _, f := range header {
			known = append(known, result.FieldSecrets(f[0], f[1])...)
		}
	}
	return known
}

// plain is a line of ours with words of the target in it as it may be shown.
func (s *Search) plain(line string) string {
	return result.Escape(s.known.Conceal(result.MaskText(line)))
}

// Target is what was reached, as a report names it.
func (s *Search) Target() result.Target {
	return result.Target{URL: result.Mask(s.target.request.URL.String()), HTTP: s.target.proto.String()}
}

// First is the request that the target was met with, as it may be shown.
func (s *Search) First() (request string, fields []string) {
	r := s.target.request
	for _, f := range r.Header {
		fields = append(fields, result.Escape(f.Name+": "+result.MaskHeader(f.Name, f.Value)))
	}
	return cmp.Or(r.Method, "GET") + " " + result.Mask(r.URL.String()), fields
}

// Known tells whether there is a probe of that name, and which there are.
func Known(name string) (names []string, ok bool) {
	for _, p := range Probes() {
		names = append(names, p.Name)
	}
	return names, slices.Contains(names, name)
}

// AnswerError is a target that was reached and answers with something else than a stream.
type AnswerError struct {
	Target string // credentials masked
	What   string // one line: "it answers 404 Not Found"
}

func (e *AnswerError) Error() string { return fmt.Sprintf("%s is no stream: %s", e.Target, e.What) }
