package server

import (
	"bytes"
	"cmp"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"ssegauge/reference/sse"
)

// Returning is what a [Fault] changes in how clients that come back, pages of other origins and publishers are treated. What is nil or zero changes nothing.
type Returning struct {
	Refuse   func(r *http.Request) int            // status of the answer, 0: as it should be
	Redirect func(r *http.Request) string         // where the client is sent instead; "": nowhere
	Replayed func(blocks [][]byte) [][]byte       // what is sent again
	Twice    func(from uint64) uint64             // where the second stream with one id goes on
	Seam     time.Duration                        // what is published this long after the replay is lost
	Gap      func(id string) []byte               // the event that says that an id is unknown
	Drop     bool                                 // a stream with an unknown id ends after its head
	Exact    bool                                 // Last-Event-ID is known by this spelling alone (HTTP/1.1, where the whole server has the fault)
	Leak     bool                                 // ids of other channels are known
	NoQuery  bool                                 // the query parameter is ignored
	Greedy   bool                                 // a first connection gets the history
	Forget   uint64                               // how many events of a channel are never sent again
	Unheard  bool                                 // who has no credentials is told so in the stream, once others came with some
	CORS     func(h http.Header, r *http.Request) // changes the CORS fields of any answer
	Verbatim string                               // the field of a publish that goes to the wire as it came
	Own      func(n uint64, raw []byte) []byte    // the form of an event on the nth stream
}

