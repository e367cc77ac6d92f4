package server

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"ssegauge/reference/sse"
)

var errStopping = errors.New("the server is stopping")

// held is the channel that a request names, held for it; nil if there is none: then the request is answered.
func (s *Server) held(w http.ResponseWriter, r *http.Request) *channel {
	name, ok := channelName(w, r)
	if !ok {
		return nil
	}
	c, err := s.channels.hold(name)
	if err != nil {
		s.refuse(w, err)
		return nil
	}
	return c
}

// events streams a channel.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	c := s.held(w, r)
	if c == nil {
		return
	}
	defer s.channels.release(c)

	if s.misled(w, r) {
		return
	}

	cursor, first, resumed := s.start(c, r)
	edge := c.live() // what is before it is replayed
	c.sit(r)
	defer c.rise(r)
	drop := resumed && s.fault.Drop && first != nil
	if drop {
		first = nil
	}
	st := s.openStream(w, r, first)
	if st == nil {
		return
	}
	defer st.close()
	st.fault.edge = edge
	if resumed {
		s.count.resumed.Add(1)
	}

	if drop {
		return
	}

	nth := s.returning.streams.Add(1)
	var buf [16]*record
	for {
		if st.fault.behind {
			cursor = c.live()
			st.fault.behind, st.fault.bare = false, true
		}
		recs, wake, lost := c.read(cursor, buf[:0])
		var ok, ends bool
		switch {
		case lost: // the reader is too slow for the log; it can resume, and will be told what it missed
			s.count.cut.Add(1)
			return
		case len(recs) > 0:
			replay := resumed && cursor < edge
			from := cursor
			cursor += uint64(len(recs))
			recs, ends = s.delivered(recs, from, edge)
			if replay && s.fault.Replayed != nil {
				recs = s.fault.resend(recs)
			}
			recs = s.fault.owned(nth, recs)
			if ok = c.deliver(st, cursor, recs); replay && s.fault.Seam > 0 {
				st.wait(nil, time.After(s.fault.Seam))
				cursor = c.live()
			}
		default:
			ok = st.wait(wake, nil)
		}
		clear(recs)
		if !ok || ends || s.stopping() && !s.fault.Deathless {
			return
		}
	}
}

// start finds where a stream of c begins: its cursor, what comes first where its position is gone, and whether it named one.
func (s *Server) start(c *channel, r *http.Request) (cursor uint64, first []byte, resumed bool) {
	id := s.position(r)
	if id == "" {
		if s.fault.Greedy {
			return c.oldest(), nil, false
		}
		return c.live(), nil, false
	}
	cursor, why, ok := c.resume(id)
	if !ok {
		first = s.unknown(c, id, why)
	}
	if s.fault.Resume != nil {
		cursor, first = s.fault.Resume(cursor, c.live()), nil
	}
	cursor = max(cursor, min(s.fault.Forget, c.live()))
	if s.fault.Twice != nil && s.returning.again(id) == 2 {
		cursor = min(s.fault.Twice(cursor), c.live())
	}
	return cursor, first, true
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

// unknown is what a stream begins with whose position is gone.
func (s *Server) unknown(c *channel, id, why string) []byte {
	switch {
	case s.fault.Gap != nil:
		return s.fault.Gap(id)
	case s.fault.Leak:
		return append(gap(id, why), s.channels.foreign(c, id)...)
	}
	return gap(id, why)
}

// position is [lastEventID] as this server (or its fault) finds it.
func (s *Server) position(r *http.Request) string {
	switch {
	case misspelt(r), s.fault.NoQuery && r.Header.Get("Last-Event-ID") == "":
		return ""
	}
	if id := lastEventID(r); id != "" && s.fault.Named != nil {
		return s.fault.Named(id)
	}
	return lastEventID(r)
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
