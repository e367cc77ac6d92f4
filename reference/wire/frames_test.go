package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// script writes what a peer says, by x/net's Framer, which knows nothing of Frames.
type script struct {
	*http2.Framer
	buf bytes.Buffer
}

func newScript() *script {
	s := &script{}
	s.Framer = http2.NewFramer(&s.buf, nil)
	s.AllowIllegalWrites = true
	return s
}

// block encodes name and value pairs.
func block(kv ...string) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	e.SetMaxDynamicTableSize(0)
	for i := 0; i < len(kv); i += 2 {
		e.WriteField(hpack.HeaderField{Name: kv[i], Value: kv[i+1]})
	}
	return bytes.TrimPrefix(b.Bytes(), []byte{0x20})
}

func (s *script) settings(v ...http2.Setting) { s.WriteSettings(v...) }

func (s *script) headers(id uint32, end bool, kv ...string) {
	s.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block(kv...), EndHeaders: true, EndStream: end})
}

func (s *script) data(id uint32, end bool, d string) { s.WriteData(id, end, []byte(d)) }

func (s *script) raw(b ...byte) { s.buf.Write(b) }

// record is what Frames made of bytes: a line for each item, adjacent content joined.
type record struct {
	lines []string
	at    map[uint32]int64 // where the next content byte of a stream stands if it is contiguous
}

func (r *record) add(it *Item) {
	line := ""
	switch it.Kind {
	case Interim, Final:
		line = fmt.Sprintf("head %d %d%s", it.Stream, it.Head.Status, fieldsText(it.Head.Header))
	case Body:
		prefix := fmt.Sprintf("body %d ", it.Stream)
		if n := len(r.lines); n > 0 && strings.HasPrefix(r.lines[n-1], prefix) && r.at[it.Stream] == it.Offset {
			r.lines[n-1] += string(it.Data)
		} else {
			r.lines = append(r.lines, prefix+string(it.Data))
		}
		if r.at == nil {
			r.at = map[uint32]int64{}
		}
		r.at[it.Stream] = it.Offset + int64(len(it.Data))
		return
	case Trailer:
		line = fmt.Sprintf("trailer %d%s", it.Stream, fieldsText(it.Trailer))
	case End:
		line = fmt.Sprintf("end %d", it.Stream)
	case Broken:
		line = fmt.Sprintf("broken %d %s", it.Stream, it.Fault.Code)
	case Settings:
		line = "settings"
	case SettingsAck:
		line = "settings ack"
	case Reset:
		line = fmt.Sprintf("reset %d %v", it.Stream, ErrCode(it.Code))
	case GoAway:
		line = strings.TrimSpace(fmt.Sprintf("goaway %d %v %s", it.Stream, ErrCode(it.Code), it.Data))
	case Ping:
		line = fmt.Sprintf("ping %s", it.Data)
	case PingAck:
		line = fmt.Sprintf("ping ack %s", it.Data)
	case WindowUpdate:
		line = fmt.Sprintf("window %d", it.Stream)
	}
	r.lines = append(r.lines, line)
}

func fieldsText(h Header) string {
	var b strings.Builder
	for _, f := range h {
		fmt.Fprintf(&b, " %s=%s", f.Name, f.Value)
	}
	return b.String()
}

// feed gives all of in to f, and tells the error that stopped it.
func (r *record) feed(t *testing.T, f *Frames, in []byte) error {
	t.Helper()
	for idle := 0; ; {
		var it Item
		before := f.Offset()
		n, err := f.Next(in, &it)
		if n < 0 || n > len(in) || f.Offset()-before != int64(n) {
			t.Fatalf("consumed %d of %d, offset %d to %d", n, len(in), before, f.Offset())
		}
		if it.Kind != None {
			r.add(&it)
		}
		if err != nil {
			return err
		}
		in = in[n:]
		if idle++; n > 0 {
			idle = 0
		} else if idle > 1000 {
			t.Fatal("a thousand items, and nothing is consumed") // rather than that memory runs out
		}
		if it.Kind == None {
			if len(in) > 0 {
				t.Fatalf("None with %d bytes left", len(in))
			}
			return nil
		}
	}
}

func (r *record) eof(f *Frames) error {
	for range 1000 {
		var it Item
		err := f.EOF(&it)
		if it.Kind != None {
			r.add(&it)
		}
		if err != nil {
			return err
		}
		if it.Kind == None {
			return nil
		}
	}
	return errors.New("EOF does not end")
}

// wrote lists the frames in b as a peer's Framer reads them.
func wrote(t *testing.T, b []byte) (lines []string) {
	t.Helper()
	b = bytes.TrimPrefix(b, []byte(clientPreface))
	fr := http2.NewFramer(nil, bytes.NewReader(b))
	fr.SetMaxReadFrameSize(1<<24 - 1)
	for {
		frame, err := fr.ReadFrame()
		if err == io.EOF {
			return lines
		}
		if err != nil {
			t.Fatalf("our own frames: %v", err)
		}
		lines = append(lines, frameText(frame))
	}
}

