package publish_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ssegauge/reference/publish"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// seen is a request as the target got it.
type seen struct{ method, uri, body, contentType, token string }

func record(t *testing.T, status int) (*httptest.Server, func() seen) {
	t.Helper()
	var last atomic.Pointer[seen]
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		last.Store(&seen{r.Method, r.RequestURI, string(b), r.Header.Get("Content-Type"), r.Header.Get("X-Token")})
		w.WriteHeader(status)
		fmt.Fprint(w, "answer")
	}))
	t.Cleanup(srv.Close)
	return srv, func() seen { return *last.Load() }
}

func mustCompile(t *testing.T, h publish.Hook) *publish.Publisher {
	t.Helper()
	p, err := publish.Compile(h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func TestRequest(t *testing.T) {
	srv, last := record(t, http.StatusAccepted)
	m := publish.Message{ID: "7", Event: "add it", Data: "a\n\"b\" <&>", Retry: "5", Marker: "mk1"}
	for name, c := range map[string]struct {
		hook publish.Hook
		want seen
	}{
		"json":           {publish.Hook{HTTP: "POST " + srv.URL + "/p", Body: `{"d":{{json .Data}},"e":{{json .Event}}}`}, seen{"POST", "/p", `{"d":"a\n\"b\" <&>","e":"add it"}`, "application/json", ""}},
		"form":           {publish.Hook{HTTP: "post " + srv.URL + "/p", Body: `d={{urlquery .Data}}`}, seen{"POST", "/p", "d=a%0A%22b%22+%3C%26%3E", "application/x-www-form-urlencoded", ""}},
		"default body":   {publish.Hook{HTTP: "POST " + srv.URL + "/p?e={{urlquery .Event}}"}, seen{"POST", "/p?e=add+it", m.Data, "text/plain; charset=utf-8", ""}},
		"data in url":    {publish.Hook{HTTP: "POST " + srv.URL + "/p?d={{urlquery .Data}}"}, seen{"POST", "/p?d=a%0A%22b%22+%3C%26%3E", "", "", ""}},
		"get":            {publish.Hook{HTTP: "GET " + srv.URL + "/p?m={{.Marker}}"}, seen{"GET", "/p?m=mk1", "", "", ""}},
		"given type":     {publish.Hook{HTTP: "PUT " + srv.URL + "/p", Header: []string{"content-type: a/b", "X-Token: t-{{.ID}}"}}, seen{"PUT", "/p", m.Data, "a/b", "t-7"}},
		"spaces in {{}}": {publish.Hook{HTTP: "GET  " + srv.URL + "/p?i={{ urlquery .ID }}"}, seen{"GET", "/p?i=7", "", "", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			p := mustCompile(t, c.hook)
			r, err := p.Publish(t.Context(), m)
			if err != nil {
				t.Fatal(err)
			}
			if got := last(); got != c.want {
				t.Errorf("the target got %+v, want %+v", got, c.want)
			}
			if r.Refused || r.Status != http.StatusAccepted || string(r.Body) != "answer" || r.Done.Before(r.Sent) {
				t.Errorf("receipt %+v", r)
			}
		})
	}
}

func TestRefusal(t *testing.T) {
	for _, status := range []int{303, 400, 403, 500} {
		srv, _ := record(t, status)
		r, err := mustCompile(t, publish.Hook{HTTP: "POST " + srv.URL}).Publish(t.Context(), publish.Message{Data: "x"})
		if err != nil || !r.Refused || r.Status != status {
			t.Errorf("%d: receipt %+v, error %v", status, r, err)
		}
	}
}

func TestFaults(t *testing.T) {
	srv, _ := record(t, 200)
	dead := strings.Replace(srv.URL, "http://", "http://user:secret@", 1)
	p := mustCompile(t, publish.Hook{HTTP: "POST " + dead + "/p?token=secret"})
	srv.Close()
	_, err := p.Publish(t.Context(), publish.Message{})
	if err == nil || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v: want one line without credentials", err)
	}
	if strings.Contains(p.String(), "secret") {
		t.Errorf("String gives the secret away: %s", p)
	}

	hang := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer hang.Close()
	p = mustCompile(t, publish.Hook{HTTP: "GET " + hang.URL, Timeout: 50 * time.Millisecond})
	if _, err = p.Publish(t.Context(), publish.Message{}); err == nil || !strings.Contains(err.Error(), "no answer within 50ms") {
		t.Errorf("error %v: want the timeout named", err)
	}
}

func TestEndlessAnswer(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 32<<10)); err != nil {
				return
			}
		}
	}))
	defer srv.Close()
	r, err := mustCompile(t, publish.Hook{HTTP: "POST " + srv.URL}).Publish(t.Context(), publish.Message{})
	if err != nil || len(r.Body) != 64<<10 {
		t.Errorf("kept %d bytes, error %v; want the first 64 KiB", len(r.Body), err)
	}
}

func TestTLS(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer srv.Close()
	if _, err := mustCompile(t, publish.Hook{HTTP: "POST " + srv.URL}).Publish(t.Context(), publish.Message{}); err == nil {
		t.Error("an unknown certificate was taken")
	}
	p := mustCompile(t, publish.Hook{HTTP: "POST " + srv.URL, TLS: &tls.Config{InsecureSkipVerify: true}}) //nolint:gosec // the test's own server
	if _, err := p.Publish(t.Context(), publish.Message{}); err != nil {
		t.Error(err)
	}
}

