package raw

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"ssegauge/reference/server"
)

const events1 = "GET /events HTTP/1.1\r\nHost: h\r\n\r\n"

// publishAll publishes so many events of size bytes, one after the other.
func publishAll(w *world, n, size int) {
	w.t.Helper()
	q := w.dial(false)
	for i := range n {
		q.send(post(fmt.Sprintf(`{"id":"%d","data":"%s"}`, i, strings.Repeat("x", size))))
		if text := q.text(); !strings.HasPrefix(text, "HTTP/1.1 200") {
			w.t.Fatalf("publish: %q", text)
		}
	}
}

// A reader that stands still lags in the log and costs no queue; when the log has moved past it, or when it took nothing for too long, it is
// cut. Nobody else notices.
func TestSlowReaderIsCut(t *testing.T) {
	open := map[string]func(w *world, deaf bool) *peer{
		"1.1": func(w *world, deaf bool) *peer {
			p := w.dial(deaf)
			p.send(events1)
			return p
		},
		"h2c, connection": func(w *world, deaf bool) *peer {
			p := w.dial(deaf)
			p.send(string(opening("h2c", "h", 1)))
			return p
		},
		"h2c, window": func(w *world, deaf bool) *peer {
			settings := []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 1 << 30}}
			if deaf {
				settings[0].Val = 1000
			}
			c := w.client(settings...)
			if !deaf {
				_ = c.WriteWindowUpdate(0, 1<<30)
			}
			c.request(1, "/events")
			c.flush()
			return c.peer
		},
	}
	for name, open := range open {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, server.Config{Heartbeat: -1})
				_, well := open(w, true), open(w, false)
				start := time.Now()
				publishAll(w, 100, 10_000)
				if n := strings.Count(well.text(), "data: x"); n != 100 || time.Since(start) != 0 {
					t.Errorf("the other has %d events after %v", n, time.Since(start))
				}
				if st := w.srv.Stats(); st.Cut != 0 || st.Streams != 2 {
					t.Errorf("at first: %d cut, %d streams", st.Cut, st.Streams)
				}
				for _, sh := range w.engine.shards {
					sh.mu.Lock()
					for _, c := range sh.conns {
						if c != nil && cap(c.out) > maxFrame+100 {
							t.Errorf("a connection holds %d bytes", cap(c.out))
						}
					}
					sh.mu.Unlock()
				}
				time.Sleep(server.DefaultWriteTimeout + time.Second)
				synctest.Wait()
				if st := w.srv.Stats(); st.Cut != 1 || st.Streams != 1 {
					t.Errorf("%d cut, %d streams", st.Cut, st.Streams)
				}
			})
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, server.Config{Heartbeat: -1, History: 10, Queue: 10})
				slow, well := open(w, true), open(w, false)
				publishAll(w, 100, 10_000)
				if n := strings.Count(well.text(), "data: x"); n != 100 {
					t.Errorf("the other has %d events", n)
				}
				go slow.read() // now it reads what was left for it
				synctest.Wait()
				time.Sleep(time.Second)
				synctest.Wait()
				if st := w.srv.Stats(); st.Cut != 1 || st.Streams != 1 {
					t.Errorf("%d cut, %d streams", st.Cut, st.Streams)
				}
			})
		})
	}
}

// A reader that pauses catches up: every event once, in order.
func TestSlowReaderCatchesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, server.Config{})
		p := w.dial(true)
		p.send(events1)
		q := w.dial(true)
		q.send(string(opening("h2c", "h", 3)))
		publishAll(w, 200, 1000)
		go p.read()
		go q.read()
		for name, peer := range map[string]*peer{"1.1": p, "h2c": q} {
			text := peer.text()
			times := map[string]int{"1.1": 1, "h2c": 3}[name]
			if n := strings.Count(text, "data: "+strings.Repeat("x", 1000)+"\n\n"); n != 200*times {
				t.Errorf("%s: %d events", name, n)
			}
			for i := range 199 {
				a, b := fmt.Sprintf("id: %d\n", i), fmt.Sprintf("id: %d\n", i+1)
				if strings.Index(text, a) > strings.Index(text, b) || strings.Count(text, a) != times {
					t.Fatalf("%s: %s", name, a)
				}
			}
		}
		if st := w.srv.Stats(); st.Cut != 0 || st.Streams != 4 || st.Delivered != 800 {
			t.Errorf("%+v", st)
		}
	})
}

