//go:build unix && !linux

package engine

import (
	"syscall"

	"golang.org/x/sys/unix"
)

const canTry = true

var errAgain error = unix.EAGAIN

type aux struct{}

func enableStamps(uintptr) {}

func bindLate(uintptr) {}

// tryRead reads without waiting: errAgain if nothing is there.
func tryRead(fd uintptr, b *buffer) (n int, stamp int64, err error) {
	for {
		n, err := unix.Read(int(fd), b.data[:])
		if err != unix.EINTR {
			return n, 0, err
		}
	}
}

// Narrow leaves little room for what comes on a socket that is not connected yet.
func Narrow(fd uintptr) {
	_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, slowReceive)
}

// HungUp is not known here: a slow reader is closed when it reads that it is.
func HungUp(syscall.RawConn) bool { return false }
