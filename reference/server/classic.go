package server

import (
	"encoding/json"
	"fmt"
	"html"
	"math"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"ssegauge/reference/sse"
)

// The four endpoints that tutorials of Server-Sent Events build, done right: every event has an id that means the same on each
// connection, and a client that comes back goes on where it was.

// eachSecond is the schedule of those without an end.
var eachSecond = schedule{interval: time.Second, newest: true}

// classicSSE is /sse: a message each second, without end and without a time limit, for those who ask for an event stream by name.
func (s *Server) classicSSE(w http.ResponseWriter, r *http.Request) {
	if !namesEventStream(r.Header) {
		fail(w, http.StatusBadRequest, "this resource needs text/event-stream in the Accept field")
		return
	}
	s.emit(w, r, eachSecond, func(n int64, _ time.Time) sse.Message {
		return sse.Message{Data: fmt.Sprintf("%.1f", temperature(n))}
	})
}

// temperature is a reading that wanders around 20.
func temperature(n int64) float64 {
	x := float64(n % 1_000_000)
	return 20 + 2.4*math.Sin(x*0.8) + 0.7*math.Sin(x/9)
}

// classicStream is /stream: ten named events, one a second. The client that comes back with the id of the last gets 204 and stops.
func (s *Server) classicStream(w http.ResponseWriter, r *http.Request) {
	const count = 10
	s.emit(w, r, schedule{interval: time.Second, count: count}, func(n int64, _ time.Time) sse.Message {
		return sse.Message{Event: "message", Data: fmt.Sprintf(`{"number":%d,"of":%d}`, n, count)}
	})
}

// classicConnect is /connect: HTML fragments for htmx's sse-swap, one a second, each third of them named status.
func (s *Server) classicConnect(w http.ResponseWriter, r *http.Request) {
	s.emit(w, r, eachSecond, func(n int64, due time.Time) sse.Message {
		at := due.UTC()
		if n%3 == 0 {
			return sse.Message{Event: "status", Data: fmt.Sprintf("<strong>%d</strong> seconds of today are over", at.Hour()*3600+at.Minute()*60+at.Second())}
		}
		return sse.Message{Data: fmt.Sprintf("<p class=\"fragment\">\n  <span>It is <b>%.1f°</b></span>\n  <time datetime=%q>%s</time>\n</p>",
			temperature(n), at.Format(time.RFC3339), at.Format("15:04:05"))}
	})
}

// What friends say, in turn.
var chatLines = []string{
	"Is the stream still open?\nIt looks quiet from here.",
	"Yes.\nOne response,\nand it never ends.",
	"And when the train goes into the tunnel?",
	"Then the browser comes back\nwith Last-Event-ID,\nand nothing is missing.",
	"So each line of this is a data field?",
	"Each one. The parser puts the line breaks back:\n\n  even the blank ones\n  and the leading spaces",
}

// chatUpdates is /chat-updates?friends=ada,grace&format=text|json: events with all four fields, whose content depends on the query and
// whose data has several lines.
func (s *Server) chatUpdates(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	friends, err := parseFriends(q.Get("friends"))
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	format := q.Get("format")
	if format != "" && format != "text" && format != "json" && format != "html" {
		fail(w, http.StatusBadRequest, "format is none of text, json and html")
		return
	}
	s.emit(w, r, eachSecond, func(n int64, _ time.Time) sse.Message {
		friend, text := friends[n%int64(len(friends))], chatLines[n%int64(len(chatLines))]
		m := sse.Message{Event: "chat", Retry: s.retry()}
		switch format {
		case "json":
			// Strings and a map of them always encode.
			data, _ := json.MarshalIndent(map[string]string{"from": friend, "text": text}, "", "  ")
			m.Data = string(data)
		case "html":
			m.Data = "<article>\n<h2>" + html.EscapeString(friend) + "</h2>\n<pre>" + html.EscapeString(text) + "</pre>\n</article>"
		default:
			m.Data = friend + ":\n" + text
		}
		return m
	})
}

func parseFriends(list string) ([]string, error) {
	var friends []string
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		switch {
		case name == "":
			continue
		case len(name) > 64 || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
			return nil, fmt.Errorf("friends: %.64q is no name of at most 64 bytes", name)
		case len(friends) == 32:
			return nil, fmt.Errorf("friends: more than 32 names")
		}
		friends = append(friends, name)
	}
	if friends == nil {
		friends = []string{"ada", "grace"}
	}
	return friends, nil
}
