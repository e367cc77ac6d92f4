package measure

import (
	"encoding/base64"
	"encoding/json"
	"html"
	"net/url"
	"strings"
	"testing"
	"time"

	"ssegauge/loadgen/schedule"
	"ssegauge/reports/result"
)

// A marker is found in whatever shape the target gives the payload, in any field of the event; where the payload is encoded as a whole, that is said and not guessed.
func TestShapes(t *testing.T) {
	quoted := func(s string) string {
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for _, c := range []struct {
		name                     string
		data, id, typ            func(m string) string
		received, found, unknown int64
	}{
		{"as it is", func(m string) string { return m }, nil, nil, 1, 1, 0},
		{"JSON", func(m string) string { return `{"text":` + quoted("<b>"+m+"\n</b>") + `}` }, nil, nil, 1, 1, 0},
		{"JSON in JSON", func(m string) string { return quoted(`{"text":` + quoted(`"`+m+`"`) + `}`) }, nil, nil, 1, 1, 0},
		{"form", func(m string) string { return url.Values{"a": {"x & y"}, "text": {"say " + m + "!"}}.Encode() }, nil, nil, 1, 1, 0},
		{"path", func(m string) string { return "/" + url.PathEscape("a/"+m+"/b") }, nil, nil, 1, 1, 0},
		{"HTML", func(m string) string { return html.EscapeString(`<p title="` + m + `">'`) }, nil, nil, 1, 1, 0},
		{"several lines", func(m string) string { return "first\n" + m + "\nlast" }, nil, nil, 1, 1, 0},
		{"twice", func(m string) string { return m + " " + m }, nil, nil, 1, 1, 0},
		{"id", func(string) string { return "x" }, func(m string) string { return "urn:" + m }, nil, 1, 1, 0},
		{"event", func(string) string { return "x" }, nil, func(m string) string { return "changed:" + m }, 1, 1, 0},
		{"in all three", func(m string) string { return m }, func(m string) string { return m }, func(m string) string { return m }, 1, 1, 0},
		{"base64", func(m string) string { return base64.StdEncoding.EncodeToString([]byte(m)) }, nil, nil, 1, 0, 1},
		{"upper case", strings.ToUpper, nil, nil, 1, 0, 1},
		{"cut", func(m string) string { return m[:len(m)-2] }, nil, nil, 1, 0, 0},
	} {
		b := NewBoard(Config{
			Epoch: time.Now(), Events: schedule.Constant{PerSecond: 10, For: time.Second}, Start: time.Second,
			Settle: 10 * time.Millisecond, Deadline: time.Second, Marker: NewMarker("shape"),
		})
		r := b.Recorder(0)
		var s Stream
		r.Lock()
		r.Opened(&s, Opening{Head: 1})
		r.Unlock()
		m, due, _ := b.Begin(0)
		b.Sent(0, due)
		b.Done(0, due, Published, "")
		of := func(f func(string) string) []byte {
			if f == nil {
				return nil
			}
			return []byte(f(m))
		}
		r.Lock()
		r.Event(&s, of(c.data), of(c.id), of(c.typ), due+ms, 0)
		r.Unlock()
		b.conclude(due+2*int64(time.Second), false)
		var l result.Load
		b.Fill(&l)
		if l.Events.Received != c.received || l.Events.Eligible-l.Events.Lost != c.found || r.n.unmarked != c.unknown || l.Events.Duplicated != 0 {
			t.Errorf("%s: %+v, %d without a marker", c.name, l.Events, r.n.unmarked)
		}
		if v := b.Judge(&l, Health{}); c.unknown > 0 && (v.Verdict != Invalid || !strings.Contains(strings.Join(v.Reasons, " "), "none carries a marker")) {
			t.Errorf("%s: %+v", c.name, v)
		}
	}
}
