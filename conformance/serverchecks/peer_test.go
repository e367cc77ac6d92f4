package serverchecks_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ssegauge/conformance"
	"ssegauge/conformance/serverchecks"
	"ssegauge/reference/publish"
	"ssegauge/reference/sse"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// peer is a small server of raw bytes on in-memory connections, every part of it a field that a test can break. It is a stream with ids and history, an
// event every second and what is published, as chunked HTTP/1.1.
type peer struct {
	head      func(q *request) string                  // the head for GET
	open      func(q *request) string                  // content right after the head
	encode    func(id int, data string) string         // one event
	tick      time.Duration                            // an event by itself; 0: never
	ticks     int                                      // then the stream ends; 0: never
	last      string                                   // content before the end
	frame     func(content string) string              // transfer coding; nil: chunked
	end       string                                   // bytes at the end, "" with frame nil: the last chunk
	heartbeat time.Duration                            // comment
	replay    func(q *request, from int) int           // where the replay for Last-Event-ID starts, given the index after it
	refuse    func(data string) int                    // status for a publish
	drop      func(data string) bool                   // accepted and never sent
	answer    func(p *peer, q *request) bool           // true: it took the request over
	headFor   func(p *peer, q *request) (string, bool) // the answer to HEAD; false: silence
	hold      time.Duration                            // before the head
	restart   bool                                     // ids count from 1 on each connection, the content with them
	life      time.Duration                            // then the stream ends; 0: never
	first     bool                                     // with life or reset: only the first stream
	count     func(q *request) int                     // with restart: where the ids begin
	one       bool                                     // one connection at a time is served
	linger    func(q *request) time.Duration           // with one: how late it finds out that a client left
	modern    bool                                     // HTTP/1.0 is answered as HTTP/1.1 is
	zip       func(s string) string                    // compresses for whoever does not ask for identity; nil: nobody
	frameFor  func(q *request) func(string) string     // frame for one stream; nil, or what it gives is: as for all
	backwards bool                                     // what is replayed comes in reverse order
	greedy    bool                                     // every connection but the first gets a replay
	polls     time.Duration                            // it looks for new events only so often, also before a replay; 0: at once
	slow      time.Duration                            // before each event that is replayed
	own       func(q *request, block string) string    // the form of an event on one connection
	hears     func(q *request, id int) bool            // whether a subscriber gets an event; nil: each gets all
	late      time.Duration                            // each event leaves this much later
	gather    int                                      // bytes that a buffer holds back until it is full
	oneLate   bool                                     // each piece of content leaves when the next one is there
	beat      string                                   // the heartbeat
	shared    bool                                     // nobody writes while another writes
	queue     int                                      // events that wait for a client that let a write wait; of more, overflow decides; 0: any
	overflow  func(q *request, left int) string        // what stands in the place of what is left out; "end": the stream ends
	seats     int                                      // streams at once, 503 beyond
	leaky     func(n int) bool                         // whether the nth stream is counted after its client left
	deaf      time.Duration                            // a stream of this age says nothing more
	reset     time.Duration                            // a stream of this age is cut
	listening func() bool                              // whether new connections are taken; nil: always

	cert   *tls.Certificate // it speaks TLS
	hops   int              // redirects on the way to the first answer
	method string           // the one that gets the stream besides GET

	typed func(typ, block string) string // an event of that type, given its block without one

	mu      sync.Mutex
	types   map[string]string // type of what was published with one, by its data
	log     []string          // data of the channel's events; id is the index + 1
	subs    map[chan struct{}]bool
	turn    chan struct{}
	inLine  chan struct{}
	down    chan struct{} // closed when the streams are to end; last is written then
	accepts int
	counted int            // streams, as the peer counts them
	sent    map[int][]byte // by connection
}

type request struct {
	*http.Request
	conn net.Conn
	n    int // the connection's number, from 1
	p    *peer
	slow bool // its client let a write wait
}

func (q *request) write(s string) bool {
	if s == "" {
		return true
	}
	defer func(began time.Time) { q.slow = q.slow || time.Since(began) > 300*time.Millisecond }(time.Now())
	q.p.mu.Lock()
	q.p.sent[q.n] = append(q.p.sent[q.n], s...)
	q.p.mu.Unlock()
	_, err := io.WriteString(q.conn, s)
	return err == nil
}

const okHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n"

func clean() *peer {
	return &peer{
		head:   func(*request) string { return okHead },
		open:   func(*request) string { return "retry: 2000\n\n" },
		encode: func(id int, data string) string { return encode(id, data) },
		tick:   time.Second,
		replay: func(_ *request, from int) int { return from },
		headFor: func(*peer, *request) (string, bool) {
			return "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\r\n", true
		},
		heartbeat: 15 * time.Second,
		beat:      ": beat\n\n",
		typed:     func(typ, block string) string { return "event: " + typ + "\n" + block },
		types:     map[string]string{},
		subs:      map[chan struct{}]bool{},
		sent:      map[int][]byte{},
	}
}

func encode(id int, data string) string {
	b, err := sse.AppendMessage(nil, &sse.Message{ID: fmt.Sprint(id), Data: data})
	if err != nil {
		panic(err)
	}
	return string(b)
}

func chunk(s string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(s), s) }

// unchunk takes one layer of chunks off.
func unchunk(s string) string {
	b, err := io.ReadAll(httputil.NewChunkedReader(strings.NewReader(s + "0\r\n\r\n")))
	if err != nil {
		return s // it was none
	}
	return string(b)
}

func (p *peer) dial(context.Context, string, string) (net.Conn, error) {
	if p.listening != nil && !p.listening() {
		return nil, errors.New("connection refused")
	}
	ours, theirs := net.Pipe()
	p.mu.Lock()
	p.accepts++
	n := p.accepts
	p.mu.Unlock()
	if p.cert != nil {
		theirs = brusque{tls.Server(theirs, &tls.Config{Certificates: []tls.Certificate{*p.cert}}), theirs}
	}
	go p.serve(theirs, n)
	return ours, nil
}

// brusque closes without a TLS close_notify, as python's servers do.
type brusque struct {
	net.Conn
	under net.Conn
}

func (c brusque) Close() error { return c.under.Close() }

func (p *peer) serve(c net.Conn, n int) {
	defer c.Close()
	if p.one {
		p.turn <- struct{}{}
		defer func() { <-p.turn }()
	}
	br := bufio.NewReader(c)
	for {
		r, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		q := &request{Request: r, conn: c, n: n, p: p}
		switch {
		case p.answer != nil && p.answer(p, q):
			return
		case r.URL.Path == "/stats":
			p.mu.Lock()
			body := fmt.Sprintf(`{"open":%d}`, p.counted)
			p.mu.Unlock()
			q.write(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(body), body))
			return
		case r.Method == "HEAD":
			head, ok := p.headFor(p, q)
			if !ok {
				io.Copy(io.Discard, br)
				return
			}
			if !q.write(head) {
				return
			}
		case r.Method == "OPTIONS":
			if !q.write("HTTP/1.1 204 No Content\r\nAllow: GET, HEAD, OPTIONS\r\n\r\n") {
				return
			}
		case r.Method != "GET" && p.method != r.Method:
			q.write("HTTP/1.1 405 Method Not Allowed\r\nAllow: GET, HEAD, OPTIONS\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			return
		default:
			// net.Pipe tells of a client that left only when it is read.
			gone := make(chan struct{})
			go func() { defer close(gone); io.Copy(io.Discard, br) }()
			p.stream(q, gone)
			return
		}
	}
}

