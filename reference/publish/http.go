package publish

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// httpSender publishes by one HTTP request.
type httpSender struct {
	method string
	url    *text
	header []headerLine
	body   *text // nil: no body
	client *http.Client
	name   string
}

type headerLine struct {
	name  string
	value *text
}

func compileHTTP(h *Hook) (*httpSender, error) {
	method, rawURL, ok := strings.Cut(strings.TrimSpace(h.HTTP), " ")
	rawURL = strings.TrimSpace(rawURL)
	if !ok || rawURL == "" || strings.Contains(method, "/") {
		return nil, &HookError{"hook", fmt.Sprintf("%q is not 'METHOD URL'; write for example 'POST http://host/publish'", shorten(h.HTTP))}
	}
	if !isToken(method) {
		return nil, &HookError{"hook", fmt.Sprintf("%q is no HTTP method; write for example 'POST http://host/publish'", shorten(method))}
	}
	s := &httpSender{method: strings.ToUpper(method)}
	var err error
	if s.url, err = compile("URL", rawURL); err != nil {
		return nil, err
	}
	u, err := parseURL(s.url.zero)
	if err != nil {
		return nil, &HookError{"URL", err.Error()}
	}
	s.name = s.method + " " + u.Scheme + "://" + u.Host + u.EscapedPath()
	typed := false
	for _, line := range h.Header {
		name, value, ok := strings.Cut(line, ":")
		name = strings.TrimSpace(name)
		if !ok || !isToken(name) {
			// The line may hold a secret: it is not repeated.
			return nil, &HookError{"header", "a header line is not 'Name: value'"}
		}
		t, err := compile("header "+name, strings.TrimSpace(value))
		if err != nil {
			return nil, err
		}
		typed = typed || strings.EqualFold(name, "Content-Type")
		s.header = append(s.header, headerLine{name, t})
	}
	body := h.Body
	if body == "" && !s.uses("Data") && !s.uses("Marker") && (s.method == "POST" || s.method == "PUT" || s.method == "PATCH") {
		body = "{{.Data}}"
	}
	if body != "" {
		if s.body, err = compile("body", body); err != nil {
			return nil, err
		}
		if !typed {
			t, err := compile("header Content-Type", s.body.mediaType())
			if err != nil {
				return nil, err
			}
			s.header = append(s.header, headerLine{"Content-Type", t})
		}
	}
	if why := speaks(h.Proto, u); why != "" && h.Transport == nil {
		return nil, &HookError{"protocol", why}
	}
	rt := h.Transport
	if rt == nil {
		rt = newTransport(h)
	}
	s.client = &http.Client{
		Transport: rt,
		// A 3xx is an answer other than 2xx: not published.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return s, nil
}

func (*httpSender) start() error { return nil }

func (s *httpSender) close() { s.client.CloseIdleConnections() }

func (s *httpSender) String() string { return s.name }

func (s *httpSender) uses(field string) bool {
	if s.url.uses(field) || s.body != nil && s.body.uses(field) {
		return true
	}
	for i := range s.header {
		if s.header[i].value.uses(field) {
			return true
		}
	}
	return false
}

func (s *httpSender) send(ctx context.Context, m *Message, r *Receipt) error {
	req, err := s.request(ctx, m)
	if err != nil {
		return err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return s.fault(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 == 2 {
		// It is published: what else the answer says, which may be a stream of its own, is not worth a long wait.
		defer time.AfterFunc(answerPatience, func() { resp.Body.Close() }).Stop()
	}
	// A little more than what is kept is read, so that the connection can be used again; not all, because an answer may be endless.
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil && resp.StatusCode/100 != 2 {
		return s.fault(ctx, err)
	}
	r.Status, r.Body = resp.StatusCode, answer[:min(len(answer), maxAnswer)]
	r.Refused = resp.StatusCode/100 != 2
	return nil
}

// answerPatience is how long the content of an answer 2xx is waited for.
const answerPatience = time.Second

func (s *httpSender) request(ctx context.Context, m *Message) (*http.Request, error) {
	raw, err := s.url.fill(m)
	if err != nil {
		return nil, err
	}
	u, err := parseURL(raw)
	if err != nil {
		return nil, &CarryError{"URL", err.Error() + "; is a value in it without urlquery?"}
	}
	var body []byte
	if s.body != nil {
		filled, err := s.body.fill(m)
		if err != nil {
			return nil, err
		}
		body = []byte(filled)
	}
	req, err := http.NewRequestWithContext(ctx, s.method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, &CarryError{"URL", "no request can be made of it"}
	}
	for i := range s.header {
		h := &s.header[i]
		v, err := h.value.fill(m)
		if err != nil {
			return nil, err
		}
		if strings.ContainsAny(v, "\r\n\x00") {
			return nil, &CarryError{"header " + h.name, "a header value cannot carry CR, LF or U+0000; use json or urlquery"}
		}
		if strings.EqualFold(h.name, "Host") {
			req.Host = v
			continue
		}
		req.Header.Add(h.name, v)
	}
	return req, nil
}

// fault turns a client's error into one line without the URL, which may hold credentials.
func (s *httpSender) fault(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("%s: %w", s.name, cause)
	}
	if ue, ok := errors.AsType[*url.Error](err); ok {
		err = ue.Err
	}
	return fmt.Errorf("%s: %w", s.name, err)
}

// parseURL wants an absolute http or https URL. Its errors don't repeat the URL.
func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		if ue, ok := errors.AsType[*url.Error](err); ok {
			err = ue.Err
		}
		return nil, err
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("not an http or https URL; write for example 'POST http://host/publish'")
	}
	return u, nil
}

// isToken tells whether s is a token of RFC 9110 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

func shorten(s string) string {
	if len(s) > 40 {
		return s[:40] + "..."
	}
	return s
}

// Request is the HTTP request that publishes m, for a person to repeat it; it may hold credentials. ok is false for a command.
func (p *Publisher) Request(m Message) (method, rawURL string, header [][2]string, body []byte, ok bool) {
	s, ok := p.send.(*httpSender)
	if !ok {
		return "", "", nil, nil, false
	}
	rawURL, err := s.url.fill(&m)
	if err != nil {
		return "", "", nil, nil, false
	}
	for i := range s.header {
		if v, err := s.header[i].value.fill(&m); err == nil {
			header = append(header, [2]string{s.header[i].name, v})
		}
	}
	if s.body != nil {
		if b, err := s.body.fill(&m); err == nil {
			body = []byte(b)
		}
	}
	return s.method, rawURL, header, body, true
}
