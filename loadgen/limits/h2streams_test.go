package limits

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"ssegauge/loadgen/plan"
	"ssegauge/reference/publish"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// h2Server is a target that speaks HTTP/2 over pipes, with the limits of its fields.
type h2Server struct {
	advertise int           // 0: SETTINGS name no limit
	perConn   int           // streams served at once on a connection; 0: any number
	total     int           // and on all of them
	over      string        // what one too many gets: an error code of HTTP/2, a status, "queue", "drop", "goaway CODE", "close"
	release   time.Duration // after which the place of a closed stream is free; below 0: never
	held      bool          // the head comes with the first event
	reach     int           // so many streams of a connection get events; 0: all
	turns     bool          // one stream after the other gets an event
	single    bool          // a stream ends the one before
	life      time.Duration // of a stream, from its head; 0: any
	pace      time.Duration // less than that after the last stream another gets 429
	refuses   bool          // to publish
	conns     int           // connections accepted; 0: any number

	mu       sync.Mutex
	taken    int // places
	accepted int
	requests int
	last     time.Time
	turn     int
	leave    func()
	live     map[*h2ServerConn]bool
}

type h2ServerConn struct {
	s       *h2Server
	nc      net.Conn
	mu      sync.Mutex // of writing
	fr      *http2.Framer
	taken   int
	high    uint32 // the last stream that was served
	order   []uint32
	served  map[uint32]bool // true: its head is out
	waiting []uint32
}

func (s *h2Server) dial(context.Context, string, string) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.accepted++; s.conns > 0 && s.accepted > s.conns {
		return nil, &net.OpError{Op: "dial", Err: fmt.Errorf("no more connections")}
	}
	mine, theirs := net.Pipe()
	c := &h2ServerConn{s: s, nc: theirs, served: map[uint32]bool{}}
	if s.live == nil {
		s.live = map[*h2ServerConn]bool{}
	}
	s.live[c] = true
	go c.serve()
	return mine, nil
}

func (c *h2ServerConn) serve() {
	s := c.s
	defer func() {
		c.nc.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.taken -= c.taken
		c.taken = 0
		delete(s.live, c)
	}()
	if _, err := io.ReadFull(c.nc, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	c.fr = http2.NewFramer(c.nc, c.nc)
	var settings []http2.Setting
	if s.advertise > 0 {
		settings = append(settings, http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: uint32(s.advertise)})
	}
	c.write(func() { c.fr.WriteSettings(settings...) })
	for {
		f, err := c.fr.ReadFrame()
		if err != nil {
			return
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				c.write(func() { c.fr.WriteSettingsAck() })
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				c.write(func() { c.fr.WritePing(true, f.Data) })
			}
		case *http2.HeadersFrame:
			s.mu.Lock()
			ok := c.request(f.StreamID)
			s.mu.Unlock()
			if !ok {
				return
			}
		case *http2.RSTStreamFrame:
			s.mu.Lock()
			c.closed(f.StreamID)
			s.mu.Unlock()
		}
	}
}

