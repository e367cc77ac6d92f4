package measure

import (
	"bytes"
	"cmp"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
)

// Without a publish hook nobody says what was published. What one receiver gets, the others should get too: an event is known by its content (id, type and data), and
// its first sight stands for its publishing. A time stamp that is known is no part of the content of an event with an id: some servers stamp each receiver's copy. From there on it is counted as a published one is: eligible receivers, loss, duplicates, order, spread. An event without an
// id that comes to a stream again is its next occurrence, not a duplicate, as long as most receivers get it as often.
//
// Memory is bounded: a ring of events under way, of which each stream remembers what it has as it does of published ones, and the keys of some that are over. Streams
// that each carry content of their own overrun the ring: then matching is given up, and said to be. So it is where receivers get different contents under one id, unless they
// get them all: then ids are used again.
const (
	observedRing = 1 << 14 // events under way at one time
	maxOld       = 1 << 15 // keys of events that are over, twice
	splitLimit   = 0.03    // share of events that come with different contents under one id
	maxOccurring = 256     // occurrences of one content that are looked at
	cached       = 1 << 10 // keys that a recorder finds without the others' lock
)

// observer matches events between receivers.
type observer struct {
	seed  maphash.Seed
	given *Stamp      // of tier 1; nil: none
	full  atomic.Bool // matching is given up
	apart bool        // never begun: each stream is an answer of its own

	mu       sync.Mutex // guards what follows; taken after the recorders' locks
	base     uint32     // of the board
	begun    uint32
	intended int64             // of the latest event: it always grows
	keys     map[uint64]uint32 // to the oldest occurrence under way
	ids      map[uint64]uint32 // the latest event under way with that id
	old      [2]map[uint64]uint32
	seen     []sighting // ring, beside the board's slots
	stamp    *Stamp     // given, or that of our own server; nil: none
	own      bool       // of our own server
	stamped  int64      // events with a time stamp
	bare     int64      // and without one

	biased int64 // when the latest event was seen whose order of arrival is looked at

	compared int64 // events with several eligible receivers, concluded; board's lock, as the next three
	single   int64 // of those: one receiver had it
	alone    int64 // of those: among so many that it is the receiver's own
	split    int64 // of those: other receivers had other content under its id
	twins    int64 // arrivals of events whose id others had before them
	both     int64 // of those: at receivers of the other event, too
	repeated int64 // arrivals of an event again without an id, that most receivers did not get again
}

// sighting is what is known of an event beside its slot. Written before the board's begun passes its number, next apart.
type sighting struct {
	key     uint64
	id      uint64 // key of its id
	twin    uint32 // with before: the event under way that had its id before it
	stamp   int64  // when it was sent, ns since the epoch by the sender's clock
	window  uint64
	high    uint32 // with window: what the first receiver had before it
	next    uint32 // the next occurrence of the same content; 0: none
	stamped bool
	before  bool
	named   bool // it has an id
	split   bool // another event under way had its id
	biased  bool // its order of arrival is looked at
	again   bool // its content came before
}

func newObserver(stamp *Stamp) *observer {
	o := &observer{
		seed: maphash.MakeSeed(), given: stamp, stamp: stamp, keys: map[uint64]uint32{}, ids: map[uint64]uint32{}, old: [2]map[uint64]uint32{{}, {}}, seen: make([]sighting, observedRing),
	}
	if stamp == nil {
		o.stamp, o.own = &Stamp{path: []string{"sent_ns"}, how: "our server's sent_ns"}, true
	}
	return o
}

func (o *observer) at(seq uint32) *sighting { return &o.seen[int(seq)&(len(o.seen)-1)] }

// odd spreads the bits of hashes that are put together.
const odd = 0x9e3779b97f4a7c15

func (o *observer) key(id, typ, data []byte) uint64 {
	return o.with(maphash.Bytes(o.seed, data), id, typ)
}

// withoutStamp is the key of an event but for its stamp. stamp is a part of data.
func (o *observer) withoutStamp(id, typ, data, stamp []byte) uint64 {
	from := cap(data) - cap(stamp)
	h := maphash.Bytes(o.seed, data[:from])
	return o.with(h*odd^maphash.Bytes(o.seed, data[from+len(stamp):]), id, typ)
}

func (o *observer) with(h uint64, id, typ []byte) uint64 {
	if len(typ) > 0 {
		h = h*odd ^ maphash.Bytes(o.seed, typ)
	}
	if len(id) > 0 {
		h = (h+1)*odd ^ maphash.Bytes(o.seed, id)
	}
	return h | 1
}

