// Package github writes a run the way GitHub Actions reads it: workflow commands on stdout become annotations ([Annotations]). What else is
// printed in a job may hold text of the target, and the runner obeys any line that looks like a command: [Fence] keeps it from that. The
// summary of the job is Markdown: markdown.Summary.
//
// All text goes through result.Escape and then through the escaping of commands. It imports reports/result. A new annotation is one call of
// report.annotate.
package github

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"fmt"
	"io"
	"strings"

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
//
// Of several runs, each names its target.
func Annotations(w io.Writer, all ...*result.Run) error {
	p := &report{count: map[string]int{}, several: result.Several(all...)}
	for _, r := range all {
		p.Run = r.Complete()
		switch {
		case r.Check != nil:
			p.findings(p.Bad())
		case r.Load != nil:
			p.load()
		case r.Limits != nil:
			p.thresholds(p.Thresholds)
		default:
			return fmt.Errorf("github: nothing to report in a run of schema %q", r.Schema)
		}
	}
	p.verdict(all)
	_, err := w.Write(p.out.Bytes())
	return err
}

type report struct {
	*result.Run
	out     bytes.Buffer
	count   map[string]int // annotations by level
	several bool           // targets
}

// annotate writes one command, or only counts it where the runner would drop it.
func (p *report) annotate(level, title, message string) {
	if p.several {
		title += " (" + result.Escape(p.Target.URL) + ")"
	}
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

func (p *report) findings(bad []result.Finding) {
	for _, f := range bad {
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
	p.findings(p.Broken())
	p.thresholds(p.Gates)
}

func (p *report) thresholds(gates []result.Gate) {
	if p.Status() == result.Inconclusive {
		return // they say nothing about the target then
	}
	for i := range gates {
		if g := &gates[i]; !g.Pass {
			p.annotate(failure, "threshold "+result.Escape(g.Expression), g.Seen())
		}
	}
}

// verdict writes what the runs come to, in one annotation, and how much was left out above.
func (p *report) verdict(all []*result.Run) {
	level := notice
	var lines []string
	for _, r := range all {
		r = r.Complete()
		if r.Status() != result.Passed || r.Interrupted {
			level = failure // the job fails by its exit code, and here is why
		}
		lines = append(lines, result.Escape(cmp.Or(r.Target.URL, "the target"))+": "+result.Escape(r.Sentence()))
	}
	title := "ssegauge check: "
	switch {
	case p.Load != nil:
		title = "ssegauge load: "
	case p.Limits != nil:
		title = "ssegauge limits: "
	}
	if title += p.Word(); len(all) > 1 {
		title = "ssegauge: " + result.OverallSentence(all...)
	}
	left := 0
	for _, n := range p.count {
		left += max(0, n-shown)
	}
	if left > 0 {
		lines = append(lines, result.Plural(int64(left), "finding")+" more in the job summary and the report.")
	}
	p.command(level, title, strings.Join(lines, "\n"))
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
