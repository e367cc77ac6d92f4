package engine

import (
	"context"
	"runtime"
	"slices"
	"sort"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"ssegauge/loadgen/schedule"
	"ssegauge/reference/wire"
)

// Epoll is the engine of Linux: one thread fewer than there are processors, each with a loop around epoll and its share of the streams in a flat slice.
// It reads what comes in the clear over sockets of its own; targets over TLS, or with a Dial, go to [Portable] beside it.
type Epoll struct{}

// epollWorks tells that there is such an engine here.
const epollWorks = true

// loops is how many threads read.
func loops() int { return max(1, runtime.GOMAXPROCS(0)-1) }

// Run opens and reads the job's streams.
func (Epoll) Run(ctx context.Context, j *Job) {
	ours, rest := *j, *j
	clear := make([]bool, len(j.Targets))
	some := j.Life.Slow != nil
	for t := range j.Targets {
		clear[t] = direct(&j.Targets[t])
		some = some || !clear[t]
	}
	// Slow readers wait more than they read.
	ours.skip = func(n int) bool { return !clear[n%len(clear)] || j.Life.slow(n) }
	rest.skip = func(n int) bool { return !ours.skip(n) }
	if some && j.Life.Churn != nil {
		switch {
		case !slices.Contains(clear, false):
			rest.Life.Churn = nil
		case !slices.Contains(clear, true):
			ours.Life.Churn = nil
		default:
			ours.Life.Churn, rest.Life.Churn = schedule.Part{Arrival: j.Life.Churn, Count: 2}, schedule.Part{Arrival: j.Life.Churn, Index: 1, Count: 2}
		}
	}
	loops := newLoops(&ours)
	if loops == nil { // no descriptors for it: those of the streams will say so
		Portable{}.Run(ctx, j)
		return
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		loops[0].ending.Store(true)
		for _, l := range loops {
			l.rouse()
		}
	})
	if j.Life.moves() {
		loops[0].run.rouse = func() { // the last stream that ends is the end of every loop
			for _, l := range loops {
				if l.going.Load() == 0 {
					l.rouse()
				}
			}
		}
	}
	var wg sync.WaitGroup
	for _, l := range loops {
		wg.Go(l.live)
	}
	if some {
		Portable{}.Run(ctx, &rest)
	}
	wg.Wait()
	if !stop() {
		<-ended
	}
	for _, l := range loops {
		l.close()
	}
}

// spacing is how long after a wake-up the next may come where arrivals are stamped by the kernel: waking once for many costs a fraction, and changes no
// result. It is short enough that what came within it is told apart to a millisecond.
const spacing = 800_000

// brisk is how many sockets at one time are reason to space wake-ups.
const brisk = 8

// maxReads is how often one socket is read before others have their turn.
const maxReads = 16

// maxBatch is how many streams are begun before what came is read.
const maxBatch = 256

// loop is one thread with its share of the streams.
type loop struct {
	*run
	lane   *lane
	i, of  int // which loop of how many
	epfd   int
	wakefd int
	buf    buffer
	events []unix.EpollEvent
	dests  [][]unix.Sockaddr // by target
	turn   int               // of addresses

	next       int // stream of the plan that is looked at next
	slots      []h1slot
	used       int     // slots
	vacant     []int32 // of them, those whose stream has ended and will not come back
	unsent     map[int][]byte
	request    []byte
	conns      []*h2slot
	free       []int     // places in conns
	current    []*h2slot // by target: the connection that takes the next stream
	alive      int       // sockets
	connecting int       // of them
	alarms     alarms
	churn      churn
	swept      bool // no connection is kept for streams to come

	woke   int64 // when the last wait returned
	since  int64 // what arrived before that was read in an earlier turn
	first  int64 // the earliest arrival of this turn
	sparse bool  // the last wait was long
}

func newLoops(j *Job) []*loop {
	g := newRun(j)
	var all, owners []*loop
	n := min(loops(), len(g.lanes))
	for i := range n {
		l := &loop{run: g, lane: &g.lanes[i], i: i, of: n, epfd: -1, wakefd: -1, current: make([]*h2slot, len(j.Targets)), unsent: map[int][]byte{}}
		l.buf.data = make([]byte, 64<<10)
		l.events = make([]unix.EpollEvent, 1024)
		var err error
		if l.epfd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err == nil {
			if l.wakefd, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err == nil {
				err = unix.EpollCtl(l.epfd, unix.EPOLL_CTL_ADD, l.wakefd, &unix.EpollEvent{Events: unix.EPOLLIN, Pad: wakePad})
			}
		}
		all = append(all, l)
		if err != nil {
			for _, l := range all {
				l.close()
			}
			return nil
		}
		l.dests = make([][]unix.Sockaddr, len(j.Targets))
		for t := range j.Targets {
			if direct(&j.Targets[t]) {
				l.dests[t] = sockaddrs(&j.Targets[t])
			}
		}
		h1, some := 0, false
		for n := range g.Openings.Len() {
			if !l.mine(n) {
				continue
			}
			if some = true; j.Targets[g.target(n)].Proto == wire.HTTP11 {
				h1++
			}
		}
		l.slots = make([]h1slot, h1)
		if some {
			owners = append(owners, l)
		}
	}
	for i, l := range owners { // who has no stream can replace none
		l.churn = churn{k: i, step: len(owners)}
	}
	return all
}

