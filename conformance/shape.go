package conformance

import (
	"encoding/json"
	"slices"
	"strings"

	"ssegauge/reference/sse"
	"ssegauge/reference/wire"
)

// shape is what a target makes of a payload on its way into data: learnt from plain events, so that what it adds of itself is
// not held against it.
type shape struct {
	kind           shapeKind
	prefix, suffix string
}

type shapeKind uint8

const (
	opaque shapeKind = iota // something else each time
	bare                    // the payload itself
	object                  // a string within JSON
	affix                   // the payload, perhaps escaped, between a constant prefix and suffix
)

func shapeOf(data []byte, nonce string) shape {
	text := sse.Text(data)
	if text == nonce {
		return shape{kind: bare}
	}
	for _, s := range jsonStrings(text, nonce) {
		if s == nonce {
			return shape{kind: object}
		}
	}
	if before, after, ok := strings.Cut(text, nonce); ok && !strings.Contains(after, nonce) {
		return shape{affix, before, after}
	}
	return shape{}
}

// Payloads returns what the event says the payload was, with what the target wraps around payloads taken away. certain is false where the
// wrapping could not be undone, so that a difference proves nothing.
func (d *Delivery) Payloads(e *Event) (texts []string, certain bool) {
	text := sse.Text(e.Data)
	switch d.shape.kind {
	case bare:
		return []string{text}, true
	case object:
		if texts := jsonStrings(text, d.Nonce); len(texts) > 0 {
			return texts, true
		}
		return []string{text}, true // it is JSON no more
	case affix:
		inner, ok := strings.CutPrefix(text, d.shape.prefix)
		if ok {
			inner, ok = strings.CutSuffix(inner, d.shape.suffix)
		}
		if ok {
			// What has a frame of its own may have an escaping of its own: JSON within JSON, markup, a quoted string.
			return []string{inner}, !strings.ContainsAny(inner, `\&%<`)
		}
	}
	return []string{text}, false
}

// Empty tells whether the event is what the target makes of an empty payload. certain is false where its wrapping is not known.
func (d *Delivery) Empty(e *Event) (empty, certain bool) {
	switch text := sse.Text(e.Data); d.shape.kind {
	case bare:
		return text == "", true
	case object:
		return slices.Contains(jsonStrings(text, ""), ""), true
	case affix:
		return text == d.shape.prefix+d.shape.suffix, true
	}
	return false, false
}

// jsonStrings returns the strings within a JSON text that hold word.
func jsonStrings(text, word string) []string {
	var v any
	if json.Unmarshal([]byte(text), &v) != nil {
		return nil
	}
	var found []string
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case string:
			if strings.Contains(v, word) {
				found = append(found, v)
			}
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for _, e := range v {
				walk(e)
			}
		}
	}
	walk(v)
	return found
}

// WithLastEventID returns h with Last-Event-ID set to id, which is raw as on the wire, or without it where id is empty: as EventSource
// sends it, which has decoded the stream as UTF-8 before.
func WithLastEventID(h wire.Header, id []byte) wire.Header {
	var out wire.Header
	for _, f := range h {
		if !strings.EqualFold(f.Name, "Last-Event-ID") {
			out = append(out, f)
		}
	}
	if len(id) > 0 {
		out = append(out, wire.Field{Name: "Last-Event-ID", Value: sse.Text(id)})
	}
	return out
}
