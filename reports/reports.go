// Package reports is the table of formats in which stored runs can be written.
//
// To add a format: one package beside these, and one line in [Formats].
package reports

import (
	"io"

	"ssegauge/reports/csv"
	"ssegauge/reports/github"
	"ssegauge/reports/hdr"
	"ssegauge/reports/html"
	"ssegauge/reports/junit"
	"ssegauge/reports/markdown"
	"ssegauge/reports/ndjson"
	"ssegauge/reports/openmetrics"
	"ssegauge/reports/result"
	"ssegauge/reports/sarif"
	"ssegauge/reports/text"
)

// A Renderer writes a run, or several that belong together, in their order.
type Renderer func(io.Writer, ...*result.Run) error

// Format is a way to write a run.
type Format struct {
	Name   string // as --format and --report take it
	Title  string // one line for the help
	Render Renderer
}

// Formats returns every format, in the order of the help.
func Formats() []Format {
	return []Format{
		{"text", "for a person at a terminal", func(w io.Writer, all ...*result.Run) error { return text.Render(w, text.Options{}, all...) }},
		{"json", "the stored result, complete", result.Encode},
		{"ndjson", "a line of JSON for each finding or figure", ndjson.Render},
		{"markdown", "for a job summary or a comment", markdown.Render},
		{"github", "annotations for GitHub Actions", github.Annotations},
		{"html", "one page that needs nothing else", html.Render},
		{"junit", "JUnit XML, for a CI system", junit.Render},
		{"sarif", "SARIF 2.1.0, for code scanning", sarif.Render},
		{"csv", "a table for a spreadsheet", csv.Render},
		{"openmetrics", "OpenMetrics text, for a time series database", openmetrics.Render},
		{"hdr", "HdrHistogram interval log, for its tools", hdr.Render},
	}
}

// Lookup finds a format by name.
func Lookup(name string) (Format, bool) {
	for _, f := range Formats() {
		if f.Name == name {
			return f, true
		}
	}
	return Format{}, false
}
