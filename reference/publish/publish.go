// Package publish makes a server that nobody here wrote emit an event: the user says once how to publish (an
// HTTP request or a command, as templates), and the checks and the load generator both use it.
//
// It may import the standard library, reference/sse and reference/wire.
package publish

import (
	"context"
	"time"
)

// Message is one thing to publish.
type Message struct {
	ID, Event, Data, Retry string
	Marker                 string // load: a token to be found as a substring in whatever the target makes of the event
}

// Hook describes how to publish. URL, header values and body are Go templates over Message with the functions json and urlquery.
type Hook struct {
	HTTP    string   // "METHOD URL"
	Header  []string // "K: V"
	Body    string
	Command string // run by sh -c; fields in the environment (SSE_ID, SSE_EVENT, SSE_DATA, SSE_RETRY, SSE_MARKER), data on stdin
}

// Publisher is a compiled Hook; safe for concurrent use.
type Publisher struct{ _ int }

// Compile checks the templates. Errors are usage errors: one line that says what was wrong, where, what would be right.
func Compile(h Hook) (*Publisher, error) { panic("pending") }

// Receipt is how a publish went. Refused means that the target answered and said no (other than 2xx, or the command's exit code was not 0): its right.
type Receipt struct {
	Sent, Done time.Time
	Refused    bool
	Status     int    // HTTP status, or exit code
	Body       []byte // capped at 64 KiB
}

// Publish publishes m. err is a fault of the network or of the command itself, never a refusal.
func (p *Publisher) Publish(ctx context.Context, m Message) (Receipt, error) { panic("pending") }

// Uses tells whether any template mentions the field ("Data", "ID", "Marker" ...): a hook that never mentions ID cannot set one.
func (p *Publisher) Uses(field string) bool { panic("pending") }
