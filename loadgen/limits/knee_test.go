package limits

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ssegauge/reference/publish"
	"ssegauge/reference/server"
	"ssegauge/reports/result"
)

// The knee is told where one was measured, and not where it would lie beyond what was; what this machine limits is its own.
func TestKnee(t *testing.T) {
	for _, c := range []struct {
		name    string
		law     usl
		most    int
		held    int
		within  time.Duration
		full    int // from so many streams on this machine is busy
		crowded bool
		ends    int // from so many on streams end
		window  int // that saturates
		want    string
		says    string
	}{
		{name: "a peak", law: usl{1000, 0.02, 1e-5}, most: 5000, want: "found 297 to 330, target", says: "4 events under way"},
		{name: "many must be under way", law: usl{1000, 0.02, 1e-5}, most: 5000, window: 30, want: "found 297 to 330, target", says: "32 events under way"},
		{name: "no number of them is enough", law: usl{1000, 0.02, 1e-5}, most: 5000, window: 1000, want: "found 297 to 330, target", says: "more than 64 events"},
		{name: "it levels off", law: usl{1000, 0.02, 0}, most: 5000, want: "none up to 5000", says: "has no peak"},
		{name: "it grows and grows", law: usl{1000, 0, 0}, most: 5000, want: "none up to 5000", says: "has no peak"},
		{name: "far beyond", law: usl{1000, 0.0001, 1e-12}, most: 1000, want: "none up to 1000", says: "has no peak"},
		{name: "not far beyond", law: usl{1000, 0.001, 4e-7}, most: 1000, want: "found 1498 to 1667, target", says: ""},
		{name: "as many as were held", law: usl{1000, 0.02, 1e-7}, most: 5000, held: 300, want: "none up to 300", says: "to 300"},
		{name: "this machine", law: usl{1000, 0.02, 1e-5}, most: 5000, full: 300, want: "found 297 to 330, generator", says: "this process used 90 %"},
		{name: "this machine, where it does not matter", law: usl{1000, 0.02, 0}, most: 5000, full: 3000, want: "none up to 5000, generator", says: "this process used 90 %"},
		{name: "shared", law: usl{1000, 0.02, 1e-5}, most: 5000, crowded: true, want: "found 297 to 330,", says: "cannot be told"},
		{name: "streams end", law: usl{1000, 0.02, 1e-5}, most: 5000, ends: 100, want: "none up to 78", says: "7 streams did not open"},
		{name: "streams end at once", law: usl{1000, 0.02, 1e-5}, most: 5000, ends: 1, want: "undecided", says: "7 streams did not open"},
		{name: "too few", law: usl{1000, 0.02, 1e-5}, most: 5, want: "undecided --streams", says: "too few"},
		{name: "no time", law: usl{1000, 0.02, 1e-5}, most: 5000, within: time.Second, want: "undecided", says: "0 numbers"},
		{name: "little time", law: usl{1000, 0.02, 1e-5}, most: 5000, within: 50 * time.Second, want: "found 297 to 330, target", says: ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hook, err := publish.Compile(publish.Hook{Command: "true"})
				if err != nil {
					t.Fatal(err)
				}
				if c.within == 0 {
					c.within = time.Hour
				}
				s := &Session{Search: &Search{config: Config{Streams: c.most, Publisher: hook}, held: c.held}, End: time.Now().Add(c.within)}
				a := newAscent(s)
				chance := rand.New(rand.NewPCG(1, 1))
				var tried []int
				a.measure = func(ctx context.Context, v level, window int) (sample, error) {
					tried = append(tried, v.streams)
					pause(ctx, a.takes(v.streams))
					if ctx.Err() != nil {
						return sample{}, ctx.Err()
					}
					if c.ends > 0 && v.streams >= c.ends {
						return sample{useless: "7 streams did not open, or ended"}, nil
					}
					x := sample{throughput: throughput{streams: v.streams}, crowded: c.crowded}
					if c.full > 0 && v.streams >= c.full {
						x.ours = "this process used 90 %"
					}
					share := 1.0
					if c.window > window {
						share = float64(window) / float64(c.window)
					}
					for range kneeSlices {
						x.perSecond = append(x.perSecond, share*c.law.at(float64(v.streams))*(1+0.01*chance.NormFloat64()))
					}
					x.rung = result.Rung{Streams: v.streams, EventsPerSecond: x.mean()}
					return x, nil
				}
				l := a.search(t.Context())
				got := inWords(l)
				ok := got == c.want
				if want, isFound := strings.CutPrefix(c.want, "found "); isFound && l.Verdict == result.LimitFound {
					// The interval is of this noise: it is to hold the peak, and to be narrow.
					_, owner, _ := strings.Cut(want, ",")
					peak := c.law.peak()
					ok = *l.Low <= peak && peak <= *l.High && *l.High < 1.5**l.Low && l.Owner == strings.TrimSpace(owner)
					if k := s.knee; k == nil || k.Peak == nil || *k.Peak < *l.Low || *k.Peak > *l.High || len(k.Levels) < kneeLevels {
						t.Errorf("%+v", k)
					}
				}
				if l.Verdict == result.LimitNone && c.law.kappa == 0 {
					// Of what levels off it cannot be told whether it falls a little at the end.
					ok = strings.HasPrefix(c.want, "none") && 2**l.Low >= float64(c.most) && strings.HasSuffix(c.want, l.Owner)
				}
				if !ok || !strings.Contains(l.Evidence, c.says) {
					t.Errorf("%s; want %s with %q: %s; tried %v", got, c.want, c.says, l.Evidence, tried)
				}
				if k := s.knee; k != nil && l.Verdict == result.LimitNone && k.Peak != nil {
					t.Errorf("a peak is named that was not found: %+v", k)
				}
			})
		})
	}
}

// A level is published to as fast as events arrive, and what all streams got is counted.
func TestKneeLevel(t *testing.T) {
	_, s := quick(t, referenceServer(t, server.Config{}), 12, true)
	a := newAscent(s)
	a.stage, a.flood = newClimb(s).stage, 400*time.Millisecond
	a.stage.ramp, a.stage.settle = 50*time.Millisecond, 20*time.Millisecond
	v := a.stage
	v.streams = 8
	x, err := a.level(t.Context(), v, 4)
	if err != nil || x.useless != "" || x.streams != 8 || x.rung.Streams != 8 || x.rung.Opened != 8 || len(x.perSecond) == 0 || x.mean() < 8*kneeEvents || x.rung.EventsPerSecond != x.mean() {
		t.Errorf("%+v, %v", x, err)
	}
	l := newAscent(&Session{Search: &Search{config: Config{Streams: 100}}}).search(t.Context())
	if inWords(l) != "undecided --publish" {
		t.Errorf("%+v", l)
	}
}
