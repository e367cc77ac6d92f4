package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// frames is a client over HTTP/2 in the clear that does as it is told and keeps a word for each frame of the streams.
type frames struct {
	*http2.Framer
	t  *testing.T
	nc net.Conn

	mu   sync.Mutex
	came []string
}

func (w *world) frames() *frames {
	w.t.Helper()
	nc, err := w.l.Dial(w.t.Context(), "", "")
	if err != nil {
		w.t.Fatal(err)
	}
	f := &frames{Framer: http2.NewFramer(nc, nc), t: w.t, nc: nc}
	w.t.Cleanup(func() { _ = nc.Close() })
	go f.read()
	_, _ = io.WriteString(nc, http2.ClientPreface)
	_ = f.WriteSettings()
	_ = f.WriteSettingsAck()
	synctest.Wait()
	return f
}

func (f *frames) read() {
	hd := hpack.NewDecoder(4096, nil)
	for {
		fr, err := f.ReadFrame()
		word := ""
		switch fr := fr.(type) {
		case nil:
			word = "closed"
		case *http2.HeadersFrame:
			fields, err := hd.DecodeFull(fr.HeaderBlockFragment())
			if err != nil {
				f.t.Error(err)
				return
			}
			word = fmt.Sprintf("%d:%s", fr.StreamID, fields[0].Value)
		case *http2.RSTStreamFrame:
			word = fmt.Sprintf("%d:%v", fr.StreamID, fr.ErrCode)
		case *http2.DataFrame:
			if bytes.Contains(fr.Data(), []byte("data:")) {
				word = fmt.Sprintf("%d:event", fr.StreamID)
			}
		case *http2.GoAwayFrame:
			word = fmt.Sprintf("goaway:%d:%v", fr.LastStreamID, fr.ErrCode)
		}
		f.mu.Lock()
		if word != "" {
			f.came = append(f.came, word)
		}
		f.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// open asks for streams of /events.
func (f *frames) open(ids ...uint32) *frames {
	for _, id := range ids {
		var b bytes.Buffer
		enc := hpack.NewEncoder(&b)
		for _, field := range []string{":method GET", ":scheme http", ":authority host", ":path /events"} {
			name, value, _ := strings.Cut(field, " ")
			_ = enc.WriteField(hpack.HeaderField{Name: name, Value: value})
		}
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: b.Bytes(), EndStream: true, EndHeaders: true})
		synctest.Wait()
	}
	return f
}

func (f *frames) cancel(ids ...uint32) *frames {
	for _, id := range ids {
		_ = f.WriteRSTStream(id, http2.ErrCodeCancel)
		synctest.Wait()
	}
	return f
}

// want holds what came since it was asked last, in any order.
func (f *frames) want(words string) *frames {
	f.t.Helper()
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	slices.Sort(f.came)
	if got := strings.Join(f.came, " "); got != words {
		f.t.Errorf("got  %s\nwant %s", got, words)
	}
	f.came = nil
	return f
}

