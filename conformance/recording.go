package conformance

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"ssegauge/reports/result"
)

// Recording is all that a run asked and all that came back, with times, so that it can be judged again without a network ([Recording.Replay]).
//
// # What it keeps
//
// Three things pass between a run and the world: connections ([wire.Transcript]: what was asked, each read with the time of its arrival, how
// dialling and closing went), what was published (the message and its receipt), and the hooks that end or restart the target. Each is kept with the id of the check on whose behalf
// it was done, or none where it was the run's own. The gauge is a connection like any other. What was asked stands there as a request, not as bytes: that is the same over HTTP/1.1 and
// HTTP/2, and credentials can be masked in it. Over TLS the bytes are those within.
//
// # How it is judged again
//
// The same code runs in a world made of the recording, in real time: [Recording.Replay] takes as long as the run did (less where checks are
// left out), for what a check does about silence is to wait, and it waits by the clock. What is measured is not of that clock, though: connections tell when their bytes arrived ([wire.Recorded]), receipts when they were given, to the nanosecond as it was, so no
// verdict hangs on how busy the machine is that judges again; and what came of a request, a message or an action does not come before it, however late that is. A request gets the connection that the same check asked the same of, in their order, or else one on which another
// check did (with --only another one may be the first to ask). What is asked must be the same for that, so nonces are made of a seed, the check's id and a count, and checks act one at a
// time, in an order of their own (stage). A check that asks what nobody asked then is not-observed: not in the
// recording; a message that nobody published then is one of a hook that fails.
//
// # The file
//
// NDJSON, UTF-8, one object a line, told apart by "type"; offsets in ns count from the start of the run, those of a connection from its start_ns:
//
//	recording    first: format (ssegauge/recording/v1), tool, started, seed, target (all that was lent and declared; credentials masked), checks (ids of the run), known (ids there were)
//	connection   check, addr, start_ns, resolved_ns, connected_ns, tls_ns, http, failed {phase, kind, text}, requests [{at_ns, written_ns, after (so many bytes had come), order, request}], received [{at_ns, order, text or base64}], closed, closed_ns, closed_order
//	publish      check, message (data of more than 1 KiB is cut), digest (of the whole), nonces, order, sent_ns, done_ns, status, refused, error
//	action       check, action (kill, restart), order, begun_ns, done_ns, error
//	end          last: duration_ns, interrupted, dropped (connections for which there was no room)
//
// Requests, messages and actions are numbered by their order in the run, from 0; the order of what came says how many of them there had been by then.
//
// Credentials of requests are "***", those that come back in clear text (an echo, the value of a Set-Cookie over HTTP/1.1) are overwritten by as many asterisks, so that offsets stay. All
// else that the target sent is there as it came: who gets the file can read the stream. Over HTTP/2 the fields of a response are packed (HPACK), and what is packed is not overwritten: a cookie
// that the target sets can be read out of the file again.
//
// It holds at most 256 MiB of what came; connections beyond are dropped.
type Recording struct {
	Tool  string   // who made it
	Known []string // ids of all checks that there were, so that new ones are told from those that were left out

	Started     time.Time
	Duration    time.Duration
	Interrupted bool
	Dropped     int
	Checks      []string // ids of the run

	seed   string
	target recordedTarget

	mu      sync.Mutex
	running []*running // connections of a run that goes on
	conns   []recordedConn
	posts   []recordedPost
	actions []recordedAction
	start   time.Time    // of the run, with its monotonic clock
	done    atomic.Int64 // requests, messages and actions so far
}

const (
	recordingFormat = "ssegauge/recording/v1"
	maxKept         = 256 << 20 // of what came
	maxRecording    = 1 << 30   // of a file that is read
	maxMessage      = 1 << 10   // of a message's data that is kept for people
)

type recordingHead struct {
	Type    string         `json:"type"`
	Format  string         `json:"format"`
	Tool    string         `json:"tool"`
	Started time.Time      `json:"started"`
	Seed    string         `json:"seed"`
	Target  recordedTarget `json:"target"`
	Checks  []string       `json:"checks"`
	Known   []string       `json:"known"`
}

