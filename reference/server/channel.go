package server

import (
	"container/list"
	"errors"
	"strconv"
	"sync"
	"time"

	"ssegauge/reference/sse"
)

// errTooManyChannels is returned where each channel has subscribers and there is no room for one more.
var errTooManyChannels = errors.New("too many channels")

// record is one event, encoded once and shared by all who read it.
type record struct {
	id    string
	raw   []byte
	chunk []byte // the chunk of HTTP/1.1 that holds raw, for engines that write it themselves
	once  sync.Once
	small []byte // raw as deflate blocks of their own, made when the first compressed stream asks for them
}

// channel is an append-only log with a cursor for each subscriber. Replay and live are the same code: a
// cursor that is behind. A slow reader costs no queue, and nothing ever waits for it: when the log has moved past its cursor, it has lost.
//
// Positions count from 0 and never repeat. The log holds the positions [first, next).
type channel struct {
	name   string
	epoch  string // makes ids of this channel unique over channels, evictions and restarts
	encode func(*sse.Message) ([]byte, error)

	keep, history, maxBytes int

	mu      sync.Mutex
	log     []*record
	first   uint64
	next    uint64
	bytes   int
	where   map[string]uint64 // id -> position, of what the log holds and of the last event that left it
	dropped string            // id of the event just before first: still a resume point
	wake    chan struct{}     // closed at the next publish
	taken   bool              // somebody waits on wake

	watchers map[Watcher]bool

	crowd crowded

	// guarded by the mutex of channels
	subscribers int
	idle        *list.Element
}

// publish appends an event and returns its id. m.ID, if it is empty, becomes the channel's own next id.
func (c *channel) publish(m sse.Message) (id string, err error) { return c.publishWrapped(m, nil) }

// publishWrapped is publish, where wrap, if it is not nil, adds to the event's wire form.
func (c *channel) publishWrapped(m sse.Message, wrap func([]byte) []byte) (id string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m.ID == "" {
		m.ID = c.epoch + "-" + strconv.FormatUint(c.next+1, 10)
	}
	raw, err := c.encode(&m)
	if err != nil {
		return "", err
	}
	if wrap != nil {
		raw = wrap(raw)
	}
	c.log = append(c.log, newRecord(m.ID, raw))
	c.where[m.ID] = c.next
	c.next++
	c.bytes += len(raw)
	c.trim()
	if c.taken {
		close(c.wake)
		c.wake, c.taken = make(chan struct{}), false
	}
	for w := range c.watchers {
		w.Wake()
	}
	return m.ID, nil
}

// trim drops what is beyond the bounds, but never the newest event: live readers still have to get it.
func (c *channel) trim() {
	n := 0
	for size := c.bytes; len(c.log)-n > 1 && (len(c.log)-n > c.keep || size > c.maxBytes); n++ {
		size -= len(c.log[n].raw)
	}
	if n == 0 {
		return
	}
	for i, r := range c.log[:n] {
		c.bytes -= len(r.raw)
		c.forget(c.dropped, c.first-1+uint64(i))
		c.dropped = r.id
	}
	clear(c.log[:n])
	c.log = c.log[n:] // append moves the rest to a new array when the old one is used up: amortised
	c.first += uint64(n)
}

// forget removes an id from the index unless a later event took the same id.
func (c *channel) forget(id string, at uint64) {
	if p, ok := c.where[id]; ok && p == at {
		delete(c.where, id)
	}
}

// live is the position of the next event to come.
func (c *channel) live() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.next
}

// oldest is the position of the first event that is replayed.
func (c *channel) oldest() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(c.first, c.next-min(c.next, uint64(c.history)))
}

// resume finds the position after the event id. ok is false where events between it and the returned position
// are lost, or where the id is not known; why says which.
func (c *channel) resume(id string) (from uint64, why string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	oldest := max(c.first, c.next-min(c.next, uint64(c.history)))
	at, known := c.where[id]
	switch {
	case !known && c.mine(id):
		return oldest, "expired", false
	case !known:
		return oldest, "unknown", false
	case at+1 < oldest:
		return oldest, "expired", false
	}
	return at + 1, "", true
}

