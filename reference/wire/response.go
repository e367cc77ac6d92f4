package wire

import (
	"bytes"
	"io"
)

// Response is the HTTP/1.1 response reader: a small value (at most 40 bytes; with an sse.Decoder 64), fed bytes.
// It reports interim heads, the final head, content, trailers and the end, and every breach of RFC 9112 beside them.
// The zero value reads the answer to a GET, with the default [Limits].
//
// A head that arrives in one piece is parsed where it lies; a partial one is kept aside until it is whole and then
// let go. While content flows nothing is held and nothing is allocated: Data of a Body item points into the input.
//
// Faults that leave the meaning of what follows clear are reported and reading goes on; those that do not end it: the
// Broken item then comes together with a *[Fault] as error. [ResponseFaults] lists which is which. Where the framing
// of a message cannot be known, its head is still reported (Final) before the error.
type Response struct {
	spill    *spill // what does not fit here; nil while content flows
	limits   *Limits
	off      int64 // bytes consumed of the connection
	left     int64 // content bytes still to come of this body or chunk; while a chunk-size line is read, the size so far
	line     int32 // bytes of the chunk-size line so far
	state    state
	interims uint8
	flags    flags
}

// Limits bounds what a peer can make a [Response] hold or go through; zero fields mean the defaults.
type Limits struct {
	Head      int // bytes of one head; 0: 64 KiB
	Fields    int // field lines of one head or trailer section; 0: 256
	Interims  int // 1xx heads before the final one; 0: 16, at most 255
	ChunkLine int // bytes of a chunk-size line with its extensions; 0: 4 KiB
	Trailer   int // bytes of the trailer section; 0: 16 KiB
}

type state uint8

const (
	sHead       state = iota
	sSizeFirst        // chunk-size line: the first digit is due
	sSize             // within the digits
	sSizePad          // white space after the digits
	sSizeExt          // within extensions
	sSizeLF           // its CR was read
	sChunk            // chunk data
	sChunkCR          // the CRLF after the data is due
	sChunkLF          // its CR was read
	sTrailer          // trailer section up to its empty line
	sLength           // content of a declared length
	sUntilClose       // content up to the end of the connection
	sEnd              // complete, End not yet reported
	sDone
	sFailed
)

type flags uint16

const (
	fToHead     flags = 1 << iota // the request was a HEAD
	fToHTTP10                     // the request was HTTP/1.0
	fNoContent                    // the answer carries no content whatever its fields say
	fSaidLF                       // bare LF in the chunked framing was reported
	fSaidPad                      // padding after a chunk size was reported
	fSaidAfter                    // bytes after the end were reported
	fUntilClose                   // the message ends with the connection
)

// spill holds what a Response needs only at the edges of a message.
type spill struct {
	buf   []byte // the partial head or trailer section
	line  int    // where its last line begins
	queue []Item // found out already, to be reported one by one
	err   error  // comes with the last of queue, and ever after
}

// ToHead tells the reader that it reads the answer to a HEAD request: no content follows whatever the fields say.
func (r *Response) ToHead() { r.flags |= fToHead }

// ToHTTP10 tells the reader that the request was an HTTP/1.0 one, which must not be answered with a transfer coding.
func (r *Response) ToHTTP10() { r.flags |= fToHTTP10 }

// StartAt sets the offset of the first byte in the connection's received bytes, for a later response on a connection.
func (r *Response) StartAt(off int64) { r.off = off }

// SetLimits sets the bounds; l is kept, not copied, so that one value can serve a million readers.
func (r *Response) SetLimits(l *Limits) { r.limits = l }

// Offset is the number of bytes of the connection consumed so far.
func (r *Response) Offset() int64 { return r.off }

// Done tells whether the message is complete.
func (r *Response) Done() bool { return r.state == sDone }

// UntilClose tells whether the message has no length of its own and ends with the connection.
func (r *Response) UntilClose() bool { return r.flags&fUntilClose != 0 }

func limit(l *Limits, field func(*Limits) int, def int) int {
	if l != nil {
		if v := field(l); v > 0 {
			return v
		}
	}
	return def
}

