package hostile

import (
	"bytes"
	"io"
	"net"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// h2peer is one connection of a peer that speaks HTTP/2 and keeps no rule of it.
type h2peer struct {
	*http2.Framer
	c net.Conn
}

func newH2Peer(w io.Writer, c net.Conn) *h2peer {
	p := &h2peer{http2.NewFramer(w, c), c}
	p.AllowIllegalWrites = true
	return p
}

// h2answering makes a peer of what it does for the first request of a connection. What the other side sends after it is read and dropped.
func h2answering(do func(p *h2peer, id uint32)) func(net.Conn) {
	return func(c net.Conn) {
		if _, err := io.ReadFull(c, make([]byte, len(http2.ClientPreface))); err != nil {
			return
		}
		p := newH2Peer(c, c)
		p.WriteSettings()
		for {
			f, err := p.ReadFrame()
			if err != nil {
				return
			}
			h, ok := f.(*http2.HeadersFrame)
			if !ok {
				continue
			}
			if bytes.Contains(h.HeaderBlockFragment(), []byte("HEAD")) {
				// What is found is to be what the peer is there for.
				p.WriteHeaders(http2.HeadersFrameParam{StreamID: h.StreamID, BlockFragment: block(), EndHeaders: true, EndStream: true})
				io.Copy(io.Discard, c)
				return
			}
			go io.Copy(io.Discard, c)
			do(p, h.StreamID)
			return
		}
	}
}

// h2flood does something in place of an answer, for ever.
func h2flood(do func(p *h2peer, id uint32)) func(net.Conn) {
	return h2answering(func(p *h2peer, id uint32) { p.repeat(func(p *h2peer) { do(p, id) }) })
}

// h2streamFlood opens the stream rightly, and then does something for ever.
func h2streamFlood(do func(p *h2peer, id uint32)) func(net.Conn) {
	return h2answering(func(p *h2peer, id uint32) {
		p.headers(id, true)
		p.repeat(func(p *h2peer) { do(p, id) })
	})
}

// h2blockFlood begins a field block that has no end.
func h2blockFlood(piece []byte) func(net.Conn) {
	return h2answering(func(p *h2peer, id uint32) {
		p.headers(id, false)
		p.repeat(func(p *h2peer) { p.WriteContinuation(id, false, piece) })
	})
}

// streaming opens the stream rightly, does something once, and goes on as if nothing had been.
func streaming(do func(p *h2peer, id uint32)) func(net.Conn) {
	return h2answering(func(p *h2peer, id uint32) {
		p.headers(id, true)
		p.WriteData(id, false, []byte("id: 1\ndata: x\n\n"))
		do(p, id)
		for p.WriteData(id, false, []byte(": here\n\n")) == nil {
			time.Sleep(200 * time.Millisecond)
		}
	})
}

// repeat writes what it does, again and again, until the other side has had enough.
func (p *h2peer) repeat(do func(p *h2peer)) {
	var frames bytes.Buffer
	for w := newH2Peer(&frames, nil); frames.Len() < 64<<10; {
		do(w)
	}
	pour(p.c, frames.Bytes())
}

// headers writes the head of a stream; end: it is all of it.
func (p *h2peer) headers(id uint32, end bool) {
	p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block(), EndHeaders: end})
}

// interim writes a 103.
func (p *h2peer) interim(id uint32) {
	p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: fieldBlock(":status", "103"), EndHeaders: true})
}

// block is the head of a stream.
func block() []byte {
	return fieldBlock(":status", "200", "content-type", "text/event-stream", "cache-control", "no-store")
}

func fieldBlock(pairs ...string) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	e.SetMaxDynamicTableSize(0)
	for i := 0; i < len(pairs); i += 2 {
		e.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	return b.Bytes()
}

var giantField = fieldBlock("x-fill", strings.Repeat("x", 15<<10))

// listBomb puts one field of 4,000 bytes into the dynamic table and names it again in one byte each.
var listBomb = append(append([]byte{0x40, 1, 'a', 0x7f, 0xa1, 0x1e}, strings.Repeat("x", 4000)...), bytes.Repeat([]byte{0xbe}, 8<<10)...)

// giantTable takes the dynamic table to nearly 4 GiB.
func giantTable(p *h2peer, id uint32) {
	p.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 1<<32 - 1})
	grow := []byte{0x3f, 0xe0, 0xff, 0xff, 0xff, 0x0f}
	p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: append(grow, block()...), EndHeaders: true})
}

func slowBlock(p *h2peer, id uint32) {
	p.headers(id, false)
	for p.WriteContinuation(id, false, fieldBlock("x", "y")) == nil {
		time.Sleep(200 * time.Millisecond)
	}
}

func overflow(p *h2peer, _ uint32) {
	p.WriteWindowUpdate(0, 1<<31-1)
	p.WriteWindowUpdate(0, 1<<31-1)
}

func refuse(p *h2peer, id uint32) {
	p.WriteRSTStream(id, http2.ErrCodeRefusedStream)
	time.Sleep(time.Minute)
}

func push(p *h2peer, id uint32) {
	p.WritePushPromise(http2.PushPromiseParam{StreamID: id, PromiseID: 2, BlockFragment: block(), EndHeaders: true})
}

func goAway(p *h2peer, _ uint32) {
	p.WriteGoAway(1<<31-1, http2.ErrCodeNo, bytes.Repeat([]byte("\x1b[2J"), 50))
}

// deaf asks for answers for ever and reads none of them.
func deaf(c net.Conn) {
	p := newH2Peer(c, c)
	p.WriteSettings()
	p.repeat(func(p *h2peer) { p.WritePing(false, [8]byte{}) })
}
