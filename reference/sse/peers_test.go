package sse

import (
	"fmt"
	"io"
	"strings"
	"testing"

	ld "github.com/launchdarkly/eventsource"
	tmaxmax "github.com/tmaxmax/go-sse"
)

// peerEvent is what every implementation can tell of an event.
type peerEvent struct{ Type, Data, ID string }

// peer is another implementation, with every way in which it is known to read a
// stream otherwise than the standard. FuzzPeers holds it to the decoder's events on all other streams.
type peer struct {
	name       string
	read       func(io.Reader) []peerEvent
	deviations []deviation
}

// deviation is one such way. Its proof is a stream on which the peer still shows it.
type deviation struct {
	name  string
	holds func(*shape) bool // the stream may be read otherwise
	proof string
	reads []peerEvent                   // what the peer makes of it
	via   func(stream string) io.Reader // how it is read, if not in one piece
}

var peers = []peer{
	{"tmaxmax/go-sse v0.11.0", readGoSSE, []deviation{
		{
			// 9.2.6 dispatch, step 2: an empty data buffer fires nothing.
			name:  "fires a block that has an id or an event field and no data",
			holds: func(s *shape) bool { return s.blockWithout(LineData, LineID, LineEvent) },
			proof: "event: ping\n\nid: 1\n\n",
			reads: []peerEvent{{"ping", "", ""}, {"", "", "1"}},
		},
		{
			// 9.2.6: "if the file ends in the middle of an event, before the final empty line, the incomplete event is not dispatched".
			name:  "fires an incomplete block at the end if its last line is complete",
			holds: func(s *shape) bool { return !s.inLine && s.tail&(1<<LineData|1<<LineEvent|1<<LineID) != 0 },
			proof: "data: partial\n",
			reads: []peerEvent{{"", "partial", ""}},
		},
		{
			// 9.2.5: stream = [ bom ] *event.
			name: "strips a byte order mark behind leading blank lines",
			holds: func(s *shape) bool {
				return strings.HasPrefix(strings.TrimLeft(s.stream, "\r\n"), bom) && s.stream[0] != bom[0]
			},
			proof: "\n\uFEFFdata: x\n\n",
			reads: []peerEvent{{"", "x", ""}},
		},
	}},
	{"launchdarkly/eventsource v1.11.0", readLD, []deviation{
		{
			// 9.2.6 dispatch, step 2. Unknown and ignored fields suffice.
			name: "fires a block that has any field and no data",
			holds: func(s *shape) bool {
				return s.blockWithout(LineData, LineID, LineIDIgnored, LineEvent, LineRetry, LineRetryIgnored, LineUnknown)
			},
			proof: "foo: bar\n\n",
			reads: []peerEvent{{"", "", ""}},
		},
		{
			// 9.2.6: streams are decoded with "UTF-8 decode", which strips it.
			name:  "takes a leading byte order mark for a part of the first line",
			holds: func(s *shape) bool { return strings.HasPrefix(s.stream, bom) },
			proof: "\uFEFFdata: lost\ndata: kept\n\n",
			reads: []peerEvent{{"", "kept", ""}},
		},
		{
			// 9.2.5: a stream that ends with a CR has a complete last line. When an LF was taken out at the end of what one
			// read returned, its normaliser remembers as the last byte whatever lies behind it in the buffer; where that is a CR, it
			// swallows an LF that the next read begins with, here the blank line.
			name:  "may swallow an LF that begins a read after a CRLF ended the one before",
			holds: func(s *shape) bool { return len(s.stream) > ldRead },
			proof: "data: a\r\n\ndata: b\r\n" + strings.Repeat(":\n", ldRead/2) + "\n",
			reads: []peerEvent{{"", "a\nb", ""}},
			via:   func(stream string) io.Reader { return &scratchReader{parts: []string{stream[:9], stream[9:]}} },
		},
	}},
}

// ldRead is what launchdarkly/eventsource reads at once: a bufio.Reader's buffer.
const ldRead = 4096

func readGoSSE(r io.Reader) (out []peerEvent) {
	for ev, err := range tmaxmax.Read(r, &tmaxmax.ReadConfig{MaxEventSize: 1 << 20}) {
		if err != nil {
			break
		}
		out = append(out, peerEvent{ev.Type, ev.Data, ev.LastEventID})
	}
	return out
}

func readLD(r io.Reader) (out []peerEvent) {
	d := ld.NewDecoder(r)
	for {
		ev, err := d.Decode()
		if err != nil {
			return out
		}
		out = append(out, peerEvent{ev.Event(), ev.Data(), ev.(ld.EventWithLastID).LastEventID()})
	}
}

