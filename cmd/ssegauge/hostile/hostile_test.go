package hostile

import (
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// hostile is a target and what comes of it.
type hostile struct {
	name  string
	peer  func(net.Conn)
	flags string // of check; {URL} stands for where the peer is, and _ for a blank within a value
	want  string // "id verdict" of what names it, or the exit code alone, 1 only where the peer may run past a window. What is right too stands after |: a busy machine may see too little in time
}

// A hostile target wants to hang the program, to fill its memory, or to do something to who reads its reports. Each row is one such target, with what the program
// must say of it: the verdict of `check` that names what it does. Where it does nothing that is forbidden (a stream may be fast, and compressed), the row says how the run ends
// all the same.
//
// What `check` keeps is bounded a connection: a head (conformance and wire: 64 KiB, 256 fields, 16 interim heads; over HTTP/2 one field block of 64 KiB in 256 pieces, 10,000 frames that
// carry nothing), 8 MiB of content, 200,000 lines, 16 MiB of transcript. `watch` and `load` keep one event, of 16 MiB at most, a stream. memory is what all of it may come to.
var hostileTargets = []hostile{
	{"a line of 1 GiB", answering(gibibyte), "", "framing/not-sse-body fail|not-observed"},
	{"a length of 1 GiB", endless("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 1073741824\r\n\r\n", "x"), "", "framing/not-sse-body fail|not-observed"},
	{"an endless status line", endless("HTTP/1.1 200 ", "x"), "", "http/status fail"},
	{"an endless field", endless("HTTP/1.1 200 OK\r\nX-Fill: ", "x"), "", "http/status fail"},
	{"endless fields", endless("HTTP/1.1 200 OK\r\n", "X-Fill: x\r\n"), "", "http/status fail"},
	{"a head byte by byte", dripping("HTTP/1.1 200 OK\r\n", "X"), "", "live/headers-flushed fail"},
	{"no head at all", silence, "", "live/headers-flushed fail"},
	{"endless interim heads", endless("", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"), "", "http/status fail"},
	{"one interim head after the other", dripping("", "HTTP/1.1 102 Processing\r\n\r\n"), "", "http/status fail|not-observed"},
	{"what is not HTTP", endless("", "\x00\xff\x1b[2J"), "", "http/status fail"},
	{"an end before anything", func(net.Conn) {}, "", "3"},

	{"an endless chunk extension", endless(chunkedHead+"5;x=", "x"), "", "http/body-framing fail"},
	{"an extension for each byte", endless(chunkedHead, "1;"+strings.Repeat("x", 4000)+"\r\nx\r\n"), "", "http/http10 fail|not-observed"},
	{"an endless chunk size", endless(chunkedHead, "0"), "", "http/body-framing fail"},
	{"a chunk of 2^64-1 bytes", endless(chunkedHead+"ffffffffffffffff\r\n", "x"), "", "http/body-framing fail"},
	{"a chunk for each byte", endless(chunkedHead, "1\r\n:\r\n1\r\n\n\r\n"), "", "http/http10 fail|not-observed"},
	{"endless trailers", endless(chunkedHead+"9\r\ndata: x\n\n\r\n0\r\n", "X-Fill: x\r\n"), "", "http/body-framing fail"},

	{"a gzip bomb", bomb(1, "\x00"), "", "framing/not-sse-body fail"},
	{"a gzip bomb of events", bomb(1, "data:\n\n"), "", "http/content-encoding/negotiated fail|not-observed"},
	{"a gzip bomb in gzip in gzip", bomb(3, "data: "+strings.Repeat("0", 50)+"\n\n"), "", "http/content-encoding/negotiated fail|not-observed"},
	{"gzip of nothing, for ever", bomb(1, ""), "", "http/content-encoding/negotiated fail|not-observed"},
	{"gzip in gzip in gzip of nothing", bomb(3, ""), "", "http/content-encoding/negotiated fail|not-observed"},
	{"a thousand codings", endless(strings.Replace(streamHead, "\r\n\r\n", "\r\nContent-Encoding: "+strings.Repeat("gzip, ", 1000)+"gzip\r\n\r\n", 1), "x"), "", "http/content-encoding/negotiated fail|not-observed"},

	{"a redirect loop", redirecting(func(string) string { return "/again" }), "", "http/status fail"},
	{"10,000 redirects", redirecting(chain), "", "http/status fail"},
	{"redirects to ever longer URLs", redirecting(longer), "", "http/status fail"},
	{"a redirect with an endless body", endless("HTTP/1.1 307 Temporary Redirect\r\nLocation: /\r\n\r\n", "x"), "", "http/status fail"},
	{"an error with an endless body", endless("HTTP/1.1 500 Oops\r\nContent-Type: text/html\r\n\r\n", "<p>"), "", "http/status fail"},
	{"an endless page", endless("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", "<p>"), "", "http/content-type fail"},

	{"empty events", endless(streamHead, "data:\n\n"), "", "0|4"},
	{"blank lines", endless(streamHead, "\n"), "", "0|4"},
	{"comments", endless(streamHead, ":\n"), "", "0|4"},
	{"lines that mean nothing", endless(streamHead, "a\n"), "", "framing/not-sse-body fail"},
	{"an event without an end", endless(streamHead+"data: x\n", "data\n"), "", "framing/blank-line fail|not-observed"},
	{"ids of 1 MiB", endless(streamHead, "id: "+strings.Repeat("x", 1<<20)+"\ndata: x\n\n"), "", "id/size fail"},
	{"names of 1 MiB", endless(streamHead, "event: "+strings.Repeat("x", 1<<20)+"\ndata: x\n\n"), "", "0|4"},
	{"a reconnection time of ages", answering(say(streamHead + "retry: 99999999999999999999999999\nid: 1\ndata: x\n\n")), "", "retry/range warn"},
	{"come back at once", answering(say(streamHead + "retry: 0\nid: 1\ndata: x\n\n")), "", "retry/range warn"},
	{"escapes and markup", answering(hostileMarkup), "", "retry/digits fail"},

	{"a hook with an endless answer", hooked(endless(plainHead, "x")), publishing, "4"},
	{"a hook with an endless head", hooked(endless("HTTP/1.1 200 OK\r\nX-Fill: ", "x")), publishing, "4"},
	{"a hook with a slow answer", hooked(dripping(plainHead, "x")), publishing, "4"},
	{"a hook command without end", hooked(silence), "--publish-cmd yes", "4"},
	{"a gauge with an endless answer", hooked(endless(plainHead, "1")), gauging, "0"},
	{"a gauge with a deep answer", hooked(endless(plainHead, "[")), gauging, "0"},
	{"a restart without end", hooked(silence), "--restart-cmd yes --kill-cmd yes", "0"},
	{"scripts without end", hooked(endless(plainHead, "x")), "--scenario-url {URL}/hook/{{.Name}}", "0"},

	{"h2: DATA on an idle stream", streaming(func(p *h2peer, id uint32) { p.WriteData(id+100, false, []byte("data: x\n\n")) }), overH2, "http/body-framing fail"},
	{"h2: DATA on other streams", h2streamFlood(func(p *h2peer, id uint32) { p.WriteData(id+2, false, make([]byte, 16<<10)) }), overH2, "http/body-framing fail"},
	{"h2: DATA before a head", h2flood(func(p *h2peer, id uint32) { p.WriteData(id, false, []byte("data: x\n\n")) }), overH2, "http/status fail"},
	{"h2: DATA past the window", h2streamFlood(func(p *h2peer, id uint32) { p.WriteData(id, false, make([]byte, 16<<10)) }), overH2, "http/body-framing fail"},
	{"h2: DATA of nothing", h2streamFlood(func(p *h2peer, id uint32) { p.WriteData(id, false, nil) }), overH2, "http/body-framing fail"},
	{"h2: DATA of padding", h2streamFlood(func(p *h2peer, id uint32) { p.WriteDataPadded(id, false, []byte("\n"), make([]byte, 255)) }), overH2, "0|1|4"},
	{"h2: a frame of 16 MiB", streaming(func(p *h2peer, id uint32) { p.WriteRawFrame(0, 0, id, make([]byte, 1<<24-1)) }), overH2, "http/body-framing fail"},
	{"h2: HEADERS interleaved", h2flood(func(p *h2peer, id uint32) { p.headers(id, false); p.WriteData(id, false, []byte("x")) }), overH2, "http/status fail"},
	{"h2: CONTINUATION alone", streaming(func(p *h2peer, id uint32) { p.WriteContinuation(id, true, block()) }), overH2, "http/body-framing fail"},
	{"h2: empty CONTINUATIONs", h2blockFlood(nil), overH2, "http/status fail"},
	{"h2: full CONTINUATIONs", h2blockFlood(make([]byte, 16<<10)), overH2, "http/status fail"},
	{"h2: a slow field block", h2answering(slowBlock), overH2, "live/headers-flushed fail"},
	{"h2: a field named thousandfold", h2blockFlood(listBomb), overH2, "http/status fail"},
	{"h2: a giant field list", h2blockFlood(giantField), overH2, "http/status fail"},
	{"h2: a giant HPACK table", h2flood(giantTable), overH2, "http/status fail"},
	{"h2: interim heads", h2flood(func(p *h2peer, id uint32) { p.interim(id) }), overH2, "http/status fail"},
	{"h2: trailers", h2streamFlood(func(p *h2peer, id uint32) { p.headers(id, true) }), overH2, "http/body-framing fail"},
	{"h2: SETTINGS", h2flood(func(p *h2peer, _ uint32) { p.WriteSettings() }), overH2, "http/status fail"},
	{"h2: PING", h2flood(func(p *h2peer, _ uint32) { p.WritePing(false, [8]byte{}) }), overH2, "http/status fail"},
	{"h2: PING, its answers unread", deaf, overH2, "http/status fail"},
	{"h2: PRIORITY", h2flood(func(p *h2peer, id uint32) { p.WriteRawFrame(2, 0, id, make([]byte, 5)) }), overH2, "http/status fail"},
	{"h2: frames of no type", h2flood(func(p *h2peer, id uint32) { p.WriteRawFrame(0xee, 0, id, make([]byte, 100)) }), overH2, "http/status fail"},
	{"h2: WINDOW_UPDATE", h2flood(func(p *h2peer, _ uint32) { p.WriteWindowUpdate(0, 1) }), overH2, "http/status fail"},
	{"h2: a window past 2^31-1", streaming(overflow), overH2, "http/body-framing fail"},
	{"h2: RST_STREAM", h2flood(func(p *h2peer, id uint32) { p.WriteRSTStream(id, 2) }), overH2, "http/status fail"},
	{"h2: RST_STREAM on idle streams", h2flood(func(p *h2peer, id uint32) { p.WriteRSTStream(id+1000, 2) }), overH2, "http/status fail"},
	{"h2: a reset for each request", h2answering(refuse), overH2, "http/status fail"},
	{"h2: PUSH_PROMISE", h2flood(push), overH2, "http/status fail"},
	{"h2: GOAWAY", h2flood(goAway), overH2, "http/status fail"},
	{"h2: silence after SETTINGS", h2answering(func(p *h2peer, _ uint32) { time.Sleep(time.Minute) }), overH2, "live/headers-flushed fail"},
	{"h2: HTTP/1.1", endless(streamHead, "data: x\n\n"), overH2, "http/status fail"},
}

const (
	overH2     = "--http h2c"
	publishing = "--publish-body {{.Data}} --publish POST_{URL}/hook"
	gauging    = "--gauge-url {URL}/hook --gauge-pointer /n"
)

const (
	memory = 256 << 20        // more than this is unbounded
	window = 2 * time.Second  // of check
	beyond = 30 * time.Second // what a run may take besides
)

func TestHostile(t *testing.T) {
	program := build(t)
	t.Run("check", func(t *testing.T) {
		var runs []*running
		for _, h := range hostileTargets {
			url := startHostile(t, h.peer)
			args := []string{"check", url + "/", "--window", window.String(), "--format", "json"}
			runs = append(runs, start(t, program, append(args, h.options(url)...)...))
		}
		for i, h := range hostileTargets {
			t.Run(h.name, func(t *testing.T) {
				runs[i].wait(t, window+beyond)
				runs[i].want(t, h.want)
			})
		}
	})
	// What the other two must do is end. They read with the same cores.
	t.Run("watch and load", func(t *testing.T) {
		runs := map[string]*running{}
		for _, h := range hostileTargets {
			if !slices.Contains(alike, h.name) {
				continue
			}
			url := startHostile(t, h.peer)
			runs["watch "+h.name] = start(t, program, append([]string{"watch", url + "/", "--duration", "1s"}, h.options(url)...)...)
			args := []string{"load", url + "/", "--streams", "3", "--duration", "1s", "--timeout", "2s", "--format", "json"}
			runs["load "+h.name] = start(t, program, append(args, h.options(url)...)...)
		}
		for name, run := range runs {
			t.Run(name, func(t *testing.T) { run.wait(t, beyond) })
		}
	})
}

// alike are those that watch and load are held against: one of each kind.
var alike = []string{
	"a line of 1 GiB", "an endless field", "a head byte by byte", "an endless chunk extension", "a redirect loop", "a gzip bomb in gzip in gzip", "gzip in gzip in gzip of nothing", "empty events",
	"an event without an end", "ids of 1 MiB", "escapes and markup", "h2: DATA on an idle stream", "h2: empty CONTINUATIONs", "h2: PING", "h2: a reset for each request",
}

// options are the flags for a peer at a URL.
func (h *hostile) options(url string) []string {
	flags := strings.Fields(strings.ReplaceAll(h.flags, "{URL}", url))
	for i := range flags {
		flags[i] = strings.ReplaceAll(flags[i], "_", " ")
	}
	return flags
}
