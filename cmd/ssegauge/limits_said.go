package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"ssegauge/loadgen/limits"
	"ssegauge/reports/result"
)

// met reaches the target, with progress on stderr.
func met(ctx context.Context, a *app, config limits.Config, quiet bool) (*limits.Search, error) {
	shown := startProgress(a.stderr, quiet, "limits", func() step { return step{0, 1, "learns what the target is"} })
	defer shown.finish()
	return limits.New(ctx, config)
}

// announce says what is going to be done.
func (l *limitsFlags) announce(w io.Writer, search *limits.Search) {
	var (
		b        strings.Builder
		wants    []string
		requests int64
		steps    = search.Steps()
	)
	for _, s := range steps {
		if s.Why != "" {
			continue
		}
		if requests += int64(s.Requests); s.Probe.Needs == "--publish" {
			wants = append(wants, s.Probe.Name)
		}
	}
	fmt.Fprintf(&b, "ssegauge limits  %s\n", search.Target().URL)
	fmt.Fprintf(&b, "HTTP/%s · at most %s, %s and %s at once\n", search.Target().HTTP, span(l.budget), result.Plural(requests, "request"), result.Plural(int64(l.streams), "stream"))
	head := b.Len()
	var whys []string
	without := map[string][]string{} // probes that are not run, by the reason
	for _, s := range steps {
		if s.Why != "" {
			if without[s.Why] == nil {
				whys = append(whys, s.Why)
			}
			without[s.Why] = append(without[s.Why], s.Probe.Name)
			continue
		}
		if b.Len() == head {
			fmt.Fprintf(&b, "  %-11s %8s  %7s\n", "probe", "requests", "time")
		}
		what, _, _ := strings.Cut(s.Probe.Title, ":")
		fmt.Fprintf(&b, "  %-11s %8s  %7s  %s\n", s.Probe.Name, result.Count(int64(s.Requests)), span(s.Within), clip(what, 48))
	}
	if most := search.Most(); l.budget < most {
		fmt.Fprintf(&b, "They go as far as that comes; a --budget of %s is all that they can use.\n", span((most + time.Minute - 1).Truncate(time.Minute)))
	}
	for _, why := range whys {
		b.WriteString(wrap("Without "+strings.Join(without[why], ", ")+": "+why+".", 80, "") + "\n")
	}
	switch hook := l.publish.hook.HTTP != "" || l.publish.hook.Command != ""; {
	case len(wants) > 0 && hook:
		b.WriteString("Events are published: whoever listens gets them.\n")
	case len(wants) > 0:
		b.WriteString(wrap("Nothing is published (--publish, --publish-cmd): undecided stay "+strings.Join(wants, ", ")+".", 80, "") + "\n")
	}
	io.WriteString(w, b.String())
}

// rehearsed says what would be done, and what was sent.
func (l *limitsFlags) rehearsed(w io.Writer, search *limits.Search) error {
	var b bytes.Buffer
	l.announce(&b, search)
	request, fields := search.First()
	fmt.Fprintf(&b, "No more was sent than what tells what the target is, streams with this request:\n    %s\n", request)
	for _, f := range fields {
		fmt.Fprintf(&b, "    %s\n", f)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// span writes a duration for people: "5 min", "90 s", "3.3 s".
func span(d time.Duration) string {
	return result.Quantity(d.Round(100*time.Millisecond).Seconds(), "s")
}

// searched runs the search with progress on stderr, and a line for each limit as it is known.
func searched(ctx context.Context, a *app, search *limits.Search, budget time.Duration, quiet bool) (*result.Limits, error) {
	var latest atomic.Pointer[limits.Progress]
	latest.Store(&limits.Progress{})
	began := time.Now()
	shown := startProgress(a.stderr, quiet, "limits", func() step {
		return step{int64(min(time.Since(began), budget)), int64(budget), progressNote(latest.Load())}
	})
	defer shown.finish()
	return search.Run(ctx, func(p limits.Progress) {
		if p.Found == nil {
			latest.Store(&p)
			return
		}
		for i := range p.Found {
			shown.say(foundLine(&p.Found[i]))
		}
	})
}

func progressNote(p *limits.Progress) string {
	switch {
	case p.Number == 0:
		return p.Note
	case p.Note == "":
		return fmt.Sprintf("probe %d of %d, %s", p.Number, p.Of, p.Probe)
	}
	return fmt.Sprintf("probe %d of %d, %s: %s", p.Number, p.Of, p.Probe, p.Note)
}

// foundLine is a limit as soon as it is known: "streams/total: 500 to 524 streams (target)".
func foundLine(l *result.Limit) string {
	line := l.ID + ": " + l.Shown()
	switch {
	case l.Verdict == result.LimitFound && l.Owner != "":
		line += " (" + l.Owner + ")"
	case l.Verdict == result.LimitUndecided && l.DecidedBy == "":
		line += ", " + l.Evidence
	}
	return clip(line, 80)
}
