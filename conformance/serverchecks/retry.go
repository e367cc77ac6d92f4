package serverchecks

import (
	"ssegauge/conformance"
	"ssegauge/reports/result"
)

// Retry is the retry field.
var Retry = []conformance.Check{
	retryDigits,
	retryLeadingZero,
	retryRange,
	retryEarly,
	retryConflict,
	{ID: "retry/honoured-by-server", Title: "a client that comes back after the reconnection time is served", Level: result.Contract, Clause: "no clause; contract", Needs: conformance.Kill},
}
