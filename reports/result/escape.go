package result

import (
	"encoding/hex"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Escape makes text of a target safe to show on one line of a terminal or a page: control characters, line ends, bidirectional
// overrides, invisible characters and ill-formed UTF-8 become Go escapes (\n, \x1b, \u202e, \xff). What prints stays as it is, a backslash too,
// so that escaping twice changes nothing. HTML and Markdown need their own escaping on top.
func Escape(s string) string { return escape(s, false) }

// Literal spells bytes as a Go string literal would, without the quotes: as [Escape], but a backslash is doubled, so that it says exactly which bytes there were.
func Literal(b []byte) string { return escape(string(b), true) }

func escape(s string, exact bool) string {
	plain := true
	for i := 0; i < len(s) && plain; i++ {
		plain = s[i] >= ' ' && s[i] < 0x7f && (!exact || s[i] != '\\')
	}
	if plain {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 16)
	for len(s) > 0 {
		c, n := utf8.DecodeRuneInString(s)
		switch {
		case c == utf8.RuneError && n == 1:
			b.WriteString(`\x` + hex.EncodeToString([]byte{s[0]}))
		case c == '\\' && exact:
			b.WriteString(`\\`)
		case strconv.IsPrint(c):
			b.WriteString(s[:n])
		default:
			q := strconv.QuoteRune(c)
			b.WriteString(q[1 : len(q)-1])
		}
		s = s[n:]
	}
	return b.String()
}

// Tokens splits text from [Escape] or [Literal] into what must not be torn apart: an escape (\n, \x1b, \u202e) or a character.
func Tokens(s string) []string {
	var out []string
	runes := []rune(s)
	for i := 0; i < len(runes); {
		n := 1
		if runes[i] == '\\' && i+1 < len(runes) {
			n = 2
			switch runes[i+1] {
			case 'x':
				n = 4
			case 'u':
				n = 6
			case 'U':
				n = 10
			}
			n = min(n, len(runes)-i)
		}
		out = append(out, string(runes[i:i+n]))
		i += n
	}
	return out
}

// How much of the bytes goes into an Evidence.
const (
	context  = 48 // bytes before and after those at fault
	maxFault = 32 // bytes at fault written as hex
	maxShown = 160
)

// NewEvidence quotes b[from:to], the bytes at fault, with what stands around them: it fills Length, Text, Mark and Hex;
// connection, offset and time are the caller's. from == to points at the place where something is missing. Places outside of b are moved
// to its ends. Long stretches are cut, with "…" where bytes were left out.
func NewEvidence(b []byte, from, to int) Evidence {
	from = min(max(from, 0), len(b))
	to = min(max(to, from), len(b))
	e := Evidence{Length: to - from}

	start, end := max(from-context, 0), min(to+context, len(b))
	// Not from the middle of a character: that would look like a fault of its own.
	for i := 0; i < utf8.UTFMax-1 && start > 0 && start < from && !utf8.RuneStart(b[start]); i++ {
		start++
	}
	for i := 0; i < utf8.UTFMax-1 && end > to && end < len(b) && !utf8.RuneStart(b[end]); i++ {
		end--
	}
	var before, after string
	if start > 0 {
		before = "…"
	}
	if end < len(b) {
		after = "…"
	}
	fault := b[from:to]
	var shown string
	if len(fault) > maxShown {
		shown = Literal(fault[:maxShown/2]) + "…" + Literal(fault[len(fault)-maxShown/2:])
	} else {
		shown = Literal(fault)
	}
	before += Literal(b[start:from])
	e.Text = before + shown + Literal(b[to:end]) + after
	e.Mark = &[2]int{len(before), len(before) + len(shown)}
	e.Hex = hexBytes(fault[:min(len(fault), maxFault)])
	return e
}

func hexBytes(b []byte) string {
	var s strings.Builder
	for i, c := range b {
		if i > 0 {
			s.WriteByte(' ')
		}
		s.WriteString(hex.EncodeToString([]byte{c}))
	}
	return s.String()
}

// Marked splits the text at the bytes at fault; ok is false where the place is not known.
func (e *Evidence) Marked() (before, fault, after string, ok bool) {
	if e.Mark == nil || e.Mark[0] < 0 || e.Mark[1] < e.Mark[0] || e.Mark[1] > len(e.Text) {
		return e.Text, "", "", false
	}
	return e.Text[:e.Mark[0]], e.Text[e.Mark[0]:e.Mark[1]], e.Text[e.Mark[1]:], true
}

// clip shortens s to n bytes at most, at the start of a character.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
