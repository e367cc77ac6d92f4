// Package result is the data model: [Run] is the one stored artefact of every command, what
// the checks and the load engine write and what every renderer reads. The JSON form is the
// published contract ([Encode], [Decode]; check-v1.schema.json and its like beside
// this file, held by a test); times are in the unit their name gives.
//
// Two rules for whoever fills it live here too, each in one place: [Mask] and its kin keep
// credentials out, [NewEvidence] and [Escape] make bytes of a target safe to show.
//
// It imports the standard library (and the HDR histogram for merging) only. To add a measure:
// one member of [Load] (or one key of LatencyUS) and its line in the schema file.
package result

import (
	"strings"
	"time"
)

// Schemas of the commands.
const (
	SchemaCheck  = "ssegauge/check/v1"
	SchemaLoad   = "ssegauge/load/v1"
	SchemaLimits = "ssegauge/limits/v1"
)

// Run is one run of a command. Exactly one of Check, Load, Limits is set; their members stand inline in the JSON.
// (No type embedded here may have a MarshalJSON method: it would be Run's.)
type Run struct {
	Schema      string    `json:"schema"`
	Tool        Tool      `json:"tool"`
	Target      Target    `json:"target"`
	Started     time.Time `json:"started"`
	DurationMS  float64   `json:"duration_ms"`
	Interrupted bool      `json:"interrupted,omitempty"`
	Replayed    bool      `json:"replayed,omitempty"` // judged from a recording, which began at Started
	Error       string    `json:"error,omitempty"`    // why nothing of the target could be judged: one of several that nobody answered at
	// What the run comes to, [Run.Status] and [Run.Sentence], for readers of the file: written by [Encode], passed over by [Decode].
	Outcome Status `json:"status"`
	Words   string `json:"sentence"`
	*Check
	*Load
	*Limits
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
	Policy  []Breach  `json:"policy,omitempty"` // what was asked of the run beyond its results, and not met
}

// Breach is a demand on a run that it did not meet, whatever its results are: a baseline without stale entries, a check that must come to a verdict.
type Breach struct {
	Reason string `json:"reason"` // one line
	Failed bool   `json:"failed"` // the run fails by it; else nothing can be concluded
}

// Summary counts findings by verdict; those that a baseline accepts are counted by that alone. Core is the size of the core set that applies, CoreDecided how many of it have a verdict.
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
	Accepted      int `json:"accepted,omitempty"`
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
	Message   string     `json:"message"`              // one line: what was seen
	Hint      string     `json:"hint"`                 // one line: what to do, or what would decide it
	DecidedBy string     `json:"decided_by,omitempty"` // not-observed: the flag that would decide it, "--publish"
	Evidence  []Evidence `json:"evidence"`             // never null
	Reproduce string     `json:"reproduce"`            // a shell command, credentials masked
	Core      bool       `json:"core,omitempty"`
	Accepted  string     `json:"accepted,omitempty"` // why a baseline accepts that it fails or warns
}

// Source is where the requirement comes from: "MUST, WHATWG HTML 9.2.5"; where there is no clause that is what it says.
func (f *Finding) Source() string {
	if f.Clause == "" {
		return string(f.Level)
	}
	if f.Level == Contract || strings.HasPrefix(f.Clause, "no clause") {
		return f.Clause
	}
	return string(f.Level) + ", " + f.Clause
}

// Evidence points at bytes that a connection carried. [NewEvidence] fills Length, Text, Mark and Hex.
type Evidence struct {
	Connection string  `json:"connection"`     // "c1"
	Offset     int64   `json:"offset"`         // of the first byte at fault, in the bytes received on that connection
	Length     int     `json:"length"`         // bytes at fault; 0: something is missing at Offset
	TimeMS     float64 `json:"time_ms"`        // arrival, since the connection's start
	Text       string  `json:"text"`           // bytes around, valid UTF-8, what does not print escaped Go-style (backslash doubled)
	Mark       *[2]int `json:"mark,omitempty"` // where in Text the bytes at fault begin and end, in bytes of UTF-8
	Hex        string  `json:"hex"`            // the bytes at fault, "0d 0a"; at most the first 32
}

