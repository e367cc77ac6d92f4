package result

// Limits is the outcome of a search for limits. (Its members' names in JSON differ from those of [Check] and [Load], which stand beside it in a [Run].)
type Limits struct {
	Expect   []string `json:"expect"` // what to expect in production: sentences of one paragraph
	Limits   []Limit  `json:"limits"` // in the order in which they were looked for; never null
	Curve    []Rung   `json:"curve"`  // what many streams did, from few to many; never null
	Knee     *Knee    `json:"knee,omitempty"`
	BudgetMS float64  `json:"budget_ms"`
	// Machine is the one that the search was made on.
	Machine Environment `json:"machine"`
}

// Limit is one limit that was looked for. The limit itself is the greatest value that still works: where one was found it lies from Low to High, both included. Where
// none was found Low is the greatest value that was tried and worked, and High is null. Where nothing can be said both are null.
type Limit struct {
	ID        string   `json:"id"`    // stable: "h2/max-concurrent-streams"
	Probe     string   `json:"probe"` // as --probe names it
	Title     string   `json:"title"` // what is limited: "streams on one HTTP/2 connection"
	Verdict   string   `json:"verdict"`
	Found     bool     `json:"found"` // Verdict is found
	Low       *float64 `json:"low"`
	High      *float64 `json:"high"`
	Unit      string   `json:"unit"`                 // "streams", "connections", "requests", "s", "bytes", "ratio", "events/s"
	Owner     string   `json:"owner"`                // generator, path, target: whose limit was met; "" where there is none, or it cannot be told
	Evidence  string   `json:"evidence"`             // one line: what was seen; why nothing can be said
	DecidedBy string   `json:"decided_by,omitempty"` // undecided: the flag that would decide it, "--publish"
}

// Verdicts on a limit.
const (
	LimitFound     = "found"
	LimitNone      = "none"      // none up to Low
	LimitUndecided = "undecided" // nothing can be said
	// LimitNotApplicable: the target cannot have it, as a limit of HTTP/2 where it speaks HTTP/1.1 only.
	LimitNotApplicable = "not-applicable"
)

// Rung is how the target did with so many streams at once.
type Rung struct {
	Streams         int      `json:"streams"`
	Opened          int      `json:"opened"`
	Failed          int      `json:"failed"` // could not be opened, or ended before their time
	Lost            int64    `json:"lost"`   // events
	OpenP99US       *float64 `json:"open_p99_us"`
	DeliverP50US    *float64 `json:"deliver_p50_us"` // from the intended publish time, what never came counted as longer than the rest; null: nothing was published, or it cannot be resolved
	DeliverP99US    *float64 `json:"deliver_p99_us"`
	EventsPerSecond float64  `json:"events_per_second"` // delivered, over all streams
	Validity        string   `json:"validity"`          // of the measurement, as that of a load run
	Holds           bool     `json:"holds"`             // all that was asked of it was met
}

// Knee is where more streams bring no more events: the universal scalability law X(N) = lambda N / (1 + sigma (N-1) + kappa N (N-1)) (Gunther 1993) fitted to delivered
// events a second against streams. Intervals are 95 %, by bootstrap.
type Knee struct {
	Lambda float64    `json:"lambda"` // events a second of one stream
	Sigma  float64    `json:"sigma"`  // contention
	Kappa  float64    `json:"kappa"`  // coherency
	Peak   *float64   `json:"peak"`   // N* = sqrt((1-sigma)/kappa) streams; null: none within twice what was measured
	CI95   [2]float64 `json:"peak_ci95"`
	Max    int        `json:"measured"` // the most streams that were measured
}

// Decided counts the limits of which something can be said.
func (l *Limits) Decided() (n int) {
	for i := range l.Limits {
		if l.Limits[i].Verdict != LimitUndecided {
			n++
		}
	}
	return n
}
