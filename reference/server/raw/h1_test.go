package raw

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httputil"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ssegauge/reference/server"
)

const get = "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"

func post(body string) string {
	return fmt.Sprintf("POST /publish HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// What a request gets: the status lines of the answers, and whether the connection ends.
func TestRequests(t *testing.T) {
	chunked := "POST /publish HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, c := range []struct {
		name, send string
		status     string // of all answers
		closed     bool
	}{
		{"one", get, "200", false},
		{"two at once", get + get, "200 200", false},
		{"an empty line before", "\r\n" + get, "200", false},
		{"three published at once", post(`{"data":"a"}`) + post(`{"data":"b"}`) + post(`{"data":"c"}`), "200 200 200", false},
		{"close", strings.Replace(get, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1) + get, "200", true},
		{"HTTP/1.0", "GET /healthz HTTP/1.0\r\n\r\n" + get, "200", true},
		{"a body that is not asked for", "GET /healthz HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello" + get, "200 200", false},
		{"absolute form", "GET http://h/healthz HTTP/1.1\r\nHost: h\r\n\r\n", "200", false},
		{"chunks", chunked + "1\r\n{\r\nb;ext=1\r\n\"data\":\"x\"}\r\n0\r\nTrailer: x\r\n\r\n" + get, "200 200", false},
		{"expects 100", strings.Replace(post(`{}`), "Host", "Expect: 100-continue\r\nHost", 1), "100 200", false},

		{"bare LF", "GET /healthz HTTP/1.1\nHost: h\n\n", "400", true},
		{"one bare LF", "GET /healthz HTTP/1.1\r\nHost: h\nX: y\r\n\r\n" + get, "400", true},
		{"CR in a line", "GET /healthz HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n", "400", true},
		{"a folded line", "GET /healthz HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n", "400", true},
		{"white space before the colon", "GET /healthz HTTP/1.1\r\nHost : h\r\n\r\n", "400", true},
		{"NUL in a value", "GET /healthz HTTP/1.1\r\nHost: h\r\nX: a\x00b\r\n\r\n", "400", true},
		{"no colon", "GET /healthz HTTP/1.1\r\nHost: h\r\nnonsense\r\n\r\n", "400", true},
		{"no Host", "GET /healthz HTTP/1.1\r\n\r\n", "400", true},
		{"two Hosts", "GET /healthz HTTP/1.1\r\nHost: h\r\nHost: g\r\n\r\n", "400", true},
		{"no version", "GET /healthz\r\nHost: h\r\n\r\n", "400", true},
		{"HTTP/3.0", "GET /healthz HTTP/3.0\r\nHost: h\r\n\r\n", "505", true},
		{"a space in the target", "GET /health z HTTP/1.1\r\nHost: h\r\n\r\n", "400", true},
		{"no path", "GET healthz HTTP/1.1\r\nHost: h\r\n\r\n", "400", true},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "400", true},
		{"almost the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSX\r\n\r\n", "505", true},
		{"Content-Length and chunks", "POST /publish HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + get, "400", true},
		{"two lengths", "POST /publish HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", "400", true},
		{"a list of lengths", "POST /publish HTTP/1.1\r\nHost: h\r\nContent-Length: 3, 3\r\n\r\nabc", "400", true},
		{"a length with a sign", "POST /publish HTTP/1.1\r\nHost: h\r\nContent-Length: +3\r\n\r\nabc", "400", true},
		{"an empty length", "POST /publish HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n", "400", true},
		{"a coding that is not known", "POST /publish HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "501", true},
		{"chunks in HTTP/1.0", "POST /publish HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400", true},
		{"a chunk of no size", chunked + "\r\n", "400", true},
		{"a chunk of a negative size", chunked + "-1\r\n", "400", true},
		{"a chunk of a huge size", chunked + "fffffffffffffffff\r\n", "400", true},
		{"a chunk that does not end", chunked + "1\r\n{}\r\n", "400", true},
		{"endless extensions", chunked + "1;" + strings.Repeat("x", maxHead), "400", true},
		{"an expectation", strings.Replace(get, "Host", "Expect: money\r\nHost", 1), "417", true},
		{"a head that is too large", "GET /healthz HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("x", maxHead) + "\r\n\r\n", "431", true},
		{"an endless head", "GET /healthz HTTP/1.1\r\n" + strings.Repeat("X: y\r\n", maxHead/6), "431", true},
		{"a body that is too large", "POST /publish HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 1048577\r\n\r\n", "413", true},
		{"chunks that are too large", chunked + "200000\r\n" + strings.Repeat("x", 1<<20+1), "413", true},
	} {
		cut := strings.SplitAfter(c.send, "")
		if len(cut) > 2000 {
			cut = []string{c.send[:1000], c.send[1000:]}
		}
		for how, parts := range map[string][]string{"whole": {c.send}, "byte by byte": cut} {
			t.Run(c.name+"/"+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := newWorld(t, server.Config{}).dial(false)
					p.send(parts...)
					text := p.text()
					var status []string
					for _, m := range regexp.MustCompile(`HTTP/1\.[01] (\d+) `).FindAllStringSubmatch(text, -1) {
						status = append(status, m[1])
					}
					if got := strings.Join(status, " "); got != c.status {
						t.Errorf("%s, want %s: %.200q", got, c.status, text)
					}
					if closed := p.ended(); closed != c.closed {
						t.Errorf("closed: %v", closed)
					}
				})
			})
		}
	}
}

