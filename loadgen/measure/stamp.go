package measure

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Stamp finds the time at which an event was sent in its data. The unit is guessed from the first one that is found, and is the same for all.
type Stamp struct {
	path []string       // members and indices, outermost first; nil: by expression
	expr *regexp.Regexp // its first group, or all of it
	how  string
	unit unit
}

// unit is what a stamp is written in.
type unit struct {
	name    string
	ns      int64 // of one; 0: RFC 3339, or not known yet
	decimal bool  // with a fraction
}

// units are what numbers of today are told by: seconds since 1970 have ten digits until 2286, and so on.
var units = []struct {
	name   string
	ns     int64
	digits int
}{{"s", 1e9, 10}, {"ms", 1e6, 13}, {"us", 1e3, 16}, {"ns", 1, 19}}

// StampJSON finds the stamp by its place in JSON data: a dotted path (meta.sent, $.items[0].t) or a JSON pointer (/meta/sent, RFC 6901).
func StampJSON(path string) (*Stamp, error) {
	s := &Stamp{how: "JSON " + path}
	bad := fmt.Errorf("%q is no path into JSON; want one like meta.sent, items[0].t or /meta/sent", path)
	if p, ok := strings.CutPrefix(path, "/"); ok {
		for part := range strings.SplitSeq(p, "/") {
			s.path = append(s.path, strings.NewReplacer("~1", "/", "~0", "~").Replace(part))
		}
		return s, nil
	}
	p := strings.NewReplacer("[", ".", "]", "").Replace(strings.TrimPrefix(path, "$"))
	for part := range strings.SplitSeq(strings.TrimPrefix(p, "."), ".") {
		if part == "" {
			return nil, bad
		}
		s.path = append(s.path, part)
	}
	return s, nil
}

// StampRegexp finds the stamp by a regular expression: what its first group matches, or all of it where it has none.
func StampRegexp(expr string) (*Stamp, error) {
	re, err := regexp.Compile(expr)
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	return &Stamp{expr: re, how: "expression " + expr}, nil
}

// find is the stamp in data, ns since 1970. It is called under the observer's lock.
func (s *Stamp) find(data []byte) (ns int64, ok bool) {
	raw, ok := s.locate(data)
	if !ok {
		return 0, false
	}
	return s.read(bytes.Trim(raw, "\" \t"))
}

// locate is the part of data that is the stamp, as it is written.
func (s *Stamp) locate(data []byte) (raw []byte, ok bool) {
	if s.expr != nil {
		m := s.expr.FindSubmatchIndex(data)
		switch {
		case m == nil, len(m) > 2 && m[2] < 0:
			return nil, false
		case len(m) > 2:
			return data[m[2]:m[3]], true
		}
		return data[m[0]:m[1]], true
	}
	return jsonAt(data, s.path)
}

// read takes a stamp as it is written.
func (s *Stamp) read(raw []byte) (ns int64, ok bool) {
	whole, fraction, decimal := bytes.Cut(raw, []byte("."))
	if !isDigits(whole) || decimal && !isDigits(fraction) {
		if bytes.ContainsAny(raw, "eE") && !bytes.ContainsAny(raw, ":TZ") {
			f, err := strconv.ParseFloat(string(raw), 64)
			if err != nil || f < 0 || f >= 1<<63 {
				return 0, false
			}
			return s.read(strconv.AppendFloat(nil, f, 'f', -1, 64))
		}
		t, err := time.Parse(time.RFC3339Nano, string(raw))
		if err != nil || !s.settle(unit{name: "RFC 3339", decimal: bytes.IndexByte(raw, '.') >= 0}) {
			return 0, false
		}
		return t.UnixNano(), true
	}
	for _, u := range units {
		if len(whole) != u.digits {
			continue
		}
		if !s.settle(unit{name: u.name, ns: u.ns, decimal: decimal}) {
			return 0, false
		}
		v, err := strconv.ParseInt(string(whole), 10, 64)
		if err != nil {
			return 0, false // more than 2^63 ns
		}
		ns = v * u.ns
		for scale := u.ns / 10; scale > 0 && len(fraction) > 0; scale /= 10 {
			ns += int64(fraction[0]-'0') * scale
			fraction = fraction[1:]
		}
		return ns, true
	}
	return 0, false
}

