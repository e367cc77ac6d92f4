package engine_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"syscall"
	"testing"
	"time"

	"ssegauge/loadgen/engine"
	"ssegauge/loadgen/measure"
	"ssegauge/loadgen/schedule"
	"ssegauge/reference/wire"
)

// Connections that are to end abruptly are reset, others closed.
func TestAbrupt(t *testing.T) {
	for name, e := range engines {
		for _, abrupt := range []bool{false, true} {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			opened, ended := make(chan struct{}), make(chan error, 1)
			go func() {
				c, err := l.Accept()
				if err != nil {
					ended <- err
					return
				}
				defer c.Close()
				buf := make([]byte, 4096)
				_, _ = c.Read(buf)
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
				close(opened)
				_, err = c.Read(buf)
				ended <- err
			}()
			ctx, cancel := context.WithCancel(t.Context())
			b := measure.NewBoard(measure.Config{Epoch: time.Now(), Workers: 2})
			go func() {
				<-opened
				for b.Open() < 1 && ctx.Err() == nil {
					time.Sleep(time.Millisecond)
				}
				cancel()
			}()
			e.Run(ctx, &engine.Job{
				Targets:  []engine.Target{{Request: &wire.Request{URL: &url.URL{Scheme: "http", Host: "x", Path: "/"}}, Proto: wire.HTTP11, Addrs: []string{l.Addr().String()}, Abrupt: abrupt}},
				Openings: schedule.Linear(1, 0), Burst: true, Timeout: time.Minute, Board: b,
			})
			if err := <-ended; errors.Is(err, syscall.ECONNRESET) != abrupt || !abrupt && !errors.Is(err, io.EOF) {
				t.Errorf("%s, abrupt %v: the server sees %v", name, abrupt, err)
			}
			cancel()
		}
	}
}
