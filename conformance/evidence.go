package conformance

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// Evidence points at content bytes from up to to.
func (c *Connection) Evidence(from, to int64) result.Evidence {
	const around = 4 << 10
	b := c.Content()
	from = min(max(from, 0), int64(len(b)))
	to = min(max(to, from), int64(len(b)))
	lo, hi := max(0, from-around), min(int64(len(b)), to+around)
	e := result.NewEvidence(c.secrets().Blank(b[lo:hi]), int(from-lo), int(to-lo))
	e.Connection, e.Offset = c.Name, from
	at := from
	if at == int64(len(b)) && at > 0 {
		at-- // something is missing after the last byte
	}
	if c.record == nil || c.encoded && !c.over() {
		e.TimeMS = millis(c.arrival(from)) // how encoded content maps to the wire is known when its reader is done
		return e
	}
	if off, when, ok := c.stream.Wire(at); ok {
		e.Offset, e.TimeMS = off+(from-at), millis(when)
	}
	return e
}

// arrival is when the line with that byte came.
func (c *Connection) arrival(off int64) time.Duration {
	for _, l := range c.Lines() {
		if l.End > off {
			return l.At
		}
	}
	return c.Timing.Head
}

// WireEvidence points at received bytes, whatever they mean.
func (c *Connection) WireEvidence(from, to int64) result.Evidence {
	const around = 4 << 10
	floor := int64(0)
	if c.Head != nil && from >= c.Head.End {
		floor = c.Head.End // the head may hold credentials
	}
	to = max(from, to)
	if c.record != nil {
		to = max(from, min(to, c.record.Received()))
	}
	length := to - from
	if length > 2*around {
		to = from + around // a target can send as much as it likes: where it begins shows what it is
	}
	start := max(floor, from-around)
	if c.Proto == wire.HTTP11 && (c.Head == nil || from < c.Head.End) {
		start = 0 // the names of its fields tell what is a credential
	}
	base, at, b := c.received(start, to+around, from)
	if start == 0 {
		b = result.BlankFields(b)
	}
	b = c.secrets().Blank(b)
	lo := min(max(int(from-base), 0), len(b))
	hi := min(max(int(to-base), lo), len(b))
	e := result.NewEvidence(b, lo, hi)
	e.Connection, e.Offset, e.Length, e.TimeMS = c.Name, from, int(length), millis(at)
	return e
}

// received returns the bytes from lo up to hi that came and were kept, where they begin, and when the byte at at came.
func (c *Connection) received(lo, hi, at int64) (base int64, when time.Duration, b []byte) {
	if c.record == nil {
		return lo, 0, nil
	}
	base = lo
	for _, k := range c.record.Chunks() {
		end := k.Offset + int64(len(k.Data))
		if k.Sent || end <= lo || k.Offset >= hi {
			continue
		}
		if k.Offset <= at {
			when = k.At
		}
		from := max(lo, k.Offset)
		if len(b) == 0 {
			base = from
		}
		b = append(b, k.Data[from-k.Offset:min(hi, end)-k.Offset]...)
	}
	return base, when, b
}

// FieldEvidence points at a header field of the head; at the whole head where the field is missing.
func (c *Connection) FieldEvidence(name string) result.Evidence {
	if c.Head == nil {
		return result.Evidence{Connection: c.Name}
	}
	// A head over HTTP/2 is compressed: what it means is shown at the place of its frame. So is, for its own sake, a field whose value is a credential.
	var text []byte
	if c.Proto == wire.HTTP11 {
		text = fmt.Appendf(text, "HTTP/%v %d %s\r\n", c.Head.Proto, c.Head.Status, c.Head.Reason)
	}
	from, to := 0, 0
	for _, f := range c.Head.Header {
		line := f.Name + ": " + result.MaskHeader(f.Name, f.Value) + "\r\n"
		if from == to && strings.EqualFold(f.Name, name) {
			from, to = len(text), len(text)+len(line)-2
		}
		text = append(text, line...)
	}
	e := result.NewEvidence(c.secrets().Blank(text), from, to)
	e.Connection, e.Offset, e.TimeMS = c.Name, c.Head.Offset, millis(c.Timing.Head)
	if c.Proto == wire.HTTP11 && c.record != nil && to > from {
		if off, n, ok := c.findField(name); ok {
			e.Offset, e.Length = off, n
		}
	}
	return e
}

// HeadEvidence points at the whole head, with the time it came.
func (c *Connection) HeadEvidence() result.Evidence {
	e := c.FieldEvidence("")
	if c.Head != nil {
		e.Length = int(c.Head.End - c.Head.Offset)
	}
	return e
}

// findField finds a field line of an HTTP/1 head in the received bytes.
func (c *Connection) findField(name string) (off int64, n int, ok bool) {
	var head []byte
	for _, k := range c.record.Chunks() {
		if !k.Sent && k.Offset == int64(len(head)) && int64(len(head)) < c.Head.End {
			head = append(head, k.Data...)
		}
	}
	if int64(len(head)) < c.Head.End {
		return 0, 0, false
	}
	head = head[c.Head.Offset:c.Head.End]
	for at := 0; at < len(head); {
		end := at
		for end < len(head) && head[end] != '\n' {
			end++
		}
		line := bytes.TrimSuffix(head[at:end], []byte("\r"))
		if len(line) > len(name) && line[len(name)] == ':' && strings.EqualFold(string(line[:len(name)]), name) {
			return c.Head.Offset + int64(at), len(line), true
		}
		at = end + 1
	}
	return 0, 0, false
}
