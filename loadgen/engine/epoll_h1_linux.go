package engine

import (
	"io"
	"slices"

	"golang.org/x/sys/unix"

	"ssegauge/reference/wire"
)

// h1slot is an HTTP/1.1 stream in the table of a loop: 144 bytes.
type h1slot struct {
	h1
	fd    int32
	state uint8
}

// openH1 begins the stream in slot i.
func (l *loop) openH1(i int, k ticket) {
	s := &l.slots[i]
	s.h1 = h1{stream: stream{n: uint32(k.n), opening: l.lane.begin(k)}}
	s.opening.Dialled = l.Board.Now()
	fd, err := l.connect(l.target(k.n), int32(i)<<1)
	if err != nil {
		l.endH1(s, CauseOf(wire.PhaseConnect, err))
		l.vacate(i)
		return
	}
	s.fd, s.state = int32(fd), connecting
	l.alarms.push(alarm{k.started + int64(l.Timeout), int32(i) << 1})
}

// h1Event takes what epoll says of slot i.
func (l *loop) h1Event(i int, fd int32, events uint32) {
	s := &l.slots[i]
	if s.state == closed || s.fd != fd {
		return // of the connection before
	}
	switch s.state {
	case connecting:
		err := l.connected(int(fd), events)
		if err == unix.EAGAIN {
			return
		}
		if err != nil {
			l.endH1(s, CauseOf(wire.PhaseConnect, err))
			break
		}
		s.state = established
		s.opening.Connected = l.Board.Now()
		r, err := l.run.request(int(s.n))
		if err == nil {
			l.request, err = r.AppendHTTP1(l.request[:0])
		}
		if err != nil {
			l.endH1(s, causeRequest)
			break
		}
		l.send(s, i, l.request)
	case sending:
		if rest := l.unsent[i]; events&unix.EPOLLOUT != 0 {
			l.send(s, i, rest)
		}
	}
	if events&^unix.EPOLLOUT != 0 && !s.over {
		waiting := s.opening != nil
		if l.readH1(s, i, events); waiting && s.opening == nil && !s.over {
			l.settles(s.n, l, uint32(i))
		}
	}
	if s.over {
		l.closeH1(i)
	}
}

// send writes p, the rest of the request of slot i, and keeps what does not fit.
func (l *loop) send(s *h1slot, i int, p []byte) {
	at := l.Board.Now() // not after: on a busy machine the answer may be there by then
	n, err := send(int(s.fd), p)
	switch {
	case err != nil && err != unix.EAGAIN:
		l.endH1(s, CauseOf(wire.PhaseWrite, err))
	case n < len(p):
		if s.state != sending {
			p = slices.Clone(p)
		}
		l.unsent[i] = p[n:]
		s.state = sending
	default:
		if s.opening != nil {
			s.opening.Written = at
		}
		if s.state == sending {
			delete(l.unsent, i)
		}
		s.state = established
	}
}

// readH1 reads what is there for the stream of slot i.
func (l *loop) readH1(s *h1slot, i int, events uint32) {
	ended := events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0
	for range maxReads {
		n, stamp, err := tryRead(uintptr(s.fd), &l.buf)
		if err == errAgain {
			return
		}
		if err == nil && n == 0 {
			err = io.EOF
		}
		l.lane.Lock()
		if err != nil {
			s.lose(l.run, l.lane, l.Board.Now(), err)
		} else {
			a := l.arrival(stamp)
			s.feed(l.run, l.lane, l.buf.data[:n], &a)
		}
		l.lane.Unlock()
		if s.over || n < len(l.buf.data) && !ended {
			return
		}
	}
	l.again(int(s.fd), int32(i)<<1)
}

// endH1 ends the stream of a slot before it was open.
func (l *loop) endH1(s *h1slot, cause string) {
	l.lane.Lock()
	s.end(l.run, l.lane, l.Board.Now(), cause)
	l.lane.Unlock()
}

// closeH1 lets go of the connection of slot i.
func (l *loop) closeH1(i int) {
	s := &l.slots[i]
	if s.state == closed {
		return
	}
	if s.state == sending {
		delete(l.unsent, i)
	}
	l.disconnect(int(s.fd), s.state)
	s.state = closed
	l.vacate(i)
}

// vacate gives slot i to the next stream, where its own does not come back.
func (l *loop) vacate(i int) {
	if !l.Life.moves() {
		l.vacant = append(l.vacant, int32(i))
	}
}

// timeoutH1 gives the stream of slot i up: no head has come.
func (l *loop) timeoutH1(i int, now int64) {
	s := &l.slots[i]
	cause := "head: timeout"
	if s.state == connecting {
		cause = "connect: timeout"
	}
	l.endH1(s, cause)
	l.closeH1(i)
}
