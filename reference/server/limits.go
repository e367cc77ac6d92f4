package server

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"ssegauge/reference/sse"
)

// Limits are walls as proxies, frameworks and policies put them up, so that what looks for them can be proved. The zero value has none. Those of
// connections are for [Server.Serve]. Config.MaxStreams, MaxStreamsPerIP, MaxConcurrentStreams and WriteTimeout are limits too, that every engine has.
type Limits struct {
	// ServedPerConn is how many requests of one HTTP/2 connection are answered at once; more, though SETTINGS allow them, get no head until one of
	// these ends. 0: no limit.
	ServedPerConn int
	// SlotDelay is how long after its end a stream still takes its place of MaxStreams, MaxStreamsPerIP and ServedPerConn.
	SlotDelay time.Duration
	// MaxRequestsPerConn is how many requests a connection is for. The last is answered with Connection: close over HTTP/1.1, and over HTTP/2 with GOAWAY
	// (NO_ERROR), after which open streams go on. 0: no limit.
	MaxRequestsPerConn int
	// MaxResets is how many streams of one HTTP/2 connection its client may reset; with the last of them the connection ends: in the clear with GOAWAY
	// (ENHANCE_YOUR_CALM), over TLS without a word. 0: no limit.
	MaxResets int
	// MaxConns is how many connections are served at once, over all listeners; the others wait in the kernel's queue. 0: no limit.
	MaxConns int
	// Backlog is the length of that queue, as listen(2) has it (Linux lets one more wait); for TCP listeners on Unix. 0: the system's.
	Backlog int
	// SendBuffer is what the kernel may hold of a connection's output, in bytes, as SO_SNDBUF has it (Linux takes twice as much). 0: the system's.
	SendBuffer int
	// IdleTimeout is how long a stream may be without a byte written to it; then it ends, between two events. 0: no limit.
	IdleTimeout time.Duration
	// IdleDrop makes such a stream dead in place of ended, as a NAT does: nothing of it is sent any more, not even its end. Over HTTP/2 that is the stream
	// alone, not its connection.
	IdleDrop bool
	// IdleIgnoresComments does not count heartbeats as bytes.
	IdleIgnoresComments bool
	// Lifetime is the age at which streams end, between two events; LifetimeJitter how much later at most, in percent of it, at random for each. 0: no limit.
	Lifetime       time.Duration
	LifetimeJitter int
	// Buffer is how many bytes of a stream's body gather before any of them leave, as behind a proxy that buffers; what is left leaves at the end. The head
	// is not held. 0: none.
	Buffer int
	// MaxEvent is how many bytes of data an event of /publish may have, and Oversized what more meet. 0: no limit but MaxBody.
	MaxEvent int
	// Oversized is "reject" (413, as ""), "drop" (taken and never delivered), "truncate" (delivered cut), "split" (delivered as several events) or "close"
	// (never delivered, and the streams of the channel end).
	Oversized string
}

var oversized = []string{"", "reject", "drop", "truncate", "split", "close"}

func (l *Limits) check() error {
	for _, f := range []struct {
		name string
		n    int
	}{
		{"ServedPerConn", l.ServedPerConn},
		{"SlotDelay", int(l.SlotDelay)},
		{"MaxRequestsPerConn", l.MaxRequestsPerConn},
		{"MaxResets", l.MaxResets},
		{"MaxConns", l.MaxConns},
		{"Backlog", l.Backlog},
		{"SendBuffer", l.SendBuffer},
		{"IdleTimeout", int(l.IdleTimeout)},
		{"Lifetime", int(l.Lifetime)},
		{"LifetimeJitter", l.LifetimeJitter},
		{"Buffer", l.Buffer},
		{"MaxEvent", l.MaxEvent},
	} {
		if f.n < 0 {
			return fmt.Errorf("server: %s is negative (%d)", f.name, f.n)
		}
	}
	switch {
	case !slices.Contains(oversized, l.Oversized):
		return fmt.Errorf("server: Oversized is %q, none of %q", l.Oversized, oversized[1:])
	case l.Oversized != "" && l.MaxEvent == 0:
		return errors.New("server: Oversized needs MaxEvent")
	case l.LifetimeJitter > 1000:
		return fmt.Errorf("server: LifetimeJitter is over 1000 percent (%d)", l.LifetimeJitter)
	case l.LifetimeJitter > 0 && l.Lifetime == 0:
		return errors.New("server: LifetimeJitter needs Lifetime")
	case (l.IdleDrop || l.IdleIgnoresComments) && l.IdleTimeout == 0:
		return errors.New("server: IdleDrop and IdleIgnoresComments need IdleTimeout")
	}
	return nil
}

