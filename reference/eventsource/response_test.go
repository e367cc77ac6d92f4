package eventsource

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ssegauge/reference/wire"
)

// Every status but 200 is final, whatever the type (WPT request-status-error, and those it leaves out).
func TestStatusFatal(t *testing.T) {
	for _, status := range []int{201, 204, 205, 210, 299, 300, 304, 400, 401, 404, 410, 429, 500, 502, 503, 504} {
		bubble(t, func(w *world) {
			w.run()
			s := w.accept().head(fmt.Sprintf("HTTP/1.1 %d Whatever", status), "Content-Type: text/event-stream", "Retry-After: 1")
			s.wantClosed()
			w.want("0s connecting", fmt.Sprintf("0s closed: status %d", status))
			w.quiet()
		})
	}
}

// 204 after the stream was open stops the reconnecting (WPT eventsource-close, reconnect-fail.py).
func TestStopAfterOpen(t *testing.T) {
	bubble(t, func(w *world) {
		w.run()
		w.serve("retry: 2\ndata: opened\n\n")
		w.serve("data: reconnected\n\n")
		w.accept().head("HTTP/1.1 204 No Content")
		w.want("0s connecting", "0s open", `0s message "opened" id=""`, "0s connecting: end, wait 2ms",
			"2ms open", `2ms message "reconnected" id=""`, "2ms connecting: end, wait 2ms", "4ms closed: status 204")
		w.quiet()
	})
}

func TestContentType(t *testing.T) {
	for _, tc := range []struct {
		fields []string
		ok     bool
	}{
		{[]string{"text/event-stream"}, true},
		{[]string{"text/event-stream;"}, true}, // WPT format-mime-trailing-semicolon
		{[]string{"text/event-stream; charset=utf-8"}, true},
		{[]string{"text/event-stream;charset=windows-1252"}, true}, // WPT format-utf-8: the parameter is ignored
		{[]string{"TEXT/Event-Stream"}, true},
		{[]string{"text/event-stream ; x"}, true},
		{[]string{"text/html, text/event-stream"}, true}, // fetch: the last MIME type of the list
		{[]string{"text/html", "text/event-stream"}, true},
		{[]string{`text/event-stream; x="a,text/html"`}, true},
		{[]string{`text/event-stream; x="\"a,text/html;b"`}, true},
		{[]string{"text/event-stream, */*"}, true},
		{[]string{"text/event-stream, x bogus"}, true},
		{[]string{"text/event-stream", "text/html"}, false},
		{[]string{"text/x-bogus"}, false}, // WPT format-mime-valid-bogus
		{[]string{"x bogus"}, false},      // WPT format-mime-bogus
		{[]string{"text/event-stream x"}, false},
		{[]string{"text/event-streams"}, false},
		{[]string{"text/html"}, false},
		{[]string{"text/plain; x=text/event-stream"}, false},
		{[]string{""}, false},
		{nil, false},
	} {
		bubble(t, func(w *world) {
			w.run()
			lines := []string{"HTTP/1.1 200 OK"}
			for _, f := range tc.fields {
				lines = append(lines, "Content-Type: "+f)
			}
			s := w.accept().head(lines...)
			if tc.ok {
				s.send("data: x\n\n")
				w.want("0s connecting", "0s open", `0s message "x" id=""`)
				return
			}
			s.wantClosed()
			w.want("0s connecting", fmt.Sprintf("0s closed: type %q", strings.Join(tc.fields, ", ")))
			w.quiet()
		})
	}
}

// What is no proper answer is a network error, and those reestablish (9.2.2 step 15.2).
func TestNetworkErrors(t *testing.T) {
	for name, answer := range map[string]func(*session){
		"no answer": func(s *session) { s.end() },
		"not HTTP":  func(s *session) { s.send("SSH-2.0-OpenSSH_9.2\r\n\r\n").end() },
		"cut head":  func(s *session) { s.send("HTTP/1.1 200 OK\r\nContent-Type: text/ev").end() },
		"cut body": func(s *session) {
			s.head("HTTP/1.1 200 OK", "Content-Type: text/event-stream", "Content-Length: 100").send("data: x\n\n").end()
		},
		"cut chunk":      func(s *session) { s.chunked().send("5\r\nda").end() },
		"no last chunk":  func(s *session) { s.chunked().send("9\r\ndata: x\n\n\r\n").end() },
		"bad chunk size": func(s *session) { s.chunked().send("zz\r\n").end() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(w *world) {
				w.run()
				answer(w.accept())
				synctest.Wait()
				if last := w.log[len(w.log)-1]; !strings.HasPrefix(last, "0s connecting: network error in ") {
					t.Fatalf("happened: %q", w.log)
				}
				if s := w.accept(); s.at < DefaultReconnectionTime {
					t.Errorf("asked again after %v, before the reconnection time", s.at)
				}
			})
		})
	}
}

