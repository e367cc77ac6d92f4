package wire

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"ssegauge/reference/sse"
)

// fount is a connection on which the same event comes for ever.
type fount struct {
	net.Conn
	head, event string
}

func (f *fount) Read(p []byte) (int, error) {
	if f.head != "" {
		n := copy(p, f.head)
		f.head = f.head[n:]
		return n, nil
	}
	return copy(p, f.event), nil
}

func (f *fount) Write(p []byte) (int, error)     { return len(p), nil }
func (f *fount) Close() error                    { return nil }
func (f *fount) SetReadDeadline(time.Time) error { return nil }

func openFount(t testing.TB, record int) *Stream {
	d := &Dialer{Record: record, NetDial: func(context.Context, string, string) (net.Conn, error) {
		return &fount{head: sseHead, event: chunk("id: 1\nevent: tick\ndata: " + strings.Repeat("x", 80) + "\n\n")}, nil
	}}
	s, err := d.Open(context.Background(), get("http://es.test/"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// An event costs no allocation where nothing is recorded.
func TestNextAllocates(t *testing.T) {
	s := openFount(t, 0)
	defer s.Close()
	var ev sse.Event
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := s.Next(&ev); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations an event", n)
	}
}

func BenchmarkNext(b *testing.B) {
	for name, record := range map[string]int{"plain": 0, "recorded": 32 << 20} {
		b.Run(name, func(b *testing.B) {
			s := openFount(b, record)
			defer func() { s.Close() }()
			var ev sse.Event
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Next(&ev); err != nil {
					b.Fatal(err)
				}
				if record > 0 && s.Conn.record.Truncated() { // full: what follows would cost less
					s.Close()
					s = openFount(b, record)
				}
			}
		})
	}
}
