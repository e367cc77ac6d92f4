package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// farewell bounds how long Close waits for the last frames (RST_STREAM, GOAWAY) to be taken by the peer's side.
const farewell = 250 * time.Millisecond

// maxH2Interims bounds the 1xx heads of one stream.
const maxH2Interims = 16

// h2 is the state of a connection that speaks HTTP/2. One goroutine reads and feeds the frames, one writes what they hold; both end with the
// connection. What arrives waits in its stream: at most a stream window of it, for credit is given as the consumer reads. The window of the
// connection is given back at once, so a stream that nobody reads holds up no other.
type h2 struct {
	mu      sync.Mutex
	frames  *Frames
	streams map[uint32]*h2Source
	pings   map[[8]byte]chan time.Time
	pinged  uint64
	faults  []Fault // that belong to none of streams
	err     error   // why it is over
	taken   int64   // bytes given to the writer
	sent    int64   // bytes written
	wake    chan struct{}
	quit    bool          // the writer ends when all is written
	written chan struct{} // closed when the writer has ended
}

// startH2 begins to speak HTTP/2 on the connection.
func (c *Conn) startH2() {
	o := c.dialer.Frames
	o.ManualWindow = true
	c.h2 = &h2{
		frames: NewFrames(o), streams: make(map[uint32]*h2Source), wake: make(chan struct{}, 1), written: make(chan struct{}),
	}
	go c.h2Read()
	go c.h2Write()
	c.h2.poke()
}

// poke wakes the writer.
func (h *h2) poke() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

func (c *Conn) h2Write() {
	h := c.h2
	defer close(h.written)
	var p []byte
	for {
		h.mu.Lock()
		p = append(p[:0], h.frames.Out()...)
		// Told before it is done: the peer may act on a WINDOW_UPDATE, and we read what it does, before our write returns.
		h.frames.Wrote(len(p))
		h.taken += int64(len(p))
		quit := len(p) == 0 && h.quit
		h.mu.Unlock()
		if quit {
			return
		}
		if len(p) == 0 {
			<-h.wake
			continue
		}
		at, err := c.write(p)
		h.mu.Lock()
		if err != nil {
			// What the peer sent before it closed is still to be read; the reader may know better why it did.
			if h.err == nil {
				h.err = err
			}
			h.mu.Unlock()
			return
		}
		h.sent += int64(len(p))
		for _, src := range h.streams {
			src.note(h, at)
		}
		h.mu.Unlock()
		if cap(p) > readBuffer {
			p = nil
		}
	}
}

func (c *Conn) h2Read() {
	h := c.h2
	buf := make([]byte, readBuffer)
	for {
		n, at, err := c.read(buf)
		h.mu.Lock()
		ferr := c.h2Feed(buf[:n], at)
		if ferr == nil && err != nil {
			// Where we are closing, what is left open is our doing.
			if ferr = err; !c.closing.Load() && (err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF)) {
				ferr = c.h2EOF(at)
			}
			ferr = h.afterGoAway(ferr)
		}
		h.poke()
		if ferr == nil {
			h.mu.Unlock()
			continue
		}
		if h.err == nil || !c.closing.Load() {
			h.err = ferr
		}
		for _, src := range h.streams {
			src.end(ferr)
		}
		clear(h.streams)
		for _, ch := range h.pings {
			close(ch)
		}
		h.pings = nil
		h.quit = true // what Frames still has to say (GOAWAY) goes out where it can
		h.mu.Unlock()
		return
	}
}

// h2Feed gives the frames what was read.
func (c *Conn) h2Feed(in []byte, at time.Time) error {
	var it Item
	for {
		n, err := c.h2.frames.Next(in, &it)
		in = in[n:]
		if it.Kind != None {
			c.h2Item(&it, at)
		}
		if err != nil {
			return err
		}
		if it.Kind == None {
			return nil
		}
	}
}

// h2EOF tells the frames that the peer closed, and returns what the streams that are left are told.
func (c *Conn) h2EOF(at time.Time) error {
	for {
		var it Item
		err := c.h2.frames.EOF(&it)
		if it.Kind != None {
			c.h2Item(&it, at)
			if it.Kind == Broken && it.Stream != 0 {
				if src := c.h2.streams[it.Stream]; src != nil {
					f := it.Fault
					delete(c.h2.streams, it.Stream)
					src.end(c.h2.afterGoAway(&f))
				}
			}
		}
		if err != nil {
			return err
		}
		if it.Kind == None {
			return io.ErrUnexpectedEOF
		}
	}
}

// afterGoAway makes the end of the connection the GOAWAY's that came before it.
func (h *h2) afterGoAway(err error) error {
	if g := h.frames.goAway; g != nil {
		return fmt.Errorf("%w: %w", g, err)
	}
	return err
}

