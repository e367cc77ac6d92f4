package engine

import (
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"time"

	"ssegauge/loadgen/measure"
	"ssegauge/reference/sse"
	"ssegauge/reference/wire"
)

// run is one Run of an engine: what all its streams share.
type run struct {
	*Job
	ending atomic.Bool     // what connections say from now on is our doing
	limits []atomic.Uint32 // by target: streams a connection, as the peer said last; 0: not known
	lanes  []lane

	clients []*client    // by stream, where streams come back; touched by whoever has the stream
	going   atomic.Int64 // streams that have begun, and will not have ended for good before they end again
	places  places
	rouse   func() // tells who waits that there may be something else to wait for; nil: nobody does
}

func newRun(j *Job) *run {
	g := &run{Job: j, limits: make([]atomic.Uint32, len(j.Targets)), lanes: make([]lane, j.Board.Workers())}
	for i := range j.Targets {
		g.limits[i].Store(j.Targets[i].PeerStreams)
	}
	for i := range g.lanes {
		g.lanes[i].Recorder = j.Board.Recorder(i)
		g.lanes[i].chance = rand.New(rand.NewPCG(j.Life.Seed, uint64(i)))
	}
	if j.Life.Churn != nil {
		g.places.of = make([]place, j.Openings.Len())
	}
	if j.Life.Reconnect != nil {
		g.clients = make([]*client, j.Openings.Len())
	}
	return g
}

// source is the local address that the connection to t with that number is made from, at its so many-th try; not valid if the system chooses. more tells
// whether there is another to try, should this one have no port left.
func (t *Target) source(turn, tries int) (from netip.Addr, more bool) {
	if len(t.Sources) == 0 {
		return from, false
	}
	return t.Sources[(turn+tries)%len(t.Sources)], tries+1 < len(t.Sources)
}

// lane is a recorder, and what reading into it needs. All of it is used under the recorder's lock.
type lane struct {
	*measure.Recorder
	it wire.Item // here, so that a read allocates nothing
	ev sse.Event

	spare []*measure.Opening // for reuse

	returns alarms // streams that will come back
	chance  *rand.Rand

	aftermath bool // the run is over, and what ends now was ended by the peer before
}

// begin notes the beginning of an opening.
func (l *lane) begin(k ticket) *measure.Opening {
	l.Lock()
	defer l.Unlock()
	var o *measure.Opening
	if n := len(l.spare); n > 0 {
		o, l.spare = l.spare[n-1], l.spare[:n-1]
	} else {
		o = new(measure.Opening)
	}
	*o = measure.Opening{Planned: k.planned, Started: k.started}
	return o
}

// maxSpare is how many openings are kept for reuse.
const maxSpare = 4096

// done takes an opening back. The lane is locked.
func (l *lane) done(o *measure.Opening) {
	if len(l.spare) < maxSpare {
		l.spare = append(l.spare, o)
	}
}

// ticket is a stream that is to be opened.
type ticket struct {
	planned, started int64 // ns since the board's epoch
	n                int   // its number in the plan
	tries            int   // HTTP/2: connections that did not take it
}

// target is the index of the target that stream n is opened at.
func (g *run) target(n int) int { return n % len(g.Targets) }

// request is what stream n asks for; the error says that its variables make no request.
func (g *run) request(n int) (*wire.Request, error) {
	t := &g.Targets[g.target(n)]
	if t.Requests == nil {
		return g.resuming(n, t.Request), nil
	}
	r, err := t.Requests(n)
	if err != nil {
		return nil, err
	}
	return g.resuming(n, r), nil
}

const causeRequest = "request: cannot be made of the stream's variables"

// ended is where every stream ends, once: m is nil for an attempt that did not get as far as a stream, which was planned for such a time. The lane is locked.
func (g *run) ended(l *lane, n int, m *measure.Stream, planned, at int64, cause string) {
	c := g.client(n, planned)
	switch {
	case g.ending.Load() && !l.aftermath:
		if m == nil && (c == nil || c.m == nil) {
			l.Failed(causeEnd)
		}
	case m != nil:
		if back := l.Closed(m, at, cause); c != nil {
			c.m = back
			if g.comesBack(l, n, c, at, cause) {
				return
			}
		}
	case c == nil, c.m == nil && final(cause):
		l.Failed(cause)
	default:
		if c.failed++; g.comesBack(l, n, c, at, cause) {
			return
		}
	}
	g.going.Add(-1)
	g.look()
}

