package limits

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"ssegauge/reference/publish"
	"ssegauge/reports/result"
)

// payload is an event whose data is known byte by byte: text that no encoding escapes and that hardly compresses, with marks at both ends.
type payload struct {
	publish.Message
	end string // the mark at the end; "": there is no room for one
}

// payloadOf is a payload of so many bytes, and at least the mark it begins with.
func payloadOf(size int) payload {
	p := payload{Message: event(0)}
	last := "end-" + p.Marker
	room := size - len(p.Marker) - len(last)
	if room < 0 {
		p.Data += letters(max(0, size-len(p.Marker)))
		return p
	}
	p.end = last
	p.Data = p.Marker + letters(room) + last
	return p
}

// letters are n random ones of 64.
func letters(n int) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	b := make([]byte, n)
	var bits uint64
	for i := range b {
		if i%10 == 0 {
			bits = rand.Uint64()
		}
		b[i] = alphabet[bits&63]
		bits >>= 6
	}
	return string(b)
}

// fate is what became of an event.
type fate int

const (
	intact  fate = iota // it came as it was published
	spoiled             // it did not, and the target or the path is to blame
	unknown             // it was not given its chance
)

// outcome is what became of an event, in words too.
type outcome struct {
	fate
	says  string
	owner string        // spoiled: whose doing it is, "" if that cannot be told
	after time.Duration // intact: since it began to be published
}

// courier publishes events and receives them on a stream of its own.
type courier struct {
	*Session
	open     func(context.Context) (*Listener, error)
	patience time.Duration // how long nothing comes before an event is given up
	stream   *Listener
}

// The least and the most that an event is waited for while nothing comes.
const (
	minPatience = 3 * time.Second
	maxPatience = 10 * time.Second
)

// settle is how long nothing is published to a stream that was just opened: some targets answer before they listen for what is published.
const settle = 100 * time.Millisecond

func (s *Session) courier() *courier {
	return &courier{Session: s, open: s.open, patience: minPatience}
}

// publishes tells whether events of any size can be published; if not, l says so.
func (s *Session) publishes(id, title, unit string) (l result.Limit, ok bool) {
	switch hook := s.config.Publisher; {
	case hook == nil:
		return undecided(id, title, unit, "--publish", "%s", errNoHook), false
	case !hook.Uses("Data"):
		return undecided(id, title, unit, "--publish-body", "the publish hook says nothing of {{.Data}}, so that every event it publishes is of the same size"), false
	}
	return l, true
}

func (c *courier) close() {
	if c.stream != nil {
		c.stream.Close()
		c.stream = nil
	}
}

// send publishes an event of so many bytes and says what became of it. The stream is a new one where the one before ended, or was left in doubt.
func (c *courier) send(ctx context.Context, size int) outcome {
	if c.stream != nil && !c.stream.Alive() {
		c.close()
	}
	if c.stream == nil {
		var err error
		if c.stream, err = c.open(ctx); err != nil {
			c.stream = nil
			return outcome{fate: unknown, says: "there is no stream to receive it: " + printOf(err).Says}
		}
		pause(ctx, settle)
	}
	o := c.carry(ctx, payloadOf(size))
	if o.fate != intact {
		c.close()
	}
	return o
}

// carry publishes p and waits for it on the stream.
func (c *courier) carry(ctx context.Context, p payload) outcome {
	began := time.Now()
	first := c.stream.Await(p.Marker)
	var last <-chan Arrival
	if p.end != "" {
		last = c.stream.Await(p.end)
	}
	if o, ok := c.told(ctx, p.Message); !ok {
		return o
	}
	w := waiting{courier: c, mark: c.stream.Facts().Bytes, since: time.Now(), until: time.Now().Add(6 * c.patience)}
	var head, tail *Arrival
	glance := time.NewTicker(c.patience / 30)
	defer glance.Stop()
	for {
		select {
		case a := <-first:
			head = &a
			if p.end == "" || bytes.Contains(a.Data, []byte(p.end)) {
				return judge(p, a.Data, a.At.Sub(began))
			}
		case a := <-last:
			tail = &a
		case <-w.witness:
			w.seen = time.Now()
			w.witness = nil
		case <-c.stream.Done():
			// What came with the last bytes counts.
			if o, ok := came(p, first, began); ok {
				return o
			}
			f := printOf(c.stream.Facts().Err)
			if f.Owner == "" {
				f.Owner = result.OwnerTarget
			}
			return outcome{fate: spoiled, owner: f.Owner, says: "the stream ends: " + f.Says}
		case <-ctx.Done():
			return outcome{fate: unknown, says: "the time for this probe is over"}
		case <-glance.C:
			if head != nil && tail != nil {
				return outcome{fate: spoiled, owner: result.OwnerTarget, says: "it comes in several events"}
			}
			w.begun = head != nil || tail != nil
			over, o := w.look(ctx)
			switch {
			case !over:
			case o.fate != intact:
				return o
			case head != nil:
				return judge(p, head.Data, 0)
			case tail != nil:
				return outcome{fate: spoiled, owner: result.OwnerTarget, says: "only its end comes"}
			default:
				return outcome{fate: spoiled, owner: result.OwnerTarget, says: "it does not come, though it was published and a small one after it comes"}
			}
		}
	}
}

