package engine

import (
	"encoding/binary"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const canTry = true

var errAgain error = unix.EAGAIN

// enableStamps asks the kernel to stamp what arrives. Where it refuses, reads are stamped when they return.
func enableStamps(fd uintptr) {
	_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
}

// bindLate lets a socket that is bound to an address alone get its port when it connects: then only the whole of source and destination must be unique.
func bindLate(fd uintptr) {
	_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
}

// aux is the message of recvmsg, kept with the buffer so that a read allocates nothing.
type aux struct {
	msg unix.Msghdr
	iov unix.Iovec
	oob [64]byte
}

// tryRead reads without waiting: errAgain if nothing is there. stamp is when the last segment of what was read arrived, by the kernel, in
// ns of the wall clock; 0 if it is not known.
func tryRead(fd uintptr, b *buffer) (n int, stamp int64, err error) {
	a := &b.aux
	a.iov.Base = &b.data[0]
	a.iov.SetLen(len(b.data))
	a.msg.Iov = &a.iov
	a.msg.SetIovlen(1)
	a.msg.Control = &a.oob[0]
	for {
		a.msg.SetControllen(len(a.oob))
		r, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(&a.msg)), unix.MSG_DONTWAIT)
		switch errno {
		case 0:
			return int(r), stampOf(a.oob[:a.msg.Controllen]), nil
		case unix.EINTR:
		case unix.EAGAIN:
			return 0, 0, errAgain
		default:
			return 0, 0, errno
		}
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

// Narrow leaves little room for what comes on a socket that is not connected yet.
func Narrow(fd uintptr) {
	_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, slowReceive)
	_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG, slowSegment)
}

// HungUp tells whether the other end has closed a connection, as far as the kernel knows: not if its end stands behind what there was no room for.
func HungUp(raw syscall.RawConn) (over bool) {
	const established = 1 // TCP_ESTABLISHED
	_ = raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		over = err == nil && info.State != established
	})
	return over
}
