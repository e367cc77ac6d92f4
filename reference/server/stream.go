package server

import (
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"ssegauge/reference/sse"
)

// heartbeat is the comment that keeps a quiet stream from being taken for dead (WHATWG HTML 9.2.7). It is a block
// of its own, so that readers that wait for blank lines see it too.
const heartbeat = ": heartbeat\n\n"

// stream is one open response of type text/event-stream. All its methods but stall are for the handler's goroutine.
type stream struct {
	srv  *Server
	w    http.ResponseWriter
	r    *http.Request
	rc   *http.ResponseController
	zip  *gzipBody // nil: identity
	held []byte    // what a fault holds back until the first event
	sent int       // events written

	quiet *time.Timer // fires when a heartbeat may be due; nil: none
	last  time.Time   // of the last write

	watch *time.Timer // cuts a write that the client does not read
	mu    sync.Mutex
	until time.Time // of the write under way; zero: none
}

// openStream answers with the head of a stream and its first block, or with an error. It returns nil where nothing is left
// to do: the answer was an error, or the request a HEAD. first is written with the head.
func (s *Server) openStream(w http.ResponseWriter, r *http.Request, first ...byte) *stream {
	if !acceptsEventStream(r.Header) {
		fail(w, http.StatusNotAcceptable, "this resource is text/event-stream, which the Accept field excludes")
		return nil
	}
	if r.Method != http.MethodHead {
		if err := s.enter(r); err != nil {
			s.count.refused.Add(1)
			w.Header().Set("Retry-After", "5")
			fail(w, http.StatusServiceUnavailable, err.Error())
			return nil
		}
	}
	st := &stream{srv: s, w: w, r: r, rc: http.NewResponseController(w)}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store, no-transform")
	h.Set("X-Accel-Buffering", "no")
	h.Add("Vary", "Accept-Encoding")
	if acceptsGzip(r.Header) {
		h.Set("Content-Encoding", "gzip")
		st.zip = new(gzipBody)
	}
	if s.fault.Head != nil {
		s.fault.Head(h, r)
	}
	status := http.StatusOK
	if s.fault.Status != 0 {
		status = s.fault.Status
	}
	if r.Method == http.MethodHead {
		if s.fault.HangHead {
			<-r.Context().Done()
			return nil
		}
		w.WriteHeader(status)
		return nil
	}
	st.watch = time.AfterFunc(time.Hour, st.stall)
	st.watch.Stop()
	if hb := s.cfg.Heartbeat; hb > 0 {
		st.quiet = time.NewTimer(hb)
	}
	st.last = time.Now()

	var block []byte
	if s.cfg.Retry >= 0 {
		block, _ = sse.AppendMessage(block, &sse.Message{NoData: true, Retry: strconv.FormatInt(s.cfg.Retry.Milliseconds(), 10)})
	}
	if s.fault.First != nil {
		block = s.fault.First(block)
	}
	block = append(block, first...)
	if s.fault.HoldHead {
		st.held = block
		return st
	}
	w.WriteHeader(status)
	st.write(block)
	return st
}

// close ends the response on an event boundary and gives back what the stream held.
func (st *stream) close() {
	if st.srv.fault.Last != nil {
		st.write(st.srv.fault.Last)
	}
	if st.zip != nil {
		st.send(st.zip.end())
	}
	st.watch.Stop()
	if st.quiet != nil {
		st.quiet.Stop()
	}
	st.srv.leave(st.r)
}

// write sends p, flushes, and tells whether the stream goes on.
func (st *stream) write(p []byte) bool {
	if st.held != nil {
		p = append(st.held, p...)
		st.held = nil
	}
	if st.zip != nil {
		return st.send(st.zip.encode(nil, p, deflate(p)))
	}
	return st.send(p)
}

// event encodes and sends one event of this stream alone.
func (st *stream) event(m *sse.Message) bool {
	raw, err := st.srv.encode(m)
	if err != nil {
		return false
	}
	return st.events([]*record{{id: m.ID, raw: raw, event: *m}})
}

