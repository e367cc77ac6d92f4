// Package server is the reference server: what a right server of Server-Sent Events does, on net/http, over
// HTTP/1.1, h2c and h2, with channels that replay their history, scripted scenarios for clients, and a switch for
// each rule of the catalogue that breaks this rule and no other.
//
// It may import reference/sse, reference/wire and the standard library.
//
// Another engine than net/http is reference/server/raw; what it shares with this one it reaches by feed.go.
//
// To add a route: one line in [Server.routes]. To add a scenario: one [Script] in scenarios.go. To add a fault: one
// entry in faults.go.
//
// # How a stream resumes
//
// A first connection, without an id, gets live events only. A connection that names the last event it saw (the
// Last-Event-ID field, or the query parameter lastEventId for a first connection that cannot set fields) gets every
// later event once, in order, and then live ones: both come from one log, so there is no seam. Where the id is not in the history
// (it is too old, or it was never given out by this channel of this process) an event of type "gap" comes first,
// whose data is a JSON object that says why and from where, and then all history that is kept. WHATWG HTML leaves
// this policy to the server (9.2.4; whatwg/html#8297).
package server

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// The defaults of [Config].
const (
	DefaultHistory              = 1024
	DefaultHistoryBytes         = 4 << 20
	DefaultQueue                = 1024
	DefaultChannels             = 256
	DefaultHeartbeat            = 15 * time.Second
	DefaultRetry                = 3 * time.Second
	DefaultWriteTimeout         = 15 * time.Second
	DefaultShutdownTimeout      = 5 * time.Second
	DefaultMaxBody              = 1 << 20
	DefaultMaxConcurrentStreams = 10_000
)

// Config is what a server can be told. The zero value is a sensible server without limits.
type Config struct {
	// History is how many events a channel keeps for clients that resume. 0: DefaultHistory; negative: none.
	History int
	// HistoryBytes bounds what the log of one channel holds, in bytes of encoded events. 0: DefaultHistoryBytes.
	HistoryBytes int
	// Queue is how many events a live reader may lag behind before it is cut, at an event boundary. Its bytes are shared: the log
	// of a channel keeps max(History, Queue) events within HistoryBytes. 0: DefaultQueue.
	Queue int
	// Channels caps how many channels there are, and so memory: Channels times HistoryBytes. Past it the channel that was idle
	// longest makes room. 0: DefaultChannels.
	Channels int
	// Heartbeat is the silence after which a comment is sent. 0: DefaultHeartbeat; negative: never.
	Heartbeat time.Duration
	// Retry is the reconnection time told in the first block of each stream, rounded to milliseconds. 0: DefaultRetry; negative: none is told.
	Retry time.Duration
	// WriteTimeout is how long a client may leave one write (at most 64 KiB or one event) unread before it is cut. 0: DefaultWriteTimeout.
	WriteTimeout time.Duration
	// ShutdownTimeout bounds the graceful end of Serve. 0: DefaultShutdownTimeout.
	ShutdownTimeout time.Duration
	// PublishToken, if not empty, must be sent to /publish as "Authorization: Bearer <token>".
	PublishToken string
	// MaxBody caps the body of a publish request in bytes. 0: DefaultMaxBody.
	MaxBody int64
	// MaxStreams and MaxStreamsPerIP bound the open streams overall and of one address; past them 503. 0: no limit.
	MaxStreams, MaxStreamsPerIP int
	// MaxConcurrentStreams is what the server declares as SETTINGS_MAX_CONCURRENT_STREAMS. 0: DefaultMaxConcurrentStreams.
	MaxConcurrentStreams int
	// Origins lists the origins that may read across origins, with credentials. Empty: every origin ("*"), without.
	Origins []string
	// Fault names a rule that this server breaks: one of [Faults]. Empty: none.
	Fault string

	Limits
}

func (c Config) withDefaults() Config {
	def := func(p *int, d int) {
		if *p == 0 {
			*p = d
		}
	}
	span := func(p *time.Duration, d time.Duration) {
		if *p == 0 {
			*p = d
		}
	}
	def(&c.History, DefaultHistory)
	c.History = max(c.History, 0)
	def(&c.HistoryBytes, DefaultHistoryBytes)
	def(&c.Queue, DefaultQueue)
	def(&c.Channels, DefaultChannels)
	def(&c.MaxConcurrentStreams, DefaultMaxConcurrentStreams)
	span(&c.Heartbeat, DefaultHeartbeat)
	span(&c.Retry, DefaultRetry)
	span(&c.WriteTimeout, DefaultWriteTimeout)
	span(&c.ShutdownTimeout, DefaultShutdownTimeout)
	if c.MaxBody == 0 {
		c.MaxBody = DefaultMaxBody
	}
	return c
}

