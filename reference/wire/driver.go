package wire

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/url"
	"time"

	"ssegauge/reference/sse"
)

// Dialer opens streams. The zero value works: HTTP/1.1 in the clear, ALPN over TLS, no redirects, no transcript.
type Dialer struct {
	Proto        Proto
	TLS          *tls.Config                                                       // cloned; ServerName and NextProtos are set where empty
	ConnectTo    string                                                            // host:port to dial instead of the URL's
	NetDial      func(ctx context.Context, network, addr string) (net.Conn, error) // nil: a net.Dialer
	HeadTimeout  time.Duration                                                     // from dialling to the final head, each hop; 0: none but the context's
	MaxRedirects int                                                               // 301, 302, 303, 307, 308 followed as fetch does for EventSource; 0: none, the 3xx is the answer
	Decode       bool                                                              // decode gzip and deflate content where the response declares it, flush boundaries preserved
	Record       int                                                               // keep a Transcript of at most this many bytes a connection; 0: none
	MaxEvent     int                                                               // cap for the sse.Decoder of Stream.Next
	Frames       FramesOptions
}

// Conn is one connection to a target. Over HTTP/1.1 it carries one stream at a time, over HTTP/2 many.
type Conn struct{ _ int }

// Dial connects (and shakes hands) without asking for anything.
func (d *Dialer) Dial(ctx context.Context, u *url.URL) (*Conn, error) { panic("pending") }

// Open sends r and returns when the final head is there (or, over HTTP/2, the stream was reset).
func (c *Conn) Open(ctx context.Context, r *Request) (*Stream, error) { panic("pending") }

// Proto is the protocol spoken.
func (c *Conn) Proto() Proto { panic("pending") }

// Peer returns the HTTP/2 settings of the peer; the zero value over HTTP/1.1.
func (c *Conn) Peer() PeerSettings { panic("pending") }

// Transcript is the live record of the connection; nil where Record is 0.
func (c *Conn) Transcript() *Transcript { panic("pending") }

// Close closes the connection and ends its streams.
func (c *Conn) Close() error { panic("pending") }

// Open dials, sends r, follows redirects as configured, and returns at the final head.
// The connection belongs to the stream: Stream.Close closes it.
func (d *Dialer) Open(ctx context.Context, r *Request) (*Stream, error) { panic("pending") }

// Hop is one redirect that was followed.
type Hop struct {
	URL  *url.URL
	Head *Head
}

// Stream is one response whose head has arrived. Read gives content bytes; Next gives events; use one of the two.
// A Stream is for one goroutine; Close may be called from any.
type Stream struct {
	Request *Request // as sent, the last hop's
	URL     *url.URL // final URL after redirects
	Hops    []Hop
	Head    *Head
	Timing  Timing
	Trailer Header
	Conn    *Conn
	ID      uint32 // HTTP/2 stream
	Decoder sse.Decoder
}

var _ io.ReadCloser = (*Stream)(nil)

// Read reads content after transfer coding (and content coding where Decode is on). io.EOF only at a proper end of the message;
// a message cut short is *Error with Phase body and io.ErrUnexpectedEOF, a reset one *ResetError.
func (s *Stream) Read(p []byte) (int, error) { panic("pending") }

// Next blocks until the next event. ev is valid until the next call. io.EOF as for Read.
// at is when the read that completed the event returned.
func (s *Stream) Next(ev *sse.Event) (at time.Time, err error) { panic("pending") }

// SetReadDeadline bounds Read and Next; the error is os.ErrDeadlineExceeded and the stream stays usable.
func (s *Stream) SetReadDeadline(t time.Time) error { panic("pending") }

// Close ends the stream: over HTTP/2 RST_STREAM CANCEL, over HTTP/1.1 the connection is closed unless the message was complete.
func (s *Stream) Close() error { panic("pending") }
