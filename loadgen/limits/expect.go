package limits

import (
	"cmp"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"ssegauge/reports/result"
)

// Streams that Chromium opens on an HTTP/2 connection, all tabs together (net/spdy: kInitialMaxConcurrentStreams, kMaxConcurrentStreamLimit): so many where SETTINGS name no
// limit, and never more than so many.
const (
	chromiumUntold = 100
	chromiumMost   = 256
)

// expect says what to expect in production, of the limits that were decided: one paragraph, from what a single client meets to what only many do. The last sentence names the flags
// that would decide the others.
func expect(all []result.Limit) []string {
	e := expectation{}
	for i := range all {
		e[all[i].ID] = &all[i]
	}
	out := []string{}
	for _, say := range []func() string{
		e.tabs, e.places, e.quiet, e.dead, e.lifetime, e.buffer, e.eventSize, e.unread, e.beside, e.perClient, e.total, e.knee, e.burst, e.restored, e.replay, e.requests, e.resets,
	} {
		if s := say(); s != "" {
			out = append(out, s)
		}
	}
	for i := range all { // what has no sentence of its own
		if l := &all[i]; !slices.ContainsFunc(spokenOf, func(id string) bool { return strings.HasPrefix(l.ID, id) }) && e.met(l.ID) != nil {
			out = append(out, fmt.Sprintf("%s: %s.", capital(l.Title), l.Shown()))
		}
	}
	if len(out) == 0 && slices.ContainsFunc(all, func(l result.Limit) bool { return l.Verdict == result.LimitNone }) {
		out = append(out, "No limit was met by what was tried.")
	}
	if s := deciders(all); s != "" {
		out = append(out, s)
	}
	return out
}

// spokenOf are the limits, by the beginnings of their ids, of which sentences of their own are made, where there is something to say.
var spokenOf = []string{"h1/", "h2/", "conn/", "event/", "buffering/", "slow/", "idle/", "lifetime/", "streams/", "storm/"}

// expectation is what was found, by id.
type expectation map[string]*result.Limit

// met is a limit that was found, and is not this machine's; nil: it was not.
func (e expectation) met(id string) *result.Limit {
	if l := e[id]; l != nil && l.Verdict == result.LimitFound && l.Owner != result.OwnerGenerator && l.Low != nil {
		return l
	}
	return nil
}

func (e expectation) is(id, verdict string) bool { return e[id] != nil && e[id].Verdict == verdict }

// tabs says how many streams a browser has open at once.
func (e expectation) tabs() string {
	if e.is(h1Conns.id, result.LimitNotApplicable) {
		return e.browser()
	}
	parts := slices.DeleteFunc([]string{e.six(), e.onH2()}, func(s string) bool { return s == "" })
	if len(parts) == 0 {
		return ""
	}
	return capital(strings.Join(parts, "; ")) + "."
}

// six is what becomes of the seventh over HTTP/1.1.
func (e expectation) six() string {
	conns, wait := e.met(h1Conns.id), e.met(h1Seventh.id)
	switch {
	case conns == nil:
		return ""
	case conns.Owner != result.OwnerBrowser:
		return fmt.Sprintf("%s at once over HTTP/1.1, fewer than the six of a browser; the next %s", areServed(*conns.Low), whatThen(conns, "waits"))
	case wait == nil:
		return "a tab that opens a seventh stream over HTTP/1.1 will wait until one of the six others is closed"
	case wait.High != nil && *wait.High < 0.5:
		return "" // streams come and go
	case wait.High == nil:
		if end := cmp.Or(e.met(lifeAge.id), e.met(idleClosed.id)); end != nil {
			return "a tab that opens a seventh stream over HTTP/1.1 will wait until one of the six others ends, see below"
		}
		return "a tab that opens a seventh stream over HTTP/1.1 will wait for ever"
	}
	return fmt.Sprintf("a tab that opens a seventh stream over HTTP/1.1 will wait until one of the six others ends, which took %s", result.Quantity(*wait.High, "s"))
}

