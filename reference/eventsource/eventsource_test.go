package eventsource

import (
	"fmt"
	"io"
	"math"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ssegauge/reference/wire"
)

// The life of a stream in one transcript: open at the head, events, the end, the wait, again (9.2.2, 9.2.3).
func TestLife(t *testing.T) {
	bubble(t, func(w *world) {
		w.run()
		w.want("0s connecting")
		s := w.accept().wantID("")
		time.Sleep(time.Second)
		s.ok()
		w.want("1s open") // before any event: client/state/open-on-headers
		time.Sleep(time.Second)
		s.send("id: 1\ndata: a\n\ndata: b\n\n")
		w.want(`2s message "a" id="1"`, `2s message "b" id="1"`)
		s.send("event: add\nid: 2\ndata: c\ndata: d\n\n:\n\nevent: gone\n\n")
		w.want(`2s add "c\nd" id="2"`)
		s.end()
		w.want("2s connecting: end, wait 3s")
		s = w.accept().wantAt(5 * time.Second).wantID("2").ok()
		w.want("5s open")
		s.end()
		w.want("5s connecting: end, wait 3s")
		w.close()
		w.want("5s closed: context canceled")
	})
}

// close() aborts the request, in every state, and nothing fires after it (9.2.2 close).
func TestClose(t *testing.T) {
	t.Run("while the head is awaited", func(t *testing.T) {
		bubble(t, func(w *world) {
			w.run()
			s := w.accept()
			w.close()
			s.wantClosed()
			w.want("0s connecting", "0s closed: context canceled")
		})
	})
	t.Run("while open", func(t *testing.T) {
		bubble(t, func(w *world) {
			w.run()
			s := w.accept().ok()
			w.forget()
			w.close()
			s.wantClosed()
			w.want("0s closed: context canceled")
			w.quiet()
		})
	})
	t.Run("while waiting to reconnect", func(t *testing.T) {
		bubble(t, func(w *world) {
			w.run()
			w.serve("")
			w.forget()
			time.Sleep(time.Second)
			w.close()
			w.want("1s closed: context canceled")
			w.quiet()
		})
	})
	t.Run("from an event handler", func(t *testing.T) {
		bubble(t, func(w *world) {
			w.onData = func(data string) {
				if data == "2" {
					w.cancel()
				}
			}
			w.run()
			w.accept().ok().send("data: 1\n\ndata: 2\n\ndata: 3\n\n")
			w.want("0s connecting", "0s open", `0s message "1" id=""`, `0s message "2" id=""`, "0s closed: context canceled")
		})
	})
}

// The reconnection time (9.2.3 step 2, 9.2.6 retry): what of a stream's retry lines counts, how long the wait then is.
func TestRetry(t *testing.T) {
	for _, tc := range []struct {
		name, stream string
		wait         time.Duration
	}{
		{"none", "data: x\n\n", 3 * time.Second},
		{"base ten", "retry: 03000\ndata: x\n\n", 3 * time.Second}, // WPT format-field-retry
		{"honoured", "retry: 200\ndata: x\n\n", 200 * time.Millisecond},
		{"longer", "retry: 90000\n\n", 90 * time.Second},
		{"zero", "retry: 0\n\n", 0},
		{"last wins", "retry: 500\nretry: 700\n\n", 700 * time.Millisecond},
		{"bogus after good", "retry: 5000\nretry: 1000x\ndata: x\n\n", 5 * time.Second}, // WPT format-field-retry-bogus
		{"empty", "retry\ndata: x\n\n", 3 * time.Second},                                // WPT format-field-retry-empty
		{"negative", "retry: -1\n\n", 3 * time.Second},
		{"fraction", "retry: 1.5\n\n", 3 * time.Second},
		{"sign", "retry: +1\n\n", 3 * time.Second},
		{"second space", "retry:  1\n\n", 3 * time.Second},
		{"trailing space", "retry: 1 \n\n", 3 * time.Second},
		{"full width", "retry: \uff11\n\n", 3 * time.Second},
		{"acts without its blank line", "retry: 100\ndata: cut", 100 * time.Millisecond},
		{"not without its line end", "data: x\n\nretry: 100", 3 * time.Second},
		{"above 32 bits", "retry: 4294967296\n\n", 4294967296 * time.Millisecond},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(w *world) {
				w.run()
				w.serve(tc.stream)
				at := tc.wait
				w.accept().wantAt(at).ok().end()
				// It persists: the second stream was silent about it (WPT eventsource-from-readable-stream).
				w.accept().wantAt(2 * at)
			})
		})
	}
}