func TestCannotCarry(t *testing.T) {
	srv, _ := record(t, 200)
	p := mustCompile(t, publish.Hook{HTTP: "POST " + srv.URL, Header: []string{"X-Token: {{.Data}}"}})
	_, err := p.Publish(t.Context(), publish.Message{Data: "a\r\nX: y"})
	if _, ok := errors.AsType[*publish.CarryError](err); !ok {
		t.Errorf("error %v: want a CarryError for a line break in a header", err)
	}
	c := mustCompile(t, publish.Hook{Command: "true"})
	if _, err = c.Publish(t.Context(), publish.Message{ID: "a\x00"}); err == nil {
		t.Error("U+0000 in the environment was taken")
	}
}

func TestCommand(t *testing.T) {
	p := mustCompile(t, publish.Hook{Command: `printf '%s|%s|%s|%s|%s|' "$SSE_ID" "$SSE_EVENT" "$SSE_DATA" "$SSE_RETRY" "$SSE_MARKER"; cat`})
	r, err := p.Publish(t.Context(), publish.Message{ID: "i", Event: "e", Data: "d\nd", Retry: "1", Marker: "m"})
	if err != nil || string(r.Body) != "i|e|d\nd|1|m|d\nd" || r.Refused {
		t.Errorf("receipt %q %+v, error %v", r.Body, r, err)
	}
	r, err = mustCompile(t, publish.Hook{Command: "exit 3"}).Publish(t.Context(), publish.Message{Data: "x"})
	if err != nil || !r.Refused || r.Status != 3 {
		t.Errorf("exit 3: receipt %+v, error %v; want a refusal", r, err)
	}
	if _, err = mustCompile(t, publish.Hook{Command: "no-such-command-here"}).Publish(t.Context(), publish.Message{}); err == nil {
		t.Error("a command that does not exist is a fault of the hook, not a refusal")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = mustCompile(t, publish.Hook{Command: "sleep 60"}).Publish(ctx, publish.Message{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v: want context.Canceled", err)
	}
}

func TestUsageErrors(t *testing.T) {
	for _, h := range []publish.Hook{
		{},
		{HTTP: "http://h/"},
		{HTTP: "POST"},
		{HTTP: "POST example"},
		{HTTP: "POST ftp://h/"},
		{HTTP: "PO(ST http://h/"},
		{HTTP: "POST http://h/{{.Nope}}"},
		{HTTP: "POST http://h/", Body: "{{json .Data"},
		{HTTP: "POST http://h/", Body: "{{nope .Data}}"},
		{HTTP: "POST http://h/", Header: []string{"no colon"}},
		{HTTP: "POST http://h/", Command: "true"},
		{Command: "true", Body: "x"},
	} {
		_, err := publish.Compile(h)
		if _, ok := errors.AsType[*publish.HookError](err); !ok || strings.Contains(err.Error(), "\n") {
			t.Errorf("%+v: error %v, want a HookError in one line", h, err)
		}
	}
}

func TestUses(t *testing.T) {
	for _, c := range []struct {
		hook publish.Hook
		yes  string
		no   string
	}{
		{publish.Hook{HTTP: "POST http://h/{{.ID}}", Header: []string{"K: {{.Event}}"}, Body: "{{json .Data}}"}, "ID Event Data", "Retry Marker"},
		{publish.Hook{HTTP: "POST http://h/", Body: "{{with .ID}}i={{.}}{{else}}{{$.Data}}{{end}}"}, "ID Data", "Event Retry"},
		{publish.Hook{HTTP: "POST http://h/", Body: "{{if (eq .Retry \"\")}}x{{end}}{{ .Data | json }}"}, "Retry Data", "ID Event"},
		{publish.Hook{HTTP: "POST http://h/", Body: "{{json .}}"}, "ID Event Data Retry Marker", ""},
		{publish.Hook{HTTP: "POST http://h/"}, "Data", "ID"},
		{publish.Hook{Command: "./pub.sh"}, "ID Event Data Retry Marker", ""},
	} {
		p := mustCompile(t, c.hook)
		for f := range strings.FieldsSeq(c.yes) {
			if !p.Uses(f) {
				t.Errorf("%+v: Uses(%s) is false", c.hook, f)
			}
		}
		for f := range strings.FieldsSeq(c.no) {
			if p.Uses(f) {
				t.Errorf("%+v: Uses(%s) is true", c.hook, f)
			}
		}
	}
}

// What goes through several goes through all of them, the last that was added first, and reaches nobody where one of them does not pass it on.
func TestThrough(t *testing.T) {
	srv, last := record(t, http.StatusAccepted)
	p := mustCompile(t, publish.Hook{HTTP: "POST " + srv.URL + "/p"})
	var order []string
	pass := func(name string) func(context.Context, publish.Message, publish.Func) (publish.Receipt, error) {
		return func(ctx context.Context, m publish.Message, next publish.Func) (publish.Receipt, error) {
			order = append(order, name)
			m.Data += name
			return next(ctx, m)
		}
	}
	if r, err := p.Through(pass("a")).Through(pass("b")).Publish(t.Context(), publish.Message{Data: "x"}); err != nil || r.Status != http.StatusAccepted {
		t.Fatal(r, err)
	}
	if got := last().body; got != "xba" || strings.Join(order, "") != "ba" {
		t.Errorf("%q, %q", got, order)
	}
	stop := p.Through(func(context.Context, publish.Message, publish.Func) (publish.Receipt, error) {
		return publish.Receipt{Status: 299}, nil
	})
	if r, err := stop.Through(pass("c")).Publish(t.Context(), publish.Message{Data: "y"}); err != nil || r.Status != 299 || last().body != "xba" {
		t.Errorf("%v, %v: it was published: %q", r, err, last().body)
	}
}
