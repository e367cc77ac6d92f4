//go:build unix

package server

import (
	"errors"
	"net"
	"syscall"
)

// setBacklog changes how many connections the kernel keeps for l until they are accepted: it takes a second listen(2) for that.
func setBacklog(l net.Listener, n int) error {
	sc, ok := l.(syscall.Conn)
	if !ok {
		return errors.ErrUnsupported
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return err
	}
	failed := rc.Control(func(fd uintptr) { err = syscall.Listen(int(fd), n) })
	return errors.Join(failed, err)
}
