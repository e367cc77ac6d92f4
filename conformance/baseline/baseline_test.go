package baseline_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ssegauge/conformance/baseline"
	"ssegauge/reports/result"
)

func known(id string) bool { return !strings.Contains(id, "nonsense") }

func found(url string, verdicts ...string) *result.Run {
	r := &result.Run{Target: result.Target{URL: url}, Check: &result.Check{}}
	for i := 0; i < len(verdicts); i += 2 {
		r.Results = append(r.Results, result.Finding{ID: verdicts[i], Verdict: result.Verdict(verdicts[i+1])})
	}
	return r
}

var today = time.Date(2026, 12, 1, 15, 0, 0, 0, time.UTC)

func TestApply(t *testing.T) {
	const url = "https://api.example/events?token=***"
	for _, c := range []struct{ name, file, found, accepted, stale string }{
		{"nothing listed", "", "a fail b warn", "", ""},
		{"listed", "- {id: a, reason: old}\n- {id: b, target: 'https://api.example/*', reason: gateway}", "a fail b warn c fail", "a b", ""},
		{"another target", "- {id: a, target: 'https://other.example/*', reason: old}", "a fail", "", ""},
		{"another target passes", "- {id: a, target: 'https://other.example/*', reason: old}", "a pass", "", ""},
		{"no longer so", "# one\n- id: a\n  reason: old\n- {id: b, reason: old}\n", "a pass b info", "", "line 2: a is no longer so: pass; line 4: b is no longer so: info"},
		{"came to no verdict", "- {id: a, reason: old}\n- {id: b, reason: old}\n- {id: c, reason: old}", "a not-observed b error", "", ""},
		{"its last day", "- {id: a, reason: old, expires: 2026-12-01}", "a fail", "a", ""},
		{"its time is over", "- {id: a, reason: old, expires: 2026-11-30}", "a fail", "", "line 1: a expired on 2026-11-30"},
		{"graver than accepted", "- {id: a, reason: old, verdict: warn}\n- {id: b, reason: old, verdict: warn}", "a fail b warn", "b", ""},
		{"milder than accepted", "- {id: a, reason: old, verdict: fail}", "a warn", "a", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := baseline.Read(strings.NewReader(c.file), known)
			if err != nil {
				t.Fatal(err)
			}
			r := found(url, strings.Fields(c.found)...)
			stale := b.Apply(today, r)
			var accepted []string
			for _, f := range r.Results {
				if f.Accepted != "" {
					accepted = append(accepted, f.ID)
				}
			}
			if got := strings.Join(accepted, " "); got != c.accepted || r.Summary.Accepted != len(accepted) {
				t.Errorf("accepted %q (%d counted), want %q", got, r.Summary.Accepted, c.accepted)
			}
			if got := strings.Join(stale, "; "); got != c.stale {
				t.Errorf("stale %q, want %q", got, c.stale)
			}
			bad := len(strings.Fields(c.found)) / 2
			if n := r.Summary; n.Fail+n.Warn+n.Accepted+n.Pass+n.Info+n.NotObserved+n.Error != bad {
				t.Errorf("%+v does not add up to %d", n, bad)
			}
		})
	}
}

func TestFilesThatAreWrong(t *testing.T) {
	for file, want := range map[string]string{
		"a: b":                             "1: a list",
		"- a":                              "1: an entry is a mapping",
		"- {id: a, reason: x}\n- {id: b}":  "2: b has no reason",
		"- {id: nonsense, reason: x}":      `1: there is no check "nonsense"`,
		"- {reason: x}":                    "1: there is no id",
		"- id: a\n  reason: x\n  until: 1": `3: unknown key "until"`,
		"- {id: a, reason: x, expires: tomorrow}": "1: expires",
		"- {id: a, reason: x, verdict: pass}":     "1: verdict",
		"- {id: a, reason: x, target: '['}":       "1: target",
		"- {id: [a], reason: x}":                  "1: ",
		"- {id: a":                                "1: yaml",
		strings.Repeat("#", 5<<20):                "1: more than",
	} {
		_, err := baseline.Read(strings.NewReader(file), known)
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.60q: error %v, want %s", file, err, want)
		}
	}
}

