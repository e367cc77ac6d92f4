package loadgen_test

import (
	"context"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"ssegauge/loadgen"
	"ssegauge/loadgen/plan"
)

// canaryRole is this test binary as a canary: TestMain looks into the environment.
func canaryRole() error {
	return loadgen.RunCanary(context.Background(), os.Stdin, os.Stdout)
}

func again(role string) func() (*exec.Cmd, error) {
	return func() (*exec.Cmd, error) {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), roleEnv+"="+role)
		return cmd, nil
	}
}

// A canary sees what the run sees; one that does not come up is a note; where it is of no use there is none.
func TestCanary(t *testing.T) {
	base := "http://" + serve(t, nil)
	for _, c := range []struct {
		name     string
		http     string
		streams  int
		canary   func() (*exec.Cmd, error)
		opened   int
		note     string // "-": no canary at all
		delivers bool
	}{
		{"HTTP/1.1", "1.1", 120, again("canary"), 3, "", true},
		{"h2c", "h2c", 120, again("canary"), 3, "", true},
		{"few streams", "1.1", 99, again("canary"), 0, "-", false},
		{"no such program", "1.1", 100, func() (*exec.Cmd, error) { return exec.Command("/nonexistent/canary"), nil }, 0, "not started: ", false},
		{"no program", "1.1", 100, func() (*exec.Cmd, error) { return nil, io.ErrUnexpectedEOF }, 0, "not started: unexpected EOF", false},
		{"ends at once", "1.1", 100, again("fails"), 0, "it failed: exit status 1", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			publish := publishTo(base)
			publish.Deadline = time.Minute // on a busy machine nothing is lost
			p := &plan.Plan{Targets: []plan.Target{{URL: base + "/events?channel=a", HTTP: c.http}}, Streams: c.streams, Ramp: 100 * time.Millisecond, Hold: 1500 * time.Millisecond, Publish: publish}
			l, err := loadgen.Run(t.Context(), p, nil, loadgen.WithCanary(c.canary))
			if err != nil {
				t.Fatal(err)
			}
			got := l.Generator.Canary
			if c.note == "-" {
				if got != nil {
					t.Errorf("%+v", got)
				}
				return
			}
			if got == nil || got.Streams != c.opened || !strings.HasPrefix(got.Note, c.note) || c.note == "" && got.Note != "" {
				t.Fatalf("%+v; want %d streams, %q", got, c.opened, c.note)
			}
			if q := got.DeliverUS; c.delivers && (q == nil || q.Count == 0 || q.Count > 3*75 || q.Events > 75 || *q.Min < 0 || *q.Max > *l.LatencyUS["deliver"].Max+1e6) {
				t.Errorf("%+v; the run %+v", q, l.LatencyUS["deliver"])
			}
			if l.Streams.Opened != c.streams { // those of the canary are not among them
				t.Errorf("%d streams", l.Streams.Opened)
			}
		})
	}
}

// Without the run that started it a canary ends, whatever it is doing.
func TestCanaryEnds(t *testing.T) {
	base := "http://" + serve(t, nil)
	order := `{"Targets":[{"URL":"` + base + `/events","Method":"GET","HTTP":"1.1","Addrs":["` + strings.TrimPrefix(base, "http://") + `"]}],"Streams":3,"Run":"zzzzz","Every":1,"Timeout":1000000000}` + "\n"
	for _, in := range []string{"", "{", "\n", order, order + "go\n"} {
		stdin, parent := io.Pipe()
		done := make(chan error)
		go func() { done <- loadgen.RunCanary(t.Context(), stdin, io.Discard) }()
		io.WriteString(parent, in)
		parent.Close()
		if err := <-done; (err == nil) != strings.HasPrefix(in, order) {
			t.Errorf("%q: %v", in, err)
		}
	}
}
