package server

import (
	"net"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSockets asks the kernel what it was told: the length of the accept queue, and the send buffer of a connection.
func TestSockets(t *testing.T) {
	for _, limits := range []Limits{{}, {Backlog: 3, SendBuffer: 8 << 10}} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		s, err := New(Config{Limits: limits})
		if err != nil {
			t.Fatal(err)
		}
		var queue, buffer int
		ask(t, l.(syscall.Conn), func(fd int) error {
			if err := s.gated(&l); err != nil {
				return err
			}
			info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
			if err == nil {
				queue = int(info.Sacked) // of a listener: sk_max_ack_backlog
			}
			return err
		})
		client, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		ask(t, c.(syscall.Conn), func(fd int) (err error) {
			buffer, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF)
			return err
		})
		if told := limits.Backlog > 0; told != (queue == 3) || told != (buffer == 16<<10) {
			t.Errorf("%+v: a queue of %d, a buffer of %d", limits, queue, buffer)
		}
	}
}

func ask(t *testing.T, c syscall.Conn, what func(fd int) error) {
	t.Helper()
	rc, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	if err := rc.Control(func(fd uintptr) { failed = what(int(fd)) }); err != nil || failed != nil {
		t.Fatal(err, failed)
	}
}
