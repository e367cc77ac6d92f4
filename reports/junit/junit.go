// Package junit writes a run as JUnit XML the way CI systems read it: a testcase for each check id, for each threshold of a load run and
// one for its validity, or for each limit that was looked for and each threshold on them. To have a limit is no failure.
//
// What is at fault decides the element. The target: failure. The network, the generator or an early end: error. Nobody, for lack of
// something: skipped, with the flag that would decide it. A warning is a testcase that passes and says so in system-out. Skipped tests read
// as success, so a check or a search that concludes nothing has one testcase more, named "conclusion", with an error; and one that does not meet what was asked of it
// beyond its results (a warning with --fail-on warn, a stale entry of a baseline) has one named "policy".
//
// XML 1.0 cannot carry most control characters, not even as references; all text goes through result.Escape, which leaves none. It imports
// reports/result. A new kind of testcase is one function that returns it.
package junit

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"

	"ssegauge/reports/result"
)

type suites struct {
	XMLName xml.Name `xml:"testsuites"`
	Name    string   `xml:"name,attr"`
	counts
	Suites []suite `xml:"testsuite"`
}

type suite struct {
	Name string `xml:"name,attr"`
	counts
	Timestamp  string     `xml:"timestamp,attr"` // UTC
	Properties []property `xml:"properties>property"`
	Cases      []testcase `xml:"testcase"`
	Out        *text      `xml:"system-out"`
}

type counts struct {
	Tests    int    `xml:"tests,attr"`
	Failures int    `xml:"failures,attr"`
	Errors   int    `xml:"errors,attr"`
	Skipped  int    `xml:"skipped,attr"`
	Time     string `xml:"time,attr"` // seconds
}

type property struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

// A testcase has no time of its own: checks share their connections.
type testcase struct {
	Name    string   `xml:"name,attr"`
	Class   string   `xml:"classname,attr"`
	Time    string   `xml:"time,attr"`
	Failure *problem `xml:"failure"`
	Error   *problem `xml:"error"`
	Skipped *skipped `xml:"skipped"`
	Out     *text    `xml:"system-out"`
}

type problem struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
	Text    string `xml:",cdata"`
}

type skipped struct {
	Message string `xml:"message,attr"`
}

// text is a CDATA section: people read these files too.
type text struct {
	Text string `xml:",cdata"`
}

// Render writes the report of the runs, a testsuite each.
func Render(w io.Writer, all ...*result.Run) error {
	doc := suites{Name: "ssegauge"}
	total := 0.0
	for _, r := range all {
		s, err := suiteOf(r.Complete())
		if err != nil {
			return err
		}
		doc.Suites = append(doc.Suites, s)
		doc.Tests += s.Tests
		doc.Failures += s.Failures
		doc.Errors += s.Errors
		doc.Skipped += s.Skipped
		total += max(0, r.DurationMS)
	}
	doc.Time = seconds(total)

	var out bytes.Buffer
	out.WriteString(xml.Header)
	e := xml.NewEncoder(&out)
	e.Indent("", "  ")
	if err := e.Encode(doc); err != nil {
		return fmt.Errorf("junit: %w", err)
	}
	out.WriteByte('\n')
	_, err := w.Write(out.Bytes())
	return err
}

func seconds(ms float64) string { return strconv.FormatFloat(max(0, ms)/1e3, 'f', 3, 64) }

func suiteOf(r *result.Run) (suite, error) {
	s := suite{Timestamp: r.Started.UTC().Format("2006-01-02T15:04:05")}
	target := result.Escape(r.Target.URL)
	switch {
	case r.Check != nil:
		s.Name = "ssegauge check " + target
		for i := range r.Results {
			s.Cases = append(s.Cases, finding(&r.Results[i]))
		}
		if r.Interrupted || r.Judged() == result.Inconclusive {
			s.Cases = append(s.Cases, conclusion(r, "check", r.UndecidedSentence()))
		}
		if len(r.Policy) > 0 {
			s.Cases = append(s.Cases, policy(r))
		}
	case r.Load != nil:
		s.Name = "ssegauge load " + target
		s.Cases = append(s.Cases, validity(r))
		for i := range r.Gates {
			s.Cases = append(s.Cases, threshold(r, "load.threshold", "the measurement is not valid", &r.Gates[i]))
		}
		for i := range r.Load.Findings {
			s.Cases = append(s.Cases, finding(&r.Load.Findings[i]))
		}
	case r.Limits != nil:
		s.Name = "ssegauge limits " + target
		for i := range r.Limits.Limits {
			s.Cases = append(s.Cases, limit(&r.Limits.Limits[i]))
		}
		for i := range r.Thresholds {
			s.Cases = append(s.Cases, threshold(r, "limits.threshold", "nothing can be concluded", &r.Thresholds[i]))
		}
		if r.Interrupted || r.Judged() == result.Inconclusive {
			s.Cases = append(s.Cases, conclusion(r, "limits", r.OpenSentence()))
		}
	default:
		return s, fmt.Errorf("junit: nothing to report in a run of schema %q", r.Schema)
	}
	s.counts = count(s.Cases)
	s.Time = seconds(r.DurationMS)
	s.Properties = []property{{"target", target}, {"http", result.Escape(r.Target.HTTP)}, {"status", r.Word()}, {"ssegauge.version", result.Escape(r.Tool.Version)}}
	s.Out = &text{result.Escape(r.Sentence())}
	return s, nil
}

