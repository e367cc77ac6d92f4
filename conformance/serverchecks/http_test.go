package serverchecks_test

import (
	"io"
	"net/url"
	"strings"
	"time"

	"ssegauge/conformance"
	"ssegauge/reports/result"
)

// httpFaults break the rules of requests, heads and connections.
var httpFaults = []fault{
	{
		id: "http/content-type/single", name: "two fields", want: result.Fail, says: "2 times",
		breaks: func(p *peer) {
			p.head = head("Content-Type: text/html", "Content-Type: text/event-stream", "Cache-Control: no-store", "Transfer-Encoding: chunked")
		},
	},
	{
		id: "http/content-type", name: "another after it", want: result.Fail, says: "text/html",
		follows: "http/content-type/single http/content-type/charset http/head",
		breaks: func(p *peer) {
			p.head = head("Content-Type: text/event-stream", "Content-Type: text/html", "Cache-Control: no-store", "Transfer-Encoding: chunked")
		},
	},
	{
		id: "http/content-type/single", name: "a list", want: result.Fail, says: "list",
		breaks: func(p *peer) {
			p.head = head("Content-Type: text/html, text/event-stream", "Cache-Control: no-store", "Transfer-Encoding: chunked")
		},
	},
	{
		id: "http/cache-control/no-transform", name: "compressed", want: result.Warn, says: "compressed",
		follows: "http/content-encoding/flush",
		breaks:  func(p *peer) { p.zip = zip },
	},
	{
		id: "http/content-encoding/flush", name: "one late", want: result.Fail, says: "later than without",
		follows: "http/cache-control/no-transform",
		breaks: func(p *peer) {
			p.zip = zip
			p.frameFor = func(q *request) func(string) string {
				if q.Header.Get("Accept-Encoding") != "gzip" {
					return nil
				}
				kept := ""
				return func(s string) string {
					before := kept
					kept = chunk(zip(s))
					return before
				}
			}
		},
	},
	{
		id: "http/content-encoding/flush", name: "the blank line is late", want: result.Fail, says: "later than without",
		follows: "http/cache-control/no-transform",
		breaks: func(p *peer) {
			p.zip = zip
			p.frameFor = func(q *request) func(string) string {
				if q.Header.Get("Accept-Encoding") != "gzip" {
					return nil
				}
				rest := ""
				return func(s string) string {
					s = rest + s
					rest = s[len(s)-1:]
					return chunk(zip(s[:len(s)-1]))
				}
			}
		},
	},
	{
		id: "http/content-encoding/flush", name: "held", want: result.Fail, says: "3 of 3",
		follows: "http/cache-control/no-transform",
		breaks: func(p *peer) {
			p.zip = zip
			p.frameFor = func(q *request) func(string) string {
				if q.Header.Get("Accept-Encoding") != "gzip" {
					return nil
				}
				return func(string) string { return "" }
			}
		},
	},
	{
		id: "http/x-accel-buffering", name: "yes", want: result.Warn, says: "buffer",
		breaks: func(p *peer) {
			p.head = head("Content-Type: text/event-stream", "X-Accel-Buffering: yes", "Cache-Control: no-store", "Transfer-Encoding: chunked")
		},
	},
	{
		id: "http/keepalive-header", want: result.Info, says: "says nothing",
		breaks: func(p *peer) {
			p.head = head("Content-Type: text/event-stream", "Connection: Keep-Alive", "Cache-Control: no-store", "Transfer-Encoding: chunked")
		},
	},
	{
		id: "http/redirect", name: "302", want: result.Warn, says: "302", breaks: moved("302 Found", "/elsewhere"),
	},
	{
		id: "http/redirect", name: "nowhere", want: result.Fail, says: "empty Location", follows: everything, breaks: moved("307 Moved", ""),
	},
	{
		id: "http/redirect", name: "to a login", want: result.Warn, says: "login", follows: everything,
		breaks: func(p *peer) {
			p.hops = 1
			p.answer = func(_ *peer, q *request) bool {
				switch {
				case q.URL.Path == "/login" && q.Method == "HEAD":
					q.write(strings.TrimSuffix(okHTML, "hi"))
				case q.URL.Path == "/login":
					q.write(okHTML)
				default:
					q.write("HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n")
				}
				return true
			}
		},
	},
	{id: "http/accept/missing", name: "500", want: result.Fail, says: "500", breaks: refusing("500 Oops", func(q *request) bool { return q.Header.Get("Accept") == "" })},
	{
		id: "http/accept/missing", name: "a page", want: result.Warn, says: "text/html",
		breaks: replying(okHTML, func(q *request) bool { return q.Header.Get("Accept") == "" }),
	},
	{id: "http/accept/wildcard", want: result.Fail, says: "406", breaks: refusing("406 No", func(q *request) bool { return q.Header.Get("Accept") == "text/*" })},
	{
		id: "http/accept/list", want: result.Fail, says: "406",
		breaks: refusing("406 No", func(q *request) bool { return strings.HasPrefix(q.Header.Get("Accept"), "TEXT") }),
	},
	{
		id: "http/content-encoding/negotiated", want: result.Fail, says: "br",
		breaks: func(p *peer) {
			p.head = func(q *request) string {
				if q.Header.Get("Accept-Encoding") == "gzip" {
					return strings.Replace(okHead, "\r\n\r\n", "\r\nContent-Encoding: br\r\n\r\n", 1)
				}
				return okHead
			}
		},
	},
	{
		id: "http/http10", name: "chunked", want: result.Fail, says: "Transfer-Encoding",
		breaks: func(p *peer) { p.modern = true },
	},
	{
		id: "http/http10", name: "chunks without a word", want: result.Fail, says: "chunk sizes",
		breaks: func(p *peer) {
			p.modern = true
			p.head = func(q *request) string {
				if q.ProtoMinor == 0 {
					return strings.Replace(okHead, "Transfer-Encoding: chunked\r\n", "", 1)
				}
				return okHead
			}
		},
	},
	{id: "http/http10", name: "404", want: result.Warn, says: "404", breaks: refusing("404 Gone", func(q *request) bool { return q.ProtoMinor == 0 })},
	{id: "http/options", want: result.Warn, says: "twice", breaks: silent("OPTIONS")},
	{
		id: "http/method", want: result.Warn, says: "POST is answered with a stream",
		breaks: replying(okHead, func(q *request) bool { return q.Method == "POST" }), change: getOnly, follows: "http/allow",
	},
	{id: "http/allow", want: result.Fail, says: "DELETE", breaks: refusing("405 No", func(q *request) bool { return q.Method == "DELETE" }), change: getOnly, follows: "http/method"},
	{
		id: "http/error-not-200", want: result.Fail, says: "must be refused", change: errorURL,
		breaks: replying(okHead+chunk("error: no such channel\n\n")+"0\r\n\r\n", func(q *request) bool { return q.URL.Path == "/none" }),
	},
	{
		id: "http/error-not-200", name: "a page", want: result.Warn, says: "success", change: errorURL,
		breaks: replying(okHTML, func(q *request) bool { return q.URL.Path == "/none" }),
	},
	{
		id: "http/capacity-5xx", name: "ends at once", want: result.Fail, says: "ended at once", follows: crowds + " load/many lifecycle/client-close",
		change: func(t *conformance.Target) { t.Declared.Capacity = 10 },
		breaks: replying(okHead+"0\r\n\r\n", func(q *request) bool { return q.p.seated() >= 10 }),
	},
	{
		id: "http/survives", name: "HEAD takes the only worker", want: result.Fail, says: "after HEAD", follows: "* http/head",
		breaks: func(p *peer) {
			p.one, p.linger = true, func(*request) time.Duration { return 0 }
			p.answer = func(_ *peer, q *request) bool {
				if q.Method == "HEAD" && q.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n") {
					time.Sleep(4 * time.Minute) // it does not find out that the client left
				}
				return q.Method == "HEAD"
			}
		},
	},
	{
		id: "http/head", name: "does not close", want: result.Warn, says: "not closed",
		breaks: func(p *peer) {
			p.answer = func(_ *peer, q *request) bool {
				if q.Method == "HEAD" && q.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n") {
					io.Copy(io.Discard, q.conn)
				}
				return q.Method == "HEAD"
			}
		},
	},
	{
		id: "http/survives", name: "503", want: result.Fail, says: "DELETE", change: getOnly, follows: everything,
		breaks: func(p *peer) {
			down := false
			p.answer = func(_ *peer, q *request) bool {
				p.mu.Lock()
				down = down || q.Method == "DELETE"
				gone := down
				p.mu.Unlock()
				if gone {
					q.write("HTTP/1.1 503 Down\r\nContent-Length: 0\r\n\r\n")
				}
				return gone
			}
		},
	},
}

