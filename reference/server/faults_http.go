package server

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
)

// httpFaults break the rules of requests, heads, framing and connections.
var httpFaults = []Fault{
	{
		ID: "http/content-type/charset", Text: "charset says iso-8859-1",
		Head: func(h http.Header, _ *http.Request) { h.Set("Content-Type", "text/event-stream; charset=iso-8859-1") },
	},
	{
		ID: "http/content-type/single", Text: "Content-Type stands twice",
		Head: func(h http.Header, _ *http.Request) { h["Content-Type"] = []string{"text/html", eventStreamType} },
	},
	{
		ID: "http/body-framing", Text: "chunks are written by hand under a server that chunks",
		Wrap: func(_ *Server, w http.ResponseWriter, r *http.Request, next http.Handler) {
			if r.ProtoAtLeast(1, 1) && !acceptsGzip(r.Header) {
				w = &rewriter{ResponseWriter: w, body: chunked}
			}
			next.ServeHTTP(w, r)
		},
	},
	{
		ID: "http/error-not-200", Text: "an error is a stream of status 200 that says so and ends",
		Wrap: func(_ *Server, w http.ResponseWriter, r *http.Request, next http.Handler) {
			next.ServeHTTP(&rewriter{ResponseWriter: w, head: asStream(http.StatusBadRequest, http.StatusNotFound)}, r)
		},
	},
	{
		ID: "http/capacity-5xx", Text: "a server that is full answers 200 with a stream that ends",
		Wrap: func(_ *Server, w http.ResponseWriter, r *http.Request, next http.Handler) {
			label, full := asStream(http.StatusServiceUnavailable), false
			next.ServeHTTP(&rewriter{
				ResponseWriter: w,
				head: func(h http.Header, code int) int {
					full = code == http.StatusServiceUnavailable
					return label(h, code)
				},
				body: func(p []byte) []byte {
					if full {
						return nil
					}
					return p
				},
			}, r)
		},
	},
	{
		ID: "http/options", Text: "OPTIONS on a stream hangs, but for preflights",
		Wrap: func(s *Server, w http.ResponseWriter, r *http.Request, next http.Handler) {
			if r.Method != http.MethodOptions || r.Header.Get("Origin") != "" {
				next.ServeHTTP(w, r)
				return
			}
			select {
			case <-r.Context().Done():
			case <-s.stop:
			}
		},
	},
	{
		ID: "http/method", Text: "POST and DELETE are answered with the stream",
		Wrap: func(_ *Server, w http.ResponseWriter, r *http.Request, next http.Handler) {
			if r.Method == http.MethodPost || r.Method == http.MethodDelete {
				r = r.Clone(r.Context())
				r.Method = http.MethodGet
			}
			next.ServeHTTP(w, r)
		},
	},
	{
		ID: "http/allow", Text: "405 has no Allow",
		Wrap: func(_ *Server, w http.ResponseWriter, r *http.Request, next http.Handler) {
			next.ServeHTTP(&rewriter{ResponseWriter: w, head: func(h http.Header, code int) int {
				if code == http.StatusMethodNotAllowed {
					h.Del("Allow")
				}
				return code
			}}, r)
		},
	},
	{ID: "http/accept/missing", Text: "a request without Accept is answered 406", Wrap: insist(func(accept string) bool { return accept != "" })},
	{
		ID: "http/accept/wildcard", Text: "media ranges are not understood",
		Wrap: insist(func(accept string) bool { return accept != "*/*" && accept != "text/*" }),
	},
	{
		ID: "http/accept/list", Text: "Accept is looked at as a whole, and in one case",
		Wrap: insist(func(accept string) bool {
			return !strings.Contains(strings.ToLower(accept), eventStreamType) || accept == eventStreamType || strings.Contains(accept, "q=0")
		}),
	},
	{
		ID: "http/accept/refused", Text: "Accept is ignored",
		Wrap: without("Accept"),
	},
	{
		ID: "http/cache-control", Text: "streams may be cached",
		Head: func(h http.Header, _ *http.Request) { h.Set("Cache-Control", "public, max-age=60, no-transform") },
	},
	{
		ID: "http/cache-control/no-transform", Text: "no-transform is absent",
		Head: func(h http.Header, _ *http.Request) { h.Set("Cache-Control", "no-store") },
	},
	{
		ID: "http/x-accel-buffering", Text: "nginx is asked to buffer",
		Head: func(h http.Header, _ *http.Request) { h.Set("X-Accel-Buffering", "yes") },
	},
	{
		ID: "http/content-encoding/negotiated", Text: "gzip for those who ask for identity",
		Wrap: func(_ *Server, w http.ResponseWriter, r *http.Request, next http.Handler) {
			if r.Header.Get("Accept-Encoding") == "identity" {
				r = r.Clone(r.Context())
				r.Header.Set("Accept-Encoding", "gzip")
			}
			next.ServeHTTP(w, r)
		},
	},
	{
		ID: "http/content-encoding/flush", Text: "a compressed stream is held until 32 KiB are full",
		Wrap: func(_ *Server, w http.ResponseWriter, r *http.Request, next http.Handler) {
			if acceptsGzip(r.Header) {
				w = &rewriter{ResponseWriter: w, body: held(32 << 10)}
			}
			next.ServeHTTP(w, r)
		},
	},
	{
		ID: "http/redirect", Text: "streams are moved by 302",
		Wrap: func(_ *Server, w http.ResponseWriter, r *http.Request, next http.Handler) {
			q := r.URL.Query()
			if q.Has("moved") || r.Method == http.MethodOptions {
				next.ServeHTTP(w, r)
				return
			}
			q.Set("moved", "1")
			w.Header().Set("Location", "?"+q.Encode())
			w.WriteHeader(http.StatusFound)
		},
	},
	{
		ID: "http/http10", Text: "HTTP/1.0 is answered in chunks",
		Wrap: func(s *Server, w http.ResponseWriter, r *http.Request, next http.Handler) {
			if r.ProtoAtLeast(1, 1) || !s.hijacked(w, r, next) {
				next.ServeHTTP(w, r)
			}
		},
	},
	{
		ID: "http/keepalive-header", Text: "Connection: keep-alive over HTTP/1.1",
		Head: func(h http.Header, r *http.Request) {
			if r.ProtoMajor == 1 {
				h.Set("Connection", "keep-alive")
			}
		},
	},
	{
		ID: "http/survives", Text: "OPTIONS takes the service down: 500 from then on",
		Wrap: func(s *Server, w http.ResponseWriter, r *http.Request, next http.Handler) {
			if r.Method == http.MethodOptions {
				s.down.Store(true)
			} else if s.down.Load() {
				fail(w, http.StatusInternalServerError, "down")
				return
			}
			next.ServeHTTP(w, r)
		},
	},
}

