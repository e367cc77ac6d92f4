// Package wire is one response stream as it stands on the wire: two protocol
// cores without I/O, [Response] for HTTP/1.1 (RFC 9112) and [Frames] for
// HTTP/2 (RFC 9113), and a driver over net.Conn, [Dialer], that knows each phase
// of a request and keeps a [Transcript].
//
// The cores are fed bytes and report what they mean as [Item] values; who reads the
// socket is not their business. They judge and do not repair: what the peer did wrong
// is reported as a [Fault] beside what it meant. Both are resumable at any byte, bounded by caps, and do not
// allocate while body bytes flow, so the checks and the load engine share one grammar.
//
// What a peer can do wrong stands in two tables, [ResponseFaults] and [FrameFaults]: to report one thing more, add a code with its row there and
// a vector in testdata. How a stream is opened and read begins in driver.go; driver_h1.go and driver_h2.go say what differs.
//
// The package may import the standard library and golang.org/x/net's hpack and http2.Framer (for writing).
package wire

import (
	"context"
	"net/url"
	"os"
	"strings"
	"time"
)

// Proto is a protocol version, and what a [Dialer] may speak.
type Proto uint8

// The protocols. Auto means: HTTP/1.1 in the clear, whatever ALPN picks (h2, http/1.1) over TLS.
const (
	Auto   Proto = iota
	HTTP10       // only ever seen in a response
	HTTP11
	HTTP2 // over TLS by ALPN "h2"
	H2C   // HTTP/2 in the clear with prior knowledge, RFC 9113 3.3
)

// String gives the name used in results: "1.0", "1.1", "2", "h2c".
func (p Proto) String() string {
	switch p {
	case HTTP10:
		return "1.0"
	case HTTP11:
		return "1.1"
	case HTTP2:
		return "2"
	case H2C:
		return "h2c"
	}
	return "auto"
}

// Field is one header or trailer field, name and value as they stood on the wire
// (the value without surrounding white space).
type Field struct{ Name, Value string }

// Header is a list of fields in the order of the wire; a name may stand several times.
type Header []Field

// Get returns the first value of name, matched without regard to case, or "".
func (h Header) Get(name string) string {
	for i := range h {
		if strings.EqualFold(h[i].Name, name) {
			return h[i].Value
		}
	}
	return ""
}

// Has tells whether a field of that name is there.
func (h Header) Has(name string) bool {
	for i := range h {
		if strings.EqualFold(h[i].Name, name) {
			return true
		}
	}
	return false
}

// Values returns every value of name in order.
func (h Header) Values(name string) []string {
	var v []string
	for i := range h {
		if strings.EqualFold(h[i].Name, name) {
			v = append(v, h[i].Value)
		}
	}
	return v
}

// Request is what to ask for. The driver adds Host (or the pseudo-fields), and Content-Length for a body; nothing else:
// Accept and its kin stand in Header where they are wanted.
type Request struct {
	Method string // empty: GET
	URL    *url.URL
	Header Header // sent in this order, names as written (lower-cased over HTTP/2)
	Body   []byte
	HTTP10 bool // speak HTTP/1.0 on the request line; *ProtoError on a connection that speaks HTTP/2
}

// Head is the head of a response.
type Head struct {
	Proto  Proto
	Status int
	Reason string // HTTP/1 only
	Header Header
	// Offset and End bound the head in the bytes received on its connection;
	// over HTTP/2 they bound the HEADERS frame with its CONTINUATIONs.
	Offset, End int64
}

// Kind says what an [Item] is.
type Kind uint8

// The kinds of item. The first group comes from both cores, the second from [Frames] alone.
const (
	None    Kind = iota // nothing yet: more input is needed
	Interim             // a 1xx head, in Head
	Final               // the final head, in Head
	Body                // content bytes, in Data, after transfer coding, before content coding
	Trailer             // trailer fields, in Trailer
	End                 // the message is complete (by its own framing); Stream tells which over HTTP/2
	Broken              // a fault, in Fault; the core goes on where it can

	Settings     // the peer's SETTINGS took effect: see Frames.Peer
	SettingsAck  // the peer acknowledged ours
	Reset        // RST_STREAM for Stream, with Code
	GoAway       // GOAWAY: Stream is the last stream id, Code the error, Data the debug data
	Ping         // a PING; the answer is in Out already
	PingAck      // the answer to ours
	WindowUpdate // flow-control credit arrived, for Stream (0: the connection)
)

