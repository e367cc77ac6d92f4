package reporttest

import (
	"math"
	"math/rand/v2"
	"sync"

	"github.com/HdrHistogram/hdrhistogram-go"

	"ssegauge/reports/result"
)

// Samples returns a histogram of n values: log-normal about the median, with a heavier tail.
// Of many values, each stands for several.
func Samples(seed uint64, n int, median, sigma float64) *result.Quantiles {
	weight := max(1, n/20_000)
	key := [4]float64{float64(seed), float64(n), median, sigma}
	if q, ok := drawn.Load(key); ok {
		return new(*q.(*result.Quantiles))
	}
	h := hdrhistogram.New(1, 3600e6, 3)
	rng := rand.New(rand.NewPCG(seed, 7))
	for range n / weight {
		x := rng.NormFloat64()
		x += 0.12 * max(x, 0) * max(x, 0)
		_ = h.RecordValues(int64(median*math.Exp(sigma*x)), int64(weight)) // far within the range
	}
	q := result.FromHist(h)
	drawn.Store(key, q)
	return new(*q)
}

// drawn holds what Samples has made: it takes longer than the tests.
var drawn sync.Map

func wave(n int, f func(i int) float64) result.Points {
	p := make(result.Points, n)
	for i := range p {
		p[i] = f(i)
	}
	return p
}

// Load is a healthy run over HTTP/2.
func Load() *result.Run {
	r := head(result.SchemaLoad, "http://127.0.0.1:8080/events?channel=load", "h2c", 12032.5)
	noise := rand.New(rand.NewPCG(3, 3))
	r.Load = &result.Load{
		Validity: result.Validity{Verdict: result.Valid},
		Plan: map[string]any{
			"streams": 2000, "ramp": "2s", "duration": "10s", "streams_per_conn": 100, "thresholds": []string{"deliver.p99 < 250ms", "lost == 0"},
			"targets": []any{map[string]any{"url": "http://127.0.0.1:8080/events?channel=load", "http": "h2c", "method": "GET"}},
			"publish": map[string]any{"http": "POST http://127.0.0.1:8080/publish?channel=load", "rate": "10/s", "header": []string{"Authorization: Bearer ***"}, "command": "", "size": 0},
		},
		Environment: result.Environment{OS: "linux", Arch: "amd64", CPUs: 2, Kernel: "6.12.0", MaxFiles: 1048576},
		Streams:     result.Streams{Planned: 2000, Opened: 2000, Peak: 2000, Connections: 20},
		Events:      result.Events{Published: 100, Received: 200000, Eligible: 200000, Bytes: 17_400_000},
		LatencyUS: map[string]*result.Quantiles{
			"open": Samples(1, 2000, 640, 0.5), "first_event": Samples(2, 2000, 52_000, 0.7), "deliver": Samples(3, 200_000, 1900, 0.45),
			"deliver_from_send": Samples(13, 1_200_000, 1850, 0.45), "fanout_t50": Samples(4, 100, 1950, 0.2), "fanout_t99": Samples(5, 100, 6100, 0.3), "fanout_t100": Samples(6, 100, 8200, 0.35),
			"spread": Samples(7, 100, 7600, 0.35), "gap": Samples(8, 198_000, 100_000, 0.02),
		},
		Distributions: map[string]*result.Quantiles{"coalesce": Samples(10, 200_000, 1, 0.2)},
		Correlation:   &result.Correlation{Tier: 2, How: "published events carry a marker that is found in what arrives", Events: 100},
		PositionBias:  &result.PositionBias{Rho: 0.031, Events: 64, Receivers: 1000},
		Generator:     result.Generator{CPUSeconds: 1.84, RSSBytes: 41 << 20, BytesPerStream: 1210, DelayUS: Samples(9, 200_000, 38, 0.6), Workers: 2},
		Series: []result.Series{
			{Name: "open_streams", StepMS: 1000, Values: wave(13, func(i int) float64 { return min(2000, float64(i)*1000) })},
			{Name: "events_per_second", StepMS: 1000, Values: wave(13, func(i int) float64 {
				if i < 2 {
					return 0
				}
				return 20000 + math.Round(900*noise.NormFloat64())
			})},
			{Name: "failed_streams", StepMS: 1000, Values: make(result.Points, 13)},
			{Name: "deliver_p50_us", StepMS: 1000, Values: wave(13, func(i int) float64 {
				if i < 2 {
					return math.NaN()
				}
				return 1900 + math.Round(90*noise.NormFloat64())
			})},
			{Name: "deliver_p99_us", StepMS: 1000, Values: wave(13, func(i int) float64 {
				if i < 2 {
					return math.NaN()
				}
				return 5600 + math.Round(600*noise.NormFloat64())
			})},
		},
	}
	value := *r.LatencyUS["deliver"].P99
	r.Gates = []result.Gate{{Expression: "deliver.p99 < 250ms", Value: &value, Unit: "us", Pass: true}, {Expression: "lost == 0", Value: new(0.0), Pass: true}}
	return r
}

