package result

import (
	"net/url"
	"regexp"
	"strings"
	"unicode"
)

// Masked stands where a credential was.
const Masked = "***"

// secrets are the words that make a name of a query parameter or header field one of a credential, wherever among its words they stand.
var secrets = map[string]bool{
	"token": true, "key": true, "apikey": true, "sig": true, "signature": true, "auth": true, "authorization": true, "authentication": true,
	"password": true, "passwd": true, "passphrase": true, "pass": true, "pwd": true, "secret": true, "jwt": true, "bearer": true,
	"credential": true, "credentials": true, "session": true, "sessionid": true, "sid": true, "cookie": true, "otp": true,
	"accesstoken": true, "csrf": true, "xsrf": true,
}

// Secret tells whether values under this name (of a query parameter, a header field, a member) are credentials:
// "access_token", "apiKey", "X-Amz-Signature", "Set-Cookie".
func Secret(name string) bool {
	if u, err := url.QueryUnescape(name); err == nil {
		name = u
	}
	if secrets[strings.ToLower(name)] {
		return true
	}
	word := make([]rune, 0, len(name))
	lower := false
	for _, c := range name + "-" {
		camel := lower && unicode.IsUpper(c)
		lower = unicode.IsLower(c)
		if camel || !unicode.IsLetter(c) {
			if secrets[strings.ToLower(string(word))] {
				return true
			}
			word = word[:0]
		}
		if unicode.IsLetter(c) {
			word = append(word, c)
		}
	}
	return false
}

// Mask returns the URL with the userinfo and the values of [Secret] query and fragment parameters replaced by [Masked], all else as it
// was written. It needs no well-formed URL: what a user typed wrongly holds secrets too.
func Mask(raw string) string {
	rest, fragment, hasFragment := strings.Cut(raw, "#")
	rest, query, hasQuery := strings.Cut(rest, "?")
	scheme, authority := "", ""
	if i := strings.Index(rest, "://"); i >= 0 {
		scheme, rest = rest[:i+3], rest[i+3:]
		authority = rest
		if j := strings.IndexByte(rest, '/'); j >= 0 {
			authority = rest[:j]
		}
		rest = rest[len(authority):]
		// "user:pa/ss@host": a slash that should have been escaped is part of the password.
		if j := strings.LastIndexByte(rest, '@'); j >= 0 && brokenPassword.MatchString(authority) {
			authority, rest = authority+rest[:j+1], rest[j+1:]
			host, _, _ := strings.Cut(rest, "/")
			authority, rest = authority+host, rest[len(host):]
		}
	}
	if j := strings.LastIndexByte(authority, '@'); j >= 0 {
		authority = Masked + authority[j:]
	}
	out := scheme + authority + rest
	if hasQuery {
		out += "?" + maskQuery(query)
	}
	if hasFragment {
		out += "#" + maskQuery(fragment)
	}
	return out
}

// brokenPassword is an authority that ends in a colon and no port.
var brokenPassword = regexp.MustCompile(`^[^@\[]*:[^@]*[^@0-9][^@]*$`)

func maskQuery(q string) string {
	var b strings.Builder
	for len(q) > 0 {
		pair, sep := q, ""
		if i := strings.IndexAny(q, "&;"); i >= 0 {
			pair, sep = q[:i], q[i:i+1]
		}
		q = q[len(pair)+len(sep):]
		if name, value, ok := strings.Cut(pair, "="); ok && value != "" && Secret(name) {
			pair = name + "=" + Masked
		}
		b.WriteString(pair + sep)
	}
	return b.String()
}

var authScheme = regexp.MustCompile(`^(?i)(Basic|Bearer|Digest|Negotiate|NTLM|Token|ApiKey|AWS4-HMAC-SHA256|DPoP|HOBA|Mutual|SCRAM-SHA-\d+) `)

// MaskHeader returns the value of a header field as it may be shown: [Masked] for credentials (the scheme of an Authorization stays), URLs in it
// masked, anything else as it is.
func MaskHeader(name, value string) string {
	if value == "" || !Secret(name) {
		return MaskText(value)
	}
	return maskCredentials(value)
}

func maskCredentials(value string) string {
	if s := authScheme.FindString(value); s != "" {
		return s + Masked
	}
	return Masked
}

var urls = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://[^\s"'<>\x60]+`)

var quotedField = regexp.MustCompile(`(['"])([A-Za-z0-9-]+): *([^'"]*)`)

// MaskText masks every URL and every quoted header field ('Name: value') in a text, such as an error of net/http or a command line.
func MaskText(s string) string {
	if strings.Contains(s, "://") {
		s = urls.ReplaceAllStringFunc(s, Mask)
	}
	if !strings.ContainsAny(s, `'"`) {
		return s
	}
	return quotedField.ReplaceAllStringFunc(s, func(quoted string) string {
		m := quotedField.FindStringSubmatch(quoted)
		if m[3] == "" || !Secret(m[2]) {
			return quoted
		}
		return m[1] + m[2] + ": " + maskCredentials(m[3])
	})
}

var field = regexp.MustCompile(`^([A-Za-z0-9-]+): *(.*)$`)

// bodyMembers are the members of a JSON text, or of a template of one, that hold a string; bodyPairs are those of a form.
var (
	bodyMembers = regexp.MustCompile(`"([^"\\]+)"\s*:\s*"((?:[^"\\]|\\.)*)"`)
	bodyPairs   = regexp.MustCompile(`(?:^|&)([^=&\s"{}]+)=([^&\s]*)`)
)

// MaskBody returns the body of a request, or a template of one, with the values of [Secret] members of JSON, or of such fields of a form, replaced by [Masked]. Masked again it
// is the same.
func MaskBody(body string) string {
	parts := bodyPairs
	if start := strings.TrimLeft(body, " \t\r\n"); strings.HasPrefix(start, "{") && !strings.HasPrefix(start, "{{") || strings.HasPrefix(start, "[") {
		parts = bodyMembers
	}
	var out strings.Builder
	last := 0
	for _, at := range parts.FindAllStringSubmatchIndex(body, -1) {
		name, value := body[at[2]:at[3]], body[at[4]:at[5]]
		if value == "" || !Secret(name) || strings.Contains(value, "{{") {
			continue
		}
		out.WriteString(body[last:at[4]])
		out.WriteString(Masked)
		last = at[5]
	}
	return out.String() + body[last:]
}

// maskMembers masks a plan: members of a [Secret] name, header fields ("Name: value"), URLs. The map is a new one, and never nil.
func maskMembers(plan map[string]any) map[string]any {
	out := make(map[string]any, len(plan))
	for name, v := range plan {
		out[name] = maskMember(name, v)
	}
	return out
}

func maskMember(name string, v any) any {
	switch v := v.(type) {
	case string:
		if m := field.FindStringSubmatch(v); m != nil && Secret(m[1]) {
			return m[1] + ": " + MaskHeader(m[1], m[2])
		}
		return MaskHeader(name, v)
	case []string:
		out := make([]any, len(v))
		for i, s := range v {
			out[i] = maskMember(name, s)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = maskMember(name, e)
		}
		return out
	case map[string]string:
		out := make(map[string]any, len(v))
		for n, s := range v {
			out[n] = maskMember(n, s)
		}
		return out
	case map[string]any:
		return maskMembers(v)
	}
	return v
}
