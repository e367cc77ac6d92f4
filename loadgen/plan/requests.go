package plan

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"ssegauge/reference/publish"
	"ssegauge/reference/wire"
)

// Requests are what the streams of a target ask for. Where nothing varies, all ask for the same.
//
// A URL, a header value or a body with {{ in it is a Go template over .Stream, the stream's number in the plan from 0, and the columns of its row: .Row.NAME or .NAME;
// functions are json and urlquery.
type Requests struct {
	same   *wire.Request
	url    *template.Template   // nil: does not vary
	header []*template.Template // of same.Header
	body   *template.Template
	rows   *rows
	moved  *wire.Request // where the first was redirected; nil: nowhere
}

var action = regexp.MustCompile(`(?s)\{\{.*?\}\}`)

// Plain is a URL with a 0 in the place of each variable part.
func Plain(rawURL string) string { return action.ReplaceAllLiteralString(rawURL, "0") }

func varies(text string) bool { return strings.Contains(text, "{{") }

// Requests are those of target i of a plan that was validated.
func (p *Plan) Requests(i int) *Requests { return p.requests[i] }

// checked is how many streams' requests are made before the run to see that they can be.
const checked = 100_000

// compile prepares the requests of target i, and tries them.
func (p *Plan) compile(i int) (*Requests, error) {
	t := &p.Targets[i]
	where := fmt.Sprintf("targets[%d].", i)
	same := t.Request
	if same == nil {
		var err error
		if same, err = t.request(); err != nil {
			return nil, err
		}
	}
	r := &Requests{same: same, header: make([]*template.Template, len(same.Header)), rows: p.rows}
	var err error
	if r.url, err = r.parse(where+"url", t.URL); err != nil {
		return nil, err
	}
	for k, f := range same.Header {
		if r.header[k], err = r.parse(where+"header: "+f.Name, f.Value); err != nil {
			return nil, err
		}
	}
	if r.body, err = r.parse(where+"body", string(same.Body)); err != nil {
		return nil, err
	}
	if !r.Varies() {
		return r, nil
	}
	n := min(p.Streams, checked)
	if p.rows != nil && p.Variables.Order == Turn {
		n = min(n, p.rows.len()*len(p.Targets))
	}
	var wrote []byte
	for k := i; k < max(n, i+1); k += len(p.Targets) {
		req, err := r.Of(k)
		if err == nil {
			wrote, err = req.AppendHTTP1(wrote[:0])
		}
		if err != nil {
			return nil, r.explain(where, k, err)
		}
	}
	return r, nil
}

func (r *Requests) parse(where, text string) (*template.Template, error) {
	if !varies(text) {
		return nil, nil
	}
	t, err := template.New(where).Option("missingkey=error").Funcs(publish.Functions()).Parse(text)
	if err != nil {
		return nil, &Error{where, oneLine(strings.TrimPrefix(err.Error(), "template: "+where+":")) + "; want a Go template, and {{\"{{\"}} for two braces as they are"}
	}
	return t, nil
}

// Varies tells whether streams ask for different things.
func (r *Requests) Varies() bool {
	if r.url != nil || r.body != nil {
		return true
	}
	for _, h := range r.header {
		if h != nil {
			return true
		}
	}
	return false
}

// URLVaries tells whether the URL is another for each stream.
func (r *Requests) URLVaries() bool { return r.url != nil }

// Of is what the plan's stream n asks for: always the same pointer where nothing varies.
func (r *Requests) Of(n int) (*wire.Request, error) {
	if !r.Varies() {
		return r.same, nil
	}
	row := map[string]string{}
	data := map[string]any{}
	if r.rows != nil {
		r.rows.put(row, r.rows.pick(n))
		for name, cell := range row {
			data[name] = cell
		}
	}
	data["Stream"], data["Row"] = n, row
	req := *r.same
	var b strings.Builder
	fill := func(t *template.Template) (string, error) {
		b.Reset()
		err := t.Execute(&b, data)
		return b.String(), err
	}
	if r.url != nil {
		raw, err := fill(r.url)
		if err != nil {
			return nil, err
		}
		u, err := url.Parse(raw)
		if err != nil {
			return nil, &valueError{r.url.Name(), "it makes no URL; is a value in it without urlquery?"}
		}
		if u.Fragment = ""; u.Scheme != r.same.URL.Scheme || u.Host != r.same.URL.Host {
			return nil, &valueError{r.url.Name(), "scheme and host cannot vary; want a target for each"}
		}
		req.URL = u
	}
	cloned := false
	for k, t := range r.header {
		if t == nil {
			continue
		}
		value, err := fill(t)
		if err != nil {
			return nil, err
		}
		if strings.ContainsAny(value, "\r\n\x00") {
			return nil, &valueError{t.Name(), "it makes a value with CR, LF or U+0000, which no header can carry"}
		}
		if !cloned {
			cloned = true
			req.Header = slices.Clone(req.Header)
		}
		req.Header[k].Value = value
	}
	if r.body != nil {
		body, err := fill(r.body)
		if err != nil {
			return nil, err
		}
		req.Body = []byte(body)
	}
	if m := r.moved; m != nil {
		req.Method = m.Method
		if r.url == nil {
			req.URL = m.URL
		} else {
			req.URL.Scheme, req.URL.Host = m.URL.Scheme, m.URL.Host
		}
		if len(m.Body) == 0 {
			req.Body = nil
		}
		// What the redirect took away stays away: credentials, where it led to another origin.
		req.Header = slices.DeleteFunc(slices.Clone(req.Header), func(f wire.Field) bool { return !m.Header.Has(f.Name) })
	}
	return &req, nil
}

// Moved are the requests after the first of them was redirected to another. An error where nobody can say where the others would be.
func (r *Requests) Moved(first, to *wire.Request) (*Requests, error) {
	if first.URL.String() == to.URL.String() && first.Method == to.Method {
		return r, nil
	}
	if r.url != nil && first.URL.RequestURI() != to.URL.RequestURI() {
		return nil, &Error{r.url.Name(), "the first stream was redirected to another path, and each stream has a URL of its own; want the URL behind the redirect"}
	}
	moved := *r
	moved.moved = to
	return &moved, nil
}

// valueError is a request that cannot be made of what a row holds.
type valueError struct{ where, what string }

func (e *valueError) Error() string { return e.where + ": " + e.what }

var noColumn = regexp.MustCompile(`map has no entry for key "([^"]*)"`)

// explain says what is wrong with the request of a stream, and where its row stands.
func (r *Requests) explain(where string, stream int, err error) error {
	var ve *valueError
	var ee template.ExecError
	switch {
	case errors.As(err, &ve):
		where = ve.where
	case errors.As(err, &ee):
		where = ee.Name
	}
	if m := noColumn.FindStringSubmatch(err.Error()); m != nil {
		if r.rows == nil {
			return &Error{where, "there is no variable " + quote(m[1]) + "; want .Stream, or variables with a file that has such a column"}
		}
		return &Error{where, fmt.Sprintf("%s has no column %s; it has %s", quote(r.rows.file), quote(m[1]), quote(strings.Join(r.rows.names, ", ")))}
	}
	what := oneLine(err.Error())
	if ve != nil {
		what = ve.what
	}
	if r.rows != nil {
		what = fmt.Sprintf("%s, line %d: %s", quote(r.rows.file), r.rows.lines[r.rows.pick(stream)], what)
	}
	return &Error{where, what}
}

func oneLine(s string) string { return strings.TrimSpace(strings.ReplaceAll(s, "\n", " ")) }
