package server

import (
	"net/url"
	"testing"
	"testing/synctest"

	"ssegauge/reference/sse"
	"ssegauge/reference/wire"
)

// TestWireSeesNoFault has the house's own reader, which judges every byte, look at what the server declares and sends.
func TestWireSeesNoFault(t *testing.T) {
	for _, proto := range []wire.Proto{wire.HTTP11, wire.H2C} {
		t.Run(proto.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "1.1", Config{MaxConcurrentStreams: 321})
				d := wire.Dialer{Proto: proto, NetDial: w.l.Dial, Record: 1 << 20}
				u, err := url.Parse("http://host/stream")
				if err != nil {
					t.Fatal(err)
				}
				st, err := d.Open(t.Context(), &wire.Request{URL: u, Header: wire.Header{{Name: "Accept", Value: "text/event-stream"}}})
				if err != nil {
					t.Fatal(err)
				}
				defer st.Close()
				var e sse.Event
				n := 0
				for ; ; n++ {
					if _, err := st.Next(&e); err != nil {
						break
					}
				}
				if n != 10 {
					t.Errorf("%d events", n)
				}
				if faults := st.Conn.Transcript().Faults(); len(faults) > 0 {
					t.Errorf("%+v", faults)
				}
				if got := st.Conn.Peer().MaxConcurrentStreams; proto == wire.H2C && got != 321 {
					t.Errorf("MAX_CONCURRENT_STREAMS is %d", got)
				}
			})
		})
	}
}