func count(cases []testcase) counts {
	c := counts{Tests: len(cases)}
	for i := range cases {
		switch t := &cases[i]; {
		case t.Failure != nil:
			c.Failures++
		case t.Error != nil:
			c.Errors++
		case t.Skipped != nil:
			c.Skipped++
		}
	}
	return c
}

func newCase(name, class string) testcase {
	return testcase{Name: cmp.Or(result.Escape(name), "(no id)"), Class: result.Escape(class), Time: "0"}
}

// conclusion is the testcase that there is where nothing is concluded, or not all.
func conclusion(r *result.Run, class, open string) testcase {
	t := newCase("conclusion", class)
	t.Error = &problem{result.Escape(r.Sentence()), r.Word(), result.Escape(open)}
	return t
}

// limit is the testcase of a limit: it passes where something can be said of it.
func limit(l *result.Limit) testcase {
	t := newCase(l.ID, "limits."+l.Probe)
	says := l.Shown()
	if l.Verdict == result.LimitFound && l.Owner != "" {
		says += " (" + result.Escape(l.Owner) + ")"
	}
	if l.Verdict == result.LimitUndecided || l.Verdict == result.LimitNotApplicable {
		t.Skipped = &skipped{says + "; " + result.Escape(l.Evidence)}
		return t
	}
	t.Out = &text{lines([]string{result.Escape(l.Title) + ": " + says, result.Escape(l.Evidence)})}
	return t
}

// policy is the testcase of what was asked of the run beyond its results and was not met.
func policy(r *result.Run) testcase {
	t := newCase("policy", "check")
	failed := false
	var reasons []string
	for _, b := range r.Policy {
		failed = failed || b.Failed
		reasons = append(reasons, result.Escape(b.Reason))
	}
	why := &problem{strings.Join(reasons, "; "), "policy", lines(reasons)}
	if failed {
		t.Failure = why
	} else {
		t.Error = why
	}
	return t
}

// class is the group of a check as a name of a class, by which CI systems fold: "check.sec.inject" of "sec/inject/data-cr".
func class(id string) string {
	if i := strings.LastIndexByte(id, '/'); i >= 0 {
		return "check." + strings.ReplaceAll(id[:i], "/", ".")
	}
	return "check"
}

func finding(f *result.Finding) testcase {
	t := newCase(f.ID, class(f.ID))
	message := result.Escape(f.Message)
	about := append([]string{"rule: " + result.Escape(f.Title+" ("+f.Source()+")")}, advice(f)...)
	switch f.Verdict {
	case result.Fail:
		t.Failure = &problem{message, result.Escape(string(f.Level)), lines(about)}
	case result.Error:
		t.Error = &problem{message, "not judged", lines(about)}
	case result.NotObserved, result.NotApplicable:
		t.Skipped = &skipped{message}
		if f.Hint != "" {
			t.Skipped.Message += " (" + result.Escape(f.Hint) + ")"
		}
		return t
	}
	var out []string
	switch f.Verdict {
	case result.Warn:
		out = append([]string{"warning: " + message}, about...)
	case result.Fail, result.Error:
	default:
		out = []string{message}
	}
	for _, e := range f.Evidence {
		out = append(append(out, ""), e.Lines()...)
	}
	if f.Reproduce != "" && f.Verdict != result.Pass && f.Verdict != result.Info {
		out = append(out, "", "$ "+result.Escape(f.Reproduce))
	}
	if s := lines(out); strings.TrimSpace(s) != "" {
		t.Out = &text{s}
	}
	return t
}

func advice(f *result.Finding) []string {
	if f.Hint == "" {
		return nil
	}
	return []string{"do: " + result.Escape(f.Hint)}
}

func lines(l []string) string {
	if len(l) > 0 && l[0] == "" {
		l = l[1:]
	}
	return strings.Join(l, "\n")
}

// validity is the testcase of the measurement itself.
func validity(r *result.Run) testcase {
	t := newCase("validity", "load")
	var out []string
	for _, reason := range r.Validity.Reasons {
		out = append(out, result.Escape(reason))
	}
	verdict := result.Escape(r.Validity.Verdict)
	switch {
	case r.Validity.Verdict != result.Valid && r.Validity.Verdict != result.Suspect:
		t.Error = &problem{"the measurement is not valid", verdict, lines(out)}
		return t
	case r.Interrupted:
		t.Error = &problem{"interrupted before its end", "interrupted", lines(out)}
		return t
	}
	t.Out = &text{lines(append([]string{"the measurement is " + verdict}, out...))}
	return t
}

// threshold is the testcase of one gate. Where nothing can be concluded it is skipped, and says why: met or not, it says nothing about the target.
func threshold(r *result.Run, class, why string, g *result.Gate) testcase {
	t := newCase(g.Expression, class)
	seen := g.Seen()
	switch {
	case r.Status() == result.Inconclusive:
		t.Skipped = &skipped{why + "; " + seen}
	case !g.Pass:
		t.Failure = &problem{seen, "threshold", result.Escape(g.Expression) + "\n" + seen}
	default:
		t.Out = &text{seen}
	}
	return t
}
