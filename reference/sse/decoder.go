package sse

import (
	"bytes"
	"math"
)

// Decoder is the incremental parser: a small value (at most 24 bytes) that owns
// no buffer while idle. The zero value is ready, with [DefaultMaxEvent] as its
// cap. It may move (a slice of them may grow), but of two copies only one may go
// on. It is not for two goroutines at once.
//
//	for {
//		n, ok, err := d.Next(chunk, &ev)
//		chunk = chunk[n:]
//		if !ok {
//			break // err, or read the next chunk
//		}
//		...
//	}
//
// The last call of this loop finds nothing more, and its chunk is empty where the
// last event ended with it. It is needed all the same: an event that came in
// pieces or on several data lines lives in a pooled buffer, and only the call
// after it may give that buffer back. A stream that then idles holds nothing but,
// where it uses them, a small record of its last event ID and reconnection time.
type Decoder struct {
	off   int64   // bytes consumed
	rec   *record // nil while there is nothing to remember
	max   uint32  // cap in bytes; 0: DefaultMaxEvent; and forgets
	ahead uint32  // how many of the next bytes are known to hold no CR; or afterCR
}

const (
	// afterCR in Decoder.ahead: the last chunk ended with a CR, so an LF that comes first now belongs to it.
	// (At a chunk's end nothing is known of the next bytes, so the field is free for this.)
	afterCR = math.MaxUint32

	// forgets in Decoder.max: see [Decoder.Forget].
	forgets = 1 << 31

	// maxChunk is how much of a chunk is looked at in one go, so that a count fits Decoder.ahead on every platform.
	maxChunk = 1 << 30

	bom = "\xEF\xBB\xBF"
)

// Next consumes bytes of chunk until one event is complete or the chunk is used up.
// It returns how many bytes it consumed, and true if ev now holds an event; ev is untouched otherwise.
// n is len(chunk) when ok is false and err is nil; what was not consumed must be fed again.
// The only error is a [*TooLongError]; after it the decoder stays in that error until [Decoder.Reset].
func (d *Decoder) Next(chunk []byte, ev *Event) (n int, ok bool, err error) {
	return d.decode(chunk, ev, nil)
}

// Inspect is Next that also reports every line it completes, including what
// clients throw away, in the order of the stream and before it returns the event
// that a blank line fires. One stream is read by Next or by Inspect, not by both in
// turns: a line that Next began is reported without the bytes that Next threw away.
func (d *Decoder) Inspect(chunk []byte, ev *Event, line func(*Line)) (n int, ok bool, err error) {
	return d.decode(chunk, ev, line)
}

func (d *Decoder) decode(chunk []byte, ev *Event, line func(*Line)) (n int, ok bool, err error) {
	if r := d.rec; r != nil && r.block != nil {
		if r.block.tooLong != nil {
			return 0, false, r.block.tooLong
		}
		if r.block.lent {
			d.close()
		}
	}
	if len(chunk) == 0 {
		return 0, false, nil
	}
	if len(chunk) > maxChunk {
		n, ok, err = d.decode(chunk[:maxChunk], ev, line)
		if ok || err != nil {
			return n, ok, err
		}
		m, ok, err := d.decode(chunk[maxChunk:], ev, line)
		return n + m, ok, err
	}

	p := 0
	if d.ahead == afterCR {
		d.ahead = 0
		if chunk[0] == '\n' {
			p = 1
			if line != nil {
				line(&Line{Kind: LineLateLF, Start: d.off, End: d.off + 1})
			}
		}
	}
	cr := min(int(d.ahead), len(chunk)) // the first CR at or after p; len(chunk) if there is none
	if cr < len(chunk) && chunk[cr] != '\r' {
		known := cr
		cr = nextCR(chunk, cr)
		if d.open() {
			d.rec.block.work += int64(cr - known)
		}
	}
	if d.off == 0 || d.open() && d.rec.block.state == inBOM {
		p = d.stripBOM(chunk, line)
	}
	for p < len(chunk) && !ok && err == nil {
		if !d.open() {
			if line == nil {
				p, cr, ok = d.whole(chunk, p, cr, ev)
				if ok || p == len(chunk) {
					break
				}
			}
			d.begin(d.off + int64(p))
			d.rec.block.work = int64(len(chunk) - p) // what whole may have looked at in vain
		}
		p, cr, ok, err = d.resume(chunk, p, cr, ev, line)
	}
	d.off += int64(p)
	switch {
	case p < len(chunk):
		d.ahead = uint32(max(cr-p, 0))
	case chunk[p-1] == '\r':
		d.ahead = afterCR
	default:
		d.ahead = 0
	}
	return p, ok, err
}

