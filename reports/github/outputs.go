package github

import (
	"fmt"
	"io"

	"ssegauge/reports/result"
)

// Outputs writes what a run comes to as outputs of the step (lines for the file that GITHUB_OUTPUT names): status (passed, failed, inconclusive), and
// of checks how many came to each verdict. Several runs count together. Nothing of the target is in them.
func Outputs(w io.Writer, all ...*result.Run) error {
	var sum result.Summary
	checks := false
	for _, r := range all {
		if r.Check == nil {
			continue
		}
		checks = true
		s := r.Complete().Summary
		sum.Pass += s.Pass
		sum.Fail += s.Fail
		sum.Warn += s.Warn
		sum.Info += s.Info
		sum.NotObserved += s.NotObserved
		sum.NotApplicable += s.NotApplicable
		sum.Error += s.Error
		sum.Accepted += s.Accepted
	}
	out := fmt.Sprintf("status=%s\n", result.Overall(all...))
	if checks {
		out += fmt.Sprintf("pass=%d\nfail=%d\nwarn=%d\ninfo=%d\nnot-observed=%d\nnot-applicable=%d\nerror=%d\naccepted=%d\n",
			sum.Pass, sum.Fail, sum.Warn, sum.Info, sum.NotObserved, sum.NotApplicable, sum.Error, sum.Accepted)
	}
	_, err := io.WriteString(w, out)
	return err
}
