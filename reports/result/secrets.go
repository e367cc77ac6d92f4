package result

import (
	"bytes"
	"encoding/base64"
	"net/url"
	"slices"
	"strings"
)

// Secrets are values of credentials. A target can send back what it was given, anywhere: where a name does not tell that something is a credential
// ([MaskHeader], [Mask]), its value does.
type Secrets []string

// What is looked for: shorter values stand in any text by chance, and of a value that was cut so much must be left.
const (
	minSecret = 6
	minPart   = 12
)

// FieldSecrets are the credentials in a header field of a [Secret] name.
func FieldSecrets(name, value string) Secrets {
	if !Secret(name) {
		return URLSecrets(value)
	}
	value = strings.TrimSpace(value)
	if scheme := authScheme.FindString(value); scheme != "" {
		value = strings.TrimSpace(value[len(scheme):])
		s := Secrets{value}
		if plain, err := base64.StdEncoding.DecodeString(value); err == nil {
			if _, password, ok := strings.Cut(string(plain), ":"); ok {
				s = append(s, password)
			}
		}
		return s
	}
	if !strings.Contains(strings.ToLower(name), "cookie") {
		return Secrets{value}
	}
	var s Secrets
	for pair := range strings.SplitSeq(value, ";") {
		if _, v, ok := strings.Cut(pair, "="); ok {
			s = append(s, strings.Trim(strings.TrimSpace(v), `"`))
		}
		if strings.EqualFold(name, "Set-Cookie") {
			break // the others are attributes
		}
	}
	return s
}

// URLSecrets are the credentials in a URL: its userinfo, and the values of [Secret] parameters.
func URLSecrets(raw string) Secrets {
	u, err := url.Parse(raw)
	if err != nil {
		return nil
	}
	var s Secrets
	if password, ok := u.User.Password(); ok {
		s = append(s, password, url.QueryEscape(password), base64.StdEncoding.EncodeToString([]byte(u.User.Username()+":"+password)))
	}
	for _, part := range []string{u.RawQuery, u.Fragment} {
		for pair := range strings.SplitSeq(part, "&") {
			name, value, _ := strings.Cut(pair, "=")
			if !Secret(name) {
				continue
			}
			s = append(s, value)
			if plain, err := url.QueryUnescape(value); err == nil {
				s = append(s, plain)
			}
		}
	}
	return s
}

// find finds the first of the secrets in b, or the beginning of one that was cut there.
func (s Secrets) find(b []byte) (from, to int, ok bool) {
	for _, secret := range s {
		if len(secret) < minSecret {
			continue
		}
		at := bytes.Index(b, []byte(secret[:min(len(secret), minPart)]))
		if at < 0 || ok && at >= from {
			continue
		}
		end := at
		for end < len(b) && end-at < len(secret) && b[end] == secret[end-at] {
			end++
		}
		from, to, ok = at, end, true
	}
	return from, to, ok
}

// Conceal returns text, words of ours with text of the target in it, with [Masked] in place of the secrets. What may be a word is left: a cookie's
// value can be "standard".
func (s Secrets) Conceal(text string) string {
	s = slices.DeleteFunc(slices.Clone(s), func(one string) bool {
		return len(one) < 16 && !strings.ContainsFunc(one, func(c rune) bool { return c < 'a' || c > 'z' })
	})
	var out strings.Builder
	for b := []byte(text); ; {
		from, to, ok := s.find(b)
		if !ok && out.Len() == 0 {
			return text
		} else if !ok {
			out.Write(b)
			return out.String()
		}
		out.Write(b[:from])
		out.WriteString(Masked)
		b = b[to:]
	}
}

// Blank returns b with as many asterisks in place of the secrets in it, so that every place stays where it is. b is not changed.
func (s Secrets) Blank(b []byte) []byte {
	copied := false
	for at := 0; ; {
		from, to, ok := s.find(b[at:])
		if !ok {
			return b
		}
		if !copied {
			b, copied = bytes.Clone(b), true
		}
		for i := at + from; i < at+to; i++ {
			b[i] = '*'
		}
		at += to
	}
}

// BlankFields returns b, a raw head, with asterisks in place of the values of fields of a [Secret] name. b is not changed.
func BlankFields(b []byte) []byte {
	b = bytes.Clone(b)
	for line := range bytes.Lines(b) { // which points into b
		name, value, ok := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(":"))
		if !ok || !Secret(string(name)) {
			continue
		}
		for i := range value {
			value[i] = '*'
		}
	}
	return b
}
