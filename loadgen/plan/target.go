package plan

import (
	"fmt"
	"net/url"
	"os"
	"strings"

	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// ParseProto reads the name of a protocol: auto, 1.1, 2 or h2c.
func ParseProto(name string) (wire.Proto, error) {
	switch name {
	case "", "auto":
		return wire.Auto, nil
	case "1.1":
		return wire.HTTP11, nil
	case "2", "h2":
		return wire.HTTP2, nil
	case "h2c":
		return wire.H2C, nil
	}
	return 0, fmt.Errorf("%s; want auto, 1.1, 2 or h2c", quote(name))
}

// Open is how the target is reached, and the request that opens a stream of it.
func (t *Target) Open() (*wire.Dialer, *wire.Request, error) {
	if t.Request != nil && t.Dialer != nil {
		return t.Dialer, t.Request, nil
	}
	proto, err := ParseProto(t.HTTP)
	if err != nil {
		return nil, nil, err
	}
	cfg, err := wire.TLSFiles{Insecure: t.Insecure, CACert: t.CACert, Cert: t.Cert, Key: t.Key}.Config()
	if err != nil {
		return nil, nil, &Error{"targets", err.Error()}
	}
	r, err := t.request()
	if err != nil {
		return nil, nil, err
	}
	return &wire.Dialer{Proto: proto, TLS: cfg, ConnectTo: t.ConnectTo}, r, nil
}

func (t *Target) method() string {
	switch {
	case t.Request != nil:
		return orDefault(t.Request.Method, "GET")
	case t.Method == "" && t.Body != "":
		return "POST"
	}
	return orDefault(t.Method, "GET")
}

func (t *Target) request() (*wire.Request, error) {
	u, err := url.Parse(Plain(t.URL))
	if err != nil {
		return nil, &Error{"targets.url", "not a URL"}
	}
	u.Fragment = ""
	h, err := parseHeader(t.Header)
	if err != nil {
		return nil, &Error{"targets.header", err.Error()}
	}
	for _, f := range []wire.Field{{Name: "Accept", Value: "text/event-stream"}, {Name: "Cache-Control", Value: "no-store"}, {Name: "User-Agent", Value: "ssegauge"}} {
		if h.Get(f.Name) == "" {
			h = append(h, f)
		}
	}
	body := []byte(t.Body)
	if name, isFile := strings.CutPrefix(t.Body, "@"); isFile {
		if body, err = os.ReadFile(name); err != nil {
			return nil, &Error{"targets.body", err.Error()}
		}
	}
	return &wire.Request{Method: t.method(), URL: u, Header: h, Body: body}, nil
}

func parseHeader(lines []string) (wire.Header, error) {
	var h wire.Header
	for i, l := range lines {
		f, err := wire.ParseField(l)
		if err != nil {
			return nil, fmt.Errorf("number %d: %w", i+1, err)
		}
		h = append(h, f)
	}
	return h, nil
}

func maskHeader(lines []string) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		name, value, _ := strings.Cut(l, ":")
		out[i] = name + ": " + result.MaskHeader(name, strings.TrimSpace(value))
	}
	return out
}

func orDefault(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

// Map is the plan as a report shows it, credentials masked.
func (p *Plan) Map() map[string]any {
	targets := make([]any, len(p.Targets))
	for i, t := range p.Targets {
		m := map[string]any{"url": result.Mask(t.URL), "http": orDefault(t.HTTP, "auto"), "method": t.method()}
		if len(t.Header) > 0 {
			m["header"] = maskHeader(t.Header)
		}
		targets[i] = m
	}
	m := map[string]any{
		"targets": targets, "streams": p.Streams, "ramp": max(0, p.RampTime()).String(), "duration": p.Hold.String(),
		"streams_per_conn": p.StreamsPerConn, "timeout": p.Timeout.String(), "segment": p.Segment.String(),
	}
	if p.IsFinite() {
		m["finite"] = true
	}
	if v := p.Variables; v != nil {
		m["variables"] = map[string]any{"file": v.File, "order": v.Order}
	}
	if p.Engine != "" {
		m["engine"] = p.Engine
	}
	if len(p.Sources) > 0 {
		m["sources"] = p.Sources
	}
	if p.OpenRate > 0 {
		m["open_rate"] = p.OpenRate.String()
	}
	if p.Arrival == Poisson {
		m["arrival"], m["seed"] = p.Arrival, p.Seed
	}
	p.timestampMap(m)
	if len(p.Thresholds) > 0 {
		m["thresholds"] = p.Thresholds
	}
	if len(p.Stages) > 0 {
		var l []any
		for _, s := range p.Stages {
			l = append(l, map[string]any{"streams": s.Streams, "over": s.Over.String(), "hold": s.Hold.String()})
		}
		m["stages"] = l
	}
	p.lifeMap(m)
	if pub := p.Publish; pub != nil {
		h := map[string]any{
			"rate": pub.Rate.String(), "settle": pub.Settle.String(), "deadline": pub.Deadline.String(),
			"in_flight": pub.InFlight, "size": pub.Size, "warm_up": pub.WarmUp.String(),
		}
		if pub.Arrival == Poisson {
			h["arrival"], m["seed"] = pub.Arrival, p.Seed
		}
		if pub.HTTP != "" {
			h["http"] = result.MaskText(pub.HTTP)
		}
		if len(pub.Header) > 0 {
			h["header"] = maskHeader(pub.Header)
		}
		if pub.Command != "" {
			h["command"] = result.MaskText(pub.Command)
		}
		if pub.Stdin != "" {
			h["stdin"] = result.MaskText(pub.Stdin)
		}
		if pub.Protocol != "" && pub.Protocol != "auto" {
			h["protocol"] = pub.Protocol
		}
		m["publish"] = h
	}
	return m
}
