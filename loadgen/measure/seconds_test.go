package measure

import (
	"math"
	"slices"
	"testing"
	"time"

	"ssegauge/loadgen/schedule"
	"ssegauge/reports/result"
)

// Each second has what was concluded, delivered, closed and read in it, and nothing where there was nothing.
func TestSeries(t *testing.T) {
	events := schedule.Constant{PerSecond: 10, For: time.Second}
	b := NewBoard(Config{Workers: 2, Events: events, Settle: 0, Deadline: 100 * time.Millisecond, Marker: NewMarker("m")})
	var streams [4]Stream
	for i := range streams {
		r := b.Recorder(i)
		r.Lock()
		r.Opened(&streams[i], Opening{Head: -1})
		r.Unlock()
	}
	b.Second()
	for q := range uint32(3) {
		b.Begin(q)
		due := int64(events.At(int(q)))
		b.Sent(q, due)
		for i := range streams {
			r := b.Recorder(i)
			r.Lock()
			r.Event(&streams[i], []byte(b.marker.Of(q)), nil, nil, due+int64(q+1)*10*ms, 0)
			r.Delay(time.Duration(i+int(q)) * time.Millisecond)
			r.Unlock()
		}
		b.Done(q, due, Published, "")
		b.conclude(due+int64(q+1)*10*ms, false)
	}
	b.Second()
	r := b.Recorder(1)
	r.Lock()
	r.Closed(&streams[1], int64(events.At(2))+60*ms, "x")
	r.Unlock()
	b.Second()

	l := new(result.Load)
	b.Fill(l)
	got := map[string]result.Points{}
	for _, s := range l.Series {
		if len(s.Values) != 3 || s.StepMS != 1000 {
			t.Errorf("%s: %d values", s.Name, len(s.Values))
		}
		got[s.Name] = s.Values
	}
	nan := math.NaN()
	for name, want := range map[string]result.Points{
		"open_streams": {4, 4, 3}, "closed_streams": {0, 0, 1}, "events_per_second": {0, 12, 0},
		"fanout_t99_p50_us": {nan, 20_000, nan}, "fanout_t99_p99_us": {nan, 30_000, nan}, "generator.delay_max_us": {nan, 5000, nan},
	} {
		if !slices.EqualFunc(got[name], want, func(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }) {
			t.Errorf("%s: %v, want %v", name, got[name], want)
		}
	}
}
