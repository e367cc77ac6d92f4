package result

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

func TestQuantity(t *testing.T) {
	for _, c := range []struct {
		v    float64
		unit string
		want string
	}{
		{1, "streams", "1 stream"},
		{10_000, "requests", "10,000 requests"},
		{0.5, "streams", "0.500 streams"},
		{1, "events/s", "1 events/s"},
		{7, "", "7"},
		{5, "s", "5 s"},
		{0.0502, "s", "50.2 ms"},
		{0, "s", "0 µs"},
		{119.96, "s", "120 s"},
		{60, "s", "60 s"},
		{300, "s", "5 min"},
		{601, "s", "601 s"},
		{7200, "s", "2 h"},
		{8192, "bytes", "8 KiB"},
		{65_535, "bytes", "65,535 B"},
		{0, "bytes", "0 B"},
		{1 << 20, "bytes", "1 MiB"},
		{3 << 29, "bytes", "1.5 GiB"},
		{1<<20 + 1, "bytes", "1 MiB"},
		{0.12, "ratio", "12 %"},
	} {
		if got := Quantity(c.v, c.unit); got != c.want {
			t.Errorf("%v %s: %q, want %q", c.v, c.unit, got, c.want)
		}
	}
}

func TestLimitShown(t *testing.T) {
	for _, c := range []struct {
		limit Limit
		want  string
	}{
		{Limit{Verdict: LimitFound, Low: new(128.0), High: new(128.0), Unit: "streams"}, "128 streams"},
		{Limit{Verdict: LimitFound, Low: new(500.0), High: new(524.0), Unit: "streams"}, "500 to 524 streams"},
		{Limit{Verdict: LimitFound, Low: new(0.0), High: new(1.0), Unit: "streams"}, "0 streams to 1 stream"},
		{Limit{Verdict: LimitFound, Low: new(1.0), High: new(2.0), Unit: "streams"}, "1 to 2 streams"},
		{Limit{Verdict: LimitFound, Low: new(4.9), High: new(5.2), Unit: "s"}, "4.9 to 5.2 s"},
		{Limit{Verdict: LimitFound, Low: new(0.9), High: new(1.2), Unit: "s"}, "900 ms to 1.2 s"},
		{Limit{Verdict: LimitFound, Low: new(65_535.0), High: new(65_536.0), Unit: "bytes"}, "65,535 to 65,536 B"},
		{Limit{Verdict: LimitFound, Low: new(4096.0), High: new(8192.0), Unit: "bytes"}, "4 to 8 KiB"},
		{Limit{Verdict: LimitFound, High: new(3.0), Unit: "streams"}, "at most 3 streams"},
		{Limit{Verdict: LimitFound, Low: new(3.0), Unit: "streams"}, "at least 3 streams"},
		{Limit{Verdict: LimitFound}, "found"},
		{Limit{Verdict: LimitNone, Low: new(10_000.0), Unit: "streams"}, "none up to 10,000 streams"},
		{Limit{Verdict: LimitNone}, "none found"},
		{Limit{Verdict: LimitNone, Low: new(0.0), Unit: "bytes"}, "none found"},
		{Limit{Verdict: LimitUndecided, DecidedBy: "--publish"}, "undecided: --publish"},
		{Limit{Verdict: LimitUndecided}, "undecided"},
		{Limit{Verdict: LimitNotApplicable}, "not applicable"},
		{Limit{Verdict: "\x1b"}, `\x1b`},
		{Limit{Verdict: LimitNone, Low: new(2.0), Unit: "\x1b"}, `none up to 2 \x1b`},
	} {
		if got := c.limit.Shown(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestLimitBrief(t *testing.T) {
	for want, l := range map[string]Limit{
		"128":        {Verdict: LimitFound, Low: new(128.0), High: new(128.0), Unit: "streams"},
		"500 to 524": {Verdict: LimitFound, Low: new(500.0), High: new(524.0), Unit: "streams"},
		"4 to 8 KiB": {Verdict: LimitFound, Low: new(4096.0), High: new(8192.0), Unit: "bytes"},
		"≥ 5 s":      {Verdict: LimitNone, Low: new(5.0), Unit: "s"},
		"?":          {Verdict: LimitUndecided, DecidedBy: "--publish"},
		"–":          {Verdict: LimitNotApplicable},
	} {
		if got := l.Brief(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// What comes first is the least number of streams that the path or the target lets pass; a limit of this machine is none that production meets.
func TestLimitsSentence(t *testing.T) {
	found := func(id, unit, owner string, v float64) Limit {
		return Limit{ID: id, Title: "number of " + id, Verdict: LimitFound, Low: &v, High: &v, Unit: unit, Owner: owner}
	}
	open, none, inapplicable := Limit{Verdict: LimitUndecided, DecidedBy: "--publish"}, Limit{Verdict: LimitNone, Low: new(9.0)}, Limit{Verdict: LimitNotApplicable}
	fact := found("a heartbeat", "streams", OwnerTarget, 1)
	fact.Fact = true
	for _, c := range []struct {
		limits     []Limit
		thresholds []Gate
		word, want string
	}{
		{nil, nil, "inconclusive", "nothing can be concluded, none of 0 limits decided."},
		{[]Limit{open, open}, nil, "inconclusive", "nothing can be concluded, none of 2 limits decided."},
		{[]Limit{open, none}, nil, "searched", "no limit found of 2 looked for; 1 undecided."},
		{[]Limit{inapplicable}, nil, "searched", "nothing that was looked for applies to this target."},
		{
			[]Limit{found("a", "s", OwnerTarget, 5), found("b", "streams", OwnerGenerator, 2), found("c", "streams", OwnerTarget, 16), found("d", "streams", OwnerPath, 6), found("e", "bytes", "", 1)},
			nil, "searched",
			"5 limits found of 5 looked for; the first that production meets: number of d, 6 streams (path).",
		},
		{[]Limit{found("a", "s", "", 5), none}, nil, "searched", "1 limit found of 2 looked for; number of a, 5 s."},
		{[]Limit{fact, found("a", "streams", "", 5), open}, nil, "searched", "1 limit found of 2 looked for; the first that production meets: number of a, 5 streams; 1 undecided."},
		{[]Limit{fact}, nil, "searched", "figures only, no limit was looked for."},
		{[]Limit{found("b", "streams", OwnerGenerator, 2)}, nil, "searched", "1 limit found of 1 looked for; number of b, 2 streams (generator)."},
		{[]Limit{none}, []Gate{{Pass: true}}, "passed", "no limit found of 1 looked for; 1 threshold met."},
		{[]Limit{none}, []Gate{{Pass: true}, {}}, "failed", "no limit found of 1 looked for; 1 of 2 thresholds failed."},
		{[]Limit{open}, []Gate{{}}, "inconclusive", "nothing can be concluded, none of 1 limit decided; 1 of 1 threshold failed."},
	} {
		r := &Run{Limits: &Limits{Limits: c.limits, Thresholds: c.thresholds}}
		if got := r.Sentence(); got != c.want || r.Word() != c.word {
			t.Errorf("%s: %q, want %s: %q", r.Word(), got, c.word, c.want)
		}
	}
}

// Tries of one number of streams are one stage, of which the worst counts; a doubt that all share is said once.
func TestStages(t *testing.T) {
	l := &Limits{Curve: []Rung{
		{Streams: 20, Opened: 20, OpenP99US: new(9.0), DeliverP50US: new(2.0), EventsPerSecond: 10, Validity: Valid, Holds: true},
		{Streams: 10, Opened: 10, Validity: Valid, Holds: true},
		{Streams: 20, Opened: 18, Failed: 2, OpenP99US: new(7.0), DeliverP99US: new(4.0), Validity: Invalid},
		{Streams: 20, Opened: 20, Lost: 3, EventsPerSecond: 20, Validity: Suspect, Holds: true},
	}}
	stages, doubt := l.Stages()
	if len(stages) != 2 || doubt != "" || stages[0].Streams != 10 || stages[0].Trouble() != "" || stages[0].Rate() != "–" {
		t.Errorf("%+v, %q", stages, doubt)
	}
	s := stages[1]
	if s.Opened != 18 || *s.OpenP99US != 9 || *s.DeliverP50US != 2 || *s.DeliverP99US != 4 || s.EventsPerSecond != 15 || s.Holds {
		t.Errorf("%+v", s)
	}
	if got := s.Trouble(); got != "2 failed, 3 lost, held in 2 of 3 tries, not valid" {
		t.Error(got)
	}
	for i := range l.Curve {
		l.Curve[i].Validity = Suspect
	}
	stages, doubt = l.Stages()
	if doubt != "suspect" || stages[1].Trouble() != "2 failed, 3 lost, held in 2 of 3 tries" {
		t.Errorf("%q, %q", doubt, stages[1].Trouble())
	}
	if s := (Stage{Tries: 1}); s.Trouble() != "did not hold" {
		t.Error(s.Trouble())
	}
}

func TestByVerdict(t *testing.T) {
	l := &Limits{Limits: []Limit{
		{ID: "undecided", Verdict: LimitUndecided},
		{ID: "none", Verdict: LimitNone},
		{ID: "ours", Verdict: LimitFound, Owner: OwnerGenerator},
		{ID: "fact", Verdict: LimitFound, Fact: true},
		{ID: "gone", Verdict: LimitNotApplicable},
		{ID: "first", Verdict: LimitFound, Owner: OwnerTarget},
		{ID: "second", Verdict: LimitFound},
	}}
	var ids []string
	for _, x := range l.ByVerdict() {
		ids = append(ids, x.ID)
	}
	if got := strings.Join(ids, " "); got != "first second ours fact none undecided" {
		t.Error(got)
	}
	if l.Limits[0].ID != "undecided" {
		t.Error("the order in the file was changed")
	}
}

func TestOpenSentence(t *testing.T) {
	by := func(flags ...string) *Limits {
		l := new(Limits)
		for _, f := range flags {
			l.Limits = append(l.Limits, Limit{Verdict: LimitUndecided, DecidedBy: f})
		}
		return l
	}
	failing := by("")
	failing.Remarks = []string{"The hook \x1b[31mfails."}
	mixed := by("--publish", "")
	mixed.Limits[1].Fact = true
	for want, l := range map[string]*Limits{
		"1 limit undecided. The hook \\x1b[31mfails.":                       failing,
		"1 limit and 1 figure undecided; --publish would decide 1 of them.": mixed,
		"":                    by(),
		"1 limit undecided.":  by(""),
		"2 limits undecided.": by("", ""),
		"4 limits undecided; --publish would decide 2 of them, --source 1.": by("--source", "--publish", "", "--publish"),
	} {
		if got := l.OpenSentence(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// A target that went away is the first thing that is said, and no threshold was put to the test.
func TestLimitsGone(t *testing.T) {
	r := &Run{Limits: &Limits{Limits: []Limit{{Verdict: LimitNone, Low: new(9.0)}}, Gone: "no stream can be opened since \x1b[31midle", Thresholds: []Gate{{}}}}
	const want = `the target went away during the search (no stream can be opened since \x1b[31midle); what was found before stands: no limit found of 1 looked for; 1 of 1 threshold failed.`
	if got := r.Sentence(); got != want || r.Status() != Inconclusive || r.Word() != "inconclusive" {
		t.Errorf("%s: %s", r.Word(), got)
	}
}

// No list of a search is null in its file, whoever filled it masks nothing, and no member has the name of one of a check or a load run: both would be dropped.
func TestLimitsStored(t *testing.T) {
	r := &Run{Schema: SchemaLimits, Limits: &Limits{Expect: []string{"see http://u:s3cret@h/"}, Remarks: []string{"see http://u:s3cret@h/"}, Gone: "since http://u:s3cret@h/", Limits: []Limit{{Title: "http://h/?token=s3cret", Evidence: "asked http://u:s3cret@h/", Verdict: LimitFound}}}}
	var b bytes.Buffer
	if err := Encode(&b, r, &Run{Schema: SchemaLimits, Limits: new(Limits)}); err != nil {
		t.Fatal(err)
	}
	s := b.String()
	if strings.Contains(s, "s3cret") || !strings.Contains(s, `"found": true`) {
		t.Error(s)
	}
	for _, list := range []string{"expect", "remarks", "limits", "curve"} {
		if !strings.Contains(s, `"`+list+`": []`) {
			t.Errorf("%s is not empty: %s", list, s)
		}
	}
	if r.Expect[0] != "see http://u:s3cret@h/" || r.Limits.Limits[0].Found {
		t.Error("the run was changed")
	}
	members := map[string]string{}
	for _, of := range []reflect.Type{reflect.TypeFor[Check](), reflect.TypeFor[Load](), reflect.TypeFor[Limits]()} {
		for i := range of.NumField() {
			name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
			if members[name] != "" {
				t.Errorf("%s is a member of %s and of %s", name, members[name], of.Name())
			}
			members[name] = of.Name()
		}
	}
}
