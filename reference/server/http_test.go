package server

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestAccept(t *testing.T) {
	for _, c := range []struct {
		accept        string // "-": no field
		stream, named bool
	}{
		{"-", true, false},
		{"", true, false},
		{" , ,", true, false},
		{"text/event-stream", true, true},
		{"TEXT/Event-Stream", true, true},
		{"*/*", true, false},
		{"*", true, false},
		{"text/*", true, false},
		{"text/html", false, false},
		{"application/json", false, false},
		{"text/event-streams", false, false},
		{"application/json, text/event-stream;q=0.5", true, true},
		{"application/json ,\ttext/event-stream ; q=0.5", true, true},
		{"text/event-stream;q=0", false, false},
		{"text/event-stream;q=0.000, */*", false, false},
		{"text/event-stream; Q=0", false, false},
		{"text/event-stream;q=0, text/event-stream;charset=utf-8", true, true},
		{"*/*;q=0", false, false},
		{"*/*;q=0, text/event-stream", true, true},
		{"text/*;q=0, */*", false, false},
		{"text/*, */*;q=0", true, false},
		{"text/event-stream;q=x", true, true},
		{`text/html;x="a,text/event-stream"`, false, false},
		{`text/html;x="a\",b", text/event-stream;charset="utf-8"`, true, true},
	} {
		h := http.Header{}
		if c.accept != "-" {
			h.Set("Accept", c.accept)
		}
		if got := acceptsEventStream(h); got != c.stream {
			t.Errorf("%q accepts: %v", c.accept, got)
		}
		if got := namesEventStream(h); got != c.named {
			t.Errorf("%q names: %v", c.accept, got)
		}
	}
	if !acceptsEventStream(http.Header{"Accept": {"text/html", "text/event-stream"}}) {
		t.Error("two fields are one list")
	}
}

func TestAcceptEncoding(t *testing.T) {
	for accept, want := range map[string]bool{
		"": false, "*": false, "gzip": true, "GZIP": true, "x-gzip": true, "br, gzip;q=0.5, deflate": true, "gzip;q=0": false, "identity": false,
		"identity, gzip": true, "identity;q=1, gzip;q=0.5": false, "gzipped": false, "br": false,
	} {
		if got := acceptsGzip(http.Header{"Accept-Encoding": {accept}}); got != want {
			t.Errorf("%q: %v", accept, got)
		}
	}
}

func TestMethods(t *testing.T) {
	w := newWorld(t, "1.1", Config{})
	for _, c := range []struct{ method, path, allow string }{
		{"POST", "/events", "GET, HEAD, OPTIONS"},
		{"DELETE", "/tick", "GET, HEAD, OPTIONS"},
		{"GET", "/publish", "POST, OPTIONS"},
		{"HEAD", "/publish", "POST, OPTIONS"},
		{"POST", "/stats", "GET, HEAD, OPTIONS"},
		{"PUT", "/", "GET, HEAD, OPTIONS"},
		{"OPTIONS", "/events", "GET, HEAD, OPTIONS"},
		{"OPTIONS", "/publish", "POST, OPTIONS"},
	} {
		res := w.do(t.Context(), c.method, c.path, "")
		w.text(res)
		want := 405
		if c.method == "OPTIONS" {
			want = 204
		}
		if res.StatusCode != want || res.Header.Get("Allow") != c.allow || res.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s %s: %d %v", c.method, c.path, res.StatusCode, res.Header)
		}
	}
	if res := w.do(t.Context(), "POST", "/nowhere", ""); res.StatusCode != 404 {
		t.Errorf("nowhere: %d", res.StatusCode)
	} else {
		w.text(res)
	}
	res := w.do(t.Context(), "GET", "/events", "", "Accept: application/json")
	if text := w.text(res); res.StatusCode != 406 || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/plain") || strings.Count(text, "\n") != 1 {
		t.Errorf("406: %d %q %v", res.StatusCode, text, res.Header)
	}
}

