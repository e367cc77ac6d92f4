package measure

import (
	"slices"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"ssegauge/reports/result"
)

// A stream that ends may come back, as EventSource has it: the receiver is then a [Client] with several streams in a row. While it is away, and until it has settled,
// it is no eligible receiver. What was due from its leaving to its return, and what was under way as it left, is missed in the gap, until it comes by replay
// (or late) or the deadline after the return is over.

// Client is what is remembered of a receiver beyond one stream. It is touched under the lock of the recorder that has its stream, or by the engine
// alone while it is away.
type Client struct {
	came   numbers // that have come, on whichever stream
	gap    numbers // missed so far
	from   uint32  // the first number that the present absence may miss
	closed int64   // when the last close was seen; 0: never
	opened int64   // head of the present stream; 0: away
	last   int64   // when the last missed number came
	again  bool    // the present stream is not the first, and no event has come on it
}

// The latencies of coming back, each from when the close was seen.
const (
	rHead = iota
	rFirstEvent
	rCaughtUp
	rCount
)

var reconnectNames = [rCount]string{"reconnect", "reconnect_first_event", "reconnect_caught_up"}

// returns is a recorder's share of what is known of reconnecting.
type returns struct {
	returned, attempts, failed, gaveUp, withID int
	recovered, duplicated                      int64
	retryMin, retryMax                         time.Duration // advertised; of attempts after which the stream had set one
	retries                                    int           // attempts with one

	hist [rCount]*hdrhistogram.Histogram // nil: no sample
	due  []returned                      // clients with a gap, in the order of their return
	left []gap                           // gaps that nothing can fill any more
}

type returned struct {
	c  *Client
	at int64
}

// gap is what is left of a gap that is over.
type gap struct {
	missing      numbers
	closed, last int64
	cut          bool // by us
}

// settled are gaps that are over, counted; the board's lock guards it.
type settled struct {
	on              bool // streams may come back
	lost, undecided int64
	never           int64   // returns that never caught up
	void            numbers // events that were refused or failed: nobody misses them
	finished        bool    // what comes from now on changes nothing

	mu   sync.Mutex // a leaf: taken within any other
	away map[*Client]struct{}
}

func (r *returns) record(m int, ns int64, outside *int64) {
	if r.hist[m] == nil {
		r.hist[m] = newHist()
	}
	recordNS(r.hist[m], ns, outside)
}

// leave makes a client's stream over at time at. missed are the numbers under way that it has not got, and end is the first that was due after it.
func (r *Recorder) leave(c *Client, at int64, missed []uint32, end uint32) {
	b := r.board
	if c.opened > 0 && at > c.opened+b.deadline {
		r.giveUpGap(c)
	}
	for _, q := range missed {
		c.gap.add(q)
	}
	c.from, c.closed, c.opened, c.again = max(end, b.warm), at, 0, false
	b.returns.mu.Lock()
	if b.returns.away == nil {
		b.returns.away = map[*Client]struct{}{}
	}
	b.returns.away[c] = struct{}{}
	b.returns.mu.Unlock()
}

// giveUpGap leaves what of a gap is not filled to the board, which knows what of it was published.
func (r *Recorder) giveUpGap(c *Client) {
	if c.gap != nil || c.last > 0 {
		r.returns.left = append(r.returns.left, gap{missing: c.gap, closed: c.closed, last: c.last})
	}
	c.gap, c.last = nil, 0
}

// Reopened notes that a client has the head of a right answer again, on stream s. The times before Started in o are not used.
func (r *Recorder) Reopened(s *Stream, c *Client, o Opening) {
	b := r.board
	r.begin(s, o)
	s.more = &more{client: c}
	b.returns.mu.Lock()
	delete(b.returns.away, c)
	b.returns.mu.Unlock()
	r.returns.returned++
	r.returns.record(rHead, o.Head-c.closed, &r.outside)
	c.gap.addRange(c.from, b.firstFrom(o.Head))
	c.opened, c.again = o.Head, true
	if len(c.gap) > 0 {
		r.returns.due = append(r.returns.due, returned{c, o.Head})
	}
}

// Churned notes that an open stream was closed by us at time at, as a user who leaves. Who takes its place is a new client.
func (r *Recorder) Churned(s *Stream, at int64) {
	if s.opened == 0 {
		return
	}
	r.n.churned++
	c := s.client()
	if c != nil {
		s.more.client = nil
		if len(c.gap) > 0 { // it leaves before it is known what comes of that
			r.returns.left = append(r.returns.left, gap{missing: c.gap, cut: true})
		}
		c.gap, c.opened = nil, 0
	}
	r.over(s, at)
}

// Attempt notes that a client asks again: with a Last-Event-ID or not, after a stream that advertised retry (below 0: it did not).
func (r *Recorder) Attempt(withID bool, retry time.Duration) {
	n := &r.returns
	n.attempts++
	if withID {
		n.withID++
	}
	if retry >= 0 {
		if n.retries == 0 {
			n.retryMin = retry
		}
		n.retries++
		n.retryMin, n.retryMax = min(n.retryMin, retry), max(n.retryMax, retry)
	}
}

// AttemptFailed notes that an attempt of a client to open its stream, again or at all, failed and will be repeated.
func (r *Recorder) AttemptFailed(cause string) {
	r.returns.failed++
	r.blame("reconnect: " + cause)
}

