package serverchecks

import (
	"ssegauge/conformance"
	"ssegauge/reports/result"
)

// Framing is encoding and grammar: bytes, lines, blocks.
var Framing = []conformance.Check{
	encodingUTF8,
	{ID: "encoding/utf8/no-replacement", Title: "no character becomes U+FFFD on the way", Level: result.Contract, Clause: "no clause; contract", Needs: conformance.Publish},
	encodingBOM,
	{ID: "encoding/bom/midstream", Title: "no U+FEFF later at the start of a line", Level: result.Should, Clause: "WHATWG HTML 9.2.5", Needs: conformance.Observe},
	{ID: "framing/eol/consistent", Title: "one style of line ending, and one that simple clients can split", Level: result.Advice, Clause: "WHATWG HTML 9.2.5", Needs: conformance.Observe},
	{ID: "framing/eol/atomic", Title: "CR and LF of one line ending arrive together", Level: result.Advice, Clause: "WHATWG HTML 9.2.6", Needs: conformance.Observe},
	framingTerminated,
	{ID: "framing/blank-line", Title: "the blank line is sent with its event", Level: result.Contract, Clause: "no clause; contract", Needs: conformance.Publish},
	framingFieldNames,
	framingLineWithoutColon,
	{ID: "framing/space-after-colon", Title: "one space after the colon, as simple clients want it", Level: result.Advice, Clause: "WHATWG HTML 9.2.6", Needs: conformance.Observe},
	{ID: "framing/comment", Title: "comments start with a colon", Level: result.Must, Clause: "WHATWG HTML 9.2.5", Needs: conformance.Observe},
	{ID: "framing/order", Title: "id and event stand before data", Level: result.Advice, Clause: "WHATWG HTML 9.2.6", Needs: conformance.Observe},
	{ID: "framing/not-sse-body", Title: "what is labelled an event stream is one", Level: result.Must, Clause: "WHATWG HTML 9.2.5", Needs: conformance.Observe},
}
