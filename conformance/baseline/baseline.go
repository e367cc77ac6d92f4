// Package baseline keeps the list of findings that are known and accepted.
//
// It may import conformance and reports/result.
package baseline

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"ssegauge/conformance"
	"ssegauge/reports/result"
)

// List holds findings that are known and accepted, so that a target with old faults can be held to all the rest. It works both ways: what is not on
// it fails as ever, and what stands on it and is no longer so (or whose time is over) fails too, so that the list never outlives the faults.
//
// The file is YAML, a list:
//
//   - id: live/heartbeat
//     target: https://api.example/*       # a glob over the URL as reports show it, credentials masked; left out: any target
//     verdict: warn                       # the gravest that is accepted; left out: fail
//     reason: the old gateway, see OPS-12
//     expires: 2027-01-31                 # the last day on which it counts; left out: no end
type List struct {
	doc     *yaml.Node // the list as it was read, comments and all
	entries []entry
}

// entry is one accepted finding.
type entry struct {
	ID      string         `yaml:"id"`
	Target  string         `yaml:"target,omitempty"`
	Verdict result.Verdict `yaml:"verdict,omitempty"`
	Reason  string         `yaml:"reason"`
	Expires string         `yaml:"expires,omitempty"`

	line  int
	until time.Time // the end of the last day, in UTC
}

// Unreviewed is the reason of entries that [List.Update] adds.
const Unreviewed = "not reviewed yet"

// maxFile bounds what [Read] reads.
const maxFile = 4 << 20

// Read reads a file. known tells which ids there are; an entry with another one is an error, as is anything else that is not right. Errors begin with the line.
func Read(r io.Reader, known func(id string) bool) (*List, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("1: more than %d MiB", maxFile>>20)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("1: %s", line(err))
	}
	b := &List{doc: &doc}
	if len(doc.Content) == 0 || doc.Content[0].Tag == "!!null" {
		return b, nil
	}
	if doc.Content[0].Kind != yaml.SequenceNode {
		return nil, fmt.Errorf("%d: a list of entries is wanted, each with id and reason", doc.Content[0].Line)
	}
	for _, n := range doc.Content[0].Content {
		e, err := readEntry(n, known)
		if err != nil {
			return nil, err
		}
		b.entries = append(b.entries, e)
	}
	return b, nil
}

func readEntry(n *yaml.Node, known func(id string) bool) (entry, error) {
	e := entry{line: n.Line}
	wrong := func(format string, a ...any) (entry, error) {
		return e, fmt.Errorf("%d: "+format, append([]any{n.Line}, a...)...)
	}
	if n.Kind != yaml.MappingNode {
		return wrong("an entry is a mapping: id, target, verdict, reason, expires")
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if k := n.Content[i]; !slices.Contains([]string{"id", "target", "verdict", "reason", "expires"}, k.Value) {
			return e, fmt.Errorf("%d: unknown key %q: id, target, verdict, reason and expires are right", k.Line, k.Value)
		}
	}
	if err := n.Decode(&e); err != nil {
		return wrong("%s", line(err))
	}
	switch {
	case e.ID == "":
		return wrong("there is no id")
	case !known(e.ID):
		return wrong("there is no check %q", e.ID)
	case strings.TrimSpace(e.Reason) == "":
		return wrong("%s has no reason", e.ID)
	case e.Verdict != "" && e.Verdict != result.Fail && e.Verdict != result.Warn:
		return wrong("verdict %q cannot be accepted: fail or warn is right", e.Verdict)
	}
	if _, err := conformance.Match(e.Target, ""); err != nil {
		return wrong("target %q is no glob", e.Target)
	}
	if e.Expires != "" {
		day, err := time.Parse(time.DateOnly, e.Expires)
		if err != nil {
			return wrong("expires %q is no day: write it like 2027-01-31", e.Expires)
		}
		e.until = day.AddDate(0, 0, 1)
	}
	return e, nil
}

// covers tells whether the entry speaks of a finding of the target, grave or not.
func (e *entry) covers(id, target string) bool {
	if e.ID != id {
		return false
	}
	ok, _ := conformance.Match(e.Target, target)
	return ok || e.Target == ""
}

// expired tells whether the entry's time is over.
func (e *entry) expired(now time.Time) bool { return !e.until.IsZero() && !now.Before(e.until) }

// accepts tells whether the entry accepts a finding that it covers.
func (e *entry) accepts(f *result.Finding, now time.Time) bool {
	return !e.expired(now) && (f.Verdict == result.Warn || f.Verdict == result.Fail && e.Verdict != result.Warn)
}

