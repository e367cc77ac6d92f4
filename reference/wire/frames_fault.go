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
		s += ": " + quote(e.Debug)
	}
	return s
}

// Is makes every GoAwayError match ErrGoingAway.
func (e *GoAwayError) Is(target error) bool { return target == ErrGoingAway }

// What a peer can do wrong on an HTTP/2 connection. [FrameFaults] says of each what it is, where it is ruled and what follows.
const (
	FaultH2Preface      FaultCode = "h2/preface"
	FaultH2FrameSize    FaultCode = "h2/frame-size"
	FaultH2StreamID     FaultCode = "h2/stream-id"
	FaultH2Idle         FaultCode = "h2/idle-stream"
	FaultH2Closed       FaultCode = "h2/closed-stream"
	FaultH2Padding      FaultCode = "h2/padding"
	FaultH2PaddingBytes FaultCode = "h2/padding-bytes"
	FaultH2Settings     FaultCode = "h2/settings"
	FaultH2SettingsAck  FaultCode = "h2/settings-ack"
	FaultH2StreamWindow FaultCode = "h2/stream-window"
	FaultH2ConnWindow   FaultCode = "h2/connection-window"
	FaultH2Increment    FaultCode = "h2/window-increment"
	FaultH2Overflow     FaultCode = "h2/window-overflow"
	FaultH2HPACK        FaultCode = "h2/hpack"
	FaultH2TableSize    FaultCode = "h2/table-size"
	FaultH2Continuation FaultCode = "h2/continuation"
	FaultH2Push         FaultCode = "h2/push"
	FaultH2GoAway       FaultCode = "h2/goaway-last"
	FaultH2Flood        FaultCode = "h2/flood"
	FaultH2NoHead       FaultCode = "h2/no-head"
	FaultH2InterimEnd   FaultCode = "h2/interim-end"
	FaultH2Status       FaultCode = "h2/status"
	FaultH2Pseudo       FaultCode = "h2/pseudo"
	FaultH2PseudoOrder  FaultCode = "h2/pseudo-order"
	FaultH2FieldCase    FaultCode = "h2/field-case"
	FaultH2FieldName    FaultCode = "h2/field-name"
	FaultH2FieldValue   FaultCode = "h2/field-value"
	FaultH2Connection   FaultCode = "h2/connection-headers"
	FaultH2Length       FaultCode = "h2/content-length"
	FaultH2Trailers     FaultCode = "h2/trailers"
	FaultH2Truncated    FaultCode = "h2/truncated"
	FaultH2Incomplete   FaultCode = "h2/incomplete"
)

