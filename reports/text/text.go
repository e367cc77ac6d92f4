// Package text writes a run for a person at a terminal, to be read from the top: what was judged, what failed with the
// bytes at fault, the table of all, and the verdict as the last line.
//
// Everything that a target can have a say in goes through result.Escape. It imports reports/result and tablewriter; a new
// section of a report is one method of report and its line in check, load or limits.
package text

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/olekukonko/tablewriter/pkg/twwidth"

	"ssegauge/reports/result"
)

// Options say how to write for the terminal at hand.
type Options struct {
	Color bool // ANSI colours
	Width int  // columns; 0 is 80, fewer than 60 are taken as 60
}

// Render writes the report of each run; several are parted by a rule, and the last of it is what they come to together.
func Render(w io.Writer, o Options, all ...*result.Run) error {
	if o.Width == 0 {
		o.Width = 80
	}
	o.Width = max(o.Width, 60)
	p := &report{Options: o}
	for i, r := range all {
		p.Run = r.Complete()
		if i > 0 {
			p.rule()
		}
		switch {
		case r.Check != nil:
			p.head("check")
			if r.Error == "" {
				p.check()
			}
		case r.Load != nil:
			p.head("load")
			p.load()
		case r.Limits != nil:
			p.head("limits")
			p.limits()
		default:
			return fmt.Errorf("text: nothing to report in a run of schema %q", r.Schema)
		}
		p.verdict(p.Word(), strings.TrimPrefix(p.Sentence(), "Interrupted; "))
	}
	if len(all) > 1 {
		p.rule()
		p.several(all)
	}
	_, err := w.Write(p.out.Bytes())
	return err
}

// report is one report in the making.
type report struct {
	*result.Run // which is being written
	Options
	out bytes.Buffer
}

func (p *report) line(s string)                    { p.out.WriteString(strings.TrimRight(s, " ") + "\n") }
func (p *report) linef(format string, args ...any) { p.line(fmt.Sprintf(format, args...)) }

func (p *report) head(command string) {
	p.linef("%s  %s", p.paint(bold, "ssegauge "+command), result.Escape(p.Target.URL))
	facts := []string{}
	if p.Target.HTTP != "" {
		facts = append(facts, result.Escape(result.Protocol(p.Target.HTTP)))
	}
	facts = append(facts, p.Started.UTC().Format("2006-01-02 15:04:05 UTC"), result.Micros(p.DurationMS*1e3))
	facts = append(facts, strings.TrimSpace("ssegauge "+result.Escape(p.Tool.Version)))
	if p.Replayed {
		facts = append(facts, "from a recording")
	}
	if p.Interrupted {
		facts = append(facts, p.paint(yellow, "interrupted"))
	}
	p.line(strings.Join(facts, " · "))
	p.line("")
}

// rule parts what belongs to one run from what belongs to the next.
func (p *report) rule() {
	p.line("")
	p.line(p.paint(dim, strings.Repeat("━", p.Width)))
	p.line("")
}

func (p *report) verdict(word, sentence string) {
	p.hanging(p.paint(shade(word), strings.ToUpper(word))+"  ", len(word)+2, sentence)
}

// shade is the colour of what a run comes to.
func shade(word string) style {
	switch word {
	case string(result.Passed):
		return green
	case "searched":
		return bold
	case string(result.Failed):
		return red
	}
	return yellow
}

// section writes a heading with an empty line before it.
func (p *report) section(title string) {
	p.line("")
	p.line(p.paint(bold, title))
}

// hanging writes text wrapped to the width, after first on the first line and indented to its width on the others.
func (p *report) hanging(first string, indent int, text string) {
	for _, l := range wrap(text, p.Width-indent) {
		p.line(first + l)
		first = strings.Repeat(" ", indent)
	}
}

// wrap breaks text at spaces into lines of at most width columns; a longer word is broken where it must be.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && twwidth.Width(line)+1+twwidth.Width(word) > width {
			lines = append(lines, line)
			line = ""
		}
		for line == "" && twwidth.Width(word) > width {
			head := fit(result.Tokens(word), width)
			lines = append(lines, head)
			word = word[len(head):]
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	if line != "" || len(lines) == 0 {
		lines = append(lines, line)
	}
	return lines
}

// fit returns the longest beginning of at most width columns, one token at least.
func fit(tokens []string, width int) string {
	var b strings.Builder
	used := 0
	for i, t := range tokens {
		used += twwidth.Width(t)
		if i > 0 && used > width {
			break
		}
		b.WriteString(t)
	}
	return b.String()
}

// clip shortens text to width columns, with "…" where something was cut off.
func clip(s string, width int) string {
	if twwidth.Width(s) <= width {
		return s
	}
	return fit(result.Tokens(s), width-1) + "…"
}

// clipLeft is clip from the other end.
func clipLeft(s string, width int) string {
	if twwidth.Width(s) <= width {
		return s
	}
	all := result.Tokens(s)
	used, i := 1, len(all)
	for i > 0 && used+twwidth.Width(all[i-1]) <= width {
		i--
		used += twwidth.Width(all[i])
	}
	return "…" + strings.Join(all[i:], "")
}

// A style is an ANSI select-graphic-rendition parameter.
type style string

const (
	bold    style = "1"
	dim     style = "2"
	red     style = "1;31"
	green   style = "32"
	yellow  style = "33"
	magenta style = "35"
)

func (p *report) paint(s style, text string) string {
	if !p.Color || s == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}
