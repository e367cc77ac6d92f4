package result

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// Limits is the outcome of a search for limits. (Its members' names in JSON differ from those of [Check] and [Load], which stand beside it in a [Run].)
type Limits struct {
	Expect   []string `json:"expect"` // what to expect in production: sentences of one paragraph
	Limits   []Limit  `json:"limits"` // in the order in which they were looked for; never null
	Curve    []Rung   `json:"curve"`  // what many streams did, from few to many; never null
	Knee     *Knee    `json:"knee,omitempty"`
	BudgetMS float64  `json:"budget_ms"`
	Remarks  []string `json:"remarks"` // what the search itself ran into: sentences
	// Gone is why the target could not be reached any more at the end: "no stream can be opened since idle: ..."; "": it could.
	Gone string `json:"gone,omitempty"`
	// Machine is the one that the search was made on.
	Machine    Environment `json:"machine"`
	Thresholds []Gate      `json:"thresholds,omitempty"` // what was asked of limits, with the outcome
}

// Limit is one limit that was looked for. The limit itself is the greatest value that still works: where one was found it lies from Low to High, both included. Where
// none was found Low is the greatest value that was tried and worked, and High is null. Where nothing can be said both are null. A found limit without High is Low or
// more: as long as that was waited for a place (h2/slot-release), and in vain.
type Limit struct {
	ID        string   `json:"id"`    // stable: "h2/max-concurrent-streams"
	Probe     string   `json:"probe"` // as --probe names it
	Title     string   `json:"title"` // what is limited: "streams on one HTTP/2 connection"
	Verdict   string   `json:"verdict"`
	Found     bool     `json:"found"`          // Verdict is found
	Fact      bool     `json:"fact,omitempty"` // a figure worth knowing that stops nobody, as the time between heartbeats; counted among no limits
	Low       *float64 `json:"low"`
	High      *float64 `json:"high"`
	Unit      string   `json:"unit"`                 // "streams", "connections", "requests", "s", "bytes", "ratio", "events/s"
	Owner     string   `json:"owner"`                // generator, path, target, browser: whose limit was met; "" where there is none, or it cannot be told
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
	// Levels are what it was fitted to: as many events as the target delivered, so that latencies are those of a full target.
	Levels []Rung `json:"levels,omitempty"`
}

