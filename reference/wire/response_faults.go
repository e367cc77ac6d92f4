package wire

import (
	"errors"
	"fmt"
	"io"
	"strconv"
)

// ErrNoResponse is wrapped where the peer closed the connection without a single byte of a response.
var ErrNoResponse = errors.New("connection closed without a response")

// What a peer can do wrong in an HTTP/1.1 response. [ResponseFaults] says of each what it is, where it is ruled and whether
// reading goes on.
const (
	FaultStatusLine       FaultCode = "h1/status-line"
	FaultStatusVersion    FaultCode = "h1/status-version"
	FaultStatusSpacing    FaultCode = "h1/status-spacing"
	FaultStatusNoSpace    FaultCode = "h1/status-no-space"
	FaultStatusCode       FaultCode = "h1/status-code"
	FaultReason           FaultCode = "h1/reason"
	FaultBareLF           FaultCode = "h1/bare-lf"
	FaultLoneCR           FaultCode = "h1/lone-cr"
	FaultObsFold          FaultCode = "h1/obs-fold"
	FaultFirstSpace       FaultCode = "h1/first-line-space"
	FaultNoColon          FaultCode = "h1/no-colon"
	FaultSpaceColon       FaultCode = "h1/space-before-colon"
	FaultFieldName        FaultCode = "h1/field-name"
	FaultFieldValue       FaultCode = "h1/field-value"
	FaultTEAndCL          FaultCode = "h1/te-and-cl"
	FaultTENotLast        FaultCode = "h1/te-chunked-not-last"
	FaultTERepeated       FaultCode = "h1/te-chunked-repeated"
	FaultTECoding         FaultCode = "h1/te-coding"
	FaultTEHTTP10         FaultCode = "h1/te-http10"
	FaultTEForbidden      FaultCode = "h1/te-forbidden"
	FaultCLForbidden      FaultCode = "h1/cl-forbidden"
	FaultCLRepeated       FaultCode = "h1/cl-repeated"
	FaultCLConflict       FaultCode = "h1/cl-conflict"
	FaultCLInvalid        FaultCode = "h1/cl-invalid"
	FaultSwitching        FaultCode = "h1/switching-protocols"
	FaultInterimHTTP10    FaultCode = "h1/interim-http10"
	FaultChunkSize        FaultCode = "h1/chunk-size"
	FaultChunkPadding     FaultCode = "h1/chunk-padding"
	FaultChunkEnd         FaultCode = "h1/chunk-end"
	FaultTrailerField     FaultCode = "h1/trailer-field"
	FaultTrailerCut       FaultCode = "h1/trailer-cut"
	FaultAfterEnd         FaultCode = "h1/after-end"
	FaultContentForbidden FaultCode = "h1/content-forbidden"
	FaultNoResponse       FaultCode = "h1/no-response"
	FaultHeadCut          FaultCode = "h1/head-cut"
	FaultBodyCut          FaultCode = "h1/body-cut"
)

// FaultNoCloseNotify is reported by the driver: over TLS the end of the connection cut off a message that has no length
// of its own (RFC 9112 9.8), which anyone on the path could do. It is fatal.
const FaultNoCloseNotify FaultCode = "tls/no-close-notify"

// FaultDef describes a [FaultCode].
type FaultDef struct {
	Code   FaultCode
	Fatal  bool // reading cannot go on
	Clause string
	Means  string // what the peer did, and how the reader goes on
}