// Load is the outcome of a load run. Times are microseconds.
type Load struct {
	Validity    Validity              `json:"validity"`
	Plan        map[string]any        `json:"plan"`
	Environment Environment           `json:"environment"`
	Streams     Streams               `json:"streams"`
	SlowReaders *SlowReaders          `json:"slow_readers,omitempty"` // nil: none was to read slowly
	Reconnect   *Reconnect            `json:"reconnect,omitempty"`    // nil: streams that ended stayed so
	Events      Events                `json:"events"`
	LatencyUS   map[string]*Quantiles `json:"latency_us"`
	// Distributions of counts, by name: [Distributions] lists them.
	Distributions map[string]*Quantiles `json:"distributions,omitempty"`
	PositionBias  *PositionBias         `json:"position_bias,omitempty"`
	Correlation   *Correlation          `json:"correlation,omitempty"`
	Disconnects   []Disconnect          `json:"disconnects,omitempty"` // the commonest first
	// What was seen of the bytes of all streams, under the ids that `check` has for it: breaches and what points to one, most grave first.
	Findings  []Finding `json:"findings,omitempty"`
	Steady    *Steady   `json:"steady,omitempty"` // nil: not tested
	Generator Generator `json:"generator"`
	Gates     []Gate    `json:"gates"`
	Series    []Series  `json:"series"`
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
	Completed      int            `json:"completed"` // finite streams that ended as they should, after an event or more
	Reconnects     int            `json:"reconnects"`
	Churned        int            `json:"churned,omitempty"` // closed by us in the middle of the run; another was opened in the place of each
	Failures       map[string]int `json:"failures"`          // by cause, e.g. "connect: connection refused"
}

// Due is how many streams were to be opened: those planned, and those in the place of others.
func (s *Streams) Due() int { return s.Planned + s.Churned }

// Reconnect is what became of streams that ended and came back. Events are counted per receiver, as eligible and lost are, but those of a receiver that was away stand only here:
// MissedInGap is the sum of the three after it.
type Reconnect struct {
	Attempts           int   `json:"attempts"`             // requests after the first of a stream
	Failed             int   `json:"failed"`               // of them
	GaveUp             int   `json:"gave_up"`              // streams that got an answer after which a client asks no more
	Away               int   `json:"away"`                 // streams that were between two attempts at the end of the run
	LastEventIDSent    int   `json:"last_event_id_sent"`   // attempts with that field
	RetryMS            *Span `json:"retry_ms"`             // what streams advertised; null: none did
	MissedInGap        int64 `json:"missed_in_gap"`        // published while a receiver was away, or under way as it left
	RecoveredByReplay  int64 `json:"recovered_by_replay"`  // came within the deadline of its return
	LostInGap          int64 `json:"lost_in_gap"`          // did not
	Undecided          int64 `json:"undecided"`            // the run ended before
	DuplicatesOnReplay int64 `json:"duplicates_on_replay"` // events that a receiver got again which it had before it left, or was replayed already
}

// SlowReaders are the streams that read slowly by plan: they stand in no other measure than streams.opened, peak and failures. What the others feel of them is in deliver.
type SlowReaders struct {
	Streams        int        `json:"streams"`
	ClosedByServer int        `json:"closed_by_server"`
	FoundAtEnd     int        `json:"found_at_end"`       // of them, those found when what they had left was read at the end: an end behind what is not read cannot be seen
	ClosedAfterUS  *Quantiles `json:"closed_after_us"`    // from the response head to the close; null: of none is that known
	BytesBefore    *Span      `json:"bytes_before_close"` // of content, read by then; null: none was closed
	Received       int64      `json:"received"`           // events
	Bytes          int64      `json:"bytes"`              // of content
}

