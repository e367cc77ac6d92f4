package wire

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"ssegauge/reference/sse"
)

// benchFrames is a connection with n open streams and 4 MB of DATA frames of that size for them, in turns.
func benchFrames(tb testing.TB, n, size int) (f *Frames, in []byte) {
	f = NewFrames(FramesOptions{})
	s := newScript()
	s.settings()
	for i := range n {
		if _, err := f.Open(&Request{URL: parseURL("http://h/events")}); err != nil {
			tb.Fatal(err)
		}
		s.headers(uint32(2*i+1), false, ":status", "200")
	}
	var it Item
	for rest := s.buf.Bytes(); ; {
		k, err := f.Next(rest, &it)
		if err != nil {
			tb.Fatal(err)
		}
		if rest = rest[k:]; it.Kind == None {
			break
		}
	}
	f.Wrote(len(f.Out()))
	s.buf.Reset()
	event := "id: 12345\nevent: tick\ndata: " + strings.Repeat("x", max(0, size-30)) + "\n\n"
	for i := 0; s.buf.Len() < 4<<20; i++ {
		s.data(uint32(2*(i%n)+1), false, event)
	}
	return f, s.buf.Bytes()
}

// readFrames feeds in by reads of 64 KiB, as an engine does.
func readFrames(f *Frames, in []byte, it *Item, body func(*Item)) error {
	for len(in) > 0 {
		chunk := in[:min(len(in), 64<<10)]
		in = in[len(chunk):]
		for {
			n, err := f.Next(chunk, it)
			if err != nil {
				return err
			}
			if it.Kind == None {
				break
			}
			chunk = chunk[n:]
			body(it)
		}
		f.Wrote(len(f.Out()))
	}
	return nil
}

func TestFramesAllocs(t *testing.T) {
	for _, size := range []int{40, 130, 5000} {
		f, in := benchFrames(t, 100, size)
		total, item := 0, Item{}
		if n := testing.AllocsPerRun(3, func() {
			if err := readFrames(f, in, &item, func(it *Item) { total += len(it.Data) }); err != nil {
				t.Fatal(err)
			}
		}); n > 0 {
			t.Errorf("DATA of %d bytes: %v allocations", size, n)
		}
		if total < len(in) {
			t.Errorf("%d bytes of content in four runs over %d", total, len(in))
		}
	}
}

// BenchmarkFrames reads DATA, alone and with the events in it, side by side with x/net's Framer on the same bytes, which holds no streams and
// no windows. The ratio, taken within one run, is what counts.
func BenchmarkFrames(b *testing.B) {
	for _, size := range []int{130, 1000, 16000} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			f, in := benchFrames(b, 100, size)
			decoders := make([]sse.Decoder, 100)
			r := bytes.NewReader(nil)
			peer := http2.NewFramer(nil, r)
			peer.SetReuseFrames()
			var item Item
			var ev sse.Event
			var frames, framesSSE, framer time.Duration
			content, events := 0, 0
			for b.Loop() {
				t0 := time.Now()
				err := readFrames(f, in, &item, func(it *Item) { content += len(it.Data) })
				t1 := time.Now()
				if err == nil {
					err = readFrames(f, in, &item, func(it *Item) {
						d := &decoders[it.Stream/2]
						for chunk := it.Data; len(chunk) > 0; {
							n, ok, err := d.Next(chunk, &ev)
							if err != nil {
								b.Fatal(err)
							}
							if chunk = chunk[n:]; ok {
								events++
							}
						}
					})
				}
				if err != nil {
					b.Fatal(err)
				}
				t2 := time.Now()
				for r.Reset(in); ; {
					frame, err := peer.ReadFrame()
					if err == io.EOF {
						break
					}
					content += len(frame.(*http2.DataFrame).Data())
				}
				frames, framesSSE, framer = frames+t1.Sub(t0), framesSSE+t2.Sub(t1), framer+time.Since(t2)
			}
			total := float64(b.N) * float64(len(in))
			b.ReportMetric(total/float64(frames), "GB/s")
			b.ReportMetric(total/float64(framesSSE), "GB/s+sse")
			b.ReportMetric(float64(events)/framesSSE.Seconds()/1e6, "Mevents/s")
			b.ReportMetric(float64(framer)/float64(frames), "x_Framer")
		})
	}
}

// BenchmarkFramesOpen opens a stream and reads its head: what a stream costs before its first event.
func BenchmarkFramesOpen(b *testing.B) {
	r := &Request{URL: parseURL("http://127.0.0.1:8080/events?channel=c"), Header: Header{
		{"Accept", "text/event-stream"}, {"Cache-Control", "no-cache"}, {"User-Agent", "ssegauge"},
	}}
	head := block(":status", "200", "content-type", "text/event-stream", "cache-control", "no-store", "date", "Sun, 22 Nov 2026 07:00:00 GMT")
	s := newScript()
	s.settings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1000})
	settings := bytes.Clone(s.buf.Bytes())
	var f *Frames
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		var it Item
		if n--; n < 0 {
			f, n = NewFrames(FramesOptions{}), 100
			f.Next(settings, &it)
		}
		id, err := f.Open(r)
		if err != nil {
			b.Fatal(err)
		}
		f.Wrote(len(f.Out()))
		s.buf.Reset()
		s.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: head, EndHeaders: true})
		if f.Next(s.buf.Bytes(), &it); it.Kind != Final {
			b.Fatal(it.Kind)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "streams/s")
}
