package hostile

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// Heads of the hostile peers' answers.
const (
	streamHead  = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\r\n"
	plainHead   = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"
	chunkedHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n"
)

// answering makes a peer of what it says to each request over HTTP/1.1; the connection is closed when it returns.
func answering(say func(c net.Conn, r *http.Request)) func(net.Conn) {
	return func(c net.Conn) {
		r, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			return
		}
		io.Copy(io.Discard, r.Body)
		if r.Method == "HEAD" {
			c = beheaded{c}
		}
		say(c, r)
	}
}

// beheaded ends with the write that holds the end of the final head: the answer to a HEAD is no more, so that what is found is what the peer is there for.
type beheaded struct{ net.Conn }

func (b beheaded) Write(p []byte) (int, error) {
	head, _, whole := bytes.Cut(p, []byte("\r\n\r\n"))
	if !whole || bytes.HasPrefix(head, []byte("HTTP/1.1 1")) {
		return b.Conn.Write(p)
	}
	b.Conn.Write(append(bytes.Clone(head), "\r\n\r\n"...))
	return 0, io.ErrClosedPipe
}

// endless says head, and then unit for ever.
func endless(head, unit string) func(net.Conn) {
	return answering(func(c net.Conn, _ *http.Request) { flood(c, head, unit) })
}

// flood writes head, and then unit until the other side has had enough. Past what anybody may keep it takes its time: it need not burn the machine.
func flood(c net.Conn, head, unit string) {
	if _, err := io.WriteString(c, head); err != nil {
		return
	}
	pour(c, []byte(strings.Repeat(unit, max(1, 64<<10/len(unit)))))
}

// pour writes block again and again.
func pour(c net.Conn, block []byte) {
	for sent := 0; ; sent += len(block) {
		if _, err := c.Write(block); err != nil {
			return
		}
		if sent > memory/2 {
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// dripping says head, and then unit again and again, slowly.
func dripping(head, unit string) func(net.Conn) {
	return answering(func(c net.Conn, _ *http.Request) {
		if _, err := io.WriteString(c, head); err != nil {
			return
		}
		for {
			if _, err := io.WriteString(c, unit); err != nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
}

// gibibyte is a stream of one line of 1 GiB.
func gibibyte(c net.Conn, _ *http.Request) {
	if _, err := io.WriteString(c, streamHead+"data: "); err != nil {
		return
	}
	block := bytes.Repeat([]byte("x"), 64<<10)
	for range 1 << 30 / len(block) {
		if _, err := c.Write(block); err != nil {
			return
		}
	}
	io.WriteString(c, "\n\n")
}

// bomb sends content that was repeated and packed so many times: a few KiB that unpack to GiB.
func bomb(codings int, content string) func(net.Conn) {
	packed := []byte(content)
	for range codings {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if len(packed) > 0 {
			z.Write(bytes.Repeat(packed, 16<<20/len(packed)))
		}
		z.Close()
		packed = b.Bytes()
	}
	coding := strings.TrimSuffix(strings.Repeat("gzip, ", codings), ", ")
	return endless(strings.Replace(streamHead, "\r\n\r\n", "\r\nContent-Encoding: "+coding+"\r\n\r\n", 1), string(packed))
}

// redirecting answers each request with a redirect to where next says.
func redirecting(next func(path string) string) func(net.Conn) {
	return answering(func(c net.Conn, r *http.Request) {
		fmt.Fprintf(c, "HTTP/1.1 307 Temporary Redirect\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n", next(r.URL.Path))
	})
}

// chain leads to 10,000 places, one after the other.
func chain(path string) string {
	n := 0
	fmt.Sscanf(path, "/hop/%d", &n)
	if n == 10_000 {
		return "/"
	}
	return fmt.Sprintf("/hop/%d", n+1)
}

// longer leads to ever longer places.
func longer(path string) string { return path + strings.Repeat("further/", 1000) }

// markup is a stream full of what does something where a report shows it as it is: to a terminal, in a page, in XML, in a table, in a
// spreadsheet, in the log of a job.
const markup = "retry: 1\x1b]0;owned\x07\nevent: \x1b[2J\x1b[31mred\nid: <script>alert(1)</script>\n" +
	"data: </pre><script>alert(document.cookie)</script><img src=x onerror=alert(1)>\n\n" +
	"Data: ]]><x/>&amp;&#0;\x00\x01\x08\x7f\u009b31m\u202egnp.exe\u2066\n" +
	"=cmd|' /C calc'!A0: |`**x**`](javascript:alert(1))\n::error::owned\n##[error]owned\n::set-output name=x::y\n" +
	"data: \xff\xfe\xc3\x28\xed\xa0\x80\n\n: \r\x1b[8m\x9b5n\n\n"

// hostileMarkup says it in the head too.
func hostileMarkup(c net.Conn, _ *http.Request) {
	io.WriteString(c, "HTTP/1.1 200 \x1b[31m<script>alert(1)</script>\r\nContent-Type: text/event-stream; charset=\"\x1b]8;;http://evil\x07<b>\"\r\n"+
		"Cache-Control: <script>alert(2)</script>\r\nX-\x1b[5m: ::error::owned\r\nSet-Cookie: session=s3cret-from-target\r\nConnection: <img>\r\nX-Accel-Buffering: \x9b2J\r\n\r\n")
	for {
		if _, err := io.WriteString(c, markup); err != nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// say says it once.
func say(text string) func(net.Conn, *http.Request) {
	return func(c net.Conn, _ *http.Request) { io.WriteString(c, text) }
}

// silence says nothing and hears everything.
func silence(c net.Conn) { io.Copy(io.Discard, c) }

// hooked is a harmless stream beside which, below /hook, something else answers.
func hooked(hook func(net.Conn)) func(net.Conn) {
	return func(c net.Conn) {
		var read bytes.Buffer
		r, err := http.ReadRequest(bufio.NewReaderSize(io.TeeReader(c, &read), 16))
		switch {
		case err != nil:
		case strings.HasPrefix(r.URL.Path, "/hook"):
			hook(&again{c, io.MultiReader(&read, c)})
		default:
			dripping(streamHead, "data: x\n\n")(&again{c, io.MultiReader(&read, c)})
		}
	}
}

// again reads what was read already.
type again struct {
	net.Conn
	from io.Reader
}

func (a *again) Read(p []byte) (int, error) { return a.from.Read(p) }
