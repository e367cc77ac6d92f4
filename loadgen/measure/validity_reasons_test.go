package measure

import (
	"strings"
	"testing"
	"time"

	"ssegauge/loadgen/schedule"
	"ssegauge/reports/result"
)

// Who is to blame is said only where it is known: a machine that was disturbed may be why delivery grew, and more publishes at once help only where they were too few.
func TestBlame(t *testing.T) {
	const ms = time.Millisecond
	grows := func(q int) time.Duration { return 20*ms + time.Duration(q)*9*ms }
	for _, h := range []Health{{}, {Lag: 0.1}} {
		said := strings.Join(delivered(t, 100, h, grows).Validity.Reasons, "\n")
		if blamed := strings.Contains(said, "the target does not keep up"); blamed != (h.Lag == 0) || !strings.Contains(said, "at 10/s to 10 streams") ||
			strings.Contains(said, "as said above, may be why") == blamed {
			t.Errorf("%+v: %s", h, said)
		}
	}
	for limited, want := range map[int]string{0: "too busy to publish in time", 3: "--publish-in-flight"} {
		said := strings.Join(judged(t, 20*ms, 0, 30*ms, 5, Health{Limited: limited}).Validity.Reasons, "\n")
		if !strings.Contains(said, "20 % of the publishes began more than 10 ms late") || !strings.Contains(said, want) || strings.Contains(said, "--publish-in-flight") != (limited > 0) {
			t.Errorf("%d: %s", limited, said)
		}
	}
}

// What decides stands first.
func TestDecisiveFirst(t *testing.T) {
	v := judged(t, 20*time.Millisecond, 0, 0, 1, Health{Lag: 0.1, Dropped: 1, Ended: time.Second, Planned: 10 * time.Second}).Validity
	if v.Verdict != Invalid || len(v.Reasons) != 3 || !strings.HasPrefix(v.Reasons[0], "every stream had ended") || !strings.HasPrefix(v.Reasons[1], "this process waited") {
		t.Errorf("%+v", v)
	}
}

// A run that was interrupted before its plan had begun to count is not a valid one.
func TestCutShort(t *testing.T) {
	for _, c := range []struct {
		opened, planned int
		publish, cut    bool
		verdict, want   string
	}{
		{3, 5, false, true, Suspect, "interrupted when 3 of 5 streams had been opened"},
		{5, 5, false, true, Valid, ""},
		{5, 5, true, true, Suspect, "interrupted before an event was published"},
		{0, 5, false, true, Invalid, "no stream was opened: the run was interrupted before"},
	} {
		conf := Config{Workers: 1, Deadline: time.Second, Marker: NewMarker("v"), Observe: true}
		if c.publish {
			conf.Events = schedule.Constant{PerSecond: 10, For: time.Second}
		}
		b := NewBoard(conf)
		r := b.Recorder(0)
		streams := make([]Stream, c.opened)
		for i := range streams {
			r.Opened(&streams[i], Opening{Head: 1})
		}
		for range c.planned - c.opened {
			r.Failed(NoneByTheEnd)
		}
		b.Finish()
		l := new(result.Load)
		b.Fill(l)
		l.Streams.Planned = c.planned
		if v := b.Judge(l, Health{Cut: c.cut}); v.Verdict != c.verdict || !strings.Contains(strings.Join(v.Reasons, "\n"), c.want) {
			t.Errorf("%+v: %+v", c, v)
		}
	}
}