func (c *h2ServerConn) write(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

// request is called with s.mu held, as are the next ones; false ends the connection.
func (c *h2ServerConn) request(id uint32) bool {
	s := c.s
	s.requests++
	if s.pace > 0 {
		if soon := time.Since(s.last) < s.pace; soon {
			c.answer(id, "429", true)
			return true
		}
		s.last = time.Now()
	}
	if (s.perConn == 0 || c.taken < s.perConn) && (s.total == 0 || s.taken < s.total) {
		c.take(id)
		return true
	}
	switch code, goaway := strings.CutPrefix(s.over, "goaway "); {
	case s.over == "queue":
		c.waiting = append(c.waiting, id)
	case s.over == "drop":
	case s.over == "close":
		return false
	case goaway:
		c.write(func() { c.fr.WriteGoAway(c.high, codeOf(code), []byte("too many")) })
	case strings.HasPrefix(s.over, "5"):
		c.answer(id, s.over, true)
	default:
		c.write(func() { c.fr.WriteRSTStream(id, codeOf(s.over)) })
	}
	return true
}

func codeOf(name string) http2.ErrCode {
	for code := http2.ErrCode(0); code < 20; code++ {
		if code.String() == name {
			return code
		}
	}
	panic(name)
}

func (c *h2ServerConn) take(id uint32) {
	c.taken++
	c.s.taken++
	c.high = id
	c.order = append(c.order, id)
	if c.served[id] = !c.s.held; !c.s.held {
		c.answer(id, "200", false)
	}
	if c.s.single {
		if end := c.s.leave; end != nil {
			end()
		}
		c.s.leave = func() {
			if _, ok := c.served[id]; ok {
				go c.write(func() { c.fr.WriteData(id, true, nil) })
				c.closed(id)
			}
		}
	}
	if c.s.life > 0 {
		time.AfterFunc(c.s.life, func() {
			c.s.mu.Lock()
			defer c.s.mu.Unlock()
			if _, ok := c.served[id]; ok {
				c.write(func() { c.fr.WriteData(id, true, nil) })
				c.closed(id)
			}
		})
	}
}

func (c *h2ServerConn) closed(id uint32) {
	for i, w := range c.waiting {
		if w == id {
			c.waiting = append(c.waiting[:i], c.waiting[i+1:]...)
			return
		}
	}
	if _, ok := c.served[id]; !ok {
		return
	}
	delete(c.served, id)
	free := func() {
		if c.taken == 0 {
			return // the connection is gone
		}
		c.taken--
		c.s.taken--
		if len(c.waiting) > 0 {
			id := c.waiting[0]
			c.waiting = c.waiting[1:]
			c.take(id)
		}
	}
	switch {
	case c.s.release == 0:
		free()
	case c.s.release > 0:
		time.AfterFunc(c.s.release, func() {
			c.s.mu.Lock()
			defer c.s.mu.Unlock()
			free()
		})
	}
}

func (c *h2ServerConn) answer(id uint32, status string, end bool) {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	e.WriteField(hpack.HeaderField{Name: ":status", Value: status})
	e.WriteField(hpack.HeaderField{Name: "content-type", Value: "text/event-stream"})
	c.write(func() {
		c.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: b.Bytes(), EndHeaders: true, EndStream: end})
	})
}

