package serverchecks_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ssegauge/conformance"
	"ssegauge/conformance/serverchecks"
	"ssegauge/reference/publish"
	"ssegauge/reference/server"
	rawengine "ssegauge/reference/server/raw"
	"ssegauge/reference/wire"
	"ssegauge/reports/result"
)

// pipes is a listener without a network.
type pipes struct {
	conns chan net.Conn
	gone  chan struct{}
	close sync.Once
}

func listen() *pipes { return &pipes{conns: make(chan net.Conn), gone: make(chan struct{})} }

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.gone:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error   { l.close.Do(func() { close(l.gone) }); return nil }
func (l *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

func (l *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-l.gone:
		return nil, errors.New("connection refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// site is where a reference server is found, and can be restarted.
type site struct {
	mu     sync.Mutex
	l      *pipes
	stop   context.CancelFunc
	served chan error
	fault  string
	config *tls.Config
	raw    bool // the raw engine
}

func (s *site) start(ctx context.Context) error {
	srv, err := server.New(server.Config{Fault: s.fault, MaxStreams: limits[s.fault]})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	l, served := listen(), make(chan error, 1)
	s.mu.Lock()
	s.l, s.stop, s.served = l, stop, served
	s.mu.Unlock()
	go func() {
		if s.raw {
			served <- rawengine.Serve(ctx, srv, l)
			return
		}
		served <- srv.Serve(ctx, l, s.config)
	}()
	return nil
}

// end tells the server to stop, and waits until it did.
func (s *site) end() error {
	s.stop()
	return <-s.served
}

func (s *site) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	s.mu.Lock()
	l := s.l
	s.mu.Unlock()
	return l.dial(ctx, network, addr)
}

// checkReference holds the reference server against the checks.
func checkReference(t *testing.T, path, fault string, proto wire.Proto, change func(*conformance.Target)) map[string]result.Finding {
	t.Helper()
	return checkSite(t, path, fault, proto, 0, change)
}

// checkSite is checkReference with these means of cooperation besides. Over TLS it is with proto [wire.Auto].
func checkSite(t *testing.T, path, fault string, proto wire.Proto, lent conformance.Needs, change func(*conformance.Target)) map[string]result.Finding {
	t.Helper()
	return checkRecorded(t, path, fault, proto, lent, change, nil)
}

// checkRecorded is checkSite with a recording of it.
func checkRecorded(t *testing.T, path, fault string, proto wire.Proto, lent conformance.Needs, change func(*conformance.Target), rec *conformance.Recording) map[string]result.Finding {
	t.Helper()
	return checkEngine(t, &site{fault: fault}, path, proto, lent, change, rec)
}

// checkEngine is checkRecorded of a site.
func checkEngine(t *testing.T, s *site, path string, proto wire.Proto, lent conformance.Needs, change func(*conformance.Target), rec *conformance.Recording) map[string]result.Finding {
	t.Helper()
	found := map[string]result.Finding{}
	synctest.Test(t, func(t *testing.T) {
		origin := "http://reference.example"
		tr := &http.Transport{DialContext: s.dial}
		tg := conformance.Target{Dialer: wire.Dialer{NetDial: s.dial, Proto: proto}, ExpectReplay: true}
		if proto == wire.Auto {
			origin = "https://reference.example"
			cert, err := server.SelfSigned("reference.example")
			if err != nil {
				t.Fatal(err)
			}
			s.config = &tls.Config{Certificates: []tls.Certificate{cert}}
			tr.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
			tg.Dialer.TLS = tr.TLSClientConfig
		}
		if err := s.start(context.WithoutCancel(t.Context())); err != nil {
			t.Fatal(err)
		}
		pub, err := publish.Compile(publish.Hook{
			HTTP: "POST " + origin + "/publish?channel=t", Body: `{"data":{{json .Data}},"event":{{json .Event}},"id":{{json .ID}},"retry":{{json .Retry}},"comment":{{json .Comment}}}`, Transport: tr,
		})
		if err != nil {
			t.Fatal(err)
		}
		u, _ := url.Parse(origin + path)
		tg.Request = wire.Request{URL: u, Header: wire.Header{{Name: "Accept", Value: "text/event-stream"}}}
		tg.Publisher = pub
		if lent&conformance.Scenario != 0 {
			tg.ScenarioURL = origin + "/scenario/{{.Name}}"
		}
		if lent&conformance.Gauge != 0 {
			stats, _ := url.Parse(origin + "/stats")
			tg.Gauge = &conformance.GaugeSource{URL: stats, Pointer: "/streams"}
		}
		if lent&conformance.Kill != 0 {
			tg.Restart = func(ctx context.Context) error {
				if err := s.end(); err != nil {
					return err
				}
				tr.CloseIdleConnections()
				return s.start(context.WithoutCancel(t.Context()))
			}
		}
		resumeDeclared(&tg)
		lends(&tg)
		if change != nil {
			change(&tg)
		}
		checks := serverchecks.All()
		if profile, ok := strings.CutPrefix(path, "/profile/"); ok {
			checks = append(checks, serverchecks.InProfiles(profile)...)
		}
		r, err := conformance.Run(t.Context(), tg, checks, conformance.Options{Recording: rec})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range r.Results {
			found[f.ID] = f
		}
		if most := time.Duration(float64(time.Millisecond) * r.DurationMS); tg.Window <= conformance.DefaultWindow && s.fault == "" && !strings.HasPrefix(path, "/profile/") && most > 30*time.Second {
			t.Errorf("the run took %v", most)
		}
		tr.CloseIdleConnections()
		if err := s.end(); err != nil {
			t.Error(err)
		}
	})
	return found
}

// Everything that a target can lend, and time for all: every check but those that only a finite or a broken stream decides comes to a verdict, in time.
func TestReferenceServerCooperates(t *testing.T) {
	const everyone = conformance.Scenario | conformance.Gauge | conformance.Kill
	for id, f := range checkSite(t, "/events?channel=t", "", wire.HTTP11, everyone, nil) {
		t.Log(show(f))
		switch f.Verdict {
		case result.Fail, result.Warn, result.Error:
			t.Error(show(f))
		case result.NotObserved:
			if strings.HasPrefix(id, "stop/") || strings.HasPrefix(id, "lifecycle/") || strings.HasPrefix(id, "load/") {
				t.Error(show(f))
			}
		}
	}
}

func TestReferenceServerIsClean(t *testing.T) {
	for _, c := range []struct {
		path  string
		proto wire.Proto
		hook  bool
	}{
		{"/events?channel=t", wire.HTTP11, true},
		{"/events?channel=t", wire.H2C, true},
		{"/events?channel=t", wire.HTTP11, false},
		{"/tick?interval=500ms", wire.HTTP11, false},
		{"/tick?interval=500ms&count=5", wire.HTTP11, false},
		{"/sse", wire.HTTP11, false},
		{"/stream", wire.HTTP11, false},
		{"/connect", wire.H2C, false},
		{"/chat-updates?friends=a,b", wire.HTTP11, false},
	} {
		t.Run(c.proto.String()+c.path, func(t *testing.T) {
			t.Parallel()
			for _, f := range checkReference(t, c.path, "", c.proto, func(t *conformance.Target) {
				if !c.hook {
					t.Publisher, t.ExpectReplay = nil, false
					t.Declared.Finite = strings.Contains(c.path, "count=")
				}
			}) {
				t.Log(show(f))
				switch f.Verdict {
				case result.Fail, result.Warn, result.Error:
					if c.path == "/sse" && strings.HasPrefix(f.ID, "http/accept/") {
						continue // it insists on text/event-stream, as it is specified to
					}
					t.Error(show(f))
				case result.NotObserved:
					if c.hook && f.DecidedBy == "" && !strings.HasPrefix(f.ID, "live/heartbeat") && !liveNeedsMore[f.ID] && !httpNeedsMore[f.ID] {
						t.Error(show(f))
					}
				}
			}
		})
	}
}

// The reference server's own faults: each found by its check, and by no other.
func TestReferenceServerFaults(t *testing.T) {
	base := map[wire.Proto]map[string]result.Finding{
		wire.HTTP11: checkReference(t, "/events?channel=t", "", wire.HTTP11, nil),
		wire.H2C:    checkReference(t, "/events?channel=t", "", wire.H2C, nil),
	}
	// What cannot stay as it was.
	follows := map[string]string{
		"http/status":        everything,
		"http/content-type":  "http/content-type/charset",
		"framing/terminated": "live/heartbeat",
		"live/proxy-diff":    "http/cache-control",
	}
	maps.Copy(follows, bytesFollows)
	maps.Copy(follows, liveFollows)
	for id, more := range httpFollows {
		follows[id] = strings.TrimSpace(follows[id] + " " + more)
	}
	for id, more := range resumeFollows {
		follows[id] = strings.TrimSpace(follows[id] + " " + more)
	}
	change := map[string]func(*conformance.Target){} // what a fault needs to show
	change["live/proxy-diff"] = func(t *conformance.Target) {
		direct := *t.Request.URL
		direct.Host = "direct.example"
		t.DirectURL = &direct
	}
	maps.Copy(change, httpChange)
	maps.Copy(change, bytesChange)
	maps.Copy(change, liveChange)
	maps.Copy(change, resumeChange)
	var m matrix
	t.Cleanup(func() { m.report(t) }) // after the rows, which run side by side
	cleans := map[string]*cleanRun{}  // of what some rows need besides
	for _, f := range server.Faults() {
		c, ok := lookup(f.ID)
		if !ok || c.Run == nil {
			continue
		}
		proto, path, key := wire.HTTP11, "/events?channel=t", ""
		if strings.HasPrefix(f.ID, "h2/") {
			proto = wire.H2C
		}
		var means conformance.Needs
		switch {
		case c.Profile != "":
			path, change[f.ID], follows[f.ID] = "/profile/"+c.Profile, profileTarget[c.Profile], profileFollows[f.ID]
			key = path
		case f.ID == "load/six":
			proto, key = wire.Auto, "TLS"
		case change[f.ID] == nil:
			if means = c.Needs & (conformance.Scenario | conformance.Gauge | conformance.Kill); means != 0 {
				key = fmt.Sprint(proto, means)
			}
		case f.ID == "live/no-deadline":
			key = f.ID
		}
		if cleans[key] == nil {
			cleans[key] = &cleanRun{}
		}
		t.Run(f.ID, func(t *testing.T) {
			t.Parallel()
			clean := base[proto]
			if key != "" {
				clean = cleans[key].get(func() map[string]result.Finding { return checkSite(t, path, "", proto, means, change[f.ID]) })
			}
			found := checkSite(t, path, f.ID, proto, means, change[f.ID])
			row := m.add(c, clean, found, follows[f.ID])
			if !row.caught {
				t.Errorf("not found, or too mild (%s on the clean server): %s", row.clean, show(found[f.ID]))
			}
			for _, change := range row.unrelated {
				id, _, _ := strings.Cut(change, " ")
				t.Errorf("%s\n%s", change, show(found[id]))
			}
		})
	}
}

// cleanRun is what the clean server gets under the conditions of some rows, made by the first of them.
type cleanRun struct {
	once  sync.Once
	found map[string]result.Finding
}

func (c *cleanRun) get(run func() map[string]result.Finding) map[string]result.Finding {
	c.once.Do(func() { c.found = run() })
	return c.found
}

func lookup(id string) (conformance.Check, bool) {
	for _, c := range append(serverchecks.All(), serverchecks.InProfiles()...) {
		if c.ID == id {
			return c, true
		}
	}
	return conformance.Check{}, false
}
