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

// tick emits by itself. The time that an event carries is the one when it was due: what it left later is part of its latency.
func (s *Server) tick(w http.ResponseWriter, r *http.Request) {
	p, err := parseTick(r.URL.Query())
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	s.emit(w, r, s.ticks(p), func(n int64, due time.Time) sse.Message { return tickMessage(p, n, due) })
}

// ticks is the schedule that p asks for.
func (s *Server) ticks(p tickParams) schedule {
	return schedule{interval: p.interval, count: int64(p.count), keep: int64(min(s.cfg.History, s.cfg.HistoryBytes/max(p.size, 1)))}
}

func tickMessage(p tickParams, n int64, due time.Time) sse.Message {
	return sse.Message{Event: p.event, Data: tickData(n, due, p.size)}
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

// tickData is a JSON object with the number and the time it is due (ns since 1970), padded to size bytes where that is longer.
func tickData(seq int64, due time.Time, size int) string {
	dst := make([]byte, 0, max(size, 64))
	dst = append(dst, `{"seq":`...)
	dst = strconv.AppendInt(dst, seq, 10)
	dst = append(dst, `,"sent_ns":`...)
	dst = strconv.AppendInt(dst, due.UnixNano(), 10)
	if pad := size - len(dst) - len(`,"pad":""}`); pad >= 0 {
		dst = append(dst, `,"pad":"`...)
		for range pad {
			dst = append(dst, 'x')
		}
		dst = append(dst, '"')
	}
	return string(append(dst, '}'))
}
