package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"ssegauge/reports"
	"ssegauge/reports/github"
	"ssegauge/reports/markdown"
	"ssegauge/reports/result"
	"ssegauge/reports/text"
)

// outputFlags say where a result goes and how it looks.
type outputFlags struct {
	format  string
	reports []string
	color   string
	quiet   bool

	lines *lines // what is on stdout already, all of it; nil: nothing
}

func (o *outputFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.format, "format", "text", "form of the result on stdout: "+formatNames("|"))
	f.StringArrayVar(&o.reports, "report", nil, "also write the result to a file, `FORMAT=PATH` (repeatable)")
	f.StringVar(&o.color, "color", "auto", "colour: auto|always|never (NO_COLOR is honoured)")
	f.BoolVar(&o.quiet, "quiet", false, "no progress on stderr")
}

// check complains about a bad combination before any work is done.
func (o *outputFlags) check() error {
	if _, ok := reports.Lookup(o.format); !ok {
		return usagef("--format %q is unknown: one of %s is right", o.format, formatNames(", "))
	}
	for _, r := range o.reports {
		format, path, ok := strings.Cut(r, "=")
		if !ok || path == "" {
			return usagef("--report %q: write FORMAT=PATH, as in json=result.json", r)
		}
		if _, ok := reports.Lookup(format); !ok {
			return usagef("--report %q: format %q is unknown: one of %s is right", r, format, formatNames(", "))
		}
		if info, err := os.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
			return usagef("--report %q: there is no directory %s", r, filepath.Dir(path))
		}
	}
	switch o.color {
	case "auto", "always", "never":
		return nil
	}
	return usagef("--color %q is unknown: auto, always or never is right", o.color)
}

func formatNames(sep string) string {
	var names []string
	for _, f := range reports.Formats() {
		names = append(names, f.Name)
	}
	return strings.Join(names, sep)
}

// colored tells whether w may get colours.
func (o *outputFlags) colored(w io.Writer) bool {
	switch {
	case o.color == "always":
		return true
	case o.color == "never", os.Getenv("NO_COLOR") != "", os.Getenv("TERM") == "dumb":
		return false
	}
	return isTerminal(w)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// widthOf is the width to write text for: the terminal's, or 80.
func widthOf(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width >= 40 {
			return min(width, 120)
		}
	}
	return 80
}

// write renders finished runs: the files first, so that a broken pipe on stdout loses nothing.
func (o *outputFlags) write(stdout, stderr io.Writer, runs ...*result.Run) error {
	var failed []string
	for _, r := range o.reports {
		format, path, _ := strings.Cut(r, "=")
		f, _ := reports.Lookup(format)
		if err := writeFile(path, func(w io.Writer) error { return f.Render(w, runs...) }); err != nil {
			failed = append(failed, fmt.Sprintf("%s report: %v", format, plain(err)))
		}
	}
	onGitHub := os.Getenv("GITHUB_ACTIONS") == "true"
	var err error
	switch f, _ := reports.Lookup(o.format); {
	case o.lines != nil:
		err = o.lines.err
	case o.format == "text" && onGitHub:
		// The runner obeys what looks like a command, and what a target sends stands in the report.
		err = github.Fence(stdout, func(w io.Writer) error { return text.Render(w, text.Options{}, runs...) })
	case o.format == "text":
		err = text.Render(stdout, text.Options{Color: o.colored(stdout), Width: widthOf(stdout)}, runs...)
	default:
		err = f.Render(stdout, runs...)
	}
	if err != nil {
		failed = append(failed, fmt.Sprintf("stdout: %v", err))
	}
	if onGitHub {
		if err := o.annotate(stdout, stderr, runs); err != nil {
			failed = append(failed, fmt.Sprintf("GitHub annotations: %v", plain(err)))
		}
	}
	if len(failed) > 0 {
		return &outcome{exitInternal, "could not write " + strings.Join(failed, "; ")}
	}
	return nil
}

// annotate adds what GitHub Actions makes of a step beside its log: annotations, a summary, and outputs that later steps can read.
func (o *outputFlags) annotate(stdout, stderr io.Writer, runs []*result.Run) error {
	w := stdout
	if o.format != "text" {
		w = stderr // stdout may be read by a program
	}
	if o.format != "github" {
		if err := github.Annotations(w, runs...); err != nil {
			return err
		}
	}
	return errors.Join(
		appendTo(os.Getenv("GITHUB_STEP_SUMMARY"), func(w io.Writer) error { return markdown.Summary(w, runs...) }),
		appendTo(os.Getenv("GITHUB_OUTPUT"), func(w io.Writer) error { return github.Outputs(w, runs...) }))
}

// appendTo adds what render writes to the file at path; nothing where there is no path.
func appendTo(path string, render func(io.Writer) error) error {
	if path == "" {
		return nil
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return errors.Join(render(f), f.Close())
}

// writeFile replaces path atomically: a reader sees the old file or the whole new one.
func writeFile(path string, render func(io.Writer) error) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		var b bytes.Buffer
		if err := render(&b); err != nil {
			return err
		}
		f, err := os.OpenFile(path, os.O_WRONLY, 0) // a pipe or a device: nothing to replace
		if err != nil {
			return err
		}
		_, err = f.Write(b.Bytes())
		return errors.Join(err, f.Close())
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // a link stays one
	}
	// With the permissions of any new file: os.CreateTemp has its own.
	tmp, err := os.OpenFile(filepath.Join(filepath.Dir(path), fmt.Sprintf(".%s.%d", filepath.Base(path), os.Getpid())), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // in vain after the rename
	w := bufio.NewWriter(tmp)
	err = render(w)
	if err == nil {
		err = w.Flush()
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

// tool identifies this program in results.
func tool() result.Tool { return result.Tool{Version: toolVersion(), Go: runtime.Version()} }

func maskURL(raw string) string { return result.Mask(raw) }
