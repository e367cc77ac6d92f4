package wire

import (
	"bytes"
	"fmt"
	"strings"
)

// stranger reads on in the first line of a peer whose first frame is no SETTINGS, to say what it is. It returns how much it took.
func (f *Frames) stranger(p []byte, it *Item) int {
	const most = 128
	k := 0
	if bytes.HasPrefix(f.buf, []byte("HTTP/")) {
		for k < len(p) && len(f.buf) < most && f.buf[len(f.buf)-1] != '\n' {
			f.buf = append(f.buf, p[k])
			k++
		}
		if len(f.buf) < most && f.buf[len(f.buf)-1] != '\n' {
			return k
		}
	}
	f.off += int64(k)
	f.notHTTP2(it)
	f.off -= int64(k)
	return k
}

// notHTTP2 says what the peer speaks.
func (f *Frames) notHTTP2(it *Item) {
	b := f.buf
	var detail string
	switch {
	case bytes.HasPrefix(b, []byte("HTTP/")):
		detail = "the peer answered in HTTP/1, it does not speak HTTP/2 on this port: " + quote(strings.TrimRight(string(b), "\r\n"))
	case len(b) > 2 && (b[0] == 0x15 || b[0] == 0x16) && b[1] == 3:
		detail = "the peer speaks TLS on this port"
	case f.kind == frameSettings:
		detail = "the first frame acknowledges SETTINGS; the peer's own SETTINGS would be right"
	case int(f.kind) < len(frameNames) && f.left <= maxFrame:
		detail = fmt.Sprintf("the first frame is %v; SETTINGS would be right", f.kind)
	default:
		detail = "the first bytes are no SETTINGS frame: " + quote(string(b))
	}
	f.fault(it, FaultH2Preface, 0, detail)
}
