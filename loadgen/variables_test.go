package loadgen_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ssegauge/loadgen"
	"ssegauge/loadgen/plan"
)

// Every stream sends its own URL, header and body over every protocol, behind a redirect too.
func TestVariables(t *testing.T) {
	for _, proto := range []string{"1.1", "h2c"} {
		t.Run(proto, func(t *testing.T) {
			var mu sync.Mutex
			got := map[string]int{}
			mux := http.NewServeMux()
			mux.HandleFunc("/answer/", func(w http.ResponseWriter, r *http.Request) {
				b, _ := io.ReadAll(r.Body)
				mu.Lock()
				got[r.URL.Path+" "+r.Header.Get("X-Token")+" "+string(b)]++
				mu.Unlock()
				w.Header().Set("Content-Type", "text/event-stream")
				io.WriteString(w, "data: hi\n\n")
			})
			mux.HandleFunc("/old", func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "/answer/new", http.StatusTemporaryRedirect)
			})
			s := httptest.NewUnstartedServer(mux)
			s.Config.Protocols = new(http.Protocols)
			s.Config.Protocols.SetHTTP1(proto == "1.1")
			s.Config.Protocols.SetUnencryptedHTTP2(proto == "h2c")
			s.Start()
			defer s.Close()
			file := filepath.Join(t.TempDir(), "rows.csv")
			if err := os.WriteFile(file, []byte("name,token\na,t1\nb,t2\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			run := func(path string) *plan.Plan {
				p := &plan.Plan{
					Targets:   []plan.Target{{URL: s.URL + path, HTTP: proto, Header: []string{"X-Token: {{.token}}"}, Body: "{{.Stream}}={{.name}}"}},
					Variables: &plan.Variables{File: file}, Streams: 4, Ramp: -1, Hold: time.Minute,
				}
				l, err := loadgen.Run(t.Context(), p, nil)
				if err != nil {
					t.Fatal(err)
				}
				if l.Streams.Completed != 4 || strings.Contains(dump(t, l), "t1") {
					t.Errorf("%s", dump(t, l))
				}
				return p
			}
			check := func(want map[string]int) {
				t.Helper()
				for k, n := range want {
					if got[k] != n {
						t.Errorf("%q came %d times, want %d: %v", k, got[k], n, got)
					}
				}
				if len(got) != len(want) {
					t.Errorf("%v", got)
				}
				clear(got)
			}
			// The first request is asked once more, to learn how the target is reached.
			run("/answer/{{.name}}")
			check(map[string]int{"/answer/a t1 0=a": 2, "/answer/b t2 1=b": 1, "/answer/a t1 2=a": 1, "/answer/b t2 3=b": 1})
			run("/old")
			check(map[string]int{"/answer/new t1 0=a": 2, "/answer/new t2 1=b": 1, "/answer/new t1 2=a": 1, "/answer/new t2 3=b": 1})
		})
	}
}
