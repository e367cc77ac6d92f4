package server

import (
	"cmp"
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

// stream is one open response of type text/event-stream. Its methods, but for stall, are for the handler's goroutine.
type stream struct {
	srv *Server
	w   http.ResponseWriter
	r   *http.Request
	rc  *http.ResponseController
	zip *gzipBody // nil: identity

	quiet  *time.Timer // fires when a heartbeat may be due; nil: none
	last   time.Time   // of the last write
	expiry <-chan time.Time
	idle   *time.Timer // fires when the stream may have been idle for too long; nil: no limit
	active time.Time   // of the last write that counts against that
	dead   bool        // nothing is sent any more

	fault faulted

	watch *time.Timer // cuts a write that the client does not read
	mu    sync.Mutex
	until time.Time // of the write under way; zero: none
}

const notAcceptable = "this resource is text/event-stream, which the Accept field excludes"

// openStream answers with the head of a stream and its first block, or with an error. It returns nil where nothing is
// left to do: the answer was an error, the request a HEAD, or the client is gone. first follows the block that tells the reconnection time.
func (s *Server) openStream(w http.ResponseWriter, r *http.Request, first []byte) *stream {
	if !s.admit(w, r) {
		return nil
	}
	h := w.Header()
	streamHead(h)
	zipped := acceptsGzip(r.Header)
	if zipped {
		h.Set("Content-Encoding", "gzip")
	}
	if s.fault.Head != nil {
		s.fault.Head(h, r)
	}
	code := http.StatusOK
	if s.fault.Code != 0 {
		code = s.fault.Code
	}
	if r.Method == http.MethodHead {
		if s.fault.HangHead {
			select {
			case <-r.Context().Done():
			case <-s.stop:
			}
		}
		w.WriteHeader(code)
		return nil
	}
	st := s.newStream(w, r)
	if zipped {
		st.zip = new(gzipBody)
	}
	if s.fault.Late > 0 && !st.wait(nil, time.After(s.fault.Late)) {
		st.release()
		return nil
	}
	if s.fault.Lifetime > 0 {
		st.expiry = time.After(s.fault.Lifetime)
	}
	if s.beatEvery() > 0 {
		st.quiet = time.NewTimer(s.beatEvery())
	}
	w.WriteHeader(code)
	st.write(s.firstBlock(first))
	return st
}

// admit answers a request that gets no stream, and counts in one that does, but for a HEAD, which holds none.
func (s *Server) admit(w http.ResponseWriter, r *http.Request) bool {
	if !acceptsEventStream(r.Header) {
		fail(w, http.StatusNotAcceptable, notAcceptable)
		return false
	}
	if r.Method == http.MethodHead {
		return true
	}
	if err := s.enter(r); err != nil {
		s.refuse(w, err)
		return false
	}
	if s.full() {
		s.leave(r)
		s.refuse(w, errTooManyStreams)
		return false
	}
	return true
}

// streamHead sets the fields of a stream's head.
func streamHead(h http.Header) {
	h.Set("Content-Type", "text/event-stream")
	// no-transform, because a proxy that compresses or rewrites a stream also holds it back.
	h.Set("Cache-Control", "no-store, no-transform")
	h.Set("X-Accel-Buffering", "no")
	h.Add("Vary", "Accept-Encoding")
}

// firstBlock is what a stream begins with: the reconnection time, before it is first needed.
func (s *Server) firstBlock(more []byte) []byte {
	var block []byte
	if retry := s.retry(); retry != "" {
		block, _ = sse.AppendMessage(nil, &sse.Message{NoData: true, Retry: retry}) // digits never fail
	}
	if s.fault.First != nil {
		block = s.fault.First(block)
	}
	return append(block, more...)
}

// retry is the reconnection time in milliseconds, or empty where none is told.
func (s *Server) retry() string {
	if s.cfg.Retry < 0 {
		return ""
	}
	return strconv.FormatInt(s.cfg.Retry.Milliseconds(), 10)
}

func (s *Server) newStream(w http.ResponseWriter, r *http.Request) *stream {
	st := &stream{srv: s, w: w, r: r, rc: http.NewResponseController(w), last: time.Now()}
	st.fault.opened = st.last
	st.watch = time.AfterFunc(time.Hour, st.stall)
	st.watch.Stop()
	st.limit()
	return st
}

// refuse answers 503, which tells a client to stay away, as opposed to a stream that ends at once and makes it come back
// (WHATWG HTML, IANA considerations of text/event-stream).
func (s *Server) refuse(w http.ResponseWriter, err error) {
	s.count.refused.Add(1)
	w.Header().Set("Retry-After", "5")
	fail(w, http.StatusServiceUnavailable, err.Error())
}

// close ends the response on an event boundary.
func (st *stream) close() {
	defer st.release()
	if last := st.srv.fault.Last; last != "" {
		st.write([]byte(last))
	}
	if st.zip != nil {
		st.send(st.zip.end())
	}
}

// release gives back what the stream held.
func (st *stream) release() {
	if len(st.fault.held) > 0 {
		st.put(st.fault.held)
	}
	if st.dead {
		st.wait(nil, nil) // the end would be sent too
	}
	st.watch.Stop()
	if st.quiet != nil {
		st.quiet.Stop()
	}
	if st.idle != nil {
		st.idle.Stop()
	}
	if !st.srv.fault.Keep {
		st.srv.leave(st.r)
	}
}

// write sends p and tells whether the stream goes on.
func (st *stream) write(p []byte) bool {
	if st.zip != nil {
		return st.send(st.zip.encode(nil, p, deflate(p)))
	}
	return st.send(p)
}

// event encodes and sends one event of this stream alone.
func (st *stream) event(m *sse.Message) bool {
	raw, err := st.srv.encode(m)
	return err == nil && st.events([]*record{{id: m.ID, raw: raw}})
}

// events sends records in one write, and tells whether the stream goes on.
func (st *stream) events(recs []*record) bool {
	if len(recs) == 0 {
		return true
	}
	size := 0
	for _, r := range recs {
		size += len(r.raw)
	}
	var ok bool
	if len(recs) == 1 && st.zip == nil {
		ok = st.send(recs[0].raw) // shared by all streams, copied by none of ours
	} else {
		buf := batches.Get().(*[]byte)
		out := (*buf)[:0]
		for _, r := range recs {
			if st.zip != nil {
				out = st.zip.encode(out, r.raw, r.deflated())
			} else {
				out = append(out, r.raw...)
			}
		}
		ok = st.send(out)
		if cap(out) <= 2*maxBatch {
			*buf = out
			batches.Put(buf)
		}
	}
	if ok {
		st.srv.count.delivered.Add(uint64(len(recs)))
		st.srv.count.bytes.Add(uint64(size))
	}
	return ok
}

// batches holds the buffers of writes that carry more than one event.
var batches = sync.Pool{New: func() any { return new([]byte) }}

// send writes and flushes bytes of the content. A client that does not read them in time is cut by stall: net/http
// has no deadline that covers one write of one HTTP/2 stream, and moving a deadline at each event costs more than the event.
func (st *stream) send(p []byte) bool {
	begun := st.fault.begun
	if p = st.hold(p); len(p) == 0 && begun { // else the head leaves
		return true
	}
	if split := st.srv.fault.Split; split != nil && len(p) > 1 {
		n := split(p)
		if !st.put(p[:n]) {
			return false
		}
		if !st.wait(nil, time.After(5*time.Millisecond)) {
			return false
		}
		p = p[n:]
	}
	return st.put(p)
}

func (st *stream) put(p []byte) bool {
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
	if len(p) > 0 {
		st.active = now
	}
	if most := st.srv.fault.Skips; most > 0 && time.Since(now) > most {
		st.fault.behind = true
	}
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
	var quiet, idle <-chan time.Time
	if st.quiet != nil {
		quiet = st.quiet.C
	}
	if st.idle != nil {
		idle = st.idle.C
	}
	stop := st.srv.stop
	if st.srv.fault.Deathless {
		stop = nil
	}
	for {
		select {
		case <-wake:
			return true
		case <-tick:
			return true
		case <-st.r.Context().Done():
			return false
		case <-stop:
			return false
		case <-st.expiry:
			return false
		case <-idle:
			if !st.idles() {
				return false
			}
		case <-quiet:
			// The timer is not moved at each write; it looks how long the silence was when it fires.
			if rest := st.srv.beatEvery() - time.Since(st.last); rest > 0 {
				st.quiet.Reset(rest)
				continue
			}
			active := st.active
			if !st.write([]byte(cmp.Or(st.srv.fault.Beat, heartbeat))) {
				return false
			}
			if st.srv.cfg.IdleIgnoresComments {
				st.active = active
			}
			st.srv.count.heartbeats.Add(1)
			st.quiet.Reset(st.srv.beatEvery())
		}
	}
}

// beatEvery is the silence after which a heartbeat comes; none: not positive.
func (s *Server) beatEvery() time.Duration { return cmp.Or(s.fault.BeatEvery, s.cfg.Heartbeat) }

// encode is the wire form of an event, as this server (or its fault) writes it.
func (s *Server) encode(m *sse.Message) ([]byte, error) {
	raw, err := sse.AppendMessage(nil, m)
	if err == nil && s.fault.Encode != nil {
		raw = s.fault.Encode(raw, m)
	}
	return raw, err
}
