package server

import (
	"html"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Script is a response described as data: exactly these bytes, at these times. After its last step it stays
// open until the client leaves, unless that step ends or resets it.
type Script struct {
	Name  string
	Text  string   // one line: what it shows
	Code  int      // status; 0: 200
	Head  []string // "Name: value", in place of the field of that name; an empty value removes it
	Steps []Step
	Loop  bool // after the last step comes the first
	// After answers requests by their Last-Event-ID: another script in place of this one.
	After map[string]*Script
}

// Step is one thing to do. It waits, then sends, then flushes, then ends or resets.
type Step struct {
	Wait  time.Duration
	Send  string
	Flush bool // what was sent so far leaves now
	End   bool // the response is complete
	Reset bool // the response breaks off: TCP RST over HTTP/1.1, RST_STREAM over HTTP/2
}

// Play answers r by sc.
func (s *Server) Play(w http.ResponseWriter, r *http.Request, sc *Script) {
	if id := lastEventID(r); id != "" {
		if next, ok := sc.After[id]; ok {
			sc = next
		}
	}
	code := sc.Code
	endless := code == http.StatusNoContent && s.fault.Endless && lastEventID(r) != ""
	if code == 0 || endless {
		code = http.StatusOK
	}
	bare := r.Method == http.MethodHead || code == http.StatusNoContent
	if !bare {
		if err := s.enter(r); err != nil {
			s.refuse(w, err)
			return
		}
	}
	h := w.Header()
	if code != http.StatusNoContent {
		h.Set("Content-Type", "text/event-stream")
	}
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	for _, field := range sc.Head {
		name, value, _ := strings.Cut(field, ":")
		if value = strings.TrimSpace(value); value == "" {
			h[http.CanonicalHeaderKey(name)] = nil // none, and none that net/http guesses
		} else {
			h.Set(name, value)
		}
	}
	if bare {
		w.WriteHeader(code)
		return
	}
	st := s.newStream(w, r)
	defer st.release()
	w.WriteHeader(code)
	if endless {
		return
	}
	for st.perform(sc.Steps) {
		if !sc.Loop {
			st.wait(nil, nil)
			return
		}
	}
}

// perform does the steps and tells whether the response goes on.
func (st *stream) perform(steps []Step) bool {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for _, step := range steps {
		if step.Wait > 0 {
			timer.Reset(step.Wait)
			if !st.wait(nil, timer.C) {
				return false
			}
		} else if st.srv.stopping() || st.r.Context().Err() != nil {
			return false
		}
		switch {
		case step.Flush || step.Reset:
			if !st.send([]byte(step.Send)) {
				return false
			}
		case step.Send != "":
			if _, err := st.w.Write([]byte(step.Send)); err != nil {
				return false
			}
		}
		if step.Reset {
			st.reset()
		}
		if step.End || step.Reset {
			return false
		}
	}
	return true
}

// reset breaks the response off. Over HTTP/1.1 the connection is taken over and closed without lingering, which
// makes the kernel send RST.
func (st *stream) reset() {
	st.dead, st.fault.held = false, nil
	conn, _, err := st.rc.Hijack()
	if err != nil { // HTTP/2: net/http sends RST_STREAM for this panic, and logs nothing
		panic(http.ErrAbortHandler)
	}
	under := conn
	for {
		over, ok := under.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		under = over.NetConn()
	}
	if t, ok := under.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = under.Close()
}

// scenario serves the scripts by name, and their index.
func (s *Server) scenario(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/scenario/")
	if name == "" {
		scenarioIndex(w, r)
		return
	}
	i := slices.IndexFunc(scripts, func(sc *Script) bool { return sc.Name == name })
	if i < 0 {
		fail(w, http.StatusNotFound, "no such scenario: /scenario/ lists them")
		return
	}
	if !acceptsEventStream(r.Header) {
		fail(w, http.StatusNotAcceptable, notAcceptable)
		return
	}
	s.Play(w, r, scripts[i])
}

// Scripts lists what /scenario/ serves.
func Scripts() []*Script { return slices.Clone(scripts) }

// scenarioIndex lists scripts and faults, as HTML or, where asked for it, as JSON.
func scenarioIndex(w http.ResponseWriter, r *http.Request) {
	type entry struct {
		Path string `json:"path"`
		Text string `json:"text"`
	}
	var list []entry
	for _, sc := range scripts {
		list = append(list, entry{"/scenario/" + sc.Name, sc.Text})
	}
	for _, f := range faults {
		list = append(list, entry{faultPrefix + f.ID, f.Text})
	}
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		answerJSON(w, list)
		return
	}
	var b strings.Builder
	b.WriteString(`<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">` +
		`<title>ssegauge: scenarios</title><link rel="icon" href="/pages/icon.svg" type="image/svg+xml"><link rel="stylesheet" href="/pages/style.css"></head><body>` +
		navigation("/scenario/") + `<main class="narrow"><h1>Scenarios</h1><p class="lead">Each is a stream of exactly the bytes its name says. ` +
		`Those under <code>fault/</code> break one rule of the catalogue and no other; all other routes of such a server are below its path.</p><dl class="index">`)
	for _, e := range list {
		name := html.EscapeString(strings.TrimPrefix(e.Path, "/scenario/"))
		b.WriteString(`<dt><a class="mono" href="` + e.Path + `">` + name + `</a></dt><dd>` + html.EscapeString(e.Text) + `</dd>`)
	}
	b.WriteString("</dl></main></body></html>\n")
	pageHead(w.Header(), mediaTypes[".html"])
	_, _ = w.Write([]byte(b.String()))
}