// Connections.

// gate is a listener that lets MaxConns connections in: another one is accepted when one of them has ended.
type gate struct {
	net.Listener
	srv    *Server
	closed chan struct{}
	once   sync.Once
}

// gated gives l the limits of connections.
func (s *Server) gated(l *net.Listener) error {
	if s.cfg.Backlog > 0 {
		if err := setBacklog(*l, s.cfg.Backlog); err != nil {
			return fmt.Errorf("server: Backlog: %w", err)
		}
	}
	if s.cfg.MaxConns > 0 || s.cfg.SendBuffer > 0 || s.cfg.MaxResets > 0 {
		*l = &gate{Listener: *l, srv: s, closed: make(chan struct{})}
	}
	return nil
}

func (g *gate) Accept() (net.Conn, error) {
	if g.srv.seats != nil {
		select {
		case g.srv.seats <- struct{}{}:
		case <-g.closed:
			return nil, net.ErrClosed
		}
	}
	c, err := g.Listener.Accept()
	if err != nil {
		g.srv.unseat()
		return nil, err
	}
	if b, ok := c.(interface{ SetWriteBuffer(bytes int) error }); ok && g.srv.cfg.SendBuffer > 0 {
		_ = b.SetWriteBuffer(g.srv.cfg.SendBuffer) // it fails on a connection that is gone already
	}
	if g.srv.cfg.MaxResets > 0 {
		c = &calmed{Conn: c}
	}
	return c, nil
}

func (g *gate) Close() error {
	g.once.Do(func() { close(g.closed) })
	return g.Listener.Close()
}

// unseat gives back the place of a connection.
func (s *Server) unseat() {
	if s.seats != nil {
		<-s.seats
	}
}

// connection is what the limits of one connection count.
type connection struct {
	net.Conn
	served           chan struct{} // a token for each request that is answered; nil: no limit
	requests, resets atomic.Int64
}

type connectionKey struct{}

