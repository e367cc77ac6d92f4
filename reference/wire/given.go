package wire

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
)

// What people write on command lines and in plans, turned into the values of this package.

// IsToken tells whether s may name a field or a method (RFC 9110 5.6.2).
func IsToken(s string) bool { return isToken(s) }

// ParseField reads "Name: value". Its error does not repeat the value, which may be a credential.
func ParseField(line string) (Field, error) {
	name, value, ok := strings.Cut(line, ":")
	f := Field{Name: strings.TrimSpace(name), Value: strings.Trim(value, " \t")}
	switch {
	case !ok:
		return Field{}, errors.New("no colon; want 'Name: value'")
	case !isToken(f.Name):
		return Field{}, errors.New("no valid name before the colon; want 'Name: value'")
	case badValue(f.Value) >= 0:
		return Field{}, fmt.Errorf("the value of %s holds a control character", f.Name)
	}
	return f, nil
}

// TLSFiles says whom to trust and who to be, by names of PEM files; empty names are the system's authorities and no certificate.
type TLSFiles struct {
	Insecure  bool // take any certificate
	CACert    string
	Cert, Key string // both or none
}

// Config reads the files. Errors begin with the name of what is wrong: "cacert", "cert", "key".
func (t TLSFiles) Config() (*tls.Config, error) {
	cfg := &tls.Config{InsecureSkipVerify: t.Insecure, MinVersion: tls.VersionTLS12}
	if t.CACert != "" {
		pem, err := os.ReadFile(t.CACert)
		if err != nil {
			return nil, fmt.Errorf("cacert: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("cacert: %s holds no certificate in PEM form", t.CACert)
		}
	}
	switch {
	case t.Cert == "" && t.Key == "":
		return cfg, nil
	case t.Cert == "":
		return nil, errors.New("key: given without cert; they go together")
	case t.Key == "":
		return nil, errors.New("cert: given without key; they go together")
	}
	pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		return nil, fmt.Errorf("cert: %w", err)
	}
	cfg.Certificates = []tls.Certificate{pair}
	return cfg, nil
}
