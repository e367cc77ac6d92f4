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
	faults  []Fault // of the connection as a whole
	err     error   // why it is over
	sent    int64   // bytes written
	wake    chan struct{}
	quit    bool          // the writer ends when all is written
	written chan struct{} // closed when the writer has ended
}

// h2Source is one stream; see source. Its fields are guarded by h2.mu but for those of the consumer.
type h2Source struct {
	c        *Conn
	s        *Stream
	id       uint32
	ready    chan struct{} // something new
	final    *Head
	first    time.Duration // first item, since Timing.Start
	headAt   time.Duration
	wrote    time.Duration
	mark     int64 // when so many bytes of the connection are written, the request is
	interims []*Head
	faults   []Fault
	trail    Header
	data     []byte
	reads    []arrival // which of data came with which read
	last     time.Time // of the last item
	total    int64     // content received
	err      error     // the end: io.EOF or worse
	stop     func() bool

	deadline deadline

	// The consumer's.
	taken  []byte
	takes  []arrival
	from   int
	credit int // bytes consumed and not yet given back
}

// arrival says that data up to end came at a time.
type arrival struct {
	end int
	at  time.Time
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
		quit := len(p) == 0 && h.quit
		h.mu.Unlock()
		if quit {
			return
		}
		if len(p) == 0 {
			<-h.wake
			continue
		}
		err := c.write(p)
		h.mu.Lock()
		if err != nil {
			// What the peer sent before it closed is still to be read; the reader may know better why it did.
			if h.err == nil {
				h.err = err
			}
			h.mu.Unlock()
			return
		}
		h.frames.Wrote(len(p))
		h.sent += int64(len(p))
		for _, src := range h.streams {
			src.note(h)
		}
		h.mu.Unlock()
		if cap(p) > readBuffer {
			p = nil
		}
	}
}

// note sets the time at which the request was written, body included.
func (src *h2Source) note(h *h2) {
	switch {
	case src.wrote != 0:
	case h.frames.upload(src.id) != nil:
		src.mark = h.sent + int64(len(h.frames.Out()))
	case h.sent >= src.mark:
		src.wrote = time.Since(src.s.Timing.Start)
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
			if ferr = err; err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
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
	case it.Kind == Broken && it.Stream == 0 && len(h.faults) < maxFaults:
		h.faults = append(h.faults, it.Fault)
	}
	if src == nil {
		return
	}
	src.last = at
	if src.first == 0 {
		src.first = at.Sub(src.s.Timing.Start)
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

func (src *h2Source) tell() {
	select {
	case src.ready <- struct{}{}:
	default:
	}
}

// end notes why nothing more comes; the first word counts.
func (src *h2Source) end(err error) {
	if src.err == nil {
		src.err = err
	}
	src.tell()
}

// cancel ends the stream from our side.
func (src *h2Source) cancel(why error) {
	h := src.c.h2
	h.mu.Lock()
	defer h.mu.Unlock()
	src.end(why)
	if h.streams[src.id] == src {
		delete(h.streams, src.id)
		h.frames.Cancel(src.id, CodeCancel)
		h.poke()
	}
}

func (c *Conn) openH2(life, head context.Context, r *Request) (*Stream, error) {
	if err := r.check(); err != nil {
		return nil, c.error(head, PhaseWrite, err)
	}
	h := c.h2
	h.mu.Lock()
	s := &Stream{Request: r, URL: r.URL, Conn: c, Timing: c.timing}
	if c.opened {
		s.Timing = Timing{Start: time.Now()}
	}
	c.opened = true
	src := &h2Source{c: c, s: s, ready: make(chan struct{}, 1), last: s.Timing.Start}
	err := h.err
	if err == nil {
		src.id, err = h.frames.Open(r)
	}
	if err != nil {
		h.mu.Unlock()
		e := c.error(head, PhaseWrite, err)
		e.Timing = s.Timing
		return nil, e
	}
	s.ID, s.src = src.id, src
	src.mark = h.sent + int64(len(h.frames.Out()))
	h.streams[src.id] = src
	h.mu.Unlock()
	h.poke()
	s.Decoder.SetMax(c.dialer.MaxEvent)
	for {
		h.mu.Lock()
		final, err := src.final, src.err
		s.Interim, s.Head = src.interims, src.final
		s.Timing.Written, s.Timing.FirstByte, s.Timing.Head = src.wrote, src.first, src.headAt
		s.Faults = append(s.Faults, src.faults...)
		src.faults = nil
		h.mu.Unlock()
		if final != nil {
			break
		}
		if err == nil {
			select {
			case <-src.ready:
				continue
			case <-head.Done():
				err = context.Cause(head)
			}
		}
		src.cancel(err)
		phase := PhaseHead
		if f := (*Fault)(nil); s.Timing.Written == 0 && s.Timing.FirstByte == 0 && !errors.As(err, &f) {
			phase = PhaseWrite
		}
		e := c.error(head, phase, err)
		e.Timing = s.Timing
		return nil, e
	}
	src.stop = context.AfterFunc(life, func() { src.cancel(context.Cause(life)) })
	return s, nil
}

func (src *h2Source) piece() ([]byte, time.Time, error) {
	h := src.c.h2
	for {
		if src.from < len(src.taken) {
			a := src.takes[0]
			p := src.taken[src.from:a.end]
			src.from, src.takes = a.end, src.takes[1:]
			return p, a.at, nil
		}
		h.mu.Lock()
		// The consumer is through with what it took: the stream gets that much credit again, in portions that are worth a frame.
		src.credit += src.from
		if window := int(h.frames.opt.StreamWindow); src.credit > 0 && (src.credit >= window/2 || src.credit+len(src.data) >= window) {
			h.frames.Credit(src.id, uint32(src.credit))
			src.credit = 0
			h.poke()
		}
		src.from = 0
		src.taken, src.data = src.data, src.taken[:0]
		src.takes, src.reads = src.reads, nil
		if cap(src.data) > readBuffer {
			src.data = nil
		}
		if src.trail != nil {
			src.s.Trailer = src.trail
		}
		for _, f := range src.faults {
			src.s.note(&Item{Kind: Broken, Fault: f})
		}
		src.faults = nil
		if src.s.Timing.Written == 0 {
			src.s.Timing.Written = src.wrote
		}
		err, last := src.err, src.last
		h.mu.Unlock()
		if len(src.taken) > 0 {
			continue
		}
		if err != nil {
			return nil, last, err
		}
		expired := src.deadline.wait()
		select {
		case <-expired:
			return nil, last, os.ErrDeadlineExceeded
		default:
		}
		select {
		case <-src.ready:
		case <-expired:
			return nil, last, os.ErrDeadlineExceeded
		}
	}
}

func (src *h2Source) setReadDeadline(t time.Time) error {
	src.deadline.set(t)
	src.tell()
	return nil
}

func (src *h2Source) close() error {
	if src.stop != nil {
		src.stop()
	}
	src.cancel(os.ErrClosed)
	return nil
}

// deadline is a moment that a waiter can wait for and others can move.
type deadline struct {
	mu    sync.Mutex
	timer *time.Timer
	done  chan struct{} // closed when it has passed; nil: none is set
}

func (d *deadline) wait() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.done
}

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
	}
	d.timer, d.done = nil, nil
	if t.IsZero() {
		return
	}
	done := make(chan struct{})
	d.done = done
	if wait := time.Until(t); wait > 0 {
		d.timer = time.AfterFunc(wait, func() { close(done) })
	} else {
		close(done)
	}
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

// Faults returns the breaches of an HTTP/2 connection as a whole; those of a stream stand in [Stream.Faults].
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
