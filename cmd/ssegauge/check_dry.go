package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"ssegauge/conformance"
	"ssegauge/reference/publish"
	"ssegauge/reference/server"
)

// rehearsalWindow bounds the window of a rehearsal: all that is published is published in it.
const rehearsalWindow = 10 * time.Second

// rehearse runs the checks against the built-in reference server instead of the target, and prints what they did. Nothing is dialled, published or run.
func (c *checkFlags) rehearse(ctx context.Context, a *app, targets []conformance.Target, checks []conformance.Check) error {
	if c.output.format != "text" && c.output.format != "ndjson" {
		return usagef("--dry-run prints text or ndjson, not %s", c.output.format)
	}
	for i := range targets {
		t := targets[i]
		stage, err := newStage(&t)
		if err != nil {
			return err
		}
		rec := conformance.NewRecording()
		_, err = runCheck(ctx, a, conformance.Run, t, checks, conformance.Options{Recording: rec}, c.output.quiet, "rehearsal, ")
		stage.close()
		if err != nil {
			return err
		}
		if i > 0 && c.output.format == "text" {
			fmt.Fprintln(a.stdout)
		}
		if err := c.program(a.stdout, &targets[i], rec.Deeds()); err != nil {
			return fmt.Errorf("stdout: %w", err)
		}
	}
	return context.Cause(ctx)
}

// stage is the reference server in the place of a target.
type stage struct {
	server *server.Server
	http   *http.Server
	target conformance.Target // as it was given
	ready  chan net.Conn
	gone   chan struct{}

	mu    sync.Mutex
	conns map[net.Conn]bool
}

// newStage puts the reference server in the place of t, and what t lends in its hands.
func newStage(t *conformance.Target) (*stage, error) {
	srv, err := server.New(server.Config{})
	if err != nil {
		return nil, err
	}
	s := &stage{server: srv, target: *t, ready: make(chan net.Conn), gone: make(chan struct{}), conns: map[net.Conn]bool{}}
	s.http = &http.Server{Handler: http.HandlerFunc(s.serve), Protocols: new(http.Protocols), ErrorLog: log.New(io.Discard, "", 0)}
	s.http.Protocols.SetHTTP1(true)
	s.http.Protocols.SetHTTP2(true)
	s.http.Protocols.SetUnencryptedHTTP2(true)
	go s.http.Serve(s) // until close
	t.Window = min(t.Window, rehearsalWindow)
	cert, err := server.SelfSigned("rehearsal.invalid")
	if err != nil {
		return nil, err
	}
	t.Dialer.TLS = &tls.Config{InsecureSkipVerify: true}
	t.Dialer.NetDial = func(context.Context, string, string) (net.Conn, error) { return s.dial(cert), nil }
	if t.Publisher != nil {
		t.Publisher = t.Publisher.Through(s.publish)
	}
	if t.Kill != nil {
		t.Kill = s.end
	}
	if t.Restart != nil {
		t.Restart = s.end
	}
	return s, nil
}

func (s *stage) close() {
	close(s.gone)
	s.http.Close()
	_ = s.end(context.Background())
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = s.server.Shutdown(ctx)
}

// dial connects without a network. Whether TLS is spoken shows in the first byte.
func (s *stage) dial(cert tls.Certificate) net.Conn {
	ours, theirs := net.Pipe()
	s.mu.Lock()
	s.conns[theirs] = true
	s.mu.Unlock()
	go func() {
		first := make([]byte, 1)
		if _, err := io.ReadFull(theirs, first); err != nil {
			theirs.Close()
			return
		}
		var c net.Conn = &begun{Conn: theirs, first: first}
		if first[0] == 0x16 { // a handshake record, RFC 8446 5.1
			c = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "http/1.1"}})
		}
		select {
		case s.ready <- c:
		case <-s.gone:
			theirs.Close()
		}
	}()
	return ours
}

// begun is a connection of which some bytes were read already.
type begun struct {
	net.Conn
	first []byte
}

func (b *begun) Read(p []byte) (int, error) {
	if len(b.first) > 0 {
		n := copy(p, b.first)
		b.first = b.first[n:]
		return n, nil
	}
	return b.Conn.Read(p)
}

// Accept, Close and Addr make it a listener.
func (s *stage) Accept() (net.Conn, error) {
	select {
	case c := <-s.ready:
		return c, nil
	case <-s.gone:
		return nil, net.ErrClosed
	}
}

func (s *stage) Close() error   { return nil }
func (s *stage) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// end ends all streams, as the operator's command would.
func (s *stage) end(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Close()
	}
	clear(s.conns)
	return nil
}

// serve plays every part: the target and its other channel, what refuses, the gauge.
func (s *stage) serve(w http.ResponseWriter, r *http.Request) {
	is := func(u *url.URL) bool { return u != nil && u.Path == r.URL.Path && u.RawQuery == r.URL.RawQuery }
	t := &s.target
	path := "/events?channel=rehearsal"
	if t.Publisher == nil {
		path = "/tick?interval=250ms" // something to see
	}
	switch {
	case is(t.Declared.ErrorURL):
		path = "/nothing-here"
	case is(t.Declared.OtherURL):
		path = "/events?channel=other"
	case t.Gauge != nil && is(t.Gauge.URL):
		s.gauge(w)
		return
	}
	r = r.Clone(r.Context())
	r.URL, _ = url.Parse(path) // one of the above
	if r.Method == t.Request.Method {
		r.Method, r.Body = http.MethodGet, http.NoBody
	}
	s.server.Handler().ServeHTTP(w, r)
}

// gauge tells how many streams there are where the flags say that it stands.
func (s *stage) gauge(w http.ResponseWriter) {
	n := s.server.Stats().Streams
	if g := s.target.Gauge; g.Metric != "" {
		fmt.Fprintf(w, "%s %d\n", g.Metric, n)
		return
	}
	var doc any = n
	steps := strings.Split(strings.TrimPrefix(s.target.Gauge.Pointer, "/"), "/")
	for _, step := range slices.Backward(steps) {
		doc = map[string]any{strings.NewReplacer("~1", "/", "~0", "~").Replace(step): doc}
	}
	_ = json.NewEncoder(w).Encode(doc) // to memory
}

// publish publishes on the stage, what the hook would carry.
func (s *stage) publish(ctx context.Context, m publish.Message, _ publish.Func) (publish.Receipt, error) {
	r := publish.Receipt{Sent: time.Now()}
	hook := s.target.Publisher
	fields := map[string]string{"data": m.Data}
	if !hook.Uses("Data") {
		fields["data"] = m.Marker
	}
	for name, value := range map[string]string{"Event": m.Event, "ID": m.ID, "Retry": m.Retry, "Comment": m.Comment} {
		if value != "" && hook.Uses(name) {
			fields[strings.ToLower(name)] = value
		}
	}
	body, err := json.Marshal(fields)
	if err != nil {
		return r, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "/publish?channel=rehearsal", bytes.NewReader(body))
	if err != nil {
		return r, err
	}
	req.Header.Set("Content-Type", "application/json")
	answer := &status{header: http.Header{}}
	s.server.Handler().ServeHTTP(answer, req)
	r.Status, r.Done = cmp.Or(answer.code, http.StatusOK), time.Now()
	r.Refused = r.Status/100 != 2
	return r, nil
}

// status is an answer of which only the status counts.
type status struct {
	header http.Header
	code   int
}

func (s *status) Header() http.Header         { return s.header }
func (s *status) Write(p []byte) (int, error) { return len(p), nil }
func (s *status) WriteHeader(code int)        { s.code = cmp.Or(s.code, code) }
