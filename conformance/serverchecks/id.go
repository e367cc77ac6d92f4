package serverchecks

import "ssegauge/conformance"

// ID is the id field.
var ID = []conformance.Check{
	idPresent,
	idNUL,
	idUnique,
	idStable,
	idControlFrames,
	idHeaderSafe,
	idCORSSafe,
	idSize,
	idEmptyResets,
}