// h2Item takes one thing the frames found out to where it belongs. The caller holds h2.mu.
func (c *Conn) h2Item(it *Item, at time.Time) {
	h := c.h2
	src := h.streams[it.Stream]
	length := len(it.Data)
	if it.Head != nil {
		length = int(it.Head.End - it.Head.Offset)
	}
	var content int64
	if src != nil {
		content = src.total
	}
	c.record.item(at, it.Stream, it, length, content)
	switch {
	case it.Kind == PingAck && len(it.Data) == 8:
		if ch := h.pings[[8]byte(it.Data)]; ch != nil {
			ch <- at
			delete(h.pings, [8]byte(it.Data))
		}
	case it.Kind == Broken && src == nil && len(h.faults) < maxFaults:
		h.faults = append(h.faults, it.Fault)
	}
	if src == nil {
		return
	}
	src.last = at
	if src.first == 0 {
		src.first = at.Sub(src.s.Timing.Start)
		if src.wrote == 0 && !src.told && h.frames.upload(src.id) == nil {
			src.wrote = src.first // the answer overtook the writer's return from the kernel
			c.record.wrote(src.ask, at)
		}
	}
	switch it.Kind {
	case Interim:
		if len(src.interims) == maxH2Interims {
			delete(h.streams, src.id)
			h.frames.Cancel(src.id, CodeEnhanceYourCalm)
			src.end(&CapError{What: "interim heads", Limit: maxH2Interims, Offset: it.Offset})
			return
		}
		src.interims = append(src.interims, it.Head)
	case Final:
		src.final, src.headAt = it.Head, at.Sub(src.s.Timing.Start)
	case Trailer:
		src.trail = it.Trailer
	case Broken:
		if len(src.faults) < maxFaults {
			src.faults = append(src.faults, it.Fault)
		}
	case Body:
		src.data = append(src.data, it.Data...)
		if k := len(src.reads); k > 0 && src.reads[k-1].at.Equal(at) {
			src.reads[k-1].end = len(src.data)
		} else {
			src.reads = append(src.reads, arrival{len(src.data), at})
		}
		src.total += int64(len(it.Data))
	case End:
		src.end(io.EOF)
		delete(h.streams, it.Stream)
	case Reset:
		src.end(&ResetError{ErrCode(it.Code)})
		delete(h.streams, it.Stream)
	}
	src.tell()
}

// closeH2 says goodbye, waits a moment for it to be written, and closes.
func (c *Conn) closeH2() {
	h := c.h2
	h.mu.Lock()
	h.frames.GoAway(CodeNo)
	h.quit = true
	for _, src := range h.streams {
		src.end(os.ErrClosed)
	}
	clear(h.streams)
	if h.err == nil {
		h.err = os.ErrClosed
	}
	h.mu.Unlock()
	h.poke()
	t := time.NewTimer(farewell)
	defer t.Stop()
	select {
	case <-h.written:
	case <-t.C:
	}
}

// Peer returns the HTTP/2 settings of the peer; the zero value over HTTP/1.1.
func (c *Conn) Peer() PeerSettings {
	if c.h2 == nil {
		return PeerSettings{}
	}
	c.h2.mu.Lock()
	defer c.h2.mu.Unlock()
	return c.h2.frames.Peer()
}

// Faults returns the breaches of an HTTP/2 connection as a whole, and those on streams that had ended; those of an open stream stand
// in [Stream.Faults].
func (c *Conn) Faults() []Fault {
	if c.h2 == nil {
		return nil
	}
	c.h2.mu.Lock()
	defer c.h2.mu.Unlock()
	return append([]Fault(nil), c.h2.faults...)
}

// Err tells why an HTTP/2 connection is over; nil while it is not, and over HTTP/1.1.
func (c *Conn) Err() error {
	if c.h2 == nil {
		return nil
	}
	c.h2.mu.Lock()
	defer c.h2.mu.Unlock()
	return c.h2.err
}

// GoingAway is the GOAWAY by which the peer wants no more streams on an HTTP/2 connection; nil if there was none.
func (c *Conn) GoingAway() *GoAwayError {
	if c.h2 == nil {
		return nil
	}
	c.h2.mu.Lock()
	defer c.h2.mu.Unlock()
	return c.h2.frames.goAway
}

// Ping measures a round trip on an HTTP/2 connection.
func (c *Conn) Ping(ctx context.Context) (time.Duration, error) {
	h := c.h2
	if h == nil {
		return 0, &ProtoError{c.proto, "PING is a frame of HTTP/2"}
	}
	h.mu.Lock()
	if h.err != nil {
		defer h.mu.Unlock()
		return 0, h.err
	}
	h.pinged++
	var data [8]byte
	for i := range data {
		data[i] = byte(h.pinged >> (8 * i))
	}
	ch := make(chan time.Time, 1)
	if h.pings == nil {
		h.pings = make(map[[8]byte]chan time.Time)
	}
	h.pings[data] = ch
	h.frames.Ping(data)
	start := time.Now()
	h.mu.Unlock()
	h.poke()
	select {
	case at, ok := <-ch:
		if !ok {
			return 0, c.Err()
		}
		return at.Sub(start), nil
	case <-ctx.Done():
		h.mu.Lock()
		delete(h.pings, data)
		h.mu.Unlock()
		return 0, context.Cause(ctx)
	}
}
