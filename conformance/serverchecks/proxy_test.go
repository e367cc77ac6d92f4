package serverchecks_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"ssegauge/conformance"
	"ssegauge/reports/result"
)

// Two peers, one in front of the other: what comes to a graver verdict through the first is the proxy's doing.
func TestProxyDiff(t *testing.T) {
	buffers := func(p *peer) { p.encode = func(id int, data string) string { return "retry: 3s\n" + encode(id, data) } }
	lax := func(p *peer) { p.head = head("Content-Type: text/event-stream", "Transfer-Encoding: chunked") }
	dead := func(p *peer) { p.head = sendHead("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n") }
	none := func(*peer) {}
	for _, c := range []struct {
		name            string
		through, direct func(*peer)
		refused         bool
		want            result.Verdict
		says            string
	}{
		{"the same", none, none, false, result.Pass, "same verdict both ways"},
		{"the server's own fault", buffers, buffers, false, result.Pass, "same verdict"},
		{"the proxy breaks a rule", buffers, none, false, result.Fail, "retry/digits (retry: "},
		{"the proxy warns", lax, none, false, result.Warn, "http/cache-control ("},
		{"both", func(p *peer) { buffers(p); lax(p) }, none, false, result.Fail, "; http/cache-control ("},
		{"graver than a warning", func(p *peer) { lax(p); buffers(p) }, lax, false, result.Fail, "retry/digits ("},
		{"the proxy mends", none, lax, false, result.Pass, "the proxy mends http/cache-control"},
		{"nobody past the proxy", none, none, true, result.NotObserved, "past the proxy nothing could be judged"},
		{"no stream past the proxy", none, dead, false, result.Pass, "the proxy mends http/status"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			through, direct := clean(), clean()
			c.through(through)
			c.direct(direct)
			found := run(t, through, func(tg *conformance.Target) {
				front := tg.Dialer.NetDial
				tg.Publisher = nil
				tg.Dialer.NetDial = func(ctx context.Context, network, addr string) (net.Conn, error) {
					switch {
					case !strings.HasPrefix(addr, "direct."):
						return front(ctx, network, addr)
					case c.refused:
						return nil, errors.New("connection refused")
					}
					return direct.dial(ctx, network, addr)
				}
				u := *tg.Request.URL
				u.Host = "direct.example"
				tg.DirectURL = &u
			})
			if f := found["live/proxy-diff"]; f.Verdict != c.want || !strings.Contains(f.Message, c.says) {
				t.Errorf("want %s with %q\n%s", c.want, c.says, show(f))
			}
		})
	}
}
