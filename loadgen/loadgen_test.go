package loadgen_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"ssegauge/loadgen"
	"ssegauge/loadgen/plan"
	"ssegauge/reference/server"
	"ssegauge/reports/result"
)

// serve starts the reference server and returns its address.
func serve(t testing.TB, config *tls.Config) string {
	t.Helper()
	s, err := server.New(server.Config{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Serve(ctx, l, config) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

func dump(t testing.TB, l *result.Load) string {
	for _, q := range l.LatencyUS {
		q.HDR = ""
	}
	if l.Generator.DelayUS != nil {
		l.Generator.DelayUS.HDR = ""
	}
	b, err := json.MarshalIndent(l, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A run against the reference server over each protocol: every stream opens, every event comes to all, and the latencies are there.
func TestReferenceServer(t *testing.T) {
	cert, err := server.SelfSigned("localhost", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		http        string
		tls         *tls.Config
		spoken      string
		streams     int
		connections int
	}{
		{"auto", nil, "1.1", 50, 50},
		{"h2c", nil, "h2c", 250, 3},
		{"auto", &tls.Config{Certificates: []tls.Certificate{cert}}, "2", 150, 2},
		{"1.1", &tls.Config{Certificates: []tls.Certificate{cert}}, "1.1", 20, 20},
	} {
		t.Run(c.spoken, func(t *testing.T) {
			t.Parallel()
			base := "http://" + serve(t, c.tls)
			if c.tls != nil {
				base = "https" + strings.TrimPrefix(base, "http")
			}
			p := &plan.Plan{
				Targets: []plan.Target{{URL: base + "/events?channel=a", HTTP: c.http, Insecure: true}},
				Streams: c.streams, Ramp: 200 * time.Millisecond, Hold: 1500 * time.Millisecond,
				Publish: &plan.Publish{HTTP: "POST " + base + "/publish?channel=a", Body: `{"data":{{json .Data}}}`, Rate: 40, Size: 100, Settle: time.Second, Deadline: time.Minute},
			}
			l, err := loadgen.Run(t.Context(), p, nil)
			if err != nil {
				t.Fatal(err)
			}
			e := l.Events
			// On a machine that is very busy a stream may open too late to be eligible for the first events: only what holds at any speed is asked for.
			if l.Streams.Opened != c.streams || l.Streams.Failed != 0 || l.Streams.Connections != c.connections || l.Streams.ClosedByServer != 0 ||
				e.Published != 60 || e.Received > int64(60*c.streams) || e.Eligible > e.Received || e.Eligible == 0 || e.Lost+e.Duplicated+e.Reordered != 0 {
				t.Errorf("%s", dump(t, l))
			}
			if got := l.Plan["targets"].([]any)[0].(map[string]any)["spoken"]; got != c.spoken {
				t.Errorf("spoken %v, want %s", got, c.spoken)
			}
			for _, name := range []string{"open", "open_service", "tcp_connect", "first_event", "deliver", "deliver_from_send", "publish_ack", "fanout_t50", "fanout_t90", "fanout_t99", "fanout_t100", "spread", "gap", "sched_lag"} {
				if q := l.LatencyUS[name]; q == nil || q.Count == 0 || q.P50 == nil {
					t.Errorf("no %s: %+v", name, q)
				}
			}
			if q := l.LatencyUS["deliver"]; q.Count != e.Eligible {
				t.Errorf("%d deliveries recorded, %d eligible", q.Count, e.Eligible)
			}
			if q := l.LatencyUS["fanout_t100"]; q.Count == 0 || q.Count > 60 || *q.Max < *l.LatencyUS["deliver"].P50 {
				t.Errorf("fanout_t100: %+v", q)
			}
		})
	}
}

func publishTo(base string) *plan.Publish {
	return &plan.Publish{HTTP: "POST " + base + "/publish?channel=a", Body: `{"data":{{json .Data}}}`, Rate: 50, Settle: 50 * time.Millisecond, Deadline: 500 * time.Millisecond}
}

// What keeps a run from starting is a typed error; nothing is opened.
func TestRefusals(t *testing.T) {
	base := "http://" + serve(t, nil)
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody.Close()
	var wrong *plan.Error
	var limit *loadgen.LimitError
	var away *loadgen.UnreachableError
	for _, c := range []struct {
		plan plan.Plan
		as   any
		want string
	}{
		{plan.Plan{Targets: []plan.Target{{URL: "x"}}}, &wrong, "targets[0].url"},
		{plan.Plan{Targets: []plan.Target{{URL: base}}, Publish: &plan.Publish{HTTP: "POST " + base, Body: "{{.Nope}}"}}, &wrong, "Nope"},
		{plan.Plan{Targets: []plan.Target{{URL: base}}, Publish: &plan.Publish{HTTP: "POST " + base, Body: "same each time"}}, &wrong, "neither {{.Marker}} nor {{.Data}}"},
		{plan.Plan{Targets: []plan.Target{{URL: base + "/events"}}, Streams: 50_000_000}, &limit, "the plan needs 50000000 connections"},
		{plan.Plan{Targets: []plan.Target{{URL: "http://user:secret@" + nobody.Addr().String() + "/"}}, Streams: 3}, &away, "connection refused"},
	} {
		l, err := loadgen.Run(t.Context(), &c.plan, nil)
		if l != nil || !errors.As(err, c.as) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v, %v; want %T with %q", l, err, c.as, c.want)
		}
	}
}

// Runs from which nothing can be concluded are invalid, and say why.
func TestInvalid(t *testing.T) {
	base := "http://" + serve(t, nil)
	elsewhere, refused, longer := publishTo(base), publishTo(base), publishTo(base)
	longer.WarmUp = time.Hour
	elsewhere.Deadline = 4 * time.Second // all of it is waited for
	refused.Deadline = time.Minute       // none of it
	elsewhere.HTTP = "POST " + base + "/publish?channel=b"
	refused.HTTP = "POST " + base + "/nowhere"
	for _, c := range []struct {
		path, reason, failure string
		publish               *plan.Publish
	}{
		{"/events?channel=a", "does the hook publish where the streams listen", "", elsewhere},
		{"/events?channel=a", "no event was published: 10 refused by the target, 0 failed (publish: status 404)", "publish: status 404", refused},
		{"/tick?interval=20ms&channel=a", "none carries a marker", "", elsewhere},
		{"/tick?interval=20ms&count=3", "every stream had ended after", "closed: end of response", longer},
		{"/nowhere", "no stream was opened (head: status 404)", "head: status 404", longer},
	} {
		t.Run(c.reason, func(t *testing.T) {
			t.Parallel()
			publish := *c.publish
			publish.Settle = time.Second // for a stream that opens late
			p := &plan.Plan{Targets: []plan.Target{{URL: base + c.path}}, Streams: 5, Ramp: 100 * time.Millisecond, Hold: 200 * time.Millisecond, Publish: &publish}
			l, err := loadgen.Run(t.Context(), p, nil)
			if err != nil {
				t.Fatal(err)
			}
			if v := l.Validity; v.Verdict != "invalid" || !strings.Contains(strings.Join(v.Reasons, "\n"), c.reason) || c.failure != "" && l.Streams.Failures[c.failure] == 0 {
				t.Errorf("%s: %+v, %v; want %q and %q", c.path, v, l.Streams.Failures, c.reason, c.failure)
			}
		})
	}
}

// An interrupt gives what is known by then, and nothing that was under way counts as lost.
func TestInterrupt(t *testing.T) {
	base := "http://" + serve(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	p := &plan.Plan{Targets: []plan.Target{{URL: base + "/events?channel=a"}}, Streams: 5, Ramp: 100 * time.Millisecond, Hold: time.Hour, Publish: publishTo(base)}
	p.Publish.Deadline = time.Minute // on a busy machine nothing is lost either
	var last loadgen.Snapshot
	l, err := loadgen.Run(ctx, p, func(s loadgen.Snapshot) {
		if last = s; s.Received > 0 {
			cancel()
		}
	})
	cancel()
	if !errors.Is(err, context.Canceled) || l == nil {
		t.Fatalf("%v, %v", l, err)
	}
	if l.Streams.Opened != 5 || l.Streams.ClosedByServer != 0 || l.Streams.Failed != 0 || l.Events.Received < last.Received || l.Events.Lost != 0 || l.Events.Published == 0 {
		t.Errorf("%s", dump(t, l))
	}
}

// Streams that are due together cannot all be begun at once: a jump of the plan is not taken for lateness.
func TestJump(t *testing.T) {
	p := &plan.Plan{
		Targets: []plan.Target{{URL: "http://" + serve(t, nil) + "/tick?interval=50ms"}}, Hold: 500 * time.Millisecond,
		Stages: []plan.Stage{{Streams: 200, Hold: 300 * time.Millisecond}, {Streams: 400}},
	}
	l, err := loadgen.Run(t.Context(), p, nil)
	if err != nil {
		t.Fatal(err)
	}
	if l.Streams.Opened < 200 || strings.Contains(strings.Join(l.Validity.Reasons, "\n"), "openings began") {
		t.Errorf("%d opened: %v", l.Streams.Opened, l.Validity.Reasons)
	}
}
