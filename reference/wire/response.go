package wire

// Response is the HTTP/1.1 response reader: a small value (at most 40 bytes; with an sse.Decoder 64), fed bytes.
// It reports interim heads, the final head, content, trailers and the end, and every breach of RFC 9112 beside them.
// The zero value reads the answer to a GET.
type Response struct{ _ [5]uint64 }

// ToHead tells the reader that it reads the answer to a HEAD request: no content follows whatever the fields say.
func (r *Response) ToHead() { panic("pending") }

// Next consumes bytes of in until one item is known or in is used up (it.Kind is None then).
// It returns how many bytes it consumed. Call it until in is used up AND it returns None.
// Bytes after the end of the message are not consumed. err is non-nil where reading cannot go on.
func (r *Response) Next(in []byte, it *Item) (n int, err error) { panic("pending") }

// EOF tells the reader that the peer closed its side. Items are End (a close-delimited body) or Broken (cut short); None when there is nothing to say.
func (r *Response) EOF(it *Item) error { panic("pending") }

// Done tells whether the message is complete.
func (r *Response) Done() bool { panic("pending") }
