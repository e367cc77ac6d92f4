package raw

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// poller waits for the sockets of a shard.
type poller struct {
	waker     // of a shard without sockets
	epoll int // 0: it has none
	event int // eventfd: there is news
	timer int // timerfd: something is due
	at    time.Time
}

func (p *poller) open(sockets bool) (err error) {
	if !sockets {
		p.waker = newWaker()
		return nil
	}
	if p.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	if p.event, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		return err
	}
	if p.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC); err != nil {
		return err
	}
	for _, fd := range []int{p.event, p.timer} {
		if err = unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd), Pad: -1}); err != nil {
			return err
		}
	}
	return nil
}

func (p *poller) close() {
	for _, fd := range []int{p.epoll, p.event, p.timer} {
		if fd > 0 {
			_ = unix.Close(fd)
		}
	}
}

func (p *poller) wake() {
	if p.epoll == 0 {
		p.waker.wake()
		return
	}
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, _ = unix.Write(p.event, one[:])
}

// sooner asks for a round at t at the latest.
func (p *poller) sooner(t time.Time) {
	if p.epoll == 0 {
		p.waker.sooner(t)
		return
	}
	if !p.at.IsZero() && !t.Before(p.at) {
		return
	}
	p.at = t
	d := max(time.Until(t), 1)
	_ = unix.TimerfdSettime(p.timer, 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}, nil)
}

// run is the loop of a shard.
func (sh *shard) run() {
	p := &sh.poll
	if p.epoll == 0 {
		sh.runPorts()
		return
	}
	defer p.close()
	events := make([]unix.EpollEvent, 256)
	buf := make([]byte, readSize)
	var drain [8]byte
	for {
		n, err := unix.EpollWait(p.epoll, events, -1)
		if err != nil && err != unix.EINTR {
			panic("raw: epoll_wait: " + err.Error()) // only for arguments that are wrong
		}
		sh.mu.Lock()
		if sh.ended {
			sh.mu.Unlock()
			return
		}
		sh.now = time.Now()
		for _, e := range events[:max(n, 0)] {
			if e.Pad < 0 {
				_, _ = unix.Read(int(e.Fd), drain[:])
				if int(e.Fd) == p.timer {
					p.at = time.Time{}
				}
				continue
			}
			if c := sh.conns[e.Pad]; c != nil && c.fd == e.Fd {
				c.ready(e.Events, buf)
			}
		}
		if next := sh.round(); !next.IsZero() {
			p.sooner(next)
		}
		sh.mu.Unlock()
	}
}

// ready does what the poller says can be done.
func (c *conn) ready(events uint32, buf []byte) {
	if events&unix.EPOLLOUT != 0 {
		c.writable()
	}
	switch {
	case c.state == closed || events&^unix.EPOLLOUT == 0:
		return
	case c.choked() && events&(unix.EPOLLHUP|unix.EPOLLERR) == 0:
		return // it was not when the event came; what is there can wait
	}
	n, err := unix.Read(int(c.fd), buf)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
	case err != nil:
		c.close()
	case n == 0:
		c.eof()
	default:
		c.input(buf[:n])
	}
}

// arm tells the poller what the connection waits for.
func (c *conn) arm() {
	if c.port != nil || c.state == closed {
		return
	}
	want := uint32(0)
	if c.state == reading && !c.choked() || c.state == lingering {
		want = unix.EPOLLIN | unix.EPOLLRDHUP
	}
	if c.stuck != 0 {
		want |= unix.EPOLLOUT
	}
	if want == c.interest {
		return
	}
	op := unix.EPOLL_CTL_MOD
	if !c.polled {
		c.polled, op = true, unix.EPOLL_CTL_ADD
	}
	c.interest = want
	_ = unix.EpollCtl(c.sh.poll.epoll, op, int(c.fd), &unix.EpollEvent{Events: want, Fd: c.fd, Pad: c.slot})
}

// send writes what the peer takes now.
func (c *conn) send(p []byte) (int, error) {
	if c.port != nil {
		return c.port.send(c, p)
	}
	for {
		n, err := unix.Write(int(c.fd), p)
		switch err {
		case nil:
			return n, nil
		case unix.EAGAIN:
			return 0, errAgain
		case unix.EINTR:
		default:
			return 0, err
		}
	}
}

// blocked tells whether nothing can be written until writable is called.
func (c *conn) blocked() bool { return c.port != nil && c.port.busy }

// shut closes our side; false: the connection cannot.
func (c *conn) shut() bool {
	if c.port != nil {
		return c.port.closeWrite()
	}
	c.stuck = 0
	c.arm()
	return unix.Shutdown(int(c.fd), unix.SHUT_WR) == nil
}

// hangUp closes the connection.
func (c *conn) hangUp() {
	if c.port != nil {
		_ = c.port.nc.Close()
		c.port.resume.Broadcast()
		return
	}
	_ = unix.Close(int(c.fd))
}

// socket is a listening socket.
type socket struct {
	*os.File
	raw syscall.RawConn
}

func (socket) sockets() bool { return true }

// listen takes a listener over: a socket is accepted from without net.Conns.
func listen(l net.Listener) (listener, error) {
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return conns{l}, nil
	}
	defer l.Close()
	f, err := tcp.File() // another descriptor of it
	if err != nil {
		return nil, err
	}
	raw, err := f.SyscallConn()
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	// What is set on the listener is inherited: a peer that is gone without a word is found out, small writes go at once.
	_ = raw.Control(func(fd uintptr) {
		for _, o := range [][3]int{
			{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
			{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 15},
			{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 15},
			{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		} {
			_ = unix.SetsockoptInt(int(fd), o[0], o[1], o[2])
		}
	})
	return socket{f, raw}, nil
}

func (l socket) accept(e *engine) error {
	var last netip.Addr // of the connection before, and its text: often the same
	var text string
	for wait := time.Duration(0); ; {
		var accepted error
		err := l.raw.Read(func(fd uintptr) bool {
			for {
				conn, from, err := unix.Accept4(int(fd), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
				switch err {
				case nil:
					wait = 0
					if a := addressOf(from); a != last || text == "" {
						last, text = a, netip.AddrPortFrom(a, 0).String()
					}
					e.next().take(conn, text)
				case unix.EINTR:
				case unix.EAGAIN:
					return false
				default:
					accepted = err
					return true
				}
			}
		})
		switch {
		case err != nil:
			return net.ErrClosed // the one reason there is
		case !passing(accepted):
			return accepted
		}
		wait = pause(wait)
	}
}

func addressOf(from unix.Sockaddr) netip.Addr {
	switch a := from.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(a.Addr)
	case *unix.SockaddrInet6:
		return netip.AddrFrom16(a.Addr).Unmap()
	}
	return netip.Addr{}
}

// take takes in a socket.
func (sh *shard) take(fd int, addr string) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.stopping {
		_ = unix.Close(fd)
		return
	}
	c := &conn{fd: int32(fd), addr: addr}
	sh.add(c)
	c.arm()
}
