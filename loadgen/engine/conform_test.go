package engine_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"ssegauge/loadgen/engine"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// What streams break is found by the way, whatever carries it and however it is cut, and good streams show nothing.
func TestFindings(t *testing.T) {
	for _, c := range []struct {
		name, stream string
		want         string // id and verdict
		bytewise     bool   // also where it comes byte by byte
	}{
		{"good", ": hello\n\nretry: 100\nid: 1\nevent: e\ndata: caf\u00e9\ndata\n\nid\ndata: 2\n\n", "", true},
		{"good with CRLF", "\uFEFF: hello\r\n\r\nretry: 100\r\nid: 1\r\ndata: 1\r\n\r\n", "", true},
		{"no UTF-8", "data: caf\xe9\n\n", "encoding/utf8 fail", true},
		{"a misspelled name", "Data: x\n\ndata: y\n\n", "framing/field-names fail", false},
		{"a misspelled name, in pieces", "data: y\nDat", "", false},
		{"another name", "data: x\ntime: 12\n\n", "framing/field-names warn", true},
		{"a line lost its name", "data: first\nsecond\n\n", "framing/line-without-colon warn", false},
		{"a comment that is none", "data: x\n\ncomment: beat\n\n", "framing/field-names fail", false},
		{"chunks in content", "9\r\ndata: x\n\n\r\n", "http/body-framing fail", false},
		{"a number on a line", "data: x\n12\n\n", "framing/line-without-colon warn", false},
		{"no UTF-8 in a comment", ": caf\xe9\n\ndata: x\n\n", "encoding/utf8 fail", false},
		{"NUL in an id", "id: a\x00b\ndata: x\n\n", "id/nul fail", true},
		{"retry in seconds", "retry: 3s\ndata: x\n\n", "retry/digits fail", true},
		{"an id twice", "id: 1\ndata: x\n\nid: 2\ndata: y\n\nid: 1\ndata: z\n\n", "id/unique warn", true},
		{"a replay", "id: 1\ndata: x\n\nid: 2\ndata: y\n\nid: 1\ndata: x\n\n", "", true},
	} {
		for _, bytewise := range []bool{false, true} {
			if bytewise && !c.bytewise {
				continue
			}
			t.Run(fmt.Sprint(c.name, "/", bytewise), func(t *testing.T) {
				each(t, func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", "text/event-stream")
					size := len(c.stream)
					if bytewise {
						size = 1
					}
					for p := range slices.Chunk([]byte(c.stream+"data: end\n\n"), size) {
						w.Write(p)
						http.NewResponseController(w).Flush()
					}
				}, func(t *testing.T, e engine.Engine, target engine.Target) {
					l := job(t, e, target, 3, 5*time.Second)
					want := c.want
					if strings.HasSuffix(c.stream, "Dat") { // with what follows it is "Datdata"
						want = "framing/field-names warn"
					}
					wantFindings(t, l.Findings, want)
					for _, f := range l.Findings {
						if !strings.Contains(f.Message, "on 3 streams, first after") {
							t.Errorf("%+v", f)
						}
					}
				})
			})
		}
	}
}

func wantFindings(t *testing.T, got []result.Finding, want string) {
	t.Helper()
	s := ""
	for _, f := range got {
		s += " " + f.ID + " " + string(f.Verdict)
	}
	if s = strings.TrimPrefix(s, " "); s != want {
		t.Errorf("found %q, want %q: %+v", s, want, got)
	}
}

// What HTTP/1.1 carries them in.
func TestFramingFindings(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
	const chunked = head + "Transfer-Encoding: chunked\r\n\r\n"
	for _, c := range []struct{ name, bytes, want string }{
		{"good", chunked + "9\r\ndata: x\n\n\r\n0\r\n\r\n", ""},
		{"no chunk size", chunked + "9\r\ndata: x\n\n\r\ndata: y\n\n", "http/body-framing fail"},
		{"a chunk without its end", chunked + "9\r\ndata: x\n\ndata: y\n\n", "http/body-framing fail"},
		{"cut between chunks", chunked + "9\r\ndata: x\n\n\r\n", "http/body-framing warn"},
		{"cut within an event", chunked + "f\r\ndata: x\n\ndata: \r\n", "framing/terminated fail, http/body-framing warn"},
		{"until the end of the connection", head + "\r\ndata: x\n\n", ""},
		{"ended within an event", head + "\r\ndata: x\n\ndata: y\n", "framing/terminated fail"},
		{"ended within a comment", head + "\r\ndata: x\n\n: bye", ""},
		{"a length beside chunks", head + "Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: x\n\n\r\n0\r\n\r\n", "http/no-content-length fail"},
	} {
		for name, e := range engines {
			t.Run(c.name+"/"+name, func(t *testing.T) {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				go func() {
					for {
						conn, err := l.Accept()
						if err != nil {
							return
						}
						go func() {
							defer conn.Close()
							buf := make([]byte, 4096)
							if _, err := conn.Read(buf); err != nil {
								return
							}
							io.WriteString(conn, c.bytes)
							conn.(*net.TCPConn).CloseWrite()
							io.Copy(io.Discard, conn)
						}()
					}
				}()
				got := job(t, e, engine.Target{Proto: wire.HTTP11, Addrs: []string{l.Addr().String()}, Request: &wire.Request{URL: &url.URL{Scheme: "http", Host: l.Addr().String(), Path: "/"}}}, 2, 5*time.Second)
				s := []string{}
				for _, f := range got.Findings {
					s = append(s, f.ID+" "+string(f.Verdict))
				}
				slices.Sort(s)
				if s := strings.Join(s, ", "); s != c.want {
					t.Errorf("found %q, want %q: %+v", s, c.want, got.Findings)
				}
			})
		}
	}
}
