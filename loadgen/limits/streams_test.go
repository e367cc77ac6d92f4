package limits

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"ssegauge/loadgen/plan"
	"ssegauge/reference/publish"
	"ssegauge/reference/server"
	"ssegauge/reports/result"
)

// quick is a climb with stages that last as long as it takes to see something.
func quick(t *testing.T, url string, most int, publishes bool) (*climb, *Session) {
	t.Helper()
	c := Config{Plan: plan.Plan{Targets: []plan.Target{{URL: url + "/events?channel=a"}}}, Streams: most}
	if publishes {
		c.Plan.Publish = &plan.Publish{HTTP: "POST " + url + "/publish?channel=a", Body: `{"data":{{json .Data}}}`}
		var err error
		if c.Publisher, err = publish.Compile(c.Plan.Publish.Hook()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Publisher.Close)
	}
	search, err := New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	s := &Session{Search: search, End: time.Now().Add(time.Hour)}
	climb := newClimb(s)
	climb.waits = 100 * time.Millisecond
	v := &climb.stage
	v.streams, v.pace, v.ramp, v.hold, v.patience, v.settle, v.bound = min(most, 10), 5000, 50*time.Millisecond, 100*time.Millisecond, 3*time.Second, 20*time.Millisecond, time.Minute
	return climb, s
}

func referenceServer(t *testing.T, c server.Config) string {
	t.Helper()
	s, err := server.New(c)
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s.Handler())
	t.Cleanup(func() {
		_ = s.Shutdown(context.Background())
		h.CloseClientConnections()
		h.Close()
	})
	return h.URL
}

// A planted number of streams is found exactly, and none where none is planted; streams of our own that are gone do not count.
func TestStreamsTotal(t *testing.T) {
	for _, c := range []struct {
		cap, most int
		publishes bool
		want      string
	}{
		{45, 60, false, "found 45 to 45, target"},
		{1, 3, true, "found 1 to 1, target"},
		{0, 10, true, "none up to 10"},
		{10, 10, false, "none up to 10"},
	} {
		t.Run(strconv.Itoa(c.cap), func(t *testing.T) {
			t.Parallel()
			climb, s := quick(t, referenceServer(t, server.Config{MaxStreams: c.cap}), c.most, c.publishes)
			climb.stage.streams = min(c.most, 40)
			l := climb.search(t.Context())
			if got := inWords(l); got != c.want {
				t.Errorf("%s; want %s: %s", got, c.want, l.Evidence)
			}
			if l.Verdict == result.LimitFound && !strings.Contains(l.Evidence, "status 503") {
				t.Error(l.Evidence)
			}
			if len(s.curve) == 0 || c.publishes && s.curve[0].EventsPerSecond == 0 {
				t.Errorf("%+v", s.curve)
			}
			t.Log(l.Evidence)
		})
	}
}

