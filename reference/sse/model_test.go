package sse

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

// got is what a stream amounts to, whoever read it.
type got struct {
	Events  []gotEvent
	ID      string // last event ID string at the end
	Retry   time.Duration
	Pending int64 // where the incomplete block began; -1: none
	TooLong int64 // where the block that was over the cap began; -1: none
}

type gotEvent struct {
	Type, Data, ID string
	IDSet          bool
	Start          int64
}

func (g *got) String() string {
	var b strings.Builder
	for _, e := range g.Events {
		fmt.Fprintf(&b, "%q %q id=%q set=%v start=%d\n", e.Type, e.Data, e.ID, e.IDSet, e.Start)
	}
	fmt.Fprintf(&b, "id=%q retry=%v pending=%d toolong=%d", g.ID, g.Retry, g.Pending, g.TooLong)
	return b.String()
}

// model reads a whole stream the way 9.2.6 is written, slowly and with nothing
// in common with the decoder. It works on raw bytes.
func model(stream, seed string, limit int) *got {
	g := &got{ID: seed, Pending: -1, TooLong: -1}
	pos := 0
	if strings.HasPrefix(stream, "\uFEFF") {
		pos = 3
	}
	data, typ, idBuffer := "", "", seed
	blockStart, inBlock, idInBlock := pos, false, ""
	idSet := false
	for {
		end := strings.IndexAny(stream[pos:], "\r\n")
		complete := end >= 0
		line := stream[pos:]
		next := len(stream)
		if complete {
			line = stream[pos : pos+end]
			next = pos + end + 1
			if stream[pos+end] == '\r' && next < len(stream) && stream[next] == '\n' {
				next++
			}
		}
		if !complete && line == "" {
			break
		}
		if !inBlock {
			blockStart, inBlock = pos, true
		}
		if complete && line == "" {
			g.ID = idBuffer
			if data != "" {
				g.Events = append(g.Events, gotEvent{typ, strings.TrimSuffix(data, "\n"), g.ID, idSet, int64(blockStart)})
			}
			data, typ, idInBlock, idSet, inBlock = "", "", "", false, false
			pos = next
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		held := func() int { return len(data) + len(typ) + len(idInBlock) }
		over := false
		switch {
		case strings.HasPrefix(line, ":"):
		case name == "data":
			if complete {
				data += value + "\n"
				over = held() > limit
			} else {
				over = held()+len(value) > limit
			}
		case name == "event" && (complete || strings.Contains(line, ":")):
			typ = value
			over = held() > limit
		case name == "id":
			over = held()+len(value) > limit
			if complete && !strings.Contains(value, "\x00") {
				idBuffer, idInBlock, idSet = value, value, true
			}
		case name == "retry" && complete:
			if ms, ok := modelDigits(value); ok {
				g.Retry = ms
			}
		}
		if over {
			g.TooLong = int64(blockStart)
			g.Pending = int64(blockStart)
			return g
		}
		if !complete {
			break
		}
		pos = next
	}
	if inBlock {
		g.Pending = int64(blockStart)
	}
	return g
}

func modelDigits(s string) (time.Duration, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	s = strings.TrimLeft(s, "0")
	if len(s) > 13 {
		return math.MaxInt64, true
	}
	var ms int64
	for _, c := range s {
		ms = ms*10 + int64(c-'0')
	}
	if ms > math.MaxInt64/1_000_000 {
		return math.MaxInt64, true
	}
	return time.Duration(ms * 1_000_000), true
}

// gotLine is a line without regard to how it was cut: a CR and its late LF are one CRLF.
type gotLine struct {
	Kind              LineKind
	Name, Value       string
	Colon, Space, Cut bool
	Fired             bool
	EOL               EOL
	Start, End        int64
}

func (l gotLine) String() string {
	s := fmt.Sprintf("%v %q %q %v", l.Kind, l.Name, l.Value, l.EOL)
	if l.Fired {
		s += " fired"
	}
	return s
}

// pieces cuts stream at the given places, which ascend.
func pieces(stream string, cuts ...int) [][]byte {
	var out [][]byte
	last := 0
	for _, c := range append(cuts, len(stream)) {
		if c > last && c <= len(stream) {
			out = append(out, []byte(stream[last:c]))
			last = c
		}
	}
	return out
}

// every cuts stream into pieces of n bytes.
func every(stream string, n int) [][]byte {
	var cuts []int
	for i := n; i < len(stream); i += n {
		cuts = append(cuts, i)
	}
	return pieces(stream, cuts...)
}

// read feeds the pieces to a decoder, by Inspect if inspect is set (then it
// returns the lines too). It holds the decoder to what its documentation
// promises on the way: what it consumes, offsets, that it leaves the chunks alone.
func read(t testing.TB, chunks [][]byte, seed string, limit int, inspect bool) (*got, []gotLine) {
	t.Helper()
	g := &got{Pending: -1, TooLong: -1}
	var d Decoder
	d.SetMax(limit)
	d.SetLastEventID([]byte(seed))
	var lines []gotLine
	report := func(l *Line) {
		if l.Kind == LineLateLF {
			if len(lines) == 0 || lines[len(lines)-1].EOL != EOLCR || lines[len(lines)-1].End != l.Start || l.End != l.Start+1 {
				t.Fatalf("late LF at %d without a CR before it", l.Start)
			}
			lines[len(lines)-1].EOL = EOLCRLF
			lines[len(lines)-1].End = l.End
			return
		}
		lines = append(lines, gotLine{l.Kind, string(l.Name), string(l.Value), l.Colon, l.Space, l.Truncated, l.Dispatched, l.EOL, l.Start, l.End})
	}
	var ev Event
	var off int64
chunks:
	for _, chunk := range chunks {
		before := string(chunk)
		rest := chunk
		for {
			var n int
			var ok bool
			var err error
			if inspect {
				n, ok, err = d.Inspect(rest, &ev, report)
			} else {
				n, ok, err = d.Next(rest, &ev)
			}
			off += int64(n)
			if d.Offset() != off {
				t.Fatalf("Offset %d after %d bytes", d.Offset(), off)
			}
			if err != nil {
				var tooLong *TooLongError
				if !errors.As(err, &tooLong) || tooLong.Limit != limit {
					t.Fatalf("error %v", err)
				}
				g.TooLong = tooLong.Offset
				if n2, ok2, err2 := d.Next([]byte("data: x\n\n"), &ev); n2 != 0 || ok2 || err2 != err {
					t.Fatalf("the error does not stick: %d %v %v", n2, ok2, err2)
				}
				break chunks
			}
			if !ok {
				if n != len(rest) {
					t.Fatalf("consumed %d of %d bytes without an event", n, len(rest))
				}
				break
			}
			rest = rest[n:]
			if ev.End != off {
				t.Fatalf("event ends at %d, consumed %d", ev.End, off)
			}
			g.Events = append(g.Events, gotEvent{string(ev.Type), string(ev.Data), string(ev.ID), ev.IDSet, ev.Start})
			if string(d.LastEventID()) != string(ev.ID) {
				t.Fatalf("LastEventID %q, event %q", d.LastEventID(), ev.ID)
			}
		}
		if string(chunk) != before {
			t.Fatalf("the decoder wrote into its chunk")
		}
	}
	g.ID = string(d.LastEventID())
	g.Retry, _ = d.Retry()
	if from, ok := d.Pending(); ok {
		g.Pending = from
	}
	if inspect && g.TooLong < 0 {
		tile(t, &d, lines, off)
	}
	d.Reset(false)
	if d.rec != nil {
		t.Fatalf("Reset kept %+v", d.rec)
	}
	return g, lines
}

// tile checks that the lines, and what is pending, cover the stream without gap or overlap.
func tile(t testing.TB, d *Decoder, lines []gotLine, off int64) {
	t.Helper()
	var at int64
	for _, l := range lines {
		if l.Start != at || l.End <= l.Start {
			t.Fatalf("line %v covers %d-%d, the one before it ends at %d", l, l.Start, l.End, at)
		}
		at = l.End
	}
	tail, ok := d.Tail()
	if from, pending := d.Pending(); pending != ok || pending && from != tail.Start {
		t.Fatalf("Pending %d %v, Tail %d %v", from, pending, tail.Start, ok)
	}
	if tail.InLine {
		if tail.Line.Start != at || tail.Line.End != off {
			t.Fatalf("incomplete line covers %d-%d, want %d-%d", tail.Line.Start, tail.Line.End, at, off)
		}
		at = off
	}
	if at != off {
		t.Fatalf("lines end at %d, stream at %d", at, off)
	}
}

// modelLines are the complete lines of a whole stream as Inspect must report them.
func modelLines(stream string) []gotLine {
	var out []gotLine
	pos := 0
	if strings.HasPrefix(stream, "\uFEFF") {
		out = append(out, gotLine{Kind: LineBOM, End: 3})
		pos = 3
	}
	data := false
	for pos < len(stream) {
		end := strings.IndexAny(stream[pos:], "\r\n")
		if end < 0 {
			break
		}
		line := stream[pos : pos+end]
		l := gotLine{EOL: EOLLF, Start: int64(pos)}
		pos += end + 1
		if stream[pos-1] == '\r' {
			l.EOL = EOLCR
			if pos < len(stream) && stream[pos] == '\n' {
				l.EOL = EOLCRLF
				pos++
			}
		}
		l.End = int64(pos)
		if line == "" {
			l.Kind, l.Fired = LineBlank, data
			data = false
			out = append(out, l)
			continue
		}
		var after string
		l.Name, after, l.Colon = strings.Cut(line, ":")
		l.Value = after
		if l.Name == "" {
			l.Kind = LineComment
		} else {
			l.Value = strings.TrimPrefix(after, " ")
			l.Space = len(l.Value) < len(after)
			switch l.Name {
			case "data":
				l.Kind, data = LineData, true
			case "event":
				l.Kind = LineEvent
			case "id":
				l.Kind = LineID
				if strings.Contains(l.Value, "\x00") {
					l.Kind = LineIDIgnored
				}
			case "retry":
				l.Kind = LineRetryIgnored
				if _, ok := modelDigits(l.Value); ok {
					l.Kind = LineRetry
				}
			default:
				l.Kind = LineUnknown
			}
		}
		switch l.Kind {
		case LineComment, LineUnknown, LineRetry, LineRetryIgnored:
			name := l.Name
			if l.Kind != LineUnknown {
				name = ""
			}
			if len(name)+len(l.Value) > MaxNote {
				l.Cut = true
				if len(name) > MaxNote {
					l.Name = name[:MaxNote]
					name = l.Name
				}
				l.Value = l.Value[:MaxNote-len(name)]
			}
		}
		out = append(out, l)
	}
	return out
}

// agree holds one way of feeding stream, by Next and by Inspect, to the model.
func agree(t testing.TB, stream, seed string, limit int, chunks [][]byte) {
	t.Helper()
	want := model(stream, seed, limit).String()
	next, _ := read(t, chunks, seed, limit, false)
	if s := next.String(); s != want {
		t.Fatalf("stream %q in %q:\nNext:\n%s\nthe standard:\n%s", stream, chunks, s, want)
	}
	inspect, lines := read(t, chunks, seed, limit, true)
	if s := inspect.String(); s != want {
		t.Fatalf("stream %q in %q:\nInspect:\n%s\nthe standard:\n%s", stream, chunks, s, want)
	}
	if inspect.TooLong >= 0 {
		return
	}
	wantLines := modelLines(stream)
	if len(lines) != len(wantLines) {
		t.Fatalf("stream %q in %q: lines %v, want %v", stream, chunks, lines, wantLines)
	}
	for i := range lines {
		if lines[i] != wantLines[i] {
			t.Fatalf("stream %q in %q: line %d is %+v, want %+v", stream, chunks, i, lines[i], wantLines[i])
		}
	}
}

// ways are the ways every vector is fed: whole, in ones, twos and threes, with empty chunks
// between, and cut in two at every place (inside long lines at some hundred places).
func ways(stream string, do func(name string, chunks [][]byte)) {
	do("whole", pieces(stream))
	do("ones", every(stream, 1))
	do("twos", every(stream, 2))
	do("threes", every(stream, 3))
	var gaps [][]byte
	for _, p := range every(stream, 5) {
		gaps = append(gaps, nil, p, []byte{})
	}
	do("with empty chunks", gaps)
	const near = 8
	for i := 1; i < len(stream); i++ {
		// Far from both ends and from any line ending, one place in hundreds is like the others.
		around := stream[max(0, i-near):min(len(stream), i+near)]
		if len(around) == 2*near && len(stream) > 1000 && i%(len(stream)/100) != 0 && !strings.ContainsAny(around, "\r\n") {
			continue
		}
		if raceEnabled && len(stream) > 200 && i%7 != 0 {
			continue // the detector only makes it slow
		}
		do(fmt.Sprint("cut at ", i), pieces(stream, i))
	}
}
