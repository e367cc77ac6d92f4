// Package html writes one or several runs as a single page that needs nothing else: no network, no fonts, no script. It can be
// mailed, archived and printed; a strict content security policy in it keeps it so.
//
// Everything that a target can have a say in goes through the template function "safe" (result.Escape) and html/template. It imports
// reports/result. A new section is a template in page.html and what it shows in the view of its run.
package html

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"io"
	"strings"

	"ssegauge/reports/result"
)

//go:embed page.html
var page string

//go:embed style.css
var style string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"safe":    result.Escape,
	"count":   func(n int) string { return result.Count(int64(n)) },
	"count64": result.Count,
	"bytes":   func(n int64) string { return result.Bytes(float64(n)) },
	"ms":      func(ms float64) string { return result.Micros(ms * 1e3) },
	"micros": func(us *float64) string {
		if us == nil {
			return "–"
		}
		return result.Micros(*us)
	},
	"milliseconds": func(s float64) float64 { return s * 1e3 },
	"chip":         chip,
	"sum":          func(a, b float64) float64 { return a + b },
	"minus":        func(a, b float64) float64 { return a - b },
	"half":         func(a, b float64) float64 { return (a + b) / 2 },
}).Parse(page))

// Render writes the page of the runs, in their order. Several checks are set side by side in a matrix
// at the top, several load runs in a chart and a table before the first of them, several searches for limits in a table.
func Render(w io.Writer, runs ...*result.Run) error {
	if len(runs) == 0 {
		return errors.New("html: no run to report")
	}
	hash := sha256.Sum256([]byte(style))
	p := struct {
		Title  string
		CSP    string
		Style  template.CSS
		Many   bool // targets, so that each run needs its own named
		Runs   []*view
		Matrix *matrix
	}{
		CSP:   "default-src 'none'; img-src data:; style-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'; base-uri 'none'; form-action 'none'",
		Style: template.CSS(style), // ours, and its hash is in the policy
	}
	for i, r := range runs {
		if r.Check == nil && r.Load == nil && r.Limits == nil {
			return fmt.Errorf("html: nothing to report in a run of schema %q", r.Schema)
		}
		p.Runs = append(p.Runs, newView(fmt.Sprintf("run%d", i+1), r.Complete()))
	}
	distinguish(p.Runs)
	p.Title, p.Many = title(p.Runs)
	p.Matrix = newMatrix(p.Runs)
	for _, c := range []*comparison{newComparison(p.Runs), compareLimits(p.Runs)} {
		if c != nil {
			c.Runs[0].Before = c
		}
	}

	var out bytes.Buffer
	if err := pageTemplate.Execute(&out, p); err != nil {
		return fmt.Errorf("html: %w", err)
	}
	_, err := w.Write(out.Bytes())
	return err
}

// title names what the page is about: the target, or the origin that several have in common, or how many there are.
func title(views []*view) (title string, many bool) {
	targets, origins := map[string]bool{}, map[string]bool{}
	for _, v := range views {
		u := v.Target.URL
		targets[u] = true
		if scheme, rest, ok := strings.Cut(u, "://"); ok {
			if end := strings.IndexAny(rest, "/?#"); end >= 0 {
				rest = rest[:end]
			}
			u = scheme + "://" + rest
		}
		origins[u] = true
		title = u
	}
	switch {
	case len(targets) == 1:
		return result.Escape(views[0].Target.URL), false
	case len(origins) == 1:
		return result.Escape(title), true
	}
	return result.Plural(int64(len(targets)), "target"), true
}

// distinguish tells runs apart that would have the same name: load runs and searches by their streams or when they began, and what is the same in that too by number.
func distinguish(views []*view) {
	alike := map[string][]*view{}
	for _, v := range views {
		if v.Check == nil {
			alike[v.Name] = append(alike[v.Name], v)
		}
	}
	for _, same := range alike {
		for _, by := range []func(v *view) string{
			func(v *view) string {
				if v.Load == nil {
					return ""
				}
				return result.Plural(int64(v.Streams.Planned), "stream")
			},
			func(v *view) string { return v.Started.UTC().Format("15:04:05") },
			func(v *view) string { return v.Started.UTC().Format("2 January 15:04:05") },
		} {
			told := map[string]bool{}
			for _, v := range same {
				told[by(v)] = true
			}
			if len(same) < 2 || len(told) < len(same) {
				continue
			}
			for _, v := range same {
				v.Name += ", " + by(v)
			}
			break
		}
	}
	seen := map[string]int{}
	for _, v := range views {
		seen[v.Name]++
		if n := seen[v.Name]; n > 1 {
			v.Name += fmt.Sprintf(" (%d)", n)
		}
	}
}

// A verdictChip is told by word, sign and colour.
type verdictChip struct{ Class, Sign, Word string }

func chip(v any) verdictChip {
	switch s := fmt.Sprint(v); s {
	case string(result.Pass), string(result.Passed), result.Valid:
		return verdictChip{"pass", "✓", s}
	case string(result.Fail), string(result.Failed), result.Invalid:
		return verdictChip{"fail", "✕", s}
	case string(result.Warn), result.Suspect:
		return verdictChip{"warn", "!", s}
	case string(result.Info), "searched":
		return verdictChip{"info", "i", s}
	case string(result.Error):
		return verdictChip{"error", "⚠", s}
	case string(result.NotObserved):
		return verdictChip{"unseen", "?", "not observed"}
	case string(result.NotApplicable):
		return verdictChip{"na", "–", "not applicable"}
	case string(result.Inconclusive), "measured", "interrupted":
		return verdictChip{"warn", "?", s}
	default:
		return verdictChip{"na", "·", result.Escape(s)}
	}
}

// A piece of evidence text: escapes are set apart, and lines break where the bytes have a line end.
type piece struct {
	Text   string
	Escape bool
	Break  bool
}

func pieces(escaped string) []piece {
	var out []piece
	all := result.Tokens(escaped)
	for i, t := range all {
		escape := strings.HasPrefix(t, `\`)
		lineEnd := t == `\n` || t == `\r` && (i+1 == len(all) || all[i+1] != `\n`)
		if n := len(out); n > 0 && out[n-1].Escape == escape && !out[n-1].Break {
			out[n-1].Text += t
			out[n-1].Break = lineEnd
			continue
		}
		out = append(out, piece{t, escape, lineEnd})
	}
	return out
}
