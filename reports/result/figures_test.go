package result_test

import (
	"encoding/json"
	"strings"
	"testing"

	"ssegauge/reports/internal/reporttest"
	"ssegauge/reports/result"
)

// Figures have the names of the JSON and the value there, each name once.
func TestFigures(t *testing.T) {
	r := reporttest.LoadFailing()
	r.Reconnect = &result.Reconnect{Attempts: 1, Failed: 2, GaveUp: 3, Away: 4, LastEventIDSent: 5, RetryMS: &result.Span{Min: 6, Max: 7}, MissedInGap: 8, RecoveredByReplay: 9, LostInGap: 10, Undecided: 11, DuplicatesOnReplay: 12}
	r.Streams.Completed = 13
	r.Generator.Machine.Throttled = new(0.5)
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, f := range r.Figures() {
		var at any = doc
		for _, name := range strings.Split(f.Group+"."+f.Name, ".") {
			m, _ := at.(map[string]any)
			at = m[name]
		}
		if f.Value == nil || at != *f.Value {
			t.Errorf("%s.%s is %v, in the JSON %v", f.Group, f.Name, f.Value, at)
		}
		if key := f.Group + "." + f.Name; seen[key] || f.Label == "" {
			t.Errorf("%s: %+v", key, f)
		} else {
			seen[key] = true
		}
	}
}

// Of loss nothing is said where nothing is known of it, and why.
func TestUnmatched(t *testing.T) {
	plan := map[string]any{"publish": map[string]any{"rate": "10/s"}}
	for _, tc := range []struct {
		l    result.Load
		want string
	}{
		{result.Load{Events: result.Events{Received: 9}}, "no publish hook"},
		{result.Load{Events: result.Events{Received: 9}, Plan: plan}, "nothing was published"},
		{result.Load{Events: result.Events{Received: 9, Published: 3}, Plan: plan}, "no stream was open when an event was published"},
		{result.Load{Events: result.Events{Received: 9, Published: 3, Eligible: 3}, Plan: plan}, ""},
	} {
		said := ""
		for _, g := range tc.l.FigureGroups() {
			said += g.Line()
		}
		if got := tc.l.Unmatched(); got != tc.want || strings.Contains(said, "lost 0") != (tc.want == "") || !strings.Contains(said, tc.want) {
			t.Errorf("%+v: %q, want %q; said %s", tc.l.Events, got, tc.want, said)
		}
	}
}

func TestExplain(t *testing.T) {
	for cause, owner := range map[string]string{
		"connect: connection refused": result.OwnerTarget, "connect: connection refused by x": "", "connect: too many open files in system": result.OwnerGenerator,
		"head: status 503": result.OwnerTarget, "head: status 502": result.OwnerPath, "head: status 599": result.OwnerTarget, "closed: h2: CANCEL": result.OwnerTarget,
		"publish: status 415": result.OwnerHook, "head: HTTP/2 frames": result.OwnerTarget, "closed: connection closed": "", "x": "", "": "",
	} {
		if c := result.Explain(cause); c.Owner != owner || c.Text != cause || c.Owner != "" && c.Meaning == "" {
			t.Errorf("%q: %+v, want owner %q", cause, c, owner)
		}
	}
	for cause, do := range map[string]string{
		"head: HTTP/2 frames": "--http h2c", "head: h1/status-line": "--http h2c", "publish: status 415": "--publish-header", "publish: command: exit status 3": "--publish-cmd",
	} {
		if c := result.Explain(cause); !strings.Contains(c.Do, do) {
			t.Errorf("%q: %+v, want advice of %q", cause, c, do)
		}
	}
	l := result.Load{Streams: result.Streams{Failures: map[string]int{"b": 1, "head: status 503": 7, "a": 1}}}
	var order []string
	for _, c := range l.Causes() {
		order = append(order, c.Text)
	}
	if got := strings.Join(order, ","); got != "head: status 503,a,b" {
		t.Error(got)
	}
}
