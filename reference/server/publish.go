package server

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"ssegauge/reference/sse"
)

// Limits on the fields of a published event, in bytes.
const (
	maxIDBytes    = 1024 // an id comes back in a request field, and servers limit those
	maxEventBytes = 1024
)

// publish appends an event to a channel.
func (s *Server) publish(w http.ResponseWriter, r *http.Request) {
	if !s.authorized(r) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="publish"`)
		fail(w, http.StatusUnauthorized, "publishing needs the token: Authorization: Bearer <token>")
		return
	}
	name, ok := channelName(w, r)
	if !ok {
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.cfg.MaxBody))
	if tooLong := (*http.MaxBytesError)(nil); errors.As(err, &tooLong) {
		fail(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d bytes", tooLong.Limit))
		return
	} else if err != nil {
		fail(w, http.StatusBadRequest, "the body could not be read")
		return
	}
	parse := bodyParser(r.Header.Get("Content-Type"), body)
	if parse == nil {
		w.Header().Set("Accept-Post", "application/json, application/x-www-form-urlencoded")
		fail(w, http.StatusUnsupportedMediaType, "send application/json or application/x-www-form-urlencoded")
		return
	}
	fields, err := parse(body)
	var m sse.Message
	var wrap func([]byte) []byte
	if err == nil {
		if s.fault.Verbatim != "" {
			wrap = verbatim(s.fault.Verbatim, fields)
		}
		if text := fields["comment"]; utf8.ValidString(text) {
			if text != "" {
				wrap = commented(text)
			}
			delete(fields, "comment")
		}
		m, err = message(fields)
	}
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	c, err := s.channels.hold(name)
	if err != nil {
		s.refuse(w, err)
		return
	}
	defer s.channels.release(c)
	parts, withheld, err := s.cfg.fit(m)
	if err != nil {
		fail(w, http.StatusRequestEntityTooLarge, err.Error())
		return
	}
	if withheld {
		wrap = withhold
	}
	var id string
	for _, part := range parts {
		if id, err = c.publishWrapped(part, wrap); err != nil {
			fail(w, http.StatusBadRequest, err.Error())
			return
		}
	}
	s.count.published.Add(1)
	answerJSON(w, map[string]string{"id": id, "channel": name})
}

// bodyParser chooses by the media type; nil where there is none for it. An object is taken for JSON also where no type is named
// (RFC 9110 8.3) or the type is that of a form, as with curl -d: it would not be a form that means anything.
func bodyParser(contentType string, body []byte) func([]byte) (map[string]string, error) {
	mediaType, _, err := mime.ParseMediaType(contentType)
	object := bytes.HasPrefix(bytes.TrimSpace(body), []byte("{"))
	switch {
	case err == nil && mediaType == "application/json":
		return parseJSON
	case object && (contentType == "" || mediaType == "application/x-www-form-urlencoded"):
		return parseJSON
	case err == nil && mediaType == "application/x-www-form-urlencoded":
		return parseForm
	}
	return nil
}

// authorized compares digests, so that neither the length nor the bytes of the token show in the time it takes.
func (s *Server) authorized(r *http.Request) bool {
	if s.cfg.PublishToken == "" {
		return true
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	got, want := sha256.Sum256([]byte(strings.TrimSpace(token))), sha256.Sum256([]byte(s.cfg.PublishToken))
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1 && strings.EqualFold(scheme, "Bearer")
}

// parseJSON takes one object whose members are strings; retry may be a number.
func parseJSON(body []byte) (map[string]string, error) {
	if !utf8.Valid(body) {
		return nil, errors.New("the body is not well-formed UTF-8")
	}
	if loneSurrogate(body) {
		return nil, errors.New(`the body escapes a lone surrogate (\ud800 to \udfff), which is no character`)
	}
	d := json.NewDecoder(bytes.NewReader(body))
	var members map[string]json.RawMessage
	if err := d.Decode(&members); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, errors.New("the JSON ends too early")
		}
		if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) {
			return nil, errors.New("the JSON is not an object")
		}
		return nil, errors.New("the body is not JSON: " + err.Error())
	}
	if members == nil {
		return nil, errors.New("the JSON is not an object")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON object")
	}
	fields := make(map[string]string, len(members))
	for name, raw := range members {
		if string(raw) == "null" {
			continue
		}
		var v string
		if err := json.Unmarshal(raw, &v); err != nil {
			var n json.Number
			if name != "retry" || json.Unmarshal(raw, &n) != nil {
				return nil, fmt.Errorf("%.40q is not a string", name)
			}
			v = n.String()
		}
		fields[name] = v
	}
	return fields, nil
}

// loneSurrogate tells whether JSON text escapes half of a surrogate pair: encoding/json would put U+FFFD in its place
// without a word.
func loneSurrogate(b []byte) bool {
	unit := func(i int) (uint64, bool) { // the code unit escaped at i
		if len(b) < i+6 || b[i] != '\\' || b[i+1] != 'u' {
			return 0, false
		}
		u, err := strconv.ParseUint(string(b[i+2:i+6]), 16, 16)
		return u, err == nil
	}
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' {
			continue
		}
		u, ok := unit(i)
		switch {
		case !ok:
			i++ // another escape, of two bytes
		case u>>10 == 0xdc00>>10:
			return true
		case u>>10 == 0xd800>>10:
			if low, ok := unit(i + 6); !ok || low>>10 != 0xdc00>>10 {
				return true
			}
			i += 11
		default:
			i += 5
		}
	}
	return false
}

func parseForm(body []byte) (map[string]string, error) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, errors.New("the form is malformed: " + err.Error())
	}
	fields := make(map[string]string, len(form))
	for name, values := range form {
		if len(values) > 1 {
			return nil, fmt.Errorf("%.40q is there %d times", name, len(values))
		}
		fields[name] = values[0]
	}
	return fields, nil
}

// message checks what would break framing or could not come back as a Last-Event-ID field.
func message(fields map[string]string) (m sse.Message, err error) {
	for name, v := range fields {
		if !utf8.ValidString(v) {
			return m, fmt.Errorf("%.40q is not well-formed UTF-8", name)
		}
		switch name {
		case "data":
			m.Data = v
		case "event":
			if strings.ContainsAny(v, "\r\n") {
				return m, errors.New("event holds CR or LF, which would end its line")
			}
			if len(v) > maxEventBytes {
				return m, fmt.Errorf("event is longer than %d bytes", maxEventBytes)
			}
			m.Event = v
		case "id":
			if err := checkID(v); err != nil {
				return m, err
			}
			m.ID = v
		case "retry":
			if strings.Trim(v, "0123456789") != "" || len(v) > 15 {
				return m, errors.New("retry is not a number of milliseconds in ASCII digits")
			}
			m.Retry = v
		default:
			return m, fmt.Errorf("unknown field %.40q: data, event, id, retry and comment are known", name)
		}
	}
	return m, nil
}

func checkID(id string) error {
	for _, c := range []byte(id) {
		switch {
		case c == '\r' || c == '\n':
			return errors.New("id holds CR or LF, which would end its line")
		case c == 0:
			return errors.New("id holds NUL, for which clients ignore the whole field")
		case c < ' ' && c != '\t' || c == 0x7f:
			return errors.New("id holds a control character, which Last-Event-ID cannot carry")
		}
	}
	switch {
	case strings.Trim(id, " \t") != id:
		return errors.New("id begins or ends with white space, which Last-Event-ID loses")
	case len(id) > maxIDBytes:
		return fmt.Errorf("id is longer than %d bytes", maxIDBytes)
	}
	return nil
}
