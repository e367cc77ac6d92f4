package publish

import "testing"

// What is put together from pieces is what the template makes.
func TestPieces(t *testing.T) {
	hostile := "a\"b\\c\n\r\x00<>&' =+%é\u2028\xff"
	m := &Message{ID: hostile, Event: "e" + hostile, Data: "d" + hostile, Retry: "3", Comment: hostile, Marker: "m"}
	for src, quick := range map[string]bool{
		"": true, "plain": true, "{{.Data}}": true, `{"a":{{json .Data}},"b":{{json .ID}}}`: true, "x={{urlquery .Event}}&y={{.Retry}}": true,
		"{{ .Comment }} {{- .Marker -}} ": true, "{{json .}}": false, "{{if .ID}}x{{end}}": false, "{{.Data | json}}": false, "{{$x := .ID}}{{$x}}": false,
		"{{urlquery .ID .Data}}": false, "{{len .ID}}": false, "{{/* c */}}x": true,
	} {
		x, err := compile("body", src)
		if err != nil {
			t.Fatal(src, err)
		}
		if (x.pieces != nil) != quick {
			t.Errorf("%s: taken apart: %v", src, x.pieces != nil)
		}
		got, err := x.fill(m)
		x.pieces = nil
		want, err2 := x.fill(m)
		if err != nil || err2 != nil || got != want {
			t.Errorf("%s: %q (%v), by the template %q (%v)", src, got, err, want, err2)
		}
	}
}
