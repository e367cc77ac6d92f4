package conformance

import (
	"bytes"
	"slices"
	"time"

	"ssegauge/reference/publish"
	"ssegauge/reference/sse"
)

// Delivery is what became of one published payload.
type Delivery struct {
	Nonce   string
	Sent    string // the data as published
	Receipt publish.Receipt
	Delay   time.Duration // from the publish to the arrival of the first byte line with the nonce
	Lost    bool          // accepted, plain events still arrive, and this one did not, twice
	Conn    *Connection   // where it arrived
	Events  []Event       // that carry the nonce
	Lines   []Line        // that carry the nonce, whatever they mean
	// Pushed: the event was dispatched only when the one after it had been published.
	Pushed  bool
	message publish.Message
	shape   shape
	since   mark
	again   bool // judged again: it may come a moment before it is published, and the nonce tells what it is
	at      mark // how far it was looked for
}

// mark is where the observation stood.
type mark struct {
	conn          *Connection
	lines, events int
}

// look collects what came with the nonce since the publish, on the first connection where anything does. It goes on where it stopped.
func (d *Delivery) look(conns []*Connection) {
	word := []byte(d.Nonce)
	if !d.again {
		conns = conns[slices.Index(conns, d.since.conn):]
	}
	for _, c := range conns {
		if d.Conn != nil && d.Conn != c {
			continue
		}
		// The stream goes on meanwhile: what was taken last holds what was taken before.
		events, lines := c.Events(), c.Lines()
		content := c.Content()
		if d.at.conn != c {
			d.at = mark{conn: c}
			if c == d.since.conn && !d.again {
				d.at = d.since
			}
			d.Lines, d.Events = nil, nil
		}
		for ; d.at.lines < len(lines); d.at.lines++ {
			if l := &lines[d.at.lines]; bytes.Contains(content[l.Start:l.End], word) {
				d.Lines = append(d.Lines, *l)
			}
		}
		for ; d.at.events < len(events); d.at.events++ {
			if e := &events[d.at.events]; bytes.Contains(e.Data, word) || bytes.Contains(e.Type, word) || bytes.Contains(e.ID, word) && e.IDSet {
				d.Events = append(d.Events, *e)
			}
		}
		if len(d.Lines) > 0 {
			d.Conn = c
			d.Delay = max(0, d.Lines[0].At-d.Receipt.Sent.Sub(c.Timing.Start))
			d.Lost = false
			return
		}
	}
}

const (
	nonceStart = "gauge"
	nonceSize  = len(nonceStart) + 14
)

// NonceOf finds the nonce of what a run published in an event's data; "" where there is none.
func NonceOf(data []byte) string {
	if at, ok := nonceIn(data); ok {
		return string(data[at : at+nonceSize])
	}
	return ""
}

// nonceIn finds where the first nonce stands.
func nonceIn(data []byte) (at int, ok bool) {
	for ; ; at++ {
		i := bytes.Index(data[at:], []byte(nonceStart))
		if i < 0 || len(data)-at-i < nonceSize {
			return 0, false
		}
		at += i
		if word := data[at : at+nonceSize]; !bytes.ContainsFunc(word, func(c rune) bool { return !(c >= 'a' && c <= 'z' || c >= '2' && c <= '7') }) {
			return at, true
		}
	}
}

// TypeName is the type as the stream sets it, repaired; empty where it sets none.
func (e *Event) TypeName() string { return sse.Text(e.Type) }