func (p *peer) stream(q *request, gone chan struct{}) {
	p.mu.Lock()
	base, next := 0, len(p.log)
	if p.restart {
		if base = next; p.count != nil {
			base -= p.count(q)
		}
	} else if id := q.Header.Get("Last-Event-ID"); id != "" || p.greedy && q.n > 1 {
		from := 0
		fmt.Sscan(id, &from)
		next = min(max(p.replay(q, from), 0), len(p.log))
	}
	news := make(chan struct{}, 1)
	if p.seats > 0 && len(p.subs) >= p.seats {
		p.mu.Unlock()
		q.write("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
		return
	}
	p.subs[news] = true
	p.counted++
	down := p.down
	p.mu.Unlock()
	opened := time.Now()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if delete(p.subs, news); p.leaky == nil || !p.leaky(q.n) {
			p.counted--
		}
	}()

	if p.hold > 0 {
		time.Sleep(p.hold)
	}
	frame := p.frame
	if frame == nil {
		frame = chunk
	}
	if n := p.gather; n > 0 {
		plain, held := frame, ""
		frame = func(content string) string {
			if held += content; len(held) < n {
				return ""
			}
			content, held = held, ""
			return plain(content)
		}
	}
	if p.oneLate {
		plain, held := frame, ""
		frame = func(content string) string {
			content, held = held, content
			if content == "" {
				return ""
			}
			return plain(content)
		}
	}
	head := p.head(q)
	if p.zip != nil && q.Header.Get("Accept-Encoding") != "identity" {
		head = strings.Replace(head, "\r\n\r\n", "\r\nContent-Encoding: gzip\r\n\r\n", 1)
		framed := frame
		frame = func(s string) string { return framed(p.zip(s)) }
	}
	if p.frameFor != nil {
		if f := p.frameFor(q); f != nil {
			frame = f
		}
	}
	if before, after, ok := strings.Cut(head, "Transfer-Encoding: chunked\r\n"); ok && q.ProtoMinor == 0 && !p.modern {
		head = before + after
		framed := frame
		frame = func(s string) string { return unchunk(framed(s)) }
	}
	// The head goes out by itself, the content after it.
	if !q.write(head) {
		return
	}
	if p.linger != nil {
		defer func() { time.Sleep(p.linger(q)) }()
	}
	if s := p.open(q); s != "" && !q.write(frame(s)) {
		return
	}
	var tick, beat <-chan time.Time
	if p.tick > 0 {
		t := time.NewTicker(p.tick)
		defer t.Stop()
		tick = t.C
	}
	if p.heartbeat > 0 {
		t := time.NewTicker(p.heartbeat)
		defer t.Stop()
		beat = t.C
	}
	var dead <-chan time.Time
	if p.life > 0 && (!p.first || q.n == 1) {
		dead = time.After(p.life)
	}
	var cut <-chan time.Time
	if p.reset > 0 && (!p.first || q.n == 1) {
		cut = time.After(p.reset)
	}
	for sent := 0; ; {
		for wait := time.After(p.polls); p.polls > 0 && wait != nil; {
			select {
			case <-gone:
				return
			case <-tick:
				p.append(fmt.Sprint("tick ", next))
			case <-wait:
				wait = nil
			}
		}
		p.mu.Lock()
		fresh := slices.Clone(p.log[next:])
		p.mu.Unlock()
		if p.queue > 0 && q.slow && len(fresh) > p.queue {
			left := len(fresh) - p.queue
			word := p.overflow(q, left)
			if word == "end" {
				q.write("0\r\n\r\n")
				return
			}
			if word != "" && !q.write(frame(word)) {
				return
			}
			next, fresh, q.slow = next+left, fresh[left:], false
		}
		if p.backwards && len(fresh) > 1 {
			for i := len(fresh) - 1; i >= 0; i-- {
				if !q.write(frame(p.block(next+i+1, fresh[i]))) {
					return
				}
			}
			next += len(fresh)
			continue
		}
		for _, data := range fresh {
			next++
			if p.restart && strings.HasPrefix(data, "tick ") {
				data = fmt.Sprint("tick ", next-base) // the content counts with the connection
			}
			block := p.block(next-base, data)
			if p.own != nil {
				block = p.own(q, block)
			}
			if len(fresh) > 1 {
				time.Sleep(p.slow)
			}
			if p.hears != nil && !p.hears(q, next) || p.deaf > 0 && time.Since(opened) > p.deaf {
				continue
			}
			if p.late > 0 {
				time.Sleep(p.late)
			}
			if p.shared {
				p.inLine <- struct{}{}
			}
			ok := q.write(frame(block))
			if p.shared {
				<-p.inLine
			}
			if !ok {
				return
			}
			if sent++; p.ticks > 0 && sent >= p.ticks {
				if p.last != "" && !q.write(frame(p.last)) {
					return
				}
				if p.end != "" || p.frame != nil {
					q.write(p.end)
				} else {
					q.write("0\r\n\r\n")
				}
				return
			}
		}
		select {
		case <-gone:
			return
		case <-dead:
			q.write("0\r\n\r\n")
			return
		case <-cut:
			return
		case <-down:
			if p.last != "" {
				q.write(frame(p.last))
			}
			q.write("0\r\n\r\n")
			return
		case <-news:
		case <-tick:
			p.append(fmt.Sprint("tick ", next))
		case <-beat:
			if p.deaf > 0 && time.Since(opened) > p.deaf {
				continue
			}
			if !q.write(frame(p.beat)) {
				return
			}
		}
	}
}

