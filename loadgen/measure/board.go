// Package measure turns what the engine sees into what a report says: a [Board] for the run, and a [Recorder] for each worker with histograms and counters of
// its own, merged at ticks. Published events are tied to arrivals by a [Marker]; for each event under way the board knows how many streams are eligible
// receivers (open long enough before it was due, and until its deadline) and the recorders how many have it, so loss, duplicates and reordering are exact
// counts, and the completion times of an event are order statistics over its receivers, without a word of memory for each (event, receiver) pair.
//
// It may import reports/result and the HDR histogram. To add a latency: one constant and name in recorder.go, and the call that records it.
package measure

import (
	"hash/maphash"
	"math"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"ssegauge/reports/result"
)

// Events says when events are due: loadgen/schedule has such types.
type Events interface {
	Len() int
	At(n int) time.Duration
	Next(t time.Duration) int
}

// Config is what a board must know before the run.
type Config struct {
	Epoch    time.Time     // time 0 of every stamp; its monotonic reading counts
	Workers  int           // number of recorders, at least 1
	Streams  int           // planned; 0: not known. Of many, some are sampled for what takes memory
	Events   Events        // due times from Start on; nil: nothing is published
	Start    time.Duration // since Epoch
	Warm     time.Duration // events due before this (since Start) are the warm-up: counted nowhere
	Settle   time.Duration // a stream is eligible for what is due this long after its head, or later
	Deadline time.Duration // what has not arrived this long after it was due is lost
	Marker   Marker
	Finite   bool // streams are meant to end by themselves
	// Reconnect: streams that end may come back, so that each belongs to a Client.
	Reconnect bool
	// Tap, if not nil, gets each event and when it came, and nothing is recorded of it: for a canary.
	Tap func(data, id, typ []byte, at int64)

	// Observe compares what receivers get with each other, where nothing is published: Settle and Deadline count from an event's first sight. Of finite streams, which are
	// answers to one client each, it looks at time stamps alone.
	Observe   bool
	Stamp     *Stamp // finds the time at which an event was sent; nil: events carry none
	SameClock bool   // that time is by this machine's clock
}

// Board is the state of one run that all workers share.
type Board struct {
	epoch     time.Time
	publishes bool
	observer  *observer // nil: nothing is compared
	sameClock bool
	hashes    maphash.Seed
	epochWall int64 // the epoch in ns since 1970
	finite    bool
	events    Events
	start     int64
	settle    int64
	deadline  int64
	warm      uint32 // number of warm-up events
	marker    Marker
	tap       func(data, id, typ []byte, at int64)
	workers   []*Recorder
	stride    int           // one stream of so many is sampled
	biasEvery int           // and one event of so many, for its order of arrival
	slots     []slot        // ring over the numbers of events under way
	begun     atomic.Uint32 // events whose publishing has begun: numbers below it
	open      atomic.Int64  // streams
	peak      atomic.Int64  // most of them at one time

	mu          sync.Mutex // guards what follows; taken before the recorders' locks
	base        uint32     // the first event that is not concluded
	eligible    int        // eligible receivers of event base-1
	total       totals
	deliver     *hdrhistogram.Histogram            // whole seconds that are over
	extra       map[string]*hdrhistogram.Histogram // latencies that no worker sees
	outside     int64
	own         *result.Quantiles // of what may be the generator's in each delivery; set by Fill
	merged      *offsets
	kept        kept // concluded events after the warm-up
	openLag     lag
	publishLag  lag
	connections int
	bias        bias
	seconds     seconds
	returns     settled
}

// slot is one event under way, written by the publisher and read by the workers.
type slot struct {
	intended   int64        // written before begun passes its number
	sent, done atomic.Int64 // 0 until known
	seen       atomic.Bool  // some receiver has it
	outcome    Outcome      // board's lock
	over       bool         // concluded; board's lock
}

// Outcome is how the publishing of one event went.
type Outcome int32

// The outcomes. What was refused or failed has no receivers, whatever arrives.
const (
	Pending Outcome = iota
	Published
	Refused
	Failed
)

// totals add up concluded events.
type totals struct {
	published, eligible, lost int64 // eligible: (event, receiver) pairs
	unmatched                 int64 // published, had eligible receivers, seen by none
	warm, warmUnmatched       int64
	never                     map[string]int64 // by completion time: events for which that share was never reached
	refused, failed           int64
	undecided                 int64 // under way when the run was cut short
}