// events sends records in one write.
func (st *stream) events(recs []*record) bool {
	if st.srv.fault.Events > 0 && st.sent >= st.srv.fault.Events {
		return false
	}
	buf := batches.Get().(*[]byte)
	defer batches.Put(buf)
	out := append((*buf)[:0], st.held...)
	st.held = nil
	size := 0
	for _, r := range recs {
		size += len(r.raw)
	}
	switch {
	case st.zip != nil:
		if len(out) > 0 {
			out = st.zip.encode(nil, out, deflate(out))
		}
		for _, r := range recs {
			out = st.zip.encode(out, r.raw, r.deflated())
		}
	case len(recs) == 1 && len(out) == 0:
		return st.sentEvents(st.send(recs[0].raw), 1, size)
	default:
		for _, r := range recs {
			out = append(out, r.raw...)
		}
	}
	if cap(out) <= 2*maxBatch {
		*buf = out
	}
	return st.sentEvents(st.send(out), len(recs), size)
}

func (st *stream) sentEvents(ok bool, n, size int) bool {
	if ok {
		st.sent += n
		st.srv.count.delivered.Add(uint64(n))
		st.srv.count.bytes.Add(uint64(size))
	}
	return ok
}

// batches holds the buffers of writes that carry more than one event.
var batches = sync.Pool{New: func() any { return new([]byte) }}

// send writes and flushes bytes of the content. A client that does not read them in time is cut by stall: net/http
// has no deadline that covers one write of one HTTP/2 stream, and moving a deadline at each event costs more than the event.
func (st *stream) send(p []byte) bool {
	now := time.Now()
	st.mu.Lock()
	st.until = now.Add(st.srv.cfg.WriteTimeout)
	st.mu.Unlock()
	st.watch.Reset(st.srv.cfg.WriteTimeout)

	_, err := st.w.Write(p)
	if err == nil {
		err = st.rc.Flush()
	}

	st.watch.Stop()
	st.mu.Lock()
	st.until = time.Time{}
	st.mu.Unlock()
	st.last = now
	return err == nil || errors.Is(err, http.ErrNotSupported)
}

// stall runs when a write may have lasted too long.
func (st *stream) stall() {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.until.IsZero() || time.Now().Before(st.until) {
		return // that write ended, and perhaps another one began
	}
	st.srv.count.cut.Add(1)
	// The handler stands in Write or Flush, so the response is still there.
	_ = st.rc.SetWriteDeadline(time.Now().Add(-time.Second))
}

// wait returns when something is to be done: true after wake or tick, false when the stream has to end because the
// client left or the server stops. Heartbeats are sent meanwhile.
func (st *stream) wait(wake <-chan struct{}, tick <-chan time.Time) bool {
	var quiet <-chan time.Time
	if st.quiet != nil {
		quiet = st.quiet.C
	}
	for {
		select {
		case <-wake:
			return true
		case <-tick:
			return true
		case <-st.r.Context().Done():
			return false
		case <-st.srv.stop:
			return false
		case <-quiet:
			// The timer is not moved at each write; it looks how long the silence was when it fires.
			if rest := st.srv.cfg.Heartbeat - time.Since(st.last); rest > 0 {
				st.quiet.Reset(rest)
				continue
			}
			if !st.write([]byte(heartbeat)) {
				return false
			}
			st.srv.count.heartbeats.Add(1)
			st.quiet.Reset(st.srv.cfg.Heartbeat)
		}
	}
}

// encode is the wire form of an event, as this server (or its fault) writes it.
func (s *Server) encode(m *sse.Message) ([]byte, error) {
	raw, err := sse.AppendMessage(nil, m)
	if err == nil && s.fault.Encode != nil {
		raw = s.fault.Encode(raw, m)
	}
	return raw, err
}