// RoundTrip is the hook.
func (s *h2Server) RoundTrip(r *http.Request) (*http.Response, error) {
	body, _ := io.ReadAll(r.Body)
	if s.refuses {
		return &http.Response{StatusCode: 403, Body: http.NoBody}, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	nth := 0
	for c := range s.live {
		k := 0
		for _, id := range c.order {
			if _, ok := c.served[id]; !ok {
				continue
			}
			if k++; s.reach > 0 && k > s.reach {
				continue
			}
			if nth++; s.turns && nth != 1+s.turn%5 {
				continue
			}
			if !c.served[id] {
				c.answer(id, "200", false)
				c.served[id] = true
			}
			c.write(func() { c.fr.WriteData(id, false, []byte("data: "+string(body)+"\n\n")) })
		}
	}
	s.turn++
	return &http.Response{StatusCode: 204, Body: http.NoBody}, nil
}

// search looks for the limits of a target behind dial; hook may be nil.
func search(t *testing.T, d *wire.Dialer, hook http.RoundTripper, c Config) *result.Limits {
	t.Helper()
	u, err := url.Parse("http://target/events")
	if err != nil {
		t.Fatal(err)
	}
	if d.HeadTimeout == 0 {
		d.HeadTimeout = 10 * time.Second
	}
	c.Plan = plan.Plan{Targets: []plan.Target{{URL: u.String(), Request: &wire.Request{URL: u}, Dialer: d}}, Timeout: d.HeadTimeout}
	if hook != nil {
		if c.Publisher, err = publish.Compile(publish.Hook{HTTP: "POST http://target/publish", Transport: hook}); err != nil {
			t.Fatal(err)
		}
	}
	if c.Budget == 0 {
		c.Budget = time.Hour
	}
	if c.Streams == 0 {
		c.Streams = 10_000
	}
	s, err := New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	found, err := s.Run(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// told is a limit in one line: "h2/served-streams found 3..3 target: ...".
func told(l *result.Limit) string {
	number := func(f *float64) string {
		if f == nil {
			return "-"
		}
		return strconv.FormatFloat(*f, 'g', 4, 64)
	}
	s := l.ID + " " + l.Verdict + " " + number(l.Low) + ".." + number(l.High)
	if l.Owner != "" {
		s += " " + l.Owner
	}
	if l.DecidedBy != "" {
		s += " " + l.DecidedBy
	}
	return s + ": " + l.Evidence
}

// hold fails where the limits are not as wanted: of each the beginning of its line is given, and after " ... " a part of the rest.
func hold(t *testing.T, got []result.Limit, want ...string) {
	t.Helper()
	for i := range got {
		line := told(&got[i])
		if i >= len(want) {
			t.Errorf("not wanted: %s", line)
			continue
		}
		begin, part, _ := strings.Cut(want[i], " ... ")
		if !strings.HasPrefix(line, begin) || !strings.Contains(line[len(begin):], part) {
			t.Errorf("%s\nwanted: %s", line, want[i])
		}
	}
	for _, w := range want[min(len(got), len(want)):] {
		t.Errorf("missing: %s", w)
	}
}

func TestH2Streams(t *testing.T) {
	const none = "h2/slot-release undecided -..-: no limit of streams on one connection was met"
	for name, c := range map[string]struct {
		server  *h2Server
		publish bool
		streams int
		want    []string
	}{
		"not declared": {&h2Server{}, true, 150, []string{
			"h2/max-concurrent-streams none 150..-: the target's SETTINGS name no limit", "h2/served-streams none 150..-: all of 150 streams were served; each got what was published; more were not tried", none,
		}},
		"kept to": {&h2Server{advertise: 7, perConn: 7, over: "REFUSED_STREAM"}, true, 0, []string{
			"h2/max-concurrent-streams found 7..7 target: SETTINGS_MAX_CONCURRENT_STREAMS is 7",
			"h2/served-streams found 7..7 target: all of 7 streams were served; each got what was published; the one too many: the stream is reset with REFUSED_STREAM",
			"h2/slot-release found 0..0 target: a stream was served again 0 µs after",
		}},
		"breach": {&h2Server{advertise: 7, perConn: 7, over: "PROTOCOL_ERROR"}, false, 0, []string{
			"h2/max-concurrent-streams found 7..7", "h2/served-streams found 7..7 target: all of 7 streams were served; whether each gets events was not tried (--publish); the one too many: the stream is reset with PROTOCOL_ERROR", "h2/slot-release found 0..0",
		}},
		"calm": {&h2Server{advertise: 3, perConn: 3, over: "ENHANCE_YOUR_CALM"}, true, 0, []string{
			"h2/max-concurrent-streams found 3..3", "h2/served-streams found 3..3 target ... reset with ENHANCE_YOUR_CALM", "h2/slot-release found 0..0",
		}},
		"goaway": {&h2Server{advertise: 3, perConn: 3, over: "goaway PROTOCOL_ERROR"}, true, 0, []string{
			"h2/max-concurrent-streams found 3..3", `h2/served-streams found 3..3 target ... the one too many: the connection is told to go: GOAWAY PROTOCOL_ERROR, last stream 5, "too many"`, "h2/slot-release found 0..0",
		}},
		"goaway, and late release": {&h2Server{advertise: 3, perConn: 3, over: "goaway PROTOCOL_ERROR", release: 3 * time.Second}, true, 0, []string{
			"h2/max-concurrent-streams found 3..3", "h2/served-streams found 3..3", "h2/slot-release found 1..4 target",
		}},
		"the connection is closed": {&h2Server{advertise: 4, perConn: 4, over: "close"}, true, 0, []string{
			"h2/max-concurrent-streams found 4..4", "h2/served-streams found 4..4 target: all of 4 streams were served; each got what was published; the one too many: the connection is closed before an answer", "h2/slot-release found 0..0",
		}},
		"not answered": {&h2Server{advertise: 5, perConn: 5, over: "queue"}, true, 0, []string{
			"h2/max-concurrent-streams found 5..5", "h2/served-streams found 5..5 target ... the one too many: not answered within 2s", "h2/slot-release found 0..0",
		}},
		"served": {&h2Server{advertise: 5}, true, 0, []string{
			"h2/max-concurrent-streams found 5..5", "h2/served-streams none 6..-: all of 5 streams were served, and one more than SETTINGS allow; each got what was published", none,
		}},
		// Fewer than advertised.
		"workers": {&h2Server{advertise: 100, perConn: 16, over: "queue"}, true, 0, []string{
			"h2/max-concurrent-streams found 100..100", "h2/served-streams found 16..16 target: no more than 16 streams were served; each got what was published; the one too many: not answered within 2s", "h2/slot-release found 0..0",
		}},
		"answered 503": {&h2Server{advertise: 100, perConn: 16, over: "503"}, true, 0, []string{
			"h2/max-concurrent-streams found 100..100", "h2/served-streams found 16..16 target ... the one too many: answered 503", "h2/slot-release found 0..0",
		}},
		"ends in the middle": {&h2Server{advertise: 100, perConn: 16, over: "close"}, true, 0, []string{
			"h2/max-concurrent-streams found 100..100", "h2/served-streams found 16..16 target ... the one too many: the connection is closed before an answer", "h2/slot-release found 0..0",
		}},
		"is told to go in the middle": {&h2Server{advertise: 100, perConn: 16, over: "goaway ENHANCE_YOUR_CALM"}, true, 0, []string{
			"h2/max-concurrent-streams found 100..100", "h2/served-streams found 16..16 target: no more than 16 streams were served; the one too many: the connection is told to go: GOAWAY ENHANCE_YOUR_CALM", "h2/slot-release found 0..0",
		}},
		"was used up": {&h2Server{advertise: 100, perConn: 16, over: "goaway NO_ERROR"}, true, 0, []string{
			"h2/max-concurrent-streams found 100..100", "h2/served-streams none 16..-: 16 streams open at once when the connection was told to go, without a fault", none,
		}},
		"no events": {&h2Server{advertise: 20, reach: 16}, true, 0, []string{
			"h2/max-concurrent-streams found 20..20", "h2/served-streams found 16..16 target: 20 streams have a head, and 16 of them got what was published, as did one on another connection", none,
		}},
		// What is not the connection's.
		"over all connections": {&h2Server{advertise: 100, total: 16, over: "503"}, true, 0, []string{
			"h2/max-concurrent-streams found 100..100", "h2/served-streams none 16..-: no more than 16 streams were served; each got what was published; the one too many: answered 503; so was one on another connection", none,
		}},
		"over all, and hangs": {&h2Server{advertise: 100, total: 16, over: "drop"}, true, 0, []string{
			"h2/max-concurrent-streams found 100..100", "h2/served-streams none 16..-", none,
		}},
		"over all, and as many as advertised": {&h2Server{advertise: 16, total: 16, over: "503"}, true, 0, []string{
			"h2/max-concurrent-streams found 16..16", "h2/served-streams none 16..-: all of 16 streams were served; each got what was published; the one too many: answered 503; so was one", none,
		}},
		"the pace": {&h2Server{advertise: 10, perConn: 10, over: "REFUSED_STREAM", pace: 900 * time.Millisecond}, false, 0, []string{
			"h2/max-concurrent-streams found 10..10", "h2/served-streams none 10..-", none,
		}},
		"events in turns": {&h2Server{advertise: 4, perConn: 4, over: "REFUSED_STREAM", turns: true}, true, 0, []string{
			"h2/max-concurrent-streams found 4..4", "h2/served-streams found 4..4 target: all of 4 streams were served; what was published came on 1 of them", "h2/slot-release found 0..0",
		}},
		"no other connection": {&h2Server{advertise: 9, perConn: 4, over: "503", conns: 3}, false, 0, []string{
			"h2/max-concurrent-streams found 9..9", "h2/served-streams undecided -..-: no more than 4 streams were served ... another connection to compare with could not be made", none,
		}},
		"ends by itself": {&h2Server{advertise: 9, perConn: 9, over: "503", reach: 3, life: time.Second}, true, 0, []string{
			"h2/max-concurrent-streams found 9..9", "h2/served-streams none ... streams end by themselves", none,
		}},
		"one ends the other": {&h2Server{advertise: 9, single: true}, true, 0, []string{
			"h2/max-concurrent-streams found 9..9", "h2/served-streams none 1..-: 1 stream open at once; streams end by themselves, so that more could not be held", none,
		}},
		"gone at once": {&h2Server{advertise: 9, life: time.Millisecond}, true, 0, []string{
			"h2/max-concurrent-streams found 9..9", "h2/served-streams undecided -..-: streams end by themselves, sooner than they can be counted", none,
		}},
		// The place of a closed stream.
		"late": {&h2Server{advertise: 3, perConn: 3, over: "REFUSED_STREAM", release: 2 * time.Second}, true, 0, []string{
			"h2/max-concurrent-streams found 3..3", "h2/served-streams found 3..3", "h2/slot-release found 1.8",
		}},
		"late, and queued": {&h2Server{advertise: 3, perConn: 3, over: "queue", release: 3 * time.Second}, true, 0, []string{
			"h2/max-concurrent-streams found 3..3", "h2/served-streams found 3..3", "h2/slot-release found 2.8..3 target",
		}},
		"late, as long as one is waited for": {&h2Server{advertise: 3, perConn: 3, over: "queue", release: 2 * time.Second}, true, 0, []string{
			"h2/max-concurrent-streams found 3..3", "h2/served-streams found 3..3", "h2/slot-release found 1.8..2 target",
		}},
		"never": {&h2Server{advertise: 3, perConn: 3, over: "REFUSED_STREAM", release: -1}, true, 0, []string{
			"h2/max-concurrent-streams found 3..3", "h2/served-streams found 3..3", "h2/slot-release found 2 ... no stream was served within 2",
		}},
		// Heads that come with the first event.
		"held": {&h2Server{advertise: 6, perConn: 6, over: "REFUSED_STREAM", held: true}, true, 0, []string{
			"h2/max-concurrent-streams found 6..6", "h2/served-streams found 6..6 target: all of 6 streams were served; each got what was published", "h2/slot-release found 0..0.3",
		}},
		"held, and nothing published": {&h2Server{advertise: 6, perConn: 6, over: "REFUSED_STREAM", held: true}, false, 0, []string{
			"h2/max-concurrent-streams found 6..6", "h2/served-streams undecided -..- --publish: the head of a response comes with the first event only", none,
		}},
		"nothing may be published": {&h2Server{advertise: 6, perConn: 6, over: "REFUSED_STREAM", refuses: true}, true, 0, []string{
			"h2/max-concurrent-streams found 6..6", "h2/served-streams found 6..6 target ... whether each gets events was not tried: the publish hook fails", "h2/slot-release found 0..0",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := c.server
				var hook http.RoundTripper
				if c.publish {
					hook = server
				}
				found := search(t, &wire.Dialer{Proto: wire.H2C, NetDial: server.dial}, hook, Config{Probes: []string{"h2-streams"}, Streams: c.streams})
				hold(t, found.Limits, c.want...)
				time.Sleep(time.Minute) // what sleeps in the server wakes up and finds its connection closed
			})
		})
	}
}

// TestH2StreamsOfGo: net/http resets the one too many with PROTOCOL_ERROR, once its SETTINGS are acknowledged.
func TestH2StreamsOfGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &http.Server{Handler: http.HandlerFunc(stream), HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 120}, Protocols: new(http.Protocols)}
		server.Protocols.SetHTTP1(true)
		server.Protocols.SetUnencryptedHTTP2(true)
		d := &wire.Dialer{NetDial: serving(t, server).dial}
		hold(t, search(t, d, nil, Config{Probes: []string{"h2-streams"}}).Limits,
			"h2/max-concurrent-streams found 120..120 target", "h2/served-streams found 120..120 target: all of 120 streams were served ... reset with PROTOCOL_ERROR", "h2/slot-release found 0..0 target")
	})
}

