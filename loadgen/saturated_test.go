package loadgen_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"ssegauge/loadgen"
	"ssegauge/loadgen/plan"
)

// laggard delivers one event after the other, and takes its time for each: published faster than that, each comes later than the one before.
func laggard(t *testing.T, each time.Duration) string {
	queue := make(chan string, 10_000)
	var mu sync.Mutex
	streams := map[chan string]bool{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /publish", func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		queue <- string(b)
	})
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
		mine := make(chan string, 10_000)
		mu.Lock()
		streams[mine] = true
		mu.Unlock()
		w.Header().Set("Content-Type", "text/event-stream")
		flush := http.NewResponseController(w).Flush
		for flush() == nil {
			select {
			case e := <-mine:
				io.WriteString(w, "data: "+e+"\n\n")
			case <-r.Context().Done():
				return
			}
		}
	})
	var delivering sync.WaitGroup
	delivering.Go(func() {
		for e := range queue {
			time.Sleep(each)
			mu.Lock()
			for s := range streams {
				s <- e
			}
			mu.Unlock()
		}
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(func() {
		srv.Close()
		close(queue)
		delivering.Wait()
	})
	return srv.URL
}

// A target that does not keep up loses nothing and is late for all: its percentiles say how long one measured, and the run says so.
func TestSaturated(t *testing.T) {
	t.Parallel()
	base := laggard(t, 40*time.Millisecond)
	p := &plan.Plan{
		Targets: []plan.Target{{URL: base + "/events"}}, Streams: 5, Ramp: 100 * time.Millisecond, Hold: 2 * time.Second,
		Publish: &plan.Publish{HTTP: "POST " + base + "/publish", Body: "{{.Marker}}", Rate: 50, Settle: 200 * time.Millisecond, Deadline: time.Minute},
	}
	l, err := loadgen.Run(t.Context(), p, nil)
	if err != nil {
		t.Fatal(err)
	}
	// A machine that is busy, too, may say so; it is not the only thing to be said.
	said := strings.Join(l.Validity.Reasons, "\n")
	if l.Validity.Verdict == "valid" || !strings.Contains(said, "delivery grew from ") && !strings.Contains(said, "delivery was not steady: it grew from ") || !strings.Contains(said, "50/s") || !strings.Contains(said, "to 5 streams") {
		t.Errorf("%+v, %+v", l.Validity, l.Steady)
	}
	if l.Events.Lost != 0 || l.Steady == nil || l.Steady.Verdict != "drifts" || l.Steady.LowUS <= 0 || l.Steady.ToUS < 1e6 {
		t.Errorf("%+v, %+v", l.Events, l.Steady)
	}
}
