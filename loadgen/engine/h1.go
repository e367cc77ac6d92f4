package engine

import (
	"errors"
	"io"
	"net"

	"ssegauge/loadgen/measure"
	"ssegauge/reference/wire"
)

// h1 is one stream over HTTP/1.1: what the bytes of its connection mean.
type h1 struct {
	stream
	resp wire.Response
}

// feed takes what one read brought. The lane is locked.
func (s *h1) feed(g *run, l *lane, p []byte, a *arrival) {
	a.tell(l)
	it := &l.it
	for !s.over {
		n, err := s.resp.Next(p, it)
		p = p[n:]
		s.item(g, l, it, a)
		if err != nil {
			s.end(g, l, a.at, CauseOf(s.phase(), err))
		}
		if it.Kind == wire.None {
			return
		}
	}
}

func (s *h1) phase() wire.Phase {
	if s.opening != nil {
		return wire.PhaseHead
	}
	return wire.PhaseBody
}

func (s *h1) item(g *run, l *lane, it *wire.Item, a *arrival) {
	cause := ""
	switch it.Kind {
	case wire.Final:
		cause = s.head(g, l, it.Head, a.at)
	case wire.Body:
		cause = s.body(l, it.Data, a)
	case wire.End:
		cause = measure.EndOfResponse
	case wire.Broken:
		g.fault(l, &s.m, &it.Fault, a.at)
	}
	if cause != "" {
		s.end(g, l, a.at, cause)
	}
}

// lose ends the stream: its connection ended with err, io.EOF where the peer closed it. The lane is locked.
func (s *h1) lose(g *run, l *lane, at int64, err error) {
	if !isEOF(err) {
		s.end(g, l, at, CauseOf(s.phase(), err))
		return
	}
	a, it := arrival{at: at}, &l.it
	for !s.over {
		err := s.resp.EOF(it)
		s.item(g, l, it, &a)
		switch {
		case err != nil && s.opening != nil:
			s.end(g, l, at, "connection closed")
		case err != nil:
			s.end(g, l, at, causeCut)
		case it.Kind == wire.None:
			s.end(g, l, at, measure.EndOfResponse)
		}
	}
}

func isEOF(err error) bool { return errors.Is(err, io.EOF) }

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}
