package raw

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
)

// preface is how a client says that it speaks HTTP/2 (RFC 9113 3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// greet finds out which protocol the client speaks, and returns what follows its preface.
func (c *conn) greet(p []byte) []byte {
	n := min(len(p), len(preface))
	switch {
	case string(p[:n]) != preface[:n]:
		c.fresh = false
	case n == len(preface):
		c.fresh = false
		c.h2 = newH2(c)
		c.since = 0
		if len(c.in) > 0 {
			c.in = c.in[:copy(c.in, p[n:])]
			return c.in
		}
		return p[n:]
	case c.since == 0 && n > 0:
		c.since = c.sh.ms()
	}
	return p
}

// request is an HTTP/1.1 request whose body is still to come.
type request struct {
	r      *http.Request
	minor  int
	left   int64 // of a body with a length
	chunks *chunks
	body   []byte
	large  bool // the body is larger than it may be: the rest is not read
}

// requests takes requests from p and returns how many bytes it took.
func (c *conn) requests(p []byte) (n int) {
	for c.state == reading && c.active() == 0 && !c.choked() {
		if c.req != nil {
			k, done := c.takeBody(p[n:])
			if n += k; !done {
				return n
			}
			continue
		}
		rest := p[n:]
		for len(rest) > 0 && (rest[0] == '\r' && (len(rest) == 1 || rest[1] == '\n') || rest[0] == '\n') { // empty lines before a request (RFC 9112 2.2)
			if rest[0] == '\r' && len(rest) == 1 {
				return n
			}
			k := bytes.IndexByte(rest, '\n') + 1
			rest, n, c.scanned = rest[k:], n+k, 0
		}
		if len(rest) == 0 {
			c.since = 0
			return n
		}
		if c.since == 0 {
			c.since = c.sh.ms()
		}
		if !tokenBytes[rest[0]] { // no method begins so: TLS, most likely
			c.refuse(http.StatusBadRequest, "this is no HTTP request; the port speaks HTTP/1.1 and h2c in the clear")
			return len(p)
		}
		end := endOfHead(rest, c.scanned)
		if end < 0 && len(rest) <= maxHead {
			c.scanned = max(0, len(rest)-3)
			return n
		}
		c.scanned = 0
		if end < 0 || end > maxHead {
			c.refuse(http.StatusRequestHeaderFieldsTooLarge, "the head of the request is larger than "+strconv.Itoa(maxHead)+" bytes")
			return len(p)
		}
		n += end
		c.take(rest[:end])
	}
	c.held = c.choked()
	if c.active() > 0 && len(p)-n > maxHead {
		c.close() // nobody may send that much behind a request for a stream
		return n
	}
	return n
}

// endOfHead is the length of the head at the start of p, or -1 where it is not whole; from is where to look.
func endOfHead(p []byte, from int) int {
	for i := from; ; {
		k := bytes.IndexByte(p[i:], '\n')
		if k < 0 {
			return -1
		}
		i += k + 1
		switch {
		case i < len(p) && p[i] == '\n':
			return i + 1
		case i+1 < len(p) && p[i] == '\r' && p[i+1] == '\n':
			return i + 2
		case i == len(p):
			return -1
		}
	}
}

// take handles a request's head.
func (c *conn) take(head []byte) {
	q, bad := parseHead(head)
	if bad != nil {
		c.refuse(bad.code, bad.reason)
		return
	}
	q.r.RemoteAddr = c.addr
	c.last = c.last || q.close || c.sh.stopping
	if q.length == 0 && !q.chunked {
		c.since = 0
		c.serve(q.r, 0, q.minor)
		return
	}
	c.req = &request{r: q.r, minor: q.minor, left: q.length}
	if q.chunked {
		c.req.chunks = &chunks{}
	}
	c.since = c.sh.ms()
	if q.expects && q.length <= c.sh.eng.cfg.MaxBody {
		c.out = append(c.out, "HTTP/1.1 100 Continue\r\n\r\n"...)
	}
	if q.length > c.sh.eng.cfg.MaxBody {
		c.req.large = true
		c.req.body = make([]byte, c.sh.eng.cfg.MaxBody+1) // enough for the handler to see it is too much
	}
}

