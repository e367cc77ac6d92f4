package wire

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"
)

// h2Source is one stream; see source. Its fields are guarded by h2.mu but for those of the consumer.
type h2Source struct {
	c        *Conn
	s        *Stream
	id       uint32
	ask      int           // which of the connection's requests it is
	told     bool          // when it was written is known, of a recording
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

// note sets the time at which the request was written, body included.
func (src *h2Source) note(h *h2, at time.Time) {
	switch {
	case src.wrote != 0, src.told:
	case h.frames.upload(src.id) != nil:
		src.mark = h.taken + int64(len(h.frames.Out()))
	case h.sent >= src.mark:
		src.wrote = at.Sub(src.s.Timing.Start)
		src.c.record.wrote(src.ask, at)
	}
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
	if r.HTTP10 {
		return nil, c.error(head, PhaseWrite, &ProtoError{HTTP10, "the connection speaks HTTP/2; ask for HTTP/1.1 by Dialer.Proto"})
	}
	h := c.h2
	h.mu.Lock() // a recording answers as soon as it is asked: not before the stream is there
	ask, at, written, err := c.asks(r)
	if err != nil {
		h.mu.Unlock()
		return nil, c.error(head, PhaseWrite, err)
	}
	s := &Stream{Request: r, URL: r.URL, Conn: c, Timing: c.timing}
	if c.opened {
		s.Timing = Timing{Start: at}
	}
	c.opened = true
	src := &h2Source{c: c, s: s, ask: ask, ready: make(chan struct{}, 1), last: s.Timing.Start}
	if !written.IsZero() {
		src.wrote, src.told = written.Sub(s.Timing.Start), true
		c.record.wrote(ask, written)
	}
	err = h.err
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
	src.mark = h.taken + int64(len(h.frames.Out()))
	h.streams[src.id] = src
	h.mu.Unlock()
	h.poke()
	s.Decoder.SetMax(c.dialer.MaxEvent)
	for {
		err := src.look()
		if s.Head != nil {
			break
		}
		if err == nil {
			select {
			case <-src.ready:
				continue
			case <-head.Done():
				src.look() // the request may have been written since
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

// look takes over what was noted of the opening so far, and tells why nothing more comes.
func (src *h2Source) look() error {
	s, h := src.s, src.c.h2
	h.mu.Lock()
	defer h.mu.Unlock()
	s.Interim, s.Head = src.interims, src.final
	s.Timing.Written, s.Timing.FirstByte, s.Timing.Head = src.wrote, src.first, src.headAt
	s.Faults = append(s.Faults, src.faults...)
	src.faults = nil
	return src.err
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
	src.deadline.set(time.Time{})
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
