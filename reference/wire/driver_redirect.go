package wire

import (
	"context"
	"net/url"
	"slices"
	"strings"
)

// RedirectKind says why a redirect was not followed.
type RedirectKind uint8

// The kinds.
const (
	RedirectNoLocation    RedirectKind = iota // there is no Location field
	RedirectEmptyLocation                     // it is empty
	RedirectBadLocation                       // it is no URL
	RedirectScheme                            // it leads away from http and https
	RedirectLoop                              // it leads to where the request has been
	RedirectLimit                             // there were MaxRedirects before it
)

// RedirectError is the cause where a redirect cannot be followed; the Error that wraps it holds the head and the hops.
type RedirectError struct {
	Kind     RedirectKind
	Status   int
	Location string // as sent
}

func (e *RedirectError) Error() string {
	what := map[RedirectKind]string{
		RedirectNoLocation:    "without a Location",
		RedirectEmptyLocation: "with an empty Location",
		RedirectBadLocation:   "to what is not a URL: ",
		RedirectScheme:        "to another scheme than http and https: ",
		RedirectLoop:          "in a loop, to ",
		RedirectLimit:         "past the limit, to ",
	}[e.Kind]
	if e.Location != "" {
		what += quote(e.Location)
	}
	return "redirect " + what
}

// Open dials, sends r, follows redirects as configured, and returns at the final head. ctx governs the stream to its end.
// The connection belongs to the stream: Stream.Close closes it.
func (d *Dialer) Open(ctx context.Context, r *Request) (*Stream, error) {
	if err := r.check(); err != nil {
		e := &Error{Phase: PhaseResolve, Err: err}
		if r.URL != nil {
			e.Addr = r.URL.Redacted()
		}
		return nil, e
	}
	var hops []Hop
	origin := originOf(r.URL)
	seen := map[string]bool{visit(r): true}
	for {
		connectTo := ""
		if originOf(r.URL) == origin {
			connectTo = d.ConnectTo
		}
		s, err := d.openOne(ctx, r, connectTo)
		if err != nil {
			err.Hops = hops
			return nil, err
		}
		if s.Hops = hops; d.MaxRedirects <= 0 || !isRedirect(s.Head.Status) {
			return s, nil
		}
		s.Close()
		next, kind, ok := redirected(r, s.Head)
		if ok && len(hops) >= d.MaxRedirects {
			kind, ok = RedirectLimit, false
		} else if ok && seen[visit(next)] {
			kind, ok = RedirectLoop, false
		}
		if !ok {
			e := s.Conn.error(ctx, PhaseRedirect, &RedirectError{kind, s.Head.Status, s.Head.Header.Get("Location")})
			e.Addr, e.Timing, e.Head, e.Hops = r.URL.Redacted(), s.Timing, s.Head, hops
			return nil, e
		}
		hops = append(hops, Hop{URL: r.URL, Head: s.Head, Timing: s.Timing, Transcript: s.Conn.record})
		r = next
		seen[visit(r)] = true
	}
}

// openOne is one hop.
func (d *Dialer) openOne(ctx context.Context, r *Request, connectTo string) (*Stream, *Error) {
	head, cancel := d.headContext(ctx)
	defer cancel()
	c, err := d.dial(head, r.URL, connectTo)
	if err != nil {
		return nil, err.(*Error)
	}
	s, err := c.open(ctx, head, r)
	if err != nil {
		c.abort()
		return nil, err.(*Error)
	}
	s.owns = true
	return s, nil
}

func isRedirect(status int) bool {
	return status == 301 || status == 302 || status == 303 || status == 307 || status == 308
}

// visit identifies a request for the detection of loops. Nothing the driver keeps changes from hop to hop (there is no cookie jar), so to come
// back is to go round for ever.
func visit(r *Request) string {
	u := *r.URL
	u.Fragment, u.RawFragment = "", ""
	return r.method() + " " + u.String()
}

// originOf is the scheme, host and port of u.
func originOf(u *url.URL) string {
	host, err := hostPort(u)
	if err != nil {
		host = u.Host
	}
	return u.Scheme + "://" + strings.ToLower(host)
}

// redirected is the request that a redirect asks for (Fetch, "HTTP-redirect fetch").
func redirected(r *Request, h *Head) (*Request, RedirectKind, bool) {
	if !h.Header.Has("Location") {
		return nil, RedirectNoLocation, false
	}
	location := h.Header.Get("Location")
	if location == "" {
		return nil, RedirectEmptyLocation, false
	}
	u, err := r.URL.Parse(location)
	if err != nil {
		return nil, RedirectBadLocation, false
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return nil, RedirectScheme, false
	}
	if u.Hostname() == "" {
		return nil, RedirectBadLocation, false
	}
	next := *r
	next.URL = u
	m := r.method()
	if (h.Status == 301 || h.Status == 302) && m == "POST" || h.Status == 303 && m != "GET" && m != "HEAD" {
		next.Method, next.Body = "GET", nil
		next.Header = without(r.Header, "Content-Encoding", "Content-Language", "Content-Length", "Content-Location", "Content-Type", "Transfer-Encoding")
	}
	if originOf(u) != originOf(r.URL) {
		next.Header = without(next.Header, "Authorization", "Proxy-Authorization", "Cookie", "Host")
	} else if u.User == nil {
		u.User = r.URL.User // credentials of the URL hold for its origin
	}
	return &next, 0, true
}

func without(h Header, names ...string) Header {
	return slices.DeleteFunc(slices.Clone(h), func(f Field) bool {
		return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, f.Name) })
	})
}
