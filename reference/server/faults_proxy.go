package server

import (
	"net/http"
	"strings"
)

// proxyFaults are done by what lies in front of a server: whoever asks for a host called direct.* gets past it.
var proxyFaults = []Fault{
	{
		ID: "live/proxy-diff", Text: "Cache-Control is lost on the way, except for requests to the host direct.*",
		Head: func(h http.Header, r *http.Request) {
			if !strings.HasPrefix(r.Host, "direct.") {
				h.Del("Cache-Control")
			}
		},
	},
}