// onH2 is what an HTTP/2 connection carries where no browser is known to take it.
func (e expectation) onH2() string {
	allowed, served := e.met(h2Advertised.id), e.met(h2Served.id)
	over := "over HTTP/2"
	if e.met(h1Conns.id) != nil { // in the clear, then
		over += ", which browsers speak over TLS only,"
	}
	s := over + " the server names no limit of streams on a connection"
	switch {
	case allowed != nil:
		s = fmt.Sprintf("%s the server allows %s", over, result.Number(*allowed.Low))
		switch {
		case served != nil && *served.High < *allowed.Low:
			s += fmt.Sprintf(", of which %s served at once", are(*served.High))
		case *allowed.Low > chromiumMost:
			s += fmt.Sprintf(", and a browser (Chromium) opens %d at most", chromiumMost)
		}
	case !e.is(h2Advertised.id, result.LimitNone), served == nil:
		return ""
	default:
		s += fmt.Sprintf(", and %s at once", areServed(*served.High))
	}
	return s
}

// browser is how many streams Chromium opens over HTTP/2.
func (e expectation) browser() string {
	opens, served := float64(chromiumUntold), e.met(h2Served.id)
	switch allowed := e.met(h2Advertised.id); {
	case allowed != nil:
		opens = min(*allowed.Low, chromiumMost)
	case !e.is(h2Advertised.id, result.LimitNone):
		return ""
	}
	s := fmt.Sprintf("A browser (Chromium) opens %s over HTTP/2, all its tabs together", result.Quantity(opens, "streams"))
	if allowed := e.met(h2Advertised.id); allowed != nil && *allowed.Low > opens {
		s += fmt.Sprintf(", though the server allows %s", result.Number(*allowed.Low))
	}
	if served != nil && *served.High < opens {
		return s + fmt.Sprintf(", of which %s served at once.", are(*served.High))
	}
	if l := e[h2Served.id]; l != nil && l.Verdict == result.LimitNone && l.Low != nil && *l.Low < opens {
		return s + fmt.Sprintf("; no more than %s were seen served at once.", result.Number(*l.Low))
	}
	return s + "; one more will wait until another is closed."
}

// places says where a closed stream is missed for long.
func (e expectation) places() string {
	l := e.met(h2Release.id)
	switch {
	case l == nil || *l.Low < 1:
		return ""
	case l.High == nil:
		return fmt.Sprintf("The place of a stream that is closed over HTTP/2 is not free for %s and more: who reloads a page waits for it.", result.Quantity(round(l), "s"))
	}
	return fmt.Sprintf("The place of a stream that is closed over HTTP/2 is free after %s only: who reloads a page waits for it.", result.Quantity(round(l), "s"))
}

func (e expectation) quiet() string {
	l := e.met(idleClosed.id)
	if l == nil {
		return ""
	}
	send := "a comment"
	if strings.Contains(l.Evidence, commentsInVain) {
		send = "an event, for comments do not help,"
	}
	return fmt.Sprintf("A stream that is quiet for %s is closed: send %s every %s.", result.Quantity(round(l), "s"), send, result.Quantity(beat(*l.Low), "s"))
}

func (e expectation) dead() string {
	l := e.met(idleDropped.id)
	if l == nil {
		return ""
	}
	return fmt.Sprintf("A stream that is quiet for %s is dead though it looks open: send a comment every %s, and let clients come back that miss it.", result.Quantity(round(l), "s"), result.Quantity(beat(*l.Low), "s"))
}

func (e expectation) lifetime() string {
	l := e.met(lifeAge.id)
	switch {
	case l == nil:
		return ""
	case e.is(lifeJitter.id, result.LimitNone):
		return fmt.Sprintf("Streams end after %s without jitter: all clients come back at once.", result.Quantity(round(l), "s"))
	case e.met(lifeJitter.id) != nil:
		return fmt.Sprintf("Streams end after %s, so that clients come back one after the other.", l.Shown())
	}
	return fmt.Sprintf("Streams end after %s.", result.Quantity(round(l), "s"))
}

