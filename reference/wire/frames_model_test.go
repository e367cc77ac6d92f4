package wire

import (
	"bytes"
	"fmt"
	"testing"

	"golang.org/x/net/http2"
	"pgregory.net/rapid"
)

// modelPeer follows the rules to the letter, holds Frames to them, and speaks and listens with any delay.
type modelPeer struct {
	t    *rapid.T
	f    *Frames
	opt  FramesOptions
	say  *script
	toUs []byte // on its way to Frames
	heard,
	pending []byte // from Frames: not read yet, read but incomplete

	started  bool
	sendConn int64 // what we may still send
	recvConn int64 // what Frames may still send
	initial  int64 // window of new streams from us, as acknowledged
	settings []int64
	streams  map[uint32]*modelStream

	client map[uint32]*modelClient
}

type modelStream struct {
	send, recv      int64
	headed, ended   bool
	uploaded, reset bool
	got             int
}

// modelClient is what the client side knows of a stream.
type modelClient struct {
	upload     int // body bytes to send
	got        int // content bytes received
	sent       int // content bytes the peer sent
	over, gone bool
	owed       int // received and not credited, for ManualWindow
}

func (m *modelPeer) fail(format string, a ...any) { m.t.Fatalf(format, a...) }

// hear reads k bytes of what Frames wrote.
func (m *modelPeer) hear(k int) {
	m.pending = append(m.pending, m.heard[:k]...)
	m.heard = m.heard[k:]
	if !m.started {
		if len(m.pending) < len(clientPreface) {
			return
		}
		m.pending = bytes.TrimPrefix(m.pending, []byte(clientPreface))
		m.started = true
	}
	for len(m.pending) >= 9 {
		n := 9 + int(m.pending[0])<<16 + int(m.pending[1])<<8 + int(m.pending[2])
		if len(m.pending) < n {
			return
		}
		fr, err := http2.NewFramer(nil, bytes.NewReader(m.pending[:n])).ReadFrame()
		if err != nil {
			m.fail("frame of ours: %v", err)
		}
		m.frame(fr)
		m.pending = m.pending[n:]
	}
}

func (m *modelPeer) frame(fr http2.Frame) {
	id := fr.Header().StreamID
	s := m.streams[id]
	switch fr := fr.(type) {
	case *http2.SettingsFrame:
		if fr.IsAck() {
			w := m.settings[0]
			m.settings = m.settings[1:]
			for _, s := range m.streams {
				s.recv += w - m.initial
			}
			m.initial = w
			return
		}
		m.say.WriteSettingsAck()
	case *http2.HeadersFrame:
		m.streams[id] = &modelStream{send: int64(m.opt.StreamWindow), recv: m.initial, uploaded: fr.StreamEnded()}
	case *http2.DataFrame:
		n := int64(fr.Length)
		if m.recvConn -= n; m.recvConn < 0 {
			m.fail("our connection window is overrun by %d", -m.recvConn)
		}
		if s.recv -= n; s.recv < 0 && n > 0 {
			m.fail("our window of stream %d is overrun: %d", id, s.recv)
		}
		if s.uploaded {
			m.fail("DATA after END_STREAM")
		}
		s.got += len(fr.Data())
		s.uploaded = fr.StreamEnded()
	case *http2.WindowUpdateFrame:
		if id == 0 {
			if m.sendConn += int64(fr.Increment); m.sendConn > int64(m.opt.ConnWindow) {
				m.fail("the connection is credited beyond its window: %d of %d", m.sendConn, m.opt.ConnWindow)
			}
			return
		}
		if s.send += int64(fr.Increment); s.send > int64(m.opt.StreamWindow) {
			m.fail("stream %d is credited beyond its window: %d of %d", id, s.send, m.opt.StreamWindow)
		}
	case *http2.RSTStreamFrame:
		s.reset = true
	default:
		m.fail("unexpected %v", fr.Header())
	}
}

