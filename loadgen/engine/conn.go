package engine

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"ssegauge/loadgen/measure"
)

// The sizes of read buffers. Goroutines that wait for a processor or a recorder each hold one, so that a stream of its own gets a small one; a
// connection with a hundred streams takes an event for each of them in one read.
const (
	smallBuffer = 4 << 10
	largeBuffer = 16 << 10
)

type buffer struct {
	data []byte
	aux  aux // what the system call needs beside it
}

// The pools are shared by all connections: a buffer is held only while there is something in it.
var (
	small = &sync.Pool{New: func() any { return &buffer{data: make([]byte, smallBuffer)} }}
	// smallest is for slow readers.
	smallest = &sync.Pool{New: func() any { return &buffer{data: make([]byte, slowBuffer)} }}
	large    = &sync.Pool{New: func() any { return &buffer{data: make([]byte, largeBuffer)} }}
)

// conn reads a connection without holding a buffer while it waits: a socket is tried and waited for, and TLS is fed what came. One goroutine reads;
// others may write and close.
type conn struct {
	net   net.Conn        // the socket, or whatever was dialled
	raw   syscall.RawConn // nil if it is no socket: then a buffer is held while waiting
	tls   *tls.Conn       // nil in the clear
	feed  *feed           // what tls reads from
	pool  *sync.Pool      // of buffers
	board *measure.Board  // tells the time

	lingers bool // it stays at the end of the run: who reads it closes it

	try func(fd uintptr) bool // attempt, bound once
	buf *buffer               // what attempt read, n bytes of it
	n   int
	err error
	arr arrival // of what was read last
}

// newConn makes a conn of what was dialled.
func newConn(nc net.Conn, pool *sync.Pool, b *measure.Board) *conn {
	c := &conn{net: nc, pool: pool, board: b}
	if sc, ok := nc.(syscall.Conn); ok && canTry {
		if raw, err := sc.SyscallConn(); err == nil {
			c.raw = raw
			c.try = c.attempt
			raw.Control(enableStamps)
		}
	}
	return c
}

// attempt reads once if there is something; it runs within RawConn.Read, which waits while it returns false.
func (c *conn) attempt(fd uintptr) bool {
	b := c.pool.Get().(*buffer)
	n, stamp, err := tryRead(fd, b)
	if err == errAgain {
		c.pool.Put(b)
		return false
	}
	c.arr = arrived(c.board, time.Now(), stamp)
	if n == 0 && err == nil {
		err = io.EOF
	}
	c.buf, c.n, c.err = b, max(n, 0), err
	return true
}

// receive waits for bytes from the network. The caller gives the buffer back.
func (c *conn) receive() (*buffer, int, error) {
	if c.raw == nil {
		b := c.pool.Get().(*buffer)
		n, err := c.net.Read(b.data[:])
		c.arr = arrived(c.board, time.Now(), 0)
		return b, n, err
	}
	c.buf, c.n, c.err = nil, 0, nil
	if err := c.raw.Read(c.try); err != nil {
		return nil, 0, err
	}
	return c.buf, c.n, c.err
}

// read waits for bytes of content and calls each with them, in order, once for each piece; their time is c.arr. It returns when what came is used up, or with
// the error that ended the connection.
func (c *conn) read(each func(p []byte)) error {
	if c.tls == nil {
		b, n, err := c.receive()
		if n > 0 {
			each(b.data[:n])
		}
		if b != nil {
			c.pool.Put(b)
		}
		return err
	}
	// What the handshake read too much of comes first: TLS is asked before the socket.
	plain := c.pool.Get().(*buffer)
	some := false
	for {
		n, err := c.tls.Read(plain.data[:])
		if n > 0 {
			some = true
			each(plain.data[:n])
		}
		if errors.Is(err, errNothing) {
			break
		}
		if err != nil {
			c.pool.Put(plain)
			return err
		}
	}
	c.pool.Put(plain)
	if some {
		return nil // the caller may have had enough
	}
	b, n, err := c.receive()
	if n > 0 {
		c.feed.b, c.feed.left = b, b.data[:n]
	} else if b != nil {
		c.pool.Put(b)
	}
	if err != nil {
		c.feed.err = err
		if n == 0 && !errors.Is(err, io.EOF) {
			return err
		}
	}
	return nil
}

// write sends p.
func (c *conn) write(p []byte) error {
	var w io.Writer = c.net
	if c.tls != nil {
		w = c.tls
	}
	_, err := w.Write(p)
	return err
}

// close closes the socket at once: the farewell of TLS could block.
func (c *conn) close() { c.net.Close() }

// feed is the net.Conn that a tls.Conn reads from once the handshake is done: it gives what it was fed and then says that there is nothing yet, a
// timeout, which a tls.Conn survives. So TLS too holds no buffer of ours while it waits.
type feed struct {
	net.Conn
	fed  bool // no more reading of the socket itself
	pool *sync.Pool
	b    *buffer
	left []byte
	err  error // after left
}

type nothingYet struct{}

func (nothingYet) Error() string   { return "nothing yet" }
func (nothingYet) Timeout() bool   { return true }
func (nothingYet) Temporary() bool { return true }

var errNothing net.Error = nothingYet{}

func (f *feed) Read(p []byte) (int, error) {
	if !f.fed {
		return f.Conn.Read(p)
	}
	if len(f.left) == 0 {
		if f.err != nil {
			return 0, f.err
		}
		return 0, errNothing
	}
	n := copy(p, f.left)
	if f.left = f.left[n:]; len(f.left) == 0 {
		f.pool.Put(f.b)
		f.b, f.left = nil, nil
	}
	return n, nil
}
