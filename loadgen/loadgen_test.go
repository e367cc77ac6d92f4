package loadgen_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ssegauge/loadgen"
	"ssegauge/loadgen/plan"
	"ssegauge/reference/server"
	"ssegauge/reports/result"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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

func TestReferenceServer(t *testing.T) {
	for _, c := range []struct {
		name, http  string
		streams     int
		connections int
	}{
		{"1.1", "1.1", 50, 50},
		{"h2c", "h2c", 250, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			addr := serve(t, nil)
			p := &plan.Plan{
				Targets: []plan.Target{{URL: "http://" + addr + "/events?channel=a", HTTP: c.http}},
				Streams: c.streams, Ramp: 200 * time.Millisecond, Hold: 2 * time.Second,
				Publish: &plan.Publish{HTTP: "POST http://" + addr + "/publish?channel=a", Body: `{"data":{{json .Data}}}`, Rate: 50, Size: 100},
			}
			l, err := loadgen.Run(t.Context(), p, func(s loadgen.Snapshot) { t.Logf("%+v", s) })
			if err != nil {
				t.Fatal(err)
			}
			e := l.Events
			if l.Streams.Opened != c.streams || l.Streams.Connections != c.connections || e.Published != 100 || e.Received != int64(100*c.streams) || e.Eligible != e.Received || e.Lost+e.Duplicated+e.Reordered != 0 {
				t.Errorf("%s", dump(t, l))
			}
		})
	}
}