// LoadFew is a run too short for most quantiles.
func LoadFew() *result.Run {
	r := head(result.SchemaLoad, "https://sse.example.test/events", "2", 2011)
	r.Load = &result.Load{
		Validity:    result.Validity{Verdict: result.Suspect, Reasons: []string{"only 5 events were published: nothing beyond the median can be resolved"}},
		Plan:        map[string]any{"streams": 5},
		Environment: result.Environment{OS: "linux", Arch: "arm64", CPUs: 4, MaxFiles: 1024},
		Streams:     result.Streams{Planned: 5, Opened: 5, Peak: 5, Connections: 1},
		Events:      result.Events{Published: 5, Received: 25, Eligible: 25, Bytes: 900},
		LatencyUS: map[string]*result.Quantiles{
			"open": Samples(1, 5, 84_000, 0.2), "deliver": Samples(3, 25, 31_000, 0.3), "fanout_t99": Samples(5, 1, 45_000, 0.1), "spread": {},
		},
		Generator: result.Generator{CPUSeconds: 0.04, RSSBytes: 19 << 20, DelayUS: Samples(9, 25, 60, 0.4), Workers: 1},
	}
	return r
}

// LoadTicks is a run without a publish hook on a target that emits by itself: nothing is known of loss.
func LoadTicks() *result.Run {
	r := LoadFew()
	r.Target = result.Target{URL: "http://127.0.0.1:8080/tick?interval=100ms", HTTP: "1.1"}
	r.Validity = result.Validity{Verdict: result.Valid}
	r.Streams = result.Streams{Planned: 5, Opened: 4, Failed: 1, Peak: 4, Connections: 4, Failures: map[string]int{"head: status 503": 1}}
	r.Events = result.Events{Received: 12_800, Bytes: 1_300_000}
	r.LatencyUS = map[string]*result.Quantiles{"open": Samples(1, 5, 84_000, 0.2), "gap": Samples(8, 12_700, 100_000, 0.02)}
	return r
}

