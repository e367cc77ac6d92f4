package result

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Status is what a run comes to, in one word.
type Status string

// The statuses.
const (
	Passed       Status = "passed"
	Failed       Status = "failed"       // a check or a gate failed
	Inconclusive Status = "inconclusive" // too little of the core set was decided, or the measurement is not valid
)

// Validity verdicts.
const (
	Valid   = "valid"
	Suspect = "suspect"
	Invalid = "invalid"
)

// Summarise counts findings. Of the core set, what does not apply counts for nothing; not-observed and error are not decided.
func Summarise(findings []Finding) Summary {
	var s Summary
	for i := range findings {
		f := &findings[i]
		switch {
		case f.Accepted != "":
			s.Accepted++
		case f.Verdict == Pass:
			s.Pass++
		case f.Verdict == Fail:
			s.Fail++
		case f.Verdict == Warn:
			s.Warn++
		case f.Verdict == Info:
			s.Info++
		case f.Verdict == NotObserved:
			s.NotObserved++
		case f.Verdict == NotApplicable:
			s.NotApplicable++
		case f.Verdict == Error:
			s.Error++
		}
		if f.Core && f.Verdict != NotApplicable {
			s.Core++
			if f.Verdict != NotObserved && f.Verdict != Error {
				s.CoreDecided++
			}
		}
	}
	return s
}

// Undecided are checks that were not observed for the want of one flag, or for one reason.
type Undecided struct {
	Flag     string // that would decide them; "" where none would
	Why      string // where there is no flag: what was said of all of them
	Findings []Finding
}

// Undecided groups the checks that were not observed: by the flag that would decide them, the flag that decides most first; then those that none would, by reason.
func (c *Check) Undecided() []Undecided {
	var groups []Undecided
	for _, f := range c.Results {
		if f.Verdict != NotObserved {
			continue
		}
		why := f.Message
		if f.DecidedBy != "" {
			why = "" // the flag says it
		}
		at := slices.IndexFunc(groups, func(g Undecided) bool { return g.Flag == f.DecidedBy && g.Why == why })
		if at < 0 {
			at = len(groups)
			groups = append(groups, Undecided{Flag: f.DecidedBy, Why: why})
		}
		groups[at].Findings = append(groups[at].Findings, f)
	}
	slices.SortStableFunc(groups, func(a, b Undecided) int {
		if (a.Flag == "") != (b.Flag == "") {
			return strings.Compare(b.Flag, a.Flag)
		}
		return cmp.Or(len(b.Findings)-len(a.Findings), strings.Compare(a.Flag, b.Flag))
	})
	return groups
}

// UndecidedSentence is "3 checks not observed; --publish would decide 2 of them.", "" if all were.
func (c *Check) UndecidedSentence() string {
	total, flags := 0, ""
	for _, g := range c.Undecided() {
		total += len(g.Findings)
		switch {
		case g.Flag == "":
		case flags == "":
			flags = fmt.Sprintf("; %s would decide %d of them", Escape(g.Flag), len(g.Findings))
		default:
			flags += fmt.Sprintf(", %s %d", Escape(g.Flag), len(g.Findings))
		}
	}
	if total == 0 {
		return ""
	}
	return Plural(int64(total), "check") + " not observed" + flags + "."
}

// Bad returns the findings that a report shows in full: failures, then warnings, then what could not be judged. What a baseline accepts is not among them.
func (c *Check) Bad() []Finding { return bad(c.Results) }

// Broken is [Check.Bad] of what was seen under load.
func (l *Load) Broken() []Finding { return bad(l.Findings) }

func bad(all []Finding) []Finding {
	var bad []Finding
	for _, verdict := range []Verdict{Fail, Warn, Error} {
		for _, f := range all {
			if f.Verdict == verdict && f.Accepted == "" {
				bad = append(bad, f)
			}
		}
	}
	return bad
}

// Status says what the run comes to, its policy included: a breach makes it worse, never better.
func (r *Run) Status() Status {
	status := r.Judged()
	if r.Check == nil {
		return status
	}
	for _, b := range r.Policy {
		switch {
		case b.Failed:
			return Failed
		case status == Passed:
			status = Inconclusive
		}
	}
	return status
}

