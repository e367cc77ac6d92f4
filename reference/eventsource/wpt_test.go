package eventsource

import (
	"context"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ssegauge/reference/server"
)

// pipes is a listener in memory: what dial gives one end of, Accept gives the other.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error { l.once.Do(func() { close(l.done) }); return nil }

func (l *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

func (l *pipes) dial(context.Context, string, string) (net.Conn, error) {
	mine, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return mine, nil
	case <-l.done:
		return nil, io.ErrClosedPipe
	}
}

// wpt runs the client against one of the resources of web-platform-tests' eventsource directory, as the reference server
// answers them, for a time, and wants these steps.
func wpt(t *testing.T, resource string, query url.Values, during time.Duration, want ...string) {
	t.Helper()
	bubble(t, func(w *world) {
		s, err := server.New(server.Config{})
		if err != nil {
			w.t.Fatal(err)
		}
		l := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
		ctx, stop := context.WithCancel(w.t.Context())
		served := make(chan error, 1)
		go func() { served <- s.Serve(ctx, l, nil) }()
		w.client.Dialer.NetDial = l.dial
		w.client.Request.URL.Path, w.client.Request.URL.RawQuery = "/wpt/eventsource/resources/"+resource, query.Encode()
		w.run()
		time.Sleep(during)
		w.want(append([]string{"0s connecting"}, want...)...)
		w.close()
		stop()
		if err := <-served; err != nil {
			w.t.Errorf("the server: %v", err)
		}
		synctest.Wait()
	})
}

// The format tests: what message.py serves and what must fire. Each server ends the stream, so the client waits to reconnect.
func TestWPTFormat(t *testing.T) {
	long := strings.Repeat("x", 2<<10)
	type values = map[string]string
	for name, tc := range map[string]struct {
		query values
		want  []string // the data of the events, with the type in front where it is not "message"
	}{
		"format-bom":                 {values{"message": "\ufeffdata:1\n\n\ufeffdata:2\n\ndata:3"}, []string{`message "1"`, `message "3"`}},
		"format-bom-2":               {values{"message": "\ufeff\ufeffdata:1\n\ndata:2\n\ndata:3"}, []string{`message "2"`, `message "3"`}},
		"format-comments":            {values{"message": "data:1\r:\x00\n:\r\ndata:2\n:" + long + "\rdata:3\n:data:fail\r:" + long + "\ndata:4\n"}, []string{`message "1\n2\n3\n4"`}},
		"format-field-data":          {values{"message": "data:\n\ndata\ndata\n\ndata:test"}, []string{`message ""`, `message "\n"`, `message "test"`}},
		"format-field-event":         {values{"message": "event:test\ndata:x\n\ndata:x"}, []string{`test "x"`, `message "x"`}},
		"format-field-event-empty":   {values{"message": "event: \ndata:data"}, []string{`message "data"`}},
		"format-field-parsing":       {values{"message": "data:\x00\ndata:  2\rData:1\ndata\x00:2\ndata:1\r\x00data:4\nda-ta:3\rdata_5\ndata:3\rdata:\r\n data:32\ndata:4\n"}, []string{`message "\x00\n 2\n1\n3\n\n4"`}},
		"format-field-unknown":       {values{"message": "data:test\n data\ndata\nfoobar:xxx\njustsometext\n:thisisacommentyay\ndata:test"}, []string{`message "test\n\ntest"`}},
		"format-leading-space":       {values{"message": "data:\ttest\rdata: \ndata:test"}, []string{`message "\ttest\n\ntest"`}},
		"format-newlines":            {values{"message": "data:test\r\ndata\ndata:test\r\n\r", "newline": "none"}, []string{`message "test\n\ntest"`}},
		"format-null-character":      {values{"message": "data:\x00\n\n\n\n"}, []string{`message "\x00"`}},
		"format-utf-8":               {values{"message": "data:ok…", "mime": "text/event-stream;charset=windows-1252"}, []string{`message "ok…"`}},
		"format-mime-trailing":       {values{"mime": "text/event-stream;"}, []string{`message "data"`}},
		"format-field-id-null":       {values{"message": "id: \x00\ndata: x"}, []string{`message "x"`}},
		"format-field-retry-empty":   {values{"message": "retry\ndata:test"}, []string{`message "test"`}},
		"event-data, dead fields":    {values{"message": "falsefield:msg\n\nfalsefield:msg\nData:data\n\ndata\n\ndata:end"}, []string{`message ""`, `message "end"`}},
		"no event of an empty block": {values{"message": "event: x\n\n:\n"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			query := url.Values{}
			for k, v := range tc.query {
				query.Set(k, v)
			}
			steps := []string{"0s open"}
			for _, what := range tc.want {
				steps = append(steps, "0s "+what+` id=""`)
			}
			wpt(t, "message.py", query, time.Second, append(steps, "0s connecting: end, wait 3s")...)
		})
	}
}

