package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ssegauge/conformance"
	"ssegauge/conformance/baseline"
	"ssegauge/conformance/catalogue"
	"ssegauge/reports/result"
)

// policyFlags say what a run of checks must come to.
type policyFlags struct {
	require  []string
	failOn   string
	severity []string
	baseline string
	update   bool
	set      string

	severities map[string]conformance.Severity
	accepted   *baseline.List // nil: none was asked for
	stale      []string
	staleOf    map[*result.Run][]string // those that speak of a run
}

func (p *policyFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringSliceVar(&p.require, "require", nil, "the check with this `id` must come to a verdict, else exit code 4 (repeatable)")
	f.StringVar(&p.failOn, "fail-on", "error", "what makes the exit code 1: error (a check failed), or warn")
	f.StringSliceVar(&p.severity, "severity", nil, "what it counts for when a requirement is not met, `ID=error|warn|info|off`; ID may be a glob, the last that fits counts (repeatable)")
	f.StringVar(&p.set, "requirements", "", "hold the server to the requirements of this `release` ("+strings.Join(catalogue.Sets(), ", ")+"); checks newer than that are reported as new and fail nothing")
	f.StringVar(&p.baseline, "baseline", "", "YAML `file` of known findings: what is not on it fails as ever, and what is on it and no longer so fails too")
	f.BoolVar(&p.update, "update-baseline", false, "write the findings of this run to the baseline file; reasons stay")
}

// load checks the flags and reads the baseline. checks are those of the run; what is off is taken out of them.
func (p *policyFlags) load(checks []conformance.Check) ([]conformance.Check, error) {
	if p.failOn != "error" && p.failOn != "warn" {
		return nil, usagef("--fail-on %q is unknown: error or warn is right", p.failOn)
	}
	if err := p.readSeverities(); err != nil {
		return nil, err
	}
	checks = slices.DeleteFunc(checks, func(c conformance.Check) bool { return p.severities[c.ID] == conformance.SeverityOff })
	if len(checks) == 0 {
		return nil, usagef("--severity leaves no check on")
	}
	for _, id := range p.require {
		if !slices.ContainsFunc(checks, func(c conformance.Check) bool { return c.ID == id }) {
			return nil, usagef("--require %q is not among the checks of this run%s", id, nearest(id))
		}
	}
	return checks, p.readBaseline()
}

func (p *policyFlags) readSeverities() error {
	p.severities = map[string]conformance.Severity{}
	if p.set != "" {
		ids, err := catalogue.Set(p.set)
		if err != nil {
			return usagef("--requirements: %v", err)
		}
		for _, c := range catalogue.All() {
			if !slices.Contains(ids, c.ID) {
				p.severities[c.ID] = conformance.SeverityNew
			}
		}
	}
	for _, v := range p.severity {
		glob, name, ok := strings.Cut(v, "=")
		if !ok {
			return usagef("--severity %q: write ID=error, warn, info or off, as in http/cache-control=error", v)
		}
		severity, err := conformance.ParseSeverity(name)
		if err != nil {
			return usagef("--severity %s: %v", glob, err)
		}
		some, err := catalogue.Filter(catalogue.Everything(), []string{glob}, nil)
		if err != nil {
			return usagef("--severity: %v%s", err, nearest(glob))
		}
		for _, c := range some {
			p.severities[c.ID] = severity
		}
	}
	return nil
}

func (p *policyFlags) readBaseline() error {
	if p.baseline == "" {
		if p.update {
			return usagef("--update-baseline writes the file that --baseline names: give both")
		}
		return nil
	}
	text, err := os.ReadFile(p.baseline)
	if err != nil && !(p.update && errors.Is(err, fs.ErrNotExist)) {
		return usagef("--baseline: %v", plain(err))
	}
	known := func(id string) bool { _, ok := catalogue.Lookup(id); return ok }
	if p.accepted, err = baseline.Read(bytes.NewReader(text), known); err != nil {
		return usagef("--baseline %s:%v", p.baseline, err)
	}
	return nil
}

// accept marks a finding of the target where the baseline accepts it.
func (p *policyFlags) accept(f *result.Finding, target string) {
	if p.accepted != nil {
		p.accepted.Accept(f, target, time.Now())
	}
}

// apply holds finished runs against the baseline. It says on stderr what it wrote.
func (p *policyFlags) apply(a *app, runs []*result.Run) error {
	if p.accepted == nil {
		return nil
	}
	now := time.Now()
	if p.update && !slices.ContainsFunc(runs, func(r *result.Run) bool { return r.Interrupted }) {
		least := result.Fail
		if p.failOn == "warn" {
			least = result.Warn
		}
		added, removed, err := p.accepted.Update(least, now, runs...)
		if err != nil {
			return err
		}
		if err := writeFile(p.baseline, p.accepted.Write); err != nil {
			return &outcome{exitInternal, fmt.Sprintf("--update-baseline: %v", plain(err))}
		}
		fmt.Fprintf(a.stderr, "%s: %d added, %d removed\n", p.baseline, added, removed)
	}
	p.stale, p.staleOf = p.accepted.Apply(now, runs...), map[*result.Run][]string{}
	for _, s := range p.stale {
		var of []*result.Run
		for _, r := range runs {
			if slices.Contains(p.accepted.Apply(now, r), s) {
				of = append(of, r)
			}
		}
		if of == nil { // for each of them for another reason
			of = runs
		}
		for _, r := range of {
			p.staleOf[r] = append(p.staleOf[r], s)
		}
	}
	return nil
}

// demands judges what goes beyond the run's own verdict.
func (p *policyFlags) demands(run *result.Run) error {
	for _, id := range p.require {
		for _, f := range run.Results {
			if f.ID == id && (f.Verdict == result.NotObserved || f.Verdict == result.Error) {
				return &outcome{exitInconclusive, fmt.Sprintf("--require %s: %s: %s", id, f.Verdict, f.Message)}
			}
		}
	}
	if p.failOn == "warn" && run.Summary.Warn > 0 {
		return &outcome{exitFailed, fmt.Sprintf("--fail-on warn: %s", result.Plural(int64(run.Summary.Warn), "warning"))}
	}
	return nil
}

// outdated is the complaint about entries of the baseline that no longer stand, nil where there are none.
func (p *policyFlags) outdated() error { return p.complain(p.stale) }

func (p *policyFlags) complain(stale []string) error {
	if len(stale) == 0 {
		return nil
	}
	return &outcome{exitFailed, fmt.Sprintf("%s has stale entries (--update-baseline removes what is no longer so): %s", p.baseline, strings.Join(stale, "; "))}
}
