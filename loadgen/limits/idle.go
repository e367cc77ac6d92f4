package limits

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"ssegauge/reports/result"
)

var (
	idleClosed  = kind{"idle/timeout", "silence after which streams are closed", "s"}
	idleDropped = kind{"idle/silent-drop", "silence after which streams are dead though they look open", "s"}
	idleBeat    = kind{"idle/heartbeat", "time between what comes by itself", "s"}
)

func idleRequests(s *Session, within time.Duration) int { return vigilRequests(s, within) }

// idle looks for the silence that ends a stream. It is seldom the target's own: what stands on the way closes connections of which it hears nothing (the owner is the path
// where the head shows such a proxy), or forgets them and says nothing (NATs, firewalls): an event that is published then does not come, and the client does not know. What the
// target sends by itself hides such limits, and is meant to.
func idle(ctx context.Context, s *Session) []result.Limit {
	v := s.vigil(ctx)
	if len(v.streams) == 0 {
		return v.unopened(idleClosed, idleDropped, idleBeat)
	}
	return []result.Limit{v.idleTimeout(), v.silentDrop(), v.heartbeat()}
}

// unopened says of each limit that nothing can be said: no stream was open.
func (v *vigil) unopened(kinds ...kind) (out []result.Limit) {
	for _, k := range kinds {
		out = append(out, k.undecided("", "no stream could be opened: %s", cmp.Or(v.failed.Says, "there was no time")))
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
	how := e.how()
	closed := fmt.Sprintf("%d of %d streams were closed", len(e.deaths), len(e.lives))
	switch e.why {
	case endIdle, endQuiet:
		low, high := e.silence.bounds(len(e.deaths))
		says := fmt.Sprintf("%s when nothing had come for %s, at ages of %s, by %s", closed, e.silence, e.age, how)
		if e.why == endQuiet {
			says = fmt.Sprintf("%s when no event had come for %s, at ages of %s, by %s: %s", closed, e.silence, e.age, how, commentsInVain)
		}
		if busy := e.oldest(false); busy > e.age.high+slack(e.age.high) {
			says += fmt.Sprintf("; those that were kept busy lived on, for %s when it was over", seconds(busy))
		}
		owner, cut := e.silencer()
		return idleClosed.found(low, high, owner, "%s%s", says, cut)
	case endEither:
		return idleClosed.undecided(v.hook(), "%s", v.either())
	case endMixed:
		return idleClosed.undecided("", "%s", v.mixed())
	}
	ended, open := e.outlasted()
	says := fmt.Sprintf("something came again after a silence of %s", seconds(ended))
	longest := ended
	if open > ended+slack(ended) {
		longest = open
		says = fmt.Sprintf("streams were open after a silence of %s", seconds(open))
	}
	if b := &v.beats; b.streams > 0 {
		says += "; what the target sends by itself keeps streams from being silent for longer"
	}
	switch e.why {
	case endAge:
		says += fmt.Sprintf("; %s for their age", closed)
	case endOnce:
		says += fmt.Sprintf("; %s at the same moment, whatever their age and silence", closed)
	case endFew:
		says += fmt.Sprintf("; %s, others at the same silence were not", closed)
	}
	return idleClosed.none(inSeconds(longest), "%s", says)
}

// commentsInVain is what is seen where only events count against silence.
const commentsInVain = "the comments that came meanwhile did not help"

// either says what streams ended of where that may be silence or age.
func (v *vigil) either() string {
	e := &v.ends
	how := e.how()
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
	how := e.how()
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
	ended, _ := v.ends.outlasted()
	switch {
	case !v.asked && v.beats.streams > 0 && v.beats.streams == len(v.ends.lives):
		return idleDropped.none(inSeconds(ended), "something came on each stream again, after silences of up to %s", seconds(ended))
	case !v.fed:
		return idleDropped.undecided(v.hook(), "%s: whether it would come on streams that were silent is not known", v.silenced())
	case !v.asked && v.ends.why != endIdle && len(v.ends.deaths) < len(v.ends.lives):
		return idleDropped.undecided("", "it was over before anything was published to see")
	case !v.asked && v.ends.why != endIdle:
		return idleDropped.undecided("", "no stream was left on which something could have come")
	case v.lost != "":
		return idleDropped.undecided("", "at the end %s, not even on streams just opened", v.lost)
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
	case len(lost) == 0 && v.ends.why == endIdle && v.ends.silence.low > got.high:
		low := v.ends.silence.low
		return idleDropped.none(inSeconds(low), "the end of streams came through after %s of silence, so that their connections were not forgotten", seconds(low))
	case len(lost) == 0:
		return idleDropped.none(inSeconds(got.high), "an event came on all of %d streams, which had been silent for up to %s; no TCP keep-alives were sent meanwhile from here", len(came), seconds(got.high))
	case v.deaf > 0:
		return idleDropped.undecided("", "an event did not come on %d of %d streams, but busy streams did not get every event either", len(lost), len(came)+len(lost))
	case got.high > not.low:
		return idleDropped.undecided("", "an event did not come on %d streams that had been silent for %s, and came on %d others that had been for %s", len(lost), not, len(came), got)
	}
	says, owner := "what stands on the way has forgotten them, or the target has", ""
	switch {
	case v.answers:
		says, owner = "their HTTP/2 connections answer a PING, so that it is what answers there that has forgotten them", result.OwnerTarget
	case v.s.target.remote.Addr().IsLoopback():
		says, owner = "the connection is within this machine, so that it is the target that has forgotten them", result.OwnerTarget
	}
	return idleDropped.found(inSeconds(got.high), inSeconds(not.low), owner,
		"an event came on %d streams that had been silent for up to %s, and not on %d that had been for %s; none of these had been closed: %s", len(came), seconds(got.high), len(lost), not, says)
}

func (v *vigil) heartbeat() result.Limit {
	b := &v.beats
	what := "comments"
	switch {
	case b.events > 0 && b.comments > 0:
		what = "events and comments"
	case b.events > 0:
		what = "events"
	}
	ended, open := v.ends.outlasted()
	switch {
	case b.high > 0:
		apart := span{b.low, max(b.high, b.after)}
		return idleBeat.found(inSeconds(apart.low), inSeconds(apart.high), result.OwnerTarget, "%s come by themselves every %s", what, apart)
	case b.after > 0:
		return idleBeat.undecided("--budget", "%s came by themselves, one on a stream, and nothing in the %s after it: the time between two was not seen", what, seconds(b.after))
	case b.streams > 0: // they ended too soon
		return idleBeat.undecided("", "%s came by themselves, one on a stream: the time between two was not seen", what)
	}
	return idleBeat.none(inSeconds(max(ended, open)), "nothing came by itself in %s", seconds(max(ended, open)))
}