func TestLimitsOfAConnection(t *testing.T) {
	for name, c := range map[string]struct {
		cfg Config
		do  func(w *world, f *frames)
	}{
		"none": {Config{}, func(_ *world, f *frames) {
			f.open(1, 3, 5, 7).want("1:200 3:200 5:200 7:200")
			f.cancel(1, 3, 5, 7).open(9).want("9:200")
		}},
		"advertised": {Config{MaxConcurrentStreams: 3}, func(_ *world, f *frames) {
			f.open(1, 3, 5).want("1:200 3:200 5:200")
			f.open(7).want("7:PROTOCOL_ERROR")
			f.cancel(3).open(9, 11).want("11:PROTOCOL_ERROR 9:200")
		}},
		"served": {Config{Limits: Limits{ServedPerConn: 2}}, func(w *world, f *frames) {
			f.open(1, 3, 5, 7).want("1:200 3:200")
			other := w.frames().open(1, 3, 5).want("1:200 3:200")
			f.cancel(3).want("5:200")
			other.want("")
			f.cancel(7, 1, 5).open(9, 11, 13).want("11:200 9:200") // 7 was not served: it gives no place back
		}},
		"served, with a delay": {Config{Limits: Limits{ServedPerConn: 1, SlotDelay: time.Second}}, func(_ *world, f *frames) {
			f.open(1, 3).cancel(1).want("1:200")
			time.Sleep(time.Second - time.Nanosecond)
			f.want("")
			time.Sleep(time.Nanosecond)
			f.want("3:200")
		}},
		"requests": {Config{Limits: Limits{MaxRequestsPerConn: 3}}, func(w *world, f *frames) {
			f.open(1, 3).want("1:200 3:200")
			f.open(5).want("5:200 goaway:5:NO_ERROR")
			f.open(7).want("")
			w.publish("default", "x")
			f.want("1:event 3:event 5:event")
			f.cancel(1, 3, 5)
			time.Sleep(2 * time.Second)
			f.want("closed")
		}},
		"resets": {Config{Limits: Limits{MaxResets: 2}}, func(w *world, f *frames) {
			f.open(1, 3, 5, 7).cancel(1).want("1:200 3:200 5:200 7:200")
			w.publish("default", "x")
			f.want("3:event 5:event 7:event")
			f.cancel(3).want("goaway:2147483647:ENHANCE_YOUR_CALM")
			w.publish("default", "x")
			f.open(9).want("")
			time.Sleep(time.Second)
			f.want("closed")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "h2c", c.cfg)
				c.do(w, w.frames())
			})
		})
	}
}

// TestResetsOverTLS: there the connection ends without a word, and with it its other streams.
func TestResetsOverTLS(t *testing.T) {
	for _, most := range []int{0, 1} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, "h2", Config{Heartbeat: time.Second, Limits: Limits{MaxResets: most}})
			other := w.stream("/events")
			w.stream("/events").close()
			synctest.Wait()
			if _, err := other.next(); (err != nil) != (most > 0) || err == io.EOF {
				t.Errorf("after one reset of %d the other stream gives %v", most, err)
			}
			other.close()
		})
	}
}

// TestGoAwayStandsBetweenFrames cuts two frames at each place, and has the connection end there.
func TestGoAwayStandsBetweenFrames(t *testing.T) {
	var out bytes.Buffer
	f := http2.NewFramer(&out, nil)
	_ = f.WriteData(1, false, []byte("one"))
	first := out.Len()
	_ = f.WriteSettings() // of no payload
	_ = f.WriteData(1, false, []byte("two"))
	for at := range out.Len() {
		want := string(out.Bytes()[:first]) + string(goAway)
		switch {
		case at == 0:
			want = string(goAway)
		case at > first+frameHead:
			want = out.String() + string(goAway)
		case at > first:
			want = string(out.Bytes()[:first+frameHead]) + string(goAway)
		}
		synctest.Test(t, func(t *testing.T) {
			ours, theirs := net.Pipe()
			got := make(chan string, 1)
			go func() {
				b, _ := io.ReadAll(theirs)
				got <- string(b)
			}()
			c := &calmed{Conn: ours}
			for i, p := range [][]byte{out.Bytes()[:at], out.Bytes()[at:]} {
				if n, err := c.Write(p); n != len(p) || err != nil {
					t.Fatal(n, err)
				}
				if i == 0 {
					c.calm()
				}
			}
			if got := <-got; got != want {
				t.Errorf("ended after %d bytes: got %q, want %q", at, got, want)
			}
		})
	}
}

func TestRequestsOfAnHTTP1Connection(t *testing.T) {
	for most, want := range map[int][]bool{0: {false, false, false, false}, 2: {false, true, false, true}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, "1.1", Config{Limits: Limits{MaxRequestsPerConn: most, MaxResets: 1, ServedPerConn: 1}})
			var last []bool
			for _, path := range []string{"/tick?count=1", "/healthz", "/tick?count=1", "/tick?count=1"} {
				res := w.do(t.Context(), "GET", path, "")
				w.text(res)
				last = append(last, res.Close)
			}
			if !slices.Equal(last, want) {
				t.Errorf("with %d: last is %v, want %v", most, last, want)
			}
		})
	}
}

