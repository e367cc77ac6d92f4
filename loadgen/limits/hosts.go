package limits

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// browserConns is how many HTTP/1.1 connections a browser holds to a host, all its tabs together: what Chromium, Firefox and Safari agree on.
const browserConns = 6

// mostConns is up to how many the target is tried: those of two browsers behind one address.
const mostConns = 2 * browserConns

// hostPatience is how long one of the first streams is waited for: one that went before may still be held by a target that has few.
const hostPatience = 10 * time.Second

// hostWatch is how long the six are watched for one that ends.
const hostWatch = 20 * time.Second

// What the probe h1-hosts says.
var (
	h1Conns   = kind{"h1/connections-per-host", "connections to one host, as a browser opens them", "connections"}
	h1Seventh = kind{"h1/seventh-wait", "time that a browser's seventh stream waits", "s"}
)

// hostTries is how often one of the first streams is asked for in hostPatience: after 1, 2 and 4 s again.
const hostTries = 4

func hostRequests(*Session, time.Duration) int {
	return hostTries*(browserConns+1) + 1 + 2*browserConns
}

// hosts opens streams as a browser does over HTTP/1.1, each on a connection of its own, and no more than six to a host. The seventh is not asked for before one of the six has ended,
// which is waited for. Then, past what a browser does, it is tried whether the target serves more.
func hosts(ctx context.Context, s *Session) []result.Limit {
	if l, ok := s.noHosts(ctx); !ok {
		return l
	}
	ctx, cancel := s.within(ctx)
	defer cancel()
	h := &tabs{session: s}
	defer h.close()
	var no Fingerprint
	for len(h.open) < browserConns && no.Cause == "" && ctx.Err() == nil {
		no = h.await(ctx, hostPatience)
		s.Note("%d streams on as many connections", len(h.open))
	}
	n := len(h.open)
	switch {
	case n == 0 && s.target.held && s.config.Publisher == nil:
		const why = "the head of a response comes with the first event only, and nothing can be published"
		return []result.Limit{h1Conns.undecided("--publish", why), h1Seventh.undecided("--publish", why)}
	case n == 0 || n < browserConns && (ctx.Err() != nil || no.Owner == result.OwnerGenerator):
		why := fmt.Sprintf("of %d streams %d were opened; %s", browserConns, n, cmp.Or(no.Says, "the search ended before"))
		return []result.Limit{h1Conns.undecided("", "%s", why), h1Seventh.undecided("", "%s", why)}
	case n < browserConns:
		return h.few(ctx, no)
	}
	all := time.Now()
	first := h.ended(ctx, min(hostWatch, s.left()/2))
	seventh := h.seventh(ctx, all, first)
	return []result.Limit{h1Conns.found(browserConns, browserConns, result.OwnerBrowser, "the browser's limit: six to a host, all tabs together; %s", h.past(ctx)), seventh}
}

// noHosts tells where no browser holds six connections, or it was not asked for.
func (s *Session) noHosts(ctx context.Context) (out []result.Limit, applies bool) {
	both := func(f func(kind) result.Limit) ([]result.Limit, bool) {
		return []result.Limit{f(h1Conns), f(h1Seventh)}, false
	}
	switch {
	case s.target.request.URL.Scheme == "https":
		p := s.target.proto
		if p == wire.HTTP11 {
			d := *s.target.dialer
			d.Proto = wire.Auto
			if conn, err := d.Dial(ctx, s.target.request.URL); err == nil {
				p = conn.Proto()
				conn.Close()
			}
		}
		if p == wire.HTTP2 {
			return both(func(k kind) result.Limit {
				return k.inapplicable("browsers take HTTP/2 here, where they open one connection and not six")
			})
		}
	case s.target.proto == wire.H2C:
		return both(func(k kind) result.Limit {
			return k.undecided("--http auto", "HTTP/1.1 was not tried: HTTP/2 in the clear was asked for, which no browser speaks")
		})
	}
	return nil, true
}

// tabs are streams each on a connection of its own, as those of the tabs of a browser.
type tabs struct {
	session *Session
	open    []*Listener
}

func (h *tabs) close() {
	for _, l := range h.open {
		l.Close()
	}
	h.open = nil
}

// alive forgets the streams that ended, and counts the others: what ends others as it is opened has done so by then.
func (h *tabs) alive(ctx context.Context) int {
	pause(ctx, settle)
	h.open = slices.DeleteFunc(h.open, func(l *Listener) bool {
		if !l.Alive() {
			l.Close()
			return true
		}
		return false
	})
	return len(h.open)
}

