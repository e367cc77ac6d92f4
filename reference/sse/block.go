package sse

import (
	"bytes"
	"math"
	"sync"
	"time"
)

// record is what a stream holds beyond its Decoder: for its whole life its last
// event ID and its reconnection time, where it uses them, and a block while one is incomplete.
type record struct {
	id       []byte
	block    *block
	retry    time.Duration
	hasRetry bool
	odd      uint16 // see Decoder.Odd
}

// setRetry takes a reconnection time in milliseconds.
func (r *record) setRetry(ms int64) {
	r.hasRetry = true
	r.retry = math.MaxInt64
	if ms <= math.MaxInt64/int64(time.Millisecond) {
		r.retry = time.Duration(ms) * time.Millisecond
	}
}

// block is a block that came in pieces or has several data lines.
type block struct {
	start     int64         // offset of its first line
	lineStart int64         // offset of its current line
	data      []byte        // the data buffer: each data line and an LF
	typ       []byte        // the event type buffer
	id        []byte        // the last event ID buffer, if idSet
	scratch   []byte        // of the current line: the value of an id field; under Inspect also what of the others is kept
	mark      int           // where the value of the current line begins: in data or in scratch
	digits    digits        // of the current line, a retry field
	work      int64         // bytes looked at for the sake of this block; a test holds it to be linear
	tooLong   *TooLongError // sticky
	line      *Line         // Inspect's report, kept so that a line needs no allocation
	saw       uint16        // kinds of its complete lines, a bit each
	name      [5]byte
	nameLen   uint8
	state     lineState
	kind      LineKind // of the current line; valid once the name is known
	colon     bool     // of the current line, as in Line
	space     bool
	truncated bool
	idSet     bool
	lent      bool // an event points into it until the next call
}

// lineState is where in a line the last chunk ended.
type lineState uint8

const (
	atLine     lineState = iota // before its first byte
	inBOM                       // in what may become the byte order mark
	inName                      // in a name that may yet be one of the four: name[:nameLen]
	inLongName                  // in a name that cannot
	afterColon                  // where one space is removed
	inValue
)

// maxPooled is the largest buffer that goes back to the pool: one huge event must
// not make a thousand small ones sit in huge buffers.
const maxPooled = 64 << 10

var (
	records = sync.Pool{New: func() any { return new(record) }}
	blocks  = sync.Pool{New: func() any { return new(block) }}
)

func (d *Decoder) open() bool { return d.rec != nil && d.rec.block != nil }

func (d *Decoder) record() *record {
	if d.rec == nil {
		d.rec = records.Get().(*record)
	}
	return d.rec
}

// begin opens a block.
func (d *Decoder) begin(start int64) {
	k := blocks.Get().(*block)
	k.start, k.lineStart = start, start
	d.record().block = k
}

// close gives the block back, and the record if it holds nothing else.
func (d *Decoder) close() {
	k := d.rec.block
	*k = block{data: pooled(k.data), typ: pooled(k.typ), id: pooled(k.id), scratch: pooled(k.scratch), line: k.line}
	blocks.Put(k)
	d.rec.block = nil
	d.rec.spare(d)
}

// spare lets go of the record of d if it holds nothing.
func (r *record) spare(d *Decoder) {
	if r.block == nil && cap(r.id) == 0 && !r.hasRetry && r.odd == 0 {
		d.forget()
	}
}

// forget gives the record back.
func (d *Decoder) forget() {
	// No spare id buffer goes along: a stream without ids would sit on it.
	*d.rec = record{}
	records.Put(d.rec)
	d.rec = nil
}

func pooled(b []byte) []byte {
	if cap(b) > maxPooled {
		return nil
	}
	return b[:0]
}

// fail makes the cap's error stick and gives up what was held.
func (k *block) fail(limit int) {
	*k = block{start: k.start, lineStart: k.lineStart, saw: k.saw, tooLong: &TooLongError{Offset: k.start, Limit: limit}}
}

// held is what counts against the cap, the current line's id aside.
func (k *block) held() int { return len(k.data) + len(k.typ) + len(k.id) }

func (k *block) startLine() {
	k.scratch, k.mark, k.nameLen, k.digits = k.scratch[:0], 0, 0, digits{}
	k.colon, k.space, k.truncated = false, false, false
}