// TestNoH2: what cannot be there is told from what was not asked for.
func TestNoH2(t *testing.T) {
	for _, proto := range []wire.Proto{wire.Auto, wire.HTTP11} {
		synctest.Test(t, func(t *testing.T) {
			d := &wire.Dialer{Proto: proto, NetDial: serving(t, &http.Server{Handler: http.HandlerFunc(stream)}).dial}
			want := " not-applicable -..-: the target speaks HTTP/1.1 only"
			if proto == wire.HTTP11 {
				want = " undecided -..- --http auto: HTTP/2 was not tried"
			}
			found := search(t, d, nil, Config{Probes: []string{"h2-streams"}}).Limits
			hold(t, found, "h2/max-concurrent-streams"+want, "h2/served-streams"+want, "h2/slot-release"+want)
		})
	}
}

// TestInterruptedSearch: what is known by then is said in the paragraph too.
func TestInterruptedSearch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &http.Server{Handler: http.HandlerFunc(stream), Protocols: new(http.Protocols)}
		server.Protocols.SetHTTP1(true)
		server.Protocols.SetUnencryptedHTTP2(true)
		u := &url.URL{Scheme: "http", Host: "target", Path: "/events"}
		d := &wire.Dialer{NetDial: serving(t, server).dial, HeadTimeout: 10 * time.Second}
		c := Config{Plan: plan.Plan{Targets: []plan.Target{{URL: u.String(), Request: &wire.Request{URL: u}, Dialer: d}}}, Probes: []string{"h1-hosts", "h2-streams"}, Budget: time.Hour, Streams: 100}
		ctx, interrupt := context.WithCancel(t.Context())
		s, err := New(ctx, c)
		if err != nil {
			t.Fatal(err)
		}
		found, err := s.Run(ctx, func(p Progress) {
			if p.Probe == "h2-streams" {
				interrupt()
			}
		})
		if err == nil || len(found.Expect) == 0 || found.Expect[0] != "A tab that opens a seventh stream over HTTP/1.1 will wait for ever." {
			t.Errorf("%q, %v", found.Expect, err)
		}
	})
}

// TestH2StreamsInterrupted: what is not known by then is not said.
func TestH2StreamsInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &h2Server{advertise: 100, perConn: 3, over: "queue"}
		found := search(t, &wire.Dialer{Proto: wire.H2C, NetDial: server.dial}, nil, Config{Probes: []string{"h2-streams"}, Budget: time.Second})
		hold(t, found.Limits, "h2/max-concurrent-streams found 100..100", "h2/served-streams none 3..-: 3 streams open at once; the search ended", "h2/slot-release undecided")
	})
}
