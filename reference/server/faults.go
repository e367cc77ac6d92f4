package server

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"ssegauge/reference/sse"
)

// Fault is one rule that a server can break, and no other. Its hooks are the places where the server asks; those that
// are nil (or zero) change nothing.
type Fault struct {
	ID   string // the id of the check that must notice
	Text string // one line: what goes wrong

	// Streams.
	Code     int                                     // status, in place of 200
	Head     func(h http.Header, r *http.Request)    // changes the fields
	Late     time.Duration                           // the head goes out this much later
	HangHead bool                                    // HEAD is not answered
	First    func(block []byte) []byte               // changes the first block, which tells retry
	Encode   func(raw []byte, m *sse.Message) []byte // gives the wire form of an event; raw is the right one
	Named    func(id string) string                  // the id that the server knows an event by, given the one that Encode wrote
	Split    func(p []byte) int                      // where a write is cut in two, a little apart
	Lifetime time.Duration                           // streams end after this time
	Last     string                                  // written when a stream ends
	Resume   func(from, live uint64) uint64          // where a stream goes on: from is right, live the next event to come

	Returning
	Delivering

	// Wrap stands before the handlers of all streams, for any method, with next for the right answer.
	Wrap func(s *Server, w http.ResponseWriter, r *http.Request, next http.Handler)

	// Of the whole server, where it has the fault: not below /scenario/fault/.
	Capitals bool // field names over HTTP/2 in the clear have capital letters
	Abrupt   bool // it stops without a word
}

// faults is the table: one file a group. To add one, add an entry; the id is that of the check in the catalogue.
var faults = slices.Concat(
	coreFaults,
	httpFaults,
	h2Faults,
	bytesFaults,
	liveFaults,
	proxyFaults,
	resumeFaults,
	profileFaults,
)

