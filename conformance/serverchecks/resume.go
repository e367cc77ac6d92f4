package serverchecks

import "ssegauge/conformance"

// Resume is what a server does with Last-Event-ID. No clause binds it: without a declaration the worst verdict is warn.
var Resume = []conformance.Check{
	resumeHeaderAccepted,
	resumeHeaderCase,
	resumeReplay,
	resumeNoDuplicate,
	resumeOrder,
	resumeSeam,
	resumeFidelity,
	resumeIdempotent,
	resumeUnknownID,
	resumeEmptyHeader,
	resumeHostileID,
	resumeIsolation,
	resumeWindow,
	resumeQueryParam,
	resumeNoIDNoReplay,
}