// feed gives Frames k bytes.
func (m *modelPeer) feed(k int) {
	in := bytes.Clone(m.toUs[:k])
	m.toUs = m.toUs[k:]
	for {
		var it Item
		n, err := m.f.Next(in, &it)
		if err != nil {
			m.fail("%v", err)
		}
		in = in[n:]
		c := m.client[it.Stream]
		switch it.Kind {
		case None:
			return
		case Broken:
			m.fail("a fault of a peer without fault: %v", it.Fault.Error())
		case Body:
			c.got += len(it.Data)
			if m.opt.ManualWindow {
				c.owed += len(it.Data)
			}
		case End, Reset:
			c.over = true
		}
	}
}

// write moves k bytes of Out to the peer.
func (m *modelPeer) write(k int) {
	m.heard = append(m.heard, m.f.Out()[:k]...)
	m.f.Wrote(k)
}

// data sends as much as asked and allowed on a stream; false where nothing may go.
func (m *modelPeer) data(id uint32, n, pad int, end bool) bool {
	s := m.streams[id]
	if !s.headed || s.ended || s.reset {
		return false
	}
	room := min(m.sendConn, s.send, maxFrame)
	if pad > 0 {
		room -= int64(pad + 1)
	}
	if room < 0 || room == 0 && !end {
		return false
	}
	if int64(n) > room {
		n, end = int(room), false
	}
	used := n
	if pad > 0 {
		used += pad + 1
		m.say.WriteDataPadded(id, end, make([]byte, n), make([]byte, pad))
	} else {
		m.say.WriteData(id, end, make([]byte, n))
	}
	m.sendConn -= int64(used)
	s.send -= int64(used)
	s.ended = end
	m.client[id].sent += n
	return true
}

func (m *modelPeer) flush() {
	m.toUs = append(m.toUs, m.say.buf.Bytes()...)
	m.say.buf.Reset()
}

// settle delivers everything both ways until nothing moves.
func (m *modelPeer) settle() {
	for m.flush(); len(m.toUs) > 0 || len(m.f.Out()) > 0 || len(m.heard) > 0; m.flush() {
		m.feed(len(m.toUs))
		m.write(len(m.f.Out()))
		m.hear(len(m.heard))
	}
}

