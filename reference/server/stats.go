package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sort"
	"strings"
	"sync/atomic"
	"time"

	"ssegauge/reference/sse"
)

type counters struct {
	started                                                                time.Time
	connections                                                            atomic.Int64
	opened, refused, published, delivered, bytes, heartbeats, cut, resumed atomic.Uint64
}

// Stats is the answer of /stats. Counts are since the start of the server.
type Stats struct {
	Streams     int            `json:"streams"`     // open now
	Connections int64          `json:"connections"` // open now; 0 where the server does not listen itself
	Opened      uint64         `json:"streams_opened"`
	Refused     uint64         `json:"streams_refused"` // for a limit
	Cut         uint64         `json:"streams_cut"`     // because their reader was too slow
	Resumed     uint64         `json:"streams_resumed"` // opened with a last event id
	Published   uint64         `json:"events_published"`
	Delivered   uint64         `json:"events_delivered"` // handed to the network
	Bytes       uint64         `json:"event_bytes_delivered"`
	Heartbeats  uint64         `json:"heartbeats"`
	Uptime      float64        `json:"uptime_seconds"`
	Channels    []ChannelStats `json:"channels"`
}

// Stats returns the gauges.
func (s *Server) Stats() Stats {
	c := s.count
	channels := s.channels.snapshot()
	sort.Slice(channels, func(i, j int) bool { return channels[i].Name < channels[j].Name })
	return Stats{
		Streams: s.limits.streams(), Connections: c.connections.Load(), Opened: c.opened.Load(), Refused: c.refused.Load(),
		Cut: c.cut.Load(), Resumed: c.resumed.Load(), Published: c.published.Load(), Delivered: c.delivered.Load(),
		Bytes: c.bytes.Load(), Heartbeats: c.heartbeats.Load(), Uptime: time.Since(c.started).Seconds(), Channels: channels,
	}
}

// stats answers with the gauges, or streams them each second to a client that asks for an event stream by name. They are no log:
// the events have no ids, and a client that comes back gets the newest.
func (s *Server) stats(w http.ResponseWriter, r *http.Request) {
	w.Header().Add("Vary", "Accept")
	if !namesEventStream(r.Header) {
		answerJSON(w, s.Stats())
		return
	}
	st := s.openStream(w, r, nil)
	if st == nil {
		return
	}
	defer st.close()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		if !st.events([]*record{s.gauges()}) || !st.wait(nil, ticker.C) {
			return
		}
	}
}

// gauges is an event with the gauges.
func (s *Server) gauges() *record {
	data, _ := json.Marshal(s.Stats()) // numbers and strings
	raw, _ := s.encode(&sse.Message{Data: string(data)})
	return newRecord("", raw)
}

func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	if s.stopping() {
		fail(w, http.StatusServiceUnavailable, errStopping.Error())
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte("ok\n"))
}

// metrics answers in OpenMetrics 1.0.
func (s *Server) metrics(w http.ResponseWriter, _ *http.Request) {
	st := s.Stats()
	var b strings.Builder
	family := func(name, kind, unit, help string, value any) {
		fmt.Fprintf(&b, "# TYPE %s %s\n", name, kind)
		if unit != "" {
			fmt.Fprintf(&b, "# UNIT %s %s\n", name, unit)
		}
		suffix := ""
		if kind == "counter" {
			suffix = "_total"
		}
		fmt.Fprintf(&b, "# HELP %s %s\n%s%s %v\n", name, help, name, suffix, value)
	}
	family("sse_streams", "gauge", "", "Streams that are open.", st.Streams)
	family("sse_connections", "gauge", "", "Connections that are open.", st.Connections)
	family("sse_channels", "gauge", "", "Channels that exist.", len(st.Channels))
	family("sse_uptime_seconds", "gauge", "seconds", "Time since the start.", st.Uptime)
	family("sse_streams_opened", "counter", "", "Streams opened.", st.Opened)
	family("sse_streams_resumed", "counter", "", "Streams opened with a last event id.", st.Resumed)
	family("sse_streams_refused", "counter", "", "Streams refused for a limit.", st.Refused)
	family("sse_streams_cut", "counter", "", "Streams cut because their reader was too slow.", st.Cut)
	family("sse_events_published", "counter", "", "Events published.", st.Published)
	family("sse_events_delivered", "counter", "", "Events handed to the network, once for each stream.", st.Delivered)
	family("sse_event_bytes", "counter", "bytes", "Bytes of events handed to the network, before compression.", st.Bytes)
	family("sse_heartbeats", "counter", "", "Heartbeats sent.", st.Heartbeats)
	b.WriteString("# EOF\n")
	w.Header().Set("Content-Type", "application/openmetrics-text; version=1.0.0; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte(b.String()))
}
