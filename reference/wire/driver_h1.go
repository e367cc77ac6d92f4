package wire

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// ErrBusy tells that an HTTP/1.1 connection cannot carry another request: its last message is not complete, or the
// connection ends with it.
var ErrBusy = errors.New("the HTTP/1.1 connection cannot carry another request")

// inlineWrite is how much of a request is written before the response is looked at. A larger one is written beside the
// reading, for a server may answer (413) without ever taking it.
const inlineWrite = 64 << 10

// h1 is the state of a connection that speaks HTTP/1.1.
type h1 struct {
	mu     sync.Mutex
	taken  bool   // an exchange is under way, or the connection is spent
	number uint32 // of the next exchange

	buf     []byte
	r, w    int // what of buf was read and not yet taken
	off     int64
	at      time.Time // when buf was filled
	pending error     // came with the last bytes
}

// h1Source reads the response of one exchange; see source.
type h1Source struct {
	c       *Conn
	s       *Stream
	life    context.Context
	resp    Response
	content int64
	ask     int         // which of the connection's requests it is
	written time.Time   // when it was written, in a recording
	keep    bool        // the connection may carry another exchange
	ended   bool        // under h1.mu
	stop    func() bool // detaches life
	beside  *writing    // a write beside the reading; nil if there is none
}

func (c *Conn) openH1(life, head context.Context, r *Request) (*Stream, error) {
	if err := r.check(); err != nil {
		return nil, c.error(head, PhaseWrite, err)
	}
	c.h1.mu.Lock()
	if c.h1.taken {
		c.h1.mu.Unlock()
		return nil, c.error(head, PhaseWrite, ErrBusy)
	}
	c.h1.taken = true
	number := c.h1.number
	c.h1.number++
	c.h1.mu.Unlock()

	ask, at, written, err := c.asks(r)
	if err != nil {
		return nil, c.error(head, PhaseWrite, err)
	}
	s := &Stream{Request: r, URL: r.URL, Conn: c, ID: number, Timing: c.timing}
	if number > 0 {
		s.Timing = Timing{Start: at}
		_ = c.nc.SetReadDeadline(time.Time{}) // it was the last stream's
	}
	s.Decoder.SetMax(c.dialer.MaxEvent)
	src := &h1Source{c: c, s: s, life: life, ask: ask, written: written}
	s.src, s.h1 = src, src
	src.resp.SetLimits(c.dialer.Limits)
	src.resp.StartAt(c.h1.off - int64(c.h1.w-c.h1.r))
	if r.method() == "HEAD" {
		src.resp.ToHead()
	}
	if r.HTTP10 {
		src.resp.ToHTTP10()
	}
	stop := context.AfterFunc(head, c.abort)
	phase, err := src.exchange(r)
	if !stop() && err == nil {
		err = context.Cause(head)
	}
	if err != nil {
		c.abort()
		src.join()
		e := c.error(head, phase, err)
		e.Timing = s.Timing
		return nil, e
	}
	src.stop = context.AfterFunc(life, c.abort)
	if src.resp.state == sEnd { // no content: the connection is free at once
		src.piece()
	}
	return s, nil
}

// exchange writes the request and reads up to the final head.
func (src *h1Source) exchange(r *Request) (Phase, error) {
	s, c := src.s, src.c
	request := r.appendHTTP1(nil)
	var werr error
	if len(request) <= inlineWrite {
		var at time.Time
		at, werr = c.write(request)
		src.wrote(at)
	} else {
		src.beside = &writing{done: make(chan struct{})}
		go src.beside.run(c, request)
	}
	for {
		var it Item
		err := src.next(&it)
		if it.Kind != None {
			s.note(&it)
		}
		switch {
		case it.Kind == Final:
			s.Head = it.Head
			s.Timing.Head = c.h1.at.Sub(s.Timing.Start)
			src.keep = keepAlive(r, s.Head) && !src.resp.UntilClose()
			// After an answer before the request was all taken nobody knows what the server makes of the rest.
			src.keep = src.noteWritten() && src.keep
			return "", nil
		case err != nil && s.Timing.FirstByte == 0:
			// A server that refuses may answer and close before it took the whole request; only where it said nothing is the
			// write what went wrong.
			if src.beside != nil {
				select {
				case <-src.beside.done:
					werr = src.beside.err
				default:
					werr = err
				}
			}
			if werr != nil {
				return PhaseWrite, werr
			}
			return PhaseHead, err
		case err != nil:
			return PhaseHead, err
		}
	}
}

// writing is a request that is written beside the reading.
type writing struct {
	done chan struct{} // closed when the rest is set
	err  error
	at   time.Time
}

func (w *writing) run(c *Conn, request []byte) {
	defer close(w.done)
	w.at, w.err = c.write(request)
}

// wrote notes when the request was written.
func (src *h1Source) wrote(at time.Time) {
	if !src.written.IsZero() {
		at = src.written
	}
	src.s.Timing.Written = at.Sub(src.s.Timing.Start)
	src.c.record.wrote(src.ask, at)
}

// noteWritten takes the time from a write beside the reading, and tells whether the whole request went out.
func (src *h1Source) noteWritten() bool {
	if src.beside == nil {
		return true
	}
	select {
	case <-src.beside.done:
		if src.beside.err == nil && src.s.Timing.Written == 0 {
			src.wrote(src.beside.at)
		}
		return src.beside.err == nil
	default:
		return false
	}
}

// join waits for a write beside the reading; the connection is closed.
func (src *h1Source) join() {
	if src.beside != nil {
		<-src.beside.done
	}
}

