package sse

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestTextTables: the tables of the Unicode standard, section 3.9, "U+FFFD substitution of maximal subparts".
func TestTextTables(t *testing.T) {
	for _, tc := range []struct{ name, raw, want string }{
		{"table 3-8, non-shortest forms", "\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41", "????????A"},
		{"table 3-9, surrogates", "\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41", "????????A"},
		{"table 3-10, other ill-formed sequences", "\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42", "?????A??B"},
		{"table 3-11, truncated sequences", "\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", "????A"},
		{"the example of earlier editions", "\x61\xF1\x80\x80\xE1\x80\xC2\x62\x80\x63\x80\xBF\x64", "a???b?c??d"},
		{"cut at the end", "a\xE2\x82", "a?"},
		{"cut at the end, four bytes", "\xF0\x9F\x98", "?"},
		{"well-formed", "a\u00e9€😀\x00\uFFFF\U0010FFFF", "a\u00e9€😀\x00\uFFFF\U0010FFFF"},
		{"a mark is a character here", "\uFEFFx", "\uFEFFx"},
		{"F5 and above", "\xF5\x80\x80\x80\xFE\xFF", "??????"},
		{"nothing", "", ""},
	} {
		want := strings.ReplaceAll(tc.want, "?", "\uFFFD")
		if got := Text([]byte(tc.raw)); got != want {
			t.Errorf("%s: % X is %q, want %q", tc.name, tc.raw, got, want)
		}
	}
}

// modelUTF8 is the decoder of the Encoding standard, 8.1.1, byte by byte as
// written. It returns the text and each ill-formed sequence as "offset:bytes".
func modelUTF8(raw string) (text string, ill []string) {
	var out strings.Builder
	var point rune
	seen, needed := 0, 0
	lower, upper := byte(0x80), byte(0xBF)
	start := 0
	bad := func(end int) {
		out.WriteString("\uFFFD")
		ill = append(ill, fmt.Sprintf("%d:% X", start, raw[start:end]))
	}
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if needed == 0 {
			start = i
			switch {
			case c < 0x80:
				out.WriteByte(c)
			case c >= 0xC2 && c <= 0xDF:
				needed, point = 1, rune(c&0x1F)
			case c >= 0xE0 && c <= 0xEF:
				if c == 0xE0 {
					lower = 0xA0
				}
				if c == 0xED {
					upper = 0x9F
				}
				needed, point = 2, rune(c&0xF)
			case c >= 0xF0 && c <= 0xF4:
				if c == 0xF0 {
					lower = 0x90
				}
				if c == 0xF4 {
					upper = 0x8F
				}
				needed, point = 3, rune(c&7)
			default:
				bad(i + 1)
			}
			continue
		}
		if c < lower || c > upper {
			bad(i)
			point, needed, seen, lower, upper = 0, 0, 0, 0x80, 0xBF
			i-- // the byte is read again
			continue
		}
		lower, upper = 0x80, 0xBF
		point = point<<6 | rune(c&0x3F)
		if seen++; seen == needed {
			out.WriteRune(point)
			point, needed, seen = 0, 0, 0
		}
	}
	if needed != 0 {
		bad(len(raw))
	}
	return out.String(), ill
}

// checkUTF8 holds Text and UTF8, fed in chunks, to the model.
func checkUTF8(t testing.TB, raw string, chunks [][]byte) {
	t.Helper()
	text, want := modelUTF8(raw)
	if got := Text([]byte(raw)); got != text {
		t.Fatalf("Text(% X) = %q, want %q", raw, got, text)
	}
	var u UTF8
	var got []string
	note := func(off int64, seq []byte) { got = append(got, fmt.Sprintf("%d:% X", off, seq)) }
	good := true
	for _, c := range chunks {
		before := len(got)
		ok := u.Feed(c, note)
		if ok != (len(got) == before) {
			t.Fatalf("Feed says %v and reports %q", ok, got[before:])
		}
		good = good && ok
	}
	if !u.Finish(note) {
		good = false
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("% X in %x: %q, want %q", raw, chunks, got, want)
	}
	if good != utf8.ValidString(raw) || good != (len(want) == 0) {
		t.Fatalf("% X: good %v", raw, good)
	}
	if u != (UTF8{}) {
		t.Fatalf("Finish left %+v", u)
	}
}

var utf8Seeds = []string{
	"\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41", "\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41", "\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42",
	"\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", "\x61\xF1\x80\x80\xE1\x80\xC2\x62\x80\x63\x80\xBF\x64",
	"plain", "data: €豆腐😀\n\n", "\xF0\x9F\x98", "\xF0\x9F\xF0\x9F\x98\x80", "\xE2\x82\xE2\x82\xAC", "\uFEFFx",
	strings.Repeat("x", 700) + "\xFF" + strings.Repeat("é", 300) + "\xE2\x82",
}

func TestUTF8Cuts(t *testing.T) {
	for _, raw := range utf8Seeds {
		ways(raw, func(_ string, chunks [][]byte) { checkUTF8(t, raw, chunks) })
	}
	var u UTF8
	if u.Feed([]byte("a\xFF"), nil) || u.Feed([]byte("\xE2"), nil) != true || u.Finish(nil) {
		t.Error("without a callback the verdict is wrong")
	}
}

func FuzzUTF8(f *testing.F) {
	for _, s := range utf8Seeds {
		f.Add(s, []byte{0, 1, 2, 0})
	}
	f.Fuzz(func(t *testing.T, raw string, cuts []byte) {
		checkUTF8(t, raw, pieces(raw))
		checkUTF8(t, raw, every(raw, 1))
		checkUTF8(t, raw, pieces(raw, cutsFrom(cuts)...))
	})
}
