package sse

import (
	"strings"
	"unicode/utf8"
)

// Text is "UTF-8 decode without BOM" of raw bytes: ill-formed sequences become
// U+FFFD, one for each maximal subpart (Unicode 3.9, "U+FFFD substitution of
// maximal subparts"; WHATWG Encoding 8.1.1). Line endings, colons and spaces are
// ASCII, so decoding a field by itself equals decoding the whole stream. The one
// byte order mark that a stream may begin with is the [Decoder]'s business.
func Text(raw []byte) string {
	if utf8.Valid(raw) {
		return string(raw)
	}
	return repaired(string(raw))
}

func repaired(s string) string {
	var b strings.Builder
	b.Grow(len(s) + 8)
	for s != "" {
		n, whole := subpart(s)
		if whole == wellFormed {
			b.WriteString(s[:n])
		} else {
			b.WriteRune(utf8.RuneError)
		}
		s = s[n:]
	}
	return b.String()
}

// form is what [subpart] found.
type form uint8

const (
	wellFormed form = iota // a character
	illFormed              // a maximal subpart of an ill-formed sequence
	cutOff                 // the beginning of a character, and the end of the input
)

// subpart measures the character, or the maximal subpart of an ill-formed
// sequence, that b begins with. b is not empty. Table 3-7 of the Unicode standard.
func subpart[T string | []byte](b T) (n int, f form) {
	lo, hi, need := byte(0x80), byte(0xBF), 0
	switch c := b[0]; {
	case c < 0x80:
		return 1, wellFormed
	case c >= 0xC2 && c <= 0xDF:
		need = 2
	case c >= 0xE0 && c <= 0xEF:
		need = 3
		switch c {
		case 0xE0: // no overlong forms
			lo = 0xA0
		case 0xED: // no surrogates
			hi = 0x9F
		}
	case c >= 0xF0 && c <= 0xF4:
		need = 4
		switch c {
		case 0xF0: // no overlong forms
			lo = 0x90
		case 0xF4: // nothing above U+10FFFF
			hi = 0x8F
		}
	default:
		return 1, illFormed
	}
	for n = 1; n < need; n++ {
		if n == len(b) {
			return n, cutOff
		}
		if b[n] < lo || b[n] > hi {
			return n, illFormed
		}
		lo, hi = 0x80, 0xBF
	}
	return need, wellFormed
}

// UTF8 validates a stream of bytes that is cut anywhere. The zero value is
// ready; it owns no buffer. It judges all bytes alike, a byte order mark included.
type UTF8 struct {
	off  int64   // bytes consumed
	held [3]byte // the beginning of a character that the last chunk cut
	n    uint8
}

// Feed takes the next bytes of the stream. For each ill-formed sequence (maximal
// subpart) that they complete it calls bad with the offset in the stream and the bytes, which
// are valid only during the call. It reports whether there was none.
func (u *UTF8) Feed(chunk []byte, bad func(offset int64, seq []byte)) bool {
	good := true
	ill := func(seq []byte) {
		good = false
		if bad != nil {
			bad(u.off, seq)
		}
	}
	for u.n > 0 && len(chunk) > 0 {
		// Go on with the character that was cut. At most three more bytes matter.
		had := int(u.n)
		var buf [4]byte
		b := append(append(buf[:0], u.held[:had]...), chunk[:min(len(chunk), len(buf)-had)]...)
		n, f := subpart(b)
		if f == cutOff {
			u.n = uint8(copy(u.held[:], b))
			return good
		}
		if f == illFormed {
			ill(b[:n])
		}
		// The held bytes were a beginning that could go on, so a subpart holds all of them.
		u.off += int64(n)
		u.n = 0
		chunk = chunk[n-had:]
	}
	for len(chunk) > 0 {
		if utf8.Valid(chunk) {
			u.off += int64(len(chunk))
			return good
		}
		// Only the line or so at fault is walked; what follows gets the fast check again.
		walk := chunk[:min(len(chunk), 256)]
		for len(walk) > 0 {
			n, f := subpart(chunk)
			if f == cutOff {
				u.n = uint8(copy(u.held[:], chunk))
				return good
			}
			if f == illFormed {
				ill(chunk[:n])
			}
			u.off += int64(n)
			chunk = chunk[n:]
			walk = walk[min(n, len(walk)):]
		}
	}
	return good
}

// Finish ends the stream: a character that was cut is ill-formed. It reports
// whether there was none, and makes u ready for a new stream.
func (u *UTF8) Finish(bad func(offset int64, seq []byte)) bool {
	n := u.n
	if n > 0 && bad != nil {
		bad(u.off, u.held[:n])
	}
	*u = UTF8{}
	return n == 0
}
