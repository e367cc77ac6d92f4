package wire

import (
	"strconv"
	"strings"
)

const httpName = "HTTP/"

// maxBlockFaults bounds the faults of one head; further ones are only counted. A head full of them proves nothing new.
const maxBlockFaults = 32

// notHTTP says what the first bytes of a connection look like when they are no status line.
func notHTTP(good string, b byte) string {
	seen := quote(good + string([]byte{b}))
	if good == "" {
		switch b {
		case 0x15, 0x16:
			return "the response begins with " + seen + ", as a TLS record does; a status line begins with \"HTTP/\""
		case 0x00:
			return "the response begins with " + seen + ", as an HTTP/2 frame does; a status line begins with \"HTTP/\""
		}
	}
	return "the response begins with " + seen + "; a status line begins with \"HTTP/\""
}

// section is the text of a head or trailer section while it is parsed.
type section struct {
	text    string
	at      int   // how much of text was taken
	base    int64 // offset of text on the connection
	faults  []Item
	dropped int
	lf      Fault // the first bare LF
	lfs     int
}

func (s *section) fault(code FaultCode, at, length int, format string, args ...any) {
	if len(s.faults) >= maxBlockFaults {
		s.dropped++
		return
	}
	var it Item
	it.broken(code, s.base+int64(at), length, format, args...)
	s.faults = append(s.faults, it)
}

// next takes one line; ok is false at the empty line that ends the section. The text holds that line, always.
func (s *section) next() (line string, at int, ok bool) {
	at = s.at
	n := strings.IndexByte(s.text[at:], '\n')
	s.at += n + 1
	line = s.text[at : at+n]
	if n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	} else {
		if s.lfs++; s.lfs == 1 {
			s.lf = Fault{Offset: s.base + int64(at+n)}
		}
	}
	return line, at, line != ""
}

// done reports the faults that were only counted.
func (s *section) done() []Item {
	if s.lfs > 0 {
		var it Item
		it.broken(FaultBareLF, s.lf.Offset, 1, "%d of the section's lines end in LF without CR, this one first", s.lfs)
		s.faults = append(s.faults, it)
	}
	if s.dropped > 0 {
		last := &s.faults[len(s.faults)-1].Fault
		last.Detail += "; " + strconv.Itoa(s.dropped) + " more faults in this section"
	}
	return s.faults
}

// head parses a complete head that began at start.
func (r *Response) head(text string, start int64, it *Item) error {
	s := &section{text: text, base: start}
	h := &Head{Offset: start, End: start + int64(len(text))}
	line, _, _ := s.next()
	if f := s.statusLine(line, h); f != "" {
		return r.fatal(it, FaultStatusLine, start, len(line), "%s in %s", f, quote(line))
	}
	var err error
	if h.Header, err = s.fields(r.maxFields()); err != nil {
		return r.fail(err)
	}
	item := Item{Kind: Final, Head: h, Offset: start}
	if h.Status >= 100 && h.Status <= 199 && h.Status != 101 {
		if int(r.interims) >= r.maxInterims() {
			return r.fail(&CapError{What: "interim heads", Limit: int64(r.maxInterims()), Offset: start})
		}
		r.interims++
		if r.flags&fToHTTP10 != 0 {
			s.fault(FaultInterimHTTP10, 0, len("HTTP/1.1 100"), "interim head %d in the answer to an HTTP/1.0 request", h.Status)
		}
		s.forbidden(h)
		item.Kind = Interim
		return r.report(it, s.done(), item, nil)
	}
	fatal := r.frame(s, h)
	return r.report(it, s.done(), item, fatal)
}

// statusLine parses "HTTP/1.1 200 OK"; it returns what makes the line unreadable, or "".
func (s *section) statusLine(line string, h *Head) string {
	rest := line[len(httpName):]
	if len(rest) < 3 || !digit(rest[0]) || rest[1] != '.' || !digit(rest[2]) {
		return "no version (digit, \".\", digit)"
	}
	h.Proto = HTTP11
	switch rest[:3] {
	case "1.1":
	case "1.0":
		h.Proto = HTTP10
	default:
		s.fault(FaultStatusVersion, 0, len(httpName)+3, "version HTTP/%s on an HTTP/1.1 connection", rest[:3])
	}
	rest = rest[3:]
	code := strings.TrimLeft(rest, " \t")
	gap := rest[:len(rest)-len(code)]
	if gap == "" || len(code) < 3 || !digit(code[0]) || !digit(code[1]) || !digit(code[2]) {
		return "no status code of three digits"
	}
	if gap != " " {
		s.fault(FaultStatusSpacing, len(line)-len(rest), len(gap), "%s before the status code; one space is right", quote(gap))
	}
	h.Status = int(code[0]-'0')*100 + int(code[1]-'0')*10 + int(code[2]-'0')
	at := len(line) - len(code)
	if h.Status < 100 || h.Status > 599 {
		s.fault(FaultStatusCode, at, 3, "status code %s; 100 to 599 have a meaning", code[:3])
	}
	h.Reason = code[3:]
	switch {
	case h.Reason == "":
		s.fault(FaultStatusNoSpace, at+3, 0, "no space after the status code in %s", quote(line))
	case h.Reason[0] == ' ':
		h.Reason = h.Reason[1:]
	case h.Reason[0] == '\t':
		s.fault(FaultStatusSpacing, at+3, 1, "tab after the status code; a space is right")
		h.Reason = h.Reason[1:]
	default:
		return "no status code of three digits"
	}
	if i := badValue(h.Reason); i >= 0 {
		s.fault(FaultReason, len(line)-len(h.Reason)+i, 1, "%s in the reason phrase", quoteByte(h.Reason[i]))
	}
	return ""
}

