package server

import (
	"strings"
	"testing"

	"ssegauge/reference/sse"
)

// FuzzPublish holds that what /publish accepts arrives: whatever the body, a message that passes encodes to one event with the same fields,
// and nothing else.
func FuzzPublish(f *testing.F) {
	for _, body := range []string{
		`{"data":"a\nb","event":"e","id":"1","retry":5}`, `{"data":"\r\u2028\u0000\ufeff"}`, `{"data":"\ud83c\udf0d \ud800"}`, `{"id":" x"}`, `{"event":"a:b"}`,
		"data=a%0D%0Ab&event=+e&id=%20x", "data=%00&id=a%0Ab", "retry=007", `{"data":null}`, `{"retry":1e3}`,
	} {
		f.Add([]byte(body), true)
		f.Add([]byte(body), false)
	}
	f.Fuzz(func(t *testing.T, body []byte, object bool) {
		parse := parseForm
		if object {
			parse = parseJSON
		}
		fields, err := parse(body)
		if err != nil {
			return
		}
		m, err := message(fields)
		if err != nil {
			return
		}
		raw, err := sse.AppendMessage(nil, &m)
		if err != nil {
			t.Fatalf("%+v was accepted and does not encode: %v", m, err)
		}
		var d sse.Decoder
		var e sse.Event
		n, ok, err := d.Next(raw, &e)
		if err != nil || !ok || n != len(raw) {
			t.Fatalf("%q: event %v after %d of %d bytes, %v", raw, ok, n, len(raw), err)
		}
		data := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(m.Data)
		if sse.Text(e.Data) != data || sse.Text(e.Type) != m.Event || sse.Text(e.ID) != m.ID {
			t.Fatalf("%+v arrives as %q %q %q", m, e.Type, e.ID, e.Data)
		}
	})
}
