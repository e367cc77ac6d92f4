package conformance

import "slices"

// Call tells that the target is asked with a method that may act, POST for one, and that nobody publishes to it: the stream is the answer to a call. It ends when the call
// is answered, nobody comes back to it by himself, and each further request would act once more. (With a publish hook it is a subscription like any other.)
func (p *Probe) Call() bool { return p.s.call() }

func (s *session) call() bool {
	safe := []string{"", "GET", "HEAD", "QUERY"} // RFC 9110 9.2.1
	return s.target.Publisher == nil && !slices.Contains(safe, s.nominal().Method)
}

// spare reports that the target is not asked again, where it must not be.
func (p *Probe) spare() bool {
	if !p.Call() || p.s.target.Active || p.check.Gentle {
		return false
	}
	p.NotObserved("the target is asked with %s, which may act each time", p.s.nominal().Method).
		Hint("--active allows further requests").By("--active")
	return true
}
