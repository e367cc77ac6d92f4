package server

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// wptPrefix is where the resources of web-platform-tests/wpt, eventsource/resources, are answered by the same query contracts, so that
// its tests can be run against this server by a real browser. They are wrong where the tests need them wrong, and their CORS fields are their own.
const wptPrefix = "/wpt/"

// wpt answers one resource by its file name, with or without the suffix.
func (s *Server) wpt(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, wptPrefix)
	name = strings.TrimPrefix(name, "eventsource/resources/")
	for _, suffix := range []string{".py", ".php", ".event_stream"} {
		name = strings.TrimSuffix(name, suffix)
	}
	w.Header().Set("Content-Type", "text/event-stream")
	switch name {
	case "message":
		s.wptMessage(w, r)
	case "message2":
		s.Play(w, r, wptMessage2)
	case "last-event-id":
		wptLastEventID(w, r)
	case "last-event-id2":
		wptLastEventID2(w, r)
	case "status-error":
		wptStatusError(w, r)
	case "status-reconnect":
		wptStatusReconnect(w, r)
	case "reconnect-fail":
		wptReconnectFail(w, r)
	case "cors":
		s.wptCORS(w, r)
	case "cors-cookie":
		wptCORSCookie(w, r)
	case "cors-unsafe-last-event-id":
		s.wptPreflights.serve(w, r)
	case "accept":
		wptBody(w, http.StatusOK, "data: "+r.Header.Get("Accept")+"\n\n")
	case "cache-control":
		wptBody(w, http.StatusOK, "data: "+r.Header.Get("Cache-Control")+"\n\n")
	default:
		fail(w, http.StatusNotFound, "no such resource of eventsource/resources")
	}
}

func wptBody(w http.ResponseWriter, code int, body string) {
	w.WriteHeader(code)
	if code != http.StatusNoContent && code != http.StatusResetContent {
		_, _ = w.Write([]byte(body))
	}
}

// param is the query parameter, or def where it is absent (an empty one is not).
func param(r *http.Request, name, def string) string {
	if q := r.URL.Query(); q.Has(name) {
		return q.Get(name)
	}
	return def
}

// statusParam is a status code that net/http can send as a final one; the tests ask for no other.
func statusParam(r *http.Request, def string) int {
	code, err := strconv.Atoi(param(r, "status", def))
	if err != nil || code < 200 || code > 999 {
		return http.StatusNotFound
	}
	return code
}

// message.py: mime, message, newline=none, sleep (ms).
func (s *Server) wptMessage(w http.ResponseWriter, r *http.Request) {
	newline := "\n\n"
	if param(r, "newline", "") == "none" {
		newline = ""
	}
	if ms, _ := strconv.Atoi(param(r, "sleep", "0")); ms > 0 {
		select {
		case <-time.After(time.Duration(min(ms, 60_000)) * time.Millisecond):
		case <-r.Context().Done():
			return
		case <-s.stop:
			return
		}
	}
	w.Header().Set("Content-Type", param(r, "mime", "text/event-stream"))
	wptBody(w, http.StatusOK, param(r, "message", "data: data")+newline+"\n")
}

// message2.py: the same round every 2 s, without end.
var wptMessage2 = &Script{Loop: true, Steps: []Step{
	flushed("data:msg\ndata: msg\n\n:\nfalsefield:msg\n\nfalsefield:msg\nData:data\n\ndata\n\ndata:end\n\n"), {Wait: 2 * time.Second},
}}

// last-event-id.py: idvalue; the request's id as data.
func wptLastEventID(w http.ResponseWriter, r *http.Request) {
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		wptBody(w, http.StatusOK, "data: "+id+"\n\n")
		return
	}
	wptBody(w, http.StatusOK, "id: "+param(r, "idvalue", "…")+"\nretry: 200\ndata: hello\n\n")
}

