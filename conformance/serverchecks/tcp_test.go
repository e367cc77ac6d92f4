package serverchecks_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"ssegauge/conformance"
	"ssegauge/reference/publish"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// hub is a small server on a real network: a listener's and a writer's buffers swallow megabytes there before a client that does not read is noticed.
type hub struct {
	inLine bool // one writer for all: whoever does not read holds up the others
	limit  int  // events that wait for one client; then its stream ends

	mu    sync.Mutex
	subs  map[chan []byte]http.ResponseWriter
	turns sync.Mutex
}

func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		body, _ := io.ReadAll(r.Body)
		h.publish(fmt.Appendf(nil, "data: %s\n\n", body))
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	http.NewResponseController(w).Flush()
	queue := make(chan []byte, h.limit)
	h.mu.Lock()
	h.subs[queue] = w
	h.mu.Unlock()
	defer func() {
		h.turns.Lock() // nobody writes to w any more
		h.mu.Lock()
		delete(h.subs, queue)
		h.mu.Unlock()
		h.turns.Unlock()
	}()
	for {
		select {
		case event, ok := <-queue:
			if !ok {
				return
			}
			w.Write(event)
			http.NewResponseController(w).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

func (h *hub) publish(event []byte) {
	if h.inLine {
		h.turns.Lock()
		defer h.turns.Unlock()
		h.mu.Lock()
		subs := make([]http.ResponseWriter, 0, len(h.subs))
		for _, w := range h.subs {
			subs = append(subs, w)
		}
		h.mu.Unlock()
		for _, w := range subs {
			w.Write(event)
			http.NewResponseController(w).Flush()
		}
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	var full []chan []byte
	for queue := range h.subs {
		select {
		case queue <- event:
		default:
			full = append(full, queue)
		}
	}
	for _, queue := range full {
		// Whoever reads, on a machine however busy, has room again in a moment.
		select {
		case queue <- event:
		case <-time.After(300 * time.Millisecond):
			close(queue)
			delete(h.subs, queue)
		}
	}
}

// On loopback TCP the kernel swallows what a client does not read, up to 2.5 MiB and more: enough has to be published to get past that.
func TestSlowReaderOverTCP(t *testing.T) {
	for name, c := range map[string]struct {
		hub  *hub
		want map[string]result.Verdict
	}{
		"a queue each": {
			&hub{limit: 64},
			map[string]result.Verdict{"load/isolation": result.Pass, "load/slow-policy": result.Info, "delivery/every-subscriber": result.Pass},
		},
		"one writer": {
			&hub{inLine: true},
			map[string]result.Verdict{"load/isolation": result.Fail, "load/slow-policy": result.NotObserved, "delivery/every-subscriber": result.Pass},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.hub.subs = map[chan []byte]http.ResponseWriter{}
			srv := httptest.NewServer(c.hub)
			defer srv.Close()
			u, _ := url.Parse(srv.URL + "/events")
			pub, err := publish.Compile(publish.Hook{HTTP: "POST " + srv.URL + "/publish", Body: "{{.Data}}"})
			if err != nil {
				t.Fatal(err)
			}
			var checks []conformance.Check
			for id := range c.want {
				check, _ := lookup(id)
				checks = append(checks, check)
			}
			r, err := conformance.Run(t.Context(), conformance.Target{
				Request:   wire.Request{URL: u, Header: wire.Header{{Name: "Accept", Value: "text/event-stream"}}},
				Publisher: pub, Window: time.Second, Active: true, // large events: a busy machine publishes few
			}, checks, conformance.Options{})
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range r.Results {
				t.Log(show(f))
				if f.Verdict != c.want[f.ID] {
					t.Errorf("want %s: %s", c.want[f.ID], show(f))
				}
			}
			t.Log(r.DurationMS)
			srv.CloseClientConnections()
		})
	}
}