const causeEnd = measure.NoneByTheEnd

// arrival is when the bytes of one read came.
type arrival struct {
	at    int64 // ns since the board's epoch: the kernel's stamp where there is one
	delay int64 // from then to when it was read
	blur  int64 // so much earlier than at what stands before the last of it may have come
	known bool  // delay is known, and was not told yet
	some  bool  // it has brought an event already
}

// arrived is the arrival of what was read at now and stamped by the kernel, in ns of the wall clock; 0: it was not.
func arrived(b *measure.Board, now time.Time, stamp int64) arrival {
	a := arrival{at: b.Since(now)}
	if d := now.UnixNano() - stamp; stamp > 0 && d >= 0 && d < int64(time.Hour) { // a stepped clock is no delay
		a.at, a.delay, a.blur, a.known = a.at-d, d, d, true
	}
	return a
}

// tell gives the delay to l, once: with TLS a read can be several pieces.
func (a *arrival) tell(l *lane) {
	if a.known {
		a.known = false
		l.Delay(time.Duration(a.delay))
	}
}

// next is the blur of the read's next event: the stamp is that of the last segment, which is exact for an event that is alone.
func (a *arrival) next() int64 {
	if !a.some {
		a.some = true
		return 0
	}
	return a.blur
}

// stream is what is remembered of one stream whatever carries it: 96 bytes. What it means stands here, for every engine and protocol.
type stream struct {
	opening *measure.Opening // nil once the head is there
	dec     sse.Decoder
	m       measure.Stream
	n       uint32 // its number in the plan
	over    bool
	tries   uint8 // of its ticket
}

// head takes the final head; the cause is why the answer is not what was asked for, "" if it is.
func (s *stream) head(g *run, l *lane, h *wire.Head, at int64) (cause string) {
	if cause = refusal(h); cause == "" && s.opening != nil {
		if s.opening.Head = at; g.clients == nil {
			s.dec.Forget() // nobody will ask for the last event ID
		}
		switch {
		case g.Life.slow(int(s.n)):
			l.OpenedSlow(&s.m, *s.opening)
		case !g.returned(l, s):
			l.Opened(&s.m, *s.opening)
		}
		l.done(s.opening)
		s.opening = nil
	}
	return cause
}

// body takes content; the cause is why the stream is of no further use, "" while it is.
func (s *stream) body(l *lane, p []byte, a *arrival) (cause string) {
	l.Bytes(&s.m, p, a.at)
	ev, piece := &l.ev, p
	_, mid := s.dec.Pending()
	for {
		n, ok, err := s.dec.Next(p, ev)
		if !ok {
			if kinds := s.dec.Odd(); kinds != 0 {
				s.odd(l, kinds, piece, mid, a.at)
			}
			if err != nil {
				return CauseOf(wire.PhaseBody, err)
			}
			return ""
		}
		p = p[n:]
		id := ev.ID
		if !ev.IDSet {
			id = nil
		}
		l.Event(&s.m, ev.Data, id, ev.Type, a.at, a.next())
	}
}

// end says why the stream is over; what is said again counts no more.
func (s *stream) end(g *run, l *lane, at int64, cause string) {
	if s.over {
		return
	}
	s.over = true
	if s.opening == nil {
		s.unterminated(g, l, at, cause)
	}
	m, planned := &s.m, int64(0)
	if s.opening != nil {
		planned = s.opening.Planned
		l.done(s.opening)
		m, s.opening = nil, nil
		if _, _, phased := cutCause(cause); !phased {
			cause = "head: " + cause
		}
	}
	if m != nil {
		g.remember(s)
	}
	g.ended(l, int(s.n), m, planned, at, cause)
	s.dec.Reset(false)
}