func readOurs(stream string) (out []peerEvent) {
	var d Decoder
	chunk := []byte(stream)
	for ev, ok := (Event{}), true; ok; {
		var n int
		n, ok, _ = d.Next(chunk, &ev)
		chunk = chunk[n:]
		if ok {
			out = append(out, peerEvent{string(ev.Type), string(ev.Data), string(ev.ID)})
		}
	}
	return out
}

// scratchReader returns its parts one a read and, as an [io.Reader] may, uses the rest of the buffer as scratch space.
type scratchReader struct{ parts []string }

func (r *scratchReader) Read(p []byte) (int, error) {
	if len(r.parts) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.parts[0])
	for i := n; i < len(p); i++ {
		p[i] = '\r'
	}
	if r.parts[0] = r.parts[0][n:]; r.parts[0] == "" {
		r.parts = r.parts[1:]
	}
	return n, nil
}

// shape is what the predicates look at.
type shape struct {
	stream string
	blocks []uint16 // kinds of the lines of each complete block
	tail   uint16   // of the incomplete one
	inLine bool     // the stream ends inside a line
}

func shapeOf(stream string) *shape {
	s := &shape{stream: stream, inLine: stream != "" && !strings.ContainsAny(stream[len(stream)-1:], "\r\n")}
	for _, l := range modelLines(stream) {
		if l.Kind == LineBlank {
			s.blocks = append(s.blocks, s.tail)
			s.tail = 0
			continue
		}
		s.tail |= 1 << l.Kind
	}
	return s
}

// blockWithout tells whether a complete block has a line of one of the kinds but none of kind missing.
func (s *shape) blockWithout(missing LineKind, kinds ...LineKind) bool {
	var any uint16
	for _, k := range kinds {
		any |= 1 << k
	}
	for _, b := range s.blocks {
		if b&any != 0 && b&(1<<missing) == 0 {
			return true
		}
	}
	return false
}

// TestPeerDeviations: each deviation is real, still there and alone in its proof.
func TestPeerDeviations(t *testing.T) {
	for _, p := range peers {
		for _, d := range p.deviations {
			t.Run(p.name+" "+d.name, func(t *testing.T) {
				var r io.Reader = strings.NewReader(d.proof)
				if d.via != nil {
					r = d.via(d.proof)
				}
				reads := p.read(r)
				if fmt.Sprintf("%q", reads) != fmt.Sprintf("%q", d.reads) {
					t.Errorf("it reads %q, want %q: if it was mended, drop the deviation", reads, d.reads)
				}
				if ours := readOurs(d.proof); fmt.Sprintf("%q", ours) == fmt.Sprintf("%q", d.reads) {
					t.Errorf("no deviation: the decoder reads %q too", ours)
				}
				shape := shapeOf(d.proof)
				for _, other := range p.deviations {
					if other.holds(shape) != (other.name == d.name) {
						t.Errorf("%q holds: %v", other.name, other.holds(shape))
					}
				}
			})
		}
	}
}

// comparePeers holds each peer to the decoder, unless one of its deviations may show. It returns how many were held.
func comparePeers(t *testing.T, stream string) (held int) {
	ours := fmt.Sprintf("%q", readOurs(stream))
	shape := shapeOf(stream)
peers:
	for _, p := range peers {
		for _, d := range p.deviations {
			if d.holds(shape) {
				continue peers
			}
		}
		held++
		if theirs := fmt.Sprintf("%q", p.read(strings.NewReader(stream))); theirs != ours {
			t.Errorf("%q\n%s: %s\nours: %s", stream, p.name, theirs, ours)
		}
	}
	return held
}

// TestPeersOnVectors: the vectors' expectations are not ours alone.
func TestPeersOnVectors(t *testing.T) {
	held, n := 0, 0
	for _, v := range loadVectors(t) {
		if v.seed != "" || v.max != DefaultMaxEvent {
			continue
		}
		n += len(peers)
		held += comparePeers(t, v.stream)
	}
	t.Logf("peers agree on %d of %d comparisons; in the others a listed deviation may show", held, n)
	if held < n/2 {
		t.Error("the predicates exclude more than they should")
	}
}

// FuzzPeers: outside their listed deviations the peers read what the decoder reads.
func FuzzPeers(f *testing.F) {
	addSeeds(f, func(s string) { f.Add(s) })
	for _, p := range peers {
		for _, d := range p.deviations {
			f.Add(d.proof)
		}
	}
	f.Fuzz(func(t *testing.T, stream string) { comparePeers(t, stream) })
}
