package serverchecks

import "ssegauge/conformance"

// Secure is what a hostile publisher or client could do.
var Secure = []conformance.Check{
	secInjectEvent,
	secInjectID,
	secInjectDataCR,
	secInjectRetry,
	secInjectComment,
	secInjectIDHeader,
	secAuthBeforeStream,
	secTokenInURL,
}