// mine tells whether stream n is this loop's: HTTP/1.1 streams go round, the streams of an HTTP/2 connection stay together.
func (l *loop) mine(n int) bool {
	t, k := l.target(n), n/len(l.Targets)
	if l.skips(n) {
		return false
	}
	if p := &l.Targets[t]; p.Proto != wire.HTTP11 {
		k /= p.perConn(l.StreamsPerConn)
	}
	return (k+t)%l.of == l.i
}

func (l *loop) close() {
	for _, fd := range []int{l.epfd, l.wakefd} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// rouse makes a waiting loop look around.
func (l *loop) rouse() { unix.Write(l.wakefd, []byte{1, 0, 0, 0, 0, 0, 0, 0}) }

func (l *loop) planned() bool {
	return l.next >= l.Openings.Len() && (!l.Life.moves() || l.going.Load() == 0)
}

// live is the life of the loop.
func (l *loop) live() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for !l.ending.Load() {
		due := min(l.open(), l.bringBack(), l.replace(), l.expire())
		if l.planned() {
			if l.sweep(); l.alive == 0 {
				return
			}
		}
		began := l.Board.Now()
		if l.spaced() {
			if d := min(l.woke+spacing, due) - began; d > 0 {
				nap(d)
				began = l.Board.Now()
			}
		}
		n := l.wait(due - began)
		l.since, l.woke = min(l.woke, l.first), l.Board.Now()
		l.first = l.woke
		l.sparse = l.woke-began > spacing && n < brisk
		for i := range l.events[:n] {
			l.event(&l.events[i])
		}
		if n == len(l.events) {
			l.first = min(l.first, l.since) // more may be waiting since then
		}
	}
	l.end()
}

// spaced tells whether the next wake-up may be put off: not while something is to be done that no stamp tells the time of.
func (l *loop) spaced() bool { return !l.sparse && l.connecting == 0 && canStamp }

// event takes one event of epoll.
func (l *loop) event(e *unix.EpollEvent) {
	switch {
	case e.Pad == wakePad:
		var b [8]byte
		unix.Read(l.wakefd, b[:])
	case e.Pad&1 == 0:
		l.h1Event(int(e.Pad>>1), e.Fd, e.Events)
	default:
		l.h2Event(int(e.Pad>>1), e.Fd, e.Events)
	}
}

// What an event of epoll is about stands in Pad: the place in slots, times two, or in conns, times two plus one.
const wakePad = -1

// open begins the streams that are due, and returns when the next is.
func (l *loop) open() (next int64) {
	total := l.Openings.Len()
	if l.next >= total {
		return never
	}
	now := l.Board.Now()
	next = never
	for begun := 0; l.next < total; l.next++ {
		if !l.mine(l.next) {
			continue
		}
		planned := int64(l.Openings.At(l.next))
		if planned > now {
			next = planned
			break
		}
		t := l.target(l.next)
		if begun == maxBatch || l.connecting >= max(1, maxDials/l.of) {
			if next = now; begun < maxBatch {
				next = never // a connection that is made, or given up, makes room
			}
			break
		}
		begun++
		k := ticket{planned: planned, started: l.Board.Now(), n: l.next}
		l.Board.Opening(k.planned, k.started, l.burst(k.n))
		l.going.Add(1)
		if l.Targets[t].Proto == wire.HTTP11 {
			l.openH1(l.slot(), k)
		} else {
			l.assign(t, k)
		}
	}
	for _, c := range l.current {
		if c != nil {
			l.kick(c)
		}
	}
	return next
}

// bringBack opens again the streams that are due to come back, and returns when the next is.
func (l *loop) bringBack() (next int64) {
	if l.clients == nil {
		return never
	}
	now := l.Board.Now()
	for begun := 0; ; begun++ {
		l.lane.Lock()
		next = l.lane.nextReturn()
		l.lane.Unlock()
		switch {
		case next > now || begun == maxBatch:
			return next
		case l.connecting >= max(1, maxDials/l.of):
			return never // a connection that is made, or given up, makes room
		}
		k, h := l.returning(l.lane, now)
		if h == nil || !h.rejoin(k) {
			l.begin(k)
		}
	}
}

// begin opens a stream that was open before.
func (l *loop) begin(k ticket) {
	t := l.target(k.n)
	if l.Targets[t].Proto == wire.HTTP11 {
		l.openH1(l.slotOf(k.n), k)
		return
	}
	l.assign(t, k)
	l.kick(l.current[t])
}

