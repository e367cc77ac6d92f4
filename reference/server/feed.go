package server

import (
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Record is one event, encoded once for all who read it.
type Record struct{ *record }

// Raw is the event as text/event-stream; Chunk the same as one chunk of HTTP/1.1 (RFC 9112 7.1). Both are to be read only.
func (r Record) Raw() []byte   { return r.raw }
func (r Record) Chunk() []byte { return r.chunk }

// newRecord encodes an event for engines: one piece of memory holds both its forms.
func newRecord(id string, raw []byte) *record {
	chunk := make([]byte, 0, len(raw)+12)
	chunk = strconv.AppendInt(chunk, int64(len(raw)), 16)
	chunk = append(chunk, "\r\n"...)
	at := len(chunk)
	chunk = append(append(chunk, raw...), "\r\n"...)
	return &record{id: id, raw: chunk[at : at+len(raw) : at+len(raw)], chunk: chunk}
}

// Feed is what streams carry: a log of events that each reads at a cursor of its own, so that one who lags costs no queue. It is safe for
// concurrent use.
type Feed interface {
	// Edge is the position of the first event that is not there yet.
	Edge(now time.Time) uint64
	// Read appends to dst the events from cursor on and before edge, at least one and not much more than 64 KiB. lost tells that the one at
	// cursor is no longer kept.
	Read(cursor, edge uint64, dst []Record) (recs []Record, lost bool)
	// Due is when the event at a position comes; zero where nobody knows, and a [Watcher] is told.
	Due(cursor uint64) time.Time
	// End is the position after the last event, or [Endless].
	End() uint64
	// Watch tells w of each event that comes, until Unwatch; a feed by the clock tells nothing.
	Watch(w Watcher)
	Unwatch(w Watcher)
}

// Endless is the end of a feed that has none.
const Endless = math.MaxUint64

// Watcher is told by a feed that it has news. Wake is called under the lock of the feed: it must not wait, nor call the feed.
type Watcher interface{ Wake() }

// Carrier is a ResponseWriter that carries streams without a goroutine for each: an engine in place of net/http. Its handler is
// [Server.Carried].
type Carrier interface {
	http.ResponseWriter
	// Carry takes over the stream whose head was written: it sends first, then the events of feed from cursor on. When the stream ends it calls
	// [Server.Left] once.
	Carry(feed Feed, cursor uint64, first []byte)
}

// Carried is what the server answers where w is a [Carrier]: /events, /publish, /tick, /stats, /metrics and /healthz. No handler of it waits.
func (s *Server) Carried() http.Handler {
	mux := map[string]http.Handler{}
	for _, r := range s.routes() {
		handle, ok := map[string]http.HandlerFunc{
			"/events": s.carryEvents, "/tick": s.carryTick, "/stats": s.carryStats,
			"/publish": s.publish, "/metrics": s.metrics, "/healthz": s.healthz,
		}[r.pattern]
		if ok {
			mux[r.pattern] = allow(r.methods, handle)
		}
	}
	return s.cors(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := mux[r.URL.Path]; h != nil {
			h.ServeHTTP(w, r)
			return
		}
		fail(w, http.StatusNotFound, "the raw engine has /events, /publish, /tick, /stats, /metrics and /healthz; serve --engine net has all routes")
	}))
}

// carry answers with the head of a stream and hands it over, or answers why not and tells that the feed is not needed.
func (s *Server) carry(w http.ResponseWriter, r *http.Request, feed Feed, cursor uint64, first []byte) bool {
	if !s.admit(w, r) {
		return false
	}
	streamHead(w.Header())
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return false
	}
	w.(Carrier).Carry(feed, cursor, s.firstBlock(first))
	return true
}

// Left tells that a stream ended which was carried to remoteAddr.
func (s *Server) Left(feed Feed, remoteAddr string) {
	s.limits.leave(host(remoteAddr))
	s.drop(feed)
}

// drop gives back the hold on a feed.
func (s *Server) drop(feed Feed) {
	switch f := feed.(type) {
	case *channel:
		s.channels.release(f)
	case *timed:
		s.clocks.release(f)
	}
}

// Count adds to what /stats tells: deliveries and their bytes, heartbeats, streams that were cut because their reader was too slow.
func (s *Server) Count(delivered, bytes, heartbeats, cut uint64) {
	s.count.delivered.Add(delivered)
	s.count.bytes.Add(bytes)
	s.count.heartbeats.Add(heartbeats)
	s.count.cut.Add(cut)
}

// Connected counts a connection that came (1) or went (-1).
func (s *Server) Connected(n int64) { s.count.connections.Add(n) }

// Stopping is closed when every stream has to end.
func (s *Server) Stopping() <-chan struct{} { return s.stop }

// Config is how the server was configured, its defaults in place.
func (s *Server) Config() Config { return s.cfg }