func TestConnectionsAtOnce(t *testing.T) {
	for _, proto := range protos {
		t.Run(proto, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, proto, Config{Limits: Limits{MaxConns: 2, SendBuffer: 1}})
				dialed := make(chan net.Conn, 4)
				for range 4 {
					go func() {
						c, err := w.l.Dial(t.Context(), "", "")
						if err != nil {
							c, _ = net.Pipe()
						}
						dialed <- c
					}()
				}
				synctest.Wait()
				if n := len(dialed); n != 2 {
					t.Fatalf("%d connections are accepted, want 2", n)
				}
				_ = (<-dialed).Close()
				synctest.Wait()
				if n := len(dialed); n != 2 {
					t.Errorf("%d connections are accepted after one of two ended, want one more", n)
				}
				w.stop() // an accept that waits for a place ends too
				for range 3 {
					_ = (<-dialed).Close()
				}
			})
		})
	}
}

// TestGateGivesPlacesBack where accept failed, and waits for none when it is closed.
func TestGateGivesPlacesBack(t *testing.T) {
	s, err := New(Config{Limits: Limits{MaxConns: 1}})
	if err != nil {
		t.Fatal(err)
	}
	failing := newPipeListener()
	_ = failing.Close()
	var l net.Listener = failing
	if err := s.gated(&l); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := l.Accept(); err != net.ErrClosed {
			t.Error(err)
		}
	}
	s.seats <- struct{}{}
	_ = l.Close()
	if _, err := l.Accept(); err != net.ErrClosed {
		t.Error(err)
	}
}

// TestPlacesAreFreeLater holds SlotDelay for streams, and that the gauge does not wait for it.
func TestPlacesAreFreeLater(t *testing.T) {
	for _, delay := range []time.Duration{0, 3 * time.Second} {
		for _, cfg := range []Config{{MaxStreams: 1}, {MaxStreamsPerIP: 1}} {
			synctest.Test(t, func(t *testing.T) {
				cfg.SlotDelay = delay
				w := newWorld(t, "1.1", cfg)
				status := func() int {
					ctx, cancel := context.WithCancel(t.Context())
					defer synctest.Wait()
					defer cancel()
					res := w.do(ctx, "GET", "/events", "")
					defer res.Body.Close()
					return res.StatusCode
				}
				r := w.stream("/events")
				if got := status(); got != 503 {
					t.Errorf("past the limit: %d", got)
				}
				r.close()
				synctest.Wait()
				if n := w.Stats().Streams; n != 0 {
					t.Errorf("%d streams are counted as open", n)
				}
				if delay > 0 {
					time.Sleep(delay - time.Nanosecond)
					if got := status(); got != 503 {
						t.Errorf("before the delay is over: %d", got)
					}
					time.Sleep(time.Nanosecond)
				}
				if got := status(); got != 200 {
					t.Errorf("after the delay: %d", got)
				}
				time.Sleep(delay)
				synctest.Wait()
			})
		}
	}
}

