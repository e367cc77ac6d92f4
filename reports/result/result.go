// Package result is the data model: [Run] is the one stored artefact of every command, what
// the checks and the load engine write and what every renderer reads. The JSON form is the
// published contract (schema.json beside this file, held by a test); times are in the unit their name gives.
//
// It imports the standard library (and the HDR histogram for merging) only.
package result

import "time"

// Schemas of the commands.
const (
	SchemaCheck  = "ssegauge/check/v1"
	SchemaLoad   = "ssegauge/load/v1"
	SchemaLimits = "ssegauge/limits/v1"
)

// Run is one run of a command. Exactly one of Check, Load is set; their members stand inline in the JSON.
type Run struct {
	Schema      string    `json:"schema"`
	Tool        Tool      `json:"tool"`
	Target      Target    `json:"target"`
	Started     time.Time `json:"started"`
	DurationMS  float64   `json:"duration_ms"`
	Interrupted bool      `json:"interrupted,omitempty"`
	*Check
	*Load
}

// Tool is the program that made the run.
type Tool struct {
	Version string `json:"version"`
	Go      string `json:"go"`
}

// Target is what was judged or loaded; the URL has its credentials masked.
type Target struct {
	URL  string `json:"url"`
	HTTP string `json:"http"` // protocol spoken: "1.1", "2", "h2c"
}

// Check is the outcome of conformance checks.
type Check struct {
	Summary Summary   `json:"summary"`
	Results []Finding `json:"results"`
}

// Summary counts findings by verdict. Core is the size of the core set that applies, CoreDecided how many of it have a verdict.
type Summary struct {
	Pass          int `json:"pass"`
	Fail          int `json:"fail"`
	Warn          int `json:"warn"`
	Info          int `json:"info"`
	NotObserved   int `json:"not_observed"`
	NotApplicable int `json:"not_applicable"`
	Error         int `json:"error"`
	Core          int `json:"core"`
	CoreDecided   int `json:"core_decided"`
}

// Level is where a requirement comes from: a fact with a citation.
type Level string

// The levels.
const (
	Must     Level = "MUST"
	Should   Level = "SHOULD"
	Advice   Level = "ADVICE"
	Security Level = "SECURITY"
	Contract Level = "CONTRACT" // no clause: the target contradicts what its operator published or declared
)

// Verdict is what a check found.
type Verdict string

// The verdicts. Error is a fault of the harness or the network and is never blamed on the target.
const (
	Pass          Verdict = "pass"
	Fail          Verdict = "fail"
	Warn          Verdict = "warn"
	Info          Verdict = "info"
	NotObserved   Verdict = "not-observed"
	NotApplicable Verdict = "not-applicable"
	Error         Verdict = "error"
)

// Finding is the verdict of one check with its evidence.
type Finding struct {
	ID        string     `json:"id"`
	Title     string     `json:"title"`
	Level     Level      `json:"level"`
	Clause    string     `json:"clause"`
	Verdict   Verdict    `json:"verdict"`
	Message   string     `json:"message"`   // one line: what was seen
	Hint      string     `json:"hint"`      // one line: what to do, or which flag would decide it
	Evidence  []Evidence `json:"evidence"`  // never null
	Reproduce string     `json:"reproduce"` // a shell command, credentials masked
	Core      bool       `json:"core,omitempty"`
}

// Evidence points at bytes that a connection carried.
type Evidence struct {
	Connection string  `json:"connection"` // "c1"
	Offset     int64   `json:"offset"`     // of the first byte at fault, in the bytes received on that connection
	Length     int     `json:"length"`
	TimeMS     float64 `json:"time_ms"` // arrival, since the connection's start
	Text       string  `json:"text"`    // bytes around, valid UTF-8, control characters escaped Go-style
	Hex        string  `json:"hex"`     // the bytes at fault
}

// Load is the outcome of a load run. Times are microseconds.
type Load struct {
	Validity    Validity              `json:"validity"`
	Plan        map[string]any        `json:"plan"`
	Environment Environment           `json:"environment"`
	Streams     Streams               `json:"streams"`
	Events      Events                `json:"events"`
	LatencyUS   map[string]*Quantiles `json:"latency_us"`
	Generator   Generator             `json:"generator"`
	Gates       []Gate                `json:"gates"`
	Series      []Series              `json:"series"`
}

// Validity says whether the measurement can be trusted, and why not.
type Validity struct {
	Verdict string   `json:"verdict"` // valid, suspect, invalid
	Reasons []string `json:"reasons"` // never null
}

// Environment is the machine a run was made on.
type Environment struct {
	OS       string `json:"os"`
	Arch     string `json:"arch"`
	CPUs     int    `json:"cpus"`
	Kernel   string `json:"kernel,omitempty"`
	MaxFiles uint64 `json:"max_files"`
}

// Streams counts streams over the run.
type Streams struct {
	Planned        int            `json:"planned"`
	Opened         int            `json:"opened"`
	Failed         int            `json:"failed"`
	Peak           int            `json:"peak"`
	Connections    int            `json:"connections"`
	ClosedByServer int            `json:"closed_by_server"`
	Reconnects     int            `json:"reconnects"`
	Failures       map[string]int `json:"failures"` // by cause, e.g. "connect: connection refused"
}

// Events counts events over the run; lost is counted against eligible receivers (stream open before the publish and until its deadline).
type Events struct {
	Published  int64 `json:"published"`
	Received   int64 `json:"received"`
	Eligible   int64 `json:"eligible"` // (event, receiver) pairs that should have arrived
	Lost       int64 `json:"lost"`
	Duplicated int64 `json:"duplicated"`
	Reordered  int64 `json:"reordered"`
	Bytes      int64 `json:"bytes"`
}

// Quantiles is one latency distribution in microseconds; a quantile that the sample cannot resolve is nil.
type Quantiles struct {
	Count int64    `json:"count"`
	Min   *float64 `json:"min"`
	Mean  *float64 `json:"mean"`
	P50   *float64 `json:"p50"`
	P90   *float64 `json:"p90"`
	P99   *float64 `json:"p99"`
	P999  *float64 `json:"p99_9"`
	Max   *float64 `json:"max"`
	// HDR is the histogram itself (HdrHistogram V2, base64), so that runs can be merged and drawn.
	HDR string `json:"hdr,omitempty"`
}

// Generator is what the measuring cost and how late it was.
type Generator struct {
	CPUSeconds     float64    `json:"cpu_seconds"`
	RSSBytes       int64      `json:"rss_bytes"`
	BytesPerStream int64      `json:"bytes_per_stream"`
	DelayUS        *Quantiles `json:"delay_us"`
	Workers        int        `json:"workers"`
}

// Gate is a threshold and its outcome.
type Gate struct {
	Expression string   `json:"expression"`
	Value      *float64 `json:"value"`
	Pass       bool     `json:"pass"`
}

// Series is one measure over time.
type Series struct {
	Name   string    `json:"name"` // "open_streams", "events_per_second", "deliver_p99_us"
	StepMS int64     `json:"step_ms"`
	Values []float64 `json:"values"`
}
