package wire

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

var kindNames = [...]string{
	"none", "interim", "final", "body", "trailer", "end", "broken", "settings", "settings-ack", "reset", "goaway", "ping", "ping-ack", "window-update",
}

// show writes a transcript down.
func show(t *Transcript) string {
	var b strings.Builder
	for _, c := range t.Chunks() {
		dir := "<"
		if c.Sent {
			dir = ">"
		}
		fmt.Fprintf(&b, "%v %s @%d %q\n", c.At, dir, c.Offset, c.Data)
	}
	for _, e := range t.Entries() {
		fmt.Fprintf(&b, "%v %s %d @%d+%d", e.At, kindNames[e.Kind], e.Stream, e.Offset, e.Length)
		switch e.Kind {
		case Final, Interim:
			fmt.Fprintf(&b, " %d", e.Head.Status)
		case Body:
			fmt.Fprintf(&b, " content @%d %q", e.Content, e.Data)
		case Trailer:
			fmt.Fprintf(&b, " %v", e.Trailer)
		case Broken:
			fmt.Fprintf(&b, " %s", e.Fault.Code)
		}
		b.WriteByte('\n')
	}
	how, at := t.Closed()
	fmt.Fprintf(&b, "closed %q %v\n", how, at)
	return b.String()
}

// A transcript can be read while the stream goes on, and holds it all.
func TestTranscript(t *testing.T) {
	inWorld(t, func(w *world) {
		o := w.open(w.t.Context(), get("http://es.test/"))
		p := w.accept()
		time.Sleep(ms)
		p.request()
		time.Sleep(ms)
		p.send("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\r\n\r\n2\r\nda")
		s := o.stream()
		defer s.Close()
		tr := s.Conn.Transcript()
		if !strings.Contains(show(tr), `2ms < @0 "HTTP/1.1 200 OK`) {
			t.Error(show(tr))
		}
		go func() {
			time.Sleep(ms)
			p.send("\r\n7\r\nta: x\n\n\r\n2\r\nda\r\n")
			time.Sleep(ms)
			p.send("0\r\nA: b\r\n\r\n!")
			time.Sleep(ms)
			p.Close()
		}()
		w.event(s, "x", 3*ms)
		w.end(s, io.EOF)
		s.Listen(time.Now().Add(time.Second))
		want := `1ms > @0 "GET / HTTP/1.1\r\nHost: es.test\r\n\r\n"
2ms < @0 "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\r\n\r\n2\r\nda"
3ms < @51 "\r\n7\r\nta: x\n\n\r\n2\r\nda\r\n"
4ms < @72 "0\r\nA: b\r\n\r\n!"
2ms broken 0 @15+1 h1/bare-lf
2ms final 0 @0+46 200
2ms body 0 @49+2 content @0 "da"
3ms body 0 @56+7 content @2 "ta: x\n\n"
3ms body 0 @68+2 content @9 "da"
4ms trailer 0 @75+0 [{A b}]
4ms end 0 @83+0
4ms broken 0 @83+1 h1/after-end
closed "FIN" 5ms
`
		if diff := cmp.Diff(want, show(tr)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		for content, want := range map[int64]int64{0: 49, 1: 50, 2: 56, 8: 62, 9: 68, 10: 69} {
			if off, at, ok := tr.Wire(0, content); off != want || !ok || at != map[bool]time.Duration{true: 2 * ms, false: 3 * ms}[want < 52] {
				t.Errorf("content %d stands at %d (%v, %v), wanted %d", content, off, at, ok, want)
			}
		}
		for _, content := range []int64{-1, 11, 1 << 40} {
			if _, _, ok := tr.Wire(0, content); ok {
				t.Errorf("content %d is on the wire", content)
			}
		}
		if got := string(tr.Content(0)); got != "data: x\n\nda" {
			t.Errorf("content %q", got)
		}
		if len(tr.Faults()) != 2 || tr.Received() != 84 || tr.Truncated() {
			t.Errorf("faults %v, %d bytes, truncated %v", tr.Faults(), tr.Received(), tr.Truncated())
		}
	})
}

func TestTranscriptH2(t *testing.T) {
	inWorld(t, func(w *world) {
		w.d.Proto = H2C
		o := w.open(w.t.Context(), get("http://es.test/"))
		p := w.acceptH2()
		synctest.Wait()
		time.Sleep(ms)
		p.answer(1, 200)
		s := o.stream()
		time.Sleep(ms)
		p.WriteData(1, false, []byte("data: x\n\n"))
		w.event(s, "x", 2*ms)
		time.Sleep(ms)
		p.WriteGoAway(1, 0, []byte("bye"))
		time.Sleep(ms)
		p.WriteData(1, true, nil)
		w.end(s, io.EOF)
		text := show(s.Conn.Transcript())
		_, entries, _ := strings.Cut(text, "0s settings")
		want := ` 0 @0+0
1ms final 1 @9+10 200
2ms body 1 @28+9 content @0 "data: x\n\n"
3ms goaway 1 @37+3
4ms end 1 @57+0
closed "" 0s
`
		if diff := cmp.Diff(want, entries); diff != "" {
			t.Errorf("(-want +got):\n%s\n%s", diff, text)
		}
		s.Close()
	})
}

// The record is bounded, its bookkeeping included; judging goes on.
func TestTranscriptTruncated(t *testing.T) {
	inWorld(t, func(w *world) {
		w.d.Record = 10 << 10
		o := w.open(w.t.Context(), get("http://es.test/"))
		p := w.accept()
		p.request()
		p.send(sseHead)
		s := o.stream()
		defer s.Close()
		go func() {
			for range 1000 {
				p.send("a\nid: 1\nx: y\r\n")
			}
			p.send("0\r\n\r\nx")
		}()
		n, err := io.Copy(io.Discard, s)
		if n != 10000 || err != nil {
			t.Fatal(n, err)
		}
		tr := s.Conn.Transcript()
		if !tr.Truncated() || tr.Received() != int64(len(sseHead))+14006 {
			t.Errorf("truncated %v, %d bytes received", tr.Truncated(), tr.Received())
		}
		kept := 0
		for _, c := range tr.Chunks() {
			kept += len(c.Data) + chunkCost
		}
		kept += len(tr.Entries()) * entryCost
		if kept > 11<<10 || kept < 9<<10 {
			t.Errorf("%d bytes are kept", kept)
		}
		faults := tr.Faults()
		if len(faults) != 2 || faults[0].Code != FaultBareLF || faults[1].Code != FaultAfterEnd {
			t.Errorf("faults %v", faults)
		}
		if _, _, ok := s.Wire(9999); ok {
			t.Error("the wire offset of what was not kept")
		}
	})
}

// stamped is a connection that tells itself when its bytes came: kernel stamps, or a recording.
type stamped struct {
	net.Conn
	at time.Time
}

func (s *stamped) ReadStamped(p []byte) (int, time.Time, error) {
	n, err := s.Read(p)
	s.at = s.at.Add(time.Second)
	return n, s.at, err
}

func TestStamper(t *testing.T) {
	inWorld(t, func(w *world) {
		w.d.NetDial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := w.dial(ctx, network, addr)
			return &stamped{c, w.start}, err
		}
		o := w.open(w.t.Context(), get("http://es.test/"))
		p := w.accept()
		p.request()
		p.send(sseHead)
		s := o.stream()
		defer s.Close()
		go p.send(chunk("data: x\n\n"))
		w.event(s, "x", 2*time.Second)
		if s.Timing.FirstByte != time.Second || s.Timing.FirstEvent != 2*time.Second {
			t.Errorf("%+v", s.Timing)
		}
		if _, at, ok := s.Wire(0); at != 2*time.Second || !ok {
			t.Errorf("%v, %v", at, ok)
		}
	})
}

func TestRecordBytes(t *testing.T) {
	start := time.Now()
	tr := newTranscript(start, 1<<20)
	p := []byte("abc")
	tr.chunk(start, false, p)
	p[0] = 'x' // the caller's buffer is the caller's
	if got := tr.Chunks()[0].Data; string(got) != "abc" {
		t.Errorf("%q", got)
	}
	tr.chunk(start, false, bytes.Repeat([]byte("y"), 3*recordBlock))
	tr.chunk(start, false, []byte("def"))
	it := Item{Kind: Body, Offset: 3 + 3*recordBlock, Data: []byte("def")}
	tr.item(start, 5, &it, 3, 0)
	if got := tr.Content(5); string(got) != "def" {
		t.Errorf("%q", got)
	}
	if off, _, ok := tr.Wire(5, 2); off != 3*recordBlock+5 || !ok {
		t.Errorf("%d, %v", off, ok)
	}
}
