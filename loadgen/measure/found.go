package measure

import (
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"unicode/utf8"

	"ssegauge/reports/result"
)

// Finding is a requirement of the catalogue that every stream is held to while it is loaded.
type Finding uint8

// The findings. What a stream has broken is remembered in its flags, so there is room for thirteen.
const (
	FoundUTF8 Finding = iota
	FoundFraming
	FoundTerminated
	FoundFieldName
	FoundNoColon
	FoundIDNul
	FoundIDUnique
	FoundRetry
	FoundOrder
	FoundLength
	FoundFieldCase
	FoundConnection
	findings
)

// requirement is what a finding holds streams to, as the catalogue has it: loadgen cannot import that, so a test of the command compares them.
type requirement struct {
	id, title string
	level     result.Level
	clause    string
	hint      string
}

var requirements = [findings]requirement{
	{"encoding/utf8", "every byte belongs to well-formed UTF-8", result.Must, "WHATWG HTML 9.2.5", "encode everything that goes into the stream as UTF-8"},
	{"http/body-framing", "the body keeps to the framing that the head declares", result.Must, "RFC 9112 6, 7.1", "let the server do the framing, and end the response instead of closing the connection"},
	{"framing/terminated", "a stream that ends, ends after a blank line", result.Must, "WHATWG HTML 9.2.5", "write the blank line with the event, also with the last one"},
	{"framing/field-names", "field names are data, event, id and retry, exactly", result.Should, "WHATWG HTML 9.2.6", "write data, event, id and retry exactly so; comments begin with a colon"},
	{"framing/line-without-colon", "no line is taken for a field by mistake", result.Should, "WHATWG HTML 9.2.6", "write each line of a payload as a data line of its own"},
	{"id/nul", "no id holds U+0000", result.Should, "WHATWG HTML 9.2.6", "make ids of printable ASCII"},
	{"id/unique", "ids are not used twice", result.Advice, "WHATWG HTML 9.2.3", "give each event an id of its own"},
	{"retry/digits", "every retry value is ASCII digits", result.Should, "WHATWG HTML 9.2.6", "write milliseconds in ASCII digits"},
	{"delivery/burst", "a burst of events arrives whole and in order", result.Contract, "no clause; contract", "write what is published to each stream in one order"},
	{"http/no-content-length", "a live stream declares no length", result.Must, "RFC 9112 6", "declare no length for a stream, and not together with a transfer coding"},
	{"h2/field-case", "field names are lower case and pseudo-fields come first", result.Must, "RFC 9113 8.2.1", "write field names in lower case, and no pseudo-field but :status, first"},
	{"h2/connection-headers", "no connection-specific field over HTTP/2", result.Must, "RFC 9113 8.2.2", "send Connection and its kin over HTTP/1.1 only"},
}

// Requirements are those that every stream is held to: findings of them all, without a verdict.
func Requirements() []result.Finding {
	list := make([]result.Finding, findings)
	for f := range requirements {
		list[f] = Finding(f).finding()
	}
	return list
}

func (f Finding) finding() result.Finding {
	q := &requirements[f]
	return result.Finding{ID: q.id, Title: q.title, Level: q.level, Clause: q.clause, Hint: q.hint}
}

// firstFound is the flag of finding 0; the others follow.
const firstFound streamFlags = 1 << 3

// sightings are what a recorder has seen of one finding.
type sightings struct {
	streams  int64
	fail     bool
	at       int64 // of the first
	open     int   // streams at that time
	message  string
	evidence []result.Evidence
}

// Found notes that a stream (for what is not any stream's: one that stands for its connection) has broken a requirement at time at: fail as check would fail it, or else warn. message, one
// line without raw bytes of the target, is kept of the first only, with b[from:to], the bytes at fault, and what is around them; nil: none to show.
func (r *Recorder) Found(s *Stream, f Finding, fail bool, at int64, message string, b []byte, from, to int) {
	if s.flags&(firstFound<<f) != 0 {
		return
	}
	s.flags |= firstFound << f
	n := &r.found[f]
	if n.streams++; n.streams == 1 || fail && !n.fail {
		n.fail, n.at, n.open, n.message, n.evidence = fail, at, r.board.Open(), message, nil
		if b != nil {
			e := result.NewEvidence(b, from, to)
			e.TimeMS = float64(at-s.opened) / 1e6
			n.evidence = []result.Evidence{e}
		}
	}
}

