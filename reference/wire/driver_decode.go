package wire

import (
	"compress/flate"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"hash/adler32"
	"io"
	"iter"
	"os"
	"slices"
	"sort"
	"strings"
	"sync/atomic"
	"time"
)

// CodingError is the cause where content is in a coding that [Dialer.Decode] cannot undo.
type CodingError struct{ Coding string }

func (e *CodingError) Error() string {
	return "content coding " + quote(e.Coding) + " cannot be decoded; gzip and deflate can"
}

// What a peer can do wrong in a content coding; reported by a [Stream] that decodes.
const (
	FaultCodingBroken  FaultCode = "content/broken"      // the compressed data is damaged; fatal
	FaultCodingCut     FaultCode = "content/cut"         // the message ended inside the compressed data; fatal
	FaultDeflateRaw    FaultCode = "content/raw-deflate" // "deflate" without its zlib wrapper; decoded all the same
	FaultCodingTrailer FaultCode = "content/trailing"    // bytes after the compressed data; ignored
)

// Uncoded tells that a value of Content-Encoding names no coding at all. Servers send "none" or "identity" to keep proxies from compressing a
// stream; browsers pass content through as it is where they do not know a name, so whatever is not registered means nothing here either.
func Uncoded(field string) bool {
	for c := range strings.SplitSeq(field, ",") {
		switch strings.ToLower(strings.Trim(c, " \t")) {
		case "gzip", "x-gzip", "deflate", "br", "zstd", "compress", "x-compress", "dcb", "dcz", "aes128gcm", "exi", "pack200-gzip":
			return false
		}
	}
	return true
}

// codings returns the content codings of a response, the outermost last. x-gzip is gzip (RFC 9110 8.4.1.3).
func codings(h Header) []string {
	var list []string
	for _, v := range h.Values("Content-Encoding") {
		for c := range strings.SplitSeq(v, ",") {
			c = strings.ToLower(strings.Trim(c, " \t"))
			switch {
			case Uncoded(c):
			case c == "x-gzip":
				list = append(list, "gzip")
			default:
				list = append(list, c)
			}
		}
	}
	return list
}

// decode puts decoders before the source of s as its Content-Encoding asks.
func (s *Stream) decode(life context.Context) error {
	list := codings(s.Head.Header)
	if len(list) > maxCodings {
		return &CodingError{strings.Join(list, ", ")}
	}
	for _, c := range slices.Backward(list) {
		d, err := newDecoded(life, s, s.src, c)
		if err != nil {
			return err
		}
		s.src = d
		s.decoders = append(s.decoders, d)
	}
	return nil
}

// maxCodings bounds the codings that are undone one after the other.
const maxCodings = 3

// decoded is a source that undoes the content coding of another. The decoder runs as a coroutine: it is given what has arrived and
// gives back what that means, so a flush of the server shows at once, a read deadline leaves it as it was,
// and a bomb is never unpacked further than it is read.
type decoded struct {
	source
	s     *Stream
	life  context.Context
	until atomic.Int64 // the read deadline in Unix nanoseconds; 0: none
	input inflow
	next  func() ([]byte, bool)
	stop  func()
	at    time.Time
	err   error // why the coroutine ended

	// Where decoded content came from: by the time it held `out` bytes, `in` bytes of the content had been taken.
	out, in int64
	marks   []mark
	marked  int64 // decoded content that marks speak for
}

type mark struct{ out, in int64 }

// maxMarks bounds what is remembered of the relation of decoded to encoded content.
const maxMarks = 1 << 16

func newDecoded(life context.Context, s *Stream, src source, coding string) (*decoded, error) {
	d := &decoded{source: src, s: s, life: life}
	var run func(yield func([]byte) bool) error
	switch coding {
	case "gzip":
		run = d.gunzip
	case "deflate":
		run = d.inflate
	default:
		return nil, &CodingError{coding}
	}
	d.next, d.stop = iter.Pull(func(yield func([]byte) bool) {
		d.input.yield = yield
		d.err = run(yield)
	})
	return d, nil
}

// setReadDeadline holds for what is at hand too: a few bytes that came may decode for hours.
func (d *decoded) setReadDeadline(t time.Time) error {
	var until int64
	if !t.IsZero() {
		until = t.UnixNano()
	}
	d.until.Store(until)
	return d.source.setReadDeadline(t)
}

// stopped tells why decoding does not go on.
func (d *decoded) stopped() error {
	switch until := d.until.Load(); {
	case d.s.closed.Load():
		return os.ErrClosed
	case d.life.Err() != nil:
		return context.Cause(d.life)
	case until != 0 && time.Now().UnixNano() >= until:
		return os.ErrDeadlineExceeded
	}
	return nil
}

// piece returns decoded bytes.
func (d *decoded) piece() ([]byte, time.Time, error) {
	for {
		if err := d.stopped(); err != nil {
			return nil, d.at, err
		}
		p, ok := d.next()
		if !ok {
			return nil, d.at, d.end()
		}
		if len(p) > 0 {
			taken := d.in - int64(len(d.input.p))
			if len(d.marks) < maxMarks {
				if len(d.marks) == 0 || d.marks[len(d.marks)-1].in != taken {
					d.marks = append(d.marks, mark{d.out, taken})
				}
				d.marked = d.out + int64(len(p))
			}
			d.out += int64(len(p))
			return p, d.at, nil
		}
		raw, at, err := d.source.piece()
		if !at.IsZero() {
			d.at = at
		}
		switch {
		case err == io.EOF:
			d.input.eof = true
		case err != nil:
			return nil, at, err
		}
		d.input.p = raw
		d.in += int64(len(raw))
	}
}

