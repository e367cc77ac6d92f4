package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/http/httpguts"
)

// Dialer opens streams. The zero value works: HTTP/1.1 in the clear, ALPN over TLS, no redirects, no transcript.
type Dialer struct {
	Proto        Proto
	TLS          *tls.Config                                                       // cloned; ServerName and NextProtos are set where empty
	ConnectTo    string                                                            // host:port to dial instead of the URL's; redirects to elsewhere go there
	NetDial      func(ctx context.Context, network, addr string) (net.Conn, error) // nil: a net.Dialer
	HeadTimeout  time.Duration                                                     // from dialling to the final head, each hop; 0: none but the context's
	MaxRedirects int                                                               // 301, 302, 303, 307, 308 followed as fetch does for EventSource; 0: none, the 3xx is the answer
	Decode       bool                                                              // decode gzip and deflate content where the response declares it, flush boundaries preserved
	Record       int                                                               // keep a Transcript of at most this many bytes a connection, bookkeeping included; 0: none
	Recording    func(*Transcript)                                                 // called with each transcript as it begins, also of connections that fail or only redirect
	Order        func(sent bool) int64                                             // with a transcript: called as a request goes out (sent), and as each read returns; see Chunk.Order
	MaxEvent     int                                                               // cap for the sse.Decoder of Stream.Next
	Limits       *Limits                                                           // caps of the HTTP/1.1 reader; nil: the defaults
	Frames       FramesOptions
}

// Stamper is what a net.Conn from [Dialer.NetDial] may be besides: its reads then tell when the bytes arrived (a kernel time stamp,
// the time of a recording) instead of the driver taking the time after the read.
type Stamper interface {
	ReadStamped(p []byte) (n int, at time.Time, err error)
}

// secured is what a net.Conn from NetDial is that brings its own TLS (a *tls.Conn, a recording of one): the driver shakes no hands over it.
type secured interface {
	net.Conn
	ConnectionState() tls.ConnectionState
}

// underTLS notes whether the peer ended TCP: crypto/tls tells a close_notify and a FIN between records by the same io.EOF.
type underTLS struct {
	net.Conn
	fin atomic.Bool
}

func (u *underTLS) Read(p []byte) (int, error) {
	n, err := u.Conn.Read(p)
	if n == 0 && err == io.EOF { // what comes with the end may hold the close_notify
		u.fin.Store(true)
	}
	return n, err
}

// readBuffer is the size of the one read buffer of a connection.
const readBuffer = 32 << 10

// Conn is one connection to a target. Over HTTP/1.1 it carries one stream at a time, over HTTP/2 many.
type Conn struct {
	dialer *Dialer
	raw    net.Conn  // what was dialled
	under  *underTLS // raw, as TLS reads it; nil in the clear
	nc     net.Conn  // raw, or TLS over it
	addr   string
	proto  Proto
	timing Timing
	record *Transcript

	recorded Recorded // raw, where it is of a recording

	closing atomic.Bool // we are closing: what reads and writes say from now on is not the peer's doing
	close   sync.Once
	wmu     sync.Mutex // serialises writes and their record

	opened bool // a stream was opened: the moments of connecting belong to that one
	h1     h1
	h2     *h2 // nil over HTTP/1.1
}

// TLS is the state of the TLS connection; nil in the clear.
func (c *Conn) TLS() *tls.ConnectionState {
	if t, ok := c.nc.(secured); ok {
		s := t.ConnectionState()
		return &s
	}
	return nil
}

// Proto is the protocol spoken.
func (c *Conn) Proto() Proto { return c.proto }

// Transcript is the live record of the connection; nil where Record is 0.
func (c *Conn) Transcript() *Transcript { return c.record }

// Timing holds the moments of connecting.
func (c *Conn) Timing() Timing { return c.timing }

// RemoteAddr is the address of the peer.
func (c *Conn) RemoteAddr() net.Addr { return c.raw.RemoteAddr() }

// Close closes the connection and ends its streams.
func (c *Conn) Close() error {
	c.closing.Store(true)
	var err error
	c.close.Do(func() {
		if c.h2 != nil {
			c.closeH2()
		}
		err = c.nc.Close()
	})
	return err
}

// abort closes the connection at once, without the farewell of TLS, which could block.
func (c *Conn) abort() {
	c.closing.Store(true)
	c.raw.Close()
}