func (e expectation) buffer() string {
	var held, tails []string
	for _, what := range []struct{ id, of string }{
		{"buffering/size", ""},
		{"buffering/events", ""},
		{"buffering/delay", "for "},
		{"buffering/gzip", ""},
		{"buffering/gzip-events", ""},
		{"buffering/gzip-delay", "for "},
	} {
		l := e.met(what.id)
		if l == nil {
			continue
		}
		where := ""
		if strings.Contains(what.id, "gzip") {
			where = " where streams are compressed"
		}
		if strings.HasPrefix(l.Title, tailTitle) {
			tails = append(tails, "The end of a large event is held back until more is published"+where+".")
			continue
		}
		s := what.of + result.Quantity(round(l), l.Unit)
		if what.of == "" {
			if l.High == nil {
				s += " and more"
			}
			s = "until " + s + " have gathered"
		}
		held = append(held, s+where)
	}
	if len(held) > 0 {
		tails = append([]string{"Small events are held back " + strings.Join(held, ", and ") + "."}, tails...)
	}
	return strings.Join(tails, " ")
}

func (e expectation) eventSize() string {
	l := e.met("event/size")
	if l == nil {
		return ""
	}
	if strings.Contains(l.Evidence, "the publish is refused") {
		return fmt.Sprintf("Events beyond %s are refused when they are published.", result.Quantity(round(l), "bytes"))
	}
	return fmt.Sprintf("Events beyond %s do not come whole.", result.Quantity(round(l), "bytes"))
}

func (e expectation) unread() string {
	amount, span := e.met("slow/bytes"), e.met("slow/eviction")
	switch {
	case amount != nil && strings.Contains(amount.Evidence, eventsMissing):
		return fmt.Sprintf("A client that leaves more than %s unread misses events and is not told.", result.Quantity(round(amount), "bytes"))
	case amount != nil && span != nil:
		return fmt.Sprintf("A client that leaves more than %s unread is closed, at the latest after %s.", result.Quantity(round(amount), "bytes"), result.Quantity(*span.High, "s"))
	case amount != nil:
		return fmt.Sprintf("A client that leaves more than %s unread is closed.", result.Quantity(round(amount), "bytes"))
	}
	return ""
}

func (e expectation) beside() string {
	switch l := e.met("slow/neighbours"); {
	case l == nil:
		return ""
	case l.High == nil:
		return "One client that does not read stops all others."
	default:
		return fmt.Sprintf("One client that does not read holds up all others, for up to %s.", result.Quantity(*l.High, "s"))
	}
}

func (e expectation) perClient() string {
	l := e.met(perClientID)
	if l == nil {
		return ""
	}
	return fmt.Sprintf("From one address it takes %s; the next %s.", l.Shown(), whatThen(l, "is not served"))
}

func (e expectation) total() string {
	l := e.met(totalID)
	if l == nil {
		return ""
	}
	next := whatThen(l, "is one too many")
	switch one := e.met(perClientID); {
	case one != nil && one.High != nil && l.High != nil && *one.High >= *l.Low && *one.Low <= *l.High:
		return "" // it was met from one address, whose limit it is
	case one == nil && !e.is(perClientID, result.LimitNone):
		return fmt.Sprintf("It holds %s from here; the next %s. Whether others would be served from another address --probe per-client tells.", l.Shown(), next)
	}
	return fmt.Sprintf("It holds %s in all; the next %s.", l.Shown(), next)
}

func (e expectation) knee() string {
	l := e.met("streams/knee")
	if l == nil {
		return ""
	}
	return fmt.Sprintf("Beyond %s more of them bring no more events a second.", l.Shown())
}

