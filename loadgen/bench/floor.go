//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"golang.org/x/sys/unix"
)

// floor is what receiving costs at least: it asks for its streams and then does nothing but epoll_wait and recvmsg into one buffer. The kernel says when bytes
// came; of what it reads it understands only the mark of the end of an event, and the send time in the last one of a read.
func floor(at, proto string, n, perConn int) error {
	u, err := url.Parse(at)
	if err != nil {
		return err
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		return err
	}
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	begun := time.Now()
	conns, streams := n, 1
	if proto == "h2c" {
		conns, streams = (n+perConn-1)/perConn, perConn
	}
	for i := range conns {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
		if err := unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			return fmt.Errorf("connection %d: %w", i, err)
		}
		request := []byte("GET " + u.RequestURI() + " HTTP/1.1\r\nHost: " + u.Host + "\r\nAccept: text/event-stream\r\n\r\n")
		if proto == "h2c" {
			request = http2Requests(u, min(streams, n-i*streams))
		}
		if _, err := unix.Write(fd, request); err != nil {
			return err
		}
		if err := unix.SetNonblock(fd, true); err != nil {
			return err
		}
		if err := unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
			return err
		}
	}
	if err := unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, 0, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLHUP, Fd: 0}); err != nil {
		return err
	}
	if err := say(opened{n, time.Since(begun).Seconds()}); err != nil {
		return err
	}
	var (
		buf      = make([]byte, 64<<10)
		oob      = make([]byte, 64)
		iov      = unix.Iovec{Base: &buf[0]}
		msg      = unix.Msghdr{Iov: &iov, Control: &oob[0]}
		ready    = make([]unix.EpollEvent, 1024)
		received int64
		delays   []float64
		acked    = map[int32]bool{}
		end      = []byte("\n\n")
	)
	iov.SetLen(len(buf))
	msg.SetIovlen(1)
	for {
		k, err := unix.EpollWait(ep, ready, -1)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		for _, e := range ready[:k] {
			if e.Fd == 0 {
				p50, p99 := spread(delays)
				return say(outcome{received, p50, p99})
			}
			msg.SetControllen(len(oob))
			r, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, uintptr(e.Fd), uintptr(unsafe.Pointer(&msg)), unix.MSG_DONTWAIT)
			if errno != 0 {
				continue
			}
			if r == 0 {
				unix.Close(int(e.Fd))
				continue
			}
			if proto == "h2c" && !acked[e.Fd] {
				acked[e.Fd] = true
				_, _ = unix.Write(int(e.Fd), []byte{0, 0, 0, 4, 1, 0, 0, 0, 0}) // SETTINGS, acknowledged
			}
			got := buf[:r]
			received += int64(bytes.Count(got, end))
			if sent := stamp(got); sent > 0 {
				if came := kernelStamp(oob[:msg.Controllen]); came > 0 {
					delays = append(delays, float64(came-sent)/1e3)
				}
			}
		}
	}
}

// kernelStamp reads the timespec of SO_TIMESTAMPNS.
func kernelStamp(oob []byte) int64 {
	if len(oob) < 32 || binary.NativeEndian.Uint32(oob[12:]) != unix.SO_TIMESTAMPNS {
		return 0
	}
	return int64(binary.NativeEndian.Uint64(oob[16:]))*1e9 + int64(binary.NativeEndian.Uint64(oob[24:]))
}

// http2Requests opens n streams with windows so large that they never close.
func http2Requests(u *url.URL, n int) []byte {
	var b, block bytes.Buffer
	b.WriteString(http2.ClientPreface)
	f := http2.NewFramer(&b, strings.NewReader(""))
	_ = f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1}, http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0})
	_ = f.WriteWindowUpdate(0, 1<<31-1-65535)
	enc := hpack.NewEncoder(&block)
	enc.SetMaxDynamicTableSize(0)
	for i := range n {
		block.Reset()
		for _, h := range []hpack.HeaderField{{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "http"}, {Name: ":authority", Value: u.Host}, {Name: ":path", Value: u.RequestURI()}, {Name: "accept", Value: "text/event-stream"}} {
			_ = enc.WriteField(h)
		}
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true})
	}
	return b.Bytes()
}
