package wire

import (
	"errors"
	"fmt"
	"strconv"
)

// ErrCode is an HTTP/2 error code (RFC 9113 7), as RST_STREAM and GOAWAY carry it.
type ErrCode uint32

// The error codes of RFC 9113 7.
const (
	CodeNo                 ErrCode = 0x0
	CodeProtocol           ErrCode = 0x1
	CodeInternal           ErrCode = 0x2
	CodeFlowControl        ErrCode = 0x3
	CodeSettingsTimeout    ErrCode = 0x4
	CodeStreamClosed       ErrCode = 0x5
	CodeFrameSize          ErrCode = 0x6
	CodeRefusedStream      ErrCode = 0x7
	CodeCancel             ErrCode = 0x8
	CodeCompression        ErrCode = 0x9
	CodeConnect            ErrCode = 0xa
	CodeEnhanceYourCalm    ErrCode = 0xb
	CodeInadequateSecurity ErrCode = 0xc
	CodeHTTP11Required     ErrCode = 0xd
)

var codeNames = [...]string{
	"NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED", "FRAME_SIZE_ERROR",
	"REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
}

// String gives the name the RFC gives, or the number in hexadecimal for a code nobody registered.
func (c ErrCode) String() string {
	if int(c) < len(codeNames) {
		return codeNames[c]
	}
	return "0x" + strconv.FormatUint(uint64(c), 16)
}

// Why [Frames.Open] opens no stream.
var (
	// ErrStreamLimit: as many streams are open as the peer's SETTINGS_MAX_CONCURRENT_STREAMS allows (100 before its SETTINGS came). Wait for one to end.
	ErrStreamLimit = errors.New("the peer's limit of concurrent streams is reached")
	// ErrGoingAway: the peer sent GOAWAY. The error is a *GoAwayError, which matches this one.
	ErrGoingAway = errors.New("the peer is going away")
	// ErrStreamIDs: the connection has used up its 2^30 stream ids. Open another connection.
	ErrStreamIDs = errors.New("the stream ids of the connection are used up")
)

// ResetError tells that a stream ended by RST_STREAM.
type ResetError struct{ Code ErrCode }

func (e *ResetError) Error() string { return "stream reset: " + e.Code.String() }

// GoAwayError tells that the peer ended the connection with GOAWAY. It matches [ErrGoingAway].
type GoAwayError struct {
	Last  uint32 // the last stream the peer may have acted on
	Code  ErrCode
	Debug string // the peer's words, raw, cut at 1024 bytes
}

func (e *GoAwayError) Error() string {
	s := fmt.Sprintf("GOAWAY %s, last stream %d", e.Code, e.Last)
	if e.Debug != "" {
		s += ": " + quoteBytes(e.Debug)
	}
	return s
}

// Is makes every GoAwayError match ErrGoingAway.
func (e *GoAwayError) Is(target error) bool { return target == ErrGoingAway }

