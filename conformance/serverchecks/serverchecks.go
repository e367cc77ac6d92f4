// Package serverchecks holds the requirements of section A of the catalogue: the target is a server.
//
// One file a group of ids, one explicit slice a file, in the catalogue's order. A check without a Run is listed and not built yet.
// To add one: give its entry a Run and its documentation, reference/server a fault of its id, and the tests peers on which it passes and fails.
//
// It may import conformance, reference/* and reports/result.
package serverchecks

import (
	"context"
	"slices"
	"strings"

	"ssegauge/conformance"
)

// All returns every check of a server in the catalogue's order.
func All() []conformance.Check {
	all := slices.Concat(HTTP, HTTP2, Framing, Data, ID, Retry, Live, Resume, Lifecycle, CORS, Secure)
	for i := range all {
		if returns(all[i].ID) && all[i].Run != nil {
			all[i].Run = unlessCall(all[i].Run)
		}
	}
	return all
}

// returns tells of the checks that judge what a client meets that comes back by itself.
func returns(id string) bool {
	group, _, _ := strings.Cut(id, "/")
	return group == "resume" || group == "stop" || id == "retry/honoured-by-server" || id == "lifecycle/persists"
}

// unlessCall leaves a check out for what is the answer to a call, unless its operator promises that clients can come back to it.
func unlessCall(run func(context.Context, *conformance.Probe)) func(context.Context, *conformance.Probe) {
	return func(ctx context.Context, p *conformance.Probe) {
		if p.Call() && !p.Target().ExpectReplay {
			p.NotApplicable("the stream is the answer to a call (%s), to which nobody comes back", p.Request().Method)
			return
		}
		run(ctx, p)
	}
}