func TestEventSize(t *testing.T) {
	long := strings.Repeat("x", 9) + "é" + "tail"
	for _, c := range []struct {
		policy string
		most   int
		code   int
		want   string // of the stream: data, with "!" where the id is that of the publisher, "." for its end
	}{
		{"", 0, 200, long + "! after"},
		{"", len(long), 200, long + "! after"},
		{"", 10, 413, "after"},
		{"reject", 10, 413, "after"},
		{"drop", 10, 200, "after"},
		{"truncate", 10, 200, "xxxxxxxxx! after"},
		{"split", 10, 200, "xxxxxxxxx étail! after"},
		{"split", 1, 200, "x x x x x x x x x é t a i l! a f t e r"},
		{"close", 10, 200, "."},
	} {
		t.Run(fmt.Sprint(c.policy, c.most), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "1.1", Config{Heartbeat: -1, Limits: Limits{MaxEvent: c.most, Oversized: c.policy}})
				r := w.stream("/events")
				before := w.publish("default", "x")
				r.want("x")
				res := w.do(t.Context(), "POST", "/publish", `{"id":"mine","data":"`+long+`"}`, "Content-Type: application/json")
				if text := w.text(res); res.StatusCode != c.code || c.code == 413 && text != "data is longer than 10 bytes\n" {
					t.Errorf("publish: %d %q", res.StatusCode, text)
				}
				w.publish("default", "after")
				words := strings.Fields(c.want)
				read := func(r *reader, words []string) {
					t.Helper()
					for _, word := range words {
						word, mine := strings.CutSuffix(word, "!")
						if e, err := r.next(); word == "." && err != io.EOF || word != "." && (err != nil || e.data != word || (e.id == "mine") != mine) {
							t.Errorf("got %+v, %v; want %q", e, err, word)
						}
					}
					r.close()
				}
				read(r, words)
				if c.policy == "close" {
					words = []string{"after"} // who comes back gets past it
				}
				read(w.stream("/events", "Last-Event-ID: "+before), words)
			})
		})
	}
	for _, bad := range []Limits{
		{MaxEvent: 1, Oversized: "eat"}, {Oversized: "drop"}, {MaxEvent: -1}, {SlotDelay: -1}, {IdleDrop: true}, {IdleIgnoresComments: true}, {LifetimeJitter: 5}, {Lifetime: time.Hour, LifetimeJitter: 1 << 40},
	} {
		if _, err := New(Config{Limits: bad}); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

func TestBuffer(t *testing.T) {
	for _, proto := range protos {
		t.Run(proto, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, proto, Config{Heartbeat: -1, Limits: Limits{Buffer: 4096}})
				res := w.do(t.Context(), "GET", "/events", "") // the head comes at once
				defer res.Body.Close()
				var mu sync.Mutex
				var got []byte
				var done bool
				go func() {
					buf := make([]byte, 1000)
					for {
						n, err := res.Body.Read(buf)
						mu.Lock()
						got, done = append(got, buf[:n]...), err == io.EOF
						mu.Unlock()
						if err != nil {
							return
						}
					}
				}()
				want := func(n int, ended bool) {
					t.Helper()
					synctest.Wait()
					mu.Lock()
					defer mu.Unlock()
					if len(got) != n || done != ended {
						t.Errorf("%d bytes came (the end: %v), want %d (%v)", len(got), done, n, ended)
					}
				}
				w.publish("default", "small")
				want(0, false)
				w.publish("default", strings.Repeat("x", 3900))
				want(0, false)
				w.publish("default", strings.Repeat("x", 3900))
				want(4096, false)
				w.stop()
				synctest.Wait()
				mu.Lock()
				defer mu.Unlock()
				if !done || !strings.HasSuffix(string(got), "x\n\n") {
					t.Errorf("the end (%v) is %q", done, got[max(0, len(got)-10):])
				}
			})
		})
	}
}

// TestTimesOfAStream holds after which time a stream ends, with an event after 3 s where it is of a channel.
func TestTimesOfAStream(t *testing.T) {
	const minute, second = time.Minute, time.Second
	for name, c := range map[string]struct {
		beat   time.Duration
		limits Limits
		path   string
		ends   time.Duration // 0: not within an hour
	}{
		"none":                    {-1, Limits{}, "/events", 0},
		"none, busy":              {-1, Limits{}, "/tick", 0},
		"idle":                    {-1, Limits{IdleTimeout: 5 * second}, "/events", 8 * second},
		"idle, before the event":  {-1, Limits{IdleTimeout: 2 * second}, "/events", 2 * second},
		"idle, with beats":        {4 * second, Limits{IdleTimeout: 5 * second}, "/events", 0},
		"idle, beats too late":    {6 * second, Limits{IdleTimeout: 5 * second}, "/events", 8 * second},
		"idle, beats do not help": {4 * second, Limits{IdleTimeout: 5 * second, IdleIgnoresComments: true}, "/events", 8 * second},
		"idle, but busy":          {-1, Limits{IdleTimeout: 5 * second, IdleIgnoresComments: true}, "/tick?interval=4s", 0},
		"lifetime":                {4 * second, Limits{Lifetime: minute}, "/events", minute},
		"lifetime, busy":          {-1, Limits{Lifetime: minute + second/2}, "/tick", minute + second/2},
		"the earlier of the two":  {-1, Limits{Lifetime: minute, IdleTimeout: 5 * second}, "/events", 8 * second},
	} {
		for _, proto := range protos[:2] {
			t.Run(name+" "+proto, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, proto, Config{Heartbeat: c.beat, Limits: c.limits})
					start := time.Now()
					r := w.stream(c.path)
					timer := time.AfterFunc(time.Hour, r.cancel)
					defer timer.Stop()
					event := time.AfterFunc(3*second, func() { w.publish("default", "x") })
					defer event.Stop()
					var err error
					for err == nil {
						_, err = r.next()
					}
					age := time.Since(start)
					if c.ends == 0 && age != time.Hour || c.ends != 0 && (age != c.ends || err != io.EOF) {
						t.Errorf("it ended after %v with %v, want %v", age, err, c.ends)
					}
					r.close()
				})
			})
		}
	}
}

