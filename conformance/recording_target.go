package conformance

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"ssegauge/reference/publish"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// recordedTarget is a [Target] as it stands in a file, credentials masked.
type recordedTarget struct {
	URL          string           `json:"url"`
	Method       string           `json:"method,omitempty"`
	Header       [][2]string      `json:"header"`
	Body         string           `json:"body,omitempty"`
	HTTP         string           `json:"http"`
	ConnectTo    string           `json:"connect_to,omitempty"`
	Window       time.Duration    `json:"window_ns"`
	HeadBudget   time.Duration    `json:"head_budget_ns"`
	ExpectReplay bool             `json:"expect_replay,omitempty"`
	Active       bool             `json:"active,omitempty"`
	Slack        int              `json:"slack,omitempty"` // bytes that the path holds for a client that does not read
	Hook         *recordedHook    `json:"publish,omitempty"`
	ScenarioURL  string           `json:"scenario_url,omitempty"`
	DirectURL    string           `json:"direct_url,omitempty"`
	Kill         bool             `json:"kill,omitempty"`
	Restart      bool             `json:"restart,omitempty"`
	Gauge        *recordedGauge   `json:"gauge,omitempty"`
	Declared     recordedDeclared `json:"declared"`
}

type recordedHook struct {
	HTTP    string   `json:"http,omitempty"`
	Header  []string `json:"header,omitempty"`
	Body    string   `json:"body,omitempty"`
	Command bool     `json:"command,omitempty"` // what it was is nobody's business
}

type recordedGauge struct {
	URL     string      `json:"url"`
	Header  [][2]string `json:"header,omitempty"`
	Pointer string      `json:"pointer,omitempty"`
	Metric  string      `json:"metric,omitempty"`
}

type recordedDeclared struct {
	Finite      bool          `json:"finite,omitempty"`
	Heartbeat   time.Duration `json:"heartbeat_ns,omitempty"`
	Window      int           `json:"replay_window,omitempty"`
	UnknownID   string        `json:"replay_unknown_id,omitempty"`
	Events      []string      `json:"events,omitempty"`
	CORS        []string      `json:"cors,omitempty"`
	SameOrigin  bool          `json:"same_origin,omitempty"`
	Auth        string        `json:"auth,omitempty"`
	Capacity    int           `json:"capacity,omitempty"`
	Methods     []string      `json:"methods,omitempty"`
	ErrorURL    string        `json:"error_url,omitempty"`
	OtherURL    string        `json:"other_url,omitempty"`
	OtherHeader [][2]string   `json:"other_header,omitempty"`
	QueryParam  string        `json:"query_param,omitempty"`
	CDN         bool          `json:"cdn,omitempty"`
}

func recordTarget(t *Target) recordedTarget {
	d := &t.Declared
	r := recordedTarget{
		URL: maskedURL(t.Request.URL), Method: t.Request.Method, Header: maskedHeader(t.Request.Header), Body: result.MaskBody(string(t.Request.Body)),
		HTTP: t.Dialer.Proto.String(), ConnectTo: t.Dialer.ConnectTo, Window: t.Window, HeadBudget: t.HeadBudget, ExpectReplay: t.ExpectReplay, Active: t.Active,
		ScenarioURL: result.Mask(t.ScenarioURL), DirectURL: maskedURL(t.DirectURL), Kill: t.Kill != nil, Restart: t.Restart != nil,
		Declared: recordedDeclared{
			d.Finite, d.Heartbeat, d.Replay.Window, d.Replay.UnknownID, d.Events, d.CORS, d.SameOrigin, d.Auth, d.Capacity, d.Methods,
			maskedURL(d.ErrorURL), maskedURL(d.OtherURL), maskedHeader(d.OtherHeader), d.QueryParam, d.CDN,
		},
	}
	if g := t.Gauge; g != nil {
		r.Gauge = &recordedGauge{maskedURL(g.URL), maskedHeader(g.Header), g.Pointer, g.Metric}
	}
	if t.Publisher != nil {
		h := t.Publisher.Hook()
		r.Hook = &recordedHook{Command: h.Command != ""}
		if !r.Hook.Command {
			method, to, _ := strings.Cut(h.HTTP, " ")
			r.Hook.HTTP, r.Hook.Body = method+" "+result.Mask(strings.TrimSpace(to)), result.MaskBody(h.Body)
			for _, line := range h.Header {
				name, value, _ := strings.Cut(line, ":")
				r.Hook.Header = append(r.Hook.Header, name+": "+result.MaskHeader(name, strings.TrimSpace(value)))
			}
		}
	}
	return r
}

