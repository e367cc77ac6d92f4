package eventsource_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"time"

	"ssegauge/reference/eventsource"
	"ssegauge/reference/sse"
	"ssegauge/reference/wire"
)

// A server that sends two events, ends, is asked again with the id of the last one, and says that this is all.
func ExampleClient_Run() {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Last-Event-ID") == "2" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "retry: 10\nid: 1\ndata: a\n\nid: 2\nevent: add\ndata: b\ndata: c\n\n")
	}))
	defer s.Close()
	u, err := url.Parse(s.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	client := eventsource.Client{Request: &wire.Request{URL: u}}
	err = client.Run(context.Background(), eventsource.Handler{
		State: func(c eventsource.Change) { fmt.Println(c.State, c.Wait) },
		Event: func(ev *sse.Event, _ time.Time) { fmt.Printf("%s %s %q\n", ev.Name(), ev.ID, ev.Data) },
	})
	var answer *eventsource.ResponseError
	fmt.Println(errors.As(err, &answer) && answer.Stopped())
	// Output:
	// connecting 0s
	// open 0s
	// message 1 "a"
	// add 2 "b\nc"
	// connecting 10ms
	// closed 0s
	// true
}