// Dial connects (and shakes hands) without asking for anything. HeadTimeout bounds it.
func (d *Dialer) Dial(ctx context.Context, u *url.URL) (*Conn, error) {
	ctx, cancel := d.headContext(ctx)
	defer cancel()
	return d.dial(ctx, u, d.ConnectTo)
}

// headContext bounds ctx by HeadTimeout.
func (d *Dialer) headContext(ctx context.Context) (context.Context, context.CancelFunc) {
	if d.HeadTimeout <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, d.HeadTimeout, &TimeoutError{d.HeadTimeout})
}

// hostPort is the authority of u with its port.
func hostPort(u *url.URL) (string, error) {
	port := u.Port()
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return "", &RequestError{"the URL " + quote(u.Redacted()) + " is not http or https"}
	case u.Hostname() == "":
		return "", &RequestError{"the URL " + quote(u.Redacted()) + " names no host"}
	case port == "" && u.Scheme == "http":
		port = "80"
	case port == "":
		port = "443"
	}
	addr, err := httpguts.PunycodeHostPort(net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return "", &RequestError{"the host name of " + quote(u.Redacted()) + ": " + err.Error()}
	}
	return addr, nil
}

func (d *Dialer) dial(ctx context.Context, u *url.URL, connectTo string) (_ *Conn, failed error) {
	c := &Conn{dialer: d, proto: HTTP11}
	defer func() { c.record.dialled(c, failed) }()
	c.timing.Start = time.Now()
	if d.Record > 0 {
		c.record = newTranscript(c.timing.Start, d.Record)
		c.record.order = d.Order
	}
	host, err := hostPort(u)
	if c.addr = host; err != nil {
		c.addr = u.Redacted()
		return nil, c.error(ctx, PhaseResolve, err)
	}
	if connectTo != "" {
		c.addr = connectTo
	}
	if c.record != nil {
		c.record.addr, c.record.scheme = c.addr, u.Scheme
		if d.Recording != nil {
			d.Recording(c.record)
		}
	}
	switch {
	case d.Proto == H2C && u.Scheme == "https":
		return nil, c.error(ctx, PhaseConnect, &ProtoError{d.Proto, "h2c is HTTP/2 in the clear, the URL asks for TLS"})
	case d.Proto == HTTP2 && u.Scheme == "http":
		return nil, c.error(ctx, PhaseConnect, &ProtoError{d.Proto, "HTTP/2 over TLS needs an https URL; in the clear it is h2c"})
	case d.Proto == H2C:
		c.proto = H2C
	}
	if c.raw, err = c.connect(ctx); err != nil {
		phase := PhaseConnect
		if dns := (*net.DNSError)(nil); errors.As(err, &dns) {
			phase = PhaseResolve
		}
		if e := (*Error)(nil); errors.As(err, &e) {
			phase, err = e.Phase, e.Err // of a recording
		}
		return nil, c.error(ctx, phase, err)
	}
	c.timing.Connected = time.Since(c.timing.Start)
	if c.recorded, _ = c.raw.(Recorded); c.recorded != nil {
		c.timing = c.recorded.Dialled()
		c.record.dialled(c, nil)
	}
	if c.nc = c.raw; u.Scheme == "https" {
		if err := c.shakeHands(ctx, u); err != nil {
			c.record.end(time.Now(), howClosed(err))
			c.abort()
			return nil, c.error(ctx, PhaseTLS, err)
		}
		if c.recorded == nil {
			c.timing.TLS = time.Since(c.timing.Start)
		}
	}
	if c.proto != HTTP11 {
		c.startH2()
	}
	return c, nil
}

func (c *Conn) connect(ctx context.Context) (net.Conn, error) {
	var resolved atomic.Int64 // a net.Dialer that gave up may still call back
	trace := &httptrace.ClientTrace{DNSDone: func(httptrace.DNSDoneInfo) {
		resolved.Store(int64(time.Since(c.timing.Start)))
	}}
	dial := c.dialer.NetDial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	nc, err := dial(httptrace.WithClientTrace(ctx, trace), "tcp", c.addr)
	c.timing.Resolved = time.Duration(resolved.Load())
	return nc, err
}

