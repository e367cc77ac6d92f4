package main

import (
	"crypto/tls"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ssegauge/reference/wire"
)

// targetFlags are the flags that every command which opens streams shares.
type targetFlags struct {
	headers   []string
	method    string
	body      string
	http      string
	insecure  bool
	caCert    string
	cert      string
	key       string
	connectTo string
	profile   string
	timeout   time.Duration
}

func (t *targetFlags) add(cmd *cobra.Command) { t.addWithin(cmd, 10*time.Second) }

// addWithin is add with a default of its own for --timeout.
func (t *targetFlags) addWithin(cmd *cobra.Command, timeout time.Duration) {
	f := cmd.Flags()
	f.StringArrayVarP(&t.headers, "header", "H", nil, "request field `'K: V'` (repeatable)")
	f.StringVar(&t.method, "method", "", "request method (default GET, or POST with --body)")
	f.StringVar(&t.body, "body", "", "request body, or `@file`: a request that is answered with a stream")
	f.StringVar(&t.http, "http", "auto", "protocol: auto|1.1|2|h2c (h2c: HTTP/2 in the clear, prior knowledge)")
	f.BoolVar(&t.insecure, "insecure", false, "accept any certificate")
	f.StringVar(&t.caCert, "cacert", "", "PEM `file` of authorities to trust instead of the system's")
	f.StringVar(&t.cert, "cert", "", "PEM `file` of the client certificate")
	f.StringVar(&t.key, "key", "", "PEM `file` of the client certificate's key")
	f.StringVar(&t.connectTo, "connect-to", "", "connect to `host:port` instead of the URL's")
	f.StringVar(&t.profile, "profile", "", "YAML `file` of flags for this target (name: value)")
	f.DurationVar(&t.timeout, "timeout", timeout, "limit from dialling to the response head")
}

// shared holds the names of flags that one profile may set for several commands; a command passes over those it lacks.
var shared = []string{
	"publish", "publish-header", "publish-body", "publish-cmd", "publish-http", "publish-stdin", "window", "only", "skip", "profile-set", "require", "fail-on", "severity", "baseline", "requirements",
	"streams", "ramp", "open-rate", "stages", "arrival", "seed", "variables", "variables-order", "duration", "streams-per-conn", "publish-rate", "publish-arrival", "publish-size", "publish-in-flight", "publish-deadline", "publish-warm-up", "threshold",
	"probe", "budget", "engine", "source", "remote-resets",
}

// load applies the profile, then turns the flags into a request for rawURL and a dialer.
func (t *targetFlags) load(cmd *cobra.Command, rawURL string) (*wire.Request, *wire.Dialer, error) {
	if err := t.applyProfile(cmd); err != nil {
		return nil, nil, err
	}
	u, err := parseURL(rawURL)
	if err != nil {
		return nil, nil, err
	}
	req := &wire.Request{Method: t.method, URL: u}
	if req.Body, err = bodyOf(t.body); err != nil {
		return nil, nil, err
	}
	switch {
	case t.method == "" && t.body != "":
		req.Method = "POST"
	case t.method != "" && !wire.IsToken(t.method):
		return nil, nil, usagef("--method %q is no method: letters only, as in GET or POST", t.method)
	}
	if req.Header, err = fields("header", t.headers); err != nil {
		return nil, nil, err
	}
	if !req.Header.Has("Accept") {
		req.Header = append(req.Header, wire.Field{Name: "Accept", Value: "text/event-stream"})
	}
	if !req.Header.Has("User-Agent") {
		req.Header = append(req.Header, wire.Field{Name: "User-Agent", Value: "ssegauge/" + toolVersion()})
	}
	d := &wire.Dialer{HeadTimeout: t.timeout, MaxRedirects: 20, ConnectTo: t.connectTo}
	if t.timeout <= 0 {
		return nil, nil, usagef("--timeout %v is too short: give a time above zero, as in 10s", t.timeout)
	}
	if d.Proto, err = protocol(t.http, u); err != nil {
		return nil, nil, err
	}
	if t.connectTo != "" {
		if _, _, err := net.SplitHostPort(t.connectTo); err != nil {
			return nil, nil, usagef("--connect-to %q is no address: write host:port, as in 127.0.0.1:8080", t.connectTo)
		}
	}
	if d.TLS, err = t.tlsConfig(); err != nil {
		return nil, nil, err
	}
	return req, d, nil
}

// maskField keeps the value of a malformed field out of messages: it may be a credential.
func maskField(h string) string {
	if name, _, ok := strings.Cut(h, ":"); ok {
		return name + ": ..."
	}
	if len(h) > 12 {
		return h[:12] + "..."
	}
	return h
}

func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		guess := "http://" + raw
		if i := strings.Index(raw, "://"); i >= 0 {
			guess = "http" + raw[i:]
		}
		if g, gerr := url.Parse(guess); gerr != nil || g.Host == "" {
			guess = "http://localhost:8080/events"
		}
		return nil, usagef("%q is not an http or https URL: write it like %s", maskURL(raw), maskURL(guess))
	}
	if p := u.Port(); p != "" {
		if _, err := net.LookupPort("tcp", p); err != nil {
			return nil, usagef("%q has no valid port: 1 to 65535 is right", maskURL(raw))
		}
	}
	return u, nil
}

func protocol(name string, u *url.URL) (wire.Proto, error) {
	switch name {
	case "auto", "":
		return wire.Auto, nil
	case "1.1":
		return wire.HTTP11, nil
	case "2":
		if u.Scheme != "https" {
			return 0, usagef("--http 2 needs an https URL: HTTP/2 in the clear is --http h2c")
		}
		return wire.HTTP2, nil
	case "h2c":
		if u.Scheme != "http" {
			return 0, usagef("--http h2c needs an http URL: HTTP/2 over TLS is --http 2")
		}
		return wire.H2C, nil
	}
	return 0, usagef("--http %q is unknown: auto, 1.1, 2 or h2c is right", name)
}

// bodyOf reads a --body or --publish-body value: the text itself, or a file after @.
func bodyOf(value string) ([]byte, error) {
	name, isFile := strings.CutPrefix(value, "@")
	if !isFile {
		return []byte(value), nil
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, usagef("%v", plain(err))
	}
	return b, nil
}

func (t *targetFlags) tlsConfig() (*tls.Config, error) {
	c, err := wire.TLSFiles{Insecure: t.insecure, CACert: t.caCert, Cert: t.cert, Key: t.key}.Config()
	if err != nil {
		return nil, usagef("--%v", err)
	}
	return c, nil
}
