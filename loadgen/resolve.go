package loadgen

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"strings"
	"time"

	"ssegauge/loadgen/engine"
	"ssegauge/loadgen/plan"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// headPatience is how long the first request waits for its head. Servers that hold the head until the first event are common (WSGI, buffering proxies), and no
// reason not to run.
const headPatience = 3 * time.Second

// resolve finds out how the targets are reached, unless that is known.
func (r *session) resolve(ctx context.Context) ([]engine.Target, error) {
	if r.known != nil && r.known.targets != nil {
		return slices.Clone(r.known.targets), nil
	}
	targets, err := resolve(ctx, r.plan, r.abrupt)
	if err == nil && r.known != nil {
		r.known.targets = slices.Clone(targets)
	}
	return targets, err
}

// resolve opens one stream of each target to learn what every later one needs: where redirects lead, which protocol is spoken, which addresses answer, and how many
// streams a connection may carry. abrupt: connections are reset when they are closed.
func resolve(ctx context.Context, p *plan.Plan, abrupt bool) ([]engine.Target, error) {
	targets := make([]engine.Target, len(p.Targets))
	for i := range p.Targets {
		d, _, err := p.Targets[i].Open()
		if err != nil {
			return nil, err
		}
		requests := p.Requests(i)
		r, err := requests.Of(p.Number(i))
		if err != nil {
			return nil, err
		}
		name := r.URL.String()
		if requests.URLVaries() {
			name = p.Targets[i].URL // what a row holds may be a credential
		}
		t, err := probe(ctx, d, r, result.Mask(name), min(p.Timeout, headPatience), p.Timeout, abrupt)
		if err != nil {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			return nil, err
		}
		if requests.Varies() {
			if requests, err = requests.Moved(r, t.Request); err != nil {
				return nil, err
			}
			t.Requests = func(n int) (*wire.Request, error) { return requests.Of(p.Number(n)) }
		}
		targets[i] = *t
	}
	return targets, nil
}

func probe(ctx context.Context, dialer *wire.Dialer, r *wire.Request, name string, patience, timeout time.Duration, abrupt bool) (*engine.Target, error) {
	d := *dialer
	d.MaxRedirects, d.Record = 20, 0
	t := &engine.Target{Request: r, Proto: d.Proto, Dial: d.NetDial, Abrupt: abrupt}
	if abrupt {
		d.NetDial = engine.Abrupt(d.NetDial)
	}
	unreachable := func(err error) error {
		return &UnreachableError{URL: name, Err: err}
	}

	// Connecting may take its time, a head may not: a connection first, then the stream.
	d.HeadTimeout = timeout
	conn, err := d.Dial(ctx, r.URL)
	if err != nil {
		return nil, unreachable(err)
	}
	t.Proto = conn.Proto()
	remote := conn.RemoteAddr().String()
	conn.Close()

	d.HeadTimeout = patience
	s, err := d.Open(ctx, r)
	switch {
	case err == nil:
		t.Request, t.Proto = s.Request, s.Conn.Proto()
		remote = s.Conn.RemoteAddr().String()
		if peer := s.Conn.Peer(); peer.Seen {
			t.PeerStreams = peer.MaxConcurrentStreams
		}
		s.Close()
	case ctx.Err() != nil:
		return nil, ctx.Err()
	default:
		var e *wire.Error
		var redirect *wire.RedirectError
		switch {
		case errors.As(err, &redirect):
			return nil, unreachable(err)
		case errors.As(err, &e) && (e.Phase == wire.PhaseConnect || e.Phase == wire.PhaseResolve || e.Phase == wire.PhaseTLS):
			return nil, unreachable(err)
		}
		// It answered wrongly or not yet: the run counts which.
	}
	if t.Request.URL.Scheme == "https" {
		t.TLS = clientTLS(d.TLS, t.Request.URL.Hostname(), t.Proto)
	}
	connectTo := ""
	if t.Request.URL.Host == r.URL.Host {
		connectTo = d.ConnectTo
	}
	if t.Addrs, t.Lookup, err = addresses(ctx, t.Request, connectTo, remote, t.Dial != nil); err != nil {
		return nil, unreachable(err)
	}
	return t, nil
}

func clientTLS(base *tls.Config, host string, proto wire.Proto) *tls.Config {
	cfg := new(tls.Config)
	if base != nil {
		cfg = base.Clone()
	}
	if cfg.ServerName == "" {
		cfg.ServerName = host
	}
	if cfg.NextProtos = []string{"http/1.1"}; proto == wire.HTTP2 {
		cfg.NextProtos = []string{"h2"}
	}
	return cfg
}

// addresses resolves once, within lookup, what all streams dial: every address of the family that answered, so that a name with several is shared out.
func addresses(ctx context.Context, r *wire.Request, connectTo, remote string, ownDial bool) (addrs []string, lookup time.Duration, err error) {
	host, port := r.URL.Hostname(), r.URL.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[r.URL.Scheme]
	}
	if connectTo != "" {
		if host, port, err = net.SplitHostPort(connectTo); err != nil {
			return nil, 0, err
		}
	}
	if ownDial || net.ParseIP(host) != nil {
		return []string{net.JoinHostPort(host, port)}, 0, nil
	}
	answered, _, err := net.SplitHostPort(remote)
	if err != nil {
		return []string{net.JoinHostPort(host, port)}, 0, nil
	}
	start := time.Now()
	ips, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return nil, 0, err
	}
	lookup = time.Since(start)
	for _, ip := range ips {
		if strings.Contains(ip, ":") == strings.Contains(answered, ":") {
			addrs = append(addrs, net.JoinHostPort(ip, port))
		}
	}
	if len(addrs) == 0 {
		addrs = []string{net.JoinHostPort(answered, port)}
	}
	return addrs, lookup, nil
}

func phaseOf(cause string) wire.Phase {
	phase, _, _ := strings.Cut(cause, ":")
	return wire.Phase(phase)
}
