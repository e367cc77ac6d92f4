package server

import (
	"strconv"
	"strings"
	"time"
)

// flushed sends text in one piece; end completes the response.
func flushed(text string) Step { return Step{Send: text, Flush: true} }

var end = Step{End: true}

// inPieces sends text in pieces of n bytes, each flushed on its own and a little apart, so that each arrives alone.
func inPieces(text string, n int) []Step {
	var steps []Step
	for len(text) > 0 {
		k := min(n, len(text))
		steps = append(steps, Step{Wait: time.Millisecond, Send: text[:k], Flush: true})
		text = text[k:]
	}
	return steps
}

// threeEvents is a small stream, its lines ended by eol.
func threeEvents(eol string) string {
	return strings.ReplaceAll("id: 1\ndata: one\n\nid: 2\nevent: add\ndata: two\ndata: lines\n\nid: 3\ndata: three\n\n", "\n", eol)
}

// finished is what a client gets that comes back after the end.
var finished = &Script{Code: 204}

// ending makes a script that sends text, ends, and answers 204 to a client that comes back with the id last.
func ending(name, about, text, last string) *Script {
	return &Script{Name: name, Text: about, Steps: []Step{flushed(text), end}, After: map[string]*Script{last: finished}}
}

const bom = "\uFEFF"