// A retry beyond all time never becomes a short one by overflow (client/retry/huge).
func TestRetryHuge(t *testing.T) {
	bubble(t, func(w *world) {
		w.client.ReconnectionTime = math.MaxInt64 // and the addition after a failure comes on top
		w.run()
		w.refuse()
		w.quiet()
	})
	for _, digits := range []string{"9223372036854775807", strings.Repeat("9", 30)} {
		bubble(t, func(w *world) {
			w.run()
			w.serve("retry: " + digits + "\n\n")
			w.quiet()
		})
	}
}

// The last event ID string (9.2.3 step 5, 9.2.6): what a stream leaves behind, and what the next request says.
func TestLastEventID(t *testing.T) {
	for _, tc := range []struct{ name, stream, header string }{
		{"set", "id: 1\ndata: x\n\n", "1"},
		{"persists", "id: 1\ndata: x\n\ndata: y\n\n", "1"},
		{"last wins", "id: 1\nid: 2\ndata: x\n\n", "2"},
		{"without data", "id: 7\n\n", "7"},
		{"takes effect at the blank line", "id: 1\ndata: x\n\nid: 2\ndata: y\n", "1"}, // WPT format-data-before-final-empty-line
		{"empty resets", "id: 1\ndata: x\n\nid:\ndata: y\n\n", ""},                    // WPT format-field-id-3
		{"name alone resets", "id: 1\ndata: x\n\nid\ndata: y\n\n", ""},                // WPT format-field-id-3
		{"NUL is ignored", "id: 1\ndata: x\n\nid: 2\x003\ndata: y\n\n", "1"},          // WPT format-field-id-null
		{"NUL alone sets nothing", "id: \x00\x00\ndata: x\n\n", ""},                   // WPT format-field-id-null
		{"UTF-8", "id: \u2026\ndata: x\n\n", "\u2026"},                                // WPT format-field-id
		{"ill-formed UTF-8", "id: a\xffb\ndata: x\n\n", "a\ufffdb"},
		{"first colon", "id: a:b\n\n", "a:b"},
		{"case", "id: 1\n\nID: 2\n\n id: 3\n\n", "1"},
		{"byte order mark", "\ufeffid: 1\n\n", "1"},
		{"second byte order mark", "\ufeff\ufeffid: 1\n\n", ""}, // WPT format-bom-2
		{"carriage return at the end", "id: 1\rdata: x\r\r", "1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(w *world) {
				w.run()
				w.serve(tc.stream)
				w.accept().wantID(tc.header).ok().end()
				// A stream without ids changes nothing (WPT format-field-id-2).
				w.serve("data: z\n\n").wantID(tc.header)
				w.accept().wantID(tc.header)
			})
		})
	}
}

// An event of a stream without ids shows the id of the stream before (WPT format-field-id).
func TestLastEventIDSeedsEvents(t *testing.T) {
	bubble(t, func(w *world) {
		w.run()
		w.serve("id: 1\nretry: 0\ndata: a\n\n")
		w.forget()
		s := w.accept().wantID("1").ok().send("data: b\n\n")
		w.want("0s open", `0s message "b" id="1"`)
		s.end()
	})
}