// keepAlive tells whether both sides mean to keep the connection (RFC 9112 9.3).
func keepAlive(r *Request, h *Head) bool {
	says := func(h Header, option string) bool {
		for _, v := range h.Values("Connection") {
			for o := range strings.SplitSeq(v, ",") {
				if strings.EqualFold(strings.Trim(o, " \t"), option) {
					return true
				}
			}
		}
		return false
	}
	if says(h.Header, "close") || says(r.Header, "close") {
		return false
	}
	return h.Proto == HTTP11 && !r.HTTP10 || says(h.Header, "keep-alive")
}

// next gives the next thing that the response reader finds, reading as needed. Errors of the connection at the end of which the
// message is judged complete are swallowed: End is what they meant.
func (src *h1Source) next(it *Item) error {
	c, b := src.c, &src.c.h1
	for {
		n, err := src.resp.Next(b.buf[b.r:b.w], it)
		b.r += n
		if it.Kind != None || err != nil {
			src.record(it)
			return err
		}
		if b.pending == nil {
			err := src.fill()
			if err == nil {
				continue
			}
			if isTimeout(err) && !c.closing.Load() {
				b.pending = nil // a read deadline: the connection is as good as before
				return err
			}
		}
		if !errors.Is(b.pending, io.EOF) && !errors.Is(b.pending, io.ErrUnexpectedEOF) {
			return b.pending
		}
		if errors.Is(b.pending, io.ErrUnexpectedEOF) && src.resp.UntilClose() && src.resp.state == sUntilClose {
			it.broken(FaultNoCloseNotify, src.resp.Offset(), 0, "FIN without a TLS close_notify ends content that only the close delimits: it may have been cut off")
			src.record(it)
			f := it.Fault
			return &f
		}
		if src.s.ID > 0 && src.s.Timing.FirstByte == 0 {
			return ErrNoResponse // to close a kept connection is the server's right (RFC 9112 9.5), also as a request comes
		}
		err = src.resp.EOF(it)
		src.record(it)
		if it.Kind == None && err == nil {
			return io.ErrUnexpectedEOF
		}
		return err
	}
}

// fill reads once into the buffer, which is all taken.
func (src *h1Source) fill() error {
	c, b := src.c, &src.c.h1
	if b.buf == nil {
		b.buf = make([]byte, readBuffer)
	}
	n, at, err := c.read(b.buf)
	b.r, b.w, b.at, b.pending = 0, n, at, err
	b.off += int64(n)
	if n > 0 {
		if src.s.Timing.FirstByte == 0 {
			src.s.Timing.FirstByte = at.Sub(src.s.Timing.Start)
		}
		return nil
	}
	return err
}

func (src *h1Source) record(it *Item) {
	length := len(it.Data)
	if it.Head != nil {
		length = int(it.Head.End - it.Head.Offset)
	}
	src.c.record.item(src.c.h1.at, src.s.ID, it, length, src.content)
	if it.Kind == Body {
		src.content += int64(len(it.Data))
	}
}

func (src *h1Source) piece() ([]byte, time.Time, error) {
	b := &src.c.h1
	if src.resp.Done() {
		return nil, b.at, io.EOF
	}
	for {
		var it Item
		err := src.next(&it)
		if it.Kind != None {
			src.s.note(&it)
		}
		switch {
		case err != nil:
			if src.life.Err() != nil {
				err = context.Cause(src.life)
			}
			return nil, b.at, err
		case it.Kind == Body:
			return it.Data, b.at, nil
		case it.Kind == End:
			src.finish()
			return nil, b.at, io.EOF
		}
	}
}

// finish looks at what follows the end of the message and gives the connection free for another one.
func (src *h1Source) finish() {
	b := &src.c.h1
	if b.r < b.w {
		var it Item
		src.resp.Next(b.buf[b.r:b.w], &it)
		src.record(&it)
		src.s.note(&it)
		src.keep = false
	}
	src.stop()
	src.noteWritten()
	src.keep = src.keep && b.pending == nil
	b.mu.Lock()
	src.ended = true
	b.taken = !src.keep
	b.mu.Unlock()
}

func (src *h1Source) setReadDeadline(t time.Time) error {
	err := src.c.nc.SetReadDeadline(t)
	if errors.Is(err, io.ErrClosedPipe) {
		return nil // a net.Pipe whose other end is closed: the read will tell
	}
	return err
}

func (src *h1Source) close() error {
	b := &src.c.h1
	b.mu.Lock()
	done := src.ended && src.keep
	b.mu.Unlock()
	if done {
		return nil // the connection is free, or another exchange's by now
	}
	src.stop()
	err := src.c.Close()
	src.join()
	return err
}

// Listen reads on after the end of an HTTP/1.1 message until the peer closes or the deadline passes, without asking for anything: what still comes is
// recorded and judged as bytes after the end. It returns io.EOF or another error of the connection where the peer
// closed it, nil at the deadline, [ErrBusy] where another exchange has the connection by now. The connection carries no further request.
func (s *Stream) Listen(until time.Time) error {
	src := s.h1
	if src == nil || !src.resp.Done() {
		return ErrBusy
	}
	c := src.c
	c.h1.mu.Lock()
	busy := src.keep && c.h1.taken
	if !busy {
		c.h1.taken, src.keep = true, false
	}
	c.h1.mu.Unlock()
	if busy {
		return ErrBusy
	}
	if err := src.setReadDeadline(until); err != nil {
		return err
	}
	defer c.nc.SetReadDeadline(time.Time{})
	for {
		if c.h1.pending != nil {
			return c.h1.pending
		}
		if err := src.fill(); errors.Is(err, os.ErrDeadlineExceeded) {
			c.h1.pending = nil
			return nil
		} else if err != nil {
			return err
		}
		var it Item
		src.resp.Next(c.h1.buf[:c.h1.w], &it)
		if it.Kind != None {
			src.record(&it)
			s.note(&it)
		}
		c.h1.r = c.h1.w
	}
}
