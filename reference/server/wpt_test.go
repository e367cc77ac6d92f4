package server

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestWPT holds the answers against what the tests of web-platform-tests expect of their resources.
func TestWPT(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "1.1", Config{})
		const origin = "Origin: https://a.example"
		for _, c := range []struct {
			path   string
			fields []string
			status int
			header string // "K: V" that must be there; "K:" that must not
			body   string
		}{
			{"message.py", nil, 200, "Content-Type: text/event-stream", "data: data\n\n\n"},
			{"message.py?mime=text/x-bogus&message=data%3Aok&newline=none", nil, 200, "Content-Type: text/x-bogus", "data:ok\n"},
			{"eventsource/resources/message.py?sleep=2000", nil, 200, "", "data: data\n\n\n"},
			{"last-event-id.py", nil, 200, "", "id: …\nretry: 200\ndata: hello\n\n"},
			{"last-event-id.py?idvalue=", nil, 200, "", "id: \nretry: 200\ndata: hello\n\n"},
			{"last-event-id.py", []string{"Last-Event-ID: 7"}, 200, "", "data: 7\n\n"},
			{"last-event-id2.py?type=2", nil, 200, "", "id: 1\ndata: 1\n\nid: 2\ndata:2\n\ndata:3\n\n"},
			{"last-event-id2.py?type=3", nil, 200, "", "id: 1\ndata: 1\n\nid:\ndata:2\n\ndata:3\n\n"},
			{"last-event-id2.py?type=x", nil, 200, "", "id: 1\ndata: 1\n\ndata:2\n\n"},
			{"status-error.py?status=410", nil, 410, "Content-Type: text/event-stream", "data: data\n\n"},
			{"status-error.py?status=204", nil, 204, "", ""},
			{"status-error.py?status=205", nil, 205, "", ""},
			{"status-error.py", nil, 404, "", "data: data\n\n"},
			{"status-reconnect.py?status=200&ok_first&id=a", nil, 200, "Set-Cookie: requesta=200; HttpOnly", "retry: 2\ndata: ok\n\n"},
			{"status-reconnect.py?status=503&id=a", nil, 503, "", "retry: 2\n"},
			{"status-reconnect.py?status=503&id=a", []string{"Cookie: requesta=503"}, 200, "Set-Cookie: requesta=; Max-Age=0", "data: data\n\n"},
			{"reconnect-fail.py?id=1", nil, 200, "Set-Cookie: recon_fail_1=opened", "retry: 2\ndata: opened\n\n"},
			{"reconnect-fail.py?id=1", []string{"Cookie: recon_fail_1=opened"}, 200, "Set-Cookie: recon_fail_1=reconnected", "data: reconnected\n\n"},
			{"reconnect-fail.py?id=1", []string{"Cookie: recon_fail_1=reconnected"}, 204, "", ""},
			{"cors.py?run=message", []string{origin}, 200, "Access-Control-Allow-Origin: https://a.example", "data: data\n\n\n"},
			{"cors.py?run=message&origin=http://example.not", []string{origin}, 200, "Access-Control-Allow-Origin: http://example.not", "data: data\n\n\n"},
			{"cors.py?run=redirect&location=%2Fx&status=307", []string{origin}, 307, "Location: /x", ""},
			{"cors.py?run=cache-control&credentials=false", []string{origin, "Cache-Control: no-cache"}, 200, "Access-Control-Allow-Credentials: false", "data: no-cache\n\n"},
			{"cors-cookie.py?ident=x&origin=none", []string{origin}, 200, "Access-Control-Allow-Origin:", "id: 1\nretry: 200\ndata: first NO_COOKIE\n\n"},
			{"cors-cookie.py?ident=x", []string{origin, "Cookie: x=COOKIE", "Last-Event-ID: 1"}, 200, "Access-Control-Allow-Credentials: true", "id: 2\ndata: second COOKIE\n\n"},
			{"cors-cookie.py?ident=x", []string{"Last-Event-ID: 2"}, 200, "Content-Type: stop", "data: 2NO_COOKIE\n\n"},
			{"cors-unsafe-last-event-id.py", nil, 400, "", "ERROR: `token` query parameter!\n"},
			{"cors-unsafe-last-event-id.py?token=a&fixture=safe", nil, 200, "Cache-Control: no-store", "id: abc\nretry: 200\ndata: safe\n\n"},
			{"cors-unsafe-last-event-id.py?token=a&fixture=safe", []string{"Last-Event-ID: abc"}, 200, "", "event: success\ndata: got abc, expected abc\n\n"},
			{"cors-unsafe-last-event-id.py?token=b&fixture=unsafe", []string{"Last-Event-ID: e5p3n<3k0k0s"}, 200, "", "event: failure\ndata: expected preflight, did not get one\n\n"},
			{"accept.event_stream", []string{"Accept: text/event-stream"}, 200, "", "data: text/event-stream\n\n"},
			{"cache-control.event_stream", []string{"Cache-Control: no-cache"}, 200, "", "data: no-cache\n\n"},
			{"none.py", nil, 404, "", "no such resource of eventsource/resources\n"},
		} {
			w.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			res := w.do(t.Context(), "GET", "/wpt/"+c.path, "", c.fields...)
			body := w.text(res)
			name, value, _ := strings.Cut(c.header, ":")
			if res.StatusCode != c.status || body != c.body || name != "" && res.Header.Get(name) != strings.TrimSpace(value) {
				t.Errorf("%s: %d %q %v", c.path, res.StatusCode, body, res.Header)
			}
		}

		// A preflight that named the field is remembered for one request.
		path := "/wpt/cors-unsafe-last-event-id.py?token=c&fixture=long"
		res := w.do(t.Context(), "OPTIONS", path, "", origin, "Access-Control-Request-Headers: last-event-id")
		if w.text(res); res.StatusCode != 200 || res.Header.Get("Access-Control-Allow-Headers") != "last-event-id" {
			t.Errorf("preflight: %d %v", res.StatusCode, res.Header)
		}
		for _, want := range []string{"event: success\n", "event: failure\n"} {
			if body := w.text(w.do(t.Context(), "GET", path, "", "Last-Event-ID: "+wptIDs["long"])); !strings.HasPrefix(body, want) {
				t.Errorf("%q, want %q", body, want)
			}
		}

		// message2.py goes on.
		ctx, cancel := context.WithCancel(t.Context())
		res = w.do(ctx, "GET", "/wpt/message2.py", "")
		start, ends := time.Now(), 0
		for lines := bufio.NewScanner(res.Body); ends < 5 && lines.Scan(); {
			if lines.Text() == "data:end" {
				ends++
			}
		}
		if d := time.Since(start); ends != 5 || d != 8*time.Second {
			t.Errorf("%d rounds in %v", ends, d)
		}
		cancel()
		res.Body.Close()
	})
}
