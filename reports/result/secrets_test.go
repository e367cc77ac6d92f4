package result

import (
	"encoding/base64"
	"slices"
	"testing"
)

func TestSecretsOf(t *testing.T) {
	basic := base64.StdEncoding.EncodeToString([]byte("user:pa55word"))
	for _, c := range []struct {
		got  Secrets
		want []string
	}{
		{FieldSecrets("Authorization", "Bearer abc.def"), []string{"abc.def"}},
		{FieldSecrets("authorization", "Basic "+basic), []string{basic, "pa55word"}},
		{FieldSecrets("X-Api-Key", " k3y "), []string{"k3y"}},
		{FieldSecrets("Cookie", `sid=one1; b="two2"`), []string{"one1", "two2"}},
		{FieldSecrets("Set-Cookie", "sid=one1; Path=/secret; HttpOnly"), []string{"one1"}},
		{FieldSecrets("Accept", "text/event-stream"), nil},
		{FieldSecrets("Location", "http://h/?token=t0ken&a=b"), []string{"t0ken", "t0ken"}},
		{URLSecrets("http://user:pa55word@h/?access_token=a%20b#id_token=c"), []string{"pa55word", "pa55word", basic, "a%20b", "a b", "c", "c"}},
		{URLSecrets("http://h/events?channel=a"), nil},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

func TestSecretsTakenOut(t *testing.T) {
	s := Secrets{"0123456789abcdef", "s3cret", "standard", "abc"}
	for text, want := range map[string]string{
		"it said 0123456789abcdef twice: 0123456789abcdef": "it said *** twice: ***",
		"it was cut: 0123456789abc…":                       "it was cut: ***…",
		"s3crets3cret":                                     "******",
		"the standard, abc, 0123":                          "the standard, abc, 0123",
		"":                                                 "",
	} {
		if got := s.Conceal(text); got != want {
			t.Errorf("Conceal(%q) is %q, want %q", text, got, want)
		}
	}
	b := []byte("a 0123456789abcdef b standard abc")
	if got, want := string(s.Blank(b)), "a **************** b ******** abc"; got != want || string(b) == got {
		t.Errorf("Blank gives %q, want %q, of %q", got, want, b)
	}
	head := "HTTP/1.1 200\r\nSet-Cookie: a=b\r\nA: b\r\nX-Token:c"
	if got, want := string(BlankFields([]byte(head))), "HTTP/1.1 200\r\nSet-Cookie:****\r\nA: b\r\nX-Token:*"; got != want {
		t.Errorf("BlankFields gives %q, want %q", got, want)
	}
}
