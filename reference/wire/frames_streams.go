package wire

import "slices"

// h2stream is what we know of one stream: its id (without the odd bit) and state, and how much of our window the peer may still use.
type h2stream struct {
	key uint32 // id>>1 in the upper 30 bits, a streamState in the lower two
	win uint32 // window left in the lower 31 bits; the top bit: its content is counted in Frames.lengths
}

type streamState uint32

const (
	streamOver      streamState = iota // ended or forgotten; leaves the table
	streamWaiting                      // no final head yet
	streamOpen                         // the final head came
	streamCancelled                    // reset by us: what is still in flight is dropped without a word
)

const counted = 1 << 31

func (s *h2stream) id() uint32             { return s.key>>2<<1 | 1 }
func (s *h2stream) state() streamState     { return streamState(s.key & 3) }
func (s *h2stream) live() bool             { st := s.state(); return st == streamWaiting || st == streamOpen }
func (s *h2stream) setState(t streamState) { s.key = s.key&^3 | uint32(t) }
func (s *h2stream) window() uint32         { return s.win &^ counted }
func (s *h2stream) setWindow(n uint32)     { s.win = s.win&counted | n }

// streamTable holds the streams by rising id. Ids only rise, so opening appends; streams that are over stay as holes until they
// are half of the table. A stream is found at its place in a table without holes, or by bisection.
type streamTable struct {
	list      []h2stream
	over      int    // holes
	active    int    // waiting or open
	cancelled int    // reset by us and remembered
	forgotten uint32 // cancelled streams up to this id may have been forgotten: what comes for them is no fault
}

// maxCancelled is how many streams of our own resetting are remembered.
const maxCancelled = 1024

// from returns the index of the first stream with at least this id.
func (t *streamTable) from(id uint32) int {
	i, _ := slices.BinarySearchFunc(t.list, id>>1, func(s h2stream, key uint32) int { return int(s.key>>2) - int(key) })
	return i
}

// find returns the stream, or nil where it is over or was never opened. The pointer holds until the table changes.
func (t *streamTable) find(id uint32) *h2stream {
	if len(t.list) == 0 || id&1 == 0 {
		return nil
	}
	if i := int(id>>1) - int(t.list[0].key>>2); i >= 0 && i < len(t.list) && t.list[i].key>>2 == id>>1 {
		if s := &t.list[i]; s.state() != streamOver {
			return s
		}
		return nil
	}
	if i := t.from(id); i < len(t.list) && t.list[i].key>>2 == id>>1 && t.list[i].state() != streamOver {
		return &t.list[i]
	}
	return nil
}

// open appends a stream; its id is above every other.
func (t *streamTable) open(id, window uint32) *h2stream {
	t.list = append(t.list, h2stream{key: id>>1<<2 | uint32(streamWaiting), win: window})
	t.active++
	return &t.list[len(t.list)-1]
}

// cancel remembers that we reset a stream.
func (t *streamTable) cancel(s *h2stream) {
	s.setState(streamCancelled)
	t.active--
	t.cancelled++
	if t.cancelled <= maxCancelled {
		return
	}
	forget := t.cancelled / 2
	for i := range t.list {
		if forget == 0 {
			break
		}
		if c := &t.list[i]; c.state() == streamCancelled {
			t.forgotten = max(t.forgotten, c.id())
			c.setState(streamOver)
			t.cancelled--
			t.over++
			forget--
		}
	}
	t.compact()
}

// close ends a stream for good.
func (t *streamTable) close(s *h2stream) {
	if s.live() {
		t.active--
	} else {
		t.cancelled--
	}
	s.setState(streamOver)
	t.over++
	t.compact()
}

// compact drops the holes when they are half of the table, so that a stream which ends pays for moving one that lives.
func (t *streamTable) compact() {
	if t.over < len(t.list) && (t.over < 16 || t.over < len(t.list)/2) {
		return
	}
	t.list = slices.DeleteFunc(t.list, func(s h2stream) bool { return s.state() == streamOver })
	t.over = 0
	if cap(t.list) > 64 && len(t.list) < cap(t.list)/8 {
		t.list = slices.Clone(t.list) // give the peak's memory back
	}
}
