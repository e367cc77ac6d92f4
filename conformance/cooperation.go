package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os/exec"
	"strings"
	"text/template"
	"time"

	"ssegauge/reference/publish"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// Declared is what the operator says of the target. A declaration turns what nobody could know into a promise: what is declared and not
// served fails, what cannot apply is not judged. The zero value declares nothing.
type Declared struct {
	Finite      bool          // the stream ends by itself, and that is right
	Heartbeat   time.Duration // something comes at least this often; 0: nothing is promised
	Replay      Replay        // see also [Target.ExpectReplay], which a declared Replay sets
	Events      []string      // the event types that occur, "message" for those without a name; empty: not declared
	CORS        []string      // origins that must be let in: "https://app.example"
	SameOrigin  bool          // no page of another origin is meant to read the stream
	Auth        string        // where the credentials stand that a client needs: "header", "cookie" or "query"; "": not declared
	Capacity    int           // how many streams there may be at once; 0: not declared
	Methods     []string      // the methods that are meant to work; empty: not declared
	ErrorURL    *url.URL      // a URL that must be refused: an unknown channel
	OtherURL    *url.URL      // a second channel, whose events must not be seen on the first
	OtherHeader wire.Header   // fields of the second user, in place of those of the same name
	QueryParam  string        // the query parameter that stands for Last-Event-ID: "lastEventId"
	CDN         bool          // caches fan the stream out, so that it may be cacheable
}

// Replay is what is promised to a client that comes back.
type Replay struct {
	Window    int    // how many events back; 0: not declared
	UnknownID string // what an id that is not known gets, one of [UnknownIDs]; "": not declared
}

// UnknownIDs are the answers to an id that the server does not know: an event that says so, the whole history, only what comes from
// now on, or a refusal.
var UnknownIDs = []string{"signal", "full", "live", "refuse"}

// Action is something that the operator lends: it ends or restarts the streams of the target.
type Action func(ctx context.Context) error

// Command makes an Action of a shell command; it is over when the command is.
func Command(sh string) Action {
	return func(ctx context.Context) error {
		cmd := exec.CommandContext(ctx, "sh", "-c", sh)
		publish.OwnGroup(cmd)
		// Its output goes nowhere: a server that it leaves behind must not die of a pipe that nobody reads.
		err := cmd.Run()
		if cause := context.Cause(ctx); err != nil && cause != nil {
			err = cause
		}
		if err != nil {
			return fmt.Errorf("the command: %w", err)
		}
		return nil
	}
}

// ScenarioURL fills the template of a scenario URL ("http://host/sse?scenario={{.Name}}") with a name. Functions: urlquery.
func ScenarioURL(text, name string) (*url.URL, error) {
	t, err := template.New("scenario URL").Option("missingkey=error").Parse(text)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	if err := t.Execute(&b, struct{ Name string }{name}); err != nil {
		return nil, err
	}
	u, err := url.Parse(b.String())
	if err != nil {
		return nil, err
	}
	if u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%q is not an http or https URL", result.Mask(b.String()))
	}
	return u, nil
}

// Gives tells whether the target's operator lends all of these means. Those that need nobody's help are always there.
func (t *Target) Gives(n Needs) bool { return t.missing(n) == 0 }

func (t *Target) missing(n Needs) Needs {
	switch {
	case n&Publish != 0 && t.Publisher == nil:
		return Publish
	case n&Scenario != 0 && t.ScenarioURL == "":
		return Scenario
	case n&Kill != 0 && t.Kill == nil && t.Restart == nil:
		return Kill
	case n&Gauge != 0 && t.Gauge == nil:
		return Gauge
	case n&Direct != 0 && t.DirectURL == nil:
		return Direct
	}
	return 0
}

