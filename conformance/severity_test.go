package conformance_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"ssegauge/conformance"
)

func TestSeverity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		says := func(id string, report func(*conformance.Probe)) conformance.Check {
			return conformance.Check{ID: id, Run: func(_ context.Context, p *conformance.Probe) { report(p) }}
		}
		fail := func(p *conformance.Probe) { p.Fail("broken") }
		warn := func(p *conformance.Probe) { p.Warn("odd") }
		checks := []conformance.Check{
			says("fail", fail), says("fail/error", fail), says("fail/warn", fail), says("fail/info", fail), says("fail/off", fail), says("fail/new", fail),
			says("warn", warn), says("warn/error", warn), says("warn/warn", warn), says("warn/info", warn),
			says("pass/error", func(p *conformance.Probe) { p.Pass("fine") }),
			says("open/error", func(p *conformance.Probe) { p.NotObserved("nothing") }),
			says("wrong/error", func(p *conformance.Probe) { p.Error("the network") }),
		}
		o := conformance.Options{Severity: map[string]conformance.Severity{}}
		for _, c := range checks {
			if _, name, ok := strings.Cut(c.ID, "/"); ok {
				s, err := conformance.ParseSeverity(name)
				if name == "new" {
					s = conformance.SeverityNew
				} else if err != nil {
					t.Fatal(err)
				}
				o.Severity[c.ID] = s
			}
		}
		r, err := conformance.Run(t.Context(), target(serve(ticking)), checks, o)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range r.Results {
			got = append(got, fmt.Sprintf("%s %s %s", f.ID, f.Verdict, f.Message))
		}
		want := []string{
			"fail fail broken", "fail/error fail broken", "fail/warn warn broken (its own verdict: fail; severity set to warn)",
			"fail/info info broken (its own verdict: fail; severity set to info)",
			"fail/new info broken (new since the requirements of this run; its own verdict: fail)",
			"warn warn odd", "warn/error fail odd (its own verdict: warn; severity set to error)", "warn/warn warn odd",
			"warn/info info odd (its own verdict: warn; severity set to info)",
			"pass/error pass fine", "open/error not-observed nothing", "wrong/error error the network",
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		time.Sleep(5 * time.Second)
	})
	for _, name := range []string{"fatal", "new", ""} {
		if _, err := conformance.ParseSeverity(name); err == nil {
			t.Errorf("%q was taken", name)
		}
	}
}