type recordedConn struct {
	Type      string          `json:"type"`
	Scope     string          `json:"scope,omitempty"` // "direct": past the proxy
	Check     string          `json:"check,omitempty"`
	Addr      string          `json:"addr"`
	Start     time.Duration   `json:"start_ns"`
	Resolved  time.Duration   `json:"resolved_ns"`
	Connected time.Duration   `json:"connected_ns"`
	TLS       time.Duration   `json:"tls_ns,omitempty"`
	HTTP      string          `json:"http"`
	Failed    *recordedError  `json:"failed,omitempty"`
	Requests  []recordedAsk   `json:"requests"`
	Received  []recordedBytes `json:"received"`
	Truncated bool            `json:"truncated,omitempty"`
	Closed    string          `json:"closed,omitempty"`
	ClosedAt  time.Duration   `json:"closed_ns,omitempty"`
	Order     int64           `json:"closed_order,omitempty"`
}

type recordedError struct {
	Phase string `json:"phase,omitempty"`
	Kind  string `json:"kind,omitempty"` // refused, reset, timeout, dns
	Text  string `json:"text"`
}

type recordedAsk struct {
	At       time.Duration `json:"at_ns"`
	Written  time.Duration `json:"written_ns"` // negative: never
	Received int64         `json:"after"`      // bytes that had come on the connection
	Order    int64         `json:"order"`
	Request  string        `json:"request"`
}

type recordedBytes struct {
	At    time.Duration
	Order int64
	Data  []byte
}

// recordedText is how bytes stand in the file: as text where they are some.
type recordedText struct {
	At     time.Duration `json:"at_ns"`
	Order  int64         `json:"order"`
	Text   *string       `json:"text,omitempty"`
	Base64 string        `json:"base64,omitempty"`
}

func (b recordedBytes) MarshalJSON() ([]byte, error) {
	t := recordedText{At: b.At, Order: b.Order}
	if utf8.Valid(b.Data) {
		s := string(b.Data)
		t.Text = &s
	} else {
		t.Base64 = base64.StdEncoding.EncodeToString(b.Data)
	}
	return json.Marshal(t)
}

func (b *recordedBytes) UnmarshalJSON(p []byte) error {
	var t recordedText
	if err := json.Unmarshal(p, &t); err != nil {
		return err
	}
	b.At, b.Order = t.At, t.Order
	if t.Text != nil {
		b.Data = []byte(*t.Text)
		return nil
	}
	var err error
	b.Data, err = base64.StdEncoding.DecodeString(t.Base64)
	return err
}

type recordedPost struct {
	Type    string          `json:"type"`
	Scope   string          `json:"scope,omitempty"`
	Check   string          `json:"check,omitempty"`
	Message recordedMessage `json:"message"`
	Digest  string          `json:"digest"`
	Nonces  []string        `json:"nonces,omitempty"`
	Order   int64           `json:"order"`
	Sent    time.Duration   `json:"sent_ns"`
	Done    time.Duration   `json:"done_ns"`
	Status  int             `json:"status"`
	Refused bool            `json:"refused,omitempty"`
	Error   *recordedError  `json:"error,omitempty"`
}

// recordedMessage is for people; the digest is what counts.
type recordedMessage struct {
	ID      string `json:"id,omitempty"`
	Event   string `json:"event,omitempty"`
	Data    string `json:"data"`
	Retry   string `json:"retry,omitempty"`
	Comment string `json:"comment,omitempty"`
}

type recordedAction struct {
	Type   string         `json:"type"`
	Scope  string         `json:"scope,omitempty"`
	Check  string         `json:"check,omitempty"`
	Action string         `json:"action"`
	Order  int64          `json:"order"`
	Begun  time.Duration  `json:"begun_ns"`
	Done   time.Duration  `json:"done_ns"`
	Error  *recordedError `json:"error,omitempty"`
}

