package eventsource

import (
	"fmt"
	"net/url"
	"strings"

	"ssegauge/reference/wire"
)

// ResponseError is an answer that fails the connection: any status other than 200, or a Content-Type whose
// essence is not text/event-stream (WHATWG HTML 9.2.2). It is final: the client does not ask again.
type ResponseError struct {
	URL         *url.URL // final URL after redirects
	Status      int
	ContentType string // as it stood on the wire; empty where there was none
	Head        *wire.Head
}

// Error leaves the URL out, which may hold credentials.
func (e *ResponseError) Error() string {
	switch {
	case e.Status == 204:
		return "the server answered 204: it asks clients to stop reconnecting"
	case e.Status != 200:
		return fmt.Sprintf("the server answered status %d; an event stream needs 200", e.Status)
	case e.ContentType == "":
		return "the server answered without a Content-Type; an event stream needs text/event-stream"
	}
	return fmt.Sprintf("the server answered Content-Type %.100q; an event stream needs text/event-stream", e.ContentType)
}

// Stopped tells that the server asked to stop (204 No Content, 9.2.1) and that nothing went wrong.
func (e *ResponseError) Stopped() bool { return e.Status == 204 }

// accept is steps 15.3 and 15.4 of the constructor: status, then type.
func accept(s *wire.Stream) error {
	if s.Head.Status == 200 && essence(s.Head.Header) == "text/event-stream" {
		return nil
	}
	return &ResponseError{
		URL: s.URL, Status: s.Head.Status, Head: s.Head,
		ContentType: strings.Join(s.Head.Header.Values("Content-Type"), ", "),
	}
}

// essence extracts the MIME type of a response as fetch does: all Content-Type fields are one list, the last
// entry that is a MIME type at all counts, in lower case and without parameters.
func essence(h wire.Header) string {
	var last string
	for _, v := range h.Values("Content-Type") {
		for v != "" {
			var entry string
			entry, v = cutList(v)
			entry, _, _ = strings.Cut(entry, ";")
			entry = strings.ToLower(strings.Trim(entry, " \t\r\n"))
			typ, sub, ok := strings.Cut(entry, "/")
			if ok && isToken(typ) && isToken(sub) && entry != "*/*" {
				last = entry
			}
		}
	}
	return last
}

// cutList cuts v at its first comma that is not inside a quoted string.
func cutList(v string) (entry, rest string) {
	quoted := false
	for i := 0; i < len(v); i++ {
		switch c := v[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == ',' && !quoted:
			return v[:i], v[i+1:]
		}
	}
	return v, ""
}

// isToken tells whether s is an RFC 9110 5.6.2 token.
func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}
