package server

import (
	"bytes"
	"cmp"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Delivering are the hooks of a fault in what streams deliver, and when.
type Delivering struct {
	Hold       int           // bytes that a buffer gathers before any of them leave
	Delay      time.Duration // events leave this much later
	BeatEvery  time.Duration // heartbeats come after this silence; negative: never
	Beat       string        // the heartbeat
	DeafAfter  time.Duration // nothing is sent any more on a stream of this age
	OnlyNewest bool          // events go to the newest subscriber alone
	ToOne      bool          // each event goes to one subscriber
	Lossy      bool          // of many events in quick succession some are lost
	InLine     bool          // no stream is written to while another one's client does not read
	Keep       bool          // streams are counted after their clients left
	Deathless  bool          // streams go on when the server stops
	Endless    bool          // who comes back to a feed that is over gets an empty stream
	Skips      time.Duration // a stream whose client takes longer for one write goes on with the newest event, without ids
	Seats      int           // streams that are open at once; more are refused
	Only1      bool          // HTTP/2 is not offered
}

// liveFaults break the rules of delivery, of how streams end, and of how they share the server.
var liveFaults = []Fault{
	{
		ID: "live/unbuffered", Text: "a buffer of 8 KiB holds events back until it is full",
		Delivering: Delivering{Hold: 8 << 10},
	},
	{
		ID: "live/delay", Text: "events leave 150 ms after they were published",
		Delivering: Delivering{Delay: 150 * time.Millisecond},
	},
	{
		ID: "live/heartbeat", Text: "no heartbeats",
		Delivering: Delivering{BeatEvery: -1},
	},
	{
		ID: "live/heartbeat/form", Text: "heartbeats are the bare word ping",
		Delivering: Delivering{BeatEvery: 3 * time.Second, Beat: "ping\n\n"},
	},
	{
		ID: "live/heartbeat/framing", Text: "heartbeats are comments without a blank line",
		Delivering: Delivering{BeatEvery: 3 * time.Second, Beat: ": heartbeat\n"},
	},
	{
		ID: "live/no-deadline", Text: "after 31 s a stream stays open and says nothing more",
		Delivering: Delivering{DeafAfter: 31 * time.Second},
	},
	{
		ID: "live/second-connection", Text: "only the newest subscriber of a channel gets events",
		Delivering: Delivering{OnlyNewest: true},
	},
	{
		ID: "delivery/burst", Text: "of many events in quick succession each tenth is lost",
		Delivering: Delivering{Lossy: true},
	},
	{
		ID: "delivery/every-subscriber", Text: "the subscribers of a channel share its events",
		Delivering: Delivering{ToOne: true},
	},
	{
		ID: "stop/finite-loop", Text: "streams send the same two events and end",
		First: func(block []byte) []byte {
			return append(block, "id: 1\ndata: one\n\nid: 2\ndata: two\n\n"...)
		},
		Lifetime: 6 * time.Second,
	},
	{
		ID: "lifecycle/persists", Text: "streams end after 2 s",
		Lifetime: 2 * time.Second,
	},
	{
		ID: "lifecycle/client-close", Text: "streams are counted after their clients left",
		Delivering: Delivering{Keep: true},
	},
	{
		ID: "lifecycle/shutdown", Text: "streams go on when the server stops",
		Delivering: Delivering{Deathless: true},
	},
	{
		ID: "lifecycle/end-boundary", Text: "a stream that the server ends, ends within an event",
		Last: "data: cut off\n",
	},
	{
		ID: "stop/204", Text: "who comes back to a feed that is over gets an empty stream",
		Delivering: Delivering{Endless: true},
	},
	{
		ID: "load/isolation", Text: "a client that does not read holds up all the others",
		Delivering: Delivering{InLine: true},
	},
	{
		ID: "load/slow-policy", Text: "for a client that does not read for 300 ms what waits is left out, and it gets no ids any more",
		Delivering: Delivering{Skips: 300 * time.Millisecond},
	},
	{
		ID: "load/many", Text: "the seventh stream at once is refused",
		Delivering: Delivering{Seats: 6},
	},
	{
		ID: "load/six", Text: "HTTP/2 is not offered",
		Delivering: Delivering{Only1: true},
	},
}

// faulted is what a fault of delivery keeps of a stream.
type faulted struct {
	edge   uint64 // what is before it is replayed, and no business of a fault in delivery
	opened time.Time
	begun  bool   // the first block has left
	held   []byte // by Hold, or by Config.Buffer
	streak int
	before time.Time // the last event
	behind bool      // what waits is to be left out
	bare   bool      // something was
}

// crowded is what a fault of delivery keeps of a channel: the requests for streams, in the order in which they came.
type crowded struct {
	mu     sync.Mutex
	seats  []*http.Request
	inLine chan struct{} // a token for who writes
}

func (c *channel) sit(r *http.Request) {
	c.crowd.mu.Lock()
	defer c.crowd.mu.Unlock()
	c.crowd.seats = append(c.crowd.seats, r)
}

func (c *channel) rise(r *http.Request) {
	c.crowd.mu.Lock()
	defer c.crowd.mu.Unlock()
	c.crowd.seats = slices.DeleteFunc(c.crowd.seats, func(q *http.Request) bool { return q == r })
}

// deliver sends the records of a channel that stand right before cursor, as the fault lets it.
func (c *channel) deliver(st *stream, cursor uint64, recs []*record) bool {
	f := &st.srv.fault.Delivering
	if *f == (Delivering{}) {
		return st.events(recs)
	}
	if f.Delay > 0 && !st.wait(nil, time.After(f.Delay)) {
		return false
	}
	var kept []*record
	for i, r := range recs {
		if at := cursor - uint64(len(recs)-i); at < st.fault.edge || c.hears(st, at) {
			kept = append(kept, r)
		}
	}
	if len(kept) == 0 {
		return true
	}
	if st.fault.bare {
		kept = anonymous(kept)
	}
	if f.InLine {
		c.crowd.inLine <- struct{}{}
		defer func() { <-c.crowd.inLine }()
	}
	return st.events(kept)
}

// anonymous gives events without their ids.
func anonymous(recs []*record) []*record {
	bare := make([]*record, len(recs))
	for i, r := range recs {
		raw, found := bytes.CutPrefix(r.raw, []byte("id: "+r.id+"\n"))
		if !found {
			raw = bytes.Replace(r.raw, []byte("\nid: "+r.id+"\n"), []byte("\n"), 1)
		}
		bare[i] = &record{raw: raw}
	}
	return bare
}

// full tells whether there is no seat for one more stream, which has been counted in already.
func (s *Server) full() bool { return s.fault.Seats > 0 && s.limits.streams() > s.fault.Seats }

// hears tells whether a subscriber gets the event at a position.
func (c *channel) hears(st *stream, at uint64) bool {
	f := &st.srv.fault.Delivering
	switch {
	case f.OnlyNewest, f.ToOne:
		c.crowd.mu.Lock()
		defer c.crowd.mu.Unlock()
		n := len(c.crowd.seats)
		turn := n - 1
		if f.ToOne {
			turn = int(at % uint64(n))
		}
		return c.crowd.seats[turn] == st.r
	case f.Lossy:
		now := time.Now()
		if st.fault.streak++; now.Sub(st.fault.before) > 100*time.Millisecond {
			st.fault.streak = 0
		}
		st.fault.before = now
		return st.fault.streak < 60 || st.fault.streak%10 != 0
	}
	return true
}

// hold gives what may leave of p.
func (st *stream) hold(p []byte) []byte {
	f := &st.srv.fault.Delivering
	size := cmp.Or(f.Hold, st.srv.cfg.Buffer)
	switch {
	case st.dead, f.DeafAfter > 0 && time.Since(st.fault.opened) > f.DeafAfter:
		return nil
	case size > 0 && (st.fault.begun || f.Hold == 0):
		st.fault.held = append(st.fault.held, p...)
		n := len(st.fault.held) / size * size
		p = st.fault.held[:n:n]
		st.fault.held = st.fault.held[n:]
	}
	st.fault.begun = true
	return p
}
