package result_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"ssegauge/reports/result"
)

func TestEscape(t *testing.T) {
	for in, want := range map[string]string{
		"plain text, naïve, 日本, é, 😀": "plain text, naïve, 日本, é, 😀",
		"a\tb\r\n\x00\x1b[2J\x7f":     `a\tb\r\n\x00\x1b[2J\x7f`,
		"\u0085\u009b31m":             `\u0085\u009b31m`,
		"\u202egnp\u2066\u200f\u061c": `\u202egnp\u2066\u200f\u061c`,
		"\u2028\u2029\u00a0\ufeff":    `\u2028\u2029\u00a0\ufeff`,
		"\xff\xc3(":                   `\xff\xc3(`,
		"\xed\xa0\x80":                `\xed\xa0\x80`,
		`C:\new \x41`:                 `C:\new \x41`,
		"\ufffd":                      "\ufffd",
		"\U000e0041":                  `\U000e0041`,
	} {
		if got := result.Escape(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
	if got := result.Literal([]byte("a\\n\n")); got != `a\\n\n` {
		t.Errorf("literal: %s", got)
	}
}

func FuzzEscape(f *testing.F) {
	f.Add("a\x1b\u202e\xff\\", 1, 2)
	f.Fuzz(func(t *testing.T, s string, from, to int) {
		for _, out := range []string{result.Escape(s), result.Literal([]byte(s))} {
			for _, c := range out {
				if !unicode.IsPrint(c) {
					t.Errorf("%q leaves %q", s, c)
				}
			}
			if !utf8.ValidString(out) || result.Escape(out) != out {
				t.Errorf("%q: %q is not stable", s, out)
			}
		}
		e := result.NewEvidence([]byte(s), from, to)
		before, fault, after, ok := e.Marked()
		if !ok || before+fault+after != e.Text || len(e.Text) > 2000 || len(e.Hex) > 100 || e.Length < 0 {
			t.Errorf("%q[%d:%d]: %+v", s, from, to, e)
		}
	})
}

func TestEvidence(t *testing.T) {
	for _, tc := range []struct {
		bytes            string
		from, to         int
		text, fault, hex string
		length           int
	}{
		{"data: a\nb\n", 8, 9, `data: a\nb\n`, "b", "62", 1},
		{"x", 1, 1, "x", "", "", 0},
		{"x", -5, 99, "x", "x", "78", 1},
		{"xyz", 2, 1, "xyz", "", "", 0},
		{"", 0, 0, "", "", "", 0},
		{strings.Repeat("é", 40) + "!" + strings.Repeat("é", 40), 80, 81, "…" + strings.Repeat("é", 24) + "!" + strings.Repeat("é", 24) + "…", "!", "21", 1},
		{"x" + strings.Repeat("é", 40) + "!" + strings.Repeat("é", 40), 81, 82, "…" + strings.Repeat("é", 24) + "!" + strings.Repeat("é", 24) + "…", "!", "21", 1},
		{strings.Repeat("\x80", 60) + "!", 60, 61, "…" + strings.Repeat(`\x80`, 45) + "!", "!", "21", 1},
		{strings.Repeat("A", 500), 0, 500, strings.Repeat("A", 80) + "…" + strings.Repeat("A", 80), strings.Repeat("A", 80) + "…" + strings.Repeat("A", 80), strings.TrimSpace(strings.Repeat("41 ", 32)), 500},
	} {
		e := result.NewEvidence([]byte(tc.bytes), tc.from, tc.to)
		_, fault, _, ok := e.Marked()
		if e.Text != tc.text || fault != tc.fault || e.Hex != tc.hex || e.Length != tc.length || !ok {
			t.Errorf("%q[%d:%d]: %+v, mark %q", tc.bytes, tc.from, tc.to, e, fault)
		}
	}
}

func TestMask(t *testing.T) {
	for in, want := range map[string]string{
		"http://127.0.0.1:8080/events?channel=a":                      "http://127.0.0.1:8080/events?channel=a",
		"https://user:pw@host/x":                                      "https://***@host/x",
		"https://user@host":                                           "https://***@host",
		"https://us@er:p@w@host/x":                                    "https://***@host/x",
		"https://user:pa/ss@host/x":                                   "https://***@host/x",
		"https://host:8443/pkg@1.2/x":                                 "https://host:8443/pkg@1.2/x",
		"https://[::1]:8443/@x":                                       "https://[::1]:8443/@x",
		"http://h/?token=s3cret&a=b;Api_Key=s3cret":                   "http://h/?token=***&a=b;Api_Key=***",
		"http://h/?access_token=s&id-token=s&refreshToken=s":          "http://h/?access_token=***&id-token=***&refreshToken=***",
		"http://h/?X-Amz-Signature=s&X-Amz-Credential=s&X-Amz-Date=1": "http://h/?X-Amz-Signature=***&X-Amz-Credential=***&X-Amz-Date=1",
		"http://h/?%74oken=s":                                         "http://h/?%74oken=***",
		"http://h/?sig=s&monkey=1&design=2&author=3":                  "http://h/?sig=***&monkey=1&design=2&author=3",
		"http://h/?token=&token":                                      "http://h/?token=&token",
		"http://h/#access_token=s&x=1":                                "http://h/#access_token=***&x=1",
		"/relative?password=s":                                        "/relative?password=***",
		"http://h:port/%zz?secret=a=b":                                "http://h:port/%zz?secret=***",
		"":                                                            "",
	} {
		if got := result.Mask(in); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", in, got, want)
		}
		if got := result.Mask(want); got != want {
			t.Errorf("masking %s again gives %s", want, got)
		}
	}
	for _, tc := range [][3]string{
		{"Authorization", "Bearer abc", "Bearer ***"},
		{"authorization", "abc def", "***"},
		{"Proxy-Authorization", "Basic dXNlcg==", "Basic ***"},
		{"Cookie", "a=b", "***"},
		{"Set-Cookie", "a=b; Path=/", "***"},
		{"X-Api-Key", "k", "***"},
		{"X-APIKEY", "k", "***"},
		{"Mcp-Session-Id", "k", "***"},
		{"X-Auth-Token", "", ""},
		{"Accept", "text/event-stream", "text/event-stream"},
		{"Referer", "http://u:p@h/?token=x", "http://***@h/?token=***"},
		{"Cache-Control", "no-store", "no-store"},
	} {
		if got := result.MaskHeader(tc[0], tc[1]); got != tc[2] {
			t.Errorf("%s: %s gives %s, want %s", tc[0], tc[1], got, tc[2])
		}
	}
	if got, want := result.MaskText(`Get "http://u:p@h/?key=1": EOF, then (https://h/?sig=2)`), `Get "http://***@h/?key=***": EOF, then (https://h/?sig=***`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := result.MaskText(`curl -H 'Authorization: Bearer abc' -H "Accept: a" -H 'X-Api-Key: 1'`), `curl -H 'Authorization: Bearer ***' -H "Accept: a" -H 'X-Api-Key: ***'`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
