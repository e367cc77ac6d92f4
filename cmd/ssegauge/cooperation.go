package main

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ssegauge/conformance"
	"ssegauge/reference/wire"
)

// cooperationFlags are what the operator of a target lends to checks, and declares; the publish hook has flags of its own.
type cooperationFlags struct {
	scenario, kill, restart, direct string
	gauge                           struct {
		url, pointer, metric string
		header               []string
	}
	active, expectReplay bool
	declared             struct {
		finite, sameOrigin, cdn bool
		heartbeat               time.Duration
		window, capacity        int
		unknownID, auth, query  string
		events, cors, methods   []string
		errorURL, otherURL      string
		otherHeader             []string
	}
}

func (c *cooperationFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&c.scenario, "scenario-url", "", "`template` of the URLs of named scripts, as in http://host/scenario/{{.Name}}")
	f.StringVar(&c.kill, "kill-cmd", "", "shell `command` that makes the server end its streams")
	f.StringVar(&c.restart, "restart-cmd", "", "shell `command` that restarts the server")
	f.StringVar(&c.direct, "direct-url", "", "`URL` past the proxy: the same checks run there too, after these, and what the proxy changes is named")
	f.StringVar(&c.gauge.url, "gauge-url", "", "`URL` that tells how many streams are open")
	f.StringVar(&c.gauge.pointer, "gauge-pointer", "", "where the number stands in a JSON document, as in /streams/open (RFC 6901)")
	f.StringVar(&c.gauge.metric, "gauge-metric", "", "or: its `name` on a Prometheus page")
	f.StringArrayVar(&c.gauge.header, "gauge-header", nil, "request field for the gauge, `'K: V'` (repeatable)")
	f.BoolVar(&c.active, "active", false, "send hostile and large payloads too")
	f.BoolVar(&c.expectReplay, "expect-replay", false, "the server promises replay after Last-Event-ID: a gap fails instead of warns")

	d := &c.declared
	f.IntVar(&d.window, "replay-window", 0, "declares: so many events back can be replayed")
	f.StringVar(&d.unknownID, "replay-unknown-id", "", "declares what an unknown Last-Event-ID gets: "+strings.Join(conformance.UnknownIDs, "|"))
	f.BoolVar(&d.finite, "finite", false, "declares: the stream ends by itself")
	f.DurationVar(&d.heartbeat, "heartbeat", 0, "declares: something comes at least this often")
	f.StringSliceVar(&d.events, "events", nil, "declares the event `types` that occur (message: those without a name)")
	f.StringSliceVar(&d.cors, "cors", nil, "declares: pages of this `origin` may read the stream (repeatable)")
	f.BoolVar(&d.sameOrigin, "same-origin", false, "declares: no page of another origin is meant to read the stream")
	f.StringVar(&d.auth, "auth", "", "declares where a client's credentials stand: header|cookie|query")
	f.IntVar(&d.capacity, "capacity", 0, "declares how many streams there may be at once")
	f.StringSliceVar(&d.methods, "methods", nil, "declares the request `methods` that are meant to work; where these are GET, HEAD and OPTIONS only, POST and DELETE are tried")
	f.StringVar(&d.errorURL, "error-url", "", "declares a `URL` that must be refused, an unknown channel for one")
	f.StringVar(&d.otherURL, "other-url", "", "declares the `URL` of a second channel, which must not leak into the first")
	f.StringArrayVar(&d.otherHeader, "other-header", nil, "request field of a second user, `'K: V'` (repeatable)")
	f.StringVar(&d.query, "query-param", "", "declares the query parameter that stands for Last-Event-ID, as in lastEventId")
	f.BoolVar(&d.cdn, "cdn", false, "declares: caches fan the stream out, so that it may be cacheable")
}

// names of these flags, which the profile of a target may set for every command.
var cooperation = []string{
	"scenario-url", "kill-cmd", "restart-cmd", "direct-url", "gauge-url", "gauge-pointer", "gauge-metric", "gauge-header", "active", "expect-replay",
	"replay-window", "replay-unknown-id", "finite", "heartbeat", "events", "cors", "same-origin", "auth", "capacity", "methods",
	"error-url", "other-url", "other-header", "query-param", "cdn",
}