// Item is one thing a core found out. Slices are valid until the next call of the core.
type Item struct {
	Kind    Kind
	Stream  uint32 // HTTP/2 stream, 0 for the connection; always 0 from Response
	Code    uint32 // HTTP/2 error code of Reset and GoAway
	Head    *Head
	Trailer Header
	Data    []byte
	Offset  int64 // where in the connection's received bytes this item's first byte stands
	Fault   Fault
}

// FaultCode names a way in which a peer broke the protocol. Codes are stable: checks map them to requirements.
type FaultCode string

// Fault is one breach of the protocol by the peer.
type Fault struct {
	Code   FaultCode
	Stream uint32
	Offset int64  // in the connection's received bytes
	Length int    // how many bytes are at fault; 0 where it is an absence
	Detail string // one line, with what was seen (escaped) and what would be right
	Clause string // "RFC 9112 7.1"
}

// Phase is the step of a request that an [Error] stopped.
type Phase string

// The phases in order.
const (
	PhaseResolve  Phase = "resolve"
	PhaseConnect  Phase = "connect"
	PhaseTLS      Phase = "tls"
	PhaseWrite    Phase = "write"
	PhaseHead     Phase = "head"
	PhaseRedirect Phase = "redirect"
	PhaseBody     Phase = "body"
)

// Error is why a stream could not be opened or went on no further. Err unwraps to the cause
// (context errors, *TimeoutError, syscall.Errno, *Fault, *CapError, *RedirectError, *ProtoError, *ResetError, *GoAwayError ...).
type Error struct {
	Phase Phase
	Addr  string // host:port, or the URL for a redirect
	Err   error

	Timing     Timing      // as far as the request came
	Transcript *Transcript // of the connection it happened on; nil where none was made or kept
	Head       *Head       // of the response, where one had come: of a redirect that cannot be followed, of a body that broke off
	Hops       []Hop       // redirects followed before
}

func (e *Error) Error() string { return string(e.Phase) + " " + e.Addr + ": " + e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

// TimeoutError is the cause where [Dialer.HeadTimeout] ran out. It is os.ErrDeadlineExceeded and context.DeadlineExceeded to errors.Is.
type TimeoutError struct{ After time.Duration }

func (e *TimeoutError) Error() string {
	return "no response head within " + e.After.String()
}

// Timeout makes it a net.Error's timeout.
func (e *TimeoutError) Timeout() bool { return true }

// Is reports the kinship with the two deadline errors of the standard library.
func (e *TimeoutError) Is(target error) bool {
	return target == os.ErrDeadlineExceeded || target == context.DeadlineExceeded
}

// ProtoError is the cause where the protocol that was asked for cannot be spoken.
type ProtoError struct {
	Want   Proto
	Reason string
}

func (e *ProtoError) Error() string { return "HTTP version " + e.Want.String() + ": " + e.Reason }

// RequestError is the cause where a [Request] cannot be sent as it stands: the fault is the caller's.
type RequestError struct{ Reason string }

func (e *RequestError) Error() string { return e.Reason }

// Timing holds the moments of one request as offsets from Start, on the monotonic clock; zero where a phase did not happen.
type Timing struct {
	Start      time.Time
	Resolved   time.Duration
	Connected  time.Duration
	TLS        time.Duration // handshake done
	Written    time.Duration // last byte of the request handed to the kernel
	FirstByte  time.Duration // first byte of the response
	Head       time.Duration // final head complete
	FirstBody  time.Duration // first byte of content
	FirstEvent time.Duration // first dispatched event
	Ended      time.Duration
}
