// Package plan is what a load run should do, as data: the targets, how many streams and how fast, what is published and
// what must hold. A [Plan] is decoded from YAML or filled by the command line, then [Plan.Validate] completes and judges it
// before anything is opened. [Segment] is one machine's share; a single machine has the segment 0:1.
//
// It may import reference/wire, reference/publish, loadgen/schedule and reports/result. To add a setting: one field with its
// default here, one rule in validate.go, one line in testdata.
package plan

import (
	"time"

	"ssegauge/reference/publish"
	"ssegauge/reference/wire"
)

// Defaults of the fields whose zero value means "choose for me".
const (
	DefaultStreams        = 100
	DefaultDuration       = 10 * time.Second
	DefaultStreamsPerConn = 100
	DefaultTimeout        = 30 * time.Second
	DefaultSettle         = 500 * time.Millisecond
	DefaultDeadline       = 5 * time.Second
	DefaultPublishRate    = 10
	DefaultInFlight       = 64
	// DefaultOpenRate is how many streams a second a ramp opens whose length is not given (the ramp takes one second at least).
	DefaultOpenRate = 2000
)

// Plan is one load run.
type Plan struct {
	Targets []Target `yaml:"targets"` // streams go to them in turn
	// Where events carry the time at which they were sent; not with publish.
	Timestamp *Timestamp `yaml:"timestamp"`

	Variables *Variables `yaml:"variables"` // what differs from stream to stream

	Streams  int           `yaml:"streams"`   // how many in all; default 100, or open_rate x duration of finite ones. Not with stages
	Ramp     time.Duration `yaml:"ramp"`      // they are opened within this time; default streams/2000 s and at least 1 s; below 0: all at once
	OpenRate Rate          `yaml:"open_rate"` // instead of ramp: so many a second
	Stages   []Stage       `yaml:"stages"`    // instead of streams, ramp and open_rate: a piecewise linear level
	Arrival  string        `yaml:"arrival"`   // constant (default): evenly; poisson: by chance, in the same time
	Seed     uint32        `yaml:"seed"`      // of what is left to chance; default 1
	Hold     time.Duration `yaml:"duration"`  // how long they are held, and published to, after the last was due; default 10s. Finite ones get the timeout on top to end

	Finite *bool `yaml:"finite"` // streams are meant to end by themselves, and the run with the last; default: where the method is another than GET

	StreamsPerConn int           `yaml:"streams_per_conn"` // HTTP/2; default 100, and never more than the peer allows
	Timeout        time.Duration `yaml:"timeout"`          // from the planned start of a stream's connection to its response head; default 30s

	Reconnect *Reconnect `yaml:"reconnect"`    // none: a stream that ends stays so
	Slow      *Slow      `yaml:"slow_readers"` // none: every stream reads what comes
	Churn     Rate       `yaml:"churn"`        // so many open streams a second are closed, each with another opened in its place; default none

	Engine  string   `yaml:"engine"`  // auto (default), epoll, portable
	Sources []string `yaml:"sources"` // local addresses or CIDRs to connect from, in turn; default: the system chooses, and several on loopback where one has too few ports

	Publish *Publish `yaml:"publish"` // none: only what needs no cooperation is measured

	Thresholds []string `yaml:"thresholds"` // "deliver.p99 < 250ms": judged by reports/gate

	Segment Segment `yaml:"-"`

	rows     *rows
	requests []*Requests // by target
}

// Target is where streams are opened, and how.
type Target struct {
	URL    string   `yaml:"url"`    // URL, header values and body may be templates: see [Requests]
	Method string   `yaml:"method"` // default GET, or POST with a body
	Header []string `yaml:"header"` // "K: V"; Accept: text/event-stream and Cache-Control: no-store stand where they are not given
	Body   string   `yaml:"body"`   // or @file

	HTTP      string `yaml:"http"`       // auto (default), 1.1, 2, h2c
	ConnectTo string `yaml:"connect_to"` // host:port to dial instead of the URL's
	Insecure  bool   `yaml:"insecure"`   // TLS: take any certificate
	CACert    string `yaml:"cacert"`     // TLS: PEM file of the authorities to trust instead of the system's
	Cert      string `yaml:"cert"`       // TLS: PEM files of the client's certificate and key
	Key       string `yaml:"key"`

	// Request and Dialer, both given, stand for all of the above; URL may then be empty.
	Request *wire.Request `yaml:"-"`
	Dialer  *wire.Dialer  `yaml:"-"`
}

// Publish is how events are made, and what is asked of them.
type Publish struct {
	HTTP    string   `yaml:"http"`    // "METHOD URL"; template, as header values and body
	Header  []string `yaml:"header"`  // "K: V"
	Body    string   `yaml:"body"`    // default: the package reference/publish says
	Command string   `yaml:"command"` // instead of http: run by sh -c for each event
	Stdin   string   `yaml:"stdin"`   // instead of http: run by sh -c once, and fed the body as a line for each event

	Protocol string `yaml:"protocol"` // of http: auto (default), 1.1, 2, h2c

	Rate     Rate          `yaml:"rate"`      // events a second; default 10/s
	Arrival  string        `yaml:"arrival"`   // constant (default) or poisson: that rate on average
	Size     int           `yaml:"size"`      // bytes of {{.Data}}, which holds the marker; 0: the marker alone
	InFlight int           `yaml:"in_flight"` // publishes under way at one time at most; default 64
	WarmUp   time.Duration `yaml:"warm_up"`   // events are published this long before the duration begins and counted nowhere; default none
	Settle   time.Duration `yaml:"settle"`    // a stream is an eligible receiver of what is published this long after its head or later; default 500ms
	Deadline time.Duration `yaml:"deadline"`  // from the intended publish time; what has not arrived then is lost; default 5s
}

// Hook is the publish hook in the form that reference/publish compiles.
func (p *Publish) Hook() publish.Hook {
	proto, _ := ParseProto(p.Protocol)
	return publish.Hook{HTTP: p.HTTP, Header: p.Header, Body: p.Body, Command: p.Command, Stdin: p.Stdin, Proto: proto}
}
