package wire

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"ssegauge/reference/sse"
)

func TestSmoke(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/r" {
			http.Redirect(w, r, "/events", 307)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "id: %d\ndata: x\n\n", i)
			w.(http.Flusher).Flush()
		}
	}))
	defer srv.Close()
	u, _ := url.Parse(srv.URL + "/r")
	d := &Dialer{Record: 1 << 20, MaxRedirects: 5}
	s, err := d.Open(context.Background(), &Request{URL: u, Header: Header{{"Accept", "text/event-stream"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	t.Log(s.Head, s.Timing, len(s.Hops))
	for {
		var ev sse.Event
		at, err := s.Next(&ev)
		if err != nil {
			t.Log(err)
			break
		}
		off, w, ok := s.Conn.Transcript().Wire(0, ev.Start)
		t.Logf("%s %q %v %v %v %v", ev.ID, ev.Data, at.Sub(s.Timing.Start), off, w, ok)
	}
	for _, e := range s.Conn.Transcript().Entries() {
		t.Logf("%+v", e)
	}
	t.Log(s.Conn.Transcript().Closed())
}