// takeBody takes bytes of a body, and serves the request when it is whole.
func (c *conn) takeBody(p []byte) (n int, done bool) {
	q := c.req
	most := c.sh.eng.cfg.MaxBody
	var whole bool
	switch {
	case q.large:
	case q.chunks != nil:
		var err error
		q.body, n, whole, err = q.chunks.take(q.body, p)
		if err != nil {
			c.refuse(http.StatusBadRequest, err.Error())
			return len(p), false
		}
		q.large = int64(len(q.body)) > most
	default:
		n = int(min(q.left, int64(len(p))))
		q.body = append(q.body, p[:n]...)
		q.left -= int64(n)
		whole = q.left == 0
	}
	if !whole && !q.large {
		return n, false
	}
	if q.large {
		c.last, n = true, len(p)
	}
	c.req, c.since = nil, 0
	q.r.Body = bodyOf(q.body)
	c.serve(q.r, 0, q.minor)
	return n, true
}

// body is a request's body in memory.
type body struct{ bytes.Reader }

func (*body) Close() error { return nil }

func bodyOf(p []byte) *body {
	b := &body{}
	b.Reset(p)
	return b
}

// refuse answers a request that cannot be understood, and closes.
func (c *conn) refuse(code int, reason string) {
	a := &c.sh.answer
	a.reset(c, nil)
	a.minor = 1
	a.header.Set("Content-Type", "text/plain; charset=utf-8")
	a.WriteHeader(code)
	a.body = append(append(a.body, reason...), '\n')
	c.last, c.req, c.since = true, nil, 0
	c.finite(a)
}

// head appends the status line and the fields.
func (c *conn) head(a *answer) {
	b := append(c.out, "HTTP/1."...)
	b = append(b, '0'+byte(min(a.minor, 1)), ' ')
	b = strconv.AppendInt(b, int64(a.code), 10)
	b = append(append(b, ' '), http.StatusText(a.code)...)
	b = append(b, "\r\n"...)
	a.fields(func(name, value string) {
		b = append(append(append(append(b, name...), ": "...), value...), "\r\n"...)
	})
	b = append(append(append(b, "Date: "...), c.sh.date.now(c.sh.now)...), "\r\n"...)
	if c.last || a.minor == 0 {
		c.last = true
		b = append(b, "Connection: close\r\n"...)
	}
	c.out = b
}

// finite queues an answer that has an end.
func (c *conn) finite(a *answer) {
	c.head(a)
	if a.sized() && (len(a.body) > 0 || !a.is(http.MethodHead)) {
		c.out = append(strconv.AppendInt(append(c.out, "Content-Length: "...), int64(len(a.body)), 10), "\r\n"...)
	}
	c.out = append(c.out, "\r\n"...)
	if !a.is(http.MethodHead) {
		c.out = append(c.out, a.body...)
	}
	c.ended()
}

func (a *answer) is(method string) bool { return a.r != nil && a.r.Method == method }

// begin queues the head and the first block of a stream.
func (c *conn) begin(a *answer, s stream, first []byte) {
	if a.minor == 0 {
		s.flags |= plainBody
	}
	c.head(a)
	if a.minor == 0 {
		c.out = append(append(c.out, "\r\n"...), first...)
	} else {
		c.out = append(c.out, "Transfer-Encoding: chunked\r\n\r\n"...)
		if len(first) > 0 {
			c.out = append(appendChunk(c.out, string(first)), "\r\n"...)
		}
	}
	c.add(s)
}

// ended goes on after an answer.
func (c *conn) ended() {
	if c.last || c.sh.stopping {
		c.state = max(c.state, closing)
	}
}

// listed tells whether a comma-separated field names a token.
func listed(values []string, token string) bool {
	for _, v := range values {
		for item := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(item), token) {
				return true
			}
		}
	}
	return false
}
