package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"
)

// TestFaultsBreakOneRule judges a server with each fault, and one without, by small checks of the test's own, one for each fault: a fault
// must break its rule and no other.
func TestFaultsBreakOneRule(t *testing.T) {
	// Those that change ids or the whole format leave this judge nothing to go by: the checks themselves prove them.
	elsewhere := strings.Fields("framing/space-after-colon framing/not-sse-body id/present id/unique id/cors-safe id/size id/stable id/control-frames load/six")
	for _, f := range append([]Fault{{}}, Faults()...) {
		if slices.Contains(elsewhere, f.ID) {
			continue
		}
		t.Run("fault "+f.ID, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "1.1", Config{Fault: f.ID})
				got, rules := judge(w)
				var want []string // those that are not looked at here have tests of their own, and break none of these
				if slices.Contains(append(rules, "h2/connection-headers"), f.ID) {
					want = []string{f.ID}
				}
				if f.ID == "resume/header-accepted" || f.ID == "resume/window" {
					want = []string{"resume/replay"} // there is none without a stream, nor of the first events of a channel
				}
				if strings.HasPrefix(f.ID, "http/content-type/") {
					want = []string{"http/content-type"} // the whole value is looked at here
				}
				if f.Capitals {
					return // Go's client takes no such answer
				}
				h2 := newWorld(t, "h2c", Config{Fault: f.ID})
				res := h2.do(t.Context(), "HEAD", "/scenario/", "") // no stream: the fault is not about it
				if res.Header.Get("Keep-Alive") != "" {
					t.Error("Keep-Alive on what is no stream")
				}
				ctx, cancel := context.WithCancel(t.Context())
				res = h2.do(ctx, "GET", "/events", "")
				for _, name := range []string{"Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Upgrade"} {
					if res.Header.Get(name) != "" && !slices.Contains(got, "h2/connection-headers") {
						got = append(got, "h2/connection-headers")
					}
				}
				cancel()
				res.Body.Close()
				if f.Hold > 0 || f.Beat != "" {
					return // nothing comes, or what comes is no field
				}
				if !slices.Equal(got, want) {
					t.Errorf("broken: %q, want %q", got, want)
				}
			})
		})
	}
}