// Heartbeat is the comment that keeps a quiet stream from being taken for dead.
const Heartbeat = heartbeat

func (s *Server) carryEvents(w http.ResponseWriter, r *http.Request) {
	c := s.held(w, r)
	if c == nil {
		return
	}
	cursor, first, resumed := s.start(c, r)
	if !s.carry(w, r, c, cursor, first) {
		s.channels.release(c)
		return
	}
	if resumed {
		s.count.resumed.Add(1)
	}
}

func (s *Server) carryTick(w http.ResponseWriter, r *http.Request) {
	p, err := parseTick(r.URL.Query())
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	sc := s.ticks(p)
	n, first, ok := s.enterSchedule(w, r, &sc)
	if !ok {
		return
	}
	f := s.clocks.hold(p, sc)
	if !s.carry(w, r, f, uint64(n), first) {
		s.clocks.release(f)
	}
}

// carryStats is stats on a carrier.
func (s *Server) carryStats(w http.ResponseWriter, r *http.Request) {
	w.Header().Add("Vary", "Accept")
	if !namesEventStream(r.Header) {
		answerJSON(w, s.Stats())
		return
	}
	begin := time.Now()
	s.carry(w, r, &timed{
		due:  func(n uint64) time.Time { return begin.Add(time.Duration(n) * time.Second) },
		edge: func(now time.Time) uint64 { return uint64(max(0, now.Sub(begin)/time.Second)) + 1 },
		of:   func(uint64) *record { return s.gauges() },
		end:  Endless,
	}, 0, nil)
}

// A channel is a feed.

func (c *channel) Edge(time.Time) uint64 { return c.live() }
func (c *channel) Due(uint64) time.Time  { return time.Time{} }
func (c *channel) End() uint64           { return Endless }

func (c *channel) Read(cursor, _ uint64, dst []Record) (recs []Record, lost bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cursor < c.first {
		return dst, true
	}
	size := 0
	for _, r := range c.log[min(cursor, c.next)-c.first:] {
		dst = append(dst, Record{r})
		if size += len(r.raw); size > maxBatch {
			break
		}
	}
	return dst, false
}

func (c *channel) Watch(w Watcher) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.watchers == nil {
		c.watchers = map[Watcher]bool{}
	}
	c.watchers[w] = true
}

func (c *channel) Unwatch(w Watcher) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.watchers, w)
}

// timed is a feed by the clock.
type timed struct {
	due  func(n uint64) time.Time
	edge func(now time.Time) uint64
	of   func(n uint64) *record
	end  uint64

	mu   sync.Mutex
	last [8]struct { // the events that were made last, by their numbers modulo 8: streams that keep up share them
		n uint64
		r *record
	}

	shared tickParams // where it is one for all
	users  int        // guarded by the mutex of clocks; 0: one stream's own
}

func (f *timed) Edge(now time.Time) uint64   { return min(f.edge(now), f.end) }
func (f *timed) Due(cursor uint64) time.Time { return f.due(cursor) }
func (f *timed) End() uint64                 { return f.end }
func (f *timed) Watch(Watcher)               {}
func (f *timed) Unwatch(Watcher)             {}

func (f *timed) Read(cursor, edge uint64, dst []Record) (recs []Record, lost bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for n, size := cursor, 0; n < edge && size < maxBatch; n++ {
		l := &f.last[n%uint64(len(f.last))]
		if l.r == nil || l.n != n {
			l.n, l.r = n, f.of(n)
		}
		dst = append(dst, Record{l.r})
		size += len(l.r.raw)
	}
	return dst, false
}

// clocks are the endless schedules that somebody reads, one for all who ask for the same.
type clocks struct {
	srv *Server
	mu  sync.Mutex
	by  map[tickParams]*timed
}

func (cs *clocks) hold(p tickParams, sc schedule) *timed {
	of := func(n uint64) *record {
		m := tickMessage(p, int64(n), sc.due(int64(n)))
		m.ID = sc.id(int64(n))
		raw, _ := cs.srv.encode(&m) // its parts were judged by parseTick
		return newRecord(m.ID, raw)
	}
	f := &timed{
		due:  func(n uint64) time.Time { return sc.due(int64(n)) },
		edge: func(now time.Time) uint64 { return uint64(max(sc.live(now), 0)) },
		of:   of, end: Endless, shared: p,
	}
	if sc.count > 0 {
		f.end = uint64(sc.count) + 1
		return f
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if old := cs.by[p]; old != nil {
		f = old
	} else {
		if cs.by == nil {
			cs.by = map[tickParams]*timed{}
		}
		cs.by[p] = f
	}
	f.users++
	return f
}

func (cs *clocks) release(f *timed) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if f.users == 0 {
		return
	}
	if f.users--; f.users == 0 {
		delete(cs.by, f.shared)
	}
}
