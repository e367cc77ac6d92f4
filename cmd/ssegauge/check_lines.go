package main

import (
	"io"
	"time"

	"ssegauge/conformance"
	"ssegauge/reports/ndjson"
	"ssegauge/reports/result"
)

// lines writes the NDJSON of a check while it goes on. A fault of the writer is kept for the end: what else is to be written is not lost by it.
type lines struct {
	w      io.Writer
	policy *policyFlags
	target string // URL of the run, as it is shown
	err    error
}

// follow makes o write the lines of a run that begins.
func (l *lines) follow(o *conformance.Options) {
	started := time.Now()
	o.Opened = func(t result.Target) {
		l.target = t.URL
		l.write(ndjson.NewRun(&result.Run{Schema: result.SchemaCheck, Tool: tool(), Target: t, Started: started}))
	}
	o.Finding = func(f result.Finding) {
		if l.policy.accepted != nil {
			l.policy.accepted.Accept(&f, l.target, time.Now())
		}
		l.write(ndjson.NewFinding(f))
	}
}

// end writes the last line of a run.
func (l *lines) end(run *result.Run) error {
	l.write(ndjson.NewEnd(run.Complete()))
	return l.err
}

func (l *lines) write(v any) {
	if l.err == nil {
		l.err = result.EncodeLine(l.w, v)
	}
}