func TestCORS(t *testing.T) {
	preflight := []string{"Origin: https://a.example", "Access-Control-Request-Method: GET", "Access-Control-Request-Headers: last-event-id"}
	open, listed := newWorld(t, "1.1", Config{}), newWorld(t, "1.1", Config{Origins: []string{"https://a.example"}})
	res := open.do(t.Context(), "OPTIONS", "/events", "", preflight...)
	open.text(res)
	for _, name := range []string{"Last-Event-ID", "Authorization", "Cache-Control", "Content-Type"} {
		if !strings.Contains(res.Header.Get("Access-Control-Allow-Headers"), name) {
			t.Errorf("%s is not allowed", name)
		}
	}
	if res.StatusCode != 204 || res.Header.Get("Access-Control-Allow-Credentials") != "" || !strings.Contains(res.Header.Get("Access-Control-Allow-Methods"), "GET") {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
	for origin, want := range map[string]string{"https://a.example": "https://a.example", "https://b.example": "", "null": ""} {
		for _, path := range []string{"/stats", "/nowhere"} {
			res := listed.do(t.Context(), "GET", path, "", "Origin: "+origin)
			listed.text(res)
			if res.Header.Get("Access-Control-Allow-Origin") != want || (res.Header.Get("Access-Control-Allow-Credentials") == "true") != (want != "") ||
				!strings.Contains(strings.Join(res.Header.Values("Vary"), ","), "Origin") {
				t.Errorf("%s from %s: %v", path, origin, res.Header)
			}
		}
	}
}

func TestPublishRefusals(t *testing.T) {
	w := newWorld(t, "1.1", Config{MaxBody: 1000})
	const jsonType, formType = "application/json", "application/x-www-form-urlencoded; charset=utf-8"
	for _, c := range []struct {
		name, contentType, body string
		code                    int
		reason                  string
	}{
		{"json", jsonType, `{"event":"e","data":"d","id":"i","retry":100}`, 200, `"id":"i"`},
		{"retry as a string", jsonType + "; charset=utf-8", `{"retry":"100"}`, 200, `"id"`},
		{"form", formType, "data=a%0Ab&event=e&id=i+2&retry=5", 200, `"id":"i 2"`},
		{"empty form", formType, "", 200, `"id"`},
		{"json by curl -d", formType, `{"id":"i"}`, 200, `"id":"i"`},
		{"json without a type", "", ` {"id":"i"}`, 200, `"id":"i"`},
		{"null is absent", jsonType, `{"data":"d","event":null}`, 200, `"id"`},
		{"surrogate pair", jsonType, `{"data":"\ud83c\udf0d \\ud800"}`, 200, `"id"`},
		{"LF in id", jsonType, `{"id":"a\nb"}`, 400, "id holds CR or LF"},
		{"CR in id", formType, "id=a%0Db", 400, "id holds CR or LF"},
		{"NUL in id", jsonType, `{"id":"a\u0000"}`, 400, "id holds NUL"},
		{"ESC in id", jsonType, `{"id":"a\u001b"}`, 400, "control character"},
		{"id ends with a space", jsonType, `{"id":"a "}`, 400, "white space"},
		{"CR in event", jsonType, `{"event":"a\rb"}`, 400, "event holds CR or LF"},
		{"LF in event", formType, "event=a%0Ab", 400, "event holds CR or LF"},
		{"retry with a unit", jsonType, `{"retry":"3s"}`, 400, "retry"},
		{"retry with a point", jsonType, `{"retry":0.5}`, 400, "retry"},
		{"retry below zero", jsonType, `{"retry":-1}`, 400, "retry"},
		{"retry that injects", formType, "retry=0%0Aevent:+x", 400, "retry"},
		{"unknown field", jsonType, `{"Data":"x"}`, 400, `unknown field "Data"`},
		{"unknown form field", formType, "message=x", 400, `unknown field "message"`},
		{"repeated form field", formType, "data=a&data=b", 400, `"data" is there 2 times`},
		{"data is an object", jsonType, `{"data":{}}`, 400, `"data" is not a string`},
		{"no object", jsonType, `["data"]`, 400, "not an object"},
		{"null", jsonType, `null`, 400, "not an object"},
		{"cut", jsonType, `{"data":"x`, 400, "ends too early"},
		{"empty", jsonType, ``, 400, "ends too early"},
		{"no JSON", jsonType, `data=x`, 400, "not JSON"},
		{"two objects", jsonType, `{} {}`, 400, "follows"},
		{"ill-formed UTF-8", jsonType, "{\"data\":\"\xff\"}", 400, "UTF-8"},
		{"ill-formed UTF-8 in a form", formType, "data=%FF", 400, "UTF-8"},
		{"lone surrogate", jsonType, `{"data":"\ud83c x"}`, 400, "surrogate"},
		{"low surrogate first", jsonType, `{"data":"\udf0d"}`, 400, "surrogate"},
		{"bad escape", formType, "data=%zz", 400, "malformed"},
		{"too large", jsonType, `{"data":"` + strings.Repeat("x", 1000) + `"}`, 413, "larger than 1000 bytes"},
		{"multipart", "multipart/form-data; boundary=x", "--x--", 415, "application/json"},
		{"no type", "", "x", 415, "application/json"},
	} {
		var fields []string
		if c.contentType != "" {
			fields = []string{"Content-Type: " + c.contentType}
		}
		res := w.do(t.Context(), "POST", "/publish", c.body, fields...)
		text := w.text(res)
		if res.StatusCode != c.code || !strings.Contains(text, c.reason) || strings.Count(text, "\n") != 1 {
			t.Errorf("%s: %d %q; want %d and %q", c.name, res.StatusCode, text, c.code, c.reason)
		}
	}
	for _, channel := range []string{strings.Repeat("x", 129), "a%00", "a%ff", "a%0a"} {
		for _, path := range []string{"/events", "/publish"} {
			method := map[string]string{"/events": "GET", "/publish": "POST"}[path]
			res := w.do(t.Context(), method, path+"?channel="+channel, "{}", "Content-Type: application/json")
			if w.text(res); res.StatusCode != 400 {
				t.Errorf("%s of channel %q: %d", path, channel, res.StatusCode)
			}
		}
	}
}

func TestPublishToken(t *testing.T) {
	w := newWorld(t, "1.1", Config{PublishToken: "s3cret"})
	for auth, code := range map[string]int{
		"": 401, "Bearer": 401, "Bearer wrong": 401, "Bearer s3cre": 401, "Basic s3cret": 401, "s3cret": 401, "Bearer s3cret": 200, "bearer  s3cret": 200,
	} {
		res := w.do(t.Context(), "POST", "/publish", "data=x", "Content-Type: application/x-www-form-urlencoded", "Authorization: "+auth)
		if text := w.text(res); res.StatusCode != code || strings.Contains(text, "s3cret") || (code == 401) != (res.Header.Get("WWW-Authenticate") != "") {
			t.Errorf("%q: %d %q %v", auth, res.StatusCode, text, res.Header)
		}
	}
}

func TestGzipIsFlushedPerEventAndWellFormed(t *testing.T) {
	for _, proto := range protos {
		t.Run(proto, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, proto, Config{})
				res := w.do(t.Context(), "GET", "/events", "", "Accept-Encoding: gzip")
				if res.Header.Get("Content-Encoding") != "gzip" {
					t.Fatalf("%v", res.Header)
				}
				var raw bytes.Buffer
				z, err := gzip.NewReader(io.TeeReader(res.Body, &raw))
				if err != nil {
					t.Fatal(err)
				}
				r := &reader{t: t, body: res.Body, r: bufio.NewReader(z)}
				if e, err := r.next(); err != nil || e.retry == "" {
					t.Fatalf("%+v, %v", e, err)
				}
				start := time.Now()
				long := strings.Repeat("the same words again ", 1000)
				for _, data := range []string{"one", long, "one", long} {
					w.publish("default", data)
					r.want(data)
				}
				if d := time.Since(start); d != 0 {
					t.Errorf("events took %v", d)
				}
				if raw.Len() > len(long)/4 {
					t.Errorf("%d bytes on the wire", raw.Len())
				}
				if e, err := r.next(); err != nil || e.comment == "" {
					t.Errorf("%+v, %v", e, err)
				}
				w.stop()
				if _, err := r.next(); err != io.EOF { // the trailer's checksum was right
					t.Errorf("at the end: %v", err)
				}
			})
		})
	}
}

func TestStatsAndMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "h2c", Config{})
		a, b := w.stream("/events"), w.stream("/events?channel=b")
		w.publish("default", "x")
		a.want("x")
		var st Stats
		if err := json.Unmarshal([]byte(w.text(w.do(t.Context(), "GET", "/stats", ""))), &st); err != nil {
			t.Fatal(err)
		}
		if st.Streams != 2 || st.Connections != 1 || st.Opened != 2 || st.Published != 1 || st.Delivered != 1 || len(st.Channels) != 2 ||
			st.Channels[1] != (ChannelStats{Name: "default", Subscribers: 1, Published: 1, Kept: 1, KeptBytes: int(st.Bytes)}) {
			t.Errorf("%+v", st)
		}
		res := w.do(t.Context(), "GET", "/metrics", "")
		checkOpenMetrics(t, w.text(res))
		if ct := res.Header.Get("Content-Type"); ct != "application/openmetrics-text; version=1.0.0; charset=utf-8" {
			t.Error(ct)
		}
		if text := w.text(w.do(t.Context(), "GET", "/healthz", "")); text != "ok\n" {
			t.Errorf("%q", text)
		}
		a.close()
		b.close()
	})
}

// checkOpenMetrics holds text against the grammar of OpenMetrics 1.0 as far as it is used here.
func checkOpenMetrics(t *testing.T, text string) {
	t.Helper()
	body, ok := strings.CutSuffix(text, "# EOF\n")
	if !ok {
		t.Fatalf("no # EOF at the end: %q", text)
	}
	var name, kind string
	sample := regexp.MustCompile(`^([a-z_]+) (\d+(\.\d+)?(e[+-]\d+)?)$`)
	for line := range strings.Lines(body) {
		line = strings.TrimSuffix(line, "\n")
		switch f := strings.SplitN(line, " ", 4); {
		case strings.HasPrefix(line, "# TYPE "):
			name, kind = f[2], f[3]
		case strings.HasPrefix(line, "# UNIT "):
			if f[2] != name || !strings.HasSuffix(name, "_"+f[3]) {
				t.Errorf("unit: %q", line)
			}
		case strings.HasPrefix(line, "# HELP "):
			if f[2] != name {
				t.Errorf("help: %q", line)
			}
		default:
			want := name
			if kind == "counter" {
				want += "_total"
			}
			if m := sample.FindStringSubmatch(line); m == nil || m[1] != want {
				t.Errorf("sample of %s %s: %q", kind, name, line)
			}
		}
	}
}

