package raw

import (
	"bytes"
	"context"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http2/hpack"

	"ssegauge/reference/wire"
)

// fieldList is what one field block says, judged as it is read (RFC 9113 8.2, 8.3).
type fieldList struct {
	pseudo  map[string]string
	header  http.Header
	size    int
	length  int64 // Content-Length; -1: none
	regular bool  // a field came, so no pseudo-header may
	bad     bool
	made    *http.Request
}

func (l *fieldList) reset() {
	*l = fieldList{pseudo: map[string]string{}, header: http.Header{}, length: -1}
}

// add takes a field.
func (l *fieldList) add(f hpack.HeaderField) {
	if l.size += int(f.Size()); l.size > maxHead || l.bad {
		return
	}
	if strings.HasPrefix(f.Name, ":") {
		_, twice := l.pseudo[f.Name]
		switch f.Name {
		case ":method", ":scheme", ":authority", ":path":
		default:
			l.bad = true
		}
		l.bad = l.bad || twice || l.regular
		l.pseudo[f.Name] = f.Value
		return
	}
	l.regular = true
	if !isToken([]byte(f.Name)) || strings.ToLower(f.Name) != f.Name || !isValue([]byte(f.Value)) {
		l.bad = true
		return
	}
	switch f.Name {
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
		l.bad = true
	case "te":
		l.bad = !strings.EqualFold(f.Value, "trailers")
	case "content-length":
		n, err := strconv.ParseUint(f.Value, 10, 62)
		l.bad = err != nil || l.length >= 0 && l.length != int64(n)
		l.length = int64(n)
	}
	key := textproto.CanonicalMIMEHeaderKey(f.Name)
	l.header[key] = append(l.header[key], f.Value)
}

// check judges a request whole.
func (l *fieldList) check() bool {
	path, has := l.pseudo[":path"]
	_, scheme := l.pseudo[":scheme"]
	method := l.pseudo[":method"]
	if l.bad || !isToken([]byte(method)) {
		return false
	}
	if method == http.MethodConnect {
		return !has && !scheme && l.pseudo[":authority"] != ""
	}
	return has && scheme && path != "" && !strings.ContainsFunc(path, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}

// request makes the request that net/http would; nil where its path is none.
func (l *fieldList) request(addr string) *http.Request {
	if l.made != nil {
		if l.made.RemoteAddr != addr {
			l.made = l.made.WithContext(context.Background()) // a copy
			l.made.RemoteAddr = addr
		}
		return l.made
	}
	r := &http.Request{
		Method: l.pseudo[":method"], RequestURI: l.pseudo[":path"], Proto: "HTTP/2.0", ProtoMajor: 2, Header: l.header,
		Host: l.pseudo[":authority"], RemoteAddr: addr, Body: http.NoBody, ContentLength: l.length,
	}
	if r.Host == "" {
		r.Host = l.header.Get("Host")
	}
	delete(l.header, "Host")
	if c := l.header["Cookie"]; len(c) > 1 {
		l.header.Set("Cookie", strings.Join(c, "; ")) // RFC 9113 8.2.3
	}
	if r.Method == http.MethodConnect {
		r.URL = &url.URL{Host: r.Host}
	} else if u, err := url.ParseRequestURI(r.RequestURI); err == nil {
		r.URL = u
	} else {
		return nil
	}
	l.made = r
	return r
}

// memo is the request that a shard read last, by its field block: a client opens many streams by the same.
type memo struct {
	block []byte
	list  *fieldList
}

// fields handles a whole field block.
func (h *h2) fields(c *conn, id uint32, block []byte) {
	sh := c.sh
	if h.acked && len(block) > 0 && block[0] == 0x20 {
		h.settled, h.dec = true, nil
		block = block[1:]
	}
	var l *fieldList
	if m := &sh.blank; h.settled && m.list != nil && bytes.Equal(block, m.block) {
		l = m.list
	} else {
		l = &fieldList{}
		l.reset()
		if err := h.decode(c, block, l); err != nil {
			h.fail(c, wire.CodeCompression, "a field block that HPACK cannot read")
			return
		}
		if h.settled && l.check() && l.size <= maxHead && len(block) <= 1024 {
			sh.blank.block = append(sh.blank.block[:0], block...)
			sh.blank.list = l
		}
	}
	if id <= h.newest {
		h.trailers(c, id, l)
		return
	}
	h.newest = id
	switch {
	case h.leaving:
		h.reset(c, id, wire.CodeRefusedStream)
	case c.active() >= sh.eng.cfg.MaxConcurrentStreams:
		if !h.noisy(c, "streams beyond MAX_CONCURRENT_STREAMS") {
			h.reset(c, id, wire.CodeRefusedStream)
		}
	case l.size > maxHead:
		a := &sh.answer
		a.reset(c, nil)
		a.id = id
		a.header.Set("Content-Type", "text/plain; charset=utf-8")
		a.WriteHeader(http.StatusRequestHeaderFieldsTooLarge)
		a.body = append(a.body, "the fields of the request are larger than 65536 bytes\n"...)
		h.finite(c, a)
	case !l.check() || h.blockEnd && l.length > 0 || l.request(c.addr) == nil:
		h.streamError(c, id, wire.CodeProtocol)
	case !h.blockEnd:
		c.add(stream{id: id, window: h.initial, flags: asking | noFeed})
		if h.uploads == nil {
			h.uploads = map[uint32]*upload{}
		}
		h.uploads[id] = &upload{r: l, window: ourWindow}
		if h.held += l.size; h.laden(c) {
			h.streamError(c, id, wire.CodeEnhanceYourCalm)
		}
	default:
		c.serve(l.request(c.addr), id, 0)
	}
}

// decode reads a field block. A client may keep a dynamic table until it has read that we allow none; it says so by a block
// that begins with the table's new size, 0 (RFC 7541 4.2, 6.3). From then on there is nothing to remember of it.
func (h *h2) decode(c *conn, block []byte, l *fieldList) error {
	dec := c.sh.plain
	if !h.settled {
		if h.dec == nil {
			h.dec = hpack.NewDecoder(dynamicTable, nil)
			h.dec.SetMaxStringLength(maxHead)
		}
		dec = h.dec
	}
	dec.SetEmitFunc(l.add)
	defer dec.SetEmitFunc(nil)
	_, err := dec.Write(block)
	if err == nil {
		err = dec.Close()
	}
	if err != nil && h.settled {
		c.sh.plain = plainDecoder()
	}
	return err
}

// plainDecoder is one without a dynamic table.
func plainDecoder() *hpack.Decoder {
	d := hpack.NewDecoder(0, nil)
	d.SetAllowedMaxDynamicTableSize(0)
	d.SetMaxStringLength(maxHead)
	return d
}

// trailers are fields on a stream that has sent some: the end of its body (RFC 9113 8.1).
func (h *h2) trailers(c *conn, id uint32, l *fieldList) {
	u := h.uploads[id]
	switch {
	case u == nil:
		if _, ok := c.find(id); ok {
			h.streamError(c, id, wire.CodeStreamClosed)
			return
		}
		if slices.Contains(h.resets, id) { // RFC 9113 5.1
			h.noisy(c, "HEADERS on a stream that was reset")
			return
		}
		h.fail(c, wire.CodeStreamClosed, "HEADERS on a stream that has ended")
	case !h.blockEnd || l.bad || len(l.pseudo) > 0 || l.size > maxHead:
		h.streamError(c, id, wire.CodeProtocol)
	default:
		h.uploaded(c, id, u)
	}
}
