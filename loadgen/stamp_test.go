package loadgen_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"ssegauge/loadgen"
	"ssegauge/loadgen/plan"
)

// Without a hook a run says by which means it knows what it says.
func TestTiers(t *testing.T) {
	base := "http://" + serve(t, nil)
	for _, c := range []struct {
		name, path string
		stamp      *plan.Timestamp
		tier       int
		deliver    bool
		says       string
	}{
		{"our server's stamp is known by itself", "/tick?interval=50ms", nil, 3, true, "3: events carry the time at which they were sent (our server's sent_ns, ns); deliver is from then to arrival"},
		{"a place in JSON", "/tick?interval=50ms", &plan.Timestamp{JSON: "sent_ns"}, 1, true, "(JSON sent_ns, ns)"},
		{"an expression", "/tick?interval=50ms", &plan.Timestamp{Regexp: `sent_ns":(\d+)`}, 1, true, "(expression sent_ns"},
		{"a stamp that is not there", "/tick?interval=50ms", &plan.Timestamp{JSON: "ts"}, 0, false, "0: no event carries a time stamp (JSON ts); events are compared between receivers"},
		{"no stamp", "/events", nil, 0, false, "0: events are compared between receivers"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := &plan.Plan{Targets: []plan.Target{{URL: base + c.path}}, Streams: 20, Ramp: 100 * time.Millisecond, Hold: 1500 * time.Millisecond, Timestamp: c.stamp}
			l, err := loadgen.Run(t.Context(), p, nil)
			if err != nil {
				t.Fatal(err)
			}
			if says, _ := l.Plan["tier"].(string); l.Correlation.Tier != c.tier || !strings.Contains(says, c.says) {
				t.Errorf("tier %d, %q; want %d, %q", l.Correlation.Tier, says, c.tier, c.says)
			}
			if q := l.LatencyUS["deliver"]; (q != nil && q.Count > 0) != c.deliver {
				t.Errorf("deliver %+v, want some: %v\n%s", q, c.deliver, dump(t, l))
			}
			if k := l.Correlation.Clock; c.deliver && (k == nil || !k.Same || k.Negative != 0) {
				t.Errorf("clock %+v", k)
			}
			if len(l.Findings) > 0 {
				t.Errorf("%+v", l.Findings)
			}
		})
	}
}

func TestBadTimestamps(t *testing.T) {
	for _, c := range []struct {
		stamp plan.Timestamp
		pub   bool
		want  string
	}{
		{plan.Timestamp{}, false, "plan: timestamp: want either json or regex"},
		{plan.Timestamp{JSON: "a", Regexp: "b"}, false, "plan: timestamp: want either json or regex"},
		{plan.Timestamp{JSON: "a"}, true, "plan: timestamp: given together with publish"},
		{plan.Timestamp{JSON: "a..b"}, false, "plan: timestamp.json: \"a..b\" is no path"},
		{plan.Timestamp{Regexp: "("}, false, "plan: timestamp.regex: missing closing )"},
	} {
		p := &plan.Plan{Targets: []plan.Target{{URL: "http://127.0.0.1:1/"}}, Timestamp: &c.stamp}
		if c.pub {
			p.Publish = &plan.Publish{Command: "true"}
		}
		_, err := loadgen.Run(t.Context(), p, nil)
		var bad *plan.Error
		if !errors.As(err, &bad) || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %s", c.stamp, err, c.want)
		}
	}
}
