package raw

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http2/hpack"

	"ssegauge/reference/wire"
)

// head queues HEADERS.
func (h *h2) head(c *conn, a *answer, end bool) {
	block := c.sh.block(a)
	if !h.sized {
		h.sized = true // our table has size 0, whatever the client's SETTINGS allow (RFC 7541 6.3)
	} else {
		block = block[1:]
	}
	var flags uint8
	if end {
		flags = flagEndStream
	}
	for kind := uint8(frameHeaders); ; {
		n := min(len(block), maxFrame)
		if n == len(block) {
			flags |= flagEndHeaders
		}
		c.out = append(appendFrameHead(c.out, n, kind, flags, a.id), block[:n]...)
		if block = block[n:]; len(block) == 0 {
			return
		}
		kind, flags = frameContinuation, 0
	}
}

// headMemo is the field block of the answer before: many streams begin alike.
type headMemo struct {
	code   int
	date   string
	header http.Header
}

// block is the field block of an answer, behind a change of the table's size to 0.
func (sh *shard) block(a *answer) []byte {
	m, date := &sh.head, sh.date.now(sh.now)
	if m.code == a.code && m.date == date && maps.EqualFunc(m.header, a.header, slices.Equal) {
		return sh.encoded
	}
	*m = headMemo{code: a.code, date: date, header: maps.Clone(a.header)}
	sh.encoded = append(sh.encoded[:0], 0x20)
	write := func(name, value string) { _ = sh.enc.WriteField(hpack.HeaderField{Name: name, Value: value}) }
	write(":status", strconv.Itoa(a.code))
	a.fields(func(name, value string) { write(strings.ToLower(name), value) })
	write("date", date)
	return sh.encoded
}

// finite queues an answer that has an end.
func (h *h2) finite(c *conn, a *answer) {
	if a.sized() && (len(a.body) > 0 || !a.is("HEAD")) {
		a.header.Set("Content-Length", strconv.Itoa(len(a.body)))
	}
	s := h.row(c, a.id)
	s.flags = noFeed
	body := a.body
	if a.is("HEAD") {
		body = nil
	}
	h.head(c, a, len(body) == 0)
	if n := len(body); n > 0 {
		if !h.fits(&s, n) {
			h.put(c, s, body)
			return
		}
		c.out = append(appendFrameHead(c.out, n, frameData, flagEndStream, a.id), body...)
		h.window -= int64(n)
	}
	if i, ok := c.find(a.id); ok {
		c.drop(i)
	}
	h.leave(c)
}

// begin queues the head and the first block of a stream.
func (h *h2) begin(c *conn, a *answer, s stream, first []byte) {
	h.head(c, a, false)
	s.window = h.row(c, a.id).window
	if n := len(first); n > 0 && h.fits(&s, n) {
		c.out = append(appendFrameHead(c.out, n, frameData, 0, a.id), first...)
		h.spend(&s, n)
		first = nil
	}
	h.put(c, s, first)
}

// row is the stream as it stands in the table, or a new one.
func (h *h2) row(c *conn, id uint32) stream {
	if i, ok := c.find(id); ok {
		return c.streams[i]
	}
	return stream{id: id, window: h.initial}
}

// fits tells whether n bytes of content can go at once, in one frame.
func (h *h2) fits(s *stream, n int) bool {
	return int64(n) <= min(h.window, int64(s.window), int64(h.maxFrame))
}

// put takes a stream into the table, with content that comes before its feed.
func (h *h2) put(c *conn, s stream, content []byte) {
	if len(content) > 0 {
		if h.pre == nil {
			h.pre = map[uint32][]byte{}
		}
		h.pre[s.id] = append([]byte(nil), content...)
		h.held += len(content)
		s.flags |= hasPre
	}
	c.add(s)
	if h.laden(c) {
		h.fail(c, wire.CodeEnhanceYourCalm, "too many answers that are not taken")
	}
}

// spend takes n bytes from the windows.
func (h *h2) spend(s *stream, n int) {
	s.window -= int32(n)
	h.window -= int64(n)
}

// fillPre appends what comes before the feed of the stream at i.
func (h *h2) fillPre(c *conn, buf []byte, i int) []byte {
	s := &c.streams[i]
	content := h.pre[s.id]
	for s.flags&hasPre != 0 && len(buf) < scratchSize {
		n := min(len(content)-int(s.off), c.room(s), int(h.maxFrame))
		if n <= 0 {
			c.wait(s)
			if c.looking && c.silence(s) >= c.sh.eng.cfg.WriteTimeout {
				return c.cut(buf, i)
			}
			break
		}
		was, flags, kind := *s, uint8(0), part
		rest := content[s.off : int(s.off)+n]
		if s.off += uint32(n); int(s.off) == len(content) {
			s.off, s.flags, kind = 0, s.flags&^hasPre, before
			if s.flags&noFeed != 0 {
				flags, kind = flagEndStream, ending
				s.flags |= asking
			}
		}
		buf = append(appendFrameHead(buf, n, frameData, flags, s.id), rest...)
		h.spend(s, n)
		c.log(i, buf, kind, 0, was)
	}
	return buf
}

// taken drops what is held for a stream: its request, or the content before its feed.
func (h *h2) taken(id uint32) {
	if p, ok := h.pre[id]; ok {
		h.held -= len(p)
		delete(h.pre, id)
	}
	if u := h.uploads[id]; u != nil {
		h.held -= u.r.size + len(u.body)
		delete(h.uploads, id)
	}
}
