package conformance

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// Curl is the shell command for a request; nil means the nominal one. Credentials are masked.
func (p *Probe) Curl(r *wire.Request, options ...string) string {
	if r == nil {
		first := p.s.target.Request
		r = &first
	}
	words := []string{"curl", "-sS", "-N", "-i"}
	words = append(words, options...)
	if r.Method != "" && r.Method != "GET" && r.Method != "HEAD" {
		words = append(words, "-X", quote(r.Method))
	}
	for _, f := range r.Header {
		if strings.EqualFold(f.Name, "User-Agent") && strings.HasPrefix(f.Value, "ssegauge/") {
			continue // ours, and no part of what shows it
		}
		words = append(words, "-H", quote(f.Name+": "+result.MaskHeader(f.Name, f.Value)))
	}
	if len(r.Body) > 0 {
		words = append(words, "--data-binary", quote(cut(result.MaskBody(string(r.Body)))))
	}
	words = append(words, quote(result.Mask(r.URL.String())))
	return strings.Join(words, " ")
}

// maxCommand is the longest command that is shown, in bytes.
const maxCommand = 16 << 10

// Republish is the shell command that listens and publishes data as the hook does; credentials are masked.
func (p *Probe) Republish(d *Delivery) string {
	if p.s.target.Publisher == nil || d == nil {
		return ""
	}
	listen := p.Curl(nil) + " & sleep 1; "
	method, url, header, body, ok := p.s.target.Publisher.Request(d.message)
	if !ok {
		return listen + printf(d.Sent) + " | SSE_DATA=\"$(" + printf(d.Sent) + ")\" sh -c '...your publish command...'"
	}
	words := []string{printf(result.MaskBody(string(body))) + " | curl", "-sS", "-X", quote(method)}
	for _, h := range header {
		words = append(words, "-H", quote(h[0]+": "+result.MaskHeader(h[0], h[1])))
	}
	words = append(words, "--data-binary", "@-", quote(result.Mask(url)))
	if command := listen + strings.Join(words, " "); len(command) <= maxCommand {
		return command
	}
	return "" // nobody pastes that
}

// printf is the shell command that writes s. The longest run of zeros of a long one is made by printf itself.
func printf(s string) string {
	const long = 1 << 10
	from, n := 0, 0
	for at := 0; len(s) > long && at < len(s); {
		end := at
		for end < len(s) && s[end] == '0' {
			end++
		}
		if end-at > n {
			from, n = at, end-at
		}
		at = max(end, at+1)
	}
	if n < long {
		return "printf '" + octal(s) + "'"
	}
	return fmt.Sprintf("printf '%s%%0%dd%s' 0", octal(s[:from]), n, octal(s[from+n:]))
}

// quote makes one word of a POSIX shell of s.
func quote(s string) string {
	plain := s != "" && strings.IndexFunc(s, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-_./:@%+,", c))
	}) < 0
	if plain {
		return s
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsPrint(c) }) {
		return "\"$(printf '" + octal(s) + "')\"" // one printable line, whatever the target's ids hold
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// octal writes s for printf between single quotes.
func octal(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\\':
			b.WriteString(`\\`)
		case c == '%':
			b.WriteString("%%")
		case c < ' ' || c >= 0x7f || c == '\'':
			fmt.Fprintf(&b, `\%03o`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func cut(s string) string {
	if len(s) > 200 {
		return s[:200] + "..."
	}
	return s
}