const eventStreamType = "text/event-stream"

// streamPaths are those that a fault's Wrap stands before.
var streamPaths = []string{"/events", "/tick", "/sse", "/stream", "/connect", "/chat-updates"}

func (s *Server) wrapped(next http.Handler) http.Handler {
	if s.fault.Wrap == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if slices.Contains(streamPaths, r.URL.Path) {
			s.fault.Wrap(s, w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// insist answers 406 to an Accept field that ok does not like.
func insist(ok func(accept string) bool) func(*Server, http.ResponseWriter, *http.Request, http.Handler) {
	return func(_ *Server, w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodGet && !ok(r.Header.Get("Accept")) {
			fail(w, http.StatusNotAcceptable, notAcceptable)
			return
		}
		next.ServeHTTP(w, r)
	}
}

// without does not look at a field.
func without(field string) func(*Server, http.ResponseWriter, *http.Request, http.Handler) {
	return func(_ *Server, w http.ResponseWriter, r *http.Request, next http.Handler) {
		r = r.Clone(r.Context())
		r.Header.Del(field)
		next.ServeHTTP(w, r)
	}
}

// rewriter changes what a handler answers.
type rewriter struct {
	http.ResponseWriter
	head func(h http.Header, code int) int // gives the status
	body func(p []byte) []byte             // gives what is written in place of p
	turn chan struct{}                     // held while something is written

	wrote bool
}

func (w *rewriter) WriteHeader(code int) {
	w.wrote = true
	if w.head != nil {
		code = w.head(w.Header(), code)
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *rewriter) Write(p []byte) (int, error) {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	if w.turn != nil {
		w.turn <- struct{}{}
		defer func() { <-w.turn }()
	}
	out := p
	if w.body != nil {
		out = w.body(p)
	}
	if len(out) > 0 {
		if _, err := w.ResponseWriter.Write(out); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// FlushError is what http.ResponseController calls.
func (w *rewriter) FlushError() error {
	if w.turn != nil {
		w.turn <- struct{}{}
		defer func() { <-w.turn }()
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap is for the deadlines of http.ResponseController.
func (w *rewriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// asStream labels answers of these statuses as streams.
func asStream(codes ...int) func(http.Header, int) int {
	return func(h http.Header, code int) int {
		if !slices.Contains(codes, code) {
			return code
		}
		h.Set("Content-Type", eventStreamType)
		return http.StatusOK
	}
}

func chunked(p []byte) []byte {
	if len(p) == 0 {
		return nil
	}
	return fmt.Appendf(nil, "%x\r\n%s\r\n", len(p), p)
}

// held keeps what is written until there are n bytes of it.
func held(n int) func([]byte) []byte {
	var kept []byte
	return func(p []byte) []byte {
		if kept = append(kept, p...); len(kept) < n {
			return nil
		}
		out := kept
		kept = nil
		return out
	}
}

// hijacked serves next on the connection itself, in chunks whatever the request said. It returns false where the connection cannot be had.
func (s *Server) hijacked(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return false
	}
	ctx, gone := context.WithCancel(context.WithoutCancel(r.Context()))
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		defer gone()
		_, _ = io.Copy(io.Discard, conn)
	}()
	next.ServeHTTP(&rawWriter{conn: conn, header: http.Header{}}, r.WithContext(ctx))
	conn.Close()
	<-watched
	return true
}

// rawWriter is a response over HTTP/1.1 in chunks.
type rawWriter struct {
	conn   net.Conn
	header http.Header
	wrote  bool
}

func (w *rawWriter) Header() http.Header { return w.header }

func (w *rawWriter) WriteHeader(code int) {
	w.wrote = true
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\nTransfer-Encoding: chunked\r\n", code, http.StatusText(code))
	_ = w.header.Write(&b) // a strings.Builder does not fail
	_, _ = io.WriteString(w.conn, b.String()+"\r\n")
}

func (w *rawWriter) Write(p []byte) (int, error) {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	if _, err := w.conn.Write(chunked(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (w *rawWriter) FlushError() error { return nil }

// down tells that the service is, for the fault http/survives.
type down struct{ atomic.Bool }