// Windows that open byte by byte: what arrives is whole all the same.
func TestTinyWindows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, server.Config{})
		c := w.client(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1})
		c.request(1, "/events")
		c.send(c.buf.String())
		c.buf.Reset()
		publishAll(w, 3, 5)
		var content []byte
		take := func() {
			in := c.text()
			for len(in) >= 9 {
				n := int(in[0])<<16 | int(in[1])<<8 | int(in[2])
				if in[3] == frameData {
					content = append(content, in[9:9+n]...)
				}
				in = in[9+n:]
			}
		}
		const want = "retry: 3000\n\nid: 0\ndata: xxxxx\n\nid: 1\ndata: xxxxx\n\nid: 2\ndata: xxxxx\n\n"
		for range len(want) - 1 {
			_ = c.WriteWindowUpdate(1, 1)
			c.send(c.buf.String())
			c.buf.Reset()
			take()
		}
		if string(content) != want {
			t.Errorf("%q", content)
		}
		if st := w.srv.Stats(); st.Delivered != 3 {
			t.Errorf("%d delivered", st.Delivered)
		}
	})
}

// Heartbeats come after silence, and only then; streams of one connection share a write.
func TestHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, server.Config{})
		p := w.dial(false)
		p.send(events1)
		c := w.client()
		c.request(1, "/events")
		c.request(3, "/events")
		c.flush()
		p.text()
		time.Sleep(10 * time.Second)
		publishAll(w, 1, 1)
		p.text()
		c.frames()
		time.Sleep(15*time.Second - 50*time.Millisecond)
		if text := p.text() + c.frames(); text != "" {
			t.Errorf("too early: %q", text)
		}
		time.Sleep(100 * time.Millisecond)
		if text := p.text(); text != "d\r\n: heartbeat\n\n\r\n" {
			t.Errorf("%q", text)
		}
		if text := c.frames(); text != "DATA(1,13) DATA(3,13)" {
			t.Error(text)
		}
		time.Sleep(30 * time.Second)
		if text := p.text(); text != strings.Repeat("d\r\n: heartbeat\n\n\r\n", 2) {
			t.Errorf("%q", text)
		}
		if n := w.srv.Stats().Heartbeats; n != 9 {
			t.Errorf("%d counted", n)
		}
	})
}

// A stream that was written to lately gets no heartbeat with the others of its connection.
func TestHeartbeatsAreNotEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newWorld(t, server.Config{}).client()
		c.request(1, "/events")
		c.flush()
		time.Sleep(5 * time.Second)
		c.request(3, "/events")
		c.flush()
		for _, want := range []string{"DATA(1,13)", "DATA(3,13)", "DATA(1,13)"} {
			time.Sleep(map[string]time.Duration{"DATA(1,13)": 10, "DATA(3,13)": 5}[want]*time.Second + 20*time.Millisecond)
			if got := c.frames(); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		}
	})
}

func TestTicksAreOnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, server.Config{Heartbeat: -1})
		p := w.dial(false)
		p.send("GET /tick?interval=70ms HTTP/1.1\r\nHost: h\r\n\r\n")
		p.text()
		time.Sleep(time.Until(time.Unix(0, (time.Now().UnixNano()/7e7+1)*7e7)) - time.Nanosecond) // just before one is due
		for range 100 {
			if text := p.text(); text != "" {
				t.Fatalf("too early: %q", text)
			}
			time.Sleep(time.Nanosecond)
			if text := p.text(); strings.Count(text, "data: ") != 1 {
				t.Fatalf("not on time: %q", text)
			}
			time.Sleep(70*time.Millisecond - time.Nanosecond)
		}
	})
}

