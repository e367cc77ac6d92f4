package raw

import (
	"container/heap"
	"math"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/http2/hpack"

	"ssegauge/reference/server"
)

const (
	scratchSize = 256 << 10             // a write carries no more than this and one event
	readSize    = 64 << 10              // a read brings no more than this
	grain       = 10 * time.Millisecond // how exact the clocks of connections are
)

// shard does all the work for its connections, under its mutex.
type shard struct {
	eng  *engine
	poll poller

	mu       sync.Mutex
	now      time.Time
	begun    time.Time // where ms counts from
	conns    []*conn   // by slot; nil: free
	due      []int64   // by slot: when, in ms, a clock of the connection may have run out; never: notDue
	free     []int32
	live     int
	swept    int64 // ms of the last look at due
	soonest  int64 // no due is sooner
	stopping bool
	ended    bool
	drained  bool
	empty    chan struct{} // closed when it is stopping and has no connection

	subs   map[server.Feed]*sub
	timers subHeap // of feeds by the clock

	newsMu sync.Mutex
	news   []*sub // that have events nobody has been sent
	told   bool   // the loop knows
	moved  []*sub // scratch of spread
	turn   uint32 // counts its rounds

	// Scratch, for one piece of work at a time.
	scratch []byte
	spare   []byte // lent as out to the connection at hand
	entries []entry
	answer  answer
	enc     *hpack.Encoder
	encoded []byte
	plain   *hpack.Decoder // of connections without a dynamic table
	blank   memo
	head    headMemo
	date    date
	tally   tally
}

const notDue = math.MaxInt64

// tally is what the server is told after a piece of work.
type tally struct{ delivered, bytes, beats, cut uint64 }

