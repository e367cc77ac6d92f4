package wire

// chunkByte takes one byte of the chunked framing: size lines and the CRLF after chunk data.
func (r *Response) chunkByte(b byte, it *Item) error {
	at := r.off
	r.off++
	if r.state <= sSizeLF {
		if r.line++; int(r.line) > r.maxChunkLine() {
			return r.fail(&CapError{What: "chunk-size line", Limit: int64(r.maxChunkLine()), Offset: r.off - int64(r.line)})
		}
	}
	switch r.state {
	case sSizeFirst, sSize:
		if d, ok := hexDigit(b); ok {
			if r.left >= 1<<59 {
				return r.fatal(it, FaultChunkSize, at, 1, "chunk size beyond 63 bits")
			}
			r.left = r.left<<4 | int64(d)
			r.state = sSize
			return nil
		}
		if r.state == sSizeFirst {
			return r.fatal(it, FaultChunkSize, at, 1, "chunk size begins with %s, not with a hexadecimal digit", quoteByte(b))
		}
		switch b {
		case ' ', '\t':
			r.state = sSizePad
		case ';':
			r.state = sSizeExt
		case '\r':
			r.state = sSizeLF
		case '\n':
			r.bareLF(it, at)
			r.sized()
		default:
			return r.fatal(it, FaultChunkSize, at, 1, "%s in a chunk size; hexadecimal digits, then CRLF or \";\" are right", quoteByte(b))
		}
	case sSizePad:
		switch b {
		case ' ', '\t':
		case ';':
			r.state = sSizeExt
		case '\r', '\n':
			if r.flags&fSaidPad == 0 {
				r.flags |= fSaidPad
				it.broken(FaultChunkPadding, at, 1, "white space between the chunk size and its line ending (first case reported)")
			}
			if b == '\r' {
				r.state = sSizeLF
			} else {
				if it.Kind == None {
					r.bareLF(it, at)
				}
				r.sized()
			}
		default:
			return r.fatal(it, FaultChunkSize, at, 1, "%s after white space in a chunk-size line", quoteByte(b))
		}
	case sSizeExt:
		switch b {
		case '\r':
			r.state = sSizeLF
		case '\n':
			r.bareLF(it, at)
			r.sized()
		}
	case sSizeLF:
		if b != '\n' {
			return r.fatal(it, FaultChunkSize, at, 1, "CR in a chunk-size line is followed by %s, not by LF", quoteByte(b))
		}
		r.sized()
	case sChunkCR:
		switch b {
		case '\r':
			r.state = sChunkLF
		case '\n':
			r.bareLF(it, at)
			r.nextChunk()
		default:
			return r.fatal(it, FaultChunkEnd, at, 1, "chunk data is followed by %s, not by CRLF: the chunk is longer than its size says", quoteByte(b))
		}
	case sChunkLF:
		if b != '\n' {
			return r.fatal(it, FaultChunkEnd, at, 1, "chunk data is followed by CR and %s, not by CRLF", quoteByte(b))
		}
		r.nextChunk()
	}
	return nil
}

// sized ends a chunk-size line.
func (r *Response) sized() {
	r.line = 0
	if r.left == 0 {
		r.state = sTrailer
	} else {
		r.state = sChunk
	}
}

func (r *Response) nextChunk() {
	r.left, r.line, r.state = 0, 0, sSizeFirst
}

// bareLF reports a line of the chunked framing that ends in LF alone, once a message: a server that does it does it
// on every chunk.
func (r *Response) bareLF(it *Item, at int64) {
	if r.flags&fSaidLF == 0 {
		r.flags |= fSaidLF
		it.broken(FaultBareLF, at, 1, "line of the chunked framing ends in LF without CR (first case reported)")
	}
}

func hexDigit(b byte) (byte, bool) {
	switch {
	case '0' <= b && b <= '9':
		return b - '0', true
	case 'a' <= b && b <= 'f':
		return b - 'a' + 10, true
	case 'A' <= b && b <= 'F':
		return b - 'A' + 10, true
	}
	return 0, false
}