func TestInitialLastEventID(t *testing.T) {
	given := map[string]func(*Client){
		"by the caller": func(c *Client) { c.LastEventID = "41" },
		"as a field":    func(c *Client) { c.Request.Header = wire.Header{{Name: "last-event-id", Value: "41"}} },
		"both": func(c *Client) {
			c.LastEventID, c.Request.Header = "41", wire.Header{{Name: "Last-Event-ID", Value: "40"}}
		},
	}
	for name, give := range given {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(w *world) {
				give(&w.client)
				w.run()
				w.serve("data: x\n\n").wantID("41")
				w.serve("id\n\n").wantID("41")
				w.accept().wantID("")
			})
		})
	}
	t.Run("that cannot be sent", func(t *testing.T) {
		bubble(t, func(w *world) {
			w.client.LastEventID = "1\r\nX: y"
			w.run()
			synctest.Wait()
			if len(w.log) != 1 || !strings.Contains(w.log[0], "closed: eventsource: the last event ID") {
				t.Errorf("happened: %q", w.log)
			}
		})
	})
}

// What is incomplete at the end is discarded, and nothing of it leaks into the next stream (9.2.6, 9.2.5).
func TestEndDiscards(t *testing.T) {
	bubble(t, func(w *world) {
		w.run()
		w.serve("retry: 1000\ndata: test1\n\nid: test\ndata: test2") // WPT format-data-before-final-empty-line
		w.want("0s connecting", "0s open", `0s message "test1" id=""`, "0s connecting: end, wait 1s")
		w.accept().wantID("").ok().send("\ndata: test3\n\n")
		w.want("1s open", `1s message "test3" id=""`)
	})
	bubble(t, func(w *world) {
		w.run()
		w.serve("event: add\ndata: x\r")
		w.forget()
		w.serve("\n") // a block that ended would be dispatched here
		w.want("3s open", "3s connecting: end, wait 3s")
		w.serve("\ufeffdata: y\n\n") // the mark is stripped on each connection
		w.want("6s open", `6s message "y" id=""`, "6s connecting: end, wait 3s")
	})
}

// The same request each time: method, target, fields and body (9.2.3 step 5).
func TestSameRequest(t *testing.T) {
	bubble(t, func(w *world) {
		w.client.Request = &wire.Request{
			Method: "POST", URL: &url.URL{Scheme: "http", Host: "es.test", Path: "/ask", RawQuery: "q=1"},
			Header: wire.Header{{Name: "Authorization", Value: "Bearer t"}, {Name: "accept", Value: "text/event-stream, application/json"}},
			Body:   []byte(`{"stream":true}`),
		}
		w.run()
		for i := range 3 {
			s := w.serve("id: 5\n\n")
			if s.req.Method != "POST" || s.req.RequestURI != "/ask?q=1" || s.req.Host != "es.test" || string(s.body) != `{"stream":true}` {
				t.Errorf("request %d: %s %s %s %q", i, s.req.Method, s.req.RequestURI, s.req.Host, s.body)
			}
			if h := s.req.Header; h.Get("Authorization") != "Bearer t" || len(h["Accept"]) != 1 || h.Get("Accept") != "text/event-stream, application/json" {
				t.Errorf("request %d: fields %v", i, h)
			}
		}
		if h := w.client.Request.Header; len(h) != 2 {
			t.Errorf("the caller's request was changed: %v", h)
		}
	})
}

// What the client adds itself, once each (9.2.2 steps 10 and 11; WPT request-accept, request-cache-control).
func TestRequestFields(t *testing.T) {
	bubble(t, func(w *world) {
		w.run()
		for range 2 {
			s := w.serve("")
			if got := fmt.Sprint(s.req.Method, s.req.Header["Accept"], s.req.Header["Cache-Control"]); got != "GET[text/event-stream] [no-cache]" {
				t.Errorf("request: %s", got)
			}
		}
	})
}