// feed takes bytes of one line; part is not empty and holds no line ending. note
// asks to keep (capped) what the parser itself has no use for. False: over the limit.
func (k *block) feed(part []byte, note bool, limit int) bool {
	k.work += int64(len(part))
	if k.state == atLine {
		k.startLine()
		k.state = inName
		if part[0] == ':' {
			k.kind, k.colon, k.state = LineComment, true, inValue
			part = part[1:]
		}
	}
	if k.state == inName {
		for i, c := range part {
			if c == ':' {
				k.nameKnown(note)
				k.colon, k.state = true, afterColon
				part = part[i+1:]
				break
			}
			if int(k.nameLen) == len(k.name) {
				k.kind, k.state = LineUnknown, inLongName
				k.note(k.name[:], note)
				part = part[i:]
				break
			}
			k.name[k.nameLen] = c
			k.nameLen++
		}
		if k.state == inName {
			return true
		}
	}
	if k.state == inLongName {
		i := -1
		if note {
			i = bytes.IndexByte(part, ':')
		}
		if i < 0 {
			k.note(part, note)
			return true
		}
		k.note(part[:i], note)
		k.mark = len(k.scratch)
		k.colon, k.state = true, afterColon
		part = part[i+1:]
	}
	if k.state == afterColon && len(part) > 0 {
		k.state = inValue
		if part[0] == ' ' {
			k.space = true
			part = part[1:]
		}
	}
	switch k.kind {
	case LineData:
		if k.held()+len(part) > limit {
			return false
		}
		k.data = append(k.data, part...)
	case LineEvent:
		if k.held()+len(part) > limit {
			return false
		}
		k.typ = append(k.typ, part...)
	case LineID:
		if k.held()+len(k.scratch)+len(part) > limit {
			return false
		}
		k.scratch = append(k.scratch, part...)
	case LineRetry:
		k.digits.feed(part)
		k.note(part, note)
	default:
		k.note(part, note)
	}
	return true
}

// nameKnown takes name[:nameLen] as the line's field name.
func (k *block) nameKnown(note bool) {
	switch string(k.name[:k.nameLen]) {
	case "data":
		k.kind, k.mark = LineData, len(k.data)
	case "event":
		k.kind, k.typ = LineEvent, k.typ[:0]
	case "id":
		k.kind = LineID
	case "retry":
		k.kind = LineRetry
	default:
		k.kind = LineUnknown
		k.note(k.name[:k.nameLen], note)
		k.mark = len(k.scratch)
	}
}

// note keeps b for the report of the current line, up to MaxNote bytes.
func (k *block) note(b []byte, note bool) {
	if !note {
		return
	}
	if room := MaxNote - len(k.scratch); len(b) > room {
		b, k.truncated = b[:room], true
	}
	k.scratch = append(k.scratch, b...)
}

// endLine gives a complete line its effect. False: over the limit.
func (k *block) endLine(r *record, keep bool, limit int) bool {
	switch k.state {
	case inName:
		k.nameKnown(true) // at most five bytes, so no need to ask whether they will be reported
	case inLongName:
		k.mark = len(k.scratch)
	}
	k.state = atLine
	switch k.kind {
	case LineData:
		if k.held()+1 > limit {
			return false
		}
		k.data = append(k.data, '\n')
	case LineID:
		if bytes.IndexByte(k.scratch, 0) >= 0 {
			k.kind = LineIDIgnored
			break
		}
		k.id, k.scratch = k.scratch, k.id[:0]
		k.idSet = true
	case LineRetry:
		if !k.digits.valid() {
			k.kind = LineRetryIgnored
			break
		}
		if keep {
			r.setRetry(k.digits.value)
		}
	}
	k.saw |= 1 << k.kind
	return true
}

// reported is where the line that Inspect reports next is put together.
func (k *block) reported() *Line {
	if k.line == nil {
		k.line = new(Line)
	}
	return k.line
}

// describe fills l with the line that was just ended; its EOL and End are the caller's.
func (k *block) describe(l *Line) {
	switch k.kind {
	case LineData:
		k.report(l, k.data[k.mark:len(k.data)-1])
	case LineID:
		k.report(l, k.id)
	default:
		k.describeOpen(l)
	}
}

// describeOpen is describe for a line whose name is complete but which did not end.
func (k *block) describeOpen(l *Line) {
	switch k.kind {
	case LineData:
		k.report(l, k.data[k.mark:])
	case LineEvent:
		k.report(l, k.typ)
	case LineUnknown:
		k.report(l, k.scratch[k.mark:])
		l.Name = k.scratch[:k.mark]
	default:
		k.report(l, k.scratch)
	}
}

func (k *block) report(l *Line, value []byte) {
	*l = Line{
		Kind: k.kind, Name: fieldNames[k.kind], Value: value,
		Colon: k.colon, Space: k.space, Truncated: k.truncated, Start: k.lineStart,
	}
}

var fieldNames = [LineLateLF + 1][]byte{
	LineData: []byte("data"), LineEvent: []byte("event"), LineID: []byte("id"), LineIDIgnored: []byte("id"),
	LineRetry: []byte("retry"), LineRetryIgnored: []byte("retry"),
}

// digits reads a base-ten number that may come in pieces.
type digits struct {
	value int64 // saturates
	any   bool
	bad   bool
}

func (n *digits) feed(b []byte) {
	for _, c := range b {
		if c < '0' || c > '9' {
			n.bad = true
			return
		}
		n.any = true
		if n.value > (math.MaxInt64-9)/10 {
			n.value = math.MaxInt64
			continue
		}
		n.value = n.value*10 + int64(c-'0')
	}
}

// valid: "consists of only ASCII digits"; an empty value has no base-ten reading and is ignored, as browsers do.
func (n *digits) valid() bool { return n.any && !n.bad }