// Departure says that the target went away during the search, without a full stop; "": it is there.
func (l *Limits) Departure() string {
	if l.Gone == "" {
		return ""
	}
	return fmt.Sprintf("the target went away during the search (%s); what was found before stands", Escape(l.Gone))
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

// First is the limit that a growing number of streams meets first, nil where none was found: of those of the path and the target that are counts of streams or connections the least.
// A limit of the generator is nothing that production meets, nor is a fact; what a browser holds is known beforehand, and met by browsers alone.
func (l *Limits) First() (first *Limit) {
	for i := range l.Limits {
		x := &l.Limits[i]
		if x.Verdict == LimitFound && !x.Fact && x.Owner != OwnerGenerator && x.Owner != OwnerBrowser && x.Low != nil && (x.Unit == "streams" || x.Unit == "connections") && (first == nil || *x.Low < *first.Low) {
			first = x
		}
	}
	return first
}

// ByVerdict are the limits as a person wants to read them: first those that were found, of them those of this machine and then facts last; then where none was met, then what is undecided.
// What does not apply is not among them: [Limits.Inapplicable] groups that.
func (l *Limits) ByVerdict() []Limit {
	rank := func(x Limit) int {
		switch {
		case x.Verdict == LimitFound && x.Fact:
			return 2
		case x.Verdict == LimitFound && x.Owner == OwnerGenerator:
			return 1
		case x.Verdict == LimitFound:
			return 0
		case x.Verdict == LimitNone:
			return 3
		}
		return 4
	}
	out := slices.DeleteFunc(slices.Clone(l.Limits), func(x Limit) bool { return x.Verdict == LimitNotApplicable })
	slices.SortStableFunc(out, func(a, b Limit) int { return rank(a) - rank(b) })
	return out
}

// OpenSentence is "3 limits and 1 figure undecided; --publish would decide 2 of them.", and what the search itself ran into; "" if all were decided and nothing was.
func (l *Limits) OpenSentence() string {
	var open []string
	limits, facts, by := int64(0), int64(0), map[string]int{}
	for _, x := range l.Limits {
		switch {
		case x.Verdict != LimitUndecided:
			continue
		case x.Fact:
			facts++
		default:
			limits++
		}
		by[x.DecidedBy]++
	}
	if limits > 0 {
		open = append(open, Plural(limits, "limit"))
	}
	if facts > 0 {
		open = append(open, Plural(facts, "figure"))
	}
	var all []string
	if len(open) > 0 {
		delete(by, "")
		s := strings.Join(open, " and ") + " undecided"
		for i, flag := range slices.SortedFunc(maps.Keys(by), func(a, b string) int { return cmp.Or(by[b]-by[a], strings.Compare(a, b)) }) {
			if i == 0 {
				s += fmt.Sprintf("; %s would decide %d of them", Escape(flag), by[flag])
			} else {
				s += fmt.Sprintf(", %s %d", Escape(flag), by[flag])
			}
		}
		all = append(all, s+".")
	}
	for _, s := range l.Remarks {
		all = append(all, Escape(s))
	}
	return strings.Join(all, " ")
}

// Inapplicable groups the limits that the target cannot have by the reason, in their order.
func (l *Limits) Inapplicable() (groups []Inapplicable) {
	for _, x := range l.Limits {
		if x.Verdict != LimitNotApplicable {
			continue
		}
		at := slices.IndexFunc(groups, func(g Inapplicable) bool { return g.Why == x.Evidence })
		if at < 0 {
			at = len(groups)
			groups = append(groups, Inapplicable{Why: x.Evidence})
		}
		groups[at].IDs = append(groups[at].IDs, x.ID)
	}
	return groups
}

// Inapplicable are limits that a target cannot have, for one reason.
type Inapplicable struct {
	Why string
	IDs []string
}

// Shown writes a limit for people: "128 streams", "500 to 524 streams", "none up to 10,000 streams", "undecided: --publish".
func (l *Limit) Shown() string {
	unit := Escape(l.Unit)
	switch l.Verdict {
	case LimitFound:
		switch {
		case l.Low != nil && l.High != nil:
			return span(*l.Low, *l.High, unit)
		case l.Low != nil:
			return "at least " + Quantity(*l.Low, unit)
		case l.High != nil:
			return "at most " + Quantity(*l.High, unit)
		}
		return "found"
	case LimitNone:
		if l.Low == nil || *l.Low == 0 {
			return "none found"
		}
		return "none up to " + Quantity(*l.Low, unit)
	case LimitUndecided:
		if l.DecidedBy != "" {
			return "undecided: " + Escape(l.DecidedBy)
		}
	case LimitNotApplicable:
		return "not applicable"
	}
	return Escape(l.Verdict)
}

// named is the limit with its title and whose it is: "streams at once, 600 streams (target)".
func (l *Limit) named() string {
	s := Escape(l.Title) + ", " + l.Shown()
	if l.Owner != "" {
		s += " (" + Escape(l.Owner) + ")"
	}
	return s
}

// Brief writes a limit for a column among others: "500 to 524", "≥ 10,000", "8 KiB", "?", "–".
func (l *Limit) Brief() string {
	unit := l.Unit
	if unit != "s" && unit != "bytes" && unit != "ratio" {
		unit = ""
	}
	switch {
	case l.Verdict == LimitFound && l.Low != nil && l.High != nil:
		return span(*l.Low, *l.High, unit)
	case (l.Verdict == LimitFound || l.Verdict == LimitNone) && l.Low != nil:
		return "≥ " + Quantity(*l.Low, unit)
	case l.Verdict == LimitUndecided:
		return "?"
	}
	return "–"
}

// span writes a range, with the unit once where both ends have the same.
func span(low, high float64, unit string) string {
	from, to := Quantity(low, unit), Quantity(high, unit)
	number, of, _ := strings.Cut(from, " ")
	_, same, _ := strings.Cut(to, " ")
	switch {
	case from == to:
		return from
	case unit == "bytes" && of != same && math.Abs(high) < 1<<20:
		return Number(low) + " to " + Number(high) + " B"
	case of == same && of != "" || low == 1 && same == unit:
		from = number
	}
	return from + " to " + to
}

// Quantity writes a value in the unit of a [Limit]: "1 stream", "5 s", "8 KiB", "65,535 B", "12 %". Sizes are exact up to a mebibyte: it is the last byte that matters there.
func Quantity(v float64, unit string) string {
	switch unit {
	case "s":
		switch whole := v == math.Trunc(v) && v < 1e9; {
		case v >= 3600 && whole && math.Mod(v, 3600) == 0:
			return Number(v/3600) + " h"
		case v >= 120 && whole && math.Mod(v, 60) == 0:
			return Number(v/60) + " min"
		case v >= 120:
			return Number(math.Round(v)) + " s" // as timeouts are configured
		}
		return trimmed(Micros(v * 1e6))
	case "bytes":
		if v == math.Trunc(v) && math.Abs(v) < 1<<20 && math.Mod(v, 1<<10) != 0 {
			return Count(int64(v)) + " B"
		}
		size := 0
		for _, name := range []string{"KiB", "MiB", "GiB"} {
			if size += 10; v != 0 && math.Mod(v, math.Ldexp(1, size)) == 0 && v < math.Ldexp(1, size+10) {
				return Number(math.Ldexp(v, -size)) + " " + name
			}
		}
		return trimmed(Bytes(v))
	case "ratio":
		return trimmed(Measure(v, unit))
	case "":
		return Number(v)
	}
	if v == 1 && !strings.Contains(unit, "/") {
		unit = strings.TrimSuffix(unit, "s")
	}
	return Number(v) + " " + unit
}

// trimmed is a number with its unit without zeros at the end of a fraction.
func trimmed(s string) string {
	number, unit, ok := strings.Cut(s, " ")
	if strings.Contains(number, ".") {
		number = strings.TrimSuffix(strings.TrimRight(number, "0"), ".")
	}
	if !ok {
		return number
	}
	return number + " " + unit
}

// Said says in one line where the knee is.
func (k *Knee) Said() string {
	if k.Peak == nil {
		return fmt.Sprintf("none within twice the %s that were measured", Plural(int64(k.Max), "stream"))
	}
	return fmt.Sprintf("about %s (95 %%: %s to %s)", Quantity(math.Round(*k.Peak), "streams"), Number(math.Round(k.CI95[0])), Number(math.Round(k.CI95[1])))
}

// Stage is all that was measured of one number of streams: of several tries the worst, and the mean of the events delivered a second.
type Stage struct {
	Rung
	Tries, Held int
}

// Stages are the numbers of streams that were tried, from few to many. Where all measurements are in the same doubt it is said once: "suspect".
func (l *Limits) Stages() (stages []Stage, doubt string) {
	worst := func(a, b *float64) *float64 {
		if a == nil || b != nil && *b > *a {
			return b
		}
		return a
	}
	index, rates := map[int]int{}, map[int]int{} // by streams; tries that delivered something
	for _, r := range l.Curve {
		at, known := index[r.Streams]
		if !known {
			at = len(stages)
			index[r.Streams] = at
			stages = append(stages, Stage{Rung: Rung{Streams: r.Streams, Opened: r.Opened, Validity: r.Validity}})
		}
		v := &stages[at]
		v.Opened, v.Failed, v.Lost = min(v.Opened, r.Opened), max(v.Failed, r.Failed), max(v.Lost, r.Lost)
		v.OpenP99US, v.DeliverP50US, v.DeliverP99US = worst(v.OpenP99US, r.OpenP99US), worst(v.DeliverP50US, r.DeliverP50US), worst(v.DeliverP99US, r.DeliverP99US)
		if r.EventsPerSecond > 0 {
			rates[r.Streams]++
			v.EventsPerSecond += (r.EventsPerSecond - v.EventsPerSecond) / float64(rates[r.Streams])
		}
		if graver(r.Validity) > graver(v.Validity) {
			v.Validity = r.Validity
		}
		if v.Tries++; r.Holds {
			v.Held++
		}
		v.Holds = v.Held == v.Tries
	}
	slices.SortStableFunc(stages, func(a, b Stage) int { return cmp.Compare(a.Streams, b.Streams) })
	if len(stages) > 1 && graver(stages[0].Validity) > 0 && !slices.ContainsFunc(stages, func(v Stage) bool { return v.Validity != stages[0].Validity }) {
		doubt = doubtful(stages[0].Validity)
		for i := range stages {
			stages[i].Validity = Valid
		}
	}
	return stages, doubt
}

// Rate writes the events delivered a second for people, "–" where there were none.
func (r *Rung) Rate() string {
	if r.EventsPerSecond == 0 {
		return "–"
	}
	return Number(r.EventsPerSecond)
}

// Trouble says in one line what a number of streams did not bear, "" if nothing: "41 failed, 3,120 lost, suspect".
func (v *Stage) Trouble() string {
	var parts []string
	if v.Failed > 0 {
		parts = append(parts, Count(int64(v.Failed))+" failed")
	}
	if v.Lost > 0 {
		parts = append(parts, Count(v.Lost)+" lost")
	}
	if v.Held > 0 && v.Held < v.Tries {
		parts = append(parts, fmt.Sprintf("held in %d of %d tries", v.Held, v.Tries))
	}
	if s := doubtful(v.Validity); s != "" {
		parts = append(parts, s)
	}
	if len(parts) == 0 && !v.Holds {
		return "did not hold"
	}
	return strings.Join(parts, ", ")
}

// graver orders verdicts on a measurement.
func graver(validity string) int {
	switch validity {
	case Valid, "":
		return 0
	case Suspect:
		return 1
	}
	return 2
}

// doubtful is why a measurement is not to be trusted, "" if it is.
func doubtful(validity string) string {
	switch validity {
	case Valid, "":
		return ""
	case Invalid:
		return "not valid"
	}
	return Escape(validity)
}
