package raw

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"ssegauge/reference/server"
)

// answer is what a handler writes to: the server's carrier of one request. A shard has one.
type answer struct {
	c      *conn
	r      *http.Request
	id     uint32 // HTTP/2
	minor  int    // of HTTP/1
	header http.Header
	names  []string
	code   int
	body   []byte
	done   bool // the head was sent
}

func (a *answer) reset(c *conn, r *http.Request) {
	if a.header == nil {
		a.header = http.Header{}
	}
	clear(a.header)
	*a = answer{c: c, r: r, header: a.header, names: a.names[:0], body: a.body[:0]}
	if cap(a.body) > 64<<10 {
		a.body = nil
	}
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(code int) {
	if a.code == 0 {
		a.code = code
	}
}

func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	a.body = append(a.body, p...)
	return len(p), nil
}

// Carry implements [server.Carrier].
func (a *answer) Carry(feed server.Feed, cursor uint64, first []byte) {
	c := a.c
	s := stream{id: a.id, cursor: uint32(cursor)}
	s.feed = c.join(c.sh.subscribe(feed, cursor))
	a.done = true
	if c.h2 != nil {
		c.h2.begin(c, a, s, first)
		return
	}
	c.begin(a, s, first)
}

// serve answers a request.
func (c *conn) serve(r *http.Request, id uint32, minor int) {
	a := &c.sh.answer
	a.reset(c, r)
	a.id, a.minor = id, minor
	c.sh.eng.handler.ServeHTTP(a, r)
	if a.done {
		return
	}
	a.WriteHeader(http.StatusOK)
	if c.h2 != nil {
		c.h2.finite(c, a)
		return
	}
	c.finite(a)
}

// fields calls f for each field in the order of their names, which is that of net/http.
func (a *answer) fields(f func(name, value string)) {
	a.names = a.names[:0]
	for name := range a.header {
		a.names = append(a.names, name)
	}
	slices.Sort(a.names)
	for _, name := range a.names {
		for _, v := range a.header[name] {
			f(name, v)
		}
	}
}

// sized tells whether the answer has a length to declare.
func (a *answer) sized() bool { return a.code >= 200 && a.code != 204 && a.code != 304 }

// date is the Date field, made once a second.
type date struct {
	at   int64
	text string
}

func (d *date) now(t time.Time) string {
	if s := t.Unix(); s != d.at || d.text == "" {
		d.at, d.text = s, t.UTC().Format(http.TimeFormat)
	}
	return d.text
}

// appendChunk appends p as a chunk, but for its last CRLF.
func appendChunk(b []byte, p string) []byte {
	b = strconv.AppendInt(b, int64(len(p)), 16)
	b = append(b, "\r\n"...)
	return append(b, p...)
}