// seated is how many streams there are.
func (p *peer) seated() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.subs)
}

const okHTML = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nCache-Control: no-store\r\nContent-Length: 2\r\n\r\nhi"

func getOnly(t *conformance.Target) { t.Declared.Methods = []string{"GET", "HEAD"} }

func errorURL(t *conformance.Target) { t.Declared.ErrorURL, _ = url.Parse("http://peer.example/none") }

// answering answers some requests with raw bytes.
func replying(raw string, which func(q *request) bool) func(p *peer) {
	return func(p *peer) {
		before := p.answer
		p.answer = func(p *peer, q *request) bool {
			if which(q) {
				q.write(raw)
				return true
			}
			return before != nil && before(p, q)
		}
	}
}

func refusing(status string, which func(q *request) bool) func(p *peer) {
	return replying("HTTP/1.1 "+status+"\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n", which)
}

func silent(method string) func(p *peer) {
	return func(p *peer) {
		before := p.answer
		p.answer = func(p *peer, q *request) bool {
			if q.Method == method {
				_, _ = q.conn.Read(make([]byte, 1)) // until it leaves
				return true
			}
			return before != nil && before(p, q)
		}
	}
}

func moved(status, to string) func(p *peer) {
	return func(p *peer) {
		p.hops = min(len(to), 1)
		before := p.answer
		p.answer = func(p *peer, q *request) bool {
			if q.URL.Path == "/events" {
				q.write("HTTP/1.1 " + status + "\r\nLocation: " + to + "\r\nContent-Length: 0\r\n\r\n")
				return true
			}
			return before != nil && before(p, q)
		}
	}
}

