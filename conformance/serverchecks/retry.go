package serverchecks

import "ssegauge/conformance"

// Retry is the retry field.
var Retry = []conformance.Check{
	retryDigits,
	retryLeadingZero,
	retryRange,
	retryEarly,
	retryConflict,
	retryHonoured,
}
