package loadgen_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ssegauge/loadgen"
	"ssegauge/loadgen/plan"
)

// tail serves the lines of a file as events, as they are appended.
func tail(t *testing.T, file string) string {
	t.Helper()
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		c := http.NewResponseController(w)
		c.Flush()
		f, err := os.Open(file)
		if err != nil {
			return
		}
		defer f.Close()
		in, partial := bufio.NewReader(f), ""
		for r.Context().Err() == nil {
			line, err := in.ReadString('\n')
			if partial += line; err == io.EOF {
				time.Sleep(5 * time.Millisecond)
				continue
			}
			fmt.Fprintf(w, "data: %s\n", partial)
			io.WriteString(w, "\n")
			c.Flush()
			partial = ""
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// A command that says no is named with its exit status, which is no status of HTTP.
func TestPublishCommandFails(t *testing.T) {
	p := &plan.Plan{
		Targets: []plan.Target{{URL: tail(t, filepath.Join(t.TempDir(), "none"))}}, Streams: 1, Ramp: 100 * time.Millisecond, Hold: 200 * time.Millisecond,
		Publish: &plan.Publish{Command: "exit 3", Rate: 10, Settle: 100 * time.Millisecond, Deadline: 100 * time.Millisecond},
	}
	l, err := loadgen.Run(t.Context(), p, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(l.Streams.Failures) != 1 || l.Streams.Failures["publish: command: exit status 3"] != 2 {
		t.Errorf("%v", l.Streams.Failures)
	}
}

// Events are published by a command that is fed on stdin; where it ends, the run says why.
func TestPublishOnStdin(t *testing.T) {
	run := func(command, file string, deadline time.Duration) (failures map[string]int, published, lost, eligible int64, reasons string) {
		p := &plan.Plan{
			Targets: []plan.Target{{URL: tail(t, file)}}, Streams: 3, Ramp: 100 * time.Millisecond, Hold: time.Second,
			Publish: &plan.Publish{Stdin: command, Body: "{{json .Data}}", Rate: 50, Arrival: plan.Poisson, Size: 60, Settle: time.Second, Deadline: deadline},
		}
		l, err := loadgen.Run(t.Context(), p, nil)
		if err != nil {
			t.Fatal(err)
		}
		return l.Streams.Failures, l.Events.Published, l.Events.Lost, l.Events.Eligible, strings.Join(l.Validity.Reasons, "\n")
	}
	file := filepath.Join(t.TempDir(), "lines")
	if failures, published, lost, eligible, _ := run("cat >>'"+file+"'", file, time.Minute); published != 50 || lost != 0 || eligible == 0 || len(failures) != 0 {
		t.Errorf("%d published, %d of %d lost, %v", published, lost, eligible, failures)
	}
	if b, _ := os.ReadFile(file); strings.Count(string(b), "\n") != 50 || len(b) != 50*(60+3) {
		t.Errorf("%q", b)
	}
	// What the pipe takes before the command is found to be gone counts as published.
	failures, published, _, _, _ := run("echo 'not today' >&2; exit 3", file, time.Second)
	if failed := failures[`publish: command: exit status 3: "not today"`]; failed < 40 || int64(failed)+published != 50 {
		t.Errorf("%d published, %v", published, failures)
	}
}