var resumeFaults = []Fault{
	{
		ID: "id/stable", Text: "ids end with the number of the stream that they are sent on",
		Named: func(id string) string { id, _, _ = strings.Cut(id, "~"); return id },
		Returning: Returning{Own: func(n uint64, raw []byte) []byte {
			at := bytes.Index(raw, []byte("id: "))
			if at < 0 || at > 0 && raw[at-1] != '\n' {
				return raw
			}
			end := at + bytes.IndexByte(raw[at:], '\n')
			return slices.Concat(raw[:end], fmt.Appendf(nil, "~%d", n), raw[end:])
		}},
	},
	{
		ID: "id/control-frames", Text: "streams begin with a notice whose id the server does not know",
		First: func(block []byte) []byte { return append(block, "event: ready\nid: ready\ndata: {}\n\n"...) },
	},
	{ID: "resume/header-accepted", Text: "requests with Last-Event-ID are answered 400", Returning: Returning{
		Refuse: func(r *http.Request) int { return when(r.Header.Get("Last-Event-ID") != "", http.StatusBadRequest) },
	}},
	{ID: "resume/header-case", Text: "Last-Event-ID is not found in lower or upper case", Returning: Returning{Exact: true}},
	{ID: "resume/order", Text: "what was missed is sent with the newest event first", Returning: Returning{
		Replayed: func(blocks [][]byte) [][]byte {
			blocks = slices.Clone(blocks)
			slices.Reverse(blocks)
			return blocks
		},
	}},
	{ID: "resume/seam", Text: "what is published within 100 ms after a replay is lost", Returning: Returning{Seam: 100 * time.Millisecond}},
	{ID: "resume/fidelity", Text: "replayed events have a type that the live ones had not", Returning: Returning{
		Replayed: func(blocks [][]byte) [][]byte {
			var typed [][]byte
			for _, b := range blocks {
				typed = append(typed, append([]byte("event: replay\n"), b...))
			}
			return typed
		},
	}},
	{ID: "resume/idempotent", Text: "the second replay from one id lacks its first event", Returning: Returning{
		Twice: func(from uint64) uint64 { return from + 1 },
	}},
	{ID: "resume/unknown-id", Text: "a stream with an unknown id ends after its head", Returning: Returning{Drop: true}},
	{ID: "resume/empty-header", Text: "an empty Last-Event-ID is answered 500", Returning: Returning{
		Refuse: func(r *http.Request) int {
			id, there := r.Header["Last-Event-Id"]
			return when(there && id[0] == "", http.StatusInternalServerError)
		},
	}},
	{ID: "resume/hostile-id", Text: "a negative number for an id is answered 500", Returning: Returning{
		Refuse: func(r *http.Request) int {
			return when(strings.HasPrefix(r.Header.Get("Last-Event-ID"), "-"), http.StatusInternalServerError)
		},
	}},
	{ID: "resume/isolation", Text: "an id of another channel opens that channel", Returning: Returning{Leak: true}},
	{ID: "resume/window", Text: "the first 16 events of a channel are not kept, whatever was promised", Returning: Returning{Forget: 16}},
	{ID: "resume/query-param", Text: "the query parameter lastEventId is ignored", Returning: Returning{NoQuery: true}},
	{ID: "resume/no-id-no-replay", Text: "a first connection gets the whole history", Returning: Returning{Greedy: true}},

	{ID: "cors/allow-origin", Text: "Access-Control-Allow-Origin is sent twice", Head: func(h http.Header, _ *http.Request) {
		h.Add("Access-Control-Allow-Origin", "*")
	}},
	{ID: "cors/credentials", Text: "credentials are allowed for every origin", Head: func(h http.Header, _ *http.Request) {
		h.Set("Access-Control-Allow-Credentials", "true")
	}},
	{ID: "cors/vary", Text: "the origin is echoed in a response that caches may keep, without Vary", Head: func(h http.Header, r *http.Request) {
		h.Set("Access-Control-Allow-Origin", cmp.Or(r.Header.Get("Origin"), "*"))
		h.Set("Cache-Control", "no-cache, no-transform")
	}},
	{
		ID: "cors/stream-and-error", Text: "errors have no Access-Control-Allow-Origin",
		Head: func(h http.Header, _ *http.Request) { h.Set("Access-Control-Allow-Origin", "*") },
		Returning: Returning{CORS: func(h http.Header, r *http.Request) {
			if r.Method != http.MethodOptions {
				h.Del("Access-Control-Allow-Origin")
			}
		}},
	},
	{ID: "cors/preflight/last-event-id", Text: "a preflight does not allow Last-Event-ID", Returning: Returning{
		CORS: func(h http.Header, _ *http.Request) {
			if h.Get("Access-Control-Allow-Headers") != "" {
				h.Set("Access-Control-Allow-Headers", "Authorization, Cache-Control")
			}
		},
	}},

	{ID: "sec/inject/event", Text: "line breaks in event types go to the wire", Returning: Returning{Verbatim: "event"}},
	{ID: "sec/inject/id", Text: "line breaks in ids go to the wire", Returning: Returning{Verbatim: "id"}},
	{ID: "sec/inject/retry", Text: "line breaks in retry go to the wire", Returning: Returning{Verbatim: "retry"}},
	{ID: "sec/inject/comment", Text: "line breaks in comments go to the wire", Returning: Returning{Verbatim: "comment"}},
	{ID: "sec/inject/id-header", Text: "an unknown id is echoed as it came", Returning: Returning{
		Gap: func(id string) []byte { return []byte("event: gap\ndata: " + id + "\n\n") },
	}},
	{ID: "sec/auth-before-stream", Text: "who has no credentials gets 200 and an error event, once others came with some", Returning: Returning{Unheard: true}},
	{ID: "sec/token-in-url", Text: "streams redirect to a URL with a token", Returning: Returning{
		Redirect: func(r *http.Request) string {
			u := *r.URL
			q := u.Query()
			if q.Has("access_token") {
				return ""
			}
			q.Set("access_token", "demo")
			u.RawQuery = q.Encode()
			return u.RequestURI()
		},
	}},
}

func when(yes bool, status int) int {
	if yes {
		return status
	}
	return 0
}

// returning is what the faults of [Returning] must remember.
type returning struct {
	mu      sync.Mutex
	ids     map[string]int
	auth    bool
	streams atomic.Uint64
}

// again counts the streams with an id.
func (f *returning) again(id string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ids == nil {
		f.ids = map[string]int{}
	}
	if len(f.ids) < 1000 || f.ids[id] > 0 {
		f.ids[id]++
	}
	return f.ids[id]
}