// FrameFaults lists every fault that [Frames] reports. After a fatal one GOAWAY is queued and Next returns the fault as its error;
// where it says that the stream is reset, RST_STREAM is queued and a Reset item follows; otherwise what came is reported as it was meant.
var FrameFaults = []FaultDef{
	{FaultH2Preface, true, "RFC 9113 3.4", "the peer's first frame is no SETTINGS: an HTTP/1.1 answer, TLS, or silence"},
	{FaultH2FrameSize, true, "RFC 9113 4.2", "a frame longer than we allow, or not of the length its type demands"},
	{FaultH2StreamID, true, "RFC 9113 6", "a frame of a stream on stream 0, or a frame of the connection on a stream"},
	{FaultH2Idle, true, "RFC 9113 5.1", "a frame on a stream that was never opened"},
	{FaultH2Closed, false, "RFC 9113 5.1", "DATA or HEADERS on a stream that has ended; dropped"},
	{FaultH2Padding, true, "RFC 9113 6.1", "padding as long as the payload or longer"},
	{FaultH2PaddingBytes, false, "RFC 9113 6.1", "padding that is not all zero; dropped like any"},
	{FaultH2Settings, true, "RFC 9113 6.5.2", "a setting outside its range"},
	{FaultH2SettingsAck, false, "RFC 9113 6.5.3", "an acknowledgement of SETTINGS that were not sent; ignored"},
	{FaultH2StreamWindow, false, "RFC 9113 6.9.1", "more DATA than the window of the stream allows; the stream is reset"},
	{FaultH2ConnWindow, true, "RFC 9113 6.9.1", "more DATA than the window of the connection allows"},
	{FaultH2Increment, false, "RFC 9113 6.9", "WINDOW_UPDATE of 0; ignored"},
	{FaultH2Overflow, false, "RFC 9113 6.9.1", "a window taken beyond 2^31-1; the stream is reset, on stream 0 the connection ends"},
	{FaultH2HPACK, true, "RFC 9113 4.3", "a field block that cannot be decoded"},
	{FaultH2TableSize, false, "RFC 9113 4.3", "a dynamic table size update behind a field of its block (RFC 7541 4.2); it counts all the same"},
	{FaultH2Continuation, true, "RFC 9113 6.10", "another frame within a field block, or CONTINUATION outside of one"},
	{FaultH2Push, true, "RFC 9113 8.4", "PUSH_PROMISE though our SETTINGS forbid push"},
	{FaultH2GoAway, false, "RFC 9113 6.8", "a later GOAWAY that raises the last stream id; the lower one counts"},
	{FaultH2Flood, true, "RFC 9113 10.5", "ten thousand frames in a row that carry nothing, or a field block in hundreds of pieces"},
	{FaultH2NoHead, false, "RFC 9113 8.1", "DATA, or the end of the stream, before a final head; the stream is reset"},
	{FaultH2InterimEnd, false, "RFC 9113 8.1", "a 1xx head that ends the stream; the stream is reset"},
	{FaultH2Status, false, "RFC 9113 8.3.2", ":status that is missing or not three digits (Head.Status is 0 then), stands twice, or is 101"},
	{FaultH2Pseudo, false, "RFC 9113 8.3", "a pseudo-field other than :status, or any in trailers; kept among the fields"},
	{FaultH2PseudoOrder, false, "RFC 9113 8.3", "a pseudo-field after a regular field; taken all the same"},
	{FaultH2FieldCase, false, "RFC 9113 8.2.1", "an upper-case letter in a field name; kept as it is"},
	{FaultH2FieldName, false, "RFC 9113 8.2.1", "a field name that is empty or no token; kept as it is"},
	{FaultH2FieldValue, false, "RFC 9113 8.2.1", "control bytes in a field value, or white space around it; kept, but for the space around it"},
	{FaultH2Connection, false, "RFC 9113 8.2.2", "a connection-specific field: Connection, Keep-Alive, Proxy-Connection, Transfer-Encoding, Upgrade; kept"},
	{FaultH2Length, false, "RFC 9113 8.1.1", "a Content-Length that is no number, contradicts another, or contradicts the DATA that came"},
	{FaultH2Trailers, false, "RFC 9113 8.1", "HEADERS after the final head without END_STREAM; read as trailers, the stream goes on"},
	{FaultH2Truncated, false, "RFC 9113 4.1", "the connection ended within a frame or a field block"},
	{FaultH2Incomplete, false, "RFC 9113 8.1", "the connection ended before END_STREAM; one for each open stream"},
}

// frameFaults finds them.
var frameFaults = func() map[FaultCode]*FaultDef {
	m := make(map[FaultCode]*FaultDef, len(FrameFaults))
	for i := range FrameFaults {
		m[FrameFaults[i].Code] = &FrameFaults[i]
	}
	return m
}()

// endsStream tells of the faults after which a stream is reset.
func endsStream(code FaultCode) bool {
	return code == FaultH2StreamWindow || code == FaultH2Overflow || code == FaultH2NoHead || code == FaultH2InterimEnd
}

// codeOf is what we tell the peer.
func codeOf(code FaultCode) ErrCode {
	switch code {
	case FaultH2FrameSize:
		return CodeFrameSize
	case FaultH2StreamWindow, FaultH2ConnWindow, FaultH2Overflow:
		return CodeFlowControl
	case FaultH2HPACK:
		return CodeCompression
	case FaultH2Flood:
		return CodeEnhanceYourCalm
	}
	return CodeProtocol
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
	def := frameFaults[code]
	flt := Fault{Code: code, Stream: stream, Offset: offset, Length: length, Detail: detail, Clause: def.Clause}
	f.emit(it, Item{Kind: Broken, Stream: stream, Offset: offset, Fault: flt})
	switch {
	case def.Fatal, endsStream(code) && stream == 0:
		f.stop(&flt, codeOf(code))
	case endsStream(code):
		f.Cancel(stream, codeOf(code))
		f.emit(it, Item{Kind: Reset, Stream: stream, Code: uint32(codeOf(code)), Offset: offset})
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
