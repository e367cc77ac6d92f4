// Command gosse serves event streams with the two well-known libraries for Go, each used as its documentation has it.
//
//	gosse PORT      /go-sse (tmaxmax/go-sse), /eventsource (launchdarkly/eventsource), POST /publish for both
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"

	"github.com/launchdarkly/eventsource"
	"github.com/tmaxmax/go-sse"
)

func main() {
	replay, err := sse.NewFiniteReplayer(1000, true)
	if err != nil {
		fail(err)
	}
	joe := &sse.Server{Provider: &sse.Joe{Replayer: replay}}

	ld := eventsource.NewServer()
	kept := &repository{}
	ld.Register("events", kept)

	http.Handle("GET /go-sse", joe)
	http.Handle("GET /eventsource", ld.Handler("events"))
	http.HandleFunc("POST /publish", func(w http.ResponseWriter, r *http.Request) {
		data, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		m := &sse.Message{}
		m.AppendData(string(data))
		if err := joe.Publish(m); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		kept.add(string(data), func(e event) { ld.Publish([]string{"events"}, e) })
		w.WriteHeader(http.StatusNoContent)
	})
	if _, err := strconv.Atoi(os.Args[1]); err != nil {
		fail(err)
	}
	fail(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}

// repository keeps what eventsource replays. Its own SliceRepository is called an example, and is one: it sends the event of the id itself again, and
// holds its lock for ever once a client has left in the middle of a replay, so that nothing can be published any more.
type repository struct {
	mu     sync.Mutex
	events []event
}

// add numbers an event from 1 and hands it to publish before any later one.
func (r *repository) add(data string, publish func(event)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := event{id: strconv.Itoa(len(r.events) + 1), data: data}
	r.events = append(r.events, e)
	publish(e)
}

// Replay returns the events after id; nothing where id is not one of them.
func (r *repository) Replay(_, id string) chan eventsource.Event {
	r.mu.Lock()
	after := r.events[len(r.events):]
	if n, err := strconv.Atoi(id); err == nil && n > 0 && n <= len(r.events) {
		after = r.events[n:]
	}
	r.mu.Unlock()
	out := make(chan eventsource.Event, len(after))
	for _, e := range after {
		out <- e
	}
	close(out)
	return out
}

// event is what eventsource publishes.
type event struct{ id, data string }

func (e event) Id() string    { return e.id }
func (e event) Event() string { return "" }
func (e event) Data() string  { return e.data }

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