func (c *Conn) shakeHands(ctx context.Context, u *url.URL) error {
	cfg := new(tls.Config)
	if c.dialer.TLS != nil {
		cfg = c.dialer.TLS.Clone()
	}
	if cfg.ServerName == "" {
		host, err := hostPort(u)
		if err != nil {
			return err
		}
		cfg.ServerName, _, _ = net.SplitHostPort(host)
	}
	if len(cfg.NextProtos) == 0 {
		cfg.NextProtos = offers(c.dialer.Proto)
	}
	t, ok := c.raw.(secured)
	if !ok {
		c.under = &underTLS{Conn: c.raw}
		t = tls.Client(c.under, cfg)
	}
	if t, ok := t.(*tls.Conn); ok {
		err := t.HandshakeContext(ctx)
		if want := c.dialer.Proto; want == HTTP2 && howClosed(err) == "TLS alert: no application protocol" {
			c.record.end(time.Now(), howClosed(err))
			return &ProtoError{want, "the server refuses \"h2\" by ALPN"}
		}
		if err != nil {
			return err
		}
	}
	c.nc = t
	picked := t.ConnectionState().NegotiatedProtocol
	if picked == "h2" {
		c.proto = HTTP2
	}
	if want := c.dialer.Proto; want == HTTP2 && c.proto != HTTP2 {
		if picked == "" {
			return &ProtoError{want, "the server takes no part in ALPN"}
		}
		return &ProtoError{want, "the server picked " + quote(picked) + " by ALPN, not \"h2\""}
	}
	return nil
}

func offers(p Proto) []string {
	switch p {
	case HTTP2:
		return []string{"h2"}
	case Auto:
		return []string{"h2", "http/1.1"}
	default:
		return []string{"http/1.1"}
	}
}

// read takes one read from the connection and the time of its arrival, before anything else.
func (c *Conn) read(p []byte) (n int, at time.Time, err error) {
	if s, ok := c.nc.(Stamper); ok {
		n, at, err = s.ReadStamped(p)
	} else {
		n, err = c.nc.Read(p)
		at = time.Now()
	}
	if n > 0 && c.closing.Load() {
		return 0, at, net.ErrClosed // what comes when we have left is of no account
	}
	c.record.chunk(at, false, p[:n])
	if err != nil {
		err = c.closedBy(err, at)
	}
	return n, at, err
}

// closedBy notes how the peer ended the connection and gives the error to go by.
func (c *Conn) closedBy(err error, at time.Time) error {
	how := howClosed(err)
	if told := (*ClosedError)(nil); errors.As(err, &told) {
		how, err = told.How, told.Err
	}
	if err == io.EOF && c.under != nil {
		if how = "close_notify"; c.under.fin.Load() {
			how, err = howClosed(io.ErrUnexpectedEOF), io.ErrUnexpectedEOF
		}
	}
	if !c.closing.Load() && !isTimeout(err) {
		c.record.end(at, how)
	}
	return err
}

// write sends p and keeps what went out. It returns when that was done.
func (c *Conn) write(p []byte) (time.Time, error) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	n, err := c.nc.Write(p)
	at := time.Now()
	c.record.chunk(at, true, p[:n])
	return at, err
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// howClosed names the way in which the peer ended the connection.
func howClosed(err error) string {
	var op *net.OpError
	switch {
	case err == nil:
		return ""
	case errors.Is(err, io.EOF):
		return "FIN"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "FIN without close_notify"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "RST"
	case errors.As(err, &op) && op.Op == "remote error":
		return "TLS alert: " + strings.TrimPrefix(op.Err.Error(), "tls: ")
	}
	return err.Error()
}

// error makes an [Error] of err; where ctx is done its cause is the reason.
func (c *Conn) error(ctx context.Context, phase Phase, err error) *Error {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return &Error{Phase: phase, Addr: c.addr, Err: err, Timing: c.timing, Transcript: c.record}
}

// Open sends r and returns when the final head is there (or, over HTTP/2, the stream was reset). ctx governs the stream to its end;
// HeadTimeout counts from here. Over HTTP/1.1 a connection whose last message is not complete or that
// must be closed after it gives [ErrBusy].
func (c *Conn) Open(ctx context.Context, r *Request) (*Stream, error) {
	head, cancel := c.dialer.headContext(ctx)
	defer cancel()
	return c.open(ctx, head, r)
}

// open is Open with life, the context of the stream, and head, that of its opening, which is done when life is.
func (c *Conn) open(life, head context.Context, r *Request) (*Stream, error) {
	open := c.openH1
	if c.h2 != nil {
		open = c.openH2
	}
	s, err := open(life, head, r)
	if err != nil {
		return nil, err
	}
	if c.dialer.Decode {
		if err := s.decode(life); err != nil {
			s.err = s.error(err) // Read and Next say it; the head is good
		}
	}
	return s, nil
}