func newShard(e *engine, sockets bool) (*shard, error) {
	sh := &shard{
		eng: e, begun: time.Now().Add(-time.Second), soonest: notDue, empty: make(chan struct{}), subs: map[server.Feed]*sub{},
		scratch: make([]byte, 0, scratchSize+maxHead),
	}
	sh.now = time.Now()
	sh.enc = hpack.NewEncoder(writerFunc(func(p []byte) (int, error) {
		sh.encoded = append(sh.encoded, p...)
		return len(p), nil
	}))
	sh.enc.SetMaxDynamicTableSize(0)
	_ = sh.enc.WriteField(hpack.HeaderField{Name: ":status", Value: "200"}) // takes with it the change of the table's size
	sh.plain = plainDecoder()
	return sh, sh.poll.open(sockets)
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// ms is the shard's clock.
func (sh *shard) ms() int64 { return int64(sh.now.Sub(sh.begun) / time.Millisecond) }

// sub is what a shard knows of a feed that some of its connections carry.
type sub struct {
	sh     *shard
	feed   server.Feed
	next   uint64  // the position after the last event we know of
	conns  []*conn // that carry it, each once
	batch  []server.Record
	from   uint64    // position of the first of batch
	due    time.Time // of a feed by the clock: when there is news
	at     int       // in the heap; -1: not there
	queued bool      // in news
}

// Wake puts the sub among the news of its shard.
func (s *sub) Wake() {
	sh := s.sh
	sh.newsMu.Lock()
	if !s.queued {
		s.queued = true
		sh.news = append(sh.news, s)
	}
	tell := !sh.told
	sh.told = true
	sh.newsMu.Unlock()
	if tell {
		sh.poll.wake()
	}
}

// read is the event at a position before next.
func (s *sub) read(cursor uint64) (r server.Record, lost bool) {
	if cursor-s.from >= uint64(len(s.batch)) { // below from it wraps
		clear(s.batch)
		s.batch, lost = s.feed.Read(cursor, s.next, s.batch[:0])
		s.from = cursor
		if lost || len(s.batch) == 0 {
			s.batch = s.batch[:0]
			return r, true
		}
	}
	return s.batch[cursor-s.from], false
}

// subscribe finds the sub of a feed, and makes sure that it knows of the event before cursor.
func (sh *shard) subscribe(feed server.Feed, cursor uint64) *sub {
	s := sh.subs[feed]
	if s == nil {
		s = &sub{sh: sh, feed: feed, at: -1}
		sh.subs[feed] = s
		feed.Watch(s)
	}
	if next := max(feed.Edge(sh.now), cursor); next > s.next {
		s.next = next
		if len(s.conns) > 0 {
			s.Wake() // the others have not been sent it
		}
	}
	sh.schedule(s)
	return s
}

// schedule sets when a feed by the clock has news next.
func (sh *shard) schedule(s *sub) {
	if s.due = s.feed.Due(s.next); s.due.IsZero() || s.next >= s.feed.End() {
		if s.at >= 0 {
			heap.Remove(&sh.timers, s.at)
		}
		return
	}
	if s.at < 0 {
		heap.Push(&sh.timers, s)
	} else {
		heap.Fix(&sh.timers, s.at)
	}
	sh.poll.sooner(s.due)
}

func (sh *shard) unsubscribe(s *sub) {
	s.feed.Unwatch(s)
	delete(sh.subs, s.feed)
	if s.at >= 0 {
		heap.Remove(&sh.timers, s.at)
	}
}

// spread sends what is new: all of it to a connection at once.
func (sh *shard) spread() {
	sh.newsMu.Lock()
	moved := append(sh.moved[:0], sh.news...)
	clear(sh.news)
	sh.news, sh.told = sh.news[:0], false
	for _, s := range moved {
		s.queued = false
	}
	sh.newsMu.Unlock()
	for _, s := range moved {
		s.advance()
	}
	for len(sh.timers) > 0 && !sh.timers[0].due.After(sh.now) {
		s := sh.timers[0]
		moved = append(moved, s)
		s.advance()
	}
	sh.turn++
	for _, s := range moved {
		s.fan()
	}
	clear(moved)
	sh.moved = moved
}

// advance finds out how far the feed has come.
func (s *sub) advance() {
	sh := s.sh
	if len(s.conns) == 0 {
		return // the last connection has left since the news came
	}
	s.next = max(s.next, s.feed.Edge(sh.now))
	if sh.schedule(s); s.at >= 0 && !s.due.After(sh.now) { // a clock that does not agree with itself
		s.due = sh.now.Add(time.Millisecond)
		heap.Fix(&sh.timers, s.at)
	}
}

// fan sends what is new to all connections that carry the feed, but to those that have had their turn for another feed.
func (s *sub) fan() {
	for i := 0; i < len(s.conns); {
		c := s.conns[i]
		if c.turned != s.sh.turn {
			c.turned = s.sh.turn
			c.pump()
		}
		if i < len(s.conns) && s.conns[i] == c { // else it has left, and the last one is in its place
			i++
		}
	}
	clear(s.batch)
	s.batch = s.batch[:0]
}

// settle is called after each piece of work.
func (sh *shard) settle() {
	if t := sh.tally; t != (tally{}) {
		sh.eng.srv.Count(t.delivered, t.bytes, t.beats, t.cut)
		sh.tally = tally{}
	}
	if sh.stopping && sh.live == 0 && !sh.drained {
		sh.drained = true
		close(sh.empty)
	}
}

// round is the work of the loop: news, then the clocks of connections. It returns when it is to be done again at the latest; zero: when woken.
func (sh *shard) round() (next time.Time) {
	sh.now = time.Now()
	sh.spread()
	sh.sweep()
	sh.settle()
	if sh.soonest != notDue {
		next = sh.begun.Add(time.Duration(max(sh.soonest, sh.swept+grain.Milliseconds())) * time.Millisecond)
	}
	if len(sh.timers) > 0 && (next.IsZero() || sh.timers[0].due.Before(next)) {
		next = sh.timers[0].due
	}
	return next
}

// sweep looks after connections whose clocks have run out.
func (sh *shard) sweep() {
	now := sh.ms()
	if now < sh.soonest || now-sh.swept < grain.Milliseconds() {
		return
	}
	sh.swept, sh.soonest = now, notDue
	for i, at := range sh.due {
		if at <= now {
			c := sh.conns[i]
			c.expire(now)
			at = sh.due[i]
		}
		sh.soonest = min(sh.soonest, at)
	}
}

// set tells when the clocks of c have to be looked at.
func (sh *shard) set(c *conn, at int64) {
	sh.due[c.slot] = at
	if at < sh.soonest {
		sh.soonest = at
		sh.poll.sooner(sh.begun.Add(time.Duration(at) * time.Millisecond))
	}
}

// add takes in a connection.
func (sh *shard) add(c *conn) {
	c.sh = sh
	sh.now = time.Now()
	if n := len(sh.free); n > 0 {
		c.slot = sh.free[n-1]
		sh.free = sh.free[:n-1]
		sh.conns[c.slot] = c
	} else {
		c.slot = int32(len(sh.conns))
		sh.conns = append(sh.conns, c)
		sh.due = append(sh.due, notDue)
	}
	sh.live++
	sh.eng.srv.Connected(1)
	c.fresh = true
	c.heard = sh.ms()
	c.since = c.heard
	c.clock()
}

// remove forgets a connection that was closed.
func (sh *shard) remove(c *conn) {
	sh.conns[c.slot], sh.due[c.slot] = nil, notDue
	sh.free = append(sh.free, c.slot)
	sh.live--
	sh.eng.srv.Connected(-1)
}

// stop begins the end: every stream ends between two events.
func (sh *shard) stop() {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.now, sh.stopping = time.Now(), true
	for _, c := range slices.Clone(sh.conns) {
		if c != nil {
			c.stop()
		}
	}
	sh.settle()
}

// end cuts what is left and ends the loop.
func (sh *shard) end() {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.stopping, sh.ended = true, true
	for _, c := range sh.conns {
		if c != nil {
			c.close()
		}
	}
	sh.settle()
	sh.poll.wake()
}

// subHeap orders the feeds by the clock by when they have news.
type subHeap []*sub

func (h subHeap) Len() int           { return len(h) }
func (h subHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h subHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}
func (h *subHeap) Push(x any) { s := x.(*sub); s.at = len(*h); *h = append(*h, s) }
func (h *subHeap) Pop() any {
	n := len(*h) - 1
	s := (*h)[n]
	(*h)[n] = nil
	s.at = -1
	*h = (*h)[:n]
	return s
}
