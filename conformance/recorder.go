package conformance

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"ssegauge/reference/publish"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// An asker is on whose behalf something is asked or published: a check, or the run itself. It travels in the context.
type asker struct {
	scope string // of a run within a run
	id    string
	p     *Probe // nil: the run itself
}

type askerKey struct{}

func (a asker) in(ctx context.Context) context.Context {
	return context.WithValue(ctx, askerKey{}, a)
}

func askerOf(ctx context.Context) asker {
	a, _ := ctx.Value(askerKey{}).(asker)
	return a
}

// nonce makes a plain word that [NonceOf] finds again. In a recording of the run it is the same.
func (s *session) nonce(ctx context.Context) string {
	a := askerOf(ctx)
	s.mu.Lock()
	if s.nonces == nil {
		s.nonces = map[string]int{}
	}
	s.nonces[a.id]++
	n := s.nonces[a.id]
	s.mu.Unlock()
	sum := sha256.Sum256([]byte(strings.Join([]string{s.seed, a.scope, a.id, strconv.Itoa(n)}, "\x00")))
	return nonceStart + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:])[:nonceSize-len(nonceStart)])
}

// Nonce makes a plain word that [NonceOf] finds again.
func (p *Probe) Nonce() string { return p.s.nonce(asker{p.s.scope, p.check.ID, p}.in(p.ctx)) }

// running is a connection of a run that goes on, or a run that has ended and is not kept yet.
type running struct {
	asker  asker
	record *wire.Transcript
}

// NewRecording returns one that a run fills: see [Options].
func NewRecording() *Recording { return &Recording{} }

// begin notes what the run is.
func (r *Recording) begin(s *session, start time.Time, checks []*Check) {
	r.Started, r.start, r.seed, r.target = start, start, s.seed, recordTarget(&s.target)
	r.Checks = []string{}
	for _, c := range checks {
		r.Checks = append(r.Checks, c.ID)
	}
}

// wrap puts the recording between a run and its hooks.
func (r *Recording) wrap(t *Target, _ []*Check) {
	if t.Publisher != nil {
		t.Publisher = t.Publisher.Through(r.publish)
	}
	t.Kill, t.Restart = r.action("kill", t.Kill), r.action("restart", t.Restart)
}

