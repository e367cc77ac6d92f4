package measure

import (
	"math"
	"strings"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Range of every histogram: 1 us to 1 h with three significant digits (188 KB each when all of it is touched).
const (
	lowest  = 1
	highest = int64(time.Hour / time.Microsecond)
	digits  = 3
)

func newHist() *hdrhistogram.Histogram { return hdrhistogram.New(lowest, highest, digits) }

// The latencies a recorder keeps.
const (
	mOpen = iota
	mOpenService
	mConnect
	mTLS
	mFirstEvent
	mTotal
	mDeliver
	mDeliverFromSend
	mGap
	mJitter
	mTTFB
	mSilence
	mDelay // the generator's own, not a latency of the target
	mOwn   // what of each delivery may be the generator's
	mCount
)

var metricNames = [mCount]string{"open", "open_service", "tcp_connect", "tls", "first_event", "total", "deliver", "deliver_from_send", "gap", "jitter", "ttfb_body", "byte_silence", "", ""}

// Recorder is one worker's share of the measuring. A worker takes its lock once for each read of a socket, not for each event; the board
// takes it ten times a second. All times are nanoseconds since the board's epoch.
type Recorder struct {
	mu    sync.Mutex
	board *Board

	hist     [mCount]*hdrhistogram.Histogram
	outside  int64 // values that no histogram could take
	slowest  int64 // the longest own delay of this second, ns; -1: none
	base     uint32
	shards   []shard        // ring over the numbers of events under way
	diff     map[uint32]int // at event number k, how many more (or fewer) streams are eligible than for k-1
	spare    []*offsets     // for reuse
	failures map[string]int // by cause
	ended    map[string]*ages
	n        counters
	joins    joins          // of streams that are no eligible receivers yet
	joined   int            // how many of joins are, for the event that is being concluded
	cache    *[cached]entry // of events that are observed
	delays   delays         // by time stamp
	stamp    *Stamp         // this recorder's, once events are compared no more
	stamps   int64          // events that it found one in
	bare     int64          // and none
	found    [findings]sightings
	utf8     int               // bytes that may be looked through until the next tick
	unread   int64             // and those that were not
	streams  int               // ever open
	stride   int               // one of so many is sampled
	pairs    [][]pair          // for reuse
	coalesce [maxBatch]int64   // reads by the number of events they brought a stream
	extent   [maxExtent]uint32 // events out of order by how many places late
	returns  returns
	slow     slowness
}

// What the counts above tell apart at most; more is counted as the last.
const (
	maxBatch  = 1024
	maxExtent = 4096
)

// shard is what this recorder knows of one event under way.
type shard struct {
	arrived  uint32 // eligible receivers that have it
	missed   uint32 // eligible receivers that closed without it
	over     bool   // the board has concluded it
	min, max int64  // offsets of arrival, ns
	at       *offsets
	pairs    []pair // of sampled streams, of some events
}

// counters are added up over recorders.
type counters struct {
	opened, failed, closed int
	churned                int // closed by us, to be replaced
	completed              int // ended as they were meant to
	received, bytes        int64
	unmarked, corrupt      int64 // events without a marker; markers that no event has
	early                  int64 // of streams that were not yet eligible when the event was due
	late                   int64 // after the deadline: counted as lost
	duplicated, reordered  int64
	closedBefore           int64 // eligible receivers that closed before the deadline without the event
	stragglers             int64 // arrivals after the event was thought complete
	twins, both            int64 // as an observer has them
}

func (c *counters) add(d counters) {
	c.opened += d.opened
	c.failed += d.failed
	c.closed += d.closed
	c.churned += d.churned
	c.completed += d.completed
	c.received += d.received
	c.bytes += d.bytes
	c.unmarked += d.unmarked
	c.corrupt += d.corrupt
	c.early += d.early
	c.late += d.late
	c.duplicated += d.duplicated
	c.reordered += d.reordered
	c.closedBefore += d.closedBefore
	c.stragglers += d.stragglers
	c.twins += d.twins
	c.both += d.both
}

func newRecorder(b *Board) *Recorder {
	r := &Recorder{board: b, slowest: -1, shards: make([]shard, len(b.slots)), diff: map[uint32]int{}, failures: map[string]int{}, ended: map[string]*ages{}, stride: b.stride}
	if b.observer != nil {
		r.cache = new([cached]entry)
	}
	r.utf8 = utf8Budget
	for i := range r.hist {
		r.hist[i] = newHist()
	}
	return r
}

// Lock begins a batch of calls of the other methods.
func (r *Recorder) Lock() { r.mu.Lock() }

// Unlock ends it.
func (r *Recorder) Unlock() { r.mu.Unlock() }

func (r *Recorder) record(m int, ns int64) { recordNS(r.hist[m], ns, &r.outside) }

func recordNS(h *hdrhistogram.Histogram, ns int64, outside *int64) {
	if h.RecordValue(ns/1000) != nil {
		*outside++
	}
}

// Opening holds the moments of one opening, ns since the epoch; Connected and TLS are 0 on a connection that was there before.
type Opening struct {
	Planned, Started, Dialled, Connected, TLS, Written, Head int64
}

// Opened notes that a stream has the head of a right answer.
func (r *Recorder) Opened(s *Stream, o Opening) {
	r.begin(s, o)
	if r.board.returns.on {
		s.more = &more{client: new(Client)}
	}
	r.n.opened++
	r.record(mOpen, o.Head-o.Planned)
	r.record(mOpenService, o.Head-o.Started)
}

// begin makes s an open stream, which will be an eligible receiver once it has settled.
func (r *Recorder) begin(s *Stream, o Opening) {
	// The answer may have come before the writer, put off by the scheduler, noted that the request was out.
	*s = Stream{opened: o.Head, last: min(o.Written, o.Head), flags: s.flags &^ (firstFound - 1)} // its head may have shown a finding already
	s.waited = uint32(min(max(0, o.Head-o.Written)/1000, math.MaxUint32))
	if r.board.observer != nil {
		r.join(s)
	} else {
		// Nor is a stream whose head was read very late a receiver of what has been concluded by then.
		s.first = max(r.board.firstFrom(o.Head+r.board.settle), r.base)
		r.diff[s.first]++
	}
	s.high = s.first
	if r.streams%r.stride == 0 {
		if s.more == nil {
			s.more = new(more)
		}
		s.more.probe = new(probe)
	}
	r.streams++
	r.board.opened()
	if o.Connected > 0 {
		r.record(mConnect, o.Connected-o.Dialled)
	}
	if o.TLS > 0 {
		r.record(mTLS, o.TLS-o.Connected)
	}
}

// Failed notes that a stream could not be opened.
func (r *Recorder) Failed(cause string) {
	r.n.failed++
	r.blame(cause)
}

// Closed notes that an open stream ended at time at, and not because the run did. It returns whose stream it was, where receivers reconnect.
func (r *Recorder) Closed(s *Stream, at int64, cause string) *Client {
	if s.opened == 0 {
		return nil
	}
	if s.flags&isSlow != 0 {
		r.slowClosed(s, at, cause)
		return nil
	}
	if !r.completed(s, at, cause) {
		r.n.closed++
		r.blame("closed: " + cause)
		r.age(cause, at-s.opened)
	}
	return r.over(s, at)
}

// over makes a stream one that is no more.
func (r *Recorder) over(s *Stream, at int64) *Client {
	b := r.board
	b.open.Add(-1)
	// It was no receiver of what was due after it closed or was not yet published, and is to be forgiven what was under way.
	var missed []uint32
	from, end := int64(0), uint32(0)
	if b.observer != nil {
		from, end = r.eligibleFrom(s), r.withdraw(s)
	} else {
		end = min(b.firstFrom(at+1), b.begun.Load())
		r.diff[max(s.first, end, r.base)]--
	}
	for q := max(s.first, r.base); q < end; q++ {
		// After its deadline an event is lost, whatever becomes of the stream.
		sh, intended := r.shard(q), b.slot(q).intended
		if !sh.over && !s.has(q) && intended >= from && at <= intended+b.deadline {
			sh.missed++
			if q >= b.warm {
				r.n.closedBefore++
				if s.client() != nil && b.publishes {
					missed = append(missed, q)
				}
			}
		}
	}
	c := s.client()
	if c != nil {
		r.leave(c, at, missed, end)
	}
	s.opened, s.more = 0, nil
	return c
}

// maxCauses bounds the table of causes: some of their text comes from the target.
const maxCauses = 64

func (r *Recorder) blame(cause string) {
	if _, ok := r.failures[cause]; !ok && len(r.failures) >= maxCauses {
		kind, _, _ := strings.Cut(cause, ":")
		cause = kind + ": other"
	}
	r.failures[cause]++
}

// Delay notes how much later than the kernel had them the worker saw the bytes of one read.
func (r *Recorder) Delay(d time.Duration) {
	r.slowest = max(r.slowest, int64(d))
	r.record(mDelay, int64(d))
}

// Bytes notes content of a stream, comments included, read at time at. Its events follow.
func (r *Recorder) Bytes(s *Stream, p []byte, at int64) {
	if s.flags&isSlow != 0 {
		r.slowBytes(s, len(p))
		return
	}
	r.n.bytes += int64(len(p))
	if s.probe() != nil {
		r.wellFormed(s, p, at)
	}
	heard := uint32(at >> tick)
	switch {
	case s.flags&hasBytes == 0:
		s.flags |= hasBytes
		r.record(mTTFB, max(0, at-s.last))
	case heard != s.heard: // the pieces of one read are no silence
		r.record(mSilence, max(0, int64(int32(heard-s.heard)))<<tick)
	}
	s.heard = heard
}

// Event notes one dispatched event of a stream, whose last byte arrived at time at, or up to blur ns before. The slices are not kept.
func (r *Recorder) Event(s *Stream, data, id, typ []byte, at, blur int64) {
	if tap := r.board.tap; tap != nil {
		tap(data, id, typ, at)
		return
	}
	if s.flags&isSlow != 0 {
		r.slow.received++
		return
	}
	r.n.received++
	gap := max(0, at-s.last) // the wall clock of the stamps may be slewed by a microsecond
	switch {
	case s.flags&hasEvent == 0:
		s.flags |= hasEvent
		if c := s.client(); c != nil && c.again {
			c.again = false
			r.returns.record(rFirstEvent, at-c.closed, &r.outside)
		} else {
			r.record(mFirstEvent, at-s.last)
		}
		r.batch(s, true)
	default:
		r.record(mGap, gap)
		r.batch(s, at != s.last)
		if p := s.probe(); p != nil {
			if j, ok := p.jitter(gap); ok {
				r.record(mJitter, j)
			}
		}
	}
	s.last = at
	r.conform(s, data, id, typ, at)
	if !r.board.publishes {
		if r.cache != nil {
			r.observe(s, data, id, typ, at)
		}
		return
	}
	// A marker may stand in any of the three, or in several: the first that has one counts. Several events' markers in one are a batch, each a delivery; the same
	// one again next to itself is the payload saying it twice.
	for _, field := range [...][]byte{data, id, typ} {
		found := false
		last := uint32(0)
		for rest := field; rest != nil; {
			var seq uint32
			var intact bool
			seq, intact, rest = r.board.marker.Find(rest)
			switch {
			case rest == nil:
			case !intact:
				if !found { // behind a good one it is an abbreviation of it, or a copy cut short
					r.n.corrupt++
				}
				return
			case !found || seq != last:
				found, last = true, seq
				r.arrived(s, seq, at, blur)
			}
		}
		if found {
			return
		}
	}
	r.n.unmarked++
}

// arrived notes that event seq has come to s.
func (r *Recorder) arrived(s *Stream, seq uint32, at, blur int64) {
	b := r.board
	if seq >= b.begun.Load() {
		r.n.corrupt++ // nothing of that number was published yet
		return
	}
	if s.more != nil && r.replayed(s, seq, at) {
		return
	}
	if seq < s.first {
		r.n.early++
		if seq >= r.base {
			b.slot(seq).seen.Store(true)
		}
		return
	}
	high := s.high
	what := s.mark(seq, r.base)
	if seq < b.warm {
		if seq >= r.base {
			b.slot(seq).seen.Store(true)
			r.shard(seq).arrived++
		}
		return
	}
	if r.gone(what, seq) {
		return
	}
	slot := b.slot(seq)
	off := at - slot.intended
	if off > b.deadline {
		r.n.late++
		return
	}
	// Two publishes under way at the same time have no order that a target could break: n after m is out of order only if n was acknowledged before m was sent.
	if what == reordered && r.acknowledgedBefore(slot, high-1) {
		if s.flags&(firstFound<<FoundOrder) == 0 {
			r.Found(s, FoundOrder, true, at, "events came out of order: this one after one that was published when its publish had been acknowledged", []byte(b.marker.Of(seq)), 0, 0)
		}
		r.n.reordered++
		r.extent[min(high-1-seq, maxExtent-1)]++
	}
	slot.seen.Store(true)
	r.record(mDeliver, off)
	if sent := slot.sent.Load(); sent > 0 {
		r.record(mDeliverFromSend, at-sent)
		blur += max(0, sent-slot.intended)
	}
	r.record(mOwn, min(blur, max(0, off)))
	r.take(s, seq, off)
}

// gone counts the arrival of a number that came before, or so late that it is not known whether.
func (r *Recorder) gone(what arrival, seq uint32) bool {
	switch {
	case what == duplicate:
		r.n.duplicated++
	case what == forgotten || seq < r.base:
		r.n.late++
	default:
		return false
	}
	return true
}

// take notes that an eligible receiver has event seq, which is under way, off after its time.
func (r *Recorder) take(s *Stream, seq uint32, off int64) {
	sh := r.shard(seq)
	if sh.over {
		r.n.stragglers++
		return
	}
	if s.probe() != nil && r.board.biased(seq) {
		sh.pairs = r.pair(sh.pairs, s.opened, off)
	}
	sh.arrived++
	if sh.arrived == 1 {
		sh.min, sh.max = off, off // one alone needs no histogram
		return
	}
	if sh.at == nil {
		sh.at = r.takeOffsets()
		sh.at.add(sh.min/1000, 1)
	}
	sh.min, sh.max = min(sh.min, off), max(sh.max, off)
	sh.at.add(off/1000, 1)
}

// acknowledgedBefore tells whether the publish in slot was done before event m was sent. m is under way or later than one that is.
func (r *Recorder) acknowledgedBefore(slot *slot, m uint32) bool {
	done := slot.done.Load()
	return done > 0 && done <= r.board.slot(m).sent.Load()
}

func (r *Recorder) shard(seq uint32) *shard { return &r.shards[int(seq)&(len(r.shards)-1)] }

func (r *Recorder) takeOffsets() *offsets {
	if n := len(r.spare); n > 0 {
		o := r.spare[n-1]
		r.spare = r.spare[:n-1]
		return o
	}
	return new(offsets)
}
