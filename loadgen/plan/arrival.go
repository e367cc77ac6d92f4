package plan

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"ssegauge/loadgen/schedule"
)

// The arrivals of streams and of events: as even as the plan's rate is, or by chance at that rate on average.
const (
	Constant = "constant"
	Poisson  = "poisson"
)

// DefaultSeed is that of a plan that names none, so that a run repeated is the same run.
const DefaultSeed = 1

// maxRamp is the longest that a plan may go on opening.
const maxRamp = 1000 * time.Hour

// maxDrawn is how many events may come by chance: each is drawn before the run.
const maxDrawn = 1e8

// Stage is one piece of the level: to Streams, linearly within Over, then Hold at that level. Over 0s is a jump.
type Stage struct {
	Streams int           `yaml:"streams"`
	Over    time.Duration `yaml:"over"`
	Hold    time.Duration `yaml:"hold"`
}

// ParseStages reads "OVER:STREAMS[:HOLD],...", as in 10s:1000,0s:5000:30s: k6 writes its stages so, less the hold.
func ParseStages(s string) ([]Stage, error) {
	var stages []Stage
	for i, part := range strings.Split(s, ",") {
		bad := func(what string) ([]Stage, error) {
			return nil, fmt.Errorf("stage %d, %s: %s; want OVER:STREAMS[:HOLD], as in 10s:1000 (a ramp) or 0s:5000:30s (a jump and a hold)", i+1, quote(part), what)
		}
		f := strings.Split(strings.TrimSpace(part), ":")
		if len(f) != 2 && len(f) != 3 {
			return bad("not two or three values")
		}
		var st Stage
		var err error
		if st.Over, err = time.ParseDuration(f[0]); err != nil {
			return bad("no time before the first colon")
		}
		if st.Streams, err = strconv.Atoi(f[1]); err != nil {
			return bad("no number of streams after the first colon")
		}
		if len(f) == 3 {
			if st.Hold, err = time.ParseDuration(f[2]); err != nil {
				return bad("no time after the second colon")
			}
		}
		stages = append(stages, st)
	}
	return stages, nil
}

// Openings is when this segment's streams open, from the start of the run.
func (p *Plan) Openings() schedule.Arrival {
	return schedule.Part{Arrival: arrival(p.Arrival, p.level(), uint64(p.Seed)), Index: p.Segment.Index, Count: max(1, p.Segment.Count)}
}

// RampTime is when the last stream of the plan is due and the duration begins, from the start of the run.
func (p *Plan) RampTime() time.Duration { return p.level().Total() }

func (p *Plan) level() schedule.Ramp {
	if len(p.Stages) == 0 {
		over := max(0, p.Ramp)
		if p.OpenRate > 0 {
			over = time.Duration(float64(p.Streams) / float64(p.OpenRate) * float64(time.Second))
		}
		return schedule.Linear(p.Streams, over)
	}
	r := make(schedule.Ramp, 0, 2*len(p.Stages))
	for _, s := range p.Stages {
		r = append(r, schedule.Step{To: s.Streams, Over: s.Over})
		if s.Hold > 0 {
			r = append(r, schedule.Step{To: s.Streams, Over: s.Hold})
		}
	}
	return r
}

// IsFinite tells whether streams are meant to end by themselves.
func (p *Plan) IsFinite() bool {
	if p.Finite != nil {
		return *p.Finite
	}
	return !slices.ContainsFunc(p.Targets, func(t Target) bool { return t.method() == "GET" })
}

// PublishStart is when the first event is due, from the start of the run: the last stream has the settling time to open and once more to settle.
func (p *Plan) PublishStart() time.Duration { return p.RampTime() + 2*p.Publish.Settle }

// Events is when events are published, from [Plan.PublishStart] on: none without a hook.
// Those due before warm are the warm-up.
func (p *Plan) Events() (events schedule.Arrival, warm time.Duration) {
	if p.Publish == nil {
		return schedule.Constant{}, 0
	}
	rate := schedule.Constant{PerSecond: float64(p.Publish.Rate), For: p.Publish.WarmUp + p.Hold}
	return arrival(p.Publish.Arrival, rate, ^uint64(p.Seed)), p.Publish.WarmUp // publishes and openings have nothing in common
}

func arrival(kind string, level schedule.Level, seed uint64) schedule.Arrival {
	if kind == Poisson {
		return schedule.NewPoisson(level, seed)
	}
	return level
}

// validArrival completes a kind of arrival.
func validArrival(where string, kind *string) error {
	switch *kind {
	case "":
		*kind = Constant
	case Constant, Poisson:
	default:
		return &Error{where, quote(*kind) + "; want constant or poisson"}
	}
	return nil
}

// validLevel completes and judges how streams arrive.
func (p *Plan) validLevel() error {
	bad := func(where, format string, args ...any) error {
		return &Error{where, fmt.Sprintf(format, args...)}
	}
	if p.OpenRate < 0 || p.OpenRate > MaxRate {
		return bad("open_rate", "%v; want more than 0 and at most %d/s", float64(p.OpenRate), MaxRate)
	}
	if p.OpenRate != 0 && p.Ramp != 0 {
		return bad("open_rate", "given together with ramp; want one or the other")
	}
	if len(p.Stages) > 0 {
		if p.Ramp != 0 || p.OpenRate != 0 || p.Streams != 0 && p.Streams != p.Stages[len(p.Stages)-1].Streams {
			return bad("stages", "given together with streams, ramp or open_rate; want one or the other")
		}
		for i, s := range p.Stages {
			switch {
			case s.Over < 0:
				return bad(fmt.Sprintf("stages[%d].over", i), "%v is negative; want 0s or more", s.Over)
			case s.Hold < 0:
				return bad(fmt.Sprintf("stages[%d].hold", i), "%v is negative; want 0s or more", s.Hold)
			case s.Streams < 0 || i > 0 && s.Streams < p.Stages[i-1].Streams:
				return bad(fmt.Sprintf("stages[%d].streams", i), "%d is below the stage before; streams are only opened, want as many or more", s.Streams)
			}
		}
		p.Streams = p.Stages[len(p.Stages)-1].Streams
	} else if p.Streams == 0 && p.OpenRate > 0 && p.IsFinite() {
		p.Streams = max(1, int(math.Ceil(min(float64(p.OpenRate)*p.Hold.Seconds(), 1e9))))
	} else if p.Streams == 0 {
		p.Streams = DefaultStreams
	}
	if p.Streams < 1 || p.Streams > 100_000_000 {
		return bad("streams", "%d; want 1 to 100000000", p.Streams)
	}
	if p.Ramp == 0 && p.OpenRate == 0 && len(p.Stages) == 0 {
		p.Ramp = max(time.Second, time.Duration(p.Streams)*time.Second/DefaultOpenRate)
	}
	over := p.RampTime()
	if over > maxRamp || over < 0 || p.OpenRate > 0 && float64(p.Streams)/float64(p.OpenRate) > maxRamp.Seconds() {
		return bad("streams", "opening %d of them takes longer than %v; want a higher rate or fewer", p.Streams, maxRamp)
	}
	if err := validArrival("arrival", &p.Arrival); err != nil {
		return err
	}
	if p.Arrival == Poisson && over == 0 {
		return bad("arrival", "poisson with all streams at once; want an open_rate, a ramp or stages")
	}
	if p.Seed == 0 {
		p.Seed = DefaultSeed
	}
	return nil
}
