package plan

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"ssegauge/loadgen/schedule"
)

// DefaultReconnectDelay is what EventSource waits in most browsers where no stream has set another time; the jitter is ours.
const (
	DefaultReconnectDelay  = 3 * time.Second
	DefaultReconnectJitter = Share(0.1)
)

// Reconnect is how a stream that ends, or could not be opened, comes back: as an EventSource does.
type Reconnect struct {
	Delay  time.Duration `yaml:"delay"`  // until the stream sets another by retry; default 3s
	Jitter *Share        `yaml:"jitter"` // a wait is longer by up to this share of it; default 10%; 0%: streams that end together come back together
}

// validLife completes and judges what becomes of streams.
func (p *Plan) validLife() error {
	switch {
	case p.Churn < 0 || p.Churn > MaxRate:
		return &Error{"churn", fmt.Sprintf("%v; want more than 0 and at most %d/s", float64(p.Churn), MaxRate)}
	case p.Churn > 0 && p.IsFinite():
		return &Error{"churn", "streams that are meant to end leave room for others themselves; want finite: false, or an open_rate"}
	}
	if err := p.Slow.validate(p.IsFinite()); err != nil {
		return err
	}
	r := p.Reconnect
	if r == nil {
		return nil
	}
	if p.IsFinite() {
		return &Error{"reconnect", "streams that are meant to end do not come back; want finite: false, or no reconnect"}
	}
	if r.Delay < 0 || r.Delay > time.Hour {
		return &Error{"reconnect.delay", fmt.Sprintf("%v; want more than 0s and at most 1h", r.Delay)}
	}
	if r.Delay == 0 {
		r.Delay = DefaultReconnectDelay
	}
	if r.Jitter == nil {
		r.Jitter = new(DefaultReconnectJitter)
	}
	return nil
}

// Slow is which streams read slowly: they are no receivers that anything is asked of.
type Slow struct {
	Share Share `yaml:"share"` // of the streams
	Rate  int   `yaml:"rate"`  // bytes a second that each takes in; default 0: nothing after the response head
}

func (s *Slow) validate(finite bool) error {
	switch {
	case s == nil:
	case s.Share <= 0:
		return &Error{"slow_readers.share", "none given; want more than 0% and at most 100%, as in 10%"}
	case s.Rate < 0 || s.Rate > 1<<30:
		return &Error{"slow_readers.rate", fmt.Sprintf("%d; want 0 to %d bytes a second", s.Rate, 1<<30)}
	case finite:
		return &Error{"slow_readers", "streams that are meant to end are waited for; want finite: false, or no slow readers"}
	}
	return nil
}

// Replacements is when this segment's streams are replaced, from the start of the run: while they are held. nil: never.
func (p *Plan) Replacements() schedule.Arrival {
	if p.Churn <= 0 {
		return nil
	}
	n := schedule.Constant{PerSecond: float64(p.Churn), For: p.Hold}.Len()
	return schedule.Part{Arrival: schedule.Ramp{{Over: p.RampTime()}, {To: n, Over: p.Hold}}, Index: p.Segment.Index, Count: max(1, p.Segment.Count)}
}

// Share is a part of a whole, 0 to 1.
type Share float64

// ParseShare reads "10%".
func ParseShare(s string) (Share, error) {
	num, percent := strings.CutSuffix(strings.TrimSpace(s), "%")
	v, err := strconv.ParseFloat(num, 64)
	if err != nil || !percent || !(v >= 0 && v <= 100) {
		return 0, fmt.Errorf("share %s: want 0%% to 100%%, as in 10%%", quote(s))
	}
	return Share(v / 100), nil
}

func (s Share) String() string { return strconv.FormatFloat(100*float64(s), 'g', 6, 64) + "%" }

// UnmarshalText reads what ParseShare reads.
func (s *Share) UnmarshalText(b []byte) (err error) {
	*s, err = ParseShare(string(b))
	return err
}

// MarshalText writes String.
func (s Share) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// lifeMap is how a report shows what becomes of streams.
func (p *Plan) lifeMap(m map[string]any) {
	if p.Churn > 0 {
		m["churn"] = p.Churn.String()
	}
	if s := p.Slow; s != nil {
		m["slow_readers"] = map[string]any{"share": s.Share.String(), "rate": s.Rate}
	}
	if r := p.Reconnect; r != nil {
		m["reconnect"] = map[string]any{"delay": r.Delay.String(), "jitter": r.Jitter.String()}
	}
}
