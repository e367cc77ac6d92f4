package limits

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ssegauge/loadgen/plan"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// A stream that ends by itself is an answer: what needs streams that stay is not looked for, so that no end of an answer is taken for a limit.
func TestFinite(t *testing.T) {
	const open = "" // streams stay open
	event := func(w http.ResponseWriter, data string) {
		io.WriteString(w, "data: "+data+"\n\n")
		http.NewResponseController(w).Flush()
	}
	hold := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	n := 0 // requests of the row that runs
	for name, c := range map[string]struct {
		method string
		finite *bool
		serve  func(w http.ResponseWriter, r *http.Request)
		says   string
		err    string
	}{
		"stays":                    {serve: hold, says: open},
		"ends":                     {serve: func(w http.ResponseWriter, r *http.Request) { event(w, "x") }, says: "one did at once; --finite=false"},
		"ends, it is said":         {finite: new(bool), serve: func(w http.ResponseWriter, r *http.Request) { event(w, "x") }, says: open},
		"stays, it is said to end": {finite: new(true), serve: hold, says: "(--finite)"},
		"is posted":                {method: "POST", serve: hold, says: "that answer a POST end by themselves (--finite=false"},
		"ends without an event":    {serve: func(w http.ResponseWriter, r *http.Request) { w.(http.Flusher).Flush() }, says: open},
		"ends later, done": {serve: func(w http.ResponseWriter, r *http.Request) {
			event(w, "x [DONE] y")
			time.Sleep(5 * time.Second)
			event(w, "[DONE]")
		}, says: open}, // what a text says of it is no end
		"done after a while": {serve: func(w http.ResponseWriter, r *http.Request) {
			event(w, "x")
			time.Sleep(5 * time.Second)
			event(w, "[DONE]")
		}, says: "one did after 5 s, with [DONE]"},
		"ends after a while": {serve: func(w http.ResponseWriter, r *http.Request) {
			event(w, "x")
			time.Sleep(5 * time.Second)
		}, says: open},
		"breaks off": {serve: func(w http.ResponseWriter, r *http.Request) {
			event(w, "x")
			panic(http.ErrAbortHandler)
		}, err: "is no stream: it breaks off at once: "},
		"breaks off once": {serve: func(w http.ResponseWriter, r *http.Request) {
			if n == 1 {
				panic(http.ErrAbortHandler)
			}
			hold(w, r)
		}, says: open},
		"no line ends": {serve: func(w http.ResponseWriter, r *http.Request) {
			for range mostEvent>>20 + 1 {
				w.Write(bytes.Repeat([]byte("x"), 1<<20))
			}
			<-r.Context().Done()
		}, err: "and not one event was complete"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n = 0
				p := serving(t, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Method == "PRI" {
						stream(w, r)
						return
					}
					n++
					w.Header().Set("Content-Type", "text/event-stream")
					w.(http.Flusher).Flush()
					c.serve(w, r)
				})})
				u := &url.URL{Scheme: "http", Host: "limits.test", Path: "/"}
				config := Config{Budget: 5 * time.Minute, Streams: 100}
				config.Plan = plan.Plan{Finite: c.finite, Targets: []plan.Target{{URL: u.String(), Request: &wire.Request{Method: c.method, URL: u}, Dialer: &wire.Dialer{NetDial: p.dial}}}}
				s, err := New(t.Context(), config)
				if c.err != "" {
					if answer := new(AnswerError); !errors.As(err, &answer) || !strings.Contains(err.Error(), c.err) {
						t.Error(err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if s.target.finite == "" != (c.says == open) || !strings.Contains(s.target.finite, c.says) || len(s.unfit) > 0 == (c.says == open) {
					t.Errorf("%q, %d probes are left out", s.target.finite, len(s.unfit))
				}
				s.probes = nil
				out, err := s.Run(t.Context(), nil)
				if err != nil {
					t.Fatal(err)
				}
				for _, l := range out.Limits {
					if l.Verdict != result.LimitNotApplicable || l.Evidence != s.target.finite || l.Probe == "" {
						t.Errorf("%+v", l)
					}
				}
			})
		})
	}
}