// After failed attempts the wait grows, within its bounds, and never falls below the reconnection time; a stream
// that opens ends that (9.2.3 step 3).
func TestBackoff(t *testing.T) {
	bubble(t, func(w *world) {
		w.client.ReconnectionTime = 2 * time.Second
		w.client.Backoff = Backoff{Base: time.Second, Max: 10 * time.Second}
		w.run()
		last := w.refuse()
		for i := range 8 {
			at := w.refuse()
			most := min(time.Second<<i, 10*time.Second)
			if extra := at - last - 2*time.Second; extra < most/2 || extra > most {
				t.Errorf("attempt %d came after %v; wanted 2s and between %v and %v", i+2, at-last, most/2, most)
			}
			last = at
		}
		w.serve("")
		synctest.Wait()
		if last := w.log[len(w.log)-1]; !strings.HasSuffix(last, "connecting: end, wait 2s") {
			t.Errorf("after a good stream: %q", last)
		}
	})
}

// Many clients do not come back at the same moment.
func TestBackoffJitters(t *testing.T) {
	seen := map[time.Duration]bool{}
	for range 50 {
		seen[Backoff{}.extra(3)] = true
	}
	if len(seen) < 25 {
		t.Errorf("50 waits, only %d different ones", len(seen))
	}
	if d := (Backoff{Base: -1}).extra(5); d != 0 {
		t.Errorf("switched off: %v", d)
	}
	if d := (Backoff{}).extra(1 << 20); d < 15*time.Second || d > 30*time.Second {
		t.Errorf("after a million failures: %v", d)
	}
}

func TestFutile(t *testing.T) {
	bubble(t, func(w *world) {
		w.client.Futile = func(error) bool { return true }
		w.run()
		w.refuse()
		w.want("0s connecting", "0s closed: network error in connect")
		w.quiet()
	})
}

// Memory is bounded: an event above the cap ends the client instead of coming again for ever (IANA considerations).
func TestEventTooLong(t *testing.T) {
	bubble(t, func(w *world) {
		w.client.MaxEvent = 1 << 10
		w.run()
		s := w.accept().ok().send("data: a\n\n")
		go func() { // the client closes in the middle
			for range 100 {
				if _, err := io.WriteString(s.Conn, "data: "+strings.Repeat("x", 100)+"\n"); err != nil {
					return
				}
			}
		}()
		w.want("0s connecting", "0s open", `0s message "a" id=""`, "0s closed: event too long")
		w.quiet()
	})
}

// The handler's lines show what is otherwise thrown away, in order with the events.
func TestLines(t *testing.T) {
	bubble(t, func(w *world) {
		w.lines = true
		w.run()
		w.accept().ok().send(": hi\n\ndata: x\nfoo: y\n\n")
		w.want("0s connecting", "0s open", `0s line 1 " hi"`, `0s line 0 ""`, `0s line 2 "x"`, `0s line 8 "y"`, `0s line 0 ""`, `0s message "x" id=""`)
	})
}

// What asking again cannot mend is not asked again.
func TestHopeless(t *testing.T) {
	for name, spoil := range map[string]func(*Client){
		"scheme":   func(c *Client) { c.Request.URL.Scheme = "ftp" },
		"field":    func(c *Client) { c.Request.Header = wire.Header{{Name: "X", Value: "a\nb"}} },
		"protocol": func(c *Client) { c.Dialer.Proto = wire.HTTP2 },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(w *world) {
				spoil(&w.client)
				w.run()
				if k := w.knocked(time.Second); k != nil {
					k.verdict <- nil
				}
				synctest.Wait()
				if len(w.log) != 2 || !strings.Contains(w.log[1], "s closed: ") {
					t.Errorf("happened: %q", w.log)
				}
				w.quiet()
			})
		})
	}
}

func TestNoRequest(t *testing.T) {
	var last Change
	err := (&Client{}).Run(t.Context(), Handler{State: func(c Change) { last = c }})
	if err == nil || last.State != Closed || last.Err != err {
		t.Errorf("%v, %v %v", err, last.State, last.Err)
	}
}
