package conformance

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"ssegauge/reference/sse"
	"ssegauge/reference/wire"
)

// Bounds on what one connection may make us hold; at a bound reading stops and what was seen is judged.
const (
	maxContent = 8 << 20 // bytes of content
	maxLines   = 200_000
)

// errEnough ends the reading of a stream of which enough was seen.
var errEnough = errors.New("enough was seen")

// Connection is one request that the run made, with all that came back. Its methods are safe while it still goes on and return what
// has come so far.
type Connection struct {
	Name    string // "c1"
	Request *wire.Request
	Head    *wire.Head  // the final head; of the redirect where one could not be followed; nil where none came
	Hops    []wire.Hop  // redirects followed before
	Timing  wire.Timing // up to the head; as far as it came where there is none
	Err     error       // why there is no stream
	// Woken is when something was published only to make a head come that had not come in seconds, since the connection's start; 0: never.
	Woken time.Duration
	Proto wire.Proto

	hide    *secrets         // nil: nothing
	record  *wire.Transcript // nil where not even a connection came about
	stream  *wire.Stream     // nil where Err is not
	encoded bool             // a content coding was removed: content offsets have no place on the wire

	mu      sync.Mutex
	content []byte
	lines   []Line
	events  []Event
	decoder sse.Decoder
	ended   error // io.EOF: a proper end
	endedAt time.Duration
	left    bool // we closed it
	hostile [][2]int64
	open    bool // the last hostile span still grows
	changed chan struct{}
	done    chan struct{} // the reader is gone
	life    context.Context
	wide    func() // makes room for what comes, where little was made; nil: there is room
}

// Line is one line of a stream.
type Line struct {
	Kind       sse.LineKind
	Name       string // field name of an unknown field, at most [sse.MaxNote] bytes
	Value      string // value of any field but data; see [Connection.Content] for that
	EOL        sse.EOL
	Colon      bool
	Space      bool
	Dispatched bool
	Start, End int64         // in the stream's content
	At         time.Duration // arrival of its last byte, since the connection's start
}

// Event is one event as a client dispatches it, raw.
type Event struct {
	Type, Data, ID []byte
	IDSet          bool
	Start, End     int64
	At             time.Duration
}

// buffers are what streams are read into: a run opens a hundred and more, one after the other.
var buffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// begin starts to read the stream in the background.
func (c *Connection) begin(stop func()) {
	c.done = make(chan struct{})
	c.encoded = !wire.Uncoded(c.Head.Header.Get("Content-Encoding"))
	go func() {
		defer close(c.done)
		defer stop()
		buf := buffers.Get().(*[32 << 10]byte)
		defer buffers.Put(buf)
		for {
			n, err := c.stream.Read(buf[:])
			at := c.stream.At().Sub(c.Timing.Start)
			if !c.take(buf[:n], at, err) {
				return
			}
		}
	}()
}

// Saw notes what a request on a connection that the check reads itself came to.
func (c *Connection) Saw(s *wire.Stream, err error) {
	if c.Err = err; s != nil {
		c.stream, c.Head, c.Hops, c.Timing = s, s.Head, s.Hops, s.Timing
		c.hide.heads(s.Head, s.Hops)
	}
}

// take judges nothing: it keeps what came. It returns false at the end.
func (c *Connection) take(p []byte, at time.Duration, err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if room := maxContent - len(c.content); len(p) > room {
		p, err = p[:room], errEnough
	}
	c.content = append(c.content, p...)
	var ev sse.Event
	for len(p) > 0 {
		n, ok, derr := c.decoder.Inspect(p, &ev, func(l *sse.Line) {
			k := Line{
				Kind: l.Kind, EOL: l.EOL, Colon: l.Colon, Space: l.Space, Dispatched: l.Dispatched,
				Start: l.Start, End: l.End, At: at,
			}
			if l.Kind == sse.LineUnknown {
				k.Name = string(l.Name)
			}
			if l.Kind != sse.LineData {
				k.Value = string(l.Value)
			}
			c.lines = append(c.lines, k)
		})
		p = p[n:]
		if derr != nil || len(c.lines) > maxLines {
			err = errEnough
			break
		}
		if !ok {
			break
		}
		c.events = append(c.events, Event{
			Type: bytes.Clone(ev.Type), Data: bytes.Clone(ev.Data), ID: bytes.Clone(ev.ID), IDSet: ev.IDSet,
			Start: ev.Start, End: ev.End, At: at,
		})
	}
	if err != nil && c.ended == nil {
		c.ended = err
		if !c.left {
			if c.endedAt = at; at < 0 {
				c.endedAt = time.Since(c.Timing.Start)
			}
		}
		if errors.Is(err, os.ErrClosed) || errors.Is(err, errEnough) || c.life.Err() != nil {
			c.left = true
		}
	}
	close(c.changed)
	c.changed = make(chan struct{})
	return err == nil
}

// Close leaves the stream and its connection; what came stays.
func (c *Connection) Close() {
	if c.stream == nil {
		return
	}
	c.mu.Lock()
	if c.ended == nil && !c.left {
		c.left, c.endedAt = true, time.Since(c.Timing.Start)
	}
	c.mu.Unlock()
	c.stream.Close()
	c.stream.Conn.Close()
	if c.done != nil {
		<-c.done
	}
}

// Changed returns a channel that is closed at the next change.
func (c *Connection) Changed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

// Content returns the content so far, content coding removed.
func (c *Connection) Content() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.content
}