// ResponseFaults lists every fault that a [Response] reports.
var ResponseFaults = []FaultDef{
	{FaultStatusLine, true, "RFC 9112 4", "the first line is no status line: not \"HTTP/\", no version, or no code of three digits"},
	{FaultStatusVersion, false, "RFC 9112 2.3", "a version other than HTTP/1.0 and HTTP/1.1; read as HTTP/1.1"},
	{FaultStatusSpacing, false, "RFC 9112 4", "other white space than single spaces around the status code"},
	{FaultStatusNoSpace, false, "RFC 9112 4", "no space after the status code; the reason phrase may be empty, its space may not be missing"},
	{FaultStatusCode, false, "RFC 9110 15", "a status code outside 100 to 599"},
	{FaultReason, false, "RFC 9112 4", "control bytes in the reason phrase"},
	{FaultBareLF, false, "RFC 9112 2.2", "lines that end in LF without CR; read as line endings"},
	{FaultLoneCR, false, "RFC 9112 2.2", "a CR without LF within a line; kept as it is"},
	{FaultObsFold, false, "RFC 9112 5.2", "a field value continued on the next line; joined by one space"},
	{FaultFirstSpace, false, "RFC 9112 2.2", "white space between the status line and the first field; that line is ignored"},
	{FaultNoColon, false, "RFC 9112 5", "a field line without a colon; ignored"},
	{FaultSpaceColon, false, "RFC 9112 5.1", "white space between field name and colon; the name is taken without it"},
	{FaultFieldName, false, "RFC 9110 5.1", "a field name that is empty or no token; kept as it is"},
	{FaultFieldValue, false, "RFC 9110 5.5", "control bytes in a field value; kept as they are"},
	{FaultTEAndCL, false, "RFC 9112 6.2", "Transfer-Encoding together with Content-Length; Transfer-Encoding counts"},
	{FaultTENotLast, false, "RFC 9112 6.1", "chunked is not the last transfer coding; content runs to the end of the connection"},
	{FaultTERepeated, false, "RFC 9112 6.1", "chunked applied more than once; one layer is removed"},
	{FaultTECoding, false, "RFC 9112 7", "a transfer coding that the request did not offer; content is left in it"},
	{FaultTEHTTP10, false, "RFC 9112 6.1", "Transfer-Encoding in an HTTP/1.0 response or to an HTTP/1.0 request; it counts all the same"},
	{FaultTEForbidden, false, "RFC 9112 6.1", "Transfer-Encoding in a 1xx or 204 response; ignored"},
	{FaultCLForbidden, false, "RFC 9110 8.6", "Content-Length in a 1xx or 204 response; ignored"},
	{FaultCLRepeated, false, "RFC 9110 8.6", "the same Content-Length several times; taken once"},
	{FaultCLConflict, true, "RFC 9112 6.3", "Content-Length values that differ"},
	{FaultCLInvalid, true, "RFC 9112 6.3", "a Content-Length that is not a decimal number; where no content follows anyway reading goes on"},
	{FaultSwitching, true, "RFC 9110 15.2.2", "101 Switching Protocols without an Upgrade in the request"},
	{FaultInterimHTTP10, false, "RFC 9110 15.2", "a 1xx head in the answer to an HTTP/1.0 request; read as one all the same"},
	{FaultChunkSize, true, "RFC 9112 7.1", "a chunk-size line that is none: not hexadecimal, too large, or a lone CR in it"},
	{FaultChunkPadding, false, "RFC 9112 7.1", "white space after the chunk size; ignored"},
	{FaultChunkEnd, true, "RFC 9112 7.1", "chunk data that is not followed by CRLF"},
	{FaultTrailerField, false, "RFC 9110 6.5.1", "a trailer field for framing, which has no meaning there; ignored"},
	{FaultTrailerCut, false, "RFC 9112 7.1", "the connection ended after the last chunk, before the empty line; content is complete"},
	{FaultAfterEnd, false, "RFC 9112 6.3", "bytes after the end of the message, not asked for; not consumed"},
	{FaultContentForbidden, false, "RFC 9112 6.3", "content where none may be: after the head that answers HEAD, or of 204 or 304; not consumed"},
	{FaultNoResponse, true, "RFC 9112 9.6", "the connection ended before the first byte of a response"},
	{FaultHeadCut, true, "RFC 9112 8", "the connection ended within a head"},
	{FaultBodyCut, true, "RFC 9112 8", "the connection ended before the declared end of the content"},
}

// Unwrap gives io.ErrUnexpectedEOF for messages cut short and [ErrNoResponse] where nothing came.
func (f *Fault) Unwrap() error {
	switch f.Code {
	case FaultHeadCut, FaultBodyCut, FaultNoCloseNotify, FaultH2Truncated, FaultH2Incomplete:
		return io.ErrUnexpectedEOF
	case FaultNoResponse:
		return ErrNoResponse
	}
	return nil
}

func clauseOf(code FaultCode) string {
	if code == FaultNoCloseNotify {
		return "RFC 9112 9.8"
	}
	for i := range ResponseFaults {
		if ResponseFaults[i].Code == code {
			return ResponseFaults[i].Clause
		}
	}
	return ""
}

func newFault(code FaultCode, off int64, length int, format string, args ...any) Fault {
	return Fault{Code: code, Offset: off, Length: length, Detail: fmt.Sprintf(format, args...), Clause: clauseOf(code)}
}

// quote shows hostile bytes: escaped, and not more of them than a line bears.
func quote(s string) string {
	if len(s) > 48 {
		return strconv.QuoteToASCII(s[:48]) + "..."
	}
	return strconv.QuoteToASCII(s)
}

func quoteByte(b byte) string { return quote(string([]byte{b})) }
