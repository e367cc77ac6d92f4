package wire

import "time"

// Transcript is the record of one connection: every byte with its arrival time, and what the cores made of it. Safe for concurrent use
// through its methods; the slices it returns are copies of the headers, sharing bytes that never change.
type Transcript struct{ _ int }

// Chunk is one read or write.
type Chunk struct {
	At     time.Duration // since the connection's Timing.Start
	Sent   bool
	Offset int64 // in the bytes of that direction
	Data   []byte
}

// Entry is one meaning with its place and time: heads, body pieces (where content lies in the received bytes), frames, faults, end, EOF, errors.
type Entry struct {
	At     time.Duration
	Kind   Kind
	Stream uint32
	Code   uint32
	Offset int64 // in the received bytes
	Length int
	// Content is the offset of a Body entry in the stream's content (transfer coding removed).
	Content int64
	Head    *Head
	Fault   *Fault
}

// Chunks returns the raw bytes both ways in order of time.
func (t *Transcript) Chunks() []Chunk { panic("pending") }

// Entries returns what was understood, in order.
func (t *Transcript) Entries() []Entry { panic("pending") }

// Content returns the content of a stream so far (transfer coding removed, content coding as on the wire).
func (t *Transcript) Content(stream uint32) []byte { panic("pending") }

// Wire maps an offset in a stream's content to the offset in the connection's received bytes and its arrival time.
func (t *Transcript) Wire(stream uint32, content int64) (offset int64, at time.Duration, ok bool) {
	panic("pending")
}

// Faults returns the breaches found on the connection.
func (t *Transcript) Faults() []Fault { panic("pending") }

// Truncated tells that the cap was reached and later bytes were not kept (they were still judged).
func (t *Transcript) Truncated() bool { panic("pending") }

// Closed tells how the peer ended the connection: "" (it did not), "FIN", "RST", or the error's text; with the time.
func (t *Transcript) Closed() (how string, at time.Duration) { panic("pending") }
