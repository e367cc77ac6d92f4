package sse

import "strings"

// Tail is what stands after the last blank line: what a client discards if the
// stream ends there (9.2.6: "any pending data must be discarded").
type Tail struct {
	Start int64  // where the incomplete block began
	Saw   uint16 // kinds of its complete lines: bit 1<<LineKind

	// InLine tells that the last line has no ending. Line is that line, as far as
	// it is known: its EOL is EOLNone, its End is the stream's, and where its
	// name is not complete its Kind is LineUnknown and Name is the part that came.
	InLine bool
	Line   Line
}

// Has tells whether a complete line of that kind is among what would be discarded.
func (t *Tail) Has(k LineKind) bool { return t.Saw&(1<<k) != 0 }

// Loses tells whether the stream would end inside an event: a client would lose
// data, an event type or an id, or what may be the beginning of such a field.
// Comments, unknown fields and a reconnection time, which took effect when its
// line ended, can stand before the end without harm.
func (t *Tail) Loses() bool {
	if t.Has(LineData) || t.Has(LineEvent) || t.Has(LineID) {
		return true
	}
	if !t.InLine {
		return false
	}
	switch t.Line.Kind {
	case LineData, LineEvent, LineID, LineRetry:
		return true
	case LineUnknown:
		if t.Line.Colon {
			return false
		}
		for _, name := range []string{"data", "event", "id", "retry"} {
			if strings.HasPrefix(name, string(t.Line.Name)) {
				return true
			}
		}
	}
	return false
}

// Tail tells what would be discarded if the stream ended now; false when the
// stream stands on a block boundary. Its slices are valid until the next call of
// Next or Inspect. Names and values of comments and unknown fields are known only if the stream
// was read by [Decoder.Inspect].
func (d *Decoder) Tail() (t Tail, ok bool) {
	if !d.open() || d.rec.block.lent {
		return Tail{}, false
	}
	k := d.rec.block
	t.Start, t.Saw = k.start, k.saw
	if k.state == atLine || k.tooLong != nil {
		return t, true
	}
	t.InLine = true
	switch k.state {
	case inBOM, inName:
		t.Line = Line{Kind: LineUnknown, Name: k.name[:k.nameLen], Start: k.lineStart}
	case inLongName:
		t.Line = Line{Kind: LineUnknown, Name: k.scratch, Truncated: k.truncated, Start: k.lineStart}
	default:
		k.describeOpen(&t.Line)
	}
	t.Line.End = d.off
	return t, true
}
