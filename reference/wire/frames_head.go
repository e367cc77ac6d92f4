package wire

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/net/http2/hpack"
)

// stateless decoders serve connections whose dynamic table is 0: nothing is remembered between field blocks, so
// ten thousand connections need no decoder each.
var stateless = sync.Pool{New: func() any { return &blockDecoder{Decoder: hpack.NewDecoder(0, nil)} }}

// blockDecoder is a decoder, and the last response head that it decoded, in which nothing was wrong: a server answers a thousand requests alike, and the same
// bytes mean the same again.
type blockDecoder struct {
	*hpack.Decoder
	block  []byte
	header Header
	status string
	size   int64
	length int64
}

// maxRemembered bounds the block that is remembered.
const maxRemembered = 1024

// remember keeps what the block of r meant.
func (d *blockDecoder) remember(block []byte, r *blockReader) {
	if len(block) <= maxRemembered {
		d.block = append(d.block[:0], block...)
		d.header, d.status, d.size, d.length = r.header[:len(r.header):len(r.header)], r.status, r.size, r.length
	}
}

// recall gives r what the same block meant before; false: it is another.
func (d *blockDecoder) recall(block []byte, r *blockReader) bool {
	if len(block) == 0 || !bytes.Equal(block, d.block) || d.size > int64(r.f.opt.MaxHeaderBytes) {
		return false
	}
	r.header, r.status, r.statuses, r.size, r.length = d.header, d.status, 1, d.size, d.length
	return true
}

// blockReader collects the fields of one block and judges each.
type blockReader struct {
	f       *Frames
	it      *Item
	id      uint32
	trailer bool

	header   Header
	status   string
	statuses int
	regular  bool  // a regular field was seen
	size     int64 // RFC 9113 6.5.2
	faults   int
	length   int64 // Content-Length, -1: none
	over     bool  // the list is beyond MaxHeaderBytes
}

// fields decodes the field block that ends with the frame at hand and reports what it means.
func (f *Frames) fields(block []byte, it *Item) {
	r := blockReader{f: f, it: it, id: f.id, length: -1}
	s := f.streams.find(f.id)
	gone := s == nil || s.state() == streamCancelled
	r.trailer = s != nil && s.state() == streamOpen
	if gone {
		r.faults = maxFieldFaults // decoded for the sake of the table alone
	}

	dec := f.hpack
	var own *blockDecoder // where there is no table
	if dec == nil {
		own = stateless.Get().(*blockDecoder)
		if s != nil && s.state() == streamWaiting && own.recall(block, &r) {
			stateless.Put(own)
			f.responseHead(s, &r)
			return
		}
		dec = own.Decoder
		dec.SetMaxStringLength(int(f.opt.MaxHeaderBytes))
	}
	dec.SetEmitFunc(r.field)
	dec.SetEmitEnabled(true)
	_, err := dec.Write(block)
	if err == nil {
		err = dec.Close()
	}
	dec.SetEmitFunc(nil)
	switch {
	case err == hpack.ErrStringLength || r.over:
		f.stop(&CapError{What: "field list", Limit: int64(f.opt.MaxHeaderBytes), Offset: f.blockAt}, CodeEnhanceYourCalm)
		return
	case err != nil:
		r.faults = 0
		r.fault(FaultH2HPACK, "the field block cannot be decoded: "+err.Error())
		return
	}
	if lateTableSize(block) {
		r.fault(FaultH2TableSize, "a dynamic table size update behind a field; it may only begin the block")
	}
	if own != nil {
		if r.faults == 0 && r.statuses == 1 && !r.trailer && !gone {
			own.remember(block, &r)
		}
		stateless.Put(own)
	}

	switch {
	case gone && s == nil:
		if f.id > f.streams.forgotten {
			r.faults = 0
			r.fault(FaultH2Closed, fmt.Sprintf("HEADERS on stream %d, which has ended", f.id))
			f.idled(it)
		}
	case gone:
		if f.blockEnd {
			f.streams.close(s)
		}
	case r.trailer:
		if !f.blockEnd {
			r.fault(FaultH2Trailers, "HEADERS after the final head without END_STREAM; trailers end the stream")
			f.idled(it)
		}
		f.emit(it, Item{Kind: Trailer, Stream: f.id, Trailer: r.header, Offset: f.blockAt})
		if f.blockEnd {
			f.endStream(f.id, it)
		}
	default:
		f.responseHead(s, &r)
	}
}

// responseHead reports an interim or the final head.
func (f *Frames) responseHead(s *h2stream, r *blockReader) {
	h := &Head{Proto: HTTP2, Header: r.header, Offset: f.blockAt, End: f.off}
	switch {
	case r.statuses == 0:
		r.fault(FaultH2Status, "a head without :status")
	case r.statuses > 1:
		r.fault(FaultH2Status, fmt.Sprintf(":status %d times", r.statuses))
		fallthrough
	default:
		n, err := strconv.ParseUint(r.status, 10, 16)
		if err != nil || len(r.status) != 3 || n < 100 {
			r.fault(FaultH2Status, ":status "+quote(r.status)+"; three digits from 100 would be right")
			break
		}
		h.Status = int(n)
	}
	if h.Status >= 100 && h.Status < 200 {
		if h.Status == 101 {
			r.fault(FaultH2Status, ":status 101; HTTP/2 has no upgrade (RFC 9113 8.6)")
		}
		f.emit(r.it, Item{Kind: Interim, Stream: f.id, Head: h, Offset: f.blockAt})
		if f.idled(r.it); f.blockEnd {
			f.fault(r.it, FaultH2InterimEnd, f.id, fmt.Sprintf("the stream ended with an interim head (%d)", h.Status))
		}
		return
	}
	f.idle = 0
	s.setState(streamOpen)
	switch {
	case s.win&counted != 0: // the answer to HEAD: no content, whatever the length says
	case h.Status == 204 || h.Status == 304:
		f.expect(s, 0)
	case r.length >= 0:
		f.expect(s, r.length)
	}
	f.emit(r.it, Item{Kind: Final, Stream: f.id, Head: h, Offset: f.blockAt})
	if f.blockEnd {
		f.endStream(f.id, r.it)
	}
}