// block is the event as it stands on the wire.
func (p *peer) block(id int, data string) string {
	p.mu.Lock()
	typ := p.types[data]
	p.mu.Unlock()
	block := p.encode(id, data)
	if typ != "" {
		block = p.typed(typ, block)
	}
	return block
}

func (p *peer) append(data string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log = append(p.log, data)
	for s := range p.subs {
		select {
		case s <- struct{}{}:
		default:
		}
	}
}

// RoundTrip publishes: the body is the data, the query says the type.
func (p *peer) RoundTrip(r *http.Request) (*http.Response, error) {
	b, err := io.ReadAll(r.Body)
	status := 200
	if p.refuse != nil {
		if s := p.refuse(string(b)); s != 0 {
			status = s
		}
	}
	if status == 200 && (p.drop == nil || !p.drop(string(b))) {
		if typ := r.URL.Query().Get("event"); typ != "" && !strings.ContainsAny(typ, "\r\n") {
			p.mu.Lock()
			p.types[string(b)] = typ
			p.mu.Unlock()
		}
		p.append(string(b))
	}
	return &http.Response{StatusCode: status, Body: http.NoBody, Request: r}, err
}

// run checks the peer in a bubble of its own: minutes of protocol in milliseconds.
func run(t *testing.T, p *peer, change func(*conformance.Target)) map[string]result.Finding {
	t.Helper()
	return runChecks(t, p, change, serverchecks.All())
}

func runChecks(t *testing.T, p *peer, change func(*conformance.Target), checks []conformance.Check) map[string]result.Finding {
	t.Helper()
	found := map[string]result.Finding{}
	bubble(t, p, change, checks, found)
	return found
}

// runOnly is run with these checks alone, which is quick.
func runOnly(t *testing.T, p *peer, change func(*conformance.Target), ids ...string) map[string]result.Finding {
	t.Helper()
	var checks []conformance.Check
	for _, id := range ids {
		c, ok := lookup(id)
		if !ok {
			t.Fatalf("there is no check %s", id)
		}
		checks = append(checks, c)
	}
	found := map[string]result.Finding{}
	bubble(t, p, change, checks, found)
	return found
}

func bubble(t *testing.T, p *peer, change func(*conformance.Target), checks []conformance.Check, found map[string]result.Finding) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p.inLine, p.down = make(chan struct{}, 1), make(chan struct{})
		p.turn = make(chan struct{}, 1) // one of the bubble's own: who waits for it lets time pass
		r, err := conformance.Run(t.Context(), target(t, p, change), checks, conformance.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range r.Results {
			found[f.ID] = f
		}
		time.Sleep(5 * time.Minute) // until the last stream found out that its client left
	})
}

func target(t *testing.T, p *peer, change func(*conformance.Target)) conformance.Target {
	t.Helper()
	u, _ := url.Parse("http://peer.example/events")
	pub, err := publish.Compile(publish.Hook{HTTP: "POST http://peer.example/publish?event={{urlquery .Event}}", Body: "{{.Data}}", Transport: p})
	if err != nil {
		t.Fatal(err)
	}
	tg := conformance.Target{
		Request:   wire.Request{URL: u, Header: wire.Header{{Name: "Accept", Value: "text/event-stream"}}},
		Dialer:    wire.Dialer{NetDial: p.dial},
		Publisher: pub,
	}
	if change != nil {
		change(&tg)
	}
	return tg
}

// show prints findings for a failing test.
func show(f result.Finding) string {
	s := fmt.Sprintf("%s %s: %s", f.ID, f.Verdict, f.Message)
	for _, e := range f.Evidence {
		s += fmt.Sprintf("\n    %s @%d+%d %.3fms %s [%s]", e.Connection, e.Offset, e.Length, e.TimeMS, e.Text, e.Hex)
	}
	return s
}
