package conformance

import (
	"slices"
	"testing"
)

func TestNonce(t *testing.T) {
	var run session
	n := run.nonce(t.Context())
	for _, s := range []string{n, "<p>" + n + "</p>", `{"a":"gauge ` + n + `"}`, "x" + n + n} {
		if got := NonceOf([]byte(s)); got != n {
			t.Errorf("NonceOf(%q) = %q, want %q", s, got, n)
		}
	}
	for _, s := range []string{"", "gauge", "gauge pressure is low today", n[:len(n)-1]} {
		if got := NonceOf([]byte(s)); got != "" {
			t.Errorf("NonceOf(%q) = %q, want none", s, got)
		}
	}
	if run.nonce(t.Context()) == n {
		t.Error("twice the same nonce")
	}
}

// What a target wraps around payloads is learnt from plain ones and taken away from others.
func TestShape(t *testing.T) {
	const n = "gaugeaaaaaaaaaaaaaa"
	for _, c := range []struct {
		plain, data string
		want        []string
		certain     bool
	}{
		{n, "a\n" + n, []string{"a\n" + n}, true},
		{n, n + "\xff", []string{n + "\uFFFD"}, true},
		{`{"t":1,"d":"` + n + `"}`, `{"t":2,"d":"a\n` + n + `"}`, []string{"a\n" + n}, true},
		{`{"t":1,"d":["` + n + `"]}`, `{"t":2,"d":["a`, []string{`{"t":2,"d":["a`}, true},
		{"<p>" + n + "</p>", "<p> " + n + "</p>", []string{" " + n}, true},
		{"<p>" + n + "</p>", "<p>" + n + "<br>" + n + "</p>", []string{n + "<br>" + n}, false},
		{"<p>" + n + "</p>", "<p>" + n, []string{"<p>" + n}, false},
		{n + n, n + n, []string{n + n}, false},
	} {
		d := Delivery{Nonce: n, shape: shapeOf([]byte(c.plain), n)}
		got, certain := d.Payloads(&Event{Data: []byte(c.data)})
		if !slices.Equal(got, c.want) || certain != c.certain {
			t.Errorf("plain %q, then %q: %q, certain %v; want %q, %v", c.plain, c.data, got, certain, c.want, c.certain)
		}
	}
}

func TestShell(t *testing.T) {
	for s, want := range map[string]string{"": "''", "a-b": "a-b", "it's": `'it'\''s'`, "a b": "'a b'", "$(x)": "'$(x)'"} {
		if got := quote(s); got != want {
			t.Errorf("quote(%q) = %s, want %s", s, got, want)
		}
	}
	if got, want := octal("a\r\n%\\'\x00é"), `a\r\n%%\\\047\000\303\251`; got != want {
		t.Errorf("octal: %s, want %s", got, want)
	}
}
