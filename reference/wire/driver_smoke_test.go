package wire

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"ssegauge/reference/sse"
)

func TestSmoke(t *testing.T) {
	for _, proto := range []Proto{HTTP11, H2C, HTTP2, Auto} {
		t.Run(proto.String(), func(t *testing.T) { smoke(t, proto) })
	}
}

func smoke(t *testing.T, proto Proto) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
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
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetHTTP1(true)
	srv.Config.Protocols.SetUnencryptedHTTP2(true)
	srv.Config.Protocols.SetHTTP2(true)
	srv.EnableHTTP2 = true
	if proto == H2C || proto == HTTP11 {
		srv.Start()
	} else {
		srv.StartTLS()
	}
	defer srv.Close()
	u, _ := url.Parse(srv.URL + "/r")
	d := &Dialer{TLS: &tls.Config{InsecureSkipVerify: true}, Proto: proto, Record: 1 << 20, MaxRedirects: 5}
	s, err := d.Open(context.Background(), &Request{URL: u, Header: Header{{"Accept", "text/event-stream"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	t.Log(s.Conn.Proto(), s.Head, s.Timing, len(s.Hops))
	for {
		var ev sse.Event
		at, err := s.Next(&ev)
		if err != nil {
			t.Log(err)
			break
		}
		off, w, ok := s.Conn.Transcript().Wire(s.ID, ev.Start)
		t.Logf("%s %q %v %v %v %v", ev.ID, ev.Data, at.Sub(s.Timing.Start), off, w, ok)
	}
	for _, e := range s.Conn.Transcript().Entries() {
		t.Logf("%+v", e)
	}
	t.Log(s.Conn.Transcript().Closed())
}
