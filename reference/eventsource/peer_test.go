package eventsource

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"ssegauge/reference/sse"
	"ssegauge/reference/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bubble runs f in a bubble of its own, where minutes of protocol take no time.
func bubble(t *testing.T, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, knocks: make(chan *knock), start: time.Now()}
		w.client = Client{
			Dialer:  &wire.Dialer{NetDial: w.dial},
			Request: &wire.Request{URL: &url.URL{Scheme: "http", Host: "es.test", Path: "/events"}},
		}
		f(w)
		w.close()
	})
}

// world is a client under test and the only server it can reach. The test plays the server.
type world struct {
	t      *testing.T
	client Client
	start  time.Time
	knocks chan *knock
	lines  bool // log what Handler.Line is told as well
	log    []string
	cancel context.CancelFunc
	done   chan error
	onOpen func(*wire.Stream)
	onData func(data string)
}

// knock is an attempt to connect that waits for the server's word.
type knock struct {
	conn    net.Conn // the server's end
	verdict chan error
}

func (w *world) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	mine, theirs := net.Pipe()
	k := &knock{conn: theirs, verdict: make(chan error, 1)}
	select {
	case w.knocks <- k:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case err := <-k.verdict:
		return mine, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// knocked waits for the next attempt to connect; nil where none comes in time.
func (w *world) knocked(within time.Duration) *knock {
	select {
	case k := <-w.knocks:
		return k
	case <-time.After(within):
		return nil
	}
}

const forever = 10000 * time.Hour

// refuse waits for the next connection and refuses it. It returns when that was.
func (w *world) refuse() time.Duration {
	w.t.Helper()
	k := w.knocked(forever)
	if k == nil {
		w.t.Fatalf("no connection came; happened:\n%s", strings.Join(w.log, "\n"))
	}
	k.verdict <- &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	return time.Since(w.start)
}

// run starts the client.
func (w *world) run() {
	var ctx context.Context
	ctx, w.cancel = context.WithCancel(w.t.Context())
	w.done = make(chan error, 1)
	h := Handler{State: w.state, Event: func(ev *sse.Event, _ time.Time) {
		w.say("%s %q id=%q", ev.Name(), sse.Text(ev.Data), sse.Text(ev.ID))
		if w.onData != nil {
			w.onData(sse.Text(ev.Data))
		}
	}}
	if w.lines {
		h.Line = func(l *sse.Line) { w.say("line %d %q", l.Kind, l.Value) }
	}
	go func() { w.done <- w.client.Run(ctx, h) }()
}

func (w *world) say(format string, args ...any) {
	w.log = append(w.log, fmt.Sprintf("%v ", time.Since(w.start))+fmt.Sprintf(format, args...))
}

func (w *world) state(c Change) {
	switch {
	case c.State == Connecting && c.Err != nil:
		w.say("connecting: %s, wait %v", cause(c.Err), c.Wait)
	case c.State == Closed:
		w.say("closed: %s", cause(c.Err))
	default:
		w.say("%s", c.State)
	}
	if c.State == Open && w.onOpen != nil {
		w.onOpen(c.Stream)
	}
}

// cause shortens an error to what a rule depends on.
func cause(err error) string {
	var response *ResponseError
	var large *sse.TooLongError
	var w *wire.Error
	switch {
	case errors.As(err, &response) && response.Status != 200:
		return fmt.Sprint("status ", response.Status)
	case errors.As(err, &response):
		return fmt.Sprintf("type %q", response.ContentType)
	case errors.As(err, &large):
		return "event too long"
	case err == io.EOF:
		return "end"
	case errors.As(err, &w):
		return "network error in " + string(w.Phase)
	}
	return err.Error()
}

// want compares what happened since the last want, once everyone waits for something.
func (w *world) want(lines ...string) {
	w.t.Helper()
	synctest.Wait()
	got, want := strings.Join(w.log, "\n"), strings.Join(lines, "\n")
	if got != want {
		w.t.Fatalf("happened:\n%s\nwanted:\n%s", got, want)
	}
	w.log = nil
}

func (w *world) forget() {
	synctest.Wait()
	w.log = nil
}

// accept waits for the next connection, however long the client puts it off, and reads its request.
func (w *world) accept() *session {
	w.t.Helper()
	k := w.knocked(forever)
	if k == nil {
		w.t.Fatalf("no connection came; happened:\n%s", strings.Join(w.log, "\n"))
	}
	k.verdict <- nil
	s := &session{w: w, Conn: k.conn, at: time.Since(w.start)}
	var err error
	if s.req, err = http.ReadRequest(bufio.NewReader(k.conn)); err != nil {
		w.t.Fatalf("reading the request: %v", err)
	}
	if s.body, err = io.ReadAll(s.req.Body); err != nil {
		w.t.Fatalf("reading the request's body: %v", err)
	}
	return s
}

// quiet wants no connection for a virtual hour.
func (w *world) quiet() {
	w.t.Helper()
	if k := w.knocked(time.Hour); k != nil {
		k.verdict <- syscall.ECONNREFUSED
		w.t.Fatalf("the client asked again after %v", time.Since(w.start))
	}
}

// close ends the client as close() does, and waits for it.
func (w *world) close() {
	if w.cancel == nil {
		return
	}
	w.cancel()
	<-w.done
	w.cancel = nil
}

// session is one connection, seen from the server.
type session struct {
	net.Conn
	w    *world
	at   time.Duration
	req  *http.Request
	body []byte
}

// ok answers with an event stream.
func (s *session) ok() *session {
	s.w.t.Helper()
	return s.head("HTTP/1.1 200 OK", "Content-Type: text/event-stream", "Connection: close")
}

func (s *session) head(lines ...string) *session {
	s.w.t.Helper()
	s.send(strings.Join(lines, "\r\n") + "\r\n\r\n")
	return s
}

func (s *session) send(bytes string) *session {
	s.w.t.Helper()
	if _, err := io.WriteString(s.Conn, bytes); err != nil {
		s.w.t.Fatalf("sending %.60q: %v", bytes, err)
	}
	return s
}

// end closes the connection, which ends a body without a declared length properly.
func (s *session) end() { s.Conn.Close() }

// serve is one whole answer: an event stream of these bytes, then its end.
func (w *world) serve(bytes string) *session {
	w.t.Helper()
	s := w.accept().ok()
	if bytes != "" {
		s.send(bytes)
	}
	s.end()
	return s
}

// wantID wants the request to carry exactly this Last-Event-ID, and none at all for "".
func (s *session) wantID(id string) *session {
	s.w.t.Helper()
	got, there := s.req.Header["Last-Event-Id"]
	if there != (id != "") || there && (len(got) != 1 || got[0] != id) {
		s.w.t.Fatalf("Last-Event-ID of the request: %q, wanted %q", got, id)
	}
	return s
}

// wantAt wants the connection to have come at this time exactly.
func (s *session) wantAt(at time.Duration) *session {
	s.w.t.Helper()
	if s.at != at {
		s.w.t.Fatalf("the client connected at %v, wanted %v", s.at, at)
	}
	return s
}

// wantClosed wants the client to close the connection.
func (s *session) wantClosed() {
	s.w.t.Helper()
	s.SetReadDeadline(time.Now().Add(time.Second))
	if n, err := s.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		s.w.t.Fatalf("the client did not close the connection: %d, %v", n, err)
	}
}
