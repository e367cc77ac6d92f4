package engine

import (
	"strconv"

	"ssegauge/reference/wire"
)

// appendRequest appends r as HTTP/1.1 has it (RFC 9112 3).
func appendRequest(p []byte, r *wire.Request) ([]byte, error) {
	method := r.Method
	if method == "" {
		method = "GET"
	}
	p = append(p, method+" "+r.URL.RequestURI()+" HTTP/1.1\r\n"...)
	if !r.Header.Has("Host") {
		p = append(p, "Host: "+r.URL.Host+"\r\n"...)
	}
	for _, f := range r.Header {
		p = append(p, f.Name+": "+f.Value+"\r\n"...)
	}
	if len(r.Body) > 0 && !r.Header.Has("Content-Length") {
		p = append(p, "Content-Length: "+strconv.Itoa(len(r.Body))+"\r\n"...)
	}
	return append(append(p, "\r\n"...), r.Body...), nil
}
