package serverchecks

import (
	"ssegauge/conformance"
	"ssegauge/reports/result"
)

// Retry is the retry field.
var Retry = []conformance.Check{
	retryDigits,
	{ID: "retry/leading-zero", Title: "retry values without leading zeros", Level: result.Advice, Clause: "WHATWG HTML 9.2.6", Needs: conformance.Observe},
	retryRange,
	{ID: "retry/early", Title: "retry is sent at the start of the stream", Level: result.Advice, Clause: "WHATWG HTML 9.2.6", Needs: conformance.Observe},
	{ID: "retry/conflict", Title: "the reconnection time does not change", Level: result.Advice, Clause: "WHATWG HTML 9.2.6", Needs: conformance.Observe | conformance.Long},
	{ID: "retry/honoured-by-server", Title: "a client that comes back after the reconnection time is served", Level: result.Contract, Clause: "no clause; contract", Needs: conformance.Kill},
}