func TestClassicEndpoints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "1.1", Config{Heartbeat: -1})
		for _, accept := range []string{"*/*", "text/html", "text/event-stream;q=0"} {
			res := w.do(t.Context(), "GET", "/sse", "", "Accept: "+accept)
			if w.text(res); res.StatusCode != 400 {
				t.Errorf("/sse with Accept %s: %d", accept, res.StatusCode)
			}
		}
		// An event is the same for everyone, and what a client missed comes at once when it is back.
		for _, path := range []string{"/sse", "/chat-updates?friends=ada,%20zoë&format=json", "/chat-updates?format=html", "/connect", "/stream"} {
			all, start := w.stream(path), time.Now()
			var events []event
			for n := range 8 {
				e, err := all.next()
				if err != nil || e.id == "" || e.data == "" {
					t.Fatalf("%s: event %d: %+v, %v", path, n, e, err)
				}
				if d := time.Since(start); d > time.Duration(n)*time.Second || d <= time.Duration(n-1)*time.Second {
					t.Errorf("%s: event %d after %v", path, n, d)
				}
				events = append(events, e)
			}
			resumed, start := w.stream(path, "Last-Event-ID: "+events[2].id), time.Now()
			for _, want := range events[3:] {
				if e, err := resumed.next(); err != nil || e != want || time.Since(start) != 0 {
					t.Errorf("%s: %+v, resumed: %+v, %v", path, want, e, err)
				}
			}
			all.close()
			resumed.close()
		}
		r := w.stream("/stream")
		for range 10 {
			if e, err := r.next(); err != nil || e.name != "message" {
				t.Fatalf("%+v, %v", e, err)
			}
		}
		if _, err := r.next(); err != io.EOF {
			t.Errorf("/stream goes on: %v", err)
		}
		r.close()
		if res := w.do(t.Context(), "GET", "/stream", "", "Last-Event-ID: 10"); res.StatusCode != 204 {
			t.Errorf("/stream after the last: %d", res.StatusCode)
		}
		r = w.stream("/stream", "Last-Event-ID: 3") // a number alone is one too
		r.want(`{"number":4,"of":10}`)
		r.close()
		r = w.stream("/chat-updates?" + url.Values{"friends": {"<zoë>"}, "format": {"html"}}.Encode())
		if e, err := r.next(); err != nil || !strings.Contains(e.data, "&lt;zoë&gt;") || e.name != "chat" || e.retry == "" || !strings.Contains(e.data, "\n") {
			t.Errorf("%+v, %v", e, err)
		}
		r.close()
		for _, q := range []string{"format=xml", "friends=a%00b", "friends=" + strings.Repeat("x", 65), "friends=" + strings.Repeat("x,", 33)} {
			res := w.do(t.Context(), "GET", "/chat-updates?"+q, "")
			if w.text(res); res.StatusCode != 400 {
				t.Errorf("%s: %d", q, res.StatusCode)
			}
		}
		r = w.stream("/connect")
		names := map[string]int{}
		for range 10 {
			e, _ := r.next()
			names[e.name]++
		}
		if n := names["status"]; n < 3 || n > 4 || n+names[""] != 10 {
			t.Errorf("/connect: %v", names)
		}
		r.close()
	})
}

func TestClientThatLeavesIsNoticed(t *testing.T) {
	for _, proto := range protos {
		t.Run(proto, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, proto, Config{})
				for _, path := range []string{"/events", "/tick?interval=1h", "/scenario/silent", "/sse"} {
					ctx, cancel := context.WithCancel(t.Context())
					res := w.do(ctx, "GET", path, "", "Accept: text/event-stream")
					synctest.Wait()
					if n := w.Stats().Streams; n != 1 {
						t.Errorf("%s: %d streams", path, n)
					}
					cancel()
					res.Body.Close()
					synctest.Wait()
					if n := w.Stats().Streams; n != 0 {
						t.Errorf("%s: %d streams after the client left", path, n)
					}
				}
			})
		})
	}
}