// mine tells whether this channel has given out id.
func (c *channel) mine(id string) bool {
	n := len(c.epoch)
	if len(id) < n+2 || id[:n] != c.epoch || id[n] != '-' {
		return false
	}
	seq, err := strconv.ParseUint(id[n+1:], 10, 64)
	return err == nil && seq > 0 && seq <= c.next
}

// maxBatch bounds, in bytes, what one write carries, unless a single event is larger.
const maxBatch = 64 << 10

// read appends to dst what stands at cursor and after it, up to maxBatch bytes. Where there is nothing yet, wake is closed when there is.
// lost tells that the log no longer holds the event at cursor.
func (c *channel) read(cursor uint64, dst []*record) (recs []*record, wake <-chan struct{}, lost bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cursor < c.first {
		return dst, nil, true
	}
	if cursor == c.next {
		c.taken = true
		return dst, c.wake, false
	}
	size := 0
	for _, r := range c.log[cursor-c.first:] {
		if size += len(r.raw); size > maxBatch && len(dst) > 0 {
			break
		}
		dst = append(dst, r)
	}
	return dst, nil, false
}

// channels is the set of channels by name, made on demand and removed when nobody needs them.
type channels struct {
	cfg    Config
	encode func(*sse.Message) ([]byte, error)

	mu     *sync.Mutex
	byName map[string]*channel
	idle   *list.List // channels without subscribers, the longest idle one in front
	epoch  int64
}

func newChannels(cfg Config, encode func(*sse.Message) ([]byte, error)) channels {
	return channels{cfg: cfg, encode: encode, mu: new(sync.Mutex), byName: map[string]*channel{}, idle: list.New()}
}

// hold returns the channel of that name and keeps it until release.
func (cs *channels) hold(name string) (*channel, error) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	c := cs.byName[name]
	if c == nil {
		if len(cs.byName) >= cs.cfg.Channels {
			oldest := cs.idle.Front()
			if oldest == nil {
				return nil, errTooManyChannels
			}
			cs.remove(oldest.Value.(*channel))
		}
		// Microseconds since 1970 differ between processes and, by the increment, between channels of this one.
		cs.epoch = max(cs.epoch+1, time.Now().UnixMicro())
		c = &channel{
			name: name, epoch: strconv.FormatInt(cs.epoch, 36), encode: cs.encode,
			keep: max(cs.cfg.History, cs.cfg.Queue), history: cs.cfg.History, maxBytes: cs.cfg.HistoryBytes,
			where: map[string]uint64{}, wake: make(chan struct{}), crowd: crowded{inLine: make(chan struct{}, 1)},
		}
		cs.byName[name] = c
	}
	if c.idle != nil {
		cs.idle.Remove(c.idle)
		c.idle = nil
	}
	c.subscribers++
	return c, nil
}

// release gives back what hold returned.
func (cs *channels) release(c *channel) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if c.subscribers--; c.subscribers > 0 {
		return
	}
	c.mu.Lock()
	empty := c.next == 0 || c.history == 0
	c.mu.Unlock()
	c.idle = cs.idle.PushBack(c)
	if empty {
		cs.remove(c)
	}
}

func (cs *channels) remove(c *channel) {
	delete(cs.byName, c.name)
	cs.idle.Remove(c.idle)
	c.idle = nil
}

// ChannelStats is one channel in the answer of /stats.
type ChannelStats struct {
	Name        string `json:"name"`
	Subscribers int    `json:"subscribers"`
	Published   uint64 `json:"published"`
	Kept        int    `json:"kept"`
	KeptBytes   int    `json:"kept_bytes"`
}

func (cs *channels) snapshot() []ChannelStats {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	out := make([]ChannelStats, 0, len(cs.byName))
	for _, c := range cs.byName {
		c.mu.Lock()
		out = append(out, ChannelStats{c.name, c.subscribers, c.next, len(c.log), c.bytes})
		c.mu.Unlock()
	}
	return out
}