type recordingEnd struct {
	Type        string        `json:"type"`
	Duration    time.Duration `json:"duration_ns"`
	Interrupted bool          `json:"interrupted"`
	Dropped     int           `json:"dropped"`
}

// Selects tells whether a check belongs to a replay: it was part of the run, or there was none of that id.
func (r *Recording) Selects(id string) bool {
	return slices.Contains(r.Checks, id) || !slices.Contains(r.Known, id)
}

// Begun tells whether there is anything in it.
func (r *Recording) Begun() bool { return !r.Started.IsZero() }

// Write writes the file.
func (r *Recording) Write(w io.Writer) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := bufio.NewWriter(w)
	line := func(v any) error { return result.EncodeLine(out, v) }
	if err := line(recordingHead{"recording", recordingFormat, r.Tool, r.Started, r.seed, r.target, r.Checks, r.Known}); err != nil {
		return err
	}
	for i := range r.conns {
		if err := line(&r.conns[i]); err != nil {
			return err
		}
	}
	for i := range r.posts {
		if err := line(&r.posts[i]); err != nil {
			return err
		}
	}
	for i := range r.actions {
		if err := line(&r.actions[i]); err != nil {
			return err
		}
	}
	if err := line(recordingEnd{"end", r.Duration, r.Interrupted, r.Dropped}); err != nil {
		return err
	}
	return out.Flush()
}

// ReadRecording reads a file as [Recording.Write] writes it. Members and lines of a type that it does not know are passed over.
func ReadRecording(rd io.Reader) (*Recording, error) {
	r := &Recording{}
	lines := bufio.NewReaderSize(io.LimitReader(rd, maxRecording), 1<<20)
	ended := false
	for n := 1; ; n++ {
		p, rerr := lines.ReadBytes('\n')
		if rerr != nil && rerr != io.EOF {
			return nil, rerr
		}
		if p = bytes.TrimSpace(p); len(p) > 0 {
			end, err := r.line(p, n == 1)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", n, err)
			}
			ended = ended || end
		} else if n == 1 {
			return nil, errors.New("line 1: not a recording of ssegauge")
		}
		if rerr == io.EOF {
			break
		}
	}
	if !ended {
		return nil, errors.New("it breaks off: there is no line of type \"end\"")
	}
	return r, nil
}

// line takes one line of a file.
func (r *Recording) line(p []byte, first bool) (end bool, err error) {
	var kind struct {
		Type   string `json:"type"`
		Format string `json:"format"`
	}
	if err := json.Unmarshal(p, &kind); err != nil {
		if first {
			return false, errors.New("not a recording of ssegauge")
		}
		return false, errors.New("not JSON")
	}
	if first && (kind.Type != "recording" || kind.Format != recordingFormat) {
		return false, fmt.Errorf("format %q is not known here (known: %s)", result.Escape(kind.Format), recordingFormat)
	}
	switch kind.Type {
	case "recording":
		var h recordingHead
		if err = json.Unmarshal(p, &h); err == nil {
			r.Tool, r.Started, r.seed, r.target, r.Checks, r.Known = h.Tool, h.Started, h.Seed, h.Target, h.Checks, h.Known
		}
	case "connection":
		err = appendLine(&r.conns, p)
	case "publish":
		err = appendLine(&r.posts, p)
	case "action":
		err = appendLine(&r.actions, p)
	case "end":
		var e recordingEnd
		if err = json.Unmarshal(p, &e); err == nil {
			r.Duration, r.Interrupted, r.Dropped, end = e.Duration, e.Interrupted, e.Dropped, true
		}
	}
	if err != nil {
		err = fmt.Errorf("%s: %s", result.Escape(kind.Type), result.Escape(err.Error()))
	}
	return end, err
}

func appendLine[T any](list *[]T, p []byte) error {
	var v T
	if err := json.Unmarshal(p, &v); err != nil {
		return err
	}
	*list = append(*list, v)
	return nil
}