// httpElsewhere names the test that proves a check which the matrix of peers cannot.
var httpElsewhere = map[string]string{
	"http/cache-control/no-transform": "TestReferenceServerIsClean", "http/x-accel-buffering": "TestReferenceServerIsClean",
	"http/redirect":      "TestUnusualServersStayClean/redirect",
	"http/error-not-200": "TestReferenceServerFaults", "http/capacity-5xx": "TestReferenceServerFaults",
	"http/method": "TestReferenceServerFaults", "http/allow": "TestReferenceServerFaults",
	"http/accept/refused": "TestReferenceServerFaults", "http/content-encoding/flush": "TestReferenceServerFaults",
	"h2/request-accepts-none": "TestReferenceServerFaults", "h2/flow": "TestReferenceServerFaults",
	"h2/field-case": "TestReferenceServerFaults", "h2/end-stream": "TestReferenceServerFaults", "h2/goaway": "TestReferenceServerFaults",
}

// limits are how many streams the reference server of the tests takes, where a fault needs that it takes only so many.
var limits = map[string]int{"http/capacity-5xx": 64}

// lends declares what the reference server keeps to.
func lends(t *conformance.Target) {
	t.Declared.Methods = []string{"GET", "HEAD", "OPTIONS"}
	t.Declared.ErrorURL, _ = url.Parse("http://reference.example/events?channel=" + strings.Repeat("x", 200))
}

// What the reference server's faults change besides, and what they need to show.
var (
	httpChange = map[string]func(*conformance.Target){
		"http/capacity-5xx": func(t *conformance.Target) { t.Declared.Capacity = limits["http/capacity-5xx"] },
	}
	httpFollows = map[string]string{
		"load/six":                     "h2/* http/http10 http/keepalive-header", // it offers nothing but HTTP/1.1
		"sec/token-in-url":             "http/redirect",
		"cors/preflight/last-event-id": "http/allow", // another 405
		"live/proxy-diff":              "http/cache-control/no-transform",
		"live/unbuffered":              "http/content-encoding/flush http/survives", // the time runs out, and it is the last
		"live/headers-flushed":         crowds + " http/content-encoding/flush http/survives",
		"live/second-connection":       "http/content-encoding/flush",
		// A stream that was left may still be there when the next one comes back, and get its share of what is replayed.
		"delivery/every-subscriber": "http/content-encoding/flush resume/replay",
		"framing/blank-line":        "http/content-encoding/flush", // no event is complete in time
		"lifecycle/persists":        "http/content-encoding/flush",
		"stop/finite-loop":          "http/content-encoding/flush",
		"framing/terminated":        "http/content-encoding/flush",

		"http/body-framing":                "framing/eol/consistent",                   // chunk sizes stand among the lines
		"http/error-not-200":               "cors/stream-and-error",                    // the same URL is the error that is known
		"http/redirect":                    "cors/stream-and-error http/error-not-200", // that URL redirects too
		"http/method":                      "http/allow",                               // nothing is answered 405
		"http/content-encoding/negotiated": "http/content-encoding/flush",              // there is nothing to hold a compressed stream against
		"http/survives":                    "* sec/auth-before-stream",                 // 500 is no way to refuse who has no credentials
		"h2/request-accepts-none":          "* http/status",
		"h2/end-stream":                    ends + " framing/terminated resume/no-duplicate resume/replay",
	}
	// Not to be seen on the clean server.
	httpNeedsMore = map[string]bool{"h2/end-stream": true, "h2/goaway": true}
	// What the catalogue has no graver word for.
	mild = map[string]bool{"h2/end-stream": true}
)
