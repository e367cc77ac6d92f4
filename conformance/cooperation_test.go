package conformance_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ssegauge/conformance"
	"ssegauge/reports/result"
)

func TestGauge(t *testing.T) {
	for _, c := range []struct{ body, pointer, metric, want string }{
		{`{"streams":{"open":3}}`, "/streams/open", "", "3"},
		{`{"a/b":[1,{"~":2.5}]}`, "/a~1b/1/~0", "", "2.5"},
		{`7`, "", "", "7"},
		{`{"streams":"3"}`, "/streams", "", "no number"},
		{`{"streams":3}`, "/open", "", `no "open"`},
		{`[1]`, "/1", "", `no element "1"`},
		{`{"a":1}`, "/a/b", "", "plain value"},
		{`<html>`, "/a", "", "not JSON"},
		{"# HELP s streams\ns 4\n", "", "s", "4"},
		{"s{path=\"/a b}\",x=\"\\\"\"} 4 1700000000\ns{path=\"/c\"} 5\nst 9\n", "", "s", "9"},
		{"s{path=\"/a\",x=\"1\"} 4\ns{path=\"/b\",x=\"1\"} 5\n", "", `s{x="1", path="/b"}`, "5"},
		{"s NaN\n", "", "s", "not a count"},
		{"s 1\n", "", "z", "no metric z"},
		{"s\n", "", "s", "no metric s"},
	} {
		t.Run(c.body, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				tg := target(serve(ticking))
				stats, _ := url.Parse("http://peer.example/stats")
				tg.Gauge = &conformance.GaugeSource{URL: stats, Pointer: c.pointer, Metric: c.metric}
				first := true
				tg.Dialer.NetDial = func(ctx context.Context, network, addr string) (net.Conn, error) {
					if first {
						first = false
						return serve(ticking)(ctx, network, addr)
					}
					return serve(func(n net.Conn) {
						fmt.Fprintf(n, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(c.body), c.body)
					})(ctx, network, addr)
				}
				check := conformance.Check{ID: "a", Needs: conformance.Gauge, Run: func(ctx context.Context, p *conformance.Probe) {
					if !p.Require(conformance.Gauge) {
						return
					}
					v, err := p.Gauge(ctx)
					p.Pass("%v %v", v, err)
				}}
				r, err := conformance.Run(t.Context(), tg, []conformance.Check{check}, conformance.Options{})
				if err != nil || !strings.Contains(r.Results[0].Message, c.want) {
					t.Errorf("%+v, error %v; want %s", r, err, c.want)
				}
			})
		})
	}
}

// What is not lent is named with the flag that lends it.
func TestRequire(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var checks []conformance.Check
		for id, n := range map[string]conformance.Needs{
			"--scenario-url": conformance.Scenario, "--kill-cmd": conformance.Kill, "--gauge-url": conformance.Gauge, "--publish": conformance.Publish,
		} {
			checks = append(checks, conformance.Check{ID: id, Needs: n, Run: func(_ context.Context, p *conformance.Probe) {
				if p.Require(conformance.Observe | n) {
					p.Fail("it was lent")
				}
			}})
		}
		r, err := conformance.Run(t.Context(), target(serve(ticking)), checks, conformance.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range r.Results {
			if f.Verdict != result.NotObserved || f.DecidedBy != f.ID || !strings.Contains(f.Hint, f.ID) {
				t.Errorf("%+v", f)
			}
		}
	})
}

// Those that end the target come after everyone else, one at a time.
func TestLast(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var order []string
		lastly := func(id string) conformance.Check {
			return conformance.Check{ID: id, Run: func(ctx context.Context, p *conformance.Probe) {
				ctx, release, ok := p.Last(ctx)
				if !ok {
					return
				}
				defer release()
				order = append(order, "kill")
				p.Pass("%v %v", p.Kill(ctx), p.Restart(ctx))
			}}
		}
		alone := func(id string) conformance.Check {
			return conformance.Check{ID: id, Run: func(ctx context.Context, p *conformance.Probe) {
				_, release, ok := p.Alone(ctx)
				if !ok {
					return
				}
				defer release()
				time.Sleep(time.Second)
				order = append(order, "alone")
				p.Pass("done")
			}}
		}
		tg := target(serve(ticking))
		killed := 0
		tg.Kill = func(context.Context) error { killed++; return io.EOF }
		r, err := conformance.Run(t.Context(), tg, []conformance.Check{lastly("a"), alone("b"), lastly("c"), alone("d")}, conformance.Options{})
		if err != nil || !slices.Equal(order, []string{"alone", "alone", "kill", "kill"}) || killed != 4 {
			t.Fatalf("order %v, killed %d, error %v", order, killed, err)
		}
		if r.Results[0].Message != "EOF EOF" {
			t.Errorf("%+v", r.Results[0])
		}
	})
}

func TestCommand(t *testing.T) {
	file := filepath.Join(t.TempDir(), "killed")
	if err := conformance.Command("touch " + file)(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
	if err := conformance.Command("exit 3")(t.Context()); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if err := conformance.Command("sleep 60")(ctx); err == nil || !strings.Contains(err.Error(), "canceled") {
		t.Errorf("error %v", err)
	}
}

func TestScenarioURL(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"http://h/s?n={{urlquery .Name}}", "http://h/s?n=a+b"},
		{"http://h/{{.Nam}}", "can't evaluate"},
		{"http://h/{{.Name", "unclosed"},
		{"{{.Name}}", "not an http"},
	} {
		u, err := conformance.ScenarioURL(c.text, "a b")
		if got := fmt.Sprint(u, err); !strings.Contains(got, c.want) {
			t.Errorf("%s: %s; want %s", c.text, got, c.want)
		}
	}
}
