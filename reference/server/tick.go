package server

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"ssegauge/reference/sse"
)

// The bounds of /tick.
const (
	minTick     = time.Millisecond
	maxTick     = time.Hour
	maxTickSize = 1 << 20
	maxTicks    = 1_000_000_000
)

// emit streams numbered events: event n is what of makes of n, due n-1 intervals after the start, whatever the ones before it
// took. Its id is n, so it is the same event on each connection, and a client that comes back goes on with the next number. Once a client
// has the last of count (0: endless), it gets 204, which ends the matter for an EventSource (WHATWG HTML 9.2.3).
func (s *Server) emit(w http.ResponseWriter, r *http.Request, interval time.Duration, count int, of func(n int) sse.Message) {
	n := lastNumber(r)
	if count > 0 && n >= count {
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	st := s.openStream(w, r, nil)
	if st == nil {
		return
	}
	defer st.close()
	due := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for st.wait(nil, timer.C) {
		n++
		m := of(n)
		m.ID = strconv.Itoa(n)
		if !st.event(&m) || n == count {
			return
		}
		due = due.Add(interval)
		timer.Reset(time.Until(due))
	}
}

// lastNumber is the number of the last event that a client saw, where ids are numbers from 1; 0 if it saw none.
func lastNumber(r *http.Request) int {
	n, err := strconv.Atoi(lastEventID(r))
	if err != nil || n < 0 || n > maxTicks {
		return 0
	}
	return n
}

// tick emits by itself.
func (s *Server) tick(w http.ResponseWriter, r *http.Request) {
	p, err := parseTick(r.URL.Query())
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	s.emit(w, r, p.interval, p.count, func(n int) sse.Message {
		return sse.Message{Event: p.event, Data: tickData(n, time.Now(), p.size)}
	})
}

type tickParams struct {
	interval time.Duration
	size     int // bytes of data in an event; 0: no padding
	count    int // 0: endless
	event    string
}

func parseTick(q url.Values) (p tickParams, err error) {
	p.interval = time.Second
	if v := q.Get("interval"); v != "" {
		if p.interval, err = time.ParseDuration(v); err != nil {
			ms, e := strconv.ParseInt(v, 10, 32)
			if e != nil {
				return p, errors.New("interval is neither a duration (250ms, 1s) nor a number of milliseconds")
			}
			p.interval = time.Duration(ms) * time.Millisecond
		}
		if p.interval < minTick || p.interval > maxTick {
			return p, fmt.Errorf("interval is not within %v and %v", minTick, maxTick)
		}
	}
	if p.size, err = intParam(q, "size", maxTickSize); err != nil {
		return p, err
	}
	if p.count, err = intParam(q, "count", maxTicks); err != nil {
		return p, err
	}
	p.event = q.Get("event")
	_, err = message(map[string]string{"event": p.event})
	return p, err
}

func intParam(q url.Values, name string, limit int) (int, error) {
	v := q.Get(name)
	if v == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 || n > limit {
		return 0, fmt.Errorf("%s is not a number within 0 and %d", name, limit)
	}
	return n, nil
}

// tickData is a JSON object with the number and the time of sending (ns since 1970), padded to size bytes where that is longer.
func tickData(seq int, now time.Time, size int) string {
	dst := make([]byte, 0, max(size, 64))
	dst = append(dst, `{"seq":`...)
	dst = strconv.AppendInt(dst, int64(seq), 10)
	dst = append(dst, `,"sent_ns":`...)
	dst = strconv.AppendInt(dst, now.UnixNano(), 10)
	if pad := size - len(dst) - len(`,"pad":""}`); pad >= 0 {
		dst = append(dst, `,"pad":"`...)
		for range pad {
			dst = append(dst, 'x')
		}
		dst = append(dst, '"')
	}
	return string(append(dst, '}'))
}