// judge tells which rules w breaks, and which were looked at.
func judge(w *world) (broken, rules []string) {
	rule := func(id string, kept bool) {
		rules = append(rules, id)
		if !kept {
			broken = append(broken, id)
		}
	}
	start := time.Now()
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	res := w.do(ctx, "GET", "/events", "", "Accept: text/event-stream")
	rule("live/headers-flushed", time.Since(start) < time.Second)
	rule("http/status", res.StatusCode == http.StatusOK)
	rule("http/content-type", res.Header.Get("Content-Type") == "text/event-stream")
	rule("http/no-content-length", res.Header.Get("Content-Length") == "")

	// What is published, and what comes of it.
	var ids []string
	for _, data := range []string{`a\nb`, ` x`, `p\revent: INJ\rdata: q`} {
		ids = append(ids, w.publish("default", data))
	}
	raw, err := io.ReadAll(res.Body) // until the time is over, or the stream
	res.Body.Close()
	if err == nil {
		rule("framing/terminated", strings.HasSuffix(string(raw), "\n\n"))
	} else if !errors.Is(err, context.DeadlineExceeded) {
		w.t.Errorf("body: %v", err)
	}
	rule("encoding/utf8", utf8.Valid(raw))
	lines := regexp.MustCompile("\r\n|\n|\r").Split(string(raw), -1)
	names, digits, nul, safe := true, true, true, true
	blocks := map[string][]string{} // id -> data lines
	var id string
	var data []string
	injected := false
	for _, line := range lines[:len(lines)-1] {
		name, value, colon := strings.Cut(strings.TrimPrefix(line, "\uFEFF"), ":")
		value = strings.TrimPrefix(value, " ")
		names = names && (!colon || strings.TrimSpace(name) == "" || slices.Contains([]string{"", "data", "event", "id", "retry"}, name))
		switch name {
		case "id":
			switch {
			case strings.Contains(value, "\x00"):
				nul = false
			default:
				safe = safe && strings.TrimSpace(value) == value
				id = strings.TrimSpace(value)
			}
		case "retry":
			digits = digits && value != "" && strings.Trim(value, "0123456789") == ""
		case "data":
			data = append(data, value)
		case "event":
			injected = injected || value == "INJ"
		case "":
			if line == "" && data != nil {
				blocks[id] = data
				data = nil
			}
		}
	}
	rule("framing/field-names", names)
	rule("retry/digits", digits)
	rule("id/nul", nul)
	rule("id/header-safe", safe)
	rule("data/multiline", slices.Equal(blocks[ids[0]], []string{"a", "b"}))
	rule("data/leading-space", slices.Equal(blocks[ids[1]], []string{" x"}))
	rule("sec/inject/data-cr", !injected)

	// HEAD, within 3 s.
	ctx, cancel = context.WithTimeout(w.t.Context(), 3*time.Second)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, "HEAD", w.base+"/events", nil)
	req.Header.Set("Accept", "text/event-stream")
	head, err := w.client.Do(req)
	rule("http/head", err == nil && head.StatusCode == res.StatusCode && head.Header.Get("Content-Type") == res.Header.Get("Content-Type"))
	if err == nil {
		head.Body.Close()
	}

	// Resumption after the first.
	ctx, cancel = context.WithTimeout(w.t.Context(), 5*time.Second)
	defer cancel()
	res = w.do(ctx, "GET", "/events", "", "Accept: text/event-stream", "Last-Event-ID: "+ids[0])
	raw, _ = io.ReadAll(res.Body)
	res.Body.Close()
	has := func(id string) bool { return strings.Contains(string(raw), "id: "+id) }
	rule("resume/replay", has(ids[1]) && has(ids[2]))
	rule("resume/no-duplicate", !has(ids[0]))
	return broken, rules
}

func TestFaultsBelowScenario(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "1.1", Config{Heartbeat: -1})
		for _, f := range Faults() {
			if f.ID == "" || f.Text == "" || strings.Contains(f.Text, "\n") {
				t.Errorf("%+v", f)
			}
			ctx, cancel := context.WithCancel(t.Context())
			res := w.do(ctx, "GET", faultPrefix+f.ID+"?interval=10ms", "")
			buf := make([]byte, 1)
			if n, err := res.Body.Read(buf); n != 1 {
				t.Errorf("%s: %v", f.ID, err)
			}
			if wrong := f.Code; wrong != 0 && res.StatusCode != wrong {
				t.Errorf("%s: %d", f.ID, res.StatusCode)
			}
			cancel()
			res.Body.Close()
		}
		// The whole server is below, with channels of its own.
		r := w.stream(faultPrefix + "data/multiline/events?channel=x")
		w.publish("x", "on the clean server")
		res := w.do(t.Context(), "POST", faultPrefix+"data/multiline/publish?channel=x", `{"data":"a\nb"}`, "Content-Type: application/json")
		w.text(res)
		r.want("a b")
		r.close()
		for _, path := range []string{"no/such", "http", "http/statusx", "http/status/scenario/fault/http/head", ""} {
			res := w.do(t.Context(), "GET", faultPrefix+path, "")
			if w.text(res); res.StatusCode != 404 {
				t.Errorf("%s: %d", path, res.StatusCode)
			}
		}
		synctest.Wait()
		if st := w.Stats(); st.Streams != 1 || // of lifecycle/client-close, which forgets none
			st.Opened < uint64(len(Faults())) {
			t.Errorf("%+v", st)
		}
	})
	if _, err := New(Config{Fault: "no/such"}); err == nil {
		t.Error("a fault that does not exist is taken")
	}
	if _, err := New(Config{Queue: -1}); err == nil {
		t.Error("a negative queue is taken")
	}
}