// replace replaces the streams that are to leave, and returns when the next is.
func (l *loop) replace() int64 {
	if l.churn.step == 0 {
		return never
	}
	l.churn.next(l.run, l.mine, l.begin)
	return l.churn.due(l.run)
}

// leave closes stream n in a slot.
func (l *loop) leave(n, slot uint32, _ ticket) (left, placed bool) {
	s := &l.slots[slot]
	if s.state == closed || s.n != n {
		return false, false
	}
	l.lane.Lock()
	left = s.stream.leave(l.run, l.lane)
	l.lane.Unlock()
	if left {
		l.closeH1(int(slot))
	}
	return left, false
}

// slot is a free one.
func (l *loop) slot() int {
	if n := len(l.vacant); n > 0 {
		i := l.vacant[n-1]
		l.vacant = l.vacant[:n-1]
		return int(i)
	}
	l.used++
	return l.used - 1
}

// slotOf is the slot of stream n, which comes back: there slots are in the order of the plan.
func (l *loop) slotOf(n int) int {
	return sort.Search(l.used, func(i int) bool { return int(l.slots[i].n) >= n })
}

// sweep closes the connections that nothing is on: no more will be.
func (l *loop) sweep() {
	if l.swept {
		return
	}
	l.swept = true
	for _, c := range l.conns {
		if c != nil && c.state == established && c.idle() {
			l.drop(c, lostBy(errIdle))
		}
	}
}

// expire does what is due by now and returns when to look again.
func (l *loop) expire() (next int64) {
	if len(l.alarms) == 0 {
		return never
	}
	now := l.Board.Now()
	for len(l.alarms) > 0 {
		a := l.alarms[0]
		if a.pad&1 == 0 {
			s := &l.slots[a.pad>>1]
			if s.opening != nil && a.due > now {
				return a.due
			}
			l.alarms.pop()
			if s.opening != nil && s.opening.Started+int64(l.Timeout) <= now {
				l.timeoutH1(int(a.pad>>1), now)
			}
			continue
		}
		c := l.conns[a.pad>>1]
		if c != nil && c.check == a.due && a.due > now {
			return a.due
		}
		l.alarms.pop()
		if c != nil && c.check == a.due {
			c.check = 0
			l.timeoutH2(c, now)
		}
	}
	return never
}

// end closes everything: the run is over.
func (l *loop) end() {
	now := l.Board.Now()
	for i := range l.slots[:l.used] {
		if s := &l.slots[i]; s.state != closed {
			l.lane.Lock()
			s.end(l.run, l.lane, now, causeEnd)
			l.lane.Unlock()
			l.closeH1(i)
		}
	}
	for _, c := range l.conns {
		if c != nil {
			l.drop(c, causeEnd)
		}
	}
	l.forsake(l.lane)
}

// connection states
const (
	closed = iota
	connecting
	sending // HTTP/1.1: the request
	established
)

// wait waits for events, ns long at most.
func (l *loop) wait(ns int64) int {
	ns = max(0, ns)
	var ts *kernelTimespec
	if ns < never/2 {
		ts = &kernelTimespec{ns / 1e9, ns % 1e9}
	}
	var r uintptr
	var errno unix.Errno
	if ns == 0 {
		r, _, errno = unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(l.epfd), uintptr(unsafe.Pointer(&l.events[0])), uintptr(len(l.events)), 0, 0, 0)
	} else {
		r, _, errno = unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(l.epfd), uintptr(unsafe.Pointer(&l.events[0])), uintptr(len(l.events)), uintptr(unsafe.Pointer(ts)), 0, 0)
		if errno == unix.ENOSYS { // before Linux 5.11: whole milliseconds
			ms := -1
			if ts != nil {
				ms = int(min((ns+999_999)/1_000_000, 1<<30))
			}
			n, _ := unix.EpollWait(l.epfd, l.events, ms)
			return max(0, n)
		}
	}
	if errno != 0 {
		return 0
	}
	return int(r)
}

type kernelTimespec struct{ sec, nsec int64 }

// nap sleeps ns.
func nap(ns int64) {
	ts := unix.NsecToTimespec(ns)
	_ = unix.Nanosleep(&ts, nil)
}

// arrival is when what was read now, and stamped by the kernel, came. A turn reads all there is, so that what it reads came since the turn before.
func (l *loop) arrival(stamp int64) arrival {
	a := arrived(l.Board, time.Now(), stamp)
	// Where the loop slept since, that is no bound of use: what came is then taken to have come at most as long before the last of it as that was read after it came, the
	// two ends of the time in which the loop was not there.
	a.blur = min(a.delay, max(0, a.at-l.since))
	l.first = min(l.first, a.at)
	return a
}
