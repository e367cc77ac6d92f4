package server

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"ssegauge/reference/sse"
)

var errStopping = errors.New("the server is stopping")

// events streams a channel.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	name, ok := channelName(w, r)
	if !ok {
		return
	}
	c, err := s.channels.hold(name)
	if err != nil {
		s.refuse(w, err)
		return
	}
	defer s.channels.release(c)

	var first []byte
	var cursor uint64
	id := lastEventID(r)
	resumed := id != ""
	if resumed {
		var why string
		cursor, why, ok = c.resume(id)
		if !ok {
			first = gap(id, why)
		}
		if s.fault.Resume != nil {
			cursor, first = s.fault.Resume(cursor, c.live()), nil
		}
	} else {
		cursor = c.live()
	}
	st := s.openStream(w, r, first)
	if st == nil {
		return
	}
	defer st.close()
	if resumed {
		s.count.resumed.Add(1)
	}

	var buf [16]*record
	for {
		recs, wake, lost := c.read(cursor, buf[:0])
		switch {
		case lost: // the reader is too slow for the log; it can resume, and will be told what it missed
			s.count.cut.Add(1)
			return
		case len(recs) > 0:
			cursor += uint64(len(recs))
			ok = st.events(recs)
		default:
			ok = st.wait(wake, nil)
		}
		clear(recs)
		if !ok || s.stopping() {
			return
		}
	}
}

func (s *Server) stopping() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}

// gap is the event that tells a client that its position is gone: reason "expired" (the history no longer reaches back to
// it) or "unknown" (this channel of this process never gave it out). It carries no id, so the client keeps its
// position until the first event that follows.
func gap(id, why string) []byte {
	data, _ := json.Marshal(map[string]string{"reason": why, "after": strings.ToValidUTF8(id, "\uFFFD")})
	raw, _ := sse.AppendMessage(nil, &sse.Message{Event: "gap", Data: string(data)})
	return raw
}

// lastEventID is the position that a client resumes after; the field outranks the query, because a reconnecting
// EventSource repeats its URL with the query of its first connection. An empty one means none.
func lastEventID(r *http.Request) string {
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		return id
	}
	return strings.Trim(r.URL.Query().Get("lastEventId"), " \t") // as in a field
}

// defaultChannel is used where a request names none.
const defaultChannel = "default"

func channelName(w http.ResponseWriter, r *http.Request) (string, bool) {
	name := r.URL.Query().Get("channel")
	switch {
	case name == "":
		return defaultChannel, true
	case len(name) > 128:
		fail(w, http.StatusBadRequest, "channel is longer than 128 bytes")
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		fail(w, http.StatusBadRequest, "channel holds ill-formed UTF-8 or a control character")
	default:
		return name, true
	}
	return "", false
}