func TestIdleStreamsAreDropped(t *testing.T) {
	for _, path := range []string{"/events", "/tick?count=2&interval=10s"} {
		for _, proto := range protos[:2] {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, proto, Config{Heartbeat: 20 * time.Second, Limits: Limits{IdleTimeout: 5 * time.Second, IdleDrop: true, Lifetime: time.Minute}})
				r := w.stream(path)
				if path != "/events" {
					if e, err := r.next(); err != nil || e.data == "" {
						t.Errorf("the first: %+v, %v", e, err)
					}
				}
				ended := false
				go func() {
					e, err := r.next()
					ended = true
					if e != (event{}) || err == io.EOF {
						t.Errorf("after its end: %+v, %v", e, err)
					}
				}()
				time.Sleep(5 * time.Second)
				busy := w.stream("/tick?interval=1s") // on the same connection, over HTTP/2
				w.publish("default", "sentinel")
				for range 30 {
					if _, err := busy.next(); err != nil {
						t.Errorf("a busy stream: %v", err)
					}
				}
				busy.close()
				time.Sleep(time.Hour)
				if synctest.Wait(); ended || w.Stats().Streams != 1 {
					t.Errorf("%s %s: it is closed (%v), %d streams", path, proto, ended, w.Stats().Streams)
				}
				r.close()
				if synctest.Wait(); w.Stats().Streams != 0 {
					t.Error("the stream is held when its client has left")
				}
			})
		}
	}
}

func TestLifetimesDiffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "1.1", Config{Heartbeat: -1, Limits: Limits{Lifetime: 100 * time.Second, LifetimeJitter: 20}})
		start := time.Now()
		ages := make(chan time.Duration, 50)
		for range cap(ages) {
			r := w.stream("/events")
			go func() {
				_, _ = r.next()
				ages <- time.Since(start)
				r.close()
			}()
		}
		time.Sleep(121 * time.Second)
		if len(ages) != cap(ages) {
			t.Fatalf("%d have ended", len(ages))
		}
		least, most := time.Hour, time.Duration(0)
		for range cap(ages) {
			age := <-ages
			least, most = min(least, age), max(most, age)
		}
		// The chance that 50 of them are all within a tenth of the span is 1 in 10^48.
		if least < 100*time.Second || most > 120*time.Second || most-least < 2*time.Second {
			t.Errorf("lifetimes are from %v to %v", least, most)
		}
	})
}

// TestGateIsThereForItsLimits: without them connections are accepted as ever.
func TestGateIsThereForItsLimits(t *testing.T) {
	var l net.Listener = newPipeListener()
	s, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	hs := &http.Server{Handler: http.NotFoundHandler()}
	s.limit(hs)
	if err := s.gated(&l); err != nil || hs.ConnContext != nil {
		t.Errorf("%v, ConnContext is set: %v", err, hs.ConnContext != nil)
	}
	if _, ok := l.(*gate); ok {
		t.Error("a gate without a limit")
	}
	s.cfg.Backlog = 1
	if s.gated(&l) == nil {
		t.Error("a backlog of a listener that has none")
	}
}
