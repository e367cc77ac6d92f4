package wire

import (
	"slices"
	"testing"
)

// FuzzFrames: whatever a peer sends, Frames must not panic, must understand the same however reads cut it, and must hold little.
func FuzzFrames(f *testing.F) {
	for _, v := range frameVectors {
		s := newScript()
		v.peer(s)
		if s.buf.Len() < 8<<10 {
			f.Add(s.buf.Bytes(), uint8(v.streams), uint16(7))
		}
	}
	f.Fuzz(func(t *testing.T, in []byte, how uint8, cuts uint16) {
		v := &frameVector{streams: int(how & 7), opt: FramesOptions{MaxHeaderBytes: 2000, ManualWindow: how&8 != 0}}
		if how&16 != 0 {
			v.opt.HeaderTable = 200
		}
		if how&32 != 0 {
			v.opt.StreamWindow = 50
		}
		if how&64 != 0 {
			// Behind good SETTINGS and a head more is reached.
			s := newScript()
			s.settings()
			if v.streams > 0 {
				s.headers(1, false, ":status", "200")
			}
			in = append(s.buf.Bytes(), in...)
		}
		whole, out := replay(t, v, in, func(int) bool { return false })
		state := uint32(cuts)*2 + 1
		pieces, outPieces := replay(t, v, in, func(int) bool {
			state = state*1664525 + 1013904223
			return state>>28 == 0 || cuts == 0
		})
		if whole != pieces {
			t.Fatalf("whole:\n%s\nin pieces:\n%s", whole, pieces)
		}
		if out != outPieces {
			t.Fatalf("whole wrote:\n%s\nin pieces:\n%s", out, outPieces)
		}

		fr := started(t, v.opt, v.streams)
		most := int64(v.opt.MaxHeaderBytes) + 2*maxFrame
		for piece := range slices.Chunk(in, 100) {
			for {
				var it Item
				n, err := fr.Next(piece, &it)
				if err != nil {
					break
				}
				piece = piece[n:]
				if it.Kind == None {
					break
				}
			}
			if held := int64(cap(fr.buf) + cap(fr.block)); held > 2*most {
				t.Fatalf("%d bytes are held", held)
			}
			if len(fr.queue) > 2*maxFieldFaults+10 || len(fr.streams.list) > 8 || len(fr.lengths) > 8 {
				t.Fatalf("%d items, %d streams, %d lengths are held", len(fr.queue), len(fr.streams.list), len(fr.lengths))
			}
		}
	})
}