// last-event-id2.py: type 1 persists, 2 changes and persists, 3 resets.
func wptLastEventID2(w http.ResponseWriter, r *http.Request) {
	body := "data: invalid_test\n\n"
	switch kind, err := strconv.Atoi(param(r, "type", "1")); {
	case err != nil || kind == 1:
		body = "id: 1\ndata: 1\n\ndata:2\n\n"
	case kind == 2:
		body = "id: 1\ndata: 1\n\nid: 2\ndata:2\n\ndata:3\n\n"
	case kind == 3:
		body = "id: 1\ndata: 1\n\nid:\ndata:2\n\ndata:3\n\n"
	}
	wptBody(w, http.StatusOK, body)
}

// status-error.py: status.
func wptStatusError(w http.ResponseWriter, r *http.Request) {
	wptBody(w, statusParam(r, "404"), "data: data\n\n")
}

// status-reconnect.py: status, id, ok_first; a cookie tells the second request.
func wptStatusReconnect(w http.ResponseWriter, r *http.Request) {
	status := param(r, "status", "204")
	name := cookieName("request", param(r, "id", status))
	if c, err := r.Cookie(name); err == nil && c.Value == status {
		http.SetCookie(w, &http.Cookie{Name: name, MaxAge: -1})
		wptBody(w, http.StatusOK, "data: data\n\n")
		return
	}
	http.SetCookie(w, &http.Cookie{Name: name, Value: status, HttpOnly: true})
	body := "retry: 2\n"
	if r.URL.Query().Has("ok_first") {
		body += "data: ok\n\n"
	}
	wptBody(w, statusParam(r, "204"), body)
}

// reconnect-fail.py: id; opened, then reconnected, then 204.
func wptReconnectFail(w http.ResponseWriter, r *http.Request) {
	name := cookieName("recon_fail_", param(r, "id", ""))
	state := ""
	if c, err := r.Cookie(name); err == nil {
		state = c.Value
	}
	switch state {
	case "opened":
		http.SetCookie(w, &http.Cookie{Name: name, Value: "reconnected"})
		wptBody(w, http.StatusOK, "data: reconnected\n\n")
	case "reconnected":
		http.SetCookie(w, &http.Cookie{Name: name, MaxAge: -1})
		wptBody(w, http.StatusNoContent, "")
	default:
		http.SetCookie(w, &http.Cookie{Name: name, Value: "opened"})
		wptBody(w, http.StatusOK, "retry: 2\ndata: opened\n\n")
	}
}

// cookieName keeps to the characters that a cookie's name can have.
func cookieName(prefix, id string) string {
	return prefix + strings.Map(func(c rune) rune {
		if c < '0' || c > 'z' || c > '9' && c < 'A' || c > 'Z' && c < 'a' {
			return '_'
		}
		return c
	}, id[:min(len(id), 64)])
}

// wptAllow sets the CORS fields that origin and credentials ask for; "none" leaves one out.
func wptAllow(w http.ResponseWriter, r *http.Request) {
	if origin := param(r, "origin", r.Header.Get("Origin")); origin != "none" {
		w.Header().Set("Access-Control-Allow-Origin", origin)
	}
	if credentials := param(r, "credentials", "true"); credentials != "none" {
		w.Header().Set("Access-Control-Allow-Credentials", credentials)
	}
}

// cors.py: origin, credentials, run.
func (s *Server) wptCORS(w http.ResponseWriter, r *http.Request) {
	wptAllow(w, r)
	switch param(r, "run", "") {
	case "status-reconnect":
		wptStatusReconnect(w, r)
	case "message":
		s.wptMessage(w, r)
	case "cache-control":
		wptBody(w, http.StatusOK, "data: "+r.Header.Get("Cache-Control")+"\n\n")
	case "redirect": // common/redirect.py: location, status
		code, err := strconv.Atoi(param(r, "status", "302"))
		if err != nil || code < 300 || code > 399 {
			code = http.StatusFound
		}
		w.Header().Del("Content-Type")
		w.Header().Set("Location", param(r, "location", ""))
		w.WriteHeader(code)
	default:
		w.Header().Del("Content-Type")
		wptBody(w, http.StatusOK, "")
	}
}

