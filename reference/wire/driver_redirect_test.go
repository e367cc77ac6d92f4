package wire

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// elsewhere answers with a redirect.
func elsewhere(status int, location string) string {
	h := fmt.Sprintf("HTTP/1.1 %d Elsewhere\r\nContent-Length: 0\r\n", status)
	if location != "-" {
		h += "Location: " + location + "\r\n"
	}
	return h + "\r\n"
}

func TestRedirects(t *testing.T) {
	secret := Header{{"Authorization", "Bearer t"}, {"Cookie", "c=1"}, {"Last-Event-ID", "7"}, {"X-Own", "y"}}
	for name, c := range map[string]struct {
		status   int
		location string
		request  Request
		addr     string
		want     []string
	}{
		"301":            {301, "/b", Request{}, "es.test:80", []string{"GET /b HTTP/1.1", "Host: es.test"}},
		"302 absolute":   {302, "http://es.test/b?x=y", Request{}, "es.test:80", []string{"GET /b?x=y HTTP/1.1"}},
		"relative":       {307, "../c", Request{}, "es.test:80", []string{"GET /c HTTP/1.1"}},
		"query only":     {307, "?z", Request{}, "es.test:80", []string{"GET /dir/a?z HTTP/1.1"}},
		"network path":   {307, "//other.test:81/q", Request{}, "other.test:81", []string{"GET /q HTTP/1.1", "Host: other.test:81"}},
		"raw query":      {307, "/b\u00fc?x=\u00fc y\"%20", Request{}, "es.test:80", []string{"GET /b%C3%BC?x=%C3%BC%20y%22%20 HTTP/1.1"}},
		"fragment":       {308, "/b#frag", Request{}, "es.test:80", []string{"GET /b HTTP/1.1"}},
		"same origin":    {307, "http://ES.test:80/b", Request{Header: secret}, "ES.test:80", []string{"GET /b HTTP/1.1", "Authorization: Bearer t", "Cookie: c=1", "Last-Event-ID: 7"}},
		"other host":     {307, "http://other.test/b", Request{Header: secret}, "other.test:80", []string{"GET /b HTTP/1.1", "no Authorization", "no Cookie", "Last-Event-ID: 7", "X-Own: y"}},
		"other port":     {307, "http://es.test:8080/b", Request{Header: secret}, "es.test:8080", []string{"GET /b HTTP/1.1", "no Authorization", "no Cookie", "Last-Event-ID: 7"}},
		"POST 301":       {301, "/b", Request{Method: "POST", Body: []byte("x"), Header: Header{{"Content-Type", "a/b"}, {"X-Own", "y"}}}, "es.test:80", []string{"GET /b HTTP/1.1", "no Content-Length", "no Content-Type", "X-Own: y"}},
		"POST 302":       {302, "/b", Request{Method: "POST", Body: []byte("x")}, "es.test:80", []string{"GET /b HTTP/1.1", "no Content-Length"}},
		"POST 303":       {303, "/b", Request{Method: "POST", Body: []byte("x")}, "es.test:80", []string{"GET /b HTTP/1.1", "no Content-Length"}},
		"POST 307":       {307, "/b", Request{Method: "POST", Body: []byte("x")}, "es.test:80", []string{"POST /b HTTP/1.1", "Content-Length: 1"}},
		"POST 308":       {308, "/b", Request{Method: "POST", Body: []byte("x")}, "es.test:80", []string{"POST /b HTTP/1.1", "Content-Length: 1"}},
		"HEAD 303":       {303, "/b", Request{Method: "HEAD"}, "es.test:80", []string{"HEAD /b HTTP/1.1"}},
		"PUT 302":        {302, "/b", Request{Method: "PUT", Body: []byte("x")}, "es.test:80", []string{"PUT /b HTTP/1.1", "Content-Length: 1"}},
		"PUT 303":        {303, "/b", Request{Method: "PUT", Body: []byte("x")}, "es.test:80", []string{"GET /b HTTP/1.1"}},
		"POST to itself": {303, "/dir/a", Request{Method: "POST"}, "es.test:80", []string{"GET /dir/a HTTP/1.1"}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.d.MaxRedirects = 1
				r := c.request
				r.URL = get("http://es.test/dir/a").URL
				before := fmt.Sprint(r)
				o := w.open(w.t.Context(), &r)
				p := w.accept()
				p.request()
				go io.ReadFull(p.r, make([]byte, len(r.Body)))
				p.send(elsewhere(c.status, c.location))
				p = w.accept()
				p.request(c.want...)
				if strings.HasPrefix(c.want[0], "P") {
					go io.ReadFull(p.r, make([]byte, len(r.Body)))
				}
				p.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				s := o.stream()
				defer s.Close()
				<-w.addrs
				if a := <-w.addrs; a != c.addr {
					t.Errorf("dialled %s", a)
				}
				if len(s.Hops) != 1 || s.Hops[0].Head.Status != c.status || s.Hops[0].URL.Path != "/dir/a" || s.Hops[0].Transcript == nil {
					t.Errorf("hops %v", s.Hops)
				}
				if fmt.Sprint(r) != before {
					t.Errorf("the caller's request was changed: %v", r)
				}
			})
		})
	}
}

