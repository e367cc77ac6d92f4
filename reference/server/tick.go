package server

import (
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

type tickParams struct {
	interval time.Duration
	size     int // bytes of data in an event; 0: no padding
	count    int // 0: endless
}

func parseTick(q url.Values) (p tickParams, err error) {
	p.interval = time.Second
	if v := q.Get("interval"); v != "" {
		if ms, e := strconv.Atoi(v); e == nil && ms <= int(maxTick/time.Millisecond) {
			p.interval = time.Duration(ms) * time.Millisecond
		} else if p.interval, e = time.ParseDuration(v); e != nil {
			return p, fmt.Errorf("interval is no duration such as 250ms, 1s or (in ms) 250")
		}
		if p.interval < minTick || p.interval > maxTick {
			return p, fmt.Errorf("interval is not within %v and %v", minTick, maxTick)
		}
	}
	if p.size, err = intParam(q, "size", maxTickSize); err != nil {
		return p, err
	}
	p.count, err = intParam(q, "count", maxTicks)
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

// tick emits by itself. Event n is due at the start plus n intervals, whatever the ones before it took. Its id is n,
// so a client that comes back goes on with the next number; once it has the last of count, it gets 204.
func (s *Server) tick(w http.ResponseWriter, r *http.Request) {
	p, err := parseTick(r.URL.Query())
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	seq := resumeNumber(r)
	if p.count > 0 && seq >= p.count {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	st := s.openStream(w, r)
	if st == nil {
		return
	}
	defer st.close()
	due := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	var data []byte
	for st.wait(nil, timer.C) {
		seq++
		data = appendTick(data[:0], seq, time.Now(), p.size)
		if !st.event(&sse.Message{ID: strconv.Itoa(seq), Data: string(data)}) || seq == p.count {
			return
		}
		due = due.Add(p.interval)
		timer.Reset(time.Until(due))
	}
}

// resumeNumber is the number of the last event a client saw, where ids are numbers counted from 1; 0 if it saw none.
func resumeNumber(r *http.Request) int {
	n, err := strconv.Atoi(lastEventID(r))
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// appendTick appends the data of a tick, padded to size bytes where that is longer.
func appendTick(dst []byte, seq int, now time.Time, size int) []byte {
	start := len(dst)
	dst = append(dst, `{"seq":`...)
	dst = strconv.AppendInt(dst, int64(seq), 10)
	dst = append(dst, `,"sent_ns":`...)
	dst = strconv.AppendInt(dst, now.UnixNano(), 10)
	if pad := size - (len(dst) - start) - len(`,"pad":""}`); pad >= 0 {
		dst = append(dst, `,"pad":"`...)
		for range pad {
			dst = append(dst, 'x')
		}
		dst = append(dst, '"')
	}
	return append(dst, '}')
}
