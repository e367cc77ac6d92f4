// Package sse is the wire format of Server-Sent Events: an incremental
// [Decoder] and an [Encoder], exactly as the WHATWG HTML standard, section 9.2
// ("Server-sent events", living standard of 16 March 2026) defines them.
//
// Nothing here does I/O: the decoder is fed bytes by whoever reads the socket.
// It is everyone's one parser: the checks, the load engine, the client state
// machine and the watch command all stand on it, so a stream means the same
// thing everywhere in the house.
//
// The package may import the standard library only. To add a wire vector, put
// a file into testdata; every vector is replayed whole, byte by byte and cut
// at every place.
package sse

import "time"

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
	// block's first line, and the byte after its blank line.
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
	LineRetryIgnored                 // retry field whose value is not all ASCII digits: ignored
	LineUnknown                      // a field of any other name: ignored
	LineBOM                          // the one leading byte order mark, which is stripped
	LineLateLF                       // the LF of a CRLF whose CR ended an earlier chunk: that line was reported as EOLCR
)

// EOL is how a line ended.
type EOL uint8

// The line endings of the grammar.
const (
	EOLNone EOL = iota // not a line (LineBOM), or the stream ended inside it
	EOLLF
	EOLCR
	EOLCRLF
)

// Line is one line of the stream, as a checker sees it. Slices are raw and valid only
// during the call that reports them.
type Line struct {
	Kind       LineKind
	Name       []byte // field name; nil for comments and blank lines
	Value      []byte // field value after the one optional space, or the comment's text after its colon
	Colon      bool   // the line had a colon
	Space      bool   // one space after the colon was removed
	Dispatched bool   // LineBlank only: an event fired
	EOL        EOL    // EOLCR is also reported for a CR that ends a chunk; a LineLateLF follows if it was a CRLF
	Start, End int64  // offsets in the stream; End is just past the line ending
}

// Decoder is the incremental parser: a small value (at most 24 bytes), no
// buffer while idle. The zero value is ready, with [DefaultMaxEvent] as its cap.
//
//	for len(chunk) > 0 {
//		n, ok, err := d.Next(chunk, &ev)
//		chunk = chunk[n:]
//		...
//	}
type Decoder struct{ _ [3]uint64 }

// DefaultMaxEvent is the default cap, in bytes, on what one block may make the decoder hold.
const DefaultMaxEvent = 16 << 20

// TooLongError reports a block that would make the decoder hold more than its cap.
type TooLongError struct {
	Offset int64 // where in the stream the block began
	Limit  int   // the cap, bytes
}

func (e *TooLongError) Error() string { panic("pending") }

// SetMax sets the cap in bytes; 0 restores the default.
func (d *Decoder) SetMax(n int) { panic("pending") }

// SetLastEventID seeds the last event ID string, as a client does on a
// reconnect (web-platform-tests, format-field-id.any.js).
func (d *Decoder) SetLastEventID(id []byte) { panic("pending") }

// Next consumes bytes of chunk until one event is complete or the chunk is used up.
// It returns how many bytes it consumed, and true if ev now holds an event.
// n is len(chunk) when ok is false and err is nil. After an error the decoder stays in that error.
func (d *Decoder) Next(chunk []byte, ev *Event) (n int, ok bool, err error) { panic("pending") }

// Inspect is Next that also reports every line it completes, including what clients throw away.
func (d *Decoder) Inspect(chunk []byte, ev *Event, line func(*Line)) (n int, ok bool, err error) {
	panic("pending")
}

// LastEventID is the last event ID string (it changes at a blank line, also without data). Raw; valid until the next Next.
func (d *Decoder) LastEventID() []byte { panic("pending") }

// Retry is the reconnection time last set by the stream; false if none was. It saturates at [math.MaxInt64] ns.
func (d *Decoder) Retry() (time.Duration, bool) { panic("pending") }

// Offset is the number of bytes consumed so far.
func (d *Decoder) Offset() int64 { panic("pending") }

// Pending tells what would be discarded if the stream ended now: from is the
// offset where the incomplete block began. False when the stream stands on a block boundary.
func (d *Decoder) Pending() (from int64, ok bool) { panic("pending") }

// Reset makes the decoder ready for a new stream and returns its buffers;
// the last event ID and the reconnection time are kept if keep is true.
func (d *Decoder) Reset(keep bool) { panic("pending") }

// Text is "UTF-8 decode" of raw bytes: ill-formed sequences become U+FFFD, one for each maximal subpart.
func Text(raw []byte) string { panic("pending") }

// Message is what the [Encoder] writes.
type Message struct {
	Event string // event type; empty: no event field
	Data  string // split at CRLF, LF and CR into data lines; empty: one empty data line
	// NoData leaves the data lines out: a block that only carries id or retry and dispatches nothing.
	NoData  bool
	ID      string // empty: no id field, unless ResetID
	ResetID bool   // write an empty id field, which tells clients to forget their position
	Retry   string // reconnection time in milliseconds, ASCII digits; empty: no retry field
}

// FieldError reports a value that would break framing.
type FieldError struct {
	Field  string // "event", "id", "retry"
	Reason string // one line: what was wrong and what would be right
}

func (e *FieldError) Error() string { panic("pending") }

// AppendMessage appends the encoding of m, including its blank line. On an error dst is returned unchanged.
func AppendMessage(dst []byte, m *Message) ([]byte, error) { panic("pending") }

// AppendComment appends text as a comment, one comment line for each line of text, without a blank line.
func AppendComment(dst []byte, text string) []byte { panic("pending") }