// Apply marks the findings of the runs that are accepted, counts them apart from the others, and names the entries that are stale: the check has come to a better verdict wherever
// the entry counts, or the time is over. Checks that did not run or came to no verdict prove nothing.
func (b *List) Apply(now time.Time, runs ...*result.Run) (stale []string) {
	for i := range b.entries {
		e := &b.entries[i]
		if over, verdict := e.outlived(runs); over {
			stale = append(stale, fmt.Sprintf("line %d: %s is no longer so: %s", e.line, e.ID, verdict))
		}
		expired := false
		e.each(runs, func(f *result.Finding) {
			switch {
			case e.accepts(f, now):
				f.Accepted = e.Reason
			case bad(f.Verdict) && e.expired(now):
				expired = true
			}
		})
		if expired {
			stale = append(stale, fmt.Sprintf("line %d: %s expired on %s", e.line, e.ID, e.Expires))
		}
	}
	for _, r := range runs {
		r.Summary = result.Summarise(r.Results)
	}
	return stale
}

// each calls visit with each finding that the entry covers.
func (e *entry) each(runs []*result.Run, visit func(*result.Finding)) {
	for _, r := range runs {
		for i := range r.Results {
			if f := &r.Results[i]; e.covers(f.ID, r.Target.URL) {
				visit(f)
			}
		}
	}
}

// outlived tells whether what the entry accepts is no longer so: a better verdict somewhere, which is returned, and nowhere a bad one.
func (e *entry) outlived(runs []*result.Run) (over bool, verdict result.Verdict) {
	stands := false
	e.each(runs, func(f *result.Finding) {
		stands = stands || bad(f.Verdict)
		if better(f.Verdict) {
			verdict = f.Verdict
		}
	})
	return !stands && verdict != "", verdict
}

func bad(v result.Verdict) bool { return v == result.Fail || v == result.Warn }

// Accept marks a finding of the target that is accepted.
func (b *List) Accept(f *result.Finding, target string, now time.Time) {
	for i := range b.entries {
		if e := &b.entries[i]; e.covers(f.ID, target) && e.accepts(f, now) {
			f.Accepted = e.Reason
		}
	}
}

// better are the verdicts that make an entry stale.
func better(v result.Verdict) bool {
	return v == result.Pass || v == result.Info || v == result.NotApplicable
}

// Update makes the list what the runs found: entries that are no longer so go, findings at or above the verdict warn or fail that no entry accepts are added with
// the reason [Unreviewed]. All else stays as it was written: entries of other targets, of checks that came to no verdict, and those whose time is over, because only
// a person can extend it.
func (b *List) Update(least result.Verdict, now time.Time, runs ...*result.Run) (added, removed int, err error) {
	var list yaml.Node
	if b.doc == nil || len(b.doc.Content) == 0 || b.doc.Content[0].Kind != yaml.SequenceNode {
		list = yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		b.doc = &yaml.Node{Kind: yaml.DocumentNode, Content: []*yaml.Node{&list}}
	}
	seq := b.doc.Content[0]
	for i := len(b.entries) - 1; i >= 0; i-- {
		if over, _ := b.entries[i].outlived(runs); over {
			b.entries = slices.Delete(b.entries, i, i+1)
			seq.Content = slices.Delete(seq.Content, i, i+1)
			removed++
		}
	}
	for _, r := range runs {
		for i := range r.Results {
			f := &r.Results[i]
			if f.Verdict != result.Fail && (f.Verdict != result.Warn || least != result.Warn) {
				continue
			}
			if slices.ContainsFunc(b.entries, func(e entry) bool {
				return e.covers(f.ID, r.Target.URL) && (e.accepts(f, now) || e.expired(now))
			}) {
				continue
			}
			e := entry{ID: f.ID, Target: literal(r.Target.URL), Verdict: f.Verdict, Reason: Unreviewed}
			n := &yaml.Node{}
			if err := n.Encode(e); err != nil {
				return 0, 0, err
			}
			b.entries = append(b.entries, e)
			seq.Content = append(seq.Content, n)
			added++
		}
	}
	return added, removed, nil
}

// literal is a glob for one URL. The stars of masked credentials stay: whatever the credential is, the entry counts.
func literal(url string) string {
	return strings.NewReplacer(`\`, `\\`, "[", `\[`, "?", `\?`).Replace(url)
}

// Write writes the list as YAML.
func (b *List) Write(w io.Writer) error {
	if len(b.entries) == 0 {
		_, err := io.WriteString(w, "[]\n")
		return err
	}
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := errors.Join(enc.Encode(b.doc), enc.Close()); err != nil {
		return err
	}
	_, err := w.Write(out.Bytes())
	return err
}

// line is an error in one line.
func line(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
