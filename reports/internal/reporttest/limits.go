package reporttest

import (
	"math"

	"ssegauge/reports/result"
)

func limits(url, http string, ms float64, all ...result.Limit) *result.Run {
	r := head(result.SchemaLimits, url, http, ms)
	for i := range all {
		all[i].Found = all[i].Verdict == result.LimitFound
	}
	r.Limits = &result.Limits{
		Limits: all, BudgetMS: 300_000,
		Machine: result.Environment{OS: "linux", Arch: "amd64", CPUs: 2, Kernel: "6.12.0", MaxFiles: 1_048_576},
	}
	return r
}

// limit is one of a verdict; low and high are left out where they are NaN.
func limit(verdict, probe, id, title string, low, high float64, unit, owner, evidence string) result.Limit {
	l := result.Limit{ID: id, Probe: probe, Title: title, Verdict: verdict, Unit: unit, Owner: owner, Evidence: evidence}
	if !math.IsNaN(low) {
		l.Low = &low
	}
	if !math.IsNaN(high) {
		l.High = &high
	}
	return l
}

func neededBy(flag string, l result.Limit) result.Limit {
	l.DecidedBy = flag
	return l
}

// Limits is a search that found some limits of each owner, and the knee.
func Limits() *result.Run {
	none := math.NaN()
	r := limits(
		"https://sse.example.test/events", "2", 247_312,
		limit(result.LimitFound, "h1-hosts", "h1/connections-per-host", "connections to one host, as a browser opens them", 6, 6, "connections", result.OwnerBrowser, "browsers hold six connections to a host, over all tabs; the seventh stream waited 2.0 s and would have waited until one of the six ends"),
		limit(result.LimitFound, "h2-streams", "h2/max-concurrent-streams", "streams on one HTTP/2 connection, as advertised", 128, 128, "streams", result.OwnerTarget, "SETTINGS_MAX_CONCURRENT_STREAMS is 128"),
		limit(result.LimitFound, "h2-streams", "h2/served-streams", "streams on one HTTP/2 connection, served at once", 16, 16, "streams", result.OwnerTarget, "16 of 128 streams were served; the others wait for a head that does not come"),
		limit(result.LimitFound, "h2-streams", "h2/slot-release", "time until the place of a closed HTTP/2 stream is free", 0.05, 0.112, "s", result.OwnerTarget, "a stream was served again 112ms after another was closed"),
		limit(result.LimitNone, "requests", "requests/per-connection", "requests on one connection", 1200, none, "requests", "", "1,200 requests were answered on one connection; more were not tried"),
		limit(result.LimitFound, "event-size", "event/size", "size of one event", 65_535, 65_536, "bytes", result.OwnerTarget, "65,535 bytes came whole; of 65,536 the stream was closed (the response is cut short)"),
		limit(result.LimitFound, "buffering", "buffering/bytes", "bytes held back before any is let through", 8192, 8192, "bytes", result.OwnerPath, "an event of 24 bytes came only after 8,192 bytes more (Server: nginx): proxy_buffering is on"),
		neededBy("--slow-readers", limit(result.LimitUndecided, "slow-reader", "slow-reader/eviction", "bytes that a reader may fall behind", none, none, "bytes", "", "the target sent too little in the time that there was to fill any buffer")),
		limit(result.LimitFound, "idle", "idle/timeout", "time without a byte until the stream is closed", 59, 61, "s", result.OwnerPath, "a stream that was quiet for 59 s lived, one that was for 61 s was closed: end of the response"),
		limit(result.LimitNone, "lifetime", "lifetime/max", "age at which a busy stream is closed", 240, none, "s", "", "all of 4 busy streams lived until the end of the probe"),
		limit(result.LimitNotApplicable, "per-client", "client/per-address", "streams from one address", none, none, "streams", "", "there is one address to connect from: --source gives more"),
		limit(result.LimitFound, "streams", "streams/total", "streams at once", 2250, 2363, "streams", result.OwnerTarget, "2,250 streams held three times of three; of 2,364, 41 were answered 503 Service Unavailable, Retry-After: 5"),
		limit(result.LimitFound, "streams", "streams/generator", "streams that this machine can open", 28_231, 28_231, "streams", result.OwnerGenerator, "this machine could open no more: connect: cannot assign requested address"),
		neededBy("--publish", limit(result.LimitUndecided, "storm", "storm/replay", "share of missed events that is replayed after a drop of all streams", none, none, "ratio", "", "needs a way to publish")),
	)
	r.Limits.Limits[3].Fact = true
	r.Expect = []string{
		"A tab that opens a seventh stream over HTTP/1.1 will wait until one of the six others is closed.",
		"Over HTTP/2 the server allows 128 streams on a connection, of which 16 were served at once: the 17th gets no answer.",
		"A stream on which nothing is sent for a minute is closed on the way; a comment every 30 s keeps it open.",
		"The server holds 2,250 streams and turns away what is above; delivery gets slow before, from about 1,430 streams on.",
	}
	p := func(us float64) *float64 { return &us }
	for _, s := range []struct {
		streams, failed     int
		lost                int64
		open, p50, p99, eps float64
		holds               bool
	}{
		{100, 0, 0, 3100, 820, 1900, 1000, true},
		{225, 0, 0, 3300, 910, 2300, 2248, true},
		{506, 0, 0, 3900, 1150, 3400, 4490, true},
		{1000, 0, 0, 5600, 1700, 7100, 6810, true},
		{1500, 0, 0, 9100, 3900, 26_000, 7090, true},
		{2250, 0, 0, 31_000, 18_000, 210_000, 6520, true},
		{2364, 41, 0, 44_000, 24_000, 340_000, 6310, false},
		{3375, 1127, 3120, 1.9e6, 61_000, 2.4e6, 5210, false},
	} {
		r.Limits.Curve = append(r.Limits.Curve, result.Rung{
			Streams: s.streams, Opened: s.streams - s.failed, Failed: s.failed, Lost: s.lost, OpenP99US: p(s.open), DeliverP50US: p(s.p50), DeliverP99US: p(s.p99),
			EventsPerSecond: s.eps, Validity: result.Valid, Holds: s.holds,
		})
	}
	r.Limits.Curve[7].Validity = result.Suspect
	r.Limits.Curve = append(r.Limits.Curve, []result.Rung{ // opened once more, without publishing
		{Streams: 2250, Opened: 2250, OpenP99US: p(38_000), Validity: result.Valid, Holds: true},
		{Streams: 2364, Opened: 2364, OpenP99US: p(41_000), Validity: result.Valid, Holds: true},
		{Streams: 2364, Opened: 2330, Failed: 34, OpenP99US: p(45_000), Validity: result.Valid},
	}...)
	r.Limits.Knee = &result.Knee{Lambda: 10.1, Sigma: 0.00001, Kappa: 4.9e-7, Peak: p(1428.6), CI95: [2]float64{1181, 1790}, Max: 3375}
	return r
}