// Judged says what the results alone come to. A failed check stands even where too little was decided; a gate does not stand on an invalid measurement.
func (r *Run) Judged() Status {
	switch {
	case r.Error != "":
		return Inconclusive
	case r.Check != nil:
		switch {
		case r.Summary.Fail > 0:
			return Failed
		case r.Summary.CoreDecided < r.Summary.Core || r.Summary.Pass+r.Summary.Warn+r.Summary.Info+r.Summary.Accepted == 0:
			return Inconclusive
		}
	case r.Load != nil:
		if r.Validity.Verdict != Valid && r.Validity.Verdict != Suspect {
			return Inconclusive
		}
		for _, g := range r.Gates {
			if !g.Pass {
				return Failed
			}
		}
	case r.Limits != nil:
		if r.Decided() == 0 || r.Gone != "" {
			return Inconclusive
		}
		for _, g := range r.Thresholds {
			if !g.Pass {
				return Failed
			}
		}
	}
	return Passed
}

// Word is the status as a report is headed with it. It promises no more than was found: "interrupted" where the end was not reached,
// "suspect" as the measurement is, "measured" where something went wrong and no threshold says whether that is good enough, "searched" where limits were looked for and none was asked for.
func (r *Run) Word() string {
	status := r.Status()
	switch {
	case r.Interrupted:
		return "interrupted"
	case status == Passed && r.Limits != nil && len(r.Thresholds) == 0:
		return "searched"
	case status != Passed || r.Load == nil:
	case r.Validity.Verdict == Suspect:
		return Suspect
	case len(r.Gates) == 0 && (r.Streams.Failed > 0 || r.Streams.ClosedByServer > 0 || r.Events.Lost > 0 || r.lostAway() > 0 || len(r.Broken()) > 0):
		return "measured"
	}
	return string(status)
}

// Sentence says in one line of plain words what the run comes to.
func (r *Run) Sentence() string {
	s := ""
	switch {
	case r.Error != "":
		s = "nothing could be judged: " + Escape(r.Error) + "."
	case r.Check != nil:
		s = r.checkSentence()
	case r.Load != nil:
		s = r.loadSentence()
	case r.Limits != nil:
		s = r.limitsSentence()
	}
	if r.Interrupted {
		s = "Interrupted; what is known so far: " + s
	}
	return s
}

func (r *Run) checkSentence() string {
	n := r.Summary
	decided := n.Pass + n.Warn + n.Fail + n.Info + n.Accepted
	var s string
	switch r.Judged() {
	case Failed:
		s = fmt.Sprintf("%d of %s failed", n.Fail, Plural(int64(decided), "check"))
		if n.Warn > 0 {
			s += ", " + Plural(int64(n.Warn), "warning")
		}
	case Inconclusive:
		s = fmt.Sprintf("nothing can be concluded, %d of %s decided", n.CoreDecided, Plural(int64(n.Core), "core check"))
	default:
		s = fmt.Sprintf("%s passed", Plural(int64(n.Pass), "check"))
		if n.Warn > 0 {
			s += ", " + Plural(int64(n.Warn), "warning")
		}
	}
	if n.Accepted > 0 {
		s += fmt.Sprintf("; %d accepted by the baseline", n.Accepted)
	}
	if n.Error > 0 {
		s += fmt.Sprintf("; %s could not be judged (network or ssegauge, not the target)", Plural(int64(n.Error), "check"))
	}
	if open := n.NotObserved; open > 0 {
		s += fmt.Sprintf("; %d not observed", open)
	}
	for _, b := range r.Policy {
		s += "; " + Escape(b.Reason)
	}
	return s + "."
}