// nextCR is the index of the first CR of b at or after i, or len(b).
func nextCR(b []byte, i int) int {
	if j := bytes.IndexByte(b[i:], '\r'); j >= 0 {
		return i + j
	}
	return len(b)
}

// whole takes blocks that lie whole in b[p:] and need no buffer: at most one data
// line each. It stops after one that fires an event (true), at the end of b, or in
// front of a block that [Decoder.resume] must take; of that one it has changed
// nothing. cr is the first CR at or after p, or len(b): where b holds no CR at
// all, LF is all that is looked for.
func (d *Decoder) whole(b []byte, p, cr int, ev *Event) (int, int, bool) {
	for p < len(b) {
		var typ, data, id []byte
		var hasData, idSet bool
		var retry digits
		var odd uint16
		q, c := p, cr
		for {
			var line []byte
			if i := bytes.IndexByte(b[q:c], '\n'); i >= 0 {
				line = b[q : q+i]
				q += i + 1
			} else if c == len(b) {
				return p, cr, false // the block is not complete
			} else {
				line = b[q:c]
				q = c + 1
				if q < len(b) && b[q] == '\n' {
					q++
				}
				c = nextCR(b, q)
			}
			if len(line) == 0 {
				break
			}
			switch line[0] {
			case 'd':
				if v, ok := field(line, "data"); ok {
					if hasData {
						return p, cr, false // several data lines must be joined
					}
					data, hasData = v, true
					continue
				}
			case 'e':
				if v, ok := field(line, "event"); ok {
					typ = v
					continue
				}
			case 'i':
				if v, ok := field(line, "id"); ok {
					if bytes.IndexByte(v, 0) >= 0 {
						odd |= 1 << LineIDIgnored
						continue
					}
					id, idSet = v, true
					continue
				}
			case 'r':
				if v, ok := field(line, "retry"); ok {
					var n digits
					if n.feed(v); n.valid() {
						retry = n
					} else {
						odd |= 1 << LineRetryIgnored
					}
					continue
				}
			case ':':
				continue
			}
			odd |= 1 << LineUnknown
		}
		if q-p > d.limit() {
			return p, cr, false // resume counts exactly
		}
		if odd != 0 {
			d.record().odd |= odd
		}
		keep := !d.forgets()
		if retry.any && keep {
			d.record().setRetry(retry.value)
		}
		if keep {
			if idSet {
				r := d.record()
				r.id = append(r.id[:0], id...)
			}
			id = d.LastEventID()
		}
		if hasData {
			ev.Type, ev.Data, ev.ID, ev.IDSet = typ, data, id, idSet
			ev.Start, ev.End = d.off+int64(p), d.off+int64(q)
			return q, c, true
		}
		p, cr = q, c
	}
	return p, cr, false
}

// field is the value of line if its field name is name.
func field(line []byte, name string) ([]byte, bool) {
	if len(line) < len(name) || string(line[:len(name)]) != name {
		return nil, false
	}
	v := line[len(name):]
	if len(v) == 0 {
		return v, true // no colon: the whole line is the name
	}
	if v[0] != ':' {
		return nil, false
	}
	v = v[1:]
	if len(v) > 0 && v[0] == ' ' {
		v = v[1:]
	}
	return v, true
}

