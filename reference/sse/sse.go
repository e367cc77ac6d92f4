// Package sse is the wire format of Server-Sent Events: an incremental
// [Decoder] and an encoder ([AppendMessage], [AppendComment]), exactly as the
// WHATWG HTML standard, section 9.2 ("Server-sent events", living standard of
// 16 March 2026) defines them.
//
// Nothing here does I/O: the decoder is fed bytes by whoever reads the socket.
// It is everyone's one parser: the checks, the load engine, the client state
// machine and the watch command all stand on it, so a stream means the same
// thing everywhere in the house.
//
// The package may import the standard library only. To add a wire vector, put
// a file into testdata (its README tells the format); every vector is replayed
// whole, byte by byte, in twos and cut at every place.
package sse

import "strconv"

// Event is one dispatched event.
//
// The byte slices are raw (as they stood on the wire, not repaired) and valid
// until the next call of [Decoder.Next] or [Decoder.Inspect]: they point into
// the chunk that was fed or into the decoder's spill buffer. Copy what must live
// longer. [Text] turns raw bytes into what a consumer sees: ill-formed UTF-8
// becomes U+FFFD as "UTF-8 decode" prescribes.
type Event struct {
	// Type is the event type buffer; empty means "message" ([Event.Name]).
	Type []byte
	// Data is the data buffer without its final LF.
	Data []byte
	// ID is the last event ID string as it stands after this event: the id of this
	// block, or the one that persists from an earlier block.
	ID []byte
	// IDSet tells that this very block carried an id field that was taken.
	IDSet bool
	// Start and End are byte offsets in the stream: the first byte of the
	// block's first line, and the byte after its blank line. Where a chunk ends
	// between the CR and the LF of the blank line's CRLF, End is just past the
	// CR: the event does not wait for the LF.
	Start, End int64
}

// Name is the event's type as a listener sees it: "message" where no type was set.
func (e *Event) Name() string {
	if len(e.Type) == 0 {
		return "message"
	}
	return Text(e.Type)
}

// LineKind says what a line of the stream meant to the parser.
type LineKind uint8

// The kinds of line that [Decoder.Inspect] reports.
const (
	LineBlank        LineKind = iota // end of a block; Dispatched tells whether an event fired
	LineComment                      // begins with a colon
	LineData                         // data field
	LineEvent                        // event field
	LineID                           // id field that was taken
	LineIDIgnored                    // id field whose value holds U+0000: ignored
	LineRetry                        // retry field that was taken
	LineRetryIgnored                 // retry field whose value is empty or not all ASCII digits: ignored
	LineUnknown                      // a field of any other name: ignored
	LineBOM                          // the one leading byte order mark, which is stripped
	LineLateLF                       // the LF of a CRLF whose CR ended an earlier chunk: that line was reported as EOLCR
)

var lineKindNames = [...]string{
	"blank", "comment", "data", "event", "id", "id-ignored", "retry", "retry-ignored", "unknown", "bom", "late-lf",
}

// String is a short name of the kind, for messages and tests.
func (k LineKind) String() string {
	if int(k) < len(lineKindNames) {
		return lineKindNames[k]
	}
	return "LineKind(" + strconv.Itoa(int(k)) + ")"
}

// EOL is how a line ended.
type EOL uint8

// The line endings of the grammar.
const (
	EOLNone EOL = iota // not a line (LineBOM, LineLateLF), or the stream ended inside it
	EOLLF
	EOLCR
	EOLCRLF
)

// String is "none", "LF", "CR" or "CRLF".
func (e EOL) String() string {
	switch e {
	case EOLLF:
		return "LF"
	case EOLCR:
		return "CR"
	case EOLCRLF:
		return "CRLF"
	}
	return "none"
}

// Line is one line of the stream, as a checker sees it. Slices are raw and valid only
// during the call that reports them.
type Line struct {
	Kind       LineKind
	Name       []byte // field name; nil for comments and blank lines
	Value      []byte // field value after the one optional space, or all of the comment's text after its colon
	Colon      bool   // the line had a colon
	Space      bool   // one space after a field's colon was removed
	Truncated  bool   // Name and Value were cut: see MaxNote
	Dispatched bool   // LineBlank only: an event fired
	EOL        EOL    // EOLCR is also reported for a CR that ends a chunk; a LineLateLF follows if it was a CRLF
	Start, End int64  // offsets in the stream; End is just past the line ending
}

// MaxNote is how many bytes, name and value together, [Decoder.Inspect] reports
// of a line that the parser has no use for: comments, unknown fields and retry
// fields. A longer one is cut and marked [Line.Truncated]; its End still tells
// its true length. Data, event and id values are always whole.
const MaxNote = 4096

// DefaultMaxEvent is the default cap, in bytes, on what one block may make the decoder hold.
const DefaultMaxEvent = 16 << 20

// TooLongError reports a block that would make the decoder hold more than its cap.
type TooLongError struct {
	Offset int64 // where in the stream the block began
	Limit  int   // the cap, bytes
}

func (e *TooLongError) Error() string {
	return "sse: the block that begins at offset " + strconv.FormatInt(e.Offset, 10) +
		" holds more than " + strconv.Itoa(e.Limit) + " bytes of data, event and id"
}