func (s *session) chunked() *session {
	return s.head("HTTP/1.1 200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked")
}

// A proper end of each framing reestablishes as well (9.2.2 step 14).
func TestProperEnds(t *testing.T) {
	for name, answer := range map[string]func(*session){
		"close":      func(s *session) { s.ok().send("data: x\n\n").end() },
		"last chunk": func(s *session) { s.chunked().send("9\r\ndata: x\n\n\r\n0\r\n\r\n") },
		"content length": func(s *session) {
			s.head("HTTP/1.1 200 OK", "Content-Type: text/event-stream", "Content-Length: 9").send("data: x\n\n")
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(w *world) {
				w.run()
				answer(w.accept())
				w.want("0s connecting", "0s open", `0s message "x" id=""`, "0s connecting: end, wait 3s")
				w.accept().wantAt(3 * time.Second)
			})
		})
	}
}

// Redirects are followed; the next attempt starts from the first URL, with Last-Event-ID there and at the target.
func TestRedirect(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		bubble(t, func(w *world) {
			w.onOpen = func(s *wire.Stream) { w.say("from %s", s.URL) }
			w.run()
			for i := range 2 {
				first := w.accept()
				first.head(fmt.Sprintf("HTTP/1.1 %d Elsewhere", status), "Location: /moved", "Content-Length: 0", "Connection: close")
				first.end()
				s := w.serve("id: 9\n\n")
				if first.req.RequestURI != "/events" || s.req.RequestURI != "/moved" {
					t.Errorf("%d: asked for %s, then %s", status, first.req.RequestURI, s.req.RequestURI)
				}
				if i == 1 {
					first.wantID("9")
					s.wantID("9")
				}
			}
			w.want("0s connecting", "0s open", "0s from http://es.test/moved", "0s connecting: end, wait 3s",
				"3s open", "3s from http://es.test/moved", "3s connecting: end, wait 3s")
		})
	}
}

// Content that a server compresses unasked is decoded, each flush at once; a coding nobody knows is final, not a loop.
func TestContentCoding(t *testing.T) {
	bubble(t, func(w *world) {
		w.run()
		s := w.accept().head("HTTP/1.1 200 OK", "Content-Type: text/event-stream", "Content-Encoding: gzip", "Connection: close")
		var buf bytes.Buffer
		z := gzip.NewWriter(&buf)
		for i := range 2 {
			fmt.Fprintf(z, "id: %d\ndata: x\n\n", i)
			z.Flush()
			s.send(buf.String())
			buf.Reset()
			synctest.Wait()
			time.Sleep(time.Second)
		}
		w.want("0s connecting", "0s open", `0s message "x" id="0"`, `1s message "x" id="1"`)
	})
	bubble(t, func(w *world) {
		w.run()
		w.accept().head("HTTP/1.1 200 OK", "Content-Type: text/event-stream", "Content-Encoding: br")
		synctest.Wait()
		if last := w.log[len(w.log)-1]; !strings.HasPrefix(last, "0s closed: ") {
			t.Errorf("happened: %q", w.log)
		}
		w.quiet()
	})
}

// A redirect that leads nowhere fails the client, without a storm (client/http/redirect-bad).
func TestRedirectBad(t *testing.T) {
	for name, location := range map[string]string{
		"no Location": "", "loop": "Location: /events\r\n", "chain": "Location: /more", "no URL": "Location: http://[::1\r\n", "other scheme": "Location: ftp://es.test/\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(w *world) {
				w.run()
				n := 0
				for k := w.knocked(time.Hour); k != nil; k = w.knocked(time.Hour) {
					n++
					k.verdict <- nil
					go io.Copy(io.Discard, k.conn)
					at := location
					if name == "chain" {
						at = fmt.Sprintf("%s/%d\r\n", location, n)
					}
					io.WriteString(k.conn, "HTTP/1.1 307 Elsewhere\r\nContent-Length: 0\r\n"+at+"\r\n")
					defer k.conn.Close()
				}
				if want := map[bool]int{true: MaxRedirects + 1, false: 1}[name == "chain"]; n != want {
					t.Errorf("%d requests, wanted %d", n, want)
				}
				synctest.Wait()
				if last := w.log[len(w.log)-1]; last != "0s closed: network error in redirect" && last != "0s closed: status 307" {
					t.Errorf("happened: %q", w.log)
				}
			})
		})
	}
}