func maskedURL(u *url.URL) string {
	if u == nil {
		return ""
	}
	return result.Mask(u.String())
}

func maskedHeader(h wire.Header) [][2]string {
	out := make([][2]string, len(h))
	for i, f := range h {
		out[i] = [2]string{f.Name, result.MaskHeader(f.Name, f.Value)}
	}
	return out
}

// requestText is a request as it is recorded and found again: what is asked, credentials masked. Masked again it is the same.
func requestText(r *wire.Request) string {
	method := r.Method
	if method == "" {
		method = "GET"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", result.Literal([]byte(method)), result.Literal([]byte(maskedURL(r.URL))))
	if r.HTTP10 {
		b.WriteString(" HTTP/1.0")
	}
	for _, f := range maskedHeader(r.Header) {
		fmt.Fprintf(&b, "\n%s: %s", result.Literal([]byte(f[0])), result.Literal([]byte(f[1])))
	}
	if len(r.Body) > 0 {
		b.WriteString("\n\n" + result.Literal([]byte(result.MaskBody(string(r.Body)))))
	}
	return b.String()
}

// target makes a [Target] of it again, without any way to reach one.
func (r *recordedTarget) target() (Target, error) {
	var bad error
	parse := func(raw string) *url.URL {
		if raw == "" {
			return nil
		}
		u, err := url.Parse(raw)
		if err != nil && bad == nil {
			bad = fmt.Errorf("a URL that is none: %q", result.Escape(raw))
		}
		return u
	}
	header := func(list [][2]string) wire.Header {
		var h wire.Header
		for _, f := range list {
			h = append(h, wire.Field{Name: f[0], Value: f[1]})
		}
		return h
	}
	d := &r.Declared
	t := Target{
		Request: wire.Request{URL: parse(r.URL), Method: r.Method, Header: header(r.Header), Body: []byte(r.Body)},
		Dialer:  wire.Dialer{ConnectTo: r.ConnectTo}, Window: r.Window, HeadBudget: r.HeadBudget, ExpectReplay: r.ExpectReplay, Active: r.Active,
		ScenarioURL: r.ScenarioURL, DirectURL: parse(r.DirectURL),
		Declared: Declared{
			d.Finite, d.Heartbeat,
			Replay{d.Window, d.UnknownID},
			d.Events, d.CORS, d.SameOrigin, d.Auth, d.Capacity, d.Methods,
			parse(d.ErrorURL), parse(d.OtherURL), header(d.OtherHeader), d.QueryParam, d.CDN,
		},
	}
	for _, p := range []wire.Proto{wire.Auto, wire.HTTP11, wire.HTTP2, wire.H2C} {
		if p.String() == r.HTTP {
			t.Dialer.Proto = p
		}
	}
	if g := r.Gauge; g != nil {
		t.Gauge = &GaugeSource{URL: parse(g.URL), Header: header(g.Header), Pointer: g.Pointer, Metric: g.Metric}
	}
	if h := r.Hook; h != nil {
		hook := publish.Hook{HTTP: h.HTTP, Header: h.Header, Body: h.Body}
		if h.Command {
			hook = publish.Hook{Command: "false"} // it is never run
		}
		var err error
		if t.Publisher, err = publish.Compile(hook); err != nil && bad == nil {
			bad = err
		}
	}
	switch {
	case bad != nil:
	case t.Request.URL == nil:
		bad = fmt.Errorf("there is no URL of a target")
	case t.Window <= 0 || t.Window > 24*time.Hour:
		bad = fmt.Errorf("a window of %v", t.Window)
	}
	return t, bad
}
