package plan

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// Error is a plan that cannot be run: a usage error, on one line.
type Error struct {
	Where string // the field as it stands in YAML: "targets[0].url"
	What  string // what is wrong with it, and what would be right
}

func (e *Error) Error() string { return "plan: " + e.Where + ": " + e.What }

// Decode reads a plan from YAML. Fields that it does not know are errors. It is not yet validated: the command line may complete it.
func Decode(r io.Reader) (*Plan, error) {
	b, err := io.ReadAll(io.LimitReader(r, 1<<20))
	if err != nil {
		return nil, err
	}
	p := new(Plan)
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(p); err != nil {
		var te *yaml.TypeError
		if errors.As(err, &te) && len(te.Errors) > 0 {
			return nil, &Error{"YAML", te.Errors[0]}
		}
		if errors.Is(err, io.EOF) {
			return nil, &Error{"YAML", "the file is empty"}
		}
		return nil, &Error{"YAML", strings.TrimPrefix(strings.ReplaceAll(err.Error(), "\n", " "), "yaml: ")}
	}
	if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, &Error{"YAML", "more than one document; a plan is one"}
	}
	return p, nil
}

// In reads the plan's relative file names as seen from dir, where its file stands.
func (p *Plan) In(dir string) {
	from := func(name *string) {
		if *name != "" && !filepath.IsAbs(*name) {
			*name = filepath.Join(dir, *name)
		}
	}
	if p.Variables != nil {
		from(&p.Variables.File)
	}
	for i := range p.Targets {
		t := &p.Targets[i]
		if name, isFile := strings.CutPrefix(t.Body, "@"); isFile {
			from(&name)
			t.Body = "@" + name
		}
		for _, name := range []*string{&t.CACert, &t.Cert, &t.Key} {
			from(name)
		}
	}
}

// Validate fills in defaults and says what is wrong, as *Error.
func (p *Plan) Validate() error {
	bad := func(where, format string, args ...any) error {
		return &Error{where, fmt.Sprintf(format, args...)}
	}
	if err := p.validTimestamp(); err != nil {
		return err
	}
	if len(p.Targets) == 0 {
		return bad("targets", "none given; want at least one with a url")
	}
	for i := range p.Targets {
		if err := p.Targets[i].validate(fmt.Sprintf("targets[%d]", i)); err != nil {
			return err
		}
	}
	for _, f := range []struct {
		name string
		v    *time.Duration
		def  time.Duration
	}{{"duration", &p.Hold, DefaultDuration}, {"timeout", &p.Timeout, DefaultTimeout}} {
		if *f.v < 0 {
			return bad(f.name, "%v is negative; want more than 0s, as in %v", *f.v, f.def)
		}
		if *f.v == 0 {
			*f.v = f.def
		}
	}
	if err := p.validLevel(); err != nil {
		return err
	}
	if p.StreamsPerConn == 0 {
		p.StreamsPerConn = DefaultStreamsPerConn
	}
	if p.StreamsPerConn < 1 || p.StreamsPerConn > 1<<20 {
		return bad("streams_per_conn", "%d; want 1 to %d", p.StreamsPerConn, 1<<20)
	}
	switch p.Engine {
	case "", "auto", "epoll", "portable":
	default:
		return bad("engine", "%s; want auto, epoll or portable", quote(p.Engine))
	}
	if _, err := p.SourceAddrs(); err != nil {
		return err
	}
	if p.Segment.Count == 0 {
		p.Segment = Segment{0, 1}
	}
	if s := p.Segment; s.Index < 0 || s.Index >= s.Count {
		return bad("segment", "%v; want i:n with 0 <= i < n", s)
	}
	if err := p.validRequests(); err != nil {
		return err
	}
	if err := p.validLife(); err != nil {
		return err
	}
	if p.Publish == nil {
		return nil
	}
	if err := p.Publish.validate(); err != nil {
		return err
	}
	if n := float64(p.Publish.Rate) * (p.Publish.WarmUp + p.Hold).Seconds(); p.Publish.Arrival == Poisson && n > maxDrawn {
		return bad("publish.arrival", "poisson with %.0f events; want at most %.0f, or constant", n, maxDrawn)
	}
	return nil
}

