package server

import (
	"net/http"

	"ssegauge/reference/sse"
)

// Fault is one rule that a server can break, and no other. Its hooks are where the server asks; those that are nil (or zero)
// change nothing.
type Fault struct {
	ID   string // the id of the check that must notice
	Text string // one line: what goes wrong

	Status   int                                             // of streams, in place of 200
	Head     func(h http.Header, r *http.Request)            // changes the head of a stream
	HoldHead bool                                            // the head goes out with the first event or heartbeat
	HangHead bool                                            // HEAD is not answered
	First    func(block []byte) []byte                       // changes the first block of a stream
	Encode   func(raw []byte, m *sse.Message) []byte         // gives the wire form of an event in place of raw, the right one
	Events   int                                             // a stream ends after this many writes of events
	Last     []byte                                          // written before a stream ends
	Resume   func(c *channel, id string) (from uint64)       // where a stream goes on after id
	Wrap     func(s *Server, next http.Handler) http.Handler // stands around the whole server
}
