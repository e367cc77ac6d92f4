package serverchecks

import "ssegauge/conformance"

// Framing is encoding and grammar: bytes, lines, blocks.
var Framing = []conformance.Check{
	encodingUTF8,
	encodingNoReplacement,
	encodingBOM,
	encodingBOMMidstream,
	framingEOLConsistent,
	framingEOLAtomic,
	framingTerminated,
	framingBlankLine,
	framingFieldNames,
	framingLineWithoutColon,
	framingSpaceAfterColon,
	framingComment,
	framingOrder,
	framingNotSSEBody,
}
