package wire

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// pumped drives Frames over a connection: the least driver there can be.
type pumped struct {
	*Frames
	t    *testing.T
	conn net.Conn
	buf  []byte
	in   []byte
}

func dialFrames(t *testing.T, addr string, o FramesOptions) *pumped {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second)) // so that a bug fails and does not hang
	return &pumped{Frames: NewFrames(o), t: t, conn: c, buf: make([]byte, 64<<10)}
}

func (p *pumped) flush() {
	p.t.Helper()
	for len(p.Out()) > 0 {
		n, err := p.conn.Write(p.Out())
		if err != nil {
			p.t.Fatal(err)
		}
		p.Wrote(n)
	}
}

// next returns the next item that is not None.
func (p *pumped) next() Item {
	p.t.Helper()
	for {
		var it Item
		n, err := p.Next(p.in, &it)
		p.in = p.in[n:]
		if err != nil {
			p.t.Fatalf("%v (item %v)", err, it.Fault.Code)
		}
		if it.Kind != None {
			return it
		}
		p.flush()
		k, err := p.conn.Read(p.buf)
		if err != nil {
			p.t.Fatal(err)
		}
		p.in = p.buf[:k]
	}
}

func (p *pumped) open(method, url string, h Header, body []byte) uint32 {
	p.t.Helper()
	id, err := p.Open(&Request{Method: method, URL: parseURL(url), Header: h, Body: body})
	if err != nil {
		p.t.Fatal(err)
	}
	return id
}

func parseURL(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return u
}

// answer is one response as it came.
type answer struct {
	interim []int
	head    *Head
	body    []byte
	trailer Header
	reset   string
	faults  []FaultCode
}

// collect reads until n streams are over.
func (p *pumped) collect(n int) map[uint32]*answer {
	p.t.Helper()
	m := map[uint32]*answer{}
	for n > 0 {
		it := p.next()
		a := m[it.Stream]
		if a == nil {
			a = &answer{}
			m[it.Stream] = a
		}
		switch it.Kind {
		case Interim:
			a.interim = append(a.interim, it.Head.Status)
		case Final:
			a.head = it.Head
		case Body:
			a.body = append(a.body, it.Data...)
		case Trailer:
			a.trailer = it.Trailer
		case Broken:
			a.faults = append(a.faults, it.Fault.Code)
		case Reset:
			a.reset = ErrCode(it.Code).String()
			n--
		case End:
			n--
		}
	}
	return m
}

// h2cServer serves h over HTTP/2 in the clear by net/http.
func h2cServer(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func TestFramesNetHTTP(t *testing.T) {
	big := bytes.Repeat([]byte("0123456789abcdef"), 200_000) // 3.2 MB: beyond every window
	addr := h2cServer(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/big":
			w.Write(big)
		case "/echo":
			w.Header().Set("X-Seen", fmt.Sprintf("%s %s %s %q", r.Method, r.Host, r.URL.RequestURI(), r.Header["X-Long"]))
			io.Copy(w, r.Body)
		case "/hints":
			w.WriteHeader(103)
			w.Header().Set("Trailer", "X-Sum")
			w.Write([]byte("text"))
			w.Header().Set("X-Sum", "42")
		case "/empty":
			w.WriteHeader(204)
		case "/abort":
			w.Write([]byte("part"))
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		case "/early":
			w.WriteHeader(413)
		}
	})
	for _, o := range []FramesOptions{{}, {StreamWindow: 1000, ConnWindow: 70000}, {HeaderTable: 4096}, {HeaderTable: 65536}} {
		p := dialFrames(t, addr, o)
		base := "http://" + addr
		long := strings.Repeat("x", 40_000) // HEADERS and CONTINUATIONs
		get := p.open("", base+"/big", nil, nil)
		echo := p.open("POST", base+"/echo?a=b", Header{{"X-Long", long}, {"Connection", "close"}, {"Host", "example.org"}}, big)
		hints := p.open("GET", base+"/hints", Header{{"TE", "trailers"}}, nil)
		empty := p.open("GET", base+"/empty", nil, nil)
		head := p.open("HEAD", base+"/big", nil, nil)
		abort := p.open("GET", base+"/abort", nil, nil)
		early := p.open("PUT", base+"/early", nil, big)
		m := p.collect(7)
		if got := m[get]; got.head.Status != 200 || !bytes.Equal(got.body, big) {
			t.Errorf("GET: %d, %d bytes", got.head.Status, len(got.body))
		}
		if got := m[echo]; !bytes.Equal(got.body, big) || got.head.Header.Get("x-seen") != fmt.Sprintf("POST example.org /echo?a=b [%q]", long) {
			t.Errorf("echo: %d bytes, seen %.80q", len(got.body), got.head.Header.Get("x-seen"))
		}
		if got := m[hints]; fmt.Sprint(got.interim) != "[103]" || string(got.body) != "text" || got.trailer.Get("x-sum") != "42" {
			t.Errorf("hints: %+v", got)
		}
		if got := m[empty]; got.head.Status != 204 || len(got.body) != 0 {
			t.Errorf("empty: %+v", got)
		}
		if got := m[head]; got.head.Status != 200 || len(got.body) != 0 {
			t.Errorf("HEAD: %+v", got)
		}
		if got := m[abort]; string(got.body) != "part" || got.reset != "INTERNAL_ERROR" {
			t.Errorf("abort: %+v", got)
		}
		if got := m[early]; got.head.Status != 413 {
			t.Errorf("early: %+v", got)
		}
		for id, a := range m {
			if len(a.faults) > 0 {
				t.Errorf("stream %d of net/http has faults: %v", id, a.faults)
			}
		}
		if !p.Peer().Seen || p.Peer().MaxConcurrentStreams != 250 {
			t.Errorf("peer: %+v", p.Peer())
		}
		if p.Active() != 0 || len(p.lengths) != 0 || len(p.uploads) != 0 {
			t.Errorf("left over: %d active, %d lengths, %d uploads", p.Active(), len(p.lengths), len(p.uploads))
		}
	}
}
