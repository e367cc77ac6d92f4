package wire

// Frames is the client side of one HTTP/2 connection (RFC 9113): frames and streams,
// flow control in both directions, HPACK by x/net; no I/O. Feed it what was read with Next, write what Out holds.
// A stream costs at most 8 bytes in its table.
type Frames struct{ _ int }

// FramesOptions are what we declare; the zero value is a sensible client.
type FramesOptions struct {
	StreamWindow   uint32 // SETTINGS_INITIAL_WINDOW_SIZE; 0: 1 MiB
	ConnWindow     uint32 // connection window raised to this right after the preface; 0: 16 MiB
	HeaderTable    uint32 // SETTINGS_HEADER_TABLE_SIZE; 0 removes HPACK state
	MaxHeaderBytes uint32 // cap on one header block; 0: 64 KiB
	ManualWindow   bool   // no automatic WINDOW_UPDATE: the caller calls Credit
}

// PeerSettings is what the peer declared, with the defaults of RFC 9113 6.5.2 before its SETTINGS came.
type PeerSettings struct {
	Seen                 bool
	MaxConcurrentStreams uint32 // math.MaxUint32 where not declared
	InitialWindowSize    uint32
	MaxFrameSize         uint32
	HeaderTableSize      uint32
	MaxHeaderListSize    uint32
}

// NewFrames starts a connection: Out holds the preface, SETTINGS and the WINDOW_UPDATE.
func NewFrames(o FramesOptions) *Frames { panic("pending") }

// Next consumes bytes of in until one item is known or in is used up.
func (f *Frames) Next(in []byte, it *Item) (n int, err error) { panic("pending") }

// EOF tells that the peer closed the connection: one Broken or Reset-like item for each open stream, then None.
func (f *Frames) EOF(it *Item) error { panic("pending") }

// Out returns the bytes that wait to be written; Wrote tells how many of them went out.
func (f *Frames) Out() []byte { panic("pending") }

// Wrote drops n bytes from the front of Out.
func (f *Frames) Wrote(n int) { panic("pending") }

// Open queues a request on a new stream. Errors: ErrStreamLimit (the peer's
// MAX_CONCURRENT_STREAMS is reached), ErrGoingAway, ErrStreamIDs (ids used up).
func (f *Frames) Open(r *Request) (stream uint32, err error) { panic("pending") }

// Cancel queues RST_STREAM with code for stream.
func (f *Frames) Cancel(stream uint32, code uint32) { panic("pending") }

// Credit queues WINDOW_UPDATE for stream (0: the connection); for ManualWindow.
func (f *Frames) Credit(stream uint32, n uint32) { panic("pending") }

// Ping queues a PING.
func (f *Frames) Ping(data [8]byte) { panic("pending") }

// Peer returns the peer's settings.
func (f *Frames) Peer() PeerSettings { panic("pending") }

// Active is the number of streams that are open.
func (f *Frames) Active() int { panic("pending") }
