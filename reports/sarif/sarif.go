// Package sarif writes runs as SARIF 2.1.0, for code scanning and the viewers of it: a SARIF run for each, a rule for each check, a result for each
// that failed or warned, at the place of the target and the byte where its evidence begins.
//
// The target is written relative to its origin (SARIF 2.1.0 §3.14.14): services that match locations with files of a repository refuse a
// whole file for one absolute http URL. What could not be judged is a notification of the invocation, no result: it is nothing that the
// target did. Of a load run and of a search for limits the rules are its thresholds: to have a limit is no fault.
//
// All text goes through result.Escape. It imports reports/result. A new member is one field in format.go.
package sarif

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"ssegauge/reports/result"
)

// Render writes the report of the runs. Several have a category each: services that take in such a file want to tell them apart.
func Render(w io.Writer, all ...*result.Run) error {
	out := document{Schema: schemaURI, Version: "2.1.0", Runs: []run{}}
	categories := map[string]int{}
	for _, r := range all {
		r = r.Complete()
		b := newBuilder(r)
		command := "check"
		switch {
		case r.Check != nil:
			for i := range r.Results {
				b.finding(&r.Results[i])
			}
		case r.Load != nil:
			command = "load"
			b.load()
			for i := range r.Load.Findings {
				b.finding(&r.Load.Findings[i])
			}
		case r.Limits != nil:
			command = "limits"
			b.thresholds(command, "the search for limits", r.Thresholds)
		default:
			return fmt.Errorf("sarif: nothing to report in a run of schema %q", r.Schema)
		}
		if r.Error != "" {
			b.notify("error", result.Escape(r.Error), nil)
		}
		if len(all) > 1 {
			id := "ssegauge/" + command + "/" + url.PathEscape(result.Escape(r.Target.URL)) + "/"
			if categories[id]++; categories[id] > 1 {
				id += strconv.Itoa(categories[id]) + "/"
			}
			b.out.Automation = &automation{id}
		}
		out.Runs = append(out.Runs, b.out)
	}
	doc, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return fmt.Errorf("sarif: %w", err)
	}
	_, err = w.Write(append(doc, '\n'))
	return err
}

// base names the origin of the target among originalUriBaseIds.
const base = "TARGET"

// builder makes the SARIF run of a run.
type builder struct {
	*result.Run
	out   run
	at    artifactLocation
	rules map[string]int // index by id
}

func newBuilder(r *result.Run) *builder {
	b := &builder{Run: r, rules: map[string]int{}}
	origin, rest := location(result.Escape(r.Target.URL))
	b.at.URI = rest
	if origin != "" {
		b.at.Base = base
		b.out.Bases = map[string]artifactLocation{base: {URI: origin}}
	}
	// A time that its notation cannot hold is left out, as one that is not known.
	span := time.Duration(min(max(0, r.DurationMS), 1e9) * 1e6)
	if y := r.Started.UTC().Year(); y > 1 && y < 9999 {
		b.out.Invocations = []invocation{{Start: r.Started.UTC().Format(time.RFC3339Nano), End: r.Started.UTC().Add(span).Format(time.RFC3339Nano)}}
	} else {
		b.out.Invocations = []invocation{{}}
	}
	b.out.Invocations[0].Successful = !r.Interrupted && r.Status() != result.Inconclusive
	b.out.Invocations[0].Notifications = []notification{}
	b.out.Tool.Driver = driver{Name: "ssegauge", Version: result.Escape(r.Tool.Version), Rules: []rule{}}
	b.out.Results = []found{}
	b.out.Properties = map[string]any{"target": result.Escape(r.Target.URL), "http": result.Escape(r.Target.HTTP), "status": r.Word(), "sentence": result.Escape(r.Sentence())}
	return b
}

// location splits a URL into its origin, as a base that ends in a slash, and a reference relative to that. What is no URL with an origin
// is a reference of one path segment.
func location(raw string) (origin, rest string) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Scheme == "" || u.Opaque != "" {
		return "", "./" + url.PathEscape(raw)
	}
	top := url.URL{Scheme: u.Scheme, Host: u.Host, Path: "/"} // who asked is no part of a place
	u.Scheme, u.User, u.Host = "", nil, ""
	path := strings.TrimPrefix(u.EscapedPath(), "/")
	// Not to be read as a scheme, as a path from the root, or as no path at all.
	if first, _, _ := strings.Cut(path, "/"); first == "" || strings.Contains(first, ":") {
		path = "./" + path
	}
	rest = path
	if u.RawQuery != "" || u.ForceQuery {
		rest += "?" + query(u.RawQuery)
	}
	if u.Fragment != "" {
		rest += "#" + u.EscapedFragment()
	}
	return top.String(), rest
}

