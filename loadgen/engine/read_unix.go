//go:build unix && !linux

package engine

import "golang.org/x/sys/unix"

const canTry = true

const errAgain = unix.EAGAIN

func enableStamps(uintptr) {}

// tryRead reads without waiting: errAgain if nothing is there.
func tryRead(fd uintptr, p []byte) (n int, stamp int64, err error) {
	for {
		n, err := unix.Read(int(fd), p)
		if err != unix.EINTR {
			return n, 0, err
		}
	}
}
