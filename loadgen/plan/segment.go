package plan

import (
	"fmt"
	"strconv"
	"strings"
)

// Segment is one machine's share of a plan: number Index of Count. The zero value is 0:1, the whole.
// Stream n of the plan belongs to the segment n mod Count, so every machine follows the whole ramp with its share.
type Segment struct{ Index, Count int }

// ParseSegment reads "i:n".
func ParseSegment(s string) (Segment, error) {
	a, b, ok := strings.Cut(s, ":")
	i, err1 := strconv.Atoi(a)
	n, err2 := strconv.Atoi(b)
	if !ok || err1 != nil || err2 != nil || n < 1 || i < 0 || i >= n {
		return Segment{}, fmt.Errorf("segment %q: want i:n with 0 <= i < n, as in 0:1", s)
	}
	return Segment{i, n}, nil
}

func (s Segment) String() string { return strconv.Itoa(s.Index) + ":" + strconv.Itoa(max(1, s.Count)) }

// Number is the number in the plan of this segment's stream n.
func (p *Plan) Number(n int) int { return p.Segment.Index + n*max(1, p.Segment.Count) }

// Rate is a number of events a second.
type Rate float64

// ParseRate reads "10/s", "600/m", "3600/h" or "10" (a second).
func ParseRate(s string) (Rate, error) {
	num, per, given := strings.Cut(strings.TrimSpace(s), "/")
	seconds := map[string]float64{"s": 1, "m": 60, "h": 3600}[per]
	if !given {
		seconds = 1
	}
	v, err := strconv.ParseFloat(num, 64)
	if err != nil || seconds == 0 || !(v > 0) || v > MaxRate*seconds {
		return 0, fmt.Errorf("rate %q: want a number of events per time between 0 and %d/s, as in 10/s or 90/m", s, MaxRate)
	}
	return Rate(v / seconds), nil
}

// MaxRate is the largest publish rate, events a second.
const MaxRate = 1_000_000

func (r Rate) String() string { return strconv.FormatFloat(float64(r), 'g', 6, 64) + "/s" }

// UnmarshalText reads what ParseRate reads.
func (r *Rate) UnmarshalText(b []byte) (err error) {
	*r, err = ParseRate(string(b))
	return err
}

// MarshalText writes String.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }
