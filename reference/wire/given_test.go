package wire_test

import (
	"strings"
	"testing"

	"ssegauge/reference/wire"
)

func TestParseField(t *testing.T) {
	for _, c := range []struct {
		line, want, err string
	}{
		{"A: b", "A=b", ""},
		{" X-Y :\tb: c ", "X-Y=b: c", ""},
		{"A:", "A=", ""},
		{"secret", "", "no colon"},
		{": secret", "", "no valid name"},
		{"A B: secret", "", "no valid name"},
		{"A: secret\r\nB: c", "", "the value of A holds a control character"},
	} {
		f, err := wire.ParseField(c.line)
		if err == nil && (c.err != "" || f.Name+"="+f.Value != c.want) || err != nil && (c.err == "" || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%q: %v, %v; want %q, %q", c.line, f, err, c.want, c.err)
		}
	}
}

func TestTLSFiles(t *testing.T) {
	for _, c := range []struct {
		files wire.TLSFiles
		err   string
	}{
		{wire.TLSFiles{Insecure: true}, ""},
		{wire.TLSFiles{CACert: "nowhere.pem"}, "cacert: open nowhere.pem"},
		{wire.TLSFiles{CACert: "given_test.go"}, "cacert: given_test.go holds no certificate"},
		{wire.TLSFiles{Cert: "a"}, "cert: given without key"},
		{wire.TLSFiles{Key: "a"}, "key: given without cert"},
		{wire.TLSFiles{Cert: "nowhere.pem", Key: "nowhere.key"}, "cert: open nowhere.pem"},
	} {
		cfg, err := c.files.Config()
		if err == nil && (c.err != "" || cfg.InsecureSkipVerify != c.files.Insecure) || err != nil && (c.err == "" || !strings.HasPrefix(err.Error(), c.err)) {
			t.Errorf("%+v: %v; want %q", c.files, err, c.err)
		}
	}
}
