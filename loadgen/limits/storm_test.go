package limits

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"ssegauge/reference/server"
)

// narrow is a server that lets so many in again at a time; who comes for the first time is always let in.
type narrow struct {
	http.Handler
	most int
	span time.Duration

	dies bool // for good, when it is more

	mu   sync.Mutex
	in   int
	next time.Time
	dead bool
}

func (n *narrow) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	full := n.dead
	if r.Header.Get("Last-Event-ID") != "" {
		if now := time.Now(); now.After(n.next) {
			n.in, n.next = 0, now.Add(n.span)
		}
		n.in++
		full = full || n.in > n.most
		n.dead = n.dies && full
	}
	n.mu.Unlock()
	if full && r.URL.Path == "/events" {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	n.Handler.ServeHTTP(w, r)
}

// opening is the reference server, which only so many come back to at a time.
func opening(most int, span time.Duration) func() http.Handler {
	return func() http.Handler {
		return &narrow{Handler: planted(server.Config{Retry: -1})().(*reference).Handler, most: most, span: span}
	}
}

func TestStorm(t *testing.T) {
	const atOnce = "found 0"
	for _, tt := range []struct {
		name                    string
		h                       func() http.Handler
		published               bool
		restored, burst, replay string
		says                    [3]string
	}{
		{"reference", planted(server.Config{}), true, atOnce, "none 20", "none 5", [3]string{"retry is 3s for all", "a burst of 20 was back", "all came to each"}},
		{"nothing published", planted(server.Config{}), false, atOnce, "none 20", "undecided --publish", [3]string{"no attempt failed", "", ""}},
		{"no history", planted(server.Config{History: -1}), true, atOnce, "none 20", "found 0", [3]string{"", "", "300 events, 300 never came"}},
		{"short history", planted(server.Config{History: 3}), true, atOnce, "none 20", "found 3", [3]string{"", "", "120 never came"}},
		{"few at once", opening(8, 1900*time.Millisecond), true, "found 5.75", "found 8", "none 5", [3]string{"5.8s, 5.8s, 5.8s; attempts failed: head: status 503 (156 times); after 156 of these answers an EventSource does not ask again", "503", ""}},
		{"few at all", opening(8, time.Hour), true, "undecided", "undecided", "none 5", [3]string{"only 8 were back after 10s; attempts failed: head: status 503", "503", ""}},
		{"collapse", func() http.Handler {
			h := opening(150, time.Millisecond)().(*narrow)
			h.dies = true
			return h
		}, true, atOnce, "none 100", "none 5", [3]string{"", "of one of 200 only 150 were, and then 400 streams could not be opened again: answered 503", ""}},
		{"cap", planted(server.Config{MaxStreams: 30}), true, "some", "none 15", "none 5", [3]string{"more than 30 streams could not be opened", "503", ""}},
		{"one", planted(server.Config{MaxStreams: 1}), true, "undecided", "undecided", "undecided", [3]string{"two are needed", "", ""}},
		{"finite", handler(&counted{finite: true}), false, "undecided", "undecided", "undecided", [3]string{"", "", ""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			found := probed(t, "storm", tt.h, func(n *town, c *Config) {
				if c.Streams = 40; tt.name == "collapse" {
					c.Streams = 400
				}
				if tt.published {
					hooked(t)(n, c)
				}
			})
			for i, want := range []string{tt.restored, tt.burst, tt.replay} {
				l := found[[]string{restoredID, burstID, replayID}[i]]
				if want == "some" { // places are free when the server has seen who left
					if !l.Found || *l.High > 2 {
						t.Errorf("%+v", l)
					}
				} else {
					is(t, l, want)
				}
				if !strings.Contains(l.Evidence, tt.says[i]) {
					t.Errorf("%s does not say %q", l.ID, tt.says[i])
				}
			}
		})
	}
}