// The faults that [Frames] reports. What follows a fault is in the table below: "goes on" means that the message is reported as it was
// meant, beside the fault; "stream" that RST_STREAM was queued and a Reset item follows; "connection" that
// GOAWAY was queued and Next returns the fault as its error.
const (
	FaultH2Preface      FaultCode = "h2/preface"            // connection: the peer's first frame is no SETTINGS (an HTTP/1.1 answer, TLS, silence)
	FaultH2FrameSize    FaultCode = "h2/frame-size"         // connection: longer than we allow, or not the length of its type
	FaultH2StreamID     FaultCode = "h2/stream-id"          // connection: a stream frame on stream 0, or a connection frame on a stream
	FaultH2Idle         FaultCode = "h2/idle-stream"        // connection: a frame on a stream nobody opened
	FaultH2Closed       FaultCode = "h2/closed-stream"      // goes on: DATA or HEADERS on a stream that has ended
	FaultH2Padding      FaultCode = "h2/padding"            // connection: padding as long as the payload or longer
	FaultH2PaddingBytes FaultCode = "h2/padding-bytes"      // goes on: padding that is not zero
	FaultH2Settings     FaultCode = "h2/settings"           // connection: a value outside its range
	FaultH2SettingsAck  FaultCode = "h2/settings-ack"       // goes on: an acknowledgement of nothing
	FaultH2StreamWindow FaultCode = "h2/stream-window"      // stream: more DATA than the stream's window
	FaultH2ConnWindow   FaultCode = "h2/connection-window"  // connection: more DATA than the connection's window
	FaultH2Increment    FaultCode = "h2/window-increment"   // goes on: WINDOW_UPDATE of 0
	FaultH2Overflow     FaultCode = "h2/window-overflow"    // stream (connection on stream 0): WINDOW_UPDATE or SETTINGS beyond 2^31-1
	FaultH2HPACK        FaultCode = "h2/hpack"              // connection: a field block that cannot be decoded
	FaultH2TableSize    FaultCode = "h2/table-size"         // goes on: a dynamic table size update after the beginning of a field block
	FaultH2Continuation FaultCode = "h2/continuation"       // connection: another frame inside a field block, or CONTINUATION outside of one
	FaultH2Push         FaultCode = "h2/push"               // connection: PUSH_PROMISE though we declared ENABLE_PUSH 0
	FaultH2GoAway       FaultCode = "h2/goaway-last"        // goes on: a later GOAWAY that raises the last stream id
	FaultH2Flood        FaultCode = "h2/flood"              // connection: 1000 frames in a row that carry nothing
	FaultH2NoHead       FaultCode = "h2/no-head"            // stream: DATA, or the end, before a final head
	FaultH2InterimEnd   FaultCode = "h2/interim-end"        // stream: a 1xx head that ends the stream
	FaultH2Status       FaultCode = "h2/status"             // goes on: :status missing (Head.Status is 0), twice, not three digits, or 101
	FaultH2Pseudo       FaultCode = "h2/pseudo"             // goes on: a pseudo-field other than :status, or any in trailers
	FaultH2PseudoOrder  FaultCode = "h2/pseudo-order"       // goes on: a pseudo-field after a regular field
	FaultH2FieldCase    FaultCode = "h2/field-case"         // goes on: an upper-case letter in a field name
	FaultH2FieldName    FaultCode = "h2/field-name"         // goes on: a byte in a field name that is none of a token, or an empty name
	FaultH2FieldValue   FaultCode = "h2/field-value"        // goes on: NUL, CR or LF in a value, or white space around it
	FaultH2Connection   FaultCode = "h2/connection-headers" // goes on: a connection-specific field
	FaultH2Length       FaultCode = "h2/content-length"     // goes on: a Content-Length that is no number, contradicts another or the DATA that came
	FaultH2Trailers     FaultCode = "h2/trailers"           // goes on: HEADERS after the final head without END_STREAM
	FaultH2Truncated    FaultCode = "h2/truncated"          // the connection ended inside a frame or a field block
	FaultH2Incomplete   FaultCode = "h2/incomplete"         // the connection ended before END_STREAM
)

// scope says what a fault ends.
type scope uint8

const (
	goesOn scope = iota
	endsStream
	endsConnection
)

