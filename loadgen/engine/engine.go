// Package engine opens streams by plan and feeds what they carry to recorders. The grammar is reference/wire's and reference/sse's: an engine is who reads
// the sockets, and nothing else: what a stream means stands once, in stream.go, h1.go and h2.go. [Portable] is a goroutine for each connection; it runs
// everywhere and over everything. [Epoll] is a few threads for all of them, on Linux and in the clear.
//
// It may import reference/sse, reference/wire, loadgen/measure and loadgen/schedule, and golang.org/x/sys. To add an engine: one type with Run; the tests
// take it from the table in engine_test.go.
package engine

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"runtime"
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

// The names of engines.
const (
	Auto         = "auto" // epoll where it can, else portable
	NameEpoll    = "epoll"
	NamePortable = "portable"
)

// Choose returns the engine of that name and what will read the targets with it: "epoll", "portable", "epoll+portable". An error says why it
// cannot be: there is no epoll here.
func Choose(name string, targets []Target) (e Engine, reads string, err error) {
	clear := 0
	for i := range targets {
		if direct(&targets[i]) {
			clear++
		}
	}
	switch {
	case name == NamePortable:
		return Portable{}, NamePortable, nil
	case name == NameEpoll && !epollWorks:
		return nil, "", errors.New("epoll is of Linux: want auto or portable here")
	case name == NameEpoll && clear == 0:
		return nil, "", errors.New("epoll reads what comes in the clear over a socket of its own: want auto or portable for this target")
	case clear == 0:
		return Portable{}, NamePortable, nil
	case clear == len(targets):
		return Epoll{}, NameEpoll, nil
	}
	return Epoll{}, NameEpoll + "+" + NamePortable, nil
}

// Workers is how many recorders an engine that [Choose] gave can use.
func Workers(reads string) int {
	if reads == NameEpoll {
		return loops()
	}
	return runtime.GOMAXPROCS(0)
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

	skip func(n int) bool // streams that are another engine's; nil: none
}

// burst tells whether stream n is due together with others: they cannot all be begun at once, and none of them is late.
func (j *Job) burst(n int) bool {
	at := j.Openings.At(n)
	return j.Burst || n > 0 && j.Openings.At(n-1) == at || n+1 < j.Openings.Len() && j.Openings.At(n+1) == at
}

func (j *Job) skips(n int) bool { return j.skip != nil && j.skip(n) }

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
	Sources     []netip.Addr // local addresses to connect from, in turn; none: the system chooses
	// Abrupt: a connection is reset when it is closed. There are servers that keep the place of one which only said that it sends no more.
	Abrupt bool
}

// Connections is how many connections n streams of t need.
func (t *Target) Connections(n, perConn int) int {
	if t.Proto == wire.HTTP11 {
		return n
	}
	perConn = t.perConn(perConn)
	return (n + perConn - 1) / perConn
}

// perConn is how many streams a connection to t carries where the plan says n.
func (t *Target) perConn(n int) int {
	if t.PeerStreams > 0 {
		n = min(n, int(t.PeerStreams))
	}
	return max(1, n)
}