func (r *Response) maxHead() int {
	return limit(r.limits, func(l *Limits) int { return l.Head }, 64<<10)
}

func (r *Response) maxFields() int {
	return limit(r.limits, func(l *Limits) int { return l.Fields }, 256)
}

func (r *Response) maxInterims() int {
	return min(limit(r.limits, func(l *Limits) int { return l.Interims }, 16), 255)
}

func (r *Response) maxChunkLine() int {
	return min(limit(r.limits, func(l *Limits) int { return l.ChunkLine }, 4<<10), 1<<30)
}

func (r *Response) maxTrailer() int {
	return limit(r.limits, func(l *Limits) int { return l.Trailer }, 16<<10)
}

// Next consumes bytes of in until one item is known or in is used up (it.Kind is None then).
// It returns how many bytes it consumed. Call it until in is used up AND it returns None.
// Bytes after the end of the message are not consumed; they are reported once (FaultAfterEnd, FaultContentForbidden): who
// expects another response there stops at End. err is non-nil where reading cannot go on (*Fault, *CapError); it is lasting.
func (r *Response) Next(in []byte, it *Item) (n int, err error) {
	*it = Item{}
	if r.spill != nil {
		if len(r.spill.queue) > 0 {
			return 0, r.dequeue(it)
		}
		if r.state == sFailed {
			return 0, r.spill.err
		}
	}
	for {
		if r.state == sEnd {
			r.state = sDone
			it.Kind, it.Offset = End, r.off
			return n, nil
		}
		if n == len(in) {
			return n, nil
		}
		switch r.state {
		case sLength, sChunk, sUntilClose:
			data := in[n:]
			if r.state != sUntilClose {
				if int64(len(data)) > r.left {
					data = data[:r.left]
				}
				if r.left -= int64(len(data)); r.left == 0 {
					if r.state == sLength {
						r.state = sEnd
					} else {
						r.state = sChunkCR
					}
				}
			}
			it.Kind, it.Data, it.Offset = Body, data, r.off
			r.off += int64(len(data))
			return n + len(data), nil
		case sHead, sTrailer:
			k, err := r.block(in[n:], it)
			n += k
			if it.Kind != None || err != nil {
				return n, err
			}
		case sDone:
			if r.flags&fSaidAfter == 0 {
				r.flags |= fSaidAfter
				r.afterEnd(in[n], it)
			}
			return n, nil
		case sFailed:
			return n, io.ErrUnexpectedEOF // not reached: failing leaves its error in spill
		default:
			err := r.chunkByte(in[n], it)
			n++
			if it.Kind != None || err != nil {
				return n, err
			}
		}
	}
}

func (r *Response) afterEnd(b byte, it *Item) {
	if r.flags&fNoContent != 0 {
		it.broken(FaultContentForbidden, r.off, 1, "%s after a head that carries no content (answer to HEAD, or 204, 304)", quoteByte(b))
		return
	}
	it.broken(FaultAfterEnd, r.off, 1, "%s after the end of the message", quoteByte(b))
}

// block gathers the lines of a head or trailer section and parses them when the empty line is there.
func (r *Response) block(in []byte, it *Item) (n int, err error) {
	var held, line int // bytes kept aside, and where among them the last line begins
	var last byte
	if r.spill != nil {
		held, line = len(r.spill.buf), r.spill.line
		if held > 0 {
			last = r.spill.buf[held-1]
		}
	}
	start := r.off - int64(held)
	if r.state == sHead {
		for i := held; i < len(httpName) && i-held < len(in); i++ {
			if in[i-held] != httpName[i] {
				r.off = start + int64(i) + 1
				return i - held + 1, r.fatal(it, FaultStatusLine, start, i+1, "%s", notHTTP(httpName[:i], in[i-held]))
			}
		}
	}
	bound, what := r.maxHead(), "head"
	if r.state == sTrailer {
		bound, what = r.maxTrailer(), "trailers"
	}
	whole := false
	lineLen := held - line
	for {
		i := bytes.IndexByte(in[n:], '\n')
		if i < 0 {
			n = len(in)
			break
		}
		if i > 0 {
			last = in[n+i-1]
		}
		lineLen += i
		n += i + 1
		if whole = lineLen == 0 || lineLen == 1 && last == '\r'; whole {
			break
		}
		line, lineLen = held+n, 0
	}
	if held+n > bound {
		return n, r.fail(&CapError{What: what, Limit: int64(bound), Offset: start})
	}
	r.off += int64(n)
	if !whole {
		if r.spill == nil {
			r.spill = new(spill)
		}
		r.spill.buf = append(r.spill.buf, in[:n]...)
		r.spill.line = line
		return n, nil
	}
	var text string
	if held == 0 {
		text = string(in[:n])
	} else {
		text = string(r.spill.buf) + string(in[:n])
		r.spill = nil
	}
	if r.state == sHead {
		err = r.head(text, start, it)
	} else {
		err = r.trailer(text, start, it)
	}
	return n, err
}

