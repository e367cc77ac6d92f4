// Package serverchecks holds the requirements of section A of the catalogue: the target is a server.
//
// One file a group of ids, one explicit slice a file, in the catalogue's order. A check without a Run is listed and not built yet.
// To add one: give its entry a Run and its documentation, and add a passing and a failing script to testdata.
//
// It may import conformance, reference/* and reports/result.
package serverchecks

import (
	"slices"

	"ssegauge/conformance"
)

// All returns every check of a server in the catalogue's order.
func All() []conformance.Check {
	return slices.Concat(HTTP, HTTP2, Framing, Data, ID, Retry, Live, Resume, Lifecycle, CORS, Secure)
}