func (m *modelPeer) pick(label string) (uint32, bool) {
	var ids []uint32
	for id := uint32(1); id < m.f.next; id += 2 {
		if m.streams[id] != nil {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return 0, false
	}
	return rapid.SampledFrom(ids).Draw(m.t, label), true
}

// TestFramesFlowModel plays any connection of two sides that follow the rules: Frames must never overrun the peer's windows, never credit beyond
// its own, never find fault, lose no byte; and when both sides go on to the end, everything must arrive.
func TestFramesFlowModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := FramesOptions{
			StreamWindow: rapid.Uint32Range(1, 300).Draw(t, "stream window"),
			ConnWindow:   rapid.SampledFrom([]uint32{65535, 66000, 200_000}).Draw(t, "connection window"),
			ManualWindow: rapid.Bool().Draw(t, "manual"),
		}
		if rapid.Bool().Draw(t, "wide") {
			o.StreamWindow *= 300
		}
		m := &modelPeer{
			t: t, opt: o, f: NewFrames(o), say: newScript(), sendConn: 65535, recvConn: 65535, initial: 65535,
			streams: map[uint32]*modelStream{}, client: map[uint32]*modelClient{},
		}
		m.say.settings()
		m.settings = []int64{65535}
		t.Repeat(map[string]func(*rapid.T){
			"open": func(t *rapid.T) {
				n := rapid.SampledFrom([]int{0, 0, 1, 1000, 100_000}).Draw(t, "body")
				id, err := m.f.Open(&Request{Method: "POST", URL: parseURL("http://h/"), Body: make([]byte, n)})
				if err != nil {
					t.Skip(err)
				}
				m.client[id] = &modelClient{upload: n}
			},
			"head": func(t *rapid.T) {
				id, ok := m.pick("stream")
				if !ok || m.streams[id].headed || m.streams[id].reset {
					t.Skip()
				}
				m.streams[id].headed = true
				m.say.headers(id, false, ":status", "200")
			},
			"data": func(t *rapid.T) {
				id, ok := m.pick("stream")
				if !ok || !m.data(id, rapid.SampledFrom([]int{0, 1, 100, 20_000}).Draw(t, "bytes"), rapid.SampledFrom([]int{0, 0, 1, 255}).Draw(t, "pad"), rapid.Bool().Draw(t, "end")) {
					t.Skip()
				}
			},
			"credit us": func(t *rapid.T) {
				n := rapid.Uint32Range(1, 30_000).Draw(t, "increment")
				if id, ok := m.pick("stream"); ok && rapid.Bool().Draw(t, "on stream") {
					if s := m.streams[id]; !s.uploaded && !s.ended {
						s.recv += int64(n)
						m.say.WriteWindowUpdate(id, n)
					}
					return
				}
				m.recvConn += int64(n)
				m.say.WriteWindowUpdate(0, n)
			},
			"settings": func(t *rapid.T) {
				if len(m.settings) > 20 {
					t.Skip()
				}
				w := rapid.SampledFrom([]uint32{0, 1, 500, 65535, 100_000}).Draw(t, "window")
				m.settings = append(m.settings, int64(w))
				m.say.settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: w})
			},
			"credit peer": func(t *rapid.T) {
				id, ok := m.pick("stream")
				if !ok || m.client[id].owed == 0 {
					t.Skip()
				}
				n := rapid.IntRange(1, m.client[id].owed).Draw(t, "bytes")
				m.client[id].owed -= n
				m.f.Credit(id, uint32(n))
			},
			"cancel": func(t *rapid.T) {
				id, ok := m.pick("stream")
				if !ok {
					t.Skip()
				}
				m.f.Cancel(id, CodeCancel)
				m.client[id].gone = true
			},
			"send": func(t *rapid.T) {
				m.flush()
				m.feed(rapid.IntRange(0, len(m.toUs)).Draw(t, "bytes"))
			},
			"write": func(t *rapid.T) { m.write(rapid.IntRange(0, len(m.f.Out())).Draw(t, "bytes")) },
			"hear":  func(t *rapid.T) { m.hear(rapid.IntRange(0, len(m.heard)).Draw(t, "bytes")) },
		})

		// The end: both go on until nothing is left to do.
		m.say.settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1000})
		m.settings = append(m.settings, 1000)
		for round := 0; ; round++ {
			m.settle()
			for id, c := range m.client {
				m.f.Credit(id, uint32(c.owed))
				c.owed = 0
			}
			m.settle()
			busy := false
			for id, s := range m.streams {
				c := m.client[id]
				if c.gone || s.reset {
					continue
				}
				if !s.uploaded && !s.ended {
					s.recv += 50_000
					m.recvConn += 50_000
					m.say.WriteWindowUpdate(id, 50_000)
					m.say.WriteWindowUpdate(0, 50_000)
					busy = true
					continue
				}
				if !s.headed {
					s.headed = true
					m.say.headers(id, false, ":status", "200")
				}
				if !s.ended {
					if round > 1 && (s.send <= 0 || m.sendConn <= 0) {
						m.fail("stream %d waits for credit: %s", id, m.state())
					}
					busy = true
					m.data(id, max(0, 100-10*round), 0, round > 10)
				}
			}
			if !busy {
				break
			}
			if round > 1000 {
				m.fail("deadlock: %s", m.state())
			}
		}
		m.settle()
		for id, c := range m.client {
			s := m.streams[id]
			if c.gone {
				continue
			}
			if !c.over || c.got != c.sent {
				m.fail("stream %d: over %v, %d of %d bytes", id, c.over, c.got, c.sent)
			}
			if !s.reset && s.got != c.upload {
				m.fail("stream %d: %d of %d bytes of its body", id, s.got, c.upload)
			}
		}
		if m.f.Active() != 0 || len(m.f.uploads) != 0 {
			m.fail("%d active, %d uploads", m.f.Active(), len(m.f.uploads))
		}
	})
}

func (m *modelPeer) state() string {
	s := fmt.Sprintf("connection %d %d;", m.sendConn, m.recvConn)
	for id, st := range m.streams {
		s += fmt.Sprintf(" %d: %+v %+v;", id, *st, *m.client[id])
	}
	return s
}
