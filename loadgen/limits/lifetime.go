package limits

import (
	"context"
	"fmt"
	"slices"
	"time"

	"ssegauge/reports/result"
)

const (
	ageID, ageTitle       = "lifetime/max", "age at which streams are closed"
	jitterID, jitterTitle = "lifetime/jitter", "spread of the ages at which streams are closed"
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
		return v.unopened([3]string{ageID, ageTitle, "s"}, [3]string{jitterID, jitterTitle, "s"})
	}
	return []result.Limit{v.maxAge(), v.jitter()}
}

func (v *vigil) maxAge() result.Limit {
	e := &v.ends
	var oldest time.Duration
	for i := range e.lives {
		oldest = max(oldest, e.lives[i].age())
	}
	how, owner := e.how()
	closed := fmt.Sprintf("%d of %d streams were closed", len(e.deaths), len(e.lives))
	switch e.why {
	case endAge:
		low, high := e.age.bounds()
		if owner == result.OwnerPath {
			owner = "" // servers cut as well, where a time limit is the socket's
			how += ", as by a proxy, or by a server with a time limit on its sockets"
		}
		return found(ageID, ageTitle, low, high, "s", owner, "%s when they were %s old, after silences of %s, by %s", closed, e.age, e.silence, how)
	case endEither:
		return undecided(ageID, ageTitle, "s", v.hook(), "%s", v.either())
	case endMixed:
		return undecided(ageID, ageTitle, "s", "", "%s", v.mixed())
	case endIdle, endQuiet:
		closed += " for their silence"
	case endOnce:
		closed += " at the same moment, whatever their age and silence"
	case endFew:
		closed += ", others as old were not"
	default:
		return none(ageID, ageTitle, oldest.Seconds(), "s", "all of %d streams were open to the end, up to %s old", len(e.lives), seconds(oldest))
	}
	return none(ageID, ageTitle, oldest.Seconds(), "s", "%s; the oldest stream was %s old", closed, seconds(oldest))
}

func (v *vigil) jitter() result.Limit {
	e := &v.ends
	if e.why != endAge || len(e.deaths) < 3 {
		return undecided(jitterID, jitterTitle, "s", "", "no limit on the age of streams was met by enough of them to compare")
	}
	ages := make([]time.Duration, 0, len(e.deaths))
	for i := range e.deaths {
		ages = append(ages, e.deaths[i].age())
	}
	slices.Sort(ages)
	n, spread := len(ages), e.age.width()
	says := fmt.Sprintf("of %d streams a quarter ended by the age of %s, half by %s, three quarters by %s, all by %s", n, seconds(ages[(n-1)/4]), seconds(ages[(n-1)/2]), seconds(ages[(n-1)*3/4]), seconds(ages[n-1]))
	if spread <= slack(ages[0]) {
		return none(jitterID, jitterTitle, spread.Seconds(), "s", "no jitter, so that streams that were opened together end together and come back together: %s", says)
	}
	_, owner := e.how()
	return found(jitterID, jitterTitle, spread.Seconds(), spread.Seconds(), "s", owner, "the ages differ by %s: %s", seconds(spread), says)
}
