package limits

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"

	"ssegauge/loadgen"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// contact is what the first streams told of the target.
type contact struct {
	dialer  *wire.Dialer // follows no redirects
	request *wire.Request
	proto   wire.Proto    // that streams are opened with by default
	h2      wire.Proto    // HTTP2 or H2C where the target speaks HTTP/2, else 0; over http:// asked for by prior knowledge
	h1      bool          // it speaks HTTP/1.1
	held    bool          // the head comes with the first event only: to open a stream is to publish
	head    *wire.Head    // nil: held
	took    time.Duration // until the head came
	finite  string        // why streams are taken to end by themselves; "": they stay open
	remote  netip.AddrPort
	bind    func(netip.Addr) dialFunc // how to connect from a local address
}

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// bound connects from a local address.
func bound(from netip.Addr) dialFunc {
	return (&net.Dialer{LocalAddr: &net.TCPAddr{IP: from.AsSlice(), Zone: from.Zone()}}).DialContext
}

const (
	// firstPatience is how long the first stream waits for its head before the target is taken for one that holds it until there is an event.
	firstPatience = 10 * time.Second
	// headPatience is how long an answer may take that is not known to take longer.
	headPatience = 3 * time.Second
)

// meet opens the first streams.
func meet(ctx context.Context, c *Config) (t contact, err error) {
	dialer, request, err := c.Plan.Targets[0].Open()
	if err != nil {
		return t, err
	}
	d := *dialer
	d.MaxRedirects, d.Record, d.Decode = 20, 0, false
	t.bind = bound
	unreachable := func(err error) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return &loadgen.UnreachableError{URL: result.Mask(request.URL.String()), Err: err}
	}
	conn, err := d.Dial(ctx, request.URL)
	if err != nil {
		return t, unreachable(err)
	}
	t.proto, t.request = conn.Proto(), request
	t.remote, _ = netip.ParseAddrPort(conn.RemoteAddr().String())
	conn.Close()

	d.HeadTimeout = min(d.HeadTimeout, firstPatience)
	s, err := d.Open(ctx, request)
	switch {
	case err == nil:
		defer s.Close()
		t.request, t.head, t.proto, t.took = s.Request, s.Head, s.Conn.Proto(), s.Timing.Head
		if f, bad := ofHead(s.Head); bad {
			return t, &AnswerError{result.Mask(request.URL.String()), f.Says}
		}
		if t.took > headPatience/3 { // the first answer of some takes longer than the next
			if again, err := d.Open(ctx, t.request); err == nil {
				t.took = min(t.took, again.Timing.Head)
				again.Close()
			}
		}
		if err := t.attend(ctx, c, &d, s); err != nil {
			return t, err
		}
	case !silent(err) || d.HeadTimeout < headPatience: // it may be slow
		var e *wire.Error
		if errors.As(err, &e) && (e.Phase == wire.PhaseHead || e.Phase == wire.PhaseRedirect) {
			return t, &AnswerError{result.Mask(request.URL.String()), result.Escape(e.Err.Error())}
		}
		return t, unreachable(err)
	default:
		t.held = true
	}
	d.HeadTimeout, d.MaxRedirects = dialer.HeadTimeout, 0
	if t.request.URL.Host != request.URL.Host {
		d.ConnectTo = ""
	}
	t.dialer = &d
	t.h1, t.h2 = t.proto == wire.HTTP11, t.proto
	if t.h1 {
		t.h2 = 0
	}
	t.other(ctx, dialer.Proto)
	return t, nil
}

// other finds out whether the target speaks the other version of HTTP as well, unless one was asked for.
func (t *contact) other(ctx context.Context, asked wire.Proto) {
	if asked != wire.Auto {
		return
	}
	d := *t.dialer
	d.HeadTimeout = min(d.HeadTimeout, headPatience)
	secure := t.request.URL.Scheme == "https"
	switch {
	case t.h1 && secure:
		return // ALPN would have chosen HTTP/2
	case t.h1:
		d.Proto = wire.H2C
	default:
		d.Proto = wire.HTTP11
	}
	conn, err := d.Dial(ctx, t.request.URL)
	if err != nil {
		return
	}
	defer conn.Close()
	if d.Proto == wire.H2C {
		ctx, cancel := context.WithTimeout(ctx, d.HeadTimeout)
		defer cancel()
		if _, err := conn.Ping(ctx); err == nil && conn.Peer().Seen {
			t.h2 = wire.H2C
		}
		return
	}
	t.h1 = conn.Proto() == wire.HTTP11
}

// proxyOf says by what an answer shows that it came through a proxy, and what is known of that; "" where nothing does.
func proxyOf(head *wire.Head) string {
	if head == nil {
		return ""
	}
	server := strings.ToLower(head.Header.Get("Server"))
	for _, known := range []struct{ server, says string }{
		{"nginx", "the Server is nginx, which gathers what it passes on unless told proxy_buffering off, or X-Accel-Buffering: no by the answer"},
		{"openresty", "the Server is OpenResty, which gathers what it passes on unless told proxy_buffering off, or X-Accel-Buffering: no by the answer"},
		{"cloudflare", "the Server is Cloudflare"},
		{"awselb", "the Server is a load balancer of AWS"},
		{"envoy", "the Server is Envoy"},
		{"istio-envoy", "the Server is Envoy"},
		{"akamai", "the Server is Akamai"},
		{"haproxy", "the Server is HAProxy"},
		{"caddy", "the Server is Caddy"},
		{"traefik", "the Server is Traefik"},
		{"varnish", "the Server is Varnish"},
	} {
		if strings.HasPrefix(server, known.server) {
			return known.says
		}
	}
	if via := head.Header.Get("Via"); via != "" {
		return "the answer came by way of " + short(via)
	}
	for _, name := range []string{"X-Cache", "CF-Ray", "X-Served-By", "X-Varnish", "X-Amz-Cf-Id", "X-Envoy-Upstream-Service-Time"} {
		if head.Header.Has(name) {
			return "the answer has the field " + name
		}
	}
	return ""
}
