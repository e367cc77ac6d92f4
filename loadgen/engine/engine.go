// Package engine opens streams by plan and feeds what they carry to recorders. The grammar is reference/wire's and reference/sse's: an engine is who reads
// the sockets, and nothing else. [Portable] is a goroutine for each connection; it runs everywhere and over everything.
//
// It may import reference/sse, reference/wire, loadgen/measure and loadgen/schedule, and golang.org/x/sys. To add an engine: one type with Run; the tests
// take it from the table in engine_test.go.
package engine

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"ssegauge/loadgen/measure"
	"ssegauge/loadgen/schedule"
	"ssegauge/reference/wire"
)

// Engine runs a job.
type Engine interface {
	// Run opens the streams of the job at their times and reads them until ctx is done or all have ended, then closes what is open. When it returns, nothing
	// of it is left.
	Run(ctx context.Context, j *Job)
}

// Job is what to open, and who records it.
type Job struct {
	Targets        []Target         // stream n goes to target n mod len
	Openings       schedule.Arrival // when, since the board's epoch
	Burst          bool             // all at once: none is late
	StreamsPerConn int              // HTTP/2: at most so many, and never more than the peer allows
	Timeout        time.Duration    // from the start of connecting to the response head
	Board          *measure.Board
	Life           Life
}

// Target is where streams are opened, with redirects and names resolved.
type Target struct {
	Request  *wire.Request
	Requests func(n int) (*wire.Request, error)                                // what stream n asks for, where that differs; nil: Request
	Proto    wire.Proto                                                        // HTTP11, HTTP2 or H2C
	Addrs    []string                                                          // host:port, taken in turn
	TLS      *tls.Config                                                       // complete, with ServerName and NextProtos; nil in the clear
	Dial     func(ctx context.Context, network, addr string) (net.Conn, error) // nil: a net.Dialer
	Lookup   time.Duration                                                     // how long its name took to resolve; 0: it is an address
	// PeerStreams is the SETTINGS_MAX_CONCURRENT_STREAMS that an earlier connection saw; 0: not known.
	PeerStreams uint32
}

// Connections is how many connections n streams of t need.
func (t *Target) Connections(n, perConn int) int {
	if t.Proto == wire.HTTP11 {
		return n
	}
	if t.PeerStreams > 0 {
		perConn = min(perConn, int(t.PeerStreams))
	}
	return (n + perConn - 1) / perConn
}
