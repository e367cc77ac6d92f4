package sse

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
)

// vector is one file of testdata; its README tells the format.
type vector struct {
	name     string
	stream   string
	eols     bool // the same must hold with CRLF and with CR for each LF
	seed     string
	max      int
	events   []vectorEvent
	lines    string // "" if the vector says nothing of lines
	id       string
	retry    time.Duration
	hasRetry bool
	pending  int64 // -1: none
	loses    bool
	tooLong  int64 // -1: none
}

type vectorEvent struct {
	Type string `json:"type"`
	Data string `json:"data"`
	ID   string `json:"id"`
}

func loadVectors(t testing.TB) []vector {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no vectors", err)
	}
	var out []vector
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		v, err := parseVector(b)
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		v.name = strings.TrimSuffix(filepath.Base(f), ".txtar")
		out = append(out, v)
	}
	return out
}

func parseVector(b []byte) (v vector, err error) {
	v = vector{max: DefaultMaxEvent, pending: -1, tooLong: -1}
	a := txtar.Parse(b)
	if strings.TrimSpace(string(a.Comment)) == "" {
		return v, fmt.Errorf("says nothing about what it proves")
	}
	seen := map[string]bool{}
	for _, f := range a.Files {
		seen[f.Name] = true
		body := string(f.Data)
		switch f.Name {
		case "stream":
			v.stream, err = unescape(body)
		case "events":
			for line := range strings.Lines(body) {
				e := vectorEvent{Type: "message"}
				d := json.NewDecoder(strings.NewReader(line))
				d.DisallowUnknownFields()
				if err := d.Decode(&e); err != nil {
					return v, fmt.Errorf("events: %q: %w", line, err)
				}
				v.events = append(v.events, e)
				v.id = e.ID
			}
		case "lines":
			v.lines = body
		case "given":
			err = settings(body, map[string]func(string) error{
				"eol":  func(s string) error { v.eols = s == "any"; return nil },
				"seed": func(s string) (err error) { v.seed, err = strconv.Unquote(s); v.id = v.seed; return err },
				"max":  func(s string) (err error) { v.max, err = strconv.Atoi(s); return err },
			})
		case "state":
			err = settings(body, map[string]func(string) error{
				"id":      func(s string) (err error) { v.id, err = strconv.Unquote(s); return err },
				"retry":   func(s string) (err error) { v.retry, err = time.ParseDuration(s); v.hasRetry = true; return err },
				"pending": func(s string) (err error) { v.pending, err = strconv.ParseInt(s, 10, 64); return err },
				"loses":   func(s string) (err error) { v.loses, err = strconv.ParseBool(s); return err },
				"toolong": func(s string) (err error) {
					v.tooLong, err = strconv.ParseInt(s, 10, 64)
					v.pending = v.tooLong
					return err
				},
			})
		default:
			err = fmt.Errorf("unknown section %q", f.Name)
		}
		if err != nil {
			return v, fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	if !seen["stream"] || !seen["events"] {
		return v, fmt.Errorf("needs the sections stream and events")
	}
	return v, nil
}

func settings(body string, set map[string]func(string) error) error {
	for line := range strings.Lines(body) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		f := set[key]
		if f == nil {
			return fmt.Errorf("unknown key %q", key)
		}
		if err := f(value); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return nil
}

// unescape reads a stream section: Go's escapes, and *N at the beginning of a line repeats the rest of it.
func unescape(body string) (string, error) {
	var out strings.Builder
	for line := range strings.Lines(body) {
		line = strings.TrimSuffix(line, "\n")
		times := 1
		if rest, ok := strings.CutPrefix(line, "*"); ok {
			n, text, ok := strings.Cut(rest, " ")
			var err error
			if times, err = strconv.Atoi(n); err != nil || !ok {
				return "", fmt.Errorf("%q: want *N text", line)
			}
			line = text
		}
		var b []byte
		for line != "" {
			r, multibyte, rest, err := strconv.UnquoteChar(line, 0)
			if err != nil {
				return "", fmt.Errorf("%q: %w", line, err)
			}
			if multibyte || r < 0x80 {
				b = append(b, string(r)...)
			} else {
				b = append(b, byte(r)) // \xNN
			}
			line = rest
		}
		for range times {
			out.Write(b)
		}
	}
	return out.String(), nil
}

func TestVectors(t *testing.T) {
	for _, v := range loadVectors(t) {
		t.Run(v.name, func(t *testing.T) {
			v.replay(t, v.stream)
			if v.eols {
				v.lines, v.pending, v.tooLong = "", min(v.pending, 0), min(v.tooLong, 0) // offsets differ
				v.replay(t, strings.ReplaceAll(v.stream, "\n", "\r\n"))
				v.replay(t, strings.ReplaceAll(v.stream, "\n", "\r"))
			}
		})
	}
}

// replay feeds stream in every way, through Next and through Inspect.
func (v *vector) replay(t *testing.T, stream string) {
	var want got
	want.ID, want.Retry, want.Pending, want.TooLong = v.id, v.retry, v.pending, v.tooLong
	ways(stream, func(way string, chunks [][]byte) {
		for _, inspect := range []bool{false, true} {
			g, lines := read(t, chunks, v.seed, v.max, inspect)
			if len(g.Events) != len(v.events) {
				t.Fatalf("%s: %q: %d events, want %d:\n%v", way, stream, len(g.Events), len(v.events), g)
			}
			for i, e := range g.Events {
				ev := Event{Type: []byte(e.Type)}
				if have := (vectorEvent{ev.Name(), Text([]byte(e.Data)), Text([]byte(e.ID))}); have != v.events[i] {
					t.Fatalf("%s: event %d is %q, want %q", way, i, have, v.events[i])
				}
			}
			g.Events = nil
			if v.eols { // offsets differ
				want.Pending, g.Pending = min(want.Pending, 0), min(g.Pending, 0)
				want.TooLong, g.TooLong = min(want.TooLong, 0), min(g.TooLong, 0)
			}
			if g.String() != want.String() {
				t.Fatalf("%s: ends with %v, want %v", way, g, &want)
			}
			if inspect && v.lines != "" {
				var s strings.Builder
				for _, l := range lines {
					fmt.Fprintln(&s, l)
				}
				if s.String() != v.lines {
					t.Fatalf("%s: lines:\n%swant:\n%s", way, s.String(), v.lines)
				}
			}
			if v.tooLong < 0 {
				v.checkEnd(t, way, chunks, inspect)
			}
		}
		agree(t, stream, v.seed, v.max, chunks)
	})
}

// checkEnd holds Retry and Tail to the vector.
func (v *vector) checkEnd(t *testing.T, way string, chunks [][]byte, inspect bool) {
	t.Helper()
	var d Decoder
	var ev Event
	for _, c := range chunks {
		for ok := true; ok; {
			var n int
			if inspect {
				n, ok, _ = d.Inspect(c, &ev, func(*Line) {})
			} else {
				n, ok, _ = d.Next(c, &ev)
			}
			c = c[n:]
		}
	}
	if _, ok := d.Retry(); ok != v.hasRetry {
		t.Fatalf("%s: retry set %v, want %v", way, ok, v.hasRetry)
	}
	tail, ok := d.Tail()
	if ok != (v.pending >= 0) || tail.Loses() != v.loses {
		t.Fatalf("%s: at the end: %v, loses %v; want %v, %v; %+v", way, ok, tail.Loses(), v.pending >= 0, v.loses, tail)
	}
}
