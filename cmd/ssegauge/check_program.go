package main

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"ssegauge/conformance"
	"ssegauge/reports/result"
)

// nonces are the words by which a run finds what it published.
var nonces = regexp.MustCompile(`gauge[a-z2-7]{14}`)

// program prints what a rehearsal did, in its order.
func (c *checkFlags) program(w io.Writer, t *conformance.Target, deeds []conformance.Deed) error {
	var out bytes.Buffer
	if c.output.format == "ndjson" {
		for _, d := range deeds {
			if err := result.EncodeLine(&out, newDeedLine(d)); err != nil {
				return err
			}
		}
	} else {
		p := &program{target: t, out: &out}
		p.head(deeds)
		p.deeds(deeds)
		p.sum(deeds)
	}
	_, err := w.Write(out.Bytes())
	return err
}

// deedLine is a line of NDJSON.
type deedLine struct {
	Type    string            `json:"type"` // request, publish, kill, restart
	Check   string            `json:"check"`
	Request string            `json:"request,omitempty"`
	Header  []string          `json:"header,omitempty"`
	Body    string            `json:"body,omitempty"`
	Message map[string]string `json:"message,omitempty"`
}

func newDeedLine(d conformance.Deed) deedLine {
	return deedLine{d.Kind, d.Check, d.Request, d.Header, d.Body, d.Message}
}

// program writes for people: what every request carries once, and of each what is different.
type program struct {
	target *conformance.Target
	usual  []string // fields of the nominal request
	out    *bytes.Buffer
}

func (p *program) linef(format string, a ...any) {
	p.out.WriteString(strings.TrimRight(fmt.Sprintf(format, a...), " ") + "\n")
}

func (p *program) head(deeds []conformance.Deed) {
	p.linef("ssegauge check --dry-run  %s", result.Escape(maskURL(p.target.Request.URL.String())))
	p.linef("A rehearsal on the built-in reference server: nothing was sent to the target,")
	p.linef("nothing was published, no command was run. What the target answers decides")
	p.linef("which ids come back, and may lead to a few requests more or less.")
	if len(deeds) == 0 || deeds[0].Kind != "request" {
		return
	}
	p.usual = deeds[0].Header
	p.linef("")
	p.linef("Each request carries, where nothing else is said:")
	for _, f := range p.usual {
		p.linef("    %s", f)
	}
	if b := deeds[0].Body; b != "" {
		p.linef("    %s", clip(b, 70))
	}
	p.linef("")
}

// deeds writes them, those that are alike on one line.
func (p *program) deeds(deeds []conformance.Deed) {
	for i := 0; i < len(deeds); {
		lines := p.lines(&deeds[i])
		n := 1
		for i+n < len(deeds) && deeds[i+n].Check == deeds[i].Check && slices.Equal(p.lines(&deeds[i+n]), lines) {
			n++
		}
		who := deeds[i].Check
		if who == "" {
			who = "(the run itself)"
		}
		if i > 0 && deeds[i-1].Check == deeds[i].Check {
			who = ""
		}
		if n > 1 {
			lines[0] += fmt.Sprintf("   ×%d", n)
		}
		for _, l := range lines {
			p.linef("%-28s %s", who, l)
			who = ""
		}
		i += n
	}
}

func (p *program) lines(d *conformance.Deed) []string {
	switch d.Kind {
	case "publish":
		return []string{"publishes " + p.message(d.Message)}
	case "kill", "restart":
		return []string{"runs --" + d.Kind + "-cmd"}
	}
	lines := []string{nonces.ReplaceAllString(d.Request, "NONCE")}
	for _, f := range d.Header {
		if !slices.Contains(p.usual, f) {
			lines = append(lines, "  + "+nonces.ReplaceAllString(clip(f, 120), "NONCE"))
		}
	}
	for _, f := range p.usual {
		name, _, _ := strings.Cut(f, ":")
		if !slices.ContainsFunc(d.Header, func(g string) bool { return strings.HasPrefix(strings.ToLower(g), strings.ToLower(name)+":") }) {
			lines = append(lines, "  - "+name)
		}
	}
	return lines
}

func (p *program) message(m map[string]string) string {
	var parts []string
	for _, name := range []string{"id", "event", "retry", "comment", "data"} {
		if v, ok := m[name]; ok {
			parts = append(parts, fmt.Sprintf("%s \"%s\"", name, clip(nonces.ReplaceAllString(result.Literal([]byte(v)), "NONCE"), 32)))
		}
	}
	return strings.Join(parts, ", ")
}

// clip shortens what is only to be recognised.
func clip(s string, most int) string {
	all := result.Tokens(s)
	if len(all) <= most {
		return s
	}
	return strings.Join(all[:most-1], "") + "…"
}

func (p *program) sum(deeds []conformance.Deed) {
	count := map[string]int64{}
	checks := map[string]bool{}
	for _, d := range deeds {
		count[d.Kind]++
		if d.Check != "" {
			checks[d.Check] = true
		}
	}
	words := []string{result.Plural(count["request"], "request")}
	if p.target.Publisher != nil {
		words = append(words, result.Plural(count["publish"], "message")+" by "+result.Escape(result.MaskText(p.target.Publisher.String())))
	}
	if n := count["kill"] + count["restart"]; n > 0 {
		words = append(words, result.Plural(n, "command"))
	}
	p.linef("")
	p.linef("%s, on behalf of the run and %s.", strings.Join(words, ", "), result.Plural(int64(len(checks)), "check"))
}
