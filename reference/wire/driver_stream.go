package wire

import (
	"errors"
	"io"
	"net/url"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"ssegauge/reference/sse"
)

// Hop is one redirect that was followed.
type Hop struct {
	URL        *url.URL // that answered with the redirect
	Head       *Head
	Timing     Timing
	Transcript *Transcript // nil where Record is 0
}

// Stream is one response whose head has arrived. Read gives content bytes; Next gives events; use one of the two.
// A Stream is for one goroutine; Close may be called from any.
type Stream struct {
	Request *Request // as sent, the last hop's
	URL     *url.URL // final URL after redirects
	Hops    []Hop
	Interim []*Head // 1xx heads before Head
	Head    *Head
	Timing  Timing
	Trailer Header
	Faults  []Fault // of the response so far, at most a thousand
	Conn    *Conn
	ID      uint32 // HTTP/2: the stream; HTTP/1.1: the number of the exchange on its connection, from 0
	Decoder sse.Decoder
	// Line, where set, is called by Next for every line of the stream (see sse.Decoder.Inspect).
	Line func(*sse.Line)

	src  source
	h1   *h1Source  // nil over HTTP/2
	owns bool       // the connection ends with the stream
	use  sync.Mutex // held by Read and Next
	// decoders undo the content coding, in the order of their work.
	decoders []*decoded
	closed   atomic.Bool
	chunk    []byte // content that Read and Next have not taken yet
	again    bool   // Next found an event in it last time
	at       time.Time
	err      error // lasting
}

// source yields the content of one response as it comes.
type source interface {
	// piece returns the next bytes of content, valid until the next call, and when they arrived. io.EOF at a proper end.
	piece() ([]byte, time.Time, error)
	setReadDeadline(t time.Time) error
	close() error
}

var _ io.ReadCloser = (*Stream)(nil)

// note keeps what is not content.
func (s *Stream) note(it *Item) {
	switch it.Kind {
	case Interim:
		s.Interim = append(s.Interim, it.Head)
	case Trailer:
		s.Trailer = it.Trailer
	case Broken:
		if len(s.Faults) < maxFaults {
			s.Faults = append(s.Faults, it.Fault)
		}
	}
}

// more waits for content.
func (s *Stream) more() error {
	if s.err != nil {
		return s.err
	}
	p, at, err := s.src.piece()
	s.at = at
	if err == nil {
		if s.chunk = p; s.Timing.FirstBody == 0 {
			s.Timing.FirstBody = at.Sub(s.Timing.Start)
		}
		return nil
	}
	if err != io.EOF {
		if s.closed.Load() {
			err = os.ErrClosed
		}
		err = s.error(err)
	}
	if isTimeout(err) && errors.Is(err, os.ErrDeadlineExceeded) {
		return err // the stream stays usable
	}
	if s.Timing.Ended == 0 && !at.IsZero() {
		s.Timing.Ended = at.Sub(s.Timing.Start)
	}
	s.err = err
	return err
}

func (s *Stream) error(err error) error {
	return &Error{
		Phase: PhaseBody, Addr: s.Conn.addr, Err: err, Timing: s.Timing, Transcript: s.Conn.record, Head: s.Head, Hops: s.Hops,
	}
}

// Read reads content after transfer coding (and content coding where Decode is on). io.EOF only at a proper end of the message;
// a message cut short is *Error with Phase body and io.ErrUnexpectedEOF, a reset one *ResetError.
func (s *Stream) Read(p []byte) (int, error) {
	s.use.Lock()
	defer s.release()
	for len(s.chunk) == 0 {
		if err := s.more(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.chunk)
	s.chunk = s.chunk[n:]
	return n, nil
}

// release ends Read and Next. Where Close came meanwhile it is ours to stop the decoders.
func (s *Stream) release() {
	s.use.Unlock()
	if s.closed.Load() {
		s.stopDecoders()
	}
}

func (s *Stream) stopDecoders() {
	if !s.use.TryLock() {
		return // Read or Next is at work and does it when it is done
	}
	defer s.use.Unlock()
	for _, d := range s.decoders {
		d.stop()
	}
}

// Wire maps an offset in what Read and Next give (sse.Event.Start and End) to the offset in the received bytes of the connection and the time of its
// arrival, from the transcript. For decoded content it is the byte that completed what was needed to decode it.
func (s *Stream) Wire(content int64) (offset int64, at time.Duration, ok bool) {
	for _, d := range slices.Backward(s.decoders) {
		if content, ok = d.encoded(content); !ok {
			return 0, 0, false
		}
	}
	return s.Conn.record.Wire(s.ID, content)
}

// At is when the bytes that Read or Next returned last had arrived.
func (s *Stream) At() time.Time { return s.at }

// Next blocks until the next event. ev is valid until the next call. io.EOF as for Read.
// at is when the read that completed the event returned.
func (s *Stream) Next(ev *sse.Event) (at time.Time, err error) {
	s.use.Lock()
	defer s.release()
	for {
		// After an event the decoder is called once more even with nothing: it gives its buffers back then.
		for len(s.chunk) == 0 && !s.again {
			if err := s.more(); err != nil {
				return s.at, err
			}
		}
		var n int
		var ok bool
		if s.Line == nil {
			n, ok, err = s.Decoder.Next(s.chunk, ev)
		} else {
			n, ok, err = s.Decoder.Inspect(s.chunk, ev, s.Line)
		}
		s.chunk, s.again = s.chunk[n:], ok
		if err != nil {
			s.err = s.error(err)
			return s.at, s.err
		}
		if ok {
			if s.Timing.FirstEvent == 0 {
				s.Timing.FirstEvent = s.at.Sub(s.Timing.Start)
			}
			return s.at, nil
		}
	}
}

// SetReadDeadline bounds Read and Next; the error is os.ErrDeadlineExceeded and the stream stays usable.
func (s *Stream) SetReadDeadline(t time.Time) error { return s.src.setReadDeadline(t) }

// Close ends the stream: over HTTP/2 RST_STREAM CANCEL, over HTTP/1.1 the connection is closed unless the message was complete.
func (s *Stream) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	err := s.src.close()
	s.stopDecoders()
	if s.owns {
		s.Conn.Close()
	}
	return err
}
