package raw

import (
	"bytes"
	"errors"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
)

// head is what the head of an HTTP/1 request says.
type head struct {
	r       *http.Request
	minor   int // HTTP/1.minor
	length  int64
	chunked bool
	close   bool
	expects bool // 100 Continue
}

// malformed is why a request is not answered as asked.
type malformed struct {
	code   int
	reason string
}

func bad(reason string) *malformed { return &malformed{http.StatusBadRequest, reason} }

// parseHead reads a head, from its first byte to its empty line. It is strict where leniency would let two readers of one request
// disagree (RFC 9112 2.2, 5.1, 5.2, 6.1, 6.3, 11.2): bare LF, folded lines, white space before a colon, two lengths, a length beside chunks.
func parseHead(p []byte) (*head, *malformed) {
	line, rest, m := nextLine(p)
	if m != nil {
		return nil, m
	}
	method, target, _ := bytes.Cut(line, []byte{' '})
	target, version, ok := bytes.Cut(target, []byte{' '})
	h := &head{}
	switch {
	case !ok || !isToken(method) || len(target) == 0:
		return nil, bad("the request line is not METHOD TARGET HTTP/1.1")
	case string(version) == "HTTP/1.1":
		h.minor = 1
	case string(version) == "HTTP/1.0":
	case len(version) == 8 && bytes.HasPrefix(version, []byte("HTTP/")) && version[6] == '.':
		return nil, &malformed{http.StatusHTTPVersionNotSupported, "HTTP/1.1, or HTTP/2 in the clear by prior knowledge"}
	default:
		return nil, bad("the request line does not end with HTTP/1.1")
	}
	for _, b := range target {
		if b <= ' ' || b >= 0x7f {
			return nil, bad("the target of the request holds a character that is not allowed")
		}
	}
	h.r = &http.Request{
		Method: string(method), RequestURI: string(target), Proto: string(version), ProtoMajor: 1, ProtoMinor: h.minor,
		Header: make(http.Header, 8), Body: http.NoBody,
	}
	for {
		if line, rest, m = nextLine(rest); m != nil {
			return nil, m
		}
		if len(line) == 0 {
			break
		}
		name, value, colon := bytes.Cut(line, []byte{':'})
		if !colon || !isToken(name) {
			return nil, bad("a line of the head is not NAME: VALUE")
		}
		value = bytes.Trim(value, " \t")
		if !isValue(value) {
			return nil, bad("the value of a field holds a control character")
		}
		key := textproto.CanonicalMIMEHeaderKey(string(name))
		h.r.Header[key] = append(h.r.Header[key], string(value))
	}
	if m := h.frame(); m != nil {
		return nil, m
	}
	return h, h.address()
}

// frame finds out how long the body is.
func (h *head) frame() *malformed {
	fields := h.r.Header
	if te, ok := fields["Transfer-Encoding"]; ok {
		_, both := fields["Content-Length"]
		switch {
		case both:
			return bad("Content-Length and Transfer-Encoding: one of them")
		case h.minor == 0:
			return bad("Transfer-Encoding in HTTP/1.0")
		case len(te) != 1 || !strings.EqualFold(te[0], "chunked"):
			return &malformed{http.StatusNotImplemented, "of transfer codings only chunked is known"}
		}
		h.chunked = true
	}
	for i, v := range fields["Content-Length"] {
		n, err := strconv.ParseUint(v, 10, 62)
		if err != nil || v[0] == '+' || i > 0 && int64(n) != h.length {
			return bad("Content-Length is not one number")
		}
		h.length = int64(n)
	}
	if h.chunked {
		h.r.ContentLength = -1
	} else {
		h.r.ContentLength = h.length
	}
	if v := fields.Get("Expect"); v != "" {
		if !strings.EqualFold(v, "100-continue") {
			return &malformed{http.StatusExpectationFailed, "of expectations only 100-continue is known"}
		}
		h.expects = h.minor == 1
	}
	h.close = listed(fields["Connection"], "close") || h.minor == 0
	return nil
}

