package eventsource

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ssegauge/reference/sse"
	"ssegauge/reference/wire"
)

// What arrived together has one time, however slow the handler is and however little is taken at once.
func TestEventTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		c := Client{
			Request: &wire.Request{URL: &url.URL{Scheme: "http", Host: "es.test", Path: "/"}},
			Dialer: &wire.Dialer{NetDial: func(context.Context, string, string) (net.Conn, error) {
				mine, theirs := net.Pipe()
				go func() {
					defer theirs.Close()
					theirs.Read(make([]byte, 4096))
					fmt.Fprintf(theirs, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
					time.Sleep(time.Second)
					io.WriteString(theirs, strings.Repeat("data: "+strings.Repeat("x", 1000)+"\n\n", 20))
					<-ctx.Done()
				}()
				return mine, nil
			}},
		}
		n := 0
		c.Run(ctx, Handler{Event: func(_ *sse.Event, at time.Time) {
			if n++; at.Sub(start) != time.Second {
				t.Errorf("event %d is said to have come after %v", n, at.Sub(start))
			}
			if time.Sleep(time.Second); n == 20 {
				cancel()
			}
		}})
		if n != 20 {
			t.Errorf("%d events", n)
		}
	})
}