// validRequests reads the variables, once, and sees that every target's requests can be made.
func (p *Plan) validRequests() (err error) {
	if p.Variables != nil && p.rows == nil {
		if p.rows, err = p.Variables.load(p.Streams, p.Seed); err != nil {
			return err
		}
	}
	p.requests = make([]*Requests, len(p.Targets))
	for i := range p.Targets {
		if p.requests[i], err = p.compile(i); err != nil {
			return err
		}
	}
	return nil
}

func (p *Publish) validate() error {
	bad := func(where, format string, args ...any) error {
		return &Error{"publish." + where, fmt.Sprintf(format, args...)}
	}
	ways := 0
	for _, way := range []string{p.HTTP, p.Command, p.Stdin} {
		if way != "" {
			ways++
		}
	}
	if _, err := ParseProto(p.Protocol); err != nil {
		return bad("protocol", "%v", err)
	}
	switch {
	case ways == 0:
		return bad("http", "neither http nor command nor stdin is given; want http: 'POST URL', or a command")
	case ways > 1:
		return bad("http", "more than one of http, command and stdin is given; want one of them")
	case p.Rate < 0 || p.Rate > MaxRate:
		return bad("rate", "%v; want more than 0 and at most %d/s", float64(p.Rate), MaxRate)
	case p.Size < 0 || p.Size > 64<<20:
		return bad("size", "%d; want 0 to %d bytes", p.Size, 64<<20)
	case p.InFlight < 0 || p.InFlight > 10_000:
		return bad("in_flight", "%d; want 1 to 10000", p.InFlight)
	case p.WarmUp < 0:
		return bad("warm_up", "%v is negative; want 0s or more", p.WarmUp)
	case p.Settle < 0:
		return bad("settle", "%v is negative; want 0s or more", p.Settle)
	case p.Deadline < 0 || p.Deadline > time.Hour:
		return bad("deadline", "%v; want more than 0s and at most 1h", p.Deadline)
	}
	if err := validArrival("publish.arrival", &p.Arrival); err != nil {
		return err
	}
	if p.Rate == 0 {
		p.Rate = DefaultPublishRate
	}
	if p.InFlight == 0 {
		p.InFlight = DefaultInFlight
	}
	if p.Settle == 0 {
		p.Settle = DefaultSettle
	}
	if p.Deadline == 0 {
		p.Deadline = DefaultDeadline
	}
	if n := float64(p.Rate) * p.Deadline.Seconds(); n > 1<<22 {
		return bad("deadline", "%v at %v is %.0f events under way at once; want at most %d", p.Deadline, p.Rate, n, 1<<22)
	}
	return nil
}

func (t *Target) validate(where string) error {
	bad := func(field, format string, args ...any) error {
		return &Error{where + "." + field, fmt.Sprintf(format, args...)}
	}
	if t.Request != nil && t.URL == "" {
		t.URL = t.Request.URL.String()
	}
	u, err := url.Parse(Plain(t.URL))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return bad("url", "%s is not an absolute http or https URL, as in http://127.0.0.1:8080/events", quote(result.Mask(t.URL)))
	}
	proto, err := ParseProto(t.HTTP)
	if err != nil {
		return bad("http", "%v", err)
	}
	if proto == wire.H2C && u.Scheme == "https" || proto == wire.HTTP2 && u.Scheme == "http" {
		return bad("http", "%s does not go with %s://; want 2 over https, h2c over http", t.HTTP, u.Scheme)
	}
	if t.Method != "" && !wire.IsToken(t.Method) {
		return bad("method", "%s is not a method, as in GET or POST", quote(t.Method))
	}
	if _, err := parseHeader(t.Header); err != nil {
		return bad("header", "%v", err)
	}
	if (t.Cert == "") != (t.Key == "") {
		return bad("cert", "cert and key go together; only one is given")
	}
	return nil
}

// quote shows a value that came from the user, short, without what a terminal would act on.
func quote(s string) string {
	if len(s) > 80 {
		s = s[:80] + "..."
	}
	return fmt.Sprintf("%q", s)
}
