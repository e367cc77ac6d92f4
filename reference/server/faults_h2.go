package server

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"slices"
	"time"
)

// h2Faults break the rules of HTTP/2.
var h2Faults = []Fault{
	{
		ID: "h2/field-case", Text: "over HTTP/2 in the clear field names have capital letters",
		Capitals: true,
	},
	{
		ID: "h2/request-accepts-none", Text: "a request without Connection is answered 400",
		Wrap: func(_ *Server, w http.ResponseWriter, r *http.Request, next http.Handler) {
			if r.ProtoMajor == 2 {
				fail(w, http.StatusBadRequest, "Connection: keep-alive is missing")
				return
			}
			next.ServeHTTP(w, r)
		},
	},
	{
		ID: "h2/flow", Text: "over HTTP/2 the streams of a connection wait for each other's window",
		Wrap: func(_ *Server, w http.ResponseWriter, r *http.Request, next http.Handler) {
			if turn, ok := r.Context().Value(turnKey{}).(chan struct{}); ok && r.ProtoMajor == 2 {
				w = &rewriter{ResponseWriter: w, turn: turn}
			}
			next.ServeHTTP(w, r)
		},
	},
	{
		ID: "h2/end-stream", Text: "over HTTP/2 streams end after 6 s, by a reset",
		Wrap: func(_ *Server, w http.ResponseWriter, r *http.Request, next http.Handler) {
			began := time.Now()
			next.ServeHTTP(w, r)
			if r.ProtoMajor == 2 && r.Context().Err() == nil && time.Since(began) >= lifetime {
				panic(http.ErrAbortHandler)
			}
		},
		Lifetime: lifetime,
	},
	{
		ID: "h2/goaway", Text: "connections are closed without GOAWAY when the server stops",
		Abrupt: true,
	},
}

const lifetime = 6 * time.Second // of a stream, for the fault h2/end-stream

// turnKey finds what the streams of one connection wait for, for the fault h2/flow.
type turnKey struct{}

// withTurn gives each connection its turn: a channel, for who waits for it waits for the network.
func withTurn(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, turnKey{}, make(chan struct{}, 1))
}

// capitals is a listener whose HTTP/2 connections in the clear write Content-Type in place of content-type: net/http lets nobody.
type capitals struct{ net.Listener }

func (l capitals) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &capitalConn{Conn: c}, nil
}

// capitalConn rewrites the HEADERS frames that go out. Its Write is called by one goroutine at a time.
type capitalConn struct {
	net.Conn
	other bool   // it is not HTTP/2
	some  []byte // of a frame that is not complete yet
}

const (
	frameHead    = 9 // RFC 9113 4.1: length, type, flags, stream
	headersFrame = 1
)

func (c *capitalConn) Write(p []byte) (int, error) {
	if c.other = c.other || len(c.some) == 0 && bytes.HasPrefix(p, []byte("HTTP/")); c.other {
		return c.Conn.Write(p)
	}
	c.some = append(c.some, p...)
	var out []byte
	for len(c.some) >= frameHead {
		n := frameHead + int(c.some[0])<<16 + int(c.some[1])<<8 + int(c.some[2])
		if len(c.some) < n {
			break
		}
		frame := c.some[:n]
		if frame[3] == headersFrame { // without padding and priority, as net/http writes them; a head of ours fits into one
			block := capitalised(frame[frameHead:])
			frame = slices.Concat([]byte{byte(len(block) >> 16), byte(len(block) >> 8), byte(len(block))}, frame[3:frameHead], block)
		}
		out = append(out, frame...)
		c.some = c.some[n:]
	}
	if len(out) > 0 {
		if _, err := c.Conn.Write(out); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// capitalised spells the name out where a field block takes content-type from the static table (RFC 7541 6.2). The entry that it may leave in the dynamic table
// is as large as the right one, so that what refers to the table later holds.
func capitalised(block []byte) []byte {
	const name, static = "Content-Type", 31
	var out []byte
	for i := 0; i < len(block); {
		from, form, index := i, byte(0), 0
		texts := 1
		switch b := block[i]; {
		case b&0x80 != 0: // an indexed field
			_, i = hpackInt(block, i, 7)
			texts = 0
		case b&0x40 != 0: // literal, to be remembered
			form = 0x40
			index, i = hpackInt(block, i, 6)
		case b&0x20 != 0: // the size of the dynamic table
			_, i = hpackInt(block, i, 5)
			texts = 0
		default: // literal, not to be remembered
			form = b & 0x10
			index, i = hpackInt(block, i, 4)
		}
		if texts == 1 && index == 0 {
			texts = 2
		}
		if texts == 1 && index == static {
			out = append(append(out, form, byte(len(name))), name...)
			from = i
		}
		for range texts {
			n := 0
			n, i = hpackInt(block, i, 7)
			i = min(i+n, len(block))
		}
		out = append(out, block[from:i]...)
	}
	return out
}

// hpackInt reads an integer with a prefix of that many bits (RFC 7541 5.1) and tells where it ends.
func hpackInt(b []byte, at, prefix int) (n, end int) {
	if at >= len(b) {
		return 0, len(b)
	}
	most := 1<<prefix - 1
	if n = int(b[at]) & most; n < most {
		return n, at + 1
	}
	for shift := 0; ; shift += 7 {
		if at++; at >= len(b) || shift > 21 {
			return n, len(b)
		}
		n += int(b[at]&0x7f) << shift
		if b[at]&0x80 == 0 {
			return n, at + 1
		}
	}
}