// fields parses field lines up to the empty line.
func (s *section) fields(most int) (Header, error) {
	header := make(Header, 0, min(most, max(0, strings.Count(s.text[s.at:], "\n")-1)))
	start := s.base + int64(s.at)
	fold, first := false, true
	for lines := 1; ; lines++ {
		line, at, ok := s.next()
		if !ok {
			return header, nil
		}
		if lines > most {
			return nil, &CapError{What: "fields", Limit: int64(most), Offset: start}
		}
		if line[0] == ' ' || line[0] == '\t' {
			switch {
			case fold:
				f := &header[len(header)-1]
				part := strings.Trim(line, " \t")
				f.Value = strings.Trim(f.Value+" "+part, " \t")
				s.fault(FaultObsFold, at, len(line), "the value of %s is continued on the next line: %s", quote(f.Name), quote(line))
				s.value(part, at+strings.Index(line, part), f.Name)
			case first:
				s.fault(FaultFirstSpace, at, len(line), "white space before the first field line %s", quote(line))
			default:
				s.fault(FaultObsFold, at, len(line), "a continuation line without a field before it: %s", quote(line))
			}
			continue
		}
		first = false
		name, value, colon := strings.Cut(line, ":")
		if fold = colon; !colon {
			s.fault(FaultNoColon, at, len(line), "field line without a colon: %s", quote(line))
			continue
		}
		if trimmed := strings.TrimRight(name, " \t"); trimmed != name {
			s.fault(FaultSpaceColon, at+len(trimmed), len(name)-len(trimmed), "white space between the field name %s and its colon", quote(trimmed))
			name = trimmed
		}
		if !isToken(name) {
			s.fault(FaultFieldName, at, len(name), "field name %s is not a token", quote(name))
		}
		value = strings.TrimLeft(value, " \t")
		skip := len(line) - len(value)
		value = strings.TrimRight(value, " \t")
		s.value(value, at+skip, name)
		header = append(header, Field{name, value})
	}
}

func (s *section) value(value string, at int, name string) {
	i := badValue(value)
	switch {
	case i < 0:
	case value[i] == '\r':
		s.fault(FaultLoneCR, at+i, 1, "CR without LF in the value of %s", quote(name))
	default:
		s.fault(FaultFieldValue, at+i, 1, "%s in the value of %s", quoteByte(value[i]), quote(name))
	}
}

// find returns where the first line of a field stands and how long it is.
func (s *section) find(name string) (at, length int) {
	for at < len(s.text) {
		line, _, _ := strings.Cut(s.text[at:], "\n")
		if len(line) > len(name) && strings.EqualFold(line[:len(name)], name) && strings.IndexByte(": \t", line[len(name)]) >= 0 {
			return at, len(strings.TrimSuffix(line, "\r"))
		}
		at += len(line) + 1
	}
	return 0, 0
}

// fieldFault is fault with the place of a field.
func (s *section) fieldFault(code FaultCode, name, format string, args ...any) {
	at, length := s.find(name)
	s.fault(code, at, length, format, args...)
}

// forbidden reports framing fields in a response that carries no content by its status.
func (s *section) forbidden(h *Head) {
	if h.Header.Has("Transfer-Encoding") {
		s.fieldFault(FaultTEForbidden, "Transfer-Encoding", "Transfer-Encoding: %s in a %d response", quote(h.Header.Get("Transfer-Encoding")), h.Status)
	}
	if h.Header.Has("Content-Length") {
		s.fieldFault(FaultCLForbidden, "Content-Length", "Content-Length: %s in a %d response", quote(h.Header.Get("Content-Length")), h.Status)
	}
}