// ask opens one more stream, and waits so long for it. It returns why there is none.
func (h *tabs) ask(ctx context.Context, patience time.Duration) (no Fingerprint) {
	s := h.session
	opening, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := s.dial(opening, wire.HTTP11)
	if err == nil {
		var l *Listener
		if l, err = s.openOn(opening, conn); err == nil {
			l.owns = true
			h.open = append(h.open, l)
			return Fingerprint{}
		}
		conn.Close()
	}
	switch {
	case ctx.Err() != nil:
		return Fingerprint{Cause: notAnswered, Says: "the search ended before the next was answered"}
	case opening.Err() != nil, silent(err):
		return Fingerprint{Cause: notAnswered, Owner: result.OwnerTarget, Says: "not answered within " + patience.Round(100*time.Millisecond).String()}
	}
	return printOf(err)
}

// await asks until it gets one, for so long.
func (h *tabs) await(ctx context.Context, patience time.Duration) (no Fingerprint) {
	end := time.Now().Add(patience)
	for tried := range hostTries {
		no = h.ask(ctx, max(time.Until(end), time.Second))
		if no.Cause == "" || no.Owner == result.OwnerGenerator || time.Until(end) < time.Second || ctx.Err() != nil {
			break
		}
		pause(ctx, time.Second<<tried)
	}
	return no
}

// few says that the target serves fewer than a browser opens, and looks whether the next is served when one is closed.
func (h *tabs) few(ctx context.Context, no Fingerprint) []result.Limit {
	n := len(h.open)
	h.open[0].Close()
	h.open = h.open[1:]
	began := time.Now()
	after := "; nor was it when one was closed"
	if h.await(ctx, hostPatience).Cause == "" {
		after = fmt.Sprintf("; it was served %s after one was closed", result.Micros(float64(time.Since(began).Microseconds())))
	}
	return []result.Limit{
		h1Conns.found(float64(n), float64(n), cmp.Or(no.Owner, result.OwnerTarget), "of the six that a browser opens the target serves %d at once; the next: %s%s", n, no.Says, after),
		h1Seventh.inapplicable("the target serves fewer than six streams at once: no browser comes to a seventh"),
	}
}

// ended waits for one of the streams to end, and returns what is known of the first that did; zero where none does.
func (h *tabs) ended(ctx context.Context, within time.Duration) (first Facts) {
	h.session.Note("six are open; waiting for one that ends")
	waiting, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	any := make(chan struct{}, len(h.open))
	for _, l := range h.open {
		go func() {
			select {
			case <-l.Done():
				any <- struct{}{}
			case <-waiting.Done():
			}
		}()
	}
	select {
	case <-any:
	case <-waiting.Done():
	}
	for _, l := range h.open {
		if f := l.Facts(); !f.Ended.IsZero() && (first.Ended.IsZero() || f.Ended.Before(first.Ended)) {
			first = f
		}
	}
	return first
}

// seventh says how long the seventh waits that is asked for when all six are open: until first ended, or one was closed by us.
func (h *tabs) seventh(ctx context.Context, all time.Time, first Facts) result.Limit {
	watched := time.Since(all)
	by := "one was closed"
	if first.Ended.IsZero() {
		h.open[0].Close()
	} else {
		by = "one ended"
	}
	began := time.Now()
	no := h.ask(ctx, hostPatience)
	after := fmt.Sprintf("; it is served %s after %s", result.Micros(float64(time.Since(began).Microseconds())), by)
	switch {
	case ctx.Err() != nil:
		after = ""
	case no.Cause != "":
		after = fmt.Sprintf("; when %s it is not: %s", by, no.Says)
	}
	if !first.Ended.IsZero() {
		waits := max(0, first.Ended.Sub(all)).Seconds()
		return h1Seventh.found(waits, waits, result.OwnerBrowser, "one of the six ended by itself %s after it was opened%s", first.Ended.Sub(first.Opened).Round(time.Millisecond), after)
	}
	if ctx.Err() != nil {
		return h1Seventh.undecided("--budget", "the search ended before it was known whether one of the six ends")
	}
	l := h1Seventh.found(watched.Seconds(), 0, result.OwnerBrowser, "none of the six ended by itself within %s: without that it waits for ever%s", watched.Round(100*time.Millisecond), after)
	l.High = nil
	return l
}

// past opens more than a browser does and says how many the target serves.
func (h *tabs) past(ctx context.Context) string {
	most := h.alive(ctx)
	for range mostConns - most {
		no := h.ask(ctx, quiet)
		if no.Cause != "" && no.Cause != notAnswered {
			no = h.ask(ctx, quiet)
		}
		if ctx.Err() != nil {
			break
		}
		if no.Cause != "" {
			return fmt.Sprintf("%d were open at once at the target; the next: %s", most, no.Says)
		}
		most = max(most, h.alive(ctx))
	}
	if most < browserConns {
		return "at the target no more than " + result.Plural(int64(most), "stream") + " open at once, for streams end by themselves"
	}
	return fmt.Sprintf("%d were open at once at the target", most)
}
