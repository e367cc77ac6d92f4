// Package publish makes a server that nobody here wrote emit an event: the user says once how to publish (an
// HTTP request or a command, as templates), and the checks and the load generator both use it.
//
// It may import the standard library, reference/sse and reference/wire. A further way to publish (a queue, a socket) is
// one more sender in this package beside httpSender and commandSender.
package publish

import (
	"context"
	"crypto/tls"
	"net/http"
	"time"

	"ssegauge/reference/wire"
)

// Message is one thing to publish.
type Message struct {
	ID, Event, Data, Retry string
	Comment                string // to be sent as a comment with the event
	Marker                 string // load: a token to be found as a substring in whatever the target makes of the event
}

// Hook describes how to publish: one of HTTP, Command and Stdin is set.
//
// URL, header values and body are Go templates (text/template) over [Message] with the functions json (a quoted JSON string, for values of any kind) and
// urlquery (form and query escaping).
//
// Defaults of an HTTP hook, so that the shortest hook works:
//   - Body empty, method POST, PUT or PATCH, and neither URL nor header values mention .Data or .Marker: the body is {{.Data}}.
//   - no Content-Type given: application/json where the body, filled with an empty message, is a JSON object or array;
//     application/x-www-form-urlencoded where the body's template calls urlquery; else text/plain; charset=utf-8.
type Hook struct {
	HTTP    string   // "METHOD URL"
	Header  []string // "K: V"
	Body    string
	Stdin   string // a command run by sh -c once: it gets the body, {{.Data}} if there is none, as one line on its stdin for each message
	Command string // run by sh -c for each message; fields in the environment (SSE_ID, SSE_EVENT, SSE_DATA, SSE_RETRY, SSE_COMMENT, SSE_MARKER), data on stdin

	Timeout   time.Duration     // of one publish; 0: 10 s
	Proto     wire.Proto        // of HTTP; Auto: as the target negotiates
	TLS       *tls.Config       // for https; nil: the defaults
	Idle      int               // connections kept for the next publish; 0: 64
	Transport http.RoundTripper // nil: one of its own; Proto, TLS and Idle are not used when it is set
}

// DefaultTimeout bounds one publish where the hook says nothing.
const DefaultTimeout = 10 * time.Second

// maxAnswer is how much of an answer or of a command's output a [Receipt] keeps, in bytes.
const maxAnswer = 64 << 10

// Publisher is a compiled Hook; safe for concurrent use.
type Publisher struct {
	send    sender
	timeout time.Duration
	hook    Hook
	through Func // nil: straight
}

// Func is how a message is published.
type Func func(context.Context, Message) (Receipt, error)

// Through returns a publisher like p whose messages go through f, which may pass them on by next: a recording, or what stands in for the target.
func (p *Publisher) Through(f func(ctx context.Context, m Message, next Func) (Receipt, error)) *Publisher {
	q := *p
	q.through = func(ctx context.Context, m Message) (Receipt, error) { return f(ctx, m, p.Publish) }
	return &q
}

// Hook is what p was made of; it may hold credentials.
func (p *Publisher) Hook() Hook { return p.hook }

// sender is one way to publish.
type sender interface {
	send(ctx context.Context, m *Message, r *Receipt) error
	uses(field string) bool
	start() error // gets ready, where that takes something
	close()       // lets go of what is kept for the next message
	String() string
}

// HookError is a hook that cannot be used: a usage error, in one line that says what was wrong, where, and what would be right.
type HookError struct {
	Part   string // "URL", "header X-Token", "body", "command", "hook"
	Reason string
}

func (e *HookError) Error() string { return "publish " + e.Part + ": " + e.Reason }

// CarryError is a message that this hook cannot carry to the target (a line break in a header value, U+0000 in the environment of a
// command). Nothing was sent, so nothing is known of the target.
type CarryError struct {
	Part   string
	Reason string
}

func (e *CarryError) Error() string { return "publish " + e.Part + ": " + e.Reason }

// Compile checks the hook and its templates. Errors are *[HookError].
func Compile(h Hook) (*Publisher, error) {
	p := &Publisher{timeout: h.Timeout, hook: h}
	if p.timeout <= 0 {
		p.timeout = DefaultTimeout
	}
	switch {
	case h.HTTP != "" && h.Command != "" || h.Stdin != "" && (h.HTTP != "" || h.Command != ""):
		return nil, &HookError{"hook", "more than one of an HTTP request, a command and a command fed on stdin are given; use one of them"}
	case h.HTTP != "":
		s, err := compileHTTP(&h)
		if err != nil {
			return nil, err
		}
		p.send = s
	case h.Proto != wire.Auto:
		return nil, &HookError{"hook", "a protocol is given, but nothing is published over HTTP"}
	case h.Stdin != "":
		if len(h.Header) > 0 {
			return nil, &HookError{"hook", "a command takes no header; its line is the body"}
		}
		s, err := compileLines(&h)
		if err != nil {
			return nil, err
		}
		p.send = s
	case h.Command != "":
		if h.Body != "" || len(h.Header) > 0 {
			return nil, &HookError{"hook", "a command takes no header and no body; it gets the data on stdin and the fields as SSE_* in its environment"}
		}
		p.send = commandSender(h.Command)
	default:
		return nil, &HookError{"hook", "nothing to publish with; give 'METHOD URL' or a command"}
	}
	return p, nil
}

// Receipt is how a publish went. Refused means that the target answered and said no (other than 2xx, or the command's exit code was not 0): its right.
type Receipt struct {
	Sent, Done time.Time
	Refused    bool
	Status     int    // HTTP status, or exit code
	Body       []byte // capped at 64 KiB
}

// Publish publishes m. err is a fault of the network or of the command itself (or a [CarryError]), never a refusal; it names no
// credentials.
func (p *Publisher) Publish(ctx context.Context, m Message) (Receipt, error) {
	if p.through != nil {
		return p.through(ctx, m)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, p.timeout, timeoutError(p.timeout))
	defer cancel()
	r := Receipt{Sent: time.Now()}
	err := p.send.send(ctx, &m, &r)
	r.Done = time.Now()
	return r, err
}

// timeoutError is a [context.DeadlineExceeded] that says how long was waited.
type timeoutError time.Duration

func (e timeoutError) Error() string        { return "no answer within " + time.Duration(e).String() }
func (e timeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

// Start gets ready to publish: a command that is fed on stdin runs from now on. Without it the first message starts it.
func (p *Publisher) Start() error { return p.send.start() }

// Close lets go of what is kept for the next message: connections, a command. No message may be under way; one that comes later starts anew.
func (p *Publisher) Close() { p.send.close() }

// Uses tells whether any template mentions the field ("Data", "ID", "Marker" ...): a hook that never mentions ID cannot set one.
// A command is always taken to use every field, because nobody can look into it.
func (p *Publisher) Uses(field string) bool { return p.send.uses(field) }

// String names the hook without credentials: "POST http://host/publish", or "a command".
func (p *Publisher) String() string { return p.send.String() }

// capped keeps the first maxAnswer bytes written to it and counts no error for the rest.
type capped struct{ b []byte }

func (c *capped) Write(p []byte) (int, error) {
	if room := maxAnswer - len(c.b); room > 0 {
		c.b = append(c.b, p[:min(room, len(p))]...)
	}
	return len(p), nil
}
