package serverchecks_test

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"
	"unicode/utf8"

	"ssegauge/conformance"
	"ssegauge/conformance/serverchecks"
	"ssegauge/reports/result"
)

// FuzzAnswer holds arbitrary answers against every check: whatever a target sends, each check comes to a verdict that blames nobody of ours, in one
// printable line.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(okHead+chunk("retry: 3s\n\nid: a \x00\ndata: \xff\n\n")+"0\r\n\r\n"), 7)
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 4\r\n\r\ndata: x\n\n"), 3)
	f.Add([]byte("HTTP/1.0 200\r\ncontent-type:text/event-stream;charset=\x1b[31m\r\n\r\n\xef\xbb\xbf\xef\xbb\xbfData: x\n<script>\nid: 1\ndata\n\nid: 2\ndata\n\nid: 3\ndata\n\nid: 4\ndata\n\n"), 50)
	f.Add([]byte(okHead+chunk("id: \xa0\x1b1\ndata\n\nid: 2\ndata\n\nid: 3\ndata\n\nid: 4\ndata\n\n")), 50)
	f.Add([]byte("HTTP/1.1 302 Found\r\nLocation: //\x07\r\n\r\n"), 0)
	f.Add([]byte("\x00\x00\x00"), 1)
	f.Fuzz(func(t *testing.T, answer []byte, cut int) {
		synctest.Test(t, func(t *testing.T) {
			dial := func(context.Context, string, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				go func() {
					defer theirs.Close()
					if _, err := http.ReadRequest(bufio.NewReader(theirs)); err != nil {
						return
					}
					at := max(0, min(cut, len(answer)))
					theirs.Write(answer[:at])
					time.Sleep(100 * time.Millisecond)
					theirs.Write(answer[at:])
				}()
				return ours, nil
			}
			tg := target(t, clean(), func(t *conformance.Target) {
				t.Dialer.NetDial, t.Publisher, t.Window = dial, nil, time.Second
			})
			r, err := conformance.Run(t.Context(), tg, serverchecks.All(), conformance.Options{})
			time.Sleep(5 * time.Second)
			if err != nil {
				return // nobody answered
			}
			for _, f := range r.Results {
				if f.Verdict == result.Error && strings.Contains(f.Message, "fault of ours") {
					t.Error(show(f))
				}
				for _, s := range []string{f.Message, f.Hint, f.Reproduce} {
					if !utf8.ValidString(s) || strings.ContainsFunc(s, func(c rune) bool { return c != ' ' && !unicode.IsPrint(c) }) {
						t.Errorf("not one printable line: %q in %s", s, f.ID)
					}
				}
			}
		})
	})
}
