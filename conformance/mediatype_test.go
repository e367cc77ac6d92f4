package conformance

import (
	"testing"

	"ssegauge/reference/wire"
)

// As Fetch combines them.
func TestMediaType(t *testing.T) {
	for _, c := range []struct {
		fields []string
		want   string
	}{
		{nil, ""},
		{[]string{"text/event-stream"}, "text/event-stream"},
		{[]string{"Text/Event-Stream ;charset=UTF-8"}, "text/event-stream"},
		{[]string{"text/event-stream; charset"}, "text/event-stream"},
		{[]string{"text/event-stream", "text/html"}, "text/html"},
		{[]string{"text/html", "text/event-stream"}, "text/event-stream"},
		{[]string{"text/html, text/event-stream"}, "text/event-stream"},
		{[]string{"text/event-stream", "*/*"}, "text/event-stream"},
		{[]string{"text/event-stream", "nonsense"}, "text/event-stream"},
		{[]string{"text/event-stream", ""}, "text/event-stream"},
		{[]string{`text/event-stream; a="x, text/html"`}, "text/event-stream"},
		{[]string{"text/event-stream charset=utf-8"}, "text/event-stream charset=utf-8"},
		{[]string{"nonsense"}, "nonsense"},
	} {
		h := &wire.Head{}
		for _, v := range c.fields {
			h.Header = append(h.Header, wire.Field{Name: "Content-Type", Value: v})
		}
		if got, _ := MediaType(h); got != c.want {
			t.Errorf("%q: %q, want %q", c.fields, got, c.want)
		}
	}
}