// Unzipped returns the content so far of a stream in gzip as a reader has it that decodes each bit as it comes, as zlib does. Ours waits for the end of a block, which not
// every way to flush a compressor gives.
func (c *Connection) Unzipped() []byte {
	if c.record == nil || c.stream == nil {
		return nil
	}
	z, err := gzip.NewReader(bytes.NewReader(c.record.Content(c.stream.ID)))
	if err != nil {
		return nil
	}
	b, _ := io.ReadAll(io.LimitReader(z, maxContent)) // it is cut off, and gives what came all the same
	return b
}

// Lines returns the lines so far.
func (c *Connection) Lines() []Line {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lines
}

// Events returns the events so far.
func (c *Connection) Events() []Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.events
}

// Natural returns the lines that came while the run published nothing but plain events: what the target says of itself.
func (c *Connection) Natural() []Line {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.hostile) == 0 {
		return c.lines
	}
	var kept []Line
	for i := range c.lines {
		if !c.inHostile(c.lines[i].Start) {
			kept = append(kept, c.lines[i])
		}
	}
	return kept
}

func (c *Connection) inHostile(off int64) bool {
	for i, s := range c.hostile {
		if off >= s[0] && (off < s[1] || c.open && i == len(c.hostile)-1) {
			return true
		}
	}
	return false
}

// beginHostile and endHostile bound what came while payloads were published that a weak server mangles. On a connection that is opened meanwhile it is all
// that comes: it may begin with what was missed.
func (c *Connection) beginHostile(all bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.open {
		from := int64(len(c.content)) // a block that is under way already is the target's own
		if all {
			from = 0
		}
		c.hostile = append(c.hostile, [2]int64{from, 0})
		c.open = true
	}
}

func (c *Connection) endHostile() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open {
		c.hostile[len(c.hostile)-1][1] = int64(len(c.content))
		c.open = false
	}
}

// Until is how long the connection was watched, since its start.
func (c *Connection) Until() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended == nil && !c.left {
		return time.Since(c.Timing.Start)
	}
	return c.endedAt
}

// Ended tells when and how the stream ended: nil while it went on until we left, io.EOF for a proper end, else what cut it short.
func (c *Connection) Ended() (at time.Duration, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left {
		return 0, nil
	}
	return c.endedAt, c.ended
}

// over tells that nothing more will come.
func (c *Connection) over() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended != nil || c.left
}

// Tail tells what the stream would lose if it ended here; see [sse.Decoder.Tail].
func (c *Connection) Tail() (sse.Tail, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, ok := c.decoder.Tail()
	t.Line.Name, t.Line.Value = bytes.Clone(t.Line.Name), bytes.Clone(t.Line.Value)
	return t, ok
}

// LastEventID is the id that a client holds at this place: the one it came with, until the stream sets another, with or without data. It is raw.
func (c *Connection) LastEventID() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.decoder.LastEventID())
}

// Retry is the reconnection time that the stream set.
func (c *Connection) retry() (time.Duration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.decoder.Retry()
}

// RoundTrip is what one way there and back cost on this path, by the connection's own handshake.
func (c *Connection) RoundTrip() time.Duration {
	return max(0, c.Timing.Connected-c.Timing.Resolved)
}

// Wait is how long the head took after the request was written; false where no head came.
func (c *Connection) Wait() (time.Duration, bool) {
	return c.Timing.Head - c.Timing.Written, c.Head != nil
}

// Faults are the breaches of the HTTP framing that the reader found on the connection.
func (c *Connection) Faults() []wire.Fault {
	if c.record == nil {
		return nil
	}
	return c.record.Faults()
}

// Closed tells how the peer ended the connection; see [wire.Transcript.Closed].
func (c *Connection) Closed() string {
	if c.record == nil {
		return ""
	}
	how, _ := c.record.Closed()
	return how
}

// HeadBytes is how much of a head came where it never became complete.
func (c *Connection) HeadBytes() int64 {
	if c.record == nil || c.Head != nil || c.Proto == wire.HTTP2 || c.Proto == wire.H2C {
		return 0
	}
	return c.record.Received()
}

// SpeaksHTTP2 tells that an HTTP/1.1 request was answered with a frame of HTTP/2, as a port does that knows nothing else: its SETTINGS, or GOAWAY.
func (c *Connection) SpeaksHTTP2() bool {
	if c.HeadBytes() < 9 {
		return false
	}
	var b []byte
	for _, k := range c.record.Chunks() {
		if !k.Sent && k.Offset == int64(len(b)) && len(b) < 9 {
			b = append(b, k.Data...)
		}
	}
	const settings, goAway = 4, 7 // RFC 9113 6.5, 6.8: both on stream 0
	return len(b) >= 9 && b[0] == 0 && b[1] < 64 && (b[3] == settings || b[3] == goAway) && bytes.Equal(b[5:9], make([]byte, 4))
}

// GoingAway tells that GOAWAY came on the connection.
func (c *Connection) GoingAway() bool {
	return c.record != nil && slices.ContainsFunc(c.record.Entries(), func(e wire.Entry) bool { return e.Kind == wire.GoAway })
}

// Full tells that reading stopped because enough was kept, not because the stream ended or the window did.
func (c *Connection) Full() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.Is(c.ended, errEnough)
}

// PastHead tells how many bytes were received after the head over HTTP/1, and where they begin.
func (c *Connection) PastHead() (from, n int64) {
	if c.record == nil || c.Head == nil {
		return 0, 0
	}
	return c.Head.End, c.record.Received() - c.Head.End
}

// millis is d in milliseconds, to the microsecond.
func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
