package limits

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"ssegauge/reference/server"
)

// counted is an endless stream whose connections are for a number of requests or for a time.
type counted struct {
	most    int           // 0: any number
	silent  bool          // what is more is not answered; else the last answer says that the connection closes
	age     time.Duration // 0: any
	calm    int           // 0: any number; so many requests are answered of all, then 429
	others  int           // the status of other methods than GET; 0: 200; below 0: they are not answered
	gone    bool          // once a connection was ended, others are shut
	finite  bool          // the stream ends at once
	connect int           // only the first so many connections are ended; 0: all of them

	mu    sync.Mutex
	conns map[string]*riding
	all   int
	over  bool
}

type riding struct {
	began     time.Time
	n, number int
}

func (c *counted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	conn := c.conns[r.RemoteAddr]
	if conn == nil {
		if c.conns == nil {
			c.conns = map[string]*riding{}
		}
		conn = &riding{began: time.Now(), number: len(c.conns)}
		c.conns[r.RemoteAddr] = conn
	}
	conn.n++
	c.all++
	n, all, age := conn.n, c.all, time.Since(conn.began)
	shut := c.over
	c.over = c.over || c.gone && n >= c.most
	ends := c.connect == 0 || conn.number < c.connect
	c.mu.Unlock()
	switch {
	case ends && c.silent && c.most > 0 && n > c.most:
		panic(http.ErrAbortHandler)
	case ends && !c.silent && c.most > 0 && n >= c.most, ends && c.age > 0 && age >= c.age:
		w.Header().Set("Connection", "close")
	}
	w.Header().Set("Content-Type", "text/event-stream")
	switch {
	case c.gone && shut:
		panic(http.ErrAbortHandler)
	case r.Method != "GET" && c.others < 0:
		<-r.Context().Done()
	case c.calm > 0 && all > c.calm:
		w.WriteHeader(http.StatusTooManyRequests)
	case r.Method != "GET":
		w.WriteHeader(max(c.others, 200))
	case !c.finite:
		endless(w, r)
	}
}

func TestRequests(t *testing.T) {
	for _, tt := range []struct {
		name   string
		h      func() http.Handler
		h1, h2 string
		says1  string
		says2  string
	}{
		{"reference", planted(server.Config{Limits: server.Limits{MaxRequestsPerConn: 30}}), "found 30", "found 30", "the answer to the 30th says that the connection closes, and at half the pace", "GOAWAY"},
		{"none", planted(server.Config{}), "none 2000", "none 2000", "2000 HEAD requests", "2000 HEAD requests"},
		{"two", handler(&counted{most: 2}), "found 2", "found 2", "2nd says", "GOAWAY"},
		{"not kept", handler(&counted{most: 1}), "found 1", "found 1", "no connection is kept", "no connection is kept"},
		{"not kept but for streams", handler(&unkept{counted{most: 50}}), "undecided", "found 50", "is the last of its connection", ""},
		{"refused", handler(&counted{most: 50, others: 405}), "found 50", "found 50", "HEAD requests (answered 405)", "(each cancelled after its head)"},
		{"finite", handler(&counted{most: 50, others: 405, finite: true}), "found 50", "found 50", "GET requests", "GET requests"},
		{"silent", handler(&counted{most: 50, silent: true}), "found 50", "undecided", "closed without a word", "51st"},
		{"age", handler(&counted{age: time.Second}), "none 501", "none 501", "an age", "an age"},
		{"chance", handler(&counted{most: 50, connect: 3}), "none 2000", "none 2000", "another connection served 2000", ""},
		{"mute", handler(&counted{most: 50, others: -1}), "undecided", "found 50", "HEAD: the 1st is not answered; OPTIONS: the 1st is not answered; GET: the answer does not end", "(each cancelled"},
		{"gone", handler(&counted{most: 50, gone: true}), "undecided", "undecided", "it was seen once: another connection served 0, then the 1st: head: connection closed", ""},
		{"pace", handler(&counted{calm: 100}), "undecided", "undecided", "429", "429"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			found := probed(t, "requests", tt.h, nil)
			for id, want := range map[string][2]string{"conn/requests-h1": {tt.h1, tt.says1}, "conn/requests-h2": {tt.h2, tt.says2}} {
				is(t, found[id], want[0])
				if !strings.Contains(found[id].Evidence, want[1]) {
					t.Errorf("%s does not say %q", id, want[1])
				}
			}
		})
	}
}

// unkept ends connections after other requests than for streams, over HTTP/1.1.
type unkept struct{ counted }

func (u *unkept) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	switch {
	case r.Method == "GET":
		endless(w, r)
	case r.ProtoMajor == 1:
		w.Header().Set("Connection", "close")
	default:
		u.counted.ServeHTTP(w, r)
	}
}
