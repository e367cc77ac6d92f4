package loadgen_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ssegauge/loadgen"
	"ssegauge/loadgen/plan"
)

// model answers prompts as language models do: the head at once, the first token after a while, [DONE] and the end of the response. Of ten requests one is refused,
// one is cut short and one is answered by nothing.
type model struct{ asked, bad atomic.Int64 }

const (
	toFirst, between, tokens = 20 * time.Millisecond, 5 * time.Millisecond, 4
)

func (m *model) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var prompt struct{ Prompt string }
	if b, _ := io.ReadAll(r.Body); r.Method != "POST" || json.Unmarshal(b, &prompt) != nil || prompt.Prompt != "hello" {
		m.bad.Add(1)
	}
	// The first request is the one that learns how the target is reached.
	n := (m.asked.Add(1) - 2) % 10
	if n == 7 {
		http.Error(w, "slow down", http.StatusTooManyRequests)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	c := http.NewResponseController(w)
	c.Flush()
	if n == 5 {
		return
	}
	time.Sleep(toFirst)
	for i := range tokens {
		fmt.Fprintf(w, "data: {\"token\":%d}\n\n", i)
		c.Flush()
		if n == 3 {
			panic(http.ErrAbortHandler)
		}
		time.Sleep(between)
	}
	io.WriteString(w, "data: [DONE]\n\n")
}

// Requests that are answered by a stream: those that end as they should are complete, the others are told apart, and their end counts as never.
func TestFinite(t *testing.T) {
	for _, proto := range []string{"1.1", "h2c"} {
		t.Run(proto, func(t *testing.T) {
			m := new(model)
			s := httptest.NewUnstartedServer(m)
			s.Config.Protocols = new(http.Protocols)
			s.Config.Protocols.SetHTTP1(proto == "1.1")
			s.Config.Protocols.SetUnencryptedHTTP2(proto == "h2c")
			s.Config.ErrorLog = nil
			s.Start()
			defer s.Close()
			p := &plan.Plan{
				Targets:  []plan.Target{{URL: s.URL, HTTP: proto, Body: `{"prompt":"hello"}`}},
				OpenRate: 100, Arrival: plan.Poisson, Hold: 500 * time.Millisecond,
			}
			if err := p.Validate(); err != nil || p.Streams != 50 {
				t.Fatalf("%d streams, %v", p.Streams, err)
			}
			p.Hold = time.Minute // the run ends with the last of them
			l, err := loadgen.Run(t.Context(), p, nil)
			if err != nil {
				t.Fatal(err)
			}
			got := l.Streams
			if got.Planned != 50 || got.Opened != 45 || got.Failed != 5 || got.Failures["head: status 429"] != 5 || got.Completed != 35 || got.ClosedByServer != 10 ||
				l.Events.Received != 35*(tokens+1)+5 || m.bad.Load() != 0 || m.asked.Load() != 51 {
				t.Errorf("%d of %d requests bad: %s", m.bad.Load(), m.asked.Load(), dump(t, l))
			}
			for name, want := range map[string]struct {
				count, never int64
				least        time.Duration
			}{"first_event": {40, 0, toFirst}, "gap": {35 * tokens, 0, 0}, "total": {35, 10, toFirst + tokens*between}} {
				q := l.LatencyUS[name]
				if q == nil || q.Count != want.count || q.Never != want.never || *q.Min < 0.99*float64(want.least.Microseconds()) {
					t.Errorf("%s: %+v", name, q)
				}
			}
			// A busy machine may open late; that streams end is nothing to complain of.
			if v := l.Validity; strings.Contains(strings.Join(v.Reasons, " "), "ended") {
				t.Errorf("%+v", v)
			}
		})
	}
}

// The reference server's profile of a language model.
func TestFiniteReferenceServer(t *testing.T) {
	p := &plan.Plan{Targets: []plan.Target{{URL: "http://" + serve(t, nil) + "/profile/llm", Body: "{}"}}, Streams: 5, Ramp: -1, Hold: time.Minute}
	l, err := loadgen.Run(t.Context(), p, nil)
	if err != nil {
		t.Fatal(err)
	}
	if l.Streams.Completed != 5 || l.Streams.ClosedByServer+l.Streams.Failed != 0 || l.Events.Received != 45 {
		t.Errorf("%s", dump(t, l))
	}
}

// Streams that were thought finite and are not get their time to end, and are then said not to be.
func TestNotFinite(t *testing.T) {
	p := &plan.Plan{
		Targets: []plan.Target{{URL: "http://" + serve(t, nil) + "/tick?interval=20ms", Method: "GET"}}, Streams: 3, Ramp: -1, Hold: 100 * time.Millisecond, Timeout: 2 * time.Second,
		Finite: new(true),
	}
	l, err := loadgen.Run(t.Context(), p, nil)
	if err != nil {
		t.Fatal(err)
	}
	if reasons := strings.Join(l.Validity.Reasons, "\n"); l.Streams.Completed != 0 || l.Streams.ClosedByServer != 0 || !strings.Contains(reasons, "none of the streams ended, though the plan takes them for finite") {
		t.Errorf("%s", dump(t, l))
	}
}
