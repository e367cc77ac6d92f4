package sse

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestAppendMessage(t *testing.T) {
	for _, tc := range []struct {
		m    Message
		want string
	}{
		{Message{}, "data: \n\n"},
		{Message{Data: "x"}, "data: x\n\n"},
		{Message{Data: " x"}, "data:  x\n\n"},
		{Message{Data: ": x"}, "data: : x\n\n"},
		{Message{Data: "a\nb"}, "data: a\ndata: b\n\n"},
		{Message{Data: "a\r\nb\rc\nd"}, "data: a\ndata: b\ndata: c\ndata: d\n\n"},
		{Message{Data: "a\n"}, "data: a\ndata: \n\n"},
		{Message{Data: "\n"}, "data: \ndata: \n\n"},
		{Message{Data: "a\r\revent: x"}, "data: a\ndata: \ndata: event: x\n\n"},
		{Message{Data: "a\n\r\n\rb"}, "data: a\ndata: \ndata: \ndata: b\n\n"},
		{Message{Data: "a\x00b\u2028c\u0085d\x0B"}, "data: a\x00b\u2028c\u0085d\x0B\n\n"},
		{Message{Data: "\uFEFFx"}, "data: \uFEFFx\n\n"},
		{Message{Data: "a\xE2\x82b\xFF\n\xC2"}, "data: a\uFFFDb\uFFFD\ndata: \uFFFD\n\n"},
		{Message{Event: "add", ID: "1", Retry: "03000", Data: "x"}, "id: 1\nevent: add\nretry: 03000\ndata: x\n\n"},
		{Message{Event: " a:b", ID: " …", Data: "x"}, "id:  …\nevent:  a:b\ndata: x\n\n"},
		{Message{ResetID: true, Data: "x"}, "id: \ndata: x\n\n"},
		{Message{NoData: true, ID: "7"}, "id: 7\n\n"},
		{Message{NoData: true, Retry: "10", Data: "unused"}, "retry: 10\n\n"},
	} {
		got, err := AppendMessage([]byte("before"), &tc.m)
		if err != nil || string(got) != "before"+tc.want {
			t.Errorf("%+v: %q %v, want %q", tc.m, got, err, tc.want)
		}
	}
}

func TestAppendMessageRefuses(t *testing.T) {
	for _, tc := range []struct {
		m     Message
		field string
	}{
		{Message{Event: "a\nb"}, "event"},
		{Message{Event: "a\rb"}, "event"},
		{Message{Event: "x\r\ndata: injected"}, "event"},
		{Message{Event: "a\xFFb"}, "event"},
		{Message{ID: "a\nb"}, "id"},
		{Message{ID: "a\r"}, "id"},
		{Message{ID: "\x00"}, "id"},
		{Message{ID: "a\xE2\x82"}, "id"},
		{Message{ID: "1", ResetID: true}, "id"},
		{Message{Retry: "-1"}, "retry"},
		{Message{Retry: "1.5"}, "retry"},
		{Message{Retry: " 1"}, "retry"},
		{Message{Retry: "10\n"}, "retry"},
		{Message{Retry: "0\r\nevent: injected"}, "retry"},
		{Message{Retry: "١"}, "retry"},
		{Message{Retry: "1e3"}, "retry"},
	} {
		dst := []byte("before")
		got, err := AppendMessage(dst, &tc.m)
		var fe *FieldError
		if !errors.As(err, &fe) || fe.Field != tc.field || fe.Reason == "" {
			t.Errorf("%+v: %v, want an error about %s", tc.m, err, tc.field)
		} else if s := err.Error(); strings.ContainsAny(s, "\r\n") || !strings.HasPrefix(s, "sse: "+tc.field+" ") {
			t.Errorf("%q", s)
		}
		if string(got) != "before" {
			t.Errorf("%+v: wrote %q", tc.m, got)
		}
	}
	// NUL is no danger in an event type: clients keep it.
	if b, err := AppendMessage(nil, &Message{Event: "a\x00"}); err != nil || string(b) != "event: a\x00\ndata: \n\n" {
		t.Error(string(b), err)
	}
}

