package result

import (
	"bytes"
	"strings"
	"testing"
)

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
		{"measured", load(func(r *Run) { r.Reconnect = &Reconnect{LostInGap: 1} })},
		{"passed", load(func(r *Run) { r.Events.Lost = 1; r.Gates = []Gate{{Pass: true}} })},
		{"passed", &Run{Check: &Check{Summary: Summary{Pass: 1}}}},
		{"inconclusive", &Run{Check: &Check{}}},
		{"failed", &Run{Check: &Check{Summary: Summary{Pass: 1}, Policy: []Breach{{"no proof", false}, {"stale", true}}}}},
		{"inconclusive", &Run{Check: &Check{Summary: Summary{Pass: 1}, Policy: []Breach{{"no proof", false}}}}},
		{"failed", &Run{Check: &Check{Summary: Summary{Fail: 1}, Policy: []Breach{{"no proof", false}}}}},
		{"failed", &Run{Check: &Check{Policy: []Breach{{"stale", true}}}}},
		{"interrupted", &Run{Interrupted: true, Check: &Check{Policy: []Breach{{"stale", true}}}}},
	} {
		if got := c.run.Word(); got != c.want {
			t.Errorf("%q, want %q: %+v", got, c.want, c.run)
		}
	}
}

// The sentence hides no loss: not what was lost while receivers were away, nor what could not be published.
func TestLoadSentence(t *testing.T) {
	for _, c := range []struct {
		lost, away int64
		refused    int
		want       string
	}{
		{0, 0, 0, "5 events received, none lost."},
		{2, 0, 1, "5 events received, 2 lost; 1 publish failed."},
		{0, 952, 0, "5 events received, none lost while open, 952 lost while away."},
		{2, 952, 1000, "5 events received, 2 lost while open, 952 lost while away; 1,001 publishes failed."},
	} {
		l := &Load{Validity: Validity{Verdict: Valid}, Reconnect: &Reconnect{LostInGap: c.away}, Events: Events{Published: 5, Received: 5, Lost: c.lost}}
		if l.Streams.Failures = map[string]int{"connect: timeout": 3}; c.refused > 0 {
			l.Streams.Failures["publish: status 500"] = c.refused
		}
		if c.refused > 1 {
			l.Streams.Failures["publish: no answer in time"] = 1
		}
		if got := (&Run{Load: l}).Sentence(); got != "0 of 0 streams opened; "+c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// What is asked of a run beyond its results stands in its sentence, and comes back from a file.
func TestPolicy(t *testing.T) {
	r := &Run{Schema: SchemaCheck, Check: &Check{Summary: Summary{Pass: 2}, Results: []Finding{}, Policy: []Breach{{"--require a: see http://u:secret@host/\x1b", false}}}}
	var b bytes.Buffer
	if err := Encode(&b, r); err != nil {
		t.Fatal(err)
	}
	if s := b.String(); strings.Contains(s, "secret") || !strings.Contains(s, `"status": "inconclusive"`) {
		t.Error(s)
	}
	back, err := Decode(&b)
	if err != nil {
		t.Fatal(err)
	}
	if s := back.Sentence(); !strings.HasPrefix(s, "2 checks passed; --require a: see http://") || strings.Contains(s, "\x1b") {
		t.Error(s)
	}
	if back.Status() != Inconclusive || back.Judged() != Passed {
		t.Error(back.Status(), back.Judged())
	}
}
