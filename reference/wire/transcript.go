package wire

import (
	"slices"
	"sort"
	"sync"
	"time"
)

// Transcript is the record of one connection: every byte with its arrival time, and what the cores made of it. Over TLS the bytes
// are those within it. Safe for concurrent use through its methods, also while the connection goes on; the slices it returns are
// copies of the headers, sharing bytes that never change.
type Transcript struct {
	mu        sync.Mutex
	start     time.Time
	addr      string // set before anyone else has it
	scheme    string
	room      int // bytes that may still be kept, bookkeeping included
	block     []byte
	chunks    []Chunk
	entries   []Entry
	bodies    map[uint32][]int // Body entries of each stream, in order
	faults    []Fault
	lost      int // faults beyond maxFaults
	truncated bool
	in, out   int64
	closed    string
	closedAt  time.Duration
	timing    Timing // of connecting
	proto     Proto
	failed    *Error // why connecting failed
	asked     []Ask

	order       func(sent bool) int64 // set before anyone else has it
	closedOrder int64
}

const (
	recordBlock = 16 << 10
	recordFirst = 1 << 10
	chunkCost   = 64  // what the record of a read costs beside its bytes
	entryCost   = 160 // what an entry costs
	fieldCost   = 32  // what a field of a trailer costs beside its bytes
	maxFaults   = 1000
)

// Chunk is one read or write.
type Chunk struct {
	At     time.Duration // since the connection's Timing.Start
	Sent   bool
	Offset int64 // in the bytes of that direction
	Data   []byte
	// Order is what [Dialer.Order] said as the read returned: how it stands to what happened on other connections, which times that lie close together do not tell.
	Order int64
}

// Entry is one meaning with its place and time: heads, body pieces (where content lies in the received bytes), trailers, frames, faults
// and ends.
type Entry struct {
	At     time.Duration
	Kind   Kind
	Stream uint32 // HTTP/2: the stream; HTTP/1.1: the number of the exchange on its connection, from 0
	Code   uint32
	Offset int64 // in the received bytes
	Length int
	// Content is the offset of a Body entry in the stream's content (transfer coding removed).
	Content int64
	Data    []byte // of Body and GoAway entries
	Head    *Head
	Trailer Header
	Fault   *Fault
}

func newTranscript(start time.Time, most int) *Transcript {
	return &Transcript{start: start, room: most, bodies: make(map[uint32][]int)}
}

// Start is the moment that the times of the transcript count from.
func (t *Transcript) Start() time.Time { return t.start }

// Addr is the host:port that was dialled, and the scheme of the URL it was for.
func (t *Transcript) Addr() (addr, scheme string) { return t.addr, t.scheme }

// chunk keeps p, one read or write.
func (t *Transcript) chunk(at time.Time, sent bool, p []byte) {
	if t == nil || len(p) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	c := Chunk{At: at.Sub(t.start), Sent: sent, Offset: t.in}
	if sent {
		c.Offset = t.out
		t.out += int64(len(p))
	} else {
		c.Order = t.orderOf(false)
		t.in += int64(len(p))
	}
	if n := max(0, t.room-chunkCost); len(p) > n {
		t.truncated = true
		p = p[:n]
	}
	if len(p) == 0 || t.truncated && t.room <= 0 {
		t.room = 0
		return
	}
	t.room -= len(p) + chunkCost
	if t.truncated {
		t.room = 0
	}
	if cap(t.block)-len(t.block) < len(p) {
		t.block = make([]byte, 0, max(min(recordBlock, int(t.in+t.out)), recordFirst, len(p))) // most connections carry little
	}
	from := len(t.block)
	t.block = append(t.block, p...)
	c.Data = t.block[from:len(t.block):len(t.block)]
	t.chunks = append(t.chunks, c)
}

