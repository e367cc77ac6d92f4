package server

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"ssegauge/reference/sse"
)

// schedule is a stream that is a function of the clock: event n is due at a time that its number gives, and what it says is given by both. So it
// is the same event, with the same id and the same bytes, for everyone who gets it, and replay needs no memory.
//
// An endless schedule is one for all: its event n is due n intervals after 1970, and its id is n. A finite one begins when it is opened: its
// events 1 to count are due one interval apart from then on, and their ids are "<begin in ms since 1970>-<n>".
type schedule struct {
	interval time.Duration
	count    int64 // 0: endless
	keep     int64 // how many events back a client can resume
	newest   bool  // a first connection to an endless schedule begins with the event that was due last
	begin    time.Time
}

// due is when event n is due.
func (sc *schedule) due(n int64) time.Time {
	if sc.count == 0 {
		return time.Unix(0, n*int64(sc.interval))
	}
	return sc.begin.Add(time.Duration(n-1) * sc.interval)
}

// live is the number of the first event that is not due yet.
func (sc *schedule) live(now time.Time) int64 {
	if sc.count == 0 {
		return now.UnixNano()/int64(sc.interval) + 1
	}
	return min(int64(now.Sub(sc.begin)/sc.interval)+1, sc.count) + 1
}

func (sc *schedule) id(n int64) string {
	if sc.count == 0 {
		return strconv.FormatInt(n, 10)
	}
	return strconv.FormatInt(sc.begin.UnixMilli(), 10) + "-" + strconv.FormatInt(n, 10)
}

// open begins the schedule for a client that saw nothing, and returns the number of its first event.
func (sc *schedule) open(now time.Time) int64 {
	switch {
	case sc.count > 0:
		sc.begin = now.Truncate(time.Millisecond)
		return 1
	case sc.newest:
		return sc.live(now) - 1
	}
	return sc.live(now)
}

// resume begins it for a client that saw the event id, and returns the number of the next; why is empty, or says what is lost, as for a channel.
// The plain number n of a finite schedule stands for one whose event n+1 is due now.
func (sc *schedule) resume(id string, now time.Time) (from int64, why string) {
	number := id
	if sc.count > 0 {
		begin, rest, dashed := strings.Cut(id, "-")
		if ms, err := strconv.ParseInt(begin, 10, 64); dashed && err == nil {
			number, sc.begin = rest, time.UnixMilli(ms)
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err == nil && sc.count > 0 && sc.begin.IsZero() && 0 < n && n <= sc.count {
		sc.begin = now.Add(-time.Duration(n) * sc.interval).Truncate(time.Millisecond)
	}
	if err != nil || n < 1 || sc.begin.After(now) || sc.count > 0 && n > sc.count || n >= sc.live(now) {
		if sc.count > 0 {
			return sc.open(now), "unknown"
		}
		return max(1, sc.live(now)-sc.keep), "unknown"
	}
	if oldest := sc.live(now) - sc.keep; n+1 < oldest {
		return oldest, "expired"
	}
	return n + 1, ""
}

// emit streams the schedule; of says what event n is.
func (s *Server) emit(w http.ResponseWriter, r *http.Request, sc schedule, of func(n int64, due time.Time) sse.Message) {
	n, first, ok := s.enterSchedule(w, r, &sc)
	if !ok {
		return
	}
	st := s.openStream(w, r, first)
	if st == nil {
		return
	}
	defer st.close()
	timer := time.NewTimer(time.Until(sc.due(n)))
	defer timer.Stop()
	for st.wait(nil, timer.C) {
		m := of(n, sc.due(n))
		m.ID = sc.id(n)
		if n++; !st.event(&m) || sc.count > 0 && n > sc.count {
			return
		}
		timer.Reset(time.Until(sc.due(n)))
	}
}

// enterSchedule finds the number of the event that a client gets first, and what comes before it where its position is gone. It is not ok where
// the request is answered: a client that has the last event of a finite schedule gets 204, which ends the matter for an EventSource
// (WHATWG HTML 9.2.3).
func (s *Server) enterSchedule(w http.ResponseWriter, r *http.Request, sc *schedule) (n int64, first []byte, ok bool) {
	if s.misled(w, r) {
		return 0, nil, false
	}
	if sc.keep == 0 {
		sc.keep = int64(s.cfg.History)
	}
	now := time.Now()
	if id := lastEventID(r); id != "" {
		var why string
		if n, why = sc.resume(id, now); why != "" {
			first = gap(id, why)
		}
		if s.fault.Resume != nil {
			n, first = int64(s.fault.Resume(uint64(n), uint64(sc.live(now)))), nil
		}
	} else {
		n = sc.open(now)
	}
	if sc.count > 0 && n > sc.count && s.fault.Endless {
		if st := s.openStream(w, r, nil); st != nil {
			st.close()
		}
		return 0, nil, false
	}
	if sc.count > 0 && n > sc.count {
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNoContent)
		return 0, nil, false
	}
	return n, first, true
}
