package limits

import (
	"context"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ssegauge/reference/wire"
)

// few serves no more than n streams at once: another waits until there is a place, or is answered with a status.
func few(n, status int) http.HandlerFunc {
	made := sync.OnceValue(func() chan struct{} { return make(chan struct{}, n) }) // in the bubble of the first request
	return func(w http.ResponseWriter, r *http.Request) {
		places := made()
		select {
		case places <- struct{}{}:
		default:
			if status > 0 {
				http.Error(w, "", status)
				return
			}
			select {
			case places <- struct{}{}:
			case <-r.Context().Done():
				return
			}
		}
		defer func() { <-places }()
		stream(w, r)
	}
}

// brief ends streams after d.
func brief(d time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
		case <-time.After(d):
		}
	}
}

// single ends a stream as the next is opened.
func single() http.HandlerFunc {
	var mu sync.Mutex
	leave := func() {}
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		mu.Lock()
		leave()
		leave = cancel
		mu.Unlock()
		stream(w, r.WithContext(ctx))
	}
}

// held keeps the head of a stream until it is closed.
func held(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func TestHosts(t *testing.T) {
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		proto   wire.Proto
		budget  time.Duration
		want    []string
	}{
		"streams stay": {stream, wire.HTTP11, 0, []string{
			"h1/connections-per-host found 6..6 browser: the browser's limit: six to a host, all tabs together; 12 were open at once at the target",
			"h1/seventh-wait found 20..- browser: none of the six ended by itself within 20s: without that it waits for ever; it is served 0 µs after one was closed",
		}},
		"streams end": {brief(7 * time.Second), wire.HTTP11, 0, []string{
			"h1/connections-per-host found 6..6", "h1/seventh-wait found 7..7 browser: one of the six ended by itself 7s after it was opened; it is served 0 µs after one ended",
		}},
		"streams end at once": {brief(0), wire.HTTP11, 0, []string{
			"h1/connections-per-host found 6..6", "h1/seventh-wait found 0..0 browser: one of the six ended by itself 0s after it was opened",
		}},
		"one ends the other": {single(), wire.HTTP11, 0, []string{
			"h1/connections-per-host found 6..6 browser: the browser's limit: six to a host, all tabs together; at the target no more than 1 stream open at once, for streams end by themselves",
			"h1/seventh-wait found 0..0 browser: one of the six ended by itself 0s after it was opened",
		}},
		"one worker": {few(1, 0), wire.HTTP11, 0, []string{
			"h1/connections-per-host found 1..1 target: of the six that a browser opens the target serves 1 at once; the next: not answered within 10s; it was served 0 µs after one was closed",
			"h1/seventh-wait not-applicable",
		}},
		"four, and 503": {few(4, 503), wire.HTTP11, 0, []string{
			"h1/connections-per-host found 4..4 target ... the next: answered 503 Service Unavailable; it was served", "h1/seventh-wait not-applicable",
		}},
		"six": {few(6, 0), wire.HTTP11, 0, []string{
			"h1/connections-per-host found 6..6 browser: the browser's limit ... 6 were open at once at the target; the next: not answered within 2s", "h1/seventh-wait found 20..- ... it is served 0 µs after one was closed",
		}},
		"eight, and 503": {few(8, 503), wire.HTTP11, 0, []string{
			"h1/connections-per-host found 6..6 browser: the browser's limit ... 8 were open at once at the target; the next: answered 503", "h1/seventh-wait found 20..-",
		}},
		"no time": {few(1, 0), wire.HTTP11, 2 * time.Second, []string{
			"h1/connections-per-host undecided -..-: of 6 streams 1 were opened; the search ended before the next was answered", "h1/seventh-wait undecided",
		}},
		"little time": {stream, wire.HTTP11, 2 * time.Second, []string{"h1/connections-per-host found 6..6", "h1/seventh-wait found 1..-"}},
		"no heads":    {held, wire.HTTP11, 0, []string{"h1/connections-per-host undecided -..- --publish", "h1/seventh-wait undecided -..- --publish"}},
		"h2c":         {stream, wire.H2C, 0, []string{"h1/connections-per-host undecided -..- --http auto", "h1/seventh-wait undecided -..- --http auto"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := &http.Server{Handler: c.handler, Protocols: new(http.Protocols)}
				server.Protocols.SetHTTP1(true)
				server.Protocols.SetUnencryptedHTTP2(true)
				d := &wire.Dialer{Proto: c.proto, NetDial: serving(t, server).dial}
				hold(t, search(t, d, nil, Config{Probes: []string{"h1-hosts"}, Budget: c.budget}).Limits, c.want...)
			})
		})
	}
}

// TestHostsOverTLS: where browsers take HTTP/2 there are no six connections.
func TestHostsOverTLS(t *testing.T) {
	s := &Session{Search: &Search{target: contact{
		dialer: new(wire.Dialer), request: &wire.Request{URL: &url.URL{Scheme: "https", Host: "target"}}, proto: wire.HTTP2, h1: true, h2: wire.HTTP2,
	}}}
	hold(t, hosts(t.Context(), s), "h1/connections-per-host not-applicable -..-: browsers take HTTP/2 here", "h1/seventh-wait not-applicable")
}
