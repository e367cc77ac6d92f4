package wire

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ssegauge/reference/sse"
)

// flushWriter is what the compressors have in common.
type flushWriter interface {
	io.WriteCloser
	Flush() error
}

// zipped gives content in a coding, each piece flushed as a server would.
func zipped(coding string, pieces ...string) (flushed []string, last string) {
	var b bytes.Buffer
	var z flushWriter
	open := func() {
		switch coding {
		case "deflate":
			z = zlib.NewWriter(&b)
		case "raw":
			z, _ = flate.NewWriter(&b, 6)
		default:
			z = gzip.NewWriter(&b)
		}
	}
	open()
	for _, p := range pieces {
		io.WriteString(z, p)
		if coding == "members" {
			z.Close()
			open()
		} else {
			z.Flush()
		}
		flushed = append(flushed, b.String())
		b.Reset()
	}
	if coding != "members" {
		z.Close()
	}
	return flushed, b.String()
}

// An event that the server flushed is delivered with no byte more than the flush, also where it arrives byte by byte.
func TestDecodeFlush(t *testing.T) {
	for coding, label := range map[string]string{"gzip": "gzip", "members": "x-gzip", "deflate": "Deflate", "raw": "deflate"} {
		for _, ones := range []bool{false, true} {
			t.Run(coding, func(t *testing.T) {
				inWorld(t, func(w *world) {
					w.d.Decode = true
					o := w.open(w.t.Context(), get("http://es.test/"))
					p := w.accept()
					p.request()
					p.send("HTTP/1.1 200 OK\r\nContent-Encoding: " + label + "\r\nTransfer-Encoding: chunked\r\n\r\n")
					s := o.stream()
					defer s.Close()
					flushed, last := zipped(coding, "data: 1\n\n", "data: 2\n\n", "data: 3\n\n")
					go func() {
						for _, f := range append(flushed, last) {
							time.Sleep(time.Second)
							if !ones && f != "" {
								p.send(chunk(f))
								continue
							}
							for _, b := range []byte(f) {
								p.send(chunk(string([]byte{b})))
							}
						}
						time.Sleep(time.Second)
						p.send("0\r\n\r\n")
					}()
					for i, data := range []string{"1", "2", "3"} {
						at := time.Duration(i+1) * time.Second
						var ev sse.Event
						got, err := s.Next(&ev)
						if err != nil || string(ev.Data) != data || got.Sub(w.start) != at {
							t.Fatalf("event %q after %v, %v; wanted %q after %v", ev.Data, got.Sub(w.start), err, data, at)
						}
						// Its bytes are found on the wire, where and when they came.
						off, arrived, ok := s.Wire(ev.End - 1)
						if !ok || arrived != at || off < s.Head.End || off >= s.Conn.Transcript().Received() {
							t.Errorf("event %d: wire offset %d after %v, %v", i, off, arrived, ok)
						}
					}
					w.end(s, io.EOF)
					if d := time.Since(w.start); d != 5*time.Second {
						t.Errorf("the end came after %v", d)
					}
					var codes []FaultCode
					for _, f := range s.Faults {
						codes = append(codes, f.Code)
					}
					if coding == "raw" != (len(codes) == 1 && codes[0] == FaultDeflateRaw) || coding != "raw" && len(codes) > 0 {
						t.Errorf("faults %v", s.Faults)
					}
				})
			})
		}
	}
}

// encoded opens a stream with that content and closes behind it.
func (w *world) encoded(coding, content string) *Stream {
	w.t.Helper()
	w.d.Decode = true
	o := w.open(w.t.Context(), get("http://es.test/"))
	p := w.accept()
	p.request()
	go func() {
		io.WriteString(p, "HTTP/1.1 200 OK\r\nContent-Encoding: "+coding+"\r\n\r\n"+content)
		p.Close()
	}()
	return o.stream()
}

func TestDecodeBroken(t *testing.T) {
	whole := func(coding string) string {
		f, last := zipped(coding, "data: 1\n\n", "data: 2\n\n")
		return strings.Join(f, "") + last
	}
	bad := []byte(whole("gzip"))
	bad[len(bad)-6] ^= 1 // in the checksum
	badz := []byte(whole("deflate"))
	badz[len(badz)-1] ^= 1
	twice := whole("gzip") + whole("gzip")
	for name, c := range map[string]struct {
		coding, content string
		want            string
		code            FaultCode
		fatal           bool
	}{
		"cut":              {"gzip", whole("gzip")[:20], "", FaultCodingCut, true},
		"cut late":         {"gzip", whole("gzip")[:len(whole("gzip"))-3], "data: 1\n\ndata: 2\n\n", FaultCodingCut, true},
		"cut zlib":         {"deflate", whole("deflate")[:len(whole("deflate"))-3], "data: 1\n\ndata: 2\n\n", FaultCodingCut, true},
		"not gzip":         {"gzip", "data: 1\n\ndata: 2\n\n", "", FaultCodingBroken, true},
		"checksum":         {"gzip", string(bad), "data: 1\n\ndata: 2\n\n", FaultCodingBroken, true},
		"checksum of zlib": {"deflate", string(badz), "data: 1\n\ndata: 2\n\n", FaultCodingBroken, true},
		"dictionary":       {"deflate", "\x78\x20", "", FaultCodingBroken, true},
		"after zlib":       {"deflate", whole("deflate") + "x", "data: 1\n\ndata: 2\n\n", FaultCodingTrailer, false},
		"after gzip":       {"gzip", whole("gzip") + "\n", "data: 1\n\ndata: 2\n\n", FaultCodingCut, true},
		"two members":      {"gzip", twice, "data: 1\n\ndata: 2\n\ndata: 1\n\ndata: 2\n\n", "", false},
		"nothing":          {"gzip", "", "", "", false},
		"identity":         {"identity", "data: 1\n\n", "data: 1\n\n", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				s := w.encoded(c.coding, c.content)
				defer s.Close()
				got, err := io.ReadAll(s)
				if name != "cut" && string(got) != c.want {
					t.Errorf("content %q", got)
				}
				var f *Fault
				if c.fatal != (errors.As(err, &f) && f.Code == c.code) || !c.fatal && err != nil {
					t.Errorf("error %v", err)
				}
				if c.code != "" && (len(s.Faults) != 1 || s.Faults[0].Code != c.code) || c.code == "" && len(s.Faults) > 0 {
					t.Errorf("faults %v", s.Faults)
				}
				if _, again := s.Read(make([]byte, 1)); again == nil || (again == io.EOF) == c.fatal {
					t.Errorf("reading on: %v", again)
				}
			})
		})
	}
}

