package publish

import (
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"ssegauge/reference/wire"
)

// defaultIdle is how many connections are kept for the next publish where the hook says nothing.
const defaultIdle = 64

// newTransport is how the requests of an HTTP hook travel. Connections are kept alive; there is no proxy: the streams are dialled directly, so is the hook.
func newTransport(h *Hook) *http.Transport {
	idle := h.Idle
	if idle <= 0 {
		idle = defaultIdle
	}
	t := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSClientConfig:     h.TLS.Clone(), // net/http writes into it what it offers by ALPN
		TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConns:        idle,
		MaxIdleConnsPerHost: idle,
		IdleConnTimeout:     60 * time.Second,
		DisableCompression:  true,
		Protocols:           new(http.Protocols),
	}
	t.Protocols.SetHTTP1(h.Proto == wire.Auto || h.Proto == wire.HTTP11)
	t.Protocols.SetHTTP2(h.Proto == wire.Auto || h.Proto == wire.HTTP2)
	t.Protocols.SetUnencryptedHTTP2(h.Proto == wire.H2C)
	return t
}

// speaks tells whether a protocol goes with a URL; why says what would.
func speaks(p wire.Proto, u *url.URL) (why string) {
	switch {
	case p == wire.HTTP2 && u.Scheme == "http":
		return "2 needs an https URL; HTTP/2 in the clear is h2c"
	case p == wire.H2C && u.Scheme == "https":
		return "h2c needs an http URL; HTTP/2 over TLS is 2"
	}
	return ""
}

// AsStreams lets a hook that names no protocol speak HTTP/2 in the clear where the streams do and it publishes on their own port: the port may speak nothing else.
func (h *Hook) AsStreams(p wire.Proto, streams *url.URL) {
	_, to, _ := strings.Cut(strings.TrimSpace(h.HTTP), " ")
	if h.Proto == wire.Auto && p == wire.H2C && strings.HasPrefix(strings.TrimSpace(to)+"/", "http://"+streams.Host+"/") {
		h.Proto = wire.H2C
	}
}