// item keeps what a core found out. length is how many received bytes it covers.
func (t *Transcript) item(at time.Time, stream uint32, it *Item, length int, content int64) {
	if t == nil || it.Kind == None {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if it.Kind == Broken {
		if len(t.faults) >= maxFaults {
			t.lost++
			return
		}
		t.faults = append(t.faults, it.Fault)
	}
	cost := entryCost
	if it.Head != nil {
		cost += int(it.Head.End - it.Head.Offset)
	}
	for _, f := range it.Trailer {
		cost += len(f.Name) + len(f.Value) + fieldCost
	}
	if t.room < cost && it.Kind != Broken { // faults have their own bound
		t.truncated, t.room = true, 0
		return
	}
	t.room -= cost
	e := Entry{
		At: at.Sub(t.start), Kind: it.Kind, Stream: stream, Code: it.Code, Offset: it.Offset, Length: length,
		Content: content, Head: it.Head, Trailer: it.Trailer,
	}
	switch it.Kind {
	case Broken:
		f := it.Fault
		e.Fault, e.Length = &f, f.Length
	case Body:
		e.Data = t.kept(it.Offset, it.Data)
		t.bodies[stream] = append(t.bodies[stream], len(t.entries))
	case GoAway:
		e.Data = t.kept(it.Offset+goAwayData, it.Data)
	}
	t.entries = append(t.entries, e)
}

// goAwayData is where the debug data of a GOAWAY stands in it.
const goAwayData = 9 + 8

// kept finds the bytes of p, which stand at off, in the chunk that holds them; those of which a read cut off a part are copied.
func (t *Transcript) kept(off int64, p []byte) []byte {
	for i := len(t.chunks) - 1; i >= 0; i-- {
		if c := &t.chunks[i]; !c.Sent && c.Offset <= off {
			if from := off - c.Offset; from+int64(len(p)) <= int64(len(c.Data)) {
				return c.Data[from : from+int64(len(p)) : from+int64(len(p))]
			}
			break
		}
	}
	t.room -= len(p)
	return slices.Clone(p)
}

// end notes how the peer closed; the first word counts.
func (t *Transcript) end(at time.Time, how string) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed == "" {
		t.closed, t.closedAt, t.closedOrder = how, at.Sub(t.start), t.orderOf(false)
	}
}

func (t *Transcript) orderOf(sent bool) int64 {
	if t.order == nil {
		return 0
	}
	return t.order(sent)
}

// Chunks returns the raw bytes both ways in order of time.
func (t *Transcript) Chunks() []Chunk {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.chunks)
}

// Entries returns what was understood, in order.
func (t *Transcript) Entries() []Entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.entries)
}

// Content returns the content of a stream so far (transfer coding removed, content coding as on the wire).
func (t *Transcript) Content(stream uint32) []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	var p []byte
	for _, i := range t.bodies[stream] {
		p = append(p, t.entries[i].Data...)
	}
	return p
}

// Wire maps an offset in a stream's content to the offset in the connection's received bytes and its arrival time.
// ok is false where that byte did not arrive or was not kept.
func (t *Transcript) Wire(stream uint32, content int64) (offset int64, at time.Duration, ok bool) {
	if t == nil {
		return 0, 0, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	list := t.bodies[stream]
	i := sort.Search(len(list), func(i int) bool { return t.entries[list[i]].Content > content }) - 1
	if i < 0 {
		return 0, 0, false
	}
	e := &t.entries[list[i]]
	if d := content - e.Content; d < int64(len(e.Data)) {
		return e.Offset + d, e.At, true
	}
	return 0, 0, false
}

// Faults returns the breaches found on the connection, at most a thousand.
func (t *Transcript) Faults() []Fault {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.faults)
}

// Truncated tells that the cap was reached and later bytes were not kept (they were still judged).
func (t *Transcript) Truncated() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.truncated
}

// Received and Sent count the bytes of each direction, kept or not.
func (t *Transcript) Received() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.in
}

// Sent counts the bytes written.
func (t *Transcript) Sent() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.out
}

// Closed tells how the peer ended the connection: "" (it did not), "FIN", "RST", for TLS "close_notify" or "FIN without close_notify", or the
// error's text; with the time.
func (t *Transcript) Closed() (how string, at time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.closed, t.closedAt
}
