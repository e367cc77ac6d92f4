package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"ssegauge/reference/sse"
)

// client reads a stream of the scenario by the house's parser, which has its own tests, and follows it over reconnections as far as the server
// lets it. It returns what was dispatched, and the status that ended it.
func client(w *world, path string, limit int) (events []string, status int) {
	var d sse.Decoder
	for range limit {
		var fields []string
		if id := d.LastEventID(); len(id) > 0 {
			fields = append(fields, "Last-Event-ID: "+string(id))
		}
		res := w.do(w.t.Context(), "GET", path, "", append(fields, "Accept: text/event-stream")...)
		if status = res.StatusCode; status != http.StatusOK || !strings.HasPrefix(strings.ToLower(res.Header.Get("Content-Type")), "text/event-stream") {
			res.Body.Close()
			return events, status
		}
		buf := make([]byte, 4096)
		for {
			n, err := res.Body.Read(buf)
			chunk := buf[:n]
			for ok := true; ok; {
				var e sse.Event
				var used int
				var bad error
				used, ok, bad = d.Next(chunk, &e)
				if bad != nil {
					w.t.Fatal(bad)
				}
				chunk = chunk[used:]
				if ok {
					events = append(events, fmt.Sprintf("%s:%s:%.40q", e.Name(), sse.Text(e.ID), sse.Text(e.Data)))
				}
			}
			if err != nil {
				break
			}
		}
		res.Body.Close()
		d.Reset(true)
	}
	return events, status
}

func TestScenarios(t *testing.T) {
	three := []string{`message:1:"one"`, `add:2:"two\nlines"`, `message:3:"three"`}
	big := fmt.Sprintf("%.40q", strings.Repeat("0123456789abcdef", 3))
	want := map[string]struct {
		events []string
		status int
	}{
		"eol-lf":          {three, 204},
		"eol-cr":          {three, 204},
		"eol-crlf":        {three, 204},
		"eol-crlf-split":  {three, 204},
		"eol-mixed":       {[]string{`message:1:"one\ntwo"`, `message:3:"three"`}, 204},
		"chunks-of-1":     {[]string{`message:1:"Grüße, 世界 🌍"`, `message:3:"three"`}, 204},
		"bom":             {three, 204},
		"bom-double":      {[]string{`message:3:"kept"`}, 204},
		"comments":        {[]string{`message:1:"one"`, `message:3:"three"`}, 204},
		"multiline":       {[]string{`message:1:"one\n\n  indented\n"`, `message:3:"\n"`}, 204},
		"no-space":        {[]string{`add:1:"one"`, `message:3:" two spaces"`}, 204},
		"unknown-fields":  {[]string{`message:3:"yes"`}, 204},
		"empty-data":      {[]string{`message::""`, `message::""`, `message:3:"three"`}, 204},
		"retry":           {[]string{`message:3:"come back after 100 ms"`}, 204},
		"id-reset":        {[]string{`message:1:"one"`, `message::"two"`, `message:1:"one"`, `message::"two"`, `message:1:"one"`, `message::"two"`}, 200},
		"id-nul":          {[]string{`message:3:"three"`, `message:3:"still 3"`}, 204},
		"id-utf8":         {[]string{`message:…:"one"`}, 204},
		"utf8-bad":        {[]string{`message:3:"�|�(|�|�"`}, 204},
		"cut-event":       {[]string{`message:3:"three"`}, 204},
		"big":             {[]string{`message:3:` + big}, 204},
		"stop-after-3":    {[]string{`message:1:"one"`, `message:2:"two"`, `message:3:"three"`}, 204},
		"ten-streams":     {nil, 204},
		"rapid":           {nil, 204},
		"reset":           {[]string{`message:1:"one"`, `message:2:"two"`}, 204},
		"content-length":  {three, 204},
		"close-delimited": {three, 204},
		"silent":          {nil, 200},
		"status-204":      {nil, 204},
		"status-500":      {nil, 500},
		"type-text":       {nil, 200},
		"type-parameters": {three, 204},
	}
	for _, proto := range protos {
		t.Run(proto, func(t *testing.T) {
			for _, sc := range Scripts() {
				t.Run(sc.Name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						w := newWorld(t, proto, Config{})
						if sc.Name == "silent" {
							time.AfterFunc(time.Hour, w.stop) // it ends with the server
						}
						limit := 12
						switch sc.Name {
						case "id-reset":
							limit = 3
						case "silent":
							limit = 1
						}
						events, status := client(w, "/scenario/"+sc.Name, limit)
						c, ok := want[sc.Name]
						switch {
						case !ok:
							t.Fatalf("no expectation: %q, %d", events, status)
						case sc.Name == "rapid" && len(events) == 1000, sc.Name == "ten-streams" && len(events) == 10 && events[9] == `message:10:"stream 10"`:
							c.events = events
						}
						if strings.Join(events, "\n") != strings.Join(c.events, "\n") || status != c.status {
							t.Errorf("got %q, %d\nwant %q, %d", events, status, c.events, c.status)
						}
						synctest.Wait()
						if n := w.Stats().Streams; n != 0 {
							t.Errorf("%d streams are left", n)
						}
					})
				})
			}
		})
	}
}

// TestScriptReset holds that "reset" is a TCP reset over HTTP/1.1, on a real socket.
func TestScriptReset(t *testing.T) {
	s, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Serve(ctx, l, nil) }()
	defer func() { stop(); <-done }()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /scenario/reset HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(conn)
	if !errors.Is(err, syscall.ECONNRESET) || !strings.Contains(string(raw), "data: tw") {
		t.Errorf("%q, %v", raw, err)
	}
}

func TestScriptFraming(t *testing.T) {
	w := newWorld(t, "1.1", Config{})
	for path, want := range map[string]struct {
		length int64
		coding int
	}{"eol-lf": {-1, 1}, "content-length": {int64(len(threeEvents("\n"))), 0}, "close-delimited": {-1, 0}} {
		res := w.do(t.Context(), "GET", "/scenario/"+path, "")
		if w.text(res); res.ContentLength != want.length || len(res.TransferEncoding) != want.coding {
			t.Errorf("%s: length %d, coding %q", path, res.ContentLength, res.TransferEncoding)
		}
	}
}

func TestScenarioIndex(t *testing.T) {
	w := newWorld(t, "1.1", Config{})
	var list []struct{ Path, Text string }
	if err := json.Unmarshal([]byte(w.text(w.do(t.Context(), "GET", "/scenario/", "", "Accept: application/json"))), &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != len(Scripts())+len(Faults()) {
		t.Errorf("%d entries", len(list))
	}
	for _, e := range list {
		ctx, cancel := context.WithCancel(t.Context())
		res := w.do(ctx, "GET", e.Path, "")
		if res.StatusCode == http.StatusNotFound || e.Text == "" {
			t.Errorf("%+v: %d", e, res.StatusCode)
		}
		cancel()
		res.Body.Close()
	}
	if res := w.do(t.Context(), "GET", "/scenario/none", ""); res.StatusCode != 404 {
		t.Errorf("none: %d", res.StatusCode)
	}
}