// Streams of several feeds on one connection get what is due at one time in one write, each its own.
func TestManyFeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, server.Config{Heartbeat: -1})
		c := w.client()
		var want []string
		for i := range 10 {
			c.request(uint32(2*i+1), fmt.Sprintf("/tick?interval=1s&count=2&event=e%d", i))
			want = append(want, fmt.Sprintf("DATA(%d,%d) DATA(%d,0).", 2*i+1, len("id: 946684800000-2\nevent: e0\ndata: \n\n")+len(`{"seq":2,"sent_ns":946684801000000000}`), 2*i+1))
		}
		c.flush()
		time.Sleep(time.Second)
		if got := c.frames(); got != strings.Join(want, " ") {
			t.Errorf("%s\nwant %s", got, strings.Join(want, " "))
		}
		for _, sh := range w.engine.shards {
			sh.mu.Lock()
			if len(sh.subs) != 0 || len(sh.timers) != 0 {
				t.Errorf("%d feeds, %d timers are left", len(sh.subs), len(sh.timers))
			}
			sh.mu.Unlock()
		}
	})
}

// grown is a feed that has one event more each time it is looked at.
type grown struct {
	server.Feed
	edge uint64
}

func (g *grown) Edge(time.Time) uint64  { g.edge++; return g.edge }
func (g *grown) Due(uint64) time.Time   { return time.Time{} }
func (g *grown) End() uint64            { return server.Endless }
func (g *grown) Watch(server.Watcher)   {}
func (g *grown) Unwatch(server.Watcher) {}

// Who joins a feed and finds it further on must not hide that from those who were there before.
func TestJoiningTellsOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sh := newWorld(t, server.Config{}).engine.shards[0]
		sh.mu.Lock()
		defer sh.mu.Unlock()
		feed := &grown{}
		s := sh.subscribe(feed, 1)
		s.conns = append(s.conns, nil)
		sh.subscribe(feed, 1)
		sh.newsMu.Lock()
		if len(sh.news) != 1 {
			t.Errorf("%d news", len(sh.news))
		}
		sh.news = nil // the connection is none
		sh.newsMu.Unlock()
		delete(sh.subs, feed)
	})
}

// What could not be written is given back to the window of the connection: it allows just what is to come.
func TestConnectionWindowIsExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, server.Config{})
		p := w.dial(true)
		hello := opening("h2c", "h", 3)
		want := 3 * (len("retry: 3000\n\n") + 100*len("id: 0\ndata: \n\n") + 90 + 100*1000)
		at := len(preface) + 9 + 6 + 9 // the increment of the connection's window
		binary.BigEndian.PutUint32(hello[at:], uint32(want-initialWindow))
		p.send(string(hello))
		publishAll(w, 100, 1000)
		go p.read()
		if n := strings.Count(p.text(), "data: x"); n != 300 {
			t.Errorf("%d events", n)
		}
		if st := w.srv.Stats(); st.Delivered != 300 {
			t.Errorf("%d delivered", st.Delivered)
		}
	})
}

// A silent peer of HTTP/2 is asked, and given up when it does not answer.
func TestSilentPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, server.Config{Heartbeat: -1})
		c := w.client()
		c.request(1, "/events")
		c.flush()
		time.Sleep(pingAfter + time.Second)
		if text := c.frames(); text != "PING" {
			t.Fatal(text)
		}
		_ = c.WritePing(true, [8]byte{})
		c.flush()
		time.Sleep(pingAfter + time.Second)
		if text := c.frames(); text != "PING" {
			t.Fatal(text)
		}
		time.Sleep(pingTimeout)
		if !c.ended() {
			t.Error("not given up")
		}
	})
}

// A field block that does not come to its end, and a frame, have as long as a head.
func TestSlowFrames(t *testing.T) {
	for name, send := range map[string]func(c *client){
		"field block": func(c *client) { c.raw(frameHeaders, 0, 1, "\x82") },
		"frame":       func(c *client) { c.buf.Write(appendFrameHead(nil, 8, framePing, 0, 0)) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newWorld(t, server.Config{}).client()
				c.request(1, "/events")
				send(c)
				c.flush()
				time.Sleep(headTimeout - time.Second)
				if c.ended() {
					t.Error("too early")
				}
				time.Sleep(2 * time.Second)
				if text := c.frames(); text != "GOAWAY(1,ENHANCE_YOUR_CALM)" || !c.ended() {
					t.Error(text)
				}
			})
		})
	}
}