var coreFaults = []Fault{
	{
		ID: "http/status", Text: "streams are answered 202",
		Code: http.StatusAccepted,
	},
	{
		ID: "http/content-type", Text: "streams are labelled text/plain",
		Head: func(h http.Header, _ *http.Request) { h.Set("Content-Type", "text/plain; charset=utf-8") },
	},
	{
		ID: "http/no-content-length", Text: "a live stream declares a Content-Length",
		Head: func(h http.Header, _ *http.Request) { h.Set("Content-Length", "1073741824") },
	},
	{
		ID: "http/head", Text: "HEAD on a stream hangs",
		HangHead: true,
	},
	{
		ID: "encoding/utf8", Text: "comments hold a Latin-1 byte",
		First:  func(block []byte) []byte { return append([]byte(": caf\xe9\n"), block...) },
		Encode: func(raw []byte, _ *sse.Message) []byte { return append([]byte(": caf\xe9\n"), raw...) },
	},
	{
		ID: "framing/field-names", Text: "each event carries a field of a name that almost is one",
		First:  func(block []byte) []byte { return append([]byte("comment: hello\n"), block...) },
		Encode: func(raw []byte, _ *sse.Message) []byte { return append([]byte("Data: near miss\n"), raw...) },
	},
	{
		ID: "retry/digits", Text: "a second retry field says 3s",
		First: func(block []byte) []byte { return append(block[:max(len(block)-1, 0)], "retry: 3s\n\n"...) },
	},
	{
		ID: "id/nul", Text: "each event carries a second id field, with NUL",
		Encode: func(raw []byte, m *sse.Message) []byte {
			return append([]byte("id: "+m.ID+"\x00\n"), raw...)
		},
	},
	{
		ID: "id/header-safe", Text: "ids end with a space, which a header field loses",
		Encode: func(raw []byte, m *sse.Message) []byte {
			if m.ID == "" {
				return raw
			}
			return bytes.Replace(raw, []byte("id: "+m.ID+"\n"), []byte("id: "+m.ID+" \n"), 1)
		},
	},
	{
		ID: "live/headers-flushed", Text: "the head of a stream is held back for 2.5 s",
		Late: 2500 * time.Millisecond,
	},
	{
		ID: "framing/terminated", Text: "streams end after 6 s, within an event",
		Lifetime: 6 * time.Second, Last: "data: cut off\n",
	},
	{
		ID: "h2/connection-headers", Text: "over HTTP/2 the response has Keep-Alive and Proxy-Connection",
		Head: func(h http.Header, r *http.Request) {
			if r.ProtoMajor == 2 { // net/http removes Connection itself, and these it does not
				h.Set("Keep-Alive", "timeout=60")
				h.Set("Proxy-Connection", "keep-alive")
			}
		},
	},
	{
		ID: "data/multiline", Text: "line feeds in data become spaces",
		Encode: func(_ []byte, m *sse.Message) []byte {
			joined := *m
			joined.Data = strings.NewReplacer("\r\n", " ", "\n", " ").Replace(m.Data)
			raw, _ := sse.AppendMessage(nil, &joined) // the other fields were encoded before
			return raw
		},
	},
	{
		ID: "data/leading-space", Text: "a space at the start of a line of data is lost",
		Encode: func(raw []byte, _ *sse.Message) []byte {
			raw = append([]byte{'\n'}, raw...)
			return bytes.ReplaceAll(raw, []byte("\ndata:  "), []byte("\ndata: "))[1:]
		},
	},
	{
		ID: "sec/inject/data-cr", Text: "data is split at LF only, so CR injects fields",
		Encode: func(_ []byte, m *sse.Message) []byte {
			fields := *m
			fields.NoData = true
			raw, _ := sse.AppendMessage(nil, &fields)
			raw = bytes.TrimSuffix(raw, []byte("\n"))
			for line := range strings.SplitSeq(m.Data, "\n") {
				raw = append(raw, "data: "+line+"\n"...)
			}
			return append(raw, '\n')
		},
	},
	{
		ID: "resume/replay", Text: "Last-Event-ID is ignored: only live events",
		Resume: func(_, live uint64) uint64 { return live },
	},
	{
		ID: "resume/no-duplicate", Text: "a resumed stream begins with the event the client already has",
		Resume: func(from, _ uint64) uint64 { return max(from, 1) - 1 },
	},
}

// Faults lists what a server can be told to do wrong.
func Faults() []Fault { return slices.Clone(faults) }

const faultPrefix = "/scenario/fault/"

// faulty serves /scenario/fault/ID: a server of its own that breaks that rule. The path itself is its /tick; all its other routes are below it.
func (s *Server) faulty(w http.ResponseWriter, r *http.Request) {
	rest := strings.TrimPrefix(r.URL.Path, faultPrefix)
	var id string // the longest that fits: one id may begin another
	for _, f := range faults {
		if after, ok := strings.CutPrefix(rest, f.ID); ok && (after == "" || after[0] == '/') && len(f.ID) > len(id) {
			id = f.ID
		}
	}
	if id == "" || s.fault.ID != "" {
		fail(w, http.StatusNotFound, "no such fault: /scenario/ lists them")
		return
	}
	next := r.Clone(r.Context())
	next.URL.RawPath = ""
	if next.URL.Path = rest[len(id):]; next.URL.Path == "" {
		next.URL.Path = "/tick"
	}
	s.broken.get(s, id).handler.ServeHTTP(w, next)
}

// brokenServers are the servers behind /scenario/fault/, made when first asked for.
type brokenServers struct {
	mu   sync.Mutex
	byID map[string]*Server
}

func (b *brokenServers) get(s *Server, id string) *Server {
	b.mu.Lock()
	defer b.mu.Unlock()
	if sub, ok := b.byID[id]; ok {
		return sub
	}
	cfg := s.cfg
	cfg.Fault = id
	sub := newServer(cfg, s.limits, s.count, s.stop)
	if b.byID == nil {
		b.byID = map[string]*Server{}
	}
	b.byID[id] = sub
	return sub
}