// frameFaults says of each fault what it breaches, what it ends, and with which code we say so to the peer.
var frameFaults = map[FaultCode]struct {
	clause string
	ends   scope
	code   ErrCode
}{
	FaultH2Preface:      {"RFC 9113 3.4", endsConnection, CodeProtocol},
	FaultH2FrameSize:    {"RFC 9113 4.2", endsConnection, CodeFrameSize},
	FaultH2StreamID:     {"RFC 9113 6", endsConnection, CodeProtocol},
	FaultH2Idle:         {"RFC 9113 5.1", endsConnection, CodeProtocol},
	FaultH2Closed:       {"RFC 9113 5.1", goesOn, CodeStreamClosed},
	FaultH2Padding:      {"RFC 9113 6.1", endsConnection, CodeProtocol},
	FaultH2PaddingBytes: {"RFC 9113 6.1", goesOn, CodeProtocol},
	FaultH2Settings:     {"RFC 9113 6.5.2", endsConnection, CodeProtocol},
	FaultH2SettingsAck:  {"RFC 9113 6.5.3", goesOn, CodeProtocol},
	FaultH2StreamWindow: {"RFC 9113 6.9.1", endsStream, CodeFlowControl},
	FaultH2ConnWindow:   {"RFC 9113 6.9.1", endsConnection, CodeFlowControl},
	FaultH2Increment:    {"RFC 9113 6.9", goesOn, CodeProtocol},
	FaultH2Overflow:     {"RFC 9113 6.9.1", endsStream, CodeFlowControl},
	FaultH2HPACK:        {"RFC 9113 4.3", endsConnection, CodeCompression},
	FaultH2TableSize:    {"RFC 7541 4.2", goesOn, CodeCompression},
	FaultH2Continuation: {"RFC 9113 6.10", endsConnection, CodeProtocol},
	FaultH2Push:         {"RFC 9113 8.4", endsConnection, CodeProtocol},
	FaultH2GoAway:       {"RFC 9113 6.8", goesOn, CodeProtocol},
	FaultH2Flood:        {"RFC 9113 10.5", endsConnection, CodeEnhanceYourCalm},
	FaultH2NoHead:       {"RFC 9113 8.1", endsStream, CodeProtocol},
	FaultH2InterimEnd:   {"RFC 9113 8.1", endsStream, CodeProtocol},
	FaultH2Status:       {"RFC 9113 8.3.2", goesOn, CodeProtocol},
	FaultH2Pseudo:       {"RFC 9113 8.3", goesOn, CodeProtocol},
	FaultH2PseudoOrder:  {"RFC 9113 8.3", goesOn, CodeProtocol},
	FaultH2FieldCase:    {"RFC 9113 8.2.1", goesOn, CodeProtocol},
	FaultH2FieldName:    {"RFC 9113 8.2.1", goesOn, CodeProtocol},
	FaultH2FieldValue:   {"RFC 9113 8.2.1", goesOn, CodeProtocol},
	FaultH2Connection:   {"RFC 9113 8.2.2", goesOn, CodeProtocol},
	FaultH2Length:       {"RFC 9113 8.1.1", goesOn, CodeProtocol},
	FaultH2Trailers:     {"RFC 9113 8.1", goesOn, CodeProtocol},
	FaultH2Truncated:    {"RFC 9113 4.1", goesOn, CodeProtocol},
	FaultH2Incomplete:   {"RFC 9113 8.1", goesOn, CodeProtocol},
}

// fault reports a breach in the frame at hand.
func (f *Frames) fault(it *Item, code FaultCode, stream uint32, detail string) {
	f.faultAt(it, code, stream, f.frameAt, int(f.off-f.frameAt), detail)
}

// faultAt reports a breach at a place, and does to the stream or the connection what the breach demands.
func (f *Frames) faultAt(it *Item, code FaultCode, stream uint32, offset int64, length int, detail string) {
	if f.err != nil {
		return
	}
	row := frameFaults[code]
	flt := Fault{Code: code, Stream: stream, Offset: offset, Length: length, Detail: detail, Clause: row.clause}
	f.emit(it, Item{Kind: Broken, Stream: stream, Offset: offset, Fault: flt})
	switch {
	case row.ends == endsConnection, row.ends == endsStream && stream == 0:
		f.stop(&flt, row.code)
	case row.ends == endsStream:
		f.Cancel(stream, row.code)
		f.emit(it, Item{Kind: Reset, Stream: stream, Code: uint32(row.code), Offset: offset})
	}
}

// stop ends the connection: GOAWAY tells the peer why, err tells the caller, after the items that are still queued.
func (f *Frames) stop(err error, code ErrCode) {
	if f.err != nil {
		return
	}
	f.GoAway(code)
	f.err = err
	f.state = readNothing
	f.uploads, f.buf, f.block = nil, nil, nil
}

// quoteBytes shows bytes of the peer on one line, escaped, cut at 80.
func quoteBytes(s string) string {
	if len(s) > 80 {
		return strconv.QuoteToASCII(s[:80]) + "..."
	}
	return strconv.QuoteToASCII(s)
}
