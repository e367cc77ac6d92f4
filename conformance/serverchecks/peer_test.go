package serverchecks_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
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
	first     bool                                     // with life: only the first stream
	count     func(q *request) int                     // with restart: where the ids begin
	one       bool                                     // one connection at a time is served
	linger    func(q *request) time.Duration           // with one: how late it finds out that a client left
	backwards bool                                     // what is replayed comes in reverse order
	greedy    bool                                     // every connection but the first gets a replay
	slow      time.Duration                            // before each event that is replayed
	own       func(q *request, block string) string    // the form of an event on one connection

	typed func(typ, block string) string // an event of that type, given its block without one

	mu      sync.Mutex
	types   map[string]string // type of what was published with one, by its data
	log     []string          // data of the channel's events; id is the index + 1
	subs    map[chan struct{}]bool
	turn    chan struct{}
	accepts int
	sent    map[int][]byte // by connection
}

type request struct {
	*http.Request
	conn net.Conn
	n    int // the connection's number, from 1
	p    *peer
}

func (q *request) write(s string) bool {
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

func (p *peer) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	p.mu.Lock()
	p.accepts++
	n := p.accepts
	p.mu.Unlock()
	go p.serve(theirs, n)
	return ours, nil
}

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
		q := &request{r, c, n, p}
		switch {
		case p.answer != nil && p.answer(p, q):
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
	p.subs[news] = true
	p.mu.Unlock()
	defer func() { p.mu.Lock(); delete(p.subs, news); p.mu.Unlock() }()

	if p.hold > 0 {
		time.Sleep(p.hold)
	}
	frame := p.frame
	if frame == nil {
		frame = chunk
	}
	// The head goes out by itself, the content after it.
	if !q.write(p.head(q)) {
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
	for sent := 0; ; {
		p.mu.Lock()
		fresh := slices.Clone(p.log[next:])
		p.mu.Unlock()
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
			if !q.write(frame(block)) {
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
		case <-news:
		case <-tick:
			p.append(fmt.Sprint("tick ", next))
		case <-beat:
			if !q.write(frame(": beat\n\n")) {
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
	found := map[string]result.Finding{}
	synctest.Test(t, func(t *testing.T) {
		p.turn = make(chan struct{}, 1) // one of the bubble's own: who waits for it lets time pass
		r, err := conformance.Run(t.Context(), target(t, p, change), serverchecks.All(), conformance.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range r.Results {
			found[f.ID] = f
		}
		time.Sleep(p.hold + p.slow) // a request that was left may still be held
		if p.linger != nil {
			time.Sleep(5 * time.Minute) // until the last one found out
		}
	})
	return found
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
