package result

import "testing"

// The word over a report promises no more than was found.
func TestWord(t *testing.T) {
	load := func(change func(r *Run)) *Run {
		r := &Run{Load: &Load{Validity: Validity{Verdict: Valid}}}
		change(r)
		return r
	}
	for _, c := range []struct {
		want string
		run  *Run
	}{
		{"passed", load(func(*Run) {})},
		{"suspect", load(func(r *Run) { r.Validity.Verdict = Suspect })},
		{"failed", load(func(r *Run) { r.Validity.Verdict = Suspect; r.Gates = []Gate{{}} })},
		{"inconclusive", load(func(r *Run) { r.Validity.Verdict = Invalid; r.Gates = []Gate{{}} })},
		{"interrupted", load(func(r *Run) { r.Interrupted = true })},
		{"measured", load(func(r *Run) { r.Streams.ClosedByServer = 1 })},
		{"measured", load(func(r *Run) { r.Events.Lost = 1 })},
		{"passed", load(func(r *Run) { r.Events.Lost = 1; r.Gates = []Gate{{Pass: true}} })},
		{"passed", &Run{Check: &Check{Summary: Summary{Pass: 1}}}},
		{"inconclusive", &Run{Check: &Check{}}},
	} {
		if got := c.run.Word(); got != c.want {
			t.Errorf("%q, want %q: %+v", got, c.want, c.run)
		}
	}
}
