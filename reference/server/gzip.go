package server

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"hash/crc32"
	"sync"
)

// gzipBody is the gzip coding (RFC 1952) of one stream. Its deflate data is a row of blocks that were each
// compressed on their own and end on a byte (a sync flush), so one compression of an event serves every stream, and a
// stream holds 16 bytes in place of a compressor of several hundred KiB.
type gzipBody struct {
	begun bool
	crc   uint32
	size  uint32
}

// encode appends the next piece of content: raw, and the same as deflate blocks.
func (g *gzipBody) encode(dst, raw, blocks []byte) []byte {
	if !g.begun {
		g.begun = true
		dst = append(dst, 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255) // no name, no time, unknown system
	}
	g.crc = crc32.Update(g.crc, crc32.IEEETable, raw)
	g.size += uint32(len(raw))
	return append(dst, blocks...)
}

// end is the last, empty block and the trailer.
func (g *gzipBody) end() []byte {
	dst := append(g.encode(nil, nil, nil), 0x03, 0x00)
	dst = binary.LittleEndian.AppendUint32(dst, g.crc)
	return binary.LittleEndian.AppendUint32(dst, g.size)
}

var compressors = sync.Pool{New: func() any {
	w, err := flate.NewWriter(nil, flate.BestSpeed)
	if err != nil {
		panic(err) // the level is a constant
	}
	return w
}}

// deflate compresses p into blocks that refer to nothing before them and end on a byte.
func deflate(p []byte) []byte {
	w := compressors.Get().(*flate.Writer)
	defer compressors.Put(w)
	var out bytes.Buffer
	w.Reset(&out)
	_, _ = w.Write(p) // a bytes.Buffer does not fail
	_ = w.Flush()
	return out.Bytes()
}

func (r *record) deflated() []byte {
	r.once.Do(func() { r.small = deflate(r.raw) })
	return r.small
}