func TestUpdate(t *testing.T) {
	const file = `# what we know
- id: a # for a long time
  reason: the old gateway
- id: gone
  reason: was so
- {id: silent, reason: not run here}
- id: over
  reason: should be done
  expires: 2026-11-30
- id: b
  target: https://other.example/*
  reason: not this one
`
	b, err := baseline.Read(strings.NewReader(file), known)
	if err != nil {
		t.Fatal(err)
	}
	const url = "https://[::1]/events?token=***"
	run := func() *result.Run {
		return found(url, "a", "fail", "gone", "pass", "silent", "not-observed", "over", "fail", "b", "fail", "c", "warn", "d", "fail")
	}
	added, removed, err := b.Update(result.Fail, today, run())
	if added != 2 || removed != 1 || err != nil {
		t.Errorf("%d added, %d removed, error %v", added, removed, err)
	}
	var out strings.Builder
	if err := b.Write(&out); err != nil {
		t.Fatal(err)
	}
	const want = `# what we know
- id: a # for a long time
  reason: the old gateway
- {id: silent, reason: not run here}
- id: over
  reason: should be done
  expires: 2026-11-30
- id: b
  target: https://other.example/*
  reason: not this one
- id: b
  target: https://\[::1]/events\?token=***
  verdict: fail
  reason: not reviewed yet
- id: d
  target: https://\[::1]/events\?token=***
  verdict: fail
  reason: not reviewed yet
`
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	// What was written accepts what was found, and a second update has nothing to do.
	b, err = baseline.Read(strings.NewReader(out.String()), known)
	if err != nil {
		t.Fatal(err)
	}
	if added, removed, err := b.Update(result.Fail, today, run()); added+removed != 0 || err != nil {
		t.Errorf("%d added, %d removed, error %v", added, removed, err)
	}
	r := run()
	if stale := b.Apply(today, r); len(stale) != 1 || r.Summary.Accepted != 3 || r.Summary.Fail != 1 || r.Summary.Warn != 1 {
		t.Errorf("stale %q, %+v", stale, r.Summary)
	}
	if added, _, _ := b.Update(result.Warn, today, run()); added != 1 {
		t.Errorf("%d warnings added, want 1", added)
	}
	// From nothing, and back to nothing.
	b, err = baseline.Read(strings.NewReader(""), known)
	if err != nil {
		t.Fatal(err)
	}
	for _, verdict := range []string{"fail", "pass"} {
		if _, _, err := b.Update(result.Fail, today, found(url, "a", verdict)); err != nil {
			t.Fatal(err)
		}
	}
	out.Reset()
	if err := b.Write(&out); err != nil || out.String() != "[]\n" {
		t.Errorf("%q, error %v", out.String(), err)
	}
}

// Of several targets an entry counts where it still stands: it is stale when it stands nowhere.
func TestSeveral(t *testing.T) {
	for file, want := range map[string]string{
		"- {id: a, reason: old}":                         "",
		"- {id: a, target: 'https://one/', reason: old}": "line 1: a is no longer so: pass",
		"- {id: b, reason: old}":                         "line 1: b is no longer so: pass",
	} {
		b, err := baseline.Read(strings.NewReader(file), known)
		if err != nil {
			t.Fatal(err)
		}
		one, two := found("https://one/", "a", "pass", "b", "pass"), found("https://two/", "a", "fail", "b", "not-observed")
		if got := strings.Join(b.Apply(today, one, two), "; "); got != want {
			t.Errorf("%s: %q, want %q", file, got, want)
		}
		_, removed, err := b.Update(result.Fail, today, one, two)
		if (removed == 1) != (want != "") || err != nil {
			t.Errorf("%s: %d removed, %v", file, removed, err)
		}
	}
}
