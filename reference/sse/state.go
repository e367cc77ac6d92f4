package sse

import "time"

// SetMax sets the cap on what one block may make the decoder hold, in bytes: its
// data (with one LF for each line), its event type and its ids together. 0 or
// less restores [DefaultMaxEvent]; the highest cap is 2 GiB - 1. Comments and
// unknown fields are not held and do not count.
func (d *Decoder) SetMax(n int) {
	d.max = d.max&forgets | uint32(min(max(n, 0), forgets-1))
}

// Forget makes the decoder keep neither the last event ID string nor the reconnection time: an event has the ID that stands in it, if any (IDSet), and
// between events nothing is held at all. It is for who only counts. Call it before the first byte.
func (d *Decoder) Forget() { d.max |= forgets }

func (d *Decoder) forgets() bool { return d.max&forgets != 0 }

func (d *Decoder) limit() int {
	if d.max&^forgets == 0 {
		return DefaultMaxEvent
	}
	return int(d.max &^ forgets)
}

// SetLastEventID seeds the last event ID string, as a client does on a
// reconnect (web-platform-tests, format-field-id.any.js). id is copied.
func (d *Decoder) SetLastEventID(id []byte) {
	if d.rec == nil && len(id) == 0 {
		return
	}
	r := d.record()
	r.id = append(r.id[:0], id...)
}

// LastEventID is the last event ID string (it changes at a blank line, also without data).
// Raw; valid until the next call of Next or Inspect. Empty if the stream has not set one.
func (d *Decoder) LastEventID() []byte {
	if d.rec == nil {
		return nil
	}
	return d.rec.id
}

// Retry is the reconnection time last set by the stream; false if none was. It saturates at 1<<63 - 1 ns.
func (d *Decoder) Retry() (time.Duration, bool) {
	if d.rec == nil || !d.rec.hasRetry {
		return 0, false
	}
	return d.rec.retry, true
}

// oddKinds are the lines that mean nothing to anyone.
const oddKinds = 1<<LineUnknown | 1<<LineIDIgnored | 1<<LineRetryIgnored

// Odd tells which kinds of line that have no effect stood in the blocks that ended since it was last called: a bit 1<<kind for each of LineUnknown,
// LineIDIgnored and LineRetryIgnored. It costs next to nothing where there are none.
func (d *Decoder) Odd() (kinds uint16) {
	if d.rec == nil || d.rec.odd == 0 {
		return 0
	}
	kinds, d.rec.odd = d.rec.odd, 0
	d.rec.spare(d)
	return kinds
}

// Offset is the number of bytes consumed so far. Inside the callback of
// [Decoder.Inspect] it is the number before that call.
func (d *Decoder) Offset() int64 { return d.off }

// Pending tells what would be discarded if the stream ended now: from is the
// offset where the incomplete block began. False when the stream stands on a block boundary.
// [Decoder.Tail] says what the block holds, and so whether anything of worth would be lost.
func (d *Decoder) Pending() (from int64, ok bool) {
	if !d.open() || d.rec.block.lent {
		return 0, false
	}
	return d.rec.block.start, true
}

// Reset makes the decoder ready for a new stream and returns its buffers, also those of the last event;
// the last event ID and the reconnection time are kept if keep is true. The cap stays.
func (d *Decoder) Reset(keep bool) {
	if d.open() {
		d.close()
	}
	if !keep && d.rec != nil {
		d.forget()
	}
	d.off, d.ahead = 0, 0
}