// scripts is what /scenario/ serves.
var scripts = []*Script{
	ending("eol-lf", "lines end with LF", threeEvents("\n"), "3"),
	ending("eol-cr", "lines end with CR alone", threeEvents("\r"), "3"),
	ending("eol-crlf", "lines end with CRLF", threeEvents("\r\n"), "3"),
	ending("eol-mixed", "all three line endings in one block", "id: 1\rdata: one\r\ndata: two\n\r\nid: 3\ndata: three\r\r", "3"),
	{
		Name: "eol-crlf-split", Text: "CR and LF of each CRLF arrive apart",
		Steps: append(splitAfter(threeEvents("\r\n"), "\r"), end), After: map[string]*Script{"3": finished},
	},
	{
		Name: "chunks-of-1", Text: "every byte arrives alone, those of multi-byte characters too",
		Steps: append(inPieces("id: 1\ndata: Grüße, 世界 🌍\n\nid: 3\r\ndata: three\r\n\r\n", 1), end), After: map[string]*Script{"3": finished},
	},
	ending("bom", "one leading byte order mark, which is no part of the first field", bom+threeEvents("\n"), "3"),
	ending("bom-double", "two of them: the second is part of the first field's name, so the first data line is lost", bom+bom+"data: lost\nid: 3\ndata: kept\n\n", "3"),
	ending("comments", "comments before, within and between events; none dispatches anything", ": hello\n\n:\nid: 1\n: inside\ndata: one\n:data: not data\n\n"+
		": "+strings.Repeat("x", 2048)+"\n\nid: 3\ndata: three\n\n", "3"),
	ending("multiline", "data of several lines, blank ones and leading spaces included", "id: 1\ndata: one\ndata:\ndata:   indented\ndata\n\nid: 3\ndata\ndata\n\n", "3"),
	ending("no-space", "no space after the colon, and more than one", "id:1\nevent:add\ndata:one\n\nid: 3\ndata:  two spaces\n\n", "3"),
	ending("unknown-fields", "fields that clients ignore: other names, other case, no colon", "Data: no\n data: no\ndata : no\nfoo: no\nno colon\n{\"json\":1}\nid: 3\ndata: yes\n\n", "3"),
	ending("empty-data", "empty data dispatches; a block without data does not, but its id counts", "data:\n\ndata\n\nid: 2\n\nevent: never\n\nid: 3\ndata: three\n\n", "3"),
	ending("retry", "retry changes the reconnection time; what is not all digits is ignored", "retry: 100\n\nretry: 10x\n\nretry:\n\nretry: -5\n\nid: 3\ndata: come back after 100 ms\n\n", "3"),
	{
		Name: "id-reset", Text: "an empty id clears the position: the client comes back without Last-Event-ID",
		Steps: []Step{flushed("retry: 100\nid: 1\ndata: one\n\nid:\ndata: two\n\n"), {Wait: 100 * time.Millisecond}, end},
	},
	ending("id-nul", "an id that holds NUL is ignored, the one before it stays", "id: 3\ndata: three\n\nid: 4\x00\ndata: still 3\n\n", "3"),
	ending("id-utf8", "an id that is not ASCII comes back as UTF-8", "id: …\ndata: one\n\n", "…"),
	ending("utf8-bad", "ill-formed bytes become U+FFFD, one for each maximal part", "id: 3\ndata: \xff|\xc3\x28|\xe2\x82|\xf0\x9f\x92\n\n", "3"),
	ending("cut-event", "the last event has no blank line: it is discarded, and its id does not count", "id: 3\ndata: three\n\nid: 4\ndata: never\n", "3"),
	ending("rapid", "1000 events at once", numbered(1000), "1000"),
	ending("big", "an event with 1 MiB in one line of data", "id: 3\ndata: "+strings.Repeat("0123456789abcdef", 1<<16)+"\n\n", "3"),
	{
		Name: "stop-after-3", Text: "three events a tenth of a second apart, then the end; 204 to the client that comes back",
		Steps: []Step{flushed("retry: 100\nid: 1\ndata: one\n\n"), apart("id: 2\ndata: two\n\n"), apart("id: 3\ndata: three\n\n"), end},
		After: map[string]*Script{"3": finished},
	},
	tenStreams(),
	{
		Name: "reset", Text: "the connection breaks in the middle of the second event; the client comes back with 1",
		Steps: []Step{flushed("retry: 100\nid: 1\ndata: one\n\n"), apart("id: 2\ndata: tw"), {Wait: 100 * time.Millisecond, Reset: true}},
		After: map[string]*Script{"1": {Steps: []Step{flushed("id: 2\ndata: two\n\n"), end}}, "2": finished},
	},
	{
		Name: "content-length", Text: "a finite stream with Content-Length",
		Head:  []string{"Content-Length: " + strconv.Itoa(len(threeEvents("\n")))},
		Steps: []Step{flushed(threeEvents("\n")), end}, After: map[string]*Script{"3": finished},
	},
	{
		Name: "close-delimited", Text: "over HTTP/1.1 a body that only the close of the connection ends",
		Head:  []string{"Transfer-Encoding: identity"},
		Steps: []Step{flushed(threeEvents("\n")), end}, After: map[string]*Script{"3": finished},
	},
	{Name: "silent", Text: "a head and nothing more", Steps: []Step{{Flush: true}}},
	{Name: "status-204", Text: "204: a client must not come back", Code: 204},
	{Name: "status-500", Text: "500 with a stream as its body: final for a client", Code: 500, Steps: []Step{flushed("data: never\n\n"), end}},
	{Name: "type-text", Text: "text/plain: final for a client", Head: []string{"Content-Type: text/plain"}, Steps: []Step{flushed("data: never\n\n"), end}},
	{
		Name: "type-parameters", Text: "the media type in another case and with a parameter is still right",
		Head:  []string{"Content-Type: Text/Event-Stream;charset=UTF-8"},
		Steps: []Step{flushed(threeEvents("\n")), end}, After: map[string]*Script{"3": finished},
	},
}

func apart(text string) Step { return Step{Wait: 100 * time.Millisecond, Send: text, Flush: true} }

func splitAfter(text, sep string) []Step {
	var steps []Step
	for part := range strings.SplitAfterSeq(text, sep) {
		steps = append(steps, Step{Wait: time.Millisecond, Send: part, Flush: true})
	}
	return steps
}

func numbered(n int) string {
	var b strings.Builder
	for i := 1; i <= n; i++ {
		b.WriteString("id: " + strconv.Itoa(i) + "\ndata: " + strconv.Itoa(i) + "\n\n")
	}
	return b.String()
}

// tenStreams answers each position with a stream of one event, the next one.
func tenStreams() *Script {
	one := func(n int) []Step {
		id := strconv.Itoa(n)
		return []Step{flushed("retry: 100\nid: " + id + "\ndata: stream " + id + "\n\n"), end}
	}
	sc := &Script{Name: "ten-streams", Text: "one event a connection, ten connections by Last-Event-ID, then 204", Steps: one(1), After: map[string]*Script{"10": finished}}
	for n := 2; n <= 10; n++ {
		sc.After[strconv.Itoa(n-1)] = &Script{Steps: one(n)}
	}
	return sc
}
