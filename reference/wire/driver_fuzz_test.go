package wire

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// canned is a connection on which given bytes come, in pieces, once something was written, and then FIN.
type canned struct {
	net.Conn
	data   []byte
	piece  int
	asked  chan struct{}
	once   sync.Once
	closed chan struct{}
	shut   sync.Once
}

func (c *canned) Write(p []byte) (int, error) {
	c.once.Do(func() { close(c.asked) })
	return len(p), nil
}

func (c *canned) Read(p []byte) (int, error) {
	select {
	case <-c.asked:
	case <-c.closed:
		return 0, net.ErrClosed
	}
	if len(c.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), c.piece)], c.data)
	c.data = c.data[n:]
	return n, nil
}

func (c *canned) Close() error                    { c.shut.Do(func() { close(c.closed) }); return nil }
func (c *canned) SetReadDeadline(time.Time) error { return nil }

// FuzzDriver: whatever comes, over HTTP/1.1 or HTTP/2, decoded or not, Open and Read come to an end, and the transcript says where each byte
// of the content stood.
func FuzzDriver(f *testing.F) {
	gz, last := zipped("gzip", "data: 1\n\n", "data: 2\n\n")
	zl, lastz := zipped("deflate", "data: 1\n\n", "data: 2\n\n")
	f.Add([]byte(sseHead+chunk("data: 1\n\n")+"0\r\nA: b\r\n\r\nx"), byte(0), uint16(7))
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"+gz[0]+gz[1]+last), byte(1), uint16(11))
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Encoding: gzip, deflate\r\n\r\n"+zl[0]+zl[1]+lastz), byte(1), uint16(1000))
	f.Add([]byte("\x00\x00\x00\x04\x00\x00\x00\x00\x00"+"\x00\x00\x01\x01\x04\x00\x00\x00\x01\x88"+"\x00\x00\x09\x00\x01\x00\x00\x00\x01data: x\n\n"), byte(2), uint16(5))
	f.Fuzz(func(t *testing.T, wire []byte, mode byte, piece uint16) {
		received := bytes.Clone(wire)
		d := &Dialer{
			Record: 64 << 20, Decode: mode&1 != 0, HeadTimeout: 20 * time.Second,
			NetDial: func(context.Context, string, string) (net.Conn, error) {
				return &canned{data: wire, piece: int(piece) + 1, asked: make(chan struct{}), closed: make(chan struct{})}, nil
			},
		}
		if mode&2 != 0 {
			d.Proto = H2C
		}
		s, err := d.Open(context.Background(), get("http://es.test/"))
		if err != nil {
			if strings.Contains(err.Error(), "no response head within") {
				t.Fatal(err)
			}
			return
		}
		defer s.Close()
		var got []byte
		buf := make([]byte, 1000)
		for len(got) < 1<<20 {
			n, err := s.Read(buf)
			if got = append(got, buf[:n]...); err != nil {
				if _, again := s.Read(buf); again == nil {
					t.Fatalf("reading on after %v", err)
				}
				break
			}
		}
		tr := s.Conn.Transcript()
		content := tr.Content(s.ID)
		if len(codings(s.Head.Header)) == 0 && !bytes.Equal(content, got) {
			t.Fatalf("read %q, transcript %q", got, content)
		}
		for i, b := range content {
			off, _, ok := tr.Wire(s.ID, int64(i))
			if !ok || off >= int64(len(received)) || received[off] != b {
				t.Fatalf("byte %d of the content is said to stand at %d (%v)", i, off, ok)
			}
		}
		for i := range got {
			if off, _, ok := s.Wire(int64(i)); !ok || off >= int64(len(received)) {
				t.Fatalf("byte %d as read is said to stand at %d (%v)", i, off, ok)
			}
		}
		for _, e := range tr.Entries() {
			if e.Offset < 0 || e.Offset > int64(len(received)) {
				t.Fatalf("an entry at %d", e.Offset)
			}
		}
	})
}
