package measure

// EndOfResponse is the cause with which an engine says that a stream ended as its protocol ends a response: nothing was cut.
const EndOfResponse = "end of response"

// NoneByTheEnd is the cause of an opening that was under way when the run ended.
const NoneByTheEnd = "head: none by the end of the run"

// completed notes the end of a stream that is meant to end: false if it ended in another way, or before any event.
func (r *Recorder) completed(s *Stream, at int64, cause string) bool {
	if !r.board.finite || cause != EndOfResponse || s.flags&hasEvent == 0 {
		return false
	}
	r.n.completed++
	r.record(mTotal, max(0, at-s.opened+int64(s.waited)*1000))
	return true
}

// Ending tells whether streams are open that are meant to end: they are worth waiting for.
func (b *Board) Ending() bool { return b.finite && b.Open() > 0 }