// fill sets what the flags say on t.
func (c *cooperationFlags) fill(t *conformance.Target) error {
	d := &c.declared
	t.Active, t.ExpectReplay = c.active, c.expectReplay
	at := func(text string) string { return text }
	if u := t.Request.URL; u != nil { // there is none where the stream comes on stdin
		at = func(text string) string { return atOrigin(text, u) }
	}
	t.ScenarioURL = at(c.scenario)
	if c.scenario != "" {
		if !strings.Contains(t.ScenarioURL, "{{") {
			return usagef("--scenario-url has no name in it: write {{.Name}} where it belongs, as in http://host/scenario/{{.Name}}")
		}
		if _, err := conformance.ScenarioURL(t.ScenarioURL, "test"); err != nil {
			return usagef("--scenario-url: %v", err)
		}
	}
	if c.kill != "" {
		t.Kill = conformance.Command(at(c.kill))
	}
	if c.restart != "" {
		t.Restart = conformance.Command(at(c.restart))
	}
	var err error
	if t.DirectURL, err = optionalURL(c.direct); err != nil {
		return err
	}
	if t.Gauge, err = c.gaugeSource(at); err != nil {
		return err
	}
	t.Declared = conformance.Declared{
		Finite: d.finite, Heartbeat: d.heartbeat, Replay: conformance.Replay{Window: d.window, UnknownID: d.unknownID},
		Events: d.events, CORS: d.cors, SameOrigin: d.sameOrigin, Auth: d.auth, Capacity: d.capacity, Methods: d.methods,
		QueryParam: d.query, CDN: d.cdn,
	}
	for flag, n := range map[string]int64{"heartbeat": int64(d.heartbeat), "replay-window": int64(d.window), "capacity": int64(d.capacity)} {
		if n < 0 {
			return usagef("--%s must not be below zero", flag)
		}
	}
	if d.unknownID != "" && !slices.Contains(conformance.UnknownIDs, d.unknownID) {
		return usagef("--replay-unknown-id %q is unknown: one of %s is right", d.unknownID, strings.Join(conformance.UnknownIDs, ", "))
	}
	if d.auth != "" && !slices.Contains([]string{"header", "cookie", "query"}, d.auth) {
		return usagef("--auth %q is unknown: header, cookie or query is right", d.auth)
	}
	if d.sameOrigin && len(d.cors) > 0 {
		return usagef("--same-origin and --cors contradict each other")
	}
	for _, o := range d.cors {
		u, err := url.Parse(o)
		if err != nil || u.Scheme == "" || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.User != nil {
			return usagef("--cors %q is no origin: write it like https://app.example", maskURL(o))
		}
	}
	for _, m := range d.methods {
		if !wire.IsToken(m) {
			return usagef("--methods %q is no method: letters only, as in GET,HEAD", m)
		}
	}
	if t.Declared.ErrorURL, err = optionalURL(d.errorURL); err != nil {
		return err
	}
	if t.Declared.OtherURL, err = optionalURL(d.otherURL); err != nil {
		return err
	}
	t.Declared.OtherHeader, err = fields("other-header", d.otherHeader)
	return err
}

func (c *cooperationFlags) gaugeSource(at func(string) string) (*conformance.GaugeSource, error) {
	g := &c.gauge
	if g.url == "" {
		if g.pointer != "" || g.metric != "" || len(g.header) > 0 {
			return nil, usagef("--gauge-pointer, --gauge-metric and --gauge-header describe a gauge: give --gauge-url with them")
		}
		return nil, nil
	}
	if (g.pointer == "") == (g.metric == "") {
		return nil, usagef("--gauge-url needs one of --gauge-pointer and --gauge-metric to find the number")
	}
	if g.pointer != "" && g.pointer[0] != '/' {
		return nil, usagef("--gauge-pointer %q is no JSON pointer: it begins with /, as in /streams/open", g.pointer)
	}
	u, err := parseURL(at(g.url))
	if err != nil {
		return nil, err
	}
	header, err := fields("gauge-header", g.header)
	if err != nil {
		return nil, err
	}
	return &conformance.GaugeSource{URL: u, Header: header, Pointer: g.pointer, Metric: g.metric}, nil
}

func optionalURL(raw string) (*url.URL, error) {
	if raw == "" {
		return nil, nil
	}
	return parseURL(raw)
}

// fields reads 'K: V' values of a flag.
func fields(flag string, values []string) (wire.Header, error) {
	var h wire.Header
	for _, v := range values {
		field, err := wire.ParseField(v)
		if err != nil {
			return nil, usagef("--%s %q: %v", flag, maskField(v), err)
		}
		h = append(h, field)
	}
	return h, nil
}