// Require tells whether the target's operator lends all of these means; where not, it has reported not-observed with the flag that
// would decide it. (The publish hook is asked for before a check that needs it runs.)
func (p *Probe) Require(n Needs) bool {
	switch p.s.target.missing(n) {
	case 0:
		return true
	case Publish:
		if p.Call() {
			p.NotApplicable("the stream is the answer to a call (%s), to which nothing is published", p.s.nominal().Method).
				Hint("with a publish hook (--publish) it is judged as a subscription")
			return false
		}
		p.NotObserved("what was published is not known").
			Hint("give a publish hook: --publish 'POST URL' or --publish-cmd CMD").By("--publish")
	case Scenario:
		p.NotObserved("the target was not asked for a script").
			Hint("give the URL of its scenarios: --scenario-url 'http://host/scenario/{{.Name}}'").By("--scenario-url")
	case Kill:
		p.NotObserved("the target was not made to end its streams").
			Hint("give a command that does it: --kill-cmd CMD or --restart-cmd CMD").By("--kill-cmd")
	case Gauge:
		p.NotObserved("how many streams the target holds is not known").
			Hint("say where it tells: --gauge-url URL with --gauge-pointer or --gauge-metric").By("--gauge-url")
	case Direct:
		p.NotObserved("the target was not asked past what lies in front of it").
			Hint("give the URL of the server itself: --direct-url URL").By("--direct-url")
	}
	return false
}

// Scenario is the nominal request with the URL of the named script; see [Probe.Require].
func (p *Probe) Scenario(name string) (*wire.Request, error) {
	u, err := ScenarioURL(p.s.target.ScenarioURL, name)
	if err != nil {
		return nil, fmt.Errorf("scenario URL: %w", err)
	}
	r := p.Request()
	r.URL = u
	return r, nil
}

// Kill makes the target end its streams, by the restart hook where there is no other. Nobody else must be talking to it: see [Probe.Last].
func (p *Probe) Kill(ctx context.Context) error {
	if p.s.target.Kill == nil {
		return p.Restart(ctx)
	}
	return p.act(ctx, p.s.target.Kill)
}

// Restart makes the target restart, by the kill hook where there is no other: something may start it again then.
func (p *Probe) Restart(ctx context.Context) error {
	if p.s.target.Restart == nil {
		return p.act(ctx, p.s.target.Kill)
	}
	return p.act(ctx, p.s.target.Restart)
}

func (p *Probe) act(ctx context.Context, a Action) error {
	if a == nil {
		return errors.New("no hook was given")
	}
	return a(ctx)
}

// Gauge reads how many streams the target says that it holds.
func (p *Probe) Gauge(ctx context.Context) (float64, error) {
	g := p.s.target.Gauge
	if g == nil {
		return 0, errors.New("no gauge was given")
	}
	d := p.s.target.Dialer
	d.HeadTimeout, d.MaxRedirects, d.Decode, d.Record = gaugeBudget, maxRedirects, true, 0
	d.Proto = wire.Auto
	if g.URL.Host != p.s.target.Request.URL.Host {
		d.ConnectTo = ""
	}
	p.s.onTape(ctx, &d)
	ctx, cancel := context.WithTimeout(ctx, gaugeBudget)
	defer cancel()
	st, err := d.Open(ctx, &wire.Request{URL: g.URL, Header: append(wire.Header{{Name: "Accept", Value: "*/*"}}, g.Header...)})
	if err != nil {
		return 0, fmt.Errorf("gauge: %w", err)
	}
	defer st.Conn.Close()
	if st.Head.Status != 200 {
		return 0, fmt.Errorf("gauge: status %d", st.Head.Status)
	}
	body, err := io.ReadAll(io.LimitReader(st, maxGauge))
	if err != nil {
		return 0, fmt.Errorf("gauge: %w", err)
	}
	v, err := g.read(body)
	if err != nil {
		return 0, fmt.Errorf("gauge: %w", err)
	}
	return v, nil
}

// Last is [Probe.Alone] for checks that end or restart the target, or ask whether it survived: it waits until every check that does not call Last
// has come to its verdict.
func (p *Probe) Last(ctx context.Context) (_ context.Context, release func(), ok bool) {
	p.Apart()
	if !p.lastNow(ctx) {
		p.NotObserved("interrupted")
		return nil, nil, false
	}
	return p.Alone(ctx)
}

// lastNow waits until only the last checks are undecided; false where it was interrupted. It does not need the observation meanwhile.
func (p *Probe) lastNow(ctx context.Context) bool {
	st := p.s.stage
	st.settle(p)
	st.wait(ctx, cue{p: p, rank: p.rankAlone(), apart: true, when: func() bool { return st.undecided == 0 }})
	return ctx.Err() == nil
}
