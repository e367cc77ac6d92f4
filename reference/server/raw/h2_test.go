package raw

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"ssegauge/reference/server"
)

// client writes frames with x/net's framer, and tells what came in one word a frame.
type client struct {
	*peer
	*http2.Framer
	buf bytes.Buffer
	hd  *hpack.Decoder
}

func (w *world) client(settings ...http2.Setting) *client {
	w.t.Helper()
	c := &client{peer: w.dial(false)}
	c.Framer = http2.NewFramer(&c.buf, nil)
	c.Framer.AllowIllegalWrites = true
	c.hd = hpack.NewDecoder(4096, nil)
	c.buf.WriteString(preface)
	_ = c.WriteSettings(settings...)
	if got := c.flush(); got != "SETTINGS WINDOW_UPDATE(0) SETTINGS+ACK" {
		w.t.Fatalf("the engine begins with %s", got)
	}
	_ = c.WriteSettingsAck()
	return c
}

// request opens a stream by GET, or with a body to come.
func (c *client) request(id uint32, path string, more ...string) {
	method := "GET"
	if strings.HasPrefix(path, "/publish") {
		method = "POST"
	}
	_ = c.WriteHeaders(http2.HeadersFrameParam{
		StreamID: id, EndHeaders: true, EndStream: method == "GET",
		BlockFragment: block(append([]string{":method", method, ":scheme", "http", ":authority", "h", ":path", path}, more...)...),
	})
}

// flush sends what was written and returns what came.
func (c *client) flush() string {
	c.send(c.buf.String())
	c.buf.Reset()
	return c.frames()
}

// frames is what came, a word for each frame.
func (c *client) frames() string {
	c.t.Helper()
	var words []string
	in := strings.NewReader(c.text())
	f := http2.NewFramer(io.Discard, in)
	f.SetMaxReadFrameSize(1 << 24)
	for {
		fr, err := f.ReadFrame()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			c.t.Fatalf("after %v: %v", words, err)
		}
		h := fr.Header()
		switch fr := fr.(type) {
		case *http2.DataFrame:
			words = append(words, fmt.Sprintf("DATA(%d,%d)", h.StreamID, len(fr.Data())))
		case *http2.HeadersFrame:
			fields, err := c.hd.DecodeFull(fr.HeaderBlockFragment())
			if err != nil {
				c.t.Fatal(err)
			}
			words = append(words, fmt.Sprintf("HEADERS(%d,%s)", h.StreamID, fields[0].Value))
		case *http2.RSTStreamFrame:
			words = append(words, fmt.Sprintf("RST(%d,%v)", h.StreamID, fr.ErrCode))
		case *http2.GoAwayFrame:
			words = append(words, fmt.Sprintf("GOAWAY(%d,%v)", fr.LastStreamID, fr.ErrCode))
		case *http2.WindowUpdateFrame:
			words = append(words, fmt.Sprintf("WINDOW_UPDATE(%d)", h.StreamID))
		default:
			words = append(words, h.Type.String())
			if h.Flags.Has(http2.FlagPingAck) {
				words[len(words)-1] += "+ACK"
			}
		}
		if (h.Type == http2.FrameData || h.Type == http2.FrameHeaders) && h.Flags.Has(http2.FlagDataEndStream) {
			words[len(words)-1] += "."
		}
	}
	return strings.Join(words, " ")
}

// raw writes any frame.
func (c *client) raw(kind, flags uint8, id uint32, payload string) {
	c.buf.Write(appendFrameHead(nil, len(payload), kind, flags, id))
	c.buf.WriteString(payload)
}