// The engines answer alike, field by field.
func TestAnswersAreAlike(t *testing.T) {
	token := server.Config{PublishToken: "t0ken", Origins: []string{"http://a"}}
	for _, c := range []struct {
		cfg  server.Config
		send string
	}{
		{server.Config{}, "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"},
		{server.Config{}, "HEAD /healthz HTTP/1.1\r\nHost: h\r\n\r\n"},
		{server.Config{}, "GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n"},
		{server.Config{}, "GET /stats HTTP/1.1\r\nHost: h\r\n\r\n"},
		{server.Config{}, "HEAD /events HTTP/1.1\r\nHost: h\r\n\r\n"},
		{server.Config{}, "GET /events HTTP/1.1\r\nHost: h\r\nAccept: text/html\r\n\r\n"},
		{server.Config{}, "GET /events?channel=%00 HTTP/1.1\r\nHost: h\r\n\r\n"},
		{server.Config{}, "POST /events HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"},
		{server.Config{}, "OPTIONS /events HTTP/1.1\r\nHost: h\r\nOrigin: http://a\r\nAccess-Control-Request-Method: GET\r\n\r\n"},
		{server.Config{}, "OPTIONS /publish HTTP/1.1\r\nHost: h\r\n\r\n"},
		{server.Config{}, "GET /tick?interval=1us HTTP/1.1\r\nHost: h\r\n\r\n"},
		{server.Config{}, "GET /tick?count=2 HTTP/1.1\r\nHost: h\r\nLast-Event-ID: 2\r\n\r\n"},
		{server.Config{}, "GET /publish HTTP/1.1\r\nHost: h\r\n\r\n"},
		{server.Config{}, post(`{"data":"a","id":"1"}`)},
		{server.Config{}, post(`{"data":"a","id":"a\nb"}`)},
		{server.Config{}, post(`{"data":"a","color":"b"}`)},
		{server.Config{}, strings.Replace(post(`x`), "application/json", "text/csv", 1)},
		{server.Config{}, strings.Replace(post(`data=x&id=7`), "application/json", "application/x-www-form-urlencoded", 1)},
		{server.Config{MaxBody: 10}, post(`{"data":"abcdefgh"}`)},
		{server.Config{MaxStreams: 1}, "GET /events HTTP/1.1\r\nHost: h\r\nLast-Event-ID: nope\r\n\r\n"},
		{token, post(`{"data":"a"}`)},
		{token, strings.Replace(post(`{"data":"a","id":"1"}`), "Host", "Authorization: Bearer t0ken\r\nHost", 1)},
		{token, "GET /events HTTP/1.1\r\nHost: h\r\nOrigin: http://a\r\n\r\n"},
	} {
		answer := func(t *testing.T, serve serveFunc) (text string) {
			synctest.Test(t, func(t *testing.T) {
				p := newWorldOf(t, c.cfg, serve).dial(false)
				p.send(c.send)
				r, err := http.ReadResponse(bufio.NewReader(strings.NewReader(p.text())), &http.Request{Method: strings.Fields(c.send)[0]})
				if err != nil {
					t.Fatal(err)
				}
				if r.Header.Get("Date") == "" {
					t.Error("no Date")
				}
				streams := r.Header.Get("Content-Type") == "text/event-stream"
				dump, err := httputil.DumpResponse(r, !streams)
				if err != nil {
					t.Fatal(err)
				}
				text = string(dump)
				if streams && r.Body != http.NoBody {
					block := make([]byte, 60)
					n, _ := r.Body.Read(block)
					text += string(block[:n])
				}
			})
			return text
		}
		if raw, net := answer(t, Serve), answer(t, netEngine); raw != net {
			t.Errorf("%q\nraw: %q\nnet: %q", c.send, raw, net)
		}
	}
}