func (c Config) check() error {
	for _, f := range []struct {
		name string
		n    int
	}{
		{"HistoryBytes", c.HistoryBytes},
		{"Queue", c.Queue},
		{"Channels", c.Channels},
		{"MaxStreams", c.MaxStreams},
		{"MaxStreamsPerIP", c.MaxStreamsPerIP},
		{"MaxConcurrentStreams", c.MaxConcurrentStreams},
		{"MaxBody", int(c.MaxBody)},
		{"WriteTimeout", int(c.WriteTimeout)},
		{"ShutdownTimeout", int(c.ShutdownTimeout)},
	} {
		if f.n < 0 {
			return fmt.Errorf("server: %s is negative (%d)", f.name, f.n)
		}
	}
	return c.Limits.check()
}

// Server is the reference server. It is safe for concurrent use.
type Server struct {
	cfg       Config
	fault     Fault
	channels  channels
	clocks    clocks
	limits    *limiter
	seats     chan struct{} // a token for each connection; nil: no limit
	count     *counters
	broken    brokenServers
	returning returning
	down      down

	wptPreflights wptPreflights

	handler http.Handler

	stop     chan struct{} // closed when every stream has to end
	stopOnce sync.Once

	mu      sync.Mutex
	servers []*http.Server
}

// New makes a server. It fails on a negative bound and on a fault that does not exist.
func New(cfg Config) (*Server, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.Fault != "" && !slices.ContainsFunc(faults, func(f Fault) bool { return f.ID == cfg.Fault }) {
		return nil, fmt.Errorf("server: there is no fault %q", cfg.Fault)
	}
	cfg = cfg.withDefaults()
	limits := &limiter{total: cfg.MaxStreams, perIP: cfg.MaxStreamsPerIP, delay: cfg.SlotDelay, byIP: map[string]int{}}
	s := newServer(cfg, limits, &counters{started: time.Now()}, make(chan struct{}))
	if cfg.MaxConns > 0 {
		s.seats = make(chan struct{}, cfg.MaxConns)
	}
	return s, nil
}

func newServer(cfg Config, limits *limiter, count *counters, stop chan struct{}) *Server {
	s := &Server{cfg: cfg, limits: limits, count: count, stop: stop}
	for _, f := range faults {
		if f.ID == cfg.Fault {
			s.fault = f
		}
	}
	s.channels = newChannels(cfg, s.encode)
	s.clocks.srv = s
	s.handler = s.cors(s.wrapped(s.mux()))
	return s
}

// Handler is the whole server. Streams run until their client leaves or until Shutdown.
func (s *Server) Handler() http.Handler { return s.handler }

// route is one path of the server.
type route struct {
	pattern string // of http.ServeMux, without a method
	methods []string
	handle  http.HandlerFunc
}

func (s *Server) routes() []route {
	get := []string{http.MethodGet, http.MethodHead}
	post := []string{http.MethodPost}
	return []route{
		{"/events", get, s.events},
		{"/publish", post, s.publish},
		{"/tick", get, s.tick},
		{"/stats", get, s.stats},
		{"/metrics", get, s.metrics},
		{"/healthz", get, s.healthz},
		{"/sse", get, s.classicSSE},
		{"/chat-updates", get, s.chatUpdates},
		{"/stream", get, s.classicStream},
		{"/connect", get, s.classicConnect},
		{"/{$}", get, s.page},
		{"/pages/", get, s.page},
		{"/profile/mcp", []string{http.MethodGet, http.MethodPost}, s.mcp},
		{"/profile/llm", post, s.llm},
		{"/profile/mercure", get, s.mercure},
		{"/profile/jakarta", get, s.jakarta},
		{"/scenario/", get, s.scenario},
	}
}

// mux routes by path; methods are answered here, so that each 405 and each OPTIONS carries Allow
// (RFC 9110 15.5.6, 9.3.7) and a path that does not exist is 404 for every method.
func (s *Server) mux() http.Handler {
	mux := http.NewServeMux()
	for _, r := range s.routes() {
		mux.Handle(r.pattern, allow(r.methods, r.handle))
	}
	mux.HandleFunc(wptPrefix, s.wpt)      // answers OPTIONS by itself
	mux.HandleFunc(faultPrefix, s.faulty) // as a whole server does
	return mux
}
