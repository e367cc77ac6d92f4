// Package plan is what a load run should do, as data: the targets, how many streams and how fast, what is published and
// what must hold. A [Plan] is decoded from YAML or filled by the command line, then [Plan.Validate] completes and judges it
// before anything is opened. [Segment] is one machine's share; a single machine has the segment 0:1.
//
// It may import reference/wire, reference/publish, loadgen/schedule and reports/result. To add a setting: one field with its
// default here, one rule in validate.go, one line in testdata.
package plan

import (
	"time"

	"ssegauge/loadgen/schedule"
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

	Streams int           `yaml:"streams"`  // how many in all; default 100. Not with stages
	Ramp    time.Duration `yaml:"ramp"`     // they are opened evenly within this time; default streams/2000 s and at least 1 s; below 0: all at once
	Stages  []Stage       `yaml:"stages"`   // instead of streams and ramp: a piecewise linear level
	Hold    time.Duration `yaml:"duration"` // how long they are held, and published to, after the last was due; default 10s

	StreamsPerConn int           `yaml:"streams_per_conn"` // HTTP/2; default 100, and never more than the peer allows
	Timeout        time.Duration `yaml:"timeout"`          // from the planned start of a stream's connection to its response head; default 30s

	Publish *Publish `yaml:"publish"` // none: only what needs no cooperation is measured

	Thresholds []string `yaml:"thresholds"` // "deliver.p99 < 250ms": judged by reports/gate

	Segment Segment `yaml:"-"`
}

// Target is where streams are opened, and how.
type Target struct {
	URL    string   `yaml:"url"`
	Method string   `yaml:"method"` // default GET
	Header []string `yaml:"header"` // "K: V"; Accept: text/event-stream and Cache-Control: no-store stand where they are not given
	Body   string   `yaml:"body"`

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

// Stage is one piece of the level: to Streams, linearly within Over.
type Stage struct {
	Streams int           `yaml:"streams"`
	Over    time.Duration `yaml:"over"`
}

// Publish is how events are made, and what is asked of them.
type Publish struct {
	HTTP    string   `yaml:"http"`    // "METHOD URL"; template, as header values and body
	Header  []string `yaml:"header"`  // "K: V"
	Body    string   `yaml:"body"`    // default: the package reference/publish says
	Command string   `yaml:"command"` // instead of http: run by sh -c

	Publisher *publish.Publisher `yaml:"-"` // already compiled: stands for the four above

	Rate     Rate          `yaml:"rate"`      // events a second; default 10/s
	Size     int           `yaml:"size"`      // bytes of {{.Data}}, which holds the marker; 0: the marker alone
	InFlight int           `yaml:"in_flight"` // publishes under way at one time at most; default 64
	WarmUp   time.Duration `yaml:"warm_up"`   // events are published this long before the duration begins and counted nowhere; default none
	Settle   time.Duration `yaml:"settle"`    // a stream is an eligible receiver of what is published this long after its head or later; default 500ms
	Deadline time.Duration `yaml:"deadline"`  // from the intended publish time; what has not arrived then is lost; default 5s
}

// Hook is the publish hook in the form that reference/publish compiles.
func (p *Publish) Hook() publish.Hook {
	return publish.Hook{HTTP: p.HTTP, Header: p.Header, Body: p.Body, Command: p.Command}
}

// Openings is when this segment's streams open, from the start of the run.
func (p *Plan) Openings() schedule.Arrival {
	return schedule.Part{Arrival: p.level(), Index: p.Segment.Index, Count: max(1, p.Segment.Count)}
}

// RampTime is when the last stream of the plan is due and the duration begins, from the start of the run.
func (p *Plan) RampTime() time.Duration { return p.level().Total() }

func (p *Plan) level() schedule.Ramp {
	if len(p.Stages) == 0 {
		return schedule.Linear(p.Streams, max(0, p.Ramp))
	}
	r := make(schedule.Ramp, len(p.Stages))
	for i, s := range p.Stages {
		r[i] = schedule.Step{To: s.Streams, Over: s.Over}
	}
	return r
}

// PublishStart is when the first event is due, from the start of the run: the last stream has the settling time to open and once more to settle.
func (p *Plan) PublishStart() time.Duration { return p.RampTime() + 2*p.Publish.Settle }

// Events is when events are published, from [Plan.PublishStart] on: none without a hook.
// Those due before warm are the warm-up.
func (p *Plan) Events() (events schedule.Arrival, warm time.Duration) {
	if p.Publish == nil {
		return schedule.Constant{}, 0
	}
	return schedule.Constant{PerSecond: float64(p.Publish.Rate), For: p.Publish.WarmUp + p.Hold}, p.Publish.WarmUp
}
