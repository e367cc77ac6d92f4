package loadgen

import (
	"ssegauge/loadgen/engine"
	"ssegauge/loadgen/plan"
)

// life is what becomes of streams, as the engine has it.
func life(p *plan.Plan) engine.Life {
	l := engine.Life{Seed: uint64(p.Seed), Churn: p.Replacements()}
	if r := p.Reconnect; r != nil {
		l.Reconnect = &engine.Reconnect{Delay: r.Delay, Jitter: float64(*r.Jitter)}
	}
	if s := p.Slow; s != nil {
		l.Slow = &engine.Slow{Share: float64(s.Share), Rate: s.Rate}
	}
	return l
}