// expect counts the content of a stream down from n.
func (f *Frames) expect(s *h2stream, n int64) {
	if f.lengths == nil {
		f.lengths = make(map[uint32]int64)
	}
	f.lengths[s.id()] = n
	s.win |= counted
}

func (r *blockReader) fault(code FaultCode, detail string) {
	if r.faults++; r.faults <= maxFieldFaults {
		r.f.faultAt(r.it, code, r.id, r.f.blockAt, int(r.f.off-r.f.blockAt), detail)
	}
}

// field takes one field as HPACK decodes it.
func (r *blockReader) field(hf hpack.HeaderField) {
	if r.size += int64(hf.Size()); r.size > int64(r.f.opt.MaxHeaderBytes) {
		r.over = true
		return
	}
	if strings.HasPrefix(hf.Name, ":") {
		r.pseudo(hf)
		return
	}
	r.regular = true
	r.header = append(r.header, Field{Name: hf.Name, Value: strings.Trim(hf.Value, " \t")})
	r.judge(hf)
	switch {
	case len(hf.Name) < 7: // none of those below
	case strings.EqualFold(hf.Name, "content-length"):
		r.contentLength(hf.Value)
	case connectionSpecific(hf.Name):
		r.fault(FaultH2Connection, quote(hf.Name)+" is specific to a connection; HTTP/2 has no use for it")
	}
}

func (r *blockReader) pseudo(hf hpack.HeaderField) {
	if r.regular {
		r.fault(FaultH2PseudoOrder, quote(hf.Name)+" after a regular field; pseudo-fields come first")
	}
	if hf.Name == ":status" && !r.trailer {
		if r.statuses == 0 {
			r.status = hf.Value
		}
		r.statuses++
		return
	}
	r.header = append(r.header, Field{Name: hf.Name, Value: hf.Value})
	if r.trailer {
		r.fault(FaultH2Pseudo, quote(hf.Name)+" in trailers; they hold no pseudo-fields")
	} else {
		r.fault(FaultH2Pseudo, quote(hf.Name)+" in a response; only :status may stand there")
	}
}

func (r *blockReader) judge(hf hpack.HeaderField) {
	name, v := hf.Name, hf.Value
	if !isToken(name) {
		r.fault(FaultH2FieldName, "field name "+quote(name)+"; a token would be right")
	}
	if strings.IndexFunc(name, func(c rune) bool { return 'A' <= c && c <= 'Z' }) >= 0 {
		r.fault(FaultH2FieldCase, "field name "+quote(name)+"; lower case would be right")
	}
	switch i := badValue(v); {
	case i >= 0:
		r.fault(FaultH2FieldValue, fmt.Sprintf("the value of %s holds 0x%02x", quote(name), v[i]))
	case v != strings.Trim(v, " \t"):
		r.fault(FaultH2FieldValue, "white space around the value of "+quote(name))
	}
}

func (r *blockReader) contentLength(v string) {
	n, err := strconv.ParseUint(v, 10, 63)
	switch {
	case err != nil:
		r.fault(FaultH2Length, "content-length "+quote(v)+"; decimal digits would be right")
	case r.length >= 0 && r.length != int64(n):
		r.fault(FaultH2Length, fmt.Sprintf("content-length %d after %d", n, r.length))
	default:
		r.length = int64(n)
	}
}

// connectionSpecific tells whether RFC 9113 8.2.2 bans the field from HTTP/2.
func connectionSpecific(name string) bool {
	for _, n := range [...]string{"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"} {
		if strings.EqualFold(name, n) {
			return true
		}
	}
	return false
}

// lateTableSize tells whether a dynamic table size update stands behind a field in a block that decodes (RFC 7541 6); the decoder of
// x/net does not mind while the table is empty.
func lateTableSize(b []byte) bool {
	fields := false
	integer := func(prefix int) (v uint64) {
		most := uint64(1)<<prefix - 1
		v = uint64(b[0]) & most
		b = b[1:]
		for shift := 0; v >= most && len(b) > 0 && shift < 63; shift += 7 {
			c := b[0]
			b = b[1:]
			v += uint64(c&0x7f) << shift
			if c < 0x80 {
				break
			}
		}
		return v
	}
	text := func() {
		if len(b) > 0 {
			n := integer(7)
			b = b[min(n, uint64(len(b))):]
		}
	}
	for len(b) > 0 {
		prefix := 4
		switch c := b[0]; {
		case c&0x80 != 0:
			integer(7)
			fields = true
			continue
		case c&0xe0 == 0x20:
			if fields {
				return true
			}
			integer(5)
			continue
		case c&0xc0 == 0x40:
			prefix = 6
		}
		fields = true
		if integer(prefix) == 0 {
			text()
		}
		text()
	}
	return false
}
