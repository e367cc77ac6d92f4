package serverchecks

import "ssegauge/conformance"

// CORS is use from pages of other origins.
var CORS = []conformance.Check{
	corsAllowOrigin,
	corsCredentials,
	corsVary,
	corsStreamAndError,
	corsPreflight,
}