// A body has as long as one of HTTP/1.1, however it trickles; other streams of the connection go on.
func TestSlowUpload(t *testing.T) {
	for _, beat := range []time.Duration{-1, 7 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			c := newWorld(t, server.Config{Heartbeat: beat}).client()
			c.request(1, "/events")
			c.request(3, "/publish")
			c.flush()
			time.Sleep(bodyTimeout / 2)
			c.request(5, "/publish")
			_ = c.WriteData(3, false, []byte("x"))
			c.flush()
			time.Sleep(bodyTimeout/2 - time.Second)
			if text := c.frames(); text != "" {
				t.Errorf("too early: %s", text)
			}
			time.Sleep(2 * time.Second)
			if text := c.frames(); text != "RST(3,ENHANCE_YOUR_CALM)" {
				t.Errorf("%q", text)
			}
			c.request(7, "/healthz")
			if text := c.flush(); text != "HEADERS(7,200) DATA(7,3)." {
				t.Errorf("%q", text)
			}
			time.Sleep(bodyTimeout / 2)
			if text := c.frames(); text != "RST(5,ENHANCE_YOUR_CALM)" {
				t.Errorf("%q", text)
			}
		})
	}
}

// A connection is given up with streams in its table that have ended.
func TestSlowFrameAfterStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newWorld(t, server.Config{}).client()
		c.request(1, "/events")
		c.request(3, "/events")
		_ = c.WriteRSTStream(3, http2.ErrCodeCancel)
		c.buf.Write(appendFrameHead(nil, 8, framePing, 0, 0))
		c.flush()
		time.Sleep(headTimeout + time.Second)
		if text := c.frames(); text != "GOAWAY(3,ENHANCE_YOUR_CALM)" || !c.ended() {
			t.Error(text)
		}
	})
}

// A connection is kept for a while after its last stream, however long that was.
func TestIdleAfterAStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, server.Config{})
		p := w.dial(false)
		p.send("GET /tick?count=4&interval=1m HTTP/1.1\r\nHost: h\r\n\r\n")
		time.Sleep(4 * time.Minute)
		if p.ended() || !strings.HasSuffix(p.text(), "0\r\n\r\n") {
			t.Fatal("closed, or no end")
		}
		p.send(get)
		if text := p.text(); !strings.HasPrefix(text, "HTTP/1.1 200") {
			t.Errorf("%q", text)
		}
	})
}

// The end: streams end between two events, HTTP/2 with GOAWAY; a reader that stands still holds it up no longer than ShutdownTimeout.
func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, server.Config{})
		p := w.dial(false)
		p.send(events1)
		idle := w.dial(false)
		idle.send(get)
		c := w.client()
		c.request(1, "/events")
		c.flush()
		p.text()
		w.stop()
		if text := p.text(); text != "0\r\n\r\n" || !p.ended() {
			t.Errorf("%q", text)
		}
		if text := c.frames(); text != "GOAWAY(1,NO_ERROR) DATA(1,0)." || !c.ended() {
			t.Error(text)
		}
		if !idle.ended() {
			t.Error("an idle connection is left")
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, server.Config{})
		w.dial(true).send(events1)
		publishAll(w, 1, 100_000)
		start := time.Now()
		w.stop()
		w.done <- <-w.done
		if d := time.Since(start); d != server.DefaultShutdownTimeout {
			t.Errorf("it took %v", d)
		}
	})
}

func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, server.Config{MaxStreams: 2})
		c := w.client()
		for id := uint32(1); id <= 5; id += 2 {
			c.request(id, "/events")
		}
		if got := c.flush(); got != "HEADERS(1,200) DATA(1,13) HEADERS(3,200) DATA(3,13) HEADERS(5,503) DATA(5,22)." {
			t.Error(got)
		}
		_ = c.WriteRSTStream(1, http2.ErrCodeCancel)
		c.request(7, "/events")
		if got := c.flush(); got != "HEADERS(7,200) DATA(7,13)" {
			t.Error(got)
		}
		_ = c.nc.Close()
		synctest.Wait()
		if st := w.srv.Stats(); st.Streams != 0 || st.Connections != 0 || st.Refused != 1 {
			t.Errorf("%+v", st)
		}
	})
}
