package result

import "testing"

func TestMaskBody(t *testing.T) {
	for body, want := range map[string]string{
		"":                                   "",
		`{"token":"abc","q":"x"}`:            `{"token":"***","q":"x"}`,
		` {"a":{"apiKey" : "a\"b"},"n":[1]}`: ` {"a":{"apiKey" : "***"},"n":[1]}`,
		`{"token":{{json .Data}}}`:           `{"token":{{json .Data}}}`,
		`{"token":"{{.Data}}"}`:              `{"token":"{{.Data}}"}`,
		`{"text":"a&token=b"}`:               `{"text":"a&token=b"}`,
		"token=abc&data={{urlquery .Data}}":  "token=***&data={{urlquery .Data}}",
		"user=me&password=a%20b":             "user=me&password=***",
		"{{.Data}}":                          "{{.Data}}",
		"plain text, token = 3":              "plain text, token = 3",
	} {
		if got := MaskBody(body); got != want || MaskBody(got) != got {
			t.Errorf("%s: %s, and again %s; want %s", body, got, MaskBody(got), want)
		}
	}
}