// came looks whether the event has come, without waiting.
func came(p payload, first <-chan Arrival, began time.Time) (outcome, bool) {
	select {
	case a := <-first:
		if p.end == "" || bytes.Contains(a.Data, []byte(p.end)) {
			return judge(p, a.Data, a.At.Sub(began)), true
		}
	default:
	}
	return outcome{}, false
}

// waiting is a wait for an event that may never come: where nothing comes for long a small one is published as a witness, that comes where the first was lost.
type waiting struct {
	*courier
	mark    int64 // bytes of the stream
	since   time.Time
	until   time.Time
	begun   bool // a part of the event has come
	asked   bool
	witness <-chan Arrival
	seen    time.Time // when the witness came
}

// look tells whether the wait is over. Then the fate is intact where the witness has come.
func (w *waiting) look(ctx context.Context) (over bool, o outcome) {
	const much = 1 << 10 // more than what keeps a stream alive
	if now := w.stream.Facts().Bytes; now-w.mark >= much && time.Now().Before(w.until) {
		w.mark, w.since = now, time.Now()
		return false, o
	}
	quiet := time.Since(w.since)
	switch {
	case !w.seen.IsZero() && w.begun:
		return quiet > w.patience/3, o
	case !w.seen.IsZero():
		return quiet > w.patience && time.Since(w.seen) > w.patience, o // one that takes longer to be made is overtaken
	case !w.asked && quiet < w.patience/3, w.asked && quiet < w.patience:
		return false, o
	case !w.asked:
		m := event(0)
		w.asked, w.since = true, time.Now()
		w.witness = w.stream.Await(m.Marker)
		if o, ok := w.told(ctx, m); !ok {
			o.fate = unknown
			o.says = "it does not come, and no other can be published: " + o.says
			return true, o
		}
		w.since = time.Now()
		return false, o
	}
	return true, outcome{fate: spoiled, owner: result.OwnerTarget, says: "it does not come, and nothing else comes on that stream any more, which stays open"}
}

// told publishes m; ok is false where that could not be done, and o says what it means.
func (c *courier) told(ctx context.Context, m publish.Message) (o outcome, ok bool) {
	var (
		carry   *publish.CarryError
		command *publish.CommandError
		dial    *net.OpError
	)
	r, err := c.publish(ctx, m)
	switch {
	case ctx.Err() != nil:
		return outcome{fate: unknown, says: "the time for this probe is over"}, false
	case err == nil && r.Refused:
		o = outcome{fate: spoiled, owner: result.OwnerTarget, says: fmt.Sprintf("the publish is refused: %d", r.Status)}
		if by := proxied(r.Body); by != "" {
			o.owner, o.says = result.OwnerPath, fmt.Sprintf("the publish is refused by %s: %d", by, r.Status)
		}
		return o, false
	case err == nil:
		return o, true
	case errors.As(err, &carry), errors.As(err, &command), ours(err), strings.HasPrefix(err.Error(), "publish command: "):
		return outcome{fate: unknown, owner: result.OwnerGenerator, says: "it could not be published by this hook: " + short(err.Error())}, false
	case silent(err), errors.As(err, &dial) && dial.Op == "dial":
		return outcome{fate: unknown, says: "it could not be published: " + short(err.Error())}, false
	}
	// Who closes the connection under a request that is too large does not always say so before.
	return outcome{fate: spoiled, says: "the publish fails: " + short(err.Error())}, false
}

// proxied names the proxy whose own page the answer is; "": it does not look like one.
func proxied(answer []byte) string {
	for _, by := range []struct{ name, page string }{
		{"nginx", "<center>nginx"},
		{"OpenResty", "<center>openresty"},
		{"Cloudflare", "<center>cloudflare"},
		{"a load balancer of AWS", "<center>awselb"},
		{"Varnish", "Varnish cache server"},
	} {
		if bytes.Contains(answer, []byte(by.page)) {
			return by.name
		}
	}
	return ""
}

// judge compares what came with what was published, which the target may have wrapped into something.
func judge(p payload, data []byte, after time.Duration) outcome {
	if bytes.Contains(data, []byte(p.Data)) {
		return outcome{fate: intact, after: after}
	}
	o := outcome{fate: spoiled, owner: result.OwnerTarget, says: "it is altered on its way"}
	if p.end != "" && bytes.Contains(data, []byte(p.end)) {
		return o
	}
	at := bytes.Index(data, []byte(p.Marker))
	n := 0
	for n < len(p.Data) && at+n < len(data) && data[at+n] == p.Data[n] {
		n++
	}
	o.says = fmt.Sprintf("it is truncated: the first %s come", result.Bytes(float64(n)))
	return o
}