// frameText says what a frame holds.
func frameText(frame http2.Frame) string {
	switch g := frame.(type) {
	case *http2.SettingsFrame:
		if g.IsAck() {
			return "SETTINGS ack"
		}
	case *http2.PingFrame:
		return fmt.Sprintf("PING %v %s", g.IsAck(), g.Data)
	case *http2.WindowUpdateFrame:
		return fmt.Sprintf("WINDOW_UPDATE %d %d", g.StreamID, g.Increment)
	case *http2.RSTStreamFrame:
		return fmt.Sprintf("RST_STREAM %d %v", g.StreamID, ErrCode(g.ErrCode))
	case *http2.GoAwayFrame:
		return fmt.Sprintf("GOAWAY %d %v", g.LastStreamID, ErrCode(g.ErrCode))
	case *http2.HeadersFrame:
		return fmt.Sprintf("HEADERS %d %v %v", g.StreamID, g.StreamEnded(), g.HeadersEnded())
	case *http2.ContinuationFrame:
		return fmt.Sprintf("CONTINUATION %d %v", g.StreamID, g.HeadersEnded())
	case *http2.DataFrame:
		return fmt.Sprintf("DATA %d %v %d", g.StreamID, g.StreamEnded(), len(g.Data()))
	}
	return frame.Header().Type.String()
}

// started returns Frames with n open GETs and an empty Out.
func started(t *testing.T, o FramesOptions, n int) *Frames {
	t.Helper()
	f := NewFrames(o)
	for range n {
		if _, err := f.Open(&Request{URL: parseURL("http://h/")}); err != nil {
			t.Fatal(err)
		}
	}
	f.Wrote(len(f.Out()))
	return f
}

type frameVector struct {
	name    string
	opt     FramesOptions
	streams int // GETs opened before
	peer    func(s *script)
	want    string // lines of record, then "err CODE"; EOF's lines after "eof"
	out     string // what was written
}

func replay(t *testing.T, v *frameVector, in []byte, cuts func(i int) bool) (string, string) {
	t.Helper()
	f := started(t, v.opt, v.streams)
	var r record
	var err error
	start := 0
	for i := 1; i <= len(in) && err == nil; i++ {
		if i == len(in) || cuts(i) {
			err = r.feed(t, f, slices.Clone(in[start:i])) // a fresh slice: nothing may hold on to the last
			start = i
		}
	}
	if err == nil {
		r.lines = append(r.lines, "eof")
		err = r.eof(f)
	}
	switch e := err.(type) {
	case nil:
	case *Fault:
		r.lines = append(r.lines, "err "+string(e.Code))
	case *CapError:
		r.lines = append(r.lines, "err cap "+e.What)
	default:
		t.Fatalf("unexpected error %v", err)
	}
	if r.lines[len(r.lines)-1] == "eof" {
		r.lines = r.lines[:len(r.lines)-1]
	}
	return strings.Join(r.lines, "\n"), strings.Join(wrote(t, f.Out()), "\n")
}

func trimLines(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, "\n")
}

func TestFramesVectors(t *testing.T) {
	seen := map[FaultCode]bool{}
	for _, v := range frameVectors {
		t.Run(v.name, func(t *testing.T) {
			s := newScript()
			v.peer(s)
			in := s.buf.Bytes()
			want, wantOut := trimLines(v.want), trimLines(v.out)
			for line := range strings.SplitSeq(want, "\n") {
				if code, ok := strings.CutPrefix(line, "broken "); ok {
					_, code, _ = strings.Cut(code, " ")
					seen[FaultCode(code)] = true
				}
			}
			check := func(how string, cuts func(int) bool) {
				t.Helper()
				got, out := replay(t, &v, in, cuts)
				if got != want {
					t.Fatalf("%s:\n%s\nwant:\n%s", how, got, want)
				}
				if out != wantOut {
					t.Fatalf("%s wrote:\n%s\nwant:\n%s", how, out, wantOut)
				}
			}
			check("whole", func(int) bool { return false })
			if len(in) > 4096 {
				check("in 97s", func(i int) bool { return i%97 == 0 })
				return
			}
			check("byte by byte", func(int) bool { return true })
			for cut := 1; cut < len(in); cut++ {
				check(fmt.Sprintf("cut at %d", cut), func(i int) bool { return i == cut })
			}
		})
	}
	for i := range FrameFaults {
		if !seen[FrameFaults[i].Code] {
			t.Errorf("no vector shows %s", FrameFaults[i].Code)
		}
	}
}
