package wire

import (
	"strings"

	"golang.org/x/net/http2"
)

const flow = 1 << 14

// frameVectors are connections as a peer might speak them. Each is replayed whole, byte by byte and cut at every place.
var frameVectors = []frameVector{
	{
		name: "response", streams: 1,
		peer: func(s *script) {
			s.settings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 7})
			s.WriteSettingsAck()
			s.headers(1, false, ":status", "200", "content-type", "text/event-stream")
			s.data(1, false, "data: a\n\n")
			s.data(1, true, "data: b\n\n")
		},
		want: `settings
			settings ack
			head 1 200 content-type=text/event-stream
			body 1 data: a


			body 1 data: b


			end 1`,
		out: "SETTINGS ack",
	},
	{
		name: "end on HEADERS, on empty DATA, on trailers", streams: 3,
		peer: func(s *script) {
			s.settings()
			s.headers(1, true, ":status", "204")
			s.headers(3, false, ":status", "200")
			s.data(3, true, "")
			s.headers(5, false, ":status", "200")
			s.data(5, false, "x")
			s.headers(5, true, "grpc-status", "0")
		},
		want: `settings
			head 1 204
			end 1
			head 3 200
			end 3
			head 5 200
			body 5 x
			trailer 5 grpc-status=0
			end 5`,
		out: "SETTINGS ack",
	},
	{
		name: "interim heads", streams: 1,
		peer: func(s *script) {
			s.settings()
			s.headers(1, false, ":status", "100")
			s.headers(1, false, ":status", "103", "link", "</a>")
			s.headers(1, true, ":status", "200")
		},
		want: `settings
			head 1 100
			head 1 103 link=</a>
			head 1 200
			end 1`,
		out: "SETTINGS ack",
	},
	{
		name: "CONTINUATION, padding and priority", streams: 1,
		peer: func(s *script) {
			s.settings()
			b := block(":status", "200", "a", "b", "c", "d")
			s.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: b[:3], PadLength: 5, Priority: http2.PriorityParam{Weight: 3}})
			s.WriteContinuation(1, false, nil)
			s.WriteContinuation(1, false, b[3:4])
			s.WriteContinuation(1, true, b[4:])
			s.WriteDataPadded(1, false, []byte("one"), make([]byte, 3))
			s.WriteDataPadded(1, false, nil, make([]byte, 255))
			s.WriteDataPadded(1, true, []byte("two"), []byte{})
		},
		want: `settings
			head 1 200 a=b c=d
			body 1 one
			body 1 two
			end 1`,
		out: "SETTINGS ack",
	},
	{
		name: "what is ignored", streams: 1,
		peer: func(s *script) {
			s.settings(http2.Setting{ID: 0x99, Val: 1}, http2.Setting{ID: http2.SettingEnableConnectProtocol, Val: 1})
			s.WritePriority(1, http2.PriorityParam{Weight: 1})
			s.WritePriority(99, http2.PriorityParam{Weight: 1})
			s.WriteRawFrame(0xbe, 0xff, 77, []byte("whatever"))
			s.WriteRawFrame(0xbf, 0xff, 0, nil)
			s.WriteWindowUpdate(1, 5)
			s.headers(1, true, ":status", "200")
			s.WriteRSTStream(1, http2.ErrCodeNo)
			s.WriteWindowUpdate(1, 5)
		},
		want: `settings
			window 1
			head 1 200
			end 1`,
		out: "SETTINGS ack",
	},
	{
		name:    "ping, window, reset",
		streams: 2,
		peer: func(s *script) {
			s.settings()
			s.WritePing(false, [8]byte{'p', 'i', 'n', 'g', '1', '2', '3', '4'})
			s.WritePing(true, [8]byte{'p', 'o', 'n', 'g', '1', '2', '3', '4'})
			s.WriteWindowUpdate(0, 1000)
			s.WriteRSTStream(1, http2.ErrCodeRefusedStream)
			s.headers(3, false, ":status", "200")
			s.WriteRSTStream(3, 0xbeef)
		},
		want: `settings
			ping ping1234
			ping ack pong1234
			window 0
			reset 1 REFUSED_STREAM
			head 3 200
			reset 3 0xbeef`,
		out: "SETTINGS ack\nPING true ping1234",
	},
	{
		name: "GOAWAY in two steps", streams: 4,
		peer: func(s *script) {
			s.settings()
			s.WriteGoAway(1<<31-1, http2.ErrCodeNo, []byte("soon"))
			s.headers(1, false, ":status", "200")
			s.WriteGoAway(3, http2.ErrCodeNo, nil)
			s.data(1, true, "x")
			s.headers(3, true, ":status", "200")
		},
		want: `settings
			goaway 2147483647 NO_ERROR soon
			head 1 200
			goaway 3 NO_ERROR 
			reset 5 REFUSED_STREAM
			reset 7 REFUSED_STREAM
			body 1 x
			end 1
			head 3 200
			end 3`,
		out: "SETTINGS ack",
	},
	{
		name: "GOAWAY that raises its last stream", streams: 2,
		peer: func(s *script) {
			s.settings()
			s.WriteGoAway(1, http2.ErrCodeEnhanceYourCalm, []byte("too_many_pings"))
			s.WriteGoAway(3, http2.ErrCodeNo, nil)
		},
		want: `settings
			goaway 1 ENHANCE_YOUR_CALM too_many_pings
			reset 3 REFUSED_STREAM
			broken 0 h2/goaway-last
			goaway 1 NO_ERROR 
			eof
			broken 1 h2/incomplete`,
		out: "SETTINGS ack",
	},
	{
		name: "closed before END_STREAM", streams: 3,
		peer: func(s *script) {
			s.settings()
			s.headers(1, false, ":status", "200")
			s.headers(3, true, ":status", "200")
		},
		want: `settings
			head 1 200
			head 3 200
			end 3
			eof
			broken 1 h2/incomplete
			broken 5 h2/incomplete`,
		out: "SETTINGS ack",
	},
	{
		name: "closed inside a frame", streams: 1,
		peer: func(s *script) {
			s.settings()
			s.headers(1, false, ":status", "200")
			s.raw(0, 0, 9, 0, 0, 0, 0, 0, 1, 'x')
		},
		want: `settings
			head 1 200
			body 1 x
			eof
			broken 0 h2/truncated
			broken 1 h2/incomplete`,
		out: "SETTINGS ack",
	},
	{
		name: "closed inside a field block", streams: 1,
		peer: func(s *script) {
			s.settings()
			s.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block(":status", "200")})
		},
		want: `settings
			eof
			broken 0 h2/truncated
			broken 1 h2/incomplete`,
		out: "SETTINGS ack",
	},
	{
		name: "an HTTP/1.1 server", streams: 1,
		peer: func(s *script) { s.buf.WriteString("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n") },
		want: `broken 0 h2/preface
			err h2/preface`,
		out: "GOAWAY 0 PROTOCOL_ERROR",
	},
	{
		name: "an HTTP/1.1 server that stops in its first line", streams: 1,
		peer: func(s *script) { s.buf.WriteString("HTTP/1.1 400 Bad") },
		want: `eof
			broken 0 h2/preface
			err h2/preface`,
		out: "GOAWAY 0 PROTOCOL_ERROR",
	},
	{
		name: "a TLS server",
		peer: func(s *script) { s.raw(0x15, 3, 1, 0, 2, 2, 22, 0, 0, 0, 0, 0) },
		want: "broken 0 h2/preface\nerr h2/preface",
		out:  "GOAWAY 0 PROTOCOL_ERROR",
	},
	{
		name: "a TLS server that closes behind its alert",
		peer: func(s *script) { s.raw(0x15, 3, 1, 0, 2, 2, 22) },
		want: "eof\nbroken 0 h2/preface\nerr h2/preface",
		out:  "GOAWAY 0 PROTOCOL_ERROR",
	},
	{
		name: "a first frame that is no SETTINGS",
		peer: func(s *script) { s.WritePing(false, [8]byte{}) },
		want: "broken 0 h2/preface\nerr h2/preface",
		out:  "GOAWAY 0 PROTOCOL_ERROR",
	},
	{
		name: "a first frame that acknowledges",
		peer: func(s *script) { s.WriteSettingsAck() },
		want: "broken 0 h2/preface\nerr h2/preface",
		out:  "GOAWAY 0 PROTOCOL_ERROR",
	},
	{
		name: "too long a frame", streams: 1,
		peer: func(s *script) {
			s.settings()
			s.raw(0, 0x40, 1, 1, 4, 0, 0, 0, 1)
		},
		want: "settings\nbroken 1 h2/frame-size\nerr h2/frame-size",
		out:  "SETTINGS ack\nGOAWAY 0 FRAME_SIZE_ERROR",
	},
	{
		name: "too long a DATA", streams: 1,
		peer: func(s *script) {
			s.settings()
			s.headers(1, false, ":status", "200")
			s.raw(0, 0x40, 1, 0, 0, 0, 0, 0, 1)
		},
		want: "settings\nhead 1 200\nbroken 1 h2/frame-size\nerr h2/frame-size",
		out:  "SETTINGS ack\nGOAWAY 0 FRAME_SIZE_ERROR",
	},
	{name: "PING of 7", peer: wrongLength(6, 0, 7), want: "settings\nbroken 0 h2/frame-size\nerr h2/frame-size", out: "SETTINGS ack\nGOAWAY 0 FRAME_SIZE_ERROR"},
	{name: "RST_STREAM of 5", streams: 1, peer: wrongLength(3, 1, 5), want: "settings\nbroken 1 h2/frame-size\nerr h2/frame-size", out: "SETTINGS ack\nGOAWAY 0 FRAME_SIZE_ERROR"},
	{name: "SETTINGS of 5", peer: wrongLength(4, 0, 5), want: "settings\nbroken 0 h2/frame-size\nerr h2/frame-size", out: "SETTINGS ack\nGOAWAY 0 FRAME_SIZE_ERROR"},
	{name: "WINDOW_UPDATE of 3", peer: wrongLength(8, 0, 3), want: "settings\nbroken 0 h2/frame-size\nerr h2/frame-size", out: "SETTINGS ack\nGOAWAY 0 FRAME_SIZE_ERROR"},
	{name: "PRIORITY of 4", streams: 1, peer: wrongLength(2, 1, 4), want: "settings\nbroken 1 h2/frame-size\nerr h2/frame-size", out: "SETTINGS ack\nGOAWAY 0 FRAME_SIZE_ERROR"},
	{name: "GOAWAY of 7", peer: wrongLength(7, 0, 7), want: "settings\nbroken 0 h2/frame-size\nerr h2/frame-size", out: "SETTINGS ack\nGOAWAY 0 FRAME_SIZE_ERROR"},
	{name: "HEADERS on stream 0", peer: wrongLength(1, 0, 3), want: "settings\nbroken 0 h2/stream-id\nerr h2/stream-id", out: "SETTINGS ack\nGOAWAY 0 PROTOCOL_ERROR"},
	{name: "DATA on stream 0", peer: wrongLength(0, 0, 3), want: "settings\nbroken 0 h2/stream-id\nerr h2/stream-id", out: "SETTINGS ack\nGOAWAY 0 PROTOCOL_ERROR"},
	{name: "SETTINGS on a stream", streams: 1, peer: wrongLength(4, 1, 6), want: "settings\nbroken 1 h2/stream-id\nerr h2/stream-id", out: "SETTINGS ack\nGOAWAY 0 PROTOCOL_ERROR"},
	{name: "DATA on an idle stream", streams: 1, peer: wrongLength(0, 3, 1), want: "settings\nbroken 3 h2/idle-stream\nerr h2/idle-stream", out: "SETTINGS ack\nGOAWAY 0 PROTOCOL_ERROR"},
	{name: "HEADERS on an even stream", streams: 3, peer: wrongLength(1, 2, 1), want: "settings\nbroken 2 h2/idle-stream\nerr h2/idle-stream", out: "SETTINGS ack\nGOAWAY 0 PROTOCOL_ERROR"},
	{name: "WINDOW_UPDATE on an idle stream", streams: 1, peer: wrongLength(8, 9, 4), want: "settings\nbroken 9 h2/idle-stream\nerr h2/idle-stream", out: "SETTINGS ack\nGOAWAY 0 PROTOCOL_ERROR"},
	{name: "PUSH_PROMISE", streams: 1, peer: wrongLength(5, 1, 4), want: "settings\nbroken 1 h2/push\nerr h2/push", out: "SETTINGS ack\nGOAWAY 0 PROTOCOL_ERROR"},
	{name: "CONTINUATION alone", streams: 1, peer: wrongLength(9, 1, 4), want: "settings\nbroken 1 h2/continuation\nerr h2/continuation", out: "SETTINGS ack\nGOAWAY 0 PROTOCOL_ERROR"},
	{
		name: "a frame inside a field block", streams: 1,
		peer: func(s *script) {
			s.settings()
			s.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block(":status", "200")})
			s.data(1, false, "x")
		},
		want: "settings\nbroken 1 h2/continuation\nerr h2/continuation",
		out:  "SETTINGS ack\nGOAWAY 0 PROTOCOL_ERROR",
	},
	{
		name: "a field block in crumbs", streams: 1,
		peer: func(s *script) {
			s.settings()
			s.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block(":status", "200")})
			for range maxPieces + 1 {
				s.WriteContinuation(1, false, nil)
			}
		},
		want: "settings\nbroken 1 h2/flood\nerr h2/flood",
		out:  "SETTINGS ack\nGOAWAY 0 ENHANCE_YOUR_CALM",
	},
	{
		name: "a field block without end", streams: 1, opt: FramesOptions{MaxHeaderBytes: 1000},
		peer: func(s *script) {
			s.settings()
			s.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block(":status", "200")})
			for range 20 {
				s.WriteContinuation(1, false, block("x", strings.Repeat("y", 100)))
			}
		},
		want: "settings\nerr cap field block",
		out:  "SETTINGS ack\nGOAWAY 0 ENHANCE_YOUR_CALM",
	},
	{
		name: "a field list that is small only on the wire", streams: 1, opt: FramesOptions{MaxHeaderBytes: 1000},
		peer: func(s *script) {
			s.settings()
			kv := []string{":status", "200"}
			for range 30 {
				kv = append(kv, "accept-ranges", "")
			}
			s.headers(1, false, kv...)
		},
		want: "settings\nerr cap field list",
		out:  "SETTINGS ack\nGOAWAY 0 ENHANCE_YOUR_CALM",
	},
	{
		name: "bad padding in DATA", streams: 1,
		peer: func(s *script) {
			s.settings()
			s.headers(1, false, ":status", "200")
			s.raw(0, 0, 3, 0, 8, 0, 0, 0, 1, 3, 'a', 'b')
		},
		want: "settings\nhead 1 200\nbroken 1 h2/padding\nerr h2/padding",
		out:  "SETTINGS ack\nGOAWAY 0 PROTOCOL_ERROR",
	},
	{
		name: "bad padding in HEADERS", streams: 1,
		peer: func(s *script) {
			s.settings()
			s.raw(0, 0, 2, 1, 0xc, 0, 0, 0, 1, 2, 0x88)
		},
		want: "settings\nbroken 1 h2/padding\nerr h2/padding",
		out:  "SETTINGS ack\nGOAWAY 0 PROTOCOL_ERROR",
	},
	{
		name: "padding that is not zero", streams: 1,
		peer: func(s *script) {
			s.settings()
			s.raw(0, 0, 4, 1, 0xc, 0, 0, 0, 1, 2, 0x88, 0, 9)
			s.raw(0, 0, 4, 0, 9, 0, 0, 0, 1, 2, 'a', 0, 9)
		},
		want: `settings
			broken 1 h2/padding-bytes
			head 1 200
			body 1 a
			broken 1 h2/padding-bytes
			end 1`,
		out: "SETTINGS ack",
	},
	{
		name: "settings out of range: MAX_FRAME_SIZE",
		peer: func(s *script) { s.settings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 100}) },
		want: "broken 0 h2/settings\nerr h2/settings", out: "GOAWAY 0 PROTOCOL_ERROR",
	},
	{
		name: "settings out of range: ENABLE_PUSH",
		peer: func(s *script) { s.settings(http2.Setting{ID: http2.SettingEnablePush, Val: 1}) },
		want: "broken 0 h2/settings\nerr h2/settings", out: "GOAWAY 0 PROTOCOL_ERROR",
	},
	{
		name: "settings out of range: INITIAL_WINDOW_SIZE",
		peer: func(s *script) { s.settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 31}) },
		want: "broken 0 h2/window-overflow\nerr h2/window-overflow", out: "GOAWAY 0 FLOW_CONTROL_ERROR",
	},
	{
		name: "one acknowledgement too many",
		peer: func(s *script) { s.settings(); s.WriteSettingsAck(); s.WriteSettingsAck() },
		want: "settings\nsettings ack\nbroken 0 h2/settings-ack", out: "SETTINGS ack",
	},
	{
		name: "WINDOW_UPDATE of 0", streams: 1,
		peer: func(s *script) { s.settings(); s.WriteWindowUpdate(1, 0); s.headers(1, true, ":status", "200") },
		want: "settings\nbroken 1 h2/window-increment\nhead 1 200\nend 1", out: "SETTINGS ack",
	},
	{
		name: "the connection's window overflows",
		peer: func(s *script) { s.settings(); s.WriteWindowUpdate(0, 1<<31-1) },
		want: "settings\nbroken 0 h2/window-overflow\nerr h2/window-overflow", out: "SETTINGS ack\nGOAWAY 0 FLOW_CONTROL_ERROR",
	},
	{
		name: "a stream's window is overrun", streams: 2, opt: FramesOptions{StreamWindow: 8},
		peer: func(s *script) {
			s.settings()
			s.headers(1, false, ":status", "200")
			s.headers(3, false, ":status", "200")
			s.data(1, false, "123")
			s.data(1, false, "123456")
			s.data(1, true, "123456789")
			s.data(3, true, "12345678")
		},
		want: `settings
			head 1 200
			head 3 200
			body 1 123
			broken 1 h2/stream-window
			reset 1 FLOW_CONTROL_ERROR
			broken 1 h2/closed-stream
			body 3 12345678
			end 3`,
		out: "SETTINGS ack\nRST_STREAM 1 FLOW_CONTROL_ERROR",
	},
	{
		name: "padding counts", streams: 1, opt: FramesOptions{StreamWindow: 8},
		peer: func(s *script) {
			s.settings()
			s.headers(1, false, ":status", "200")
			s.WriteDataPadded(1, false, []byte("12345"), make([]byte, 2))
			s.WriteDataPadded(1, false, []byte("123456"), make([]byte, 2))
		},
		want: `settings
			head 1 200
			body 1 12345
			broken 1 h2/stream-window
			reset 1 FLOW_CONTROL_ERROR`,
		out: "SETTINGS ack\nWINDOW_UPDATE 1 8\nRST_STREAM 1 FLOW_CONTROL_ERROR",
	},
	{
		name: "the connection's window is overrun before its credit is written", streams: 1, opt: FramesOptions{ConnWindow: 65535},
		peer: func(s *script) {
			s.settings()
			s.headers(1, false, ":status", "200")
			for range 4 {
				s.data(1, false, strings.Repeat("x", flow))
			}
		},
		want: "settings\nhead 1 200\n" + strings.Repeat("body 1 "+strings.Repeat("x", flow)+"\n", 3) + "broken 0 h2/connection-window\nerr h2/connection-window",
		out:  "SETTINGS ack\nWINDOW_UPDATE 0 32768\nGOAWAY 0 FLOW_CONTROL_ERROR",
	},
	{
		name: "HPACK that cannot be decoded", streams: 1,
		peer: func(s *script) {
			s.settings()
			s.raw(0, 0, 2, 1, 4, 0, 0, 0, 1, 0x88, 0xbe) // index 62 in a table of 0
		},
		want: "settings\nbroken 1 h2/hpack\nerr h2/hpack",
		out:  "SETTINGS ack\nGOAWAY 0 COMPRESSION_ERROR",
	},
	{
		name: "HPACK cut short", streams: 1,
		peer: func(s *script) {
			s.settings()
			s.raw(0, 0, 3, 1, 4, 0, 0, 0, 1, 0x88, 0x00, 0x05)
		},
		want: "settings\nbroken 1 h2/hpack\nerr h2/hpack",
		out:  "SETTINGS ack\nGOAWAY 0 COMPRESSION_ERROR",
	},
	{
		name: "a table larger than we allow", streams: 1,
		peer: func(s *script) {
			s.settings()
			s.raw(0, 0, 2, 1, 4, 0, 0, 0, 1, 0x21, 0x88)
		},
		want: "settings\nbroken 1 h2/hpack\nerr h2/hpack",
		out:  "SETTINGS ack\nGOAWAY 0 COMPRESSION_ERROR",
	},
	{
		name: "table size updates", streams: 2,
		peer: func(s *script) {
			s.settings()
			s.raw(0, 0, 3, 1, 5, 0, 0, 0, 1, 0x20, 0x20, 0x88)
			s.raw(0, 0, 2, 1, 5, 0, 0, 0, 3, 0x88, 0x20)
		},
		want: "settings\nhead 1 200\nend 1\nbroken 3 h2/table-size\nhead 3 200\nend 3",
		out:  "SETTINGS ack",
	},
	{
		name: "a dynamic table", streams: 2, opt: FramesOptions{HeaderTable: 100},
		peer: func(s *script) {
			s.settings()
			s.raw(0, 0, 6, 1, 5, 0, 0, 0, 1, 0x88, 0x40, 1, 'a', 1, 'b')
			s.raw(0, 0, 2, 1, 5, 0, 0, 0, 3, 0x88, 0xbe)
		},
		want: "settings\nhead 1 200 a=b\nend 1\nhead 3 200 a=b\nend 3",
		out:  "SETTINGS ack",
	},
	{
		name: "frames on a stream that has ended", streams: 2,
		peer: func(s *script) {
			s.settings()
			s.headers(1, true, ":status", "200")
			s.data(1, false, "late")
			s.headers(1, true, "x", "y")
			s.headers(3, true, ":status", "200")
		},
		want: `settings
			head 1 200
			end 1
			broken 1 h2/closed-stream
			broken 1 h2/closed-stream
			head 3 200
			end 3`,
		out: "SETTINGS ack",
	},
	{
		name: "a flood of empty DATA", streams: 1,
		peer: func(s *script) {
			s.settings()
			s.headers(1, false, ":status", "200")
			for range maxIdle + 1 {
				s.data(1, false, "")
			}
		},
		want: "settings\nhead 1 200\nbroken 0 h2/flood\nerr h2/flood",
		out:  "SETTINGS ack\nGOAWAY 0 ENHANCE_YOUR_CALM",
	},
	{
		name: "a flood of interim heads", streams: 1,
		peer: func(s *script) {
			s.settings()
			for range maxIdle + 1 {
				s.raw(0, 0, 5, 1, 4, 0, 0, 0, 1, 0x08, 3, '1', '0', '0')
			}
		},
		want: "settings\n" + strings.Repeat("head 1 100\n", maxIdle) + "broken 0 h2/flood\nerr h2/flood",
		out:  "SETTINGS ack\nGOAWAY 0 ENHANCE_YOUR_CALM",
	},
	{
		name: "DATA before the head", streams: 2,
		peer: func(s *script) {
			s.settings()
			s.data(1, false, "x")
			s.data(3, true, "")
		},
		want: `settings
			broken 1 h2/no-head
			reset 1 PROTOCOL_ERROR
			broken 3 h2/no-head
			reset 3 PROTOCOL_ERROR`,
		out: "SETTINGS ack\nRST_STREAM 1 PROTOCOL_ERROR\nRST_STREAM 3 PROTOCOL_ERROR",
	},
	{
		name: "an interim head that ends the stream", streams: 1,
		peer: func(s *script) { s.settings(); s.headers(1, true, ":status", "103") },
		want: "settings\nhead 1 103\nbroken 1 h2/interim-end\nreset 1 PROTOCOL_ERROR",
		out:  "SETTINGS ack\nRST_STREAM 1 PROTOCOL_ERROR",
	},
	{
		name: "status", streams: 5,
		peer: func(s *script) {
			s.settings()
			s.headers(1, true, "a", "b")
			s.headers(3, true, ":status", "20")
			s.headers(5, true, ":status", "200", ":status", "404")
			s.headers(7, false, ":status", "101")
			s.headers(7, true, ":status", "+20")
			s.headers(9, true, ":status", "999")
		},
		want: `settings
			broken 1 h2/status
			head 1 0 a=b
			end 1
			broken 3 h2/status
			head 3 0
			end 3
			broken 5 h2/status
			head 5 200
			end 5
			broken 7 h2/status
			head 7 101
			broken 7 h2/status
			head 7 0
			end 7
			head 9 999
			end 9`,
		out: "SETTINGS ack",
	},
	{
		name: "field faults", streams: 1,
		peer: func(s *script) {
			s.settings()
			s.headers(1, false, ":path", "/", "Content-Type", "text/html", ":status", "200", "connection", "keep-alive", "keep-alive", "timeout=5",
				"transfer-encoding", "chunked", "a b", "c", "", "d", "e", "f\x00", "g", " h ", "i:j", "k")
			s.data(1, false, "x")
			s.headers(1, true, ":status", "200", "x-sum", "1")
		},
		want: `settings
			broken 1 h2/pseudo
			broken 1 h2/field-case
			broken 1 h2/pseudo-order
			broken 1 h2/connection-headers
			broken 1 h2/connection-headers
			broken 1 h2/connection-headers
			broken 1 h2/field-name
			broken 1 h2/field-name
			broken 1 h2/field-value
			broken 1 h2/field-value
			broken 1 h2/field-name
			head 1 200 :path=/ Content-Type=text/html connection=keep-alive keep-alive=timeout=5 transfer-encoding=chunked a b=c =d e=f` + "\x00" + ` g=h i:j=k
			body 1 x
			broken 1 h2/pseudo
			trailer 1 :status=200 x-sum=1
			end 1`,
		out: "SETTINGS ack",
	},
	{
		name: "content-length", streams: 6,
		peer: func(s *script) {
			s.settings()
			s.headers(1, false, ":status", "200", "content-length", "3")
			s.data(1, true, "abc")
			s.headers(3, false, ":status", "200", "content-length", "3")
			s.data(3, true, "ab")
			s.headers(5, false, ":status", "200", "content-length", "3")
			s.data(5, false, "abcd")
			s.data(5, true, "e")
			s.headers(7, true, ":status", "200", "content-length", "3")
			s.headers(9, true, ":status", "200", "content-length", "x", "content-length", "0", "content-length", "-1")
			s.headers(11, true, ":status", "304", "content-length", "3")
		},
		want: `settings
			head 1 200 content-length=3
			body 1 abc
			end 1
			head 3 200 content-length=3
			body 3 ab
			broken 3 h2/content-length
			end 3
			head 5 200 content-length=3
			broken 5 h2/content-length
			body 5 abcd
			body 5 e
			end 5
			head 7 200 content-length=3
			broken 7 h2/content-length
			end 7
			broken 9 h2/content-length
			broken 9 h2/content-length
			head 9 200 content-length=x content-length=0 content-length=-1
			end 9
			head 11 304 content-length=3
			end 11`,
		out: "SETTINGS ack",
	},
	{
		name: "HEADERS in the middle", streams: 1,
		peer: func(s *script) {
			s.settings()
			s.headers(1, false, ":status", "200")
			s.headers(1, false, "a", "b")
			s.data(1, true, "x")
		},
		want: `settings
			head 1 200
			broken 1 h2/trailers
			trailer 1 a=b
			body 1 x
			end 1`,
		out: "SETTINGS ack",
	},
}

// wrongLength is a peer that sends one frame of that type and length after its SETTINGS.
func wrongLength(kind http2.FrameType, stream uint32, n int) func(s *script) {
	return func(s *script) {
		s.settings()
		s.WriteRawFrame(kind, 0, stream, make([]byte, n))
	}
}
