package limits_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"ssegauge/loadgen/limits"
	"ssegauge/reports/result"
)

// countsResets is a server that looks, for each stream, at how many its client has reset on that connection; false: the stream is over.
func countsResets(look func(resets int64, c *counted, w http.ResponseWriter, _ *http.Request) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := r.Context().Value(connKey{}).(*counted)
		if r.Method != http.MethodGet || !look(c.resets.Load(), c, w, r) {
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
		c.resets.Add(1)
	})
}

// TestResets wants the limit of servers that count resets and show it in different ways, and none of one that does not count, or counts something else.
func TestResets(t *testing.T) {
	const most = 40
	var gone atomic.Bool
	for _, tt := range []struct {
		name    string
		look    func(resets int64, c *counted, w http.ResponseWriter, _ *http.Request) bool
		verdict string
		says    string
	}{
		{"refuses", func(n int64, _ *counted, w http.ResponseWriter, _ *http.Request) bool {
			if n > most {
				http.Error(w, "no", http.StatusTooManyRequests)
			}
			return n <= most
		}, result.LimitFound, "answered 429"},
		{"closes", func(n int64, c *counted, _ http.ResponseWriter, _ *http.Request) bool {
			if n > most {
				c.Close()
			}
			return n <= most
		}, result.LimitFound, "closed before an answer"},
		{"answers no more", func(n int64, _ *counted, _ http.ResponseWriter, r *http.Request) bool {
			if n > most {
				<-r.Context().Done()
			}
			return n <= most
		}, result.LimitFound, "not answered within 5s"},
		{"counts requests", func(n int64, _ *counted, w http.ResponseWriter, _ *http.Request) bool {
			if n > most {
				w.Header().Set("Connection", "close") // GOAWAY NO_ERROR
			}
			return true
		}, result.LimitUndecided, "a limit of requests on a connection"},
		{"goes away", func(n int64, c *counted, _ http.ResponseWriter, _ *http.Request) bool {
			if n > most || gone.Load() {
				gone.Store(true)
				c.Close()
			}
			return !gone.Load()
		}, result.LimitUndecided, "no stream is served on another connection"},
		{"counts nothing", func(int64, *counted, http.ResponseWriter, *http.Request) bool { return true }, result.LimitNone, "up to 200 a second"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := probeOf(t, "resets", countsResets(tt.look), func(c *limits.Config) { c.RemoteResets = true })[0]
			if l.Verdict != tt.verdict || !strings.Contains(l.Evidence, tt.says) || l.Found && (*l.Low > most+1 || *l.High < most || *l.High > most+3) {
				t.Errorf("%+v; want %s: %s", l, tt.verdict, tt.says)
			}
		})
	}
}

// TestResetsRemote wants no reset at a target elsewhere, unless it is said that there may be.
func TestResetsRemote(t *testing.T) {
	asked := func(n int64, _ *counted, _ http.ResponseWriter, _ *http.Request) bool {
		if n > 0 {
			t.Error("a stream was reset")
		}
		return true
	}
	l := probeOf(t, "resets", countsResets(asked), func(*limits.Config) {})[0]
	if l.Verdict != result.LimitUndecided || l.DecidedBy != "--remote-resets" {
		t.Errorf("%+v", l)
	}
}