// cors-cookie.py: ident, origin, credentials.
func wptCORSCookie(w http.ResponseWriter, r *http.Request) {
	wptAllow(w, r)
	ident := cookieName("", param(r, "ident", "test"))
	seen := "NO_COOKIE"
	if _, err := r.Cookie(ident); err == nil {
		seen = "COOKIE"
	}
	switch id := r.Header.Get("Last-Event-ID"); id {
	case "":
		http.SetCookie(w, &http.Cookie{Name: ident, Value: "COOKIE"})
		wptBody(w, http.StatusOK, "id: 1\nretry: 200\ndata: first "+seen+"\n\n")
	case "1":
		http.SetCookie(w, &http.Cookie{Name: ident, Value: "COOKIE", MaxAge: -1})
		wptBody(w, http.StatusOK, "id: 2\ndata: second "+seen+"\n\n")
	default:
		w.Header().Set("Content-Type", "stop")
		wptBody(w, http.StatusOK, "data: "+id+seen+"\n\n")
	}
}

// wptPreflights is the memory of cors-unsafe-last-event-id.py: which tokens were preflighted, and for which fields.
type wptPreflights struct {
	mu      sync.Mutex
	byToken map[string]string
}

// maxPreflights bounds that memory; a test takes what it put there.
const maxPreflights = 1024

func (p *wptPreflights) put(token, fields string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byToken == nil || len(p.byToken) >= maxPreflights {
		p.byToken = map[string]string{}
	}
	p.byToken[token] = fields
}

func (p *wptPreflights) take(token string) (fields string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fields, ok = p.byToken[token]
	delete(p.byToken, token)
	return fields, ok
}

// wptIDs are the fixtures: a safe id, one with a byte that makes the field unsafe, and one longer than 128 bytes.
var wptIDs = map[string]string{"safe": "abc", "unsafe": "e5p3n<3k0k0s", "long": strings.Repeat("a", 255)}

// cors-unsafe-last-event-id.py: token, fixture. The original asks for Last-Event-ID in the preflight itself, where browsers do
// not send it; the names of the fields to come are what counts.
func (p *wptPreflights) serve(w http.ResponseWriter, r *http.Request) {
	asked := r.Header.Get("Access-Control-Request-Headers")
	if origin := r.Header.Get("Origin"); origin != "" {
		w.Header().Set("Access-Control-Allow-Origin", origin)
	}
	if asked != "" {
		w.Header().Set("Access-Control-Allow-Headers", asked)
	}
	q := r.URL.Query()
	for _, name := range []string{"token", "fixture"} {
		if !q.Has(name) {
			fail(w, http.StatusBadRequest, "ERROR: `"+name+"` query parameter!")
			return
		}
	}
	token, fixture := q.Get("token"), q.Get("fixture")
	token = token[:min(len(token), 128)]
	id := r.Header.Get("Last-Event-ID")
	if r.Method == http.MethodOptions {
		if asked == "" && id == "" {
			fail(w, http.StatusBadRequest, "ERROR: No Last-Event-ID header in preflight!")
			return
		}
		p.put(token, asked)
		w.Header().Del("Content-Type")
		w.WriteHeader(http.StatusOK)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	want, known := wptIDs[fixture]
	if id == "" {
		body := "event: failure\ndata: unknown fixture\n\n"
		if known {
			body = "id: " + want + "\nretry: 200\ndata: " + fixture + "\n\n"
		}
		wptBody(w, http.StatusOK, body)
		return
	}
	fields, saw := p.take(token)
	expect := fixture == "unsafe" || fixture == "long"
	event, data := "failure", ""
	switch {
	case saw && !expect:
		data = "saw preflight, did not expect one"
	case !saw && expect:
		data = "expected preflight, did not get one"
	case saw && !strings.EqualFold(fields, "last-event-id"):
		data = "preflight `access-control-request-headers` was not `last-event-id`"
	default:
		if id == want {
			event = "success"
		}
		data = fmt.Sprintf("got %s, expected %s", id, want)
	}
	wptBody(w, http.StatusOK, "event: "+event+"\ndata: "+data+"\n\n")
}