// NewBoard makes a board and its recorders.
func NewBoard(c Config) *Board {
	b := &Board{
		epoch: c.Epoch, publishes: c.Events != nil && c.Events.Len() > 0, events: c.Events,
		start: int64(c.Start), settle: int64(c.Settle), deadline: int64(c.Deadline), marker: c.Marker, tap: c.Tap, finite: c.Finite,
		extra: map[string]*hdrhistogram.Histogram{}, merged: new(offsets), deliver: newHist(),
	}
	b.returns.on = c.Reconnect
	ring := 1
	if b.publishes {
		b.warm = uint32(c.Events.Next(c.Warm))
		// All that can be under way at one time: what is due within the deadline, the delay of a conclusion and one tick.
		span := c.Deadline + conclusionDelay + time.Second
		for _, from := range []time.Duration{0, c.Warm} {
			ring = max(ring, c.Events.Next(from+span)-c.Events.Next(from))
		}
		// What comes by chance comes closer together at times: by 8 standard deviations, if it does so as a Poisson process.
		ring = 1 << bits.Len(uint(ring+64+8*int(math.Sqrt(float64(ring)))))
	}
	if c.Observe && !b.publishes {
		b.observer, ring = newObserver(c.Stamp), observedRing
		if c.Finite {
			b.observer.apart = true
			b.observer.full.Store(true)
		}
		b.sameClock, b.epochWall = c.SameClock, c.Epoch.UnixNano()
	}
	b.hashes = maphash.MakeSeed()
	b.slots = make([]slot, ring)
	b.stride, b.biasEvery = max(1, (c.Streams+maxProbes-1)/maxProbes), max(1, ring/maxBiased)
	for range max(1, c.Workers) {
		b.workers = append(b.workers, newRecorder(b))
	}
	b.seconds.spare = newHist()
	return b
}

// Recorder is worker i's.
func (b *Board) Recorder(i int) *Recorder { return b.workers[i%len(b.workers)] }

// Workers is the number of recorders.
func (b *Board) Workers() int { return len(b.workers) }

// Now is the time since the epoch, in ns.
func (b *Board) Now() int64 { return int64(time.Since(b.epoch)) }

// Since turns a time into ns since the epoch.
func (b *Board) Since(t time.Time) int64 { return int64(t.Sub(b.epoch)) }

func (b *Board) slot(seq uint32) *slot { return &b.slots[int(seq)&(len(b.slots)-1)] }

// firstFrom is the number of the first event that is due at ns or later.
func (b *Board) firstFrom(ns int64) uint32 {
	if !b.publishes {
		return 0
	}
	return uint32(b.events.Next(time.Duration(ns - b.start)))
}

// Begin starts event seq, the next one: it returns its marker and its intended time. False if too many are under way: then the caller waits for a tick.
// Only one goroutine may call it.
func (b *Board) Begin(seq uint32) (marker string, intended int64, ok bool) {
	b.mu.Lock()
	full := int(seq-b.base) >= len(b.slots)
	b.mu.Unlock()
	if full {
		return "", 0, false
	}
	s := b.slot(seq)
	s.intended = b.start + int64(b.events.At(int(seq)))
	b.begun.Store(seq + 1)
	return b.marker.Of(seq), s.intended, true
}

// Sent notes when the publish of seq was handed to the network.
func (b *Board) Sent(seq uint32, at int64) {
	intended := b.start + int64(b.events.At(int(seq)))
	b.mu.Lock()
	defer b.mu.Unlock()
	if seq >= b.base { // else its deadline passed long ago, and its place may be another's
		b.slot(seq).sent.Store(at)
	}
	if seq >= b.warm {
		b.publishLag.note(at - intended)
		b.record("sched_lag", at-intended)
	}
}

// Done notes how the publish of seq ended; cause says why it was not [Published]; "" is counted among no failures.
func (b *Board) Done(seq uint32, at int64, o Outcome, cause string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if o != Published && cause != "" {
		b.workers[0].Lock()
		b.workers[0].blame("publish: " + cause)
		b.workers[0].Unlock()
	}
	if seq < b.base {
		return // its deadline passed long ago
	}
	s := b.slot(seq)
	if o == Published {
		s.done.Store(at)
		if seq >= b.warm {
			b.record("publish_ack", at-s.sent.Load())
		}
	}
	s.outcome = o
}

// Opening notes that a stream which was planned for one time was begun at another. burst: the plan wants all at once, so that none can be late.
func (b *Board) Opening(planned, started int64, burst bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !burst {
		b.openLag.note(started - planned)
		b.record("sched_lag", started-planned)
	}
}

// opened counts one more open stream.
func (b *Board) opened() {
	open := b.open.Add(1)
	for peak := b.peak.Load(); open > peak && !b.peak.CompareAndSwap(peak, open); peak = b.peak.Load() {
	}
}

// Open is the number of streams that are open.
func (b *Board) Open() int { return int(b.open.Load()) }

// Resolved notes how long a name took to resolve.
func (b *Board) Resolved(d time.Duration) {
	b.mu.Lock()
	b.record("dns", int64(d))
	b.mu.Unlock()
}

// Received is the number of events that were received by now.
func (b *Board) Received() (n int64) {
	for _, r := range b.workers {
		r.Lock()
		n += r.n.received
		r.Unlock()
	}
	return n
}

// Connection notes a connection that was made.
func (b *Board) Connection() {
	b.mu.Lock()
	b.connections++
	b.mu.Unlock()
}

func (b *Board) record(name string, ns int64) {
	h := b.extra[name]
	if h == nil {
		h = newHist()
		b.extra[name] = h
	}
	recordNS(h, ns, &b.outside)
}

// lateAfter is how far behind its intended time a thing may begin without being late: sleeping is exact to a millisecond or so, and what stays below
// this is in the latencies anyway, since they count from the intended time.
const lateAfter = int64(10 * time.Millisecond)

type lag struct{ n, late int64 }

func (l *lag) note(ns int64) {
	l.n++
	if ns > lateAfter {
		l.late++
	}
}

func (l *lag) share() float64 {
	if l.n == 0 {
		return 0
	}
	return float64(l.late) / float64(l.n)
}
