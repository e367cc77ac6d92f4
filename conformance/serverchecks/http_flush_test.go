package serverchecks_test

import (
	"testing"
	"time"

	"ssegauge/conformance"
	"ssegauge/reports/result"
)

// Without a publish hook streams that go on by themselves are compared, and only what nothing comes of is failed.
func TestFlushWithoutHook(t *testing.T) {
	unhooked := func(t *conformance.Target) { t.Publisher = nil }
	// overGzip lets the first n pieces of a compressed stream go, and keeps the rest.
	overGzip := func(n int) func(p *peer) {
		return func(p *peer) {
			p.zip = zip
			p.frameFor = func(q *request) func(string) string {
				if q.Header.Get("Accept-Encoding") != "gzip" {
					return nil
				}
				left := n
				return func(s string) string {
					if left--; left < 0 {
						return ""
					}
					return chunk(zip(s))
				}
			}
		}
	}
	for _, tc := range []struct {
		name   string
		change func(p *peer)
		want   result.Verdict
	}{
		{"flushed", overGzip(1000), result.Pass},
		{"held", overGzip(0), result.Fail},
		{"some held", overGzip(2), result.NotObserved},
		{"not compressed", func(*peer) {}, result.NotObserved},
		{"held, and slow", func(p *peer) {
			overGzip(0)(p)
			p.tick = 4 * time.Second
		}, result.NotObserved},
		{"one connection at a time", func(p *peer) {
			overGzip(0)(p)
			p.one = true
		}, result.NotObserved},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := clean()
			tc.change(p)
			if f := runOnly(t, p, unhooked, "http/content-encoding/flush")["http/content-encoding/flush"]; f.Verdict != tc.want {
				t.Error(show(f))
			}
		})
	}
}