// end is the error after the last of the content.
func (d *decoded) end() error {
	if d.err == nil || d.err == errStopped {
		return io.EOF
	}
	code, what := FaultCodingBroken, "compressed content is damaged: "+d.err.Error()
	if errors.Is(d.err, io.ErrUnexpectedEOF) || errors.Is(d.err, io.EOF) {
		code, what = FaultCodingCut, "the message ended inside the compressed content"
	}
	f := &Fault{Code: code, Stream: d.s.ID, Detail: what, Clause: "RFC 9110 8.4.1"}
	f.Offset, _, _ = d.s.Conn.record.Wire(d.s.ID, d.in-int64(len(d.input.p)))
	d.err = nil
	d.report(f)
	return f
}

func (d *decoded) report(f *Fault) {
	it := Item{Kind: Broken, Stream: d.s.ID, Offset: f.Offset, Fault: *f}
	d.s.note(&it)
	d.s.Conn.record.item(d.at, d.s.ID, &it, 0, d.in)
}

// encoded maps an offset in decoded content to the offset in the content by which it was known.
func (d *decoded) encoded(out int64) (int64, bool) {
	if out < 0 || out >= d.marked {
		return 0, false
	}
	i := sort.Search(len(d.marks), func(i int) bool { return d.marks[i].out > out }) - 1
	return max(0, d.marks[i].in-1), true
}

var errStopped = errors.New("stopped")

// inflow is what a decoder reads from: the piece at hand; where it is used up the coroutine yields for another.
// Being an io.ByteReader it keeps the decoders from reading ahead.
type inflow struct {
	p       []byte
	eof     bool
	stopped bool
	yield   func([]byte) bool
}

func (f *inflow) wait() error {
	for len(f.p) == 0 {
		if f.eof {
			return io.EOF
		}
		if f.stopped = f.stopped || !f.yield(nil); f.stopped {
			return errStopped
		}
	}
	return nil
}

func (f *inflow) Read(p []byte) (int, error) {
	if err := f.wait(); err != nil {
		return 0, err
	}
	n := copy(p, f.p)
	f.p = f.p[n:]
	return n, nil
}

func (f *inflow) ReadByte() (byte, error) {
	if err := f.wait(); err != nil {
		return 0, err
	}
	b := f.p[0]
	f.p = f.p[1:]
	return b, nil
}

// pour yields all of r.
func (d *decoded) pour(r io.Reader, buf []byte, yield func([]byte) bool) error {
	for {
		n, err := r.Read(buf)
		if n > 0 && !yield(buf[:n]) {
			d.input.stopped = true
			return errStopped
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

const decodeBuffer = 16 << 10

// gunzip decodes gzip members one after the other (RFC 1952 2.2): some servers write one for each flush, so the end of one must not wait for
// the next.
func (d *decoded) gunzip(yield func([]byte) bool) error {
	buf := make([]byte, decodeBuffer)
	var z *gzip.Reader
	for {
		switch err := d.input.wait(); {
		case err == io.EOF:
			return nil // between members, or nothing at all
		case err != nil:
			return err
		}
		var err error
		if z == nil {
			z, err = gzip.NewReader(&d.input)
		} else {
			err = z.Reset(&d.input)
		}
		if err != nil {
			return cut(err)
		}
		z.Multistream(false)
		if err := d.pour(z, buf, yield); err != nil {
			return err
		}
	}
}

// inflate decodes "deflate", which is the zlib format (RFC 9110 8.4.1.2); bare deflate data, which some servers send, is told by its first bytes.
func (d *decoded) inflate(yield func([]byte) bool) error {
	var head [2]byte
	if _, err := io.ReadFull(&d.input, head[:]); err != nil {
		if err == io.EOF {
			return nil
		}
		return err
	}
	zlib := head[0]&0x0f == 8 && (int(head[0])<<8|int(head[1]))%31 == 0
	var z io.Reader
	if zlib && head[1]&0x20 != 0 {
		return fmt.Errorf("a preset dictionary, which HTTP has none of")
	} else if zlib {
		z = flate.NewReader(&d.input)
	} else {
		d.report(&Fault{Code: FaultDeflateRaw, Stream: d.s.ID, Detail: "deflate content without the zlib wrapper", Clause: "RFC 9110 8.4.1.2"})
		z = flate.NewReader(&unread{head[:], &d.input})
	}
	sum := adler32.New()
	if err := d.pour(io.TeeReader(z, sum), make([]byte, decodeBuffer), yield); err != nil {
		return err
	}
	if zlib {
		var tail [4]byte
		if _, err := io.ReadFull(&d.input, tail[:]); err != nil {
			return cut(err)
		}
		if got := uint32(tail[0])<<24 | uint32(tail[1])<<16 | uint32(tail[2])<<8 | uint32(tail[3]); got != sum.Sum32() {
			return fmt.Errorf("checksum %08x, of the content %08x", got, sum.Sum32())
		}
	}
	switch err := d.input.wait(); {
	case err == io.EOF:
		return nil
	case err != nil:
		return err
	}
	d.report(&Fault{Code: FaultCodingTrailer, Stream: d.s.ID, Detail: "bytes after the end of the deflate content", Clause: "RFC 9110 8.4.1.2"})
	for d.input.wait() == nil {
		d.input.p = nil
	}
	return nil
}

func cut(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// unread puts bytes back before an inflow.
type unread struct {
	head []byte
	*inflow
}

func (u *unread) Read(p []byte) (int, error) {
	if len(u.head) > 0 {
		n := copy(p, u.head)
		u.head = u.head[n:]
		return n, nil
	}
	return u.inflow.Read(p)
}

func (u *unread) ReadByte() (byte, error) {
	if len(u.head) > 0 {
		b := u.head[0]
		u.head = u.head[1:]
		return b, nil
	}
	return u.inflow.ReadByte()
}
