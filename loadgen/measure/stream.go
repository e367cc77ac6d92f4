package measure

import "slices"

// Stream is what is remembered of one receiver: 56 bytes, and more only of some. It belongs to one [Recorder] and is touched under that recorder's lock.
type Stream struct {
	opened int64 // ns since the epoch of the board; 0: not open
	last   int64 // arrival of the last event; before the first: when the request was written
	window uint64
	more   *more  // what only some have
	first  uint32 // the first event of which this stream is an eligible receiver
	high   uint32 // one more than the highest number that arrived; first if none did
	pruned uint32 // holes below this number were forgotten
	heard  uint32 // when bytes came last, in ticks of 4.096 us, modulo 2^32
	batch  uint16 // events of the last read, saturating
	flags  streamFlags
	waited uint32 // from the request to the head, in us
	// Bit i of window tells whether high-1-i has arrived.
}

type streamFlags uint16

const (
	hasBytes streamFlags = 1 << iota // content has come
	hasEvent                         // an event has
	isSlow                           // it reads slowly: nothing but slow.go is about it
)

// more is what only some streams have.
type more struct {
	holes  []uint32 // numbers older than the window that have not arrived, ascending
	client *Client  // whose stream it is, where receivers reconnect
	probe  *probe   // of one among many
}

// probe is that of a stream that is sampled, else nil.
func (s *Stream) probe() *probe {
	if s.more == nil {
		return nil
	}
	return s.more.probe
}

// client is whose stream it is, nil where receivers do not reconnect.
func (s *Stream) client() *Client {
	if s.more == nil {
		return nil
	}
	return s.more.client
}

// tick is the unit of [Stream.heard] as a power of two of nanoseconds: silences of up to 4.8 hours are told apart.
const tick = 12

// arrival is what the arrival of a number means for the stream's sequence.
type arrival uint8

const (
	inOrder   arrival = iota // the highest so far
	reordered                // after one that was published later
	duplicate                // came before
	forgotten                // so long after its deadline that it is not known which
)

// mark notes that seq (>= first) has arrived. base is the first number that is still under way: holes below it are of no interest any more.
func (s *Stream) mark(seq, base uint32) arrival {
	if seq >= s.high {
		s.slide(seq+1, base)
		s.window |= 1
		return inOrder
	}
	if back := s.high - 1 - seq; back < 64 {
		if s.window&(1<<back) != 0 {
			return duplicate
		}
		s.window |= 1 << back
		return reordered
	}
	if s.more != nil {
		if i, ok := slices.BinarySearch(s.more.holes, seq); ok {
			s.more.holes = slices.Delete(s.more.holes, i, i+1)
			return reordered
		}
	}
	if seq < s.pruned {
		return forgotten
	}
	return duplicate
}

// slide raises high to h and keeps what falls out of the window without having arrived as holes.
func (s *Stream) slide(h, base uint32) {
	n := h - s.high
	// Numbers below h-64 leave the window: those that were in it, and those that were never in it.
	if h > 64 {
		from := s.first
		if s.high > 64 {
			from = max(from, s.high-64)
		}
		from = max(from, s.pruned)
		for q := from; q < h-64; q++ {
			if q < base {
				// No need to walk what is over: whatever is missing there is forgotten.
				if s.missingBelow(q, min(base, h-64)) {
					s.pruned = min(base, h-64)
				}
				q = min(base, h-64) - 1
				continue
			}
			if q >= s.high || s.window&(1<<(s.high-1-q)) == 0 {
				if s.more == nil {
					s.more = new(more)
				}
				s.more.holes = append(s.more.holes, q)
			}
		}
	}
	if s.more != nil {
		if i, _ := slices.BinarySearch(s.more.holes, base); i > 0 {
			s.pruned = max(s.pruned, s.more.holes[i-1]+1)
			s.more.holes = slices.Delete(s.more.holes, 0, i)
		}
		if len(s.more.holes) == 0 {
			if s.more.holes = nil; s.more.client == nil && s.more.probe == nil {
				s.more = nil
			}
		}
	}
	if n >= 64 {
		s.window = 0
	} else {
		s.window <<= n
	}
	s.high = h
}

// missingBelow tells whether any number in [from, to), all of them in the window or above it, has not arrived.
func (s *Stream) missingBelow(from, to uint32) bool {
	for q := from; q < to; q++ {
		if q >= s.high || s.window&(1<<(s.high-1-q)) == 0 {
			return true
		}
	}
	return false
}

// has tells whether seq, which is still under way, has arrived.
func (s *Stream) has(seq uint32) bool {
	switch {
	case seq < s.first || seq >= s.high:
		return false
	case s.high-1-seq < 64:
		return s.window&(1<<(s.high-1-seq)) != 0
	case s.more != nil:
		_, missing := slices.BinarySearch(s.more.holes, seq)
		return !missing
	}
	return true
}
