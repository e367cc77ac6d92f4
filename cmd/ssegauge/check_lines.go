package main

import (
	"io"
	"time"

	"ssegauge/conformance"
	"ssegauge/reports/ndjson"
	"ssegauge/reports/result"
)

// lines writes the NDJSON of checks while they go on; nil writes nothing. A fault of the writer is kept for the end: what else is to be written is not
// lost by it.
type lines struct {
	w      io.Writer
	policy *policyFlags
	begun  bool        // the line of a run is written, that of its end is not
	target string      // URL of that run, as it is shown
	ended  *result.Run // the last whose end is written
	err    error
}

// follow makes o write the lines of a run that begins.
func (l *lines) follow(o *conformance.Options) {
	if l == nil {
		return
	}
	started := time.Now()
	o.Opened = func(t result.Target) {
		l.begin(&result.Run{Schema: result.SchemaCheck, Tool: tool(), Target: t, Started: started})
	}
	o.Finding = func(f result.Finding) {
		l.policy.accept(&f, l.target)
		l.write(ndjson.NewFinding(f))
	}
}

func (l *lines) begin(run *result.Run) {
	l.begun, l.target = true, run.Target.URL
	l.write(ndjson.NewRun(run))
}

// end writes the last line of a run, and the first where it never came to that.
func (l *lines) end(run *result.Run) {
	if l == nil {
		return
	}
	if !l.begun {
		l.begin(run)
	}
	l.begun, l.ended = false, run
	for i := range run.Results {
		l.policy.accept(&run.Results[i], l.target)
	}
	run.Summary = result.Summarise(run.Results)
	l.write(ndjson.NewEnd(run.Complete()))
}

// last writes the end of the last of the runs, where it is not written.
func (l *lines) last(runs []*result.Run) {
	if l != nil && len(runs) > 0 && runs[len(runs)-1] != l.ended {
		l.end(runs[len(runs)-1])
	}
}

func (l *lines) write(v any) {
	if l.err == nil {
		l.err = result.EncodeLine(l.w, v)
	}
}