// Credentials in the URL hold for its origin.
func TestRedirectUserinfo(t *testing.T) {
	for location, want := range map[string]string{"/b": "Authorization: Basic dTpw", "http://other.test/b": "no Authorization", "http://v:q@other.test/b": "Authorization: Basic djpx"} {
		inWorld(t, func(w *world) {
			w.d.MaxRedirects = 1
			o := w.open(w.t.Context(), get("http://u:p@es.test/"))
			p := w.accept()
			p.request("GET / HTTP/1.1", "Authorization: Basic dTpw")
			p.send(elsewhere(307, location))
			p = w.accept()
			p.request("GET /b HTTP/1.1", want)
			p.send("HTTP/1.1 204 \r\n\r\n")
			o.stream().Close()
		})
	}
}

func TestRedirectErrors(t *testing.T) {
	for name, c := range map[string]struct {
		locations []string
		kind      RedirectKind
	}{
		"missing":  {[]string{"-"}, RedirectNoLocation},
		"empty":    {[]string{""}, RedirectEmptyLocation},
		"no URL":   {[]string{"http://[::1"}, RedirectBadLocation},
		"no host":  {[]string{"http:///x"}, RedirectBadLocation},
		"scheme":   {[]string{"file:///etc/passwd"}, RedirectScheme},
		"itself":   {[]string{"/"}, RedirectLoop},
		"loop":     {[]string{"/b", "/c", "http://es.test/b#x"}, RedirectLoop},
		"too many": {[]string{"/1", "/2", "/3", "/4"}, RedirectLimit},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.d.MaxRedirects = 3
				o := w.open(w.t.Context(), get("http://u:secret@es.test/"))
				for _, l := range c.locations {
					p := w.accept()
					p.request()
					p.send(elsewhere(307, l))
				}
				e := o.fails(PhaseRedirect, 0, nil)
				var re *RedirectError
				if !errors.As(e, &re) || re.Kind != c.kind || re.Status != 307 {
					t.Errorf("error %v", e)
				}
				if e.Head == nil || e.Head.Status != 307 || len(e.Hops) != len(c.locations)-1 || e.Transcript == nil {
					t.Errorf("the error tells too little: %+v", e)
				}
				if strings.Contains(e.Error(), "secret") {
					t.Errorf("the error shows the password: %v", e)
				}
			})
		})
	}
}

// Without MaxRedirects the redirect is the answer; 300, 304 and 305 always are.
func TestRedirectNotFollowed(t *testing.T) {
	for status, most := range map[int]int{307: 0, 300: 5, 304: 5, 305: 5, 306: 5} {
		inWorld(t, func(w *world) {
			w.d.MaxRedirects = most
			o := w.open(w.t.Context(), get("http://es.test/"))
			p := w.accept()
			p.request()
			p.send(elsewhere(status, "/b"))
			s := o.stream()
			if s.Head.Status != status || len(s.Hops) != 0 {
				t.Errorf("status %d, hops %v", s.Head.Status, s.Hops)
			}
			s.Close()
		})
	}
}

// ConnectTo stands for the URL's own origin, not for wherever a redirect leads.
func TestConnectTo(t *testing.T) {
	inWorld(t, func(w *world) {
		w.d.MaxRedirects, w.d.ConnectTo = 5, "10.0.0.1:99"
		var recorded []string
		w.d.Recording = func(t *Transcript) {
			addr, scheme := t.Addr()
			recorded = append(recorded, scheme+" "+addr)
		}
		o := w.open(w.t.Context(), get("http://es.test/"))
		for _, hop := range [][2]string{{"/", "/b"}, {"/b", "http://other.test/"}} {
			p := w.accept()
			p.request("GET "+hop[0]+" HTTP/1.1", "Host: es.test")
			p.send(elsewhere(307, hop[1]))
		}
		p := w.accept()
		p.request("GET / HTTP/1.1", "Host: other.test")
		p.send("HTTP/1.1 204 \r\n\r\n")
		o.stream().Close()
		for _, want := range []string{"10.0.0.1:99", "10.0.0.1:99", "other.test:80"} {
			if a := <-w.addrs; a != want {
				t.Errorf("dialled %s, wanted %s", a, want)
			}
		}
		if got := strings.Join(recorded, ", "); got != "http 10.0.0.1:99, http 10.0.0.1:99, http other.test:80" {
			t.Errorf("recorded %s", got)
		}
	})
}