// Peers that do not come to an end: what they get, and when.
func TestSlowRequests(t *testing.T) {
	for _, c := range []struct {
		name, send, want string
		after            time.Duration
	}{
		{"nothing", "", "", headTimeout},
		{"half a head", "GET /healthz HTTP/1.1\r\nHost:", "HTTP/1.1 408 ", headTimeout},
		{"half the preface of HTTP/2", preface[:10], "HTTP/1.1 408 ", headTimeout},
		{"half a body", strings.TrimSuffix(post(`{"data":"x"}`), "}"), "HTTP/1.1 408 ", bodyTimeout},
		{"half a chunk", "POST /publish HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nx", "HTTP/1.1 408 ", bodyTimeout},
		{"no request more", get, "HTTP/1.1 200 ", idleTimeout},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newWorld(t, server.Config{}).dial(false)
				p.send(c.send)
				time.Sleep(c.after - time.Second)
				if p.ended() {
					t.Errorf("closed too early")
				}
				time.Sleep(2 * time.Second)
				if text := p.text(); !p.ended() || !strings.HasPrefix(text, c.want) || c.want == "" && text != "" {
					t.Errorf("closed: %v; %q", p.ended(), text)
				}
			})
		})
	}
}

func TestOldClientsGetNoChunks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, server.Config{})
		p, q := w.dial(false), w.dial(false)
		p.send("GET /events HTTP/1.0\r\n\r\n")
		q.send(post(`{"data":"x","id":"1"}`))
		if text := p.text(); !strings.HasSuffix(text, "\r\n\r\nretry: 3000\n\nid: 1\ndata: x\n\n") || strings.Contains(text, "chunked") {
			t.Errorf("%q", text)
		}
		w.stop()
		if !p.ended() {
			t.Error("not closed")
		}
	})
}

// A request behind a stream waits for its end; more than a head of them is refused.
func TestRequestsBehindAStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, server.Config{})
		p := w.dial(false)
		p.send("GET /tick?count=2&interval=1s HTTP/1.1\r\nHost: h\r\n\r\n" + get)
		if text := p.text(); strings.Contains(text, "ok\n") {
			t.Errorf("too early: %q", text)
		}
		time.Sleep(1100 * time.Millisecond)
		if text := p.text(); !strings.HasSuffix(text, "ok\n") {
			t.Errorf("%q", text)
		}
		p.send("GET /events HTTP/1.1\r\nHost: h\r\n\r\n", strings.Repeat(get, 4000))
		if !p.ended() {
			t.Error("the flood is taken")
		}
		if n := w.srv.Stats().Streams; n != 0 {
			t.Errorf("%d streams", n)
		}
	})
}

// A peer that asks and does not read: it is read no further, and cut.
func TestAnswersThatNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, server.Config{})
		p := w.dial(true)
		var sent atomic.Int64
		go func() {
			for {
				n, err := p.nc.Write([]byte(strings.Repeat("GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n", 100)))
				sent.Add(int64(n))
				if err != nil {
					return
				}
			}
		}()
		synctest.Wait()
		if n := sent.Load(); n > maxQueued+maxHead {
			t.Errorf("%d bytes of requests were read", n)
		}
		time.Sleep(server.DefaultWriteTimeout + time.Second)
		synctest.Wait()
		if n := w.srv.Stats().Connections; n != 0 {
			t.Errorf("%d connections", n)
		}
	})
}

// A peer that asks much and reads late gets every answer.
func TestAnswersThatAreReadLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newWorld(t, server.Config{}).dial(true)
		p.send(strings.Repeat("GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n", 1000))
		go p.read()
		if n := strings.Count(p.text(), "HTTP/1.1 200 OK"); n != 1000 {
			t.Errorf("%d answers", n)
		}
	})
}

// An idle connection, and a stream at rest, hold no buffer.
func TestAtRestNothingIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, server.Config{})
		for range 50 {
			w.dial(false).send("GET /events HTTP/1.1\r\nHost: h\r\n\r\n")
			w.dial(false).send(string(opening("h2c", "h", 10)))
		}
		p := w.dial(false)
		p.send(post(`{"data":"x"}`))
		synctest.Wait()
		for _, sh := range w.engine.shards {
			sh.mu.Lock()
			for _, c := range sh.conns {
				if c != nil && (c.in != nil || c.out != nil || c.req != nil) {
					t.Errorf("in %d, out %d, request %v", cap(c.in), cap(c.out), c.req)
				}
			}
			sh.mu.Unlock()
		}
		if st := w.srv.Stats(); st.Streams != 550 || st.Delivered != 550 {
			t.Errorf("%+v", st)
		}
	})
}