func (r *Run) loadSentence() string {
	var parts []string
	parts = append(parts, fmt.Sprintf("%s of %s opened", Count(int64(r.Streams.Opened)), Plural(int64(r.Streams.Due()), "stream")))
	if n := r.Streams.Completed; n > 0 {
		parts = append(parts, Count(int64(n))+" completed")
	}
	if n := r.Streams.ClosedByServer; n > 0 {
		parts = append(parts, Count(int64(n))+" ended early")
	}
	if e := r.Events; e.Published > 0 || e.Eligible > 0 {
		parts = append(parts, fmt.Sprintf("%s received, %s", Plural(e.Received, "event"), r.Loss()))
	} else {
		parts = append(parts, Plural(e.Received, "event")+" received")
	}
	switch n := r.PublishesFailed(); n {
	case 0:
	case 1:
		parts = append(parts, "1 publish failed")
	default:
		parts = append(parts, Count(n)+" publishes failed")
	}
	if q := r.LatencyUS["deliver"]; q != nil && q.P50 != nil {
		s := "delivered in " + Micros(*q.P50) + " (p50)"
		if q.P99 != nil {
			s += ", " + Micros(*q.P99) + " (p99)"
		}
		parts = append(parts, s)
	}
	if broken := r.Broken(); len(broken) > 0 {
		s := Plural(int64(len(broken)), "requirement") + " not kept: "
		for i, f := range broken[:min(len(broken), 3)] {
			if i > 0 {
				s += ", "
			}
			s += Escape(f.ID)
		}
		if len(broken) > 3 {
			s += " and others"
		}
		parts = append(parts, s)
	}
	if s := gatesMet(r.Gates); s != "" {
		parts = append(parts, s)
	}
	s := strings.Join(parts, "; ")
	switch r.Validity.Verdict {
	case Valid:
	case Suspect:
		s += "; the measurement is suspect"
	default:
		s = "nothing can be concluded, the measurement is not valid; " + s
	}
	return s + "."
}

// gatesMet is "2 thresholds met", "1 of 2 thresholds failed"; "" where there are none.
func gatesMet(gates []Gate) string {
	failed := 0
	for _, g := range gates {
		if !g.Pass {
			failed++
		}
	}
	switch all := Plural(int64(len(gates)), "threshold"); {
	case len(gates) == 0:
		return ""
	case failed == 0:
		return all + " met"
	default:
		return fmt.Sprintf("%d of %s failed", failed, all)
	}
}

func (r *Run) limitsSentence() string {
	var found, undecided, all, facts int64
	for i := range r.Limits.Limits {
		switch x := &r.Limits.Limits[i]; {
		case x.Verdict == LimitNotApplicable:
			continue
		case x.Fact:
			facts++
			continue
		case x.Verdict == LimitFound:
			found++
		case x.Verdict == LimitUndecided:
			undecided++
		}
		all++
	}
	s := fmt.Sprintf("%s found of %s looked for", Plural(found, "limit"), Count(all))
	switch first := r.First(); {
	case all+facts == 0 && len(r.Limits.Limits) > 0:
		s = "nothing that was looked for applies to this target"
	case r.Decided() == 0:
		s = fmt.Sprintf("nothing can be concluded, none of %s decided", Plural(all, "limit"))
		undecided = 0
	case all == 0:
		s = "figures only, no limit was looked for"
	case found == 0:
		s = fmt.Sprintf("no limit found of %s looked for", Count(all))
	case first != nil:
		s += "; the first that production meets: " + first.named()
	default:
		for _, x := range r.ByVerdict()[:min(found, 2)] {
			s += "; " + x.named()
		}
	}
	if undecided > 0 {
		s += "; " + Count(undecided) + " undecided"
	}
	if met := gatesMet(r.Thresholds); met != "" {
		s += "; " + met
	}
	if away := r.Departure(); away != "" {
		s = away + ": " + s
	}
	return s + "."
}

// Loss says what was lost, also while receivers were away: "none lost", "none lost while open, 952 lost while away".
func (l *Load) Loss() string {
	s := "none lost"
	if l.Events.Lost > 0 {
		s = Count(l.Events.Lost) + " lost"
	}
	if n := l.lostAway(); n > 0 {
		s += " while open, " + Count(n) + " lost while away"
	}
	return s
}

func (l *Load) lostAway() int64 {
	if l.Reconnect == nil {
		return 0
	}
	return l.Reconnect.LostInGap
}

// PublishesFailed counts the publishes that the hook refused or that did not reach it.
func (l *Load) PublishesFailed() (n int64) {
	for cause, count := range l.Streams.Failures {
		if strings.HasPrefix(cause, "publish: ") {
			n += int64(count)
		}
	}
	return n
}

// Plural is "1 check", "2,000 checks".
func Plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return Count(n) + " " + noun + "s"
}