// Who is to blame for a stage that does not hold follows from what failed, and from the measurement only where what failed may be a matter of time.
func TestJudge(t *testing.T) {
	of := func(us ...int64) *result.Quantiles {
		h := hdrhistogram.New(1, 60_000_000, 2)
		for _, v := range us {
			_ = h.RecordValue(v)
		}
		return result.FromHist(h)
	}
	const n = 100
	load := func(opened, ended int, failures map[string]int) *result.Load {
		return &result.Load{Streams: result.Streams{Planned: n, Opened: opened, Peak: opened, ClosedByServer: ended, Failures: failures}, Events: result.Events{Published: 10, Received: 1000, Eligible: 1000}, LatencyUS: map[string]*result.Quantiles{}}
	}
	with := func(l *result.Load, set func(*result.Load)) *result.Load {
		set(l)
		return l
	}
	notValid := func(l *result.Load) {
		l.Validity = result.Validity{Verdict: "invalid", Reasons: []string{"30 % of the openings began more than 10 ms late"}}
	}
	busy := func(l *result.Load) { l.Generator.Machine = &result.Machine{Own: 0.9} }
	full := func(l *result.Load) { l.Generator.Machine = &result.Machine{Own: 0.4, Full: new(0.9)} }
	late := func(l *result.Load) { l.LatencyUS["deliver"] = of(1000, 1000, 3_000_000) }
	sent := func(l *result.Load) { l.Events = result.Events{Published: 10, Received: 990, Eligible: 1000, Lost: 10} }
	for _, c := range []struct {
		name   string
		load   *result.Load
		mortal bool
		holds  bool
		served int
		owner  string
		says   string
	}{
		{"all", load(n, 0, nil), false, true, n, "", ""},
		{"all, on a machine that was busy", with(load(n, 0, nil), notValid), false, true, n, "", ""},
		{"refused", load(60, 0, map[string]int{"head: status 503": 40}), false, false, 60, "target", "40 of 100 streams failed to open (head: status 503"},
		{"refused, which is no matter of time", with(load(60, 0, map[string]int{"head: status 429": 40}), notValid), false, false, 60, "target", "429"},
		{"a gateway", load(60, 0, map[string]int{"head: status 502": 40}), false, false, 60, "path", "gateway"},
		{"descriptors", load(60, 0, map[string]int{"connect: too many open files": 3, "head: timeout": 37}), false, false, 60, "generator", "3 of 100"},
		{"memory", load(60, 0, map[string]int{"connect: no buffer space available": 40}), false, false, 60, "generator", "40 of 100"},
		{"no answer", load(60, 0, map[string]int{"head: timeout": 40}), false, false, 60, "target", "not answered in time"},
		{"no answer, when the measurement is none", with(load(60, 0, map[string]int{"head: timeout": 40}), notValid), false, false, 60, "generator", "openings began"},
		{"no answer, when all processors were ours", with(load(60, 0, map[string]int{"connect: timeout": 40}), busy), false, false, 60, "generator", "90 %"},
		{"no answer, when all processors were others'", with(load(60, 0, map[string]int{"head: timeout": 40}), full), false, false, 60, "target", "crowded"},
		{"none opened: such a run is called invalid", with(load(0, 0, map[string]int{"head: timeout": n}), notValid), false, false, 0, "target", ""},
		{"dropped requests for a connection", with(load(60, 0, map[string]int{"connect: timeout": 40}), func(l *result.Load) {
			l.LatencyUS["tcp_connect"] = of(300, 400, 1_020_000, 1_030_000, 3_050_000, 7_100_000, 2_500_000)
		}), false, false, 60, "target", "4 of 7 connections took 1, 3 or 7 s"},
		{"slow connections", with(load(60, 0, map[string]int{"connect: timeout": 40}), func(l *result.Load) {
			l.LatencyUS["tcp_connect"] = of(300, 400, 1_400_000, 1_500_000, 1_030_000, 2_500_000)
		}), false, false, 60, "target", "whatever"},
		{"ended", load(n, 5, map[string]int{"closed: end of response": 5}), false, false, n - 5, "target", "5 of 100 streams ended before their time"},
		{"ended, as they do", load(n, 5, map[string]int{"closed: end of response": 5}), true, true, n, "", ""},
		{"ended too soon", load(60, 5, map[string]int{"closed: end of response": 5}), true, false, 60, "target", "sooner than all are opened"},
		{"lost", with(load(n, 0, nil), sent), false, false, n, "target", "10 of 1000 deliveries"},
		{"late", with(load(n, 0, nil), late), false, false, n, "target", "the p99 of delivery to 100 streams was 3.0"},
		{"late, and the machine busy", with(with(load(n, 0, nil), late), busy), false, false, n, "generator", "90 %"},
		{"the hook's fault", load(n, 0, map[string]int{"publish: status 500": 7}), false, true, n, "", ""},
	} {
		v := level{streams: n, bound: time.Second, publish: true, deliver: true, mortal: c.mortal}
		o := v.judge(c.load)
		if crowded := c.says == "crowded"; o.crowded != crowded {
			t.Errorf("%s: crowded %v", c.name, o.crowded)
		} else if crowded {
			c.says = ""
		}
		if c.says == "whatever" {
			if strings.Contains(o.why, "connections took") {
				t.Errorf("%s: %s", c.name, o.why)
			}
			c.says = ""
		}
		if o.holds != c.holds || o.served != c.served || o.owner != c.owner || !strings.Contains(o.why+o.unfit, c.says) {
			t.Errorf("%s: %v, %d served, owner %q, %s", c.name, o.holds, o.served, o.owner, o.why)
		}
	}
	v := level{streams: 2000}
	if l := load(1999, 0, map[string]int{"head: status 503": 1}); !v.judge(l).holds {
		t.Error("one of 2000 is too many")
	}
	v.exact = true
	if l := load(1999, 0, map[string]int{"head: status 503": 1}); v.judge(l).holds {
		t.Error("one of 2000 is none where it is to be exact")
	}
}

