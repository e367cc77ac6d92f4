package conformance

import (
	"fmt"
	"slices"

	"ssegauge/reports/result"
)

// Severity is what it counts for when a requirement is not met. The level of a requirement is a fact; its severity is the policy of
// whoever runs the checks. Without one a check's own verdict stands.
type Severity string

// The severities.
const (
	SeverityError Severity = "error" // what is not met fails, even where the check itself would only warn
	SeverityWarn  Severity = "warn"
	SeverityInfo  Severity = "info"
	SeverityOff   Severity = "off" // the check is not run
	// SeverityNew is that of a check that is newer than the requirements a run is held to: it is reported, and fails nobody.
	SeverityNew Severity = "new"
)

// Severities are those that users set.
var Severities = []Severity{SeverityError, SeverityWarn, SeverityInfo, SeverityOff}

// apply changes the verdict of a requirement that is not met. What was seen stays as it was, and the message says who decided.
func (s Severity) apply(f *result.Finding) {
	if f.Verdict != result.Fail && f.Verdict != result.Warn {
		return
	}
	if s == SeverityNew {
		f.Message += fmt.Sprintf(" (new since the requirements of this run; its own verdict: %s)", f.Verdict)
		f.Verdict = result.Info
		return
	}
	v := map[Severity]result.Verdict{SeverityError: result.Fail, SeverityWarn: result.Warn, SeverityInfo: result.Info}[s]
	if v == "" || v == f.Verdict {
		return
	}
	f.Message += fmt.Sprintf(" (its own verdict: %s; severity set to %s)", f.Verdict, s)
	f.Verdict = v
}

// ParseSeverity reads one of [Severities].
func ParseSeverity(s string) (Severity, error) {
	if !slices.Contains(Severities, Severity(s)) {
		return "", fmt.Errorf("%q is no severity: error, warn, info or off is right", s)
	}
	return Severity(s), nil
}