// query escapes what net/url keeps of a query as it was written and no URI may hold.
func query(raw string) string {
	var b strings.Builder
	for i := range len(raw) {
		c := raw[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>\\^`{|}", c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

// rule enters a rule once and returns its index.
func (b *builder) rule(r rule) int {
	i, known := b.rules[r.ID]
	if !known {
		i = len(b.out.Tool.Driver.Rules)
		b.rules[r.ID] = i
		b.out.Tool.Driver.Rules = append(b.out.Tool.Driver.Rules, r)
	}
	return i
}

// level maps where a requirement comes from to how grave a breach of it is.
func level(l result.Level) string {
	switch l {
	case result.Should:
		return "warning"
	case result.Advice:
		return "note"
	}
	return "error"
}

func (b *builder) finding(f *result.Finding) {
	title, source := result.Escape(f.Title), result.Escape(f.Source())
	about := rule{
		ID: result.Escape(f.ID), Short: message{title}, Full: message{title + " (" + source + ")"}, Help: message{"Rule: " + title + " (" + source + ")"},
		Default:    configuration{level(f.Level)},
		Properties: map[string]any{"level": result.Escape(string(f.Level)), "clause": result.Escape(f.Clause), "core": f.Core, "tags": tags(f)},
	}
	if f.Hint != "" && (f.Verdict == result.Fail || f.Verdict == result.Warn) {
		about.Help.Text += ". Do: " + result.Escape(f.Hint)
	}
	i := b.rule(about)
	switch f.Verdict {
	case result.Error:
		b.notify("warning", result.Escape(f.Message), &reference{i, about.ID})
		return
	case result.Fail, result.Warn:
	default:
		return
	}
	r := b.result(about.ID, i, map[result.Verdict]string{result.Fail: "error", result.Warn: "warning"}[f.Verdict], result.Escape(f.Message))
	r.Properties = map[string]any{"verdict": string(f.Verdict)}
	if f.Hint != "" {
		r.Properties["hint"] = result.Escape(f.Hint)
	}
	if f.Reproduce != "" {
		r.Properties["reproduce"] = result.Escape(f.Reproduce)
	}
	for n := range f.Evidence {
		place := b.place(&f.Evidence[n])
		if n == 0 {
			r.Locations = []spot{place}
			continue
		}
		place.ID = n
		r.Related = append(r.Related, place)
	}
	b.out.Results = append(b.out.Results, r)
}

// tags are the group of the check, by which viewers filter.
func tags(f *result.Finding) []string {
	group, _, _ := strings.Cut(result.Escape(f.ID), "/")
	if f.Level == result.Security && group != "security" {
		return []string{"security", group}
	}
	return []string{group}
}

func (b *builder) result(id string, index int, level, text string) found {
	sum := sha256.Sum256([]byte(id + "\n" + b.Target.URL))
	return found{
		Rule: id, Index: index, Level: level, Message: message{text}, Locations: []spot{{Physical: physical{Artifact: b.at}}},
		Fingerprints: map[string]string{"ruleAndTarget/v1": hex.EncodeToString(sum[:16])},
	}
}

// place is where the bytes of an evidence are: an offset into what the connection named in its properties received.
func (b *builder) place(e *result.Evidence) spot {
	_, fault, _, _ := e.Marked()
	properties := map[string]any{"connection": result.Escape(e.Connection), "timeMs": e.TimeMS, "excerpt": result.Escape(e.Text)}
	if fault != "" {
		properties["marked"] = result.Escape(fault)
	}
	if e.Hex != "" {
		properties["hex"] = e.HexShown()
	}
	return spot{
		Physical: physical{Artifact: b.at, Region: &region{Offset: max(0, e.Offset), Length: max(0, e.Length), Properties: properties}},
		Message:  &message{strings.Join(e.Lines(), "\n")},
	}
}

func (b *builder) notify(level, text string, about *reference) {
	n := &b.out.Invocations[0].Notifications
	*n = append(*n, notification{Level: level, Message: message{text}, Rule: about})
}

func (b *builder) load() {
	valid := b.Status() != result.Inconclusive
	for _, reason := range b.Validity.Reasons {
		b.notify(map[bool]string{true: "warning", false: "error"}[valid], "The measurement is "+result.Escape(b.Validity.Verdict)+": "+result.Escape(reason), nil)
	}
	b.thresholds("load", "the load run", b.Gates)
}

// thresholds enters the thresholds of a command; where nothing can be concluded they say nothing about the target.
func (b *builder) thresholds(command, subject string, gates []result.Gate) {
	conclusive := b.Status() != result.Inconclusive
	for i := range gates {
		g := &gates[i]
		expression := result.Escape(g.Expression)
		rules := subject + " keeps to the threshold " + expression
		about := rule{
			ID: command + "/" + expression, Short: message{"Threshold " + expression}, Full: message{"T" + rules[1:]},
			Help: message{"Rule: " + rules}, Default: configuration{"error"}, Properties: map[string]any{"tags": []string{command}},
		}
		index := b.rule(about)
		if !g.Pass && conclusive {
			b.out.Results = append(b.out.Results, b.result(about.ID, index, "error", expression+": "+g.Seen()))
		}
	}
}
