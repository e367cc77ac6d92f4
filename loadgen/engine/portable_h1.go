package engine

import (
	"errors"
	"io"
	"time"

	"ssegauge/loadgen/measure"
	"ssegauge/reference/sse"
	"ssegauge/reference/wire"
)

// h1stream is one stream on a connection of its own.
type h1stream struct {
	*run
	target  *Target
	c       *conn
	rec     *measure.Recorder
	opening *measure.Opening // nil once the head is there
	resp    wire.Response
	dec     sse.Decoder
	m       measure.Stream
	cause   string // why it ended; "" while it lives
}

// dial makes the connection and sends the request. Reading goes on in a new goroutine, whose stack is small.
func (s *h1stream) dial() {
	o := s.opening
	s.rec = s.recorder()
	c, cause := s.connect(s.target, o)
	if cause == "" {
		s.c = c
		req, err := s.target.Request.AppendHTTP1(nil)
		if err == nil {
			err = c.write(req)
		}
		if err != nil {
			cause = CauseOf(wire.PhaseWrite, err)
			s.drop(c)
		}
		o.Written = s.Board.Now()
	}
	<-s.dials
	if cause != "" {
		s.fail(cause)
		s.alive.Done()
		return
	}
	go s.read()
}

func (s *h1stream) fail(cause string) {
	if s.ending.Load() {
		cause = causeEnd
	}
	s.rec.Lock()
	s.rec.Failed(cause)
	s.rec.Unlock()
	s.opening = nil
}

// read is the life of the stream from the request on.
func (s *h1stream) read() {
	defer s.alive.Done()
	defer s.drop(s.c)
	each := s.piece
	for {
		err := s.c.read(each)
		if s.cause == "" && err != nil {
			s.eof(err)
		}
		if s.cause != "" {
			break
		}
	}
	s.rec.Lock()
	defer s.rec.Unlock()
	if s.opening != nil {
		if s.ending.Load() {
			s.cause = causeEnd
		}
		s.rec.Failed(s.cause)
	} else if !s.ending.Load() {
		s.rec.Closed(&s.m, s.Board.Now(), s.cause)
	}
	s.dec.Reset(false)
}

// piece takes what one read brought.
func (s *h1stream) piece(p []byte) {
	if s.cause != "" {
		return
	}
	at := s.Board.Since(s.c.at)
	waiting := s.opening != nil
	s.rec.Lock()
	s.c.tell(s.rec)
	s.parse(p, at)
	s.rec.Unlock()
	if waiting && s.opening == nil {
		s.c.net.SetDeadline(time.Time{})
	}
}

func (s *h1stream) parse(p []byte, at int64) {
	var it wire.Item
	for s.cause == "" {
		n, err := s.resp.Next(p, &it)
		p = p[n:]
		s.item(&it, at)
		if err != nil && s.cause == "" {
			s.cause = CauseOf(s.phase(), err)
		}
		if it.Kind == wire.None {
			return
		}
	}
}

func (s *h1stream) phase() wire.Phase {
	if s.opening != nil {
		return wire.PhaseHead
	}
	return wire.PhaseBody
}

func (s *h1stream) item(it *wire.Item, at int64) {
	switch it.Kind {
	case wire.Final:
		if s.cause = refusal(it.Head); s.cause == "" {
			s.opening.Head = at
			s.rec.Opened(&s.m, *s.opening)
			s.opening = nil
		}
	case wire.Body:
		if err := body(s.c, s.rec, &s.dec, &s.m, it.Data, at); err != nil {
			s.cause = CauseOf(wire.PhaseBody, err)
		}
	case wire.End:
		s.cause = "end of response"
	}
}

// eof is the end of the connection.
func (s *h1stream) eof(err error) {
	s.rec.Lock()
	defer s.rec.Unlock()
	if isEOF(err) {
		var it wire.Item
		for s.cause == "" {
			err := s.resp.EOF(&it)
			s.item(&it, s.Board.Now())
			if err != nil {
				s.cause = "cut short"
			}
			if it.Kind == wire.None {
				break
			}
		}
		if s.cause == "" {
			s.cause = "end of response"
		}
	} else {
		s.cause = CauseOf(s.phase(), err)
	}
	if s.opening != nil && s.cause == "cut short" {
		s.cause = "head: connection closed"
	}
}

func isEOF(err error) bool { return errors.Is(err, io.EOF) }
