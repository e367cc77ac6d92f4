package limits

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ssegauge/loadgen/plan"
	"ssegauge/reference/publish"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

var (
	kindA = kind{"a/one", "how long", "s"}
	kindB = kind{"b/one", "how many", "streams"}
	kindC = kind{"b/two", "how often", "requests"}
)

// says is a probe that says what it is told to.
func says(name string, run func(ctx context.Context, s *Session) []result.Limit, kinds ...kind) Probe {
	return Probe{Name: name, Weight: 1, Most: time.Minute, aim: aim{kinds: kinds}, Requests: func(*Session, time.Duration) int { return 1 }, run: run}
}

// searchOf meets a target in memory; hook "": nothing can be published.
func searchOf(t *testing.T, p *pipes, hook string, budget time.Duration, probes ...Probe) *Search {
	t.Helper()
	u := &url.URL{Scheme: "http", Host: "limits.test", Path: "/"}
	c := Config{Budget: budget, Streams: 100}
	c.Plan = plan.Plan{Targets: []plan.Target{{URL: u.String(), Request: &wire.Request{URL: u}, Dialer: &wire.Dialer{NetDial: p.dial}}}}
	if hook != "" {
		client := &http.Transport{DialContext: p.dial, DisableKeepAlives: true}
		var err error
		if c.Publisher, err = publish.Compile(publish.Hook{HTTP: hook, Transport: client}); err != nil {
			t.Fatal(err)
		}
	}
	s, err := New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	s.probes = probes
	return s
}

// only is the one limit of that id.
func only(t *testing.T, out *result.Limits, id string) (l result.Limit) {
	t.Helper()
	n := 0
	for _, x := range out.Limits {
		if x.ID == id {
			l, n = x, n+1
		}
	}
	if n != 1 {
		t.Fatalf("%s is there %d times: %+v", id, n, out.Limits)
	}
	return l
}

// What no time was left for stands in the report as undecided, each limit by its id, and the announcement says so before.
func TestBudgetOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := serving(t, &http.Server{Handler: http.HandlerFunc(stream)})
		slow := says("slow", func(ctx context.Context, s *Session) []result.Limit {
			pause(ctx, time.Minute) // past its end
			return []result.Limit{kindA.none(1, "")}
		}, kindA)
		long := says("long", nil, kindB)
		long.Least = 8 * time.Second
		s := searchOf(t, p, "", 6*time.Second, slow, long, says("late", nil, kindC))
		var steps []string
		for _, step := range s.Steps() {
			steps = append(steps, step.Probe.Name+": "+step.Why)
		}
		if got := strings.Join(steps, "; "); got != "slow: ; long: it takes 8s or more, and has 2s; late: " {
			t.Error(got)
		}
		out, err := s.Run(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{kindB.id, kindC.id} {
			if l := only(t, out, id); l.Verdict != result.LimitUndecided || l.DecidedBy != "--budget" || !strings.Contains(l.Evidence, "no time was left") || l.Unit == "" || l.Probe == "" {
				t.Errorf("%+v", l)
			}
		}
	})
}

// Whoever interrupts a search has what is known by then, and is told what is not.
func TestInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := serving(t, &http.Server{Handler: http.HandlerFunc(stream)})
		stop := errors.New("stop")
		ctx, cancel := context.WithCancelCause(t.Context())
		s := searchOf(t, p, "", time.Minute, says("first", func(ctx context.Context, s *Session) []result.Limit {
			cancel(stop)
			return []result.Limit{kindB.found(3, 4, result.OwnerTarget, "seen")}
		}, kindB, kindA), says("second", nil, kindC))
		out, err := s.Run(ctx, nil)
		if !errors.Is(err, stop) {
			t.Error(err)
		}
		if l := only(t, out, kindB.id); !l.Found {
			t.Errorf("%+v", l)
		}
		for _, id := range []string{kindA.id, kindC.id} {
			if l := only(t, out, id); l.Verdict != result.LimitUndecided || !strings.Contains(l.Evidence, "interrupted") || l.DecidedBy != "" {
				t.Errorf("%+v", l)
			}
		}
	})
}

// A target that is gone after a probe is no target with limits: nothing that was found stands, and the probes that are left do not begin. One that is there and refuses may have its limits.
func TestGone(t *testing.T) {
	for name, c := range map[string]struct {
		dies  bool
		back  time.Duration // 0: never
		found bool
		next  string // why the next probe says nothing; "": it does
	}{
		"for good":            {dies: true, next: "since first: connect: "},
		"refuses for good":    {found: true, next: "since first: answered 503"},
		"refuses for a while": {back: recovery / 2, found: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var away atomic.Bool
				p := serving(t, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if away.Load() {
						http.Error(w, "\x1b[31mgone", http.StatusServiceUnavailable)
						return
					}
					stream(w, r)
				})})
				s := searchOf(t, p, "", time.Hour, says("first", func(context.Context, *Session) []result.Limit {
					away.Store(true)
					switch {
					case c.dies:
						p.Close()
					case c.back > 0:
						time.AfterFunc(c.back, func() { away.Store(false) })
					}
					return []result.Limit{kindA.found(3, 4, result.OwnerTarget, "they end"), kindB.found(3, 4, result.OwnerGenerator, "ours")}
				}, kindA, kindB), says("second", func(context.Context, *Session) []result.Limit {
					return []result.Limit{kindC.none(1, "")}
				}, kindC))
				out, err := s.Run(t.Context(), nil)
				if err != nil {
					t.Fatal(err)
				}
				l := only(t, out, kindA.id)
				if l.Found != c.found || !c.found && (l.Low != nil || !strings.Contains(l.Evidence, "3 to 4 s: they end; but the target is gone")) {
					t.Errorf("%+v", l)
				}
				if l := only(t, out, kindB.id); !l.Found {
					t.Errorf("%+v", l)
				}
				l = only(t, out, kindC.id)
				if c.next == "" != (l.Verdict == result.LimitNone) || !strings.Contains(l.Evidence, c.next) || len(out.Remarks) > 0 == (c.next == "") {
					t.Errorf("%+v %q", l, out.Remarks)
				}
			})
		})
	}
}