// limit puts the limits of a connection before the handler of hs.
func (s *Server) limit(hs *http.Server) {
	if s.cfg.ServedPerConn == 0 && s.cfg.MaxRequestsPerConn == 0 && s.cfg.MaxResets == 0 {
		return
	}
	with, next := hs.ConnContext, hs.Handler
	hs.ConnContext = func(ctx context.Context, nc net.Conn) context.Context {
		c := &connection{Conn: nc}
		if s.cfg.ServedPerConn > 0 {
			c.served = make(chan struct{}, s.cfg.ServedPerConn)
		}
		return context.WithValue(with(ctx, nc), connectionKey{}, c)
	}
	hs.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := r.Context().Value(connectionKey{}).(*connection)
		if most := s.cfg.MaxRequestsPerConn; most > 0 && c.requests.Add(1) >= int64(most) {
			w.Header().Set("Connection", "close") // for HTTP/2 net/http makes it GOAWAY
		}
		if r.ProtoMajor == 2 {
			defer s.reset(c, r)
		}
		if c.served != nil && r.ProtoMajor == 2 {
			select {
			case c.served <- struct{}{}:
				defer later(s.cfg.SlotDelay, func() { <-c.served })
			case <-r.Context().Done():
				return
			case <-s.stop:
				s.refuse(w, errStopping)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// later frees a place when it is time.
func later(delay time.Duration, free func()) {
	if delay > 0 {
		time.AfterFunc(delay, free)
		return
	}
	free()
}

// reset counts a request whose client did not wait for the end of its answer.
func (s *Server) reset(c *connection, r *http.Request) {
	if r.Context().Err() == nil || s.cfg.MaxResets == 0 || c.resets.Add(1) != int64(s.cfg.MaxResets) {
		return
	}
	if clear, ok := c.Conn.(*calmed); ok {
		clear.calm()
		return
	}
	_ = c.Close()
}

// calmed is a connection that can end with GOAWAY of a code of ours, where it carries HTTP/2 in the clear: net/http lets no handler send one.
type calmed struct {
	net.Conn
	mu   sync.Mutex
	head []byte // of the frame that is being written, as far as it was
	rest int    // what is missing of its payload
	over bool   // what comes after this frame is not written
	said bool
}

// goAway is RFC 9113 6.8 with all streams that there can be and the code of 7.
var goAway = []byte{0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0x0b}

func (c *calmed) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for n < len(p) && !c.ends() {
		if c.rest > 0 {
			k := min(c.rest, len(p)-n)
			c.rest -= k
			n += k
			continue
		}
		c.head = append(c.head, p[n])
		if n++; len(c.head) == frameHead {
			c.rest = int(c.head[0])<<16 + int(c.head[1])<<8 + int(c.head[2])
			c.head = c.head[:0]
		}
	}
	if _, err := c.Conn.Write(p[:n]); err != nil {
		return 0, err
	}
	return len(p), c.sayEnd()
}

func (c *calmed) ends() bool { return c.over && c.rest == 0 && len(c.head) == 0 }

func (c *calmed) sayEnd() (err error) {
	if c.ends() && !c.said {
		c.said = true
		_, err = c.Conn.Write(goAway)
	}
	return err
}

// calm ends the connection, soon enough, and late enough for its client to read why.
func (c *calmed) calm() {
	time.AfterFunc(time.Second, func() { _ = c.Close() })
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	_ = c.sayEnd()
}

// NetConn is the connection beneath, as for [tls.Conn].
func (c *calmed) NetConn() net.Conn { return c.Conn }

// Streams.

// limit begins the times that limit a stream.
func (st *stream) limit() {
	l := &st.srv.cfg.Limits
	if l.Lifetime > 0 {
		st.expiry = time.After(l.Lifetime + rand.N(l.Lifetime/100*time.Duration(l.LifetimeJitter)+1))
	}
	if l.IdleTimeout > 0 {
		st.idle = time.NewTimer(l.IdleTimeout)
		st.active = time.Now()
	}
}

// idles tells whether the stream goes on when its idle time may be over.
func (st *stream) idles() bool {
	l := &st.srv.cfg.Limits
	if rest := l.IdleTimeout - time.Since(st.active); rest > 0 {
		st.idle.Reset(rest) // as with heartbeats, the timer is not moved at each write
		return true
	}
	if l.IdleDrop {
		st.dead, st.expiry, st.fault.held = true, nil, nil
	}
	return st.dead
}

// Events.

// fit is what is published in place of m, and whether it is kept from its readers.
func (l *Limits) fit(m sse.Message) (parts []sse.Message, withheld bool, err error) {
	if l.MaxEvent == 0 || len(m.Data) <= l.MaxEvent {
		return []sse.Message{m}, false, nil
	}
	switch l.Oversized {
	case "drop", "close":
		return []sse.Message{m}, true, nil
	case "truncate":
		m.Data = m.Data[:cut(m.Data, l.MaxEvent)]
		return []sse.Message{m}, false, nil
	case "split":
		for rest := m.Data; rest != ""; {
			n := cut(rest, l.MaxEvent)
			part := m
			if part.Data, rest = rest[:n], rest[n:]; rest != "" {
				part.ID = "" // that of m is the last one's
			}
			parts = append(parts, part)
		}
		return parts, false, nil
	}
	return nil, false, fmt.Errorf("data is longer than %d bytes", l.MaxEvent)
}

// cut is where text is cut so that at most n bytes (but one character) are before it.
func cut(text string, n int) int {
	if n >= len(text) {
		return len(text)
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	if n == 0 {
		_, n = utf8.DecodeRuneInString(text)
	}
	return n
}

// withhold makes an event one that nobody gets: its place in the log holds no bytes.
func withhold([]byte) []byte { return nil }

// delivered leaves the events out of recs, which stand from a position on, that nobody gets, and tells whether the stream ends at the first of them that
// is live.
func (s *Server) delivered(recs []*record, from, live uint64) (kept []*record, ends bool) {
	if s.cfg.MaxEvent == 0 {
		return recs, false
	}
	kept = recs[:0]
	for i, r := range recs {
		switch {
		case len(r.raw) > 0:
			kept = append(kept, r)
		case s.cfg.Oversized == "close" && from+uint64(i) >= live:
			return kept, true
		}
	}
	return kept, false
}
