package publish_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"ssegauge/reference/publish"
	"ssegauge/reference/wire"
)

// The request goes over the protocol that was asked for, and connections are kept.
func TestProtocols(t *testing.T) {
	for _, c := range []struct {
		proto wire.Proto
		tls   bool
		want  string
	}{
		{wire.Auto, false, "HTTP/1.1"},
		{wire.HTTP11, false, "HTTP/1.1"},
		{wire.H2C, false, "HTTP/2.0"},
		{wire.Auto, true, "HTTP/2.0"},
		{wire.HTTP11, true, "HTTP/1.1"},
		{wire.HTTP2, true, "HTTP/2.0"},
	} {
		var mu sync.Mutex
		got := map[string]int{}
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			mu.Lock()
			got[r.Proto+" "+r.RemoteAddr]++
			mu.Unlock()
		}))
		s.Config.Protocols = new(http.Protocols)
		s.Config.Protocols.SetHTTP1(true)
		s.Config.Protocols.SetHTTP2(true)
		s.Config.Protocols.SetUnencryptedHTTP2(true)
		hook := publish.Hook{Proto: c.proto}
		if c.tls {
			s.EnableHTTP2 = true
			s.StartTLS()
			roots := x509.NewCertPool()
			roots.AddCert(s.Certificate())
			hook.TLS = &tls.Config{RootCAs: roots}
		} else {
			s.Start()
		}
		hook.HTTP = "POST " + s.URL + "/publish"
		p := mustCompile(t, hook)
		for range 3 {
			if r, err := p.Publish(t.Context(), publish.Message{Data: "x"}); err != nil || r.Status != 200 {
				t.Errorf("%v: %+v, %v", c.proto, r, err)
			}
		}
		if hook.TLS != nil && hook.TLS.NextProtos != nil {
			t.Errorf("%v: the caller's TLS configuration now offers %q", c.proto, hook.TLS.NextProtos)
		}
		p.Close()
		s.Close()
		for k, n := range got {
			if len(got) != 1 || n != 3 || !strings.HasPrefix(k, c.want+" ") {
				t.Errorf("%v, TLS %v: %v; want %s on one connection", c.proto, c.tls, got, c.want)
			}
		}
	}
	for _, h := range []publish.Hook{{HTTP: "POST http://h/", Proto: wire.HTTP2}, {HTTP: "POST https://h/", Proto: wire.H2C}, {Command: "x", Proto: wire.HTTP11}} {
		if _, err := publish.Compile(h); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%+v: %v", h, err)
		}
	}
}

func TestAsStreams(t *testing.T) {
	u, _ := url.Parse("http://h:1/events")
	for _, c := range []struct {
		http        string
		proto, want wire.Proto
		streams     wire.Proto
	}{
		{"POST http://h:1/publish", wire.Auto, wire.H2C, wire.H2C},
		{"POST http://h:1/publish", wire.HTTP11, wire.HTTP11, wire.H2C},
		{"POST http://h:12/publish", wire.Auto, wire.Auto, wire.H2C},
		{"POST http://h:1/publish", wire.Auto, wire.Auto, wire.HTTP11},
	} {
		h := publish.Hook{HTTP: c.http, Proto: c.proto}
		if h.AsStreams(c.streams, u); h.Proto != c.want {
			t.Errorf("%+v: %v", c, h.Proto)
		}
	}
}
