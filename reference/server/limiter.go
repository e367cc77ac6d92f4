package server

import (
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

var (
	errTooManyStreams = errors.New("too many open streams")
	errTooManyFromOne = errors.New("too many open streams from this address")
)

// limiter counts open streams, and the places that they take, overall and by address.
type limiter struct {
	total, perIP int           // 0: no limit
	delay        time.Duration // after the end of a stream, until its place is free

	mu    sync.Mutex
	open  int
	taken int
	byIP  map[string]int // of those taken
}

func (l *limiter) enter(addr string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.total > 0 && l.taken >= l.total:
		return errTooManyStreams
	case l.perIP > 0 && l.byIP[addr] >= l.perIP:
		return errTooManyFromOne
	}
	l.open++
	l.taken++
	if l.perIP > 0 {
		l.byIP[addr]++
	}
	return nil
}

func (l *limiter) leave(addr string) {
	l.mu.Lock()
	l.open--
	l.mu.Unlock()
	later(l.delay, func() { l.free(addr) })
}

func (l *limiter) free(addr string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken--
	if l.perIP == 0 {
		return
	}
	if l.byIP[addr]--; l.byIP[addr] == 0 {
		delete(l.byIP, addr)
	}
}

func (l *limiter) streams() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open
}

// address is whose limit a request counts against: the peer of its connection. Forwarding fields are the
// client's word and are not believed.
func address(r *http.Request) string { return host(r.RemoteAddr) }

func host(remoteAddr string) string {
	host, _, err := net.SplitHostPort(remoteAddr)
	if err != nil {
		return remoteAddr
	}
	return host
}

// enter counts a stream in; an error says which limit is reached. leave is its counterpart.
func (s *Server) enter(r *http.Request) error {
	select {
	case <-s.stop:
		return errStopping
	default:
	}
	if err := s.limits.enter(address(r)); err != nil {
		return err
	}
	s.count.opened.Add(1)
	return nil
}

func (s *Server) leave(r *http.Request) { s.limits.leave(address(r)) }
