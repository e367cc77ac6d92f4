package limits

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"ssegauge/loadgen/engine"
	"ssegauge/reference/publish"
	"ssegauge/reference/sse"
	"ssegauge/reference/wire"
)

// laggard is an open stream that nobody reads, with little room for what comes, until it is drained.
type laggard struct {
	conn   *wire.Conn
	stream *wire.Stream
	raw    syscall.RawConn // nil: there is no socket
	end    context.CancelFunc
}

// What a laggard has room for over HTTP/2, and what is kept of its frames, to see how it ends without taking anything in.
const (
	lagWindow = 16 << 10
	lagRecord = 256 << 10
	lagMax    = 4 << 20 // of an event, whoever published it
)

func (s *Session) openLaggard(ctx context.Context) (*laggard, error) {
	defer s.knock(ctx)()
	l := new(laggard)
	d := *s.target.dialer
	d.Proto, d.Record, d.Frames.StreamWindow = s.target.proto, lagRecord, lagWindow
	dial := d.NetDial
	if dial == nil {
		dial = (&net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error { return raw.Control(engine.Narrow) }}).DialContext
	}
	d.NetDial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if socket, ok := c.(syscall.Conn); ok {
			l.raw, _ = socket.SyscallConn()
		}
		return c, err
	}
	var err error
	if l.conn, err = d.Dial(ctx, s.target.request.URL); err != nil {
		return nil, err
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	l.end = end
	opening := context.AfterFunc(ctx, end)
	if l.stream, err = l.conn.Open(life, s.target.request); err == nil {
		if f, bad := ofHead(l.stream.Head); bad {
			err = &refusedError{l.stream.Head, f}
		}
	}
	if err != nil || !opening() {
		l.close()
		if err == nil {
			err = context.Cause(ctx)
		}
		return nil, err
	}
	return l, nil
}

func (l *laggard) close() {
	if l.stream != nil {
		l.stream.Close()
	}
	l.conn.Close()
	l.end()
}

// over tells whether the stream has ended, as far as that shows without reading: over HTTP/1.1 not where the end stands behind what there was no room for.
func (l *laggard) over() bool {
	if l.raw != nil && engine.HungUp(l.raw) || l.conn.Err() != nil {
		return true
	}
	if l.conn.Proto() == wire.HTTP11 {
		return false
	}
	for _, e := range l.conn.Transcript().Entries() {
		if e.Stream == l.stream.ID && (e.Kind == wire.Reset || e.Kind == wire.End) {
			return true
		}
	}
	return false
}

// parade is a row of events that are known by their numbers.
type parade struct {
	*courier
	name  string // in each of them
	piece int    // bytes of data of each

	mu   sync.Mutex
	sent []time.Time
}

func (s *Session) parade(piece int) *parade {
	return &parade{courier: s.courier(), name: event(0).Marker, piece: piece}
}

// one is the next event, and its mark.
func (p *parade) one() (publish.Message, string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	mark := fmt.Sprintf("%s.%d.", p.name, len(p.sent))
	p.sent = append(p.sent, time.Now())
	return publish.Message{Marker: mark, Data: mark + letters(p.piece-len(mark))}, mark
}

// next publishes the next event.
func (p *parade) next(ctx context.Context) (outcome, bool) {
	m, _ := p.one()
	return p.told(ctx, m)
}

// published is how many there were, and at is when one of them was.
func (p *parade) published() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.sent)
}

func (p *parade) at(n int) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sent[min(n, len(p.sent)-1)]
}

// drained is what a laggard finds when it reads on.
type drained struct {
	whole int   // events that came one after the other from the first on
	last  int   // the last that came; -1: none
	got   int   // all that came
	ended error // why the stream ended; nil: it goes on
}

// How long nothing comes to one that reads on before it asks with another event whether anything will, and is sure that nothing does.
const (
	drainQuiet = 2 * time.Second
	drainMost  = 20 * time.Second
)

// drain reads on until all has come that was published since event from, or the stream has ended, or nothing comes any more. Where it does not know whether the stream goes on, it
// lets ask publish another event.
func (l *laggard) drain(ctx context.Context, p *parade, from int, ask func()) drained {
	d := drained{last: from - 1}
	var mu sync.Mutex
	at := time.Now()
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.read(p.name, func(n int) {
			mu.Lock()
			defer mu.Unlock()
			at = time.Now()
			if n < from || n <= d.last {
				return
			}
			if n == from+d.whole {
				d.whole++
			}
			d.last = n
			d.got++
		}, func(err error) {
			mu.Lock()
			defer mu.Unlock()
			d.ended = err
		})
	}()
	defer func() { l.close(); <-done }()
	asked := false
	glance := time.NewTicker(20 * time.Millisecond)
	defer glance.Stop()
	began := time.Now()
	for {
		select {
		case <-done:
		case <-glance.C:
		case <-ctx.Done():
		}
		mu.Lock()
		now, quiet := d, time.Since(at)
		mu.Unlock()
		switch {
		case now.ended != nil, ctx.Err() != nil, !asked && time.Since(began) > drainMost:
			return now
		case now.last < p.published()-1 && (!asked && quiet < drainQuiet || asked && quiet < minPatience):
			continue
		case !asked: // what comes last may be followed by the end
			asked = true
			ask()
			mu.Lock()
			at = time.Now()
			mu.Unlock()
			continue
		}
		if now.last < p.published()-1 {
			now.ended = errSilent
		}
		return now
	}
}

var errSilent = fmt.Errorf("nothing comes any more: %w", io.ErrNoProgress)

// read reads the stream to its end: the numbers of the events of that name, and why it ended.
func (l *laggard) read(name string, came func(int), over func(error)) {
	var d sse.Decoder
	d.SetMax(lagMax)
	var ev sse.Event
	buf := make([]byte, 32<<10)
	for {
		n, err := l.stream.Read(buf)
		for chunk := buf[:n]; ; {
			k, ok, derr := d.Next(chunk, &ev)
			chunk = chunk[k:]
			if derr != nil && err == nil {
				err = derr
			}
			if !ok {
				break
			}
			if _, rest, ok := bytes.Cut(ev.Data, []byte(name+".")); ok {
				number, _, _ := strings.Cut(string(rest[:min(len(rest), 12)]), ".")
				if n, err := strconv.Atoi(number); err == nil {
					came(n)
				}
			}
		}
		if err != nil {
			over(err)
			return
		}
	}
}