// report hands out faults, then item, then the fatal fault: the first now, the others by and by.
func (r *Response) report(it *Item, faults []Item, item Item, fatal *Fault) error {
	if len(faults) == 0 && fatal == nil {
		*it = item
		return nil
	}
	queue := faults
	if item.Kind != None {
		queue = append(queue, item)
	}
	r.spill = &spill{queue: queue}
	if fatal != nil {
		r.spill.queue = append(queue, Item{Kind: Broken, Offset: fatal.Offset, Fault: *fatal})
		r.spill.err = fatal
	}
	return r.dequeue(it)
}

func (r *Response) dequeue(it *Item) error {
	s := r.spill
	*it = s.queue[0]
	if s.queue = s.queue[1:]; len(s.queue) > 0 {
		return nil
	}
	s.queue = nil
	if s.err == nil {
		r.spill = nil
		return nil
	}
	r.state = sFailed
	return s.err
}

// fail ends reading with err.
func (r *Response) fail(err error) error {
	r.state = sFailed
	r.spill = &spill{err: err}
	return err
}

// fatal reports a fault after which reading cannot go on.
func (r *Response) fatal(it *Item, code FaultCode, off int64, length int, format string, args ...any) error {
	it.broken(code, off, length, format, args...)
	f := it.Fault
	return r.fail(&f)
}

// EOF tells the reader that the peer closed its side. Items are End (a close-delimited body), Broken (cut short; with an error unless
// all content was there), and None when there is nothing to say: call it until then or until an error.
func (r *Response) EOF(it *Item) error {
	*it = Item{Offset: r.off}
	if r.spill != nil {
		if len(r.spill.queue) > 0 {
			return r.dequeue(it)
		}
		if r.state == sFailed {
			return r.spill.err
		}
	}
	switch r.state {
	case sHead:
		held := 0
		if r.spill != nil {
			held = len(r.spill.buf)
		}
		if held == 0 && r.interims > 0 {
			return r.fatal(it, FaultHeadCut, r.off, 0, "connection closed after %d interim heads, before the final one", r.interims)
		}
		if held == 0 {
			return r.fatal(it, FaultNoResponse, r.off, 0, "connection closed before the first byte of a response")
		}
		return r.fatal(it, FaultHeadCut, r.off-int64(held), held, "connection closed within the head, after %d bytes of it", held)
	case sUntilClose, sEnd:
		r.state = sDone
		it.Kind = End
	case sTrailer:
		r.spill = nil
		r.state = sEnd
		it.broken(FaultTrailerCut, r.off, 0, "connection closed after the last chunk, before the empty line that ends the message")
	case sDone:
	case sLength:
		return r.fatal(it, FaultBodyCut, r.off, 0, "connection closed with %d bytes of the Content-Length to come", r.left)
	case sChunk:
		return r.fatal(it, FaultBodyCut, r.off, 0, "connection closed within a chunk, with %d bytes of it to come", r.left)
	default:
		return r.fatal(it, FaultBodyCut, r.off, 0, "connection closed without the last chunk (\"0\", CRLF, CRLF)")
	}
	return nil
}

func (it *Item) broken(code FaultCode, off int64, length int, format string, args ...any) {
	*it = Item{Kind: Broken, Offset: off, Fault: newFault(code, off, length, format, args...)}
}