func (e expectation) burst() string {
	l := e.met("storm/burst")
	if l == nil {
		return ""
	}
	return fmt.Sprintf("Where more than %s are lost at once they are not all back within a second.", result.Quantity(*l.Low, "streams"))
}

func (e expectation) restored() string {
	l := e.met("storm/restored")
	if l == nil || l.High == nil || *l.High < 1 {
		return ""
	}
	return fmt.Sprintf("When half of them are lost at once it takes %s until nearly all are back.", l.Shown())
}

func (e expectation) replay() string {
	l := e.met("storm/replay")
	switch {
	case l == nil:
		return ""
	case l.High != nil && *l.High == 0:
		return "What is published while a client is away is lost to it."
	}
	return fmt.Sprintf("Of what is published while a client is away no more than %s come to it later.", l.Shown())
}

func (e expectation) requests() string {
	h1, h2 := e.met("conn/requests-h1"), e.met("conn/requests-h2")
	var on []string
	if h1 != nil {
		on = append(on, fmt.Sprintf("%s over HTTP/1.1", result.Quantity(*h1.Low, h1.Unit)))
	}
	if h2 != nil {
		on = append(on, fmt.Sprintf("%s over HTTP/2", result.Quantity(*h2.Low, h2.Unit)))
	}
	if len(on) == 0 {
		return ""
	}
	return "A connection carries " + strings.Join(on, " and ") + ", then another has to be made."
}

func (e expectation) resets() string {
	l := e.met("h2/resets")
	if l == nil {
		return ""
	}
	return fmt.Sprintf("After %s that are reset soon after one another an HTTP/2 connection is given up, and all that is on it.", result.Quantity(*l.Low, "streams"))
}

// deciders names the flags that would decide what is undecided.
func deciders(all []result.Limit) string {
	var flags []string
	for i := range all {
		if by := all[i].DecidedBy; all[i].Verdict == result.LimitUndecided && by != "" && !slices.Contains(flags, by) {
			flags = append(flags, by)
		}
	}
	switch n := len(flags); n {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("More would be known with %s.", flags[0])
	default:
		return fmt.Sprintf("More would be known with %s and %s.", strings.Join(flags[:n-1], ", "), flags[n-1])
	}
}

// answeredWith finds the status in what was seen.
var answeredWith = regexp.MustCompile(`\b(?:answered|status) ([1-5]\d\d)\b`)

// whatThen is what becomes of the one too many.
func whatThen(l *result.Limit, otherwise string) string {
	switch m := answeredWith.FindStringSubmatch(l.Evidence); {
	case m != nil:
		return "is answered " + m[1]
	case strings.Contains(l.Evidence, "not answered"):
		return "gets no answer"
	}
	return otherwise
}

// beat is how often something has to be sent where so many seconds of silence are too many: rather less than half of them.
func beat(silence float64) float64 {
	for _, s := range []float64{300, 120, 60, 45, 25, 20, 15, 10, 5, 3, 2, 1} {
		if s < silence/2 {
			return s
		}
	}
	return silence / 2
}

// round is the roundest value that a limit can have, as it is configured somewhere.
func round(l *result.Limit) float64 {
	if l.High == nil {
		return *l.Low
	}
	steps, more := []float64{3600, 600, 60, 30, 10, 5, 1, 0.5, 0.1, 0.01}, 0.0
	switch l.Unit {
	case "bytes":
		steps, more = []float64{1 << 20, 64 << 10, 4 << 10, 1 << 10}, 1
	case "s":
	default:
		return *l.High
	}
	for _, step := range steps {
		if v := math.Floor((*l.High+more)/step) * step; v >= *l.Low && v > 0 {
			return v
		}
	}
	return *l.High
}

func are(n float64) string {
	if n == 1 {
		return "1 is"
	}
	return result.Number(n) + " are"
}

func areServed(n float64) string {
	if n == 1 {
		return "1 stream is served"
	}
	return result.Number(n) + " streams are served"
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
