package engine_test

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ssegauge/loadgen/engine"
	"ssegauge/loadgen/measure"
	"ssegauge/loadgen/schedule"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

func descriptors(t testing.TB) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// full is a listener that nobody accepts from and that has no room for one more connection.
func full(t *testing.T) string {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		c, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(c) })
		_ = unix.Connect(c, sa)
	}
	return fmt.Sprintf("127.0.0.1:%d", sa.(*unix.SockaddrInet4).Port)
}

// However far a run has come when it is stopped, nothing of it is left, and who was under way is counted.
func TestStop(t *testing.T) {
	const n = 20
	silent := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	open := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(200)
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	for name, e := range engines {
		for _, proto := range []wire.Proto{wire.HTTP11, wire.H2C} {
			unheard := full(t)
			u := &url.URL{Scheme: "http", Host: unheard, Path: "/"}
			for _, c := range []struct {
				phase   string
				target  engine.Target
				timeout time.Duration
				opened  int
				cause   string // where the run is left to itself
			}{
				{"connecting", engine.Target{Request: &wire.Request{URL: u}, Proto: proto, Addrs: []string{unheard}}, time.Minute, 0, ""},
				{"connecting too long", engine.Target{Request: &wire.Request{URL: u}, Proto: proto, Addrs: []string{unheard}}, 300 * time.Millisecond, 0, "connect: timeout"},
				{"head", serve(t, proto, silent), time.Minute, 0, ""},
				{"body", serve(t, proto, open), time.Minute, n, ""},
			} {
				t.Run(name+"/"+proto.String()+"/"+c.phase, func(t *testing.T) {
					before := descriptors(t)
					b := measure.NewBoard(measure.Config{Epoch: time.Now(), Workers: 2})
					ctx, cancel := context.WithCancel(t.Context())
					done := make(chan struct{})
					go func() {
						defer close(done)
						e.Run(ctx, &engine.Job{Targets: []engine.Target{c.target}, Openings: schedule.Linear(n, 0), Burst: true, StreamsPerConn: 5, Timeout: c.timeout, Board: b})
					}()
					if c.cause == "" {
						for end := time.Now().Add(10 * time.Second); b.Open() < c.opened && time.Now().Before(end); {
							time.Sleep(time.Millisecond)
						}
						time.Sleep(100 * time.Millisecond)
						cancel()
					}
					select {
					case <-done:
					case <-time.After(20 * time.Second):
						t.Fatal("the run goes on")
					}
					cancel()
					b.Finish()
					var l result.Load
					b.Fill(&l)
					cause := c.cause
					if cause == "" {
						cause = "head: none by the end of the run"
					}
					if l.Streams.Opened != c.opened || l.Streams.Failed != n-c.opened || count(l.Streams.Failures, cause) != n-c.opened || l.Streams.ClosedByServer != 0 {
						t.Errorf("%+v", l.Streams)
					}
					// What the server holds of it goes when it notices.
					for end := time.Now().Add(10 * time.Second); descriptors(t) > before && time.Now().Before(end); {
						time.Sleep(10 * time.Millisecond)
					}
					if after := descriptors(t); after > before {
						t.Errorf("%d descriptors, %d before", after, before)
					}
				})
			}
		}
	}
}

// Without descriptors left streams fail with that cause, and the others are not disturbed.
func TestNoDescriptors(t *testing.T) {
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	for name, e := range engines {
		target := engine.Target{Request: &wire.Request{URL: &url.URL{Scheme: "http", Host: "x", Path: "/"}}, Proto: wire.HTTP11, Addrs: []string{full(t)}}
		low := old
		low.Cur = uint64(descriptors(t) + 20)
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
			t.Fatal(err)
		}
		l := job(t, e, target, 60, 300*time.Millisecond)
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
			t.Fatal(err)
		}
		s := l.Streams
		if none, late := s.Failures["connect: too many open files"], s.Failures["connect: timeout"]; s.Failed != 60 || none < 30 || late < 10 || none+late != 60 {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// Connections come from the addresses they are to come from, in turn, and go on to the next where one cannot be had.
func TestSources(t *testing.T) {
	from := make(chan string, 100)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from <- r.RemoteAddr
		w.Header().Set("Content-Type", "text/event-stream")
	})
	for name, e := range engines {
		for _, proto := range []wire.Proto{wire.HTTP11, wire.H2C} {
			target := serve(t, proto, h)
			for i := range 3 {
				target.Sources = append(target.Sources, netip.AddrFrom4([4]byte{127, 0, 0, byte(i + 5)}))
			}
			target.PeerStreams = 1
			l := job(t, e, target, 30, time.Minute)
			seen := map[string]int{}
			for range l.Streams.Opened {
				seen[(<-from)[:len("127.0.0.5")]]++
			}
			if len(seen) != 3 || min(seen["127.0.0.5"], seen["127.0.0.6"], seen["127.0.0.7"]) < 7 || l.Streams.Opened != 30 {
				t.Errorf("%s/%v: %v, %+v", name, proto, seen, l.Streams)
			}
			target.Sources = []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, 1}), netip.AddrFrom4([4]byte{127, 0, 0, 9})} // one is not ours
			l = job(t, e, target, 6, time.Minute)
			for range l.Streams.Opened {
				seen[(<-from)[:len("127.0.0.5")]]++
			}
			if seen["127.0.0.9"] != 6 {
				t.Errorf("%s/%v: %v, %+v", name, proto, seen, l.Streams)
			}
		}
	}
}

// BenchmarkOpen opens 10,000 streams and lets them go.
func BenchmarkOpen(b *testing.B) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Content-Type", "text/event-stream") })
	for name, e := range engines {
		for _, proto := range []wire.Proto{wire.HTTP11, wire.H2C} {
			b.Run(name+"/"+proto.String(), func(b *testing.B) {
				target := serve(b, proto, h)
				const n = 10_000
				for b.Loop() {
					board := measure.NewBoard(measure.Config{Epoch: time.Now(), Workers: 2})
					e.Run(b.Context(), &engine.Job{Targets: []engine.Target{target}, Openings: schedule.Linear(n, 0), Burst: true, StreamsPerConn: 10, Timeout: time.Minute, Board: board})
					var l result.Load
					board.Fill(&l)
					if l.Streams.Opened != n {
						b.Fatalf("%+v", l.Streams)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/stream")
			})
		}
	}
}
