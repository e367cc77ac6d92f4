package sse

import (
	"strings"
	"unicode/utf8"
)

// Message is what [AppendMessage] writes: one block.
type Message struct {
	Event string // event type; empty: no event field
	Data  string // split at CRLF, LF and CR into data lines; empty: one empty data line
	// NoData leaves the data lines out: a block that only carries id or retry and dispatches nothing.
	NoData  bool
	ID      string // empty: no id field, unless ResetID
	ResetID bool   // write an empty id field, which tells clients to forget their position
	Retry   string // reconnection time in milliseconds, ASCII digits; empty: no retry field
}

// FieldError reports a value that a stream cannot carry.
type FieldError struct {
	Field  string // "event", "id", "retry"
	Reason string // one line: what was wrong and what would be right
}

func (e *FieldError) Error() string { return "sse: " + e.Field + " " + e.Reason }

// AppendMessage appends the encoding of m, including its blank line. On an error dst is returned unchanged.
//
// Every line ends with LF and every field has one space after its colon (9.2.5), so
// that a value which itself begins with a space keeps it. Data comes out of a
// conforming client as it went in, a trailing newline included, but for two
// things that the format cannot carry: CRLF and CR arrive as LF, and ill-formed
// UTF-8 is written as U+FFFD, which is what any client would have made of it. U+FEFF
// in data is a character like others: only a byte order mark at the very start of a stream is removed,
// and there stands a field name.
//
// The errors are [*FieldError]: CR, LF or NUL in the id, CR or LF in the event
// type, ill-formed UTF-8 in either (a client would send back another id, or
// listen for another type), anything but ASCII digits in retry.
func AppendMessage(dst []byte, m *Message) ([]byte, error) {
	if err := m.check(); err != nil {
		return dst, err
	}
	if m.ID != "" || m.ResetID {
		dst = appendField(dst, "id: ", m.ID)
	}
	if m.Event != "" {
		dst = appendField(dst, "event: ", m.Event)
	}
	if m.Retry != "" {
		dst = appendField(dst, "retry: ", m.Retry)
	}
	if !m.NoData {
		dst = appendLines(dst, "data: ", m.Data)
	}
	return append(dst, '\n'), nil
}

func (m *Message) check() error {
	switch {
	case strings.ContainsAny(m.Event, "\r\n"):
		return &FieldError{"event", "holds CR or LF, which would end its line and begin another field; remove it"}
	case !utf8.ValidString(m.Event):
		return &FieldError{"event", "is not well-formed UTF-8; encode it as UTF-8"}
	case strings.ContainsAny(m.ID, "\r\n"):
		return &FieldError{"id", "holds CR or LF, which would end its line and begin another field; remove it"}
	case strings.IndexByte(m.ID, 0) >= 0:
		return &FieldError{"id", "holds NUL, for which clients ignore the whole id; remove it"}
	case !utf8.ValidString(m.ID):
		return &FieldError{"id", "is not well-formed UTF-8, so clients would send back another id; encode it as UTF-8"}
	case m.ID != "" && m.ResetID:
		return &FieldError{"id", "is given although the id is to be reset; give one of the two"}
	}
	for i := range len(m.Retry) {
		if c := m.Retry[i]; c < '0' || c > '9' {
			return &FieldError{"retry", "is not all ASCII digits, so clients would ignore it; give whole milliseconds such as 3000"}
		}
	}
	return nil
}

// AppendComment appends text as a comment, one comment line for each line of text, without a blank line.
// One space follows each colon. Ill-formed UTF-8 is written as U+FFFD.
func AppendComment(dst []byte, text string) []byte {
	return appendLines(dst, ": ", text)
}

func appendField(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	dst = append(dst, value...)
	return append(dst, '\n')
}

// appendLines writes each line of text behind name.
func appendLines(dst []byte, name, text string) []byte {
	if !utf8.ValidString(text) {
		text = repaired(text)
	}
	hasCR := strings.IndexByte(text, '\r') >= 0
	for {
		i := -1
		if hasCR {
			i = strings.IndexAny(text, "\r\n")
		} else {
			i = strings.IndexByte(text, '\n')
		}
		if i < 0 {
			return appendField(dst, name, text)
		}
		dst = appendField(dst, name, text[:i])
		if text[i] == '\r' && i+1 < len(text) && text[i+1] == '\n' {
			i++
		}
		text = text[i+1:]
	}
}