// entry is a content that a recorder has met lately, and its oldest occurrence.
type entry struct {
	key     uint64 // of all of it
	seq     uint32
	stamped bool  // it has an id, and a stamp of its own
	stamp   int64 // ns since the epoch by the sender's clock
}

// observe takes an event of a run without a hook.
func (r *Recorder) observe(s *Stream, data, id, typ []byte, at int64) {
	b, o := r.board, r.board.observer
	if at < r.eligibleFrom(s) {
		r.n.early++ // history, or a greeting: others need not have it
		return
	}
	if o.full.Load() {
		r.stamped(data, at)
		return
	}
	key, named := o.key(id, typ, data), len(id) > 0
	e := &r.cache[key&(cached-1)]
	if e.key != key || e.seq < r.base || !named && (e.seq < s.first || s.has(e.seq)) {
		found := entry{key: key}
		seq, ok := o.find(b, s, &found, id, typ, data, at)
		if !ok {
			r.stamped(data, at)
			return
		}
		*e = found
		r.sighted(s, seq, at, e)
		return
	}
	r.sighted(s, e.seq, at, e)
}

// find is the number of the event of that key which has come to s: one under way, one that is over, or a new one. Into e it puts that of its oldest occurrence, which is the one for
// whoever has none yet. False: matching was given up.
func (o *observer) find(b *Board, s *Stream, e *entry, id, typ, data []byte, at int64) (seq uint32, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.full.Load() {
		return 0, false
	}
	key, named := e.key, len(id) > 0
	var sent int64
	var stamped bool
	if named && o.stamp != nil {
		if raw, ok := o.stamp.locate(data); ok {
			key = o.withoutStamp(id, typ, data, raw)
			sent, stamped = o.stamp.read(bytes.Trim(raw, "\" \t"))
			e.stamp, e.stamped = sent-b.epochWall, stamped
		}
	}
	q, known := o.keys[key]
	again := known
	if known {
		e.seq = q
		for range maxOccurring {
			if named || q >= s.first && !s.has(q) {
				return q, true
			}
			next := o.at(q).next
			if next == 0 {
				break
			}
			q = next
		}
	} else {
		for _, old := range o.old {
			if before, ok := old[key]; ok {
				if named || before >= s.first && !s.has(before) {
					e.seq = before
					return before, true
				}
				again = true
				break
			}
		}
	}
	if int(o.begun-o.base) >= len(o.seen) {
		o.full.Store(true)
		return 0, false
	}
	seq = o.begun
	o.begun++
	if known {
		o.at(q).next = seq
	} else {
		o.keys[key], e.seq = seq, seq
	}
	o.intended = max(o.intended+1, at)
	biased := o.biased == 0 || o.intended-o.biased >= biasedStep
	if biased {
		o.biased = o.intended
	}
	w := sighting{biased: biased, key: key, named: named, again: again, high: s.high, window: s.window}
	if named {
		w.id = o.with(1, id, typ)
		if w.twin, w.before = o.ids[w.id]; w.before {
			w.split, o.at(w.twin).split = true, true
		}
		o.ids[w.id] = seq
	}
	if o.stamp != nil {
		if !named {
			sent, stamped = o.stamp.find(data)
		}
		w.stamp, w.stamped = sent-b.epochWall, stamped
		switch {
		case stamped:
			o.stamped++
		case o.own && o.stamped == 0:
			o.stamp = nil // another server's
		default:
			o.bare++
		}
	}
	*o.at(seq) = w
	slot := b.slot(seq)
	slot.intended, slot.outcome = o.intended, Published
	slot.seen.Store(true)
	b.begun.Store(seq + 1)
	return seq, true
}

// stamped takes the delay of an event that is compared with no other. The observer's stamp changes no more.
func (r *Recorder) stamped(data []byte, at int64) {
	if r.stamp == nil {
		if r.board.observer.stamp == nil {
			return
		}
		r.stamp = new(*r.board.observer.stamp)
	}
	sent, ok := r.stamp.find(data)
	if !ok {
		r.bare++
		return
	}
	r.stamps++
	r.delayed(at, at-(sent-r.board.epochWall))
}

// setAside tells, of an event that is concluded, that it says nothing of the receivers without it.
func (o *observer) setAside(seq uint32, arrived, receivers int) bool {
	w := o.at(seq)
	if w.again && !w.named && 2*arrived < receivers {
		o.repeated += int64(arrived)
		return true
	}
	if receivers < 2 {
		return false
	}
	o.compared++
	if arrived <= 1 {
		o.single++
	}
	if w.split && arrived < receivers && 4*o.both < o.twins {
		o.split++
		return true
	}
	if arrived > 1 {
		return false
	}
	if receivers < 3 {
		return false // the other one may have lost it
	}
	o.alone++
	return true
}

