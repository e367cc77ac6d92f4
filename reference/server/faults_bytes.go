package server

import (
	"bytes"
	"net/http"
	"strings"

	"ssegauge/reference/sse"
)

// bytesFaults break the rules of lines and fields, and of what becomes of payloads.
var bytesFaults = []Fault{
	{
		ID: "encoding/bom", Text: "streams begin with a byte order mark",
		First: before(bom),
	},
	{
		ID: "encoding/bom/midstream", Text: "U+FEFF stands before a comment in each event",
		Encode: preceded(bom + ": note\n"),
	},
	{
		ID: "encoding/utf8/no-replacement", Text: "characters of four bytes become U+FFFD",
		Encode: changed(func(m *sse.Message) {
			m.Data = strings.Map(func(c rune) rune {
				if c > 0xFFFF {
					return '\uFFFD'
				}
				return c
			}, m.Data)
		}),
	},
	{
		ID: "framing/eol/consistent", Text: "the blank line after an event is CRLF, all other lines end with LF",
		Encode: func(raw []byte, _ *sse.Message) []byte { return append(raw[:len(raw)-1:len(raw)-1], "\r\n"...) },
	},
	{
		ID: "framing/eol/atomic", Text: "lines end with CRLF, and the LF of the last one is sent apart from its CR",
		First: func(block []byte) []byte { return bytes.ReplaceAll(block, []byte("\n"), []byte("\r\n")) },
		Encode: func(raw []byte, _ *sse.Message) []byte {
			return bytes.ReplaceAll(raw, []byte("\n"), []byte("\r\n"))
		},
		Split: func(p []byte) int { return len(p) - 1 },
	},
	{
		ID: "framing/blank-line", Text: "the blank line of an event is sent with the next one",
		Encode: func(raw []byte, _ *sse.Message) []byte { return append([]byte{'\n'}, raw[:len(raw)-1]...) },
	},
	{
		ID: "framing/line-without-colon", Text: "each event has a line that is no field",
		Encode: preceded("second line of something\n"),
	},
	{
		ID: "framing/space-after-colon", Text: "no space stands after the colon of an id",
		Encode: func(raw []byte, m *sse.Message) []byte {
			return bytes.Replace(raw, []byte("id: "+m.ID+"\n"), []byte("id:"+m.ID+"\n"), 1)
		},
	},
	{
		ID: "framing/comment", Text: "each event has a comment with a space before its colon",
		Encode: preceded(" : note\n"),
	},
	{
		ID: "framing/order", Text: "the id of an event stands after its data",
		Encode: func(raw []byte, m *sse.Message) []byte {
			id := []byte("id: " + m.ID + "\n")
			rest, ok := bytes.CutPrefix(raw, id)
			if !ok || m.ID == "" {
				return raw
			}
			return append(append(rest[:len(rest)-1:len(rest)-1], id...), '\n')
		},
	},
	{
		ID: "framing/not-sse-body", Text: "streams are JSON lines",
		First: func([]byte) []byte { return []byte("{\"hello\":true}\n") },
		Encode: func(_ []byte, m *sse.Message) []byte {
			return []byte("{\"id\":\"" + m.ID + "\"}\n")
		},
	},
	{
		ID: "data/empty", Text: "an event with empty data has no data line",
		Encode: func(raw []byte, m *sse.Message) []byte {
			if m.Data == "" {
				return bytes.Replace(raw, []byte("data: \n"), nil, 1)
			}
			return raw
		},
	},
	{
		ID: "data/no-data-block", Text: "before each event comes a block with a type and without data",
		Encode: preceded("event: changed\n\n"),
	},
	{
		ID: "data/trailing-newline", Text: "line feeds at the end of data are lost",
		Encode: changed(func(m *sse.Message) { m.Data = strings.TrimRight(m.Data, "\r\n") }),
	},
	{
		ID: "data/colon", Text: "a colon at the start of data is lost, unless a space follows it",
		Encode: changed(func(m *sse.Message) {
			if rest, ok := strings.CutPrefix(m.Data, ":"); ok && !strings.HasPrefix(rest, " ") {
				m.Data = rest
			}
		}),
	},
	{
		ID: "data/nul", Text: "data ends at U+0000",
		Encode: changed(func(m *sse.Message) { m.Data, _, _ = strings.Cut(m.Data, "\x00") }),
	},
	{
		ID: "data/verbatim", Text: "data is escaped as for HTML",
		Encode: changed(func(m *sse.Message) { m.Data = strings.ReplaceAll(m.Data, "<", "&lt;") }),
	},
	{
		ID: "data/large", Text: "data is cut at 64 KiB",
		Encode: changed(func(m *sse.Message) { m.Data = m.Data[:min(len(m.Data), 64<<10)] }),
	},
	{
		ID: "event/name", Text: "spaces in event types become underscores",
		Encode: changed(func(m *sse.Message) { m.Event = strings.ReplaceAll(m.Event, " ", "_") }),
	},
	{
		ID: "event/reserved", Text: "events without a type are given the type error",
		Encode: changed(func(m *sse.Message) {
			if m.Event == "" {
				m.Event = "error"
			}
		}),
	},
	{
		ID: "event/default", Text: "event fields are left out",
		Encode: changed(func(m *sse.Message) { m.Event = "" }),
	},
	{
		ID: "event/empty", Text: "events without a type have an empty event field",
		Encode: func(raw []byte, m *sse.Message) []byte {
			if m.Event == "" {
				return append([]byte("event:\n"), raw...)
			}
			return raw
		},
	},
	{
		ID: "id/present", Text: "every third event has no id",
		Encode: func(raw []byte, m *sse.Message) []byte {
			_, own, _ := strings.Cut(m.ID, "-") // a publisher's id may end in any way
			if n := own[len(own)-min(len(own), 1):]; n == "3" || n == "6" || n == "9" || n == "0" {
				return bytes.Replace(raw, []byte("id: "+m.ID+"\n"), nil, 1)
			}
			return raw
		},
	},
	{
		ID: "id/unique", Text: "the second event has the id of the first",
		Encode: func(raw []byte, m *sse.Message) []byte {
			if first, ok := strings.CutSuffix(m.ID, "-2"); ok {
				return bytes.Replace(raw, []byte("id: "+m.ID+"\n"), []byte("id: "+first+"-1\n"), 1)
			}
			return raw
		},
	},
	{
		ID: "id/cors-safe", Text: "ids stand in angle brackets",
		Encode: renamed(func(id string) string { return "<" + id + ">" }),
		Named:  func(id string) string { return strings.TrimSuffix(strings.TrimPrefix(id, "<"), ">") },
	},
	{
		ID: "id/size", Text: "ids are more than 1 KiB long",
		Encode: renamed(func(id string) string { return id + strings.Repeat("x", 1200) }),
		Named:  func(id string) string { return strings.TrimRight(id, "x") },
	},
	{
		ID: "id/empty-resets", Text: "streams begin with an empty id",
		First: before("id:\n"),
	},
	{
		ID: "retry/range", Text: "the reconnection time is 50 ms",
		First: func([]byte) []byte { return []byte("retry: 50\n\n") },
	},
	{
		ID: "retry/leading-zero", Text: "the reconnection time has a leading zero",
		First: func(block []byte) []byte { return bytes.Replace(block, []byte("retry: "), []byte("retry: 0"), 1) },
	},
	{
		ID: "retry/early", Text: "the reconnection time comes with the second event",
		First: func([]byte) []byte { return []byte(": hello\n\n") },
		Encode: func(raw []byte, m *sse.Message) []byte {
			if strings.HasSuffix(m.ID, "-2") {
				return append([]byte("retry: 3000\n"), raw...)
			}
			return raw
		},
	},
	{
		ID: "retry/conflict", Text: "the reconnection time is told twice, and differently",
		First: func(block []byte) []byte { return append(block, "retry: 4000\n\n"...) },
	},
	{
		ID: "retry/honoured-by-server", Text: "who comes back after the end of a stream of five events is answered 503",
		Returning: Returning{Refuse: func(r *http.Request) int {
			return when(strings.HasSuffix(r.Header.Get("Last-Event-ID"), "-5"), http.StatusServiceUnavailable)
		}},
	},
}

// before puts text before the first block.
func before(text string) func([]byte) []byte {
	return func(block []byte) []byte { return append([]byte(text), block...) }
}

// preceded puts text before each event.
func preceded(text string) func([]byte, *sse.Message) []byte {
	return func(raw []byte, _ *sse.Message) []byte { return append([]byte(text), raw...) }
}

// changed writes another message than was meant.
func changed(change func(m *sse.Message)) func([]byte, *sse.Message) []byte {
	return func(raw []byte, m *sse.Message) []byte {
		other := *m
		change(&other)
		if b, err := sse.AppendMessage(nil, &other); err == nil {
			return b
		}
		return raw
	}
}

// renamed gives events another id than the server knows them by.
func renamed(name func(id string) string) func([]byte, *sse.Message) []byte {
	return changed(func(m *sse.Message) {
		if m.ID != "" {
			m.ID = name(m.ID)
		}
	})
}
