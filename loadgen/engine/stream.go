package engine

import (
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
}

func newRun(j *Job) *run {
	g := &run{Job: j, limits: make([]atomic.Uint32, len(j.Targets)), lanes: make([]lane, j.Board.Workers())}
	for i := range j.Targets {
		g.limits[i].Store(j.Targets[i].PeerStreams)
	}
	for i := range g.lanes {
		g.lanes[i].Recorder = j.Board.Recorder(i)
	}
	return g
}

// lane is a recorder, and what reading into it needs. All of it is used under the recorder's lock.
type lane struct {
	*measure.Recorder
	it wire.Item // here, so that a read allocates nothing
	ev sse.Event
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
	if t.Requests != nil {
		return t.Requests(n)
	}
	return t.Request, nil
}

const causeRequest = "request: cannot be made of the stream's variables"

// ended is where every stream ends, once: m is nil for one that was never open. The lane is locked.
func (g *run) ended(l *lane, n int, m *measure.Stream, at int64, cause string) {
	switch {
	case m != nil && !g.ending.Load():
		l.Closed(m, at, cause)
	case m != nil:
	case g.ending.Load():
		l.Failed(causeEnd)
	default:
		l.Failed(cause)
	}
}

const causeEnd = "head: none by the end of the run"

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

// stream is what is remembered of one stream whatever carries it: 104 bytes. What it means stands here, for every engine and protocol.
type stream struct {
	opening *measure.Opening // nil once the head is there
	dec     sse.Decoder
	m       measure.Stream
	n       uint32 // its number in the plan
	over    bool
}

// head takes the final head; the cause is why the answer is not what was asked for, "" if it is.
func (s *stream) head(l *lane, h *wire.Head, at int64) (cause string) {
	if cause = refusal(h); cause == "" && s.opening != nil {
		s.opening.Head = at
		l.Opened(&s.m, *s.opening)
		s.opening = nil
	}
	return cause
}

// body takes content; the cause is why the stream is of no further use, "" while it is.
func (s *stream) body(l *lane, p []byte, a *arrival) (cause string) {
	l.Bytes(&s.m, len(p), a.at)
	ev := &l.ev
	for {
		n, ok, err := s.dec.Next(p, ev)
		if !ok {
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
	m := &s.m
	if s.opening != nil {
		m, s.opening = nil, nil
		if _, _, phased := cutCause(cause); !phased {
			cause = "head: " + cause
		}
	}
	g.ended(l, int(s.n), m, at, cause)
	s.dec.Reset(false)
}
