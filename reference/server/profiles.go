package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"ssegauge/reference/sse"
)

// The routes below /profile/ show what protocols on top of event streams ask: of a server, the least of each that a client can tell.

// pace is how far apart they send.
const pace = 100 * time.Millisecond

// message is one event in its right form.
func (st *stream) message(m *sse.Message) bool {
	raw, err := sse.AppendMessage(nil, m)
	return err == nil && st.send(raw)
}

// begin answers with the head of a stream that ends by itself; nil where it was refused.
func (s *Server) begin(w http.ResponseWriter, r *http.Request) *stream {
	if err := s.enter(r); err != nil {
		s.refuse(w, err)
		return nil
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store, no-transform")
	h.Set("X-Accel-Buffering", "no")
	st := s.newStream(w, r)
	w.WriteHeader(http.StatusOK)
	return st
}

// mcp answers JSON-RPC calls in the manner of MCP 2025-11-25, streamable HTTP: a priming event, a notification, the answer. An event's id holds the call's, so that GET with
// Last-Event-ID goes on with its stream; nothing is kept.
func (s *Server) mcp(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		id, from, ok := strings.Cut(lastEventID(r), ":")
		n, err := strconv.Atoi(from)
		if !ok || err != nil || n < 0 || !json.Valid([]byte(id)) || s.breaks("mcp/resume") {
			w.Header().Set("Allow", "POST, OPTIONS")
			fail(w, http.StatusMethodNotAllowed, "there is no stream but in answer to a call, or to come back to one")
			return
		}
		s.mcpStream(w, r, id, n+1)
		return
	}
	var call struct {
		ID     json.RawMessage `json:"id"`
		Method string          `json:"method"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, s.cfg.MaxBody)).Decode(&call); err != nil || call.Method == "" {
		fail(w, http.StatusBadRequest, "the body is no JSON-RPC message")
		return
	}
	var text string
	if json.Unmarshal(call.ID, &text) == nil && strings.ContainsAny(text, "\r\n\x00:") || strings.ContainsAny(string(call.ID), "[{:\r\n") {
		fail(w, http.StatusBadRequest, "the id is not one that a position can hold")
		return
	}
	if len(call.ID) == 0 {
		w.WriteHeader(http.StatusAccepted)
		return
	}
	s.mcpStream(w, r, string(call.ID), 0)
}

// mcpStream sends the events of a call's stream from the given one on.
func (s *Server) mcpStream(w http.ResponseWriter, r *http.Request, call string, from int) {
	st := s.begin(w, r)
	if st == nil {
		return
	}
	defer st.release()
	events := []sse.Message{
		{Retry: "1000"}, // and no data
		{Data: `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":` + call + `,"progress":1}}`},
		{Data: `{"jsonrpc":"2.0","id":` + call + `,"result":{"content":[]}}`},
	}
	early := s.breaks("mcp/retry") && from == 0
	if early {
		events[0].Retry = ""
	}
	for n := range events {
		events[n].ID = call + ":" + strconv.Itoa(n)
		if n < from || n == 0 && s.breaks("mcp/priming") {
			continue
		}
		if !st.message(&events[n]) || early || !st.wait(nil, time.After(pace)) {
			return
		}
	}
}

// llm streams tokens in answer to a prompt, which it does not read, in the manner of the OpenAI API.
func (s *Server) llm(w http.ResponseWriter, r *http.Request) {
	st := s.begin(w, r)
	if st == nil {
		return
	}
	defer st.release()
	for _, token := range []string{"An", " event", " stream", " ends", " with", " its", " mark", "."} {
		if !st.message(&sse.Message{Data: fmt.Sprintf(`{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":%q}}]}`, token)}) || !st.wait(nil, time.After(pace)) {
			return
		}
	}
	if !s.breaks("llm/done") {
		st.message(&sse.Message{Data: "[DONE]"})
	}
}

// updateEvery is how far apart updates are due; they count since 1970.
const updateEvery = 5 * pace

func updateID(n int64) string { return fmt.Sprintf("urn:uuid:00000000-0000-4000-8000-%012x", n) }

// updatesKept is how many updates a hub can give again.
const updatesKept = 100

// mercure is a hub of one topic, towards its subscribers: ids are IRIs, the answer to Last-Event-ID says from where it goes on, earliest gets all there is.
func (s *Server) mercure(w http.ResponseWriter, r *http.Request) {
	live := time.Now().UnixNano()/int64(updateEvery) + 1
	next := live
	asked := r.Header.Get("Last-Event-ID")
	if asked == "" && !s.breaks("mercure/query") {
		asked = r.URL.Query().Get("lastEventID")
	}
	if asked != "" {
		anchor := "earliest"
		n, known := updateNumber(asked)
		switch {
		case known && n >= live-updatesKept && n < live:
			next, anchor = n+1, asked
		case asked == "earliest" && !s.breaks("mercure/earliest"):
			next = live - updatesKept
		case asked != "earliest" && s.breaks("mercure/last-event-id"):
			anchor = asked
		}
		w.Header().Set("Last-Event-ID", anchor)
	}
	st := s.openStream(w, r, nil)
	if st == nil {
		return
	}
	defer st.release()
	for ; ; next++ {
		due := time.Unix(0, next*int64(updateEvery))
		if wait := time.Until(due); wait > 0 && !st.wait(nil, time.After(wait)) {
			return
		}
		m := sse.Message{ID: updateID(next), Data: fmt.Sprintf(`{"@id":"https://hub.example/clock","n":%d}`, next)}
		if s.breaks("mercure/id") {
			m.ID = ""
		}
		if !st.message(&m) {
			return
		}
	}
}

// updateNumber is the number of the update with that id.
func updateNumber(id string) (n int64, ok bool) {
	at := strings.LastIndexByte(id, '-')
	n, err := strconv.ParseInt(id[at+1:], 16, 64)
	return n, err == nil && updateID(n) == id
}

// jakarta is full: clients of Jakarta REST come back after the time it names.
func (s *Server) jakarta(w http.ResponseWriter, _ *http.Request) {
	if !s.breaks("jakarta/503") {
		w.Header().Set("Retry-After", "2")
	}
	fail(w, http.StatusServiceUnavailable, "this route is always full")
}
