package limits

import (
	"bytes"
	"context"
	"io"
	"sync"
	"time"

	"ssegauge/reference/sse"
	"ssegauge/reference/wire"
)

// maxEvent bounds an event that a listener takes in; the event-size probe looks no further either.
const maxEvent = 64 << 20

// heldEvent bounds what is held of an event by each of the streams that are watched for long, in bytes: a target that sends one without an end would fill as many times maxEvent.
const heldEvent = 2 << 20

// Listener is an open stream that is read all the time.
type Listener struct {
	*wire.Stream
	owns bool               // the connection too
	end  context.CancelFunc // of the context that the stream lives by

	mu      sync.Mutex
	opened  time.Time
	bytes   int64 // of content
	last    time.Time
	events  int64
	awaited map[string]chan Arrival
	hears   func(at time.Time, event bool)
	each    func(data []byte) // called with every event
	id      []byte            // last event ID
	retry   time.Duration     // below 0: none was sent
	err     error             // why it ended; nil: it has not
	ended   time.Time
	done    chan struct{}
}

// Arrival is an awaited event that came.
type Arrival struct {
	At   time.Time
	Data []byte
	End  int64 // where it ends in the content of the stream
}

// Facts are what a listener has seen so far.
type Facts struct {
	Opened time.Time
	Bytes  int64     // of content
	Last   time.Time // when the last of them came; Opened if there were none
	Events int64
	Ended  time.Time     // zero: it has not
	Err    error         // why it ended: io.EOF where the response ended as it should
	ID     string        // the last event ID, unless it is longer than anyone would send back
	Retry  time.Duration // the reconnection time that was set last; below 0: none was
}

// maxLastID bounds a last event ID that is sent back, in bytes.
const maxLastID = 4 << 10

// listen reads s. Of an event no more is held than so many bytes. A larger one ends the reading; where that is less than [maxEvent] it is left out, and the reading goes on.
// each, where there is one, is called with the data of every event from the first.
func listen(s *wire.Stream, end context.CancelFunc, most int, each func(data []byte)) *Listener {
	now := s.Timing.Start.Add(s.Timing.Head)
	l := &Listener{Stream: s, end: end, opened: now, last: now, awaited: map[string]chan Arrival{}, each: each, retry: -1, done: make(chan struct{})}
	go l.read(most)
	return l
}

func (l *Listener) read(most int) {
	defer close(l.done)
	var d sse.Decoder
	d.SetMax(most)
	var ev sse.Event
	buf := make([]byte, 32<<10)
	for {
		n, err := l.Stream.Read(buf)
		at := time.Now()
		l.mu.Lock()
		before, hears := l.events, l.hears
		if n > 0 {
			l.bytes += int64(n)
			l.last = at
		}
		for chunk := buf[:n]; ; {
			k, ok, derr := d.Next(chunk, &ev)
			chunk = chunk[k:]
			switch {
			case derr == nil || err != nil:
			case most == maxEvent:
				err = derr
			default:
				if d.Reset(true); k > 0 {
					continue
				}
			}
			if !ok {
				break
			}
			l.events++
			if l.each != nil {
				l.each(ev.Data)
			}
			for m, ch := range l.awaited {
				if bytes.Contains(ev.Data, []byte(m)) {
					ch <- Arrival{at, bytes.Clone(ev.Data), ev.End}
					delete(l.awaited, m)
				}
			}
		}
		if r, ok := d.Retry(); ok {
			l.retry = r
		}
		if id := d.LastEventID(); len(id) <= maxLastID {
			l.id = append(l.id[:0], id...)
		}
		if err != nil {
			l.err, l.ended = err, at
		}
		event := l.events > before
		l.mu.Unlock()
		if n > 0 && hears != nil {
			hears(at, event)
		}
		if err != nil {
			return
		}
	}
}

// Hear has f called from now on as each piece of content comes, with whether an event was complete in it.
func (l *Listener) Hear(f func(at time.Time, event bool)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hears = f
}

// Await says beforehand that an event with this marker in its data is waited for; the channel gets it once.
func (l *Listener) Await(marker string) <-chan Arrival {
	ch := make(chan Arrival, 1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.awaited[marker] = ch
	return ch
}

// Facts returns what was seen so far.
func (l *Listener) Facts() Facts {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Facts{l.opened, l.bytes, l.last, l.events, l.ended, l.err, string(l.id), l.retry}
}

// Done is closed when the stream has ended.
func (l *Listener) Done() <-chan struct{} { return l.done }

// Alive tells whether the stream is still open.
func (l *Listener) Alive() bool {
	select {
	case <-l.done:
		return false
	default:
		return true
	}
}

// Close ends the stream, and its connection where it has one of its own, and waits until nothing reads it any more.
func (l *Listener) Close() {
	l.Stream.Close()
	if l.owns {
		l.Stream.Conn.Close()
	}
	l.end()
	<-l.done
}

// await waits for an arrival, the end of the stream, or ctx.
func (l *Listener) await(ctx context.Context, ch <-chan Arrival) (a Arrival, err error) {
	select {
	case a = <-ch:
		return a, nil
	case <-l.done:
		select {
		case a = <-ch: // with the last bytes
			return a, nil
		default:
		}
		err = l.Facts().Err
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		return a, err
	case <-ctx.Done():
		select {
		case a = <-ch: // long ago
			return a, nil
		default:
		}
		return a, context.Cause(ctx)
	}
}
