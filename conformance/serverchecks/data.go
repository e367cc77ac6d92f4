package serverchecks

import "ssegauge/conformance"

// Data is what events carry: the data and event fields held against what was published.
var Data = []conformance.Check{
	dataMultiline,
	dataLeadingSpace,
	dataEmpty,
	dataNoDataBlock,
	dataTrailingNewline,
	dataColon,
	dataNUL,
	dataVerbatim,
	dataLarge,
	eventName,
	eventReserved,
	eventDefault,
	eventEmpty,
}
