package limits

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"ssegauge/reports/result"
)

const (
	idleID, idleTitle = "idle/timeout", "silence after which streams are closed"
	dropID, dropTitle = "idle/silent-drop", "silence after which streams are dead though they look open"
	beatID, beatTitle = "idle/heartbeat", "time between what streams send by themselves"
)

func idleRequests(s *Session, within time.Duration) int { return vigilRequests(s, within) }

// idle looks for the silence that ends a stream. It is seldom the target's own: what stands on the way closes connections of which it hears nothing (the owner is then the
// path), or forgets them and says nothing (NATs, firewalls): an event that is published then does not come, and the client does not know. What the target sends by itself
// hides such limits, and is meant to.
func idle(ctx context.Context, s *Session) []result.Limit {
	v := s.vigil(ctx)
	if len(v.streams) == 0 {
		return v.unopened([3]string{idleID, idleTitle, "s"}, [3]string{dropID, dropTitle, "s"}, [3]string{beatID, beatTitle, "s"})
	}
	return []result.Limit{v.idleTimeout(), v.silentDrop(), v.heartbeat()}
}

// unopened says of each limit that nothing can be said: no stream was open.
func (v *vigil) unopened(limits ...[3]string) (out []result.Limit) {
	for _, l := range limits {
		out = append(out, undecided(l[0], l[1], l[2], "", "no stream could be opened: %s", cmp.Or(v.failed.Says, "there was no time")))
	}
	return out
}

// hook is what to give where publishing would decide.
func (v *vigil) hook() string {
	if v.fed {
		return ""
	}
	return "--publish"
}

// silenced says why nothing came of publishing, "" where something did.
func (v *vigil) silenced() string {
	switch {
	case v.fed:
		return ""
	case v.unfed != "":
		return v.unfed
	}
	return "nothing could be published"
}

func (v *vigil) idleTimeout() result.Limit {
	e := &v.ends
	how, owner := e.how()
	closed := fmt.Sprintf("%d of %d streams were closed", len(e.deaths), len(e.lives))
	switch e.why {
	case endIdle, endQuiet:
		low, high := e.silence.bounds()
		says := fmt.Sprintf("%s when nothing had come for %s, at ages of %s, by %s", closed, e.silence, e.age, how)
		if e.why == endQuiet {
			says = fmt.Sprintf("%s when no event had come for %s, at ages of %s, by %s: the comments that came meanwhile did not help", closed, e.silence, e.age, how)
		}
		if owner == result.OwnerPath {
			says += "; responses are cut like that by proxies that hear nothing from behind"
		}
		return found(idleID, idleTitle, low, high, "s", owner, "%s", says)
	case endEither:
		return undecided(idleID, idleTitle, "s", v.hook(), "%s", v.either())
	case endMixed:
		return undecided(idleID, idleTitle, "s", "", "%s", v.mixed())
	}
	ended, open := e.outlasted()
	says := fmt.Sprintf("something came again after a silence of %s", seconds(ended))
	longest := ended
	if open > ended+slack(ended) {
		longest = open
		says = fmt.Sprintf("streams were open after a silence of %s", seconds(open))
	}
	if b := &v.beats; b.streams > 0 {
		says += "; the target itself never was silent for longer"
	}
	switch e.why {
	case endAge:
		says += fmt.Sprintf("; %s for their age", closed)
	case endOnce:
		says += fmt.Sprintf("; %s at the same moment, whatever their age and silence", closed)
	case endFew:
		says += fmt.Sprintf("; %s, others at the same silence were not", closed)
	}
	return none(idleID, idleTitle, longest.Seconds(), "s", "%s", says)
}

// either says what streams ended of where that may be silence or age.
func (v *vigil) either() string {
	e := &v.ends
	how, _ := e.how()
	says := fmt.Sprintf("%d of %d streams were closed %s old and after %s of silence, by %s: a limit on silence or on age", len(e.deaths), len(e.lives), e.age, e.silence, how)
	if v.beats.comments > 0 {
		says += " (comments came, which need not count)"
	}
	if why := v.silenced(); why != "" {
		says += "; " + why + ", which would tell them apart"
	}
	return says
}

