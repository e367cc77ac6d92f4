// Package github writes a run the way GitHub Actions reads it: workflow commands on stdout become annotations ([Annotations]), Markdown in the
// file that GITHUB_STEP_SUMMARY names the summary of the job ([Summary]). What else is printed in a job may hold text of the target, and the
// runner obeys any line that looks like a command: [Fence] keeps it from that.
//
// All text goes through result.Escape and then through the escaping of commands. It imports reports/result and reports/markdown. A new
// annotation is one call of report.annotate.
package github

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"fmt"
	"io"
	"strings"

	"ssegauge/reports/markdown"
	"ssegauge/reports/result"
)

// The runner shows so many annotations of a level for a step, and drops the rest; one of each is kept for the verdict.
const shown = 9

// maxText bounds an annotation's message; the runner cuts what is above 64 KiB, and nobody reads that much.
const maxText = 4 << 10

// levels of annotations.
const (
	failure = "error"
	warning = "warning"
	notice  = "notice"
)

// Annotations writes the run as workflow commands: an error for each check that failed and each threshold missed, a warning for each check that warned
// or could not be judged, and last what the run comes to.
func Annotations(w io.Writer, r *result.Run) error {
	p := &report{Run: r.Complete(), count: map[string]int{}}
	switch {
	case r.Check != nil:
		p.check()
	case r.Load != nil:
		p.load()
	default:
		return fmt.Errorf("github: nothing to report in a run of schema %q", r.Schema)
	}
	p.verdict()
	_, err := w.Write(p.out.Bytes())
	return err
}

type report struct {
	*result.Run
	out   bytes.Buffer
	count map[string]int // annotations by level
}

// annotate writes one command, or only counts it where the runner would drop it.
func (p *report) annotate(level, title, message string) {
	if p.count[level]++; p.count[level] <= shown {
		p.command(level, title, message)
	}
}

func (p *report) command(level, title, message string) {
	if len(message) > maxText {
		message = strings.ToValidUTF8(message[:maxText], "") + " …"
	}
	fmt.Fprintf(&p.out, "::%s title=%s::%s\n", level, property(title), data(message))
}

// data escapes the message of a workflow command, property the value of one of its properties.
func data(s string) string { return dataEscapes.Replace(s) }

func property(s string) string { return propertyEscapes.Replace(s) }

var (
	dataEscapes     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	propertyEscapes = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

func (p *report) check() {
	for _, f := range p.Bad() {
		lines := []string{result.Escape(f.Message)}
		for i := range f.Evidence[:min(1, len(f.Evidence))] {
			lines = append(lines, f.Evidence[i].Lines()...)
		}
		lines = append(lines, "rule: "+result.Escape(f.Title+" ("+f.Source()+")"))
		if f.Hint != "" {
			lines = append(lines, "do: "+result.Escape(f.Hint))
		}
		if f.Reproduce != "" {
			lines = append(lines, "run: "+result.Escape(f.Reproduce))
		}
		level, title := warning, result.Escape(f.ID)
		switch f.Verdict {
		case result.Fail:
			level = failure
		case result.Error:
			title += " could not be judged"
		}
		p.annotate(level, title, strings.Join(lines, "\n"))
	}
}

func (p *report) load() {
	for _, reason := range p.Validity.Reasons {
		p.annotate(warning, "measurement "+result.Escape(p.Validity.Verdict), result.Escape(reason))
	}
	if p.Status() == result.Inconclusive {
		return // thresholds say nothing about the target then
	}
	for i := range p.Gates {
		if g := &p.Gates[i]; !g.Pass {
			p.annotate(failure, "threshold "+result.Escape(g.Expression), g.Seen())
		}
	}
}

// verdict writes what the run comes to, and how much was left out above.
func (p *report) verdict() {
	level := notice
	if p.Status() != result.Passed || p.Interrupted {
		level = failure // the job fails by its exit code, and here is why
	}
	kind := "check"
	if p.Load != nil {
		kind = "load"
	}
	sentence := result.Escape(p.Sentence())
	left := 0
	for _, n := range p.count {
		left += max(0, n-shown)
	}
	if left > 0 {
		sentence += fmt.Sprintf("\n%s more in the job summary and the report.", result.Plural(int64(left), "finding"))
	}
	p.command(level, "ssegauge "+kind+": "+p.Word(), result.Escape(cmp.Or(p.Target.URL, "the target"))+": "+sentence)
}

// MaxSummary is how much Summary writes at most: the runner refuses a step's summary above 1 MiB, and drops all of it.
const MaxSummary = 1000 << 10

// Summary writes the runs as Markdown for the summary of a job, of all of them at most [MaxSummary] bytes: where that is too little, first the evidence is left out,
// then all but the verdicts.
func Summary(w io.Writer, runs ...*result.Run) error {
	var out bytes.Buffer
	for _, shorten := range []func(*result.Run) *result.Run{whole, brief, verdictOnly} {
		out.Reset()
		for _, r := range runs {
			if err := markdown.Render(&out, shorten(r)); err != nil {
				return err
			}
			if out.WriteByte('\n'); out.Len() > MaxSummary {
				break
			}
		}
		if out.Len() <= MaxSummary {
			break
		}
	}
	if out.Len() > MaxSummary { // hundreds of runs: as many whole lines as there is room for
		out.Truncate(bytes.LastIndexByte(out.Bytes()[:MaxSummary], '\n') + 1)
	}
	_, err := w.Write(out.Bytes())
	return err
}

func whole(r *result.Run) *result.Run { return r }

// brief is a run without evidence and with texts of bounded length.
func brief(r *result.Run) *result.Run {
	short := *r
	if r.Check != nil {
		c := *r.Check
		c.Results = make([]result.Finding, len(r.Results))
		for i, f := range r.Results {
			f.Evidence, f.Reproduce, f.Message, f.Hint = nil, "", clip(f.Message), clip(f.Hint)
			c.Results[i] = f
		}
		short.Check = &c
	}
	if r.Load != nil {
		l := *r.Load
		l.Streams.Failures = nil
		short.Load = &l
	}
	return &short
}

func clip(s string) string {
	if len(s) > 300 {
		return strings.ToValidUTF8(s[:300], "") + " …"
	}
	return s
}

// verdictOnly is a run without its findings or figures; its counts and gates, and so its status, stay.
func verdictOnly(r *result.Run) *result.Run {
	short := *r
	short.Target.URL = clip(r.Target.URL)
	if r.Check != nil {
		short.Check = &result.Check{Summary: r.Summary}
	}
	if r.Load != nil {
		short.Load = &result.Load{Validity: result.Validity{Verdict: r.Validity.Verdict}, Streams: r.Streams, Events: r.Events, Gates: r.Gates}
		short.Load.Streams.Failures = nil
	}
	return &short
}

// Fence runs write and keeps the runner from obeying commands in what it writes: such as "::stop-commands::" or "##[error]" in text of the target, which print
// well and need no escaping elsewhere. Use it around all output of a job but [Annotations].
func Fence(w io.Writer, write func(io.Writer) error) error {
	token := "ssegauge-" + rand.Text() // not to be guessed by the target
	if _, err := fmt.Fprintf(w, "::stop-commands::%s\n", token); err != nil {
		return err
	}
	err := write(w)
	// Also behind an error: or the rest of the job's commands would be lost. On a line of its own, whatever was written last.
	if _, ferr := fmt.Fprintf(w, "\n::%s::\n", token); err == nil {
		err = ferr
	}
	return err
}