// resume takes the lines of the open block from b[p:], up to the blank line that ends it or the end of b.
func (d *Decoder) resume(b []byte, p, cr int, ev *Event, line func(*Line)) (int, int, bool, error) {
	k := d.rec.block
	for p < len(b) {
		// The line goes on to end; the next one begins at next, or this one is not complete (next is 0).
		end, next := len(b), 0
		if i := bytes.IndexByte(b[p:cr], '\n'); i >= 0 {
			end, next = p+i, p+i+1
		} else if cr < len(b) {
			end, next = cr, cr+1
			if next < len(b) && b[next] == '\n' {
				next++
			}
			cr = nextCR(b, next)
			k.work += int64(cr - next)
		}
		k.work += int64(end - p)

		if k.state == atLine {
			k.lineStart = d.off + int64(p)
			if end == p {
				if line == nil {
					d.rec.odd |= k.saw & oddKinds
				}
				ok := d.dispatch(ev, d.off+int64(next))
				if line != nil {
					l := k.reported()
					*l = Line{Kind: LineBlank, Dispatched: ok, EOL: eol(b, end, next), Start: k.lineStart, End: d.off + int64(next)}
					line(l)
				}
				if !ok {
					d.close()
				}
				return next, cr, ok, nil
			}
		}
		if k.state == atLine && next > 0 && line == nil {
			// By far the most frequent case here, the same in fewer steps.
			if v, ok := field(b[p:end], "data"); ok && k.held()+len(v) < d.limit() {
				k.data = append(append(k.data, v...), '\n')
				k.saw |= 1 << LineData
				p = next
				continue
			}
		}
		fits := k.feed(b[p:end], line != nil, d.limit())
		if fits && next > 0 {
			fits = k.endLine(d.rec, !d.forgets(), d.limit())
		}
		if !fits {
			k.fail(d.limit())
			return end, cr, false, k.tooLong
		}
		if next == 0 {
			return end, cr, false, nil
		}
		if line != nil {
			l := k.reported()
			k.describe(l)
			l.EOL, l.End = eol(b, end, next), d.off+int64(next)
			line(l)
		}
		p = next
	}
	return p, cr, false, nil
}

// eol is the line ending b[end:next].
func eol(b []byte, end, next int) EOL {
	switch {
	case b[end] == '\n':
		return EOLLF
	case next == end+2:
		return EOLCRLF
	}
	return EOLCR
}

// dispatch is what a blank line does (9.2.6): the id becomes the last event ID
// string, and where there is data it fires an event, to which the block is lent.
func (d *Decoder) dispatch(ev *Event, end int64) bool {
	k := d.rec.block
	id := k.id // empty unless k.idSet
	if !d.forgets() {
		if k.idSet {
			d.rec.id = append(d.rec.id[:0], k.id...)
		}
		id = d.rec.id
	}
	if len(k.data) == 0 {
		return false
	}
	ev.Type, ev.Data, ev.ID, ev.IDSet = k.typ, k.data[:len(k.data)-1], id, k.idSet
	ev.Start, ev.End = k.start, end
	k.lent = true
	return true
}

// stripBOM takes what of chunk belongs to a byte order mark at the start of the
// stream, also one whose bytes come apart. It returns how many bytes it took.
func (d *Decoder) stripBOM(chunk []byte, line func(*Line)) int {
	had := 0
	if d.open() {
		had = int(d.rec.block.nameLen)
	}
	p, n := 0, had
	for p < len(chunk) && n < len(bom) && chunk[p] == bom[n] {
		p, n = p+1, n+1
	}
	switch {
	case n == len(bom):
		if d.open() {
			d.close()
		}
		if line != nil {
			line(&Line{Kind: LineBOM, Start: 0, End: int64(n)})
		}
		return p
	case p == len(chunk): // more may come
		if !d.open() {
			d.begin(0)
		}
		d.rec.block.state = inBOM
	case had == 0: // nothing was consumed yet
		return 0
	default: // no mark, but the beginning of the first line
		d.rec.block.startLine()
		d.rec.block.state = inName
	}
	k := d.rec.block
	k.nameLen = uint8(copy(k.name[:], bom[:n]))
	return p
}
