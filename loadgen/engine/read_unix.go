//go:build unix && !linux

package engine

import "golang.org/x/sys/unix"

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