// stranger tells whether r has no credentials although others had some.
func (f *returning) stranger(r *http.Request) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.Header.Get("Authorization") != "" || r.Header.Get("Cookie") != "" {
		f.auth = true
		return false
	}
	return f.auth
}

// misled lets a fault answer in place of the stream; it tells whether it did.
func (s *Server) misled(w http.ResponseWriter, r *http.Request) bool {
	f := &s.fault.Returning
	if f.Refuse != nil {
		if status := f.Refuse(r); status != 0 {
			fail(w, status, "this server is told to refuse that")
			return true
		}
	}
	if f.Redirect != nil {
		if to := f.Redirect(r); to != "" {
			w.Header().Set("Cache-Control", "no-store")
			http.Redirect(w, r, to, http.StatusTemporaryRedirect)
			return true
		}
	}
	if f.Unheard && s.returning.stranger(r) {
		if st := s.openStream(w, r, []byte("event: error\ndata: 401 unauthorized\n\n")); st != nil {
			st.close()
		}
		return true
	}
	return false
}

// owned gives the records the form that they have on the nth stream.
func (f *Returning) owned(n uint64, recs []*record) []*record {
	if f.Own == nil {
		return recs
	}
	out := make([]*record, 0, len(recs))
	for _, r := range recs {
		out = append(out, &record{id: r.id, raw: f.Own(n, r.raw)})
	}
	return out
}

// resend passes what is replayed through a fault.
func (f *Returning) resend(recs []*record) []*record {
	var blocks [][]byte
	for _, r := range recs {
		blocks = append(blocks, r.raw)
	}
	out := make([]*record, 0, len(blocks))
	for _, b := range f.Replayed(blocks) {
		out = append(out, &record{raw: b})
	}
	return out
}

// foreign returns what another channel has after id.
func (cs *channels) foreign(c *channel, id string) (blocks []byte) {
	cs.mu.Lock()
	var others []*channel
	for _, o := range cs.byName {
		if o != c {
			others = append(others, o)
		}
	}
	cs.mu.Unlock()
	for _, o := range others {
		from, _, ok := o.resume(id)
		if !ok {
			continue
		}
		recs, _, _ := o.read(from, nil)
		for _, r := range recs {
			blocks = append(blocks, r.raw...)
		}
	}
	return blocks
}

// verbatim takes the line breaks out of a field, so that the rest of the server takes it, and gives a function that puts them back on the wire.
func verbatim(name string, fields map[string]string) func(raw []byte) []byte {
	was := fields[name]
	end := strings.IndexAny(was, "\r\n\x00")
	if end < 0 {
		return nil
	}
	if name == "comment" {
		delete(fields, name)
		return func(raw []byte) []byte { return append([]byte(": "+was+"\n"), raw...) }
	}
	fields[name] = was[:end]
	return func(raw []byte) []byte {
		return bytes.Replace(raw, []byte(name+": "+was[:end]+"\n"), []byte(name+": "+was+"\n"), 1)
	}
}

// commented puts a comment before an event.
func commented(text string) func(raw []byte) []byte {
	if text == "" {
		return nil
	}
	return func(raw []byte) []byte { return append(sse.AppendComment(nil, text), raw...) }
}

// spelled is a listener whose connections watch how Last-Event-ID is spelt: net/http does not tell.
type spelled struct{ net.Listener }

func (l spelled) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &spelledConn{Conn: c}, nil
}

type spelledConn struct {
	net.Conn
	odd atomic.Bool // the last request spelt it in another way
}

func (c *spelledConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if lower := bytes.ToLower(p[:n]); bytes.Contains(lower, []byte("\nlast-event-id:")) {
		c.odd.Store(!bytes.Contains(p[:n], []byte("\nLast-Event-I")))
	}
	return n, err
}

// spelledKey is where a request's context holds its spelledConn.
type spelledKey struct{}

// misspelt tells whether a fault does not find the request's Last-Event-ID.
func misspelt(r *http.Request) bool {
	c, ok := r.Context().Value(spelledKey{}).(*spelledConn)
	return ok && c.odd.Load()
}
