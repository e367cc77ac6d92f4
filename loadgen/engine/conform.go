package engine

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"ssegauge/loadgen/measure"
	"ssegauge/reference/sse"
	"ssegauge/reference/wire"
)

// What the grammar finds wrong by the way, on every stream, under the ids by which check knows it.

// The faults of each core that are findings. Others are judged by check, may be the network's, or harm no client.
var (
	framingFaults = map[wire.FaultCode]bool{
		wire.FaultChunkSize: true, wire.FaultChunkPadding: true, wire.FaultChunkEnd: true, wire.FaultTENotLast: true,
		wire.FaultTERepeated: true, wire.FaultTECoding: true, wire.FaultTEHTTP10: true, wire.FaultTrailerCut: true,
	}
	lengthFaults = map[wire.FaultCode]bool{
		wire.FaultTEAndCL: true, wire.FaultCLConflict: true, wire.FaultCLInvalid: true, wire.FaultCLRepeated: true,
	}
	caseFaults  = map[wire.FaultCode]bool{wire.FaultH2FieldCase: true, wire.FaultH2Pseudo: true, wire.FaultH2PseudoOrder: true}
	frameFaults = func() map[wire.FaultCode]bool {
		m := map[wire.FaultCode]bool{}
		for _, f := range wire.FrameFaults {
			m[f.Code] = true
		}
		for _, other := range []wire.FaultCode{
			wire.FaultH2Status, wire.FaultH2Pseudo, wire.FaultH2PseudoOrder, wire.FaultH2FieldCase, wire.FaultH2FieldName, wire.FaultH2FieldValue, wire.FaultH2Connection,
			wire.FaultH2Length, wire.FaultH2Truncated, wire.FaultH2Incomplete, wire.FaultH2SettingsAck, wire.FaultH2PaddingBytes,
		} {
			delete(m, other)
		}
		return m
	}()
)

// fault notes a breach of the protocol; m is the connection's own for what is no stream's. What our own end of the run cut short is none.
func (g *run) fault(l *lane, m *measure.Stream, f *wire.Fault, at int64) {
	if g.ending.Load() {
		return
	}
	found := func(what measure.Finding, fail bool) {
		l.Found(m, what, fail, at, f.Detail+" ("+f.Clause+")", nil, 0, 0)
	}
	switch {
	case framingFaults[f.Code], frameFaults[f.Code]:
		found(measure.FoundFraming, true)
	case f.Code == wire.FaultBodyCut:
		found(measure.FoundFraming, false)
	case lengthFaults[f.Code]:
		found(measure.FoundLength, true)
	case caseFaults[f.Code]:
		found(measure.FoundFieldCase, true)
	case f.Code == wire.FaultH2Connection:
		found(measure.FoundConnection, true)
	}
}

// odd notes lines that mean nothing. p is what came in the piece that completed them, mid tells that it begins within a line or block.
func (s *stream) odd(l *lane, kinds uint16, p []byte, mid bool, at int64) {
	left := kinds
	if mid {
		if i := bytes.IndexAny(p, "\r\n"); i >= 0 {
			p = p[i+1:] // its first line began elsewhere
		}
	}
	for len(p) > 0 && left != 0 {
		i := bytes.IndexAny(p, "\r\n")
		if i < 0 {
			break // not complete, and so not what was reported
		}
		line := p[:i]
		if p = p[i:]; strayChunk(line, p) {
			l.Found(&s.m, measure.FoundFraming, true, at, "chunk framing in content: the body is chunked twice, or not declared as chunked", line, 0, len(line))
			left &^= 1 << sse.LineUnknown
		} else if len(line) > 0 {
			left &^= s.oddLine(l, kinds, line, at)
		}
		p = p[1:]
	}
	// What stood in an earlier piece is known by its kind alone.
	for kind, f := range map[sse.LineKind]measure.Finding{sse.LineUnknown: measure.FoundFieldName, sse.LineIDIgnored: measure.FoundIDNul, sse.LineRetryIgnored: measure.FoundRetry} {
		if left&(1<<kind) != 0 {
			l.Found(&s.m, f, kind != sse.LineUnknown, at, "a line that clients ignore, in pieces", nil, 0, 0)
		}
	}
}

// strayChunk tells whether line is the size, in hexadecimal, of what follows between its CRLF and the next.
func strayChunk(line, rest []byte) bool {
	if len(line) == 0 || len(line) > 8 || !bytes.HasPrefix(rest, []byte("\r\n")) {
		return false
	}
	size, err := strconv.ParseUint(string(line), 16, 32)
	rest = rest[2:]
	return err == nil && size > 0 && uint64(len(rest)) >= size+2 && string(rest[size:size+2]) == "\r\n"
}

// oddLine judges one line, and returns the kind that it explains.
func (s *stream) oddLine(l *lane, kinds uint16, line []byte, at int64) (explained uint16) {
	name, value, colon := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(name) {
	case "", "data", "event":
		return 0
	case "id":
		if bytes.IndexByte(value, 0) < 0 {
			return 0
		}
		l.Found(&s.m, measure.FoundIDNul, true, at, "an id with U+0000, which clients ignore", line, 0, len(line))
		return 1 << sse.LineIDIgnored
	case "retry":
		if len(value) > 0 && len(bytes.Trim(value, "0123456789")) == 0 {
			return 0
		}
		l.Found(&s.m, measure.FoundRetry, true, at, "a retry value that is not all digits, which clients ignore", line, 0, len(line))
		return 1 << sse.LineRetryIgnored
	}
	if kinds&(1<<sse.LineUnknown) == 0 {
		return 0
	}
	const bom = "\uFEFF"
	bare := strings.ToLower(strings.Trim(strings.TrimPrefix(string(name), bom), " \t\u00a0"))
	switch {
	case strings.Trim(bare, bom) == "": // no name at all: check has other ids for that
	case slices.Contains([]string{"data", "event", "id", "retry"}, bare), colon && slices.Contains([]string{"comment", "message", "error"}, bare):
		l.Found(&s.m, measure.FoundFieldName, true, at, "a misspelled field name, which clients ignore", line, 0, len(line))
	case colon:
		l.Found(&s.m, measure.FoundFieldName, false, at, "a field of a name that clients ignore", line, 0, len(line))
	case !strings.HasPrefix(string(name), bom):
		l.Found(&s.m, measure.FoundNoColon, false, at, "a line without a colon, which clients ignore", line, 0, len(line))
	}
	return 1 << sse.LineUnknown
}

// unterminated notes that the target ended the stream within an event.
func (s *stream) unterminated(g *run, l *lane, at int64, cause string) {
	if g.ending.Load() || cause != measure.EndOfResponse && cause != causeCut {
		return
	}
	tail, ok := s.dec.Tail()
	if !ok || !tail.Loses() {
		return
	}
	evidence := slices.Clone(tail.Line.Name)
	if tail.Line.Colon {
		evidence = append(append(evidence, ": "...), tail.Line.Value...)
	}
	l.Found(&s.m, measure.FoundTerminated, true, at, "the stream ended within an event, which clients discard", evidence, len(evidence), len(evidence))
}

// causeCut is the cause where the connection ended before the content did.
const causeCut = "cut short"