// A target that answers with the first event only cannot be asked without one; an interrupt leaves what is known.
func TestStreamsUnknown(t *testing.T) {
	s := &Session{Search: &Search{config: Config{Streams: 10}, target: contact{held: true}}, End: time.Now().Add(time.Hour)}
	if l := newClimb(s).search(t.Context()); inWords(l) != "undecided --publish" {
		t.Errorf("%s: %s", inWords(l), l.Evidence)
	}
	climb, _ := quick(t, referenceServer(t, server.Config{}), 1000, false)
	ctx, interrupt := context.WithCancel(t.Context())
	run := climb.run
	climb.run = func(ctx context.Context, v level) (trial, error) {
		if v.streams > 10 {
			interrupt()
		}
		return run(ctx, v)
	}
	if l := climb.search(ctx); inWords(l) != "none up to 10" || !strings.Contains(l.Evidence, "interrupted while 15") {
		t.Errorf("%s: %s", inWords(l), l.Evidence)
	}
}

// inWords is a limit in few words.
func inWords(l result.Limit) string {
	n := func(p *float64) string { return strconv.Itoa(int(*p)) }
	switch l.Verdict {
	case result.LimitFound:
		return "found " + n(l.Low) + " to " + n(l.High) + strings.TrimSuffix(", "+l.Owner, " ")
	case result.LimitNone:
		return strings.TrimSuffix("none up to "+n(l.Low)+", "+l.Owner, ", ")
	}
	return strings.TrimSuffix(l.Verdict+" "+l.DecidedBy, " ")
}

// simulated is a target that is no more than a rule.
type simulated struct {
	cap     int           // streams; 0: no limit
	release time.Duration // after which closed streams count no more
	pace    float64       // streams a second that it opens; 0: any
	soft    int           // from so many on some deliveries are late
	crowded bool          // no processor is free
	evicts  bool          // a stream too many ends an old one
	breaks  bool          // overload breaks it for good: half of cap from then on
	age     time.Duration // of a stream at its end; 0: none
	ours    int           // of this machine: more cannot be opened
	unfit   int           // from so many on this machine is not fit to measure
	random  float64       // share of openings that fail
	bucket  float64       // openings: so many at first, and one more a second
	dies    int           // at so many streams it is gone
	mute    bool          // it answers none

	gone  bool
	begun time.Time
	taken float64

	closed   []time.Time // when the places of closed streams are free
	attempts []int
}

func (m *simulated) free() int {
	n := m.cap
	for _, at := range m.closed {
		if time.Now().Before(at) {
			n--
		}
	}
	return max(0, n)
}

func (m *simulated) run(ctx context.Context, v level) (trial, error) {
	m.attempts = append(m.attempts, v.streams)
	o := trial{level: v, served: v.streams, owner: result.OwnerTarget, why: "as planted"}
	if m.cap > 0 {
		o.served = min(o.served, m.free())
	}
	if m.bucket > 0 {
		if m.begun.IsZero() {
			m.begun = time.Now()
		}
		pause(ctx, v.opening())
		left := m.bucket + time.Since(m.begun).Seconds() - m.taken
		o.served = min(o.served, int(left))
		m.taken += float64(o.served)
	}
	for range v.streams {
		if rand.Float64() < m.random {
			o.served--
		}
	}
	if m.gone = m.gone || m.dies > 0 && v.streams >= m.dies; m.gone || m.mute {
		o.served = 0
	}
	pace := float64(v.streams) / v.opening().Seconds()
	if m.pace > 0 && pace > m.pace {
		o.served = min(o.served, int(float64(v.streams)*m.pace/pace))
	}
	o.closed, o.told, o.crowded = o.served < v.streams, !m.crowded, m.crowded
	if m.evicts && o.closed {
		o.closed, o.ended = false, true
	}
	if m.breaks && o.closed {
		m.cap, m.breaks = m.cap/2, false
	}
	if m.age > 0 && v.opening()+v.hold > m.age && !v.mortal {
		o.ended = true
	}
	o.missed = v.deliver && m.soft > 0 && v.streams >= m.soft && !o.closed
	if m.ours > 0 && v.streams > m.ours {
		o = trial{level: v, served: m.ours, closed: true, told: true, owner: result.OwnerGenerator, why: "too many open files"}
	}
	if m.unfit > 0 && v.streams >= m.unfit {
		o = trial{level: v, served: v.streams / 2, closed: true, owner: result.OwnerGenerator, why: "this machine was not fit"}
	}
	o.holds = !o.closed && !o.ended && !o.missed
	pause(ctx, v.takes())
	for range o.served {
		m.closed = append(m.closed, time.Now().Add(m.release))
	}
	return o, ctx.Err()
}