// What frames get. ends: the connection is closed after that.
func TestFrames(t *testing.T) {
	headers := string(block(":method", "GET", ":scheme", "http", ":authority", "h", ":path", "/events"))
	stream := func(c *client) { c.request(1, "/events") }
	const opened = "HEADERS(1,200) DATA(1,13)" // retry: 3000
	for _, tc := range []struct {
		name string
		send func(c *client)
		want string
		ends bool
	}{
		{"a stream", stream, opened, false},
		{"an answer", func(c *client) { c.request(1, "/healthz") }, "HEADERS(1,200) DATA(1,3).", false},
		{"publish", func(c *client) {
			stream(c)
			c.request(3, "/publish", "content-type", "application/json")
			_ = c.WriteData(3, true, []byte(`{"data":"x","id":"1"}`))
		}, opened + " HEADERS(3,200) DATA(3,31). DATA(1,15)", false},
		{"padding", func(c *client) {
			c.raw(frameHeaders, flagEndStream|flagEndHeaders|flagPadded|flagPriority, 1, "\x03\x00\x00\x00\x00\x00"+headers+"\x00\x00\x00")
			c.request(3, "/publish", "content-type", "application/json")
			c.raw(frameData, flagPadded|flagEndStream, 3, "\x02"+`{"data":"x","id":"1"}`+"\x00\x00")
		}, opened + " HEADERS(3,200) DATA(3,31). DATA(1,15)", false},
		{"CONTINUATION", func(c *client) {
			c.raw(frameHeaders, flagEndStream, 1, headers[:5])
			c.raw(frameContinuation, 0, 1, headers[5:9])
			c.raw(frameContinuation, flagEndHeaders, 1, headers[9:])
		}, opened, false},
		{"trailers", func(c *client) {
			c.request(1, "/publish", "content-type", "application/json")
			_ = c.WriteData(1, false, []byte(`{"data":"x","id":"1"}`))
			c.raw(frameHeaders, flagEndStream|flagEndHeaders, 1, string(block("x", "y")))
		}, "HEADERS(1,200) DATA(1,31).", false},
		{"a stream asked for with a body", func(c *client) {
			c.raw(frameHeaders, flagEndHeaders, 1, headers)
			_ = c.WriteData(1, true, []byte("x"))
			_ = c.WriteData(1, true, []byte("x"))
		}, opened + " RST(1,STREAM_CLOSED)", false},
		{"PING", func(c *client) { _ = c.WritePing(false, [8]byte{1}) }, "PING+ACK", false},
		{"unknown types", func(c *client) { c.raw(0xbe, 0xff, 77, "what") }, "", false},
		{"RST_STREAM", func(c *client) { stream(c); _ = c.WriteRSTStream(1, http2.ErrCodeCancel) }, opened, false},
		{"a method that is not allowed", func(c *client) {
			c.raw(frameHeaders, flagEndStream|flagEndHeaders, 1, string(block(":method", "DELETE", ":scheme", "http", ":path", "/events")))
		}, "HEADERS(1,405) DATA(1,47).", false},
		{"windows that rise, but for one that ended", func(c *client) {
			stream(c)
			c.request(3, "/events")
			_ = c.WriteWindowUpdate(1, maxWindow-initialWindow)
			_ = c.WriteRSTStream(1, http2.ErrCodeCancel)
			_ = c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: initialWindow + 100})
		}, opened + " HEADERS(3,200) DATA(3,13) SETTINGS+ACK", false},
		{"trailers on a stream that was reset", func(c *client) {
			stream(c)
			c.request(3, "/publish", "te", "x")
			_ = c.WriteData(3, false, []byte("x"))
			c.raw(frameHeaders, flagEndStream|flagEndHeaders, 3, string(block("x", "y")))
			c.request(5, "/healthz")
		}, opened + " RST(3,PROTOCOL_ERROR) HEADERS(5,200) DATA(5,3).", false},
		{"WINDOW_UPDATE for a stream that ended", func(c *client) {
			c.request(1, "/healthz")
			_ = c.WriteWindowUpdate(1, 5)
		}, "HEADERS(1,200) DATA(1,3).", false},

		{"fields in capitals", func(c *client) {
			c.raw(frameHeaders, flagEndStream|flagEndHeaders, 1, headers+string(block("Accept", "x")))
		}, "RST(1,PROTOCOL_ERROR)", false},
		{"a field of the connection", func(c *client) { c.request(1, "/events", "connection", "close") }, "RST(1,PROTOCOL_ERROR)", false},
		{"TE", func(c *client) { c.request(1, "/events", "te", "gzip") }, "RST(1,PROTOCOL_ERROR)", false},
		{"a pseudo-header too late", func(c *client) { c.request(1, "/events", "a", "b", ":path", "/") }, "RST(1,PROTOCOL_ERROR)", false},
		{"a pseudo-header twice", func(c *client) { c.request(1, "/events", ":path", "/") }, "RST(1,PROTOCOL_ERROR)", false},
		{"a pseudo-header unknown", func(c *client) { c.request(1, "/events", ":status", "200") }, "RST(1,PROTOCOL_ERROR)", false},
		{"no path", func(c *client) {
			c.raw(frameHeaders, flagEndStream|flagEndHeaders, 1, string(block(":method", "GET", ":scheme", "http")))
		}, "RST(1,PROTOCOL_ERROR)", false},
		{"a length without a body", func(c *client) { c.request(1, "/events", "content-length", "3") }, "RST(1,PROTOCOL_ERROR)", false},
		{"another length than the body's", func(c *client) {
			c.request(1, "/publish", "content-length", "3")
			_ = c.WriteData(1, true, []byte("ab"))
		}, "RST(1,PROTOCOL_ERROR)", false},
		{"WINDOW_UPDATE of 0 on a stream", func(c *client) { stream(c); c.raw(frameWindowUpdate, 0, 1, "\x00\x00\x00\x00") }, opened + " RST(1,PROTOCOL_ERROR)", false},
		{"a window too large", func(c *client) { stream(c); _ = c.WriteWindowUpdate(1, maxWindow) }, opened + " RST(1,FLOW_CONTROL_ERROR)", false},
		{"DATA on a stream that asked all", func(c *client) { stream(c); _ = c.WriteData(1, true, []byte("x")) }, opened + " RST(1,STREAM_CLOSED)", false},
		{"HEADERS again", func(c *client) { stream(c); stream(c) }, opened + " RST(1,STREAM_CLOSED)", false},
		{"PRIORITY of 4 bytes", func(c *client) { stream(c); c.raw(framePriority, 0, 1, "1234") }, opened + " RST(1,FRAME_SIZE_ERROR)", false},
		{"a body that is too large", func(c *client) {
			c.request(1, "/publish")
			for range 66 {
				_ = c.WriteData(1, false, make([]byte, maxFrame))
			}
		}, "WINDOW_UPDATE(0) WINDOW_UPDATE(1) HEADERS(1,413) DATA(1,38). RST(1,NO_ERROR) WINDOW_UPDATE(0)", false},

		{"DATA first", func(c *client) { _ = c.WriteData(1, true, nil) }, "GOAWAY(0,PROTOCOL_ERROR)", true},
		{"a stream of the server's", func(c *client) { c.request(2, "/events") }, "GOAWAY(0,PROTOCOL_ERROR)", true},
		{"a frame that is too large", func(c *client) { c.raw(frameData, 0, 1, strings.Repeat("x", maxFrame+1)) }, "GOAWAY(0,FRAME_SIZE_ERROR)", true},
		{"PUSH_PROMISE", func(c *client) { c.raw(framePushPromise, flagEndHeaders, 1, "\x00\x00\x00\x02") }, "GOAWAY(0,PROTOCOL_ERROR)", true},
		{"a frame in a field block", func(c *client) {
			c.raw(frameHeaders, 0, 1, headers[:5])
			_ = c.WritePing(false, [8]byte{})
		}, "GOAWAY(0,PROTOCOL_ERROR)", true},
		{"CONTINUATION alone", func(c *client) { c.raw(frameContinuation, 0, 1, "x") }, "GOAWAY(0,PROTOCOL_ERROR)", true},
		{"padding that is too long", func(c *client) { c.raw(frameHeaders, flagEndHeaders|flagPadded, 1, "\x09x") }, "GOAWAY(0,PROTOCOL_ERROR)", true},
		{"a dependency on itself", func(c *client) {
			c.raw(frameHeaders, flagEndHeaders|flagPriority, 1, "\x00\x00\x00\x01\x00"+headers)
		}, "GOAWAY(0,PROTOCOL_ERROR)", true},
		{"HPACK that is none", func(c *client) { c.raw(frameHeaders, flagEndHeaders, 1, "\xff\xff\xff\xff\xff\xff\xff") }, "GOAWAY(0,COMPRESSION_ERROR)", true},
		{"SETTINGS of 5 bytes", func(c *client) { c.raw(frameSettings, 0, 0, "12345") }, "GOAWAY(0,FRAME_SIZE_ERROR)", true},
		{"SETTINGS on a stream", func(c *client) { c.raw(frameSettings, 0, 1, "") }, "GOAWAY(0,PROTOCOL_ERROR)", true},
		{"INITIAL_WINDOW_SIZE too large", func(c *client) {
			_ = c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 31})
		}, "GOAWAY(0,FLOW_CONTROL_ERROR)", true},
		{"MAX_FRAME_SIZE too small", func(c *client) {
			_ = c.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 100})
		}, "GOAWAY(0,PROTOCOL_ERROR)", true},
		{"PING of 7 bytes", func(c *client) { c.raw(framePing, 0, 0, "1234567") }, "GOAWAY(0,FRAME_SIZE_ERROR)", true},
		{"PING on a stream", func(c *client) { c.raw(framePing, 0, 1, "12345678") }, "GOAWAY(0,PROTOCOL_ERROR)", true},
		{"RST_STREAM on an idle stream", func(c *client) { _ = c.WriteRSTStream(1, 0) }, "GOAWAY(0,PROTOCOL_ERROR)", true},
		{"WINDOW_UPDATE on an idle stream", func(c *client) { _ = c.WriteWindowUpdate(1, 1) }, "GOAWAY(0,PROTOCOL_ERROR)", true},
		{"WINDOW_UPDATE of 0", func(c *client) { c.raw(frameWindowUpdate, 0, 0, "\x00\x00\x00\x00") }, "GOAWAY(0,PROTOCOL_ERROR)", true},
		{"the connection's window too large", func(c *client) { _ = c.WriteWindowUpdate(0, maxWindow) }, "GOAWAY(0,FLOW_CONTROL_ERROR)", true},
		{"HEADERS on a stream that ended", func(c *client) { c.request(3, "/healthz"); stream(c) }, "HEADERS(3,200) DATA(3,3). GOAWAY(3,STREAM_CLOSED)", true},
		{"an error with streams open", func(c *client) { stream(c); _ = c.WriteWindowUpdate(0, maxWindow) }, opened + " GOAWAY(1,FLOW_CONTROL_ERROR)", true},

		{"an endless field block", func(c *client) {
			c.raw(frameHeaders, 0, 1, "")
			for range 10 {
				c.raw(frameContinuation, 0, 1, strings.Repeat("x", maxFrame))
			}
		}, "GOAWAY(0,ENHANCE_YOUR_CALM)", true},
		{"a field block in endless pieces", func(c *client) {
			c.raw(frameHeaders, 0, 1, "")
			for range 1000 {
				c.raw(frameContinuation, 0, 1, "")
			}
		}, "GOAWAY(0,ENHANCE_YOUR_CALM)", true},
		{"fields that are too large", func(c *client) {
			var more []string
			for i := range 20 {
				more = append(more, fmt.Sprint("a", i), strings.Repeat("0", 4000)) // 2,500 bytes each by Huffman
			}
			b := string(block(append([]string{":method", "GET", ":scheme", "http", ":path", "/events"}, more...)...))
			c.raw(frameHeaders, flagEndStream, 1, b[:maxFrame])
			for b = b[maxFrame:]; len(b) > maxFrame; b = b[maxFrame:] {
				c.raw(frameContinuation, 0, 1, b[:maxFrame])
			}
			c.raw(frameContinuation, flagEndHeaders, 1, b)
		}, "HEADERS(1,431) DATA(1,54).", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, server.Config{})
				c := w.client()
				tc.send(c)
				if got := c.flush(); got != tc.want {
					t.Errorf("%s\nwant %s", got, tc.want)
				}
				if c.ended() != tc.ends {
					t.Errorf("ended: %v", !tc.ends)
				}
			})
		})
	}
}

func TestNotSettingsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newWorld(t, server.Config{}).dial(false)
		p.send(preface + string(appendFrameHead(nil, 8, framePing, 0, 0)) + "12345678")
		if !strings.Contains(p.text(), "the first frame is not SETTINGS") || !p.ended() {
			t.Error("not refused")
		}
	})
}

// Floods: each ends with ENHANCE_YOUR_CALM, and before that costs no more than its bytes.
func TestFloods(t *testing.T) {
	for name, one := range map[string]func(c *client, n uint32){
		"PING":          func(c *client, _ uint32) { _ = c.WritePing(false, [8]byte{}) },
		"SETTINGS":      func(c *client, _ uint32) { _ = c.WriteSettings() },
		"PRIORITY":      func(c *client, n uint32) { c.raw(framePriority, 0, n, "\x00\x00\x00\x00\x00") },
		"unknown":       func(c *client, n uint32) { c.raw(0x77, 0, n, "") },
		"rapid reset":   func(c *client, n uint32) { c.request(n, "/events"); _ = c.WriteRSTStream(n, http2.ErrCodeCancel) },
		"wrong streams": func(c *client, n uint32) { c.request(n, "/events", "te", "x") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, server.Config{})
				c := w.client()
				for n := range uint32(maxNoise + 100) {
					one(c, 2*n+1)
				}
				if got := c.flush(); !strings.HasSuffix(got, "ENHANCE_YOUR_CALM)") || !c.ended() {
					t.Errorf("...%s", got[max(0, len(got)-100):])
				}
				if n := w.srv.Stats().Streams; n != 0 {
					t.Errorf("%d streams", n)
				}
			})
		})
	}
	t.Run("a PING now and then is none", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := newWorld(t, server.Config{}).client()
			c.request(1, "/events")
			for range 3 {
				for range maxNoise / 2 {
					_ = c.WritePing(false, [8]byte{})
				}
				if strings.Contains(c.flush(), "GOAWAY") {
					t.Fatal("refused")
				}
				time.Sleep(11 * time.Second)
			}
		})
	})
}

func TestMaxConcurrentStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, server.Config{MaxConcurrentStreams: 2})
		c := w.client()
		for id := uint32(1); id <= 5; id += 2 {
			c.request(id, "/events")
		}
		if got := c.flush(); got != "HEADERS(1,200) DATA(1,13) HEADERS(3,200) DATA(3,13) RST(5,REFUSED_STREAM)" {
			t.Error(got)
		}
		_ = c.WriteRSTStream(1, http2.ErrCodeCancel)
		c.request(7, "/events")
		if got := c.flush(); got != "HEADERS(7,200) DATA(7,13)" {
			t.Error(got)
		}
	})
}

// Flow control: what the windows allow goes, the rest waits, and one stream without a window holds up no other.
func TestWindows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, server.Config{})
		c := w.client(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 5})
		c.request(1, "/events")
		c.request(3, "/events")
		step := func(want string, do func()) {
			t.Helper()
			do()
			if got := c.flush(); got != want {
				t.Errorf("%s\nwant %s", got, want)
			}
		}
		step("HEADERS(1,200) HEADERS(3,200) DATA(1,5) DATA(3,5)", func() {})
		step("DATA(1,8)", func() { _ = c.WriteWindowUpdate(1, 20) }) // the rest of the first block
		q := w.dial(false)
		step("DATA(1,12)", func() { q.send(post(`{"data":"x","id":"1"}`)) })
		step("SETTINGS+ACK DATA(1,3) DATA(3,8) DATA(3,15)", func() { // all windows rise by 100
			_ = c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 105})
		})
		for _, sh := range w.engine.shards {
			sh.mu.Lock()
			for _, c := range sh.conns {
				if c != nil && c.h2 != nil && (len(c.h2.pre) != 0 || c.h2.held != 0) {
					t.Errorf("%d bytes are held", c.h2.held)
				}
			}
			sh.mu.Unlock()
		}
	})
}

// The fields of requests whose bodies are still to come are held, and count as what is held.
func TestUploadsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, server.Config{})
		c := w.client()
		held := func() (n int) {
			for _, sh := range w.engine.shards {
				sh.mu.Lock()
				for _, c := range sh.conns {
					if c != nil && c.h2 != nil {
						n += c.h2.held
					}
				}
				sh.mu.Unlock()
			}
			return n
		}
		const size = 25_000
		for i := range uint32(400) {
			c.request(2*i+1, "/publish", "x", strings.Repeat("0", size))
		}
		most := maxHeld + server.DefaultMaxBody
		refused := strings.Count(c.flush(), "ENHANCE_YOUR_CALM")
		if n := held(); n > most || n < most-2*size || (400-refused)*size > most {
			t.Errorf("%d bytes are held, %d uploads refused", n, refused)
		}
		for i := range uint32(400) {
			_ = c.WriteData(2*i+1, true, []byte("x"))
		}
		if got := strings.Count(c.flush(), "HEADERS("); got != 400-refused || held() != 0 {
			t.Errorf("%d answers, %d bytes are held", got, held())
		}
	})
}
