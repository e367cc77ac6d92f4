package limits

import (
	"context"
	"fmt"
	"slices"
	"time"

	"ssegauge/reports/result"
)

var (
	lifeAge    = kind{"lifetime/max", "age at which streams are closed", "s"}
	lifeJitter = kind{"lifetime/jitter", "spread of the ages at which streams are closed", "s"}
)

func lifetimeRequests(s *Session, within time.Duration) int {
	if s.wants("idle") {
		return 0 // it looks at the same streams
	}
	return vigilRequests(s, within)
}

// lifetime looks for the age at which streams are closed, busy or not. Where it is the same for all, clients that came together come back together, for ever.
func lifetime(ctx context.Context, s *Session) []result.Limit {
	v := s.vigil(ctx)
	if len(v.streams) == 0 {
		return v.unopened(lifeAge, lifeJitter)
	}
	return []result.Limit{v.maxAge(), v.jitter()}
}

func (v *vigil) maxAge() result.Limit {
	e := &v.ends
	oldest := max(e.oldest(true), e.oldest(false))
	how := e.how()
	closed := fmt.Sprintf("%d of %d streams were closed", len(e.deaths), len(e.lives))
	switch e.why {
	case endAge:
		low, high := e.age.bounds(len(e.deaths))
		owner := e.ager()
		if owner == result.OwnerTarget {
			how += ": a limit on their age, or all that there was to say"
		} else {
			how += ", as by a proxy, or by a server with a time limit on its sockets"
		}
		if !v.fed && v.beats.comments > 0 && v.beats.events == 0 {
			how += "; comments did not keep them, and only publishing shows whether events would have kept them"
		}
		return lifeAge.found(low, high, owner, "%s when they were %s old, after silences of %s, by %s", closed, e.age, e.silence, how)
	case endEither:
		return lifeAge.undecided(v.hook(), "%s", v.either())
	case endMixed:
		return lifeAge.undecided("", "%s", v.mixed())
	case endIdle, endQuiet:
		closed += " for their silence"
	case endOnce:
		closed += " at the same moment, whatever their age and silence"
	case endFew:
		closed += ", others as old were not"
	default:
		return lifeAge.none(inSeconds(oldest), "all of %d streams were open to the end, up to %s old", len(e.lives), seconds(oldest))
	}
	return lifeAge.none(inSeconds(oldest), "%s; the oldest stream was %s old", closed, seconds(oldest))
}

// ager is whose doing it is that streams end at an age: servers cut them as well as proxies do, where the limit is on their sockets.
func (e *ends) ager() string {
	if owner, _ := e.silencer(); owner == result.OwnerTarget {
		return owner
	}
	return ""
}

func (v *vigil) jitter() result.Limit {
	e := &v.ends
	switch {
	case e.why == endEither, e.why == endMixed:
		return lifeJitter.undecided(v.hook(), "it is not known whether the age of streams is limited")
	case e.why != endAge:
		return lifeJitter.inapplicable("no limit on the age of streams was met")
	case len(e.deaths) < 3:
		return lifeJitter.undecided("", "too few streams met the limit on their age to compare them")
	}
	ages := make([]time.Duration, 0, len(e.deaths))
	for i := range e.deaths {
		ages = append(ages, e.deaths[i].age())
	}
	slices.Sort(ages)
	n, spread := len(ages), e.age.width()
	says := fmt.Sprintf("of %d streams a quarter ended by the age of %s, half by %s, three quarters by %s, all by %s", n, seconds(ages[(n-1)/4]), seconds(ages[(n-1)/2]), seconds(ages[(n-1)*3/4]), seconds(ages[n-1]))
	if spread <= slack(ages[0]) {
		return lifeJitter.none(inSeconds(spread), "no jitter, so that streams that were opened together end together and come back together: %s", says)
	}
	return lifeJitter.found(inSeconds(spread), inSeconds(spread), e.ager(), "the ages differ by %s: %s", seconds(spread), says)
}
