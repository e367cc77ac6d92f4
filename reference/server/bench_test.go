package server

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"

	"ssegauge/reference/sse"
)

// BenchmarkFanOut publishes 100-byte events to n subscribers on loopback and waits until each has it. Client and server share the machine, so
// the figure is an upper bound of what a delivery costs the server.
func BenchmarkFanOut(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		for _, encoding := range []string{"identity", "gzip"} {
			b.Run(fmt.Sprintf("streams=%d/%s", n, encoding), func(b *testing.B) { fanOut(b, n, encoding) })
		}
	}
}

func fanOut(b *testing.B, n int, encoding string) {
	s, err := New(Config{History: b.N + 1, HistoryBytes: 1 << 30})
	if err != nil {
		b.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- s.Serve(b.Context(), l, nil) }()

	c, err := s.channels.hold("default")
	if err != nil {
		b.Fatal(err)
	}
	var all sync.WaitGroup
	ready := make(chan struct{}, n)
	client := &http.Client{Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: n}}
	defer client.CloseIdleConnections()
	for range n {
		all.Go(func() {
			req, _ := http.NewRequest("GET", "http://"+l.Addr().String()+"/events", nil)
			req.Header.Set("Accept-Encoding", encoding)
			res, err := client.Do(req)
			ready <- struct{}{}
			if err != nil {
				b.Error(err)
				return
			}
			defer res.Body.Close()
			_, _ = io.Copy(io.Discard, res.Body)
		})
	}
	for range n {
		<-ready
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range uint64(b.N) {
		if _, err := c.publish(message100); err != nil {
			b.Fatal(err)
		}
		for s.count.delivered.Load() < (i+1)*uint64(n) { // one after the other, so that no two go out in one write
			runtime.Gosched()
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/delivery")
	_ = s.Shutdown(b.Context())
	<-done
	all.Wait()
}

var message100 = sse.Message{Data: strings.Repeat("x", 100)}