// frame decides how the content of a final response is delimited (RFC 9112 6.3) and sets the state for it.
// A fault that leaves it undecidable is returned.
func (r *Response) frame(s *section, h *Head) *Fault {
	if h.Status == 101 {
		f := newFault(FaultSwitching, h.Offset, 12, "101 Switching Protocols, which the request did not ask for")
		return &f
	}
	te := h.Header.Has("Transfer-Encoding")
	cl := h.Header.Has("Content-Length")
	if h.Status == 204 {
		s.forbidden(h)
	}
	if h.Status == 204 || h.Status == 304 || r.flags&fToHead != 0 {
		r.flags |= fNoContent
		r.state = sEnd
		if cl && h.Status != 204 {
			if _, code, detail := contentLength(h.Header); code != "" {
				s.fieldFault(code, "Content-Length", "%s", detail)
			}
		}
		return nil
	}
	switch {
	case te:
		if cl {
			s.fieldFault(FaultTEAndCL, "Transfer-Encoding", "Transfer-Encoding: %s together with Content-Length: %s", quote(h.Header.Get("Transfer-Encoding")), quote(h.Header.Get("Content-Length")))
		}
		if h.Proto == HTTP10 {
			s.fieldFault(FaultTEHTTP10, "Transfer-Encoding", "Transfer-Encoding: %s in an HTTP/1.0 response", quote(h.Header.Get("Transfer-Encoding")))
		} else if r.flags&fToHTTP10 != 0 {
			s.fieldFault(FaultTEHTTP10, "Transfer-Encoding", "Transfer-Encoding: %s in the answer to an HTTP/1.0 request", quote(h.Header.Get("Transfer-Encoding")))
		}
		if s.codings(h.Header) {
			r.nextChunk()
			return nil
		}
	case cl:
		length, code, detail := contentLength(h.Header)
		if code == FaultCLConflict || code == FaultCLInvalid {
			at, n := s.find("Content-Length")
			f := newFault(code, h.Offset+int64(at), n, "%s", detail)
			return &f
		}
		if code != "" {
			s.fieldFault(code, "Content-Length", "%s", detail)
		}
		if r.left, r.state = length, sLength; length == 0 {
			r.state = sEnd
		}
		return nil
	}
	r.flags |= fUntilClose
	r.state = sUntilClose
	return nil
}

// codings judges Transfer-Encoding and tells whether the content is chunked.
func (s *section) codings(h Header) bool {
	seen, last := 0, ""
	for _, v := range h.Values("Transfer-Encoding") {
		for c := range strings.SplitSeq(v, ",") {
			c = strings.Trim(c, " \t")
			if c == "" {
				continue
			}
			name, _, params := strings.Cut(c, ";")
			last = strings.ToLower(strings.Trim(name, " \t"))
			if last == "chunked" {
				seen++
			}
			if last != "chunked" || params {
				s.fieldFault(FaultTECoding, "Transfer-Encoding", "transfer coding %s was not offered in the request", quote(c))
			}
		}
	}
	if seen > 1 {
		s.fieldFault(FaultTERepeated, "Transfer-Encoding", "the chunked coding stands %d times in Transfer-Encoding", seen)
	}
	if seen > 0 && last != "chunked" {
		s.fieldFault(FaultTENotLast, "Transfer-Encoding", "chunked is followed by %s in Transfer-Encoding", quote(last))
	}
	return last == "chunked"
}

// contentLength reads all Content-Length values. code is "" for one proper value.
func contentLength(h Header) (n int64, code FaultCode, detail string) {
	count, first := 0, ""
	for _, v := range h.Values("Content-Length") {
		for e := range strings.SplitSeq(v, ",") {
			e = strings.Trim(e, " \t")
			m, err := strconv.ParseInt(e, 10, 64)
			if err != nil || !digit(e[0]) {
				return 0, FaultCLInvalid, "Content-Length: " + quote(v) + " is not a decimal number of at most 63 bits"
			}
			if count++; count == 1 {
				n, first = m, e
			} else if m != n {
				return 0, FaultCLConflict, "Content-Length values " + first + " and " + e + " differ"
			}
		}
	}
	if count > 1 {
		return n, FaultCLRepeated, "Content-Length " + first + " stands " + strconv.Itoa(count) + " times"
	}
	return n, "", ""
}

// trailer parses a complete trailer section that began at start.
func (r *Response) trailer(text string, start int64, it *Item) error {
	s := &section{text: text, base: start}
	header, err := s.fields(r.maxFields())
	if err != nil {
		return r.fail(err)
	}
	kept := header[:0]
	for _, f := range header {
		if strings.EqualFold(f.Name, "Transfer-Encoding") || strings.EqualFold(f.Name, "Content-Length") {
			s.fieldFault(FaultTrailerField, f.Name, "%s in the trailer section", quote(f.Name))
			continue
		}
		kept = append(kept, f)
	}
	r.state = sEnd
	var item Item
	if len(kept) > 0 {
		item = Item{Kind: Trailer, Trailer: kept, Offset: start}
	}
	return r.report(it, s.done(), item, nil)
}

func digit(b byte) bool { return '0' <= b && b <= '9' }

// badValue finds the first byte that may not stand in a field value or reason phrase: a control byte other than tab.
func badValue(s string) int {
	for i := range len(s) {
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
			return i
		}
	}
	return -1
}

// isToken tells whether s is a token of RFC 9110 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		switch b := s[i]; {
		case '0' <= b && b <= '9', 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z':
		case strings.IndexByte("!#$%&'*+-.^_`|~", b) >= 0:
		default:
			return false
		}
	}
	return s != ""
}