// settle holds a unit against the first one.
func (s *Stamp) settle(u unit) bool {
	if s.unit.name == "" {
		s.unit = u
	}
	s.unit.decimal = s.unit.decimal || u.decimal
	return s.unit.name == u.name
}

// String is the unit and where it stands.
func (s *Stamp) String() string {
	name := s.unit.name
	if s.unit.decimal && s.unit.ns > 0 {
		name = "decimal " + name
	}
	if name == "" {
		name = "unit not known"
	}
	return s.how + ", " + name
}

func isDigits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0
}

// maxJSONDepth bounds the nesting that is looked through.
const maxJSONDepth = 64

// jsonAt is the value at a path, as it is written: of a string its inside, escapes and all. No more of b is looked at than is in front of it.
func jsonAt(b []byte, path []string) (value []byte, ok bool) {
	i := space(b, 0)
	for depth := 0; depth < len(path); depth++ {
		if i >= len(b) || depth >= maxJSONDepth {
			return nil, false
		}
		switch b[i] {
		case '{':
			i, ok = jsonMember(b, i+1, path[depth])
		case '[':
			i, ok = jsonElement(b, i+1, path[depth])
		default:
			return nil, false
		}
		if !ok {
			return nil, false
		}
	}
	end, ok := jsonSkip(b, i)
	if !ok {
		return nil, false
	}
	return b[i:end], true
}

func space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}

// jsonMember is where the value of a member begins; i is behind the opening brace.
func jsonMember(b []byte, i int, name string) (int, bool) {
	for {
		i = space(b, i)
		if i >= len(b) || b[i] != '"' {
			return 0, false
		}
		end, ok := jsonSkip(b, i)
		if !ok {
			return 0, false
		}
		key := b[i+1 : end-1]
		i = space(b, end)
		if i >= len(b) || b[i] != ':' {
			return 0, false
		}
		i = space(b, i+1)
		if string(key) == name {
			return i, true
		}
		if i, ok = jsonSkip(b, i); !ok {
			return 0, false
		}
		if i = space(b, i); i >= len(b) || b[i] != ',' {
			return 0, false
		}
		i++
	}
}

// jsonElement is where an element of an array begins; i is behind the opening bracket.
func jsonElement(b []byte, i int, index string) (int, bool) {
	n, err := strconv.Atoi(index)
	if err != nil || n < 0 {
		return 0, false
	}
	for ; ; n-- {
		i = space(b, i)
		if n == 0 {
			return i, i < len(b) && b[i] != ']'
		}
		var ok bool
		if i, ok = jsonSkip(b, i); !ok {
			return 0, false
		}
		if i = space(b, i); i >= len(b) || b[i] != ',' {
			return 0, false
		}
		i++
	}
}

// jsonSkip is where the value that begins at i ends. It looks no closer than it takes to find that out.
func jsonSkip(b []byte, i int) (int, bool) {
	depth := 0
	for i < len(b) {
		switch c := b[i]; c {
		case '"':
			for i++; i < len(b) && b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
			if i >= len(b) {
				return 0, false
			}
			i++
		case '{', '[':
			depth++
			i++
		case '}', ']':
			if depth == 0 {
				return 0, false
			}
			depth--
			i++
		case ',', ':', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return 0, false
			}
			i++
		default:
			for i < len(b) && bytes.IndexByte([]byte("{}[],:\" \t\r\n"), b[i]) < 0 {
				i++
			}
		}
		if depth == 0 {
			return i, true
		}
	}
	return 0, false
}