func TestDecodeLayersAndRefusals(t *testing.T) {
	inWorld(t, func(w *world) {
		inner, last := zipped("gzip", "data: x\n\n")
		outer, last2 := zipped("deflate", inner[0]+last)
		s := w.encoded("gzip, deflate", outer[0]+last2)
		defer s.Close()
		w.event(s, "x", 0)
		if off, _, ok := s.Wire(0); !ok || off <= s.Head.End {
			t.Errorf("wire offset %d, %v", off, ok)
		}
		w.end(s, io.EOF)
	})
	for _, coding := range []string{"br", "gzip, zstd", "gzip, gzip, gzip, gzip"} {
		inWorld(t, func(w *world) {
			s := w.encoded(coding, "x")
			defer s.Close()
			var ce *CodingError
			if _, err := s.Read(make([]byte, 10)); !errors.As(err, &ce) {
				t.Errorf("%s: %v", coding, err)
			}
		})
	}
	// What names no coding leaves the content as it is.
	for _, coding := range []string{"none", "identity", "None, Identity", "utf-8"} {
		inWorld(t, func(w *world) {
			s := w.encoded(coding, "data: x\n\n")
			defer s.Close()
			w.event(s, "x", 0)
		})
	}
	// Without Decode content is left as it is.
	inWorld(t, func(w *world) {
		o := w.open(w.t.Context(), get("http://es.test/"))
		p := w.accept()
		p.request()
		go func() {
			io.WriteString(p, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nabc")
			p.Close()
		}()
		s := o.stream()
		defer s.Close()
		if got, err := io.ReadAll(s); string(got) != "abc" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	})
}

// A bomb is unpacked only as far as it is read, and the decoder's cap ends an endless event in it.
func TestDecodeBomb(t *testing.T) {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	io.WriteString(z, "data: ")
	zeros := make([]byte, 1<<20)
	for range 48 {
		z.Write(zeros)
	}
	z.Close()
	inWorld(t, func(w *world) {
		w.d.MaxEvent = 1 << 20
		w.d.Record = 4 << 20
		s := w.encoded("gzip", b.String())
		defer s.Close()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var ev sse.Event
		_, err := s.Next(&ev)
		runtime.ReadMemStats(&after)
		var long *sse.TooLongError
		if !errors.As(err, &long) {
			t.Errorf("error %v", err)
		}
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 16<<20 {
			t.Errorf("%d bytes were allocated", grown)
		}
	})
}

// A decoder that waits in the middle of a member when the stream is closed leaves no coroutine behind (TestMain looks).
func TestDecodeClose(t *testing.T) {
	inWorld(t, func(w *world) {
		s, send := w.stream("gzip")
		go send("data: 1\n\ndata: 2")
		w.event(s, "1", 0)
		synctest.Wait()
		s.Close()
	})
}

// TestDecodeInterrupted: what is at hand can decode for hours; the deadline and Close hold all the same.
func TestDecodeInterrupted(t *testing.T) {
	inWorld(t, func(w *world) {
		w.d.Decode = true
		o := w.open(w.t.Context(), get("http://es.test/"))
		p := w.accept()
		p.request()
		bomb, _ := zipped("gzip", strings.Repeat("\x00", 1<<20))
		p.send("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n")
		go p.send(bomb[0])
		s := o.stream()
		buf := make([]byte, decodeBuffer)
		if n, err := s.Read(buf); n == 0 || err != nil {
			t.Fatalf("nothing was decoded: %v", err)
		}
		s.SetReadDeadline(time.Now())
		if _, err := io.ReadFull(s, make([]byte, 2*decodeBuffer)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("past its deadline: %v", err)
		}
		s.SetReadDeadline(time.Time{})
		if _, err := s.Read(buf); err != nil {
			t.Errorf("after the deadline was lifted: %v", err)
		}
		s.Close()
		if _, err := io.ReadFull(s, make([]byte, 2*decodeBuffer)); !errors.Is(err, os.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}
