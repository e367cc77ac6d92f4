package limits

import (
	"strings"
	"testing"

	"ssegauge/reports/result"
)

func TestExpect(t *testing.T) {
	const target, path, ours = result.OwnerTarget, result.OwnerPath, result.OwnerGenerator
	atLeast := func(l result.Limit) result.Limit {
		l.High = nil
		return l
	}
	f := func(id string, low, high float64, unit, owner, evidence string) result.Limit {
		return found(id, "the title of "+id, low, high, unit, owner, "%s", evidence)
	}
	ends := func(id, title string) result.Limit { return found(id, title, 918, 3630, "bytes", path, "") }
	no := func(id string, low float64, unit string) result.Limit { return none(id, "", low, unit, "") }
	open := func(id, by string) result.Limit { return undecided(id, "", "", by, "") }
	six, ever := f("h1/connections-per-host", 6, 6, "connections", result.OwnerBrowser, ""), atLeast(f("h1/seventh-wait", 20, 20, "s", "", ""))
	takesH2 := inapplicable("h1/connections-per-host", "", "", "")
	allows := func(n float64) result.Limit { return f("h2/max-concurrent-streams", n, n, "streams", target, "") }
	serves := func(n float64) result.Limit { return f("h2/served-streams", n, n, "streams", target, "") }
	unnamed := no("h2/max-concurrent-streams", 1000, "streams")

	for name, c := range map[string]struct {
		limits []result.Limit
		want   string
	}{
		"nothing":             {nil, ""},
		"nothing met":         {[]result.Limit{no("streams/total", 1000, "streams"), no("idle/timeout", 60, "s")}, "No limit was met by what was tried."},
		"nothing known":       {[]result.Limit{open("event/size", "--publish"), open("streams/total", "")}, "More would be known with --publish."},
		"several flags":       {[]result.Limit{open("event/size", "--publish"), open("storm/replay", "--publish"), open("streams/per-client", "--source"), open("idle/timeout", "--budget")}, "More would be known with --publish, --source and --budget."},
		"this machine's":      {[]result.Limit{f("streams/total", 900, 900, "streams", ours, "")}, ""},
		"seventh":             {[]result.Limit{six, ever}, "A tab that opens a seventh stream over HTTP/1.1 will wait for ever."},
		"seventh, mortal":     {[]result.Limit{six, ever, f("lifetime/max", 20, 20, "s", target, "")}, "A tab that opens a seventh stream over HTTP/1.1 will wait until one of the six others ends, see below. Streams end after 20 s."},
		"total, of one":       {[]result.Limit{f("streams/per-client", 25, 25, "streams", target, "answered 429"), f("streams/total", 25, 25, "streams", target, "answered 429")}, "From one address it takes 25 streams; the next is answered 429."},
		"total, from here":    {[]result.Limit{f("streams/total", 25, 25, "streams", target, "answered 429")}, "It holds 25 streams from here; the next is answered 429. Whether others would be served from another address --probe per-client tells."},
		"total, counted":      {[]result.Limit{no("streams/per-client", 60, "streams"), f("streams/total", 60, 60, "streams", target, "1 of 61 streams failed to open (head: status 503: the target says no)")}, "It holds 60 streams in all; the next is answered 503."},
		"total, of all":       {[]result.Limit{no("streams/per-client", 60, "streams"), f("streams/total", 60, 60, "streams", target, "answered 503")}, "It holds 60 streams in all; the next is answered 503."},
		"size refused":        {[]result.Limit{f("event/size", 1_000_000, 1_048_575, "bytes", target, "of an event of 1.00 MiB, the publish is refused: 413")}, "Events beyond 1 MiB are refused when they are published."},
		"seventh, finite":     {[]result.Limit{six, f("h1/seventh-wait", 7, 7, "s", "", "")}, "A tab that opens a seventh stream over HTTP/1.1 will wait until one of the six others ends, which took 7 s."},
		"seventh, brief":      {[]result.Limit{six, f("h1/seventh-wait", 0, 0, "s", "", "")}, ""},
		"seventh, not waited": {[]result.Limit{six, open("h1/seventh-wait", "")}, "A tab that opens a seventh stream over HTTP/1.1 will wait until one of the six others is closed."},
		"one worker": {
			[]result.Limit{f("h1/connections-per-host", 1, 1, "connections", target, "the next: not answered within 10s")},
			"1 stream is served at once over HTTP/1.1, fewer than the six of a browser; the next gets no answer.",
		},
		"both, in the clear": {
			[]result.Limit{six, ever, allows(128), serves(16)},
			"A tab that opens a seventh stream over HTTP/1.1 will wait for ever; over HTTP/2, which browsers speak over TLS only, the server allows 128, of which 16 are served at once.",
		},
		"more than a browser opens": {[]result.Limit{allows(10_000)}, "Over HTTP/2 the server allows 10,000, and a browser (Chromium) opens 256 at most."},
		"as many as allowed":        {[]result.Limit{allows(128), serves(128)}, "Over HTTP/2 the server allows 128."},
		"none named":                {[]result.Limit{unnamed, serves(16)}, "Over HTTP/2 the server names no limit of streams on a connection, and 16 streams are served at once."},
		"none named or met":         {[]result.Limit{unnamed, no("h2/served-streams", 1000, "streams")}, "No limit was met by what was tried."},
		"browser, 100":              {[]result.Limit{takesH2, allows(100), serves(100)}, "A browser (Chromium) opens 100 streams over HTTP/2, all its tabs together; one more will wait until another is closed."},
		"browser, 10,000":           {[]result.Limit{takesH2, allows(10_000), no("h2/served-streams", 1000, "streams")}, "A browser (Chromium) opens 256 streams over HTTP/2, all its tabs together, though the server allows 10,000; one more will wait until another is closed."},
		"browser, not told":         {[]result.Limit{takesH2, unnamed, no("h2/served-streams", 1000, "streams")}, "A browser (Chromium) opens 100 streams over HTTP/2, all its tabs together; one more will wait until another is closed."},
		"browser, workers":          {[]result.Limit{takesH2, allows(128), serves(16)}, "A browser (Chromium) opens 128 streams over HTTP/2, all its tabs together, of which 16 are served at once."},
		"browser, others":           {[]result.Limit{takesH2, allows(30), no("h2/served-streams", 20, "streams")}, "A browser (Chromium) opens 30 streams over HTTP/2, all its tabs together; no more than 20 were seen served at once."},
		"browser, enough":           {[]result.Limit{takesH2, allows(1000), serves(600)}, "A browser (Chromium) opens 256 streams over HTTP/2, all its tabs together, though the server allows 1,000; one more will wait until another is closed."},
		"browser, not tried":        {[]result.Limit{takesH2}, ""},
		"places at once":            {[]result.Limit{f("h2/slot-release", 0, 0.001, "s", target, "")}, ""},
		"places late":               {[]result.Limit{f("h2/slot-release", 1.8, 2.03, "s", target, "")}, "The place of a stream that is closed over HTTP/2 is free after 2 s only: who reloads a page waits for it."},
		"places never":              {[]result.Limit{atLeast(f("h2/slot-release", 28, 28, "s", target, ""))}, "The place of a stream that is closed over HTTP/2 is not free for 28 s and more: who reloads a page waits for it."},
		"quiet":                     {[]result.Limit{f("idle/timeout", 58.9, 60.4, "s", path, "")}, "A stream that is quiet for 60 s is closed: send a comment every 25 s."},
		"quiet, soon":               {[]result.Limit{f("idle/timeout", 0.9, 1.1, "s", path, "")}, "A stream that is quiet for 1 s is closed: send a comment every 450 ms."},
		"quiet, only events":        {[]result.Limit{f("idle/timeout", 4.7, 5.1, "s", path, "x: "+commentsInVain+"; y")}, "A stream that is quiet for 5 s is closed: send an event, for comments do not help, every 2 s."},
		"dead":                      {[]result.Limit{f("idle/silent-drop", 299, 301, "s", path, "")}, "A stream that is quiet for 5 min is dead though it looks open: send a comment every 2 min, and let clients come back that miss it."},
		"heartbeat":                 {[]result.Limit{f("idle/heartbeat", 15, 15, "s", target, "")}, ""},
		"together":                  {[]result.Limit{f("lifetime/max", 599.2, 600.3, "s", target, ""), no("lifetime/jitter", 0.1, "s")}, "Streams end after 10 min without jitter: all clients come back at once."},
		"apart":                     {[]result.Limit{f("lifetime/max", 6, 9.6, "s", target, ""), f("lifetime/jitter", 3.6, 3.6, "s", target, "")}, "Streams end after 6 to 9.6 s, so that clients come back one after the other."},
		"old":                       {[]result.Limit{f("lifetime/max", 29.8, 30.2, "s", target, ""), open("lifetime/jitter", "")}, "Streams end after 30 s."},
		"buffers":                   {[]result.Limit{f("buffering/size", 8000, 8200, "bytes", path, ""), f("buffering/gzip-delay", 0.19, 0.21, "s", path, "")}, "Small events are held back until 8 KiB have gathered, and for 200 ms where streams are compressed."},
		"ends":                      {[]result.Limit{ends("buffering/size", tailTitle), ends("buffering/gzip", tailTitle+", compressed")}, "The end of a large event is held back until more is published. The end of a large event is held back until more is published where streams are compressed."},
		"buffers, ends":             {[]result.Limit{f("buffering/gzip", 8000, 8200, "bytes", path, ""), ends("buffering/size", tailTitle)}, "Small events are held back until 8 KiB have gathered where streams are compressed. The end of a large event is held back until more is published."},
		"buffers, no end":           {[]result.Limit{atLeast(f("buffering/gzip", 1<<20, 1<<20, "bytes", path, ""))}, "Small events are held back until 1 MiB and more have gathered where streams are compressed."},
		"sizes":                     {[]result.Limit{f("event/size", 1_000_000, 1_048_575, "bytes", target, "")}, "Events beyond 1 MiB do not come whole."},
		"all of many": {
			[]result.Limit{f("streams/total", 500, 524, "streams", target, "of 525 streams 1 was answered 503 Service Unavailable"), f("streams/per-client", 20, 20, "streams", target, "the next: answered 429"), f("streams/knee", 300, 340, "streams", target, "")},
			"From one address it takes 20 streams; the next is answered 429. It holds 500 to 524 streams in all; the next is answered 503. Beyond 300 to 340 streams more of them bring no more events a second.",
		},
		"storms": {
			[]result.Limit{f("storm/burst", 80, 90, "streams", target, ""), f("storm/restored", 2, 3, "s", "", ""), f("storm/replay", 0, 0, "events", target, "")},
			"Where more than 80 streams are lost at once they are not all back within a second. When half of them are lost at once it takes 2 to 3 s until nearly all are back. What is published while a client is away is lost to it.",
		},
		"requests and resets": {
			[]result.Limit{f("conn/requests-h1", 1000, 1000, "requests", target, ""), f("conn/requests-h2", 50, 50, "requests", target, ""), f("h2/resets", 40, 41, "streams", target, "")},
			"A connection carries 1,000 requests over HTTP/1.1 and 50 requests over HTTP/2, then another has to be made. After 40 streams that are reset soon after one another an HTTP/2 connection is given up, and all that is on it.",
		},
		"without words of its own": {[]result.Limit{f("x/y", 4, 5, "s", target, "")}, "The title of x/y: 4 to 5 s."},
		"unread":                   {[]result.Limit{f("slow/bytes", 65_536, 262_144, "bytes", target, ""), f("slow/eviction", 14.8, 15.2, "s", target, "")}, "A client that leaves more than 256 KiB unread is closed, at the latest after 15.2 s."},
		"unread, at once":          {[]result.Limit{f("slow/bytes", 4_194_304, 4_325_376, "bytes", target, ""), no("slow/eviction", 20, "s")}, "A client that leaves more than 4 MiB unread is closed."},
		"unread, missed":           {[]result.Limit{f("slow/bytes", 311_296, 327_680, "bytes", target, "and then 5 "+eventsMissing+"; the stream goes on"), no("slow/eviction", 20, "s")}, "A client that leaves more than 320 KiB unread misses events and is not told."},
		"beside, still":            {[]result.Limit{atLeast(f("slow/neighbours", 8, 8, "s", target, ""))}, "One client that does not read stops all others."},
		"beside, slower":           {[]result.Limit{f("slow/neighbours", 0.5, 0.5, "s", target, "")}, "One client that does not read holds up all others, for up to 500 ms."},
	} {
		t.Run(name, func(t *testing.T) {
			if got := strings.Join(expect(c.limits), " "); got != c.want {
				t.Errorf("%s\nwanted: %s", got, c.want)
			}
		})
	}
}

// TestExpectOrder: what a single client meets is said before what only many do, whatever was looked for first.
func TestExpectOrder(t *testing.T) {
	all := []result.Limit{
		found("streams/total", "", 500, 500, "streams", result.OwnerTarget, ""), found("idle/timeout", "", 60, 60, "s", result.OwnerPath, ""),
		found("h2/max-concurrent-streams", "", 128, 128, "streams", result.OwnerTarget, ""),
	}
	got := expect(all)
	if len(got) != 3 || !strings.HasPrefix(got[0], "Over HTTP/2") || !strings.HasPrefix(got[1], "A stream that is quiet") || !strings.HasPrefix(got[2], "It holds 500 streams") {
		t.Errorf("%q", got)
	}
}