// Span is a smallest and a largest value.
type Span struct {
	Min float64 `json:"min"`
	Max float64 `json:"max"`
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

// PositionBias tells whether who joined early is served early: the mean over events of Spearman's rank correlation between when a receiver joined and how late the event
// reached it. 0: no relation, 1: in the order of joining, -1: in the reverse order. By chance alone it strays by about 1/sqrt(Events*Receivers).
type PositionBias struct {
	Rho       float64 `json:"rho"`
	Events    int64   `json:"events"`
	Receivers int64   `json:"receivers"` // of each event, on average; of many streams a sample
}

// Correlation is how what arrived was tied to what was sent, and so what the run can know.
type Correlation struct {
	// Tier 0: events are compared between receivers; 1: they carry a time stamp; 2: we publish them; 3: they carry our own server's time stamp.
	Tier   int    `json:"tier"`
	How    string `json:"how"`              // one line
	Failed string `json:"failed,omitempty"` // why receivers could not be compared
	Events int64  `json:"events"`           // published, or seen and compared
	Alone  int64  `json:"alone,omitempty"`  // events of one receiver alone, which are taken for its own
	// Of tiers 1 and 3.
	Unstamped int64  `json:"unstamped,omitempty"` // events in which no time stamp was found
	Clock     *Clock `json:"clock,omitempty"`
}

// Clock is what the time stamps of events say of the clock they are by. Differences are arrival by our clock less the stamp; they may be negative.
type Clock struct {
	Stamp    string   `json:"stamp"` // where it stands, and its unit
	Same     bool     `json:"same"`  // it is our own clock: deliver is the difference
	MinUS    float64  `json:"min_us"`
	MeanUS   float64  `json:"mean_us"`
	MaxUS    float64  `json:"max_us"`
	Negative int64    `json:"negative"`           // differences below zero
	FloorUS  *float64 `json:"floor_us,omitempty"` // it is another clock: deliver is the difference above this one
	DriftPPM float64  `json:"drift_ppm"`          // by which the floor was seen to rise or fall: taken out of deliver
}

// Disconnect is why open streams ended before the run did, and how old they were.
type Disconnect struct {
	Cause string     `json:"cause"`
	Count int64      `json:"count"`
	AgeUS *Quantiles `json:"age_us"`
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
	// Never counts the samples that never came: infinitely long. For deliver the lost ones, for fanout_tNN the events of which that share of the
	// receivers was never reached. The members above are of those that came; [Quantiles.Beyond] takes both in.
	Never int64 `json:"never,omitempty"`
	// Events is how many published events the samples are of, where the samples of one event are no more independent of each other than one sample is: what
	// the distribution resolves follows from it. 0: each sample stands for itself.
	Events int64 `json:"events,omitempty"`
	// CI95 are 95 % intervals of "p50", "p90", "p99", "p99_9" of all that should have come, what never came counted as longer than the rest.
	CI95 map[string]Interval `json:"ci95,omitempty"`
	// HDR is the histogram itself (HdrHistogram V2, compressed, base64), so that runs can be merged and drawn.
	HDR string `json:"hdr,omitempty"`
}

// Interval is where a quantile lies with 95 % confidence, in microseconds; nil: the sample sets no bound on that side.
type Interval struct {
	Low  *float64 `json:"low"`
	High *float64 `json:"high"`
}

// Steady tells whether delivery stayed the same over the measured part: whether its quantiles are those of the target, and not of how long one measures.
type Steady struct {
	Verdict string  `json:"verdict"` // "steady", "drifts", or "unknown": too few events
	Of      string  `json:"of"`      // the series that was tested or drifts: "fanout_t50", "fanout_t99"
	Events  int     `json:"events"`  // that were looked at
	FromUS  float64 `json:"from_us"` // level at the start and at the end: medians of the first and the last tenth
	ToUS    float64 `json:"to_us"`
	SlopeUS float64 `json:"slope_us_per_s"` // Theil-Sen, of medians of blocks of events
	LowUS   float64 `json:"slope_low_us_per_s"`
	HighUS  float64 `json:"slope_high_us_per_s"` // its 95 % interval
	// Where the level changed most, since the first measured event was due; 0 unless it drifts.
	ChangeMS float64 `json:"change_ms,omitempty"`
}

// Generator is what the measuring cost and how late it was.
type Generator struct {
	CPUSeconds     float64    `json:"cpu_seconds"`
	RSSBytes       int64      `json:"rss_bytes"`
	BytesPerStream int64      `json:"bytes_per_stream"`
	DelayUS        *Quantiles `json:"delay_us"`
	Workers        int        `json:"workers"`
	Engine         string     `json:"engine,omitempty"`   // what read the sockets: epoll, portable, or both
	LagUS          *Quantiles `json:"lag_us,omitempty"`   // how late a thread woke that asks for the processor every millisecond
	SchedUS        *Quantiles `json:"sched_us,omitempty"` // how long goroutines that could run waited to
	GC             *GC        `json:"gc,omitempty"`
	// Of events that came faster than all of them are looked through for what is no UTF-8: bytes that were not.
	UnreadBytes int64        `json:"unread_bytes,omitempty"`
	Machine     *Machine     `json:"machine,omitempty"`
	Canary      *Canary      `json:"canary,omitempty"`
	Calibration *Calibration `json:"calibration,omitempty"`
}

// GC is what collecting garbage cost while the run measured.
type GC struct {
	Cycles     int64   `json:"cycles"`
	CPUShare   float64 `json:"cpu_share"` // of this process's processor time
	PauseMaxUS float64 `json:"pause_max_us"`
}

// Machine is how busy the processors that this process may use were while the run measured; shares are 0 to 1, of the time of all of them unless another is named.
type Machine struct {
	Own       float64  `json:"own"`                 // this process
	Busy      *float64 `json:"busy,omitempty"`      // all processes and the kernel; nil, as below: cannot be seen here
	Full      *float64 `json:"full,omitempty"`      // share of half-seconds in which all processors were busy
	Steal     *float64 `json:"steal,omitempty"`     // taken by the machine that this one runs in
	Pressure  *float64 `json:"pressure,omitempty"`  // share of the time in which something waited for a processor
	Throttled *float64 `json:"throttled,omitempty"` // share of the time in which this process was held back by its quota
}

// Canary is what a process of its own saw on a few streams to the same targets: what it and the run have in common is the target's and the path's doing.
type Canary struct {
	Streams   int        `json:"streams"`
	DeliverUS *Quantiles `json:"deliver_us,omitempty"`
	Note      string     `json:"note,omitempty"` // why there is nothing, or less
}

// Calibration is what this machine could receive from the built-in server just before the run.
type Calibration struct {
	Streams         int     `json:"streams"`
	HTTP            string  `json:"http"`
	EventsPerSecond float64 `json:"events_per_second"` // over all streams
	Note            string  `json:"note,omitempty"`
}

// Gate is a threshold and its outcome. A value that cannot be resolved fails it, with the reason.
type Gate struct {
	Expression string   `json:"expression"`
	Value      *float64 `json:"value"`
	Unit       string   `json:"unit,omitempty"` // of Value: "us", "s", "bytes", "ratio"; "" is a count
	Pass       bool     `json:"pass"`
	Reason     string   `json:"reason,omitempty"` // why there is no value, or what the value takes into account
}

// Series is one measure over time.
type Series struct {
	Name   string `json:"name"` // "open_streams", "events_per_second", "deliver_p99_us"
	StepMS int64  `json:"step_ms"`
	Values Points `json:"values"`
}

// Points are the values of a series, one a step from the start of the run; NaN where nothing was measured (null in JSON).
type Points []float64