// A hook that fails is said once; what it leaves undecided is not said to want the flag that was given.
// A target whose heads take longer than a tenth of the budget is as much there as it was.
func TestSlowIsNotGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := serving(t, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(6 * time.Second)
			stream(w, r)
		})})
		s := searchOf(t, p, "", 30*time.Second, says("first", func(context.Context, *Session) []result.Limit { return nil }), says("second", func(context.Context, *Session) []result.Limit {
			return []result.Limit{kindC.none(1, "")}
		}, kindC))
		out, err := s.Run(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if l := only(t, out, kindC.id); l.Verdict != result.LimitNone || len(out.Remarks) > 0 {
			t.Errorf("%+v %q", l, out.Remarks)
		}
	})
}

func TestHookFails(t *testing.T) {
	for name, c := range map[string]struct {
		answer  func(w http.ResponseWriter) // to a publish
		works   bool
		remarks string
	}{
		"refused":     {func(w http.ResponseWriter) { http.Error(w, "", http.StatusNotFound) }, false, "refused with 404"},
		"broken":      {func(w http.ResponseWriter) { panic(http.ErrAbortHandler) }, false, "The publish hook fails: "},
		"to no avail": {func(w http.ResponseWriter) { io.WriteString(w, "ok") }, true, "did not come on a stream"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := serving(t, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Method == http.MethodPost {
						c.answer(w)
						return
					}
					stream(w, r)
				})})
				s := searchOf(t, p, "POST http://limits.test/publish?token=s3cret", time.Minute, says("first", func(_ context.Context, s *Session) []result.Limit {
					if (s.config.Publisher != nil) != c.works {
						t.Errorf("there is a hook: %t", s.config.Publisher != nil)
					}
					return []result.Limit{kindA.undecided("--publish", "no event")}
				}, kindA))
				out, err := s.Run(t.Context(), nil)
				if err != nil {
					t.Fatal(err)
				}
				if l := only(t, out, kindA.id); l.DecidedBy != "" || strings.Contains(l.Evidence, "the hook fails") == c.works {
					t.Errorf("%+v", l)
				}
				if len(out.Remarks) != 1 || !strings.Contains(out.Remarks[0], c.remarks) || strings.Contains(out.Remarks[0], "s3cret") {
					t.Errorf("%q", out.Remarks)
				}
			})
		})
	}
}

// What a target that is gone at the end had is no whole answer, and that is said first; one that does not answer is gone too, one that refuses or came back is not.
func TestDeparture(t *testing.T) {
	for name, c := range map[string]struct {
		dies, mute bool
		back       time.Duration // after so long; 0: never
		gone       string        // "": it is not
	}{
		"killed":              {dies: true, gone: "no stream can be opened since first: connect: "},
		"stopped":             {mute: true, gone: "no stream can be opened since first: "},
		"refuses":             {},
		"stopped for a while": {mute: true, back: recovery + time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var away atomic.Bool
				p := serving(t, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					switch {
					case away.Load() && c.mute:
						for away.Load() && r.Context().Err() == nil {
							pause(r.Context(), time.Second)
						}
					case away.Load():
						http.Error(w, "no", http.StatusServiceUnavailable)
						return
					}
					stream(w, r)
				})})
				s := searchOf(t, p, "", 80*time.Second, says("first", func(context.Context, *Session) []result.Limit {
					away.Store(true)
					if c.dies {
						p.Close()
					}
					if c.back > 0 {
						time.AfterFunc(c.back, func() { away.Store(false) })
					}
					return []result.Limit{kindA.none(3, "they stay")}
				}, kindA), says("second", nil, kindB))
				out, err := s.Run(t.Context(), nil)
				if err != nil {
					t.Fatal(err)
				}
				if !strings.HasPrefix(out.Gone, c.gone) || (out.Gone == "") != (c.gone == "") {
					t.Errorf("gone: %q", out.Gone)
				}
				const first = "The target went away during the search (no stream can be opened since first: "
				if first := strings.HasPrefix(out.Expect[0], first); first != (c.gone != "") {
					t.Errorf("%q", out.Expect)
				}
			})
		})
	}
}

// No limit is without evidence, whatever a probe says or leaves out.
func TestEvidence(t *testing.T) {
	for name, found := range map[string]result.Limit{
		"found": kindA.found(1, 2, "", ""), "none": kindA.none(1, ""), "undecided": kindA.undecided("--publish", ""), "inapplicable": kindA.inapplicable(""),
	} {
		synctest.Test(t, func(t *testing.T) {
			p := serving(t, &http.Server{Handler: http.HandlerFunc(stream)})
			out, err := searchOf(t, p, "", time.Minute, says("first", func(context.Context, *Session) []result.Limit { return []result.Limit{found} }, kindA)).Run(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if l := only(t, out, kindA.id); l.Evidence == "" {
				t.Errorf("%s: %+v", name, l)
			}
		})
	}
}

// Each probe says what it looks for, so that what it is kept from is not missing from a report.
func TestAims(t *testing.T) {
	for _, p := range Probes() {
		if _, ok := aims[p.Name]; !ok {
			t.Errorf("%s is not among aims", p.Name)
		}
	}
}