func (v *vigil) mixed() string {
	e := &v.ends
	how, _ := e.how()
	return fmt.Sprintf("%d of %d streams were closed without a pattern, %s old and after %s of silence, by %s", len(e.deaths), len(e.lives), e.age, e.silence, how)
}

// outlasted is the longest silence that something ended, and the longest after which a stream was open.
func (e *ends) outlasted() (ended, open time.Duration) {
	for i := range e.lives {
		l := &e.lives[i]
		ended = max(ended, l.gap)
		if !l.called || l.answered {
			open = max(open, l.silence())
		}
	}
	return ended, max(ended, open)
}

func (v *vigil) silentDrop() result.Limit {
	undecided := func(by, format string, args ...any) result.Limit {
		return undecided(dropID, dropTitle, "s", by, format, args...)
	}
	ended, _ := v.ends.outlasted()
	switch {
	case !v.asked && v.beats.streams > 0 && v.beats.streams == len(v.ends.lives):
		return none(dropID, dropTitle, ended.Seconds(), "s", "something came on each stream again, after silences of up to %s", seconds(ended))
	case !v.fed:
		return undecided(v.hook(), "%s: whether it would come on streams that were silent is not known", v.silenced())
	case !v.asked && v.ends.why == endIdle:
		return none(dropID, dropTitle, v.ends.silence.low.Seconds(), "s", "the end of streams came through after %s of silence, so that their connections were not forgotten", v.ends.silence)
	case !v.asked:
		return undecided("", "no stream was left on which something could have come")
	case v.lost != "":
		return undecided("", "at the end %s, not even on streams just opened", v.lost)
	}
	var came, lost []time.Duration
	for i := range v.ends.lives {
		switch l := &v.ends.lives[i]; {
		case l.called && l.answered:
			came = append(came, l.silent)
		case l.called:
			lost = append(lost, l.silent)
		}
	}
	got, not := spanOf(came), spanOf(lost)
	switch {
	case len(lost) == 0:
		return none(dropID, dropTitle, got.high.Seconds(), "s", "an event came on all of %d streams, which had been silent for up to %s", len(came), seconds(got.high))
	case v.deaf > 0:
		return undecided("", "an event did not come on %d of %d streams, but busy streams did not get every event either", len(lost), len(came)+len(lost))
	case got.high > not.low:
		return undecided("", "an event did not come on %d streams that had been silent for %s, and came on %d others that had been for %s", len(lost), not, len(came), got)
	}
	says, owner := "what stands on the way has forgotten them, or the target has", ""
	switch {
	case v.answers:
		says, owner = "their HTTP/2 connections answer a PING, so that it is what answers there that has forgotten them", result.OwnerTarget
	case v.s.target.remote.Addr().IsLoopback():
		says, owner = "the connection is within this machine, so that it is the target that has forgotten them", result.OwnerTarget
	}
	return found(dropID, dropTitle, got.high.Seconds(), not.low.Seconds(), "s", owner,
		"an event came on %d streams that had been silent for up to %s, and not on %d that had been for %s; none of these was closed: %s", len(came), seconds(got.high), len(lost), not, says)
}

func (v *vigil) heartbeat() result.Limit {
	b := &v.beats
	kind := "comments"
	switch {
	case b.events > 0 && b.comments > 0:
		kind = "events and comments"
	case b.events > 0:
		kind = "events"
	}
	ended, open := v.ends.outlasted()
	switch {
	case b.high > 0:
		return found(beatID, beatTitle, b.low.Seconds(), b.high.Seconds(), "s", result.OwnerTarget, "%s come by themselves every %s", kind, span{b.low, b.high})
	case b.streams > 0:
		return found(beatID, beatTitle, b.first.Seconds(), b.first.Seconds(), "s", result.OwnerTarget, "%s came by themselves once, after silences of up to %s", kind, seconds(b.first))
	}
	return none(beatID, beatTitle, max(ended, open).Seconds(), "s", "nothing came by itself in %s", seconds(max(ended, open)))
}