// failed says why receivers cannot be compared, "" if they can.
func (o *observer) failed() string {
	switch {
	case o.apart:
		return "each stream is an answer of its own"
	case o.full.Load():
		return "more than 16,384 different events were under way at once: the streams carry content of their own"
	case float64(o.split) > splitLimit*float64(o.compared):
		return "receivers get contents of their own under the same ids"
	case o.compared > 0 && 2*o.single > o.compared:
		return "most events came to one stream only: the streams carry content of their own"
	}
	return ""
}

// forget moves event seq, which is over, from the keys under way to the old ones. The board and its recorders are locked.
func (o *observer) forget(seq uint32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	w := o.at(seq)
	switch {
	case w.next != 0:
		o.keys[w.key] = w.next
	default:
		// The oldest occurrence under way is this one, or occurrences beyond those looked at would still stand behind it.
		delete(o.keys, w.key)
	}
	if len(o.old[0]) >= maxOld {
		o.old[0], o.old[1] = o.old[1], o.old[0]
		clear(o.old[0])
	}
	o.old[0][w.key] = seq
	if w.named && o.ids[w.id] == seq {
		delete(o.ids, w.id)
	}
	*w = sighting{}
	o.base = seq + 1
}

// sighted notes that event seq has come to s, as e has it.
func (r *Recorder) sighted(s *Stream, seq uint32, at int64, e *entry) {
	b, o := r.board, r.board.observer
	if seq < s.first {
		r.n.early++
		return
	}
	high := s.high
	what := s.mark(seq, r.base)
	if r.gone(what, seq) {
		return
	}
	slot, w := b.slot(seq), o.at(seq)
	if slot.intended < r.eligibleFrom(s) {
		r.n.early++
		return
	}
	off := at - slot.intended
	if off > b.deadline {
		r.n.late++
		return
	}
	// Events are numbered by first sight. That is the order in which they were sent if one and the same receiver had both.
	if what == reordered && o.at(high-1).knew(seq) {
		r.n.reordered++
		r.extent[min(high-1-seq, maxExtent-1)]++
	}
	if w.before {
		r.n.twins++
		if w.twin >= s.first && s.has(w.twin) {
			r.n.both++
		}
	}
	switch {
	case e.stamped:
		r.delayed(at, at-e.stamp)
	case w.stamped:
		r.delayed(at, at-w.stamp)
	}
	r.take(s, seq, off)
}

// knew tells whether the first receiver of w had event seq before it.
func (w *sighting) knew(seq uint32) bool {
	if seq >= w.high || w.high-1-seq >= 64 {
		return false
	}
	return w.window&(1<<(w.high-1-seq)) != 0
}

// joins are the times from which on streams are eligible receivers of what is seen first, ascending, and how many they are.
type joins []join

type join struct {
	at int64
	n  int
}

const joinStep = int64(1e6) // ns: so that a million streams are not a million times

// eligibleFrom is when s becomes an eligible receiver of what is seen first.
func (r *Recorder) eligibleFrom(s *Stream) int64 {
	return (s.opened + r.board.settle + joinStep - 1) / joinStep * joinStep
}

// state is the number of the next event, and a time after the latest one's first sight.
func (o *observer) state() (begun uint32, after int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.begun, o.intended + 1
}

// join makes s an eligible receiver from its time on.
func (r *Recorder) join(s *Stream) {
	begun, after := r.board.observer.state()
	s.first = begun
	at := max(r.eligibleFrom(s), after)
	i, found := r.joins.find(at)
	if found {
		r.joins[i].n++
	} else {
		r.joins = slices.Insert(r.joins, i, join{at, 1})
	}
}

// withdraw takes s out again. It returns the first event of which it is no receiver.
func (r *Recorder) withdraw(s *Stream) (end uint32) {
	begun, after := r.board.observer.state()
	at := max(r.eligibleFrom(s), after)
	if at == after {
		r.diff[max(begun, r.base)]-- // it was a receiver, or would be of the next event
		return begun
	}
	if i, found := r.joins.find(at); found {
		if r.joins[i].n--; r.joins[i].n == 0 {
			r.joins = slices.Delete(r.joins, i, i+1)
		}
	}
	return begun
}

func (j joins) find(at int64) (int, bool) {
	return slices.BinarySearchFunc(j, at, func(e join, at int64) int { return cmp.Compare(e.at, at) })
}

// joinUntil is how many streams become eligible receivers until a time, after those of the last call.
func (r *Recorder) joinUntil(at int64) (n int) {
	for r.joined < len(r.joins) && r.joins[r.joined].at <= at {
		n += r.joins[r.joined].n
		r.joined++
	}
	return n
}