func TestWPTReconnection(t *testing.T) {
	end := func(at, wait string) string { return at + " connecting: end, wait " + wait }
	for name, tc := range map[string]struct {
		resource, query string
		during          time.Duration
		want            []string
	}{
		"format-field-retry":       {"message.py", "message=retry:03000%0Adata:x", 4 * time.Second, []string{"0s open", `0s message "x" id=""`, end("0s", "3s"), "3s open", `3s message "x" id=""`, end("3s", "3s")}},
		"format-field-retry-bogus": {"message.py", "message=retry:5000%0Aretry:1000x%0Adata:x", time.Second, []string{"0s open", `0s message "x" id=""`, end("0s", "5s")}},
		"format-data-before-final-empty-line": {"message.py", "newline=none&message=retry:1000%0Adata:test1%0A%0Aid:test%0Adata:test2", 1500 * time.Millisecond, []string{
			"0s open", `0s message "test1" id=""`, end("0s", "1s"), "1s open", `1s message "test1" id=""`, end("1s", "1s"),
		}},
		// The id is sent, stays for a stream without one, and is sent again.
		"format-field-id": {"last-event-id.py", "", 500 * time.Millisecond, []string{
			"0s open", `0s message "hello" id="…"`, end("0s", "200ms"), "200ms open", `200ms message "…" id="…"`, end("200ms", "200ms"),
			"400ms open", `400ms message "…" id="…"`, end("400ms", "200ms"),
		}},
		"format-field-id-3 persists": {"last-event-id2.py", "type=1", time.Second, []string{"0s open", `0s message "1" id="1"`, `0s message "2" id="1"`, end("0s", "3s")}},
		"format-field-id-3 changes":  {"last-event-id2.py", "type=2", time.Second, []string{"0s open", `0s message "1" id="1"`, `0s message "2" id="2"`, `0s message "3" id="2"`, end("0s", "3s")}},
		"format-field-id-3 resets":   {"last-event-id2.py", "type=3", time.Second, []string{"0s open", `0s message "1" id="1"`, `0s message "2" id=""`, `0s message "3" id=""`, end("0s", "3s")}},
		"format-mime-bogus":          {"message.py", "mime=x%20bogus", time.Hour, []string{`0s closed: type "x bogus"`}},
		"format-mime-valid-bogus":    {"message.py", "mime=text/x-bogus", time.Hour, []string{`0s closed: type "text/x-bogus"`}},
		"request-accept":             {"accept.event_stream", "", time.Second, []string{"0s open", `0s message "text/event-stream" id=""`, end("0s", "3s")}},
		"request-redirect":           {"cors.py", "run=redirect&status=307&location=/wpt/message.py", time.Second, []string{"0s open", `0s message "data" id=""`, end("0s", "3s")}},
		"request-status-error 204":   {"status-error.py", "status=204", time.Hour, []string{"0s closed: status 204"}},
		"request-status-error 205":   {"status-error.py", "status=205", time.Hour, []string{"0s closed: status 205"}},
		"request-status-error 210":   {"status-error.py", "status=210", time.Hour, []string{"0s closed: status 210"}},
		"request-status-error 299":   {"status-error.py", "status=299", time.Hour, []string{"0s closed: status 299"}},
		"request-status-error 404":   {"status-error.py", "status=404", time.Hour, []string{"0s closed: status 404"}},
		"request-status-error 410":   {"status-error.py", "status=410", time.Hour, []string{"0s closed: status 410"}},
		"request-status-error 503":   {"status-error.py", "status=503", time.Hour, []string{"0s closed: status 503"}},
	} {
		t.Run(name, func(t *testing.T) {
			query, err := url.ParseQuery(tc.query)
			if err != nil {
				t.Fatal(err)
			}
			wpt(t, tc.resource, query, tc.during, tc.want...)
		})
	}
}