// utf8Budget is how many bytes of events a recorder looks through for what is no UTF-8 between two ticks: 20 MB/s. More are counted and let pass, so that
// looking costs no more than a few percent of a processor.
const utf8Budget = 2 << 20

// conform holds an event to what it can be held to by itself.
func (r *Recorder) conform(s *Stream, data, id, typ []byte, at int64) {
	if n := len(data) + len(id) + len(typ); n > r.utf8 {
		r.unread += int64(n)
	} else {
		r.utf8 -= n
		if !utf8.Valid(data) {
			bad := illFormed(data)
			r.Found(s, FoundUTF8, true, at, "ill-formed UTF-8 in data", data, bad, bad+1)
		} else if !utf8.Valid(id) {
			r.Found(s, FoundUTF8, true, at, "ill-formed UTF-8 in an id", id, 0, len(id))
		} else if !utf8.Valid(typ) {
			r.Found(s, FoundUTF8, true, at, "ill-formed UTF-8 in an event type", typ, 0, len(typ))
		}
	}
	if p := s.probe(); p != nil && len(id) > 0 {
		if p.reused(r.board.hashes, id, typ, data) {
			r.Found(s, FoundIDUnique, false, at, "an id stands on two events of different content", id, 0, len(id))
		}
	}
}

// wellFormed holds all content of a sampled stream to UTF-8, comments and lines without meaning too. What the ends of the piece cut is let pass: of events, conform sees it whole.
func (r *Recorder) wellFormed(s *Stream, p []byte, at int64) {
	if len(p) > r.utf8 || s.flags&(firstFound<<FoundUTF8) != 0 {
		return
	}
	r.utf8 -= len(p)
	if utf8.Valid(p) {
		return
	}
	from, to := 0, len(p)
	for from < min(3, to) && !utf8.RuneStart(p[from]) {
		from++
	}
	for n := 1; n < utf8.UTFMax && to-n >= from; n++ {
		if utf8.RuneStart(p[to-n]) {
			if !utf8.FullRune(p[to-n : to]) {
				to -= n
			}
			break
		}
	}
	if !utf8.Valid(p[from:to]) {
		bad := from + illFormed(p[from:to])
		r.Found(s, FoundUTF8, true, at, "ill-formed UTF-8 in the stream", p, bad, bad+1)
	}
}

// illFormed is where the first ill-formed sequence begins.
func illFormed(b []byte) int {
	for i := 0; i < len(b); {
		c, n := utf8.DecodeRune(b[i:])
		if c == utf8.RuneError && n < 2 {
			return i
		}
		i += n
	}
	return 0
}

// recentIDs is how many ids a sampled stream remembers.
const recentIDs = 16

// used is an id, and the content it stood on.
type used struct{ id, content uint64 }

// reused tells whether id stood on other content a short while ago.
func (p *probe) reused(seed maphash.Seed, id, typ, data []byte) bool {
	u := used{maphash.Bytes(seed, id) | 1, maphash.Bytes(seed, data) ^ 3*maphash.Bytes(seed, typ)}
	for _, before := range p.ids {
		if before.id == u.id {
			return before.content != u.content
		}
	}
	p.ids[p.next] = u
	p.next = (p.next + 1) % recentIDs
	return false
}

// broken lists what was found. The recorders are locked.
func (b *Board) broken() (list []result.Finding, unread int64) {
	for f := range requirements {
		var all *sightings
		streams := int64(0)
		for _, r := range b.workers {
			n := &r.found[f]
			if streams += n.streams; n.streams > 0 && (all == nil || n.fail && !all.fail || n.fail == all.fail && n.at < all.at) {
				all = n
			}
		}
		if all == nil {
			continue
		}
		found := Finding(f).finding()
		if found.Verdict = result.Warn; all.fail {
			found.Verdict = result.Fail
		}
		found.Evidence = all.evidence
		found.Message = fmt.Sprintf("%s; on %s, first after %s with %s open", all.message, result.Plural(streams, "stream"), result.Micros(float64(all.at)/1000), result.Count(int64(all.open)))
		list = append(list, found)
	}
	for _, r := range b.workers {
		unread += r.unread
	}
	slices.SortStableFunc(list, func(x, y result.Finding) int { return strings.Compare(string(x.Verdict), string(y.Verdict)) }) // fail before warn
	return list, unread
}
