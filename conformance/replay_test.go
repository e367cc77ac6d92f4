package conformance

import (
	"net"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"ssegauge/reference/wire"
)

// Connections of one check are dialled in one order and asked in another, before or after the others are connected: each is what was asked on it.
func TestReplayAskedInAnotherOrder(t *testing.T) {
	ask := func(accept string) *wire.Request {
		return &wire.Request{URL: &url.URL{Scheme: "http", Host: "h", Path: "/"}, Header: wire.Header{{Name: "Accept", Value: accept}}}
	}
	conn := func(accept string) recordedConn {
		return recordedConn{Addr: "h:80", HTTP: "1.1", Requests: []recordedAsk{{Request: requestText(ask(accept))}}, Received: []recordedBytes{{Data: []byte(accept)}}}
	}
	// The moment of one is still to come, while the others have been asked.
	synctest.Test(t, func(t *testing.T) {
		late := conn("a")
		late.Connected = time.Second
		w := &world{rec: &Recording{conns: []recordedConn{late, conn("b")}}, used: map[any]bool{}, open: map[*replayConn]bool{}}
		w.wrap(&Target{}, nil)
		var d wire.Dialer
		w.dial(t.Context(), &d)
		go func() {
			if c, err := d.NetDial(t.Context(), "tcp", "h:80"); err != nil {
				t.Error(err)
			} else if _, _, err := c.(wire.Recorded).Asked(ask("b")); err != nil {
				t.Error("b:", err)
			}
		}()
		synctest.Wait()
		if c, err := d.NetDial(t.Context(), "tcp", "h:80"); err != nil {
			t.Error(err)
		} else if _, _, err := c.(wire.Recorded).Asked(ask("a")); err != nil {
			t.Error("a:", err)
		}
		time.Sleep(2 * time.Second)
	})
	for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		accepts := []string{"a", "b", "c"}
		w := &world{rec: &Recording{conns: []recordedConn{conn("a"), conn("b"), conn("c")}}, used: map[any]bool{}, open: map[*replayConn]bool{}}
		w.wrap(&Target{}, nil)
		var d wire.Dialer
		w.dial(t.Context(), &d)
		var conns []net.Conn
		for range accepts {
			c, err := d.NetDial(t.Context(), "tcp", "h:80")
			if err != nil {
				t.Fatal(err)
			}
			conns = append(conns, c)
		}
		for i, k := range order {
			c := conns[i]
			c.SetReadDeadline(time.Now().Add(time.Minute))
			if _, _, err := c.(wire.Recorded).Asked(ask(accepts[k])); err != nil {
				t.Errorf("%v: %d: %v", order, i, err)
				continue
			}
			got := make([]byte, 10)
			if n, err := c.Read(got); string(got[:n]) != accepts[k] {
				t.Errorf("%v: %d read %q, %v", order, i, got[:n], err)
			}
		}
		if _, _, err := conns[0].(wire.Recorded).Asked(ask("d")); err == nil {
			t.Error("a request that was not asked then")
		}
	}
}
