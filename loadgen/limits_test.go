package loadgen

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"ssegauge/loadgen/engine"
	"ssegauge/loadgen/plan"
	"ssegauge/reference/wire"
)

// Loopback gets as many source addresses as the ports are needed for, a plan's own come first, and what has no port is said with the number that does.
func TestSources(t *testing.T) {
	ports := portRange()
	if ports == 0 {
		t.Skip("the range of local ports is not known")
	}
	target := func(addr string) []engine.Target {
		return []engine.Target{{Request: &wire.Request{URL: &url.URL{}}, Proto: wire.HTTP11, Addrs: []string{addr}}}
	}
	for _, c := range []struct {
		addr    string
		streams int
		given   []string
		sources []string
		fits    int // 0: all
	}{
		{"127.0.0.1:80", 1000, nil, nil, 0},
		{"127.0.0.1:80", 12_000, nil, []string{"127.0.0.1", "127.0.0.2", "127.0.0.3"}, 0},
		{"192.0.2.1:80", 60_000, nil, nil, ports},
		{"192.0.2.1:80", 60_000, []string{"192.0.2.8/30"}, []string{"192.0.2.9", "192.0.2.10"}, 2 * ports},
		{"[::1]:80", 60_000, []string{"::1", "127.0.0.1"}, []string{"::1"}, ports},
	} {
		p := &plan.Plan{Targets: []plan.Target{{URL: "http://x/"}}, Streams: c.streams, Sources: c.given}
		if err := p.Validate(); err != nil {
			t.Fatal(err)
		}
		targets := target(c.addr)
		if err := chooseSources(p, targets); err != nil {
			t.Fatal(err)
		}
		got := targets[0].Sources
		if len(got) != len(c.sources) {
			t.Errorf("%s, %d streams from %v: sources %v, want %v", c.addr, c.streams, c.given, got, c.sources)
			continue
		}
		for i, a := range got {
			if a != netip.MustParseAddr(c.sources[i]) {
				t.Errorf("%s, %d streams from %v: sources %v, want %v", c.addr, c.streams, c.given, got, c.sources)
			}
		}
		fits := 0
		if err := checkPorts(p, targets); err != nil {
			fits = err.Fits
		}
		if fits != min(c.fits, c.streams)%c.streams {
			t.Errorf("%s, %d streams from %v: %d fit, want %d", c.addr, c.streams, c.given, fits, c.fits)
		}
	}
	p := &plan.Plan{Sources: []string{"::1"}, Streams: 1, Timeout: time.Second}
	if err := chooseSources(p, target("127.0.0.1:80")); err == nil {
		t.Error("a source of the other family alone is no error")
	}
}

// The advice names only what there is.
func TestLimitAdvice(t *testing.T) {
	e := &LimitError{What: "file descriptors", Limit: 1024, Need: 5000, Fits: 800}
	if want := "(raise the limit with ulimit -n, or use HTTP/2)"; !strings.HasSuffix(e.Error(), want) {
		t.Errorf("%s; want %s", e, want)
	}
}