// LimitsGated is a search of which something was asked.
func LimitsGated() *result.Run {
	r := Limits()
	r.Thresholds = []result.Gate{
		{Expression: "streams/total >= 2000", Value: new(2250.0), Pass: true, Reason: "2,250 to 2,363 streams (target)"},
		{Expression: "idle/timeout >= 2m", Value: new(59.0), Unit: "s", Reason: "59 to 61 s (path)"},
		{Expression: "storm/replay >= 99%", Reason: "undecided: --publish; needs a way to publish"},
	}
	return r
}

// LimitsQuiet is a search at a target to which nothing can be published, and which says hostile things.
func LimitsQuiet() *result.Run {
	none := math.NaN()
	var all []result.Limit
	for _, id := range [][2]string{{"h2/max-concurrent-streams", "streams on one HTTP/2 connection, as advertised"}, {"h2/served-streams", "streams on one HTTP/2 connection, served at once"}} {
		all = append(all, limit(result.LimitNotApplicable, "h2-streams", id[0], id[1], none, none, "streams", "", "the target speaks HTTP/1.1 only"))
	}
	for _, id := range [][3]string{{"event-size", "event/size", "size of one event"}, {"buffering", "buffering/bytes", "bytes held back before any is let through"}} {
		all = append(all, neededBy("--publish", limit(result.LimitUndecided, id[0], id[1], id[2], none, none, "bytes", "", "nothing can be published: --publish is not given")))
	}
	r := limits(
		"http://***@127.0.0.1:8080/events?token=***", "1.1", 61_204,
		append(
			all,
			limit(result.LimitUndecided, "idle", "idle/timeout", "time without a byte until the stream is closed", none, none, "s", "", "the target sends a byte every 15 s by itself"),
			limit(result.LimitFound, "streams", "streams/total", "streams at once", 12, 12, "streams", result.OwnerTarget, "answered 503 "+Hostile),
			limit(result.LimitNone, "resets", "resets/budget", "resets on one connection", 1000, none, "resets", "", Hostile),
		)...)
	r.Limits.Expect = []string{"The server holds 12 streams; the 13th is answered 503 " + Hostile + "."}
	for i, n := range []int{4, 8, 12, 13} {
		open := 2400 + 130*float64(i)
		r.Limits.Curve = append(r.Limits.Curve, result.Rung{Streams: n, Opened: min(n, 12), Failed: max(0, n-12), OpenP99US: &open, Validity: result.Valid, Holds: n <= 12})
	}
	return r
}

// LimitsInterrupted is a search that was broken off.
func LimitsInterrupted() *result.Run {
	r := Limits()
	r.Interrupted, r.DurationMS = true, 21_090
	r.Limits.Limits = r.Limits.Limits[1:3]
	r.Limits.Expect, r.Limits.Curve, r.Limits.Knee = r.Limits.Expect[1:2], r.Limits.Curve[:1], nil
	return r
}

// LimitsUndecided is a search that came to nothing.
func LimitsUndecided() *result.Run {
	none := math.NaN()
	return limits(
		"http://127.0.0.1:8080/events", "1.1", 9020,
		limit(result.LimitUndecided, "streams", "streams/total", "streams at once", none, none, "streams", "", "the measurement is not valid with the first 10 streams already: the generator used 97 % of its processors"),
		neededBy("--publish", limit(result.LimitUndecided, "event-size", "event/size", "size of one event", none, none, "bytes", "", "nothing can be published: --publish is not given")),
	)
}
