package limits

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// ending is how the peer ended a stream.
type ending struct {
	how   string
	clean bool   // the response was complete by its own framing
	blank bool   // by which nobody could tell: it lasts until the connection is closed
	by    string // the proxy that the head shows; "": it shows none
}

func endingOf(s *wire.Stream, err error) *ending {
	e := endOf(s, err)
	e.by, _, _ = strings.Cut(proxyOf(s.Head), ",") // without what is known of its buffers
	return e
}

func endOf(s *wire.Stream, err error) *ending {
	var (
		fault *wire.Fault
		reset *wire.ResetError
	)
	h2 := s.Conn.Proto() != wire.HTTP11
	switch {
	case err == io.EOF && h2:
		return &ending{how: "END_STREAM", clean: true}
	case err == io.EOF && strings.Contains(strings.ToLower(s.Head.Header.Get("Transfer-Encoding")), "chunked"):
		return &ending{how: "the last chunk", clean: true}
	case err == io.EOF && s.Head.Header.Has("Content-Length"):
		return &ending{how: "the last of the bytes that Content-Length promised", clean: true}
	case err == io.EOF:
		return &ending{how: "FIN, which ends a response without length or chunks as well as it cuts one", blank: true}
	case errors.As(err, &reset):
		return &ending{how: "RST_STREAM " + reset.Code.String()}
	case errors.As(err, &fault) && !h2:
		return &ending{how: "FIN before the last chunk"}
	}
	f := printOf(err)
	return &ending{how: strings.TrimPrefix(strings.TrimPrefix(f.Cause, "h2: "), "body: ")}
}

// span is an interval of durations.
type span struct{ low, high time.Duration }

func spanOf(all []time.Duration) (s span) {
	if len(all) > 0 {
		s = span{slices.Min(all), slices.Max(all)}
	}
	return s
}

func (s span) width() time.Duration { return s.high - s.low }

// String gives it in seconds.
func (s span) String() string {
	if s.width() < 100*time.Millisecond {
		return seconds(s.high)
	}
	return fmt.Sprintf("%.4g to %s", s.low.Seconds(), seconds(s.high))
}

// inSeconds is d as a limit has it, to the millisecond.
func inSeconds(d time.Duration) float64 { return d.Truncate(time.Millisecond).Seconds() }

func seconds(d time.Duration) string {
	return fmt.Sprintf("%.4g s", d.Round(time.Millisecond).Seconds())
}

// bounds are what a limit lies between that n streams met within the span: what was seen is up to a twentieth of a second off either way, and where they were spread on
// purpose, evenly, there would be one further out than 3/n of the span with a probability of 5 %.
func (s span) bounds(n int) (low, high float64) {
	off := 50*time.Millisecond + 3*s.width()/time.Duration(n)
	low = inSeconds(max(0, s.low-off).Truncate(100 * time.Millisecond))
	high = inSeconds((s.high + off).Truncate(100*time.Millisecond) + 100*time.Millisecond)
	return low, high
}

// Why streams end.
const (
	endNone   = ""
	endIdle   = "silence"           // nothing came for so long
	endQuiet  = "silence of events" // no event came for so long: comments do not help
	endAge    = "age"               // so old
	endEither = "silence or age"    // which of them cannot be told
	endOnce   = "all at once"       // whatever their age and silence
	endFew    = "few"               // which lived no longer than others: chance
	endMixed  = "without a pattern"
)

// ends is what streams ended of.
type ends struct {
	why     string
	lives   []life
	deaths  []life // of those, the streams that the peer ended
	silence span   // at their end; of events where why is endQuiet
	age     span
}

// measure is what may decide about the end of a stream.
type measure struct {
	why      string
	span     // of deaths
	survived time.Duration
	steady   float64 // how much smaller than the greatest the least may be
}

// measure takes one of all lives.
func (e *ends) measure(why string, steady float64, atEnd, before func(*life) time.Duration) measure {
	m := measure{why: why, steady: steady}
	var deaths []time.Duration
	for i := range e.lives {
		l := &e.lives[i]
		m.survived = max(m.survived, before(l))
		if d := atEnd(l); l.end == nil {
			m.survived = max(m.survived, d)
		} else {
			deaths = append(deaths, d)
		}
	}
	m.span = spanOf(deaths)
	return m
}

// slack is by how much two times of the same limit differ.
func slack(d time.Duration) time.Duration { return 500*time.Millisecond + d/50 }