// address finds out what the request is for.
func (h *head) address() *malformed {
	r := h.r
	hosts := r.Header["Host"]
	if len(hosts) > 1 || h.minor == 1 && len(hosts) == 0 {
		return bad("a request has one Host field")
	}
	if len(hosts) == 1 {
		if strings.ContainsAny(hosts[0], " \t/@?#\\") {
			return bad("the Host field is no host")
		}
		r.Host = hosts[0]
		delete(r.Header, "Host")
	}
	u, err := url.ParseRequestURI(r.RequestURI)
	if err != nil {
		return bad("the target of the request is no path")
	}
	if u.Host != "" {
		r.Host = u.Host
	}
	r.URL = u
	return nil
}

// nextLine cuts a line off p; it ends with CRLF.
func nextLine(p []byte) (line, rest []byte, m *malformed) {
	i := bytes.IndexByte(p, '\n')
	if i < 1 || p[i-1] != '\r' {
		return nil, nil, bad("a line of the head does not end with CRLF")
	}
	if line = p[:i-1]; bytes.IndexByte(line, '\r') >= 0 {
		return nil, nil, bad("a line of the head holds CR")
	}
	return line, p[i+1:], nil
}

func isToken(p []byte) bool {
	for _, b := range p {
		if !tokenBytes[b] {
			return false
		}
	}
	return len(p) > 0
}

// tokenBytes are those of a token (RFC 9110 5.6.2).
var tokenBytes = func() (set [256]bool) {
	for _, b := range []byte("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") {
		set[b] = true
	}
	return set
}()

func isValue(p []byte) bool {
	for _, b := range p {
		if b < ' ' && b != '\t' || b == 0x7f {
			return false
		}
	}
	return true
}

var errChunk = errors.New("the chunks of the body are malformed")

// chunks reads a chunked body (RFC 9112 7.1). Extensions and trailers are read past, within bounds.
type chunks struct {
	left  int64 // of the chunk at hand
	state chunkState
	line  []byte // the line at hand
	extra int    // bytes of lines so far
}

type chunkState uint8

const (
	chunkSize chunkState = iota
	chunkData
	chunkEnd
	chunkTrailer
)

// take appends content to dst; n is how much of p it took, done that the body is whole.
func (ch *chunks) take(dst, p []byte) (content []byte, n int, done bool, err error) {
	for n < len(p) {
		if ch.state == chunkData {
			k := int(min(ch.left, int64(len(p)-n)))
			dst = append(dst, p[n:n+k]...)
			n += k
			if ch.left -= int64(k); ch.left == 0 {
				ch.state = chunkEnd
			}
			continue
		}
		i := bytes.IndexByte(p[n:], '\n')
		piece := p[n:]
		if i >= 0 {
			piece = p[n : n+i+1]
		}
		n += len(piece)
		ch.line = append(ch.line, piece...)
		if ch.extra += len(piece); ch.extra > maxHead {
			return dst, n, false, errChunk
		}
		if i < 0 {
			break
		}
		line, _, m := nextLine(ch.line)
		ch.line = ch.line[:0]
		if m != nil {
			return dst, n, false, errChunk
		}
		switch ch.state {
		case chunkEnd:
			if len(line) != 0 {
				return dst, n, false, errChunk
			}
			ch.state, ch.extra = chunkSize, max(0, ch.extra-2)
		case chunkTrailer:
			if len(line) == 0 {
				return dst, n, true, nil
			}
		case chunkSize:
			digits, _, _ := bytes.Cut(line, []byte{';'})
			digits = bytes.TrimRight(digits, " \t")
			size, err := strconv.ParseUint(string(digits), 16, 40)
			if err != nil || len(digits) > 10 || bytes.IndexByte(digits, '_') >= 0 || digits[0] == '+' {
				return dst, n, false, errChunk
			}
			if ch.left, ch.state = int64(size), chunkData; size == 0 {
				ch.state = chunkTrailer
			}
		}
	}
	return dst, n, false, nil
}