// LoadFailing is a run that lost streams and events on a target that answers with hostile text.
func LoadFailing() *result.Run {
	r := Load()
	r.Target.URL, r.Target.HTTP, r.Interrupted = "http://***@127.0.0.1:8080/events?api_key=***", "1.1", true
	r.Validity = result.Validity{Verdict: result.Invalid, Reasons: []string{"the generator used 97 % of its processors", "own delay p99 is 41 % of deliver p99"}}
	r.Plan["header"] = "X-Note: " + Hostile
	r.Streams = result.Streams{Planned: 12000, Opened: 9412, Failed: 2588, Peak: 9400, Connections: 9412, ClosedByServer: 212, Reconnects: 12, Failures: map[string]int{
		"connect: connection refused": 2201, "response: 503 Service Unavailable, Retry-After: 5": 366, "response: " + Hostile: 21,
	}}
	r.Events = result.Events{Published: 100, Received: 938_100, Eligible: 941_200, Lost: 3100, Duplicated: 4, Reordered: 17, Bytes: 82_000_000}
	r.LatencyUS["deliver"] = Samples(13, 300_000, 48_000, 0.9)
	q := r.LatencyUS["deliver"]
	q.Never, q.Events, q.P999 = 3100, 100, nil // what 100 events resolve
	q.CI95 = map[string]result.Interval{"p50": {Low: new(46_100.0), High: new(51_900.0)}, "p90": {Low: new(170_000.0), High: new(230_000.0)}, "p99": {Low: new(440_000.0)}}
	r.LatencyUS["fanout_t99"].CI95 = map[string]result.Interval{"p50": {Low: new(410_000.0), High: new(520_000.0)}}
	r.Steady = &result.Steady{Verdict: "drifts", Of: "fanout_t50", Events: 100, FromUS: 12_000, ToUS: 870_000, SlopeUS: 91_000, LowUS: 83_000, HighUS: 99_500, ChangeMS: 4200}
	g := &r.Generator
	g.Engine = "epoll"
	g.LagUS, g.SchedUS = Samples(21, 10_000, 90, 0.6), Samples(22, 400_000, 15, 0.9)
	g.GC = &result.GC{Cycles: 41, CPUShare: 0.023, PauseMaxUS: 640}
	g.Machine = &result.Machine{Own: 0.31, Busy: new(0.97), Full: new(0.85), Steal: new(0.0), Pressure: new(0.72)}
	g.Canary = &result.Canary{Streams: 3, DeliverUS: Samples(23, 300, 4100, 0.3), Note: "one of its streams ended early"}
	g.Calibration = &result.Calibration{Streams: 1000, HTTP: "1.1", EventsPerSecond: 181_300}
	r.LatencyUS["fanout_t100"].Never = 71
	r.Correlation = &result.Correlation{Tier: 1, How: "events carry the time at which they were sent", Events: 100, Alone: 2, Unstamped: 1, Clock: &result.Clock{
		Stamp: "JSON " + Hostile + ", ms", MinUS: -1200, MeanUS: 47_000, MaxUS: 2.1e6, Negative: 31, FloorUS: new(-1200.0), DriftPPM: 12.5,
	}}
	r.Distributions["reorder_extent"] = Samples(11, 17, 3, 0.3)
	r.Disconnects = []result.Disconnect{{Cause: "connection reset by peer", Count: 200, AgeUS: Samples(12, 200, 60e6, 0.01)}, {Cause: "end of response", Count: 12, AgeUS: new(result.Quantiles)}}
	r.Gates = []result.Gate{
		{Expression: "deliver.p99 < 250ms", Unit: "us", Reason: "3,100 never came, p99 is among them"},
		{Expression: "deliver.p90 < 250ms", Value: new(194_000.0), Unit: "us", Pass: true, Reason: "3,100 never came, counted as late"},
		{Expression: "lost == 0", Value: new(3100.0)},
		{Expression: "fanout_t99.p99.9 < 1s", Unit: "us", Reason: "100 samples cannot resolve p99.9"},
		{Expression: "streams.failed < 5000", Value: new(2588.0), Pass: true},
	}
	return r
}

// LoadBreaking is a run on a target that breaks under load.
func LoadBreaking() *result.Run {
	r := Load()
	utf := []byte("id: 7\ndata: caf\xe9 au lait\n\n")
	f := finding(result.Fail, "encoding/utf8", result.Must, "WHATWG HTML 9.2.5", "The stream is UTF-8", "ill-formed UTF-8 on 17 of 2,000 streams, first with 1,412 open")
	f.Hint = "Encode what is written to the stream as UTF-8; clients show U+FFFD in its place."
	ev := result.NewEvidence(utf, 15, 16)
	ev.Connection, ev.Offset, ev.TimeMS = "stream 88", 10_244, 6204.125
	f.Evidence = []result.Evidence{ev}
	h := finding(result.Warn, "framing/field-names", result.Must, "WHATWG HTML 9.2.6", "Field names are spelt right", "an unknown field on 3 streams: "+Hostile)
	r.Load.Findings = []result.Finding{f, h}
	r.Gates = nil
	return r
}

// Steps is a distribution of n values: 1 ms, 2 ms, ... n ms.
func Steps(n int) *result.Quantiles {
	h := hdrhistogram.New(1, 3600e6, 3)
	for i := 1; i <= n; i++ {
		_ = h.RecordValue(int64(i) * 1000) // far within the range
	}
	return result.FromHist(h)
}