// possible tells whether it can be what streams end of: all ended of about as much, and none had more.
func (m *measure) possible() bool {
	return m.low+slack(m.low) >= time.Duration(m.steady*float64(m.high)) && m.survived <= m.high+slack(m.high)
}

// endsOf finds out what streams end of.
func endsOf(lives []life) ends {
	e := ends{lives: lives}
	for _, l := range lives {
		if l.end != nil {
			e.deaths = append(e.deaths, l)
		}
	}
	none := func(*life) time.Duration { return 0 }
	silence := e.measure(endIdle, 0.7, (*life).silence, func(l *life) time.Duration { return l.gap })
	still := e.measure(endQuiet, 0.7, func(l *life) time.Duration { return l.until.Sub(l.event) }, func(l *life) time.Duration { return l.eventGap })
	age := e.measure(endAge, 0.25, (*life).age, none) // lifetimes are spread on purpose
	e.silence, e.age = silence.span, age.span
	if len(e.deaths) == 0 {
		return e
	}
	var possible []measure
	for _, m := range []measure{silence, still, age} {
		if m.possible() && (m.why != endQuiet || still.low > silence.low+slack(silence.low)) {
			possible = append(possible, m)
		}
	}
	slices.SortStableFunc(possible, func(a, b measure) int { return cmp.Compare(a.width(), b.width()) })
	clear := func(than time.Duration, m measure) bool { return m.width() > 2*than+slack(0) }
	var moments []time.Duration
	for _, l := range e.deaths {
		moments = append(moments, l.until.Sub(e.deaths[0].until))
	}
	at := spanOf(moments).width()
	switch {
	case len(e.deaths) > 2 && at < time.Second && (len(possible) == 0 || clear(at, possible[0]) || possible[0].survived+glance >= possible[0].high):
		e.why = endOnce
	case len(possible) == 0 && len(e.deaths) < 3 && 10*len(e.deaths) <= len(lives):
		e.why = endFew
	case len(possible) == 0:
		e.why = endMixed
	case len(possible) == 1 || clear(possible[0].width(), possible[1]):
		e.why = possible[0].why
	case age.possible() && clear(age.width(), silence) && !clear(possible[0].width(), age):
		// Without an event its silence is as long as the life, whatever streams end of; comments that do not help are rarer than a limit on age.
		e.why = endAge
	case len(possible) == 2 && possible[0].why != endQuiet && possible[1].why != endQuiet && slices.ContainsFunc(e.deaths, func(l life) bool { return l.gap*10 > l.silence()*9 }):
		e.why = endAge // a silence as long as the last had not ended it before
	default:
		e.why = endEither
	}
	if e.why == endQuiet {
		e.silence = still.span
	}
	return e
}

func (l *life) silence() time.Duration { return l.until.Sub(l.last) }

func (l *life) age() time.Duration { return l.until.Sub(l.opened) }

// oldest is how old a stream became of those that the peer ended, or of the others.
func (e *ends) oldest(ended bool) (age time.Duration) {
	for i := range e.lives {
		if l := &e.lives[i]; (l.end != nil) == ended {
			age = max(age, l.age())
		}
	}
	return age
}

// how says in which way streams were ended, the most frequent first.
func (e *ends) how() string {
	counts := map[string]int{}
	for _, l := range e.deaths {
		counts[l.end.how]++
	}
	ways := make([]string, 0, len(counts))
	for way := range counts {
		ways = append(ways, way)
	}
	slices.SortFunc(ways, func(a, b string) int { return cmp.Or(counts[b]-counts[a], cmp.Compare(a, b)) })
	return strings.Join(ways[:min(len(ways), 3)], "; ")
}

// silencer is whose doing it is that streams end after a silence, and what shows that. Only a target ends its response as it should; what cuts it short may be a proxy, where
// the heads show one, or a server that closes the socket.
func (e *ends) silencer() (owner, says string) {
	owner = result.OwnerTarget
	for _, l := range e.deaths {
		switch {
		case l.end.blank:
			return "", ""
		case l.end.clean:
		case l.end.by == "":
			return "", "; they were cut without an end, as proxies do and servers that close the socket"
		default:
			owner, says = result.OwnerPath, "; responses are cut like that by proxies that hear nothing from behind, and "+l.end.by
		}
	}
	return owner, says
}