// dial makes the connections of d part of the recording.
func (r *Recording) dial(ctx context.Context, d *wire.Dialer) {
	before, a := d.Recording, askerOf(ctx)
	d.Record, d.Order = max(d.Record, 2*maxContent), r.order
	d.Recording = func(t *wire.Transcript) {
		if before != nil {
			before(t)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		var kept int64
		for _, c := range r.running {
			kept += c.record.Received()
		}
		if kept > maxKept || len(r.running) >= 100_000 {
			r.Dropped++
			return
		}
		r.running = append(r.running, &running{a, t})
	}
}

// order counts what the run does; what comes back gets the count so far.
func (r *Recording) order(does bool) int64 {
	if does {
		return r.done.Add(1) - 1
	}
	return r.done.Load()
}

// slack notes what the path holds for a client that does not read.
func (r *Recording) slack(bytes int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.target.Slack = bytes
	return bytes
}

// left notes that a check is done.
func (r *Recording) left(asker) {}

func (r *Recording) drain() {}

func (r *Recording) publish(ctx context.Context, m publish.Message, next publish.Func) (publish.Receipt, error) {
	order := r.order(true)
	receipt, err := next(ctx, m)
	a := askerOf(ctx)
	post := recordedPost{
		Type: "publish", Scope: a.scope, Check: a.id, Message: recordedMessage{m.ID, m.Event, m.Data, m.Retry, m.Comment}, Digest: digest(&m), Nonces: Nonces([]byte(m.ID + " " + m.Event + " " + m.Data + " " + m.Comment)), Order: order,
		Sent: receipt.Sent.Sub(r.start), Done: receipt.Done.Sub(r.start), Status: receipt.Status, Refused: receipt.Refused, Error: recordError(err),
	}
	if len(m.Data) > maxMessage {
		post.Message.Data = strings.ToValidUTF8(m.Data[:maxMessage], "")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.posts = append(r.posts, post)
	return receipt, err
}

// digest identifies a message.
func digest(m *publish.Message) string {
	h := sha256.New()
	for _, s := range []string{m.ID, m.Event, m.Data, m.Retry, m.Comment, m.Marker} {
		fmt.Fprintf(h, "%d:", len(s))
		io.WriteString(h, s)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func (r *Recording) action(name string, do Action) Action {
	if do == nil {
		return nil
	}
	return func(ctx context.Context) error {
		begun, order := time.Now(), r.order(true)
		err := do(ctx)
		a := askerOf(ctx)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.actions = append(r.actions, recordedAction{"action", a.scope, a.id, name, order, begun.Sub(r.start), time.Since(r.start), recordError(err)})
		return err
	}
}

// end takes what the connections hold.
func (r *Recording) end(known result.Secrets, interrupted bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Duration, r.Interrupted = time.Since(r.start), interrupted
	var secrets [][]byte
	for _, one := range known {
		if len(one) >= 6 { // shorter ones stand in any text
			secrets = append(secrets, []byte(one))
		}
	}
	for _, c := range r.running {
		r.conns = append(r.conns, r.connection(c, secrets))
	}
	r.running = nil
}

// cookies are the values that a response sets.
var cookies = regexp.MustCompile(`(?i)\nset-cookie:[^=\r\n]*=([^;\r\n]*)`)

func (r *Recording) connection(c *running, secrets [][]byte) recordedConn {
	timing, proto, failed := c.record.Dialled()
	addr, _ := c.record.Addr()
	out := recordedConn{
		Type: "connection", Scope: c.asker.scope, Check: c.asker.id, Addr: addr, HTTP: proto.String(), Start: c.record.Start().Sub(r.start),
		Resolved: timing.Resolved, Connected: timing.Connected, TLS: timing.TLS, Requests: []recordedAsk{}, Received: []recordedBytes{}, Truncated: c.record.Truncated(),
	}
	if failed != nil {
		out.Failed = recordError(failed.Err)
		out.Failed.Phase = string(failed.Phase)
	}
	for _, a := range c.record.Asks() {
		// An id that a target made of a credential comes back in a request: as it stands in what was received.
		asked := []byte(requestText(a.Request))
		for _, secret := range secrets {
			asked = bytes.ReplaceAll(asked, secret, bytes.Repeat([]byte("*"), len(secret)))
		}
		out.Requests = append(out.Requests, recordedAsk{a.At, a.Written, a.Received, a.Order, string(asked)})
	}
	var all []byte
	for _, k := range c.record.Chunks() {
		if !k.Sent {
			out.Received = append(out.Received, recordedBytes{k.At, k.Order, k.Data})
			all = append(all, k.Data...)
		}
	}
	// Overwritten in place: offsets stay, and so does what was cut over two reads.
	for _, secret := range secrets {
		all = bytes.ReplaceAll(all, secret, bytes.Repeat([]byte("*"), len(secret)))
	}
	if proto == wire.HTTP11 {
		for _, at := range cookies.FindAllSubmatchIndex(all, -1) {
			copy(all[at[2]:at[3]], bytes.Repeat([]byte("*"), at[3]-at[2]))
		}
	}
	for i := range out.Received {
		n := len(out.Received[i].Data)
		out.Received[i].Data, all = all[:n:n], all[n:]
	}
	out.Closed, out.ClosedAt = c.record.Closed()
	out.Closed, out.Order = result.MaskText(out.Closed), c.record.ClosedOrder()
	return out
}

// kinds of errors on which the program branches.
var kinds = []struct {
	name string
	err  error
}{
	{"refused", syscall.ECONNREFUSED}, {"reset", syscall.ECONNRESET}, {"timeout", context.DeadlineExceeded}, {"deadline", os.ErrDeadlineExceeded}, {"canceled", context.Canceled},
}

func recordError(err error) *recordedError {
	if err == nil {
		return nil
	}
	e := &recordedError{Text: result.MaskText(err.Error())}
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			e.Kind = k.name
			break
		}
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		e.Kind = "dns"
	}
	return e
}

// error makes an error of it again.
func (e *recordedError) error() error {
	if e == nil {
		return nil
	}
	for _, k := range kinds {
		if k.name == e.Kind {
			return &replayedError{e.Text, k.err}
		}
	}
	return &replayedError{e.Text, nil}
}

// replayedError is an error of a recording.
type replayedError struct {
	text string
	is   error
}

func (e *replayedError) Error() string { return e.text }

func (e *replayedError) Unwrap() error { return e.is }

// wakes goes before the id of a check on whose behalf something is published only to make a head come.
const wakes = "wake "
