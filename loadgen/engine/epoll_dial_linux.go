package engine

import (
	"net"
	"net/netip"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"ssegauge/reference/wire"
)

// canStamp: the kernel stamps what arrives.
const canStamp = true

// direct tells whether the sockets of a target can be made and read here.
func direct(t *Target) bool {
	return t.TLS == nil && t.Dial == nil && (t.Proto == wire.HTTP11 || t.Proto == wire.H2C) && sockaddrs(t) != nil
}

// sockaddrs are the addresses of a target; nil if one is no IP address.
func sockaddrs(t *Target) (all []unix.Sockaddr) {
	for _, a := range t.Addrs {
		ap, err := netip.ParseAddrPort(a)
		if err != nil {
			return nil
		}
		all = append(all, sockaddr(ap.Addr(), ap.Port()))
	}
	return all
}

func sockaddr(ip netip.Addr, port uint16) unix.Sockaddr {
	if ip = ip.Unmap(); ip.Is4() {
		return &unix.SockaddrInet4{Port: int(port), Addr: ip.As4()}
	}
	sa := &unix.SockaddrInet6{Port: int(port), Addr: ip.As16()}
	if zone := ip.Zone(); zone != "" {
		if i, err := net.InterfaceByName(zone); err == nil {
			sa.ZoneId = uint32(i.Index)
		} else if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
			sa.ZoneId = uint32(n)
		}
	}
	return sa
}

// connect begins a connection to target t, whose events carry pad. Errors are those of the system.
func (l *loop) connect(t int, pad int32) (fd int, err error) {
	l.turn++
	dest := l.dests[t][l.turn%len(l.dests[t])]
	family := unix.AF_INET
	if _, ok := dest.(*unix.SockaddrInet6); ok {
		family = unix.AF_INET6
	}
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return -1, err
	}
	enableStamps(uintptr(fd))
	if l.Targets[t].Proto != wire.HTTP11 {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	if l.Targets[t].Abrupt {
		_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	for tries := 0; ; tries++ {
		from, more := l.Targets[t].source(l.turn, tries)
		if from.IsValid() {
			bindLate(uintptr(fd))
			err = unix.Bind(fd, sockaddr(from, 0))
		}
		if err == nil {
			err = unix.Connect(fd, dest)
		}
		if err != unix.EADDRNOTAVAIL || !more {
			break
		}
		err = nil
	}
	if err == nil || err == unix.EINPROGRESS || err == unix.EINTR {
		// One registration for its whole life: edges say when it can be written to and when something came.
		err = unix.EpollCtl(l.epfd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: edges, Fd: int32(fd), Pad: pad})
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	l.alive++
	l.connecting++
	return fd, nil
}

const edges = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | -unix.EPOLLET&0xffffffff

// connected takes the first events of a socket: nil once it is connected, EAGAIN while it is not.
func (l *loop) connected(fd int, events uint32) error {
	if events&(unix.EPOLLERR|unix.EPOLLHUP) != 0 {
		if code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR); err != nil {
			return err
		} else if code != 0 {
			return unix.Errno(code)
		}
	}
	if events&unix.EPOLLOUT == 0 {
		return unix.EAGAIN
	}
	l.connecting--
	l.Board.Connection()
	return nil
}

// disconnect closes a socket that was in such a state.
func (l *loop) disconnect(fd int, state uint8) {
	switch state {
	case closed:
		return
	case connecting:
		l.connecting--
	}
	l.alive--
	unix.Close(fd)
}

// again asks for an event for what is left in the socket.
func (l *loop) again(fd int, pad int32) {
	l.first = min(l.first, l.since)
	_ = unix.EpollCtl(l.epfd, unix.EPOLL_CTL_MOD, fd, &unix.EpollEvent{Events: edges, Fd: int32(fd), Pad: pad})
}

// send writes what fits of p, without waiting: EAGAIN where nothing does.
func send(fd int, p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		r, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		switch errno {
		case 0:
			return int(r), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}