func (m *simulated) open(context.Context) error {
	if m.cap > 0 && m.free() == 0 || m.gone {
		return errors.New("no place")
	}
	return nil
}

// The search ends where the limit is, whatever the target takes for one: what is gone, how fast streams come, what it went through.
func TestStreamsSearch(t *testing.T) {
	for _, c := range []struct {
		name   string
		target simulated
		within time.Duration
		want   string
		says   string
	}{
		{"none", simulated{}, time.Hour, "none up to 10000", "--streams"},
		{"exact", simulated{cap: 777}, time.Hour, "found 777 to 777, target", "with 778: as planted, in 3 of 3"},
		{"below the first stage", simulated{cap: 3}, time.Hour, "found 3 to 3, target", ""},
		{"a step of the ladder", simulated{cap: 150}, time.Hour, "found 150 to 150, target", "after 225 had been tried, 150 held again"},
		{"closed streams count for a second", simulated{cap: 400, release: time.Second}, time.Hour, "found 400 to 400, target", ""},
		{"closed streams count for long", simulated{cap: 700, release: 4 * time.Second}, time.Hour, "found 700 to 700, target", ""},
		{"pace", simulated{pace: 500}, time.Hour, "none up to 10000", "a second"},
		{"pace and number", simulated{pace: 500, cap: 333}, time.Hour, "found 333 to 333, target", "a second"},
		{"closed streams count for long, and as many fit in beside them", simulated{cap: 676, release: 1500 * time.Millisecond}, time.Hour, "found 676 to 676, target", ""},
		{"delivery", simulated{soft: 3000}, time.Hour, "found 2971 to 3050, target", "in 3 of 3"},
		{"delivery, on a machine that is shared", simulated{soft: 3000, crowded: true}, time.Hour, "found 2971 to 3050,", "cannot be told"},
		{"no answer, on a machine that is shared", simulated{cap: 777, crowded: true}, time.Hour, "found 777 to 777, target", ""},
		{"no delivery at all", simulated{soft: 1, cap: 200}, time.Hour, "found 200 to 200, target", "delivery is not judged"},
		{"the oldest gives way", simulated{cap: 200, evicts: true}, time.Hour, "found 200 to 200, target", ""},
		{"streams end by themselves", simulated{age: 1200 * time.Millisecond, cap: 200}, time.Hour, "found 200 to 200, target", "streams end by themselves"},
		{"overload breaks it", simulated{cap: 250, breaks: true}, time.Hour, "undecided", "of 338 streams 125 were served, fewer than the 225"},
		{"openings fail by chance", simulated{random: 0.05}, time.Hour, "undecided", ""},
		{"so many openings a minute", simulated{bucket: 400}, time.Hour, "undecided", "a limit of pace"},
		{"it goes away", simulated{dies: 700}, time.Hour, "none up to 507", "with 761 streams the target ceased to serve any (as planted), and served none within 5s"},
		{"it answers none", simulated{mute: true}, time.Hour, "undecided", "as planted"},
		{"descriptors", simulated{ours: 400}, time.Hour, "found 338 to 506, generator", "too many open files"},
		{"this machine", simulated{unfit: 400}, time.Hour, "none up to 338, generator", "not fit"},
		{"this machine from the start", simulated{unfit: 1}, time.Hour, "undecided", "not fit"},
		{"no time", simulated{cap: 777}, time.Second, "undecided", "no time left"},
		{"little time", simulated{cap: 777}, 15 * time.Second, "none up to 761", "with 1,142: as planted, which is not enough to tell"},
		{"not much time", simulated{cap: 777}, 28 * time.Second, "found 777 to 777, target", "no time left"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &Session{Search: &Search{config: Config{Streams: 10_000}}, End: time.Now().Add(c.within)}
				climb := newClimb(s)
				climb.stage.deliver = true
				climb.run, climb.open = c.target.run, c.target.open
				l := climb.search(t.Context())
				if got := inWords(l); got != c.want || !strings.Contains(l.Evidence, c.says) {
					t.Errorf("%s; want %s with %q: %s; tried %v", got, c.want, c.says, l.Evidence, c.target.attempts)
				}
			})
		})
	}
}