func TestAppendComment(t *testing.T) {
	for text, want := range map[string]string{
		"":              ": \n",
		"ping":          ": ping\n",
		" two":          ":  two\n",
		"a\nb":          ": a\n: b\n",
		"a\r\ndata: x":  ": a\n: data: x\n",
		"a\rdata: x\r":  ": a\n: data: x\n: \n",
		"a\n\nevent: x": ": a\n: \n: event: x\n",
		"\xFF":          ": \uFFFD\n",
	} {
		if got := AppendComment([]byte("p"), text); string(got) != "p"+want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// TestEncodeDoesNotAllocate: into a buffer that is large enough.
func TestEncodeDoesNotAllocate(t *testing.T) {
	buf := make([]byte, 0, 1024)
	m := Message{ID: "12345", Event: "update", Data: "a\r\nb\nc", Retry: "100"}
	if n := testing.AllocsPerRun(100, func() {
		buf, _ = AppendMessage(buf[:0], &m)
		buf = AppendComment(buf, "ping")
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// newlines is what the format makes of line endings in data.
var newlines = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// FuzzRoundTrip: what the encoder accepts, the decoder gives back: one event, the
// same in every field, and nothing beside it. What would break framing is refused.
func FuzzRoundTrip(f *testing.F) {
	f.Add("add", "a\nb\r\nc\rd\n", "1", "100", "comment", false, false)
	f.Add("", "", "", "", "", false, true)
	f.Add("x\ndata: injected", "y", "i\x00d", "0\r\nevent: e", "c\n\nevent: injected", true, false)
	f.Add(" e", " \n \n", " id", "007", "", true, true)
	f.Add("é", "\uFEFF\xFF\xE2\x82", "…", "99999999999999999999999", "\r", false, false)
	f.Fuzz(func(t *testing.T, typ, data, id, retry, comment string, noData, resetID bool) {
		m := Message{Event: typ, Data: data, ID: id, Retry: retry, NoData: noData, ResetID: resetID}
		stream := AppendComment(nil, comment)
		before := len(stream)
		stream, err := AppendMessage(stream, &m)
		refuse := strings.ContainsAny(typ, "\r\n") || strings.ContainsAny(id, "\r\n\x00") || strings.Trim(retry, "0123456789") != "" ||
			!utf8.ValidString(typ) || !utf8.ValidString(id) || id != "" && resetID
		if refuse != (err != nil) {
			t.Fatalf("%+v: error %v", m, err)
		}
		if err != nil {
			if len(stream) != before {
				t.Fatalf("wrote %q beside the error", stream[before:])
			}
			return
		}
		if !utf8.Valid(stream) {
			t.Fatalf("wrote ill-formed UTF-8: %q", stream)
		}
		for _, size := range []int{len(stream), 1} {
			g, lines := read(t, every(string(stream), size), "old", DefaultMaxEvent, true)
			var want got
			want.Pending, want.TooLong, want.ID = -1, -1, "old"
			if id != "" || resetID {
				want.ID = id
			}
			if retry != "" {
				want.Retry, _ = modelDigits(retry)
			}
			if !noData {
				want.Events = []gotEvent{{typ, newlines.Replace(Text([]byte(data))), want.ID, id != "" || resetID, 0}}
			}
			if g.String() != want.String() {
				t.Fatalf("%+v came back as\n%v\nwant\n%v", m, g, &want)
			}
			var comments []string
			for _, l := range lines {
				switch l.Kind {
				case LineUnknown, LineIDIgnored, LineRetryIgnored, LineBOM:
					t.Fatalf("wrote %v", l)
				case LineComment:
					if !l.Cut {
						comments = append(comments, strings.TrimPrefix(l.Value, " "))
						continue
					}
					return
				}
			}
			if s := strings.Join(comments, "\n"); s != newlines.Replace(Text([]byte(comment))) {
				t.Fatalf("comment %q came back as %q", comment, s)
			}
		}
	})
}