// GaveUp notes that a client will not ask again: the answer to an attempt was final.
func (r *Recorder) GaveUp(c *Client, at int64, cause string) {
	b := r.board
	r.returns.gaveUp++
	r.blame("gave up: " + cause)
	b.returns.mu.Lock()
	delete(b.returns.away, c)
	b.returns.mu.Unlock()
	c.gap.addRange(c.from, min(b.firstFrom(at), b.begun.Load()))
	r.giveUpGap(c)
}

// replayed takes the arrival of seq on a client's stream where that has to do with its streams before: something missed, or something it had. False where the stream is
// to judge it alone.
func (r *Recorder) replayed(s *Stream, seq uint32, at int64) bool {
	c, b := s.more.client, r.board
	if c == nil {
		return false
	}
	fresh := c.came.add(seq)
	if seq >= s.first || c.closed == 0 || seq < b.warm || b.returns.finished {
		return false
	}
	if seq >= r.base {
		b.slot(seq).seen.Store(true)
	}
	switch {
	case !fresh:
		r.returns.duplicated++
	case at > c.opened+b.deadline || !c.gap.remove(seq):
		return false
	default:
		r.returns.recovered++
		if c.last = at; len(c.gap) == 0 {
			r.giveUpGap(c)
		}
	}
	return true
}

// settle counts the gaps that are over by now, or all at the end of the run: what is neither recovered nor past its deadline then is undecided. Every lock is held, and events
// whose deadline is over are concluded.
func (b *Board) settleGaps(now int64, end bool) {
	t := &b.returns
	begun := b.begun.Load()
	over := func(r *Recorder, g gap) {
		lost := g.missing.without(t.void, begun)
		if g.cut {
			t.undecided += lost
			return
		}
		t.lost += lost
		if lost > 0 {
			t.never++
		} else if g.last > 0 {
			r.returns.record(rCaughtUp, g.last-g.closed, &r.outside)
		}
	}
	for _, r := range b.workers {
		n := &r.returns
		for len(n.due) > 0 && (end || now > n.due[0].at+b.deadline+int64(conclusionDelay)) {
			d := n.due[0]
			n.due = n.due[1:]
			switch c := d.c; {
			case c.opened != d.at: // it left again
			case now > d.at+b.deadline:
				r.giveUpGap(c)
			default:
				t.undecided += c.gap.without(t.void, begun)
			}
		}
		for _, g := range n.left {
			over(r, g)
		}
		n.left = nil
	}
	if !end {
		return
	}
	t.finished = true
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.away {
		missing := slices.Clone(c.gap)
		missing.addRange(c.from, b.firstFrom(now))
		t.undecided += missing.without(t.void, begun)
	}
}

// mending tells whether a client that came back still waits for what it missed, or one may come back within the time that the last event has.
func (b *Board) mending(now int64) bool {
	if begun := b.begun.Load(); begun == 0 || now > b.start+int64(b.events.At(int(begun-1)))+b.deadline+int64(conclusionDelay) {
		return false
	}
	b.returns.mu.Lock()
	away := len(b.returns.away)
	b.returns.mu.Unlock()
	if away > 0 {
		return true
	}
	for _, r := range b.workers {
		r.Lock()
		defer r.Unlock()
	}
	return slices.ContainsFunc(b.workers, func(r *Recorder) bool {
		return slices.ContainsFunc(r.returns.due, func(d returned) bool { return d.c.opened == d.at && len(d.c.gap) > 0 })
	})
}

// fillReturns writes what is known of reconnecting.
func (b *Board) fillReturns(l *result.Load) {
	if !b.returns.on {
		return
	}
	t := &b.returns
	out := &result.Reconnect{LostInGap: t.lost, Undecided: t.undecided}
	t.mu.Lock()
	out.Away = len(t.away)
	t.mu.Unlock()
	retries := 0
	for _, r := range b.workers {
		n := &r.returns
		l.Streams.Reconnects += n.returned
		out.Attempts += n.attempts
		out.Failed += n.failed
		out.GaveUp += n.gaveUp
		out.LastEventIDSent += n.withID
		out.RecoveredByReplay += n.recovered
		out.DuplicatesOnReplay += n.duplicated
		if n.retries > 0 {
			lo, hi := float64(n.retryMin)/1e6, float64(n.retryMax)/1e6
			if retries == 0 {
				out.RetryMS = &result.Span{Min: lo, Max: hi}
			}
			retries += n.retries
			out.RetryMS.Min, out.RetryMS.Max = min(out.RetryMS.Min, lo), max(out.RetryMS.Max, hi)
		}
	}
	out.MissedInGap = out.RecoveredByReplay + out.LostInGap + out.Undecided
	l.Reconnect = out
	for m, name := range reconnectNames {
		sum, never := newHist(), int64(0)
		for _, r := range b.workers {
			if h := r.returns.hist[m]; h != nil {
				sum.Merge(h)
			}
		}
		if m == rCaughtUp {
			never = t.never
		}
		if sum.TotalCount() > 0 || never > 0 {
			l.LatencyUS[name] = result.FromHist(sum)
			l.LatencyUS[name].Never = never
		}
	}
}
