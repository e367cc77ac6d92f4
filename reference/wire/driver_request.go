package wire

import (
	"encoding/base64"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// method of the request.
func (r *Request) method() string {
	if r.Method == "" {
		return "GET"
	}
	return r.Method
}

// authority is what Host or :authority say: the URL's host, without a port that is the scheme's own.
func authority(u *url.URL) string {
	host := u.Host
	if p := u.Port(); p == "" || p == "80" && u.Scheme == "http" || p == "443" && u.Scheme == "https" {
		host = strings.TrimSuffix(host, ":"+p)
	}
	if ascii, err := httpguts.PunycodeHostPort(host); err == nil {
		return ascii
	}
	return host
}

// target is what the request asks for: path and query. What net/url leaves raw in a query and no request line may hold is
// percent-encoded, as browsers do.
func target(u *url.URL) string {
	raw := u.RequestURI()
	odd := func(c byte) bool { return c <= ' ' || c >= 0x7f || c == '"' || c == '<' || c == '>' }
	n := 0
	for i := range len(raw) {
		if odd(raw[i]) {
			n++
		}
	}
	if n == 0 {
		return raw
	}
	const hex = "0123456789ABCDEF"
	p := make([]byte, 0, len(raw)+2*n)
	for i := range len(raw) {
		if c := raw[i]; odd(c) {
			p = append(p, '%', hex[c>>4], hex[c&15])
		} else {
			p = append(p, c)
		}
	}
	return string(p)
}

// fields is the header to send beside Host: the request's own, with Content-Length for a body and Authorization for
// credentials in the URL.
func (r *Request) fields() Header {
	h := slices.Clone(r.Header)
	if u := r.URL.User; u != nil && !h.Has("Authorization") {
		password, _ := u.Password()
		h = append(h, Field{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(u.Username()+":"+password))})
	}
	expects := len(r.Body) > 0 || r.Method == "POST" || r.Method == "PUT" || r.Method == "PATCH"
	if expects && !h.Has("Content-Length") && !h.Has("Transfer-Encoding") {
		h = append(h, Field{"Content-Length", strconv.Itoa(len(r.Body))})
	}
	return h
}

// check refuses what would break the framing of the request.
func (r *Request) check() error {
	switch {
	case r.URL == nil:
		return &RequestError{"the request has no URL"}
	case !isToken(r.method()):
		return &RequestError{"the method " + quote(r.Method) + " is not a token"}
	}
	for _, f := range r.Header {
		switch {
		case !isToken(f.Name):
			return &RequestError{"the field name " + quote(f.Name) + " is not a token"}
		case strings.ContainsAny(f.Value, "\r\n\x00"):
			return &RequestError{"the value of " + f.Name + " holds CR, LF or NUL"}
		}
	}
	if strings.ContainsAny(r.URL.Host, " \r\n\x00/") {
		return &RequestError{"the host of the URL holds white space or control bytes"}
	}
	return nil
}

// AppendHTTP1 appends the request as it goes over HTTP/1.1, body included. The error is a *[RequestError]; dst is returned unchanged then.
func (r *Request) AppendHTTP1(dst []byte) ([]byte, error) {
	if err := r.check(); err != nil {
		return dst, err
	}
	return r.appendHTTP1(dst), nil
}

// appendHTTP1 appends the request as HTTP/1.1 has it (RFC 9112 3).
func (r *Request) appendHTTP1(p []byte) []byte {
	p = append(p, r.method()...)
	p = append(p, ' ')
	p = append(p, target(r.URL)...)
	if r.HTTP10 {
		p = append(p, " HTTP/1.0\r\n"...)
	} else {
		p = append(p, " HTTP/1.1\r\n"...)
	}
	if !r.Header.Has("Host") {
		p = appendFieldLine(p, "Host", authority(r.URL))
	}
	for _, f := range r.fields() {
		p = appendFieldLine(p, f.Name, f.Value)
	}
	return append(append(p, "\r\n"...), r.Body...)
}

func appendFieldLine(p []byte, name, value string) []byte {
	p = append(append(p, name...), ": "...)
	return append(append(p, value...), "\r\n"...)
}
