package engine

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

const canTry = true

const errAgain = unix.EAGAIN

// enableStamps asks the kernel to stamp what arrives. Where it refuses, reads are stamped when they return.
func enableStamps(fd uintptr) {
	_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
}

// tryRead reads without waiting: errAgain if nothing is there. stamp is when the last segment of what was read arrived, by the kernel, in
// ns of the wall clock; 0 if it is not known.
func tryRead(fd uintptr, p []byte) (n int, stamp int64, err error) {
	var oob [64]byte
	for {
		n, oobn, _, _, err := unix.Recvmsg(int(fd), p, oob[:], 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return 0, 0, err
		}
		return n, stampOf(oob[:oobn]), nil
	}
}

// stampOf reads the one control message we asked for: a header of length, level and type, then a timespec.
func stampOf(oob []byte) int64 {
	const word = 4 << (^uintptr(0) >> 63) // size of long
	header := unix.CmsgLen(0)
	if word != 8 || len(oob) < header+2*word {
		return 0
	}
	e := binary.NativeEndian
	if e.Uint32(oob[word:]) != unix.SOL_SOCKET || e.Uint32(oob[word+4:]) != unix.SO_TIMESTAMPNS {
		return 0
	}
	return int64(e.Uint64(oob[header:]))*1e9 + int64(e.Uint64(oob[header+8:]))
}
