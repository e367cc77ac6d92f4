package main

import (
	"time"

	"github.com/spf13/pflag"

	"ssegauge/loadgen/plan"
)

// lifeFlags are what becomes of streams once they are open.
type lifeFlags struct {
	reconnect bool
	delay     time.Duration
	jitter    string
	churn     string
	slow      string
	slowRate  int
}

func (l *lifeFlags) add(f *pflag.FlagSet) {
	f.BoolVar(&l.reconnect, "reconnect", false, "streams that end come back as EventSource does: after the stream's retry, with Last-Event-ID")
	f.DurationVar(&l.delay, "reconnect-delay", plan.DefaultReconnectDelay, "time to wait where the stream has set none by retry")
	f.StringVar(&l.jitter, "reconnect-jitter", plan.DefaultReconnectJitter.String(), "a wait is longer by up to this `share` of it (0%: those that end together come back together, a storm)")
	f.StringVar(&l.slow, "slow-readers", "", "`share` of the streams that read slowly, as in 5%: what the server does about them, and what the others feel")
	f.IntVar(&l.slowRate, "slow-read-rate", 0, "`bytes` a second that each of them takes in (0: nothing after the response head)")
	f.StringVar(&l.churn, "churn", "", "close so many open streams a second, as in `5/s`, and open another in the place of each at once")
}

// apply sets what the flags say; a plan keeps what none is given for.
func (l *lifeFlags) apply(p *plan.Plan, changed func(flag string) bool) error {
	if changed("reconnect") {
		switch {
		case !l.reconnect:
			p.Reconnect = nil
		case p.Reconnect == nil:
			p.Reconnect = new(plan.Reconnect)
		}
	}
	if changed("slow-readers") {
		share, err := plan.ParseShare(l.slow)
		if err != nil {
			return usagef("--slow-readers: %v", err)
		}
		switch {
		case share == 0:
			p.Slow = nil
		case p.Slow == nil:
			p.Slow = &plan.Slow{Share: share}
		default:
			p.Slow.Share = share
		}
	}
	if changed("slow-read-rate") {
		if p.Slow == nil {
			return usagef("--slow-read-rate: nobody reads slowly; give --slow-readers as well")
		}
		p.Slow.Rate = l.slowRate
	}
	if changed("churn") {
		rate, err := plan.ParseRate(l.churn)
		if err != nil {
			return usagef("--churn: %v", err)
		}
		p.Churn = rate
	}
	for _, of := range []string{"reconnect-delay", "reconnect-jitter"} {
		if changed(of) && p.Reconnect == nil {
			return usagef("--%s: nothing comes back; give --reconnect as well", of)
		}
	}
	if changed("reconnect-delay") {
		if l.delay <= 0 {
			return usagef("--reconnect-delay %v: a time above zero is wanted", l.delay)
		}
		p.Reconnect.Delay = l.delay
	}
	if changed("reconnect-jitter") {
		jitter, err := plan.ParseShare(l.jitter)
		if err != nil {
			return usagef("--reconnect-jitter: %v", err)
		}
		p.Reconnect.Jitter = &jitter
	}
	return nil
}
