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
	large = &sync.Pool{New: func() any { return &buffer{data: make([]byte, largeBuffer)} }}
)

// conn reads a connection without holding a buffer while it waits: a socket is tried and waited for, and TLS is fed what came. One goroutine reads;
// others may write and close.
type conn struct {
	net  net.Conn        // the socket, or whatever was dialled
	raw  syscall.RawConn // nil if it is no socket: then a buffer is held while waiting
	tls  *tls.Conn       // nil in the clear
	feed *feed           // what tls reads from
	pool *sync.Pool      // of buffers

	try   func(fd uintptr) bool // attempt, bound once
	buf   *buffer               // what attempt read, n bytes of it
	n     int
	err   error
	at    time.Time     // when it came: the kernel's stamp where there is one
	delay time.Duration // from then to when it was read; 0 if not known
	known bool          // delay is known, and was not told yet
	some  bool          // this read has brought an event already
}

// newConn makes a conn of what was dialled.
func newConn(nc net.Conn, pool *sync.Pool) *conn {
	c := &conn{net: nc, pool: pool}
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
	now := time.Now()
	c.at, c.delay, c.known, c.some = now, 0, false, false
	if d := time.Duration(now.UnixNano() - stamp); stamp > 0 && d >= 0 && d < time.Hour { // a stepped clock is no delay
		c.at, c.delay, c.known = now.Add(-d), d, true
	}
	if n == 0 && err == nil {
		err = io.EOF
	}
	c.buf, c.n, c.err = b, max(n, 0), err
	return true
}

// tell gives the delay of the last read to r, once: with TLS a read can be several pieces.
func (c *conn) tell(r *measure.Recorder) {
	if c.known {
		c.known = false
		r.Delay(c.delay)
	}
}

// blur is how much earlier than the last read's stamp its next event may have arrived: the stamp is that of the last segment, which is exact for an event that is alone.
func (c *conn) blur() int64 {
	if !c.some {
		c.some = true
		return 0
	}
	return int64(c.delay)
}

// receive waits for bytes from the network. The caller gives the buffer back.
func (c *conn) receive() (*buffer, int, error) {
	if c.raw == nil {
		b := c.pool.Get().(*buffer)
		n, err := c.net.Read(b.data[:])
		c.at = time.Now()
		return b, n, err
	}
	c.buf, c.n, c.err = nil, 0, nil
	if err := c.raw.Read(c.try); err != nil {
		return nil, 0, err
	}
	return c.buf, c.n, c.err
}

// read waits for bytes of content and calls each with them, in order, once for each piece; their time is c.at. It returns when what came is used up, or with
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
